import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from fmkit.blocks import find_blocks
from fmkit.datasets import load_movielens_small
from fmkit.design import Design, RelationBlock
from fmkit.solvers.groups import find_groups

values = st.sampled_from([0.0, 0.0, 0.0, 1.0, 1.0, -2.5, 0.125])


def tables(n_rows, n_columns):
    return hnp.arrays(np.float32, (n_rows, n_columns), elements=values)


@st.composite
def block_designs(draw, min_rows=0):
    """A matrix or none, blocks of every odd shape, and what they stand for: (design, dense)."""
    n = draw(st.integers(min_rows, 9))
    parts, blocks = [], []
    for _ in range(draw(st.integers(1, 3))):
        table = draw(st.integers(1, 6).flatmap(lambda m: st.integers(0, 4).flatmap(lambda width: tables(m, width))))
        codes = draw(hnp.arrays(np.int64, n, elements=st.integers(0, len(table) - 1)))
        blocks.append(RelationBlock(table, codes))
        parts.append(table[codes])
    matrix = draw(st.none() | st.integers(0, 4).flatmap(lambda width: tables(n, width)))
    if matrix is not None:
        parts.insert(0, matrix)
    return Design.from_blocks(blocks, matrix), np.concatenate(parts, axis=1)


@given(block_designs(), st.data())
def test_blocks_stand_for_the_rows_written_out(case, data):
    design, dense = case
    assert design.shape == dense.shape
    flattened = design.to_csr()
    np.testing.assert_array_equal(flattened.toarray(), dense)
    assert flattened.has_canonical_format
    assert flattened.dtype == np.float32
    first = data.draw(st.integers(0, len(dense)))
    last = data.draw(st.integers(first, len(dense)))
    np.testing.assert_array_equal(design.to_csr(first, last).toarray(), dense[first:last])
    keep = data.draw(hnp.arrays(bool, len(dense)))
    selection = design.select(keep)
    np.testing.assert_array_equal(selection.to_csr().toarray(), dense[keep])
    assert all(a.table is b.table for a, b in zip(selection.blocks, design.blocks, strict=True))


def test_a_block_is_held_once():
    users = sparse.random(50, 30, 0.5, random_state=0, format="csr")
    codes = np.random.default_rng(0).integers(0, 50, 1000, dtype=np.int32)
    design = Design.from_blocks([RelationBlock(users, codes)], Design.from_codes([codes % 7]))
    assert design.n_entries == 1000 + 750 + 1000
    (block,) = design.blocks
    assert block.codes is codes
    assert block.columns.dtype == np.int32
    np.testing.assert_array_equal(block.columns, np.arange(7, 37))


def test_codes_and_tables_of_any_container():
    frame = pd.DataFrame({"user": np.array([1, 0, 1], np.uint8)})
    ages = pd.DataFrame({"age": [30.0, 40.0]})
    given_fields = RelationBlock(sparse.coo_matrix([[1, 0, 2], [0, 1, 0]]), [1, 0, 1], fields=[7, 7, 3])
    design = Design.from_blocks([RelationBlock(ages, frame["user"]), given_fields])
    np.testing.assert_array_equal(design.to_csr().toarray(), [[40, 0, 1, 0], [30, 1, 0, 2], [40, 0, 1, 0]])
    assert [f.columns.tolist() for f in given_fields.table.fields] == [[2], [0, 1]]


def test_blocks_are_added_to_a_design_with_blocks():
    once = Design.from_blocks([RelationBlock([[1, 2]], [0, 0])])
    twice = Design.from_blocks([RelationBlock([[3], [4]], [1, 0])], once)
    np.testing.assert_array_equal(twice.to_csr().toarray(), [[1, 2, 4], [1, 2, 3]])
    np.testing.assert_array_equal(Design.from_blocks([], once).to_csr().toarray(), [[1, 2], [1, 2]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RelationBlock([[1], [2]], [0, 2, 5]), r"lie in 0\.\.1, row 1 has 2: the table needs a row for it"),
        (lambda: RelationBlock([[1], [2]], [0, -1]), r"lie in 0\.\.1, row 1 has -1.*an empty one"),
        (lambda: RelationBlock([[1]], np.array([2**63], np.uint64)), "row 0 has 9223372036854775808"),
        (lambda: RelationBlock([[1]], [[0]]), r"shape \(n_rows,\), got shape \(1, 1\)"),
        (lambda: RelationBlock(np.empty((0, 3)), [0]), r"at least one row, got shape \(0, 3\)"),
        (lambda: RelationBlock([[1], [np.nan]], [0]), "holds nan in row 1, column 0"),
        (lambda: RelationBlock([1, 2], [0]), "two dimensions, got 1"),
        (lambda: RelationBlock(Design.from_codes([[0]]), [0], [0]), "a Design has its fields already"),
        (lambda: RelationBlock(Design.from_blocks([RelationBlock([[1]], [0])]), [0]), "must hold no blocks"),
        (lambda: Design.from_blocks([]), "at least one block"),
        (lambda: Design.from_blocks([RelationBlock([[1]], [0]), RelationBlock([[1]], [0, 0])]),
         "block 0 has 1 rows, block 1 has 2 codes"),
        (lambda: Design.from_blocks([RelationBlock([[1]], [0])], [[1], [2]]), "the matrix has 2 rows, block 0 has 1"),
    ],
)  # fmt: skip
def test_bad_blocks_are_told_with_their_place(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("codes", [[0.0], [True], ["0"], [None]])
def test_codes_must_be_integers(codes):
    with pytest.raises(TypeError, match="codes must be integers, got"):
        RelationBlock([[1]], codes)


def test_blocks_must_be_relation_blocks():
    with pytest.raises(TypeError, match="block 1 is tuple"):
        Design.from_blocks([RelationBlock([[1]], [0]), ([[1]], [0])])


def assert_same_matrix(found, design):
    """The same entries at the same places, every column in one field or block."""
    columns = [f.columns for f in found.fields] + [b.columns for b in found.blocks]
    assert sorted(np.concatenate(columns)) == list(range(design.n_features))
    for block in found.blocks:
        of_fields = [np.empty(0, int), *(f.columns for f in block.table.fields)]
        assert sorted(np.concatenate(of_fields)) == list(range(block.table.n_features))
    a, b = found.to_csr(), design.to_csr()
    for same in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(a, same), getattr(b, same))


