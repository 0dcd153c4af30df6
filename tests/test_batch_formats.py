"""Columns of every type in every format: written whole, or refused before anything is."""

import datetime
import decimal
import io
import json
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fmkit.batch.formats.readers import open_reader
from fmkit.batch.formats.reading import Limits
from fmkit.batch.formats.writing import FORMATS, Form
from fmkit.batch.inputs import find_inputs
from fmkit.errors import InputError

DAY = datetime.datetime(2026, 11, 28, 2, 30)
COLUMNS = {
    "int": pa.array([1, None]),
    "text": pa.array(['a,"b"\n', None]),
    "view": pa.array(["a", None], pa.string_view()),
    "dictionary": pa.array(["x", None]).dictionary_encode(),
    "decimal": pa.array([decimal.Decimal("1.20"), None]),
    "day": pa.array([DAY.date(), None]),
    "zone": pa.array([DAY, None], pa.timestamp("us", "Europe/Rome")),
    "nowhere": pa.array([0, None], pa.timestamp("us", "Foo/Bar")),
    "time": pa.array([DAY.time(), None]),
    "duration": pa.array([datetime.timedelta(1), None]),
    "bytes": pa.array([b"\xff", None]),
    "bytes view": pa.array([b"\xff", None], pa.binary_view()),
    "fixed": pa.array([b"\xff\xff", None], pa.binary(2)),
    "lists": pa.array([[1.5, float("nan"), None], None]),
    "struct": pa.array([{"a": [float("inf")], "b": "x"}, None]),
    "null": pa.nulls(2),
    "half": pa.array(np.array([1.5, 2.5], np.float16)),
    "uuid": pa.array([uuid.UUID(int=1).bytes, None], pa.binary(16)).cast(pa.uuid()),
    "interval": pa.array([pa.MonthDayNano([1, 2, 3]), None]),
    "runs": pa.RunEndEncodedArray.from_arrays([2], pa.array(["x"])),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_written_or_refused_with_a_sentence(name, form):
    batch = pa.record_batch({name: COLUMNS[name]})
    way, sink = Form(form), io.BytesIO()
    told = ""
    try:
        way.check(batch.schema)
    except InputError as error:
        told = str(error)
    if told:
        assert f"column '{name}' holds" in told
        return
    encode = way.encoder()
    writer = way.writer(sink, batch.schema)
    writer.write(encode(batch, True), False)
    writer.close()
    content = sink.getvalue()
    if form == "parquet":
        assert pq.read_table(io.BytesIO(content))[name].null_count == COLUMNS[name].null_count
    elif form == "ndjson":
        rows = [json.loads(line, parse_constant=lambda sign: pytest.fail(sign)) for line in content.splitlines()]
        assert len(rows) == 2
    else:
        assert content


def test_what_every_format_can_hold_is_not_refused():
    plain = pa.schema([(name, COLUMNS[name].type) for name in ("int", "text", "dictionary", "decimal", "day", "zone")])
    for form in FORMATS:
        Form(form).check(plain)


def test_dictionaries_that_differ_from_batch_to_batch_are_written_to_arrow():
    batches = [pa.record_batch({"c": pa.array([text, None]).dictionary_encode()}) for text in "ab"]
    sink = io.BytesIO()
    writer = Form("arrow").writer(sink, batches[0].schema)
    for batch in batches:
        writer.write(batch, False)
    writer.close()
    assert pa.ipc.open_file(sink.getvalue()).read_all()["c"].to_pylist() == ["a", None, "b", None]


def test_a_page_that_is_not_what_its_checksum_says_is_told(tmp_path):
    path = tmp_path / "in.parquet"
    table = pa.table({"c": np.random.default_rng(0).integers(0, 1 << 60, 5000)})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    reader = open_reader(find_inputs([str(path)])[0], Limits(1 << 24, 1 << 16, 1 << 22, 1 << 27))
    with pytest.raises(InputError, match=r"in\.parquet: the file is damaged"):
        [piece.load() for part in reader.parts(["c"], {}, 0) for piece in part.pieces]
