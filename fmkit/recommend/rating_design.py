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
from fmkit.recommend.entities import Entities
from fmkit.tables.levels import unit_rows


@dataclass(frozen=True, eq=False)
class RatingDesign:
    """Tables of users and items, of which a rating has a row each.

    Parameters
    ----------
    users, items : csr_array of shape (n_users, n_user_columns), (n_items, n_item_columns), float32
    user_groups, item_groups : ndarray of shape (n_user_columns,), (n_item_columns,)
        Columns that share a prior: ids, partners, and those of each column of the table.
    """

    users: sparse.csr_array
    items: sparse.csr_array
    user_groups: NDArray[np.intp]
    item_groups: NDArray[np.intp]

    @classmethod
    def of(cls, users: Entities, items: Entities, user_codes: Any, item_codes: Any) -> RatingDesign:
        """From who and what there is, and the pairs that the fit may see."""
        shape = len(users), len(items)
        pairs = sparse.csr_array((np.ones(len(user_codes), np.float32), (user_codes, item_codes)), shape=shape)
        pairs.sum_duplicates()
        pairs.data[:] = 1
        (of_users, user_groups), (of_items, item_groups) = _table(users, pairs), _table(items, pairs.T.tocsr())
        return cls(of_users, of_items, user_groups, item_groups)

    def rows(self, user_codes: Any, item_codes: Any, context: sparse.csr_array | None = None) -> Design:
        """The design of pairs, with further columns of each."""
        blocks = [
            RelationBlock(self.users, user_codes, self.user_groups, hierarchical=True),
            RelationBlock(self.items, item_codes, self.item_groups, hierarchical=True),
        ]
        return Design.from_blocks(blocks, matrix=context)


def _table(entities: Entities, partners: sparse.csr_array) -> tuple[sparse.csr_array, NDArray[np.intp]]:
    ids = sparse.eye_array(len(entities), dtype=np.float32)
    sizes = [len(entities), partners.shape[1]]
    if entities.encoder is not None:
        sizes += [feature.n_columns for feature in entities.encoder.features_ if feature.n_columns]
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return sparse.hstack([ids, unit_rows(partners), entities.features], format="csr", dtype=np.float32), groups
