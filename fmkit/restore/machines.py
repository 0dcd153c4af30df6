"""The groups of one row of reference patches, fitted as plain factorization machines of patches x positions.

Each known pixel of a group is a row of two one-hot fields, patch i of the group and position j:

    y_ij = b_j + s (w0 + w_i + w_j + <u_i, v_j>) + e

b being the mean of the group's patches as they stand, filled pixels included, and s the standard deviation of its known
pixels about it. Groups share no column, so one fit solves all groups of a row of references at once. Where `answers`
integrates the patches' factors out, ALS and SGD estimate them, and MCMC draws them.
"""

from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design
from fmkit.kernels import kernel
from fmkit.linalg import LANES
from fmkit.machine import FactorizationMachine
from fmkit.restore.patches import similar_patches
from fmkit.restore.settings import Settings
from fmkit.solvers.als import Als
from fmkit.solvers.mcmc import Chain
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import column_units, scaled_penalties
from fmkit.solvers.sgd import sgd

Floats = NDArray[np.float32]

# Found on crops of two photographs with 50% and 80% lost at random. 3 factors are 0.4 dB worse, 8 no better, 10 better
# only with larger patches.
N_FACTORS = 6
REG_LINEAR, REG_FACTORS = 0.1, 0.1  # as of `FMRegressor`, whose 0.9 is for ratings: 0.8 is 2 dB worse
START = 0.1
SWEEPS = {"als": 12, "sgd": 20}
LEARNING_RATE = 0.3
# From a random start a chain takes far more sweeps than groups are worth: it starts from a short fit by ALS.
WARM_UP, BURN_IN, DRAWS = 6, 8, 16


@kernel
def groups_of_row(
    moments: Any, shape: tuple[int, int], patch: int, row: int, columns: Any, radius: int, n_similar: int
) -> Any:
    """Groups of the reference patches at (row, columns).

    Returns
    -------
    place : int64 array of shape (n_references, n_similar)
        Corners of each group's patches as row * n_columns + column, the nearest first; 0 beyond those found.
    found : int64 array of shape (n_references,)
    """
    place, found = np.zeros((len(columns), n_similar), np.int64), np.zeros(len(columns), np.int64)
    stencil = np.empty((len(moments), 3 * patch * patch, 2), np.float32)
    scores = np.empty((2, 2 * radius + 1 + LANES), np.float32)
    distance = np.empty(n_similar, np.float32)
    for g in range(len(columns)):
        found[g] = similar_patches(
            moments, moments, shape, patch, row, columns[g], radius, stencil, scores, distance, place[g]
        )
    return place, found


