"""Slow, obvious, float64 numpy twins of the kernels: the specification that the tests hold the fast ones to."""

import numpy as np
from scipy.special import expit, xlogy

from fmkit.draws import GROUP, fill_normals


def predict(bias, w, V, X):
    """The pairwise sum, pair by pair."""
    out = bias + X @ w
    for i in range(X.shape[1]):
        for j in range(i + 1, X.shape[1]):
            out = out + X[:, i] * X[:, j] * (V[i] @ V[j])
    return out


def predict_field_aware(bias, w, V, fields, X):
    """The pairwise sum, each column by its vector for the other's field."""
    out = bias + X @ w
    for i in range(X.shape[1]):
        for j in range(i + 1, X.shape[1]):
            out = out + X[:, i] * X[:, j] * (V[i, fields[j]] @ V[j, fields[i]])
    return out


def predict_field_weighted(bias, w, V, fields, weights, X):
    """The pairwise sum, each pair by the weight of its fields."""
    out = bias + X @ w
    for i in range(X.shape[1]):
        for j in range(i + 1, X.shape[1]):
            out = out + X[:, i] * X[:, j] * (V[i] @ V[j]) * weights[fields[i], fields[j]]
    return out


def predict_third_order(bias, w, V, X):
    """The sums over pairs and over triples."""
    out = predict(bias, w, V[:, 0], X)
    n = X.shape[1]
    for i in range(n):
        for j in range(i + 1, n):
            for l in range(j + 1, n):
                out = out + X[:, i] * X[:, j] * X[:, l] * (V[i, 1] * V[j, 1] * V[l, 1]).sum()
    return out


def losses(y, f, logistic):
    """A row's loss: half the squared error, or the log loss of a label 0 or 1."""
    return np.logaddexp(0, f) - y * f if logistic else (y - f) ** 2 / 2


def objective(bias, w, V, X, y, omega, penalty_w, penalty_v, logistic):
    """What ALS and SGD lower."""
    loss = omega @ losses(y, predict(bias, w, V, X), logistic)
    return loss + penalty_w @ w**2 / 2 + penalty_v @ (V**2).sum(1) / 2


def derivatives(y, f, logistic):
    """Minus the slope of a row's loss, and its curvature (for the log loss that of Jaakkola and Jordan's bound)."""
    if not logistic:
        return y - f, np.ones_like(f)
    flat = np.abs(f) < 1e-6
    return y - expit(f), np.where(flat, 0.25, np.tanh(f / 2) / (2 * np.where(flat, 1, f)))


def als_sweep(bias, w, V, X, y, omega, penalty_w, penalty_v, fields, logistic):
    """One column after the other, field by field, each to the optimum of its ridge system; then the bias.

    The log loss goes by its quadratic bound at the predictions before the sweep.
    """
    w, V = w.copy(), V.copy()
    k = V.shape[1]
    if logistic:
        _, curvature = derivatives(y, predict(bias, w, V, X), True)
        y, omega = (y - 0.5) / curvature, omega * curvature
    for columns in fields:
        for j in columns:
            rows = np.flatnonzero(X[:, j])
            x = X[rows, j]
            q = X[rows] @ V - np.outer(x, V[j])
            z = np.column_stack([x[:, None] * q, x])
            e = y[rows] - predict(bias, w, V, X[rows])
            penalty = np.diag(np.r_[np.full(k, penalty_v[j]), penalty_w[j]])
            theta = np.r_[V[j], w[j]]
            A = z.T @ (omega[rows][:, None] * z) + penalty
            theta = theta + np.linalg.solve(A, z.T @ (omega[rows] * e) - penalty @ theta)
            V[j], w[j] = theta[:k], theta[k]
    e = y - predict(bias, w, V, X)
    return bias + (omega @ e) / omega.sum(), w, V


