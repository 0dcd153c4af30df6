"""`fmkit recommend` as a process: what it prints and writes, and the sentence for every bad input."""

import csv
import gzip
import io
import json
import os
import resource
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import fmkit
import fmkit.datasets
from fmkit.cli._sentences import in_options
from tests.command_line import (
    MOVIES,
    QUICK,
    RATINGS,
    RUN,
    assert_one_sentence,
    call,
    run,
    run_unprivileged,
    save_movies,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_movies(tmp_path_factory.mktemp("model"))


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\nann,x,5\nann,y,1\nbob,y,2\nbob,z,4\n")
    return path


def test_a_list_with_titles_and_reasons(model):
    done = run("recommend", "--model", model, "--user", 414, "--top", 5)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    header, rule, *rows = done.stdout.splitlines()
    assert header.split() == ["rank", "item", "title", "score", "predicted", "reason"]
    assert set(rule) == {"-", " "}
    assert [row.split()[0] for row in rows] == ["1", "2", "3", "4", "5"]
    starts = [0, *(at + 2 for at in range(len(rule)) if rule[at : at + 2] == "  ")]
    assert all(row[at - 2 : at].strip() == "" for row in rows for at in starts[1:])  # aligned
    assert "you gave " in done.stdout
    assert "liked by everyone, +" in done.stdout


def test_csv_and_json_say_the_same(model):
    common = ["recommend", "--model", model, "--user", 1, "--user", 5, "--top", 3]
    as_csv = list(csv.DictReader(io.StringIO(call(*common, "--format", "csv").stdout)))
    as_json = json.loads(call(*common, "--format", "json").stdout)
    assert [row["user"] for row in as_json] == [1, 1, 1, 5, 5, 5]
    assert [row["rank"] for row in as_json] == [1, 2, 3, 1, 2, 3]
    assert all(isinstance(row["item"], int) and 0.5 <= row["predicted"] <= 5 for row in as_json)
    assert [{name: str(value) for name, value in row.items()} for row in as_json] == as_csv


def test_a_saved_model_gives_the_lists_of_the_fit_with_and_without_the_table(model):
    asked = ["--user", 7, "--top", 4, "--format", "json", "--quiet"]
    fitted = run("recommend", RATINGS, "--items", MOVIES, *QUICK, "--quality", "balanced", *asked)
    assert call("recommend", "--model", model, *asked).stdout == fitted.stdout
    assert call("recommend", RATINGS, "--model", model, *asked).stdout == fitted.stdout  # no row is new


def test_a_model_takes_in_todays_rows(model, tmp_path):
    today = tmp_path / "today.csv"
    today.write_text("user,movie,stars\nme,1,5\nme,2,4\nme,a new film,1\n")
    done = call("recommend", today, "--model", model, "--user", "me", "--top", 100, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "fmkit: 3 rows more, with 1 new user and 1 new item\n"
    items = {row["item"] for row in json.loads(done.stdout)}
    assert len(items) == 100
    assert not items & {"1", "2", "a new film"}


def test_people_whom_the_model_never_saw_are_folded_in(model, tmp_path):
    mine, many = tmp_path / "mine.csv", tmp_path / "many.csv"
    mine.write_text("movie,stars\n1,5\n2,4\nno such film,1\n")
    many.write_text("user,movie,stars\nann,1,5\nbob,2,1\nann,2,4\n")
    asked = ["--model", model, "--top", 3, "--format", "json"]
    alone = json.loads(call("recommend", "--new-user", mine, *asked).stdout)
    together = json.loads(call("recommend", "--new-user", many, *asked).stdout)
    assert [row["user"] for row in together] == ["ann"] * 3 + ["bob"] * 3
    assert [row["item"] for row in alone] == [row["item"] for row in together[:3]]
    assert {row["item"] for row in alone}.isdisjoint({1, 2})


def test_wishes(model):
    asked = ["recommend", "--model", model, "--user", 1, "--top", 6, "--format", "json"]
    wishes = ["--filter", "'Comedy' in genres", "--at-most", "genres=6", "--diversity", 0.3, "--pin", 1, "--risk", 1]
    rows = json.loads(call(*asked, *wishes, "--no-why").stdout)
    assert rows[0]["item"] == 1
    movies = pa.csv.read_csv(MOVIES).to_pydict()
    genres = dict(zip(movies["movieId"], movies["genres"], strict=True))
    assert all("Comedy" in genres[row["item"]] for row in rows[1:])
    assert "reason" not in rows[0]
    assert rows != json.loads(call(*asked, *wishes, "--no-why", "--risk", 0).stdout)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (
            ["--filter", "year > 3"],
            "the filter names the column 'year', the table of items has 'movieId', 'title', 'genres'",
        ),
        (["--filter", "genres >"], "the filter 'genres >' is no condition"),
        (["--at-most", "genres"], "--at-most takes COLUMN=N with N at least 1, got 'genres'"),
        (["--at-most", "genres=0"], "--at-most takes COLUMN=N with N at least 1, got 'genres=0'"),
        (["--at-most", "year=1"], "--at-most names the column 'year', the table of items has 'title', 'genres'"),
        (["--pin", "none"], "--pin holds 'none', which is none of the 9,742 items"),
        (["--pin", 1, "--pin", 1], "--pin 1 is given twice"),
        (["--risk", "nan"], "--risk takes a number or explore, got 'nan'"),
        (["--diversity", "nan"], "'nan' is no number that is finite"),
        (["--risk", "much"], "--risk takes a number or explore, got 'much'"),
        (["--context", "weekday=Monday"], "the fit had no context: name the columns of one in the fit, by --context N"),
    ],
)
def test_wishes_that_cannot_be_fulfilled(model, wish, sentence):
    assert_one_sentence(call("recommend", "--model", model, "--user", 1, *wish), sentence)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (["--filter", "year > 3"], "the filter names the column 'year', of items only 'item' is known: give a table"),
        (["--filter", "year > 3", "--items", "films.csv"], "the table of items has 'film', 'title'"),
        (["--filter", "title >", "--items", "films.csv"], "the filter 'title >' is no condition"),
        (["--at-most", "year=3"], "by --items FILE"),
        (
            ["--items", "ratings.csv"],
            "ratings.csv: --items takes a table with a row for each item, not that of ratings",
        ),
        (
            ["--users", "./ratings.csv"],
            "ratings.csv: --users takes a table with a row for each user, not that of ratings",
        ),
        (["--items", "-", "--users", "-"], "- is what comes on stdin, which is read once: give the other tables as"),
        (["--columns", "user=item"], "column 'item' cannot hold both user and item"),
        (["--top", "0"], "invalid value for '--top': 0 is not in the range"),
    ],
)
def test_wishes_are_looked_at_before_the_fit(small, monkeypatch, wish, sentence):
    (small.parent / "films.csv").write_text("film,title\nx,X\n")
    monkeypatch.chdir(small.parent)
    monkeypatch.setattr("fmkit.recommend.recommender.Recommender._fit_model", None)
    assert_one_sentence(call("recommend", "ratings.csv", "--user", "ann", *wish), sentence)


