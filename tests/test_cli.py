"""The frame of the command line, as a process: help, one sentence for every error, silence for a closed pipe."""

import os
import signal
import subprocess
import sys
import time

import pytest

import fmkit
from tests.command_line import RUN, assert_one_sentence, call, run


def test_version():
    assert run("--version").stdout == f"fmkit {fmkit.__version__}\n"


def test_help_lists_every_command():
    done = run("--help")
    assert done.returncode == 0
    for command in ("completion", "damage", "evaluate", "inspect", "recommend", "restore", "similar", "tune"):
        assert f"  {command}  " in done.stdout
    assert "_" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "fmkit: missing command (see `fmkit --help`)"),
        (["recomend"], "fmkit: no such command 'recomend': did you mean 'recommend'?"),
        (["_tables"], "fmkit: no such command '_tables'"),
        (["restore"], "fmkit: missing argument 'PICTURE...' (see `fmkit restore --help`)"),
        (["damage"], "fmkit: missing argument 'CLEAN' (see `fmkit damage --help`)"),
        (["recommend", "--colour"], "fmkit: no such option '--colour'"),
        (["recommend", "x.csv", "--user", "1", "--top", "0"], "fmkit: invalid value for '--top'"),
        (["recommend", "--user", "1"], "fmkit: name a table of ratings, or a saved model with --model"),
        (["recommend", "x.csv"], "fmkit: say for whom"),
        (["recommend", "x.csv", "--all-users"], "fmkit: --all-users and --out FILE belong together"),
        (["recommend", "x.csv", "--user", "1", "--user", "1"], "fmkit: --user 1 is given twice"),
        (["recommend", "--model", "m", "--user", "1", "--seed", "0"], "fmkit: --seed is for a fit, but with --model"),
        (["recommend", "x.csv", "--user", "1", "--columns", "item"], "fmkit: --columns takes ROLE=COLUMN"),
        (["recommend", "x.csv", "--user", "1", "--columns", "who=a"], "fmkit: --columns takes ROLE=COLUMN"),
    ],
)
def test_usage_errors_are_one_sentence(arguments, sentence):
    assert_one_sentence(call(*arguments), sentence)


@pytest.mark.usefixtures("ctrl_c_works")
def test_an_interrupt_is_one_sentence(tmp_path):
    fifo = tmp_path / "ratings.csv"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [*RUN, "recommend", str(fifo), "--user", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with fifo.open("wb"):  # waits for the reader, who then waits for us
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err == "\nfmkit: interrupted, nothing more was written\n"  # the first line holds the terminal's ^C


def test_our_own_mistakes_show_their_traceback():
    code = "import fmkit.cli; fmkit.cli.fmkit.main = lambda **_: 1 / 0; fmkit.cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr
