"""`fmkit restore`: a damaged picture in, the picture with its lost pixels filled out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmkit.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fmkit.restore.picture_file import Picture

FILE = click.Path(path_type=Path)


@click.command(no_args_is_help=True)
@click.argument("picture", type=FILE)
@click.option("--mask", "mask_path", type=FILE, metavar="FILE", help="A picture of the same size: lost pixels white.")
@click.option("--lost", metavar="COLOUR", help="Without a mask: white, black, #rrggbb, ..., or alpha (transparent).")
@click.option("--out", type=FILE, metavar="FILE", help="Where to write (.png, .jpg, .tif, .webp).")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Of the grids of patches."
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Threads; the default is every core.")
@click.option("--quiet", is_flag=True, help="No notes and no progress bar on stderr.")
def restore(
    picture: Path, mask_path: Path | None, lost: str | None, out: Path | None, seed: int, jobs: int | None, quiet: bool
) -> None:
    """Fill the lost pixels of PICTURE (PNG, JPEG, TIFF, WebP; gray or RGB, 8 or 16 bits, with alpha or without).

    Lost are the pixels where the mask is at least half bright or, without a mask, those of exactly the colour --lost.
    All others keep their values (not if --out is a JPEG). A photograph with an EXIF orientation is turned upright
    first, and the mask is laid upon it as it is displayed. With --lost alpha, filled pixels become opaque. Without
    --out, the answer is put beside PICTURE as NAME_restored.png (.tif for a TIFF).

    \b
    fmkit restore photo.jpg --mask scratches.png --out photo_restored.png
    fmkit restore scan.tif --lost white
    """
    if (mask_path is None) == (lost is None):
        raise click.UsageError("say which pixels are lost, either by --mask or by --lost")

    from fmkit.restore.picture_file import check_destination, keeps_values, read_picture, write_picture

    out = out or _beside(picture)
    damaged = read_picture(picture)
    check_destination(out, damaged)
    for source in filter(None, (picture, mask_path)):
        if out.exists() and out.samefile(source):
            raise InputError("--out would overwrite what is read: choose another name", path=out)
    is_lost = _lost_by_mask_file(mask_path, damaged) if mask_path else _lost_by_look(lost or "", damaged, picture)
    if is_lost.all():
        raise InputError("every pixel is lost, and nothing is known to fill them from", path=mask_path or picture)

    def note(sentence: str) -> None:
        if not quiet:
            click.echo(f"fmkit: {sentence}", err=True)

    if not keeps_values(out):
        note("JPEG cannot keep the known pixels exactly: --out a .png, .tif or .webp can")
    pixels = _filled(damaged.pixels, is_lost, seed, jobs, quiet)
    if lost == "alpha":
        pixels[is_lost, -1] = _opaque(damaged)
    write_picture(out, pixels, damaged)
    if is_lost.any():
        note(f"{is_lost.sum():,} of {is_lost.size:,} pixels filled: {out}")
    else:
        note(f"no pixel is lost, {out} is a copy")


def _beside(picture: Path) -> Path:
    suffix = ".tif" if picture.suffix.lower() in (".tif", ".tiff") else ".png"
    return picture.with_name(f"{picture.stem}_restored{suffix}")


def _lost_by_mask_file(path: Path, damaged: Picture) -> NDArray[np.bool_]:
    from fmkit.restore.lost import lost_by_mask
    from fmkit.restore.picture_file import read_picture

    mask = read_picture(path).pixels
    (rows, columns), (mask_rows, mask_columns) = damaged.pixels.shape[:2], mask.shape[:2]
    if (rows, columns) != (mask_rows, mask_columns):
        raise InputError(
            f"the mask has {mask_columns} x {mask_rows} pixels, the picture as it is displayed {columns} x {rows}: "
            "they must be the same",
            path=path,
        )
    return lost_by_mask(mask)


def _lost_by_look(lost: str, damaged: Picture, path: Path) -> NDArray[np.bool_]:
    from fmkit.restore.lost import lost_by_colour, parse_colour

    if lost != "alpha":
        return lost_by_colour(damaged.pixels, parse_colour(lost))
    if not damaged.has_alpha:
        raise InputError("the picture has no alpha channel for --lost alpha", path=path)
    transparent: NDArray[np.bool_] = damaged.pixels[:, :, -1] == 0
    return transparent


def _opaque(damaged: Picture) -> Any:
    """The alpha value of pixels that are not transparent at all."""
    import numpy as np

    kind = damaged.pixels.dtype
    return np.iinfo(kind).max if kind.kind in "iu" else damaged.pixels[:, :, -1].max()


def _filled(pixels: NDArray[Any], lost: NDArray[np.bool_], seed: int, jobs: int | None, quiet: bool) -> NDArray[Any]:
    from tqdm import tqdm

    from fmkit.restore import restore_image

    with tqdm(desc="restore", unit=" rows", disable=True if quiet else None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return restore_image(pixels, lost, random_state=seed, n_jobs=jobs, progress=show)
