"""EXIF data and pages in TIFF files, as Pillow and tifffile read them."""

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from fmkit.restore.picture_file import read_pages, read_picture, write_pages, write_picture
from fmkit.restore.tiff_tags import Exif, exif_block, exif_in

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (20, 30, 3), np.uint8)


@pytest.fixture
def exif():
    exif = Image.Exif()
    exif[271], exif[315], exif[274] = "Zeiss", "Bruegel", 6  # make, artist, orientation
    exif.get_ifd(34665).update({33434: (1, 125), 36867: "1910:01:01 12:00:00", 34855: 400})
    exif.get_ifd(34853).update({1: "N", 2: (48.0, 12.0, 30.5)})
    return exif


def told(path):
    exif = Image.open(path).getexif()
    return (exif[271], exif[315], exif.get(274, 1)), dict(exif.get_ifd(34665)), dict(exif.get_ifd(34853))


@pytest.mark.parametrize("source", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_data_are_kept_from_every_format_to_every_format(tmp_path, exif, source, suffix):
    made = tmp_path / f"photo.{'jpg' if source == 'tif' else source}"
    Image.fromarray(PIXELS).save(made, exif=exif, dpi=(300, 300))
    if source == "tif":  # Pillow writes no camera data there
        picture = read_picture(made)
        write_picture(made.with_suffix(".tif"), picture.pixels, picture)
    picture = read_picture(tmp_path / f"photo.{source}")
    out = tmp_path / f"out.{suffix}"
    write_picture(out, picture.pixels, picture)
    names, camera, place = told(out)
    assert names == ("Zeiss", "Bruegel", 1)  # and upright
    assert picture.pixels.shape == (30, 20, 3)
    assert camera[36867] == "1910:01:01 12:00:00"
    assert camera[34855] == 400
    assert place == {1: "N", 2: (48.0, 12.0, 30.5)}
    if suffix != "jpg":
        np.testing.assert_array_equal(read_picture(out).pixels, picture.pixels)
    if "webp" not in (source, suffix):
        assert Image.open(out).info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_both_byte_orders_and_xmp_and_a_profile(tmp_path, exif):
    profile = (
        pyvips.Image.black(1, 1).copy(interpretation="srgb").icc_export(output_profile="srgb").get("icc-profile-data")
    )
    tifffile.imwrite(
        tmp_path / "big.tif",
        PIXELS.astype(np.uint16) * 257,
        photometric="rgb",
        byteorder=">",
        iccprofile=profile,
        resolution=(300, 300),
        resolutionunit=2,
        extratags=[(315, 2, 8, "Bruegel", True), (700, 1, 8, b"<x:xmp/>", True)],
    )
    picture = read_picture(tmp_path / "big.tif")
    write_picture(tmp_path / "out.tif", picture.pixels, picture)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        tags = file.pages[0].tags
        np.testing.assert_array_equal(file.asarray(), PIXELS.astype(np.uint16) * 257)
        assert tags[315].value == "Bruegel"
        assert tags[34675].value == profile
        assert tags[700].value == b"<x:xmp/>"
        assert tags[282].value[0] / tags[282].value[1] == pytest.approx(300)


def test_pages_of_different_sizes_and_depths_are_written_and_read(tmp_path):
    pages = [
        RNG.integers(0, 60000, (20, 30, 3), np.uint16),
        RNG.integers(0, 255, (700, 900), np.uint8),  # several strips
        RNG.random((5, 6)).astype(np.float32),
    ]
    with tifffile.TiffWriter(tmp_path / "pages.tif", byteorder=">") as file:
        for page in pages:
            file.write(page, photometric="rgb" if page.ndim == 3 else "minisblack")
    read = read_pages(tmp_path / "pages.tif")
    write_pages(tmp_path / "out.tif", [page.pixels for page in read], read)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        for page, written in zip(pages, file.pages, strict=True):
            np.testing.assert_array_equal(written.asarray(), page)
    assert Image.open(tmp_path / "out.tif").n_frames == 3
    assert all(
        np.array_equal(page, again.pixels) for page, again in zip(pages, read_pages(tmp_path / "out.tif"), strict=True)
    )
    assert not list(tmp_path.glob(".*"))


def test_what_is_broken_says_nothing():
    block = exif_block(Exif({315: (2, b"Bruegel\0")}, {34855: (3, b"\x90\x01")}, {1: (2, b"N\0")}))
    whole = exif_in(block[6:])
    assert whole == Exif({315: (2, b"Bruegel\0")}, {34855: (3, b"\x90\x01")}, {1: (2, b"N\0")})
    for end in range(len(block) - 6):
        exif_in(block[6 : 6 + end])  # whatever it says, it ends
    for data in (b"", b"II", b"II*\0\xff\xff\xff\xff", b"MM\0+\0\0\0\x08", b"no picture at all"):
        assert not exif_in(data)
