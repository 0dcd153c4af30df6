"""Big pictures: tiles own every lost pixel once, in any order, and finished ones outlive an interrupt."""

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

import fmkit.restore.image as image
import fmkit.restore.tiles as tiles
from fmkit.restore import restore_image
from fmkit.restore.finished import FinishedTiles, key_of
from fmkit.restore.means import wide_holes

CAMERA = skimage.data.camera()


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "SIDE", 64)
    monkeypatch.setattr(tiles, "MARGIN", 24)
    monkeypatch.setattr(tiles, "WIDE_MARGIN", 40)


def lose(picture, share=0.3, seed=0):
    lost = np.random.default_rng(seed).random(picture.shape[:2]) < share
    return np.where(lost.reshape(*lost.shape, *[1] * (picture.ndim - 2)), 0, picture).astype(picture.dtype), lost


@given(st.integers(0, 2**32 - 1), st.integers(60, 300), st.integers(60, 300), st.booleans())
def test_every_lost_pixel_is_owned_by_one_tile(seed, n_rows, n_columns, all_pixels):
    rng = np.random.default_rng(seed)
    lost = rng.random((n_rows, n_columns)) < rng.choice([0, 0.001, 0.3])
    for _ in range(rng.integers(4)):
        r, c = rng.integers(n_rows), rng.integers(n_columns)
        lost[r : r + rng.integers(5, 90), c : c + rng.integers(5, 90)] = True
    count = np.zeros(lost.shape, int)
    for tile in tiles.tiles_of(lost, 4, all_pixels):
        count[tile.seen] += tile.owned
    np.testing.assert_array_equal(count, np.ones_like(lost) if all_pixels else lost)


def test_a_wide_hole_is_not_parted():
    lost = np.zeros((256, 256), bool)
    lost[50:80, 50:80] = True  # across the corner of four tiles
    (tile,) = tiles.tiles_of(lost, 4)
    assert tile.owned.sum() == 900


def test_neither_order_nor_threads_matter_and_there_is_no_seam(monkeypatch):
    picture = CAMERA[:256, 150:406]
    damaged, lost = lose(picture)
    restored = restore_image(damaged, lost, n_jobs=1)
    np.testing.assert_array_equal(restored, restore_image(damaged, lost, n_jobs=3))
    forward = tiles.tiles_of
    monkeypatch.setattr(image, "tiles_of", lambda *args: reversed(list(forward(*args))))
    np.testing.assert_array_equal(restored, restore_image(damaged, lost, n_jobs=1))
    error = np.abs(restored.astype(float) - picture)
    at_borders = lost & (np.indices(lost.shape) % 64 % 63 == 0).any(axis=0)
    assert error[at_borders].mean() < 1.25 * error[lost].mean()


def test_progress_counts_lost_pixels_to_the_end():
    damaged, lost = lose(CAMERA[:256, :256])
    calls = []
    restore_image(damaged, lost, quality="fast", progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (lost.sum(), lost.sum())
    assert calls == sorted(calls)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupted_picture_goes_on(tmp_path, n_jobs):
    damaged, lost = lose(CAMERA[:256, :192])
    expected, expected_std = restore_image(damaged, lost, quality="fast", return_std=True)
    checkpoint = tmp_path / "plate.tiles"

    def interrupt(done, total):
        if done > total / 2:
            raise KeyboardInterrupt

    arguments = {"quality": "fast", "return_std": True, "n_jobs": n_jobs, "checkpoint": checkpoint}
    with pytest.raises(KeyboardInterrupt):
        restore_image(damaged, lost, progress=interrupt, **arguments)
    kept = checkpoint.stat().st_size
    assert kept > 1000
    with checkpoint.open("ab") as file:
        file.write(b"\x93NUMPY torn")  # as a power cut would leave it
    first = []
    restored, std = restore_image(damaged, lost, progress=lambda done, total: first.append(done / total), **arguments)
    assert first[0] > 0.05
    np.testing.assert_array_equal(restored, expected)
    np.testing.assert_array_equal(std, expected_std)
    assert not checkpoint.exists()


def test_tiles_of_other_work_are_not_taken(tmp_path):
    damaged, lost = lose(CAMERA[:256, :192])
    key = key_of([damaged, lost], "facts")
    assert key != key_of([damaged, ~lost], "facts")
    assert key != key_of([damaged, lost], "other facts")
    file = FinishedTiles(tmp_path / "tiles", key, 1)
    file.add(3, [np.arange(4)])
    assert list(FinishedTiles(tmp_path / "tiles", key, 1).tiles) == [3]
    assert not FinishedTiles(tmp_path / "tiles", key[::-1], 1).tiles


def test_only_damage_is_worked_on(monkeypatch):
    seen = []
    fill = image.fill_region
    monkeypatch.setattr(image, "fill_region", lambda *args: seen.append(args[0].shape) or fill(*args))
    picture = np.tile(CAMERA[:256, :256], (2, 2))
    lost = np.zeros(picture.shape, bool)
    lost[300:302, 300:320] = True
    restore_image(np.where(lost, 0, picture), lost)
    assert seen == [(64 + 48, 64 + 48, 1)]


def test_denoising_covers_the_tiles():
    clean = CAMERA[:256, :192].astype(float)
    noisy = clean + np.random.default_rng(0).normal(0, 15, clean.shape)
    cleaned = restore_image(noisy, denoise=True, quality="fast")
    assert (cleaned != noisy).mean() > 0.99
    assert np.square(cleaned - clean).mean() < 0.3 * np.square(noisy - clean).mean()


def test_a_hole_is_not_wide_because_a_tile_ends_in_it() -> None:
    """A scratch of 8 pixels across the rim of what the first tile sees, so that its end is as far from known ones."""
    edge = tiles.SIDE + tiles.MARGIN
    lost = np.zeros((3 * tiles.SIDE, 2 * tiles.SIDE), bool)
    lost[tiles.SIDE // 2, 8:-8] = True
    lost[edge - 6 : edge + 2, 8:40] = True
    assert not wide_holes(lost, 4).any()
    assert wide_holes(lost[:edge], 4).any()
    first = next(iter(tiles.tiles_of(lost, 4)))
    assert first.seen[0].stop == edge
    assert not first.wide


def test_only_tiles_near_wide_holes_see_far() -> None:
    lost = np.zeros((4 * tiles.SIDE, tiles.SIDE), bool)
    lost[8] = True
    lost[-40:-8, 8:40] = True
    first, last = tiles.tiles_of(lost, 4)
    assert (first.wide, first.seen[0]) == (False, slice(0, tiles.SIDE + tiles.MARGIN))
    assert last.wide
    assert last.seen[0].start == 3 * tiles.SIDE - tiles.WIDE_MARGIN
