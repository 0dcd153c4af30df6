"""A fit to a stream: batches are read by a thread, predicted, and learned, pass after pass."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.checkpoint import State, digest
from fmkit.errors import InputError
from fmkit.machine import FactorizationMachine
from fmkit.progress import Progress
from fmkit.streams.ahead import read_ahead
from fmkit.streams.coded import Coded
from fmkit.streams.encoder import Encoder
from fmkit.streams.learner import Learner
from fmkit.streams.roles import Roles, Targets
from fmkit.streams.rows import Rows, recut
from fmkit.streams.sources import open_source
from fmkit.streams.vocabulary import Vocabulary


class Stream:
    """What `fit_stream` goes through: its first batch is read when it is made, for roles, units and labels.

    Parameters
    ----------
    reader, target, weight, ids, numbers, n_hash, passes, batch_rows
        As of `fit_stream`.
    labels : list or None
        Of a classifier, both that there may be, or none: those of the first batch. None for targets that are numbers.

    Attributes
    ----------
    first : Rows
        The first batch.
    encoder : Encoder
    classes : ndarray or None
        The two labels, sorted.

    Raises
    ------
    InputError
        If there are no rows, or the first batch is not as it should be.
    """

    def __init__(
        self,
        reader: Any,
        *,
        target: str | None,
        weight: str | None,
        ids: Sequence[str] | None,
        numbers: Sequence[str] | None,
        n_hash: int | None,
        passes: int,
        batch_rows: int,
        labels: list[Any] | None,
    ) -> None:
        self.source = open_source(reader)
        if passes > 1 and not self.source.again:
            raise InputError(
                f"passes={passes} need a reader that can be read again: paths, a list of batches, or a function that "
                "makes an iterator; this iterator is at its end after one"
            )
        schema = self.source.schema()
        if schema is None:
            if (target, weight, ids, numbers) != (None,) * 4:
                raise InputError("sparse text has no names of columns: leave out target, sample_weight, ids, numbers")
            self.roles = None
        elif target is None:
            raise InputError(f"which column is the target? target=... is to be one of {', '.join(schema.names)}")
        else:
            self.roles = Roles.of(schema, target, weight, ids, numbers)
        self.targets = targets = Targets(labels, final=bool(labels))
        self.passes, self.batch_rows = passes, batch_rows
        self._rest = recut(self.source.rows(self.roles, targets), batch_rows)
        first = next(self._rest, None)
        if first is None:
            raise InputError("the stream has no rows")
        self.first = first
        self.encoder = Encoder.of_first(first, self.roles, n_hash, getattr(self.source, "with_fields", False))
        self._turned = False
        self.classes: NDArray[Any] | None = None
        if targets.labels is not None:
            if len(targets.labels) < 2:
                raise InputError(
                    f"the first {len(first):,} rows hold one label only, {targets.labels[0]!r}: "
                    "name both, classes=[...]"
                )
            self.classes = np.unique(np.array(targets.labels))
            self._turned = bool(self.classes[1] == targets.labels[0])
            self.first = self._with_classes(first)
        # Where it stands: the pass, rows of it that are learned, batches of all passes, progressive losses.
        self.pass_, self.done, self.batches = 1, 0, 0
        self.loss, self.weight, self._n_columns = 0.0, 0.0, self.encoder.n_columns

    def begin(self, learner: Learner, seed: int, progressive: bool) -> None:
        """Learn by this learner, rows in orders that the seed draws."""
        self.learner, self.seed, self.progressive = learner, seed, progressive

    @property
    def told(self) -> dict[str, Any]:
        """What a checkpoint has to agree with, as plain facts."""
        roles = self.roles
        columns = None if roles is None else [roles.target, roles.weight, list(roles.ids), list(roles.numbers)]
        return {"columns": columns, "n_hash": self.encoder.n_hash, "batch_rows": self.batch_rows}

    @property
    def digest(self) -> str:
        """Of the first batch."""
        return digest(*vars(self.first).values())

    def __iter__(self) -> Iterator[Progress[FactorizationMachine]]:
        """A Progress a batch: its loss before it was learned as `validation_loss`, in the first pass."""
        start = time.perf_counter()
        while self.pass_ <= self.passes:
            for rows, order in read_ahead(self._coded()):
                weight = float(rows.weights.sum(dtype=np.float64)) if len(rows.weights) else float(len(rows))
                before = None
                if self.progressive and self.pass_ == 1:
                    losses = self.learner.losses(rows)
                    total = float(
                        np.dot(losses, rows.weights.astype(np.float64)) if len(rows.weights) else losses.sum()
                    )
                    self.loss, self.weight, before = self.loss + total, self.weight + weight, total / weight
                loss = self.learner.learn(rows, order, known=self.pass_ > 1)
                self.done, self.batches, self._n_columns = self.done + len(rows), self.batches + 1, rows.n_columns
                running = self.loss / self.weight if self.weight else None
                facts = {"running_loss": running, "pass": self.pass_, "rows": self.done}
                seconds = time.perf_counter() - start
                machine = self.learner.machine()
                yield Progress(self.batches, loss / weight, seconds, machine, before, facts=facts)
            self.pass_, self.done = self.pass_ + 1, 0

    def state(self) -> State:
        """What later batches go by."""
        state = self.learner.state()
        place = {"pass": self.pass_, "done": self.done, "batches": self.batches}
        losses = {"loss": self.loss, "weight": self.weight}
        arrays = dict(state.arrays)
        if self.encoder.n_hash is None:  # the thread that reads may have met more ids
            arrays["prints"] = self.encoder.vocabulary.prints[: self._n_columns - len(self.encoder.means)]
        return State({"place": place, "losses": losses, "learner": state.facts}, arrays)

    def resume(self, state: State) -> None:
        """Go on after the batches of a state, which are read and passed over."""
        place, losses = state.facts["place"], state.facts["losses"]
        self.learner.resume(State(state.facts["learner"], state.arrays))
        self.pass_, self.done, self.batches = int(place["pass"]), int(place["done"]), int(place["batches"])
        self.loss, self.weight = float(losses["loss"]), float(losses["weight"])
        if self.encoder.n_hash is None:
            self.encoder.vocabulary = Vocabulary(state.arrays["prints"])
        self._n_columns = self.encoder.n_columns

    def _coded(self) -> Iterator[tuple[Coded, NDArray[np.int32]]]:
        """What is left of a pass, encoded, and the order of each batch: for the thread that reads."""
        skip, is_first = self.done, self.pass_ == 1
        later: Iterator[Rows] = map(self._with_classes, self._rest)
        parts = itertools.chain([self.first], later)
        if not is_first:
            again = recut(self.source.rows(self.roles, self.targets), self.batch_rows)
            parts = map(self._with_classes, again)  # type: ignore[assignment]
        number = 0
        for number, rows in enumerate(parts, 1):
            if skip > 0:
                skip -= len(rows)
                continue
            order = np.random.default_rng([self.seed, self.pass_, number]).permutation(len(rows)).astype(np.int32)
            yield self.encoder.encode(rows, grow=is_first), order
        if skip > 0:
            raise InputError(
                f"the stream ended {skip:,} rows before the place of its checkpoint: is it the same stream?"
            )

    def _with_classes(self, rows: Rows) -> Rows:
        return replace(rows, targets=1 - rows.targets) if self._turned else rows
