"""Restored pictures to look at: docs/restoration_sheet.jpg and docs/restoration_holes.jpg.

    pip install -e .[benchmarks]
    python benchmarks/contact_sheet.py [--kodak DIRECTORY] [--plate plate.jpg --place ROW COLUMN] [--out docs]

The sheet shows pictures damaged in different ways: damaged, the best of the classical tools by PSNR, fmkit, the truth,
at full size; whole pictures are restored, crops of them shown. A plate is damaged already: the mask that `find_damage`
finds stands in place of the truth, and no tool can be called best, so Navier-Stokes is shown.
The other picture shows single holes, enlarged: damaged, biharmonic, PatchMatch, fmkit, the truth.

--scans DIRECTORY writes all of it as whole PNG pictures, to be looked at closely.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from bench_restore import lost_pixels, psnr, read
from PIL import Image, ImageDraw, ImageFont
from rivals import FILLS

from fmkit.datasets import load_harvesters, make_damage
from fmkit.restore import find_damage, restore_image

CROP = (230, 300)  # rows and columns of the sheet's crops
HOLE_CELL = (200, 200)  # and of those of holes, which are enlarged to it
LABEL = 18  # pixels of a line of writing
PLATE = 900  # pixels of a plate's part that is worked on, a side
LARGEST = 600_000  # bytes of a picture in docs/

# Picture, damage as in bench_restore.py, centre of the crop. Kodak's come with --kodak.
SHEET = (
    ("harvesters", "war", (520, 730)),
    ("camera", "80%", (150, 250)),
    ("astronaut", "text", (120, 220)),
    ("chelsea", "scratches", (130, 220)),
    ("coffee", "holes16", (170, 330)),
    ("kodim08", "90%", (270, 380)),
    ("kodim19", "war", (420, 250)),
)

# Picture, centre of the hole, its side.
HOLES = (
    ("chelsea", (120, 215), 32),
    ("brick", (200, 200), 32),
    ("coffee", (190, 420), 32),
    ("camera", (330, 200), 64),
    ("harvesters", (560, 420), 64),
    ("astronaut", (60, 330), 64),
    ("grass", (250, 250), 110),
    ("harvesters", (230, 800), 110),
    ("gravel", (300, 200), 110),
)


def picture_of(name, kodak):
    if name == "harvesters":
        return load_harvesters().picture
    path = kodak / f"{name}.png" if kodak else None
    return read(str(path) if path and path.exists() else name, colour=True)


def wounded(picture, damage, seed=0):
    """The damaged picture as it would look, and what is lost."""
    shape = picture.shape[:2]
    if damage != "war":
        lost = lost_pixels(damage, shape, seed)
        damaged = picture.copy()
        damaged[lost] = 255 if damage == "text" else 0
        return damaged, lost
    rng = np.random.default_rng(seed)
    cracks = make_damage(shape, "cracks", random_state=rng)
    losses = make_damage(shape, "flakes", share=0.03, size=10, random_state=rng)
    soot = make_damage(shape, "blotches", share=0.04, size=14, random_state=rng)
    damaged = picture.copy()
    speckle = rng.normal(0, 6, shape)[..., None]
    for mask, colour in ((cracks, (60, 48, 40)), (losses, (214, 206, 190)), (soot, (24, 21, 20))):
        paint = np.clip(np.array(colour)[: picture.shape[2] if picture.ndim == 3 else 1] + speckle, 0, 255)
        damaged[mask] = (paint if picture.ndim == 3 else paint[..., 0])[mask].astype(np.uint8)
    return damaged, cracks | losses | soot


def best_tool(picture, damaged, lost):
    """Name and answer of the classical tool with the highest PSNR."""
    fills = {name: FILLS[name](damaged, lost) for name in ("Telea", "Navier-Stokes", "biharmonic")}
    best = max(fills, key=lambda name: psnr(picture, fills[name]))
    return best, fills[best]


def crop(picture, centre, shape):
    corner = [min(max(0, c - n // 2), max(0, m - n)) for c, n, m in zip(centre, shape, picture.shape, strict=False)]
    part = picture[corner[0] : corner[0] + shape[0], corner[1] : corner[1] + shape[1]]
    return np.repeat(part[..., None], 3, axis=2) if part.ndim == 2 else part


def sheet_rows(chosen):
    """Labels and crops, a row a picture."""
    for name, damage, centre in SHEET:
        if name.startswith("kodim") and not chosen.kodak:
            continue
        picture = picture_of(name, chosen.kodak)
        damaged, lost = wounded(picture, damage)
        tool, filled = best_tool(picture, damaged, lost)
        restored = restore_image(damaged, lost, quality=chosen.quality)
        what = {"war": "cracks, losses, soot", "holes16": "holes of 16 px"}.get(damage, damage)
        what = f"{damage} lost" if damage.endswith("%") else what
        labels = [
            f"{name}: {what}, {lost.mean():.0%}" if "%" not in damage else f"{name}: {what}",
            f"{tool}, {psnr(picture, filled):.1f} dB",
            f"fmkit, {psnr(picture, restored):.1f} dB",
            "truth",
        ]
        yield name, labels, [damaged, filled, restored, picture], centre
    if chosen.plate:
        whole = read(str(chosen.plate), colour=True)
        centre = tuple(chosen.place)
        part = crop(whole, centre, (PLATE, PLATE))
        mask, _ = find_damage(part)
        filled = FILLS["Navier-Stokes"](part, mask)
        restored = restore_image(part, mask, quality=chosen.quality)
        labels = [f"{chosen.plate.stem}: its own wear", "Navier-Stokes", "fmkit", f"what was filled, {mask.mean():.1%}"]
        # Where the crop's centre has come to lie in the part.
        inside = [c - min(max(0, c - PLATE // 2), max(0, n - PLATE)) for c, n in zip(centre, whole.shape, strict=False)]
        yield "plate", labels, [part, filled, restored, np.where(mask, 0, 255).astype(np.uint8)], inside


def hole_rows(chosen):
    for name, (row, column), side in HOLES:
        picture = picture_of(name, chosen.kodak)
        lost = np.zeros(picture.shape[:2], bool)
        lost[row - side // 2 : row - side // 2 + side, column - side // 2 : column - side // 2 + side] = True
        damaged = picture.copy()
        damaged[lost] = 0
        fills = {name: FILLS[name](damaged, lost) for name in ("biharmonic", "PatchMatch")}
        fills["fmkit"] = restore_image(damaged, lost, quality=chosen.quality)
        labels = [f"{name}: {side} px"]
        labels += [f"{tool}, {psnr(picture[lost], filled[lost]):.1f} dB" for tool, filled in fills.items()] + ["truth"]
        yield f"{name}_{side}_{row}", labels, [damaged, *fills.values(), picture], (row, column)


def drawn(rows, cells):
    """Rows of (labels, crops) as one picture."""
    font = ImageFont.load_default(size=13)
    height, width = cells
    n = len(rows[0][0])
    canvas = Image.new("RGB", (n * (width + 4), len(rows) * (height + LABEL + 4)), "white")
    draw = ImageDraw.Draw(canvas)
    for i, (labels, crops) in enumerate(rows):
        for j, (label, part) in enumerate(zip(labels, crops, strict=True)):
            place = j * (width + 4), i * (height + LABEL + 4)
            draw.text((place[0] + 2, place[1] + 1), label, "black", font)
            canvas.paste(Image.fromarray(part), (place[0], place[1] + LABEL))
    return canvas


def save(picture, path):
    for quality in range(90, 40, -4):
        picture.save(path, quality=quality, optimize=True)
        if path.stat().st_size < LARGEST:
            break
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB, JPEG quality {quality}")


def scan(chosen, name, labels, pictures):
    if chosen.scans:
        chosen.scans.mkdir(parents=True, exist_ok=True)
        for label, picture in zip(("damaged", *labels[1:]), pictures, strict=True):
            Image.fromarray(picture).save(chosen.scans / f"{name}_{label.split(',')[0].replace(' ', '_')}.png")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--kodak", type=Path, help="directory of Kodak's photographs, PNG")
    arguments.add_argument("--plate", type=Path, help="a damaged photograph")
    arguments.add_argument("--place", type=int, nargs=2, default=(1600, 1800), help="what to show of it")
    arguments.add_argument("--quality", default="balanced", choices=["fast", "balanced", "best"])
    arguments.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs")
    arguments.add_argument("--only", choices=["sheet", "holes"], help="of the two pictures")
    arguments.add_argument("--scans", type=Path, help="directory for whole pictures, PNG")
    chosen = arguments.parse_args()

    if chosen.only != "holes":
        rows = []
        for name, labels, pictures, centre in sheet_rows(chosen):
            scan(chosen, name, labels, pictures)
            rows.append((labels, [crop(picture, centre, CROP) for picture in pictures]))
            print(*labels, sep="; ", flush=True)
        save(drawn(rows, CROP), chosen.out / "restoration_sheet.jpg")
    if chosen.only != "sheet":
        rows = []
        for name, labels, pictures, centre in hole_rows(chosen):
            scan(chosen, f"hole_{name}", labels, pictures)
            side = int(labels[0].split()[-2])
            shape = (side + 2 * max(20, side // 3),) * 2
            parts = [crop(picture, centre, shape) for picture in pictures]
            rows.append((labels, [cv2.resize(part, HOLE_CELL, interpolation=cv2.INTER_CUBIC) for part in parts]))
            print(*labels, sep="; ", flush=True)
        save(drawn(rows, HOLE_CELL), chosen.out / "restoration_holes.jpg")


if __name__ == "__main__":
    main()
