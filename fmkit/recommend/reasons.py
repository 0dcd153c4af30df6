"""Why an item is recommended: what each past rating adds to its score, exactly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reason:
    """A predicted score taken apart; the parts add up to it exactly.

    Parameters
    ----------
    bias : float
        Level of all ratings.
    level : float
        What the user gives more (or less) than others, whatever the item.
    appeal : float
        What the item gets more (or less) than others, whoever the user.
    rated : ndarray of shape (n_rated,), int32
        Codes of the items that the user rated.
    ratings : ndarray of shape (n_rated,), float32
        How the user rated them.
    influences : ndarray of shape (n_rated,), float64
        What each of these ratings adds to the match of this user with this item.
    """

    bias: float
    level: float
    appeal: float
    rated: NDArray[np.int32]
    ratings: NDArray[np.float32]
    influences: NDArray[np.float64]

    @property
    def match(self) -> float:
        """What this user gives this item more (or less) than level and appeal say."""
        return float(self.influences.sum())

    @property
    def score(self) -> float:
        """The sum of all parts."""
        return self.bias + self.level + self.appeal + self.match

    def strongest(self, n: int = 3) -> NDArray[np.intp]:
        """Positions in `rated` of at most n ratings with the largest positive influence, the largest first."""
        order = np.argsort(-self.influences, kind="stable")[:n]
        return order[self.influences[order] > 0]


def take_apart(
    bias: float,
    w: NDArray[np.float32],
    V: NDArray[np.float32],
    items: NDArray[np.int32],
    rated: NDArray[np.int32],
    ratings: NDArray[np.float32],
    penalties: tuple[float, float],
) -> list[Reason]:
    """The reasons of some items for one user.

    With the rows z = (v_i, 1) of the items i that the user rated, t_i the ratings less bias and appeal, and Lambda the
    penalties, the user's factors and level are the ridge solution (Z'Z + Lambda)^-1 sum_i z_i t_i: a sum over the
    ratings. So is the factors' product with those of any item.

    Parameters
    ----------
    bias : float
    w, V : ndarray of shape (n_all_items,), (n_all_items, n_factors), float32
        Weights and factors of the items.
    items : ndarray of shape (n_items,), int32
        Codes of the items to explain.
    rated, ratings : ndarray of shape (n_rated,)
        What the user rated, and how.
    penalties : pair of float
        Of a user's weight, and of each factor.
    """
    Z = np.column_stack([V[rated], np.ones(len(rated))]).astype(np.float64)
    t = ratings.astype(np.float64) - bias - w[rated]
    of_level, of_factors = penalties
    system = Z.T @ Z + np.diag([of_factors] * V.shape[1] + [of_level])
    theta = np.linalg.lstsq(system, (Z * t[:, None]).T)[0]  # a column a rating; a user without any gets zeros
    level = float(theta[-1].sum())
    influences = V[items].astype(np.float64) @ theta[:-1]
    return [
        Reason(float(bias), level, float(w[j]), rated, ratings, row) for j, row in zip(items, influences, strict=True)
    ]
