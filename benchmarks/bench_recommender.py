"""The recommender against its rivals: errors of ratings, seconds of lists, of people folded in, of evaluations.

    python benchmarks/bench_recommender.py ratings [--surprise PYTHON]
    python benchmarks/bench_recommender.py rankings [--msweb FILE] [--rivals] [--minutes 10]
    python benchmarks/bench_recommender.py lists
    python benchmarks/bench_recommender.py table

Ratings: the shipped sets, a tenth held out by numpy.random.RandomState(42). `--surprise` names a Python that has
scikit-surprise, which needs numpy 1. Rankings: the split of bench_rankings.py, by defaults and after `tune`.
Lists: top-10 for 70,000 users of 10,000 items with vectors of 64 factors, beside
implicit's; twenty ratings of somebody new; NDCG@10 of 10 million interactions. Table: a million rows from CSV to every
user's list in a Parquet file by one command, with its memory.
"""

import io
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import redirect_stderr
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.csv
from bench_rankings import interactions, judged, rivals, split
from scipy import sparse
from synth_ratings import make

import fmkit.datasets
from fmkit import FMRegressor
from fmkit.datasets import load_goodbooks, load_movielens_small
from fmkit.recommend import Recommender, evaluate, tune

SURPRISE = """
import sys, numpy as np
from surprise import SVD, SVDpp, KNNBaseline, Dataset, Reader
import pandas as pd
for name in sys.argv[1:]:
    z = np.load(name)
    train = Dataset.load_from_df(pd.DataFrame({n: z[n][~z["test"]] for n in ("user", "item", "rating")}),
                                 Reader(rating_scale=(z["rating"].min(), z["rating"].max()))).build_full_trainset()
    for model in (SVD(random_state=0), SVDpp(random_state=0), KNNBaseline(verbose=False)):
        model.fit(train)
        rows = zip(*(z[n][z["test"]].tolist() for n in ("user", "item", "rating")))
        errors = [model.predict(u, i).est - r for u, i, r in rows]
        print(name.split("/")[-1], type(model).__name__, np.sqrt(np.mean(np.square(errors))), flush=True)
"""


def rmse(predicted, ratings):
    return float(np.sqrt(np.mean(np.square(predicted - ratings))))


def sets():
    """Name, users, items, ratings, and the table of items of each set that ships."""
    folder = Path(fmkit.datasets.__file__).parent
    for name, load, items in (
        ("movielens", load_movielens_small, folder / "movielens_small" / "movies.csv.gz"),
        ("goodbooks", load_goodbooks, None),
    ):
        ids, ratings = load(return_X_y=True)
        yield name, ids[:, 0], ids[:, 1], ratings, items


