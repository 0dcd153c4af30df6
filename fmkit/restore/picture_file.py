"""Picture files: pixels as they are stored, 8 or 16 bits or floats, and what the file says besides (ICC, EXIF, dpi)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.files import check_writable, written_beside

# What each format holds, and how it is saved. Only JPEG cannot be told to keep every value.
_SAVE: dict[str, dict[str, Any]] = {
    ".png": {},
    ".jpg": {"Q": 95, "subsample_mode": "off"},
    ".tif": {"compression": "deflate", "predictor": "horizontal"},
    ".webp": {"lossless": True},
}
_SAME = {".jpeg": ".jpg", ".tiff": ".tif"}
_LOADERS = ("pngload", "jpegload", "tiffload", "webpload")
_INTERPRETATIONS = ("b-w", "grey16", "srgb", "rgb16", "rgb", "scrgb", "multiband")
_KEPT_FIELDS = ("icc-profile-data", "xmp-data", "iptc-data", "resolution-unit")


@dataclass(frozen=True)
class Picture:
    """A picture as it is displayed: turned upright if its EXIF data says so."""

    pixels: NDArray[Any]
    """Shape (n_rows, n_columns) or, with colour or alpha, (n_rows, n_columns, n_channels); the file's own depth."""
    has_alpha: bool
    header: Any
    """The pyvips image that the metadata is taken from."""


def read_picture(path: str | Path) -> Picture:
    """Read a PNG, JPEG, TIFF or WebP picture.

    Raises
    ------
    InputError
        If the file is none of these, is damaged, holds several pages, or is no gray or RGB picture.
    OSError
        If it cannot be read.
    """
    with Path(path).open("rb") as file:  # libvips does not say whether a file is missing, a folder or not permitted
        if not file.read(1):
            raise InputError("the file is empty, not a picture", path=path)
    try:
        image = pyvips.Image.new_from_file(str(path), fail_on="truncated")
        loader = image.get("vips-loader")
    except pyvips.Error:
        loader = ""
    if not loader.startswith(_LOADERS):
        raise InputError("this is no PNG, JPEG, TIFF or WebP picture", path=path)
    if "n-pages" in image.get_fields() and image.get("n-pages") > 1:
        raise InputError(f"the file holds {image.get('n-pages')} pages: save the one to restore by itself", path=path)
    has_alpha = bool(image.hasalpha())
    if image.interpretation not in _INTERPRETATIONS or (image.bands in (2, 4)) != has_alpha:
        raise InputError(
            f"a gray or RGB picture is needed, this one holds {image.bands} channels of {image.interpretation}",
            path=path,
        )
    try:
        image = image.autorot().copy_memory()
    except pyvips.Error as error:
        raise InputError(f"the picture is damaged ({_first_line(error)})", path=path) from None
    pixels = image.numpy().reshape(image.height, image.width, image.bands)
    return Picture(pixels[:, :, 0] if image.bands == 1 else pixels, has_alpha, image)


def check_destination(path: str | Path, picture: Picture) -> None:
    """Refuse, before the work, a path that cannot be written to or whose format, told by its suffix, cannot hold it.

    Raises
    ------
    InputError
        With the format that can.
    OSError
        If the folder does not exist or is not to be written in.
    """
    suffix = _suffix(path)
    if suffix not in _SAVE:
        raise InputError("pictures are written as .png, .jpg, .tif or .webp", path=path)
    kind = picture.pixels.dtype
    if kind != np.uint8 and suffix in (".jpg", ".webp"):
        raise InputError(
            f"this format holds 8 bits a channel, and the picture {kind.itemsize * 8}: use .tif", path=path
        )
    if kind not in (np.uint8, np.uint16) and suffix == ".png":
        raise InputError(f"PNG holds 8 or 16 bits a channel, and the picture {kind}: use .tif", path=path)
    if picture.has_alpha and suffix == ".jpg":
        raise InputError("JPEG holds no alpha channel: use .png, .tif or .webp", path=path)
    check_writable(path)


def keeps_values(path: str | Path) -> bool:
    """Whether the format, told by the suffix, gives back every value as it was."""
    return _suffix(path) != ".jpg"


def write_picture(path: str | Path, pixels: NDArray[Any], like: Picture) -> None:
    """Write pixels with the metadata of the picture that they were made from; the file appears whole or not at all.

    PNG, TIFF and WebP keep every value, JPEG (quality 95, full colour resolution) does not. TIFF files get no EXIF
    data: libvips writes none.
    """
    check_destination(path, like)
    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=like.header.interpretation)
    image = image.copy(xres=like.header.xres, yres=like.header.yres)
    for field in like.header.get_fields():
        if field in _KEPT_FIELDS or field.startswith("exif-"):
            image.set_type(like.header.get_typeof(field), field, like.header.get(field))
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)  # or the EXIF block would bring back the camera's
    with written_beside(path) as part:
        try:
            image.write_to_file(str(part), **_SAVE[_suffix(path)])
        except pyvips.Error as error:
            raise OSError(f"the picture could not be written ({_first_line(error)})") from None


def _suffix(path: str | Path) -> str:
    suffix = Path(path).suffix.lower()
    return _SAME.get(suffix, suffix)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error.detail if isinstance(error, pyvips.Error) else error).splitlines()]
    return next((line for line in lines if line), "no reason given")
