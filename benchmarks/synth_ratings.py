"""Ten million synthetic ratings, much like MovieLens-10M: 70,000 users, 10,000 items, a true machine of 16 factors.

`make()` takes about ten seconds and is deterministic for a seed. Items are popular by Zipf-Mandelbrot's law, users
active log-normally (at least 20 ratings, as in MovieLens); a rating is its true mean plus noise, rounded to halves in
[0.5, 5]. No model can have a test RMSE under `bayes_rmse`, that of the true means.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NOISE = 0.75


def make(
    n_users: int = 70_000, n_items: int = 10_000, n_ratings: int = 10_000_000, seed: int = 20240517
) -> dict[str, NDArray[Any]]:
    """Arrays user, item (int32), rating (float32), test (bool, a tenth), and bayes_rmse."""
    rng = np.random.default_rng(seed)
    popularity = 1.0 / (np.arange(n_items) + 30.0) ** 0.95
    popularity = popularity[rng.permutation(n_items)]
    popularity /= popularity.sum()
    activity = rng.lognormal(0, 1.15, n_users)
    activity = np.minimum(activity, np.quantile(activity, 0.9995))
    counts = 20 + (n_ratings * 1.25 - 20 * n_users) * activity / activity.sum()  # too many: pairs must be unique
    counts = np.minimum(counts, n_items * 0.35).astype(np.int64)
    user = np.repeat(np.arange(n_users), counts)
    item = np.searchsorted(np.cumsum(popularity), rng.random(user.size) * (1 - 1e-12))
    pairs = np.unique(user * n_items + item)
    if pairs.size > n_ratings:
        pairs = rng.choice(pairs, n_ratings, replace=False)
    rng.shuffle(pairs)
    user, item = (pairs // n_items).astype(np.int32), (pairs % n_items).astype(np.int32)

    user_class = rng.integers(0, 20, n_users).astype(np.int8)
    item_class = rng.integers(0, 18, n_items).astype(np.int8)
    decay = 1 / np.sqrt(1 + np.arange(16) * 0.5)
    user_factors = 0.85 * rng.standard_normal((n_users, 16)) + 0.53 * rng.standard_normal((20, 16))[user_class]
    item_factors = 0.85 * rng.standard_normal((n_items, 16)) + 0.53 * rng.standard_normal((18, 16))[item_class]
    user_factors, item_factors = user_factors * decay, item_factors * decay
    scale = 0.50 / np.sqrt((decay**4).sum())  # the interaction's standard deviation is about a half
    user_bias = 0.40 * rng.standard_normal(n_users)
    log_popularity = np.log(popularity)
    item_bias = 0.45 * rng.standard_normal(n_items)
    item_bias += 0.12 * (log_popularity - log_popularity.mean()) / log_popularity.std()
    mean = np.empty(user.size)
    for start in range(0, user.size, 1_000_000):
        u, i = user[start : start + 1_000_000], item[start : start + 1_000_000]
        interaction = np.einsum("ij,ij->i", user_factors[u], item_factors[i])
        mean[start : start + len(u)] = 3.5 + user_bias[u] + item_bias[i] + scale * interaction
    noisy = np.round(2 * (mean + NOISE * rng.standard_normal(user.size))) / 2
    rating = np.clip(noisy, 0.5, 5).astype(np.float32)
    test = rng.random(user.size) < 0.1
    bayes_rmse = np.sqrt(np.mean((np.clip(mean, 0.5, 5) - rating)[test] ** 2))
    return {"user": user, "item": item, "rating": rating, "test": test, "bayes_rmse": bayes_rmse}
