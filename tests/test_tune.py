"""What tune promises: the best is found and fitted to everything, time is kept, and nothing is done twice."""

import itertools
import json

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from fmkit.fitting import FitInterrupted
from fmkit.recommend import Popularity, tune
from fmkit.recommend import tuning as module
from fmkit.recommend.halving import drawn
from fmkit.recommend.interactions import Interactions
from fmkit.recommend.parts import Parts
from fmkit.recommend.rivals import BaselineRecommender
from fmkit.recommend.tuning import some_users


class Counting(BaselineRecommender):
    """Popularity with parameters; `quality` of 3 is the best: others reverse or blur the order. Fits are counted."""

    fits = 0
    on_fit = None

    def __init__(self, baseline=None, *, quality=0, max_iter=9, n_jobs=None, random_state=0):
        self.baseline = baseline
        self.quality = quality
        self.max_iter = max_iter
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.relevant = None

    def fit(self, interactions, *, users=None, items=None):
        Counting.fits += 1
        if Counting.on_fit is not None:
            Counting.on_fit(self, interactions)
        super().fit(interactions, users=users, items=items)
        counts = self.baseline_.counts_
        noise = np.random.default_rng(self.quality).normal(size=len(counts)) * counts.max()
        self.baseline_.counts_ = (counts + abs(self.quality - 3) * noise).astype(np.float32)
        return self


@pytest.fixture(autouse=True)
def from_zero():
    Counting.fits, Counting.on_fit = 0, None


def clicks(seed=0, n=6000):
    rng = np.random.default_rng(seed)
    return {"user": rng.integers(0, 400, n), "item": (60 * rng.random(n) ** 3).astype(int)}


SPACE = {"quality": [1, 2, 3, 4, 5, 6, 7]}


def model():
    return Counting(Popularity())


def test_the_best_is_found_and_fitted_to_everything():
    table = clicks()
    result = tune(model(), table, space=SPACE, minutes=None)
    assert result.best == {"quality": 3}
    assert result.recommender_.quality == 3
    whole = Interactions.of(table)
    assert len(result.recommender_.interactions_) == len(whole)
    trail = result.trail.to_pylist()
    assert trail[0]["quality"] is None  # as given first
    assert {row["quality"] for row in trail} == {None, *SPACE["quality"]}
    assert {row["effort"] for row in trail} == {1 / 3, 1}  # a ninth of the users would be too few
    assert result.value == max(row["ndcg@10"] for row in trail if row["effort"] == 1)
    assert "best: quality=3" in str(result)
    assert "on the part that chose it" in str(result)


def test_little_effort_for_many_and_all_of_it_for_few():
    result = tune(model(), clicks(), space={"quality": list(range(1, 10))}, effort="max_iter", minutes=None)
    efforts = [row["effort"] for row in result.trail.to_pylist()]
    assert efforts == pytest.approx([1 / 9, 1 / 3, 1] + [1 / 9] * 9 + [1 / 3] * 3 + [1])


def test_effort_is_a_parameter_if_asked_for():
    seen = []
    Counting.on_fit = lambda fitted, _: seen.append((fitted.max_iter, fitted.quality))
    tune(model(), clicks(), space={"quality": [3]}, effort="max_iter", minutes=None)
    assert seen == [(1, 0), (3, 0), (9, 0), (1, 3), (3, 3), (9, 3), (9, 3)]


def test_a_search_that_was_cut_off_repeats_nothing(tmp_path):
    state = tmp_path / "search.jsonl"
    whole = tune(model(), clicks(), space=SPACE, minutes=None)
    fits, Counting.fits = Counting.fits, 0
    part = tune(model(), clicks(), space=SPACE, minutes=None, trials=3, state=state)
    made = Counting.fits - 1  # but the last fit
    assert part.trail.num_rows == made
    Counting.fits = 0
    rest = tune(model(), clicks(), space=SPACE, minutes=None, state=state)
    assert rest.best == whole.best
    assert rest.trail.drop_columns("seconds") == whole.trail.drop_columns("seconds")
    assert Counting.fits < fits
    Counting.fits = 0
    tune(model(), clicks(), space=SPACE, minutes=None, state=state)
    assert Counting.fits == 1
    lines = state.read_text("utf-8").splitlines()
    assert len(lines) == len(set(lines)) == len({json.dumps(json.loads(line)) for line in lines})
    assert [path.name for path in tmp_path.iterdir()] == ["search.jsonl"]


def test_a_state_of_another_search_is_refused(tmp_path):
    state = tmp_path / "search.jsonl"
    tune(model(), clicks(), space=SPACE, minutes=None, trials=1, state=state)
    for other, told in (
        ({"interactions": clicks(1)}, "data"),
        ({"space": {"quality": [1]}}, "space"),
        ({"metric": "recall@5"}, "metric"),
        ({"random_state": 1}, "random_state"),
        ({"recommender": Counting(Popularity(), quality=5)}, "recommender"),
    ):
        options = {"recommender": model(), "interactions": clicks(), "space": SPACE, **other}
        with pytest.raises(ValueError, match=f"state of another search, with other {told}"):
            tune(**options, minutes=None, trials=1, state=state)
    tune(Counting(Popularity(), n_jobs=1), clicks(), space=SPACE, minutes=None, trials=1, state=state)
    state.write_text(state.read_text("utf-8") + "{\n", "utf-8")
    with pytest.raises(ValueError, match=r"search.jsonl, line \d+: this is no line of a search's state"):
        tune(model(), clicks(), space=SPACE, minutes=None, trials=1, state=state)


