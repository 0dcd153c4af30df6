"""Damage found by itself: precision and recall by kind and picture, and the share touched of undamaged pictures.

    pip install -e .[benchmarks]
    python benchmarks/bench_find_damage.py [--pictures FILE ...]
    python benchmarks/bench_find_damage.py --fit --pictures FILE ...

The pictures are without damage; the classifiers were fitted with Kodak's numbers 1, 5, 8, 13, 19 and 23 and van Gogh's
Starry Night besides a half of those of scikit-image (FITTED_WITH) and the painting that ships; that of lines with
drawn stars and pages of print as well. --fit writes fmkit/restore/evidence.csv anew, and prints how sure such
classifiers are on pictures left out.

Scratches of 1 to 5 pixels, bright or dark, a half of them on one channel only and some nearly transparent; specks of 1
to 5 pixels and hairs; half of the pictures saved as JPEG after that. Recall counts lost pixels under the mask.
Precision counts pixels of the mask that are lost or within 3 pixels of one, for masks are grown over soft rims.
"""

import argparse
import io
import re
import time
import warnings
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GroupKFold
from sklearn.neural_network import MLPClassifier
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from fmkit.datasets import load_harvesters
from fmkit.restore import evidence, find_damage
from fmkit.restore.defects import FEATURES, thin_things

FITTED_WITH = ("camera", "astronaut", "chelsea", "coffee", "brick", "grass", "gravel", "rocket")
TEXT = "the moon and sixpence never ought to have been printed on thin paper though some readers prefer it"
DRAWN = range(3)  # seeds of drawn stars and pages
KEPT = 1 / 3  # of undamaged things
N_FITS = 3
LEFT_OUT = ("coins", "clock", "moon", "page", "text", "cell", "immunohistochemistry", "hubble_deep_field", "retina")


def clean_pictures(names, paths=()):
    """Pictures without damage, by name: of scikit-image, the painting that ships, and of files."""
    pictures = {name: getattr(skimage.data, name)() for name in names}
    pictures["harvesters"] = load_harvesters().picture
    for path in sorted(map(Path, paths)):
        pictures[path.stem] = np.asarray(Image.open(path).convert("RGB"))
    return pictures


def damaged(picture, seed, kinds=("scratches", "dust"), *, of_one_colour=False):
    """A picture with damage, and where that covers more than a fifth of a pixel; each stroke has a colour by chance."""
    rng = np.random.default_rng(seed)
    shared = abs(rng.integers(2) - rng.uniform(0, 0.12)) if of_one_colour else None
    pixels = np.atleast_3d(picture)[..., :3].astype(np.float32) / 255
    lost = np.zeros(pixels.shape[:2], bool)
    strokes = []
    if "scratches" in kinds:
        strokes += [scratch(lost.shape, rng) for _ in range(rng.integers(4, 10))]
    if "dust" in kinds:
        strokes += [speck(lost.shape, rng) for _ in range(int(lost.size / 4000 * rng.uniform(0.5, 1.5)))]
    for place, cover in strokes:
        opacity = np.full(pixels.shape[2], rng.uniform(0.6, 1), np.float32)
        if len(opacity) == 3 and rng.random() < 0.45 and not of_one_colour:
            opacity[np.arange(3) != rng.integers(3)] = 0
        colour = np.float32(abs(rng.integers(2) - rng.uniform(0, 0.12)) if shared is None else shared)
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


def starry_sky(rng, side=500):
    """Stars whose brightness follows a power law, all of one blur: specks that are the picture."""
    n = int(rng.uniform(100, 1200))
    sky = np.zeros((side, side, 3), np.float32)
    np.add.at(sky, tuple(rng.integers(0, side, (2, n))), (1 / rng.random(n))[:, None] * rng.uniform(0.6, 1, (n, 3)))
    blur = rng.uniform(0.8, 1.6)
    sky = ndimage.gaussian_filter(sky, (blur, blur, 0)) * rng.uniform(0.3, 1) + rng.uniform(0.02, 0.1)
    return ((sky + rng.normal(0, rng.uniform(0.005, 0.02), sky.shape)).clip(0, 1) * 255).astype(np.uint8)