@st.composite
def designs_with_followers(draw):
    """Keys, columns that follow one of them or nothing, in any order, with gaps, values and a few errors."""
    n = draw(st.integers(0, 12))
    parts = []
    for _ in range(draw(st.integers(1, 2))):
        levels = draw(st.integers(1, 5))
        key = draw(hnp.arrays(np.int64, n, elements=st.integers(0, levels - 1)))
        parts.append(np.eye(levels)[key])
        for _ in range(draw(st.integers(0, 3))):
            follower = draw(tables(levels, 1))[key]
            if n and draw(st.booleans()) and draw(st.booleans()):
                follower[draw(st.integers(0, n - 1))] = draw(values)
            parts.append(follower)
    labels = np.concatenate([np.full(part.shape[1], i) for i, part in enumerate(parts)])
    order = draw(st.permutations(range(len(labels))))
    return Design.from_matrix(np.concatenate(parts, axis=1)[:, order], labels[list(order)])


@given(designs_with_followers())
def test_found_blocks_are_the_same_matrix(design):
    found = find_blocks(design)
    assert_same_matrix(found, design)
    assert (found is design) == (not found.blocks)
    assert all(2 * block.table.n_rows <= design.n_rows for block in found.blocks)
    dense = design.to_csr().toarray()
    for block in found.blocks:
        for field in found.fields:  # what is left flat does not repeat what a key says
            pairs = {(code, tuple(row)) for code, row in zip(block.codes, dense[:, field.columns], strict=True)}
            assert len(pairs) > len(set(block.codes)) or not len(field.codes)


def test_both_sides_of_a_small_frame_are_found():
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 8, 200), rng.integers(0, 12, 200)
    age, genre, year = rng.integers(0, 4, 8), rng.integers(-1, 3, 12), rng.standard_normal(12).astype(np.float32)
    flat = Design.from_codes([genre[item], user, rng.integers(0, 5, 200), age[user], item])
    design = Design.from_matrix(
        sparse.hstack([flat.to_csr(), year[item][:, None]]),
        np.repeat(range(6), [*(len(f.columns) for f in flat.fields), 1]),
    )
    found = find_blocks(design)
    assert_same_matrix(found, design)
    assert [f.columns.tolist() for f in found.fields] == [list(range(11, 16))]
    items, users = found.blocks  # items first: they are more
    assert items.columns.tolist() == [0, 1, 2, *range(20, 33)]
    assert users.columns.tolist() == [*range(3, 11), *range(16, 20)]
    assert items.codes is design.fields[4].codes
    assert items.table.shape == (12, 16)
    assert find_blocks(found) is found


