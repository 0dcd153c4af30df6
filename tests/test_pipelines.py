"""TableEncoder and the machines inside scikit-learn's tools: pipelines, searches, frames out, weights and groups."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, GroupKFold, HalvingGridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline

from fmkit import FMClassifier, FMOrdinal, FMRegressor, TableEncoder
from fmkit.errors import InputError

N = 300
MACHINES = [
    FMRegressor(2, max_iter=5, random_state=0),
    FMRegressor(2, solver="vb", max_iter=5, random_state=0),
    FMRegressor(2, solver="sgd", max_iter=5, random_state=0),
    FMClassifier(2, max_iter=5, random_state=0),
    FMClassifier(2, solver="mcmc", max_iter=5, random_state=0),
    FMOrdinal(2, max_iter=5, random_state=0),
    FMOrdinal(2, solver="vb", max_iter=5, random_state=0),
]


def name_of(machine):
    return f"{type(machine).__name__}-{machine.solver}"


def people():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 80, N),
            "job": rng.choice(["nurse", "smith", "clerk"], N),
            "likes": rng.choice(["chess|go", "go", "chess", "tennis|go"], N),
            "height": rng.random(N),
        }
    )


def target(machine):
    table, rng = people(), np.random.default_rng(1)
    y = table.age / 20 + 2 * (table.job == "smith") + rng.normal(size=N)
    if isinstance(machine, FMRegressor):
        return y.to_numpy()
    classes = np.digitize(y, np.quantile(y, [0.5] if isinstance(machine, FMClassifier) else [0.3, 0.6]))
    return np.array(["low", "middle", "high"])[classes] if isinstance(machine, FMClassifier) else classes


def weights_and_groups():
    rng = np.random.default_rng(2)
    return rng.random(N) + 0.5, rng.integers(0, 30, N)


def told(model, X):
    return getattr(model, "predict_proba", model.predict)(X)


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


@pytest.mark.parametrize("machine", MACHINES, ids=name_of)
def test_cross_validation_and_searches_take_a_pipeline(machine):
    X, y, name = people(), target(machine), type(machine).__name__.lower()
    pipeline = make_pipeline(TableEncoder(), machine)
    found = cross_validate(pipeline, X, y, cv=3, error_score="raise", return_train_score=True)
    assert found["test_score"].shape == (3,)
    grid = {f"{name}__n_factors": [1, 2], "tableencoder__n_knots": [2, 4]}
    search = GridSearchCV(pipeline, grid, cv=KFold(2), error_score="raise").fit(X, y)
    assert search.best_params_.keys() == grid.keys()
    assert search.feature_names_in_.tolist() == ["age", "job", "likes", "height"]
    halving = HalvingGridSearchCV(
        pipeline,
        {f"{name}__n_factors": [1, 2, 3]},
        resource=f"{name}__max_iter",
        min_resources=2,
        max_resources=6,
        cv=2,
        error_score="raise",
    ).fit(X, y)
    assert halving.n_resources_ == [2, 6]
    assert halving.predict(X).shape == (N,)


@pytest.mark.parametrize("machine", MACHINES, ids=name_of)
def test_weights_and_groups_are_routed(machine, routing):
    X, y, (weights, groups) = people(), target(machine), weights_and_groups()
    asking = clone(machine).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    pipeline = make_pipeline(TableEncoder(), asking)

    weighted = clone(pipeline).fit(X, y, sample_weight=weights)
    design = TableEncoder().fit_transform(X)
    by_hand = clone(machine).fit(design, y, sample_weight=weights)
    np.testing.assert_array_equal(told(weighted, X), told(by_hand, design))
    assert not np.array_equal(told(clone(machine).fit(design, y), design), told(by_hand, design))
    score = by_hand.score(design, y, sample_weight=weights)
    assert weighted.score(X, y, sample_weight=weights) == pytest.approx(score)

    folds = GroupKFold(3)
    routed = {"sample_weight": weights, "groups": groups}
    found = cross_validate(pipeline, X, y, cv=folds, params=routed, error_score="raise", return_indices=True)
    for part, tested in zip(found["indices"]["train"], found["indices"]["test"], strict=True):
        assert not set(groups[part]) & set(groups[tested])
    first, other = found["indices"]["train"][0], found["indices"]["test"][0]
    alone = clone(pipeline).fit(X.iloc[first], y[first], sample_weight=weights[first])
    assert found["test_score"][0] == alone.score(X.iloc[other], y[other], sample_weight=weights[other])

    grid = {f"{type(machine).__name__.lower()}__n_factors": [1, 2]}
    for search in (GridSearchCV, HalvingGridSearchCV):
        searched = search(pipeline, grid, cv=folds, error_score="raise").fit(X, y, **routed)
        assert searched.best_estimator_.predict(X).shape == (N,)


def test_weights_that_nobody_asked_for_are_refused(routing):
    weights, _ = weights_and_groups()
    pipeline = make_pipeline(TableEncoder(), FMRegressor(2, max_iter=2))
    with pytest.raises(UnsetMetadataPassedError, match=r"sample_weight.* are passed but are not explicitly set"):
        pipeline.fit(people(), target(MACHINES[0]), sample_weight=weights)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
@pytest.mark.parametrize("given", [people(), pl.from_pandas(people())], ids=["from pandas", "from polars"])
def test_frames_come_out_with_names(kind, given):
    y = target(MACHINES[0])
    pipeline = make_pipeline(TableEncoder(sparse_output=False), FMRegressor(2, max_iter=5, random_state=0))
    frame = pipeline.set_output(transform=kind).fit(given, y)[:-1].transform(given)
    assert type(frame).__module__.startswith(kind)
    names = pipeline[:-1].get_feature_names_out().tolist()
    assert list(frame.columns) == names == pipeline[-1].feature_names_in_.tolist()
    assert {"job=nurse", "likes=chess"} < set(names)
    assert [name.split("~")[0] for name in names if "~" in name and name < "b"] == ["age"] * 3
    plain = make_pipeline(TableEncoder(sparse_output=False), FMRegressor(2, max_iter=5, random_state=0)).fit(given, y)
    np.testing.assert_array_equal(pipeline.predict(given), plain.predict(given))


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames_of_sparse_columns_are_refused_with_the_way_out(kind):
    encoder = TableEncoder().set_output(transform=kind)
    with pytest.raises(InputError, match=rf"frames of {kind} hold no sparse columns: set TableEncoder\(sparse_output"):
        encoder.fit_transform(people())
