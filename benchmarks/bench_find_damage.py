"""Damage found by itself: precision and recall by kind and picture, and the share touched of undamaged pictures.

    pip install -e .[benchmarks]
    python benchmarks/bench_find_damage.py [--pictures DIRECTORY]
    python benchmarks/bench_find_damage.py --fit --pictures DIRECTORY

DIRECTORY holds PNG pictures without damage; the classifiers of fmkit/restore/evidence.py were fitted with Kodak's
numbers 1, 5, 8, 13, 19 and 23 besides those of scikit-image and the painting that ships. --fit prints how
sure that is on pictures left out, and then these classifiers anew.

Scratches of 1 to 5 pixels, bright or dark, a half of them on one channel only and some nearly transparent; specks of 1
to 5 pixels and hairs; half of the pictures saved as JPEG after that. Recall counts lost pixels under the mask.
Precision counts pixels of the mask that are lost or within 3 pixels of one, for masks are grown over soft rims.
"""

import argparse
import io
import time
import warnings
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from scipy import ndimage
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tabulate import tabulate

from fmkit.datasets import load_harvesters
from fmkit.restore import find_damage
from fmkit.restore.defects import thin_things

FITTED_WITH = ("camera", "astronaut", "chelsea", "coffee", "brick", "grass", "gravel", "rocket")
LEFT_OUT = ("coins", "clock", "moon", "page", "text", "cell", "immunohistochemistry", "hubble_deep_field", "retina")


def clean_pictures(names, folder=None):
    """Pictures without damage, by name: of scikit-image, the painting that ships, and of a folder."""
    pictures = {name: getattr(skimage.data, name)() for name in names}
    pictures["harvesters"] = load_harvesters().picture
    for path in sorted(Path(folder).glob("*.png")) if folder else []:
        pictures[path.stem] = np.asarray(Image.open(path).convert("RGB"))
    return pictures


def damaged(picture, seed, kinds=("scratches", "dust")):
    """A picture with damage, and where that covers more than a fifth of a pixel."""
    rng = np.random.default_rng(seed)
    pixels = np.atleast_3d(picture)[..., :3].astype(np.float32) / 255
    lost = np.zeros(pixels.shape[:2], bool)
    strokes = []
    if "scratches" in kinds:
        strokes += [scratch(lost.shape, rng) for _ in range(rng.integers(4, 10))]
    if "dust" in kinds:
        strokes += [speck(lost.shape, rng) for _ in range(int(lost.size / 4000 * rng.uniform(0.5, 1.5)))]
    for place, cover in strokes:
        opacity = np.full(pixels.shape[2], rng.uniform(0.6, 1), np.float32)
        if len(opacity) == 3 and rng.random() < 0.45:
            opacity[np.arange(3) != rng.integers(3)] = 0
        colour = np.float32(abs(rng.integers(2) - rng.uniform(0, 0.12)))
        opacity = cover[..., None].astype(np.float32) * opacity
        pixels[place] += (colour - pixels[place]) * opacity
        lost[place] |= cover > 0.2
    if rng.random() < 0.5:
        near = ndimage.binary_dilation(lost, iterations=2)[..., None]
        pixels = np.where(near, ndimage.gaussian_filter(pixels, (0.6, 0.6, 0)), pixels)
    result = np.rint(pixels * 255).clip(0, 255).astype(np.uint8)
    result = result if picture.ndim == 3 else result[..., 0]
    if rng.random() < 0.5:
        file = io.BytesIO()
        Image.fromarray(result).save(file, "JPEG", quality=int(rng.integers(80, 96)))
        result = np.asarray(Image.open(file))
    return result, lost


def scratch(shape, rng):
    """A slightly bent stroke of 1 to 5 pixels: the window that it lies in, and how much of each pixel it covers."""
    length = rng.uniform(0.06, 0.5) * max(shape)
    t = np.linspace(-0.5, 0.5, int(3 * length))
    angle = rng.uniform(0, np.pi) + rng.normal(0, 0.25) * t
    row, column = rng.uniform(0, shape)[:, None] + length * t * np.stack([np.sin(angle), np.cos(angle)])
    return covered(shape, row, column, rng.uniform(0.4, 2.3))


def speck(shape, rng):
    """A spot of 1 to 6 pixels, or a short hair."""
    length = rng.uniform(0, 3) if rng.random() < 0.8 else rng.uniform(5, 20)
    t = np.linspace(-0.5, 0.5, 60)
    angle = rng.uniform(0, np.pi) + rng.normal(0, 1) * t
    row, column = rng.uniform(0, shape)[:, None] + length * t * np.stack([np.sin(angle), np.cos(angle)])
    return covered(shape, row, column, rng.uniform(0.6, 2.6) if length < 5 else rng.uniform(0.5, 1))


def covered(shape, row, column, radius):
    """The window around a stroke, and the share of each of its pixels within `radius` of the stroke."""
    top, left = (int(max(x.min() - radius - 2, 0)) for x in (row, column))
    bottom, right = (int(min(x.max() + radius + 3, n)) for x, n in zip((row, column), shape, strict=True))
    place = np.s_[top : max(bottom, top), left : max(right, left)]
    size = (max(bottom - top, 0), max(right - left, 0))
    away = np.ones((3 * size[0], 3 * size[1]), bool)
    r, c = (np.rint(3 * (x - start) + 1).astype(int) for x, start in ((row, top), (column, left)))
    on = (r >= 0) & (c >= 0) & (r < away.shape[0]) & (c < away.shape[1])
    if not on.any():
        return place, np.zeros(size)
    away[r[on], c[on]] = False
    distance = ndimage.distance_transform_edt(away) / 3
    return place, (distance < radius).reshape(size[0], 3, size[1], 3).mean(axis=(1, 3))


