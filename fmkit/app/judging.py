"""How good a recommender is that was fitted to a part of a table, beside baselines: what `fmkit evaluate` prints."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import Any, Self, get_args

from fmkit.app.apart import Tell
from fmkit.app.learning import Task, on_the_page
from fmkit.errors import InputError

MOST_TOP = 100  # places of a list that is judged
OURS = "fmkit"  # as `fmkit evaluate` calls the recommender


@dataclass(frozen=True)
class Trial:
    """How a recommender is to be judged: as `fmkit evaluate` does.

    Parameters
    ----------
    task : Task
    how : str
        A rule of `fmkit.recommend.split`.
    test : float
        Share that is tested.
    top : int
        Places of a list.
    """

    task: Task
    how: str
    test: float
    top: int

    @classmethod
    def of(cls, task: Task, how: Any, test: Any, top: Any) -> Self:
        """From what a page asks; an InputError if it is nothing that can be done."""
        from fmkit.recommend.splits import How

        if how not in get_args(How):
            raise InputError(f"how must be one of {', '.join(map(repr, get_args(How)))}, got {how!r}")
        if isinstance(test, bool) or not isinstance(test, int | float) or not 0 < test < 1:
            raise InputError(f"test must be a share between 0 and 1, got {test!r}")
        if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= MOST_TOP:
            raise InputError(f"k must be at least 1 place and at most {MOST_TOP}, got {top!r}")
        return cls(task, how, float(test), top)

    def command(self) -> str:
        """The command line that prints the same numbers."""
        told = ["--split", self.how, "--test", str(self.test), "--top", str(self.top)]
        return shlex.join(["fmkit", "evaluate", *self.task.words(), *told])


def judge(trial: Trial, tell: Tell) -> None:
    """Tell what `compare` finds, as JSON takes it: for each model its metrics with their intervals, and tests."""
    from fmkit.recommend import compare

    task = trial.task
    result = compare(
        {OURS: task.unfitted()}, task.ratings, how=trial.how, test=trial.test, k=trial.top, **task.given()  # type: ignore[arg-type]
    )  # fmt: skip
    models = []
    for name, evaluation in result.evaluations.items():
        values = {
            metric: [value, *evaluation.intervals.get(metric, (None, None))]
            for metric, value in evaluation.mean().items()
            if math.isfinite(value)
        }
        seconds, baseline = result.fit_seconds[name], name in result.baselines
        models.append({"name": name, "baseline": baseline, "seconds": seconds, "values": values})
    tests = {
        metric: {
            "to": comparison.to,
            "others": [
                {
                    "name": name,
                    "difference": test.difference,
                    "interval": test.interval,
                    "p": comparison.adjusted[name, of],
                    "users": test.n_users,
                }
                for (name, of), test in comparison.tests.items()
            ],
        }
        for metric, comparison in result.tests.items()
    }
    found = {
        "models": models,
        "headline": result.headline,
        "tests": tests,
        "notes": [on_the_page(note) for note in result.notes],
        "command": trial.command(),
    }
    tell(found)
