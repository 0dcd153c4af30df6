"""Softmax over hidden histories: slopes against differences in float64, what is asked, and sampled items."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from fmkit.ranking import softmax
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.softmax import Asking, Softmax

N_QUERIES, N_ITEMS, K = 12, 9, 3


def problem(seed: int = 0, n_items: int = N_ITEMS) -> tuple[Pairs, Any, Any, RankingMachine]:
    """Queries of two features beside their histories, items of ids and two features."""
    rng = np.random.default_rng(seed)
    matrix = sparse.random_array((N_QUERIES, n_items), density=0.5, rng=rng, format="csr")
    matrix.data[:] = rng.integers(1, 3, matrix.nnz)
    queries = sparse.csr_array(rng.random((N_QUERIES, 2)), dtype=np.float32)
    items = sparse.csr_array(np.hstack([np.eye(n_items), rng.random((n_items, 2))]), dtype=np.float32)
    machine = RankingMachine.random(2 + n_items, n_items + 2, K, 0.5, rng)
    machine.item_linear[:] = rng.standard_normal(n_items + 2)
    return Pairs.of(matrix), queries, items, machine


class Told(Softmax):
    """A solver that keeps the slopes of its steps instead of taking them."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.slopes: list[Any] = []

    def _move(self, array: Any, slope: Any, moments: Any, decay: float) -> None:
        self.slopes.append(slope.copy())


def loss_of(machine: list[Any], X: Any, Y: Any, kept: Any, asked: Any) -> float:
    """Mean log loss of what is asked for, kept items left out, in float64 and one query at a time."""
    V, Z, w = machine
    total = 0.0
    for x, known, wanted in zip(X, kept, asked, strict=True):
        scores = (np.concatenate([x, known]) @ V) @ (Y @ Z).T + Y @ w
        left = known == 0
        log_sum = np.log(np.exp(scores[left]).sum())
        total += (wanted * (log_sum - scores)).sum()
    return float(total / asked.sum())


