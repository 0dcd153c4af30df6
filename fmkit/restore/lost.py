"""Which pixels of a picture are lost: told by a mask, by a colour or by transparency."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from fmkit.errors import InputError
from fmkit.restore.picture_file import Picture, read_pages, without_alpha

SAME = 0.1  # of the range: how far a channel of one colour may be off, for JPEG and paper make it uneven
BLACK = 0.1  # of the full brightness; scanned and JPEG masks have no pure black
MOST_PLAIN = 0.8  # share of a mask's pixels that are nearly black or white, soft edges aside

COLOURS = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
}


def parse_colour(text: str) -> tuple[int, int, int]:
    """Red, green and blue of 0 to 255, of a name in `COLOURS` or of #rrggbb.

    Raises
    ------
    InputError
        If it is neither.
    """
    if text.lower() in COLOURS:
        return COLOURS[text.lower()]
    digits = text.removeprefix("#")
    if text.startswith("#") and len(digits) == 6 and all(digit in "0123456789abcdefABCDEF" for digit in digits):
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    raise InputError(f"{text!r} is no colour: name one of {', '.join(COLOURS)}, or write it as #rrggbb")


def lost_by_mask(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels of a mask picture of at least half its full brightness, in any colour, and not transparent.

    Parameters
    ----------
    mask : integer or float ndarray of shape (n_rows, n_columns) or (n_rows, n_columns, n_channels)
        Of 2 or 4 channels the last is alpha. Floats are bright from 0.5 on; in a mask of 0 and 1, ones are lost.
    """
    half = (np.iinfo(mask.dtype).max + 1) // 2 if mask.dtype.kind in "iu" else 0.5
    if mask.max() == 1:
        half = 1  # an array of 0 and 1 that somebody saved
    bright = mask.reshape(*mask.shape[:2], -1) >= half
    if bright.shape[2] in (2, 4):
        return np.asarray(bright[:, :, :-1].any(axis=2) & bright[:, :, -1])
    return np.asarray(bright.any(axis=2))


def looks_like_a_mask(mask: NDArray[Any]) -> bool:
    """Whether most of a picture is nearly black or white, as masks are and photographs are not."""
    full = np.iinfo(mask.dtype).max if mask.dtype.kind in "iu" and mask.max() > 1 else 1
    values = without_alpha(mask)
    return bool(((values < BLACK * full) | (values > (1 - BLACK) * full)).mean() > MOST_PLAIN)


