"""Augmentation and whitening, beside their definitions."""

import numpy as np
import pytest
import torch

from fmkit.deep.augmentation import Augmentation, moved, squares
from fmkit.deep.whitening import whitening_filters


def batch(n=6, height=7, width=9, channels=3):
    return torch.arange(n * height * width * channels, dtype=torch.float32).reshape(n, height, width, channels)


def test_moves_are_those_of_a_picture_mirrored_at_its_border():
    x = batch()
    for down, across in [(0, 0), (2, -1), (-3, 3)]:
        result = moved(x, torch.full((6,), down), torch.full((6,), across))
        padded = np.pad(x.numpy(), ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
        np.testing.assert_array_equal(result, padded[:, 3 - down : 10 - down, 3 - across : 12 - across])


def test_a_flip_twice_is_none():
    x, still = batch(), torch.zeros(6, dtype=torch.int64)
    flips = torch.tensor([True, False] * 3)
    once = moved(x, still, still, flips)
    torch.testing.assert_close(once[::2], x[::2].flip(2))
    torch.testing.assert_close(once[1::2], x[1::2])
    torch.testing.assert_close(moved(once, still, still, flips), x)


def test_flips_come_in_turn():
    x, layer = batch(), Augmentation(flip=True)
    first = [torch.equal(a, b) for a, b in zip(layer(x, torch.arange(6)), x, strict=True)]
    order = torch.tensor([3, 1, 0, 5, 4, 2])
    second = layer(x[order], order)
    for picture, number in zip(second, order, strict=True):
        assert torch.equal(picture, x[number].flip(1) if first[number] else x[number])
    layer(batch(20), torch.arange(20))  # more pictures than before


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_a_shift_moves_by_so_many_pixels_at_most(shift):
    torch.manual_seed(0)
    x = torch.zeros(300, 9, 9, 1)
    x[:, 4, 4] = 1
    places = Augmentation(shift=shift)(x, torch.arange(300)).squeeze(-1).nonzero()[:, 1:] - 4
    assert len(places) == 300
    assert places.abs().max() == shift
    assert len(places.unique(dim=0)) == (2 * shift + 1) ** 2


def test_a_cutout_is_a_square():
    torch.manual_seed(0)
    x = torch.ones(200, 12, 12, 3)
    lost = (Augmentation(cutout=4)(x, torch.arange(200)) == 0).all(dim=-1)
    assert int(lost.sum((1, 2)).max()) == 16
    assert int(lost.sum((1, 2)).min()) >= 4
    mask = squares(torch.tensor([[6]]), torch.tensor([[0]]), 12, 12, 4)[0]
    assert mask.nonzero()[:, 0].unique().tolist() == [4, 5, 6, 7]
    assert mask.nonzero()[:, 1].unique().tolist() == [0, 1]


@pytest.mark.parametrize(("channels", "size"), [(1, 3), (3, 2)])
def test_whitened_patches_have_no_correlation(channels, size):
    rng = np.random.default_rng(0)
    smooth = torch.from_numpy(np.cumsum(rng.standard_normal((40, channels, 16, 16)), axis=3) / 3).float()
    filters = whitening_filters(smooth, size)
    n = channels * size * size
    assert filters.shape == (2 * n, channels, size, size)
    torch.testing.assert_close(filters[:n], -filters[n:])
    answers = torch.nn.functional.conv2d(smooth, filters[:n]).transpose(0, 1).reshape(n, -1)
    np.testing.assert_allclose(np.cov(answers.numpy()), np.eye(n), atol=0.05)
