"""A small made-up cinema: who rated which film, what is known of both, and slow twins of what a recommender solves."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

N_USERS, N_FILMS = 30, 20
AUTHORS = ["Ang", "Bong", "Coen", None]

FILMS = {  # two of which nobody has rated
    "item": list(range(N_FILMS + 2)),
    "title": [f"Film {i}" for i in range(N_FILMS + 2)],
    "year": [1980 + i % 7 if i % 5 else None for i in range(N_FILMS + 2)],
    "genres": ["|".join(sorted({"CDW"[i % 3], "DWX"[i % 2]})) for i in range(N_FILMS + 2)],
    "author": [AUTHORS[i % 4] for i in range(N_FILMS + 2)],
}
PEOPLE = {
    "user": list(range(N_USERS)),
    "city": [["Oslo", "Pisa", "Rome"][u % 3] for u in range(N_USERS)],
    "age": [20 + u % 9 for u in range(N_USERS)],
}


def some_ratings(n: int = 300, seed: int = 0) -> dict[str, Any]:
    """Ratings in half stars, some pairs more than once, with a device and an hour."""
    rng = np.random.default_rng(seed)
    users, films = rng.integers(0, N_USERS, n), rng.integers(0, N_FILMS, n)
    users[:N_USERS], films[:N_FILMS] = np.arange(N_USERS), np.arange(N_FILMS)  # everybody has one, in this order
    taste = np.sin(users + films) + (films % 5) / 2 + rng.normal(0, 0.5, n)
    device = np.array(["phone", "pc", "tv"], object)[rng.integers(0, 3, n)]
    return {
        "user": users.tolist(),
        "item": films.tolist(),
        "rating": np.clip(np.round(4 + 2 * taste) / 2, 0.5, 5).tolist(),
        "device": device.tolist(),
        "hour": rng.integers(0, 24, n).tolist(),
    }


def contexts_of(model: Any, rows: Any) -> NDArray[np.float64]:
    """Factors and weights of contexts, the weights with the pairs inside each."""
    found = []
    V, w = model.context[:, :-1].astype(np.float64), model.context[:, -1].astype(np.float64)
    for x in rows.toarray().astype(np.float64):
        pairs = sum(x[j] * x[k] * (V[j] @ V[k]) for j in range(len(x)) for k in range(j))
        found.append([*(x @ V), x @ w + pairs])
    return np.array(found)


def scores_of(model: Any, context: Any = None, risk: float = 0.0) -> NDArray[np.float64]:
    """Scores of all pairs of a RatingModel, slowly: of shape (n_users, n_items)."""
    users, items = model.users, model.items
    q, c = users.vectors.astype(np.float64), users.weights.astype(np.float64)
    p, d = items.vectors.astype(np.float64), items.weights.astype(np.float64)
    told = model.usual if context is None else contexts_of(model, context)[0]
    r, e = told[:-1].astype(np.float64), float(told[-1])
    scores = model.bias + c[:, None] + d + e + (q + r) @ p.T + (q @ r)[:, None]
    if not risk:
        return np.asarray(scores)
    k = users.var_vectors.shape[1]
    mean, of_item = (q + r)[:, :k], p[:, :k]
    variance = users.var_weights[:, None] + items.var_weights.astype(np.float64)
    variance = variance + users.var_vectors @ (of_item**2 + items.var_vectors).T + (mean**2) @ items.var_vectors.T
    variance = variance + 2 * users.covariance @ of_item.T + 2 * mean @ items.covariance.T
    return np.asarray(scores - risk * np.sqrt(np.clip(variance, 0, model.scale.most_variance)))


def solution(model: Any, side: Any, others: Any, row: Any, codes: Any, values: Any, **told: Any) -> NDArray[np.float64]:
    """(q, c) of one user or item from its ratings, everything else as it is: the mean of its posterior.

    `told` may hold `weights`, `context`, factors and weight of that of each rating, and `level`, of the noise.
    """
    m = side.centre.astype(np.float64) + np.asarray(row.todense(), np.float64).ravel() @ side.members
    q, c = others.vectors[codes].astype(np.float64), others.weights[codes].astype(np.float64)
    if "context" in told:
        of_context = np.asarray(told["context"], np.float64)
        c = c + of_context[:, -1] + (q * of_context[:, :-1]).sum(axis=1)
        q = q + of_context[:, :-1]
    Z = np.column_stack([q, np.ones(len(q))])
    omega = model.noise * others.noise[codes].astype(np.float64) * told.get("weights", np.ones(len(q)))
    omega = omega * told.get("level", 1.0)
    surprise = np.asarray(values, np.float64) - model.bias - c - Z @ m
    system = (Z.T * omega) @ Z + np.diag(side.precision.astype(np.float64))
    return np.asarray(m + np.linalg.solve(system, Z.T @ (omega * surprise)))


def greedy(scores: Any, allowed: Any, n: int, groups: list[set[Any]], limits: dict[Any, int], taken: Any = ()) -> list:
    """Best first, item by item, none of a group that is full: the twin of at_most."""
    count = dict.fromkeys(limits, 0)
    for item in taken:
        for group in groups[item]:
            count[group] += 1
    found: list[int] = []
    for item in np.lexsort((np.arange(len(scores)), -np.asarray(scores))):
        if len(found) < n and allowed[item] and all(count[group] < limits[group] for group in groups[item]):
            found.append(int(item))
            for group in groups[item]:
                count[group] += 1
    return found
