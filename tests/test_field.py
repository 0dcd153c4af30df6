"""Pictures that are stationary Gaussian fields: told from photographs, and filled as well as can be."""

import numpy as np
import pytest
import skimage.data

from fmkit.restore import ImageRestorer, restore_image
from fmkit.restore.field import Field, fit_field
from fmkit.restore.image import settings_for
from fmkit.restore.kriging import krige
from fmkit.restore.model import learn
from fmkit.restore.trial import choose

SIDE = 64
TRUE = Field((1 / 8, 0.0, 1 / 8), 0.5, 0.0, 40.0**2)
S = TRUE.variance * TRUE.correlation(SIDE)
CAMERA = skimage.data.camera()


@pytest.fixture(scope="module")
def root():
    return np.linalg.cholesky(S)


def drawn(root, share, seed):
    rng = np.random.default_rng(seed)
    field = (root @ rng.normal(size=SIDE * SIDE)).reshape(SIDE, SIDE)
    return field, rng.random(field.shape) < share


def conditional_mean(field, lost):
    """The best that anyone could do, knowing the covariance."""
    O, L = np.flatnonzero(~lost), np.flatnonzero(lost)
    best = field.copy()
    best[lost] = S[np.ix_(L, O)] @ np.linalg.solve(S[np.ix_(O, O)], field[~lost])
    return best


def chosen(picture, lost, quality="fast"):
    values = colours, gone = picture[:, :, None], lost[:, :, None]
    model = learn([values])
    return choose(colours, gone, model, settings_for("auto", quality, False), np.random.default_rng(0), 2)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_gaussian_field_is_restored_as_its_own_covariance_would(root, share):
    behind, inside = [], []
    for seed in range(3):
        field, lost = drawn(root, share, seed)
        ours, std = restore_image(np.where(lost, np.nan, field), return_std=True)
        best, reached = (np.square(x - field)[lost].mean() for x in (conditional_mean(field, lost), ours))
        behind.append(10 * np.log10(reached / best))
        inside.append(np.mean(np.abs(ours - field)[lost] < 1.645 * std[lost]))
    assert np.mean(behind) < 0.1
    assert 0.84 < np.mean(inside) < 0.95


def test_a_model_learned_from_fields_restores_one_alike(root):
    field, lost = drawn(root, 0.5, 3)
    other = drawn(root, 0.0, 4)[0]
    restored = ImageRestorer().fit([other, np.where(lost, np.nan, field)]).transform(np.where(lost, np.nan, field))
    assert np.square(restored - field)[lost].mean() < 10**0.02 * np.square(
        conditional_mean(field, lost) - field
    )[lost].mean()  # fmt: skip


def test_the_number_of_threads_changes_nothing(root):
    field, lost = drawn(root, 0.8, 5)
    one, two = (restore_image(np.where(lost, np.nan, field), quality="fast", n_jobs=n) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "picture", [CAMERA, skimage.data.gravel()[:256, :256], skimage.data.grass()[:256, :256], skimage.data.brick()]
)
def test_photographs_and_textures_are_not_taken_for_fields(picture):
    for share in (0.05, 0.5, 0.9):
        lost = np.random.default_rng(0).random(picture.shape) < share
        assert not chosen(picture, lost).fields


def test_noise_over_a_photograph_does_not_make_it_a_field():
    noisy = CAMERA[60:188, 150:278] + np.random.default_rng(0).normal(0, 40, (128, 128))
    assert not chosen(noisy, np.random.default_rng(1).random(noisy.shape) < 0.5).fields


def test_a_window_knows_what_the_whole_field_tells_it():
    rng = np.random.default_rng(0)
    side, true = 8, Field((0.3, 0.1, 0.2), 1.5, 0.01, 100.0)
    C = true.correlation(side) + 1  # the mean's prior
    lost = rng.random((side, side)) < 0.4
    plane = np.where(lost, 0, rng.normal(0, 10, lost.shape)).astype(np.float32)
    filled, variance = krige(plane[None], lost, (true,), 1)
    O, L = np.flatnonzero(~lost), np.flatnonzero(lost)
    W = C[np.ix_(L, O)] @ np.linalg.inv(C[np.ix_(O, O)] + true.noise * np.eye(len(O)))
    mean = plane[~lost].mean()
    np.testing.assert_allclose(filled[0][lost], mean + W @ (plane[~lost] - mean), atol=1e-3)
    np.testing.assert_allclose(variance[0][lost], 100 * (C[L, L] - (W * C[np.ix_(L, O)]).sum(axis=1)), rtol=0.05)


def test_a_field_of_any_axes_is_told_by_its_known_pixels():
    true = Field((0.1, 0.15, 0.3), 1.5, 1e-4, 400.0)
    side = 48
    C = true.variance * (true.correlation(side) + 1e-4 * np.eye(side * side))
    rng = np.random.default_rng(0)
    plane = (np.linalg.cholesky(C) @ rng.normal(size=side * side)).reshape(side, side).astype(np.float32)
    told = fit_field(plane, rng.random(plane.shape) < 0.5)
    # Smoothness and steepness: the range itself is beyond so small a window.
    drop = [1 - f.correlation(4)[0, [1, 4, 5]] for f in (told, true)]
    scale = told.variance / true.variance
    np.testing.assert_allclose(scale * drop[0], drop[1], rtol=0.3)
    assert abs(np.log(told.nu / true.nu)) < 0.35
