"""What features add to lists: by the items' popularity, for items that nobody has yet, and for users never seen.

    python benchmarks/bench_features.py [--sets movielens goodbooks] [--losses implicit softmax warp] [--lightfm]

Genres (MovieLens) or authors and years (goodbooks) stand beside the items' ids. The split is that of bench_rankings.py;
for cold items a tenth of the items is taken out of the fit altogether, and lists are among these; for new users a fifth
of the users is, and half of their pairs given.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from bench_rankings import interactions, judged, split
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from tabulate import tabulate

from fmkit import FMRanker
from fmkit.datasets import load_goodbooks, load_movielens_small
from fmkit.recommend.metrics import evaluate_scores


def item_features(name: str) -> Any:
    """One row an item of `interactions`: of genres, or of authors and decades."""
    if name == "movielens":
        bunch = load_movielens_small()
        liked = np.asarray(bunch.target) >= 4
        ids = np.unique(np.asarray(bunch.data)[liked, 1])
        rows = np.searchsorted(bunch.movies["movieId"], ids)
        words = CountVectorizer(tokenizer=lambda text: text.split("|"), token_pattern=None, binary=True)
        return sparse.csr_array(words.fit_transform(bunch.movies["genres"][rows]), dtype=np.float32)
    bunch = load_goodbooks()
    liked = np.asarray(bunch.target) >= 4
    ids = np.unique(np.asarray(bunch.data)[liked, 1])
    rows = np.searchsorted(bunch.books["book_id"], ids)
    words = CountVectorizer(tokenizer=lambda text: text.split(", "), token_pattern=None, binary=True, min_df=2)
    return sparse.csr_array(words.fit_transform(bunch.books["authors"][rows]), dtype=np.float32)


def with_ids(features: Any) -> Any:
    return sparse.hstack([sparse.eye_array(features.shape[0], dtype=np.float32), features], format="csr")


def masked(score: Callable[[Any], Any], some: Any, users: Any) -> Any:
    """Scores of some items; the others are not listed."""
    return np.where(some[None, :], score(users), -np.inf)


def by_popularity(ranker: FMRanker, both: Any, test: Any) -> list[float]:
    """NDCG@10 of the test pairs of each tenth of the items, listed among themselves, the least popular first."""
    counts = np.asarray(both.sum(axis=0)).ravel()
    tenth = 10 * np.argsort(np.argsort(counts, kind="stable"), kind="stable") // len(counts)
    out = []
    for number in range(10):
        some = (tenth == number) & (counts > 0)
        relevant = sparse.csr_array(test.multiply(some[None, :]))
        relevant.eliminate_zeros()
        score = partial(masked, ranker.score, some)
        among = evaluate_scores(score, relevant, exclude=sparse.csr_array(both), metrics="ndcg@10")
        out.append(among.mean()["ndcg@10"])
    return out


def cold(features: Any, pairs: Any, score: Callable[[Any, Any], Callable[[Any], Any]]) -> float:
    """NDCG@10 among a tenth of the items, taken out of the pairs that are fitted."""
    hidden = np.zeros(pairs.shape[1], bool)
    hidden[np.random.default_rng(0).permutation(pairs.shape[1])[: pairs.shape[1] // 10]] = True
    fitted = sparse.csr_array(pairs.multiply(~hidden[None, :]))
    fitted.eliminate_zeros()
    relevant = sparse.csr_array(pairs.multiply(hidden[None, :]))
    relevant.eliminate_zeros()
    among = evaluate_scores(partial(masked, score(fitted, features), hidden), relevant, metrics="ndcg@10")
    return among.mean()["ndcg@10"]


def popularity_by_feature(fitted: Any, features: Any) -> Callable[[Any], Any]:
    """The mean count of the items with each of an item's features."""
    counts = np.asarray(fitted.sum(axis=0)).ravel()
    of_feature = (features.T @ counts) / np.maximum(features.T @ (counts > 0), 1)
    scores = (features @ of_feature) / np.maximum(np.asarray(features.sum(axis=1)).ravel(), 1)
    return lambda users: np.tile(scores, (len(users), 1))


