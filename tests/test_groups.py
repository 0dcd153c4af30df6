import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from fmkit.datasets import load_movielens_small
from fmkit.design import Design, RelationBlock
from fmkit.solvers.groups import find_groups

N = 2000


def one_hot(levels, missing, rng):
    codes = rng.integers(0, levels, N)
    codes[rng.random(N) < missing] = levels
    return np.eye(levels + 1)[codes][:, :levels]


def groups_of_parts(*parts):
    """The groups that each of several matrices side by side takes part in."""
    design = Design.from_matrix(sparse.hstack([sparse.csr_array(part) for part in parts]))
    groups, ends = find_groups(design), np.cumsum([part.shape[1] for part in parts])
    return [sorted(set(part.tolist())) for part in np.split(groups, ends[:-1])]


def words(rng, rows=N):
    """A bag of words as they come, the first in most rows."""
    bag = (rng.random((rows, 500)) < np.minimum(0.4, 2 / np.arange(1, 501))).astype(float)
    return bag / np.sqrt(np.maximum(bag.sum(axis=1, keepdims=True), 1))


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_users_a_set_and_a_number_are_three_groups_in_any_order(order):
    rng = np.random.default_rng(0)
    parts = [one_hot(50, 0, rng), words(rng), rng.standard_normal((N, 1))]
    found = groups_of_parts(*(parts[i] for i in order))
    assert sorted(found) == [[0], [1], [2]]


def test_a_bag_of_words_is_one_group():
    rng = np.random.default_rng(0)
    assert groups_of_parts(words(rng)) == [[0]]
    assert groups_of_parts(words(rng) > 0) == [[0]]


def test_variables_with_missing_values_are_groups_and_all_numbers_one():
    rng = np.random.default_rng(0)
    age, hours = rng.standard_normal((2, N, 1))
    hours[rng.random(N) < 0.1] = 0
    work, education, job, country = (one_hot(m, p, rng) for m, p in [(8, 0.05), (16, 0), (14, 0.05), (41, 0.02)])
    found = groups_of_parts(age, work, education, job, hours, country, age)
    assert found == [[0], [1], [2], [3], [0], [4], [0]]


@pytest.mark.parametrize("zeros", [0, 0.2])
def test_a_table_of_numbers_is_one_group(zeros):
    rng = np.random.default_rng(0)
    table = rng.standard_normal((N, 8))
    table[rng.random(table.shape) < zeros] = 0
    assert groups_of_parts(table) == [[0]]


def test_genres_are_one_group_and_so_is_a_rated_set():
    ratings = load_movielens_small()
    lists = [genres.split("|") for genres in ratings.movies.genres]
    names = sorted({name for genres in lists for name in genres})
    genres = np.array([[name in genres for name in names] for genres in lists], np.float32)
    assert groups_of_parts(genres) == [[0]]
    users, movies = (np.unique(ids, return_inverse=True)[1] for ids in ratings.data.T)
    rated = sparse.csr_array((np.ones(len(users)), (users, movies)))
    rated.data /= np.sqrt(np.repeat(np.diff(rated.indptr), np.diff(rated.indptr)))
    assert groups_of_parts(sparse.eye_array(610), rated, np.linspace(1, 2, 610)[:, None]) == [[0], [1], [2]]


def test_labels_are_groups_and_those_of_different_blocks_stay_different():
    flat = Design.from_matrix([[1, 1, 1], [0, 1, 1]], fields=[5, 5, -1])
    labelled = RelationBlock([[1, 1, 1]], [0, 0], fields=[0, 1, 0])
    found = RelationBlock([[1, 0, 0.5], [0, 1, 0.5]], [0, 1])
    design = Design.from_blocks([labelled, found, labelled], flat)
    np.testing.assert_array_equal(design.groups, [1, 1, 0, 2, 3, 2, -1, -1, -1, 4, 5, 4])
    np.testing.assert_array_equal(find_groups(design), [1, 1, 0, 2, 3, 2, 6, 6, 7, 4, 5, 4])
    np.testing.assert_array_equal(design.select(np.array([True, False])).groups, design.groups)


@given(
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9).flatmap(
        lambda shape: hnp.arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.0, 1.0, 2.5]))
    ),
    st.data(),
)
def test_groups_are_numbered_without_gaps(dense, data):
    design = Design.from_matrix(dense)
    if len(dense):
        codes = data.draw(hnp.arrays(int, 4, elements=st.integers(0, len(dense) - 1)))
        blocks = [RelationBlock(dense, codes), RelationBlock(dense, codes, fields=np.zeros(dense.shape[1]))]
        design = Design.from_blocks(blocks)
    groups = find_groups(design)
    assert groups.dtype == np.int32
    assert groups.shape == (design.n_features,)
    assert sorted(set(groups)) == list(range(int(groups.max(initial=-1)) + 1))
    for field in design.fields:
        assert len(set(groups[field.columns])) == 1
