"""Vectors as values inside compiled loops: sixty-four bytes of numbers, whatever the machine makes of them.

LLVM's automatic vectoriser gives up on loops with calls, gathers or many arrays, and says nothing. Here the
vector is a Numba type with operators, so that a kernel says what is one instruction. A vector has 8 doubles
or 16 singles; processors with narrower registers take it in pieces. A number met by a vector is spread over
its lanes and takes its precision, so one source serves both.
"""

# ruff: noqa: ARG001 - Numba hands every generator the same four arguments

import operator

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import PrimitiveModel, register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

_BYTES = 64
_HAS_COMPRESS = binding.llvm_version_info[0] >= 19


class Vector(types.Type):
    """Sixty-four bytes of float64 or float32."""

    def __init__(self, element):
        self.element = element
        self.lanes = _BYTES // (element.bitwidth // 8)
        super().__init__(name=f"Vector({element} x {self.lanes})")


class Mask(types.Type):
    """One bit a lane."""

    def __init__(self, lanes):
        self.lanes = lanes
        super().__init__(name=f"Mask({lanes})")


def _llvm(vector):
    return ir.VectorType(ir.DoubleType() if vector.element.bitwidth == 64 else ir.FloatType(), vector.lanes)


@register_default(Vector)
class _VectorModel(PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _llvm(fe_type))


@register_default(Mask)
class _MaskModel(PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, ir.VectorType(ir.IntType(1), fe_type.lanes))


def _suffix(vector):
    return f"v{vector.lanes}f{vector.element.bitwidth}"


def _call(builder, name, result, arguments):
    kind = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _spread(builder, vector, value):
    """A scalar of any float or integer type, in every lane."""
    kind = _llvm(vector)
    if isinstance(value.type, ir.IntType):
        value = builder.sitofp(value, kind.element)
    elif isinstance(value.type, ir.DoubleType) and vector.element.bitwidth == 32:
        value = builder.fptrunc(value, kind.element)
    elif isinstance(value.type, ir.FloatType) and vector.element.bitwidth == 64:
        value = builder.fpext(value, kind.element)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), [0] * vector.lanes)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)


def _both(builder, signature_, arguments):
    vector = next(a for a in signature_.args if isinstance(a, Vector))
    return [
        value if isinstance(kind, Vector) else _spread(builder, vector, value)
        for kind, value in zip(signature_.args, arguments, strict=True)
    ]


def _define(symbol, emit, compare=False):
    @infer_global(symbol)
    class _Typing(AbstractTemplate):
        def generic(self, args, kws):
            vectors = [a for a in args if isinstance(a, Vector)]
            if len(args) != 2 or not vectors or kws:
                return None
            if len(vectors) == 2 and vectors[0] != vectors[1]:
                return None
            if not all(isinstance(a, (Vector, types.Float, types.Integer)) for a in args):
                return None
            vector = vectors[0]
            wide = [a if isinstance(a, Vector) else types.float64 for a in args]
            return signature(Mask(vector.lanes) if compare else vector, *wide)

    def lower(context, builder, sig, arguments):
        return emit(builder, *_both(builder, sig, arguments))

    for pattern in ((Vector, Vector), (Vector, types.float64), (types.float64, Vector)):
        lower_builtin(symbol, *pattern)(lower)


# "contract" lets LLVM fuse a product and a sum, as C compilers do; nothing is reordered.
_FLAGS = ("contract", "nsz")
_define(operator.add, lambda b, x, y: b.fadd(x, y, flags=_FLAGS))
_define(operator.iadd, lambda b, x, y: b.fadd(x, y, flags=_FLAGS))
_define(operator.sub, lambda b, x, y: b.fsub(x, y, flags=_FLAGS))
_define(operator.isub, lambda b, x, y: b.fsub(x, y, flags=_FLAGS))
_define(operator.mul, lambda b, x, y: b.fmul(x, y, flags=_FLAGS))
_define(operator.imul, lambda b, x, y: b.fmul(x, y, flags=_FLAGS))
_define(operator.truediv, lambda b, x, y: b.fdiv(x, y, flags=_FLAGS))
_define(operator.lt, lambda b, x, y: b.fcmp_ordered("<", x, y), compare=True)
_define(operator.gt, lambda b, x, y: b.fcmp_ordered(">", x, y), compare=True)
_define(operator.ge, lambda b, x, y: b.fcmp_ordered(">=", x, y), compare=True)


def _address(context, builder, array, value, index):
    data = context.make_array(array)(context, builder, value).data
    return builder.gep(data, [index])


def _numeric(array):
    return isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"


