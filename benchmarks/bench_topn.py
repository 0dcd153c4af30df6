"""Top-10 lists for 70,000 users of 10,000 items, beside implicit's kernel, in one run.

    python benchmarks/bench_topn.py           # needs pip install 'fmkit[benchmarks]'

Exact lists by inner product, items seen left out (about 140 a user), the same number of threads for both.
"""

import time
from typing import Any

import numpy as np
from implicit.cpu.topk import topk
from scipy import sparse
from synth_ratings import make
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from fmkit.ranking.topn import top_n
from fmkit.threads import count_threads


def seconds(work: Any) -> tuple[float, Any]:
    """Best of three runs, and what they return."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def main() -> None:
    """Print the table."""
    data = make()
    seen = sparse.csr_matrix((np.ones(len(data["user"]), np.float32), (data["user"], data["item"])))
    seen.sort_indices()
    rng = np.random.default_rng(0)
    rows = []
    for dimensions in (17, 65):
        users = rng.standard_normal((seen.shape[0], dimensions), dtype=np.float32)
        items = rng.standard_normal((seen.shape[1], dimensions), dtype=np.float32)
        for threads in (1, count_threads(None)):
            ours, (codes, _) = seconds(
                lambda: top_n(users, items, 10, seen.indptr.astype(np.int64), seen.indices, threads)  # noqa: B023
            )
            with threadpool_limits(1, "blas"):  # implicit's own advice: its threads are over users
                theirs, (ids, _) = seconds(
                    lambda: topk(items, users, 10, filter_query_items=seen, num_threads=threads)  # noqa: B023
                )
            agree = float(np.mean(codes == ids))
            rows.append([dimensions, threads, ours, theirs, theirs / ours, f"{agree:.4%}"])
    headers = ["dimensions", "threads", "fmkit, s", "implicit, s", "times as long", "places that agree"]
    print(tabulate(rows, headers, floatfmt=".3g"))


if __name__ == "__main__":
    main()
