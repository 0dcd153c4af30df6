"""A recommender in a model file: what it holds, and the checks that let a damaged or hostile file do no harm.

Beside the model it holds the vocabularies, what is known of users and items, and the interactions: a loaded recommender
needs no other file to leave out what was seen, to give reasons, and to go on.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from fmkit.errors import InputError
from fmkit.estimators import FMRanker
from fmkit.modelfile import pack_strings, unpack_strings
from fmkit.ranking.lifts import Lifts
from fmkit.ranking.saved import pack_table, unpack_table
from fmkit.recommend.entities import Entities, feature_of_columns
from fmkit.recommend.interactions import Columns, Interactions
from fmkit.recommend.model import Model
from fmkit.recommend.ranking_model import RankingModel
from fmkit.recommend.rating_design import known_of, pairs_of
from fmkit.recommend.rating_model import RatingModel
from fmkit.recommend.rating_side import OWN, RatingSide
from fmkit.recommend.scale import Scale
from fmkit.recommend.vocabulary import Vocabulary
from fmkit.tables import TableEncoder

Arrays = dict[str, NDArray[Any]]

SIDES = ("users", "items")
SCALARS = ("bias", "noise")
LIFTS = ("columns", "items", "weights")
SHARED = ("members", "precision", "centre", "unmet")  # of a side


def pack(recommender: Any) -> tuple[dict[str, Any], Arrays]:
    """Facts and arrays of a fitted Recommender."""
    parameters = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in recommender.get_params(deep=False).items()
        if name != "verbose"
    }
    parameters["model"] = "auto"  # what became of it is what counts
    schema = parameters["schema"]
    schema = schema and {name: list(kind) if isinstance(kind, tuple) else kind for name, kind in schema.items()}
    facts = {
        "parameters": {**parameters, "schema": schema},
        "fitted": recommender.fitted_,
        "feedback": recommender.feedback_,
        "told": recommender.told_,
        "columns": pack_columns(recommender.columns_),
        "context_encoder": None,
    }
    arrays = prefixed(pack_interactions(recommender.interactions_), "interactions.")
    for name in SIDES:
        facts[name], held = pack_entities(getattr(recommender, f"{name}_"), name)
        arrays |= held
    if recommender.context_encoder_ is not None:
        facts["context_encoder"], held = recommender.context_encoder_._to_file()
        arrays |= prefixed(held, "context_encoder.")
    facts["model"], held = pack_model(recommender.model_)
    return facts, arrays | held


def unpack_parameters(facts: dict[str, Any]) -> dict[str, Any]:
    """What the constructor is given."""
    schema = facts["parameters"]["schema"]
    schema = schema and {name: tuple(kind) if isinstance(kind, list) else kind for name, kind in schema.items()}
    return {**facts["parameters"], "schema": schema}


def unpack_into(recommender: Any, facts: dict[str, Any], arrays: Arrays) -> None:
    """What a fit leaves, into a Recommender that has its parameters."""
    recommender.feedback_, recommender.told_ = facts["feedback"], [str(told) for told in facts["told"]]
    recommender.fitted_, recommender.columns_ = dict(facts["fitted"]), unpack_columns(facts["columns"])
    users, items = (unpack_entities(facts[name], arrays, name) for name in SIDES)
    came = unpack_interactions(under(arrays, "interactions."), users.ids, items.ids)
    recommender.users_, recommender.items_, recommender.interactions_ = users, items, came
    encoder = None
    if facts["context_encoder"] is not None:
        encoder = TableEncoder._from_file(facts["context_encoder"], under(arrays, "context_encoder."))
    recommender.context_encoder_ = encoder
    n_context = len(feature_of_columns(encoder))
    recommender.model_ = unpack_model(facts["model"], arrays, users, items, came, n_context)


def pack_columns(columns: Columns) -> dict[str, Any]:
    """The names of the columns of interactions."""
    return asdict(columns)


def unpack_columns(facts: dict[str, Any]) -> Columns:
    """The reverse."""
    names = {name: facts[name] for name in ("user", "item", "rating", "weight", "time")}
    context = tuple(facts["context"])
    if not all(isinstance(name, str | None) for name in names.values()) or not all(isinstance(c, str) for c in context):
        raise ValueError("its columns have names that are none")
    return Columns(**names, context=context)


def pack_entities(entities: Entities, name: str) -> tuple[dict[str, Any], Arrays]:
    """Ids, features, what made them, and the table."""
    facts: dict[str, Any] = {"id_column": entities.id_column, "n_replaced": entities.n_replaced, "encoder": None}
    arrays = pack_table(entities.features, f"{name}.features")
    if pa.types.is_integer(entities.ids.ids.type):
        arrays[f"{name}.ids"] = entities.ids.ids.to_numpy()
    else:
        arrays |= pack_strings(entities.ids.ids.to_pylist(), f"{name}.ids")
    if entities.encoder is not None:
        facts["encoder"], held = entities.encoder._to_file()
        arrays |= prefixed(held, f"{name}.encoder.")
    if entities.table is not None:
        arrays[f"{name}.table"] = _bytes(entities.table)
    return facts, arrays


def unpack_entities(facts: dict[str, Any], arrays: Arrays, name: str) -> Entities:
    """The reverse."""
    if f"{name}.ids" in arrays:
        ids = pa.array(checked_array(arrays, f"{name}.ids", np.int64, (None,)))
    else:
        ids = pa.array(unpack_strings(arrays, f"{name}.ids"), type=pa.string())
    if len(ids.unique()) != len(ids):
        raise InputError(f"the ids of the {name} are not unique")
    encoder, n_features = None, 0
    if facts["encoder"] is not None:
        encoder = TableEncoder._from_file(facts["encoder"], under(arrays, f"{name}.encoder."))
        n_features = sum(feature.n_columns for feature in encoder.features_)
    features = unpack_table(arrays, f"{name}.features", n_features)
    table = _table(arrays[f"{name}.table"], name) if f"{name}.table" in arrays else None
    if features.shape[0] != len(ids) or (table is not None and len(table) != len(ids)):
        raise InputError(f"the features of the {name} are not of their ids")
    return Entities(Vocabulary(ids), features, encoder, facts["id_column"], table, int(facts["n_replaced"]))


def pack_interactions(came: Interactions) -> Arrays:
    """Codes and what the rows have."""
    arrays: Arrays = {"user_codes": came.user_codes, "item_codes": came.item_codes}
    for name in ("ratings", "weights", "times"):
        if getattr(came, name) is not None:
            arrays[name] = getattr(came, name)
    if came.context is not None:
        arrays["context"] = _bytes(came.context)
    return arrays


def unpack_interactions(arrays: Arrays, users: Vocabulary, items: Vocabulary) -> Interactions:
    """The reverse."""
    codes = []
    for name, vocabulary in (("user_codes", users), ("item_codes", items)):
        column = checked_array(arrays, name, np.int32, (None,))
        if not len(column) or column.min() < 0 or column.max() >= len(vocabulary):
            raise InputError(f"an interaction names {name.removesuffix('_codes')}s that do not exist")
        codes.append(column)
    n = len(codes[0])
    ratings, weights = (
        checked_array(arrays, name, np.float32, (n,)) if name in arrays else None for name in ("ratings", "weights")
    )
    times = arrays.get("times")
    if times is not None and (times.dtype != np.float64 or times.shape != (n,)):
        raise InputError("its times are not those of its interactions")
    context = _table(arrays["context"], "context") if "context" in arrays else None
    if len(codes[1]) != n or (context is not None and len(context) != n):
        raise InputError("the columns of its interactions are not of one length")
    return Interactions(users, items, codes[0], codes[1], ratings, weights, times, context)


def pack_model(model: Model) -> tuple[dict[str, Any], Arrays]:
    """The model; what users and items have met and their features stand elsewhere."""
    if isinstance(model, RankingModel):
        facts, arrays = model.ranker._to_file()
        arrays = prefixed(arrays, "ranker.")
        if model.lifts is not None:
            arrays |= {f"lifts.{name}": getattr(model.lifts, name) for name in LIFTS}
        return {"ranker": facts, "n_features": model.n_features}, arrays
    assert isinstance(model, RatingModel)
    arrays = {"model.context": model.context, "model.usual": model.usual}
    arrays |= {f"model.{name}": getattr(model.scale, name) for name in ("classes", "cutpoints")}
    facts = {name: float(getattr(model, name)) for name in SCALARS}
    facts |= {name: float(getattr(model.scale, name)) for name in ("lowest", "highest")}
    for name in SIDES:
        side = getattr(model, name)
        arrays |= {f"model.{name}.{part}": getattr(side, part) for part in (*OWN, *SHARED)}
        facts[f"{name}_shape"], facts[f"{name}_variance"] = float(side.noise_shape), float(side.variance)
    return facts, arrays


def unpack_model(
    facts: dict[str, Any], arrays: Arrays, users: Entities, items: Entities, came: Interactions, n_context: int
) -> Model:
    """The reverse."""
    if "ranker" in facts:
        ranker = FMRanker._from_file(facts["ranker"], under(arrays, "ranker."))
        pairs, n_features = ranker.ranking_.pairs, int(facts["n_features"])
        if (pairs.n_queries, pairs.n_items) != (len(users), len(items)) or n_features != users.features.shape[1]:
            raise InputError("its ranker is not one of its users and items")
        return RankingModel(ranker, n_features, _lifts(under(arrays, "lifts."), len(items), n_context))
    usual = checked_array(arrays, "model.usual", np.float32, (None,))
    d = len(usual) - 1
    context = checked_array(arrays, "model.context", np.float32, (n_context, d + 1))
    pairs_met = pairs_of(came.user_codes, came.item_codes, len(users), len(items))
    sides = []
    for name, entities, met in (("users", users, pairs_met), ("items", items, pairs_met.T.tocsr())):
        n, n_features = len(entities), entities.features.shape[1]
        held = {part: arrays.get(f"model.{name}.{part}") for part in (*OWN, *SHARED)}
        k = held["var_vectors"].shape[1] if held["var_vectors"] is not None and held["var_vectors"].ndim == 2 else 0
        shapes = {"vectors": (n, d), "weights": (n,), "var_vectors": (n, k), "covariance": (n, k), "var_weights": (n,)}
        shapes |= {
            "noise": (n,),
            "members": (None, d + 1),
            "precision": (d + 1,),
            "centre": (d + 1,),
            "unmet": (d + 1,),
        }
        parts = {p: checked_array(arrays, f"model.{name}.{p}", np.float32, shape) for p, shape in shapes.items()}
        n_members = len(parts["members"])
        if n_members not in (n_features, n_features + met.shape[1]):
            raise InputError(f"the {name} have {n_members} columns, which are neither features nor partners")
        rows = entities.features if n_members == n_features else known_of(entities, met)
        shape, variance = float(facts[f"{name}_shape"]), float(facts[f"{name}_variance"])
        sides.append(RatingSide(**parts, rows=rows, noise_shape=shape, variance=variance))
    scalars = {name: float(facts[name]) for name in SCALARS}
    classes, cutpoints = (
        checked_array(arrays, f"model.{name}", np.float64, (None,)) for name in ("classes", "cutpoints")
    )
    if len(cutpoints) != max(len(classes) - 1, 0) or (np.diff(cutpoints) < 0).any():
        raise InputError("its cutpoints do not part its classes")
    scale = Scale(float(facts["lowest"]), float(facts["highest"]), classes, cutpoints)
    of_sides = [value for side in sides for value in (side.noise_shape, side.variance)]
    finite = np.isfinite([scale.lowest, scale.highest, *scalars.values(), *of_sides]).all()
    if not finite or scalars["noise"] <= 0 or min(of_sides) < 0:
        raise InputError("its bias, noise or range of ratings are not finite")
    k = {side.var_vectors.shape[1] for side in sides}
    if len(k) > 1 or max(k) > d:  # they are multiplied with each other
        raise InputError("its variances of users and of items are of different lengths")
    return RatingModel(users=sides[0], items=sides[1], context=context, usual=usual, scale=scale, **scalars)


def _lifts(arrays: Arrays, n_items: int, n_context: int) -> Lifts | None:
    if "items" not in arrays:
        return None
    columns = checked_array(arrays, "columns", np.float32, (n_context, None))
    items = checked_array(arrays, "items", np.float32, (n_items, columns.shape[1]))
    return Lifts(columns, items, checked_array(arrays, "weights", np.float32, (None,)))


def prefixed(arrays: Arrays, name: str) -> Arrays:
    """The same arrays with a name before theirs."""
    return {name + key: array for key, array in arrays.items()}


def under(arrays: Arrays, name: str) -> Arrays:
    """The reverse: those that begin with a name, without it."""
    return {key.removeprefix(name): array for key, array in arrays.items() if key.startswith(name)}


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


def _bytes(table: pa.Table) -> NDArray[np.uint8]:
    for j, column in enumerate(table.columns):
        if pa.types.is_dictionary(column.type):  # which may hold what no row has: values of users who were forgotten
            values = column.cast(column.type.value_type).combine_chunks()
            table = table.set_column(j, table.column_names[j], values.dictionary_encode())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return np.frombuffer(sink.getvalue(), np.uint8)


def _table(content: NDArray[Any], name: str) -> pa.Table:
    try:
        table = pa.ipc.open_stream(pa.py_buffer(content.tobytes())).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"its table of {name} cannot be read: {error}") from None
    return table
