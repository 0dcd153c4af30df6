"""What the restoration says of itself and of the source: deviations, noise, correlations; and channel masks."""

import numpy as np
import pytest
import skimage.data
from skimage.restoration import denoise_nl_means

from fmkit.datasets import make_damage
from fmkit.restore import psnr, restore_image
from fmkit.restore.correlation import REACH, correlation_by_lag, patch_correlation
from fmkit.restore.noise import estimate_noise

CAMERA = skimage.data.camera()[60:252, 150:342]
ASTRONAUT = skimage.data.astronaut()[40:168, 150:278]
COFFEE = skimage.data.coffee()[150:278, 250:378]
BRICK = skimage.data.brick()[100:292, 100:292]


@pytest.mark.parametrize(
    ("kind", "share"), [("random", 0.5), ("random", 0.8), ("scratches", 0.05), ("text", None), ("holes", 0.05)]
)
def test_ninety_percent_intervals_hold_about_ninety_percent(kind, share):
    coverage = []
    for picture in (CAMERA, ASTRONAUT, BRICK):
        lost = make_damage(picture.shape[:2], kind=kind, share=share, random_state=0)
        damaged = np.where(lost.reshape(*lost.shape, *[1] * (picture.ndim - 2)), 0, picture).astype(np.uint8)
        restored, std = restore_image(damaged, lost, return_std=True)
        assert std.shape == picture.shape
        assert (std[~lost] == 0).all()
        assert (std[lost] > 0).all()
        coverage.append(np.mean(np.abs(restored[lost].astype(float) - picture[lost]) <= 1.645 * std[lost]))
    assert 0.82 < np.mean(coverage) < 0.97


def test_std_is_in_the_units_of_the_picture_and_without_alpha():
    lost = np.random.default_rng(0).random(CAMERA.shape) < 0.5
    bytes_, floats = CAMERA.copy(), CAMERA / 255
    bytes_[0, :2] = 0, 255
    floats[0, :2] = 0, 1
    lost[0, :2] = False
    std, std_of_floats = (restore_image(x, lost, return_std=True)[1] for x in (bytes_, floats))
    np.testing.assert_allclose(std_of_floats * 255, std, rtol=0.1, atol=0.2)
    with_alpha = np.dstack([ASTRONAUT, np.full(ASTRONAUT.shape[:2], 9, np.uint8)])
    assert restore_image(with_alpha, lost[:128, :128], return_std=True)[1].shape == ASTRONAUT.shape


@pytest.mark.parametrize("shape", [(7, 46), (16, 4), (1, 30)])
def test_std_is_finite_where_no_patch_is_known(shape):
    rng = np.random.default_rng(0)
    lost = rng.random(shape) < 0.5
    std = restore_image(rng.normal(size=shape).cumsum(axis=1), lost, return_std=True)[1]
    assert np.isfinite(std).all()
    assert (std[lost] > 0).all()


def test_a_texture_of_low_rank_comes_back():
    row, column = np.indices((96, 96))
    texture = 60 * np.sin(row / 3.0) * np.cos(column / 4.0) + 50 * np.sin((row + column) / 5.0)
    lost = np.random.default_rng(1).random(texture.shape) < 0.5
    restored = restore_image(np.where(lost, np.nan, texture))
    assert np.sqrt(np.square(restored - texture)[lost].mean()) < 0.6


@pytest.mark.parametrize("turn", [lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: np.swapaxes(a, 0, 1)])
def test_turning_the_picture_turns_the_answer(turn):
    lost = np.random.default_rng(0).random(CAMERA.shape) < 0.5
    straight = restore_image(np.where(lost, 0, CAMERA), lost).astype(float)
    turned = restore_image(turn(np.where(lost, 0, CAMERA)), turn(lost)).astype(float)
    # The grids of patches lie otherwise: the same up to what two seeds differ by.
    other_seed = restore_image(np.where(lost, 0, CAMERA), lost, random_state=1).astype(float)
    assert np.abs(turned - turn(straight)).mean() < 1.5 * np.abs(other_seed - straight).mean()


