"""Rows to train on, from files of any kind: tables with a target column, and the text formats of libFM and libffm."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import _safe_indexing

from fmkit.errors import InputError

ENTRY = re.compile(rb"\d+:(\d+:)?[-+.\dnN]")  # index:value, or field:index:value


@dataclass(frozen=True)
class TrainingRows:
    """Rows and their targets.

    Parameters
    ----------
    kind : {"table", "libfm", "libffm"}
    X : pyarrow.Table, or csr_array of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,)
    field_of : ndarray of shape (n_features,), or None
        The field of each column, of libffm's format.
    """

    kind: str
    X: Any
    y: NDArray[Any]
    field_of: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, chosen: NDArray[np.intp]) -> TrainingRows:
        """Some of them."""
        return TrainingRows(self.kind, _safe_indexing(self.X, chosen), self.y[chosen], self.field_of)

    @property
    def of_classes(self) -> bool:
        """Whether targets are labels: texts, truth values, or two different numbers."""
        return self.y.dtype.kind not in "iuf" or len(np.unique(self.y)) == 2


def kind_of(path: str | Path) -> str:
    """What a file holds, by its first line: "libfm" (`label index:value ...`), "libffm", or "table".

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with Path(path).open("rb"):  # so that a missing or forbidden file is told as Python tells it
        pass
    with pa.input_stream(path, compression="detect") as stream:
        first = next((line for line in stream.read(1 << 16).splitlines() if line.split(b"#")[0].strip()), b"")
    words = first.split(b"#")[0].split()
    entries = [word for word in words[1:] if not word.startswith(b"qid:")]
    if not entries or first.startswith(b"PAR1"):
        return "table"
    found = [ENTRY.match(word) for word in entries]
    if not all(found):
        return "table"
    return "libffm" if found[0] and found[0][1] else "libfm"


def read_training_rows(paths: Sequence[Path], target: str | None, like: TrainingRows | None = None) -> TrainingRows:
    """The rows of files of one kind, one after the other.

    Parameters
    ----------
    paths : sequence of Path
        CSV, TSV or Parquet tables with the same columns, or files of libFM, svmlight or libffm; compressed or not.
    target : str or None
        The column of targets, of tables.
    like : TrainingRows, optional
        What a model was fitted to: indices beyond its columns are told.

    Raises
    ------
    InputError
        If files are of different kinds, a table has no such column or a row no target.
    OSError
        If one cannot be read.
    """
    kinds = {path: kind_of(path) for path in paths}
    kind = kinds[paths[0]]
    for path, other in kinds.items():
        if other != kind or (like is not None and other != like.kind):
            wanted = kind if like is None else like.kind
            raise InputError(f"this is of the kind {other}, the training rows are of the kind {wanted}", path=path)
    if kind == "table":
        return _of_tables(paths, target)
    if target is not None:
        raise InputError("the target of a row is what its line begins with: leave the target column out", path=paths[0])
    return _of_texts(paths, kind, None if like is None else like.X.shape[1])


def _of_tables(paths: Sequence[Path], target: str | None) -> TrainingRows:
    from fmkit.recommend.tables import read_whole

    tables: list[pa.Table] = []
    for path in paths:
        table = read_whole(path)
        if target is None:
            raise InputError(f"name the column of targets: {', '.join(table.column_names)}", path=path)
        if target not in table.column_names:
            raise InputError(f"there is no column '{target}': {', '.join(table.column_names)}", path=path)
        if missing := table.column(target).null_count:
            raise InputError(f"{missing:,} rows have no target in column '{target}': leave them out", path=path)
        if tables and set(table.column_names) != set(tables[0].column_names):
            raise InputError(f"its columns are not those of {paths[0]}: {', '.join(table.column_names)}", path=path)
        tables.append(table)
    try:
        table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except pa.ArrowException as error:
        raise InputError(f"the tables do not fit together: {error}") from None
    if not len(table):
        raise InputError("there are no rows to learn from", path=paths[0])
    y = table.column(target).to_numpy()
    if len(table.column_names) == 1:
        raise InputError(f"there is no column but '{target}' to learn from", path=paths[0])
    return TrainingRows("table", table.drop_columns([target]), y.astype(str) if y.dtype.kind == "O" else y)


def _of_texts(paths: Sequence[Path], kind: str, n_features: int | None) -> TrainingRows:
    from fmkit.datasets import read_libffm, read_libfm

    read: Any = read_libffm if kind == "libffm" else read_libfm
    parts = [read(path, n_features=n_features) for path in paths]
    width = max(part[0].shape[1] for part in parts)
    for part in parts:
        part[0].resize(part[0].shape[0], width)
    X, y = sparse.vstack([part[0] for part in parts], format="csr"), np.concatenate([part[1] for part in parts])
    if not len(y):
        raise InputError("there are no rows to learn from", path=paths[0])
    field_of = None
    if kind == "libffm":
        field_of = np.full(width, -1, np.int32)  # of columns that no row has
        for path, (_, _, of_part) in zip(paths, parts, strict=True):
            known = field_of[: len(of_part)]
            if ((known != of_part) & (known >= 0) & (of_part >= 0)).any():
                raise InputError(f"a column is of another field than in {paths[0]}", path=path)
            np.maximum(known, of_part, out=known)
    return TrainingRows(kind, sparse.csr_array(X), y, field_of)
