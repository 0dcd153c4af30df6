"""What docs/scale.md plans with: ALS over partitions gives the undivided result, and sends what is reckoned."""

import numpy as np
import pytest

from benchmarks.layouts import by_engine, length_of_sums, make_cluster, make_parts, predictions

PARTS, RATINGS, USERS, ITEMS, K = 3, 2000, 40, 35, 6


@pytest.fixture(scope="module")
def parts():
    return make_parts(PARTS, RATINGS, USERS, ITEMS)


def swept(layout, parts, sweeps):
    cluster = make_cluster(layout, parts, ITEMS, K)
    for _ in range(sweeps):
        cluster.sweep()
    return cluster


@pytest.mark.parametrize(("layout", "tolerance"), [("sums", 1e-4), ("halves", 1e-2), ("factors", 1e-4)])
def test_partitions_give_the_undivided_result(parts, layout, tolerance):
    found = predictions(swept(layout, parts, 3))
    whole = by_engine(parts, ITEMS, K, 3)
    assert np.std(whole) > 0.1
    np.testing.assert_allclose(found, whole, atol=tolerance)


def test_bytes_are_those_of_the_plan(parts):
    """Of sums: a system an item and other node, vectors back; of factors: each user's vector to each other node."""
    a_vector, away = 4 * (K + 1), PARTS - 1
    back = away * (ITEMS * a_vector + PARTS * 8)  # and a float64 of each owner, for the bias
    assert swept("sums", parts, 2).wire.bytes == 2 * (away * ITEMS * 4 * length_of_sums(K) + back)
    assert swept("factors", parts, 2).wire.bytes == 2 * (away * PARTS * USERS * a_vector + back)


def test_users_come_back_from_the_items_alone(parts):
    """So a checkpoint needs the items' vectors only, and a node that was lost its rows."""
    steady, lost = swept("sums", parts, 1), swept("sums", parts, 1)
    lost.w[1][:], lost.V[1][:] = np.nan, np.nan
    steady.sweep()
    lost.sweep()
    np.testing.assert_array_equal(predictions(lost), predictions(steady))