def lost_by_colour(pixels: NDArray[Any], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Pixels of exactly one colour, alpha aside.

    Parameters
    ----------
    pixels : uint8 or uint16 ndarray of shape (n_rows, n_columns) or (n_rows, n_columns, 1 to 4)
    colour : tuple of int
        Red, green and blue of 0 to 255.

    Raises
    ------
    InputError
        If the picture holds neither 8 nor 16 bits, or is gray and the colour is not.
    """
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"lost pixels are told by their colour in pictures of 8 or 16 bits, not of {pixels.dtype}")
    channels = pixels.reshape(*pixels.shape[:2], -1)
    if channels.shape[2] < 3 and len(set(colour)) > 1:
        raise InputError("the picture is gray: its lost pixels are told by a gray value, such as white or #808080")
    n_colours = 1 if channels.shape[2] < 3 else 3
    return np.asarray(
        (channels[:, :, :n_colours] == np.array(colour[:n_colours]) * (np.iinfo(pixels.dtype).max // 255)).all(axis=2)
    )


def lost_by_pixel(picture: Picture, row: int, column: int) -> NDArray[np.bool_]:
    """Pixels of nearly the colour of one of them, as of a pen or a stamp, and those around: a stroke's edges are mixed.

    Parameters
    ----------
    picture : Picture
    row, column : int
    """
    colours = picture.colours.reshape(*picture.pixels.shape[:2], -1)
    if colours.dtype.kind in "iu":
        span = float(np.iinfo(colours.dtype).max)
    else:
        known = colours[np.isfinite(colours)]
        span = float(np.ptp(known)) if known.size else 0.0
    like = np.ones(colours.shape[:2], np.bool_)
    for channel in range(colours.shape[2]):  # one at a time: a picture of 50 megapixels in floats has 600 MB
        plane = colours[:, :, channel]
        like &= np.abs(plane - np.float32(plane[row, column])) <= SAME * span
    return np.asarray(binary_dilation(like, np.ones((3, 3))))


def lost_by_alpha(picture: Picture, path: str | Path) -> NDArray[np.bool_]:
    """Pixels that are wholly transparent.

    Raises
    ------
    InputError
        If the picture has no alpha channel.
    """
    if not picture.has_alpha:
        raise InputError("the picture has no alpha channel for --lost alpha", path=path)
    return np.asarray(picture.pixels[:, :, -1] == 0)


def lost_by_mask_file(
    path: str | Path, pages: Sequence[Picture], note: Callable[[str], object] = lambda sentence: None
) -> list[NDArray[np.bool_]]:
    """What a mask file says of each page of a picture; its own pages are as many, or one for all.

    Parameters
    ----------
    path : path
    pages : sequence of Picture
    note : callable of (sentence), optional
        Told if it looks like a photograph.

    Raises
    ------
    InputError
        If it is no picture, or its pages do not fit.
    OSError
        If it cannot be read.
    """
    masks = read_pages(path)
    if len(masks) not in (1, len(pages)):
        raise InputError(
            f"the mask has {len(masks)} pages, the picture {len(pages)}: one is needed, or as many", path=path
        )
    if not all(looks_like_a_mask(mask.pixels) for mask in masks):
        note(f"{path} looks like no mask, which is black and white: what is bright in it is taken for lost")
    lost = []
    for page, mask in zip(pages, masks * len(pages) if len(masks) == 1 else masks, strict=True):
        (rows, columns), (mask_rows, mask_columns) = page.pixels.shape[:2], mask.pixels.shape[:2]
        if (rows, columns) != (mask_rows, mask_columns):
            raise InputError(
                f"the mask has {mask_columns} x {mask_rows} pixels, the picture as it is displayed {columns} x {rows}: "
                "they must be the same",
                path=path,
            )
        lost.append(lost_by_mask(mask.pixels))
    return lost


def opaque(picture: Picture) -> Any:
    """The alpha value of pixels that are not transparent at all."""
    kind = picture.pixels.dtype
    return np.iinfo(kind).max if kind.kind in "iu" else picture.pixels[:, :, -1].max()


def paint(picture: Picture, lost: NDArray[np.bool_], colour: str, path: str | Path) -> Picture:
    """The picture with its lost pixels in one colour (of `parse_colour`) or, with "alpha", transparent.

    Raises
    ------
    InputError
        If the colour is none, or the picture cannot hold it.
    """
    pixels = picture.pixels.copy()
    if colour == "alpha":
        if not picture.has_alpha:
            full = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1
            pixels = np.dstack([pixels, np.full(pixels.shape[:2], full, pixels.dtype)])
        pixels[lost, -1] = 0
        return Picture(pixels, True, picture.header)
    red_green_blue = parse_colour(colour)
    colours = without_alpha(pixels)
    colours = colours.reshape(*colours.shape[:2], -1)
    if colours.shape[2] == 1 and len(set(red_green_blue)) > 1:
        raise InputError("the picture is gray: its lost pixels can be white, black or a gray as #808080", path=path)
    unit = np.iinfo(pixels.dtype).max // 255 if pixels.dtype.kind in "iu" else float(np.nanmax(colours)) / 255
    colours[lost] = (np.array(red_green_blue[: colours.shape[2]]) * unit).astype(pixels.dtype)
    return Picture(pixels, picture.has_alpha, picture.header)
