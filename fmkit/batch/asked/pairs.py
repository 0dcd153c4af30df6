"""Pairs of users and items, and lists for users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from fmkit.batch.asked.answers import Wishes
from fmkit.batch.asked.columns import Anything, Column, Fault, Ids, faulty
from fmkit.batch.asked.predictions import PREDICTION
from fmkit.batch.asked.rows import columns_of
from fmkit.errors import InputError
from fmkit.recommend.columns import find_columns

ROLES = ("user", "item")


class Pairs:
    """A `Recommender`: what it foretells of pairs, or lists of the best items of each user.

    Parameters
    ----------
    model : Recommender
        Fitted.
    schema : pyarrow.Schema
    wishes : Wishes
    """

    def __init__(self, model: Any, schema: pa.Schema, wishes: Wishes) -> None:
        wishes.check("this recommender", roles=ROLES, std=model.tells_std and wishes.top is None, top=True)
        self.model, self.wishes = model, wishes
        roles = ROLES if wishes.top is None else ("user",)
        names = {"user": model.columns_.user, "item": model.columns_.item}
        given = {role: name for role, name in names.items() if role in roles and name in schema.names}
        given |= {role: name for role, name in (wishes.columns or {}).items() if role in roles}
        self.names = find_columns(schema.names, roles, given, path="the batch")
        self.columns: dict[str, Column] = dict.fromkeys(self.names, Ids())
        self.context: list[str] = []
        wanted = list(model.columns_.context)
        if wanted and set(wanted) <= set(schema.names):
            self.context = wanted
            kinds = columns_of(model.context_encoder_)
            self.columns |= {name: kinds.get(name, Anything()) for name in wanted}
        if wishes.top is not None:
            if wishes.top < 1:
                raise InputError(f"top must be at least 1, got {wishes.top}")
            self.fields = [pa.field("items", pa.list_(model.items_.ids.ids.type)),
                           pa.field("scores", pa.list_(pa.float32()))]  # fmt: skip
        else:
            self.fields = [pa.field(PREDICTION, pa.float32())]
            self.fields += [pa.field(f"{PREDICTION}_std", pa.float32())] * wishes.std

    def answer(self, values: Mapping[str, Any], n: int) -> list[pa.Array]:
        """Ratings or scores; or lists, best first."""
        context = pa.table({name: values[name] for name in self.context}) if self.context else None
        if self.wishes.top is not None:
            return self._lists(values[self.names[0]], context, n)
        user, item = (values[name] for name in self.names)
        told = self.model.predict(user, item, context=context, return_std=self.wishes.std)
        return [pa.array(column) for column in (told if self.wishes.std else (told,))]

    def _lists(self, users: pa.Array, context: pa.Table | None, n: int) -> list[pa.Array]:
        """Of each row; a user may come twice, or be unknown, and a list may be empty."""
        if context is not None:
            rows, place = users, np.arange(n)
        else:
            encoded = users.dictionary_encode()
            rows, place = encoded.dictionary, np.asarray(encoded.indices)
        batches = list(self.model.recommend_batches(rows, self.wishes.top, context=context))
        ranks = np.concatenate([np.asarray(batch["rank"]) for batch in batches])
        counts = self._counts(batches, rows)
        assert counts.sum() == len(ranks)
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        offsets = pa.array(ends.astype(np.int32))
        arrays = []
        for name in ("item", "score"):
            column = pa.concat_arrays([batch[name] for batch in batches])
            arrays.append(pa.ListArray.from_arrays(offsets, column).take(pa.array(place)))
        return arrays

    def _counts(self, batches: list[pa.RecordBatch], rows: pa.Array) -> Any:
        """Items listed for each of the users asked."""
        listed = pa.concat_arrays([batch["user"] for batch in batches])
        if len(listed) == len(rows) * self.wishes.top:  # type: ignore[operator]
            return np.full(len(rows), self.wishes.top)
        ranks = np.concatenate([np.asarray(batch["rank"]) for batch in batches])
        starts = np.flatnonzero(ranks == 1)
        lengths = np.diff(np.append(starts, len(ranks)))
        counts, row, users = np.zeros(len(rows), np.int64), 0, rows.cast(pa.string()).to_pylist()
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            user = str(listed[start])
            while users[row] != user:  # nothing was left for these
                row += 1
            counts[row] = length
            row += 1
        return counts


class Codes:
    """An `FMRanker`: scores of pairs of codes.

    Parameters
    ----------
    model : FMRanker
        Fitted.
    schema : pyarrow.Schema
    wishes : Wishes
    """

    fields = (pa.field(PREDICTION, pa.float32()),)

    def __init__(self, model: Any, schema: pa.Schema, wishes: Wishes) -> None:
        wishes.check("an FMRanker", roles=("query", "item"))
        self.model, pairs = model, model.ranking_.pairs
        self.query = wishes.column("query", schema.names, ("user",))
        self.item = wishes.column("item", schema.names, ())
        self.columns: Mapping[str, Column] = {
            self.query: RowNumber(pairs.n_queries),
            self.item: RowNumber(pairs.n_items),
        }

    def answer(self, values: Mapping[str, Any], n: int) -> list[pa.Array]:
        """Scores."""
        return [pa.array(self.model.score(values[self.query], values[self.item]))]


class RowNumber:
    """Rows of a fit by number.

    Parameters
    ----------
    n : int
        Rows there were.
    """

    def __init__(self, n: int) -> None:
        self.n = n

    def check(self, kind: pa.DataType) -> None:
        """Whole numbers."""
        Ids().check(kind)

    def read(self, column: pa.Array) -> tuple[Any, list[Fault]]:
        """Numbers from 0 to n - 1."""
        ids, faults = Ids().read(column)
        if not pa.types.is_integer(ids.type):
            raise InputError(f"row numbers of the fit are needed, it holds {ids.type}")
        numbers = np.asarray(ids.fill_null(0))
        outside = faulty((numbers < 0) | (numbers >= self.n), f"the fit had rows 0 to {self.n - 1}")
        return numbers, faults + outside