def test_options_are_called_as_the_command_calls_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.csv").write_text("who,what,liked\nann,x,5\nann,y,1\nbob,y,2\nbob,z,4\n")
    done = call("recommend", "r.csv", "--user", "ann")
    assert_one_sentence(done, "name one (--columns user=COLUMN), or add a header line")
    named = ["r.csv", "--columns", "user=who,item=what"]
    done = call("recommend", *named, "--user", "ann", "--feedback", "explicit")
    assert_one_sentence(done, "explicit feedback needs ratings: name their column with --columns rating=COLUMN")
    done = call("evaluate", *named, "--split", "time")
    assert_one_sentence(done, "give --columns time=COLUMN, or --split random")
    done = call("recommend", *named, "--user", "ann", "--risk", 1)
    assert done.stderr.splitlines()[-1] == (
        "fmkit: a ranker of clicks tells no deviation: leave --risk out, it is for ratings"
    )


def test_what_somebody_called_a_column_is_no_option():
    assert in_options("the filter 'how=1 and (user=2)' is no condition") == (
        "the filter 'how=1 and (user=2)' is no condition"
    )
    assert in_options("data/user=5/part.csv: the file is empty") == "data/user=5/part.csv: the file is empty"
    assert in_options("user=5/part.csv: the file is empty") == "user=5/part.csv: the file is empty"


def test_a_filter_that_lets_nothing_through_says_what_was_meant(model):
    with pytest.warns(UserWarning, match="no item has 'comedy' in 'genres', did you mean 'Comedy'"):
        done = call("recommend", "--model", model, "--user", 1, "--filter", "'comedy' in genres")
    assert done.returncode == 0
    assert "fmkit: nothing is left to recommend to user 1" in done.stderr


