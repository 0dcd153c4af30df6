"""The examples run as somebody would run them, and what they print is what they say one sees."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fmkit import save
from fmkit.recommend import Recommender

EXAMPLES = Path(__file__).parent.parent / "examples"
pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="examples do not come with the source distribution")


def printed(name, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", EXAMPLES / name, *arguments],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def section(text, title):
    """The lines between one that begins with a title and the next empty one."""
    return re.search(rf"^{re.escape(title)}.*?\n(.*?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)[1].splitlines()


def figures(lines):
    """The last number of each line by what stands before it."""
    return {line.rsplit(None, 1)[0].strip(): float(line.rsplit(None, 1)[1]) for line in lines}


def test_movies_with_reasons(tmp_path):
    text = printed("movies_with_reasons.py", cwd=tmp_path)
    assert text.startswith("100,836 rows of explicit feedback: there are ratings from 0.5 to 5\n")
    with_reasons = section(text, "For one person, with reasons")
    assert len(with_reasons) == 4
    assert all("you gave" in line or "liked by everyone" in line for line in with_reasons)
    lists = [section(text, title) for title in ("By the rating expected alone", "Bold", "Less of the same")]
    assert lists[0] != lists[1] != lists[2]
    (why,) = re.findall(r"^Why (\S+) for", text, re.MULTILINE)
    (added,) = re.findall(r"^  all \d+ parts add up to (\S+)$", text, re.MULTILINE)
    assert abs(float(why) - float(added)) < 0.002
    rows = re.findall(r"^Split by '(\w+)'$.*?^Recommender +(.*?)$", text, re.MULTILINE | re.DOTALL)
    rmse = {how: float(re.findall(r"\d\.\d{4}", numbers)[-3]) for how, numbers in rows}  # then mae and coverage
    assert rmse["time"] > rmse["random"] + 0.1  # what comes later is harder to tell than holes
    assert "a baseline wins: ItemKNN beats every recommender in ndcg@10" in text


def test_books_from_clicks(tmp_path):
    text = printed("books_from_clicks.py", cwd=tmp_path)
    assert "rows of implicit feedback: there is no column of ratings" in text
    assert any("you have " in line for line in section(text, "For one reader"))
    assert any("Asimov" in line for line in section(text, "Who likes Dune and Foundation"))
    warm = figures(section(text, "NDCG@10 of clicks held out, from all books"))
    assert warm["Recommender"] > 2 * warm["popularity"]
    cold = figures(section(text, "NDCG@10 of 19,152 clicks on 992 books that nobody has in the fit"))
    assert cold["Recommender, by features"] > 2 * cold["their authors' popularity"] > 4 * cold["chance"]


def test_adult_pipeline(tmp_path):
    text = printed("adult_pipeline.py", cwd=tmp_path)
    assert re.search(r"^age +number +\d+ columns: its type is int32$", text, re.MULTILINE)
    assert re.search(r"^occupation +category +14 columns", text, re.MULTILINE)
    auc = figures(section(text, "held out, mean of three folds"))
    assert all(value > 0.9 for value in auc.values())
    losses = [float(loss) for loss in re.findall(r" s, log loss (\S+):", text)]
    assert len(losses) == 2
    assert abs(losses[0] - losses[1]) < 0.01
    assert re.search(r"^more: .*capital_gain~", text, re.MULTILINE)
    (right,) = re.findall(r"^right, weighted, of occupations never seen: (\S+) ", text, re.MULTILINE)
    assert float(right) > 0.8


def test_kinds_of_damage(tmp_path):
    text = printed("kinds_of_damage.py", "64", "96", cwd=tmp_path)
    lost = re.findall(r"^\w+ +\d+\.\d% +\S+ +(\S+) dB", text, re.MULTILINE)
    assert len(lost) == len(text.splitlines()) - 1
    assert all(float(value) > 10 for value in lost)


def test_nightly(tmp_path):
    ratings = {"user": [1, 1, 2, 2, 3], "item": [1, 2, 2, 3, 1], "rating": [5, 1, 1, 4, 5]}
    save(Recommender(quality="fast", max_iter=3).fit(ratings), tmp_path / "model.fmkit")
    (tmp_path / "incoming" / "shop=a").mkdir(parents=True)
    (tmp_path / "incoming" / "shop=a" / "pairs.csv").write_text("user,item\n1,3\n2,1\n,1\n")
    arguments = ["model.fmkit", "incoming", "scores", "2026-11-28"]
    text = printed("nightly.py", *arguments, cwd=tmp_path)
    assert text.startswith("2026-11-28: 3 rows in, 2 scored, 1 set aside, ")
    assert printed("nightly.py", *arguments, cwd=tmp_path) == text  # nothing is left to do
    scores = pq.ParquetFile(tmp_path / "scores" / "day=2026-11-28" / "shop=a" / "pairs.parquet").read()
    assert scores.schema.names == ["user", "item", "prediction"]
    assert pq.ParquetFile(tmp_path / "scores/_rejects/2026-11-28.parquet").read()["reason"].to_pylist() == [
        "there is no id"
    ]
