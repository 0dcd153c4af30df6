"""ALS over partitions of users, in one process: what is sent in a sweep is written to bytes, counted, and read again.

- sums: each partition adds up its Gram sums of the items, each item's owner solves. Rows and users' vectors stay.
- halves: the same, sums sent as float16 with a scale an item.
- factors: owners of items have their rows, too, and are sent all users' vectors, as by `fmkit.spark.SparkFM`.

The kernels are the engine's: `sum_rows`, `cholesky_lanes`, and `solve_block`, by which SparkFM's tasks solve.
"""

from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fmkit import Design, FactorizationMachine
from fmkit.linalg import FASTMATH, LANES, back_substitute_lanes, cholesky_lanes, padded
from fmkit.solvers.als import Als
from fmkit.solvers.columns import JITTER, NONE, TILE, sort_by_code, sum_rows
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import Penalties
from fmkit.spark.sweeps import Rest, penalties_of, solve_block


# Not cached: a test imports this module by another name than a benchmark, and numba would look for the first one's.
@njit
def length_of_sums(k: int) -> int:
    """Numbers that a column's system consists of: a triangle of k + 1, and a right-hand side."""
    return (k + 1) * (k + 2) // 2 + k + 1


@njit(fastmath=FASTMATH)
def sum_items(first: int, last: int, ptr: Any, source: Any, y: Any, bias: Any, known: Any, Q: Any, out: Any) -> None:
    """Put the sums of items first:last over their rows into out[: last - first], row after row of the triangle.

    Parameters
    ----------
    ptr, source, y, known, Q
        As of `fmkit.solvers.columns.solve_columns`, where nothing is kept a row.
    out : float32 array of shape (last - first, length_of_sums(k))
    """
    k = Q.shape[1]
    width = padded(k + 4)
    tile, S, S64 = np.zeros((TILE, width), np.float32), np.zeros((width, width), np.float32), np.empty((k + 2, k))
    theta = np.zeros(k + 1, np.float32)
    for j in range(first, last):
        _, slope, _, corner, _ = sum_rows(
            ptr[j], ptr[j + 1], source, NONE, y, NONE, NONE, bias, known, Q, theta, False, tile, S, S64
        )
        at = 0
        for i in range(k):
            for l in range(i, k):
                out[j - first, at] = S[i, l]
                at += 1
            out[j - first, at] = S[k, i]
            at += 1
        out[j - first, at] = corner
        for i in range(k):
            out[j - first, at + 1 + i] = S[k + 1, i]
        out[j - first, at + 1 + k] = slope


@njit(fastmath=FASTMATH)
def solve_items(sums: Any, penalty_w: Any, penalty_v: Any, w: Any, V: Any) -> float:
    """Solve the systems of `sum_items`, side by side as the engine does; returns what residuals then add up to."""
    k = V.shape[1]
    n = k + 1
    A = np.zeros((n, n + 1, LANES), np.float32)
    rest = 0.0
    for start in range(0, len(sums), LANES):
        m = min(LANES, len(sums) - start)
        A[:] = 0
        for lane in range(m):
            at = 0
            for i in range(n):
                for l in range(i, n):
                    A[i, l, lane] = sums[start + lane, at]
                    at += 1
                A[i, i, lane] = A[i, i, lane] * (1 + JITTER) + (penalty_v if i < k else penalty_w)
            for i in range(n):
                A[i, n, lane] = sums[start + lane, at + i]
        cholesky_lanes(A, n)
        back_substitute_lanes(A, n)
        for lane in range(m):
            at, step = -1, 0.0
            for i in range(n):
                at += n - i  # the last number of the triangle's row: the sum of a factor, or of ones
                step += sums[start + lane, at] * A[i, n, lane]
                if i < k:
                    V[start + lane, i] = A[i, n, lane]
            w[start + lane] = A[k, n, lane]
            rest += sums[start + lane, at + n] - step
    return rest


@dataclass
class Rows:
    """Ratings sorted by one side: of level j, `other` and `y` at ptr[j]:ptr[j + 1]."""

    ptr: NDArray[np.int64]
    other: NDArray[np.int32]
    y: NDArray[np.float32]

    @staticmethod
    def by(codes: Any, n_levels: int, other: Any, y: Any) -> "Rows":
        """Sort."""
        ptr, order = sort_by_code(codes, n_levels)
        return Rows(ptr, other[order], y[order])

    def codes(self) -> NDArray[np.int32]:
        """Level of each row."""
        return np.repeat(np.arange(len(self.ptr) - 1, dtype=np.int32), np.diff(self.ptr))


@dataclass
class Wire:
    """Counts what partitions send each other."""

    bytes: int = 0

    def send(self, array: NDArray[Any], sender: int, receiver: int) -> NDArray[Any]:
        """The array as the receiver reads it; what stays where it is costs nothing."""
        if sender == receiver:
            return array
        written = array.tobytes()
        self.bytes += len(written)
        return np.frombuffer(written, array.dtype).reshape(array.shape)


