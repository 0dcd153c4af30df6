"""`fmkit train`: files of every kind in, a model file out, and how good it is on rows that it did not see."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy import sparse

from fmkit import load
from fmkit.datasets import write_libffm, write_libfm
from fmkit.errors import InputError
from fmkit.training import kind_of, read_training_rows
from tests.command_line import RATINGS, assert_one_sentence, call, run


def report_of(done):
    assert done.returncode == 0, done.stderr
    rows = csv.DictReader(io.StringIO(done.stdout))
    return {row["measure"]: (float(row["model"]), float(row["without columns"])) for row in rows}


@pytest.fixture
def people():
    """Who buys, by size and colour."""
    rng = np.random.default_rng(0)
    size, colour = rng.standard_normal(600), rng.integers(0, 3, 600)
    buys = size * np.array([2, 0, -2])[colour] + 0.3 * rng.standard_normal(600)
    names = np.array(["red", "green", "blue"])[colour]
    return pa.table({"size": size, "colour": names, "buys": np.where(buys > 0, "yes", "no"), "pays": buys})


@pytest.fixture
def liked():
    """Rows of two one-hot fields, their labels, and the columns' fields."""
    rng = np.random.default_rng(1)
    users, items = rng.integers(0, 20, 800), rng.integers(0, 10, 800)
    X = sparse.csr_array((np.ones(1600), (np.arange(1600) // 2, np.stack([users, 20 + items], 1).ravel())))
    y = ((users % 2) == (items % 2)) * 1.0
    return X, y, np.repeat([0, 1], [20, 10]).astype(np.int32)


def test_ratings_are_trained_on_from_the_shell(tmp_path):
    model = tmp_path / "ratings.fmkit"
    done = run("train", RATINGS, "--target", "rating", "--factors", 8, "--save", model, "--format", "csv")
    report = report_of(done)
    assert report["rmse"][0] < 0.89 < 1.03 < report["rmse"][1]
    assert report["rows"] == (10084, 10084)
    assert "category: userId, category: movieId" in done.stderr
    table = pa.table({"userId": [1, 1], "movieId": [1, 3], "timestamp": [964982703, 964981247]})
    assert load(model).predict(table).shape == (2,)


def test_a_table_of_classes_and_another_file_to_judge_by(people, tmp_path):
    parquet.write_table(people.drop_columns(["pays"])[:400], tmp_path / "a.parquet")
    parquet.write_table(people.drop_columns(["pays"])[400:], tmp_path / "b.parquet")
    files = tmp_path / "a.parquet", "--validate", tmp_path / "b.parquet", "--save", tmp_path / "m.fmkit"
    done = call("train", *files, "--target", "buys", "--format", "json", "--quiet")
    report = {row["measure"]: row["model"] for row in json.loads(done.stdout)}
    assert report["auc"] > 0.85  # what green ones do is chance
    assert report["accuracy"] > 0.75
    assert report["rows"] == 200
    model = load(tmp_path / "m.fmkit")
    asked = people.select(["size", "colour"])[:5]
    assert (model.predict(asked) == model.classes_[model.predict_proba(asked).argmax(1)]).all()


def test_several_tables_are_one(people, tmp_path):
    for name, part in (("a", people[:300]), ("b", people[300:].select(["pays", "buys", "colour", "size"]))):
        parquet.write_table(part, tmp_path / f"{name}.parquet")
    both = read_training_rows([tmp_path / "a.parquet", tmp_path / "b.parquet"], "pays")
    assert both.X.equals(people.drop_columns(["pays"]).combine_chunks())
    np.testing.assert_array_equal(both.y, people["pays"].to_numpy())
    assert not both.of_classes


@pytest.mark.parametrize("interaction", ["fm", "ffm"])
def test_files_of_libfm_and_libffm(interaction, liked, tmp_path):
    X, y, field_of = liked
    write_libfm(tmp_path / "rows.libfm", X, y)
    write_libffm(tmp_path / "rows.ffm.gz", X[:500], y[:500], field_of)
    write_libffm(tmp_path / "more.ffm", X[500:], y[500:], field_of)
    how = ["--interaction", interaction, "--save", tmp_path / "m.fmkit", "--format", "csv", "--factors", 4]
    of_fm = report_of(call("train", tmp_path / "rows.libfm", *how))
    of_ffm = report_of(call("train", tmp_path / "rows.ffm.gz", tmp_path / "more.ffm", *how))
    assert of_fm["accuracy"][0] > 0.9
    assert of_ffm["accuracy"][0] > 0.9
    fields = load(tmp_path / "m.fmkit")[0].fields
    np.testing.assert_array_equal(fields, field_of)


def test_zero_sets_nothing_aside_and_prints_nothing(liked, tmp_path):
    write_libfm(tmp_path / "rows.libfm", *liked[:2])
    done = call("train", tmp_path / "rows.libfm", "--validate", 0, "--save", tmp_path / "m.fmkit", "--sweeps", 2)
    assert (done.returncode, done.stdout) == (0, "")
    assert "800 rows of the kind libfm: classes by als" in done.stderr


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1 3:1 4:0.5\n", "libfm"),
        ("\n# a comment\n-1 qid:3 1:1\n", "libfm"),
        ("1 0:3:1 1:4:-0.5\n", "libffm"),
        ("time,rating\n12:30,4\n", "table"),
        ("rating 1:1 x\n", "table"),
        ("", "table"),
    ],
)
def test_a_file_tells_by_its_first_line_what_it_holds(text, kind, tmp_path):
    (tmp_path / "file").write_text(text)
    assert kind_of(tmp_path / "file") == kind


def written(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("a,y\n1,2\n", [], "rows.txt: name the column of targets: a, y"),
        ("a,y\n1,2\n", ["--target", "z"], "rows.txt: there is no column 'z': a, y"),
        ("a,y\n1,\n2,3\n", ["--target", "y"], "rows.txt: 1 rows have no target in column 'y': leave them out"),
        ("y\n1\n2\n", ["--target", "y"], "rows.txt: there is no column but 'y' to learn from"),
        ("a,y\n", ["--target", "y"], "rows.txt: there are no rows to learn from"),
        ("a,y\nx,2.5\n", ["--target", "y"], "1 rows are too few to set some aside: use --validate 0"),
        ("1 0:1\n", ["--target", "y"], "rows.txt: the target of a row is what its line begins with"),
        ("1 0:1\n1 0:x\n", [], "rows.txt, line 2: entry 1, '0:x'"),
        (
            "a,y\nu,p\nv,q\nu,p\nv,q\n",
            ["--target", "y", "--task", "regression"],
            "targets of a regression are numbers, these are texts: set --task classification",
        ),
        ("1 0:1\n0 1:1\n" * 9, ["--solver", "als", "--interaction", "ffm"], "interaction='ffm' is for solver='sgd'"),
        ("1 0:1\n0 1:1\n" * 9, ["--device", "gpu"], "device must be 'cpu', 'torch-cpu', 'cuda'"),
        ("1 0:1\n0 1:1\n" * 9, ["--validate", "1.5"], "1.5 is no share: from 0 to less than 1"),
        ("1 0:1\n0 1:1\n" * 9, ["--validate", "nowhere.libfm"], "nowhere.libfm: no such file or directory"),
    ],
)
def test_what_is_wrong_is_one_sentence(text, options, sentence, tmp_path):
    path = written(tmp_path, "rows.txt", text)
    done = call("train", path.name, *options, "--save", "m.fmkit", "--quiet", cwd=tmp_path)
    assert_one_sentence(done, sentence)
    assert not (tmp_path / "m.fmkit").exists()