@intrinsic
def load(typing, array, index):
    """Vector of array[index:index + lanes]; `array` is contiguous, `index` not negative."""
    if not (_numeric(array) and isinstance(index, types.Integer)):
        return None
    vector = Vector(array.dtype)

    def generate(context, builder, sig, arguments):
        pointer = _address(context, builder, sig.args[0], *arguments)
        pointer = builder.bitcast(pointer, _llvm(vector).as_pointer())
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return vector(array, types.intp), generate


@intrinsic
def store(typing, array, index, value):
    """array[index:index + lanes] = value."""
    if not (_numeric(array) and isinstance(value, Vector)):
        return None

    def generate(context, builder, sig, arguments):
        pointer = _address(context, builder, sig.args[0], *arguments[:2])
        pointer = builder.bitcast(pointer, _llvm(value).as_pointer())
        builder.store(arguments[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def spread(typing, array, number):
    """`number` in every lane of a vector of the array's precision."""
    vector = Vector(array.dtype)

    def generate(context, builder, sig, arguments):
        return _spread(builder, vector, arguments[1])

    return vector(array, types.float64), generate


@intrinsic
def lanes(typing, array):
    """Lanes of a vector of the array's precision: a constant."""
    count = Vector(array.dtype).lanes

    def generate(context, builder, sig, arguments):
        return context.get_constant(types.intp, count)

    return types.intp(array), generate


@intrinsic
def width(typing, value):
    """Lanes of a vector: a constant, so branches on it vanish."""

    def generate(context, builder, sig, arguments):
        return context.get_constant(types.intp, value.lanes)

    return types.intp(value), generate


def _unary(name):
    @intrinsic
    def function(typing, value):
        if not isinstance(value, Vector):
            return None

        def generate(context, builder, sig, arguments):
            return _call(builder, f"llvm.{name}.{_suffix(value)}", _llvm(value), list(arguments))

        return value(value), generate

    return function


sqrt = _unary("sqrt")
floor = _unary("floor")
absolute = _unary("fabs")


@intrinsic
def maximum(typing, value, number):
    """Lane by lane the larger of a vector and a number or vector."""

    def generate(context, builder, sig, arguments):
        a, b = _both(builder, sig, arguments)
        return builder.select(builder.fcmp_ordered(">", a, b), a, b)

    other = number if isinstance(number, Vector) else types.float64
    return value(value, other), generate


@intrinsic
def minimum(typing, value, number):
    """Lane by lane the smaller of a vector and a number or vector."""

    def generate(context, builder, sig, arguments):
        a, b = _both(builder, sig, arguments)
        return builder.select(builder.fcmp_ordered("<", a, b), a, b)

    other = number if isinstance(number, Vector) else types.float64
    return value(value, other), generate


@intrinsic
def select(typing, mask, yes, no):
    """The value `yes` where the mask is set, else `no`; one of them may be a number."""
    vector = yes if isinstance(yes, Vector) else no

    def generate(context, builder, sig, arguments):
        values = [
            v if isinstance(k, Vector) else _spread(builder, vector, v)
            for k, v in zip(sig.args[1:], arguments[1:], strict=True)
        ]
        return builder.select(arguments[0], *values)

    kinds = [k if isinstance(k, Vector) else types.float64 for k in (yes, no)]
    return vector(mask, *kinds), generate


@intrinsic
def both(typing, one, other):
    """Lanes set in two masks."""

    def generate(context, builder, sig, arguments):
        return builder.and_(*arguments)

    return one(one, other), generate


@intrinsic
def last_lanes(typing, array, first):
    """Mask of the lanes from number `first` on."""
    mask = Mask(Vector(array.dtype).lanes)

    def generate(context, builder, sig, arguments):
        kind = ir.VectorType(ir.IntType(32), mask.lanes)
        start = builder.trunc(arguments[1], ir.IntType(32))
        one = builder.insert_element(ir.Constant(kind, ir.Undefined), start, ir.IntType(32)(0))
        zeros = ir.Constant(kind, [0] * mask.lanes)
        start = builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)
        return builder.icmp_signed(">=", ir.Constant(kind, list(range(mask.lanes))), start)

    return mask(array, types.intp), generate


@intrinsic
def total(typing, value):
    """Sum over the lanes, in double."""

    def generate(context, builder, sig, arguments):
        wide = ir.VectorType(ir.DoubleType(), value.lanes)
        v = arguments[0] if value.element.bitwidth == 64 else builder.fpext(arguments[0], wide)
        count = value.lanes
        while count > 1:  # halves, so that the order of the sum is written down here
            count //= 2
            index = ir.VectorType(ir.IntType(32), count)
            nothing = ir.Constant(v.type, ir.Undefined)
            low = builder.shuffle_vector(v, nothing, ir.Constant(index, list(range(count))))
            high = builder.shuffle_vector(v, nothing, ir.Constant(index, list(range(count, 2 * count))))
            v = builder.fadd(low, high)
        return builder.extract_element(v, ir.IntType(32)(0))

    return types.float64(value), generate


@intrinsic
def scale_by_power(typing, value, shifted):
    """Product value · 2^k, where `shifted` is k + 1.5 · 2^(mantissa bits): k stands in its lowest bits."""

    def generate(context, builder, sig, arguments):
        bits = value.element.bitwidth
        whole = ir.VectorType(ir.IntType(bits), value.lanes)
        mantissa = ir.Constant(whole, [52 if bits == 64 else 23] * value.lanes)
        exponent = builder.shl(builder.bitcast(arguments[1], whole), mantissa)
        return builder.bitcast(builder.add(builder.bitcast(arguments[0], whole), exponent), _llvm(value))

    return value(value, value), generate


@intrinsic
def split_power(typing, value):
    """Mantissa in [√½, √2) and exponent of positive numbers: value = mantissa · 2^exponent."""

    def generate(context, builder, sig, arguments):
        bits = value.element.bitwidth
        shift, bias = (52, 0x3FE6A09E667F3BCD) if bits == 64 else (23, 0x3F3504F3)
        whole = ir.VectorType(ir.IntType(bits), value.lanes)

        def constant(number):
            return ir.Constant(whole, [number] * value.lanes)

        raw = builder.bitcast(arguments[0], whole)
        k = builder.ashr(builder.sub(raw, constant(bias)), constant(shift))
        mantissa = builder.bitcast(builder.sub(raw, builder.shl(k, constant(shift))), _llvm(value))
        return context.make_tuple(builder, sig.return_type, [mantissa, builder.sitofp(k, _llvm(value))])

    return types.UniTuple(value, 2)(value), generate


def _bits(builder, mask, lanes_):
    return builder.zext(builder.bitcast(mask, ir.IntType(lanes_)), ir.IntType(64))


@intrinsic
def to_bits(typing, mask):
    """Mask as an integer, lane 0 in the lowest bit."""

    def generate(context, builder, sig, arguments):
        return _bits(builder, arguments[0], mask.lanes)

    return types.int64(mask), generate


@intrinsic
def from_bits(typing, array, bits):
    """Inverse of `to_bits`, for vectors of the array's precision."""
    mask = Mask(Vector(array.dtype).lanes)

    def generate(context, builder, sig, arguments):
        narrow = builder.trunc(arguments[1], ir.IntType(mask.lanes))
        return builder.bitcast(narrow, ir.VectorType(ir.IntType(1), mask.lanes))

    return mask(array, types.int64), generate


@intrinsic
def count(typing, mask):
    """Number of lanes set."""

    def generate(context, builder, sig, arguments):
        return _call(builder, "llvm.ctpop.i64", ir.IntType(64), [_bits(builder, arguments[0], mask.lanes)])

    return types.intp(mask), generate


@intrinsic
def pack_store(typing, array, index, value, mask):
    """Lanes set, one behind the other from array[index]; what follows is overwritten, a vector in all."""

    def generate(context, builder, sig, arguments):
        base, start, v, m = arguments
        pointer = _address(context, builder, sig.args[0], base, start)
        kind = _llvm(value)
        if _HAS_COMPRESS:
            nothing = ir.Constant(kind, ir.Undefined)
            v = _call(builder, f"llvm.experimental.vector.compress.{_suffix(value)}", kind, [v, m, nothing])
            wide = builder.bitcast(pointer, kind.as_pointer())
            builder.store(v, wide, align=array.dtype.bitwidth // 8)
        else:
            position = ir.IntType(64)(0)
            for lane in range(value.lanes):
                one = ir.IntType(32)(lane)
                builder.store(builder.extract_element(v, one), builder.gep(pointer, [position]))
                bit = builder.zext(builder.extract_element(m, one), ir.IntType(64))
                position = builder.add(position, bit)
        return context.get_dummy_value()

    return types.void(array, types.intp, value, mask), generate


@intrinsic
def unpack_load(typing, array, index, mask):
    """Inverse of `pack_store`: numbers from array[index] on go to the lanes set, zero to the others."""
    vector = Vector(array.dtype)

    def generate(context, builder, sig, arguments):
        base, start, m = arguments
        pointer = _address(context, builder, sig.args[0], base, start)
        kind = _llvm(vector)
        zeros = ir.Constant(kind, [0.0] * vector.lanes)
        return _call(builder, f"llvm.masked.expandload.{_suffix(vector)}", kind, [pointer, m, zeros])

    return vector(array, types.intp, mask), generate