@dataclass
class Cluster:
    """Partitions of users, a machine, and the penalties of users and items.

    Parameters
    ----------
    parts : list of Rows
        Of each partition, by its users.
    w, V : list of ndarrays
        Of the users of each partition.
    machine : FactorizationMachine
        Of the items alone, which all partitions have.
    penalties : tuple
        As of `penalties_of`.
    """

    parts: list[Rows]
    machine: FactorizationMachine
    penalties: tuple[list[float], list[float]]
    w: list[NDArray[np.float32]] = field(default_factory=list)
    V: list[NDArray[np.float32]] = field(default_factory=list)
    wire: Wire = field(default_factory=Wire)

    def solve_users(self) -> None:
        """Where their rows are."""
        rest = self.rest(self.machine.linear, self.machine.factors, 0)
        solved = [solve_block(rows.ptr, rows.other, rows.y, NONE, rest, 1) for rows in self.parts]
        self.w, self.V = [w for w, _, _ in solved], [V for _, V, _ in solved]

    def rest(self, linear: Any, factors: Any, side: int) -> Rest:
        """What ids of a side are solved by."""
        own = self.penalties[0][side], self.penalties[1][side]
        return Rest(self.machine.bias, linear, factors, 1, *own, tell_sums=side == 1)

    def tell_items(self, told: list[tuple[int, Any, Any, float]]) -> None:
        """Let all partitions have what owners have solved: first item, weights, factors, and the residuals' sum."""
        rest = 0.0
        for owner, (first, w, V, residuals) in enumerate(told):
            for receiver in range(len(self.parts)):
                for array in (w, V, np.array([residuals])):
                    self.wire.send(array, owner, receiver)
            self.machine.linear[first : first + len(w)], self.machine.factors[first : first + len(w)] = w, V
            rest += residuals
        self.machine.bias += rest / sum(len(rows.y) for rows in self.parts)


class BySums(Cluster):
    """Items' sums are added up, each by its owner."""

    def place(self) -> None:
        """The rows of each partition once more, by item."""
        n = self.machine.n_features
        self.by_item = [Rows.by(rows.other, n, rows.codes(), rows.y) for rows in self.parts]
        cuts = np.linspace(0, n, len(self.parts) + 1).astype(int)
        self.shares = [(int(a), int(b)) for a, b in pairwise(cuts)]

    def sweep(self) -> None:
        """Users, items, bias."""
        self.solve_users()
        k = self.machine.n_factors
        totals = [np.zeros((b - a, length_of_sums(k)), np.float32) for a, b in self.shares]
        for sender, rows in enumerate(self.by_item):
            for owner, (a, b) in enumerate(self.shares):
                sums = np.empty_like(totals[owner])
                known = np.float32(self.machine.bias), self.w[sender], self.V[sender]
                sum_items(a, b, rows.ptr, rows.other, rows.y, *known, sums)
                totals[owner] += self.sent(sums, sender, owner)
        told = []
        penalties = np.float32(self.penalties[0][1]), np.float32(self.penalties[1][1])
        for (a, b), sums in zip(self.shares, totals, strict=True):
            w, V = np.empty(b - a, np.float32), np.empty((b - a, k), np.float32)
            told.append((a, w, V, solve_items(sums, *penalties, w, V)))
        self.tell_items(told)

    def sent(self, sums: NDArray[np.float32], sender: int, owner: int) -> NDArray[np.float32]:
        """Sums as their owner gets them."""
        return self.wire.send(sums, sender, owner)


class ByHalves(BySums):
    """Sums in half precision, those of an item over the largest of them."""

    def sent(self, sums: NDArray[np.float32], sender: int, owner: int) -> NDArray[np.float32]:
        """Sums as their owner gets them."""
        if sender == owner:
            return sums
        scale = np.maximum(np.abs(sums).max(axis=1, keepdims=True), np.float32(1e-30))
        halves = self.wire.send((sums / scale).astype(np.float16), sender, owner)
        return halves.astype(np.float32) * self.wire.send(scale, sender, owner)