def test_a_table_that_came_after_the_fit_has_wishes_too(tmp_path):
    ratings, films, model = tmp_path / "r.csv", tmp_path / "films.csv", tmp_path / "m.fmkit"
    rows = [f"u{n % 9},i{(n * n) % 23},{1 + n % 4}" for n in range(99)]
    ratings.write_text("\n".join(["user,item,rating", *dict.fromkeys(rows)]))
    films.write_text("\n".join(["film,genres", *(f"i{n},{'Crime|Comedy' if n % 3 else 'Crime'}" for n in range(23))]))
    assert call("recommend", ratings, *QUICK, "--save", model, "--quiet").returncode == 0
    asked = ["recommend", "--model", model, "--items", films, "--user", "u1", "--include-seen", "--format", "json"]
    done = call(*asked, "--at-most", "genres=2", "--filter", "film != 'i1'")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 2


def test_the_id_of_an_item_is_a_column_of_the_filter(model):
    done = call("recommend", "--model", model, "--user", 1, "--filter", "movieId in (318, 858)", "--format", "json")
    assert {row["item"] for row in json.loads(done.stdout)} == {318, 858}


def test_ratings_of_another_scale_are_refused(model, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("user,movie,stars\nann,1,50\n")
    done = call("recommend", "--model", model, "--new-user", path)
    assert_one_sentence(done, "the rating 50 of item 1 by user ann is outside the scale of the fit, 0.5 to 5")
    done = call("recommend", path, "--model", model, "--user", "ann")
    assert_one_sentence(done, "outside the scale of the fit, 0.5 to 5: if the scale has changed, fit anew to all rows")


def test_a_context_that_the_fit_never_met_is_told(tmp_path):
    table = tmp_path / "r.csv"
    rows = [f"u{n % 7},i{n % 5},{1 + n % 4},{'day' if n % 2 else 'night'}" for n in range(60)]
    table.write_text("\n".join(["user,item,rating,when", *rows]))
    asked = ["recommend", table, *QUICK, "--user", "u1", "--include-seen", "--context"]
    with pytest.warns(UserWarning, match="the context 'when' holds 'noon', which the fit never met"):
        assert call(*asked, "when=noon").returncode == 0


def test_several_files_folders_and_stdin_are_read(small, tmp_path):
    folder = tmp_path / "parts"
    (folder / "deep").mkdir(parents=True)
    table = pa.csv.read_csv(small)
    pa.parquet.write_table(table.slice(0, 2), folder / "a.parquet")
    pa.parquet.write_table(table.slice(2), folder / "deep" / "b.parquet")
    (folder / "_SUCCESS").write_text("")
    asked = ["--user", "ann", "--format", "csv", "--quiet"]
    whole = run("recommend", small, *asked)
    assert whole.stdout.splitlines()[1].startswith("ann,1,z,")
    assert call("recommend", folder, *asked).stdout == whole.stdout
    assert run("recommend", "-", *asked, input=small.read_text()).stdout == whole.stdout
    films = "item,title\nx,X\ny,Y\nz,Zed\n"
    assert "Zed" in run("recommend", small, "--items", "-", *asked, input=films).stdout
    first, second = tmp_path / "1.csv", tmp_path / "2.csv.gz"
    lines = small.read_text().splitlines(keepends=True)
    first.write_text("".join(lines[:3]))
    second.write_bytes(gzip.compress("".join(lines[:1] + lines[3:]).encode()))
    assert call("recommend", first, second, *asked).stdout == whole.stdout


def test_a_context_is_fitted_and_asked_for(tmp_path):
    table = tmp_path / "r.csv"
    rows = [f"u{n % 7},i{n % 5},{1 + (n % 5 == 0) * 3},{'day' if n % 2 else 'night'}" for n in range(200)]
    table.write_text("\n".join(["user,item,rating,when", *dict.fromkeys(rows)]))
    asked = ["recommend", table, *QUICK, "--quality", "balanced", "--user", "u1", "--include-seen", "--format", "json"]
    day, night, usual = (
        json.loads(call(*asked, "--context", given).stdout) for given in ("when=day", "when=night", "when")
    )
    assert len(day) == len(night) == len(usual) == 5
    assert [row["score"] for row in day] != [row["score"] for row in night]


def test_an_unknown_user_gets_the_popular_list_and_is_told_so(model):
    done = call("recommend", "--model", model, "--user", "nobody", "--top", 3)
    assert done.returncode == 0
    assert done.stderr == "fmkit: user nobody is unknown: the list is what everyone likes best\n"
    assert "Shawshank Redemption" in done.stdout
    assert call("recommend", "--model", model, "--user", "nobody", "--quiet").stderr == ""


def test_seen_items_are_listed_if_asked_for(model):
    done = call("recommend", "--model", model, "--user", 1, "--top", 10_000, "--include-seen", "--format", "csv")
    assert len(done.stdout.splitlines()) == 1 + 9742


def test_what_a_person_may_wonder_about_is_told_on_stderr(small):
    small.write_text(small.read_text() + "ann,z,3\nann,x,4\n")
    done = run("recommend", small, "--user", "ann", *QUICK, "--seed", 3, "--jobs", 1)
    assert done.returncode == 0
    header, rule = done.stdout.splitlines()
    assert header.split() == ["rank", "item", "score", "predicted", "reason"]
    assert set(rule) == {"-", " "}
    told = done.stderr.splitlines()
    assert "fmkit: left out: 1 rating, because the same user rated the same item again later, further down" in told
    assert "fmkit: nothing is left to recommend to user ann" in told
    assert any(line.startswith("fmkit: this was a fast fit") for line in told)


@pytest.mark.parametrize("name", ["lists.csv", "lists.parquet"])
def test_every_users_list_is_written(model, tmp_path, name):
    out = tmp_path / name
    done = run("recommend", "--model", model, "--all-users", "--out", out, "--top", 2)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    table = pa.csv.read_csv(out) if out.suffix == ".csv" else pa.parquet.read_table(out)
    assert table.column_names == ["user", "rank", "item", "title", "score", "predicted"]
    assert table["user"].to_pylist() == np.repeat(np.arange(1, 611), 2).tolist()
    alone = fmkit.load(model).recommend([600], n=2)
    rows = table.slice(599 * 2, 2)
    assert rows["item"].to_pylist() == alone["item"].to_pylist()
    assert rows["predicted"].to_pylist() == pytest.approx(alone["predicted"].to_pylist(), abs=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_closed_pipe_is_silent(model):
    command = [*RUN, "recommend", "--model", str(model), "--user", "1", "--top", "9000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("  rank")
        process.stdout.close()
        assert process.stderr.read() == ""


def bad_table(content):
    return lambda folder: (folder / "r.csv").write_bytes(content)


BAD = {
    "no file": (lambda folder: None, "r.csv: no such file or directory"),
    "a directory": (lambda folder: (folder / "r.csv").mkdir(), "r.csv: the folder holds no table"),
    "empty": (bad_table(b""), "r.csv: the file is empty"),
    "only a header": (bad_table(b"user,item,rating\n"), "r.csv: the table holds no interactions, only a header"),
    "binary": (bad_table(bytes(range(256)) * 99), "r.csv: this is no table"),
    "wrong columns": (bad_table(b"a,b,c\n1,2,3\n"), "r.csv: no column for user was found: looked for user, userid"),
    "text in a number's place": (
        bad_table(b"user,item,rating\n1,2,3\n1,2,abc\n"),
        "r.csv, line 3: 'abc' is no number in column 'rating'",
    ),
    "NaN": (bad_table(b"user,item,rating\n1,2,nan\n"), "r.csv, line 2: 'nan' is not finite in column 'rating'"),
    "missing id": (bad_table(b"user,item,rating\n1,,5\n"), "r.csv, line 2: there is no id in column 'item'"),
    "ragged row": (bad_table(b"user,item,rating\n1,2\n"), "r.csv, line 2: the line has 2 fields, the header has 3"),
    "truncated archive": (
        lambda folder: (folder / "r.csv").write_bytes(gzip.compress(b"user,item,rating\n1,2,3\n")),
        "r.csv: this is no table",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_end_in_one_sentence(tmp_path, case):
    make, sentence = BAD[case]
    make(tmp_path)
    assert_one_sentence(call("recommend", tmp_path / "r.csv", "--user", 1), sentence)


def test_no_permission(small, tmp_path):
    modules = ("fmkit.recommend.recommender", "fmkit.recommend.lists", "fmkit.cli.recommend", "tqdm")
    small.chmod(0)
    done = run_unprivileged(modules, "recommend", small, "--user", 1)
    assert_one_sentence(done, "ratings.csv: permission denied")
    tmp_path.chmod(0o500)
    done = run_unprivileged(modules, "recommend", small, "--all-users", "--out", tmp_path / "l.csv")
    assert_one_sentence(done, "l.csv: permission denied")
    tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--all-users", "--out", "lists.xlsx"], "or .arrow files, 'lists.xlsx' is none"),
        (
            ["--all-users", "--out", "nowhere/lists.csv"],
            "nowhere/lists.csv: there is no folder nowhere: make it first, or choose another name",
        ),
        (["--all-users", "--out", "folder.csv"], "folder.csv: is a directory"),
        (
            ["--save", "nowhere/m.fmkit"],
            "nowhere/m.fmkit: there is no folder nowhere: make it first, or choose another name",
        ),
        (["--user", "1", "--items", "nothing.csv"], "nothing.csv: no such file or directory"),
        (["--user", "1", "--items", "films.csv", "--columns", "title=t"], "there is no column 't' for title"),
        (["--user", "1", "--columns", "item=wine"], "there is no column 'wine' for item"),
    ],
)
def test_bad_options_end_in_one_sentence(small, options, sentence):
    (small.parent / "folder.csv").mkdir()
    (small.parent / "films.csv").write_text("item,name\nx,X\n")
    assert_one_sentence(call("recommend", "ratings.csv", *options, cwd=small.parent), sentence)
    assert sorted(path.name for path in small.parent.iterdir()) == ["films.csv", "folder.csv", "ratings.csv"]


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-100], lambda b: b"", lambda b: b"user,item,rating\n", lambda b: b[:50]]
)
def test_a_damaged_model_ends_in_one_sentence(model, tmp_path, damage):
    path = tmp_path / "m.fmkit"
    path.write_bytes(damage(model.read_bytes()))
    assert_one_sentence(call("recommend", "--model", path, "--user", 1), f"{path}: ")


