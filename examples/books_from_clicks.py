"""Lists from clicks alone, of books that nobody has yet, too: `python examples/books_from_clicks.py`, on goodbooks.

Ratings of 4 and more stand for clicks. A tenth of the books is kept out of the fit as if they came out tomorrow, and a
tenth of the other clicks. One sees lists with reasons, what a few likes of somebody new give, and how well the test
parts are listed beside baselines: new books by their authors, years and languages, against how popular their authors'
other books are, and chance.
"""

import numpy as np
from scipy import sparse

from fmkit.datasets import load_goodbooks
from fmkit.recommend import BaselineRecommender, ItemKNN, Popularity, Recommender, evaluate, rank_metrics, split

data = load_goodbooks(as_frame=True)
books = data.books.set_index("book_id")
clicks = data.frame.loc[data.frame.rating >= 4, ["user_id", "book_id"]]
new = split(clicks.user_id, clicks.book_id, how="cold-items", test=0.1)
known, of_new = clicks[new.train], clicks[new.test]
held = split(known.user_id, known.book_id, how="random", test=0.1)
train, test = known[held.train], known[held.test]

recommender = Recommender(quality="fast", n_factors=64, max_iter=10, schema={"title": "ignore"})
recommender.fit(train, items=data.books)  # with fewer factors and sweeps than usual: this is to be brief
print(*recommender.told_, sep="\n")


def show(title, lists):
    """Books of a list, one a line."""
    print(f"\n{title}")
    for row in lists.to_pylist():
        print(f"  {books.title[row['item']]} ({books.authors[row['item']]})", row.get("reason", ""), sep="  ")


show("For one reader", recommender.recommend(train.user_id.iloc[0], n=4, explain=True))
show("New books for the same reader", recommender.recommend(train.user_id.iloc[0], n=4, candidates=of_new.book_id))
dune, foundation = (books.index[books.title.str.startswith(name)][0] for name in ("Dune (Dune", "Foundation (Found"))
show("Who likes Dune and Foundation", recommender.recommend_for(likes=[dune, foundation], n=4))
show(
    "The same, since 2000, one of an author",
    recommender.recommend_for(likes=[dune, foundation], n=4, filter="year >= 2000", at_most={"authors": 1}),
)
show("Alike to Dune", recommender.similar_items(dune, n=3).rename_columns({"item": "of", "similar": "item"}))

print("\nNDCG@10 of clicks held out, from all books")
rivals = {"popularity": Popularity(), "item-kNN": ItemKNN()}
models = {name: BaselineRecommender(model).fit(train) for name, model in rivals.items()}
for name, model in {"Recommender": recommender, **models}.items():
    print(f"  {name:24} {evaluate(model, test, metrics='ndcg', confidence=None).mean()['ndcg@10']:.3f}")

# New books among themselves: scores of every reader and every new book, three ways.
readers, reader = np.unique(of_new.user_id, return_inverse=True)
fresh, book = np.unique(of_new.book_id, return_inverse=True)
by_author = train.book_id.map(books.authors).str.split(", ").explode().value_counts()
popular = [np.mean([by_author.get(author, 0) for author in authors.split(", ")]) for authors in books.authors[fresh]]
scores = {
    "Recommender, by features": recommender.predict(np.repeat(readers, len(fresh)), np.tile(fresh, len(readers))),
    "their authors' popularity": np.tile(popular, len(readers)),
    "chance": np.random.default_rng(0).random(len(readers) * len(fresh)),
}
clicked = sparse.csr_array((np.ones(len(of_new)), (reader, book)))
print(f"\nNDCG@10 of {len(of_new):,} clicks on {len(fresh)} books that nobody has in the fit")
for name, score in scores.items():
    lists = np.argsort(-score.reshape(clicked.shape), axis=1)[:, :10]
    judged = rank_metrics(lists, clicked, metrics="ndcg@10")
    print(f"  {name:25} {judged.mean()['ndcg@10']:.3f}")