def as_an_old_print(picture, rng):
    """Soft, grainy and with channels that do not quite meet, as of three plates."""
    top, left = (rng.integers(0, n // 2 - 8) for n in picture.shape[:2])
    window = np.s_[top : top + picture.shape[0] // 2, left : left + picture.shape[1] // 2]
    twice = ndimage.zoom(np.atleast_3d(picture)[window].astype(np.float32), (2, 2, 1), order=1)
    channels = np.moveaxis(twice, 2, 0)
    aside = [rng.uniform(-4, 4, 2) if i else (0, 0) for i in range(len(channels))]
    plates = [ndimage.shift(x, s, order=1, mode="nearest") for x, s in zip(channels, aside, strict=True)]
    grainy = np.stack(plates, axis=2) + rng.uniform(1, 8) * rng.normal(0, 1, twice.shape)
    soft = ndimage.gaussian_filter(grainy, (0.7, 0.7, 0)).clip(0, 255).astype(np.uint8)
    return soft if picture.ndim == 3 else soft[..., 0]


def examples(pictures, seeds):
    """Features of things, whether they are damage, their area and their picture; of lines and of specks."""
    found = ([], [])
    for number, picture in enumerate(pictures.values()):
        picture = picture[:600, :800]
        for seed in range(seeds):
            rng = np.random.default_rng([7, seed, number])
            worn, lost = damaged(as_an_old_print(picture, rng) if seed % 2 else picture, [seed, number])
            colours = np.atleast_3d(worn).astype(np.float32) / 255
            for things in thin_things(np.ascontiguousarray(np.moveaxis(colours, 2, 0))):
                area = np.bincount(things.thing, minlength=len(things.features))
                share = np.bincount(things.thing, lost.ravel()[things.pixel], len(area)) / np.maximum(area, 1)
                clear = (share > 0.5) | (share < 0.05)
                is_line = np.arange(len(area)) < things.n_lines
                for rows, these in zip(found, (clear & is_line, clear & ~is_line), strict=True):
                    rows.append((things.features[these], share[these] > 0.5, area[these], np.full(these.sum(), number)))
    return [[np.concatenate(column) for column in zip(*rows, strict=True)] for rows in found]


def fit(pictures):
    """Print the classifiers of evidence.py, and how good they are on pictures left out."""
    for name, (features, is_damage, area, number) in zip(("LINE", "SPECK"), examples(pictures, 8), strict=True):
        features = np.clip(features, -12, 12)
        network = MLPClassifier((12,), activation="tanh", alpha=10, solver="lbfgs", max_iter=400, random_state=0)
        model = make_pipeline(StandardScaler(), network)
        folds = cross_val_predict(model, features, is_damage, groups=number, cv=GroupKFold(5), method="predict_proba")
        p = folds[:, 1]
        precision = average_precision_score(is_damage, p, sample_weight=area)
        print(f"# {name}: average precision by area {precision:.3f};", end="")
        for low in (0, 0.25, 0.5, 0.75):
            some = (p >= low) & (p < low + 0.25)
            print(f" told {p[some].mean():.2f}, are {is_damage[some].mean():.2f};", end="")
        scaler, network = (step for _, step in model.fit(features, is_damage).steps)
        weights = network.coefs_[0] / scaler.scale_[:, None]
        bias = network.intercepts_[0] - scaler.mean_ @ weights
        print(f'\n_{name} = _numbers("""')
        for row in (bias, *weights, np.concatenate([network.intercepts_[1], network.coefs_[1][:, 0]])):
            print("    " + " ".join(f"{value:.3g}" for value in row))
        print(f'""")\n_{name}_SHARE = {is_damage.mean():.3f}')


def report(pictures):
    """Print precision and recall by kind, what `auto` touches of the picture as it is, and seconds a megapixel."""
    rows = []
    for number, (name, picture) in enumerate(pictures.items()):
        picture = picture[:1024, :1024]
        start = time.perf_counter()
        touched = find_damage(picture).mask
        seconds = (time.perf_counter() - start) / (touched.shape[0] * touched.shape[1]) * 1e6
        row = [name, f"{touched.mean():.3%}", seconds]
        for drawn, kind in ((["scratches"], "scratches"), (["dust"], "dust"), (["scratches", "dust"], "auto")):
            worn, lost = damaged(picture, [99, number], drawn)
            mask = find_damage(worn, kind).mask
            near = ndimage.binary_dilation(lost, np.ones((3, 3), bool), 3)
            row += [near[mask].mean() if mask.any() else None, mask[lost].mean()]
        rows.append(row)
    headers = ["picture", "touched", "s/Mpx", "scratches P", "R", "dust P", "R", "auto P", "R"]
    print(tabulate(rows, headers, floatfmt=".2f"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", metavar="DIRECTORY", help="PNG pictures without damage")
    parser.add_argument("--fit", action="store_true", help="fit the classifiers instead")
    arguments = parser.parse_args()
    fitted_with = clean_pictures(FITTED_WITH, arguments.pictures)
    if arguments.fit:
        warnings.simplefilter("ignore")  # that lbfgs stops early is wanted
        fit(fitted_with)
    else:
        print("Other damage on pictures that it was fitted with:")
        report(fitted_with)
        print("\nPictures that it has never seen:")
        report(clean_pictures(LEFT_OUT))
