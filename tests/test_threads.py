"""The pool of threads."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmkit.threads import WORTH_A_THREAD, count_threads, even_cuts, for_each


@given(st.lists(st.integers(0, 10**6), min_size=0, max_size=50), st.integers(1, 9))
def test_cuts_are_ranges_that_follow_each_other(weights, n_threads):
    cuts = even_cuts(np.cumsum([0, *weights]), n_threads)
    assert [i for a, b in cuts for i in range(a, b)] == list(range(len(weights)))
    if sum(weights) < WORTH_A_THREAD:
        assert len(cuts) <= 1


def test_results_come_in_order_and_errors_come_through():
    assert for_each(lambda a, b: a + b, [(i, 1) for i in range(50)], 4) == list(range(1, 51))
    with pytest.raises(ZeroDivisionError):
        for_each(lambda a: 1 / a, [(1,), (0,), (2,)], 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_has_a_pool_of_its_own():
    for_each(abs, [(1,), (2,)], 2)
    child = os.fork()
    if child == 0:
        os._exit(for_each(abs, [(-3,), (-4,)], 2) != [3, 4])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_n_jobs_counts_as_in_scikit_learn():
    assert count_threads(3) == 3
    assert count_threads(None) == count_threads(-1) >= 1
    assert count_threads(-(10**6)) == 1
    with pytest.raises(ValueError, match="n_jobs must be"):
        count_threads(0)