def sgd_epoch(bias, w, V, squares, X, y, omega, share_w, share_v, rate_w, rate_v, units, order, logistic, slopes=None):
    """AdaGrad steps, row by row; `squares` holds the sums of squared slopes of bias, weights and factors.

    With a list of `slopes` they are put there, and the bias stands still.
    """
    w, V = w.copy(), V.copy()
    square_bias, square_w, square_v = squares[0], squares[1].copy(), squares[2].copy()
    total = 0.0
    for r in order:
        f = predict(bias, w, V, X[r : r + 1])[0]
        slope = omega[r] * (expit(f) - y[r] if logistic else f - y[r])
        total += omega[r] * (losses(y[r], f, logistic) * (1 if logistic else 2))
        if slopes is None:
            square_bias += slope**2
            bias -= rate_w * slope / np.sqrt(square_bias)
        else:
            slopes.append(slope)
        q = X[r] @ V
        for j in np.flatnonzero(X[r]):
            x = X[r, j]
            d = slope * x * (q - x * V[j]) + omega[r] * share_v[j] * V[j]
            square_v[j] += (d**2).sum() / max(len(d), 1)
            V[j] -= rate_v / units[j] * d / np.sqrt(square_v[j])
            d = slope * x + omega[r] * share_w[j] * w[j]
            square_w[j] += d**2
            w[j] -= rate_w / units[j] * d / np.sqrt(square_w[j])
    return bias, w, V, (square_bias, square_w, square_v), total


def sgd_grid_epoch(bias, w, V, squares, X, y, omega, share_w, share_v, rate_w, rate_v, rounds, logistic):
    """The same steps in rounds of rows, after each of which the bias moves."""
    total, units = 0.0, np.ones(len(w))
    for order in rounds:
        slopes = []
        _, w, V, squares, met = sgd_epoch(
            bias, w, V, squares, X, y, omega, share_w, share_v, rate_w, rate_v, units, order, logistic, slopes
        )
        bias -= sum(slopes) / (omega.sum() * (0.25 if logistic else 1))
        total += met
    return bias, w, V, squares, total


def told(y, f, name, width=0.0):
    """What is told of a row's loss: squared error, log loss, absolute error, twice Huber's loss, Poisson deviance."""
    if name == "logistic":
        return np.logaddexp(0, f) - y * f
    if name == "poisson":
        return 2 * (xlogy(y, y) - y * f + np.exp(f) - y)
    size = np.abs(y - f)
    if name == "absolute":
        return size
    return np.where(size <= width, size**2, width * (2 * size - width)) if name == "huber" else size**2


def slope(y, f, name, width=0.0):
    """The derivative of a row's loss by f."""
    if name == "logistic":
        return expit(f) - y
    if name == "poisson":
        return np.exp(f) - y
    if name == "absolute":
        return np.sign(f - y)
    return np.clip(f - y, -width, width) if name == "huber" else f - y


