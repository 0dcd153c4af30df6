"""Picture files: pixels as they are stored, 8 or 16 bits or floats, and what the file says besides (ICC, EXIF, dpi)."""

import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from fmkit.errors import InputError
from fmkit.files import check_writable, written_beside
from fmkit.restore.tiff_tags import Exif, exif_block, exif_in, exif_of, put_exif, put_page

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

    @property
    def colours(self) -> NDArray[Any]:
        """The pixels without alpha."""
        return without_alpha(self.pixels)


def without_alpha(pixels: NDArray[Any]) -> NDArray[Any]:
    """The channels of gray or colour, seen in an array of either with alpha or without."""
    return pixels[:, :, :-1] if pixels.ndim == 3 and pixels.shape[2] in (2, 4) else pixels


def read_picture(path: str | Path, page: int | None = None) -> Picture:
    """Read a PNG, JPEG, TIFF or WebP picture.

    Parameters
    ----------
    path : path
    page : int, optional
        Of a TIFF file of several, from 0.

    Raises
    ------
    InputError
        If the file is none of these, is damaged, holds several pages, or is no gray or RGB picture.
    OSError
        If it cannot be read.
    """
    if page is not None:
        return _read(_opened(path, page=page), f"{path}, page {page + 1}")
    image = _opened(path)
    if _n_pages(image) > 1:
        raise InputError(f"the file holds {_n_pages(image)} pages: save the one to use by itself", path=path)
    return _read(image, path)


def page_sizes(path: str | Path, most: int) -> list[tuple[int, int]]:
    """Rows and columns, as they are stored, of the pages of a TIFF file, or of another's picture; by headers alone.

    Raises
    ------
    InputError
        If it is no PNG, JPEG, TIFF or WebP picture, or has more than `most` pages.
    OSError
        If it cannot be read.
    """
    image = _opened(path)
    n_pages = _n_pages(image) if image.get("vips-loader").startswith("tiffload") else 1
    if n_pages > most:
        raise InputError(f"files of at most {most} pages are taken, this one has {n_pages:,}", path=path)
    images = [image, *(_opened(path, page=page) for page in range(1, n_pages))]
    return [(image.height, image.width) for image in images]


def read_pages(path: str | Path) -> list[Picture]:
    """Read all pages of a TIFF file, or the one picture of another.

    Raises
    ------
    InputError
        As `read_picture`, with the page at fault, or if several pictures are an animation.
    OSError
        If it cannot be read.
    """
    image = _opened(path)
    n_pages = _n_pages(image)
    if n_pages == 1:
        return [_read(image, path)]
    if not image.get("vips-loader").startswith("tiffload"):
        raise InputError(f"an animation of {n_pages} pictures: save the one to use by itself", path=path)
    return [read_picture(path, page) for page in range(n_pages)]


def _opened(path: str | Path, **options: int) -> Any:
    with Path(path).open("rb") as file:  # libvips does not say whether a file is missing, a folder or not permitted
        if not file.read(1):
            raise InputError("the file is empty, not a picture", path=path)
    try:
        # Not from the cache: it goes by names, and the file may be another by now.
        image = pyvips.Image.new_from_file(str(path), fail_on="truncated", revalidate=True, **options)
        loader = image.get("vips-loader")
    except pyvips.Error:
        loader = ""
    if not loader.startswith(_LOADERS):
        raise InputError("this is no PNG, JPEG, TIFF or WebP picture", path=path)
    return image


def _n_pages(image: Any) -> int:
    return int(image.get("n-pages")) if "n-pages" in image.get_fields() else 1


def _read(image: Any, path: str | Path) -> Picture:
    has_alpha = bool(image.hasalpha())
    if image.interpretation not in _INTERPRETATIONS or (image.bands in (2, 4)) != has_alpha:
        raise InputError(
            f"a gray or RGB picture is needed, this one holds {image.bands} channels of {image.interpretation}",
            path=path,
        )
    if image.get("vips-loader").startswith("tiffload"):
        image = _with_exif(image, exif_of(Path(image.filename)))
    try:
        image = image.autorot().copy_memory()
    except pyvips.Error as error:
        raise InputError(f"the picture is damaged ({_first_line(error)})", path=path) from None
    pixels = image.numpy().reshape(image.height, image.width, image.bands)
    return Picture(pixels[:, :, 0] if image.bands == 1 else pixels, has_alpha, image)


