import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from fmkit.design import Design

values = st.sampled_from([0.0, 0.0, 0.0, 1.0, 1.0, -2.5, 0.125])
matrices = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9).flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=values)
)


def assert_fields_hold(design, dense):
    """Every column is in one field, and a field has at most one entry a row."""
    columns = np.concatenate([f.columns for f in design.fields] or [np.empty(0, int)])
    assert sorted(columns) == list(range(dense.shape[1]))
    for field in design.fields:
        assert ((dense[:, field.columns] != 0).sum(axis=1) <= 1).all()


@given(matrices)
def test_matrix_to_design_to_matrix_is_the_identity(dense):
    design = Design.from_matrix(dense)
    assert design.shape == dense.shape
    assert_fields_hold(design, dense)
    np.testing.assert_array_equal(design.to_csr().toarray(), dense)


@pytest.mark.parametrize(
    "container", [sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix, sparse.csr_array, np.asarray]
)
@settings(max_examples=20)
@given(dense=matrices)
def test_every_format_gives_the_same_design(container, dense):
    design = Design.from_matrix(container(dense))
    np.testing.assert_array_equal(design.to_csr().toarray(), dense)


@given(matrices, st.data())
def test_blocks_and_selections_are_rows_of_the_matrix(dense, data):
    design = Design.from_matrix(dense)
    first = data.draw(st.integers(0, len(dense)))
    last = data.draw(st.integers(first, len(dense)))
    np.testing.assert_array_equal(design.to_csr(first, last).toarray(), dense[first:last])
    keep = data.draw(hnp.arrays(bool, len(dense)))
    selection = design.select(keep)
    assert selection.n_rows == keep.sum()
    np.testing.assert_array_equal(selection.to_csr().toarray(), dense[keep])


@given(
    st.integers(0, 12).flatmap(
        lambda n: st.lists(hnp.arrays(np.int64, n, elements=st.integers(-1, 4)), min_size=1, max_size=4)
    )
)
def test_codes_become_one_hot_columns(codes):
    design = Design.from_codes(codes, [5] * len(codes))
    expected = np.concatenate([(c[:, None] == np.arange(5)) for c in codes], axis=1).astype(np.float32)
    np.testing.assert_array_equal(design.to_csr().toarray(), expected)
    assert [len(f.columns) for f in design.fields] == [5] * len(codes)


def test_a_table_of_codes_is_found_again_as_one_code_a_row():
    rng = np.random.default_rng(0)
    codes = [rng.permutation(np.arange(1000) % m) for m in (30, 7, 200)]
    design = Design.from_matrix(Design.from_codes(codes).to_csr())
    assert len(design.fields) == 3
    for field, code in zip(design.fields, codes, strict=True):
        np.testing.assert_array_equal(field.codes, code)
        assert field.codes.dtype == np.int32
        assert field.rows is None
        assert field.values is None


def test_a_bag_of_words_takes_far_fewer_fields_than_words():
    words = sparse.random(400, 2000, 0.005, random_state=0, format="csr")
    design = Design.from_matrix(words)
    assert_fields_hold(design, words.toarray())
    assert len(design.fields) < 60
    np.testing.assert_array_equal(design.to_csr().toarray(), words.toarray().astype(np.float32))


def test_a_data_frame_of_codes():
    frame = pd.DataFrame({"user": [0, 2], "item": [1, 0]})
    np.testing.assert_array_equal(Design.from_codes(frame).to_csr().toarray(), [[1, 0, 0, 0, 1], [0, 0, 1, 1, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array])
def test_duplicates_are_summed_and_the_callers_matrix_is_left_alone(container, dtype):
    entries, indices, indptr = np.array([1, 2, 0, 5, 7], dtype), [1, 1, 0, 2, 0], [0, 2, 5]
    matrix = container((entries.copy(), indices, indptr), shape=(2, 3))
    design = Design.from_matrix(matrix)
    np.testing.assert_array_equal(design.to_csr().toarray(), [[0, 3, 0], [7, 0, 5]])
    np.testing.assert_array_equal(matrix.indices, indices)
    np.testing.assert_array_equal(matrix.data, entries)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.uint64, np.int8])
