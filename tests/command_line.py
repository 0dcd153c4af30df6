"""`fmkit` as a process, and what its errors look like."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import pytest

import fmkit.datasets
from fmkit.cli import main

RUN = [sys.executable, "-c", "import sys; from fmkit.cli import main; sys.argv[0] = 'fmkit'; main()"]

SHIPPED = Path(fmkit.datasets.__file__).parent / "movielens_small"
RATINGS, MOVIES = SHIPPED / "ratings.csv.gz", SHIPPED / "movies.csv.gz"
QUICK = ["--factors", 4, "--sweeps", 10]


def run(*arguments, **options):
    options = {"capture_output": True, "text": True, "timeout": 120, **options}
    return subprocess.run([*RUN, *map(str, arguments)], **options)


def save_movies(folder):
    """The path of a saved model of the films that ship, with their titles."""
    path = folder / "movies.fmkit"
    done = run("recommend", RATINGS, "--items", MOVIES, *QUICK, "--save", path, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return path


def call(*arguments, cwd="."):
    """As `run`, in this process and much faster; what is not asked for at a terminal."""
    out, err = io.StringIO(), io.StringIO()
    argv, stdin = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["fmkit", *map(str, arguments)], io.StringIO()
    try:
        with (
            contextlib.chdir(cwd),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as exit_,
        ):
            main()
    finally:
        sys.argv, sys.stdin = argv, stdin
    return subprocess.CompletedProcess(arguments, exit_.value.code, out.getvalue(), err.getvalue())


def run_unprivileged(modules, *arguments):
    """As `run`, but without root's right to read everything, given away once the modules are there."""
    code = f"import os, {', '.join(modules)}; os.geteuid() or os.seteuid(65534); from fmkit.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


def assert_one_sentence(done, sentence):
    """The process ended with status 2, nothing on stdout, and one line on stderr that holds the sentence."""
    assert done.returncode == 2, done.stderr
    assert not done.stdout
    assert done.stderr.startswith("fmkit: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
