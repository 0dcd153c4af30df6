"""Four floats (or more) at a time, as a type of numba's that is a vector register.

LLVM leaves loops over four lanes scalar where they read one array and write another, which it cannot tell apart: with
them, a field-aware visit of a row of 20 fields takes seven times as long as with these.

Arrays are C-contiguous float32 ones, places in them are counted in quads. Nothing is checked: reading or writing
outside an array is undefined.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from fmkit.machine import NEGLIGIBLE

QUAD = 4
_I32 = ir.IntType(32)
_FAST = ("contract", "reassoc", "nsz", "arcp")


class Lanes(types.Type):
    """A vector of so many floats."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"Lanes({count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Any) -> None:
        super().__init__(manager, lanes, ir.VectorType(ir.FloatType(), lanes.count))


def _spread(builder: Any, x: Any, kind: Any) -> Any:
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), x, _I32(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count))


def _same(kind: Any, x: float) -> Any:
    return ir.Constant(kind, [x] * kind.count)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [builder.mul(place, place.type(QUAD))])


@intrinsic(prefer_literal=True)
def load(typing_context: Any, A: Any, place: Any, lanes: Any) -> Any:
    """The floats from a place of an array on; `lanes` is a literal integer."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    vector = ir.VectorType(ir.FloatType(), lanes.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        value = builder.load(builder.bitcast(pointer, vector.as_pointer()))
        value.align = 4
        return value

    return Lanes(lanes.literal_value)(A, types.intp, lanes), codegen


@intrinsic
def store(typing_context: Any, A: Any, place: Any, v: Any) -> Any:
    """Write a quad to a place of an array."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, value = arguments
        pointer = _pointer(context, builder, signature.args[0], array, at)
        builder.store(value, builder.bitcast(pointer, value.type.as_pointer())).align = 4
        return context.get_dummy_value()

    return types.void(A, types.intp, v), codegen


def _arithmetic(write: Callable[..., Any], result: Any, *kinds: Any) -> Any:
    """An intrinsic's signature and code from a function of the builder and the values."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return write(builder, *arguments)

    return result(*kinds), codegen


@intrinsic
def nothing(typing_context: Any) -> Any:
    """Four zeros."""
    return _arithmetic(lambda builder: _same(ir.VectorType(ir.FloatType(), QUAD), 0.0), Lanes(QUAD))


@intrinsic
def times(typing_context: Any, x: Any, v: Any) -> Any:
    """x v, of a number and a quad."""

    def write(builder: Any, x: Any, v: Any) -> Any:
        return builder.fmul(_spread(builder, x, v.type), v, flags=_FAST)

    return _arithmetic(write, v, types.float32, v)


@intrinsic
def plus(typing_context: Any, u: Any, x: Any, v: Any) -> Any:
    """u + x v, of a number and quads."""

    def write(builder: Any, u: Any, x: Any, v: Any) -> Any:
        return builder.fadd(u, builder.fmul(_spread(builder, x, v.type), v, flags=_FAST), flags=_FAST)

    return _arithmetic(write, u, u, types.float32, v)


@intrinsic
def plus_product(typing_context: Any, a: Any, u: Any, v: Any) -> Any:
    """a + u v, lane by lane."""

    def write(builder: Any, a: Any, u: Any, v: Any) -> Any:
        return builder.fadd(a, builder.fmul(u, v, flags=_FAST), flags=_FAST)

    return _arithmetic(write, a, a, u, v)


@intrinsic
def total(typing_context: Any, v: Any) -> Any:
    """The sum of the lanes."""

    def write(builder: Any, v: Any) -> Any:
        a, b, c, d = (builder.extract_element(v, _I32(i)) for i in range(QUAD))
        half = (builder.fadd(a, c, flags=_FAST), builder.fadd(b, d, flags=_FAST))
        return builder.fadd(*half, flags=_FAST)

    return _arithmetic(write, types.float32, v)


@intrinsic
def kept(typing_context: Any, v: Any) -> Any:
    """The quad with lanes that are too small to matter (`fmkit.machine.NEGLIGIBLE`) set to 0."""

    def write(builder: Any, v: Any) -> Any:
        small = builder.and_(
            builder.fcmp_ordered("<", v, _same(v.type, float(NEGLIGIBLE))),
            builder.fcmp_ordered(">", v, _same(v.type, -float(NEGLIGIBLE))),
        )
        return builder.select(small, _same(v.type, 0.0), v)

    return _arithmetic(write, v, v)


@intrinsic
def per_root(typing_context: Any, x: Any, v: Any) -> Any:
    """x / sqrt(v), of a number and a quad."""

    def write(builder: Any, x: Any, v: Any) -> Any:
        root = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(v.type, [v.type]), f"llvm.sqrt.v{v.type.count}f32"
        )
        return builder.fdiv(_spread(builder, x, v.type), builder.call(root, [v], fastmath=_FAST), flags=_FAST)

    return _arithmetic(write, v, types.float32, v)


@intrinsic
def fetch(typing_context: Any, A: Any, place: Any) -> Any:
    """Have the cache line of a quad brought near, to be written to."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *arguments)
        pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [pointer, _I32(1), _I32(3), _I32(1)])
        return context.get_dummy_value()

    return types.void(A, types.intp), codegen