def printed_page(rng, side=500):
    """Lines of print of several sizes, a little soft and grainy, as a camera sees a page."""
    words = np.array(re.findall(r"\w+", TEXT))
    page = Image.new("L", (side, side), int(rng.uniform(180, 250)))
    draw, row = ImageDraw.Draw(page), 8
    while row < side:
        size = int(rng.choice([11, 13, 16, 24]))
        font = ImageFont.load_default(size)
        draw.text((8, row), " ".join(rng.choice(words, 14)), fill=int(rng.uniform(5, 60)), font=font)
        row += int(size * rng.uniform(1.3, 2.5))
    soft = ndimage.gaussian_filter(np.asarray(page, np.float32), rng.uniform(0.3, 0.9))
    light = np.linspace(rng.uniform(0.5, 1), 1, side)
    return (soft * light + rng.normal(0, rng.uniform(1, 5), soft.shape)).clip(0, 255).astype(np.uint8)


def with_drawn(pictures):
    """Pictures with stars and pages besides."""
    drawn = {
        f"{draw.__name__} {i}": draw(np.random.default_rng(i)) for draw in (starry_sky, printed_page) for i in DRAWN
    }
    return pictures | drawn


def examples(pictures, seeds):
    """Measures of things, whether they are damage, their area and their picture; of specks and of lines."""
    found = ([], [])
    for number, picture in enumerate(pictures.values()):
        picture = picture[:600, :800]
        for seed in range(-1, seeds):  # the first is without damage
            rng = np.random.default_rng([7, max(seed, 0), number])
            worn, lost = picture, np.zeros(picture.shape[:2], bool)
            if seed >= 0:
                worn, lost = damaged(as_an_old_print(picture, rng) if seed % 2 else picture, [seed, number])
            colours = np.atleast_3d(worn).astype(np.float32) / 255
            for things in thin_things(np.ascontiguousarray(np.moveaxis(colours, 2, 0))):
                area = np.bincount(things.thing, minlength=len(things.features))
                share = np.bincount(things.thing, lost.ravel()[things.pixel], len(area)) / np.maximum(area, 1)
                clear = (share > 0.5) | (share < 0.05)
                is_line = np.arange(len(area)) < things.n_lines
                for rows, these in zip(found, (clear & ~is_line, clear & is_line), strict=True):
                    rows.append((things.features[these], share[these] > 0.5, area[these], np.full(these.sum(), number)))
    return [[np.concatenate(column) for column in zip(*rows, strict=True)] for rows in found]


class TanhUnits:
    """Units on standardized measures, the mean log odds of three fits: one layer of 36 that depends less on chance.

    A thing weighs as the root of its area does: the mask is of pixels, and specks are many. 200 steps are not enough to
    converge, and more would learn these pictures by heart.
    """

    def __init__(self, features, is_damage, area):
        rng = np.random.default_rng(0)
        # The same undamaged things come back in each drawing: a third of them, each for three, is nearly as good.
        kept = is_damage | (rng.random(len(area)) < KEPT)
        weight = np.sqrt(area[kept]) * np.where(is_damage[kept], 1, 1 / KEPT)
        mean, scale = features.mean(axis=0), features.std(axis=0)
        measures = evidence.standardized(features[kept], mean, scale)
        fits = [
            MLPClassifier(12, activation="tanh", solver="lbfgs", alpha=10, max_iter=200, random_state=i).fit(
                measures, is_damage[kept], sample_weight=weight / weight.mean()
            )
            for i in range(N_FITS)
        ]
        hidden = [np.vstack([fit.intercepts_[0], fit.coefs_[0]]) for fit in fits]
        bias = np.mean([fit.intercepts_[1] for fit in fits])
        out = np.r_[bias, np.concatenate([fit.coefs_[1][:, 0] for fit in fits]) / N_FITS]
        self.weights = evidence.Weights(is_damage.mean(), mean, scale, np.hstack(hidden), out)


