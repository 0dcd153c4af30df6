"""Checkpoints: what a fit goes by after a sweep, in a file, so that a process that ended goes on bit for bit.

The file is laid out as model files are: safetensors with a JSON header, nothing of which is ever executed.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fmkit import __version__
from fmkit.design import Design
from fmkit.errors import InputError
from fmkit.files import check_writable, written_beside
from fmkit.machine import FactorizationMachine

if TYPE_CHECKING:
    from fmkit.solvers.sides import Sides

FORMAT = 1
KIND = "checkpoint"  # where a model file names its class, so that neither is taken for the other


class CheckpointFailed(UserWarning):
    """A checkpoint could not be written, the disk being full, say; the fit goes on, and the one before is kept."""


@dataclass
class State:
    """What something goes by: plain facts for JSON, and arrays."""

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class Resumable(Protocol):
    """A solver that can be left after a sweep and taken up by another process."""

    def state(self) -> State:
        """All that later sweeps go by; the arrays are the solver's own."""

    def resume(self, state: State) -> None:
        """Go on from a state of the same fit; a KeyError, TypeError or ValueError if it is of another."""


class Checkpoint:
    """The file of one fit: read when the fit begins, written every so often, removed when the fit has ended.

    Parameters
    ----------
    path : str or path
    sweeps : int, optional
        Write after so many sweeps each; None goes by the time.
    minutes : float
        Write after the first sweep that ends so long after the last time.

    Attributes
    ----------
    found : State or None
        What a file that was there holds; dropped once the fit went on from it.

    Raises
    ------
    InputError
        If there is a file that is no checkpoint, or a damaged one.
    OSError
        If the file cannot be read or written.
    """

    def __init__(self, path: str | PathLike[str], sweeps: int | None = None, minutes: float = 10.0) -> None:
        self.path, self.sweeps, self.minutes = Path(path), sweeps, minutes
        check_writable(self.path)
        self.identity: dict[str, Any] = {}
        self.found: State | None = None
        if self.path.exists():
            self.found = _read(self.path)
        self._written = time.monotonic()

    def continue_generator(self, rng: np.random.Generator) -> None:
        """Set a generator to where it stood when the fit began: in this process, or in the one that wrote the file."""
        if self.found:
            with self.reading():
                rng.bit_generator.state = self.found.facts["identity"]["generator"]
        self.identity["generator"] = rng.bit_generator.state

    def identify(self, parameters: dict[str, Any], data: str, start: str) -> None:
        """Tell the fit: its parameters as plain facts, and digests of its data and of the machine it starts from.

        Raises
        ------
        InputError
            If a file that was found belongs to another fit.
        """
        self.identity |= {"parameters": parameters, "data": data, "start": start}
        if not self.found:
            return
        with self.reading():
            theirs = dict(self.found.facts["identity"])
            of_theirs = dict(theirs["parameters"])
        other = [
            f"{name}={of_theirs.get(name)!r} there, {value!r} here"
            for name, value in json.loads(json.dumps(parameters)).items()
            if of_theirs.get(name) != value
        ]
        if theirs.get("data") != data:
            other.append("other data")
        elif theirs.get("start") != start and not other:
            other.append("another machine to start from")
        if other:
            raise InputError(
                f"the checkpoint is of another fit ({'; '.join(other)}): delete it, or name another file as checkpoint",
                path=self.path,
            )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what goes wrong with the content of the file into a sentence."""
        try:
            yield
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
            raise InputError(f"the checkpoint is damaged: {reason}; delete it to begin anew", path=self.path) from None

    def due(self, sweep: int) -> bool:
        """Whether it is time to write."""
        if self.sweeps is not None:
            return sweep % self.sweeps == 0
        return time.monotonic() - self._written >= 60 * self.minutes

    def write(self, state: State) -> None:
        """Write beside the file and rename, so that there is always a whole one.

        Warns
        -----
        CheckpointFailed
            If it cannot be written: hours of work are not thrown away for that.
        """
        facts = {"identity": self.identity, **state.facts}
        header = {"format": FORMAT, "fmkit": __version__, "class": KIND, "facts": facts}
        try:
            with written_beside(self.path) as part:
                save_file(state.arrays, part, {"fmkit": json.dumps(header)})
        except (OSError, SafetensorError) as error:
            warnings.warn(f"no checkpoint was written: {error}; the fit goes on", CheckpointFailed, stacklevel=2)
        self._written = time.monotonic()

    def remove(self) -> None:
        """The fit has ended: what it went by is of no more use."""
        self.path.unlink(missing_ok=True)


def _read(path: Path) -> State:
    if not path.is_file():
        raise InputError("this is no file, but a pipe or a device: a checkpoint is a file", path=path)
    with path.open("rb"):  # so that a forbidden file is told as Python tells it
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dict)
        header = json.loads(metadata["fmkit"])
        version, kind, facts = header["format"], header["class"], header["facts"]
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputError(
            "this is no checkpoint, or a damaged one: delete it, or name another file as checkpoint", path=path
        ) from None
    if kind != KIND:
        raise InputError(f"the file holds a {kind!r}, no checkpoint: name another file as checkpoint", path=path)
    if version != FORMAT or not isinstance(facts, dict):
        raise InputError(
            f"the checkpoint has format {version!r}, fmkit {__version__} reads format {FORMAT}: "
            "go on with the fmkit that wrote it, or delete it",
            path=path,
        )
    return State(facts, arrays)


def digest(*parts: Any) -> str:
    """A short name of designs, machines, arrays and numbers, the same for the same content: 1 GB a second."""
    total = blake2b(digest_size=16)

    def take(part: Any) -> None:
        if isinstance(part, Design):
            take_all(np.array(part.shape), part.groups)
            for field in part.fields:
                take_all(field.columns, field.codes, field.rows, field.values)
            for block in part.blocks:
                take_all(block.table, block.codes, block.columns)
        elif isinstance(part, FactorizationMachine):
            take_all(part.bias, part.linear, part.factors)
        elif isinstance(part, np.ndarray):
            total.update(f"{part.dtype.str}{part.shape}".encode())
            total.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        else:
            total.update(repr(part).encode())

    def take_all(*parts: Any) -> None:
        for part in parts:
            take(part)

    take_all(*parts)
    return total.hexdigest()


def live_arrays(sides: Sides) -> dict[str, NDArray[Any]]:
    """What sweeps over sides change in place and go on from.

    Predictions and sums of factors, kept a row or a block row, follow each step in float32: made anew from the machine
    they would differ in the last bits, so they are kept. Rows are then the bulk of a checkpoint, 4 (k + 1) bytes each.
    """
    arrays = {"linear": sides.machine.linear, "factors": sides.machine.factors}
    if not sides.pair:
        arrays["f"], arrays["Q"] = sides.rows()
    for s, side in enumerate(sides.sides):
        if side.table is not None:
            arrays |= {f"q.{s}": side.table.q, f"c.{s}": side.table.c}
    return arrays


def take_rows(sides: Sides, arrays: dict[str, NDArray[Any]]) -> None:
    """Have the sides go on from the rows of `live_arrays` that were filled: they may keep their own elsewhere."""
    if not sides.pair:
        sides.set_rows(arrays["f"], arrays["Q"])


def fill(live: dict[str, NDArray[Any]], saved: dict[str, NDArray[Any]]) -> None:
    """Set arrays in place to what was saved of them; a KeyError or ValueError if it does not fit."""
    for name, array in live.items():
        if saved[name].dtype != array.dtype or saved[name].shape != array.shape:
            raise ValueError(f"its {name} is of another type or shape")
    for name, array in live.items():
        array[...] = saved[name]


def pack_machines(machines: list[FactorizationMachine], name: str) -> dict[str, NDArray[Any]]:
    """Machines of one shape as arrays; none if there is none."""
    if not machines:
        return {}
    return {
        f"{name}.bias": np.array([m.bias for m in machines], np.float64),
        f"{name}.linear": np.stack([m.linear for m in machines]),
        f"{name}.factors": np.stack([m.factors for m in machines]),
    }


def unpack_machines(arrays: dict[str, NDArray[Any]], name: str) -> list[FactorizationMachine]:
    """The reverse of `pack_machines`."""
    if f"{name}.bias" not in arrays:
        return []
    parts = (arrays[f"{name}.{part}"] for part in ("bias", "linear", "factors"))
    return [FactorizationMachine(float(b), w.copy(), V.copy()) for b, w, V in zip(*parts, strict=True)]
