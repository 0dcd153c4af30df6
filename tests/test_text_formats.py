"""Text files of libFM, svmlight and libffm: what is written is read, and what is wrong is told with its line."""

import gzip
import io
import re
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from fmkit import FMClassifier
from fmkit.datasets import entries, iter_libffm, iter_libfm, lines, read_libffm, read_libfm, write_libffm, write_libfm
from fmkit.datasets.faults import fault_of_line
from fmkit.datasets.rows import Bounds, read_rows
from fmkit.errors import InputError

PAGE = Path(__file__).parent.parent / "docs" / "text_formats.md"
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
SIMPLE = b"1 0:1 2:0.5\n-1 1:2\n"


@st.composite
def problems(draw):
    """A matrix with any structure, stored zeros among it, and labels."""
    n_rows, n_columns = draw(st.integers(0, 8)), draw(st.integers(1, 12))
    rows = [sorted(draw(st.sets(st.integers(0, n_columns - 1)))) for _ in range(n_rows)]
    indices = np.array([column for row in rows for column in row], np.int32)
    indptr = np.cumsum([0, *map(len, rows)])
    values = draw(arrays(np.float32, len(indices), elements=FLOATS))
    X = sparse.csr_array((values, indices, indptr), shape=(n_rows, n_columns))
    return X, draw(arrays(np.float32, n_rows, elements=FLOATS))


def bits(numbers):
    """So that -0 is not 0."""
    assert numbers.dtype == np.float32
    return numbers.view(np.uint32).tolist()


def same(a, b):
    """Whether two matrices hold the same entries, stored zeros and the signs of zeros included."""
    stored = a.shape == b.shape and a.indptr.tolist() == b.indptr.tolist() and a.indices.tolist() == b.indices.tolist()
    return stored and bits(a.data) == bits(b.data)


def read(text, **kwargs):
    return read_libfm(io.BytesIO(text), **kwargs)


@given(problems(), st.booleans())
def test_what_is_written_is_read(tmp_path_factory, problem, zero_based):
    X, y = problem
    path = tmp_path_factory.mktemp("written") / "rows.txt"
    write_libfm(path, X, y, zero_based=zero_based)
    X_read, y_read = read_libfm(path, n_features=X.shape[1], zero_based=zero_based)
    assert same(X_read, X)
    assert bits(y_read) == bits(y)
    assert X_read.has_canonical_format


@given(problems(), st.data())
def test_fields_that_are_written_are_read(tmp_path_factory, problem, data):
    X, y = problem
    field_of = data.draw(arrays(np.int32, X.shape[1], elements=st.integers(0, 2**31 - 2)))
    path = tmp_path_factory.mktemp("written") / "rows.ffm"
    write_libffm(path, X, y, field_of)
    X_read, y_read, field_read = read_libffm(path, n_features=X.shape[1])
    assert same(X_read, X)
    assert bits(y_read) == bits(y)
    used = np.unique(X.indices)
    assert field_read[used].tolist() == field_of[used].tolist()
    assert (np.delete(field_read, used) == -1).all()
    write_libffm(path, X_read, y_read, field_read)  # -1 of what does not occur is no hindrance


@given(arrays(np.float32, 50, elements=FLOATS))
def test_float32_comes_back_however_it_is_spelt(values):
    for spelling in (str, repr, "{:.9g}".format, "{:.17e}".format, "{:+.20E}".format, "{:f}".format):
        text = "".join(f"0 0:{spelling(float(value))}\n" for value in values)
        spelt = np.array([spelling(float(value)) for value in values], np.float64).astype(np.float32)
        assert bits(read(text.encode())[0].data) == bits(spelt)