def ranked(loss: Any) -> Callable[[Any, Any], Callable[[Any], Any]]:
    def score(fitted: Any, features: Any) -> Callable[[Any], Any]:
        return FMRanker(loss, item_item=False, random_state=0).fit(fitted, items=with_ids(features)).score

    return score


def lightfm(fitted: Any, features: Any) -> Callable[[Any], Any]:
    from lightfm import LightFM

    coo = fitted.tocoo()
    codes = coo.row.astype(np.int32), coo.col.astype(np.int32)  # it takes no wider ones
    described = sparse.csr_matrix(with_ids(features))
    described.indices, described.indptr = described.indices.astype(np.int32), described.indptr.astype(np.int32)
    model = LightFM(64, loss="warp", random_state=0)
    model.fit(sparse.coo_matrix((coo.data, codes), shape=coo.shape), item_features=described, epochs=30)
    bias, vectors = model.get_item_representations(described)
    return lambda users: model.user_embeddings[users] @ vectors.T + bias


def new_users(pairs: Any, loss: Any) -> tuple[float, float]:
    """NDCG@10 of users kept out of the fit, by half of their items; and of the same trained on with that half."""
    rng = np.random.default_rng(0)
    kept_out = np.zeros(pairs.shape[0], bool)
    kept_out[rng.permutation(pairs.shape[0])[: pairs.shape[0] // 5]] = True
    coo = pairs.tocoo()
    asked = kept_out[coo.row] & (rng.random(coo.nnz) < 0.5)

    def table(some: Any) -> Any:
        return sparse.csr_array((coo.data[some], (coo.row[some], coo.col[some])), shape=pairs.shape)

    given, relevant = table(~asked), table(asked)
    given_new, relevant_new = given[kept_out], relevant[kept_out]
    trained = FMRanker(loss, random_state=0).fit(given)
    fresh = FMRanker(loss, random_state=0).fit(given[~kept_out])
    codes = np.flatnonzero(kept_out)

    def new_scores(users: Any) -> Any:
        rows = given_new[users]
        vectors = fresh.fold_in(rows)
        return fresh.ranking_.scores(vectors, fresh._new(rows, None)[1])

    return (
        judged(new_scores, given_new, relevant_new)["ndcg"],
        judged(lambda users: trained.score(codes[users]), given_new, relevant_new)["ndcg"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["movielens", "goodbooks"])
    parser.add_argument("--losses", nargs="+", default=["implicit", "softmax", "warp"])
    parser.add_argument("--parts", nargs="+", default=["warm", "cold", "new"], choices=["warm", "cold", "new"])
    parser.add_argument("--lightfm", action="store_true", help="needs pip install rectools-lightfm")
    arguments = parser.parse_args()
    for name in arguments.sets:
        _, _, both, test = split(*interactions(name, None))
        features = item_features(name)
        if "warm" in arguments.parts:
            rows: list[list[Any]] = []
            for loss in arguments.losses:
                for told, items in (("ids", None), ("and features", with_ids(features))):
                    ranker = FMRanker(loss, item_item=False, random_state=0).fit(both, items=items)
                    of_all = judged(ranker.score, both, test)["ndcg"]
                    rows.append([f"{loss}, {told}", of_all, *by_popularity(ranker, both, test)])
            print(f"\n{name}: NDCG@10 of all items, and among tenths by popularity")
            headers = ["", "all", *(f"tenth {n + 1}" for n in range(10))]
            print(tabulate(rows, headers, floatfmt=".3f"), flush=True)
        if "cold" in arguments.parts:
            rivals: list[tuple[str, Any]] = [("popularity by feature", popularity_by_feature)]
            if arguments.lightfm:
                rivals.append(("LightFM, WARP", lightfm))
            table = [[told, cold(features, both, score)] for told, score in rivals]
            table += [[loss, cold(features, both, ranked(loss))] for loss in arguments.losses]
            print(f"\n{name}: NDCG@10 among items that nobody has in the fit")
            print(tabulate(table, floatfmt=".3f"), flush=True)
        if "new" in arguments.parts:
            table = [[loss, *new_users(both, loss)] for loss in [*arguments.losses, "auto"]]
            print(f"\n{name}: NDCG@10 of users never seen, and of the same trained on")
            print(tabulate(table, ["", "never seen", "trained on"], floatfmt=".3f"), flush=True)


if __name__ == "__main__":
    main()