class Steps:
    """The steps of SGD's optimizers on a problem, row by row and number by number.

    A column's weight has a state of its own, and its vector of factors one for all of it (AdaGrad, FTRL) or one each.
    """

    def __init__(self, optimizer, objective, start, units, loss, rate, spread):
        self.optimizer, self.loss, self.units, self.epochs = optimizer, loss, units.astype(float), 0
        self.X, self.y = objective.design.to_csr().toarray().astype(float), objective.y.astype(float)
        n = len(start.linear)
        self.omega = np.ones(len(self.y)) if objective.weights is None else objective.weights.astype(float)
        share = np.maximum((self.X != 0).T @ self.omega, 1e-30)
        penalties, lasso = objective.penalties, objective.penalties.lasso()
        self.ridge = penalties.linear / share, penalties.factors / share
        self.lasso = lasso.linear / share, lasso.factors / share
        self.bias, self.w, self.V = start.bias, start.linear.astype(float), start.factors.astype(float)
        steep = loss.curvature(spread, float(self.y.mean())) * self.omega.mean()
        self.length = rate * spread, rate * np.sqrt(spread)
        self.usual = steep * spread, steep * spread**1.5
        self.bias_state = self._state(0.0, 0, 1.0)
        self.states = [
            (self._state(self.w[j], 0, self.units[j]), self._state(self.V[j], 1, self.units[j])) for j in range(n)
        ]

    def _state(self, value, part, unit):
        b = self.usual[part] * unit
        return {"n": 0.0, "m": 0.0, "s": 0.0, "t": 0, "c": 0.0, "z": -value * b * unit / self.length[part]}

    def _moved(self, value, slope, weight, state, part, j):
        """Where a weight (part 0) or a vector of factors (1) is after a step; j is None for the bias."""
        unit = 1.0 if j is None else self.units[j]
        ridge, lasso = (0.0, 0.0) if j is None else (weight * self.ridge[part][j], self.lasso[part][j])
        rate, decayed = self.length[part] / unit, self.epochs**-0.75
        if self.optimizer == "sgd":
            rate = decayed * self.length[part] / self.usual[part] / unit**2
            return (value - rate * slope) / (1 + rate * ridge)
        if self.optimizer == "ftrl" and j is not None:
            before = np.sqrt(state["n"])
            state["n"] += np.mean(slope**2) if np.size(slope) else 0.0
            state["c"] += weight
            root = np.sqrt(state["n"])
            state["z"] = state["z"] + slope - (root - before) / rate * value
            length = np.linalg.norm(state["z"])
            left = max(length - state["c"] * lasso, 0) / (length or 1)
            steep = (self.usual[part] * unit + root) / rate + state["c"] * ridge / weight
            return -left * state["z"] / steep
        slope = slope + ridge * value
        if self.optimizer == "adam":
            state["t"] += 1
            state["m"] = 0.9 * state["m"] + 0.1 * slope
            state["s"] = 0.999 * state["s"] + 0.001 * slope**2
            mean, square = state["m"] / (1 - 0.9 ** state["t"]), state["s"] / (1 - 0.999 ** state["t"])
            return value - decayed * rate * mean / np.sqrt(square + 1e-35)
        state["n"] += np.mean(slope**2) if np.size(slope) else 0.0
        return value - rate * slope / np.sqrt(state["n"] + 1e-35)

    def epoch(self, order):
        """Visit the rows in this order; returns the mean of what is told of their losses."""
        self.epochs += 1
        total = 0.0
        for r in order:
            x, y, weight = self.X[r], self.y[r], self.omega[r]
            f = predict(self.bias, self.w, self.V, x[None])[0]
            total += weight * told(y, f, self.loss.name, self.loss.width)
            d = weight * slope(y, f, self.loss.name, self.loss.width)
            self.bias = self._moved(self.bias, d, weight, self.bias_state, 0, None)
            q = x @ self.V
            for j in np.flatnonzero(x):
                of_factors = d * x[j] * (q - x[j] * self.V[j])
                self.w[j] = self._moved(self.w[j], d * x[j], weight, self.states[j][0], 0, j)
                self.V[j] = self._moved(self.V[j], of_factors, weight, self.states[j][1], 1, j)
        return total / self.omega.sum()


def gibbs_columns(bias, w, V, X, y, omega, order, precision, centre, draw):
    """A sweep over the columns of lists of columns, each drawn from its posterior given all else.

    `omega` is the noise precision of each row; `precision` and `centre` of shape (n_features, k + 1) are each column's
    Gaussian prior, the weight last. The draw is mean + U^-1 z for the posterior precision S = U' U and the standard
    normals z of `fill_normals`.
    """
    w, V = w.copy(), V.copy()
    k = V.shape[1]
    z = np.empty(-(-(k + 1) // GROUP) * GROUP, np.float32)
    for columns in order:
        for j in columns:
            x = X[:, j]
            rows = np.column_stack([x[:, None] * (X @ V - np.outer(x, V[j])), x])
            target = y - predict(bias, w, V, X) + rows @ np.r_[V[j], w[j]]
            S = rows.T @ (omega[:, None] * rows) + np.diag(precision[j])
            mean = np.linalg.solve(S, rows.T @ (omega * target) + precision[j] * centre[j])
            fill_normals(*draw, j, k + 1, z)
            theta = mean + np.linalg.solve(np.linalg.cholesky(S).T, z[: k + 1].astype(float))
            V[j], w[j] = theta[:k], theta[k]
    return w, V


def rank_metric(name, ranked, gains):
    """One metric of one list of item codes, best first; `gains` are those of all items, positive where relevant."""
    metric, k = name.split("@")
    k, n_relevant = int(k), np.count_nonzero(gains)
    got = np.array([gains[i] if i >= 0 else 0 for i in ranked[:k]])
    hits, places = np.count_nonzero(got), np.flatnonzero(got) + 1
    if metric == "ndcg":
        ideal = np.sort(gains)[::-1][:k]
        return (got / np.log2(np.arange(len(got)) + 2)).sum() / (ideal / np.log2(np.arange(len(ideal)) + 2)).sum()
    return {
        "recall": hits / n_relevant,
        "capped_recall": hits / min(k, n_relevant),
        "precision": hits / k,
        "map": sum((places <= place).sum() / place for place in places) / n_relevant,
        "mrr": 1 / places[0] if hits else 0,
        "hit_rate": float(hits > 0),
    }[metric]
