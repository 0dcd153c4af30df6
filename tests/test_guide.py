"""The code of the pages in docs/ runs, from top to bottom; cells of pages that compute run when the book is built."""

import os
import re
import shutil
import textwrap
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from fmkit.datasets import load_movielens_small

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def ratings_and_tonight() -> None:
    """What docs/spark.md reads: ratings, and pairs to be scored."""
    if find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed (pip install 'fmkit[spark]')")
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        pytest.skip("there is no Java (apt install openjdk-17-jre-headless)")
    table = load_movielens_small(as_frame=True).frame.head(2000)
    table = table.assign(user="user " + table.userId.astype(str), film=table.movieId, stars=table.rating)
    table[["user", "film", "stars"]].to_parquet("ratings.parquet")
    Path("tonight").mkdir()
    table[["user", "film"]].head(20).to_parquet("tonight/part-0.parquet")


PREPARED: dict[str, Callable[[], None]] = {"spark.md": ratings_and_tonight}


def pages() -> list[str]:
    """Those with code that is shown and not run by the build: not that of other tools."""
    texts = {page: page.read_text("utf-8") for page in sorted(DOCS.rglob("*.md"))}
    return [
        str(page.relative_to(DOCS))
        for page, text in texts.items()
        if BLOCK.search(text) and page.parent.name != "coming_from" and "_build" not in page.parts
    ]


@pytest.mark.skipif(not DOCS.exists(), reason="the pages do not come with the source distribution")
@pytest.mark.parametrize("name", pages())
def test_the_page_runs(name, tmp_path, monkeypatch, capsys):
    page = DOCS / name
    monkeypatch.chdir(tmp_path)
    PREPARED.get(name, lambda: None)()
    names = {}
    for _, indented in BLOCK.findall(page.read_text("utf-8")):
        block = textwrap.dedent(indented)
        exec(compile(block, page.name, "exec"), names)
        shown = capsys.readouterr().out
        assert shown or "print(" not in block
        for told in re.findall(r"^# (.*)$", block, re.MULTILINE):  # a line that is a comment is what is printed
            assert told in shown
