"""`fmkit.ranking.topn.top_n` on a torch device: matrices of scores, a block of queries at a time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

SCORES = {"cuda": 1 << 26, "cpu": 1 << 22}  # of a block: with their keys 1 GB, and what is quickly done


def top_n(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    n: int,
    seen_before: NDArray[np.int64],
    seen: NDArray[np.int32],
    device: torch.device,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The n items of largest inner product with each query; of equal ones, those of lower code.

    Parameters and results as of `fmkit.ranking.topn.top_n`; scores are summed in another order, so that their last
    bits, and with them the order of items that are all but equal, may be others.
    """
    n_queries, n_items = len(queries), len(items)
    codes = np.full((n_queries, n), -1, np.int32)
    scores = np.full((n_queries, n), -np.inf, np.float32)
    Z = torch.from_numpy(np.ascontiguousarray(items)).to(device)
    lower = torch.arange(n_items, device=device).neg_().sub_(1).bitwise_and_(0xFFFFFFFF)  # larger for lower codes
    block = max(1, SCORES[device.type] // max(n_items, 1))
    for first in range(0, n_queries, block):
        last, most = min(first + block, n_queries), min(n, n_items)
        made = torch.from_numpy(np.ascontiguousarray(queries[first:last])).to(device) @ Z.T
        counts = np.diff(seen_before[first : last + 1])
        left_out = torch.from_numpy(seen[seen_before[first] : seen_before[last]].astype(np.int64)).to(device)
        rows = torch.from_numpy(np.repeat(np.arange(last - first), counts)).to(device)
        made[rows, left_out] = -torch.inf
        # One integer that orders by score and, of equal scores, by code: a float's bits, in its order, stand above.
        bits = (made + 0.0).view(torch.int32).long()  # adding 0 makes -0 a 0
        bits = torch.where(bits < 0, ~bits - (1 << 31), bits)
        best = torch.topk(bits * (1 << 32) + lower, most, dim=1).values
        found = (-(best & 0xFFFFFFFF) - 1) & 0xFFFFFFFF
        of_found = torch.gather(made, 1, found)
        found = torch.where(of_found == -torch.inf, -1, found)
        codes[first:last, :most], scores[first:last, :most] = found.int().cpu().numpy(), of_found.cpu().numpy()
    return codes, scores