def _with_exif(image: Any, exif: Exif) -> Any:
    """The image with EXIF fields as libvips reads them from other formats than TIFF: from a JPEG that holds them."""
    block = exif_block(exif)
    if not exif or len(block) > 65533:
        return image
    jpeg = pyvips.Image.black(1, 1).jpegsave_buffer()
    segment = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
    fields = pyvips.Image.jpegload_buffer(jpeg[:2] + segment + jpeg[2:])
    image = image.copy()
    for name in fields.get_fields():
        if name.startswith("exif-"):
            image.set_type(fields.get_typeof(name), name, fields.get(name))
    return image


def check_destination(path: str | Path, picture: Picture, n_pages: int = 1) -> None:
    """Refuse, before the work, a path that cannot be written to or whose format, told by its suffix, cannot hold it.

    Raises
    ------
    InputError
        With the format that can.
    OSError
        If the folder does not exist or is not to be written in.
    """
    check_format(path, picture, n_pages)
    check_writable(path)


def check_format(path: str | Path, picture: Picture, n_pages: int = 1) -> None:
    """Refuse a path whose format, told by its suffix, cannot hold the picture, with an InputError."""
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
    if n_pages > 1 and suffix != ".tif":
        raise InputError(f"only TIFF holds several pages, and the picture {n_pages}: use .tif", path=path)


def keeps_values(path: str | Path) -> bool:
    """Whether the format, told by the suffix, gives back every value as it was."""
    return _suffix(path) != ".jpg"


def write_picture(path: str | Path, pixels: NDArray[Any], like: Picture, keep_metadata: bool = True) -> None:
    """Write pixels with the metadata of the picture that they were made from; the file appears whole or not at all.

    PNG, TIFF and WebP keep every value, JPEG (quality 95, full colour resolution) does not. Without metadata, not even
    the colour profile is kept.
    """
    write_pages(path, [pixels], [like], keep_metadata)


def write_pages(
    path: str | Path, pages: Sequence[NDArray[Any]], like: Sequence[Picture], keep_metadata: bool = True
) -> None:
    """As `write_picture`, for the pages of a TIFF file; what is said of all of them is what is said of the first."""
    check_destination(path, like[0], len(pages))
    kinds = [picture.header.interpretation for picture in like]
    _write(path, pages, kinds, like[0].header if keep_metadata else None)


def _write(path: str | Path, pages: Sequence[NDArray[Any]], kinds: Sequence[str], header: Any) -> None:
    alike = len({(page.shape, page.dtype, kind) for page, kind in zip(pages, kinds, strict=True)}) == 1
    first = np.concatenate(pages) if alike else pages[0]
    with written_beside(path) as part:
        _save(part, first, kinds[0], header, pages[0].shape[0])
        if alike:
            return
        with tempfile.TemporaryDirectory(dir=part.parent, prefix=".") as folder:
            for page, kind in zip(pages[1:], kinds[1:], strict=True):  # libvips writes only pages of one size
                other = Path(folder) / "page.tif"
                _save(other, page, kind, None, page.shape[0])
                put_page(part, other)


def _save(part: Path, pixels: NDArray[Any], kind: str, header: Any, page_height: int) -> None:
    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=kind)
    if header:
        image = image.copy(xres=header.xres, yres=header.yres)
        for field in header.get_fields():
            if field in _KEPT_FIELDS or field.startswith("exif-"):
                image.set_type(header.get_typeof(field), field, header.get(field))
        image.set_type(pyvips.GValue.gint_type, "orientation", 1)  # or the EXIF block would bring back the camera's
    if page_height < image.height:
        image.set_type(pyvips.GValue.gint_type, "page-height", page_height)
    try:
        image.write_to_file(str(part), **_SAVE[_suffix(part)])
        if header and _suffix(part) == ".tif" and "exif-data" in header.get_fields():
            exif = exif_in(header.get("exif-data").removeprefix(b"Exif\0\0"))
            if exif:
                put_exif(part, exif)
    except pyvips.Error as error:
        raise OSError(f"the picture could not be written ({_first_line(error)})") from None
    except struct.error:
        raise OSError("a TIFF file cannot be larger than 4 GB") from None


def write_view(path: str | Path, pages: Sequence[NDArray[Any]]) -> None:
    """Write pictures made to be looked at, or figures, without metadata: a page each."""
    kinds = ["b-w" if page.ndim == 2 else "srgb" if page.dtype == np.uint8 else "scrgb" for page in pages]
    _write(path, pages, kinds, None)


def _suffix(path: str | Path) -> str:
    suffix = Path(path).suffix.lower()
    return _SAME.get(suffix, suffix)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error.detail if isinstance(error, pyvips.Error) else error).splitlines()]
    return next((line for line in lines if line), "no reason given")
