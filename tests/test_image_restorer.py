"""ImageRestorer: one fit for several pictures, scikit-learn's checks, what is learned and what is refused."""

import numpy as np
import pytest
import skimage.data
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from fmkit.errors import InputError
from fmkit.restore import ImageRestorer, psnr, restore_image

CAMERA = skimage.data.camera()
ASTRONAUT = skimage.data.astronaut()


def lose(picture, share, seed=0):
    lost = np.random.default_rng(seed).random(picture.shape[:2]) < share
    damaged = picture.copy()
    damaged[lost] = 0
    return damaged, lost


def expected_failures(estimator):
    return {
        "check_fit_score_takes_y": "the second argument of fit is the mask; a column of targets is left alone",
        "check_transformer_general": "a picture with other columns than the first one's is restored, not refused",
    }


@parametrize_with_checks([ImageRestorer(n_jobs=1)], expected_failed_checks=expected_failures)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_a_single_picture_is_restored_as_by_the_function():
    damaged, lost = lose(ASTRONAUT[60:124, 150:214], 0.5)
    np.testing.assert_array_equal(ImageRestorer().fit_transform(damaged, lost), restore_image(damaged, lost))


def test_std_is_that_of_the_function():
    damaged, lost = lose(CAMERA[100:164, 180:244], 0.5)
    restored, std = ImageRestorer(n_jobs=1).fit(damaged, lost).transform(damaged, lost, return_std=True)
    expected, expected_std = restore_image(damaged, lost, return_std=True, n_jobs=1)
    np.testing.assert_array_equal(restored, expected)
    np.testing.assert_array_equal(std, expected_std)


def test_pictures_of_one_kind_share_what_they_tell():
    parts = [CAMERA[r : r + 128, 100:228] for r in (0, 128, 256)]
    noisy = [part + np.random.default_rng(i).normal(0, 12, part.shape) for i, part in enumerate(parts)]
    restorer = ImageRestorer(n_jobs=1).fit(noisy, [None, lose(parts[1], 0.2)[1], None])
    assert 10 < restorer.model_.noise * (2 * restorer.model_.scale.half / 255) < 14
    assert restorer.model_.correlation.shape == (33, 33)
    # A scrap too small and too bare to tell its own noise: the others do.
    scrap, lost = lose(noisy[1][40:72, 40:72], 0.8)
    truth = parts[1][40:72, 40:72].astype(float)
    with_others = restorer.transform(np.where(lost, np.nan, scrap))
    alone = restore_image(np.where(lost, np.nan, scrap))
    assert psnr(truth, with_others, lost, peak=255) > psnr(truth, alone, lost, peak=255) + 0.2


def test_a_clone_is_not_fitted():
    restorer = clone(ImageRestorer(quality="fast").fit(CAMERA[:40, :40]))
    assert restorer.quality == "fast"
    with pytest.raises(NotFittedError):
        restorer.transform(CAMERA[:40, :40])


@pytest.mark.parametrize(
    ("pictures", "masks", "sentence"),
    [
        ([CAMERA[:9, :9], ASTRONAUT[:9, :9]], None, "here are 1 of uint8 and 3 of uint8"),
        ([CAMERA[:9, :9], CAMERA[:9, :9] / 255], None, "1 of uint8 and 1 of float64"),
        ([CAMERA[:9, :9]] * 2, [None], "2 pictures, but 1 masks"),
        (CAMERA[:9, :9], np.ones((9, 9), bool), "every pixel of the picture is lost"),
    ],
)
def test_bad_pictures_are_told(pictures, masks, sentence):
    with pytest.raises(InputError, match=sentence):
        ImageRestorer().fit(pictures, masks)


def test_other_channels_and_words_are_told():
    restorer = ImageRestorer().fit(CAMERA[:40, :40])
    with pytest.raises(InputError, match="1 colour channels, this one 3"):
        restorer.transform(ASTRONAUT[:40, :40])
    with pytest.raises(InputError, match="quality must be one of fast, balanced, best, got 'good'"):
        ImageRestorer(quality="good").fit(CAMERA[:40, :40])
    with pytest.raises(InputError, match="method must be one of auto, patches, als, sgd, mcmc, got 'magic'"):
        restore_image(CAMERA[:40, :40], CAMERA[:40, :40] > 99, method="magic")