def fit(pictures):
    """Write the classifiers of lines and of specks, then print how good such ones are on pictures left out."""
    # Drawn stars and pages are for lines alone: they teach doubt about every bright speck, of one on a print too.
    found = examples(pictures, 6)[0], examples(with_drawn(pictures), 6)[1]
    table = []
    for name, (features, is_damage, area, _) in zip(("speck", "line"), found, strict=True):
        weights = TanhUnits(features, is_damage, area).weights
        rows = {"share": [weights.share], "mean": weights.mean, "scale": weights.scale}
        rows |= dict(zip(("1", *FEATURES), weights.hidden, strict=True)) | {"odds": weights.out}
        table += [",".join([name, what, *(f"{value:.4g}" for value in values)]) for what, values in rows.items()]
    evidence.TABLE.write_text("\n".join(table) + "\n")
    for name, (features, is_damage, area, number) in zip(("speck", "line"), found, strict=True):
        p = np.empty(len(features))
        for known, left in GroupKFold(3).split(features, groups=number):
            weights = TanhUnits(features[known], is_damage[known], area[known]).weights
            p[left] = 1 / (1 + np.exp(-evidence.log_odds(features[left], weights)))
        precision = average_precision_score(is_damage, p, sample_weight=area)
        print(f"{name}: {len(p)} things, average precision by area {precision:.3f};", end="")
        for low in (0, 0.25, 0.5, 0.75):
            some = (p >= low) & (p < low + 0.25)
            print(f" told {p[some].mean():.2f}, are {is_damage[some].mean():.2f};", end="")
        print(flush=True)


def counts(mask, lost):
    """Pixels of the mask that are lost or near, those of the mask; lost ones under the mask, and all of them."""
    near = ndimage.binary_dilation(lost, np.ones((3, 3), bool), 3)
    return np.array([near[mask].sum(), mask.sum(), mask[lost].sum(), lost.sum()])


def report(pictures):
    """Print precision and recall by kind, what `auto` touches of the picture as it is, and seconds a megapixel.

    The last row is of the pixels of all pictures together, and of the most that is touched of one.
    """
    rows, most, pixels = [], 0.0, np.zeros((3, 4))
    for number, (name, picture) in enumerate(pictures.items()):
        picture = picture[:1024, :1024]
        start = time.perf_counter()
        touched = find_damage(picture).mask
        seconds = (time.perf_counter() - start) / (touched.shape[0] * touched.shape[1]) * 1e6
        row, most = [name, f"{touched.mean():.3%}", seconds], max(most, touched.mean())
        cases = (["scratches"], "scratches"), (["dust"], "dust"), (["scratches", "dust"], "auto")
        for count, (drawn, kind) in zip(pixels, cases, strict=True):
            worn, lost = damaged(picture, [99, number], drawn)
            right, marked, found, gone = counted = counts(find_damage(worn, kind).mask, lost)
            row += [right / marked if marked else None, found / gone]
            count += counted
        rows.append(row)
    rows.append(
        ["all", f"{most:.3%}", None, *np.stack([pixels[:, 0] / pixels[:, 1], pixels[:, 2] / pixels[:, 3]], 1).ravel()]
    )
    headers = ["picture", "touched", "s/Mpx", "scratches P", "R", "dust P", "R", "auto P", "R"]
    print(tabulate(rows, headers, floatfmt=".2f"))


def report_less_sure(groups, *, of_one_colour):
    """Print precision and recall over all pixels of each group of pictures, by how sure a pixel must be."""
    rows = []
    for kind in ("scratches", "dust", "auto"):
        drawn = ["scratches", "dust"] if kind == "auto" else [kind]
        for least in (None, 0.5, 0.25, 0.1):
            row = [kind, least or "default"]
            for pictures in groups:
                count = np.zeros(4)
                for number, picture in enumerate(pictures.values()):
                    picture = picture[:1024, :1024]
                    worn, lost = damaged(picture, [99, number], drawn, of_one_colour=of_one_colour)
                    count += counts(find_damage(worn, kind, min_confidence=least).mask, lost)
                row += [count[0] / count[1], count[2] / count[3]]
            rows.append(row)
    print(tabulate(rows, ["kind", "min_confidence", "fitted with P", "R", "never seen P", "R"], floatfmt=".2f"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", metavar="FILE", nargs="+", default=[], help="pictures without damage")
    parser.add_argument("--fit", action="store_true", help="fit the classifiers instead")
    arguments = parser.parse_args()
    fitted_with = clean_pictures(FITTED_WITH, arguments.pictures)
    if arguments.fit:
        with threadpool_limits(1), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            fit(fitted_with)
    else:
        print("Other damage on pictures that it was fitted with:")
        report(fitted_with)
        print("\nPictures that it has never seen:")
        never_seen = {name: picture for name, picture in clean_pictures(LEFT_OUT).items() if name not in fitted_with}
        report(never_seen)
        print("\nBy how sure a pixel must be:")
        report_less_sure((fitted_with, never_seen), of_one_colour=False)
        print("\nThe same, with damage of one colour a picture:")
        report_less_sure((fitted_with, never_seen), of_one_colour=True)
