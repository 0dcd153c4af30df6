"""Block Gibbs sampling: ALS plus noise, with priors and noise levels drawn along.

A sweep draws, side by side and column by column, (v_j, w_j) from its Gaussian posterior given all else; before that the
prior of each group of columns, an own mean and precision in each dimension with a normal-gamma hyper-prior (Rendle,
"Factorization Machines with libFM", TIST 2012); after it the noise (`fmkit.solvers.noise`). Every random number is a
function of the seed, the sweep and what is drawn, so that a chain is the same for any number of threads, and goes on from
a checkpoint as if it had never stopped.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.machine import FactorizationMachine
from fmkit.solvers.noise import NoiseLevels
from fmkit.solvers.sides import Prior, Sides

# The hyper-prior of a dimension's mean and precision, for targets of unit variance: Gamma(1/2, 1/2), and a mean that is
# worth one column more.
A0, C0, BETA0 = 0.5, 0.5, 1.0
COLUMNS, LEVELS = 1, 2  # streams of random numbers; the second and those after it are the sides' levels


def columns_by_group(groups: NDArray[np.int32]) -> list[slice | NDArray[np.intp]]:
    """The columns of each group, as a slice where they follow each other."""
    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(int(groups.max(initial=-1)) + 2))
    parts: list[slice | NDArray[np.intp]] = []
    for a, b in zip(bounds[:-1], bounds[1:], strict=True):
        columns = order[a:b]
        adjacent = len(columns) > 0 and columns[-1] - columns[0] == len(columns) - 1
        parts.append(slice(int(columns[0]), int(columns[-1]) + 1) if adjacent else columns)
    return parts


def moments(machine: FactorizationMachine, columns: Any) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Number, mean and scatter about the mean of a group's columns, factors first."""
    V, w = machine.factors[columns], machine.linear[columns]
    mean = np.append(V.mean(axis=0, dtype=np.float64), w.mean(dtype=np.float64))
    squares = np.append(np.einsum("jf,jf->f", V, V, dtype=np.float64), np.dot(w, w.astype(np.float64)))
    return len(w), mean, np.maximum(squares - len(w) * np.square(mean), 0)


def draw_prior(machine: FactorizationMachine, columns: Any, rng: np.random.Generator) -> Prior:
    """A group's prior given its columns."""
    m, mean, scatter = moments(machine, columns)
    precision = rng.gamma(A0 + m / 2, size=len(mean)) / (C0 + scatter / 2 + BETA0 * m / (BETA0 + m) * mean**2 / 2)
    centre = m * mean / (BETA0 + m) + rng.standard_normal(len(mean)) / np.sqrt(precision * (BETA0 + m))
    return Prior(precision.astype(np.float32), centre.astype(np.float32))


def gibbs(sides: Sides, noise: NoiseLevels, seed: int, sweep: int = 0) -> Iterator[dict[str, float]]:
    """Sweep for as long as the caller asks for more; the machine of `sides` is the draw.

    Parameters
    ----------
    sides : Sides
    noise : NoiseLevels
    seed : int
        Key of the random numbers, positive.
    sweep : int
        Sweeps that were done already.

    Yields
    ------
    dict of str to float
        What the chain is watched by.
    """
    machine, n_sides = sides.machine, len(sides.sides)
    columns = columns_by_group(sides.groups)
    priors: list[Any] = [None] * len(columns)
    while True:
        sweep += 1
        rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, sweep]))
        total = 0.0
        for s in range(n_sides):
            for g in _groups_of(sides, s):
                priors[g] = draw_prior(machine, columns[g], rng)
            draw = (np.uint64(seed), np.uint32(COLUMNS), np.uint32(sweep))
            sums = sides.solve(s, priors, scale=noise.scale(s), level=noise.level(s), draw=draw)
            if sides.pair:
                if s in noise.levels:
                    level_draw = (np.uint64(seed), np.uint32(LEVELS + s), np.uint32(sweep), rng)
                    noise.update_side(s, sums[:, 0], level_draw)
                tau = noise.levels.get(s)
                total = float(sums[:, 0].sum() if tau is None else sums[:, 0] @ tau)
        if not sides.pair:
            total = noise.update_rows(sides.y - sides.f, (np.uint64(seed), LEVELS, np.uint32(sweep), rng))
        noise.update_common(total, rng)
        slope, curve = sides.residual_sums(None if sides.pair else noise.of_rows())
        if curve > 0:
            sides.move_bias(slope / curve + rng.standard_normal() / np.sqrt(curve))
        yield {"noise": float(noise.common), "bias": float(machine.bias)}


def _groups_of(sides: Sides, s: int) -> Sequence[int]:
    side = sides.sides[s]
    if side.table is None:
        return [side.group]
    return list(dict.fromkeys(group for _, _, group, _ in side.table.members.runs))
