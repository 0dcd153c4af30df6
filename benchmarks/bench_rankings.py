"""Lists from implicit feedback: every loss of FMRanker with its defaults, beside popularity, EASE and implicit's ALS.

    python benchmarks/bench_rankings.py [--sets movielens goodbooks msweb] [--msweb FILE] [--seeds 0 1 2] [--cache FILE]

Pairs are ratings of 4 and more (of msweb, visits). A fifth of them is the test part, for everyone the same; FMRanker
sets its own validation part aside from the others. Rivals are tuned on a tenth of the others and refitted on all:
EASE's ridge, and factors, alpha and regularisation of implicit's ALS. Recall@20 is hits / min(20, test pairs).

msweb (anonymous-msweb of the UCI repository) does not ship: FILE is an .npz with the arrays i, p, dim of its areas x
users in CSC form.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from fmkit import FMRanker
from fmkit.datasets import load_goodbooks, load_movielens_small
from fmkit.recommend.metrics import evaluate_scores

Score = Callable[[Any], Any]

LOSSES = ("auto", "implicit", "softmax", "warp", "bpr")
RIDGES = (1, 5, 10, 50, 100, 200, 400, 1000)
ALS = {"factors": (32, 64, 128), "alpha": (2, 10, 40), "regularization": (1, 10, 60)}


def interactions(name: str, msweb: Path | None) -> tuple[Any, Any]:
    """Codes of users and items, in the file's order."""
    if name == "msweb":
        assert msweb is not None, "msweb needs --msweb FILE"
        file = np.load(msweb)
        areas = sparse.csc_array((np.ones(len(file["i"])), file["i"], file["p"]), shape=tuple(file["dim"]))
        pairs = areas.T.tocoo()
        users, items = pairs.row, pairs.col
    else:
        bunch = {"movielens": load_movielens_small, "goodbooks": load_goodbooks}[name]()
        liked = np.asarray(bunch.target) >= 4
        users, items = np.asarray(bunch.data)[liked, :2].T
    return tuple(np.unique(codes, return_inverse=True)[1] for codes in (users, items))  # type: ignore[return-value]


def part(n: int, seed: int, fraction: float) -> Any:
    chosen = np.zeros(n, bool)
    chosen[np.random.default_rng(seed).permutation(n)[: int(n * fraction)]] = True
    return chosen


def split(users: Any, items: Any) -> tuple[Any, Any, Any, Any]:
    """(train, validation, both, test) as sparse matrices of ones."""
    shape = users.max() + 1, items.max() + 1

    def matrix(some: Any) -> Any:
        made = sparse.csr_array((np.ones(some.sum(), np.float32), (users[some], items[some])), shape=shape)
        made.data[:] = 1
        return made

    test = part(len(users), 0, 0.2)
    validation = np.zeros(len(users), bool)
    validation[np.flatnonzero(~test)[part(int((~test).sum()), 1, 0.1)]] = True
    return matrix(~test & ~validation), matrix(validation), matrix(~test), matrix(test)


def judged(score: Score, seen: Any, test: Any) -> dict[str, float]:
    """NDCG@10 and Recall@20 of users with pairs in both parts."""
    warm = sparse.diags_array((np.diff(seen.indptr) > 0).astype(np.float32))
    relevant = sparse.csr_array(warm @ test)
    relevant.eliminate_zeros()
    means = evaluate_scores(score, relevant, exclude=seen, metrics=["ndcg@10", "capped_recall@20"]).mean()
    return {"ndcg": means["ndcg@10"], "recall": means["capped_recall@20"]}


def popularity(seen: Any) -> Score:
    counts = np.asarray(seen.sum(axis=0))
    return lambda users: np.tile(counts, (len(users), 1))


def ease(seen: Any, ridge: float) -> Score:
    """Steck (2019), in float64 by the inverse of the items' Gram matrix."""
    gram = (seen.T @ seen).toarray().astype(float)
    gram[np.diag_indices_from(gram)] += ridge
    inverse = np.linalg.inv(gram)
    weights = (inverse / -np.diag(inverse)).astype(np.float32)
    weights[np.diag_indices_from(weights)] = 0
    return lambda users: seen[users] @ weights


def implicit_als(seen: Any, **settings: Any) -> Score:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(iterations=15, random_state=0, **settings)
    with threadpool_limits(1, "blas"):  # as it asks for
        model.fit(sparse.csr_matrix(seen), show_progress=False)
    return lambda users: model.user_factors[users] @ model.item_factors.T


def rivals(parts: tuple[Any, Any, Any, Any]) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """Names, and how each is tuned, refitted and judged."""
    train, validation, both, test = parts

    def tuned(fit: Callable[..., Score], grid: list[dict[str, Any]]) -> dict[str, float]:
        best = max(grid, key=lambda settings: judged(fit(train, **settings), train, validation)["ndcg"])
        start = time.perf_counter()
        score = fit(both, **best)
        return {**judged(score, both, test), "seconds": time.perf_counter() - start}

    yield "popularity", lambda: judged(popularity(both), both, test)
    yield "EASE", lambda: tuned(ease, [{"ridge": ridge} for ridge in RIDGES])
    grid = [dict(zip(ALS, values, strict=True)) for values in product(*ALS.values())]
    yield "implicit's ALS", lambda: tuned(implicit_als, grid)


def ours(parts: tuple[Any, Any, Any, Any], loss: Any, seed: int) -> dict[str, float]:
    _, _, both, test = parts
    start = time.perf_counter()
    ranker = FMRanker(loss, random_state=seed).fit(both)
    seconds = time.perf_counter() - start
    return {
        **judged(ranker.score, both, test),
        "seconds": seconds,
        **{f"of {k}": v for k, v in ranker.weights_.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["movielens", "goodbooks"])
    parser.add_argument("--msweb", type=Path)
    parser.add_argument("--losses", nargs="*", default=LOSSES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--no-rivals", action="store_true")
    parser.add_argument("--cache", type=Path, help="a JSON file of what is done")
    arguments = parser.parse_args()
    done: dict[str, dict[str, float]] = {}
    if arguments.cache and arguments.cache.exists():
        done = json.loads(arguments.cache.read_text())

    def once(key: str, work: Callable[[], dict[str, float]]) -> dict[str, float]:
        if key not in done:
            done[key] = work()
            if arguments.cache:
                arguments.cache.write_text(json.dumps(done, indent=1))
        return done[key]

    for name in arguments.sets:
        parts = split(*interactions(name, arguments.msweb))
        rows: list[list[Any]] = []
        if not arguments.no_rivals:
            for rival, work in rivals(parts):
                result = once(f"{name} {rival}", work)
                rows.append([rival, result["recall"], None, result["ndcg"], None, result.get("seconds")])
        for loss in arguments.losses:
            of_seeds = [once(f"{name} {loss} {seed}", partial(ours, parts, loss, seed)) for seed in arguments.seeds]
            table = np.array([[result[key] for key in ("recall", "ndcg", "seconds")] for result in of_seeds])
            mean, spread = table.mean(axis=0), np.ptp(table, axis=0)
            rows.append([f"FMRanker, {loss}", mean[0], spread[0], mean[1], spread[1], mean[2]])
        print(f"\n{name}: {parts[2].shape[0]:,} users x {parts[2].shape[1]:,} items, {parts[2].nnz:,} pairs to fit")
        headers = ["", "Recall@20", "over seeds", "NDCG@10", "over seeds", "s"]
        print(tabulate(rows, headers, floatfmt=("", ".3f", ".3f", ".3f", ".3f", ".1f"), missingval=""), flush=True)


if __name__ == "__main__":
    main()
