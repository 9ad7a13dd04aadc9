"""Module names of before this package was divided into rooms (see find_core/support/moved.py)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

OLD_NAMES: dict[str, str | tuple[str, ...]] = {
    "find_ros.conversions": (
        "find_ros.messages.images",
        "find_core.video.sources.image_encodings",
    ),
    "find_ros.detections": "find_ros.messages.detections",
    "find_ros.field_outputs": "find_ros.messages.field_hits",
    "find_ros.geometry": (
        "find_ros.messages.geometry",
        "find_ros.messages.camera_info",
        "find_ros.messages.clouds",
        "find_ros.messages.poses",
    ),
    "find_ros.messages.field": "find_ros.messages.field_hits",
    "find_ros.spatial": "find_ros.messages.objects_3d",
    "find_ros.cameras": "find_ros.pipeline.camera_input",
    "find_ros.poses": "find_ros.pipeline.camera_poses",
    "find_ros.frames": "find_ros.pipeline.frame_buffer",
    "find_ros.worker": ("find_ros.pipeline.inference", "find_ros.pipeline.camera_pipeline"),
    "find_ros.live_field": "find_ros.pipeline.live_field",
    "find_ros.model": "find_ros.pipeline.model_loader",
    "find_ros.prompt_desk": (
        "find_ros.pipeline.prompt_compiler",
        "find_ros.pipeline.prompt_text",
        "find_ros.pipeline.reference_store",
    ),
    "find_ros.outputs": "find_ros.pipeline.publishers",
    "find_ros.player_sources": (
        "find_ros.sources.open",
        "find_ros.sources.base",
        "find_ros.sources.posed_folder",
    ),
    "find_ros.bag_source": "find_ros.sources.rosbag",
    "find_ros.health": "find_ros.support.diagnostics",
    "find_ros.complaints": "find_ros.support.log_throttle",
    "find_ros.run": "find_ros.support.node_main",
    "find_ros.parameters": "find_ros.support.parameters",
    "find_ros.qos": "find_ros.support.qos",
    "find_ros.share": "find_ros.support.resources",
}


class OldNames(MetaPathFinder):
    """Knows the old names. find_core, which takes a second, is imported for one of them only: a node
    that starts must hear Ctrl-C before."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        now = OLD_NAMES.get(fullname)
        if now is None:
            return None
        from find_core.support.moved import old_module

        return old_module(fullname, now)
