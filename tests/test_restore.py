"""What a user relies on: known pixels stay, lost ones come out well, odd arrays work, bad ones are told."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.restoration import inpaint_biharmonic

from fmkit.errors import InputError
from fmkit.restore import restore_image
from fmkit.restore.looks import Look

CAMERA = skimage.data.camera()[100:228, 180:308]
ASTRONAUT = skimage.data.astronaut()[60:188, 150:278]


def psnr(picture, restored, peak=255):
    return 10 * np.log10(peak**2 / np.mean((picture.astype(float) - restored) ** 2))


def lose(picture, share, seed=0):
    lost = np.random.default_rng(seed).random(picture.shape[:2]) < share
    damaged = picture.copy()
    damaged[lost] = 0
    return damaged, lost


@st.composite
def pictures_and_masks(draw):
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    channels = draw(st.sampled_from([(), (1,), (2,), (3,), (4,), (5,)]))
    dtype = draw(st.sampled_from(["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", ">u2", "f2", "f4", "f8"]))
    elements = {"allow_nan": True, "allow_infinity": False} if np.dtype(dtype).kind == "f" else {}
    picture = draw(hnp.arrays(dtype, shape + channels, elements=hnp.from_dtype(np.dtype(dtype), **elements)))
    mask = draw(hnp.arrays(bool, draw(st.sampled_from([shape, picture.shape]))))
    return picture, mask


@settings(max_examples=60)
@given(pictures_and_masks())
def test_known_values_stay_bit_for_bit(case):
    picture, mask = case
    n_channels = 1 if picture.ndim == 2 else picture.shape[2]
    has_alpha = n_channels in (2, 4)
    lost = np.isnan(picture) | (mask if mask.ndim == picture.ndim else mask[..., None])
    if has_alpha:
        lost[..., -1] = False
    if lost.reshape(-1, n_channels)[:, : n_channels - has_alpha].all(axis=0).any():
        with pytest.raises(InputError, match="every pixel of the picture is lost"):
            restore_image(picture, mask, n_jobs=1)
        return
    before = picture.copy()
    restored = restore_image(picture, mask, n_jobs=1)
    assert restored.dtype == picture.dtype
    assert restored.shape == picture.shape
    assert picture.tobytes() == before.tobytes()
    assert restored[~lost].tobytes() == picture[~lost].tobytes()
    assert np.isfinite(restored[lost]).all()


@pytest.mark.parametrize(("share", "bar"), [(0.5, 30.0), (0.8, 25.8)])
def test_random_loss_of_a_photograph(share, bar):
    damaged, lost = lose(CAMERA, share)
    assert psnr(CAMERA, restore_image(damaged, lost)) > bar


def test_random_loss_of_a_colour_photograph():
    damaged, lost = lose(ASTRONAUT, 0.5)
    assert psnr(ASTRONAUT, restore_image(damaged, lost)) > 33


def test_a_gray_picture_stored_as_rgb_is_restored_as_the_gray_one():
    damaged, lost = lose(CAMERA[:64, :64], 0.5)
    gray = restore_image(damaged, lost)
    rgb = restore_image(np.repeat(damaged[..., None], 3, axis=2), lost)
    assert np.abs(rgb.astype(int) - gray[..., None]).max() <= 1


def test_the_seed_decides_and_not_the_number_of_threads():
    damaged, lost = lose(ASTRONAUT[:80, :80], 0.4)
    lost[20:50, 30:60] = True
    one = restore_image(damaged, lost, random_state=7, n_jobs=1)
    np.testing.assert_array_equal(one, restore_image(damaged, lost, random_state=7, n_jobs=3))
    assert (one != restore_image(damaged, lost, random_state=8, n_jobs=1)).any()


@pytest.mark.parametrize(
    "unit", [lambda x: x * 257, lambda x: x / 255, lambda x: x * 1e-3 - 40, lambda x: x.astype("f2")]
)
def test_units_do_not_matter(unit):
    picture = CAMERA[:64, :64].copy()
    picture[0, :2] = 0, 255  # the range of floats is that of the known values
    damaged, lost = lose(picture, 0.5)
    lost[0, :2] = False
    damaged[0, :2] = 0, 255
    expected = restore_image(damaged, lost).astype(float)
    in_units = unit(damaged.astype(np.uint16))
    slope = (float(in_units[0, 1]) - float(in_units[0, 0])) / 255
    back = (restore_image(in_units, lost).astype(float) - float(in_units[0, 0])) / slope
    np.testing.assert_allclose(back, expected, atol=1.0)


def test_pixels_that_are_not_a_number_are_lost():
    damaged, lost = lose(CAMERA[:64, :64], 0.3)
    with_holes = np.where(lost, np.nan, damaged)
    np.testing.assert_array_equal(restore_image(with_holes), restore_image(damaged.astype(float), lost))


def test_alpha_is_passed_through():
    damaged, lost = lose(ASTRONAUT[:48, :48], 0.3)
    alpha = np.random.default_rng(0).integers(0, 256, (48, 48, 1), np.uint8)
    restored = restore_image(np.concatenate([damaged, alpha], axis=2), lost)
    np.testing.assert_array_equal(restored[..., 3:], alpha)
    np.testing.assert_array_equal(restored[..., :3], restore_image(damaged, lost))


def test_what_lost_pixels_held_does_not_matter():
    damaged, lost = lose(ASTRONAUT[:48, :48], 0.3)
    noisy = damaged.copy()
    noisy[lost] = np.random.default_rng(0).integers(0, 256, (lost.sum(), 3))
    np.testing.assert_array_equal(restore_image(noisy, lost), restore_image(damaged, lost))


def test_nothing_lost_is_returned_as_it_is():
    assert restore_image(CAMERA) is CAMERA
    assert restore_image(CAMERA, np.zeros(CAMERA.shape, bool)) is CAMERA


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 3), (9, 8), (40, 40), (40, 40, 3)])
def test_a_constant_picture_stays_constant(shape):
    picture = np.full(shape, 77, np.uint8)
    lost = np.random.default_rng(0).random(shape[:2]) < 0.6
    lost[0, 0] = False
    assert (restore_image(np.where(lost.reshape(*shape[:2], *[1] * (len(shape) - 2)), 0, picture), lost) == 77).all()


def test_one_known_pixel_is_enough():
    lost = np.ones((70, 50), bool)
    lost[60, 7] = False
    assert (restore_image(np.where(lost, 9, 200), lost) == 200).all()


def test_a_ramp_is_continued_across_a_scratch():
    ramp = np.add.outer(np.arange(48) * 2.0, np.arange(48) * 3.0)
    lost = np.zeros(ramp.shape, bool)
    lost[20:23] = lost[:, 30:32] = True
    np.testing.assert_allclose(restore_image(np.where(lost, 0, ramp), lost), ramp, atol=0.5)


def test_a_wide_hole_in_a_texture_gets_the_texture():
    bricks = skimage.data.brick()[60:220, 60:220]
    lost = np.zeros(bricks.shape, bool)
    lost[50:98, 60:108] = True
    filled = restore_image(np.where(lost, 0, bricks), lost)[lost]
    around = bricks[40:108, 50:118]
    assert abs(filled.mean() - around.mean()) < 6
    assert filled.std() > 0.5 * around.std()
    assert filled.min() >= bricks[~lost].min()


def test_half_a_picture_lost_is_filled_from_the_other_half():
    lost = np.zeros(CAMERA.shape, bool)
    lost[:, 40:] = True
    restored = restore_image(np.where(lost, 0, CAMERA), lost)
    assert CAMERA[~lost].min() <= restored.min()
    assert restored[lost].std() > 0


def test_progress_counts_to_the_end():
    calls = []
    damaged, lost = lose(CAMERA[:64, :64], 0.5)
    restore_image(damaged, lost, progress=lambda done, total: calls.append((done, total)))
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == totals[-1]


def test_scratches_come_out_far_better_than_a_smooth_fill():
    picture, (row, column) = skimage.data.camera(), np.indices((512, 512))
    lost = ((row + column // 3) % 97 < 3) | ((column - row // 4) % 131 < 2)
    ours, smooth = restore_image(np.where(lost, 0, picture), lost), inpaint_biharmonic(picture, lost) * 255
    assert psnr(picture, ours) > psnr(picture, smooth) + 2


@pytest.mark.parametrize(
    ("picture", "mask", "sentence"),
    [
        (np.zeros(5), None, r"has the shape \(5,\)"),
        (np.zeros((0, 5)), None, r"has the shape \(0, 5\)"),
        (np.zeros((4, 5, 0)), None, r"has the shape \(4, 5, 0\)"),
        (np.zeros((4, 5), complex), None, "holds complex128"),
        (np.full((4, 5), "a"), None, "integers or floats, but this array holds <U1"),
        (np.zeros((4, 5)), np.zeros((5, 4), bool), r"mask has the shape \(5, 4\).*4 rows and 5 columns"),
        (np.zeros((4, 5, 3)), np.zeros((4, 5, 2), bool), r"mask has the shape \(4, 5, 2\)"),
        (np.zeros((4, 5)), np.zeros((4, 5)), "a mask holds booleans.*float64"),
        (np.zeros((4, 5)), np.ones((4, 5), bool), "every pixel of the picture is lost"),
        (np.full((4, 5), np.nan), None, "every pixel of the picture is lost"),
        (np.array([[1, np.inf], [np.nan, 2]]), None, "row 0, column 1 is infinite"),
    ],
)
def test_bad_input_is_told(picture, mask, sentence):
    with pytest.raises(InputError, match=sentence):
        restore_image(picture, mask)


@pytest.mark.parametrize("share", [0.2, 0.95])
def test_a_preview_sharpens_and_changes_nothing(share):
    damaged, lost = lose(ASTRONAUT, share)
    lost[40:80, 40:80] |= share < 0.5  # a hole that is filled from coarse to fine
    shown = []
    restored, std = restore_image(
        damaged, lost, quality="fast", return_std=True, preview=lambda picture: shown.append(picture.copy())
    )
    plain, plain_std = restore_image(damaged, lost, quality="fast", return_std=True)
    np.testing.assert_array_equal(restored, plain)
    np.testing.assert_array_equal(std, plain_std)
    assert len(shown) >= 4
    assert all((picture[~lost] == damaged[~lost]).all() for picture in shown)
    assert psnr(ASTRONAUT, shown[-1]) > psnr(ASTRONAUT, shown[0])


def test_a_preview_where_channels_lost_different_pixels():
    colours = skimage.data.astronaut()[60:160, 160:260]
    lost = np.random.default_rng(0).random(colours.shape) < 0.4
    lost[40:80, 40:80] = True  # a hole in all of them
    shown = []
    damaged = np.where(lost, 0, colours).astype(np.uint8)
    restored = restore_image(damaged, lost, quality="fast", preview=lambda picture: shown.append(picture.copy()))
    np.testing.assert_array_equal(restored, restore_image(damaged, lost, quality="fast"))
    assert len(shown) >= 4
    assert all((picture[~lost] == damaged[~lost]).all() for picture in shown)
    assert psnr(colours, shown[-1]) > psnr(colours, shown[0])


def test_looks_are_due_now_and_then_whatever_they_are_seen_through(monkeypatch):
    seen = []
    look = Look(seen.append)
    doubled = look.through(lambda planes: 2 * planes)
    monkeypatch.setattr("fmkit.restore.looks.OFTEN", 0.0)
    assert look.due
    assert doubled.due
    doubled(np.ones(3, np.float32))
    np.testing.assert_array_equal(seen[0], [2, 2, 2])
    monkeypatch.setattr("fmkit.restore.looks.OFTEN", 1e9)
    assert not look.due  # the other one has just shown something
    nothing = Look()
    monkeypatch.setattr("fmkit.restore.looks.OFTEN", 0.0)
    nothing(np.ones(3, np.float32))
    assert not nothing.due


def test_an_error_of_a_preview_or_of_the_progress_ends_the_work():
    damaged, lost = lose(ASTRONAUT, 0.2)
    for name in ("preview", "progress"):
        with pytest.raises(KeyError):
            restore_image(damaged, lost, quality="fast", **{name: lambda *_: {}["stop"]})