def test_files_of_two_kinds_and_of_other_columns(tmp_path):
    text, table = written(tmp_path, "a.txt", "1 0:1\n"), written(tmp_path, "b.csv", "a,y\n1,2\n")
    other = written(tmp_path, "c.csv", "b,y\n1,2\n")
    with pytest.raises(InputError, match=r"b.csv: this is of the kind table, the training rows are of the kind libfm"):
        read_training_rows([text, table], None)
    with pytest.raises(InputError, match=r"c.csv: its columns are not those of .*b.csv: b, y"):
        read_training_rows([table, other], "y")
    fields = written(tmp_path, "d.ffm", "1 0:0:1\n"), written(tmp_path, "e.ffm", "1 1:0:1\n")
    with pytest.raises(InputError, match=r"e.ffm: a column is of another field than in .*d.ffm"):
        read_training_rows(fields, None)
    beyond = written(tmp_path, "f.txt", "1 7:1\n")
    with pytest.raises(InputError, match=r"f.txt, line 1"):
        read_training_rows([beyond], None, read_training_rows([text], None))


def test_a_class_that_was_never_trained_on(tmp_path):
    train = written(tmp_path, "a.csv", "a,y\n" + "u,yes\nv,no\n" * 9)
    held = written(tmp_path, "b.csv", "a,y\nu,maybe\n")
    done = call("train", train, "--target", "y", "--validate", held, "--save", tmp_path / "m.fmkit", "--quiet")
    assert_one_sentence(done, "a row to judge by is of the class 'maybe', which no training row has")


