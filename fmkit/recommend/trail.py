"""The trail of a search: each finished trial, kept in a file so that a search that was cut off goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fmkit.errors import InputError
from fmkit.files import check_writable, written_beside
from fmkit.recommend.interactions import Interactions
from fmkit.recommend.tables import whole

Settings = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One fit and what it reached.

    Parameters
    ----------
    settings : dict
        By parameter.
    effort : float
        Share of the training effort, above 0 and up to 1.
    value : float
        Of the metric; NaN if the fit failed.
    seconds : float
        Of fit and evaluation.
    """

    settings: Settings
    effort: float
    value: float
    seconds: float


@dataclass
class Trail:
    """Finished trials, and the file that holds them.

    The file is JSON lines: what the search is of, then a line a trial. It is written beside and renamed after each
    trial, so that it is whole at any moment.

    Parameters
    ----------
    about : mapping of str to JSON values
        What a trial's value depends on beside its settings; a file about something else is refused.
    path : Path, or None
        None keeps trials in memory.
    """

    about: Mapping[str, Any]
    path: Path | None = None
    done: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None:
            return
        check_writable(self.path)
        if self.path.exists():
            self._read(self.path)

    def _read(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                held = json.loads(line)
                if number > 1:
                    self.done[_key(held["settings"], held["effort"])] = held
                elif not isinstance(held, dict):
                    raise InputError("no mapping")
                else:
                    self._check(held, path)
            except InputError:
                raise
            except (ValueError, KeyError, TypeError):
                raise InputError(
                    "this is no line of a search's state: delete the file, or name another", path=path, line=number
                ) from None

    def _check(self, held: Mapping[str, Any], path: Path) -> None:
        about = json.loads(_text(self.about))
        other = [name for name in about.keys() | held.keys() if about.get(name) != held.get(name)]
        if other:
            raise InputError(
                f"this is the state of another search, with other {', '.join(sorted(other))}: name another file, or "
                "search with the same data and settings",
                path=path,
            )

    def find(self, settings: Settings, effort: float) -> Trial | None:
        """The trial, if it is finished."""
        held = self.done.get(_key(settings, effort))
        if held is None:
            return None
        value = np.nan if held["value"] is None else float(held["value"])
        return Trial(settings, effort, value, float(held["seconds"]))

    def add(self, trial: Trial) -> None:
        """Keep a trial."""
        value = None if np.isnan(trial.value) else trial.value
        held = {"settings": trial.settings, "effort": trial.effort, "value": value, "seconds": trial.seconds}
        self.done[_key(trial.settings, trial.effort)] = held
        if self.path is not None:
            with written_beside(self.path) as part:
                part.write_text("\n".join(map(_text, [self.about, *self.done.values()])) + "\n", encoding="utf-8")


def fingerprint(interactions: Interactions, tables: Mapping[str, Any]) -> str:
    """The same for the same rows and the same tables of users and items."""
    digest = hashlib.blake2b(digest_size=16)
    codes = interactions.user_codes, interactions.item_codes
    for values in (*codes, interactions.ratings, interactions.weights, interactions.times):
        digest.update(b"none" if values is None else np.ascontiguousarray(values).tobytes())
    of_ids = [pa.table({"id": vocabulary.ids}) for vocabulary in (interactions.users, interactions.items)]
    context = [] if interactions.context is None else [interactions.context]
    for table in [*of_ids, *context, *(whole(tables[name]) for name in sorted(tables))]:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as writer:
            writer.write_table(table.replace_schema_metadata(None).combine_chunks())
        digest.update(memoryview(sink.getvalue()))
    return digest.hexdigest()


def _text(value: Any) -> str:
    """As JSON; what JSON has no form for as Python shows it."""
    return json.dumps(value, sort_keys=True, default=lambda one: one.item() if hasattr(one, "item") else repr(one))


def _key(settings: Settings, effort: float) -> str:
    return _text([settings, effort])