class ByFactors(Cluster):
    """Owners of items have all rows of them, and are sent all users' vectors."""

    def place(self) -> None:
        """The rows of all partitions by item, in shares of about as many rows."""
        n, n_parts = self.machine.n_features, len(self.parts)
        users = np.cumsum([0, *(len(rows.ptr) - 1 for rows in self.parts)]).astype(np.int32)
        codes = np.concatenate([rows.codes() + first for rows, first in zip(self.parts, users[:-1], strict=True)])
        items, y = (np.concatenate([getattr(rows, name) for rows in self.parts]) for name in ("other", "y"))
        rows = Rows.by(items, n, codes, y)
        cuts = np.searchsorted(rows.ptr, np.linspace(0, len(y), n_parts + 1)[1:-1])
        self.shares = []
        for a, b in pairwise(np.r_[0, cuts, n]):
            begin, end = rows.ptr[a], rows.ptr[b]
            own = Rows(rows.ptr[a : b + 1] - begin, rows.other[begin:end].copy(), rows.y[begin:end].copy())
            self.shares.append((int(a), own))

    def sweep(self) -> None:
        """Users, items, bias."""
        self.solve_users()
        told = []
        for owner, (first, rows) in enumerate(self.shares):
            w, V = (
                np.concatenate([self.wire.send(part, sender, owner) for sender, part in enumerate(parts)])
                for parts in (self.w, self.V)
            )
            w, V, sums = solve_block(rows.ptr, rows.other, rows.y, NONE, self.rest(w, V, 1), 1)
            told.append((first, w, V, float(sums[:, 1].sum())))
        self.tell_items(told)


LAYOUTS: dict[str, type[BySums] | type[ByFactors]] = {"sums": BySums, "halves": ByHalves, "factors": ByFactors}


def popularity(n_items: int) -> NDArray[np.float64]:
    """Shares of the ratings by the law of synth_ratings.py, the most popular item first."""
    weight = 1.0 / (np.arange(n_items) + 30.0) ** 0.95
    return np.asarray(weight / weight.sum())


def make_parts(n_parts: int, n_ratings: int, n_users: int, n_items: int, seed: int = 0) -> list[Rows]:
    """Partitions of so many ratings and users each: eight true factors, noise of .75. A pair may come twice."""
    rng = np.random.default_rng(seed)
    items = 0.35 * rng.standard_normal((n_items, 9), dtype=np.float32)
    cumulative = np.cumsum(popularity(n_items)[rng.permutation(n_items)])
    parts = []
    for _ in range(n_parts):
        activity = rng.lognormal(0, 1.15, n_users)
        user = np.sort(rng.choice(n_users, n_ratings, p=activity / activity.sum())).astype(np.int32)
        item = np.minimum(np.searchsorted(cumulative, rng.random(n_ratings)), n_items - 1).astype(np.int32)
        users = rng.standard_normal((n_users, 9), dtype=np.float32)
        y = np.einsum("rk,rk->r", users[user, :8], items[item, :8]) + 0.4 * users[user, 8] + items[item, 8]
        y += np.float32(0.75) * rng.standard_normal(n_ratings, dtype=np.float32)
        parts.append(Rows.by(user, n_users, item, y))
    return parts


def make_cluster(layout: str, parts: list[Rows], n_items: int, k: int) -> BySums | ByFactors:
    """Ready for sweeps; the start is the same for all layouts."""
    counts = [
        np.concatenate([np.diff(rows.ptr) for rows in parts]),
        np.sum([np.bincount(rows.other, minlength=n_items) for rows in parts], axis=0),
    ]
    total = sum(len(rows.y) for rows in parts)
    spread = float(np.std(np.concatenate([rows.y for rows in parts])))
    factors = np.float32(0.1) * np.random.default_rng(1).standard_normal((n_items, k), dtype=np.float32)
    machine = FactorizationMachine(0.0, np.zeros(n_items, np.float32), factors)
    cluster = LAYOUTS[layout](parts, machine, penalties_of(counts, total, spread, 3.0, 0.9))
    cluster.place()
    return cluster


def predictions(cluster: Cluster) -> NDArray[np.float32]:
    """Of all rows, partition after partition."""
    items = cluster.machine
    found = []
    for rows, w, V in zip(cluster.parts, cluster.w, cluster.V, strict=True):
        user, item = rows.codes(), rows.other
        pairs = np.einsum("rk,rk->r", V[user], items.factors[item])
        found.append(np.float32(items.bias) + w[user] + items.linear[item] + pairs)
    return np.concatenate(found)


def by_engine(parts: list[Rows], n_items: int, k: int, sweeps: int) -> NDArray[np.float32]:
    """What the engine's own ALS predicts of the same rows, undivided, from the same start."""
    cluster = make_cluster("sums", parts, n_items, k)
    users = np.cumsum([0, *(len(rows.ptr) - 1 for rows in parts)])
    codes = np.concatenate([rows.codes() + first for rows, first in zip(parts, users[:-1], strict=True)])
    sizes = [int(users[-1]), n_items]
    design = Design.from_codes([codes.astype(np.int32), np.concatenate([rows.other for rows in parts])], sizes)
    factors = np.concatenate([np.zeros((sizes[0], k), np.float32), cluster.machine.factors])
    machine = FactorizationMachine(0.0, np.zeros(sum(sizes), np.float32), factors)
    penalties = Penalties(*(np.repeat(np.array(of_sides, np.float32), sizes) for of_sides in cluster.penalties))
    objective = Objective(design, np.concatenate([rows.y for rows in parts]), None, penalties, False)
    for _ in islice(Als(objective, machine, 1), sweeps):
        pass
    return np.asarray(machine.predict(design, 1))
