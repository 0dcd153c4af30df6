"""The code of the guides in docs/ runs, from top to bottom."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.skipif(not DOCS.exists(), reason="the pages do not come with the source distribution")
@pytest.mark.parametrize("name", ["recommender.md", "batch.md"])
def test_the_guide_runs(name, tmp_path, monkeypatch, capsys):
    page = DOCS / name
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        exec(compile(block, page.name, "exec"), names)
        shown = capsys.readouterr().out
        assert shown
        for told in re.findall(r"^# (.*)$", block, re.MULTILINE):  # a line that is a comment is what is printed
            assert told in shown