@given(st.from_regex(rb"[+-]?([0-9]{1,25}(\.[0-9]{0,25})?|\.[0-9]{1,25})([eE][+-]?[0-9]{1,2})?", fullmatch=True))
@example(b"16777217")  # halfway between two floats
@example(b"16777217.0000000000000000")
@example(b"16777217.00000000000000000000001")
@example(b"16777217.0000001")
@example(b"3.4028235677973366e38")  # halfway to infinity
@example(b"3.40282356779733661637539395458e38")
@example(b"7.0064923216240853546186479164495e-46")  # halfway to the smallest
@example(b"7.0064923216240862e-46")
@example(b"0." + b"0" * 100 + b"1e101")
@example(b"1" + b"0" * 100 + b"e-100")
@example(b"0e999999999999999999999")
@example(b"1e-999999999999999999999")
def test_numbers_are_those_of_python(text):
    with np.errstate(over="ignore"):
        expected = np.float32(float(text))
    if np.isinf(expected):
        with pytest.raises(InputError, match="not finite in float32"):
            read(b"0 0:" + text)
    else:
        X, y = read(text + b" 0:" + text)
        assert bits(X.data) == bits(y) == bits(np.array([expected]))


@pytest.mark.parametrize("zero_based", [True, False, "auto"])
@pytest.mark.parametrize("dense", [False, True])
def test_scikit_learns_files_are_read_as_scikit_learn_does(tmp_path, zero_based, dense):
    random = np.random.default_rng(0)
    X = sparse.random_array((500, 40), density=0.2, rng=random, dtype=np.float64, format="csr")
    X.data[:] = random.standard_cauchy(X.nnz) ** 3
    y = random.standard_normal(500)
    X = X.toarray() if dense else X
    path = tmp_path / "rows.svm"
    dump_svmlight_file(
        X, y, str(path), zero_based=zero_based is True, comment="of no\nmeaning", query_id=np.arange(500)
    )
    expected, labels = load_svmlight_file(str(path), n_features=40, dtype=np.float32, zero_based=zero_based)
    X_read, y_read = read_libfm(path, n_features=40, zero_based=zero_based)
    assert same(X_read, sparse.csr_array(expected))
    assert bits(y_read) == bits(labels.astype(np.float32))


@pytest.mark.parametrize("zero_based", [True, False])
def test_scikit_learn_reads_what_is_written(tmp_path, zero_based):
    X = sparse.random_array((300, 40), density=0.2, rng=np.random.default_rng(0), dtype=np.float32, format="csr")
    y = np.arange(300, dtype=np.float32) / 7
    write_libfm(tmp_path / "rows.svm", X, y, zero_based=zero_based)
    X_read, y_read = load_svmlight_file(
        str(tmp_path / "rows.svm"), n_features=40, dtype=np.float32, zero_based=zero_based
    )
    assert same(sparse.csr_array(X_read), X)
    assert bits(y_read.astype(np.float32)) == bits(y)


def test_indices_stand_as_they_are_unless_told():
    text = b"1 1:1 3:1\n"
    assert read(text)[0].indices.tolist() == [1, 3]
    assert read(text, zero_based=False)[0].indices.tolist() == [0, 2]
    assert read(text, zero_based="auto")[0].indices.tolist() == [0, 2]
    assert read(b"0 0:1\n" + text, zero_based="auto")[0].indices.tolist() == [0, 1, 3]
    assert read(text, zero_based="auto", n_features=3)[0].shape == (1, 3)


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf1 0:1 2:0.5\n-1 1:2\n",  # as Windows' editors begin
        b"1 0:1 2:0.5\r\n-1 1:2\r\n",
        b"1 0:1 2:0.5\n-1 1:2",  # no end of the last line
        b"# libFM\n\n1\t 0:1   2:.5 # two entries: 0 and 2\n \t\r\n  -1.0e0 1:+2.\t\n#",
        b"+1 qid:7 0:1 2:5e-1#none\n-1 qid:8 1:0002\n",
        b"1 2:0.5 0:1\n-1 1:2\n",  # in any order
        b"1 2:.25 0:1 2:.25\n-1 1:2\n",  # twice: added up
    ],
)
def test_the_same_rows_in_other_dress(text):
    X, y = read(text)
    assert same(X, read(SIMPLE)[0])
    assert y.tolist() == [1, -1]


def test_no_rows_and_rows_without_entries(tmp_path):
    for text in (b"", b"\n\n", b"# nothing"):
        X, y = read(text)
        assert (X.shape, y.shape) == ((0, 0), (0,))
        assert list(iter_libfm(io.BytesIO(text))) == []
        assert read(text, n_features=5)[0].shape == (0, 5)
    X, y = read(b"1\n2 # but a label\n")
    assert (X.shape, y.tolist()) == ((2, 0), [1, 2])
    X, y, field_of = read_libffm(io.BytesIO(b""))
    assert (X.shape, y.shape, field_of.shape) == ((0, 0), (0,), (0,))