@pytest.mark.parametrize("how", [KeyboardInterrupt, FitInterrupted])
def test_ctrl_c_keeps_what_is_finished_and_fits_the_best(how, tmp_path):
    """Also of a model that takes Ctrl-C itself, and returns what it has with a warning."""

    def interrupt(fitted, _):
        if Counting.fits == 6:
            if how is KeyboardInterrupt:
                raise KeyboardInterrupt
            import warnings

            warnings.warn("stopped by Ctrl-C", FitInterrupted, stacklevel=1)

    Counting.on_fit = interrupt
    result = tune(model(), clicks(), space=SPACE, minutes=None, state=tmp_path / "state")
    assert result.trail.num_rows == 5
    assert Counting.fits == 7
    assert hasattr(result.recommender_, "baseline_")
    assert "the search was interrupted: 5 fits" in str(result)
    assert len((tmp_path / "state").read_text("utf-8").splitlines()) == 6


def test_ctrl_c_before_anything_is_finished_is_ctrl_c():
    def interrupt(fitted, _):
        raise KeyboardInterrupt

    Counting.on_fit = interrupt
    with pytest.raises(KeyboardInterrupt):
        tune(model(), clicks(), space=SPACE, minutes=None)


def test_no_trial_begins_that_time_would_not_suffice_for(monkeypatch):
    """Of a clock by which a fit takes 12 seconds for all users of the part that is trained on."""
    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])

    def wait(_, interactions):
        now[0] += 12 * len(interactions) / 4700

    Counting.on_fit = wait
    result = tune(model(), clicks(), space={"quality": list(range(1, 9))}, minutes=1.2)
    assert 60 < now[0] <= 72
    assert {row["effort"] for row in result.trail.to_pylist()} == {1 / 3, 1}
    assert "for lack of time (1.2 minutes)" in str(result)
    now[0] = 0
    hurried = tune(model(), clicks(), space={"quality": list(range(1, 9))}, minutes=0.01)
    assert hurried.trail.num_rows == 1  # one is always made
    assert hurried.best == {}
    assert "no trial was made with all of the effort" in str(hurried)


def test_settings_that_fail_are_the_worst_and_told():
    def fail(fitted, _):
        if fitted.quality == 3:
            raise ValueError("no such quality")

    Counting.on_fit = fail
    with pytest.warns(UserWarning, match=r"a trial with \{'quality': 3\} failed and counts as the worst: no such"):
        result = tune(model(), clicks(), space={"quality": [2, 3]}, minutes=None)
    assert result.best != {"quality": 3}
    assert result.trail["ndcg@10"].null_count >= 1
    Counting.on_fit = lambda *_: (_ for _ in ()).throw(ValueError("broken as given"))
    with pytest.raises(ValueError, match="broken as given"):
        tune(model(), clicks(), space=SPACE, minutes=None)


def test_settings_are_drawn_once_each_and_by_the_seed():
    space = {"a": [1, 2, 3], "b": ["x", "y"]}
    first = list(drawn(space, 0))
    assert sorted(map(repr, first)) == sorted(
        repr({"a": a, "b": b}) for a, b in itertools.product(space["a"], space["b"])
    )
    assert first == list(drawn(space, 0))
    assert first != list(drawn(space, 1))


def test_fewer_users_are_a_part_of_more_and_tested_are_theirs():
    parts = Parts.of(Interactions.of(clicks()), "random", 0.2, 0)
    few, more = (some_users(parts.train, parts.test, share, 0) for share in (1 / 9, 1 / 3))
    users = [set(train.users.ids.to_pylist()) for train, _ in (few, more)]
    assert users[0] < users[1]
    assert len(users[1]) == pytest.approx(len(parts.train.users) / 3, abs=3)
    for train, aside in (few, more):
        assert set(aside.users.ids.to_pylist()) <= set(train.users.ids.to_pylist())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": {"depth": [1]}}, "space has 'depth', which is no parameter"),
        ({"space": {"quality": []}}, "must be a list of at least one value"),
        ({"space": {"max_iter": [3]}, "effort": "max_iter"}, "leave it out of space"),
        ({"effort": "baseline"}, "must name a parameter that is an integer"),
        ({"metric": "auc@3"}, "metric must be one of ndcg@10, .* got 'auc@3'"),
        ({"metric": "rmse"}, "metric must be one of ndcg@10, .* got 'rmse'"),
        ({"metric": "ndcg@0"}, "unknown metric 'ndcg@0'"),
        ({"metric": "fun"}, "metric must be one of"),
        ({"trials": 0}, "trials must be at least 1"),
        ({"minutes": 0}, "minutes must be above 0"),
    ],
)
def test_bad_arguments_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        tune(model(), clicks(), **{"space": SPACE, **options})


def test_without_a_space_the_usual_one_is_searched():
    result = tune(model(), clicks(), minutes=None, trials=3)
    assert result.trail.column_names == ["max_iter", "effort", "ndcg@10", "seconds"]

    class Bare(BaseEstimator):
        pass

    with pytest.raises(ValueError, match=r"Bare has none of n_factors, max_iter: give space="):
        tune(Bare(), clicks())