def fill_by_machines(
    planes: Floats,
    lost: NDArray[np.bool_],
    moments: Floats,
    settings: Settings,
    row: int,
    columns: NDArray[np.int64],
    seed: int,
    sums: Floats,
) -> None:
    """What `answers.fill_stripe` does, by the solver that `settings.method` names.

    The answers of draws are weighted by their inverse variances, as there; those of ALS and SGD all alike.

    Parameters
    ----------
    planes, lost, moments, row, columns, sums
        See `fill_stripe`.
    settings : Settings
    seed : int
        Of the random start, and all else that is drawn; positive.
    """
    s, (n_planes, n_rows, n_columns) = settings, planes.shape
    n_joint = n_planes if s.joint else 1
    place, found = groups_of_row(moments, (n_rows, n_columns), s.patch, row, columns, s.radius, s.n_similar)
    sizes = len(columns), s.n_similar, n_joint * s.patch**2
    plane, at = np.divmod(np.arange(sizes[2]), s.patch**2)
    offset = at // s.patch * n_columns + at % s.patch
    is_patch = (np.arange(s.n_similar) < found[:, None])[:, :, None]
    is_answered = is_patch & (np.arange(s.n_similar) < s.n_answered)[None, :, None]
    corner = max(0, row - s.radius) * n_columns
    flat = sums.reshape(len(sums), -1)
    for first in range(0, n_planes, n_joint):
        pixel = place[:, :, None] + offset
        layer = first + plane
        Y = planes.reshape(n_planes, -1)[layer, pixel]
        gone = lost.reshape(len(lost), -1)[np.minimum(layer, len(lost) - 1), pixel]
        b = (Y * is_patch).sum(axis=1) / found[:, None].astype(np.float32)
        known, asked = np.nonzero(~gone & is_patch), np.nonzero(gone & is_answered)
        if not len(asked[0]):
            continue
        y = Y[known] - b[known[0], known[2]]
        spread = _root_mean_square(y, known[0], len(columns)) + np.float32(1e-3)
        y /= spread[known[0]]
        design, rows = (_design(entries, sizes) for entries in (known, asked))
        rng = np.random.default_rng((seed, first))
        if not len(y):
            value, error = np.zeros((2, rows.n_rows), np.float32)
        elif s.method == "mcmc":
            value, error = _by_draws(design, y, rows, rng)
        else:
            machine = _fitted(s.method, design, y, SWEEPS[s.method], rng)[0]
            value, misfit = machine.predict(rows, 1), y - machine.predict(design, 1)
            error = np.square(_root_mean_square(misfit, known[0], len(columns)))[asked[0]]
        group, i, j = asked
        answer = b[group, j] + spread[group] * value
        variance = np.square(spread[group]) * error
        v = 1 / np.maximum(variance, np.float32(1)) if s.method == "mcmc" else np.ones_like(answer)
        to = layer[j] * (flat.shape[1] // n_planes) + place[group, i] + offset[j] - corner
        for k, term in enumerate((v, v * answer, v * answer * answer, v * variance)[: len(flat)]):
            flat[k] += np.bincount(to, term, flat.shape[1])


def _root_mean_square(x: Floats, group: NDArray[np.intp], n_groups: int) -> Floats:
    """Of each group's x; 0 of a group that has none."""
    squares, counts = np.bincount(group, np.square(x), n_groups), np.bincount(group, minlength=n_groups)
    return np.sqrt(squares / np.maximum(counts, 1)).astype(np.float32)


def _design(entries: tuple[NDArray[np.intp], ...], sizes: tuple[int, int, int]) -> Design:
    """Patch i and position j of a group, as two one-hot fields; sizes: of groups, patches and positions."""
    group, *of_group = entries
    codes = [(group * n + i).astype(np.int32) for n, i in zip(sizes[1:], of_group, strict=True)]
    return Design.from_codes(codes, [sizes[0] * n for n in sizes[1:]])


def _fitted(
    method: str, design: Design, y: Floats, n_sweeps: int, rng: np.random.Generator
) -> tuple[FactorizationMachine, float]:
    """A machine by ALS or SGD, on one thread, and its loss; columns without rows have no factors."""
    units = column_units(design, None)
    seen = np.concatenate([np.bincount(f.codes, minlength=len(f.columns)) > 0 for f in design.fields])
    factors = START * rng.standard_normal((design.n_features, N_FACTORS), dtype=np.float32) * seen[:, None]
    start = FactorizationMachine(0.0, np.zeros(design.n_features, np.float32), factors.astype(np.float32))
    penalties = scaled_penalties(design, None, units, REG_LINEAR, REG_FACTORS, 1.0, 1.0)
    objective = Objective(design, y, None, penalties, False)
    if method == "als":
        sweeps = iter(Als(objective, start, 1))
    else:
        sweeps = sgd(objective, start, units, learning_rate=LEARNING_RATE, spread=1.0, random_state=rng, n_threads=1)
    *_, last = islice(sweeps, n_sweeps)
    return last.machine, last.train_loss


def _by_draws(design: Design, y: Floats, rows: Design, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Mean and variance of what the machines of a Markov chain predict for `rows`, noise included.

    The predictions are averaged: the mean machine, whose factors may turn from draw to draw, is up to 0.4 dB worse.
    Each patch has a noise level of its own, for not all are equally alike.
    """
    machine, loss = _fitted("als", design, y, WARM_UP, rng)
    seed = int(rng.integers(1, 2**62))
    chain = Chain(
        design, y, None, machine, noise_fields=[0], burn_in=0, n_sweeps=1, keep_draws=0, seed=seed, n_threads=1
    )
    chain.noise.common = 1 / max(loss, 1e-3)
    total, squares, noise = (np.zeros(rows.n_rows, np.float32) for _ in range(3))
    for sweep in range(BURN_IN + DRAWS):
        chain.advance()
        if sweep >= BURN_IN:
            value = machine.predict(rows, 1)
            total += value
            squares += np.square(value)
            noise += 1 / (np.float32(chain.noise.common) * chain.noise.levels[0][rows.fields[0].codes])
    mean, square, noise = (x / np.float32(DRAWS) for x in (total, squares, noise))
    return mean, np.maximum(square - np.square(mean), 0) + noise