def test_compressed_and_open_files(tmp_path):
    X, y = read(SIMPLE)
    write_libfm(tmp_path / "rows.gz", X, y)
    assert gzip.decompress((tmp_path / "rows.gz").read_bytes()) == SIMPLE
    (tmp_path / "rows").write_bytes(gzip.compress(SIMPLE[:12]) + gzip.compress(SIMPLE[12:]))  # two, under another name
    for path in (tmp_path / "rows.gz", str(tmp_path / "rows")):
        assert same(read_libfm(path)[0], X)
    with (tmp_path / "rows").open("rb") as file:
        assert same(read_libfm(file)[0], X)
        assert not file.closed
    after = io.BytesIO(b"a header\n" + SIMPLE)
    after.readline()
    assert same(read_libfm(after)[0], X)


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 24])
@pytest.mark.parametrize("chunk_rows", [1, 3, 64, 1000])
def test_chunks_are_the_whole_in_pieces(monkeypatch, tmp_path, block, chunk_rows):
    X = sparse.random_array((200, 30), density=0.2, rng=np.random.default_rng(0), dtype=np.float32, format="csr")
    y = np.arange(200, dtype=np.float32)
    field_of = np.arange(30) // 10
    write_libfm(tmp_path / "rows", X, y)
    write_libffm(tmp_path / "rows.ffm", X, y, field_of)
    monkeypatch.setattr(lines, "BLOCK", block)
    chunks = list(iter_libfm(tmp_path / "rows", chunk_rows=chunk_rows, n_features=30))
    with_fields = list(iter_libffm(tmp_path / "rows.ffm", chunk_rows=chunk_rows, n_features=30))
    for parts in (chunks, with_fields):
        assert [len(part[1]) for part in parts] == [min(chunk_rows, 200 - start) for start in range(0, 200, chunk_rows)]
        assert same(sparse.vstack([part[0] for part in parts], format="csr"), X)
        assert np.concatenate([part[1] for part in parts]).tolist() == y.tolist()
    assert with_fields[-1][2].tolist() == field_of.tolist()
    assert same(read_libfm(tmp_path / "rows")[0], X)
    widths = [part.shape[1] for part, _ in iter_libfm(tmp_path / "rows", chunk_rows=chunk_rows)]
    assert widths == sorted(widths)
    assert widths[-1] == 30


def test_rows_before_a_fault_are_given(monkeypatch):
    monkeypatch.setattr(lines, "BLOCK", 8)
    chunks = iter_libfm(io.BytesIO(b"1 0:1\n0 0:1\n1 1:1\nno 1:1\n"), chunk_rows=2)
    assert next(chunks)[1].tolist() == [1, 0]
    with pytest.raises(InputError, match="line 4: the label 'no' is no number"):
        next(chunks)


