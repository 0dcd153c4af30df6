"""`fmkit damage`: a clean picture in, a damaged one and its mask out."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path)
# Written out: the module that draws them waits for numpy and scipy, and --help should not.
KINDS = ("painting", "random", "scratches", "text", "blotches", "rows", "columns", "holes", "cracks", "flakes")


@click.command()
@click.argument("clean", type=FILE)
@click.option("--kind", type=click.Choice(KINDS), default="painting", show_default=True, help="What is lost.")
@click.option("--share", type=float, metavar="S", help="Part of the pixels to lose, between 0 and 1.")
@click.option("--size", type=click.IntRange(min=1), metavar="N", help="In pixels; of what, see above.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Of the drawing.")
@click.option("--out", type=FILE, metavar="FILE", help="The damaged picture (.png, .jpg, .tif, .webp).")
@click.option("--mask", "mask_path", type=FILE, metavar="FILE", help="A picture that is white where pixels are lost.")
@click.option("--colour", default="white", show_default=True, help="Of lost pixels: a name, #rrggbb, or alpha.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--quiet", is_flag=True, help="No notes on stderr.")
def damage(
    clean: Path,
    kind: str,
    share: float | None,
    size: int | None,
    seed: int,
    out: Path | None,
    mask_path: Path | None,
    colour: str,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Damage the picture CLEAN, to try restoration where the truth is known.

    \b
    kind       what is lost                     share   size
    painting   cracks, scratches and flakes     (8%)    -
    random     every pixel by itself            0.5     -
    scratches  bent lines                       0.05    4, widest line
    text       lines of text                    0.1     16, height of capitals
    blotches   smooth blobs                     0.1     12, half their width
    rows       whole lines                      0.1     1, lines together
    columns    whole columns                    0.1     1, columns together
    holes      squares                          0.05    16, side
    cracks     craquelure                       0.03    24, from crack to crack
    flakes     ragged blobs                     0.015   9, half their width

    The same seed, size of picture and options lose the same pixels. Without --out and --mask, CLEAN_damaged.png (.tif
    for a TIFF) and CLEAN_damaged_mask.png are written beside CLEAN, where `fmkit restore` finds the mask by its name.

    \b
    fmkit damage photo.png --kind random --share 0.8
    fmkit restore photo_damaged.png --truth photo.png
    """
    from fmkit.datasets import make_damage
    from fmkit.restore.album import beside, check_outputs
    from fmkit.restore.lost import paint
    from fmkit.restore.picture_file import check_destination, read_picture, write_picture, write_view

    picture = read_picture(clean)
    out = out or beside(clean, "damaged")
    mask_path = mask_path or out.with_name(f"{out.stem}_mask.png")
    check_outputs([out, mask_path], [clean], overwrite)
    mask = make_damage(picture.pixels.shape[:2], kind, share=share, size=size, random_state=seed)
    damaged = paint(picture, mask, colour, clean)
    check_destination(out, damaged)
    write_picture(out, damaged.pixels, damaged)
    write_view(mask_path, [mask.astype("u1") * 255])
    if not quiet:
        click.echo(f"fmkit: {mask.mean():.1%} of the pixels lost: {out}, where: {mask_path}", err=True)
