"""Squared loss over all pairs: against dense sums, and what each kind of column does to them."""

from collections.abc import Iterator
from itertools import islice, pairwise

import numpy as np
import pytest
from scipy import sparse

from fmkit import Design, RelationBlock
from fmkit.ranking.implicit import Implicit, Objective
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.side import Side
from fmkit.ranking.squares import solve_rows, solve_short_rows

N_USERS, N_ITEMS, K = 30, 20, 4


def interactions(weighted: bool = False, n_rows: int = N_USERS, seed: int = 0) -> Pairs:
    rng = np.random.default_rng(seed)
    matrix = sparse.random_array((n_rows, N_ITEMS), density=0.2, rng=rng, format="csr")
    matrix.data[:] = rng.uniform(0.5, 3, matrix.nnz) if weighted else 1
    return Pairs.of(matrix)


def ids(n: int) -> Design:
    return Design.from_codes([np.arange(n)])


def with_attributes(n: int, seed: int) -> Design:
    """Ids beside a bag of four words."""
    rng = np.random.default_rng(seed)
    bag = sparse.random_array((n, 4), density=0.5, rng=rng)
    return Design.from_matrix(sparse.hstack([sparse.eye_array(n), bag], format="csr"))


def users_in_contexts(n: int) -> Design:
    """Rows of a user (with attributes, as a block) and a context each."""
    rng = np.random.default_rng(7)
    users = with_attributes(n // 3, 8)
    return Design.from_blocks(
        [RelationBlock(users, np.arange(n) % (n // 3))], Design.from_codes([rng.integers(0, 3, n)]).to_csr()
    )


def two_fields(n: int) -> Design:
    rng = np.random.default_rng(9)
    return Design.from_codes([rng.permutation(n) % (n // 2), rng.integers(0, 4, n)])


def bag_alone(n: int) -> Design:
    """Rows without ids of their own: a history, say."""
    return Design.from_matrix(sparse.random_array((n, 9), density=0.4, rng=np.random.default_rng(10), format="csr"))


DESIGNS = [ids, lambda n: with_attributes(n, 1), users_in_contexts, two_fields, bag_alone]


def solver(pairs: Pairs, queries: Design, items: Design, objective: Objective, n_threads: int = 1) -> Implicit:
    machine = RankingMachine.random(queries.n_features, items.n_features, K, 0.3, np.random.default_rng(3))
    return Implicit(Side.of(queries, pairs), Side.of(items, pairs.transposed), machine, objective, n_threads)


def dense_loss(solver: Implicit, queries: Design, items: Design, pairs: Pairs, objective: Objective) -> float:
    """The data's part of the objective, pair by pair, from the machine alone."""
    machine = solver.machine
    scores = (queries.to_csr() @ machine.query_factors) @ (items.to_csr() @ machine.item_factors).T
    seen = pairs.csr.toarray()
    present = np.outer(seen.any(axis=1), seen.any(axis=0))
    return float((seen * (1 - scores) ** 2).sum() + objective.unseen * (present * scores**2).sum())


def losses(solver: Implicit, n: int) -> Iterator[float]:
    for _ in islice(solver, n):
        yield solver.loss()


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_told_is_the_sum_over_all_pairs(design: object, weighted: bool) -> None:
    pairs, objective = interactions(weighted), Objective(0.3, 0.05, reg_attributes=2)
    queries, items = design(N_USERS), with_attributes(N_ITEMS, 2)  # type: ignore[operator]
    at_work = solver(pairs, queries, items, objective)
    for loss in losses(at_work, 3):
        penalties = at_work.queries.penalty() + at_work.items.penalty()
        assert loss == pytest.approx(dense_loss(at_work, queries, items, pairs, objective) + penalties, rel=1e-4)


@pytest.mark.parametrize("design", DESIGNS)
def test_no_sweep_raises_the_objective(design: object) -> None:
    pairs, objective = interactions(True), Objective(0.3, 0.05, reg_attributes=2)
    told = list(losses(solver(pairs, design(N_USERS), with_attributes(N_ITEMS, 2), objective), 30))  # type: ignore[operator]
    assert all(b <= a * (1 + 1e-5) for a, b in pairwise(told))


@pytest.mark.parametrize("design", DESIGNS)
def test_it_ends_where_all_slopes_are_zero(design: object) -> None:
    """Of the objective in the machine's own factors, by differences in float64."""
    pairs, objective = interactions(True), Objective(0.3, 0.05, reg_attributes=2)
    queries, items = design(N_USERS), with_attributes(N_ITEMS, 2)  # type: ignore[operator]
    at_work = solver(pairs, queries, items, objective)
    *_, last = islice(at_work, 300)
    X, Y = queries.to_csr().toarray().astype(float), items.to_csr().toarray().astype(float)
    seen = pairs.csr.toarray().astype(float)
    present = np.outer(seen.any(axis=1), seen.any(axis=0))
    V, Z = (a.astype(float) for a in (last.machine.query_factors, last.machine.item_factors))
    scores = (X @ V) @ (Y @ Z).T
    slope = X.T @ ((-seen * (1 - scores) + objective.unseen * present * scores) @ (Y @ Z))
    half = at_work.queries
    penalties = np.zeros(queries.n_features)
    penalties[half.side.columns] = half.penalties
    for part in half.entities:
        penalties[part.entities.own] = part.penalties
        penalties[part.entities.columns] = part.attribute_penalty
    size = np.abs(penalties[:, None] * V).max()
    np.testing.assert_allclose(slope + penalties[:, None] * V, 0, atol=0.01 * size)


def test_with_ids_alone_it_is_weighted_matrix_factorisation() -> None:
    """A sweep by dense systems, one a row, as Hu, Koren and Volinsky have it."""
    pairs, objective = interactions(True), Objective(0.2, 0.1)
    at_work = solver(pairs, ids(N_USERS), ids(N_ITEMS), objective)
    V, Z = (a.astype(float).copy() for a in (at_work.machine.query_factors, at_work.machine.item_factors))
    next(iter(at_work))
    seen = pairs.csr.toarray().astype(float)
    for own, other, table in ((V, Z, seen), (Z, V, seen.T)):
        others = table.any(axis=0)
        for r, row in enumerate(table):
            if not row.any():
                own[r] = 0
                continue
            gram = objective.unseen * other[others].T @ other[others] + (other.T * row) @ other
            penalty = objective.reg * (row.sum() + objective.unseen * others.sum())
            own[r] = np.linalg.solve(gram + penalty * np.eye(K), other.T @ row)
    np.testing.assert_allclose(at_work.machine.query_factors, V, atol=1e-4)
    np.testing.assert_allclose(at_work.machine.item_factors, Z, atol=1e-4)


@pytest.mark.parametrize("k", [4, 130])
def test_the_same_bits_for_any_number_of_threads(k: int) -> None:
    rng = np.random.default_rng(0)
    pairs = Pairs.of(sparse.random_array((3000, 50), density=0.2, rng=rng, format="csr"))
    queries, items = users_in_contexts(3000), with_attributes(50, 2)
    found = []
    for n_threads in (1, 3):
        machine = RankingMachine.random(queries.n_features, items.n_features, k, 0.1, np.random.default_rng(3))
        sides = Side.of(queries, pairs), Side.of(items, pairs.transposed)
        next(iter(Implicit(*sides, machine, Objective(), n_threads)))
        found.append(machine)
    np.testing.assert_array_equal(found[0].query_factors, found[1].query_factors)
    np.testing.assert_array_equal(found[0].item_factors, found[1].item_factors)


def test_what_nobody_has_is_where_its_attributes_say() -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(40) % 2
    seen = (rng.random((60, 40)) < np.where(np.arange(60)[:, None] % 2 == groups, 0.4, 0.02)).astype(float)
    seen[:, :2] = 0  # two items that nobody has, one of each group
    genre = sparse.csr_array(np.eye(2)[groups])
    items = Design.from_matrix(sparse.hstack([sparse.eye_array(40), genre], format="csr"))
    pairs = Pairs.of(sparse.csr_array(seen))
    at_work = solver(pairs, ids(60), items, Objective(0.1, 0.01))
    *_, last = islice(at_work, 30)
    scores = (last.machine.query_factors) @ (items.to_csr() @ last.machine.item_factors).T
    even = np.arange(60) % 2 == 0
    assert (scores[even, 0] > scores[even, 1]).mean() > 0.95
    assert (scores[~even, 1] > scores[~even, 0]).mean() > 0.95


def test_attributes_of_a_field_that_are_written_out_are_found() -> None:
    user = np.repeat(np.arange(10), 3)
    age = np.arange(10) % 3
    context = np.tile(np.arange(3), 10)
    side = Side.of(Design.from_codes([user, age[user], context]), interactions(n_rows=30))
    (entities,) = side.entities
    assert entities.own.tolist() == list(range(10))
    assert entities.columns.tolist() == [10, 11, 12]
    assert side.columns.tolist() == [13, 14, 15]


@pytest.mark.parametrize("rich", [False, True])
def test_vectors_of_few_pairs_are_solved_by_few_unknowns(rich: bool) -> None:
    """The same as by the system of k unknowns: with weights, bases, pulls and several rows a vector, or without."""
    rng, k, n, n_items = np.random.default_rng(0), 20, 40, 30
    n_pairs = rng.integers(0, k, n)
    before = np.concatenate([[0], np.cumsum(n_pairs)])
    items = rng.integers(0, n_items, before[-1]).astype(np.int32)
    Z = rng.standard_normal((n_items, k)).astype(np.float32)
    unseen, penalty = 0.3 * Z.T @ Z, (0.1 + rng.random(n)).astype(np.float32)
    times = rng.integers(0, 3, n).astype(np.float32) if rich else np.ones(n, np.float32)
    weights = rng.random(before[-1]).astype(np.float32) if rich else np.empty(0, np.float32)
    base = rng.standard_normal((50, k)).astype(np.float32) if rich else np.empty((0, k), np.float32)
    rows = rng.integers(0, 50, before[-1]).astype(np.int32)
    pull = rng.standard_normal((n, k)).astype(np.float32) if rich else np.empty((0, k), np.float32)
    seen = before, items, rows, weights, Z, base
    expected, made = np.empty((n, k), np.float32), np.empty((n, k), np.float32)
    solve_rows(0, n, np.arange(n), *seen, unseen, times, penalty, pull, expected)
    values, axes = np.linalg.eigh(unseen)
    turned = np.ascontiguousarray(pull @ axes)
    solve_short_rows(0, n, np.arange(n), *seen, Z @ axes, values, times, penalty, turned, made)
    np.testing.assert_allclose(made @ axes.T, expected, atol=1e-4 * np.abs(expected).max())
