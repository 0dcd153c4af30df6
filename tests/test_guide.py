"""The code of docs/recommender.md runs, from top to bottom."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "recommender.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the page does not come with the source distribution")
def test_the_guide_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(compile(block, PAGE.name, "exec"), names)
        shown = capsys.readouterr().out
        assert shown
        for told in re.findall(r"^# (.*)$", block, re.MULTILINE):  # a line that is a comment is what is printed
            assert told in shown