@pytest.mark.parametrize("level", [0, 5, 20])
@pytest.mark.parametrize(
    "picture", [CAMERA, BRICK, skimage.data.gravel()[:192, :192], skimage.data.grass()[:192, :192]]
)
def test_noise_is_told_from_texture(picture, level):
    noisy = picture + np.random.default_rng(0).normal(0, level, picture.shape)
    told = estimate_noise(noisy.astype(np.float32), np.random.default_rng(1).random(picture.shape) < 0.1)
    textured = picture.std() > 30 and picture is not CAMERA  # gravel and grass: weak noise drowns in texture
    assert (0 if textured and level < 10 else 0.75 * level - 1) <= told < 1.2 * level + (6 if textured else 1)


def test_a_noisy_source_is_filled_better_for_knowing_its_noise():
    noisy = np.clip(CAMERA + np.random.default_rng(0).normal(0, 20, CAMERA.shape), 0, 255).astype(np.uint8)
    lost = np.random.default_rng(1).random(CAMERA.shape) < 0.4
    told, doubted = (psnr(CAMERA, restore_image(noisy, lost, noise=noise), lost) for noise in (None, 0))
    assert told > doubted + 0.5


def test_denoising_is_better_than_nonlocal_means():
    noisy = np.clip(CAMERA + np.random.default_rng(0).normal(0, 15, CAMERA.shape), 0, 255).astype(np.uint8)
    ours = restore_image(noisy, denoise=True)
    means = denoise_nl_means(noisy / 255, h=0.8 * 15 / 255, sigma=15 / 255, patch_size=5, patch_distance=6)
    assert psnr(CAMERA, ours) > psnr(CAMERA, np.clip(255 * means, 0, 255).round().astype(np.uint8)) + 0.3
    assert psnr(CAMERA, ours) > psnr(CAMERA, noisy) + 5


def test_correlations_by_lag_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 30, (50, 60)).cumsum(axis=1).astype(np.float32)
    lost = rng.random(x.shape) < 0.3
    got = correlation_by_lag([(x, lost)])

    def half_square(r, c):
        there, here = x[r:, c:], x[: x.shape[0] - r, : x.shape[1] - c]
        both = ~lost[r:, c:] & ~lost[: x.shape[0] - r, : x.shape[1] - c]
        return np.square(there - here)[both].astype(float).sum() / 2, both.sum()

    far = np.sum([half_square(REACH, 0), half_square(0, REACH)], axis=0)
    for r, c in [(0, 0), (0, 3), (5, 0), (7, 9)]:
        s, n = half_square(r, c)
        expected = 1 - s / n / (far[0] / far[1])
        np.testing.assert_allclose([got[REACH + r, REACH + c], got[REACH - r, REACH - c]], expected, atol=1e-3)
    told = patch_correlation(got, 6)
    np.testing.assert_allclose(np.diag(told), 1, atol=1e-6)
    assert np.linalg.eigvalsh(told).min() > 0


def bayer(shape):
    lost = np.ones((*shape, 3), bool)
    lost[0::2, 0::2, 0] = lost[0::2, 1::2, 1] = lost[1::2, 0::2, 1] = lost[1::2, 1::2, 2] = False
    return lost


def test_a_colour_filter_array_is_developed():
    lost = bayer(COFFEE.shape[:2])
    restored, std = restore_image(np.where(lost, 0, COFFEE), lost, return_std=True)
    np.testing.assert_array_equal(restored[~lost], COFFEE[~lost])
    assert psnr(COFFEE, restored) > 38
    assert (std[lost] > 0).all()


def test_a_layer_lost_in_a_wide_blotch_follows_the_others():
    lost = np.zeros(ASTRONAUT.shape, bool)
    lost[30:80, 40:100, 2] = True
    restored = restore_image(np.where(lost, 0, ASTRONAUT), lost)
    alone = restore_image(np.where(lost, 0, ASTRONAUT)[..., 2], lost[..., 2])
    error, error_alone = (np.abs(x.astype(float) - ASTRONAUT[..., 2])[30:80, 40:100].mean()
                          for x in (restored[..., 2], alone))  # fmt: skip
    assert error < 0.5 * error_alone


def test_a_stack_of_many_channels_with_masks_of_their_own():
    rng = np.random.default_rng(0)
    stack = np.stack([CAMERA[:64, :64] * (1 - 0.05 * i) + i for i in range(7)], axis=2).astype(np.float32)
    lost = rng.random(stack.shape) < 0.4
    restored = restore_image(np.where(lost, np.nan, stack))
    np.testing.assert_array_equal(restored[~lost], stack[~lost])
    assert np.sqrt(np.square(restored - stack)[lost].mean()) < 4