def test_a_block_joins_the_finer_key_and_what_follows_nothing_is_left():
    codes, other = np.arange(40) % 4, np.arange(40) // 5 % 3
    coarse, alone = RelationBlock([[1, 2], [3, 4]], codes % 2), RelationBlock(np.eye(3), other)
    design = Design.from_blocks([coarse, alone], Design.from_codes([codes, codes // 2]))
    found = find_blocks(design)
    assert found.fields == ()
    left, joined = found.blocks
    assert left is design.blocks[1]
    assert joined.codes is design.fields[0].codes
    assert joined.table.shape == (4, 8)
    assert_same_matrix(found, design)
    assert find_blocks(found) is found


def test_the_ids_join_the_block_of_their_key():
    """Ids as one-hot columns, a block for the users in another order and with more of them, two for the items."""
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 8, 300), rng.integers(0, 10, 300)
    order = rng.permutation(12)
    rated, raters, tags = ((rng.random((m, 6)) < 0.4) * rng.random((m, 1)) for m in (12, 10, 10))
    blocks = [RelationBlock(rated, order[user]), RelationBlock(raters, item), RelationBlock(tags, item)]
    design = Design.from_blocks(blocks, Design.from_codes([user, item, item % 3], [8, 10, 3]))
    found = find_blocks(design)
    assert found.fields == ()
    assert [b.columns.tolist() for b in found.blocks] == [
        [*range(8, 21), *range(27, 39)],
        [*range(8), *range(21, 27)],
    ]
    assert found.blocks[1].table.n_rows == 12
    assert_same_matrix(found, design)
    np.testing.assert_array_equal(found.groups, find_groups(design))
    assert find_blocks(found) is found


def test_a_wide_table_of_few_rows_is_not_written_out_for_every_level_of_a_key():
    user = np.arange(1000) % 100
    wide = RelationBlock(np.ones((2, 500)), user % 2)
    found = find_blocks(Design.from_blocks([wide], Design.from_codes([user])))
    assert len(found.fields) == 1
    assert found.blocks[0].table.n_rows == 2


@given(block_designs(min_rows=1), st.data())
def test_joined_blocks_are_the_same_matrix(case, data):
    design, dense = case
    n = len(dense)
    key = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, 3)))
    some = [data.draw(hnp.arrays(np.int64, 4, elements=st.integers(-1, 2)))[key] for _ in range(2)]
    order = np.array(data.draw(st.permutations(range(5))))
    again = RelationBlock(data.draw(tables(5, 2)), order[key])
    design = Design.from_blocks([again, RelationBlock(np.eye(3), key % 3)], design)
    extra = Design.from_codes([key, *some], [4, 3, 3])
    first = [RelationBlock(b.table, b.codes) for b in design.blocks]
    whole = Design.from_blocks(first, extra)
    found = find_blocks(whole)
    assert_same_matrix(found, whole)
    np.testing.assert_array_equal(find_groups(found), find_groups(whole))
    assert find_blocks(found) is found


def test_nothing_is_found_where_it_does_not_pay():
    codes = np.arange(40)
    many_levels = Design.from_codes([codes // 2 + 1, codes // 4])
    assert find_blocks(many_levels) is many_levels
    nothing_follows = Design.from_codes([codes % 4, codes // 10])
    assert find_blocks(nothing_follows) is nothing_follows


def test_genres_and_years_of_movies_are_found():
    ratings = load_movielens_small()
    users, movies = (np.unique(ids, return_inverse=True)[1] for ids in ratings.data.T)
    movie = ratings.movies
    about = {m: (g, t) for m, g, t in zip(movie.movieId, movie.genres, movie.title, strict=True)}
    of_rows = [about[m] for m in ratings.data[:, 1]]
    names = sorted({genre for genres, _ in about.values() for genre in genres.split("|")})
    genres = np.array([[name in genres.split("|") for name in names] for genres, _ in of_rows], np.float32)
    year = np.array([int((re.findall(r"\((\d{4})", title) or [0])[-1]) for _, title in of_rows])
    flat = Design.from_codes([users, movies, np.unique(year, return_inverse=True)[1]])
    fields = np.r_[np.repeat([0, 1, 2], [len(f.columns) for f in flat.fields]), 3 + np.arange(len(names))]
    design = Design.from_matrix(sparse.hstack([flat.to_csr(), genres]), fields)
    found = find_blocks(design)
    assert [f.columns.tolist() for f in found.fields] == [list(range(610))]
    (block,) = found.blocks
    assert block.table.shape == (9724, design.n_features - 610)
    assert_same_matrix(found, design)
    assert found.n_entries < 0.5 * design.n_entries


def test_ids_rated_sets_raters_and_genres_are_two_blocks():
    ratings = load_movielens_small()
    users, movies = (np.unique(ids, return_inverse=True)[1] for ids in ratings.data.T)
    rated = sparse.csr_array((np.ones(len(users)), (users, movies)))
    rated.data /= np.sqrt(np.repeat(np.diff(rated.indptr), np.diff(rated.indptr)))
    genre = np.random.default_rng(0).integers(-1, 5, (9724, 3))
    blocks = [RelationBlock(rated, users), RelationBlock(rated.T, movies)]
    design = Design.from_blocks(blocks, Design.from_codes([users, movies, *genre[movies].T]))
    found = find_blocks(design)
    assert found.fields == ()
    assert [block.table.shape for block in found.blocks] == [(9724, 9724 + 15 + 610), (610, 610 + 9724)]
    assert abs(found.to_csr(500, 900) - design.to_csr(500, 900)).max() == 0  # all rows have 50 million entries
    np.testing.assert_array_equal(found.groups, np.repeat(range(7), [610, 9724, 5, 5, 5, 9724, 610]))
