"""Draw docs/solvers.png: held-out error against seconds of fmkit's solvers and myFM's, on both sets that ship.

    python benchmarks/plot_solvers.py         # six minutes; needs pip install 'fmkit[benchmarks]'

All with 8 factors and defaults, one fit each, all cores (of myFM one). The held-out part is predicted after every
sweep, in time that does not count. The error of a chain is that of its mean so far: of fmkit after 20 sweeps of
burn-in, of myFM after five, as it keeps draws by default. implicit is left out: it fits which items a user picks, not
ratings, and has no RMSE to compare.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from held_out import HeldOut, myfm, trace_fmkit, trace_myfm

from fmkit import FMRegressor

TITLES = {"movielens": "MovieLens latest-small: 90,753 ratings", "goodbooks": "goodbooks: 268,359 ratings"}
BURN_IN = 20
COLOURS = {"ALS": "#E69F00", "SGD": "#999999", "VB": "#009E73", "MCMC": "#0072B2", "myFM": "#D55E00"}


def traces(held: HeldOut, n_iter: int | None) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds and errors of each fit."""
    fits: dict[str, Any] = {}

    def ours(name: str, design: str, **parameters: Any) -> None:
        if n_iter is not None:
            parameters["max_iter"] = n_iter
        fit = trace_fmkit(FMRegressor(8, random_state=0, **parameters), held, getattr(held, design))
        first = BURN_IN if "MCMC" in name else len(fit.errors) // 2 if "averaged" in name else 0
        fits[name] = fit.seconds[first:], fit.errors[first:]

    def theirs(name: str, make: Any, blocks: bool, sweeps: int, first: int) -> None:
        fit = trace_myfm(make(8, random_seed=0), held, blocks, n_iter or sweeps)
        fits[name] = fit.seconds[first:], fit.errors[first:]

    ours("ALS", "ids")
    ours("ALS, averaged", "ids", average=True)
    ours("SGD", "ids", solver="sgd")
    ours("VB", "ids", solver="vb")
    ours("MCMC", "ids", solver="mcmc", burn_in=BURN_IN)
    ours("VB, rated sets", "rated_sets", solver="vb")
    ours("MCMC, rated sets", "rated_sets", solver="mcmc", burn_in=BURN_IN)
    theirs("myFM Gibbs", myfm.MyFMRegressor, False, 300, 5)
    theirs("myFM variational", myfm.VariationalFMRegressor, False, 100, 0)
    theirs("myFM Gibbs, rated sets", myfm.MyFMRegressor, True, 300, 5)
    return fits


def draw(measured: dict[str, dict[str, tuple[list[float], list[float]]]], path: Path) -> None:
    """Write the figure: colours by solver, dashes for rated sets, dots for averaged ALS and myFM's variational fit."""
    mpl.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    size = 5.6 * len(measured), 4.6
    figure, axes = plt.subplots(1, len(measured), figsize=size, layout="constrained", squeeze=False)
    for axis, (name, fits) in zip(axes[0], measured.items(), strict=True):
        for label, (seconds, errors) in fits.items():
            colour = COLOURS[label.replace(",", "").split()[0]]
            dash = "--" if "rated sets" in label else ":" if "variational" in label or "averaged" in label else "-"
            axis.plot(seconds, errors, dash, color=colour, label=label, linewidth=1.8)
            axis.plot(seconds[-1], errors[-1], "o", color=colour, markersize=5)
        lowest = min(min(errors) for _, errors in fits.values())
        axis.set(xscale="log", xlabel="seconds from the start of the fit", title=TITLES[name])
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_ylim(lowest - 0.004, lowest + 0.09)
        axis.grid(True, which="major", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    axes[0][0].set_ylabel("RMSE of held-out ratings")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3 if len(measured) == 1 else 5, frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, and write the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "solvers.png")
    parser.add_argument("--sets", nargs="+", default=["movielens", "goodbooks"])
    parser.add_argument("--max-iter", type=int, help="sweeps of every fit, to try this file out")
    parser.add_argument("--traces", type=Path, help="JSON of what was measured: drawn if it is there, else written")
    chosen = parser.parse_args()
    if chosen.traces and chosen.traces.exists():
        measured = json.loads(chosen.traces.read_text())
    else:
        measured = {name: traces(HeldOut.load(name), chosen.max_iter) for name in chosen.sets}
        if chosen.traces:
            chosen.traces.write_text(json.dumps(measured))
    draw(measured, chosen.out)


if __name__ == "__main__":
    main()
