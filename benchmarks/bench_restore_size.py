"""Seconds and memory of restoration by size of the picture: docs/restoration_size.png.

    pip install -e .[benchmarks]
    python benchmarks/bench_restore_size.py [--photograph plate.jpg] [--megapixels 1 4 16]
    python benchmarks/bench_restore_size.py --memory 50

Parts of a photograph (mirrored copies of it, where it is too small), scratched: 5% of the pixels, and an area that is
as large in all sizes (5% of the smallest). --memory gives the peak of a process that restores a colour picture of so
many megapixels with 1% lost, beside what its arrays take. By default the painting that ships.
"""

import argparse
import contextlib
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import skimage.io

from fmkit.datasets import load_harvesters, make_damage
from fmkit.restore import restore_image

MB = 2**20


def picture_of(photograph, megapixels):
    """A colour picture of that size, sides as 3 to 4."""
    whole = skimage.io.imread(photograph)[..., :3] if photograph else load_harvesters().picture
    shape = round((megapixels * 0.75e6) ** 0.5), round((megapixels / 0.75 * 1e6) ** 0.5)
    start = [max(0, (n - m) // 2) for n, m in zip(whole.shape, shape, strict=False)]
    part = whole[start[0] : start[0] + shape[0], start[1] : start[1] + shape[1]]
    missing = [(0, n - m) for n, m in zip(shape, part.shape, strict=False)]
    return np.ascontiguousarray(np.pad(part, [*missing, (0, 0)], mode="symmetric"))


def seconds(picture, share, quality):
    lost = make_damage(picture.shape[:2], "scratches", share=share, random_state=0)
    picture[lost] = 255
    begin = time.perf_counter()
    restore_image(picture, lost, quality=quality)
    return time.perf_counter() - begin


def sizes(chosen):
    smallest = min(chosen.megapixels)
    rows = []
    restore_image(np.zeros((64, 64, 3), np.uint8), np.eye(64, dtype=bool))  # compiles the kernels
    print("megapixels, seconds with 5% scratched, seconds with the same area scratched")
    for megapixels in chosen.megapixels:
        parts = [0.05, 0.05 * smallest / megapixels]
        row = [seconds(picture_of(chosen.photograph, megapixels), share, chosen.quality) for share in parts]
        rows.append(row)
        print(f"{megapixels:10g} {row[0]:10.1f} {row[1]:10.1f}", flush=True)
        if chosen.out:
            draw(chosen, rows)


def draw(chosen, rows):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    area = 0.05 * min(chosen.megapixels)
    for column, label in ((0, "5% of the picture lost"), (1, f"{area:g} megapixels lost")):
        axes.plot(chosen.megapixels[: len(rows)], [row[column] for row in rows], "o-", label=label)
    axes.set(xscale="log", yscale="log", xlabel="megapixels, colour", ylabel="seconds", title="Scratches filled")
    axes.set_xticks(chosen.megapixels, [f"{m:g}" for m in chosen.megapixels])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(chosen.out, dpi=120, bbox_inches="tight")
    plt.close(figure)


def memory(chosen):
    """Measured in a fresh process, for a process never forgets its peak."""
    command = [sys.executable, __file__, "--measured", str(chosen.memory), "--share", str(chosen.share)]
    command += ["--limit", str(chosen.limit), "--quality", chosen.quality]
    if chosen.photograph:
        command += ["--photograph", str(chosen.photograph)]
    subprocess.run(command, check=True)


def measure(chosen):
    picture = picture_of(chosen.photograph, chosen.measured)
    lost = make_damage(picture.shape[:2], "scratches", share=chosen.share, random_state=0)
    picture[lost] = 255
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    begin, part = time.perf_counter(), 0.0

    def stop_in_time(done, total):
        nonlocal part
        part = done / total
        if time.perf_counter() - begin > chosen.limit:
            raise TimeoutError

    with contextlib.suppress(TimeoutError):
        restore_image(picture, lost, quality=chosen.quality, progress=stop_in_time)
    took = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{chosen.measured:g} megapixels in colour, {lost.mean():.1%} lost: {part:.0%} of it in {took:.0f} s; "
        f"picture and mask {(picture.nbytes + lost.nbytes) / MB:.0f} MB, "
        f"peak {before / MB:.0f} MB before, {peak / MB:.0f} MB in all"
    )


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--photograph", type=Path)
    arguments.add_argument("--megapixels", type=float, nargs="+", default=[1, 4, 16])
    arguments.add_argument("--quality", default="balanced", choices=["fast", "balanced", "best"])
    arguments.add_argument("--out", type=Path, metavar="FILE.png", help="the figure")
    arguments.add_argument("--memory", type=float, metavar="MEGAPIXELS")
    arguments.add_argument("--share", type=float, default=0.01, help="lost, with --memory")
    arguments.add_argument("--limit", type=float, default=600, help="seconds after which --memory gives up")
    arguments.add_argument("--measured", type=float, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.measured:
        measure(chosen)
    elif chosen.memory:
        memory(chosen)
    else:
        sizes(chosen)


if __name__ == "__main__":
    main()
