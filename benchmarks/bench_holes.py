"""Wide holes beside the inpainting of OpenCV and scikit-image and the classical exemplar fill: PSNR, SSIM, seconds.

    pip install -e .[benchmarks]
    python benchmarks/bench_holes.py [--sides 16 32 64] [--seeds 3] [--pictures camera ... photo.png] [--sheet out.png]

Squares at random places over 5% of the picture, which is gray; scores over the whole picture, means over the seeds.
--sheet draws the first holes of every picture, seed 0: damaged, each method, the truth.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import skimage.color
import skimage.data
import skimage.io
from patchmatch import patchmatch_fill
from scipy.ndimage import find_objects, label
from skimage.metrics import structural_similarity
from skimage.restoration import inpaint_biharmonic

from fmkit.restore import restore_image

MARGIN, ZOOM = 24, 2  # of a sheet's crops, in pixels


def squares(shape, side, seed, share=0.05):
    rng, lost = np.random.default_rng(seed), np.zeros(shape, bool)
    while lost.mean() < share:
        row, column = (int(rng.integers(n - side + 1)) for n in shape)
        square = np.s_[row : row + side, column : column + side]
        lost[square] |= not lost[square].any()
    return lost


def gray_picture(name):
    pixels = skimage.io.imread(name) if Path(name).exists() else getattr(skimage.data, name)()
    return np.round(skimage.color.rgb2gray(pixels[..., :3]) * 255).astype(np.uint8) if pixels.ndim == 3 else pixels


def biharmonic(damaged, lost):
    return np.clip(np.round(inpaint_biharmonic(damaged, lost) * 255), 0, 255).astype(np.uint8)


METHODS = {
    "Telea": lambda damaged, lost: cv2.inpaint(damaged, lost.astype(np.uint8), 3, cv2.INPAINT_TELEA),
    "Navier-Stokes": lambda damaged, lost: cv2.inpaint(damaged, lost.astype(np.uint8), 3, cv2.INPAINT_NS),
    "biharmonic": biharmonic,
    "PatchMatch": patchmatch_fill,
    "fmkit": restore_image,
}


def score(picture, restored):
    error = np.mean((restored.astype(float) - picture) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9)), structural_similarity(picture, restored)


def rows_of_crops(picture, lost, restored, n_holes):
    """One row of crops a hole, enlarged."""
    rows = []
    for rows_, columns in find_objects(label(lost)[0])[:n_holes]:
        window = tuple(slice(max(0, s.start - MARGIN), s.stop + MARGIN) for s in (rows_, columns))
        crops = [np.where(lost, 128, picture).astype(np.uint8)[window], *(x[window] for x in restored), picture[window]]
        crops = [cv2.resize(crop, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC) for crop in crops]
        rows.append(np.hstack([np.pad(crop, 2, constant_values=255) for crop in crops]))
    return rows


def write_sheet(path, rows, names):
    width = max(row.shape[1] for row in rows)
    head = np.full((24, width), 255, np.uint8)
    for i, name in enumerate(["damaged", *names, "truth"]):
        place = (4 + i * rows[0].shape[1] // (len(names) + 2), 16)
        cv2.putText(head, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 0, 1, cv2.LINE_AA)
    rows = [np.pad(row, [(0, 0), (0, width - row.shape[1])], constant_values=255) for row in rows]
    cv2.imwrite(str(path), np.vstack([head, *rows]))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--pictures", nargs="+", default=["camera", "astronaut", "chelsea", "coffee"])
    arguments.add_argument("--sides", nargs="+", type=int, default=[16, 32])
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    arguments.add_argument("--sheet", type=Path)
    arguments.add_argument("--holes", type=int, default=4, help="holes of each picture and side on the sheet")
    chosen = arguments.parse_args()

    warm = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    for method in chosen.methods:  # compiles the kernels
        METHODS[method](warm, np.pad(np.ones((24, 24), bool), 20))
    sheet = []
    print(f"{'side':6}{'picture':14}" + "".join(f"{name:>24}" for name in chosen.methods))
    for side in chosen.sides:
        table = []
        for name in chosen.pictures:
            picture = gray_picture(name)
            rows = np.zeros((len(chosen.methods), chosen.seeds, 3))
            for seed in range(chosen.seeds):
                lost, restored = squares(picture.shape, side, seed), []
                damaged = np.where(lost, 0, picture).astype(np.uint8)
                for i, method in enumerate(chosen.methods):
                    begin = time.perf_counter()
                    restored.append(METHODS[method](damaged, lost))
                    rows[i, seed] = *score(picture, restored[-1]), time.perf_counter() - begin
                if seed == 0 and chosen.sheet:
                    sheet += rows_of_crops(picture, lost, restored, chosen.holes)
            table.append(rows.mean(axis=1))
            print_row(side, Path(name).stem, table[-1])
        print_row(side, "mean", np.mean(table, axis=0))
    if chosen.sheet:
        write_sheet(chosen.sheet, sheet, chosen.methods)


def print_row(side, name, means):
    cells = (f"{psnr:.2f} dB {ssim:.4f} {seconds:5.1f} s" for psnr, ssim, seconds in means)
    print(f"{side:<6}{name:14}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
