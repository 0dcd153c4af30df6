"""PSNR and SSIM are those of scikit-image."""

import numpy as np
import pytest
import skimage.data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from fmkit.errors import InputError
from fmkit.restore import psnr, ssim

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_they_are_those_of_the_field(dtype, channels):
    whole = skimage.data.astronaut()[60:131, 170:250].astype(float) / 255
    picture = whole if channels else whole[..., 1]
    other = np.clip(picture + RNG.normal(0, 0.1, picture.shape), 0, 1)
    if dtype[0] == "u":
        peak = np.iinfo(dtype).max
        picture, other = (np.rint(values * peak).astype(dtype) for values in (picture, other))
    else:
        peak = picture.max() - picture.min()
    picture, other = picture.astype(dtype), other.astype(dtype)
    mask = RNG.random(picture.shape[:2]) < 0.3
    mask[:2] = True
    axis = 2 if channels else None
    mean, full = structural_similarity(picture, other, data_range=peak, channel_axis=axis, full=True)
    assert ssim(picture, other) == pytest.approx(mean, abs=2e-5)  # scikit-image keeps to float32 where it gets it
    assert ssim(picture, other, mask) == pytest.approx(full[mask].mean(), abs=2e-5)
    assert psnr(picture, other) == pytest.approx(peak_signal_noise_ratio(picture, other, data_range=peak))
    lost = peak_signal_noise_ratio(picture[mask], other[mask], data_range=peak)
    assert psnr(picture, other, mask) == pytest.approx(lost)
    assert psnr(picture, other, peak=2 * peak) == pytest.approx(psnr(picture, other) + 20 * np.log10(2))


def test_what_does_not_differ_is_perfect():
    picture = RNG.integers(0, 255, (9, 9), "u1")
    assert psnr(picture, picture) == float("inf")
    assert ssim(picture, picture) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((np.zeros((9, 9)), np.zeros((9, 8))), "two pictures of one shape"),
        ((np.zeros(9), np.zeros(9)), "two pictures of one shape"),
        ((np.zeros((9, 9)), np.zeros((9, 9)), np.zeros((9, 8))), "the mask has the shape"),
        ((np.zeros((9, 9)), np.zeros((9, 9)), np.zeros((9, 9))), "no pixel to score"),
        ((np.zeros((9, 9)), np.zeros((9, 9))), "peak must be positive"),
    ],
)
def test_bad_input_is_told(arguments, sentence):
    for score in (psnr, ssim):
        with pytest.raises(InputError, match=sentence):
            score(*arguments)
    with pytest.raises(InputError, match="at least 7 x 7"):
        ssim(np.zeros((6, 9), "u1"), np.zeros((6, 9), "u1"))
