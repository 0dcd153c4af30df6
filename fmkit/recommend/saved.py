"""A recommender in a model file: what it holds, and the checks that let a damaged or hostile file do no harm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from fmkit.errors import InputError
from fmkit.machine import FactorizationMachine
from fmkit.modelfile import pack_strings, unpack_strings
from fmkit.recommend.ratings import RatingsTable
from fmkit.recommend.vocabulary import Vocabulary

Arrays = dict[str, NDArray[Any]]


def arrays_of(machine: FactorizationMachine, table: RatingsTable) -> Arrays:
    """Machine, vocabularies, and the ratings: a saved model knows what was seen, and can give its reasons."""
    arrays: Arrays = {
        "linear": machine.linear,
        "factors": machine.factors,
        "indptr": table.indptr,
        "item_codes": table.item_codes,
        "ratings": table.ratings,
    }
    for name, vocabulary in (("users", table.users), ("items", table.items)):
        if pa.types.is_integer(vocabulary.ids.type):
            arrays[name] = vocabulary.ids.to_numpy()
        else:
            arrays |= pack_strings(vocabulary.ids.to_pylist(), name)
    return arrays


def machine_and_ratings(bias: float, arrays: Arrays) -> tuple[FactorizationMachine, RatingsTable]:
    """The reverse of `arrays_of`.

    Raises
    ------
    InputError
        If an array is missing or does not fit the others.
    """
    users, items = _vocabulary(arrays, "users"), _vocabulary(arrays, "items")
    n_features = len(users) + len(items)
    linear = checked_array(arrays, "linear", np.float32, (n_features,))
    factors = checked_array(arrays, "factors", np.float32, (n_features, None))
    indptr = checked_array(arrays, "indptr", np.int64, (len(users) + 1,))
    ratings = checked_array(arrays, "ratings", np.float32, (None,))
    codes = checked_array(arrays, "item_codes", np.int32, (len(ratings),))
    if indptr[0] != 0 or indptr[-1] != len(ratings) or (indptr[1:] < indptr[:-1]).any():
        raise InputError("the users' ratings do not follow each other")
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(items):
        raise InputError("a rating names an item that does not exist")
    ascending = np.append(codes[1:] > codes[:-1], True)
    ascending[indptr[1:-1][indptr[1:-1] > 0] - 1] = True  # from a user to the next, codes may fall
    if not ascending.all():
        raise InputError("a user's items are not in order")
    return FactorizationMachine(bias, linear, factors), RatingsTable(users, items, indptr, codes, ratings)


def checked_array(arrays: Arrays, name: str, dtype: DTypeLike, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """A model file's array, if it is finite and has this type and shape (None: any length); an InputError if not."""
    array = arrays.get(name)
    if array is None:
        raise InputError(f"the array '{name}' is missing")
    fits = array.ndim == len(shape) and all(b in (a, None) for a, b in zip(array.shape, shape, strict=True))
    if array.dtype != dtype or not fits:
        raise InputError(f"the array '{name}' has type {array.dtype} and shape {array.shape}, not those expected")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"the array '{name}' holds a number that is not finite")
    return array


def _vocabulary(arrays: Arrays, name: str) -> Vocabulary:
    if name in arrays:
        ids = pa.array(checked_array(arrays, name, np.int64, (None,)))
    else:
        ids = pa.array(unpack_strings(arrays, name), type=pa.string())
    if not len(ids) or len(ids.unique()) != len(ids):
        raise InputError(f"the ids of the {name} are missing or not unique")
    return Vocabulary(ids)
