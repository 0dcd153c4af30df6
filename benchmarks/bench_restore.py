"""Restoration beside the inpainting of OpenCV and scikit-image: PSNR over the whole picture, SSIM, seconds.

    pip install -e .[benchmarks]
    python benchmarks/bench_restore.py [--seeds 3] [--damage scratches text 50% 80%] [--pictures camera astronaut ...]

Random loss, scratches of 1 to 4 pixels over 5% of the picture, and lines of text; pictures of scikit-image, colour as
it is (--gray for gray), means over the seeds.
"""

import argparse
import time

import cv2
import numpy as np
import skimage.color
import skimage.data
from skimage.metrics import structural_similarity
from skimage.restoration import inpaint_biharmonic

from fmkit.restore import restore_image


def scratches(shape, seed):
    """Slightly bent lines, 1 to 4 pixels wide, until 5% of the picture is lost."""
    rng, mask = np.random.default_rng(seed), np.zeros(shape, np.uint8)
    t = np.linspace(0, 1, 12)
    while (mask > 0).mean() < 0.05:
        start, angle, length = rng.uniform(0, shape[::-1]), rng.uniform(0, np.pi), rng.uniform(0.1, 0.6) * max(shape)
        bend = rng.normal(0, 0.03 * length, 2) * np.sin(3 * t)[:, None]
        line = start + length * t[:, None] * [np.cos(angle), np.sin(angle)] + bend
        cv2.polylines(mask, [line.astype(np.int32)], False, 255, int(rng.integers(1, 5)))
    return mask > 0


def text(shape, seed):
    """Lines of text all over the picture, strokes of 2 pixels."""
    rng, mask = np.random.default_rng(seed), np.zeros(shape, np.uint8)
    for y in range(int(rng.integers(15, 40)), shape[0], 40):
        place = (-int(rng.integers(0, 200)), y)
        cv2.putText(
            mask, "The quick brown fox jumps over the lazy dog. " * 4, place, cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2
        )
    return mask > 0


def lost_pixels(damage, shape, seed):
    if damage.endswith("%"):
        return np.random.default_rng(seed).random(shape) < float(damage[:-1]) / 100
    return {"scratches": scratches, "text": text}[damage](shape, seed)


def biharmonic(damaged, lost):
    filled = inpaint_biharmonic(damaged, lost, channel_axis=-1 if damaged.ndim == 3 else None)
    return np.clip(np.round(filled * 255), 0, 255).astype(np.uint8)


METHODS = {
    "fmkit": restore_image,
    "Telea": lambda damaged, lost: cv2.inpaint(damaged, lost.astype(np.uint8), 3, cv2.INPAINT_TELEA),
    "Navier-Stokes": lambda damaged, lost: cv2.inpaint(damaged, lost.astype(np.uint8), 3, cv2.INPAINT_NS),
    "biharmonic": biharmonic,
}


def score(picture, restored):
    psnr = 10 * np.log10(255**2 / np.mean((restored.astype(float) - picture) ** 2))
    return psnr, structural_similarity(picture, restored, channel_axis=-1 if picture.ndim == 3 else None)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--pictures", nargs="+", default=["camera", "astronaut"])
    arguments.add_argument("--damage", nargs="+", default=["scratches", "text", "50%", "80%"])
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--gray", action="store_true")
    arguments.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    chosen = arguments.parse_args()

    restore_image(np.zeros((40, 40), np.uint8), np.eye(40, dtype=bool))  # compiles the kernels
    print(f"{'picture':12}{'damage':12}" + "".join(f"{name:>24}" for name in chosen.methods))
    for name in chosen.pictures:
        picture = getattr(skimage.data, name)()
        if chosen.gray and picture.ndim == 3:
            picture = np.round(skimage.color.rgb2gray(picture) * 255).astype(np.uint8)
        for damage in chosen.damage:
            rows = np.zeros((len(chosen.methods), chosen.seeds, 3))
            for seed in range(chosen.seeds):
                lost = lost_pixels(damage, picture.shape[:2], seed)
                damaged = picture.copy()
                damaged[lost] = 255
                for i, method in enumerate(chosen.methods):
                    begin = time.perf_counter()
                    restored = METHODS[method](damaged, lost)
                    rows[i, seed] = *score(picture, restored), time.perf_counter() - begin
            cells = (f"{psnr:.2f} dB {ssim:.4f} {seconds:5.1f} s" for psnr, ssim, seconds in rows.mean(axis=1))
            print(f"{name:12}{damage:12}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
