"""WARP and BPR against a slow twin with the same draws, and what they promise about draws."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fmkit.draws import philox
from fmkit.fitting import run_fit
from fmkit.ranking import sampled as solver
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.sampled import sampled

Sides = tuple[sparse.csr_array, sparse.csr_array]


def some_pairs(n_queries: int = 30, n_items: int = 40, density: float = 0.15, seed: int = 0) -> Pairs:
    """Pairs with structure: queries and items of two kinds."""
    rng = np.random.default_rng(seed)
    alike = np.arange(n_queries)[:, None] % 2 == np.arange(n_items) % 2
    return Pairs.of(sparse.csr_array(rng.random((n_queries, n_items)) < density * np.where(alike, 1.8, 0.2)))


def identities(pairs: Pairs) -> Sides:
    return sparse.eye_array(pairs.n_queries, format="csr"), sparse.eye_array(pairs.n_items, format="csr")


def features(pairs: Pairs, seed: int = 1) -> Sides:
    """Ids and a few shared columns of any value."""
    rng = np.random.default_rng(seed)
    sides = [
        sparse.hstack([eye, sparse.random_array((eye.shape[0], 5), density=0.4, rng=rng)]).tocsr()
        for eye in identities(pairs)
    ]
    return sides[0], sides[1]


def start_of(sides: Sides, k: int = 5, seed: int = 2) -> RankingMachine:
    return RankingMachine.random(sides[0].shape[1], sides[1].shape[1], k, 0.3, np.random.default_rng(seed))


def fitted(pairs: Pairs, sides: Sides, start: RankingMachine, count: int, **options: Any) -> Any:
    """The machine after some epochs, and the losses told."""
    machine = start.copy()
    defaults = {"loss": "warp", "learning_rate": 0.1, "reg": 0.0, "max_trials": 10, "popularity": 0.0, "n_threads": 1}
    steps = sampled(pairs, *sides, machine, **{**defaults, "random_state": np.random.default_rng(0), **options})
    return machine, [progress.train_loss for progress in islice(steps, count)]


def draws_of(pairs: Pairs, p: int, epoch: int, key: Any, max_trials: int, alias: Any) -> list[int]:
    """The items that a visit may draw, in order."""
    drawn = []
    for trial in range(max_trials):
        word = int(philox(key, p, trial // 4, epoch, solver.DRAWS)[trial % 4])
        item, rest = divmod(word * pairs.n_items, 2**32)
        drawn.append(int(alias[1][item]) if len(alias[0]) and rest > alias[0][item] else item)
    return drawn


def twin(pairs: Pairs, sides: Sides, start: RankingMachine, count: int, options: dict[str, Any]) -> Any:
    """The solver as its docstring tells it, in float64 and dense."""
    X, Y = (side.toarray().astype(float) for side in sides)
    V, Z, w = (array.astype(float) for array in (start.query_factors, start.item_factors, start.item_linear))
    sums = [np.ones(len(V)), np.ones(len(Z)), np.ones(len(w))]
    rate, reg, trials = options["learning_rate"], options["reg"], options["max_trials"]
    rng = np.random.default_rng(0)
    key = np.uint64(rng.integers(2**64, dtype=np.uint64))
    alias, owned = solver._alias(pairs, options["popularity"]), pairs.csr.toarray()
    rows, first = solver._groups(pairs)
    losses = []
    for epoch in range(count):
        met = 0.0
        for g in rng.permutation(len(rows)):
            u, high = rows[g], pairs.before[rows[g] + 1]
            for p in range(first[g], high, -(-(high - pairs.before[u]) // solver.GROUP)):
                i, weight = pairs.items[p], owned[u, pairs.items[p]]
                scores = (X[u] @ V) @ (Y @ Z).T + Y @ w
                bar = scores[i] - 1 if options["loss"] == "warp" else -np.inf
                drawn = draws_of(pairs, p, epoch, key, trials, alias)
                fits = [t for t, j in enumerate(drawn) if owned[u, j] == 0 and scores[j] > bar]
                if not fits:
                    continue
                j, gap = drawn[fits[0]], scores[drawn[fits[0]]] - scores[i]
                if options["loss"] == "warp":
                    slope = weight * np.log(max((pairs.n_items - 1) // (fits[0] + 1), 1))
                    met += slope * (1 + gap)
                else:
                    slope = weight / (1 + np.exp(-gap))
                    met += weight * np.logaddexp(0, gap)
                apart, q = (Y[j] - Y[i]) @ Z, X[u] @ V
                moved_v, moved_z = X[u] != 0, Y[j] != Y[i]
                d_v = moved_v[:, None] * (slope * np.outer(X[u], apart) + reg * V)
                d_z = moved_z[:, None] * (slope * np.outer(Y[j] - Y[i], q) + reg * Z)
                d_w = moved_z * (slope * (Y[j] - Y[i]) + reg * w)
                sums[0] += (d_v**2).mean(axis=1)
                sums[1] += (d_z**2).mean(axis=1)
                sums[2] += d_w**2
                V -= rate * d_v / np.sqrt(sums[0])[:, None]
                Z -= rate * d_z / np.sqrt(sums[1])[:, None]
                w -= rate * d_w / np.sqrt(sums[2])
        losses.append(met / owned.sum())
    return V, Z, w, losses


@pytest.mark.parametrize("loss", ["warp", "bpr"])
@pytest.mark.parametrize("rich", [False, True])
@pytest.mark.parametrize(("weighted", "reg", "popularity"), [(False, 0.0, 0.0), (True, 0.1, 0.7)])
def test_an_epoch_is_that_of_the_twin(loss: str, rich: bool, weighted: bool, reg: float, popularity: float) -> None:
    pairs = some_pairs()
    if weighted:
        pairs = Pairs.of(pairs.csr * sparse.csr_array(np.random.default_rng(3).random((30, 40)) + 0.5))
    sides = features(pairs) if rich else identities(pairs)
    options = {"loss": loss, "learning_rate": 0.1, "reg": reg, "max_trials": 10, "popularity": popularity}
    start = start_of(sides)
    machine, told = fitted(pairs, sides, start, 2, **options)
    V, Z, w, losses = twin(pairs, sides, start, 2, options)
    np.testing.assert_allclose(told, losses, rtol=1e-3)
    np.testing.assert_allclose(machine.query_factors, V, atol=1e-3)
    np.testing.assert_allclose(machine.item_factors, Z, atol=1e-3)
    np.testing.assert_allclose(machine.item_linear, w, atol=1e-3)


def test_a_step_is_down_the_slope_of_the_loss() -> None:
    """Of two pairs and two items, by differences; steps are short and AdaGrad's sums are about 1."""
    pairs = Pairs.of([[0, 0], [1, 1]])
    sides, tiny = identities(pairs), 1e-4
    start = start_of(sides, k=3)
    start.query_factors /= 10
    machine, _ = fitted(pairs, sides, start, 1, loss="bpr", learning_rate=tiny, max_trials=50)

    def loss_at(Z: Any, w: Any) -> float:
        scores = Z.astype(float) @ start.query_factors.T.astype(float) + w[:, None]
        return float(np.logaddexp(0, scores[1, 0] - scores[0, 0]) + np.logaddexp(0, scores[0, 1] - scores[1, 1]))

    for i in range(2):
        for f in range(3):
            moved = start.item_factors.astype(float).copy()
            moved[i, f] += 1e-5
            slope = (loss_at(moved, start.item_linear) - loss_at(start.item_factors, start.item_linear)) / 1e-5
            step = (machine.item_factors[i, f] - start.item_factors[i, f]) / tiny
            assert step == pytest.approx(-slope, abs=2e-3)


