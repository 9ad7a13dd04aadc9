"""Any trained nerfstudio run as posed RGB-D: what its model renders at its own cameras, to be lifted.

Dimension letters: H, W pixels of a rendered view.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.models.base_model import Model
from torch import Tensor

from find_core.errors import FieldError
from find_core.support.printable import shown
from find_field.frames import PosedFrame
from find_field.geometry.pinhole import OPENCV_FROM_OPENGL
from find_field.io.datasets import PosedFolder
from find_field.io.frame_files import FrameFiles
from find_field.nerf.model import lpips_on_demand
from find_field.nerf.pipeline import world_transform_of
from find_field.nerf.runs import read_checkpoint, read_config
from find_field.nerf.world_transform import WorldTransform

MIN_ACCUMULATION = 0.8
"""A ray that meets less than this is air, or something that the training did not settle on."""
MAX_SPREAD = 0.05
"""Where the mean depth along a ray is off its median by a larger share, there is no one surface."""
# Methods whose depth is along the optical axis; all others give it along the ray.
_Z_DEPTH = ("SplatfactoModel",)


@dataclass(frozen=True, eq=False)
class RenderedView:
    """One training camera of a run, rendered when it is read.

    Attributes:
        camera: one pinhole camera of nerfstudio's frame. world: back into the capture's own.
    """

    name: str
    model: Model
    camera: Cameras
    world: WorldTransform

    @property
    def T_world_camera(self) -> np.ndarray:
        """(4, 4) in the frame that the capture's poses came in, OpenCV axes."""
        pose_ns = self.camera.camera_to_worlds[0].double().cpu().numpy()
        T = np.eye(4)
        T[:3, :3] = self.world.rotation_to_world(pose_ns) @ OPENCV_FROM_OPENGL[:3, :3]
        T[:3, 3] = self.world.to_world(pose_ns[:, 3])
        return T

    @property
    def K(self) -> np.ndarray:
        """(3, 3), whole numbers at pixel centres."""
        fx, fy, cx, cy = (
            float(v) for v in (self.camera.fx, self.camera.fy, self.camera.cx, self.camera.cy)
        )
        return np.array([[fx, 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1]])

    def read(self) -> PosedFrame:
        """Render colour and depth; where the depth is uncertain there is none.

        Raises:
            ImageError: the depth cannot be metres.
        """
        with torch.no_grad():
            outputs = self.model.get_outputs_for_camera(self.camera)
        rgb = (outputs["rgb"].clamp(0, 1) * 255).round().byte().cpu().numpy()
        depth = self._z_depth(outputs) / self.world.scale
        return PosedFrame(rgb, depth.astype(np.float32), self.K, self.T_world_camera, self.name)

    def _z_depth(self, outputs: dict[str, Tensor]) -> np.ndarray:
        """(H, W) in nerfstudio's units, NaN where uncertain."""
        depth, sure = outputs["depth"], outputs["accumulation"] >= MIN_ACCUMULATION
        if (expected := outputs.get("expected_depth")) is not None:
            sure &= (expected - depth).abs() <= MAX_SPREAD * depth
        z = depth[..., 0].double().cpu().numpy()
        if type(self.model).__name__ not in _Z_DEPTH:
            v, u = np.indices(z.shape)
            rays = np.stack([u, v, np.ones(z.shape)], -1) @ np.linalg.inv(self.K).T
            z = z / np.linalg.norm(rays, axis=-1)
        return np.where(sure[..., 0].cpu().numpy(), z, np.nan)


def open_run(path: str | Path, short_side_px: int = 288) -> PosedFolder:
    """The training cameras of a run of any nerfstudio method, given its config.yml.

    Of what the file names nothing but configuration classes are made (`find_field.nerf.runs`), and the
    checkpoint is read as plain tensors.

    Args:
        short_side_px: of the rendered views. Rendering takes most of the time.

    Raises:
        FieldError: no such file, no configuration or checkpoint, or not of one another.
    """
    config = read_config(path, any_method=True)
    manager = config.pipeline.datamanager
    if getattr(manager, "data", None) is not None:
        manager.dataparser.data = Path(manager.data)
    try:
        outputs = manager.dataparser.setup().get_dataparser_outputs("train")
    except (OSError, AssertionError, ValueError) as error:
        raise FieldError(f"The data of {path} cannot be read ({shown(error, 200)}).") from None
    model = _model(config, read_checkpoint(path, config), outputs, Path(path))
    world, cameras = world_transform_of(outputs), outputs.cameras
    views = [
        RenderedView(
            file.name, model, _pinhole(cameras[i : i + 1], short_side_px).to(model.device), world
        )
        for i, file in enumerate(outputs.image_filenames)
    ]
    frame = outputs.metadata.get("frame", "world")
    return PosedFolder(Path(path), "nerfstudio", cast("list[FrameFiles]", views), [], frame)


def _model(config: Any, state: dict[str, Tensor], outputs: DataparserOutputs, path: Path) -> Model:
    """The run's model with its weights, without the datamanager that trained it."""
    own = {name.removeprefix("module.").removeprefix("_model."): v for name, v in state.items()
           if "_model." in name and ".lpips." not in name}  # fmt: skip
    metadata = dict(outputs.metadata)
    if "basis" in own:  # of find-field
        metadata |= {"find_basis": own["basis"], "find_mean": own["feature_mean"]}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with lpips_on_demand():
        model = config.pipeline.model.setup(
            scene_box=outputs.scene_box, num_train_data=len(outputs.image_filenames),
            metadata=metadata, device=device, grad_scaler=None, seed_points=None,
        )  # fmt: skip
    model.to(device)
    try:
        model.load_state_dict(own)
    except RuntimeError as error:
        raise FieldError(f"The checkpoint is not of {path} ({shown(error, 200)}).") from None
    return model.eval()


def _pinhole(camera: Cameras, short_side_px: int) -> Cameras:
    """The same camera without its lens, scaled to a shorter side."""
    plain = Cameras(camera.camera_to_worlds, camera.fx, camera.fy, camera.cx, camera.cy,
                    camera.width, camera.height)  # fmt: skip
    plain.rescale_output_resolution(
        short_side_px / min(int(camera.height[0]), int(camera.width[0]))
    )
    return plain
