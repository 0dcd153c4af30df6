"""The design of ratings: a block of users and one of items, each with its id, its partners and what is known of it.

What a user rated, and who rated an item, tells where its own vector is expected (Koren, KDD 2008: SVD++; Rendle's libFM
with implicit feedback); so do the columns of the tables. Blocks are hierarchical, so that the ratings are read as for
ids alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.design import Design, RelationBlock
from fmkit.recommend.entities import Entities, feature_of_columns
from fmkit.tables.levels import unit_rows

PARTNERS = 1  # the group of partners; ids are before it, the columns of a table after it


@dataclass(frozen=True, eq=False)
class RatingDesign:
    """What is known of users and items beside their ids; a rating has a row of each.

    Parameters
    ----------
    users, items : csr_array of shape (n_users, n_user_columns), (n_items, n_item_columns), float32
        Partners, of which a row is a vector of length 1, then features.
    user_groups, item_groups : ndarray of shape (n_user_columns,), (n_item_columns,)
        Columns that share a prior, from 1: partners, and those of each column of the table.
    """

    users: sparse.csr_array
    items: sparse.csr_array
    user_groups: NDArray[np.intp]
    item_groups: NDArray[np.intp]

    @classmethod
    def of(
        cls, users: Entities, items: Entities, user_codes: Any, item_codes: Any, with_partners: bool = True
    ) -> RatingDesign:
        """From who and what there is, and the pairs that the fit may see; or from features alone."""
        if not with_partners:
            return cls(users.features, items.features, _groups(users, 0), _groups(items, 0))
        pairs = pairs_of(user_codes, item_codes, len(users), len(items))
        of_users, of_items = known_of(users, pairs), known_of(items, pairs.T.tocsr())
        return cls(of_users, of_items, _groups(users, len(items)), _groups(items, len(users)))

    def rows(self, user_codes: Any, item_codes: Any, context: sparse.csr_array | None = None) -> Design:
        """The design of pairs: the context's columns, then a block of users and one of items, each with ids first."""
        blocks = [
            _block(self.users, self.user_groups, user_codes),
            _block(self.items, self.item_groups, item_codes),
        ]
        return Design.from_blocks(blocks, matrix=context)


def pairs_of(user_codes: Any, item_codes: Any, n_users: int, n_items: int) -> sparse.csr_array:
    """Who has what, as ones."""
    entries = np.ones(len(user_codes), np.float32), (user_codes, item_codes)
    pairs = sparse.csr_array(entries, shape=(n_users, n_items))
    pairs.sum_duplicates()
    pairs.data[:] = 1
    return pairs


def known_of(entities: Entities, partners: sparse.csr_array) -> sparse.csr_array:
    """Partners and features of each, side by side."""
    return sparse.hstack([unit_rows(partners), entities.features], format="csr", dtype=np.float32)


def _groups(entities: Entities, n_partners: int) -> NDArray[np.intp]:
    return np.append(np.full(n_partners, PARTNERS), feature_of_columns(entities.encoder) + PARTNERS + 1)


def _block(known: sparse.csr_array, groups: NDArray[np.intp], codes: Any) -> RelationBlock:
    n = known.shape[0]
    table = sparse.hstack([sparse.eye_array(n, dtype=np.float32), known], format="csr", dtype=np.float32)
    return RelationBlock(table, codes, np.append(np.zeros(n, np.intp), groups), hierarchical=True)
