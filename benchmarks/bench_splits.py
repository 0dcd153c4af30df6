"""Recommender beside baselines on MovieLens latest-small, by what is tested: what came later, or pairs at random.

    python benchmarks/bench_splits.py

RMSE of ratings and NDCG@10 of all films, those rated 4 and more being relevant, one split each. "of ratings" foretells
stars, from titles and genres beside; "of likes" ranks ratings of 4 and more as clicks, the others with a weight of 0.
Baselines that make lists learn from ratings of 4 and more, too.
"""

from tabulate import tabulate

from fmkit.datasets import load_movielens_small
from fmkit.recommend import Recommender, compare

SPLITS = {"time": "after one moment", "time-per-user": "each user's last fifth", "random": "a random fifth"}


def main() -> None:
    """Print a table of all models, and what was tested."""
    data = load_movielens_small(as_frame=True)
    ratings = data.frame.assign(liked=(data.frame.rating >= 4).astype(float))
    of_ratings = {"Recommender, of ratings": Recommender()}
    of_likes = {"Recommender, of likes": Recommender(feedback="implicit")}
    cells: dict[str, dict[str, str]] = {}
    notes = []
    for how in SPLITS:
        told = {"how": how, "items": data.movies, "relevant": 4}
        compared = [
            compare(of_ratings, ratings, **told),
            compare(of_likes, ratings, weight="liked", baselines=False, **told),
        ]
        for name, evaluation in [pair for one in compared for pair in one.evaluations.items()]:
            means, (low, high) = evaluation.mean(), evaluation.intervals["ndcg@10"]
            row = cells.setdefault(name, {})
            row[f"{how}: RMSE"] = f"{means['rmse']:.3f}" if "rmse" in means else ""
            row["NDCG@10 " + how] = f"{means['ndcg@10']:.3f} ({low:.3f} to {high:.3f})"
        notes += [f"{SPLITS[how]}: {note}" for note in compared[0].notes[:2]]
    columns = [column for how in SPLITS for column in (f"{how}: RMSE", "NDCG@10 " + how)]
    rows = [[name, *(row.get(column, "") for column in columns)] for name, row in cells.items()]
    print(tabulate(sorted(rows, key=lambda row: row[-1], reverse=True), ["", *columns], disable_numparse=True))
    print(*notes, sep="\n")


if __name__ == "__main__":
    main()