@pytest.mark.parametrize("loss", ["warp", "bpr"])
def test_features_that_are_identities_written_differently_give_the_same(loss: str) -> None:
    """Columns in another order, entries twice, zeros stored."""
    pairs = some_pairs()
    plain = identities(pairs)
    start = start_of(plain)
    expected, told = fitted(pairs, plain, start, 3, loss=loss)
    rng = np.random.default_rng(4)
    q, i = rng.permutation(pairs.n_queries), rng.permutation(pairs.n_items)
    halves = (np.full(60, 0.5, np.float32), (np.tile(np.arange(30), 2), np.tile(q, 2)))
    zeros = (np.r_[np.ones(40), np.zeros(40)], (np.tile(np.arange(40), 2), np.r_[i, np.roll(i, 1)]))
    sides = sparse.csr_array(sparse.coo_array(halves, shape=(30, 30))), sparse.csr_array(zeros, shape=(40, 40))
    other = start.copy()
    other.query_factors[q], other.item_factors[i] = start.query_factors, start.item_factors
    machine, told_too = fitted(pairs, sides, other, 3, loss=loss)
    assert told_too == pytest.approx(told, rel=1e-4)
    np.testing.assert_allclose(machine.query_factors[q], expected.query_factors, atol=1e-4)
    np.testing.assert_allclose(machine.item_factors[i], expected.item_factors, atol=1e-4)
    np.testing.assert_allclose(machine.item_linear[i], expected.item_linear, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), density=st.floats(0.05, 0.95), loss=st.sampled_from(["warp", "bpr"]))
