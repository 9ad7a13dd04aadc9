"""The pinhole camera: between pixels with depth, the camera's frame and the world.

`find_field` and `find_ros` both measure with these functions. Camera frames are optical (x right,
y down, z forward; OpenCV's and REP-103's), lengths metres, matrices named `T_a_b` map points of
frame b into frame a, and whole pixel coordinates are pixel centres.

Dimension letters: H/W an image, Hs/Ws its samples at every `stride`-th pixel, N points.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike

from find_core.errors import FieldError

# Float poses on disk are rounded; real tracking drifts less than this from a rotation.
RIGID_TOLERANCE = 1e-2
MAX_POSITION_M = 1e8  # coordinates of maps, UTM's and the geocentric ones, are less
# Axes of an OpenGL camera (x right, y up, looking along -z) in those of an OpenCV camera.
OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])

MIN_FOCAL_PX = 2.0  # less is a normalised matrix, or 179 degrees of view
FAR_CORNER = 0.9  # shares of width and height; a matrix of twice the size has its centre beyond


def check_rigid(T: ArrayLike, what: str = "Pose") -> np.ndarray:
    """Return a (4, 4) float64 rigid transform, its rotation snapped to the nearest true one.

    Raises:
        FieldError: wrong shape, not finite, scaled, sheared, mirrored, or beyond any place on Earth.
    """
    T = np.array(T, np.float64)
    if T.shape != (4, 4):
        raise FieldError(f"{what} has shape {T.shape}: give a (4, 4) matrix T_world_camera.")
    if not np.isfinite(T).all():
        raise FieldError(f"{what} is not finite: leave out frames whose tracking was lost.")
    if np.abs(T[:3, 3]).max() > MAX_POSITION_M:
        raise FieldError(f"{what} lies {np.abs(T[:3, 3]).max():g} m away: give metres.")
    R = T[:3, :3]
    error = np.abs(R.T @ R - np.eye(3)).max()
    if error > RIGID_TOLERANCE or np.linalg.det(R) < 0 or np.abs(T[3] - [0, 0, 0, 1]).max() > 1e-6:
        why = "mirrored (determinant below 0)" if error <= RIGID_TOLERANCE else "scaled or sheared"
        why = "not affine (last row)" if np.abs(T[3] - [0, 0, 0, 1]).max() > 1e-6 else why
        raise FieldError(
            f"{what} is not a rigid transform: it is {why}. Give camera-to-world rotation and "
            "translation in metres, last row (0, 0, 0, 1)."
        )
    U, _, Vt = np.linalg.svd(R)
    T[:3, :3] = U @ Vt
    return T


def check_intrinsics(K: ArrayLike, name: str, size_hw: tuple[int, int] | None = None) -> np.ndarray:
    """Return a (3, 3) float64 pinhole matrix, pixels.

    Args:
        size_hw: of the image that it belongs to.

    Raises:
        FieldError: another shape, not finite, a focal length that no camera has (in pixels: 1.2 is a
            normalised one), or a principal point outside the image or in its far corner.
    """
    try:
        K = np.array(K, np.float64)
    except (TypeError, ValueError):
        K = np.zeros(0)
    if K.shape != (3, 3) or not np.isfinite(K).all() or np.abs(K).max() > 1e7:
        raise FieldError(
            f"Intrinsics of {name} are not a pinhole matrix: give K = [[fx, 0, cx], [0, fy, cy], "
            f"[0, 0, 1]] in pixels, got shape {K.shape}."
        )
    if min(K[0, 0], K[1, 1]) < MIN_FOCAL_PX:
        raise FieldError(
            f"Intrinsics of {name} are not a pinhole matrix: focal lengths {K[0, 0]:g} and {K[1, 1]:g}; "
            "give pixels."
        )
    if np.abs(K[[1, 2, 2], [0, 0, 1]]).max() > 1e-9 or abs(K[2, 2] - 1) > 1e-6:
        raise FieldError(f"Intrinsics of {name} are not [[fx, s, cx], [0, fy, cy], [0, 0, 1]].")
    if size_hw is not None and not _is_inside(K[0, 2], K[1, 2], size_hw):
        raise FieldError(
            f"Intrinsics of {name} have their principal point at ({K[0, 2]:g}, {K[1, 2]:g}), outside or "
            f"in the far corner of the image of {size_hw[1]}x{size_hw[0]}: they are of another size."
        )
    return K


def _is_inside(cx: float, cy: float, size_hw: tuple[int, int]) -> bool:
    """Whether a principal point lies inside the image, and not where that of twice its size would."""
    right, down = (cx + 0.5) / size_hw[1], (cy + 0.5) / size_hw[0]
    return 0 <= right < 1 and 0 <= down < 1 and not (right > FAR_CORNER and down > FAR_CORNER)


def pixel_grid(height: int, width: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel columns u (Ws,) and rows v (Hs,) sampled every `stride`, float64."""
    start = stride // 2
    return np.arange(start, width, stride, float), np.arange(start, height, stride, float)