def test_codes_of_any_integer_type(dtype):
    design = Design.from_codes([np.array([0, 2], dtype)])
    np.testing.assert_array_equal(design.to_csr().toarray(), [[1, 0, 0], [0, 0, 1]])


def test_64_bit_indices():
    matrix = sparse.csr_matrix(np.eye(4, dtype=np.float32))
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    np.testing.assert_array_equal(Design.from_matrix(matrix).to_csr().toarray(), np.eye(4))


def test_given_fields_are_kept():
    design = Design.from_matrix([[1, 0, 2], [0, 1, 0]], fields=[7, 7, 3])
    assert [f.columns.tolist() for f in design.fields] == [[2], [0, 1]]
    np.testing.assert_array_equal(design.groups, [1, 1, 0])
    np.testing.assert_array_equal(design.to_csr().toarray(), [[1, 0, 2], [0, 1, 0]])


@given(matrices, st.data())
def test_any_labels_are_groups_of_fields(dense, data):
    labels = data.draw(hnp.arrays(int, dense.shape[1], elements=st.integers(-2, 2)))
    design = Design.from_matrix(dense, labels)
    assert_fields_hold(design, dense)
    np.testing.assert_array_equal(design.to_csr().toarray(), dense)
    for field in design.fields:
        assert len(np.unique(labels[field.columns])) == 1
    np.testing.assert_array_equal(design.groups, np.unique(labels, return_inverse=True)[1])


def test_a_label_of_many_entries_a_row_takes_few_fields():
    words = sparse.random(400, 2000, 0.005, random_state=0, format="csr")
    users = Design.from_codes([np.arange(400) % 7]).to_csr()
    design = Design.from_matrix(sparse.hstack([users, words]), np.repeat([4, 2], [7, 2000]))
    assert len(design.fields) < 60
    assert design.fields[-1].columns.tolist() == list(range(7))
    assert design.fields[-1].rows is None


def test_a_variable_without_gaps_is_a_field_of_its_own_beside_a_bag_of_words():
    rng = np.random.default_rng(0)
    words = sparse.random(300, 1000, 0.01, random_state=0, format="csr")
    user, item = (Design.from_codes([rng.integers(0, m, 300)]).to_csr() for m in (9, 30))
    design = Design.from_matrix(sparse.hstack([words, user, rng.random((300, 1)), words, item]))
    whole = [f.columns.tolist() for f in design.fields if f.rows is None and len(f.columns) > 1]
    assert whole == [list(range(1000, 1009)), list(range(2010, 2040))]
    assert [1009] in [f.columns.tolist() for f in design.fields]
    assert_fields_hold(design, design.to_csr().toarray())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Design.from_matrix([[0, 1], [np.nan, 2]]), r"holds nan in row 1, column 0"),
        (lambda: Design.from_matrix(sparse.coo_matrix([[0, np.inf]])), r"holds inf in row 0, column 1"),
        (lambda: Design.from_matrix([[0, 1e60]]), r"holds inf in row 0, column 1.*float32"),
        (lambda: Design.from_matrix([1, 2]), "two dimensions, got 1"),
        (lambda: Design.from_matrix([[1, 1]], fields=[0]), "a label for each of 2 columns"),
        (lambda: Design.from_codes([[0, 2**40]]), r"at most 2\*\*31 - 1 columns"),
        (lambda: Design.from_codes([np.empty(0, int)], [-1]), "n_levels must not be negative, variable 0 has -1"),
        (lambda: Design.from_codes([]), "at least one variable"),
        (lambda: Design.from_codes([[0, 3]], [2]), r"lie in 0..1.*row 1 has 3"),
        (lambda: Design.from_codes([[0, -2]]), r"row 1 has -2"),
        (lambda: Design.from_codes([[0, 1], [0]]), r"variable 1 has shape \(1,\)"),
        (lambda: Design.from_codes([[0]], [1, 1]), "a number for each of 1 variables, got 2"),
    ],
)
def test_bad_input_is_told_with_its_place(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_codes_must_be_integers():
    with pytest.raises(TypeError, match="variable 0 is float64"):
        Design.from_codes([[0.0, 1.0]])
