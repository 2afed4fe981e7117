"""Elementwise operators."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from sweep.settings import Setting, generator, label, products

SHAPES = [(2, 3, 4), (), (2, 0, 3), (1,), (7,), (1, 2, 3, 2, 2)]


@generator(
    *"Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Cos Cosh Erf Exp Floor HardSwish IsNaN Log Mish Neg Not Reciprocal Relu Round "
    "Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh".split(),
    few=2,
)
def unary(op, version, make):
    attributes = {"consumed_inputs": [0]} if version == 1 and op in LEGACY else {}
    yield Setting(op, "special", [make.special()], attributes, relative_to_largest=False)
    for shape in SHAPES:
        yield Setting(op, f"{shape}", [make(*shape)], attributes, relative_to_largest=False)
    if version >= 7 or op in ("Neg", "Relu"):
        yield Setting(op, "large", [make(3, 20011)], attributes, relative_to_largest=False)


LEGACY = {
    schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.since_version == 1 and "consumed_inputs" in schema.attributes
}

PARAMETERS = {
    "Celu": [{}, {"alpha": 0.3}, {"alpha": 2.5}],
    "Elu": [{}, {"alpha": 0.3}, {"alpha": 0.0}],
    "Gelu": [{}, {"approximate": "tanh"}],
    "HardSigmoid": [{}, {"alpha": 0.5, "beta": 0.1}],
    "IsInf": [{}, {"detect_negative": 0}, {"detect_positive": 0}, {"detect_positive": 0, "detect_negative": 0}],
    "LeakyRelu": [{}, {"alpha": 0.3}, {"alpha": -0.5}],
    "Selu": [{}, {"alpha": 0.5, "gamma": 2.0}],
    "Shrink": [{}, {"bias": 0.5, "lambd": 1.0}],
    "Swish": [{}, {"alpha": 0.5}],
    "ThresholdedRelu": [{}, {"alpha": 0.1}],
}


@generator(*PARAMETERS)
def with_parameters(op, version, make):
    legacy = {"consumed_inputs": [0]} if version == 1 and op in LEGACY else {}
    for attributes in PARAMETERS[op]:
        yield Setting(op, "special " + label(attributes), [make.special()], {**attributes, **legacy}, relative_to_largest=False)
    for shape in SHAPES:
        yield Setting(op, f"{shape}", [make(*shape)], {**PARAMETERS[op][-1], **legacy}, relative_to_largest=False)


PAIRS = [
    ((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3)), ((2, 3), ()), ((), ()), ((2, 1, 4), (5, 1)), ((1,), (2, 0, 3)),
    ((0,), (1, 1)), ((1, 1, 1, 2, 1), (3, 2, 1, 2, 2)), ((4,), (3, 2, 4)),
]  # fmt: skip
BINARY = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": None, "Pow": np.power, "And": np.logical_and, "Or": np.logical_or,
    "Xor": np.logical_xor, "Equal": np.equal, "Greater": np.greater, "Less": np.less,
}  # fmt: skip
PREDICATES = {np.logical_and, np.logical_or, np.logical_xor, np.equal, np.greater, np.less}
ALIGNED = [((2, 3, 4, 5), (3, 4), 1), ((2, 3, 4, 5), (4, 5), None), ((2, 3, 4), (2,), 0), ((2, 3), (), None), ((2, 3, 4), (1,), None), ((2, 3, 4), (3,), -2)]


def aligned(function, axis):
    """The broadcasting of opset 1 to 6: the second operand along the dims from `axis` on."""

    def expect(a, b):
        place = a.ndim - b.ndim if axis is None else axis % a.ndim
        if b.ndim:
            b = b.reshape((1,) * place + b.shape + (1,) * (a.ndim - place - b.ndim)) if b.size != 1 else b.reshape(())
        if function is None:
            quotient = np.trunc(a.astype(np.float64) / b) if a.dtype.kind in "iu" else a / b
            return quotient.astype(a.dtype)
        return np.asarray(function(a, b)).astype(bool if function in PREDICATES else a.dtype)

    return expect


@generator(*BINARY, "BitwiseAnd", "BitwiseOr", "BitwiseXor", "GreaterOrEqual", "LessOrEqual", few=4)
def binary(op, version, make):
    def pair(first, second):
        if op == "Div" and not make.isfloat:
            return [make(*first), make.of(make.dtype)(*second, low=1, high=5)]
        if op == "Pow":
            return [make(*first, low=0, high=3), make(*second, low=0, high=3)]
        return [make(*first), make(*second)]

    if version < 7 and op in BINARY:
        function = BINARY[op]
        for number, (first, second, axis) in enumerate(ALIGNED):
            attributes = {"broadcast": 1} | ({} if axis is None else {"axis": axis})
            yield Setting(op, f"aligned {number}", pair(first, second), attributes, expect=aligned(function, axis))
        for shape in (2, 3, 4), (), (3, 0):
            yield Setting(op, f"{shape}", pair(shape, shape), expect=aligned(function, 0 if shape else None))
        return
    for first, second in PAIRS:
        yield Setting(op, f"{first} {second}", pair(first, second), relative_to_largest=False)
        if len(PAIRS) and first == PAIRS[0][0] and second == PAIRS[0][1] and op not in ("And", "Or", "Xor"):
            special = make.special()
            first, second = special[:, None], special[None, :]
            if op in ("Div", "Pow") and not make.isfloat:
                second = np.array([[1, 2, 3]], make.dtype)
            yield Setting(op, "special", [first, second], relative_to_largest=False)


@generator("Mod", few=4)
def mod(op, version, make):
    for fmod in [1] if make.isfloat else [0, 1]:
        attributes = {"fmod": fmod} if fmod else {}
        for first, second in PAIRS[:6]:
            b = make(*second)
            b = np.where(b == 0, np.ones_like(b), b)
            yield Setting(op, f"{first} {second} {fmod}", [make(*first), b], attributes, relative_to_largest=False)
        if make.dtype.kind in "iu":
            yield Setting(op, f"special {fmod}", [make.special()[:, None], make.special()[None, 1:5]], attributes)
            yield Setting(op, f"negative {fmod}", [make.special()[:, None], make(1, 6, low=-5, high=-1) | 1], attributes)


@generator("BitShift")
def bit_shift(op, version, make):
    for direction in "LEFT", "RIGHT":
        for first, second in PAIRS[:4]:
            yield Setting(op, f"{direction} {first} {second}", [make(*first), np.abs(make(*second))], {"direction": direction})
        top = np.array([[0, 1, 7, make.dtype.itemsize * 8 - 1]], make.dtype)
        yield Setting(op, f"{direction} special", [make.special()[:, None], top], {"direction": direction})


@generator("Max", "Min", "Sum", "Mean")
def variadic(op, version, make):
    attributes = {"consumed_inputs": [0]} if version == 1 else {}
    yield Setting(op, "one", [make(2, 3)], attributes)
    yield Setting(op, "same", [make(2, 3), make(2, 3), make(2, 3)], attributes)
    if version >= 8:
        for shapes in [((2, 3), (3,), (1, 1)), ((), (), ()), ((0, 3), (3,)), ((3, 1), (1, 4), (2, 1, 1), ()), ((1,),) * 9]:
            yield Setting(op, f"{shapes}", [make(*shape) for shape in shapes])
        special = make.special()
        yield Setting(op, "special", [special[:, None], special[None, :]], relative_to_largest=False)


@generator("Where", by=1)
def where(op, version, make):
    for shapes in [((2, 3), (2, 3), (2, 3)), ((3, 1), (1, 4), ()), ((), (2,), (2, 1)), ((0, 1), (3,), ()), ((1,), (2, 0), (1, 1)), ((2, 1, 1), (3, 1), (4,))]:
        yield Setting(op, f"{shapes}", [make.of(bool)(*shapes[0]), make(*shapes[1]), make(*shapes[2])])


@generator("PRelu")
def prelu(op, version, make):
    legacy = {"consumed_inputs": [0]} if version == 1 else {}
    if version < 7:
        for shape in (2, 3), (2, 3, 4), (2, 3, 4, 5):
            for count in 3, 1:
                slope = make(count)
                at = (slice(None),) + (None,) * (len(shape) - 2)
                yield Setting(op, f"{shape} {count}", [make(*shape), slope], legacy, expect=lambda x, s, at=at: np.where(x < 0, x * s[at], x))
        return
    for first, second in [((2, 3, 4), (3, 1)), ((2, 3, 4), (4,)), ((2, 3), (2, 3)), ((2, 3, 4, 5), (3, 1, 1)), ((3,), (1,)), ((0, 3), (3,)), ((2, 3), ())]:
        yield Setting(op, f"{first} {second}", [make(*first), make(*second)], relative_to_largest=False)
    yield Setting(op, "special", [make.special(), make(1)], relative_to_largest=False)


@generator("Clip")
def clip(op, version, make):
    if version < 11:
        for attributes in products(min=[None, -0.5, 2.0], max=[None, 0.75, 1.0]):
            legacy = {"consumed_inputs": [0]} if version == 1 else {}
            low, high = attributes.get("min", -np.inf), attributes.get("max", np.inf)
            expect = lambda x, low=low, high=high: np.minimum(np.maximum(x, np.array(low, x.dtype)), np.array(high, x.dtype))
            yield Setting(op, label(attributes), [make(2, 3, 4)], {**attributes, **legacy}, expect=expect)
        return
    one = lambda number: np.array(number).astype(make.dtype)
    for low, high in [(1, 3), (None, 2), (1, None), (None, None), (3, 1)]:
        limits = [None if low is None else one(low), None if high is None else one(high)]
        yield Setting(op, f"{low} {high}", [make(2, 3, 4), *limits], parameters=(1, 2))
    yield Setting(op, "special", [make.special(), one(0), one(2)], parameters=(1, 2))
    yield Setting(op, "nan limit", [make.special(), one(np.nan) if make.isfloat else one(1), one(2)], parameters=(1, 2))
    yield Setting(op, "short", [make(3, 0)])


@generator("Cast")
def cast(op, version, make):
    targets = [TensorProto.FLOAT, TensorProto.INT64, TensorProto.FLOAT16, TensorProto.BOOL, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.UINT8, TensorProto.INT8]
    targets += [TensorProto.INT16, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64]
    targets += [TensorProto.STRING] if version >= 9 else []
    targets += [TensorProto.BFLOAT16] if version >= 13 else []
    targets += [TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2, TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT8E5M2FNUZ] if version >= 19 else []
    targets += [TensorProto.INT4, TensorProto.UINT4] if version >= 21 else []
    targets += [TensorProto.FLOAT4E2M1] if version >= 23 else []
    for target in targets:
        name = TensorProto.DataType.Name(target)
        to = name if version == 1 else target
        values = make(3, 4)
        if make.dtype == object:
            if target == TensorProto.BOOL:
                continue
            values = np.array([["1", "2"], ["3", "17"]] if target not in (TensorProto.FLOAT, TensorProto.DOUBLE) else [["1.5", "-2e3"], ["inf", "7"]], object)
        elif make.isfloat and "INT" in name:
            values = np.abs(values)
        kind = helper.tensor_dtype_to_np_dtype(target)
        expect = (lambda x, kind=kind: x.astype(kind)) if version < 6 else None
        yield Setting(op, name, [values], {"to": to}, expect=expect, types=[helper.make_tensor_type_proto(target, None)], relative_to_largest=False)
        if make.dtype.kind in "iu" and target != TensorProto.STRING and "FLOAT" not in name:
            yield Setting(op, f"{name} limits", [make.special()], {"to": to}, expect=lambda x, kind=kind: x.astype(kind), types=[helper.make_tensor_type_proto(target, None)])
        if make.isfloat and "FLOAT" in name and version >= 9:
            yield Setting(op, f"{name} special", [make.special()], {"to": to}, relative_to_largest=False)
    yield Setting(op, "empty", [make(2, 0)], {"to": "FLOAT" if version == 1 else 1}, types=[helper.make_tensor_type_proto(1, None)])
    yield Setting(op, "scalar", [make()], {"to": "FLOAT" if version == 1 else 1}, types=[helper.make_tensor_type_proto(1, None)])


@generator("CastLike", few=5)
def cast_like(op, version, make):
    if make.dtype == object:
        return
    for kind in np.float32, np.int64, np.float16, bool, np.uint8:
        values = np.abs(make(2, 3)) if make.isfloat and np.dtype(kind).kind in "iu" else make(2, 3)
        yield Setting(op, np.dtype(kind).name, [values, np.zeros([1], kind)])


@generator("BitCast", only="float32 int32 uint32 float64 int64 float16 bfloat16 uint16 int8 uint8".split())
def bit_cast(op, version, make):
    for kind in np.float32, np.int32, np.uint32, np.float64, np.int64, np.int16, np.float16, np.int8, np.uint8:
        if np.dtype(kind).itemsize == make.dtype.itemsize:
            yield Setting(op, np.dtype(kind).name, [make(2, 3)], {"to": helper.np_dtype_to_tensor_dtype(np.dtype(kind))})