def myfm_error(user, item, rating, test):
    """Of myFM with relation blocks of ids and rated sets, 8 factors, 200 samples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import myfm
    users, items = (np.unique(column, return_inverse=True)[1] for column in (user, item))
    shape = users.max() + 1, items.max() + 1
    pairs = sparse.csr_array((np.ones((~test).sum()), (users[~test], items[~test])), shape=shape)

    def block(partners):
        counts = np.maximum(np.asarray(partners.sum(axis=1)).ravel(), 1)
        unit = sparse.diags_array(1 / np.sqrt(counts)) @ partners
        return sparse.csr_matrix(sparse.hstack([sparse.eye_array(partners.shape[0]), unit], format="csr"))

    tables = block(pairs), block(pairs.T.tocsr())

    def blocks(rows):
        codes = users[rows], items[rows]
        return [myfm.RelationBlock(c.tolist(), table) for c, table in zip(codes, tables, strict=True)]

    model = myfm.MyFMRegressor(rank=8, random_seed=42)
    sizes = [n for table in tables for n in (table.shape[0], table.shape[1] - table.shape[0])]
    with redirect_stderr(io.StringIO()):  # its progress bar
        model.fit(None, rating[~test], X_rel=blocks(~test), n_iter=512, n_kept_samples=400, group_shapes=sizes)
    return rmse(model.predict(None, blocks(test)), rating[test])


@click.group()
def main():
    """Ratings, rankings, lists or table."""


@main.command()
@click.option("--surprise", metavar="PYTHON")
def ratings(surprise):
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, user, item, rating, items in sets():
            test = np.zeros(len(rating), bool)
            test[np.random.RandomState(42).permutation(len(rating))[: len(rating) // 10]] = True
            columns = {"user": user, "item": item, "rating": rating}
            train = {column: values[~test] for column, values in columns.items()}
            for what, known in (("ids", None), ("items' table", items)):
                if what == "ids" or items is not None:
                    start = time.perf_counter()
                    model = Recommender().fit(train, items=known)
                    seconds = time.perf_counter() - start
                    error = rmse(model.predict(user[test], item[test]), rating[test])
                    print(f"{name} fmkit, {what}: {error:.4f} in {seconds:.1f} s", flush=True)
            start = time.perf_counter()
            error = myfm_error(user, item, rating, test)
            print(f"{name} myFM, rated sets: {error:.4f} in {time.perf_counter() - start:.1f} s", flush=True)
            files.append(f"{folder}/{name}.npz")
            np.savez(files[-1], test=test, **columns)
        if surprise:
            subprocess.run([surprise, "-c", SURPRISE, *files], check=True)


@main.command()
@click.option("--sets", "names", multiple=True, default=["movielens", "goodbooks"])
@click.option("--msweb", type=Path)
@click.option("--minutes", default=10.0)
@click.option("--rivals", "with_rivals", is_flag=True)
def rankings(names, msweb, minutes, with_rivals):
    for name in (*names, *(["msweb"] if msweb else [])):
        parts = split(*interactions(name, msweb))
        both, test = parts[2:]
        users, items = both.nonzero()
        clicks = {"user": users, "item": items}

        def told(what, result, of=name):
            print(f"{of} {what}: recall@20 {result['recall']:.4f}, ndcg@10 {result['ndcg']:.4f}", flush=True)

        start = time.perf_counter()
        told("Recommender", judged(scores_by_code(Recommender(feedback="implicit").fit(clicks), both), both, test))
        print(f"  in {time.perf_counter() - start:.0f} s")
        start = time.perf_counter()
        found = tune(Recommender(feedback="implicit"), clicks, minutes=minutes, how="random")
        print(found, f"in {time.perf_counter() - start:.0f} s", sep="\n")
        told("tune", judged(scores_by_code(found.recommender_, both), both, test))
        if with_rivals:
            for rival, work in rivals(parts):
                told(rival, work())


def scores_by_code(recommender, pairs):
    """Scores of all items, of users whose ids are the rows of the pairs."""
    model, items = recommender.model_, recommender.items_.ids.encode(np.arange(pairs.shape[1]))
    codes = recommender.users_.ids.encode(np.arange(pairs.shape[0]))

    def score(users):
        asked = model.find(codes[users])
        scores = model.ranker.ranking_.scores(asked.of_users, asked.histories)
        return np.where(items < 0, -np.inf, scores[:, items])

    return score


@main.command()
def lists():
    d = make()
    columns = {name: d[name] for name in ("user", "item", "rating")}
    train = {name: column[~d["test"]] for name, column in columns.items()}
    test = {name: column[d["test"]] for name, column in columns.items()}
    model = Recommender(FMRegressor(64, max_iter=3, random_state=0)).fit(train)
    pairs = sparse.csr_matrix((np.ones(len(train["user"]), np.float32), (train["user"], train["item"])))
    from implicit.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    rival = AlternatingLeastSquares(factors=64, iterations=1, use_gpu=False)
    with threadpool_limits(1, "blas"):
        rival.fit(pairs, show_progress=False)
        for _ in range(3):
            start = time.perf_counter()
            for _batch in model.recommend_batches(n=10):
                pass
            ours = time.perf_counter() - start
            start = time.perf_counter()
            rival.recommend(np.arange(pairs.shape[0]), pairs, N=10)
            theirs = time.perf_counter() - start
            print(f"lists of {pairs.shape[0]:,} users: fmkit {ours:.2f} s, implicit {theirs:.2f} s", flush=True)
    sure = Recommender(max_iter=3, n_factors=64).fit({name: column[:2_000_000] for name, column in train.items()})
    start = time.perf_counter()
    n = sum(len(batch) for batch in sure.recommend_batches(n=10)) // 10
    print(f"with deviations of MCMC taken off, lists of {n:,} users: {time.perf_counter() - start:.2f} s")
    someone = dict.fromkeys(model.items_.ids.ids.to_pylist()[:20], 4.0)
    for name, one in (("ALS, 64 factors", model), ("MCMC, 64 factors", sure)):
        one.recommend_for(someone)
        seconds = []
        for _ in range(100):
            start = time.perf_counter()
            one.recommend_for(someone)
            seconds.append(time.perf_counter() - start)
        print(f"somebody new with twenty ratings, {name}: {1e3 * np.median(seconds):.2f} ms")
    start = time.perf_counter()
    result = evaluate(model, test, metrics=["ndcg"], k=10)
    seconds, asked = time.perf_counter() - start, len(result.per_user["ndcg@10"])
    print(f"evaluate {len(d['user']):,} interactions, NDCG@10 of {asked:,} users: {seconds:.1f} s")


@main.command()
def table():
    d = make(n_users=20_000, n_items=8_000, n_ratings=1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        for name, columns in (("ratings", ("user", "item", "rating")), ("clicks", ("user", "item"))):
            file, out = f"{folder}/{name}.csv", f"{folder}/{name}.parquet"
            pa.csv.write_csv(pa.table({column: d[column] for column in columns}), file)
            code = "from fmkit.cli import main; main()"
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code, "recommend", file, "--all-users", "--out", out], check=True)
            most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6  # of all so far
            print(f"a million {name}: {time.perf_counter() - start:.1f} s, {most:.2f} GB", flush=True)


if __name__ == "__main__":
    main()