NO_INDEX = "the index must be a whole number from 0 to 2147483646"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"1 0:1 5;1", "entry 2, '5;1': index:value is needed"),
        (b"1 0:1 7", "entry 2, '7': index:value is needed"),
        (b"1 0:1:1", "entry 1, '0:1:1': index:value is needed"),
        (b"1 a:1", f"entry 1, 'a:1': {NO_INDEX}"),
        (b"1 1.5:1", f"entry 1, '1.5:1': {NO_INDEX}"),
        (b"1 -3:1", f"entry 1, '-3:1': {NO_INDEX}"),
        (b"1 :1", f"entry 1, ':1': {NO_INDEX}"),
        (b"1 2147483647:1", f"entry 1, '2147483647:1': {NO_INDEX}"),
        (b"1 18446744073709551616:1", f"entry 1, '18446744073709551616:1': {NO_INDEX}"),
        (b"1 " + b"9" * 5000 + b":1", f"entry 1, '{'9' * 40}...': {NO_INDEX}"),
        (b"1 0: 1", "entry 1, '0:': the value is missing"),
        (b"1 0:x", "entry 1, '0:x': the value 'x' is no number"),
        (b"1 0:1x", "entry 1, '0:1x': the value '1x' is no number"),
        (b"1 0:1e", "entry 1, '0:1e': the value '1e' is no number"),
        (b"1 0:-", "entry 1, '0:-': the value '-' is no number"),
        (b"1 0:.", "entry 1, '0:.': the value '.' is no number"),
        (b"1 0:1,5", "entry 1, '0:1,5': the value '1,5' is no number"),
        (b"1 0:1_0", "entry 1, '0:1_0': the value '1_0' is no number"),
        (b"1 0:0x1p3", "entry 1, '0:0x1p3': the value '0x1p3' is no number"),
        (b"1 0:1 1:nan", "entry 2, '1:nan': the value 'nan' is not finite in float32"),
        (b"1 0:-inf", "entry 1, '0:-inf': the value '-inf' is not finite in float32"),
        (b"1 0:1e39", "entry 1, '0:1e39': the value '1e39' is not finite in float32"),
        (b"1 0:1e999999", "entry 1, '0:1e999999': the value '1e999999' is not finite in float32"),
        (b"0:1 1:1", "the label is missing, the line begins with '0:1'"),
        (b"yes 0:1", "the label 'yes' is no number"),
        (b"1,2 0:1", "the label '1,2' is no number; one a row is read"),
        (b"NaN 0:1", "the label 'NaN' is not finite in float32"),
        (b"-", "the label '-' is no number"),
        (b"1 qid:x 0:1", "'qid:x' is no query, which is qid:number"),
        (b"1 0:1 qid:3", f"entry 2, 'qid:3': {NO_INDEX}"),
        (b"1 0:1\0 1:1", "there are NUL bytes in the line: text in UTF-8 is needed"),
        (b"\xff\xfe1\0 0:1", "there are NUL bytes in the line: text in UTF-8 is needed"),
        ("1 0:١".encode(), "entry 1, '0:١': the value '١' is no number"),
        (b"1 0:\xff\x1b[2J", "entry 1, '0:\\xff\\x1b[2J': the value '\\xff\\x1b[2J' is no number"),
    ],
)
def test_a_fault_is_a_sentence_with_its_line(tmp_path, line, sentence):
    path = tmp_path / "rows.svm"
    path.write_bytes(b"# two rows are right\r\n1 0:1\n\n2 0:1\n" + line + b"\n3 0:1 and this is never reached\n")
    with pytest.raises(InputError) as told:
        read_libfm(path)
    assert str(told.value) == f"{path}, line 5: {sentence}"
    with pytest.raises(InputError, match=re.escape(sentence)):
        list(iter_libfm(path, chunk_rows=1))


@pytest.mark.parametrize(
    ("text", "kwargs", "sentence"),
    [
        (b"1 0:1\n1 3:1", {"n_features": 3}, "line 2: entry 1, '3:1': the index must be a whole number from 0 to 2"),
        (b"1 0:1", {"zero_based": False}, "line 1: entry 1, '0:1': the index must be a whole number from 1 to"),
        (b"1 0:1 3:1", {"zero_based": "auto", "n_features": 3}, "index 3 is one more than 3 columns from 0 have"),
        (b"1 0:1 2147483647:1", {"zero_based": "auto"}, "index 2147483647 is one more than 2147483647 columns from 0"),
        (b"1 0:3e38 0:3e38", {}, "entries of column 0 in one row add up to more than float32 holds"),
    ],
)
def test_faults_against_what_is_asked(text, kwargs, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        read(text, **kwargs)


PIECES = [b"1 ", b"0", b"17", b"3:", b"3:3:1 ", b"3:.5 ", b":", b"\t", b"#", b".", b"-", b"e", b"qid:", b"\r", b"x"]


@given(st.lists(st.sampled_from(PIECES)))
@example([b"1 ", b"3:"])  # a half of an entry has no room
@pytest.mark.parametrize("kernel", [entries.parse, entries.parse.py_func], ids=["compiled", "bounds checked"])
def test_the_fast_reading_and_the_slow_one_agree(kernel, pieces):
    line = b"".join(pieces)
    blank = not line.partition(b"#")[0].strip()
    for names, bounds in ((["index"], Bounds(0, 99)), (["field", "index"], Bounds(0, 99, 9))):
        sentence = None if blank else fault_of_line(line, names, [(0, 9), (0, 99)][-len(names) :])
        with patch.object(entries, "parse", kernel):
            if sentence is None:
                assert sum(len(rows.labels) for rows, _ in read_rows(io.BytesIO(line), bounds)) == (not blank)
            else:
                with pytest.raises(InputError, match=re.escape(f"line 1: {sentence}")):
                    list(read_rows(io.BytesIO(line), bounds))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text):
    for read_one in (read_libfm, read_libffm):
        try:
            X = read_one(io.BytesIO(text))[0]
        except InputError:
            continue
        assert np.isfinite(X.data).all()


