"""Damage by seed: of every kind what its table says."""

import hashlib

import numpy as np
import pytest
from scipy.ndimage import label

from fmkit.cli.damage import KINDS as KINDS_OF_THE_COMMAND
from fmkit.datasets import make_damage
from fmkit.datasets.damage import KINDS
from fmkit.errors import InputError

SHAPE = (150, 200)


def test_the_command_offers_every_kind():
    assert list(KINDS_OF_THE_COMMAND) == list(KINDS)


@pytest.mark.parametrize(("seed", "digest"), [(0, "c7e4eaea73779b5f"), (7, "b7f95666b2332630")])
def test_a_painting_is_damaged_as_ever(seed, digest):
    mask = make_damage((300, 400), random_state=seed)
    assert hashlib.sha256(mask.tobytes()).hexdigest()[:16] == digest
    assert np.array_equal(mask, make_damage((300, 400), "painting", random_state=seed))


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(kind):
    mask = make_damage(SHAPE, kind, random_state=3)
    assert (mask.shape, mask.dtype) == (SHAPE, np.bool_)
    assert np.array_equal(mask, make_damage(SHAPE, kind, random_state=3))
    assert not np.array_equal(mask, make_damage(SHAPE, kind, random_state=4))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"painting"}))
@pytest.mark.parametrize("share", [None, 0.02, 0.2])
def test_shares(kind, share):
    if (kind, share) == ("cracks", 0.2):
        with pytest.raises(InputError, match=r"cracks 24 pixels apart lose .*% at most"):
            make_damage(SHAPE, kind, share=share, random_state=0)
        return
    lost = make_damage(SHAPE, kind, share=share, random_state=0).mean()
    assert lost == pytest.approx(share or KINDS[kind].share, abs=0.03)
    if kind in ("scratches", "text", "holes"):
        assert lost >= (share or KINDS[kind].share)


def test_random_is_the_convention_of_the_field():
    expected = np.random.default_rng(5).random(SHAPE) < 0.8
    np.testing.assert_array_equal(make_damage(SHAPE, "random", share=0.8, random_state=5), expected)


def test_rows_and_columns_are_whole():
    rows = make_damage(SHAPE, "rows", share=0.2, size=5, random_state=0)
    assert set(rows.sum(axis=1)) == {0, 200}
    assert all(band.sum() in (0, 1000) for band in rows.reshape(30, -1))
    columns = make_damage(SHAPE, "columns", random_state=0)
    assert set(columns.sum(axis=0)) == {0, 150}


def test_holes_are_squares_apart_from_each_other_unless_cut_by_the_border():
    mask = make_damage(SHAPE, "holes", size=9, random_state=0)
    places, n_holes = label(mask, np.ones((3, 3)))
    assert n_holes > 10
    assert np.bincount(places[1:-1, 1:-1].ravel())[1:].max() <= 3 * 81  # now and then some touch
    assert (np.bincount(places.ravel())[1:] == 81).sum() > n_holes / 2


@pytest.mark.parametrize(("kind", "small", "large"), [("scratches", 1, 6), ("text", 9, 30), ("blotches", 3, 12)])
def test_size_is_the_size_of_things(kind, small, large):
    n_small, n_large = (
        label(make_damage(SHAPE, kind, share=0.1, size=size, random_state=0), np.ones((3, 3)))[1]
        for size in (small, large)
    )
    assert n_small > n_large


def test_pictures_too_small_for_their_damage():
    for kind in sorted(set(KINDS) - {"cracks"}):
        for shape in ((1, 1), (2, 40), (40, 2)):
            assert make_damage(shape, kind, random_state=0).shape == shape


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kind": "fire"}, "kind must be one of painting, random, .* got 'fire'"),
        ({"kind": "random", "size": 3}, "'random' has no size to choose"),
        ({"share": 0.1}, "'painting' has no share to choose"),
        ({"kind": "rows", "share": 0.0}, "share must be between 0 and 1, got 0.0"),
        ({"kind": "rows", "share": 1}, "share must be between 0 and 1, got 1"),
        ({"kind": "rows", "size": 0}, "size must be at least 1 pixel, got 0"),
    ],
)
def test_bad_input_is_told(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        make_damage(SHAPE, **arguments)
