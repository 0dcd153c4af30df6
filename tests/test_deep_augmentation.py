"""Augmentation and whitening, beside their definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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
    first = [torch.equal(a, b) for a, b in zip(layer(x, torch.arange(6))[0], x, strict=True)]
    order = torch.tensor([3, 1, 0, 5, 4, 2])
    second, _ = layer(x[order], order)
    for picture, number in zip(second, order, strict=True):
        assert torch.equal(picture, x[number].flip(1) if first[number] else x[number])
    layer(batch(20), torch.arange(20))  # more pictures than before


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_a_shift_moves_by_so_many_pixels_at_most(shift):
    torch.manual_seed(0)
    x = torch.zeros(300, 9, 9, 1)
    x[:, 4, 4] = 1
    places = Augmentation(shift=shift)(x, torch.arange(300))[0].squeeze(-1).nonzero()[:, 1:] - 4
    assert len(places) == 300
    assert places.abs().max() == shift
    assert len(places.unique(dim=0)) == (2 * shift + 1) ** 2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_box_frames_the_same_pixels_in_a_changed_picture(data):
    height, width = (data.draw(st.integers(4, 13)) for _ in range(2))
    n = 8
    x, boxes = torch.zeros(n, height, width, 1), []
    for picture in x:
        left, top = (data.draw(st.integers(0, size - 1)) for size in (width, height))
        right, bottom = (data.draw(st.integers(at + 1, size)) for at, size in ((left, width), (top, height)))
        picture[top:bottom, left:right] = 1 + torch.rand(bottom - top, right - left, 1)
        boxes.append([left, top, right, bottom])
    sides = torch.tensor([width, height] * 2)
    augmentation = Augmentation(data.draw(st.booleans()), data.draw(st.integers(0, 3)))
    changed, moved_boxes = augmentation(x, torch.arange(n), torch.tensor(boxes) / sides)
    whole = (moved_boxes * sides).round().int()
    torch.testing.assert_close(moved_boxes * sides, whole.float())
    for before, after, (a, b, c, d), (left, top, right, bottom) in zip(x, changed, boxes, whole, strict=True):
        was, framed = before[b:d, a:c], after[top:bottom, left:right]
        assert torch.equal(framed, was) or (augmentation.flip and torch.equal(framed, was.flip(1)))
        assert int((after > 0).sum()) == was.numel()  # and there is nothing of it beside the box


def test_boxes_are_moved_wherever_there_is_room():
    torch.manual_seed(0)
    boxes = torch.tensor([[3, 4, 6, 5]]).repeat(300, 1) / 9
    _, moved_boxes = Augmentation(shift=2)(torch.zeros(300, 9, 9, 1), torch.arange(300), boxes)
    assert (moved_boxes[:, 0] * 9).round().unique().tolist() == [1, 2, 3, 4, 5]
    assert (moved_boxes[:, 3] * 9).round().unique().tolist() == [3, 4, 5, 6, 7]


def test_a_cutout_is_a_square():
    torch.manual_seed(0)
    x = torch.ones(200, 12, 12, 3)
    lost = (Augmentation(cutout=4)(x, torch.arange(200))[0] == 0).all(dim=-1)
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