def test_files_that_are_no_text_files(tmp_path, monkeypatch):
    path = tmp_path / "rows.gz"
    whole = gzip.compress(SIMPLE * 10_000)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=re.escape(f"{path}: the gzipped file is cut off or damaged")):
        read_libfm(path)
    path.write_bytes(whole[:100] + b"damage" + whole[106:])
    with pytest.raises(InputError, match="is cut off or damaged"):
        read_libfm(path)
    monkeypatch.setattr(lines, "BLOCK", 16)
    monkeypatch.setattr(lines, "LONGEST", 100)
    with pytest.raises(InputError, match="the open file: a line has more than 100 bytes: is this text"):
        read(b"1" * 1000)
    with pytest.raises(FileNotFoundError):
        read_libfm(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        read_libfm(tmp_path)
    for source in (io.StringIO("1 0:1"), 5):
        with pytest.raises(TypeError, match="a path or a file opened with"):
            read_libfm(source)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"1 0:1:1\n1 0:1\n", "line 2: entry 1, '0:1': field:index:value is needed"),
        (b"1 a:1:1", "line 1: entry 1, 'a:1:1': the field must be a whole number from 0 to 2147483646"),
        (b"1 0:-1:1", "line 1: entry 1, '0:-1:1': the index must be a whole number from 0 to 268435455"),
        (b"1 0:268435456:1", "line 1: entry 1, '0:268435456:1': the index must be a whole number from 0 to 268435455"),
        (b"1 0:1:1\n\n0 0:2:1 3:1:1", "line 3: index 1 has field 3, and field 0 elsewhere: a column has one field"),
    ],
)
def test_faults_of_files_with_fields(text, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        read_libffm(io.BytesIO(text))


def test_columns_of_their_own_for_fields_of_hashed_files():
    text = b"1 0:5:1 1:5:0.5\n0 0:12:1 1:3:0.25\n"
    with pytest.raises(InputError, match="columns_per_field"):
        read_libffm(io.BytesIO(text))
    X, _, field_of = read_libffm(io.BytesIO(text), columns_per_field=10)
    assert X.toarray().nonzero()[1].tolist() == [5, 15, 2, 13]
    assert X.data.tolist() == [1, 0.5, 1, 0.25]
    assert field_of[[5, 15, 2, 13]].tolist() == [0, 1, 0, 1]
    assert read_libffm(io.BytesIO(text), columns_per_field=10, n_features=30)[2].shape == (30,)
    with pytest.raises(InputError, match="the field must be a whole number from 0 to 0"):
        read_libffm(io.BytesIO(text), columns_per_field=10, n_features=19)


@pytest.mark.parametrize("read_one", [read_libfm, read_libffm, iter_libfm, iter_libffm])
@pytest.mark.parametrize("wrong", [0, -1, 2**31, 1.5, True, "3"])
def test_counts_are_counts(read_one, wrong):
    with pytest.raises(ValueError, match="n_features must be a whole number from 1 to 2147483647"):
        read_one(io.BytesIO(SIMPLE), n_features=wrong)
    if read_one is read_libfm:
        with pytest.raises(ValueError, match="n_features must be a whole number from 1 to 2147483647"):
            read_one(io.BytesIO(SIMPLE), n_features=wrong, zero_based="auto")
    if read_one in (iter_libfm, iter_libffm):
        with pytest.raises(ValueError, match="chunk_rows must be a whole number"):
            read_one(io.BytesIO(SIMPLE), chunk_rows=wrong)


def test_what_cannot_be_written_is_told(tmp_path):
    path = tmp_path / "rows.svm"
    for X, y, error, sentence in [
        ([[1, np.nan]], [1], ValueError, "X must be finite in float32, row 0, column 1 has nan"),
        ([[0, 1e39]], [1], ValueError, "X must be finite in float32, row 0, column 1 has inf"),
        ([[1], [1]], [1], ValueError, "y must hold a label for each of 2 rows"),
        ([[1]], [np.inf], ValueError, "y must be finite in float32, row 0 has inf"),
        ([[1]], ["yes"], TypeError, "y must hold numbers, got <U3: give classes numbers"),
        ([["a"]], [1], ValueError, "X must be a matrix of numbers"),
        ([1, 2], [1, 2], ValueError, "X must be a matrix of numbers"),
    ]:
        with pytest.raises(error, match=re.escape(sentence)):
            write_libfm(path, X, y)
    for fields, error, sentence in [
        ([0], ValueError, "field_of must hold a field for each of 2 columns"),
        ([0, -1], ValueError, "fields must be from 0 to 2147483646, column 1 has -1"),
        ([0.5, 1], TypeError, "field_of must hold integers"),
    ]:
        with pytest.raises(error, match=re.escape(sentence)):
            write_libffm(path, [[1, 1]], [1], fields)
    with pytest.raises(ValueError, match="zero_based must be True or False"):
        write_libfm(path, [[1]], [1], zero_based="auto")
    assert not path.exists()


def test_many_rows_and_long_ones_are_written_in_pieces(tmp_path):
    random = np.random.default_rng(0)
    X = sparse.vstack([sparse.random_array((3, 400_000), density=0.9, rng=random, dtype=np.float32)] * 2, format="csr")
    y = random.standard_normal(6).astype(np.float32)
    write_libfm(tmp_path / "rows", X, y)
    X_read, y_read = read_libfm(tmp_path / "rows", n_features=400_000)
    assert np.array_equal(X_read.indices, X.indices)
    assert np.array_equal(X_read.data, X.data)
    assert np.array_equal(y_read, y)


def test_a_matrix_in_any_form_is_written_and_stays_as_it_is(tmp_path):
    unsorted = sparse.csr_array((np.array([1, 2, 3]), np.array([2, 0, 2]), np.array([0, 3])), shape=(1, 3))
    before = unsorted.copy()
    for X in (unsorted, unsorted.tocsc(), sparse.coo_matrix(unsorted), unsorted.toarray().tolist()):
        write_libfm(tmp_path / "rows", X, [True])
        assert (tmp_path / "rows").read_bytes() == b"1 0:2 2:4\n"
    assert unsorted.indices.tolist() == before.indices.tolist()
    assert unsorted.data.tolist() == before.data.tolist()


def test_an_estimator_is_fitted_to_a_file(tmp_path):
    random = np.random.default_rng(0)
    user, item = random.integers(0, 20, 2000), random.integers(20, 50, 2000)
    liked = (user % 2 == item % 2).astype(int)
    fields = np.repeat([0, 1], [20, 30])
    X = sparse.csr_array((np.ones(4000), np.c_[user, item].ravel(), np.arange(0, 4001, 2)), shape=(2000, 50))
    write_libffm(tmp_path / "train.ffm", X[:1500], liked[:1500], fields)
    write_libfm(tmp_path / "test.libfm", X[1500:], liked[1500:])
    X_train, y_train, field_of = read_libffm(tmp_path / "train.ffm")
    model = FMClassifier(2, fields=field_of, random_state=0).fit(X_train, y_train)
    assert model.score(*read_libfm(tmp_path / "test.libfm", n_features=X_train.shape[1])) > 0.9


@pytest.mark.skipif(not PAGE.exists(), reason="the page does not come with the source distribution")
def test_the_example_of_the_page_prints_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    exec(compile(code, PAGE.name, "exec"), {})
    told = re.findall(r"print\(.*\)  # (.*)", code)
    assert len(told) == 3
    for line, start in zip(capsys.readouterr().out.splitlines(), told, strict=True):
        assert line.startswith(start)
