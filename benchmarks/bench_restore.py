"""Restoration beside OpenCV, scikit-image, PatchMatch and a rank-based method: PSNR and SSIM over the whole picture.

    pip install -e .[benchmarks]
    python benchmarks/bench_restore.py [--damage 50% 80% 90% scratches text holes16 holes32] [--cache FILE.json]
    python benchmarks/bench_restore.py --colour
    python benchmarks/bench_restore.py --regular --kodak DIRECTORY
    python benchmarks/bench_restore.py --bayer --kodak DIRECTORY

Four photographs of scikit-image in gray, three seeds of damage, means over both; known pixels as given, peak 255.
"in 90%" is the share of lost pixels whose error is within 1.645 standard deviations, by `return_std=True`.

--colour does the same with the colour photographs in colour. --regular is no table of means but a hunt for defeats:
Kodak's photographs and regular textures, one seed, each picture and damage beside the best of the classical tools.
--bayer gives one known colour a pixel (R G, G B), beside OpenCV's demosaicing; 4 pixels of border are not scored.

The cache keeps what each method reached, fmkit's until its sources change; seconds are of the machine as it was then.
"""

import argparse
import json
import os
import time
import zlib
from pathlib import Path

import numpy as np
import skimage.color
import skimage.data
import skimage.io
from rivals import DEMOSAICS, FILLS
from skimage.metrics import structural_similarity
from tabulate import tabulate

import fmkit.restore
from fmkit.datasets import make_damage
from fmkit.restore import restore_image

DAMAGE = ("50%", "80%", "90%", "scratches", "text", "holes16", "holes32")
PICTURES = ("camera", "astronaut", "chelsea", "coffee")
MACHINES = ("als", "sgd", "mcmc")  # plain factorization machines: --methods fmkit als sgd mcmc
TEXTURES = ("brick", "grass", "gravel")
BORDER = 4  # pixels that demosaicing is not scored on


def lost_pixels(damage, shape, seed):
    """`damage` is a share of pixels (80%), holes and their side (holes32), or a kind that `make_damage` knows."""
    if damage.endswith("%"):
        return make_damage(shape, "random", share=float(damage[:-1]) / 100, random_state=seed)
    if damage.startswith("holes"):
        return make_damage(shape, "holes", size=int(damage[5:]), random_state=seed)
    return make_damage(shape, damage, random_state=seed)


def read(name, colour=False):
    pixels = skimage.io.imread(name) if Path(name).exists() else getattr(skimage.data, name)()
    if pixels.ndim == 2 or colour:
        return pixels[..., :3] if pixels.ndim == 3 else pixels
    return np.round(skimage.color.rgb2gray(pixels[..., :3]) * 255).astype(np.uint8)


