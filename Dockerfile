# syntax=docker/dockerfile:1
# The nodes on ROS 2 Jazzy, without root rights.
#
#   docker build -t find_ros .
#   docker run --rm --network host --ipc host find_ros \
#       ros2 launch find_ros localize.launch.py prompt:="the <mug>" image:=/camera/color/image_raw
#
# --network host reaches the DDS domain of the machine, --ipc host its shared memory. With a GPU add --gpus all.
# --build-arg TORCH_INDEX_URL=... takes another build of torch: the CPU one saves gigabytes.
#
# This file was parsed and linted (tests/test_dockerfile.py). It was not built where it was written: no base image
# could be had there.
FROM ros:jazzy-ros-base

ARG TORCH_INDEX_URL=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        python3-venv \
        ros-jazzy-sros2 \
        ros-jazzy-vision-msgs \
    && rm -rf /var/lib/apt/lists/*

# The system's Python has rclpy and no torch: a virtual environment that sees ROS.
ENV VIRTUAL_ENV=/opt/find
RUN python3 -m venv --system-site-packages "$VIRTUAL_ENV"
ENV PATH="$VIRTUAL_ENV/bin:$PATH"

# torch first and alone: it is most of the image and changes least.
COPY constraints.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt \
        ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} torch

WORKDIR /ws
COPY setup.py setup.cfg pyproject.toml package.xml README.md LICENSE src/find_ros/
COPY resource src/find_ros/resource
COPY launch src/find_ros/launch
COPY config src/find_ros/config
COPY find_core src/find_ros/find_core
COPY find_field src/find_ros/find_field
COPY find_ros src/find_ros/find_ros
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt "./src/find_ros[tabletop,video]" \
    && . /opt/ros/jazzy/setup.bash \
    && colcon build --packages-select find_ros \
    && rm -rf build log

# Images above 512 KB are lost without it, also those of a camera driver that runs in this image.
ENV FASTDDS_DEFAULT_PROFILES_FILE=/ws/install/find_ros/share/find_ros/config/fastdds.xml \
    FASTRTPS_DEFAULT_PROFILES_FILE=/ws/install/find_ros/share/find_ros/config/fastdds.xml \
    OMP_NUM_THREADS=1

COPY --chmod=755 tools/docker_entrypoint.sh /usr/local/bin/find_entrypoint
RUN useradd --create-home --uid 10001 robot
USER 10001
WORKDIR /home/robot
ENTRYPOINT ["find_entrypoint"]
CMD ["ros2", "launch", "find_ros", "localize.launch.py"]