def test_a_stream_is_judged_row_by_row_before_it_is_learned(tmp_path):
    how = ["--target", "rating", "--ids", "userId,movieId", "--stream", "--factors", 4, "--format", "json"]
    done = call("train", RATINGS, *how, "--passes", 2, "--hash", 50_000, "--save", tmp_path / "m.fmkit")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert told["measure"] == "rmse"
    assert 0.85 < told["before it was learned"] < 1.05
    assert "8 batches, 50,000 columns: numbers by sgd" in done.stderr
    assert load(tmp_path / "m.fmkit").predict({"userId": [1], "movieId": [3]}).shape == (1,)


def test_a_stream_of_classes_is_judged_on_a_file(liked, tmp_path):
    X, y, field_of = liked
    write_libffm(tmp_path / "rows.ffm", X[:600], y[:600], field_of)
    write_libffm(tmp_path / "more.ffm", X[600:], y[600:], field_of)
    how = ["--stream", "--passes", 30, "--hash", 0, "--penalty", 0.3, "--save", tmp_path / "m.fmkit", "--format", "csv"]
    report = report_of(call("train", tmp_path / "rows.ffm", *how, "--validate", tmp_path / "more.ffm"))
    assert report["accuracy"][0] > 0.9
    assert report["rows"] == (200, 200)


def test_a_loss_that_is_not_the_squared_one(tmp_path):
    rows = "a,y\n" + "u,1\nv,3\n" * 20
    path = written(tmp_path, "rows.csv", rows)
    done = call("train", path, "--target", "y", "--task", "regression", "--loss", "poisson", "--save", tmp_path / "m")
    assert done.returncode == 0, done.stderr
    assert "numbers by sgd" in done.stderr
    assert load(tmp_path / "m")[-1].loss == "poisson"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--hash", 8], "--hash is for --stream"),
        (["--passes", 2], "--passes is for --stream"),
        (["--stream", "--loss", "huber"], "--stream takes --loss squared, got huber"),
        (["--stream", "--interaction", "ffm"], "--stream takes --interaction fm, got ffm"),
        (["--stream", "--solver", "als"], "--stream takes steps of sgd"),
        (["--stream", "--sweeps", 3], "--stream takes steps of sgd, and --passes in place of --sweeps"),
        (["--stream", "--target", "z"], "there is no column 'z'"),
        (["--stream", "--task", "classification"], "which column is the target?"),
    ],
)
def test_what_a_stream_does_not_take(options, sentence, tmp_path):
    path = written(tmp_path, "rows.csv", "a,y\n" + "u,1\nv,3\n" * 20)
    done = call("train", path, *options, "--save", tmp_path / "m.fmkit", "--quiet")
    assert_one_sentence(done, sentence)
    assert not (tmp_path / "m.fmkit").exists()
