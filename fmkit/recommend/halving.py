"""Successive halving: many settings with little effort, the best of them with more, and few with all of it.

Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016. Brackets
are small and follow each other, so that a search that is stopped at any moment has a best.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from fmkit.recommend.trail import Settings, Trial

ETA = 3
EFFORTS = (1 / 9, 1 / 3, 1.0)


def drawn(space: Mapping[str, Sequence[Any]], random_state: int) -> Iterator[Settings]:
    """All settings of a space in random order, none twice."""
    rng = np.random.default_rng(random_state)
    names, sizes = list(space), [len(values) for values in space.values()]
    seen: set[int] = set()
    while len(seen) < prod(sizes):
        place = int(rng.integers(prod(sizes)))
        while place in seen:  # the next one that is left
            place = (place + 1) % prod(sizes)
        seen.add(place)
        yield {name: space[name][int(at)] for name, at in zip(names, np.unravel_index(place, sizes), strict=True)}


def halve(
    given: Settings,
    others: Iterator[Settings],
    efforts: Sequence[float],
    run: Callable[[Settings, float], Trial | None],
    sign: int,
) -> None:
    """Run trials: the given settings by themselves first, then the others, a bracket after another.

    Parameters
    ----------
    given : dict
    others : iterator of dict
    efforts : sequence of float
        Ascending.
    run : callable
        Makes a trial; None ends the search.
    sign : {1, -1}
        -1 if less is better.
    """
    size = ETA ** (len(efforts) - 1)
    bracket = [given]
    while bracket:
        left = bracket
        for effort in efforts:
            found = []
            for settings in left:
                trial = run(settings, effort)
                if trial is None:
                    return
                found.append(trial)
            left = [trial.settings for trial in best_first(found, sign)[: max(len(found) // ETA, 1)]]
        bracket = list(itertools.islice(others, size))


def best_first(trials: Sequence[Trial], sign: int) -> list[Trial]:
    """Those of more effort before those of less, then by the metric; failed ones last."""

    def place(trial: Trial) -> tuple[bool, float, float]:
        return np.isnan(trial.value), -trial.effort, -sign * trial.value

    return sorted(trials, key=place)