def backproject(depth_m: np.ndarray, K: np.ndarray, u: np.ndarray, v: np.ndarray,
                distortion: np.ndarray | None = None) -> np.ndarray:  # fmt: skip
    """Camera points (..., 3) float64 in metres of pixels.

    Args:
        depth_m: (...) z-depth. u, v: (...) pixel columns and rows. K: (3, 3), pixels.
        distortion: OpenCV's coefficients (k1, k2, p1, p2[, k3...]) of the image, or None when it
            is rectified; depth, u and v are (N,) with it.
    """
    if distortion is None or not len(u):
        x = (u - K[0, 2] - K[0, 1] * (v - K[1, 2]) / K[1, 1]) / K[0, 0]
        y = (v - K[1, 2]) / K[1, 1]
    else:
        pixels = np.stack([u, v], axis=-1).astype(np.float64)[:, None]
        x, y = cv2.undistortPoints(pixels, K, distortion)[:, 0].T
    return np.stack([x * depth_m, y * depth_m, depth_m], axis=-1)


def project(points_camera_m: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) float64 and z-depth (N,) of camera points (N, 3); NaN behind the camera."""
    z = points_camera_m[:, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        homogeneous = points_camera_m @ K.T
        uv = np.where(z[:, None] > 1e-6, homogeneous[:, :2] / z[:, None], np.nan)
    return uv, z


def transform(T_a_b: np.ndarray, points_b: np.ndarray) -> np.ndarray:
    """Points (..., 3) of frame b in frame a, by T_a_b (4, 4)."""
    return points_b @ T_a_b[:3, :3].T + T_a_b[:3, 3]


def viewing_cosine(depth_m: np.ndarray, K: np.ndarray, stride: int = 1) -> np.ndarray:
    """|cos| of the angle between the surface and the ray, (Hs, Ws) float32, NaN where unknown.

    Central differences of the depth: at a jump between two surfaces the cosine tends to zero, so
    that one threshold removes both grazing and flying pixels.

    Args:
        depth_m: (Hs, Ws) z-depth sampled every `stride` pixels of an image with intrinsics K.
    """
    u, v = pixel_grid(depth_m.shape[0] * stride, depth_m.shape[1] * stride, stride)
    u, v = u[: depth_m.shape[1]], v[: depth_m.shape[0], None]
    dz_dv, dz_du = (g / stride for g in np.gradient(depth_m.astype(np.float32)))
    du, dv = (u - K[0, 2]).astype(np.float32), (v - K[1, 2]).astype(np.float32)
    fx, fy = np.float32(K[0, 0]), np.float32(K[1, 1])
    normal_z = depth_m + du * dz_du + dv * dz_dv
    normal = np.sqrt((fx * dz_du) ** 2 + (fy * dz_dv) ** 2 + normal_z**2)
    ray = np.sqrt(1 + (du / fx) ** 2 + (dv / fy) ** 2)
    return (depth_m / (normal * ray)).astype(np.float32)


def register_depth(
    depth_m: np.ndarray,
    K_depth: np.ndarray,
    K_rgb: np.ndarray,
    T_rgb_depth: np.ndarray,
    size_hw: tuple[int, int],
) -> np.ndarray:
    """Depth as the colour camera would have measured it, (H, W) float32 metres, NaN where unseen.

    Each depth pixel is drawn as the block of colour pixels it covers, nearest surface on top.

    Args:
        depth_m: (h, w) z-depth of the depth camera. T_rgb_depth: (4, 4), p_rgb = T @ p_depth.
        size_hw: of the colour image.
    """
    height, width = size_hw
    rows, cols = np.indices(depth_m.shape)
    valid = np.isfinite(depth_m) & (depth_m > 0)
    points = backproject(depth_m[valid], K_depth, cols[valid], rows[valid])
    uv, z = project(transform(check_rigid(T_rgb_depth, "T_rgb_depth"), points), K_rgb)
    out = np.full(height * width, np.inf, np.float32)
    reach = int(np.ceil(max(K_rgb[0, 0] / K_depth[0, 0], K_rgb[1, 1] / K_depth[1, 1])))
    for dv in range(reach):
        for du in range(reach):
            pixel = np.floor(uv + 0.5 + (du, dv) - (reach - 1) / 2)
            inside = ((pixel >= 0) & (pixel < (width, height))).all(axis=1) & (z > 0)
            flat = (pixel[inside, 1] * width + pixel[inside, 0]).astype(np.int64)
            np.minimum.at(out, flat, z[inside].astype(np.float32))
    out[~np.isfinite(out)] = np.nan
    return out.reshape(height, width)