def test_a_model_of_another_kind(tmp_path):
    fmkit.save(fmkit.FMRegressor(n_factors=1).fit([[1, 0], [0, 1]], [1, 2]), tmp_path / "m.fmkit")
    done = call("recommend", "--model", tmp_path / "m.fmkit", "--user", 1)
    assert_one_sentence(done, "m.fmkit: this model is a FMRegressor, a recommender is needed")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_disk_under_stdout(model):
    with Path("/dev/full").open("w") as full:
        done = run(
            "recommend", "--model", model, "--user", 1, capture_output=False, stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 2
    assert done.stderr == "fmkit: no space left on device\n"


@pytest.mark.parametrize("name", ["l.csv", "l.parquet"])
def test_a_disk_that_fills_up_leaves_what_was_there(model, tmp_path, name):
    out = tmp_path / name
    out.write_text("old")
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))}
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = run("recommend", "--model", model, "--all-users", "--out", out, "--top", 100, env=env, **limit)
    assert_one_sentence(done, "file too large")
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("option", ["--save", "--out"])
def test_what_is_read_is_not_overwritten(small, option):
    arguments = ["--user", "ann"] if option == "--save" else ["--all-users"]
    done = call("recommend", small, *arguments, option, small)
    assert_one_sentence(done, f"{small}: this file would be overwritten, and it is read")
    assert small.read_text().startswith("user,item,rating\n")


def test_a_pipe_is_refused_with_the_mend():
    done = subprocess.run(
        [*RUN, "recommend", "/dev/stdin", "--user", "1"], input="user,item,rating\n", capture_output=True, text=True
    )
    assert_one_sentence(done, "/dev/stdin: a table is read more than once, a pipe cannot be: save it to a file")


def test_items_that_match_nothing_end_in_one_sentence(small, tmp_path):
    titles = tmp_path / "titles.csv"
    titles.write_text("item,title\n01,Alien\n")
    done = call("recommend", small, "--user", "ann", "--items", titles, "--quiet")
    assert_one_sentence(
        done, "the table of items shares no id with the interactions: are ids written alike, as 01 here"
    )


def test_a_closed_stdout_and_a_terminal_of_few_letters_are_no_disaster(small):
    small.write_text(small.read_text("utf-8").replace("z", "Zoë"), "utf-8")
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run("recommend", small, "--user", "ann", env=plain)
    assert done.returncode == 0
    assert "Zo\\xeb" in done.stdout
    code = subprocess.run(["bash", "-c", '"$@" >&-', "bash", *RUN, "recommend", str(small), "--user", "ann"]).returncode
    assert code == 0
