"""The plain factorization machines: each fills a texture and a photograph, and keeps what every method keeps."""

import numpy as np
import pytest
import skimage.data

from fmkit.errors import InputError
from fmkit.restore import restore_image
from fmkit.restore.image import settings_for
from fmkit.restore.start import smooth_fill

SOLVERS = ("als", "sgd", "mcmc")
CAMERA = skimage.data.camera()[100:164, 200:264]
ASTRONAUT = skimage.data.astronaut()[80:120, 180:220]
FACE = skimage.data.astronaut()[80:144, 180:244, 1]


def psnr(picture, restored):
    return 10 * np.log10(255**2 / np.mean((picture.astype(float) - restored) ** 2))


def lose(picture, share, seed=0):
    lost = np.random.default_rng(seed).random(picture.shape[:2]) < share
    damaged = picture.copy()
    damaged[lost] = 0
    return damaged, lost


def smooth(damaged, lost):
    planes = np.moveaxis(np.atleast_3d(damaged), -1, 0).astype(np.float32)
    return np.moveaxis(smooth_fill(planes, lost), 0, -1).reshape(damaged.shape)


@pytest.mark.parametrize("method", SOLVERS)
def test_a_texture_of_low_rank_is_recovered(method):
    rows, columns = np.indices((48, 48))
    texture = 128 + 60 * np.sin(rows * 1.3) + 50 * np.cos(columns * 1.1 + rows * 0.7)
    lost = np.random.default_rng(0).random(texture.shape) < 0.4
    filled = restore_image(np.where(lost, 0, texture), lost, method=method)
    assert psnr(texture, filled) > 36
    assert psnr(texture, filled) > psnr(texture, smooth(np.where(lost, 0, texture), lost)) + 15


@pytest.mark.parametrize("method", SOLVERS)
@pytest.mark.parametrize(("share", "gain"), [(0.5, 1.5), (0.8, 0.3)])
def test_a_photograph_comes_out_better_than_by_a_smooth_fill(method, share, gain):
    damaged, lost = lose(FACE, share)
    filled = restore_image(damaged, lost, method=method)
    assert psnr(FACE, filled) > psnr(FACE, smooth(damaged, lost)) + gain
    np.testing.assert_array_equal(filled[~lost], FACE[~lost])


@pytest.mark.parametrize("method", SOLVERS)
def test_the_seed_decides_and_not_the_number_of_threads(method):
    damaged, lost = lose(CAMERA[:40, :40], 0.4)
    one = restore_image(damaged, lost, method=method, quality="fast", random_state=7, n_jobs=1)
    two = restore_image(damaged, lost, method=method, quality="fast", random_state=7, n_jobs=2)
    np.testing.assert_array_equal(one, two)
    other = restore_image(damaged, lost, method=method, quality="fast", random_state=8, n_jobs=2)
    assert (one != other).any()


@pytest.mark.parametrize("method", SOLVERS)
def test_colours(method):
    damaged, lost = lose(ASTRONAUT, 0.5)
    filled = restore_image(damaged, lost, method=method)
    assert psnr(ASTRONAUT, filled) > psnr(ASTRONAUT, smooth(damaged, lost)) + 1
    np.testing.assert_array_equal(filled[~lost], ASTRONAUT[~lost])


@pytest.mark.parametrize("method", SOLVERS)
def test_channels_that_lost_different_pixels(method):
    lost = np.random.default_rng(0).random(ASTRONAUT.shape) < 0.5
    damaged = np.where(lost, 0, ASTRONAUT)
    filled = restore_image(damaged, lost, method=method, quality="fast")
    each = [smooth(damaged[..., c], lost[..., c]) for c in range(3)]
    assert psnr(ASTRONAUT, filled) > psnr(ASTRONAUT, np.stack(each, axis=-1)) + 1
    np.testing.assert_array_equal(filled[~lost], ASTRONAUT[~lost])


@pytest.mark.parametrize("method", SOLVERS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 3), (20, 24), (12, 12, 3)])
def test_a_constant_picture_stays_constant(method, shape):
    picture = np.full(shape, 77, np.uint8)
    lost = np.random.default_rng(0).random(shape[:2]) < 0.6
    lost[0, 0] = False
    damaged = picture.copy()
    damaged[lost] = 0
    assert (restore_image(damaged, lost, method=method, quality="fast") == 77).all()


@pytest.mark.parametrize("method", SOLVERS)
def test_one_known_pixel_is_enough(method):
    lost = np.ones((30, 26), bool)
    lost[20, 7] = False
    assert (restore_image(np.where(lost, 9, 200), lost, method=method, quality="fast") == 200).all()


@pytest.mark.parametrize("method", SOLVERS)
def test_a_wide_hole_is_filled(method):
    lost = np.zeros((48, 48), bool)
    lost[18:32, 18:32] = True
    picture = CAMERA[:48, :48]
    filled = restore_image(np.where(lost, 0, picture), lost, method=method, quality="fast")
    assert psnr(picture, filled) > 15
    np.testing.assert_array_equal(filled[~lost], picture[~lost])


@pytest.mark.parametrize("method", SOLVERS)
def test_standard_deviations_are_larger_where_errors_are(method):
    damaged, lost = lose(CAMERA, 0.5)
    filled, std = restore_image(damaged, lost, method=method, return_std=True)
    error = np.abs(CAMERA.astype(float) - filled)[lost]
    assert (std[~lost] == 0).all()
    assert (std[lost] > 0).all()
    assert 0.8 < (error <= 1.64 * std[lost]).mean() < 0.97
    unsure = std[lost] > np.median(std[lost])
    assert error[unsure].mean() > 2 * error[~unsure].mean()


def test_noise_is_taken_off_by_the_gaussians():
    noisy = CAMERA + np.random.default_rng(0).normal(0, 15, CAMERA.shape)
    lost = np.random.default_rng(1).random(CAMERA.shape) < 0.2
    damaged = np.where(lost, np.nan, noisy)
    clean = restore_image(damaged, method="als", denoise=True)
    assert psnr(CAMERA[~lost], clean[~lost]) > psnr(CAMERA[~lost], noisy[~lost]) + 3


def test_an_unknown_method_is_told():
    with pytest.raises(InputError, match="method must be one of auto, patches, als, sgd, mcmc, got 'svd'"):
        restore_image(CAMERA, CAMERA > 200, method="svd")


@pytest.mark.parametrize("quality", ["fast", "balanced", "best"])
def test_patches_overlap_and_some_pass_is_made(quality):
    settings = settings_for("als", quality, False)
    assert settings.stride < settings.patch
    assert settings.n_passes >= 1
    assert settings_for("auto", quality, False) == settings_for("patches", quality, False)
