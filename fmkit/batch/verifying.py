"""A manifest held against the files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmkit.batch.formats.writing import Form
from fmkit.batch.job import digest_of
from fmkit.batch.places import Place
from fmkit.batch.run import manifest_of, work_of
from fmkit.errors import InputError


@dataclass
class Report:
    """What came of it.

    Parameters
    ----------
    summary : str
        What the run was, in a sentence.
    faults : list of str
        Files of the output that are missing, changed, or none of the run's.
    changed : list of str
        Inputs, or the model, that are not any more what they were.
    """

    summary: str
    faults: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def verify(out: str | Path, *, quick: bool = False) -> Report:
    """Hold what `score_files` wrote against its manifest.

    Parameters
    ----------
    out : path
        The folder or file of the output.
    quick : bool, default=False
        Compare sizes, not digests.

    Raises
    ------
    InputError
        If no run has finished there, or its manifest is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pyarrow as pa
    >>> from fmkit import FMRegressor, save
    >>> from fmkit.batch import score_files, verify
    >>> folder = Path(tempfile.mkdtemp())
    >>> save(FMRegressor(random_state=0).fit(pa.table({"x": [1.0, 2, 3]}), [1, 2, 3]), folder / "model.fmkit")
    >>> _ = (folder / "new.csv").write_text("x\\n1\\n2\\n")
    >>> _ = score_files(folder / "model.fmkit", folder / "new.csv", folder / "scores.csv")
    >>> verify(folder / "scores.csv").summary
    'all is as it was written: 2 rows in, 2 out, 0 rejected; 1 file'
    >>> (folder / "scores.csv").unlink()
    >>> verify(folder / "scores.csv").faults
    ['scores.csv: the file is missing']
    """
    place, is_folder = Place.of(out), Form.of(str(out)) is None
    manifest = manifest_of(place, is_folder)
    if not manifest.is_file:
        if (work_of(place, is_folder) / "plan.json").is_file:
            raise InputError("the run is not finished: fmkit score --resume goes on with it", path=str(out))
        raise InputError(f"no run has finished here: {manifest.base} is missing", path=str(out))
    try:
        told: Any = json.loads(manifest.read_text())
        rows, outputs = told["rows"], told["outputs"]
        sentence = f"{rows['in']:,} rows in, {rows['out']:,} out, {rows['rejected']:,} rejected"
        files = f"{len(outputs):,} file{'s' * (len(outputs) != 1)}"
        report = Report(f"all is as it was written: {sentence}; {files}")
        for output in outputs:
            below = str(output["path"])
            report.faults += _differences(place / below if is_folder else place, below, output, quick)
        if is_folder:
            report.faults += [f"{below}: the run wrote no such file" for below in _foreign(place, outputs)]
        if rows["in"] != rows["out"] + rows["rejected"] or rows["out"] != sum(o["rows"] for o in outputs):
            report.faults.append("the counts of the manifest do not add up")
        if told["rejects"]:
            name = told["rejects"]["path"]
            report.faults += _differences(Place.of(name), name, told["rejects"], quick)
        for source in [*told["inputs"], told["model"]]:
            source_place = Place.of(source["path"])
            if source_place.is_file:
                report.changed += _differences(source_place, source["path"], source, quick)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the manifest is damaged ({error})", path=manifest.name) from None
    return report


def _differences(place: Place, name: str, told: dict[str, Any], quick: bool) -> Iterator[str]:
    info = place.info()
    if not info.is_file:
        yield f"{name}: the file is missing"
    elif "size" in told and info.size != told["size"]:
        yield f"{name}: the file was written with {told['size']:,} bytes, it has {info.size:,}"
    elif not quick and digest_of(place) != told["digest"]:
        yield f"{name}: the file is not what was written, its digest is another"


def _foreign(place: Place, outputs: list[dict[str, Any]]) -> list[str]:
    """Files that readers of the folder would take for its own."""
    known = {output["path"] for output in outputs}
    return [
        below
        for below, _ in place.files_below()
        if below not in known and not any(step.startswith(("_", ".")) for step in below.split("/"))
    ]