def test_slopes_are_those_of_the_loss() -> None:
    pairs, queries, items, machine = problem()
    solver = Told(pairs, queries, items, machine, Asking(hide=0.4, power=0.5), np.random.default_rng(1), 1)
    rows = np.arange(N_QUERIES)
    kept, asked = solver._hide(rows)
    solver._hide = lambda rows: (kept, asked)  # type: ignore[method-assign]
    told, weight = solver._step(rows)
    X, Y = queries.toarray().astype(float), items.toarray().astype(float)
    parts = [a.astype(float) for a in (machine.query_factors, machine.item_factors, machine.item_linear)]
    dense = kept.toarray().astype(float), asked.toarray().astype(float)
    assert told / weight == pytest.approx(loss_of(parts, X, Y, *dense), rel=1e-5)
    step = 1e-5
    for part, slope in zip(parts, solver.slopes, strict=True):
        flat, of_flat = part.reshape(-1), slope.reshape(-1)
        for i in range(len(flat)):
            value = flat[i]
            flat[i] = value + step
            more = loss_of(parts, X, Y, *dense)
            flat[i] = value - step
            less = loss_of(parts, X, Y, *dense)
            flat[i] = value
            assert of_flat[i] == pytest.approx((more - less) / (2 * step), abs=1e-4)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_slopes_are_those_of_torch(n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(softmax, "WORTH_A_THREAD", 4)
    pairs, queries, items, machine = problem(2)
    solver = Told(pairs, queries, items, machine, Asking(hide=0.4), np.random.default_rng(3), n_threads)
    kept, asked = solver._hide(np.arange(N_QUERIES))
    solver._hide = lambda rows: (kept, asked)  # type: ignore[method-assign]
    solver._step(np.arange(N_QUERIES))
    arrays = (machine.query_factors, machine.item_factors, machine.item_linear)
    V, Z, w = (torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays)
    X, Y = (torch.tensor(m.toarray(), dtype=torch.float64) for m in (queries, items))
    known, wanted = (torch.tensor(m.toarray(), dtype=torch.float64) for m in (kept, asked))
    scores = torch.cat([X, known], 1) @ V @ (Y @ Z).T + Y @ w
    logs = torch.log_softmax(scores.masked_fill(known > 0, -torch.inf), 1)
    loss = -(wanted * logs.masked_fill(known > 0, 0)).sum() / wanted.sum()
    loss.backward()
    for parameter, slope in zip((V, Z, w), solver.slopes, strict=True):
        np.testing.assert_allclose(slope.reshape(parameter.shape), parameter.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_a_history_is_parted_in_what_is_kept_and_what_is_asked() -> None:
    pairs, queries, items, machine = problem()
    solver = Softmax(pairs, queries, items, machine, Asking(hide=0.3, power=0.75), np.random.default_rng(1), 1)
    hidden = []
    for _ in range(200):
        kept, asked = (m.toarray() for m in solver._hide(np.arange(N_QUERIES)))
        assert not ((kept > 0) & (asked > 0)).any()
        np.testing.assert_array_equal((kept > 0) | (asked > 0), pairs.csr.toarray() > 0)
        np.testing.assert_array_equal(asked[asked > 0], pairs.csr.toarray()[asked > 0])
        n = (kept > 0).sum(axis=1)
        np.testing.assert_allclose(kept.sum(axis=1), np.where(n > 0, np.maximum(n, 1) ** 0.25, 0), rtol=1e-5)
        hidden.append((asked > 0).sum() / len(pairs))
    assert np.mean(hidden) == pytest.approx(0.3, abs=0.02)


def test_the_slopes_of_a_sample_are_those_of_all_items_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, queries, items, machine = problem(n_items=40)
    rows = np.arange(N_QUERIES)
    asking = Asking(hide=0.4)
    whole = Told(pairs, queries, items, machine, asking, np.random.default_rng(1), 1)
    kept, asked = whole._hide(rows)
    whole._hide = lambda rows: (kept, asked)  # type: ignore[method-assign]
    whole._step(rows)
    monkeypatch.setattr(softmax, "FULL", 10)
    monkeypatch.setattr(softmax, "SAMPLE", 30)
    sampled = Told(pairs, queries, items, machine, asking, np.random.default_rng(2), 1)
    sampled._hide = lambda rows: (kept, asked)  # type: ignore[method-assign]
    for _ in range(400):
        sampled._step(rows)
    for part in range(3):
        mean = np.mean(sampled.slopes[part::3], axis=0)
        size = np.abs(whole.slopes[part]).max()
        np.testing.assert_allclose(mean, whole.slopes[part], atol=0.12 * size)


def test_many_items_are_learned_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax, "FULL", 10)
    monkeypatch.setattr(softmax, "SAMPLE", 20)
    rng = np.random.default_rng(0)
    same = np.arange(200)[:, None] % 3 == np.arange(60) % 3
    pairs = Pairs.of(sparse.csr_array((rng.random(same.shape) < np.where(same, 0.5, 0.02)).astype(np.float32)))
    machine = RankingMachine.random(60, 60, 8, 0.05, rng)
    identity = sparse.csr_array(sparse.eye_array(60, dtype=np.float32))
    solver = Softmax(pairs, sparse.csr_array((200, 0)), identity, machine, Asking(), rng, 1)
    list(islice(solver, 150))
    scores = (pairs.csr @ machine.query_factors) @ machine.item_factors.T
    assert scores[same].mean() > scores[~same].mean() + 2 * scores.std()


def test_a_step_of_adam() -> None:
    """With no history, moments of a slope g are (1 - b) g and (1 - b) g^2: the first step is of one length."""
    pairs, queries, items, machine = problem()
    solver = Softmax(pairs, queries, items, machine, Asking(decay=0.5, learning_rate=0.1), np.random.default_rng(1), 1)
    solver.steps = 1
    x, g = np.array([[1.0, -2.0, 3.0]], np.float32), np.array([[0.5, -4.0, 0.0]], np.float32)
    moments = np.zeros_like(x), np.zeros_like(x)
    solver._move(x, g, moments, 0.5)
    np.testing.assert_allclose(x, [[0.95 - 0.1, -1.9 + 0.1, 2.85]], rtol=1e-4)
