"""`fmkit score` and `fmkit verify` as processes."""

import io
import json
import signal
import subprocess
import time

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from fmkit import load
from tests.command_line import RUN, call, run, save_movies


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("movies")
    save_movies(folder)
    (folder / "pairs.csv").write_text("userId,movieId,note\n1,1,a\n1,318,b\n,318,c\n600,1,d\n1,1,e,f\n")
    (folder / "right.csv").write_text("userId,movieId\n1,1\n1,318\n600,1\n")
    return folder


def test_a_file_is_scored_and_verified(movies, tmp_path):
    done = run("score", movies / "movies.fmkit", movies / "right.csv", "--out", tmp_path / "s.parquet", "--std")
    assert (done.returncode, done.stdout) == (0, "")
    assert "3 rows in, 3 out, in" in done.stderr
    out = pq.read_table(tmp_path / "s.parquet")
    model = load(movies / "movies.fmkit")
    mean, std = model.predict([1, 1, 600], [1, 318, 1], return_std=True)
    np.testing.assert_array_equal(out["prediction"], mean)
    np.testing.assert_array_equal(out["prediction_std"], std)
    assert run("verify", tmp_path / "s.parquet").returncode == 0
    (tmp_path / "s.parquet").write_bytes(b"no more")
    done = run("verify", tmp_path / "s.parquet")
    assert done.returncode == 1
    assert "s.parquet: the file was written with" in done.stderr


def test_rejects_by_exit_status(movies, tmp_path):
    out = ["--out", tmp_path / "s.csv"]
    done = call("score", movies / "movies.fmkit", movies / "pairs.csv", *out)
    assert done.returncode == 3
    assert "pairs.csv, line 4, column 'userId': there is no id; --rejects FILE sets such rows aside" in done.stderr
    kept = ["--rejects", tmp_path / "r.csv"]
    done = call("score", movies / "movies.fmkit", movies / "pairs.csv", *out, *kept, "--max-rejects", 1)
    assert done.returncode == 3
    assert "2 rows will not do, 1 are allowed" in done.stderr
    done = call("score", movies / "movies.fmkit", movies / "pairs.csv", *out, *kept, "--resume")
    assert done.returncode == 0
    assert "5 rows in, 3 out, 2 rejected" in done.stderr
    assert pa.csv.read_csv(tmp_path / "r.csv").select(["line", "reason"]).to_pylist() == [
        {"line": 4, "reason": "there is no id"},
        {"line": 6, "reason": "the row has 4 fields, the header has 3"},
    ]
    assert pa.csv.read_csv(tmp_path / "s.csv")["note"].to_pylist() == ["a", "b", "d"]


@pytest.mark.parametrize("form", ["csv", "ndjson", "arrow"])
def test_streams_in_and_out(movies, form):
    text = (movies / "right.csv").read_bytes()
    first = run("score", movies / "movies.fmkit", "-", "--out", "-", "--format", form, "--keep", "userId,movieId",
                input=text, text=False)  # fmt: skip
    assert (first.returncode, first.stderr) == (0, b"")
    again = run(
        "score", movies / "movies.fmkit", "-", "--out", "-", "--keep", "movieId", input=first.stdout, text=False
    )
    assert (again.returncode, again.stderr) == (0, b"")
    want = [round(float(p), 4) for p in load(movies / "movies.fmkit").predict([1, 1, 600], [1, 318, 1])]
    if form == "csv":
        got = pa.csv.read_csv(io.BytesIO(again.stdout)).to_pylist()
    elif form == "ndjson":
        got = [json.loads(line) for line in again.stdout.splitlines()]
    else:
        got = pa.ipc.open_stream(again.stdout).read_all().to_pylist()
    assert [round(row["prediction"], 4) for row in got] == want


def test_lists_for_users(movies):
    done = run(
        "score", movies / "movies.fmkit", "-", "--out", "-", "--format", "ndjson", "--top", 3, input="userId\n7\n"
    )
    row = json.loads(done.stdout)
    assert row["userId"] == "7"
    assert row["items"] == load(movies / "movies.fmkit").recommend([7], 3)["item"].to_pylist()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nope.csv", "--out", "o"], "nope.csv: no such file or folder"),
        (["right.csv"], "missing option '--out'"),
        (["-", "right.csv", "--out", "o"], "- is all that is read"),
        (["right.csv", "--out", "-", "--resume"], "a stream cannot be gone on with"),
        (["right.csv", "--out", "o", "--resume", "--overwrite"], "ask for opposite things"),
        (["right.csv", "--out", "o", "--from", "csv"], "--from is for stdin"),
        (["right.csv", "--out", "o", "--keep", "nope"], "right.csv: there is no column 'nope' to keep"),
        (["right.csv", "--out", "o", "--memory", "lots"], "a size like 1GB or 512MB is needed, got 'lots'"),
        (["right.csv", "--out", "o", "--columns", "user"], "--columns takes ROLE=COLUMN"),
        (["right.csv", "--out", "o", "--proba"], "does not grant proba"),
        (["right.csv", "--out", "o.csv", "--top", "3"], "column 'items' holds lists, CSV cannot"),
        (["right.csv", "--out", "o.csv", "--rejects", "r.txt"], "rejects are written to a .parquet, .csv"),
        (["right.csv", "--out", "no/such/o.csv"], "there is no folder"),
    ],
)
def test_what_can_be_mended_is_a_sentence(movies, tmp_path, arguments, sentence):
    arguments = [movies / one if one == "right.csv" else one for one in arguments]
    done = call("score", movies / "movies.fmkit", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_it_goes_on(movies, tmp_path, number):
    rows = 400_000
    table = pa.table({"userId": np.arange(rows) % 600, "movieId": np.arange(rows) % 100})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=1000)
    command = [
        "score",
        movies / "movies.fmkit",
        tmp_path / "in.parquet",
        "--out",
        tmp_path / "out",
        "--part-rows",
        1000,
    ]
    process = subprocess.Popen([*RUN, *map(str, command)], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (tmp_path / "out" / "_fmkit" / "00000002.json").exists():
        time.sleep(0.005)
    process.send_signal(number)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "the same command with --resume goes on" in err
    done = run(*command, "--resume")
    assert done.returncode == 0
    assert "400,000 rows in, 400,000 out" in done.stderr
    assert run("verify", tmp_path / "out", "--quiet").returncode == 0