def psnr(picture, restored):
    error = np.mean((restored.astype(float) - picture) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


def score(picture, restored, seconds):
    ssim = structural_similarity(picture, restored, channel_axis=-1 if picture.ndim == 3 else None)
    return {"psnr": psnr(picture, restored), "ssim": float(ssim), "seconds": seconds}


class Scores:
    """What each method reached, computed once and kept in a file; fmkit anew whenever its sources changed."""

    def __init__(self, path):
        self.path, self.kept = path, {}
        sources = sorted(Path(fmkit.restore.__file__).parent.glob("*.py"))
        self.sources = zlib.crc32(b"".join(path.read_bytes() for path in sources))

    def of(self, method, damage, picture, name, seed, quality, sure=True):
        lost = lost_pixels(damage, picture.shape[:2], seed)
        damaged = blanked(picture, lost)
        key = f"{method}, {Path(name).stem}, {damage}, seed {seed}, {zlib.crc32(damaged.tobytes()):08x}"
        if method == "fmkit" or method in MACHINES:
            key += f", {quality}{'' if sure else ', no std'}, {self.sources:08x}"
        self._read()
        if key not in self.kept:
            begin = time.perf_counter()
            std = None
            if method in MACHINES:
                restored = restore_image(damaged, lost, quality=quality, method=method)
            elif method != "fmkit":
                restored = FILLS[method](damaged, lost)
            elif sure:
                restored, std = restore_image(damaged, lost, quality=quality, return_std=True)
            else:
                restored = restore_image(damaged, lost, quality=quality)
            found = score(picture, restored, time.perf_counter() - begin)
            if std is not None:
                error = np.abs(restored[lost].astype(float) - picture[lost])
                found["inside"] = float((error <= 1.645 * std[lost]).mean())
            self._read()
            self.kept[key] = found
            if self.path:
                part = self.path.with_suffix(f".{os.getpid()}")
                part.write_text(json.dumps(self.kept, indent=0))
                part.replace(self.path)
        return self.kept[key]

    def _read(self):
        """Other runs may have added to the file."""
        if self.path and self.path.exists():
            self.kept |= json.loads(self.path.read_text())


def blanked(picture, lost):
    damaged = picture.copy()
    damaged[lost] = 0
    return damaged


def suits(method, damage):
    """PatchMatch fills holes; on scattered pixels no known patch is left to copy."""
    return method != "PatchMatch" or damage.startswith("holes")


def means_table(chosen, scores):
    pictures = {name: read(name, chosen.colour) for name in chosen.pictures}
    if chosen.colour:
        pictures = {name: picture for name, picture in pictures.items() if picture.ndim == 3}
    print(f"{', '.join(Path(name).stem for name in pictures)}; {chosen.seeds} seeds; PSNR dB, SSIM, seconds")
    header = ["damage", *chosen.methods, *(["in 90%"] if "fmkit" in chosen.methods else [])]
    rows, parts = [], []
    for damage in chosen.damage:
        row, psnrs, inside = [damage], [], []
        for method in chosen.methods:
            if not suits(method, damage):
                row.append("")
                continue
            found = [
                [scores.of(method, damage, picture, name, seed, chosen.quality) for seed in range(chosen.seeds)]
                for name, picture in pictures.items()
            ]
            mean = {key: np.mean([[s[key] for s in part] for part in found]) for key in found[0][0]}
            row.append(f"{mean['psnr']:.2f} {mean['ssim']:.3f} {mean['seconds']:.1f}")
            if method == "fmkit":
                inside = [f"{mean['inside']:.1%}"]
                psnrs = [f"{np.mean([s['psnr'] for s in part]):.2f}" for part in found]
        rows.append(row + inside)
        parts.append([damage, *psnrs])
        print(" | ".join(rows[-1]), flush=True)
    print("\n" + tabulate(rows, header, disable_numparse=True))
    if "fmkit" in chosen.methods:
        print("\nfmkit by picture, PSNR\n" + tabulate(parts, ["damage", *(Path(name).stem for name in pictures)]))


def regular_table(chosen, scores):
    """fmkit minus the best of the classical tools, dB, for each picture and damage; defeats bear a mark."""
    rows, defeats = [], []
    for name in [*TEXTURES, *map(str, sorted(chosen.kodak.glob("*.png")))]:
        picture, row = read(name), [Path(name).stem]
        for damage in chosen.damage:
            tools = {
                method: scores.of(method, damage, picture, name, 0, chosen.quality)["psnr"]
                for method in ("Telea", "Navier-Stokes", "biharmonic", "PatchMatch")
                if suits(method, damage)
            }
            best = max(tools, key=tools.get)
            own = scores.of("fmkit", damage, picture, name, 0, chosen.quality, sure=False)["psnr"]
            row.append(f"{own - tools[best]:+.2f}" + (" !" if own < tools[best] else ""))
            if own < tools[best]:
                defeats.append(f"{row[0]}, {damage}: fmkit {own:.2f}, {best} {tools[best]:.2f}")
        rows.append(row)
        print(" | ".join(row), flush=True)
    print("\n" + tabulate(rows, ["fmkit minus best tool", *chosen.damage], disable_numparse=True))
    print(f"\n{len(defeats)} of {len(rows) * len(chosen.damage)} are defeats", *defeats, sep="\n")


def mosaic_of(picture):
    """One known colour a pixel: the mosaic, and where each channel is unknown."""
    unknown = np.ones(picture.shape, bool)
    unknown[::2, ::2, 0] = unknown[::2, 1::2, 1] = unknown[1::2, ::2, 1] = unknown[1::2, 1::2, 2] = False
    return np.where(unknown, 0, picture).sum(axis=2).astype(np.uint8), unknown


def bayer_table(chosen):
    flat = np.broadcast_to(np.array([200, 90, 30], np.uint8), (32, 32, 3))
    for method, demosaic in DEMOSAICS.items():  # the order of channels, told by a flat colour
        if not (demosaic(mosaic_of(flat)[0])[8:-8, 8:-8] == flat[8:-8, 8:-8]).all():
            raise SystemExit(f"{method} does not return a flat colour: wrong code for this mosaic")
    rows, inner = [], np.s_[BORDER:-BORDER, BORDER:-BORDER]
    for path in sorted(chosen.kodak.glob("*.png")):
        picture = read(str(path), colour=True)
        mosaic, unknown = mosaic_of(picture)
        row = [path.stem]
        row += [psnr(picture[inner], demosaic(mosaic)[inner]) for demosaic in DEMOSAICS.values()]
        begin = time.perf_counter()
        restored = restore_image(np.where(unknown, 0, picture).astype(np.uint8), unknown, quality=chosen.quality)
        row += [psnr(picture[inner], restored[inner]), time.perf_counter() - begin]
        rows.append(row)
        print(*row, flush=True)
    rows.append(["mean", *np.mean([row[1:] for row in rows], axis=0)])
    print("\n" + tabulate(rows, ["PSNR, dB", *DEMOSAICS, "fmkit", "seconds"], floatfmt=".2f"))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--pictures", nargs="+", default=PICTURES, help="of skimage.data, or files")
    arguments.add_argument("--damage", nargs="+", default=DAMAGE)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--methods", nargs="+", default=[*FILLS, "fmkit"], choices=[*FILLS, "fmkit", *MACHINES])
    arguments.add_argument("--quality", default="balanced", choices=["fast", "balanced", "best"])
    arguments.add_argument("--cache", type=Path, metavar="FILE.json", help="keeps scores from run to run")
    arguments.add_argument("--colour", action="store_true", help="colour pictures as they are")
    arguments.add_argument("--regular", action="store_true", help="each of many pictures beside the best tool")
    arguments.add_argument("--bayer", action="store_true", help="one known colour a pixel")
    arguments.add_argument("--kodak", type=Path, default=Path("kodak"), help="directory of Kodak's photographs, PNG")
    chosen = arguments.parse_args()

    warm = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    for method in chosen.methods:  # compiles the kernels
        lost = np.pad(np.ones((24, 24), bool), 20)
        FILLS.get(method, restore_image)(warm, lost)
    if chosen.bayer:
        bayer_table(chosen)
    elif chosen.regular:
        regular_table(chosen, Scores(chosen.cache))
    else:
        means_table(chosen, Scores(chosen.cache))


if __name__ == "__main__":
    main()
