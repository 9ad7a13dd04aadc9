"""Coordinates in the mask features; everything else about the decoder is held by the parity tests."""

from __future__ import annotations

import torch

from find_core.model.pixel_decoder import PixelDecoder


def decoder(coordinates: bool, levels: bool = False) -> PixelDecoder:
    torch.manual_seed(0)
    return PixelDecoder((4, 6, 8, 10), 16, 8, 8, 2, 32, 1, 4, coordinates, levels)


def maps(height: int = 64, width: int = 96) -> list[torch.Tensor]:
    generator = torch.manual_seed(1)
    channels = ((4, 4), (6, 8), (8, 16), (10, 32))
    return [torch.randn(1, c, height // s, width // s, generator=generator) for c, s in channels]


def test_without_coordinates_the_published_names_stay() -> None:
    assert not [n for n in decoder(False).state_dict() if "coordinates" in n]
    assert "coordinates.weight" in decoder(True).state_dict()


def test_coordinates_of_zero_weight_change_nothing() -> None:
    plain, placed = decoder(False), decoder(True)
    placed.load_state_dict({**placed.state_dict(), **plain.state_dict()})
    placed.coordinates.weight.data.zero_()
    for a, b in zip(
        [plain(maps())[0], *plain(maps())[1]], [placed(maps())[0], *placed(maps())[1]], strict=True
    ):
        torch.testing.assert_close(a, b)


def test_only_mask_features_know_where_they_are() -> None:
    placed = decoder(True)
    before, levels = placed(maps())
    placed.coordinates.weight.data += 1.0
    after, same = placed(maps())
    assert not torch.allclose(before, after)
    for a, b in zip(levels, same, strict=True):
        torch.testing.assert_close(a, b)


def test_level_coordinates_start_at_zero_and_leave_the_mask_features_alone() -> None:
    plain, placed = decoder(True), decoder(True, levels=True)
    placed.load_state_dict({**placed.state_dict(), **plain.state_dict()})
    features, levels = plain(maps())
    for a, b in zip([features, *levels], [placed(maps())[0], *placed(maps())[1]], strict=True):
        torch.testing.assert_close(a, b)
    for conv in placed.level_coordinates:
        conv.weight.data += 1.0
    after, moved = placed(maps())
    torch.testing.assert_close(features, after)
    for before, level in zip(levels, moved, strict=True):
        assert not torch.allclose(before, level)


def test_any_input_size() -> None:
    assert decoder(True)(maps(128, 64))[0].shape == (1, 8, 32, 16)
