"""Picture files and what tells lost pixels, without the command line around them."""

import numpy as np
import pytest
import pyvips

from fmkit.errors import InputError
from fmkit.restore.lost import lost_by_colour, lost_by_mask, parse_colour
from fmkit.restore.picture_file import check_destination, keeps_values, read_picture, write_picture

RNG = np.random.default_rng(0)


def random_pixels(dtype, shape):
    return RNG.random(shape).astype(dtype) if dtype == "f4" else RNG.integers(0, np.iinfo(dtype).max, shape, dtype)


@pytest.mark.parametrize(
    ("dtype", "suffixes"), [("u1", [".png", ".tif", ".tiff", ".webp"]), ("u2", [".png", ".tif"]), ("f4", [".tif"])]
)
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
def test_formats_give_back_what_was_written(tmp_path, dtype, suffixes, channels):
    pixels = random_pixels(dtype, (9, 7, *channels))
    kind = {"u1": "srgb", "u2": "rgb16", "f4": "scrgb"} if channels in ((3,), (4,)) else {"u2": "grey16"}
    source = tmp_path / "source.tif"
    pyvips.Image.new_from_array(pixels, interpretation=kind.get(dtype, "b-w")).write_to_file(str(source))
    picture = read_picture(source)
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.has_alpha == (channels in ((2,), (4,)))
    for suffix in suffixes:
        path = tmp_path / f"copy{suffix}"
        write_picture(path, pixels, picture)
        assert keeps_values(path)
        again = read_picture(path).pixels
        if suffix == ".webp" and channels in ((), (2,)):  # WebP knows no gray
            again = again[..., 0] if channels == () else again[..., [0, 3]]
        visible = pixels[..., -1:] > 0 if suffix == ".webp" and channels in ((2,), (4,)) else True
        np.testing.assert_array_equal(again * visible, pixels * visible)


def test_metadata_is_carried_over(tmp_path):
    image = pyvips.Image.new_from_array(random_pixels("u1", (8, 6, 3)), interpretation="srgb").copy(
        xres=11.8, yres=11.8
    )
    profile = (
        pyvips.Image.black(1, 1).copy(interpretation="srgb").icc_export(output_profile="srgb").get("icc-profile-data")
    )
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "Bruegel")
    image.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta/>")
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image.write_to_file(str(tmp_path / "photo.jpg"))
    picture = read_picture(tmp_path / "photo.jpg")
    assert picture.pixels.shape == (6, 8, 3)  # turned upright
    for name in ("out.png", "out.jpg", "out.tif", "out.webp"):
        write_picture(tmp_path / name, picture.pixels, picture)
        out = pyvips.Image.new_from_file(str(tmp_path / name))
        assert out.get("icc-profile-data") == profile
        assert (out.width, out.height) == (8, 6)
        assert "orientation" not in out.get_fields() or out.get("orientation") == 1
        assert out.get("xmp-data") == b"<x:xmpmeta/>"
        if name != "out.tif":  # see test_tiff_tags.py
            assert out.get("exif-ifd0-Artist").startswith("Bruegel")
        if name != "out.webp":
            assert out.xres == pytest.approx(11.8, abs=0.1)


@pytest.mark.parametrize(
    ("name", "pixels", "sentence"),
    [
        ("out.bmp", random_pixels("u1", (4, 4)), "written as .png, .jpg, .tif or .webp"),
        ("out", random_pixels("u1", (4, 4)), "written as .png, .jpg, .tif or .webp"),
        ("out.jpg", random_pixels("u2", (4, 4)), "8 bits a channel, and the picture 16: use .tif"),
        ("out.webp", random_pixels("u2", (4, 4)), "8 bits a channel, and the picture 16: use .tif"),
        ("out.png", random_pixels("f4", (4, 4)), "8 or 16 bits a channel, and the picture float32"),
        ("out.jpg", random_pixels("u1", (4, 4, 2)), "JPEG holds no alpha channel"),
    ],
)
def test_a_format_that_cannot_hold_the_picture_is_refused(tmp_path, name, pixels, sentence):
    image = pyvips.Image.new_from_array(pixels, interpretation="b-w" if pixels.dtype != np.uint16 else "grey16")
    image.write_to_file(str(tmp_path / "source.tif"))
    with pytest.raises(InputError, match=sentence):
        check_destination(tmp_path / name, read_picture(tmp_path / "source.tif"))


def test_pages_and_colour_spaces_that_are_not_for_screens_are_refused(tmp_path):
    pages = pyvips.Image.new_from_array(random_pixels("u1", (8, 6))).copy()
    pages.set_type(pyvips.GValue.gint_type, "page-height", 4)
    pages.write_to_file(str(tmp_path / "pages.tif"))
    with pytest.raises(InputError, match="holds 2 pages"):
        read_picture(tmp_path / "pages.tif")
    pyvips.Image.new_from_array(random_pixels("u1", (8, 6, 4)), interpretation="cmyk").write_to_file(
        str(tmp_path / "print.tif")
    )
    with pytest.raises(InputError, match="gray or RGB picture is needed, this one holds 4 channels of cmyk"):
        read_picture(tmp_path / "print.tif")


@pytest.mark.parametrize(
    ("pixels", "lost"),
    [
        (np.array([[0, 127, 128, 255]], np.uint8), [[False, False, True, True]]),
        (np.array([[0, 32767, 32768]], np.uint16), [[False, False, True]]),
        (np.array([[0.49, 0.5]], np.float32), [[False, True]]),
        (np.array([[0, 1]], np.uint8), [[False, True]]),
        (np.array([[[255, 0, 0], [0, 127, 127]]], np.uint8), [[True, False]]),
        (np.array([[[255, 255, 255, 0], [255, 255, 255, 255], [0, 0, 0, 255]]], np.uint8), [[False, True, False]]),
    ],
)
def test_a_mask_is_lost_where_it_is_bright(pixels, lost):
    np.testing.assert_array_equal(lost_by_mask(pixels), lost)


@pytest.mark.parametrize(
    ("pixels", "colour", "lost"),
    [
        (np.array([[255, 254]], np.uint8), "white", [[True, False]]),
        (np.array([[65535, 65534]], np.uint16), "white", [[True, False]]),
        (np.array([[0x80, 0x81]], np.uint8), "#808080", [[True, False]]),
        (np.array([[[255, 0, 255], [255, 1, 255]]], np.uint8), "Magenta", [[True, False]]),
        (np.array([[[0, 0, 0, 9], [0, 0, 1, 9]]], np.uint8), "black", [[True, False]]),
    ],
)
def test_a_colour_is_lost_exactly(pixels, colour, lost):
    np.testing.assert_array_equal(lost_by_colour(pixels, parse_colour(colour)), lost)


@pytest.mark.parametrize("text", ["", "pinkish", "#12345", "#1234567", "#gggggg", "#+12345", "808080"])
def test_what_is_no_colour_is_told(text):
    with pytest.raises(InputError, match=r"is no colour: name one of white, black, .* or write it as #rrggbb"):
        parse_colour(text)


def test_colours_need_a_picture_that_has_them():
    with pytest.raises(InputError, match="the picture is gray"):
        lost_by_colour(np.zeros((2, 2), np.uint8), (255, 0, 0))
    with pytest.raises(InputError, match="8 or 16 bits, not of float32"):
        lost_by_colour(np.zeros((2, 2), np.float32), (0, 0, 0))
