"""A ranking as the facts and arrays of a model file, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.ranking.factors import Factors
from fmkit.ranking.implicit import Objective
from fmkit.ranking.item_item import ItemItem
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs, is_identity
from fmkit.ranking.ranking import Ranking

Arrays = dict[str, NDArray[Any]]

MACHINE = "query_factors", "item_factors", "item_linear"
OBJECTIVE = "unseen", "reg", "power", "reg_attributes"


def pack(ranking: Ranking) -> tuple[dict[str, Any], Arrays]:
    """What of it is numbers and names, and its arrays."""
    arrays = {
        **pack_table(ranking.queries, "queries"),
        **pack_table(ranking.items, "items"),
        "pairs.before": ranking.pairs.before,
        "pairs.items": ranking.pairs.items,
        "pairs.weights": ranking.pairs.weights,
        "weights": np.array(ranking.weights),
    }
    for i, factors in enumerate(ranking.factors):
        arrays |= {f"{i}.{name}": getattr(factors.machine, name) for name in MACHINE}
        if factors.columns is not None:
            arrays[f"{i}.columns"] = factors.columns.astype(np.int64)
    if ranking.item_item is not None:
        arrays["item_item"] = ranking.item_item.weights
    facts = [
        {
            "loss": factors.loss,
            "power": factors.power,
            "objective": {name: getattr(factors.objective, name) for name in OBJECTIVE},
        }
        for factors in ranking.factors
    ]
    columns = [ranking.queries.shape[1], ranking.items.shape[1]]
    of_items = None if ranking.item_item is None else [ranking.item_item.ridge, ranking.item_item.discount]
    return {"factors": facts, "columns": columns, "item_item": of_items}, arrays


def unpack(facts: dict[str, Any], arrays: Arrays) -> Ranking:
    """The ranking; a KeyError, TypeError or ValueError if the parts do not fit together."""
    n_query_features, n_item_features = (int(n) for n in facts["columns"])
    queries = unpack_table(arrays, "queries", n_query_features)
    items = unpack_table(arrays, "items", n_item_features)
    n_queries, n_items = queries.shape[0], items.shape[0]
    before, codes, weights = (arrays[f"pairs.{name}"] for name in ("before", "items", "weights"))
    if codes.dtype.str != "<i4" or before.dtype.str != "<i8" or weights.dtype.str != "<f4":
        raise ValueError("its pairs are of a wrong type")
    _check_rows(before, codes, n_queries, n_items, "pairs")
    if len(weights) not in (0, len(codes)) or not (weights > 0).all():
        raise ValueError("its pairs' weights are none")
    pairs = Pairs(n_queries, n_items, before, codes, weights)
    factors = [_unpack_factors(told, arrays, i, queries, items) for i, told in enumerate(facts["factors"])]
    item_item = ItemItem(arrays["item_item"], *map(float, facts["item_item"])) if "item_item" in arrays else None
    if item_item is not None and (
        item_item.weights.shape != (n_items, n_items)
        or item_item.weights.dtype.str != "<f4"
        or not np.isfinite(item_item.weights).all()
    ):
        raise ValueError("its item-item weights do not fit its items")
    of_parts = arrays["weights"]
    if of_parts.shape != (len(factors) + (item_item is not None),) or not (of_parts >= 0).all():
        raise ValueError("its weights do not fit its machines")
    return Ranking(queries, items, pairs, factors, item_item, of_parts.tolist())


def _unpack_factors(
    told: dict[str, Any], arrays: Arrays, i: int, queries: sparse.csr_array, items: sparse.csr_array
) -> Factors:
    machine = RankingMachine(*(arrays[f"{i}.{name}"] for name in MACHINE))
    power = None if told["power"] is None else float(told["power"])
    columns = arrays.get(f"{i}.columns")
    if columns is not None and (columns.dtype.str != "<i8" or columns.ndim != 1):
        raise ValueError("its columns are of a wrong type")
    if columns is not None and len(columns) and not 0 <= columns.min() <= columns.max() < queries.shape[1]:
        raise ValueError("its columns do not exist")
    n_own = queries.shape[1] if columns is None else len(columns)
    n_query_features = n_own + (0 if power is None else items.shape[0])
    k = machine.query_factors.shape[-1]
    shapes = (n_query_features, k), (items.shape[1], k), (items.shape[1],)
    for name, shape in zip(MACHINE, shapes, strict=True):
        array = getattr(machine, name)
        if array.shape != shape or array.dtype.str != "<f4" or not np.isfinite(array).all():
            raise ValueError(f"its {name} do not fit its queries and items")
    objective = Objective(**{name: float(told["objective"][name]) for name in OBJECTIVE})
    return Factors(str(told["loss"]), machine, power, objective, items.shape[0], columns)


def pack_table(table: sparse.csr_array, name: str) -> Arrays:
    """Of ids alone, nothing but how many."""
    if is_identity(table):
        return {f"{name}.ids": np.array([table.shape[0]])}
    return {
        f"{name}.before": table.indptr.astype(np.int64),
        f"{name}.columns": table.indices.astype(np.int32),
        f"{name}.values": table.data,
    }


def unpack_table(arrays: Arrays, name: str, n_columns: int) -> sparse.csr_array:
    """The reverse; a KeyError or ValueError if the file holds something else."""
    if f"{name}.ids" in arrays:
        n = int(arrays[f"{name}.ids"][0])
        if n != n_columns:
            raise ValueError(f"its {name} do not fit their columns")
        return sparse.csr_array(sparse.eye_array(n, dtype=np.float32, format="csr"))
    before, columns, values = (arrays[f"{name}.{part}"] for part in ("before", "columns", "values"))
    _check_rows(before, columns, len(before) - 1, n_columns, name)
    if values.dtype.str != "<f4" or values.shape != columns.shape or not np.isfinite(values).all():
        raise ValueError(f"its {name} hold values that are none")
    return sparse.csr_array((values, columns, before), shape=(len(before) - 1, n_columns))


def _check_rows(before: NDArray[Any], columns: NDArray[Any], n_rows: int, n_columns: int, name: str) -> None:
    whole = before.ndim == columns.ndim == 1 and before.dtype.kind == columns.dtype.kind == "i"
    if not whole or before.shape != (n_rows + 1,) or before[0] != 0 or before[-1] != len(columns):
        raise ValueError(f"its {name} are cut short")
    if (np.diff(before) < 0).any() or (len(columns) and not 0 <= columns.min() <= columns.max() < n_columns):
        raise ValueError(f"its {name} have columns that do not exist")
