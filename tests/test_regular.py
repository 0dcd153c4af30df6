"""Regular textures: holes in them come out exactly, alone or among others; a photograph's are left to the votes."""

import numpy as np
import pytest
import skimage.data

from fmkit.restore import restore_image
from fmkit.restore.means import wide_holes
from fmkit.restore.regular import fill_regular

SIDE = 144
ROW, COLUMN = np.indices((SIDE, SIDE)).astype(float)


def bricks():
    joint = (ROW % 12 < 2) | ((COLUMN + 12 * (ROW // 12 % 2)) % 24 < 2)
    return np.where(joint, 90, 170)


TEXTURES = {
    "two waves": 128 + 50 * np.sin(ROW / 1.48 + COLUMN * 0.21) + 40 * np.sin(COLUMN / 1.862 - 0.13 * ROW),
    "waves and stripes": 128 + 60 * np.sin(ROW * np.pi / 4) + 50 * np.sign(np.sin((COLUMN + 0.5) * np.pi / 8)),
    "bricks": bricks(),
    "slanted stripes": np.where((ROW + 2 * COLUMN) % 15 < 6, 60, 190),
    "checkerboard": np.where((ROW // 9 + COLUMN // 9) % 2 == 0, 50, 200),
    "tiles of noise": np.tile(np.random.default_rng(0).uniform(30, 220, (16, 16)), (9, 9)),
}
PLACES = {"inside": (52, 41, 32), "wide": (44, 50, 48), "corner": (0, 0, 32), "edge": (112, 60, 32)}


def picture_of(name):
    return np.clip(np.round(TEXTURES[name]), 0, 255).astype(np.uint8)


def hole_at(row, column, side):
    lost = np.zeros((SIDE, SIDE), bool)
    lost[row : row + side, column : column + side] = True
    return lost


def psnr_in(lost, picture, restored):
    return 10 * np.log10(255**2 / max(np.mean((picture[lost].astype(float) - restored[lost]) ** 2), 1e-9))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", TEXTURES)
def test_a_regular_texture_is_recovered(name, place):
    picture, lost = picture_of(name), hole_at(*PLACES[place])
    assert psnr_in(lost, picture, restore_image(np.where(lost, 0, picture), lost)) > 54  # rounding alone: 59


@pytest.mark.parametrize("name", TEXTURES)
def test_colours_are_recovered(name):
    gray, lost = picture_of(name), hole_at(*PLACES["inside"])
    picture = np.stack([gray, 255 - gray // 2, np.roll(gray, 3, axis=1)], axis=-1)
    restored, std = restore_image(np.where(lost[..., None], 0, picture), lost, return_std=True)
    assert psnr_in(lost, picture, restored) > 50
    assert (std[lost] > 0).all()
    assert std[lost].mean() < 2


def test_many_holes_and_lone_pixels():
    picture, rng = picture_of("tiles of noise"), np.random.default_rng(3)
    lost = np.zeros(picture.shape, bool)
    for row, column in rng.integers(0, SIDE - 16, (6, 2)):
        lost[row : row + 16, column : column + 16] = True
    assert psnr_in(lost, picture, restore_image(np.where(lost, 0, picture), lost)) > 54
    lost |= rng.random(lost.shape) < 0.001
    holes = wide_holes(lost, 4)
    assert psnr_in(holes, picture, restore_image(np.where(lost, 0, picture), lost)) > 50


def test_noise_is_not_carried_into_the_hole():
    clean, lost = picture_of("bricks"), hole_at(*PLACES["inside"])
    noisy = np.clip(np.round(clean + np.random.default_rng(0).normal(0, 5, clean.shape)), 0, 255).astype(np.uint8)
    assert psnr_in(lost, clean, restore_image(np.where(lost, 0, noisy), lost)) > 42  # 34 are those of the noise


@pytest.mark.parametrize("name", ["camera", "brick", "grass"])
def test_photographs_are_left_to_the_votes(name):
    picture = getattr(skimage.data, name)()[100:244, 100:244]
    lost = hole_at(*PLACES["inside"])
    planes = np.where(lost, 0, picture).astype(np.float32)[None]
    regular = fill_regular(planes, lost, lost, noise=2.0)
    np.testing.assert_array_equal(regular.lost, lost)
    np.testing.assert_array_equal(regular.planes, planes)
    assert not regular.variance.any()


def test_a_plane_of_low_rank_is_recovered_with_any_numbers():
    rng = np.random.default_rng(1)
    x = (rng.normal(0, 30, (SIDE, 4)) @ rng.normal(0, 1, (4, SIDE))).astype(np.float32)
    lost = hole_at(60, 50, 20) | hole_at(20, 100, 20)
    regular = fill_regular(np.where(lost, np.float32(0), x)[None], lost, lost, noise=0.0)
    assert not regular.lost.any()
    np.testing.assert_allclose(regular.planes[0], x, atol=0.05)
    np.testing.assert_array_equal(regular.planes[0][~lost], x[~lost])