def test_own_items_are_never_lowered(seed: int, density: float, loss: str) -> None:
    """All queries have the same items: their weights only rise, those of the others only fall."""
    rng = np.random.default_rng(seed)
    own = np.flatnonzero(rng.random(15) < density)
    codes = np.stack([np.repeat(np.arange(8), len(own)), np.tile(own, 8)], axis=1).astype(int).reshape(-1, 2)
    pairs = Pairs.of(codes, 8, 15)
    sides = identities(pairs)
    power = float(rng.choice([0, 1]))
    machine, _ = fitted(pairs, sides, start_of(sides), 2, loss=loss, random_state=rng, popularity=power)
    has = np.isin(np.arange(15), own)
    assert (machine.item_linear[has] >= 0).all()
    assert (machine.item_linear[~has] <= 0).all()


def test_draws_estimate_the_rank() -> None:
    """The loss met, of machines that do not move, is the mean over geometric numbers of draws."""
    pairs = some_pairs(40, 50, 0.2)
    sides, trials = identities(pairs), 200
    start = start_of(sides)
    start.item_linear[:] = np.random.default_rng(5).standard_normal(50)
    _, told = fitted(pairs, sides, start, 300, learning_rate=0.0, max_trials=trials)
    scores = start.query_vectors(sides[0]) @ start.item_vectors(sides[1]).T
    foreign, expected = pairs.csr.toarray() == 0, 0.0
    t = np.arange(1, trials + 1)
    factor = np.log(np.maximum(49 // t, 1))
    for u, i in zip(pairs.queries, pairs.items, strict=True):
        near = foreign[u] & (scores[u] > scores[u, i] - 1)
        if near.any():  # as many are near as the rank by margin says
            share = near.mean()
            hinge = (1 + scores[u, near] - scores[u, i]).mean()
            expected += hinge * (factor * share * (1 - share) ** (t - 1)).sum()
    assert np.mean(told) == pytest.approx(expected / len(pairs), rel=0.01)


def test_draws_by_popularity_have_their_shares() -> None:
    pairs = some_pairs(200, 12, 0.3)
    cut, other = solver._alias(pairs, 0.5)
    counts = np.maximum(np.bincount(pairs.items, minlength=12), 1) ** 0.5
    kept = (cut.astype(float) + 1) / 2**32
    share = (kept + np.bincount(other, 1 - kept, 12)) / 12
    np.testing.assert_allclose(share, counts / counts.sum(), rtol=1e-6)


@pytest.mark.parametrize("loss", ["warp", "bpr"])
@pytest.mark.parametrize("popularity", [0.0, 0.5])
def test_an_item_that_nobody_has_weighs_as_the_least_of_the_others(loss: str, popularity: float) -> None:
    matrix = some_pairs(60, 20).csr.toarray()
    matrix[:, [3, 11]] = 0
    pairs = Pairs.of(sparse.csr_array(matrix))
    sides = identities(pairs)
    start = start_of(sides)
    machine, _ = fitted(pairs, sides, start, 5, loss=loss, popularity=popularity)
    np.testing.assert_array_equal(machine.item_linear[[3, 11]], machine.item_linear.min())
    assert np.flatnonzero(~machine.item_factors.any(axis=1)).tolist() == [3, 11]


@pytest.mark.parametrize("loss", ["warp", "bpr"])
def test_the_loss_falls_and_own_items_come_first(loss: str) -> None:
    pairs = some_pairs(100, 60)
    sides = identities(pairs)
    machine, told = fitted(pairs, sides, start_of(sides, k=16), 40, loss=loss)
    assert told[-1] < 0.5 * told[0]
    scores = machine.query_vectors(sides[0]) @ machine.item_vectors(sides[1]).T
    own = pairs.csr.toarray() > 0
    auc = np.mean([np.mean(s[o][:, None] > s[~o]) for s, o in zip(scores, own, strict=True) if o.any()])
    assert auc > 0.9


def test_one_thread_is_deterministic() -> None:
    pairs = some_pairs()
    sides = identities(pairs)
    one, other = (fitted(pairs, sides, start_of(sides), 3)[0] for _ in range(2))
    np.testing.assert_array_equal(one.query_factors, other.query_factors)
    third, _ = fitted(pairs, sides, start_of(sides), 3, random_state=np.random.default_rng(1))
    assert not np.array_equal(one.query_factors, third.query_factors)


def test_several_threads_fit_as_well() -> None:
    pairs = some_pairs(400, 60)
    sides = identities(pairs)
    alone, together = (fitted(pairs, sides, start_of(sides), 20, n_threads=n)[1][-1] for n in (1, 4))
    assert together == pytest.approx(alone, rel=0.1)


@pytest.mark.parametrize("loss", ["warp", "bpr"])
@pytest.mark.parametrize("popularity", [0.0, 1.0])
@pytest.mark.parametrize(
    ("codes", "n_queries", "n_items"),
    [
        ([[0, 0], [0, 1], [0, 2]], 1, 3),  # a query that has all items
        ([[0, 0], [1, 0]], 2, 1),  # a single item
        (np.empty((0, 2), int), 3, 4),  # no pairs
        ([[0, j] for j in range(49)], 2, 50),  # all items but one; a query without pairs
    ],
)
def test_edge_cases_end_and_stay_finite(loss: str, popularity: float, codes: Any, n_queries: int, n_items: int) -> None:
    pairs = Pairs.of(codes, n_queries, n_items)
    sides = identities(pairs)
    machine, told = fitted(pairs, sides, start_of(sides), 3, loss=loss, popularity=popularity)
    assert np.isfinite(told).all()
    assert np.isfinite(machine.item_factors).all()
    if n_items < 5:
        np.testing.assert_array_equal(machine.query_factors, start_of(sides).query_factors)


def test_an_item_without_pairs_is_lowered() -> None:
    pairs = Pairs.of([[q, i] for q in range(20) for i in range(q % 2, 10, 2)], 20, 11)
    sides = identities(pairs)
    machine, _ = fitted(pairs, sides, start_of(sides), 5, loss="bpr", popularity=1.0)
    assert machine.item_linear[10] == machine.item_linear.min() < 0


def test_no_factors_is_popularity() -> None:
    pairs = some_pairs(200, 20)
    sides = identities(pairs)
    machine, _ = fitted(pairs, sides, RankingMachine.random(200, 20, 0, 1.0, np.random.default_rng(0)), 30, loss="bpr")
    assert np.corrcoef(machine.item_linear, np.bincount(pairs.items, minlength=20))[0, 1] > 0.9


def test_it_runs_in_the_fit_loop() -> None:
    pairs = some_pairs()
    sides = identities(pairs)
    machine = start_of(sides)
    steps = sampled(
        pairs,
        *sides,
        machine,
        loss="warp",
        learning_rate=0.05,
        reg=0.1,
        max_trials=10,
        popularity=0.0,
        random_state=np.random.default_rng(0),
        n_threads=1,
    )
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0])
    record = run_fit(steps, machine, 9, validation_loss=lambda m: next(losses), patience=3)
    assert len(record.history) == 5
    assert record.machine is not machine


def test_wrong_shapes_are_told() -> None:
    pairs = some_pairs()
    queries, items = identities(pairs)
    with pytest.raises(ValueError, match=r"items have shape \(30, 30\), not \(40, 40\)"):
        fitted(pairs, (queries, queries), start_of((queries, items)), 1)
