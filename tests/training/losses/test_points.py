from __future__ import annotations

import torch

from training.losses.points import sample_points, shared_points, uncertain_points


def test_sampling_commutes_with_the_product_over_channels() -> None:
    torch.manual_seed(0)
    maps, points, row = torch.randn(2, 5, 8, 12), torch.rand(2, 40, 2), torch.randn(2, 1, 5)
    early = row @ sample_points(maps, points)
    late = sample_points((row @ maps.flatten(2)).view(2, 1, 8, 12), points)
    torch.testing.assert_close(early, late, rtol=1e-5, atol=1e-5)


def test_pixel_centres_return_pixel_values() -> None:
    maps = torch.arange(12.0).view(1, 1, 3, 4)
    centre = torch.tensor([[[(2 + 0.5) / 4, (1 + 0.5) / 3]]])
    assert sample_points(maps, centre).item() == 6.0


def test_uncertain_points_gather_where_logits_are_near_zero() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(-8, 8, 64).expand(1, 32, 64)
    points = uncertain_points(ramp, 200)
    near = (points[0, :150, 0] - 0.5).abs() < 0.2
    assert points.shape == (1, 200, 2) and near.float().mean() > 0.9
    spread = points[0, 150:, 0]
    assert spread.min() < 0.2 and spread.max() > 0.8


def test_shared_points_follow_their_generator() -> None:
    a = shared_points(2, 5, torch.device("cpu"), torch.Generator().manual_seed(3))
    b = shared_points(2, 5, torch.device("cpu"), torch.Generator().manual_seed(3))
    assert torch.equal(a, b) and a.shape == (2, 5, 2)
