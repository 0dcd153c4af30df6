"""Lists of films and why: `python examples/movies_with_reasons.py`, on MovieLens latest-small with titles and genres.

One sees what was chosen for the tables; a list with reasons, lists by wishes (a filter, diversity, no more than two of
any genre, more and less risk), one for somebody new, and a score as a sum; and how good all that is beside baselines by
two splits, which ask different things: if what came later is to be foretold, errors are larger and other models win.
"""

import numpy as np

from fmkit.datasets import load_movielens_small
from fmkit.recommend import Recommender, compare

data = load_movielens_small(as_frame=True)
ratings, films = data.frame, data.movies
person = 73


def show(title, lists):
    """Titles of a list, one a line, with what else it has."""
    print(f"\n{title}")
    for row in lists.to_pylist():
        print(f"  {row['rank']}. {row['title']}: {row['predicted']:.2f}", row.get("reason") or "", sep="  ")


recommender = Recommender(quality="fast").fit(ratings, items=films)
print(*recommender.told_, sep="\n")
show("For one person, with reasons", recommender.recommend(person, n=4, explain=True))
comedies = "'Comedy' in genres and not 'Romance' in genres"
show("Comedies, no romance", recommender.recommend(person, n=3, filter=comedies))
show("Less of the same", recommender.recommend(person, n=4, diversity=0.6))
show("No more than two of any genre", recommender.recommend(person, n=4, at_most={"genres": 2}))
show("By the rating expected alone (risk=0)", recommender.recommend(person, n=4, risk=0))
show("Bold: what is not known may be good (risk=-1)", recommender.recommend(person, n=4, risk=-1))
new = {1: 5, 2571: 4.5, 356: 1}  # Toy Story, The Matrix, Forrest Gump
show("For somebody who gave three ratings a second ago", recommender.recommend_for(new, n=4, explain=True))

first = recommender.recommend(person, n=1, risk=0).to_pylist()[0]
parts = recommender.explain(person, first["item"]).to_pylist()
print(f"\nWhy {first['score']:.3f} for {first['title']}, the largest parts")
for part in sorted(parts, key=lambda part: -abs(part["value"]))[:6]:
    print(f"  {part['value']:+.3f}  {part['part']}")
print(f"  all {len(parts)} parts add up to {sum(part['value'] for part in parts):.3f}")

mean, std = recommender.predict(np.full(2, person), [first["item"], 131724], return_std=True)
print(f"\nHow sure: {mean[0]:.2f} +- {std[0]:.2f}; of a film with one rating {mean[1]:.2f} +- {std[1]:.2f}")

# "time" asks what would have been: all that came after one moment is tested, mostly of people who were not there yet.
# "random" asks how well holes are filled: the model knows what the same people, and others, did before and after.
# Lists by ratings foretold show what would be liked if it were watched. What will be watched, popularity tells better,
# and likes taken for clicks do best: books_from_clicks.py shows how.
for how in ("time", "random"):
    compared = compare(
        {"Recommender": Recommender(quality="fast")},
        ratings,
        how=how,
        items=films,
        relevant=4,
        baselines=["Popularity", "UserItemMeans", "ItemKNN"],
        metrics=("ndcg", "recall"),
        confidence=None,
    )
    print(f"\nSplit by {how!r}", compared, sep="\n")
