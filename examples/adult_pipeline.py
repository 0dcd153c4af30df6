"""Columns of all kinds, weights and groups through scikit-learn's tools: `python examples/adult_pipeline.py`.

Who earned more than 50,000 dollars in 1994? One sees what the encoder takes each column for; log losses of held-out
people of a linear machine and of factors (boosted trees are better on this table: with 8,000 rows .308 against .312);
two searches for settings; the columns that weigh most, by their names; and what share is right where the census' own
weights are routed to the fit, and folds keep occupations whole.
"""

from time import perf_counter

import numpy as np
from sklearn import config_context
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, GroupKFold, HalvingGridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline

from fmkit import FMClassifier, TableEncoder
from fmkit.datasets import load_adult

adult = load_adult(as_frame=True).frame.sample(12_000, random_state=0)
people, income = adult.drop(columns=["income", "fnlwgt"]), adult["income"]
weights = adult["fnlwgt"] / adult["fnlwgt"].mean()  # how many people a row of the census stands for

pipeline = make_pipeline(TableEncoder(), FMClassifier(n_factors=4, random_state=0))
for feature in pipeline.fit(people, income)[0].features_:
    print(f"{feature.column:15} {feature.kind:9} {feature.n_columns:3} columns: {feature.why}")

print("\nheld out, mean of three folds")
for name, n_factors in (("linear", 0), ("4 factors", 4)):
    pipeline.set_params(fmclassifier__n_factors=n_factors)
    scores = cross_validate(pipeline, people, income, cv=3, scoring=("neg_log_loss", "roc_auc"))
    print(f"{name:13} log loss {-scores['test_neg_log_loss'].mean():.4f}, AUC {scores['test_roc_auc'].mean():.4f}")

grid = {"fmclassifier__n_factors": [2, 8], "tableencoder__n_knots": [4, 16]}
searches = {
    "every setting": GridSearchCV(pipeline, grid, cv=3, scoring="neg_log_loss"),
    "by halving": HalvingGridSearchCV(
        pipeline, grid, cv=3, scoring="neg_log_loss", random_state=0, return_train_score=False
    ),
}
print()
for name, search in searches.items():
    start = perf_counter()
    search.fit(people, income)
    found = ", ".join(f"{key.split('__')[1]}={value:g}" for key, value in search.best_params_.items())
    print(f"{name:13} {perf_counter() - start:4.1f} s, log loss {-search.best_score_:.4f}: {found}")

# Names of columns go all the way: a frame comes out of the encoder, the machine has them as feature_names_in_.
named = make_pipeline(TableEncoder(sparse_output=False), FMClassifier(n_factors=4, random_state=0))
machine = named.set_output(transform="pandas").fit(people, income)[-1]
order = np.argsort(machine.machines_[0].linear)
print("\nless:", ", ".join(machine.feature_names_in_[order[:3]]))
print("more:", ", ".join(machine.feature_names_in_[order[:-4:-1]]))

with config_context(enable_metadata_routing=True):
    weighted = FMClassifier(n_factors=4, random_state=0)
    weighted.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    told = {"sample_weight": weights, "groups": people["occupation"]}
    result = cross_validate(make_pipeline(TableEncoder(), weighted), people, income, cv=GroupKFold(3), params=told)
    shares = result["test_score"]
    print(
        f"\nright, weighted, of occupations never seen: {shares.mean():.3f} ({shares.min():.3f} to {shares.max():.3f})"
    )
