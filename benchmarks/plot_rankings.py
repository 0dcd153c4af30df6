"""Draw docs/rankings.png: NDCG@10 of the test part against seconds of a fit, by the cache of bench_rankings.py.

    python benchmarks/bench_rankings.py --cache rankings.json && python benchmarks/plot_rankings.py rankings.json

Seconds of FMRanker hold the search for its settings, on a part set aside, and the last fit; those of rivals one fit
with settings that were searched for before.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

COLOURS = {
    "auto": "#0072B2",
    "implicit": "#009E73",
    "softmax": "#CC79A7",
    "warp": "#E69F00",
    "bpr": "#999999",
    "EASE": "#D55E00",
    "implicit's ALS": "#000000",
}


def draw(done: dict[str, dict[str, float]], path: Path) -> None:
    """Write the figure: a dot a fit, circles fmkit's, crosses the rivals'."""
    mpl.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    by_set: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for key, result in done.items():
        name, _, what = key.partition(" ")
        what = what.rstrip(" 0123456789")
        if "seconds" in result:
            by_set[name][what].append((result["seconds"], result["ndcg"]))
    figure, axes = plt.subplots(1, len(by_set), figsize=(4.2 * len(by_set), 4), layout="constrained", squeeze=False)
    for axis, (name, fits) in zip(axes[0], by_set.items(), strict=True):
        for what, points in fits.items():
            marker = "x" if what in ("EASE", "implicit's ALS") else "o"
            axis.plot(*np.transpose(points), marker, color=COLOURS[what], label=what)
        popularity = done.get(f"{name} popularity")
        if popularity:
            axis.axhline(popularity["ndcg"], color="#bbbbbb", linestyle=":", label="popularity")
        axis.set(xscale="log", xlabel="seconds of a fit", title=name)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.grid(True, which="major", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    axes[0][0].set_ylabel("NDCG@10 of the test part")
    shown = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=8, frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs" / "rankings.png")
    arguments = parser.parse_args()
    draw(json.loads(arguments.cache.read_text()), arguments.out)


if __name__ == "__main__":
    main()
