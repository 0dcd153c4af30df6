"""The code of the pages in docs/ runs, from top to bottom; cells of pages that compute run when the book is built."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

from fmkit import save
from fmkit.datasets import load_movielens_small
from fmkit.recommend import Recommender

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(not DOCS.exists(), reason="the pages do not come with the source distribution")
@pytest.mark.spark
def test_the_pages_of_spark_run(tmp_path):
    """In a script of its own, for Java stays in the folder it began in; ratings, pairs, a model lie where it looks."""
    if find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed (pip install 'fmkit[spark]')")
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        pytest.skip("there is no Java (apt install openjdk-17-jre-headless)")
    table = load_movielens_small(as_frame=True).frame.head(2000)
    table = table.assign(user="user " + table.userId.astype(str), film=table.movieId, stars=table.rating)
    ratings = table[["user", "film", "stars"]]
    ratings.to_parquet(tmp_path / "ratings.parquet")
    (tmp_path / "tonight").mkdir()
    ratings[["user", "film"]].head(20).to_parquet(tmp_path / "tonight" / "part-0.parquet")
    recommender = Recommender(quality="fast", max_iter=3).fit(ratings, user="user", item="film", rating="stars")
    save(recommender, tmp_path / "films.fmkit")
    again = "import pathlib, shutil\nassert pathlib.Path('scored/_SUCCESS').exists()\nshutil.rmtree('scored')\n"
    again += "for made in pathlib.Path().glob('stars.*'): made.unlink()\n"
    code = ""
    for name in ("spark.md", "how_to/spark.md"):
        code += (
            "\n".join(textwrap.dedent(block) for _, block in BLOCK.findall((DOCS / name).read_text("utf-8"))) + again
        )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def pages() -> list[str]:
    """Those with code that is shown and not run by the build: not that of other tools."""
    texts = {page: page.read_text("utf-8") for page in sorted(DOCS.rglob("*.md"))}
    return [
        str(page.relative_to(DOCS))
        for page, text in texts.items()
        if BLOCK.search(text) and not {"coming_from", "_build"} & set(page.parts) and page.name != "spark.md"
    ]


@pytest.mark.skipif(not DOCS.exists(), reason="the pages do not come with the source distribution")
@pytest.mark.parametrize("name", pages())
def test_the_page_runs(name, tmp_path, monkeypatch, capsys):
    page = DOCS / name
    monkeypatch.chdir(tmp_path)
    names = {}
    for _, indented in BLOCK.findall(page.read_text("utf-8")):
        block = textwrap.dedent(indented)
        exec(compile(block, page.name, "exec"), names)
        shown = capsys.readouterr().out
        assert shown or "print(" not in block
        for told in re.findall(r"^# (.*)$", block, re.MULTILINE):  # a line that is a comment is what is printed
            assert told in shown
