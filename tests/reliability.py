"""Whether probabilities are frequencies."""

import numpy as np


def assert_reliable(p, happened, bins=8, slack=0.0):
    """In bins of rows with like probabilities, as many events as these promise: within 3.5 standard errors + slack."""
    order = np.argsort(p)
    for rows in np.array_split(order, bins):
        expected = p[rows].astype(float)
        error = np.sqrt((expected * (1 - expected)).sum()) / len(rows)
        assert abs(happened[rows].mean() - expected.mean()) < 3.5 * error + slack
