"""`fmkit evaluate`, `similar`, `tune`, `inspect` and `completion` as processes."""

import csv
import io
import json

import pytest

import fmkit
import fmkit.datasets
from tests.command_line import RATINGS, assert_one_sentence, call, run, save_movies


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_movies(tmp_path_factory.mktemp("model"))


def test_evaluate_puts_the_recommender_beside_the_baselines(tmp_path):
    plot = tmp_path / "models.png"
    done = run("evaluate", RATINGS, "--split", "random", "--sweeps", 40, "--format", "csv", "--plot", plot)
    assert done.returncode == 0, done.stderr
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
    assert set(rows) == {"fmkit", "Popularity", "UserItemMeans", "ItemKNN", "EASE"}
    assert float(rows["fmkit"]["rmse"]) < float(rows["UserItemMeans"]["rmse"])
    assert "a baseline wins: EASE" in done.stderr
    assert "learned better from likes: --feedback implicit" in done.stderr
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_evaluate_judges_a_saved_model_by_rows_that_it_never_saw(model, tmp_path):
    test = tmp_path / "test.csv"
    test.write_text("userId,movieId,rating\n1,318,5\n1,2571,4\n2,1,3\n")
    done = call("evaluate", test, "--model", model, "--format", "json", "--quiet")
    assert_one_sentence(done, "trained on")  # user 1 rated 2571
    test.write_text("userId,movieId,rating\n1,318,5\n2,1,3\n")
    rows = json.loads(call("evaluate", test, "--model", model, "--format", "json", "--quiet").stdout)
    assert any("rmse" in json.dumps(row) for row in rows)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["evaluate", RATINGS, "--test", "1"], "invalid value for '--test': 1.0 is not in the range 0<x<1"),
        (["evaluate", RATINGS, "--test", "nan"], "'nan' is no number that is finite"),
        (["evaluate", RATINGS, "--relevant", "nan"], "'nan' is no number that is finite"),
        (["evaluate", RATINGS, "--split", "randm"], "invalid value for '--split': 'randm' is not one of 'random', "),
        (["evaluate", RATINGS, "--plot", "nowhere/a.png"], "nowhere/a.png: there is no folder nowhere: make it"),
        (["tune", RATINGS, "--save", "m.fmkit", "--minutes", "inf"], "'inf' is no number that is finite"),
        (["tune", RATINGS, "--save", RATINGS], "this file would be overwritten, and it is read"),
        (["tune", RATINGS, "--save", "m.fmkit", "--metric", "ndgc"], "--metric must be one of rmse, "),
    ],
)
def test_options_are_looked_at_before_anything_is_fitted(asked, sentence, monkeypatch):
    monkeypatch.setattr("fmkit.recommend.recommender.Recommender._fit_model", None)
    assert_one_sentence(call(*asked), sentence)


def test_similar_items_and_users(model):
    done = run("similar", "--model", model, "--item", 1, "--top", 3, "--format", "json")
    rows = json.loads(done.stdout)
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert all(row["item"] == 1 and row["similar"] != 1 and row["title"] for row in rows)
    users = json.loads(call("similar", "--model", model, "--user", 7, "--top", 2, "--format", "json").stdout)
    assert [row["user"] for row in users] == [7, 7]
    assert_one_sentence(call("similar", "--model", model, "--item", "x"), "item x is unknown to the model")
    assert_one_sentence(call("similar", "--model", model), "say to what with --item ID, or to whom with --user ID")


def test_tune_keeps_the_best_and_goes_on_from_its_state(tmp_path):
    table, best, state = tmp_path / "r.csv", tmp_path / "best.fmkit", tmp_path / "trials.jsonl"
    rows = [f"u{n % 40},i{(n * n) % 23},{1 + (n % 40 + (n * n) % 23) % 5}" for n in range(600)]
    table.write_text("\n".join(["user,item,rating", *dict.fromkeys(rows)]))
    asked = ["tune", table, "--sweeps", 5, "--minutes", 0.05, "--save", best, "--state", state, "--format", "json"]
    done = call(*asked)
    assert done.returncode == 0, done.stderr
    trail = json.loads(done.stdout)
    assert trail
    assert f"is in {best}" in done.stderr
    assert fmkit.load(best).recommend(["u1"]).num_rows
    again = json.loads(call(*asked).stdout)
    assert again[: len(trail)] == trail


def test_inspect_tells_what_a_model_is(model, tmp_path):
    done = run("inspect", model)
    assert done.returncode == 0
    for told in ("Recommender", "100,836 rows of explicit feedback", "items: genres", "MCMC with 4 factors", "610"):
        assert told in done.stdout
    told = json.loads(call("inspect", model, "--format", "json").stdout)
    assert 0.6 < told["good"]["rmse by its own reckoning"] < 1
    assert (told["rows"], told["users"], told["bytes"]) == (100_836, 610, model.stat().st_size)
    assert told["features"]["items"]["genres"].startswith("set, 20 columns")
    assert told["settings"]["n_factors"] == 4
    assert 'features: items: genres,"set, 20 columns' in call("inspect", model, "--format", "csv").stdout
    fmkit.save(fmkit.FMRegressor(n_factors=1).fit([[1, 0], [0, 1]], [1, 2]), tmp_path / "m.fmkit")
    assert "FMRegressor" in call("inspect", tmp_path / "m.fmkit").stdout
    (tmp_path / "m.fmkit").write_text("nothing")
    assert_one_sentence(call("inspect", tmp_path / "m.fmkit"), "this is no model file")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell):
    assert "_FMKIT_COMPLETE" in call("completion", shell).stdout


def test_every_command_has_an_example():
    for command in ("evaluate", "inspect", "recommend", "restore", "similar", "tune", "damage", "completion"):
        assert f"fmkit {command} " in call(command, "--help").stdout.partition("\n")[2]
