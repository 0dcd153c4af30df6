"""The record of a run: what it was asked, which parts are finished, so that it goes on where it was cut off.

While a run lasts, a folder beside its output (`_fmkit` in a folder, `NAME.fmkit` beside a file) holds `plan.json`, a
lock, and for each finished part its entry and its rejects. An entry is written last: a part without one is made again.
At the end, all of it becomes the manifest.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyarrow import fs

from fmkit.batch.places import Place
from fmkit.errors import InputError
from fmkit.files import check_writable

LATER = "--resume goes on, --overwrite begins anew"


@dataclass
class Run:
    """A run that is under way.

    Parameters
    ----------
    out : Place
        The folder or file of the output.
    is_folder : bool
    plan : dict
        What was asked; it is the same when the run goes on.
    entries : list of dict
        Finished parts, in order.
    is_finished : bool
        Whether there is nothing left to do.
    is_resumed : bool
        Whether it goes on.
    """

    out: Place
    is_folder: bool
    plan: dict[str, Any]
    entries: list[dict[str, Any]] = field(default_factory=list)
    is_finished: bool = False
    is_resumed: bool = False

    @property
    def work(self) -> Place:
        """The folder of the record."""
        return work_of(self.out, self.is_folder)

    @property
    def manifest(self) -> Place:
        """What is left of it in the end."""
        return manifest_of(self.out, self.is_folder)

    def rejects_of(self, number: int) -> Place:
        """Rejects of a part."""
        return self.work / f"{number:08}.parquet"

    def add(self, entry: dict[str, Any]) -> None:
        """A part is finished: its output and its rejects are on the disk."""
        (self.work / f"{len(self.entries):08}.json").write_text(json.dumps(entry))
        self.entries.append(entry)

    def end(self, manifest: dict[str, Any]) -> None:
        """All parts are finished."""
        self.manifest.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        self.work.remove()


@contextlib.contextmanager
def begun(out: Place, is_folder: bool, plan: dict[str, Any], *, resume: bool, overwrite: bool) -> Iterator[Run]:
    """A run into a place that nobody else writes to, new or gone on with.

    Raises
    ------
    InputError
        If another run is at work there, there is something that is not to be overwritten, or the run to go on with was
        asked something else.
    """
    run = Run(out, is_folder, plan)
    _check_place(run, resume, overwrite)
    is_new = is_folder and not out.is_folder
    run.work.make_folder()
    with _locked(run.work):
        if overwrite and not resume:
            _clear(run)
        if resume and run.manifest.is_file:
            manifest = _record(run.manifest)
            _check_same(manifest["plan"], plan, run)
            _check_there(manifest, run)
            run.is_finished = True
        elif resume and (run.work / "plan.json").is_file:
            before = _record(run.work / "plan.json")
            _check_same(before, plan, run)
            run.entries, plan["cuts"], run.is_resumed = _entries(run.work), before["cuts"], True
        if not run.is_finished:
            (run.work / "plan.json").write_text(json.dumps(plan))
        try:
            yield run
        except BaseException:
            if not (run.is_folder and run.entries):
                (out if is_new else run.work).remove()  # there is nothing to go on with
            raise
    if run.is_finished:
        run.work.remove()


def work_of(out: Place, is_folder: bool) -> Place:
    """Where the record of a run is kept while it lasts."""
    return out / "_fmkit" if is_folder else out.beside(f"{out.base}.fmkit")


def manifest_of(out: Place, is_folder: bool) -> Place:
    """Where the manifest of a run is."""
    return out / "_manifest.json" if is_folder else out.beside(f"{out.base}.manifest.json")


def _check_place(run: Run, resume: bool, overwrite: bool) -> None:
    if not run.is_folder and run.out.is_local:
        check_writable(run.out.path)
    if resume or overwrite:
        if not run.is_folder or (run.work / "plan.json").is_file or run.manifest.is_file:
            return
    elif run.manifest.is_file:
        raise InputError("a run has finished here: --overwrite replaces it", path=run.out.name)
    elif (run.work / "plan.json").is_file:
        with _locked(run.work):
            raise InputError(f"a run was cut off here: {LATER}", path=run.out.name)
    if run.is_folder and run.out.is_folder:
        foreign = next((below for below, _ in run.out.files_below() if not below.startswith("_fmkit/")), None)
        if foreign is not None:
            raise InputError(
                f"the folder holds {foreign}, of no run: choose an empty one, or a new one", path=run.out.name
            )
    elif not run.is_folder and run.out.is_file and not (resume or overwrite):
        raise InputError("the file exists: --overwrite replaces it", path=run.out.name)


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any], run: Run) -> None:
    """Raise if a run would go on with something else than it began with.

    How batches are cut, which follows from memory and threads, is no matter: a run goes on as it began.
    """
    for name in now.keys() - {"cuts"}:
        if json.loads(json.dumps(now[name])) != before.get(name):
            raise InputError(
                f"the run that was begun here had other {name}: --overwrite begins anew", path=run.out.name
            )


def _check_there(manifest: Mapping[str, Any], run: Run) -> None:
    """Raise if what a finished run wrote is not there any more."""
    for output in manifest["outputs"]:
        place = run.out / output["path"] if run.is_folder else run.out
        if place.info().size != output["size"]:
            told = f"{output['path']}, which a finished run wrote, is missing or another file"
            raise InputError(f"{told}: fmkit verify tells more, --overwrite begins anew", path=run.out.name)


def _record(place: Place) -> dict[str, Any]:
    """What a run has written of itself."""
    try:
        told = json.loads(place.read_text())
        if not isinstance(told, dict) or not told.keys() & {"plan", "cuts", "output"}:
            raise ValueError("it is none")
    except ValueError as error:
        raise InputError(
            f"the record of a run is damaged ({error}): --overwrite begins anew", path=place.name
        ) from None
    return told


def _entries(work: Place) -> list[dict[str, Any]]:
    """Finished parts, as far as none is missing."""
    found: list[dict[str, Any]] = []
    while (place := work / f"{len(found):08}.json").is_file:
        found.append(_record(place))
    return found


def _clear(run: Run) -> None:
    """Remove what an earlier run left, as far as its record can be read."""
    written: list[str] = []
    with contextlib.suppress(InputError):
        written += [entry["output"] for entry in _entries(run.work)]
    if run.manifest.is_file:
        with contextlib.suppress(InputError):
            written += [output["path"] for output in _record(run.manifest)["outputs"]]
        run.manifest.remove()
    for below in {*written} if run.is_folder else ():
        place = run.out / below
        if ".." not in below.split("/") and place.is_file:
            place.remove()
    for info in run.work.children():
        if info.base_name != "lock" and info.type == fs.FileType.File:
            (run.work / info.base_name).remove()


@contextlib.contextmanager
def _locked(work: Place) -> Iterator[None]:
    """Nobody else is at work there; the system itself takes the lock off when a process ends, however it ends.

    File systems elsewhere know no locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    if not work.is_local:
        yield
        return
    with open(work.path + "/lock", "w") as file:  # noqa: PTH123 (it is a string of Arrow's)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "another run is writing there: wait for it, or choose another name", path=work.name
            ) from None
        yield
