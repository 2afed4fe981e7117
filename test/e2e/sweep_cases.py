"""The settings that run_sweep.py goes through: what an operator is called with, for every operator, version and type.

A generator is a function of the version of the schema and of a maker of arrays; it yields settings. The types of the schema's first
input (or of the one that `by` says) are gone through: the usual one with all settings, each other one with the first few.
"""

import dataclasses
import itertools
import re
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper

GENERATORS = {}
FEW = 3  # settings for a type that is not the usual one


@dataclasses.dataclass
class Setting:
    """One node: its inputs (arrays, lists of them for sequences, None for what is left out) and attributes."""

    op: str
    label: str
    inputs: list
    attributes: dict = dataclasses.field(default_factory=dict)
    outputs: tuple = (True,)  # which are asked for
    parameters: tuple = ()  # the inputs that are usually initializers
    expect: object = None  # the values of the outputs as a function of the inputs, where no evaluator knows the version
    types: list = None  # of the outputs, where inference does not tell
    random: bool = False  # only type and shape of the results are defined
    slack: float = 1.0  # times the usual tolerance
    relative_to_largest: bool = True
    trust: tuple = ("runtime", "reference")  # who of them knows this
    domain: str = ""
    opset: int = 0


class Make:
    """Arrays of one type with reproducible elements."""

    def __init__(self, dtype, random):
        self.dtype, self.random = np.dtype(dtype), random

    @property
    def isfloat(self):
        return self.dtype.kind == "f" or self.dtype.name.startswith(("bfloat", "float"))

    def __call__(self, *shape, low=None, high=None):
        if self.dtype == object:
            return self.random.choice(np.array(["", "a", "b c", "Ü", "0.5"], object), shape)
        if self.dtype == bool:
            return self.random.random(shape) < 0.5
        if self.isfloat:
            values = self.random.standard_normal(shape) if low is None else self.random.uniform(low, high, shape)
            return np.asarray(values).astype(self.dtype)
        if self.dtype.kind == "c":
            return np.asarray(self.random.standard_normal(shape) + 1j * self.random.standard_normal(shape)).astype(self.dtype)
        least = 0 if self.dtype.kind == "u" or self.dtype.name.startswith("uint") else -7
        low, high = max(least, -7 if low is None else low), 7 if high is None else high
        if self.dtype.name in ("int2", "uint2"):
            low, high = (0, 3) if least == 0 else (-2, 1)
        return np.asarray(self.random.integers(low, high, shape, endpoint=True)).astype(self.dtype)

    def of(self, dtype):
        return Make(dtype, self.random)

    def special(self):
        """The values at which functions and comparisons behave in special ways."""
        if self.isfloat:
            values = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.7, 1e-40, -1e-7, 30.0, -30.0, 100.0, -100.0, 1e30, np.inf, -np.inf, np.nan]
            with np.errstate(all="ignore"):
                return np.array(values).astype(self.dtype)
        if self.dtype.kind in "iu":
            limits = np.iinfo(self.dtype)
            return np.array([0, 1, 2, 3, 7, limits.max, limits.min, limits.max - 1, limits.min + 1, limits.max // 2], self.dtype)
        return self(20)


def ints(*numbers):
    return np.array(numbers, np.int64)


def generator(*names, by=0, few=FEW, domain="", only=None):
    """Registers a generator; it gets the name too where it serves several."""

    def register(function):
        for name in names:
            GENERATORS[domain, name] = (function, by, few, only)
        return function

    return register


def array_type(text):
    """The numpy type of a type of a schema, or None."""
    found = re.fullmatch(r"tensor\((\w+)\)", text)
    if not found:
        return None
    name = found[1].upper()
    return np.dtype(helper.tensor_dtype_to_np_dtype(getattr(TensorProto, name)))


def types_of(schema, position):
    """The types that an input takes, the usual one first; not complex numbers, which are no element types of a product."""
    if position >= len(schema.inputs):
        return [np.dtype(np.float32)]
    kinds = [kind for kind in map(array_type, sorted(schema.inputs[position].types)) if kind is not None and kind.kind != "c"]
    usual = next((kind for kind in (np.float32, np.int64, bool) if np.dtype(kind) in kinds), kinds[0] if kinds else np.float32)
    return sorted(kinds, key=lambda kind: kind != usual)


def all_cases(pattern=""):
    """(name, setting) of everything whose name matches."""
    wanted = re.compile(pattern)
    schemas = sorted(onnx.defs.get_all_schemas_with_history(), key=lambda schema: (schema.domain, schema.name, schema.since_version))
    for schema in schemas:
        entry = GENERATORS.get((schema.domain, schema.name))
        if entry is None or schema.domain not in ("", "ai.onnx.ml"):
            continue
        function, by, few, only = entry
        version = schema.since_version
        for place, dtype in enumerate(types_of(schema, by)):
            if only and dtype.name not in only:
                continue
            random = np.random.default_rng(zlib.crc32(f"{schema.name} {version} {dtype.name}".encode()))
            settings = function(schema.name, version, Make(dtype, random))
            for number, setting in enumerate(itertools.islice(settings, None if place == 0 else few)):
                setting.domain, setting.opset = schema.domain, version
                if is_mistaken(schema.name, version, dtype):
                    setting.trust = ("runtime",)
                name = f"{schema.name}-{version} {'string' if dtype == object else dtype.name} {number} {setting.label}"
                if wanted.search(name):
                    yield name, setting


def is_mistaken(op, version, dtype):
    """Whether ONNX's reference evaluator has it wrong, as the texts of the standard have it."""
    return (
        op == "GridSample"
        and dtype.kind != "f"  # computes positions in the type of the image
        or op in ("Softmax", "LogSoftmax", "Hardmax")
        and version < 13  # does not flatten
        or op in ("RNN", "GRU", "LSTM")  # knows neither lengths nor other activations
        or op == "StringNormalizer"  # takes accents off
        or op == "GlobalMaxPool"  # 5-D
        or op == "AffineGrid"
        and dtype.name == "bfloat16"  # gives float32
        or op == "ReduceSumSquare"
        and version < 18
        and dtype.kind in "iu"  # gives 64 bits
    )


def missing():
    """The operators that no generator knows."""
    names = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas_with_history()}
    return sorted(name for domain, name in names if domain in ("", "ai.onnx.ml") and (domain, name) not in GENERATORS)


def kinds(*dtypes):
    """Types of outputs, where inference does not tell them."""
    return [helper.make_tensor_type_proto(TensorProto.STRING if dtype is str else helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None) for dtype in dtypes]


def label(attributes):
    return ",".join(f"{key}={value}".replace(" ", "") for key, value in attributes.items())


def products(**choices):
    """Dictionaries of all combinations; None leaves a key out."""
    for values in itertools.product(*choices.values()):
        yield {key: value for key, value in zip(choices, values) if value is not None}


# --- Elementwise ----------------------------------------------------------------------------------------------------------------------

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


# --- Reductions -----------------------------------------------------------------------------------------------------------------------


@generator(*"ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare".split(), few=4)
def reduction(op, version, make):
    as_input = version >= 18 or op == "ReduceSum" and version >= 13
    settings = [((2, 3, 4), [1], 1), ((2, 3, 4), None, 0), ((2, 3, 4), [0, 2], 0), ((3,), [0], 0), ((2, 3, 4, 5), [1, 2], 1), ((), None, 1)]
    settings += [((2, 3, 0), [1], 1), ((5, 1, 3), [1], 0), ((2, 3, 2, 2, 3), [0, 3], 0), ((2, 37, 5), [1], 0), ((4, 1000), [1], 1)]
    if version >= 11:
        settings += [((2, 3, 4), [-1], 1), ((2, 3, 4), [-2, 0], 0)]
    if op in ("ReduceSum", "ReduceProd", "ReduceL1", "ReduceSumSquare", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp") or version >= 20:
        settings += [((2, 0, 4), [1], 1), ((2, 0, 4), None, 0), ((0,), [0], 0)]
    for shape, axes, keep in settings:
        x = make(*shape, low=1, high=3) if op in ("ReduceLogSum", "ReduceProd") else make(*shape)
        for attributes in [{}, {"keepdims": 0}] if keep is None else [{} if keep else {"keepdims": 0}]:
            if as_input:
                yield Setting(op, f"{shape} {axes} {keep}", [x, None if axes is None else ints(*axes)], attributes, parameters=(1,))
            else:
                yield Setting(op, f"{shape} {axes} {keep}", [x], attributes | ({} if axes is None else {"axes": axes}))
    if as_input:
        for noop in 0, 1:
            yield Setting(op, f"no axes noop={noop}", [make(2, 3, low=1, high=3), None], {"noop_with_empty_axes": noop})
            yield Setting(op, f"empty axes noop={noop}", [make(2, 3, low=1, high=3), ints()], {"noop_with_empty_axes": noop}, parameters=(1,))
    if make.isfloat:
        special = make.special()
        yield Setting(op, "special", [np.stack([special, special[::-1]])], {} if as_input else {"axes": [0]}, relative_to_largest=False)
    if op in ("ReduceMax", "ReduceMin") and not as_input:
        yield Setting(op, "limits", [make.special()])


@generator("ArgMax", "ArgMin")
def arg(op, version, make):
    for shape, axis in [((2, 3, 4), 1), ((2, 3, 4), 0), ((5,), 0), ((3, 1), 1), ((2, 0, 3), 2), ((2, 3, 4, 2), 2), ((3, 300), 1)]:
        for attributes in products(keepdims=[None, 0], select_last_index=[None, 1] if version >= 12 else [None]):
            yield Setting(op, f"{shape} {axis} {label(attributes)}", [make(*shape)], {"axis": axis, **attributes})
    if version >= 11:
        yield Setting(op, "negative", [make(2, 3, 4)], {"axis": -1})
    yield Setting(op, "default", [make(2, 3, 4)])
    if make.isfloat:
        yield Setting(op, "infinite", [np.array([[-np.inf, np.inf, 1, np.inf]], make.dtype)], {"axis": 1})


@generator("Softmax", "LogSoftmax", "Hardmax")
def softmax(op, version, make):
    for shape in (2, 3, 4), (5,), (2, 3), (1, 2, 3, 4), (3, 0), (2, 1000):
        if len(shape) > 1:
            yield Setting(op, f"{shape}", [make(*shape)])
        for axis in range(-len(shape) if version >= 11 else 0, len(shape)):
            yield Setting(op, f"{shape} {axis}", [make(*shape)], {"axis": axis})
    yield Setting(op, "large", [np.array([[1e4, -1e4, 1e4 - 1], [-1e4, -1e4, -1e4]]).astype(make.dtype)])
    yield Setting(op, "infinite", [np.array([[0, -np.inf, 1], [-np.inf, -5, -np.inf]]).astype(make.dtype)])


@generator("CumSum", "CumProd")
def cumulative(op, version, make):
    for shape, axis in [((2, 3, 4), 1), ((5,), 0), ((2, 3), -1), ((2, 0), 1), ((3, 4, 2), 0), ((2, 300), 1)]:
        for attributes in products(exclusive=[None, 1], reverse=[None, 1]):
            index = np.array(axis, np.int32 if axis == 1 else np.int64)
            yield Setting(op, f"{shape} {axis} {label(attributes)}", [make(*shape), index], attributes, parameters=(1,), slack=10)


@generator("TopK")
def top_k(op, version, make):
    for shape, k, axis in [((3, 5), 2, None), ((2, 7, 3), 3, 1), ((4,), 4, 0), ((2, 5), 1, -1), ((2, 5), 0, 1), ((2, 100), 17, 1), ((0, 5), 2, 1)]:
        attributes = {} if axis is None else {"axis": axis}
        if version == 1:
            yield Setting(op, f"{shape} {k} {axis}", [make(*shape)], {**attributes, "k": k}, (True, True), types=kinds(make.dtype, np.int64))
            continue
        for order in products(largest=[None, 0], sorted=[None]) if version >= 11 else [{}]:
            yield Setting(op, f"{shape} {k} {axis} {label(order)}", [make(*shape), ints(k)], {**attributes, **order}, (True, True), (1,), types=kinds(make.dtype, np.int64))
    if version >= 11:
        yield Setting(op, "unsorted", [make(2, 5), ints(5)], {"sorted": 0}, (True, False), (1,), random=True)
        yield Setting(op, "special", [make.special()[:-1], ints(5)], {}, (True, True), (1,))


# --- Layout ---------------------------------------------------------------------------------------------------------------------------


@generator("Identity", "Flatten", "Shape", "Size", "NonZero", "EyeLike", "Transpose", "RandomNormalLike", "RandomUniformLike", "Bernoulli", few=4)
def whole(op, version, make):
    shapes = [(2, 3)] if op == "EyeLike" else SHAPES
    choices = {
        "Flatten": [{}, {"axis": 0}, {"axis": 1}] + ([{"axis": -1}] if version >= 11 else []),
        "Shape": [{}] + ([{"start": 1}, {"end": -1}, {"start": -2, "end": 9}, {"start": 2, "end": 1}] if version >= 15 else []),
        "EyeLike": [{}, {"k": 1}, {"k": -1, "dtype": 6}, {"dtype": 9}, {"k": 9}],
        "RandomNormalLike": [{"dtype": 1}, {"dtype": 11, "seed": 2.0, "mean": 3.0}],
        "RandomUniformLike": [{"dtype": 1}, {"dtype": 11, "seed": 2.0, "low": 3.0, "high": 4.0}],
        "Bernoulli": [{}, {"dtype": 1, "seed": 3.0}, {"dtype": 9}],
    }.get(op, [{}])
    for shape, attributes in itertools.product(shapes, choices):
        if op == "Flatten" and not -len(shape) <= attributes.get("axis", 1) <= len(shape):
            continue
        x = make(*shape, low=0, high=1) if op == "Bernoulli" else make(*shape)
        yield Setting(op, f"{shape} {label(attributes)}", [x], attributes, random=op.startswith(("Random", "Bern")))
    if op == "Transpose":
        for perm in (1, 0), (2, 0, 1), (0, 2, 1), (3, 1, 0, 2), (0, 1, 2), (4, 2, 0, 1, 3):
            yield Setting(op, f"{perm}", [make(*range(2, 2 + len(perm)))], {"perm": perm})


@generator("Reshape", few=4)
def reshape(op, version, make):
    settings = [((2, 3, 4), [4, -1], 0), ((2, 3, 4), [0, -1], 0), ((2, 3), [3, 2, 1], 0), ((), [1, 1], 0), ((1,), [], 0), ((0, 3), [3, 0] if version < 14 else [0, 5], 0)]
    settings += [((2, 3, 4), [0, 0, 2, 2], 0), ((6,), [-1], 0), ((2, 3, 4), [24], 0), ((0, 3), [0, -1], 0), ((2, 3, 4), [1, -1, 1, 2, 3], 0)]
    if version >= 14:
        settings += [((0, 3), [3, 0], 1), ((2, 3), [-1, 2], 1), ((0, 3, 4), [3, 4, 0], 1)]
    for shape, to, allow in settings:
        attributes = {"allowzero": 1} if allow else {}
        if version == 1:
            full = [shape[k] if size == 0 else size for k, size in enumerate(to)] if all(shape) else to
            yield Setting(op, f"{shape} {to}", [make(*shape)], {"shape": to, "consumed_inputs": [0]}, expect=lambda x, full=full: x.reshape(full))
        else:
            yield Setting(op, f"{shape} {to} {allow}", [make(*shape), ints(*to)], attributes, parameters=(1,))


@generator("Squeeze", "Unsqueeze", few=2)
def squeeze(op, version, make):
    if op == "Squeeze":
        settings = [((1, 3, 1, 2), [0, 2]), ((1, 3, 1, 2), None), ((1,), [0]), ((1, 0, 1), [2]), ((2, 3), None)]
        settings += [((2, 1, 3), [-2]), ((1, 3, 1), [-1, 0])] if version >= 11 else []
    else:
        settings = [((3, 2), [0, 2]), ((), [0]), ((0,), [1, 0]), ((2, 3), [3, 0, 1])]
        settings += [((2, 3), [-1]), ((2, 3), [-1, 0, -3])] if version >= 11 else []
    for shape, axes in settings:
        if version >= 13:
            yield Setting(op, f"{shape} {axes}", [make(*shape), None if axes is None else ints(*axes)], parameters=(1,))
        else:
            yield Setting(op, f"{shape} {axes}", [make(*shape)], {} if axes is None else {"axes": axes})


@generator("Concat", few=2)
def concat(op, version, make):
    for shapes, axis in [([(2, 3), (2, 1), (2, 4)], 1), ([(2, 3)], 0), ([(2,), (0,), (3,)], 0), ([(2, 3, 4)] * 2, 2), ([(1, 2, 0), (1, 3, 0)], 1)]:
        yield Setting(op, f"{len(shapes)} {shapes[0]} {axis}", [make(*shape) for shape in shapes], {"axis": axis})
    if version == 1:
        yield Setting(op, "default", [make(2, 3), make(2, 2)], {}, expect=lambda *x: np.concatenate(x, 1))
    if version >= 11:
        yield Setting(op, "negative", [make(2, 3), make(2, 2)], {"axis": -1})
        yield Setting(op, "many", [make(1, 2) for _ in range(40)], {"axis": -2})


@generator("Split", few=2)
def split(op, version, make):
    for shape, axis, sizes in [((6, 4), 0, [1, 2, 3]), ((6, 4), 1, [2, 2]), ((5,), 0, [5]), ((4, 3), 0, [0, 4]), ((2, 6), None, None), ((2, 7, 2), 1, [3, 4])]:
        attributes = {} if axis is None else {"axis": axis}
        outputs = (True,) * (2 if sizes is None else len(sizes))
        if version == 1 and axis is not None and sizes is not None:
            yield Setting(op, f"{shape} {axis} {sizes} input", [make(*shape), np.array(sizes, make.dtype)], attributes, outputs, (1,), expect=lambda x, s, axis=axis, sizes=sizes: tuple(np.split(x, np.cumsum(sizes)[:-1], axis)))
        if version < 13:
            expect = (lambda x, s=sizes, a=axis or 0: tuple(np.split(x, 2 if s is None else np.cumsum(s)[:-1], a))) if version == 1 else None
            yield Setting(op, f"{shape} {axis} {sizes}", [make(*shape)], attributes | ({} if sizes is None else {"split": sizes}), outputs, expect=expect)
        else:
            count = {"num_outputs": 2} if sizes is None and version >= 18 else {}
            yield Setting(op, f"{shape} {axis} {sizes}", [make(*shape), None if sizes is None else ints(*sizes)], attributes | count, outputs, (1,))
    if version >= 18:
        for size, count in (7, 3), (5, 4), (3, 3), (10, 4), (4, 3):
            yield Setting(op, f"{size} in {count}", [make(size, 2)], {"num_outputs": count}, (True,) * count)
    if version >= 11:
        yield Setting(op, "negative", [make(2, 4), *([ints(1, 3)] if version >= 13 else [])], {"axis": -1} | ({} if version >= 13 else {"split": [1, 3]}), (True, True), (1,))
    yield Setting(op, "one unused", [make(4, 3), *([ints(1, 3)] if version >= 13 else [])], {} if version >= 13 else {"split": [1, 3]}, (False, True), (1,))


@generator("Slice", few=3)
def slices(op, version, make):
    far = 2**31 - 1
    settings = [((4, 5), [1], [3], [0], None), ((4, 5), [0, 1], [3, -1], None, None), ((4, 5), [-3], [far], [1], None), ((5,), [3], [1], [0], None)]
    settings += [((4, 5), [0], [100], [0], None), ((2, 3, 4), [1], [2], [2], None), ((0, 3), [1], [3], [1], None), ((4, 5), [-100], [-1], [0], None)]
    if version >= 10:
        settings += [((7, 5), [1, 0], [7, 5], [0, 1], [2, 3]), ((7,), [5], [0], [0], [-2]), ((7,), [-1], [-(2**63)], [0], [-1]), ((7, 4), [6], [0], [0], [-1])]
        settings += [((7,), [far], [-far], [0], [-3]), ((7,), [2**63 - 1], [-(2**63)], [0], [-1]), ((5,), [1], [3], [0], [-1]), ((2, 5), [4], [0], [1], [-4])]
        settings += [((7,), [0], [7], [0], [10]), ((4, 5), [2, 1], [4, 3], [-1, -2], [1, 1])]
    for shape, starts, ends, axes, steps in settings:
        text = f"{shape} {starts} {ends} {axes} {steps}"
        if version < 10:
            yield Setting(op, text, [make(*shape)], {"starts": starts, "ends": ends} | ({} if axes is None else {"axes": axes}))
            continue
        yield Setting(op, text, [make(*shape), ints(*starts), ints(*ends), None if axes is None else ints(*axes), None if steps is None else ints(*steps)], parameters=(1, 2, 3, 4))
    if version >= 10:
        small = [np.array(numbers, np.int32) for numbers in ([1], [-1], [0], [1])]
        yield Setting(op, "int32", [make(5, 3), *small], parameters=(1, 2, 3, 4))


@generator("Pad", few=3)
def pad(op, version, make):
    modes = ["constant", "reflect", "edge"] + (["wrap"] if version >= 19 else [])
    settings = [((3, 4), [1, 0, 2, 3]), ((3, 4), [0, 0, 0, 0]), ((5,), [2, 1]), ((2, 3, 4), [0, 1, 2, 0, 0, 1]), ((3, 4), [-1, 0, 0, -2]), ((3, 4), [1, -1, -1, 2])]
    settings += [((1, 2, 3, 4), [0, 0, 2, 1, 0, 0, 1, 3]), ((5,), [4, 4]), ((5,), [-2, 3])]
    for (shape, pads), mode in itertools.product(settings, modes):
        attributes = {} if mode == "constant" else {"mode": mode}
        if version < 11:
            key = "paddings" if version == 1 else "pads"
            expect = (lambda x, pads=pads, mode=mode: padded(x, pads, mode, 0)) if version == 1 else None
            yield Setting(op, f"{mode} {shape} {pads}", [make(*shape)], {**attributes, key: pads}, expect=expect)
            continue
        yield Setting(op, f"{mode} {shape} {pads}", [make(*shape), ints(*pads)], attributes, parameters=(1,))
        if mode == "constant":
            yield Setting(op, f"value {shape} {pads}", [make(*shape), ints(*pads), make()], attributes, parameters=(1, 2))
            if version >= 18:
                yield Setting(op, f"axes {shape}", [make(*shape), ints(1, 2), make(), ints(-1)], attributes, parameters=(1, 2, 3))
    if version < 11:
        yield Setting(op, "value", [make(2, 3)], {"paddings" if version == 1 else "pads": [1, 1, 1, 1], "value": 1.5}, expect=lambda x: padded(x, [1] * 4, "constant", 1.5))
    else:
        yield Setting(op, "empty", [make(0, 3), ints(1, 1, 1, 1)], parameters=(1,))


def padded(x, pads, mode, value):
    """Pad, of amounts that may be negative."""
    count = x.ndim
    widths = [(max(pads[k], 0), max(pads[k + count], 0)) for k in range(count)]
    cut = tuple(slice(max(-pads[k], 0), None if pads[k + count] >= 0 else pads[k + count]) for k in range(count))
    return np.pad(x, widths, constant_values=value)[cut] if mode == "constant" else np.pad(x[cut], widths, mode)


@generator("Expand", few=3)
def expand(op, version, make):
    for shape, to in [((3, 1), [2, 3, 4]), ((3, 1), [1, 1]), ((), [2, 3]), ((1,), [0]), ((2, 3), [3]), ((1, 3, 1), [2, 1, 5]), ((3,), []), ((0, 1), [1, 2]), ((2, 1), [1])]:
        yield Setting(op, f"{shape} {to}", [make(*shape), ints(*to)], parameters=(1,))


@generator("Tile", few=2)
def tile(op, version, make):
    if version == 1:
        for shape, count, axis in ((2, 3), 2, 0), ((2, 3), 3, 1), ((4,), 1, 0):
            numbers = [np.array([count], make.dtype), np.array([axis], make.dtype)]
            yield Setting(op, f"{shape} {count} {axis}", [make(*shape), *numbers], parameters=(1, 2), expect=lambda x, n, a: np.tile(x, [int(n[0]) if k == a[0] else 1 for k in range(x.ndim)]))
        return
    for shape, repeats in [((2, 3), [2, 2]), ((2, 3), [1, 1]), ((3,), [0]), ((2, 1, 3), [1, 4, 2]), ((0, 2), [2, 2]), ((), [])]:
        yield Setting(op, f"{shape} {repeats}", [make(*shape), ints(*repeats)], parameters=(1,))


@generator("ConstantOfShape", by=9)
def constant_of_shape(op, version, make):
    for shape in [2, 3], [], [0], [2, 0, 3], [1]:
        yield Setting(op, f"{shape}", [ints(*shape)], parameters=(0,))
    for kind in ["float32", "float16", "float64", "int8", "int32", "int64", "uint8", "bool"] + ["uint16", "uint32", "uint64", "int16"]:
        value = onnx.numpy_helper.from_array(np.array([3], kind))
        yield Setting(op, kind, [ints(2, 2)], {"value": value}, parameters=(0,))


@generator("Constant", by=9)
def constant(op, version, make):
    for kind in ["float32", "float16", "float64"] + (["int8", "int32", "int64", "uint8", "bool", "object"] if version >= 9 else []):
        value = onnx.numpy_helper.from_array(make.of(kind)(2, 3))
        yield Setting(op, kind, [], {"value": value})
    yield Setting(op, "empty", [], {"value": onnx.numpy_helper.from_array(make(0, 3))})
    if version >= 12:
        for attributes in [{"value_int": 3}, {"value_float": 2.5}, {"value_ints": [1, 2]}, {"value_floats": [1.0, 2.0]}, {"value_string": "a"}, {"value_strings": ["a", "b"]}]:
            yield Setting(op, label(attributes), [], attributes)
    if version >= 11:
        sparse = helper.make_sparse_tensor(onnx.numpy_helper.from_array(np.array([1.5, 2.5], np.float32)), onnx.numpy_helper.from_array(ints(1, 5)), [2, 4])
        dense = np.array([[0, 1.5, 0, 0], [0, 2.5, 0, 0]], np.float32)
        yield Setting(op, "sparse", [], {"sparse_value": sparse}, expect=lambda: dense, types=[helper.make_tensor_type_proto(1, None)])


@generator("Range")
def ranges(op, version, make):
    for start, limit, delta in (0, 5, 1), (5, 0, -2), (1, 10, 3), (3, 3, 1), (5, 1, 1), (2, 9, 2):
        if make.dtype.kind == "u" and delta < 0:
            continue
        yield Setting(op, f"{start} {limit} {delta}", [np.array(x).astype(make.dtype) for x in (start, limit, delta)], parameters=(0, 1, 2))
    if make.isfloat:
        yield Setting(op, "fraction", [np.array(x).astype(make.dtype) for x in (0.5, 3.1, 0.25)], parameters=(0, 1, 2))


@generator("DepthToSpace", "SpaceToDepth")
def depth(op, version, make):
    for shape, block in ((2, 8, 2, 3), 2), ((1, 9, 1, 2), 3), ((0, 4, 2, 2), 2), ((1, 4, 2, 2), 1):
        if op == "SpaceToDepth":
            yield Setting(op, f"{shape} {block}", [make(shape[0], 3, shape[2] * block, shape[3] * block)], {"blocksize": block})
            continue
        for mode in [None, "DCR", "CRD"] if version >= 11 else [None]:
            yield Setting(op, f"{shape} {block} {mode}", [make(*shape)], {"blocksize": block} | ({"mode": mode} if mode else {}))


@generator("Trilu")
def trilu(op, version, make):
    for shape, k, upper in itertools.product([(3, 4), (2, 4, 3), (2, 0, 3), (1, 1)], [None, 0, 1, -2, 7], [None, 0]):
        yield Setting(op, f"{shape} {k} {upper}", [make(*shape), None if k is None else np.array(k, np.int64)], {} if upper is None else {"upper": 0}, parameters=(1,))


@generator("Compress", few=2)
def compress(op, version, make):
    for shape, axis, condition in [((3, 2), 0, [1, 0, 1]), ((3, 2), 1, [0, 1]), ((3, 2), None, [0, 1, 1, 0, 1]), ((4,), 0, [0, 1]), ((3,), 0, [0, 0, 0]), ((2, 3), None, [1])]:
        yield Setting(op, f"{shape} {axis} {condition}", [make(*shape), np.array(condition, bool)], {} if axis is None else {"axis": axis}, parameters=(1,))
    if version >= 11:
        yield Setting(op, "negative", [make(3, 2), np.array([1, 0], bool)], {"axis": -1}, parameters=(1,))


@generator("ReverseSequence", few=2)
def reverse_sequence(op, version, make):
    yield Setting(op, "default", [make(4, 3, 2), ints(4, 1, 3)], parameters=(1,))
    yield Setting(op, "batch first", [make(3, 4, 2), ints(1, 4, 2)], {"batch_axis": 0, "time_axis": 1}, parameters=(1,))
    yield Setting(op, "small", [make(1, 1), ints(1)], parameters=(1,))


@generator("CenterCropPad", few=2)
def center_crop_pad(op, version, make):
    for shape, to, axes in [((5, 8), [3, 9], None), ((4, 5, 3), [7, 2], [0, 1]), ((5, 5), [2, 2], None), ((5, 6, 3), [8], [-2]), ((4,), [7], None)]:
        yield Setting(op, f"{shape} {to} {axes}", [make(*shape), ints(*to)], {} if axes is None else {"axes": axes}, parameters=(1,))


@generator("Unique")
def unique(op, version, make):
    for shape, axis, order in itertools.product([(6,), (3, 2), (0,), (2, 3, 2)], [None, 0, -1], [None, 0]):
        if axis == -1 and len(shape) < 2:
            continue
        attributes = {key: value for key, value in (("axis", axis), ("sorted", order)) if value is not None}
        yield Setting(op, f"{shape} {label(attributes)}", [make(*shape, low=0, high=2) if not make.isfloat else np.round(make(*shape, low=0, high=2))], attributes, (True,) * 4)


@generator("OneHot", by=2)
def one_hot(op, version, make):
    for shape, axis in [((3,), None), ((2, 3), 0), ((2, 3), 1), ((2, 3), -1), ((), None), ((0,), None)]:
        for kind in (np.int64, np.int32, np.float32) if version >= 9 else ():
            indices = make.of(np.int64)(*shape, low=0 if version < 11 else -6, high=7).astype(kind)
            values = make.of(make.dtype)(2)
            yield Setting(op, f"{shape} {axis} {np.dtype(kind).name}", [indices, np.array(5, kind) if version >= 11 else np.array([5], kind), values], {} if axis is None else {"axis": axis}, parameters=(1, 2))


# --- Gather and scatter ---------------------------------------------------------------------------------------------------------------


@generator("Gather", few=3)
def gather(op, version, make):
    low = 0 if version < 11 else -2
    for shape, axis, indices in [((3, 4), 0, (2, 2)), ((3, 4), 1, ()), ((3,), 0, (5,)), ((2, 3, 4), 2, (2, 1)), ((2, 3, 4), 1, (0,)), ((2, 3, 2, 2, 2), -1, (2,)), ((3, 0), 0, (2,))]:
        for kind in np.int64, np.int32:
            if axis < 0 and version < 11:
                continue
            yield Setting(op, f"{shape} {axis} {indices} {np.dtype(kind).name}", [make(*shape), make.of(kind)(*indices, low=low, high=1)], {"axis": axis}, parameters=(1,))


@generator("GatherElements", few=2)
def gather_elements(op, version, make):
    for shape, axis, to in [((3, 4), 0, (2, 4)), ((3, 4), 1, (3, 7)), ((3,), 0, (5,)), ((2, 3, 4), -1, (2, 3, 1)), ((2, 3, 4), 1, (1, 2, 3)), ((3, 2), 0, (0, 2))]:
        size = shape[axis]
        for kind in np.int64, np.int32:
            yield Setting(op, f"{shape} {axis} {to} {np.dtype(kind).name}", [make(*shape), make.of(kind)(*to, low=-size, high=size - 1)], {"axis": axis}, parameters=(1,))


@generator("GatherND", few=2)
def gather_nd(op, version, make):
    for shape, to, batch in [((3, 4), (2, 2), 0), ((3, 4), (5, 1), 0), ((2, 3, 4), (2, 1), 1), ((2, 3, 4), (2, 3, 1), 2), ((2, 3, 4), (2, 2, 2), 0), ((2, 3), (0, 2), 0), ((3,), (1,), 0)]:
        if batch and version < 12:
            continue
        yield Setting(op, f"{shape} {to} {batch}", [make(*shape), make.of(np.int64)(*to, low=-2, high=1)], {"batch_dims": batch} if batch else {}, parameters=(1,))


@generator("ScatterElements", "Scatter", few=2)
def scatter_elements(op, version, make):
    reductions = [None] + (["add", "mul"] if version >= 16 else []) + (["max", "min"] if version >= 18 else [])
    for reduction, (shape, axis, to) in itertools.product(reductions, [((3, 4), 0, (2, 4)), ((3, 4), 1, (3, 2)), ((5,), 0, (3,)), ((2, 3, 4), -1, (1, 2, 3)), ((3, 2), 0, (0, 2))]):
        if axis < 0 and version < 11:
            continue
        indices = make.random.permuted(np.broadcast_to(np.arange(shape[axis]).reshape([-1 if k == axis % len(shape) else 1 for k in range(len(shape))]), [shape[k] if k == axis % len(shape) else to[k] for k in range(len(shape))]), axis=axis)
        indices = np.ascontiguousarray(np.take(indices, range(to[axis]), axis))
        if reduction:
            indices = make.of(np.int64)(*to, low=-shape[axis], high=shape[axis] - 1)
        yield Setting(op, f"{shape} {axis} {to} {reduction}", [make(*shape), indices.astype(np.int64), make(*to)], {"axis": axis} | ({"reduction": reduction} if reduction else {}), parameters=(1,))


@generator("ScatterND", few=2)
def scatter_nd(op, version, make):
    reductions = [None] + (["add", "mul"] if version >= 16 else []) + (["max", "min"] if version >= 18 else [])
    for reduction, (shape, to) in itertools.product(reductions, [((4, 3), [[1], [3]]), ((4, 3), [[0, 1], [2, 2], [3, 0]]), ((5,), [[4], [0], [-2]]), ((2, 3, 4), [[[0, 1], [1, 2]]]), ((4,), [])]):
        indices = np.array(to, np.int64).reshape(np.shape(to) if to else (0, 1))
        if reduction and to:
            indices = np.concatenate([indices, indices])
        updates = make(*indices.shape[:-1], *shape[indices.shape[-1] :])
        yield Setting(op, f"{shape} {indices.shape} {reduction}", [make(*shape), indices, updates], {"reduction": reduction} if reduction else {}, parameters=(1,))


@generator("TensorScatter", few=2)
def tensor_scatter(op, version, make):
    for mode, axis in itertools.product([None, "circular"], [None, 1, 2]):
        shape, update = ((2, 3, 5, 4), (2, 3, 2, 4)) if axis != 1 else ((2, 5, 4), (2, 2, 4))
        yield Setting(op, f"{mode} {axis}", [make(*shape), make(*update), ints(1, 4) if mode else ints(1, 3)], {key: value for key, value in (("mode", mode), ("axis", axis)) if value})
    yield Setting(op, "no indices", [make(2, 3, 5, 4), make(2, 3, 2, 4)])


# --- Products -------------------------------------------------------------------------------------------------------------------------


@generator("MatMul", few=3)
def matmul(op, version, make):
    for first, second in [((2, 3), (3, 4)), ((3,), (3,)), ((2, 3, 4), (4, 5)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 1, 3, 4), (5, 4, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((4,), (2, 4, 3)), ((2, 3, 4), (4,)), ((37, 65), (65, 29)), ((1, 1), (1, 1))]:
        yield Setting(op, f"{first} {second}", [make(*first), make(*second)])


@generator("Gemm", few=4)
def gemm(op, version, make):
    settings = list(products(transA=[None, 1], transB=[None, 1], alpha=[None, 0.5], beta=[None, 2.0]))
    for number, attributes in enumerate(settings):
        a, b = (4, 3) if "transA" in attributes else (3, 4), (5, 4) if "transB" in attributes else (4, 5)
        if version < 7:
            attributes = {**attributes, "broadcast": 1}
        bias = [(3, 5), (5,), (1, 5), (3, 1), (), (1,), None if version >= 11 else (5,)][number % 7]
        if version < 7:
            def expect(a, b, c, f=attributes):
                a, b = a.T if "transA" in f else a, b.T if "transB" in f else b
                return (f.get("alpha", 1.0) * (a @ b) + f.get("beta", 1.0) * c).astype(a.dtype)
            bias = [(3, 5), (5,), (1,)][number % 3]
            yield Setting(op, f"{label(attributes)} {bias}", [make(*a), make(*b), make(*bias)], attributes, expect=expect)
            continue
        if not make.isfloat and ("alpha" in attributes or "beta" in attributes):
            continue
        yield Setting(op, f"{label(attributes)} {bias}", [make(*a), make(*b), *([] if bias is None else [make(*bias)])], attributes)
    if version >= 7:
        yield Setting(op, "empty", [make(0, 4), make(4, 5), make(5)])
        yield Setting(op, "no depth", [make(3, 0), make(0, 5), make(5)])


@generator("Einsum", few=3)
def einsum(op, version, make):
    for equation, shapes in [("ij,jk->ik", [(2, 3), (3, 4)]), ("ij->ji", [(2, 3)]), ("ii->i", [(3, 3)]), ("ij->", [(2, 3)]), ("i,j->ij", [(2,), (3,)]), ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]), ("...ij,...jk->...ik", [(2, 3, 4), (4, 5)]), ("ij,jk", [(2, 3), (3, 4)]), ("ijk,kl,lm->im", [(2, 3, 4), (4, 5), (5, 2)]), ("...i->...", [(2, 3, 4)]), ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]), (" i j , j -> i ", [(2, 3), (3,)]), ("ii", [(3, 3)]), ("ij,ij->ij", [(2, 3), (2, 3)]), ("i,i->", [(4,), (4,)])]:
        yield Setting(op, equation.strip(), [make(*shape) for shape in shapes], {"equation": equation})


@generator("MatMulInteger", "QLinearMatMul", few=4)
def matmul_integer(op, version, make):
    if op == "MatMulInteger":
        for other in np.uint8, np.int8:
            b = make.of(other)
            yield Setting(op, f"{np.dtype(other).name} points", [make(3, 4), b(4, 5), make(), b()], parameters=(2, 3))
            yield Setting(op, f"{np.dtype(other).name}", [make(2, 3, 4), b(4, 5)])
        yield Setting(op, "rows", [make(3, 4), make(4, 5), make(3), make(5)], parameters=(2, 3))
        yield Setting(op, "limits", [np.array([[255 if make.dtype == np.uint8 else -128] * 4] * 2, make.dtype), make(4, 3)])
        return
    one = lambda value: np.array(value, np.float32)
    for kind in np.uint8, np.int8:
        a, b = make.of(kind), make.of(kind)
        yield Setting(op, np.dtype(kind).name, [a(3, 4), one(0.1), a(), b(4, 5), one(0.2), b(), one(0.05), a()], parameters=(1, 2, 4, 5, 6, 7))
        yield Setting(op, f"batch {np.dtype(kind).name}", [a(2, 3, 4), one(0.1), a(), b(2, 4, 5), one(0.2), b(), one(0.005), a()], parameters=(1, 2, 4, 5, 6, 7))


@generator("Det")
def det(op, version, make):
    for shape in (3, 3), (2, 4, 4), (1, 1), (2, 3, 2, 2), (0, 2, 2), (6, 6):
        yield Setting(op, f"{shape}", [make(*shape)], slack=10)
    yield Setting(op, "singular", [np.ones([3, 3], make.dtype)])


# --- Convolution and pooling ----------------------------------------------------------------------------------------------------------


def windows(version):
    """Attributes of windows over two dims."""
    yield {}
    yield {"strides": [2, 1]}
    yield {"pads": [1, 0, 2, 1]}
    yield {"pads": [1, 1, 1, 1], "strides": [2, 3]}
    yield {"auto_pad": "SAME_UPPER", "strides": [2, 2]}
    yield {"auto_pad": "SAME_LOWER", "strides": [2, 3]}
    yield {"auto_pad": "VALID", "strides": [1, 2]}
    yield {"auto_pad": "NOTSET", "pads": [0, 1, 0, 1]}
    yield {"auto_pad": "SAME_UPPER"}
    yield {"auto_pad": "SAME_LOWER"}


@generator("Conv", few=3)
def conv(op, version, make):
    for attributes in windows(version):
        yield Setting(op, label(attributes), [make(2, 3, 8, 9), make(4, 3, 3, 2), make(4)], {"kernel_shape": [3, 2], **attributes}, parameters=(1, 2))
    yield Setting(op, "dilated", [make(1, 2, 9, 9), make(3, 2, 3, 3)], {"dilations": [2, 3], "pads": [2, 3, 2, 3]}, parameters=(1,))
    yield Setting(op, "dilated same", [make(1, 2, 9, 8), make(3, 2, 3, 3)], {"dilations": [2, 1], "auto_pad": "SAME_UPPER"}, parameters=(1,))
    yield Setting(op, "groups", [make(2, 4, 6, 6), make(6, 2, 3, 3), make(6)], {"group": 2}, parameters=(1, 2))
    yield Setting(op, "depthwise", [make(1, 4, 6, 6), make(4, 1, 3, 3)], {"group": 4, "pads": [1, 1, 1, 1]}, parameters=(1,))
    yield Setting(op, "depthwise two", [make(1, 4, 6, 6), make(8, 1, 3, 3), make(8)], {"group": 4, "strides": [2, 2]}, parameters=(1, 2))
    yield Setting(op, "1d", [make(2, 3, 10), make(4, 3, 3), make(4)], {"strides": [2], "pads": [1, 2]}, parameters=(1, 2))
    yield Setting(op, "3d", [make(1, 2, 5, 6, 4), make(3, 2, 2, 3, 1), make(3)], {"strides": [1, 2, 1], "pads": [0, 1, 0, 1, 0, 0]}, parameters=(1, 2))
    yield Setting(op, "3d groups", [make(1, 4, 5, 6, 4), make(4, 2, 2, 2, 2)], {"group": 2, "dilations": [1, 2, 1]}, parameters=(1,))
    yield Setting(op, "pointwise", [make(1, 16, 5, 5), make(24, 16, 1, 1), make(24)], parameters=(1, 2))
    yield Setting(op, "no batch", [make(0, 3, 5, 5), make(2, 3, 3, 3)], parameters=(1,))
    yield Setting(op, "whole", [make(1, 3, 4, 4), make(2, 3, 4, 4)], parameters=(1,))
    yield Setting(op, "wide", [make(1, 3, 30, 31), make(16, 3, 7, 7), make(16)], {"strides": [2, 2], "pads": [3, 3, 3, 3]}, parameters=(1, 2))
    yield Setting(op, "1d same", [make(1, 2, 7), make(2, 2, 4)], {"auto_pad": "SAME_LOWER", "strides": [2]}, parameters=(1,))
    yield Setting(op, "2d far pads", [make(1, 1, 3, 3), make(1, 1, 2, 2)], {"pads": [4, 4, 4, 4]}, parameters=(1,))


@generator("ConvTranspose", few=3)
def conv_transpose(op, version, make):
    for attributes in windows(version):
        yield Setting(op, label(attributes), [make(2, 3, 4, 5), make(3, 4, 3, 2), make(4)], {"kernel_shape": [3, 2], **attributes}, parameters=(1, 2))
    yield Setting(op, "output padding", [make(1, 2, 3, 4), make(2, 3, 3, 3)], {"strides": [2, 3], "output_padding": [1, 2]}, parameters=(1,))
    yield Setting(op, "output shape", [make(1, 2, 3, 4), make(2, 3, 3, 3)], {"strides": [2, 2], "output_shape": [8, 9]}, parameters=(1,))
    yield Setting(op, "output shape lower", [make(1, 2, 3, 4), make(2, 3, 3, 3)], {"strides": [2, 2], "output_shape": [6, 7], "auto_pad": "SAME_LOWER"}, parameters=(1,))
    yield Setting(op, "output shape upper", [make(1, 2, 3, 4), make(2, 3, 3, 3)], {"strides": [2, 2], "output_shape": [6, 7], "auto_pad": "SAME_UPPER"}, parameters=(1,))
    yield Setting(op, "dilated", [make(1, 2, 4, 4), make(2, 3, 3, 2)], {"dilations": [2, 3]}, parameters=(1,))
    yield Setting(op, "groups", [make(2, 4, 3, 3), make(4, 2, 3, 3), make(4)], {"group": 2, "strides": [2, 1]}, parameters=(1, 2))
    yield Setting(op, "depthwise", [make(1, 4, 3, 3), make(4, 1, 3, 3)], {"group": 4}, parameters=(1,))
    yield Setting(op, "1d", [make(2, 3, 6), make(3, 4, 3), make(4)], {"strides": [2], "pads": [1, 2]}, parameters=(1, 2))
    yield Setting(op, "3d", [make(1, 2, 3, 4, 2), make(2, 3, 2, 3, 1)], {"strides": [1, 2, 1]}, parameters=(1,))
    yield Setting(op, "pads beyond", [make(1, 1, 3, 3), make(1, 1, 2, 2)], {"pads": [1, 1, 1, 1]}, parameters=(1,))


@generator("ConvInteger", "QLinearConv")
def conv_integer(op, version, make):
    one = lambda value: np.array(value, np.float32)
    kinds = [(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)]
    for (first, second), attributes in itertools.product(kinds, [{}, {"pads": [1, 1, 1, 1], "strides": [2, 1]}, {"dilations": [2, 1]}, {"auto_pad": "SAME_UPPER"}]):
        x, w = make.of(first), make.of(second)
        text = f"{np.dtype(first).name} {np.dtype(second).name} {label(attributes)}"
        if op == "ConvInteger":
            yield Setting(op, text, [x(1, 2, 6, 6), w(3, 2, 3, 2), x(), w()], attributes, parameters=(1, 2, 3))
        else:
            bias = make.of(np.int32)(3)
            yield Setting(op, text, [x(1, 2, 6, 6), one(0.1), x(), w(3, 2, 3, 2), one(0.2), w(), one(0.04), x(), bias], attributes, parameters=tuple(range(1, 9)))
            points = np.zeros([3], second)
            yield Setting(op, text + " channels", [x(1, 2, 6, 6), one(0.1), x(), w(3, 2, 3, 2), np.array([0.2, 0.3, 0.1], np.float32), points, one(0.04), x()], attributes, parameters=tuple(range(1, 8)))


@generator("AveragePool", "MaxPool", "LpPool", few=3)
def pool(op, version, make):
    extra = [{}]
    if op == "AveragePool" and version >= 7:
        extra.append({"count_include_pad": 1})
    if op == "LpPool":
        extra = [{"p": 2 if version > 1 else 2.0}, {"p": 1 if version > 1 else 1.0}, {"p": 3 if version > 1 else 3.0}]
    ceil = {"AveragePool": 10, "MaxPool": 10, "LpPool": 18}[op]
    if version >= ceil:
        extra += [{**e, "ceil_mode": 1} for e in extra]
    dilated = {"AveragePool": 19, "MaxPool": 10, "LpPool": 18}[op]
    for window, more in itertools.product(windows(version), extra):
        if "pads" in window and "auto_pad" not in window and max(window["pads"]) > 1:
            window = {**window, "pads": [1, 0, 1, 1]}
        outputs = (True, True) if op == "MaxPool" and version >= 8 and "pads" in window else (True,)
        yield Setting(op, label({**window, **more}), [make(2, 3, 8, 9)], {"kernel_shape": [3, 2], **window, **more}, outputs)
    for more in extra:
        yield Setting(op, f"1d {label(more)}", [make(2, 3, 10)], {"kernel_shape": [3], "strides": [2], "pads": [1, 1], **more})
        yield Setting(op, f"3d {label(more)}", [make(1, 2, 5, 6, 4)], {"kernel_shape": [2, 3, 2], "strides": [2, 1, 3], "pads": [0, 1, 0, 1, 1, 1], **more})
        yield Setting(op, f"square {label(more)}", [make(1, 1, 7, 7)], {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [1, 1, 1, 1], **more})
        if version >= dilated:
            yield Setting(op, f"dilated {label(more)}", [make(1, 2, 9, 9)], {"kernel_shape": [3, 2], "dilations": [2, 3], "pads": [1, 1, 1, 1], "strides": [2, 1], **more})
            yield Setting(op, f"dilated same {label(more)}", [make(1, 2, 9, 9)], {"kernel_shape": [3, 2], "dilations": [2, 3], "auto_pad": "SAME_UPPER", "strides": [2, 1], **more})
    if op == "MaxPool" and version >= 8:
        yield Setting(op, "columns", [make(1, 2, 5, 6)], {"kernel_shape": [2, 2], "storage_order": 1}, (True, True))
        yield Setting(op, "infinite", [np.full([1, 1, 4, 4], -np.inf, make.dtype)] if make.isfloat else [np.full([1, 1, 4, 4], -128 if make.dtype == np.int8 else 0, make.dtype)], {"kernel_shape": [2, 2]}, (True, True))


@generator("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(op, version, make):
    for shape in (2, 3, 4, 5), (2, 3, 7), (1, 2, 3, 4, 2), (1, 1, 1, 1):
        for attributes in ([{}, {"p": 1}, {"p": 3}] if version > 1 else [{}, {"p": 1.0}]) if op == "GlobalLpPool" else [{}]:
            yield Setting(op, f"{shape} {label(attributes)}", [make(*shape)], attributes)


@generator("MaxUnpool")
def max_unpool(op, version, make):
    x = make(1, 1, 2, 2)
    yield Setting(op, "plain", [x, np.array([[[[0, 3], [8, 15]]]], np.int64)], {"kernel_shape": [2, 2], "strides": [2, 2]})
    yield Setting(op, "shape", [x, np.array([[[[0, 3], [8, 15]]]], np.int64), ints(1, 1, 5, 5)], {"kernel_shape": [2, 2], "strides": [2, 2]}, parameters=(2,))
    yield Setting(op, "pads", [x, np.array([[[[0, 1], [4, 8]]]], np.int64)], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]})


@generator("MaxRoiPool")
def max_roi_pool(op, version, make):
    rois = np.array([[0, 0, 0, 4, 4], [1, 1, 2, 5, 3], [0, 3, 3, 3, 3]]).astype(make.dtype)
    for scale in None, 0.5:
        yield Setting(op, f"{scale}", [make(2, 2, 6, 7), rois], {"pooled_shape": [2, 3]} | ({"spatial_scale": scale} if scale else {}))


@generator("RoiAlign")
def roi_align(op, version, make):
    rois, batch = np.array([[0, 0, 4, 4], [1.3, 2.2, 5, 3.1], [0.5, 0.5, 0.6, 0.6]]).astype(make.dtype), ints(0, 1, 0)
    for attributes in products(mode=[None, "max"], output_height=[None, 2], output_width=[3], sampling_ratio=[None, 2], spatial_scale=[None, 0.5], coordinate_transformation_mode=[None, "output_half_pixel"] if version >= 16 else [None]):
        yield Setting(op, label(attributes), [make(2, 2, 6, 7), rois, batch], attributes)


@generator("LRN")
def lrn(op, version, make):
    for size, shape in itertools.product([3, 5, 1, 2], [(2, 7, 3, 3), (1, 4), (1, 4, 5)]):
        yield Setting(op, f"{size} {shape}", [make(*shape)], {"size": size, "alpha": 0.1, "beta": 0.6, "bias": 1.5})
    yield Setting(op, "defaults", [make(1, 4, 2, 2)], {"size": 3})


@generator("Col2Im", few=2)
def col2im(op, version, make):
    yield Setting(op, "plain", [make(1, 6, 4), ints(3, 4), ints(2, 3)], parameters=(1, 2))
    yield Setting(op, "strided", [make(2, 8, 4), ints(4, 4), ints(2, 2)], {"strides": [2, 2]}, parameters=(1, 2))
    yield Setting(op, "pads", [make(1, 4, 25), ints(4, 4), ints(2, 2)], {"pads": [1, 1, 1, 1]}, parameters=(1, 2))
    yield Setting(op, "dilated", [make(1, 4, 4), ints(4, 4), ints(2, 2)], {"dilations": [2, 2]}, parameters=(1, 2))
    yield Setting(op, "1d", [make(1, 6, 5), ints(7), ints(3)], parameters=(1, 2))


@generator("DeformConv")
def deform_conv(op, version, make):
    yield Setting(op, "plain", [make(1, 2, 4, 4), make(3, 2, 2, 2), make(1, 8, 3, 3)], parameters=(1,))
    yield Setting(op, "pads", [make(1, 2, 4, 4), make(3, 2, 2, 2), make(1, 8, 5, 5), make(3)], {"pads": [1, 1, 1, 1]}, parameters=(1, 3))
    yield Setting(op, "mask", [make(1, 2, 4, 4), make(3, 2, 2, 2), make(1, 8, 3, 3), make(3), make(1, 4, 3, 3)], parameters=(1, 3))
    yield Setting(op, "groups", [make(1, 4, 5, 5), make(4, 2, 2, 2), make(1, 16, 2, 2)], {"group": 2, "offset_group": 2, "strides": [2, 2]}, parameters=(1,))


@generator("CausalConvWithState")
def causal(op, version, make):
    yield Setting(op, "plain", [make(2, 3, 5), make(3, 1, 4)], {}, (True, True), (1,))
    yield Setting(op, "bias state", [make(2, 3, 5), make(3, 1, 4), make(3), make(2, 3, 3)], {}, (True, True), (1, 2))
    yield Setting(op, "silu", [make(2, 3, 1), make(3, 1, 4), make(3), make(2, 3, 3)], {"activation": "silu"}, (True, True), (1, 2))


# --- Resize ---------------------------------------------------------------------------------------------------------------------------


@generator("Upsample", few=2)
def upsample(op, version, make):
    for mode, (high, wide) in itertools.product([None, "nearest", "linear" if version >= 7 else "bilinear"], [(2.0, 2.0), (1.0, 3.0), (1.5, 2.5)]):
        attributes = {"mode": mode} if mode else {}
        x = make(1, 2, 3, 4)
        text = f"{mode} {high} {wide}"
        if version == 1:
            nearest = mode in (None, "nearest")
            expect = (lambda x, h=high, w=wide: x[:, :, (np.arange(int(3 * h)) / h).astype(int)][:, :, :, (np.arange(int(4 * w)) / w).astype(int)]) if nearest else None
            if nearest:
                yield Setting(op, text, [x], {**attributes, "height_scale": high, "width_scale": wide}, expect=expect)
            else:
                yield Setting(op, text, [x], {**attributes, "height_scale": high, "width_scale": wide})
        elif version == 7:
            yield Setting(op, text, [x], {**attributes, "scales": [1.0, 1.0, high, wide]})
        else:
            yield Setting(op, text, [x, np.array([1, 1, high, wide], np.float32)], attributes, parameters=(1,))


@generator("Resize", few=4)
def resize(op, version, make):
    shapes = [((1, 2, 4, 5), (1, 1, 2.0, 1.5)), ((1, 1, 6, 5), (1, 1, 0.5, 0.6)), ((1, 1, 3, 3), (1, 1, 1, 3.3))]
    if version == 10:
        for mode, (shape, scales) in itertools.product(["nearest", "linear"], shapes):
            yield Setting(op, f"{mode} {scales}", [make(*shape), np.array(scales, np.float32)], {"mode": mode}, parameters=(1,))
        return
    roi = np.array([], np.float32) if version < 13 else None
    places = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"] + (["half_pixel_symmetric"] if version >= 19 else [])
    rounds = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
    for (shape, scales), place, mode in itertools.product(shapes, places, ["nearest", "linear", "cubic"]):
        more = [{"nearest_mode": way} for way in rounds] if mode == "nearest" else [{}] + ([{"cubic_coeff_a": -0.5, "exclude_outside": 1}] if mode == "cubic" else [])
        for extra in more:
            attributes = {"mode": mode, "coordinate_transformation_mode": place, **extra}
            if not make.isfloat and mode != "nearest":
                continue
            text = f"{mode} {place} {label(extra)} {scales}"
            yield Setting(op, text, [make(*shape), roi, np.array(scales, np.float32)], attributes, parameters=(1, 2), slack=3)
            if zlib.crc32(text.encode()) % 3 == 0:
                sizes = ints(*[max(1, int(size * scale)) for size, scale in zip(shape, scales)])
                nothing = np.array([], np.float32) if version < 13 else None
                yield Setting(op, "sizes " + text, [make(*shape), roi, nothing, sizes], attributes, parameters=(1, 2, 3), slack=3)
                if version >= 18 and mode != "nearest" and min(scales[2:]) < 1:
                    yield Setting(op, "antialias " + text, [make(*shape), None, np.array(scales, np.float32)], {**attributes, "antialias": 1}, parameters=(2,), slack=3)
    crop = np.array([0, 0, 0.1, 0.2, 1, 1, 0.7, 0.9], np.float32)
    for mode in "linear", "nearest":
        yield Setting(op, f"crop {mode}", [make(1, 1, 5, 6), crop, None if version >= 13 else np.array([], np.float32), ints(1, 1, 4, 7)], {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 2.5}, parameters=(1, 2, 3))
    if version >= 18:
        for policy in "stretch", "not_larger", "not_smaller":
            for mode in "linear", "nearest":
                yield Setting(op, f"{policy} {mode}", [make(1, 1, 4, 6), None, None, ints(7, 7)], {"mode": mode, "axes": [2, 3], "keep_aspect_ratio_policy": policy}, parameters=(3,))
        yield Setting(op, "axes", [make(1, 4, 6, 2), None, np.array([2, 0.5], np.float32)], {"mode": "linear", "axes": [2, 1]}, parameters=(2,))
    for shape, scales in ((5,), (2.0,)), ((2, 5), (1.0, 1.7)), ((1, 1, 3, 4, 2), (1, 1, 2, 1.5, 1)), ((2, 3, 4), (1, 2.0, 1.5)):
        for mode in "linear", "nearest":
            yield Setting(op, f"{len(shape)}d {mode}", [make(*shape), roi, np.array(scales, np.float32)], {"mode": mode}, parameters=(1, 2))


@generator("GridSample", few=3)
def grid_sample(op, version, make):
    names = ["bilinear", "nearest", "bicubic"] if version < 20 else ["linear", "nearest", "cubic"]
    grid = make.of(np.float32)
    kind = np.float32 if make.dtype.kind not in "f" else make.dtype
    for mode, padding, align in itertools.product([None, *names], [None, "border", "reflection"], [None, 1]):
        attributes = {key: value for key, value in (("mode", mode), ("padding_mode", padding), ("align_corners", align)) if value is not None}
        yield Setting(op, label(attributes), [make(2, 2, 4, 5), grid(2, 3, 4, 2, low=-1.4, high=1.4).astype(kind)], attributes, slack=10)
        if version >= 20 and mode != "cubic":
            yield Setting(op, "3d " + label(attributes), [make(1, 2, 3, 4, 5), grid(1, 2, 3, 2, 3, low=-1.2, high=1.2).astype(kind)], attributes, slack=10)


@generator("AffineGrid", by=0)
def affine_grid(op, version, make):
    for align in None, 1:
        yield Setting(op, f"2d {align}", [make(2, 2, 3), ints(2, 3, 4, 5)], {"align_corners": align} if align else {}, parameters=(1,))
        yield Setting(op, f"3d {align}", [make(1, 3, 4), ints(1, 2, 3, 4, 2)], {"align_corners": align} if align else {}, parameters=(1,))


# --- Normalization --------------------------------------------------------------------------------------------------------------------


@generator("BatchNormalization", few=3)
def batch_normalization(op, version, make):
    def tensors(shape):
        count = shape[1] if len(shape) > 1 else 1
        return [make(*shape), make(count), make(count), make(count), make(count, low=0.5, high=2)]

    for shape in (2, 3, 4, 5), (2, 3), (1, 2, 3), (2, 3, 2, 2, 2), (0, 3, 2):
        def expect(x, s, b, m, v):
            at = (None, slice(None)) + (None,) * (x.ndim - 2)
            return ((x - m[at]) / np.sqrt(v[at] + np.float32(1e-5)) * s[at] + b[at]).astype(x.dtype)
        legacy = {"is_test": 1, **({"consumed_inputs": [0, 0, 0, 1, 1]} if version == 1 else {})} if version < 7 else {}
        yield Setting(op, f"{shape}", tensors(shape), legacy, parameters=(1, 2, 3, 4), expect=expect if version < 7 else None)
        if version < 7:
            yield Setting(op, f"spatial {shape}", tensors(shape), {**legacy, "spatial": 1, "epsilon": 1e-5, "momentum": 0.5}, parameters=(1, 2, 3, 4), expect=expect)
        if version in (6, 7) and len(shape) > 2:
            per = lambda **rest: make(*shape[1:], **rest)
            yield Setting(op, f"each {shape}", [make(*shape), per(), per(), per(), per(low=0.5, high=2)], {**legacy, "spatial": 0}, parameters=(1, 2, 3, 4), expect=lambda x, s, b, m, v: ((x - m) / np.sqrt(v + np.float32(1e-5)) * s + b).astype(x.dtype))
    if version >= 14:
        yield Setting(op, "training", tensors((2, 3, 4)), {"training_mode": 1, "momentum": 0.7}, (True, True, True), slack=10)
        yield Setting(op, "training one output", tensors((2, 3, 4)), {"training_mode": 1}, slack=10)
    yield Setting(op, "epsilon", tensors((2, 3, 4)), {"epsilon": 0.1} | ({"is_test": 1, "consumed_inputs": [0, 0, 0, 1, 1]} if version == 1 else {"is_test": 1} if version < 7 else {}), parameters=(1, 2, 3, 4), expect=(lambda x, s, b, m, v: ((x - m[:, None]) / np.sqrt(v[:, None] + np.float32(0.1)) * s[:, None] + b[:, None]).astype(x.dtype)) if version < 7 else None)


@generator("InstanceNormalization")
def instance_normalization(op, version, make):
    for shape in (2, 3, 4, 5), (2, 3, 7), (1, 2, 2, 3, 2):
        legacy = {"consumed_inputs": [0, 0, 0]} if version == 1 else {}
        def expect(x, s, b):
            axes, at = tuple(range(2, x.ndim)), (slice(None),) + (None,) * (x.ndim - 2)
            wide = x.astype(np.float64)
            return ((wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + 1e-5) * s[at] + b[at]).astype(x.dtype)
        yield Setting(op, f"{shape}", [make(*shape), make(shape[1]), make(shape[1])], legacy, parameters=(1, 2), expect=expect, slack=3)


@generator("LayerNormalization", "RMSNormalization")
def layer_normalization(op, version, make):
    for shape, axis in itertools.product([(2, 3, 4), (5,), (2, 3, 2, 4)], [None, -1, 0, 1, -2]):
        if axis is not None and not -len(shape) <= axis < len(shape):
            continue
        scale = shape[-1 if axis is None else axis :]
        rest = [make(*scale)] if op == "LayerNormalization" and axis != 1 else []
        outputs = (True, True, True) if op == "LayerNormalization" and axis == -1 else (True,)
        yield Setting(op, f"{shape} {axis}", [make(*shape), make(*scale), *rest], {} if axis is None else {"axis": axis}, outputs, (1, 2), slack=10)
    yield Setting(op, "epsilon", [make(2, 3), make(3)], {"epsilon": 0.1}, slack=10)
    yield Setting(op, "scale broadcast", [make(2, 3, 4), make(1)], {"axis": 1}, slack=10)


@generator("GroupNormalization")
def group_normalization(op, version, make):
    for shape, groups in ((2, 4, 3, 3), 2), ((1, 4, 5), 4), ((1, 4, 2, 2), 1):
        count = shape[1] if version >= 21 else groups
        yield Setting(op, f"{shape} {groups}", [make(*shape), make(count), make(count)], {"num_groups": groups}, parameters=(1, 2), slack=10)


@generator("LpNormalization")
def lp_normalization(op, version, make):
    for shape, axis, p in itertools.product([(2, 3, 4), (5,)], [None, 0, -1], [None, 1, 2]):
        yield Setting(op, f"{shape} {axis} {p}", [make(*shape)], {key: value for key, value in (("axis", axis), ("p", p)) if value is not None})
    yield Setting(op, "zero", [np.zeros([2, 3], make.dtype)], {"axis": 1, "p": 2})


@generator("MeanVarianceNormalization")
def mean_variance(op, version, make):
    yield Setting(op, "default", [make(2, 3, 4, 5)], slack=10)
    yield Setting(op, "axes", [make(2, 3, 4)], {"axes": [1, 2]}, slack=10)


@generator("Dropout", few=3)
def dropout(op, version, make):
    for shape in (2, 3), (), (0, 3):
        for outputs in (True,), (True, True):
            if version < 7:
                if outputs == (True,):
                    attributes = {"is_test": 1, "ratio": 0.3} | ({"consumed_inputs": [0]} if version == 1 else {})
                    yield Setting(op, f"{shape} {outputs}", [make(*shape)], attributes, outputs, expect=lambda x: x)
            elif version < 12:
                yield Setting(op, f"{shape} {outputs}", [make(*shape)], {"ratio": 0.3}, outputs)
            else:
                yield Setting(op, f"{shape} {outputs}", [make(*shape), np.array(0.3, np.float32), np.array(False)], {}, outputs, (1, 2))
                yield Setting(op, f"short {shape} {outputs}", [make(*shape)], {"seed": 3}, outputs)
    if version >= 12:
        yield Setting(op, "training", [make(2, 3), np.array(0.3, np.float32), np.array(True)], {}, (True, True), (1, 2), random=True)
        yield Setting(op, "training zero", [make(2, 3), np.array(0.0, np.float32), np.array(True)], {}, (True, True), (1, 2))


# --- Recurrent ------------------------------------------------------------------------------------------------------------------------


@generator("RNN", "GRU", "LSTM")
def recurrent(op, version, make):
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    steps, batch, size, hidden = 4, 2, 3, 5
    outputs = (True,) * (3 if op == "LSTM" else 2)
    choices = [{}, {"direction": "reverse"}, {"direction": "bidirectional"}, {"clip": 0.5}]
    if version >= 14:
        choices += [{"layout": 1}, {"layout": 1, "direction": "bidirectional"}]
    if op == "GRU" and version >= 3:
        choices += [{"linear_before_reset": 1}, {"linear_before_reset": 1, "direction": "bidirectional"}]
    if op == "LSTM":
        choices += [{"input_forget": 1}]
    choices += [{"activations": ["Sigmoid", "Relu", "Softsign"][: 1 if op == "RNN" else 2 if op == "GRU" else 3]}]
    choices += [{"activations": (["LeakyRelu"] if op == "RNN" else ["HardSigmoid", "ScaledTanh", "Elu"][: 2 if op == "GRU" else 3]), "activation_alpha": [0.3, 0.7, 0.9][: 1 if op == "RNN" else 2 if op == "GRU" else 3], "activation_beta": [0.6, 0.8][: 0 if op == "RNN" else 2]}]
    for attributes, full in itertools.product(choices, [0, 1, 2]):
        ways = 2 if attributes.get("direction") == "bidirectional" else 1
        if attributes.get("activation_beta") == []:
            attributes = {key: value for key, value in attributes.items() if key != "activation_beta"}
        first = attributes.get("layout", 0)
        x = make(batch, steps, size) if first else make(steps, batch, size)
        inputs = [x, make(ways, gates * hidden, size), make(ways, gates * hidden, hidden)]
        state = lambda: make(batch, ways, hidden) if first else make(ways, batch, hidden)
        if full >= 1:
            inputs += [make(ways, 2 * gates * hidden)]
        if full == 2:
            inputs += [None if first else np.array([3, 2], np.int32), state()]
            if op == "LSTM":
                inputs += [state(), make(ways, 3 * hidden)]
        legacy = {"output_sequence": 1} if version == 1 else {}
        # Opset 1 has no linear_before_reset; what both versions have means the same.
        yield Setting(op, f"{label(attributes)} {full}", inputs, {"hidden_size": hidden, **attributes, **legacy}, outputs, (1, 2, 3), slack=3)
        if full == 1:
            last = tuple(k == 1 for k in range(len(outputs)))
            yield Setting(op, f"{label(attributes)} last only", inputs, {"hidden_size": hidden, **attributes, **({"output_sequence": 0} if version == 1 else {})}, last, (1, 2, 3), slack=3)


# --- Losses, attention, signals -------------------------------------------------------------------------------------------------------


@generator("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def losses(op, version, make):
    for shape, weighted, attributes in itertools.product([(3, 5), (2, 4, 3), (2, 3, 2, 2)], [False, True], [{}, {"reduction": "sum"}, {"reduction": "none"}, {"ignore_index": 1}, {"ignore_index": -1, "reduction": "mean"}]):
        target = make.of(np.int64)(*shape[:1], *shape[2:], low=0, high=shape[1] - 1)
        if attributes.get("ignore_index") == -1:
            target = np.where(target == 0, -1, target)
        outputs = (True, True) if op.startswith("Soft") and "ignore_index" not in attributes else (True,)
        yield Setting(op, f"{shape} {weighted} {label(attributes)}", [make(*shape), target, *([make(shape[1], low=0.1, high=1)] if weighted else [])], attributes, outputs)


@generator("Attention")
def attention(op, version, make):
    q, k, v = make(2, 3, 4, 8), make(2, 3, 6, 8), make(2, 3, 6, 8)
    yield Setting(op, "plain", [q, k, v])
    yield Setting(op, "causal", [q, k, v], {"is_causal": 1})
    yield Setting(op, "mask", [q, k, v, make(4, 6)])
    yield Setting(op, "bool mask", [q, k, v, np.tril(np.ones([4, 6], bool))])
    yield Setting(op, "scale softcap", [q, k, v], {"scale": 0.3, "softcap": 2.0})
    yield Setting(op, "grouped", [make(2, 4, 4, 8), make(2, 2, 6, 8), make(2, 2, 6, 8)])
    yield Setting(op, "3d", [make(2, 4, 12), make(2, 6, 12), make(2, 6, 12)], {"q_num_heads": 3, "kv_num_heads": 3})
    yield Setting(op, "3d grouped", [make(2, 4, 16), make(2, 6, 8), make(2, 6, 8)], {"q_num_heads": 4, "kv_num_heads": 2})
    yield Setting(op, "past", [q, k, v, None, make(2, 3, 2, 8), make(2, 3, 2, 8)], {}, (True, True, True))
    yield Setting(op, "past causal mask", [q, k, v, make(4, 8), make(2, 3, 2, 8), make(2, 3, 2, 8)], {"is_causal": 1}, (True, True, True))
    yield Setting(op, "values wider", [q, k, make(2, 3, 6, 10)])
    for mode in 0, 1, 2, 3:
        yield Setting(op, f"scores {mode}", [q, k, v, make(4, 6)], {"qk_matmul_output_mode": mode, "softcap": 3.0}, (True, False, False, True))
    yield Setting(op, "masks of batches", [q, k, v, make(2, 1, 4, 6)])
    if version >= 24:
        yield Setting(op, "lengths", [q, k, v, None, None, None, ints(4, 6)])


@generator("RotaryEmbedding")
def rotary(op, version, make):
    for interleaved in 0, 1:
        yield Setting(op, f"4d {interleaved}", [make(2, 3, 4, 8), make(50, 4), make(50, 4), make.of(np.int64)(2, 4, low=0, high=49)], {"interleaved": interleaved})
        yield Setting(op, f"3d {interleaved}", [make(2, 4, 24), make(50, 4), make(50, 4), make.of(np.int64)(2, 4, low=0, high=49)], {"interleaved": interleaved, "num_heads": 3})
        yield Setting(op, f"caches {interleaved}", [make(2, 3, 4, 8), make(2, 4, 4), make(2, 4, 4)], {"interleaved": interleaved})
        yield Setting(op, f"partial {interleaved}", [make(2, 3, 4, 8), make(50, 2), make(50, 2), make.of(np.int64)(2, 4, low=0, high=49)], {"interleaved": interleaved, "rotary_embedding_dim": 4})


@generator("SwiGLU")
def swiglu(op, version, make):
    yield Setting(op, "default", [make(2, 3, 8)])


@generator("DFT", few=2)
def dft(op, version, make):
    real = lambda *shape: make(*shape, 1)
    for shape, axis, length, attributes in [((2, 8), 1, None, {}), ((2, 7), 1, None, {}), ((2, 8, 3), 1, 10, {}), ((2, 8, 3), 1, 5, {}), ((2, 8), 1, None, {"onesided": 1}), ((2, 9), 1, 6, {"onesided": 1})]:
        for x, inverse in (real(*shape), 0), (make(*shape, 2), 0), (make(*shape, 2), 1):
            if attributes and (inverse or x.shape[-1] == 2) and version < 20:
                continue
            if attributes and (x.shape[-1] == 2 and not inverse):
                continue
            flags = {**attributes, **({"inverse": 1} if inverse else {})}
            size = None if length is None else np.array(length, np.int64)
            if version < 20:
                yield Setting(op, f"{shape} {axis} {length} {label(flags)} {x.shape[-1]}", [x, size], {**flags, "axis": axis}, parameters=(1,))
            else:
                yield Setting(op, f"{shape} {axis} {length} {label(flags)} {x.shape[-1]}", [x, size, np.array(axis, np.int64)], flags, parameters=(1, 2))


@generator("STFT", few=2)
def stft(op, version, make):
    for onesided, window, size in itertools.product([None, 0], [True, False], [8, 7]):
        step = np.array(4, np.int64)
        yield Setting(op, f"{onesided} {window} {size}", [make(2, 32, 1), step, make(size) if window else None, np.array(size, np.int64)], {} if onesided is None else {"onesided": 0}, parameters=(1, 2, 3))
    yield Setting(op, "complex", [make(1, 32, 2), np.array(4, np.int64), make(8)], {"onesided": 0}, parameters=(1, 2))


@generator("HannWindow", "HammingWindow", "BlackmanWindow")
def window(op, version, make):
    for size, periodic, kind in itertools.product([10, 1, 7], [None, 0], [None, 11, 10]):
        yield Setting(op, f"{size} {periodic} {kind}", [np.array(size, make.dtype)], {key: value for key, value in (("periodic", periodic), ("output_datatype", kind)) if value is not None}, parameters=(0,))


@generator("MelWeightMatrix")
def mel(op, version, make):
    numbers = [np.array(8, make.dtype), np.array(16, make.dtype), np.array(8000 if make.dtype.itemsize > 1 else 100, make.dtype), np.array(0, np.float32), np.array(4000 if make.dtype.itemsize > 1 else 50, np.float32)]
    yield Setting(op, "default", numbers, parameters=(0, 1, 2, 3, 4))
    yield Setting(op, "double", numbers, {"output_datatype": 11}, parameters=(0, 1, 2, 3, 4))


@generator("LinearAttention")
def linear_attention(op, version, make):
    yield Setting(op, "linear", [make(1, 3, 8), make(1, 3, 8), make(1, 3, 8)], {"q_num_heads": 2, "kv_num_heads": 2, "update_rule": "linear"}, (True, True))


@generator("NonMaxSuppression")
def non_max_suppression(op, version, make):
    random = make.of(np.float32)
    low = random(2, 6, 2, low=0, high=1)
    boxes = np.concatenate([low, low + random(2, 6, 2, low=0.2, high=0.6)], -1).astype(np.float32)
    scores = random(2, 3, 6, low=0, high=1)
    for number, (most, overlap, score, center) in enumerate([(2, 0.5, 0.1, 0), (5, 0.3, None, 0), (None, None, None, 0), (3, 0.9, 0.5, 1), (0, 0.5, 0.0, 0), (10, 0.0, 0.99, 0)]):
        limits = [None if most is None else ints(most), None if overlap is None else np.array([overlap], np.float32), None if score is None else np.array([score], np.float32)]
        yield Setting(op, f"{number}", [boxes, scores, *limits], {"center_point_box": 1} if center else {}, parameters=(2, 3, 4))


# --- Quantization ---------------------------------------------------------------------------------------------------------------------


@generator("QuantizeLinear", few=4)
def quantize(op, version, make):
    kinds = [np.uint8, np.int8] + ([np.uint16, np.int16] if version >= 21 else [])
    wide = np.float32 if version < 19 or make.dtype == np.int32 else make.dtype
    for kind in kinds:
        point = make.of(kind)
        yield Setting(op, np.dtype(kind).name, [make(2, 3, 4), np.array(0.1, wide), point()], parameters=(1, 2))
        if version >= 13:
            for axis in None, 0, -1:
                count = (2, 3, 4)[1 if axis is None else axis]
                yield Setting(op, f"{np.dtype(kind).name} axis {axis}", [make(2, 3, 4), make.of(np.float32)(count, low=0.05, high=0.5).astype(wide), point(count)], {} if axis is None else {"axis": axis}, parameters=(1, 2))
        if make.isfloat:
            yield Setting(op, f"{np.dtype(kind).name} special", [make.special()[:-1], np.array(0.5, wide), point()], parameters=(1, 2))
    yield Setting(op, "no point", [make(2, 3), np.array(0.1, wide)], parameters=(1,))
    if version >= 21:
        yield Setting(op, "blocks", [make(4, 6), make.of(np.float32)(2, 6, low=0.05, high=0.5).astype(wide), make.of(np.uint8)(2, 6)], {"axis": 0, "block_size": 2}, parameters=(1, 2))
        yield Setting(op, "output type", [make(4, 6), np.array(0.1, wide)], {"output_dtype": TensorProto.INT8}, parameters=(1,))


@generator("DequantizeLinear", few=4)
def dequantize(op, version, make):
    point = (lambda *shape: np.zeros(shape, make.dtype)) if make.dtype == np.int32 or make.isfloat else make
    yield Setting(op, "plain", [make(2, 3, 4), np.array(0.1, np.float32), point()], parameters=(1, 2))
    yield Setting(op, "no point", [make(2, 3), np.array(0.1, np.float32)], parameters=(1,))
    if version >= 13:
        for axis in None, 0, -1:
            count = (2, 3, 4)[1 if axis is None else axis]
            yield Setting(op, f"axis {axis}", [make(2, 3, 4), make.of(np.float32)(count, low=0.05, high=0.5), point(count)], {} if axis is None else {"axis": axis}, parameters=(1, 2))
    if version >= 21:
        yield Setting(op, "blocks", [make(4, 6), make.of(np.float32)(4, 2, low=0.05, high=0.5), point(4, 2)], {"axis": 1, "block_size": 3}, parameters=(1, 2))
    if version >= 19:
        yield Setting(op, "half", [make(2, 3), np.array(0.1, np.float16), point()], parameters=(1, 2))


@generator("DynamicQuantizeLinear")
def dynamic_quantize(op, version, make):
    for shape in (2, 3), (1,), (2, 3, 4):
        yield Setting(op, f"{shape}", [make(*shape)], {}, (True, True, True))
    yield Setting(op, "positive", [make(5, low=1, high=2)], {}, (True, True, True))
    yield Setting(op, "zero", [np.zeros([3], np.float32)], {}, (True, True, True))


# --- Random ---------------------------------------------------------------------------------------------------------------------------


@generator("RandomNormal", "RandomUniform", by=9)
def random_numbers(op, version, make):
    for attributes in [{"shape": [2, 3]}, {"shape": [4], "dtype": 11, "seed": 2.0}, {"shape": [0, 2], "dtype": 10}, {"shape": []}]:
        yield Setting(op, label(attributes), [], attributes, random=True)


@generator("Multinomial")
def multinomial(op, version, make):
    for attributes in [{}, {"sample_size": 5, "dtype": 7, "seed": 1.0}]:
        yield Setting(op, label(attributes), [make(2, 4)], attributes, random=True)


# --- Text -----------------------------------------------------------------------------------------------------------------------------


@generator("StringConcat")
def string_concat(op, version, make):
    for first, second in PAIRS[:8]:
        yield Setting(op, f"{first} {second}", [make(*first), make(*second)])


@generator("StringSplit")
def string_split(op, version, make):
    x = np.array(["a b  c", " x ", "", "d,e,f"], object)
    for attributes in [{}, {"delimiter": ","}, {"maxsplit": 1}, {"delimiter": " ", "maxsplit": 2}]:
        yield Setting(op, label(attributes), [x], attributes, (True, True))
    yield Setting(op, "scalar", [np.array("a b", object)], {}, (True, True))


@generator("StringNormalizer", by=9)
def string_normalizer(op, version, make):
    x = np.array(["Monday", "tuesday", "Über", "monday"], object)
    for attributes in [{}, {"case_change_action": "LOWER"}, {"case_change_action": "UPPER", "stopwords": ["monday"]}, {"is_case_sensitive": 1, "stopwords": ["monday"]}, {"stopwords": ["Monday", "tuesday", "Über", "monday"], "is_case_sensitive": 1}]:
        yield Setting(op, label(attributes), [x], attributes)
    yield Setting(op, "row", [x[None]], {"case_change_action": "LOWER"})


@generator("RegexFullMatch")
def regex(op, version, make):
    x = np.array(["www.google.com", "abc", "", "a1b2"], object)
    for pattern in r"www\.[\w.-]+\.\bcom\b", "[a-z]*", "(a|b)?[0-9a-z]+", ".*", "^a.*2$", "a{1,2}b.", "[^a]*":
        yield Setting(op, pattern, [x], {"pattern": pattern})


@generator("TfIdfVectorizer", only=["int32", "int64"])
def tfidf(op, version, make):
    pool = {"ngram_counts": [0, 4], "ngram_indexes": [0, 1, 2, 3, 4, 5, 6], "pool_int64s": [2, 3, 5, 4, 5, 6, 7, 8, 6, 7]}
    for mode, skip, low in itertools.product(["TF", "IDF", "TFIDF"], [0, 2], [1, 2]):
        yield Setting(op, f"{mode} {skip} {low}", [np.array([1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8], make.dtype)], {**pool, "mode": mode, "min_gram_length": low, "max_gram_length": 2, "max_skip_count": skip, "weights": [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]})


# --- Sequences and optionals ----------------------------------------------------------------------------------------------------------


@generator(*"SequenceConstruct SequenceAt SequenceErase SequenceInsert SequenceLength ConcatFromSequence SplitToSequence SequenceEmpty".split(), by=9)
def sequences(op, version, make):
    items = [make(2, 3), make(2, 3), make(2, 3)]
    if op == "SequenceConstruct":
        yield Setting(op, "three", items)
        yield Setting(op, "one", [make()])
    elif op == "SequenceEmpty":
        yield Setting(op, "plain", [])
        yield Setting(op, "int64", [], {"dtype": 7})
    elif op == "SequenceLength":
        yield Setting(op, "three", [items])
    elif op == "ConcatFromSequence":
        for axis, new in (0, 0), (1, 0), (-1, 0), (0, 1), (2, 1), (-1, 1):
            yield Setting(op, f"{axis} {new}", [items], {"axis": axis, "new_axis": new})
    elif op == "SplitToSequence":
        for shape, sizes, attributes in [((4, 6), None, {}), ((4, 6), None, {"keepdims": 0, "axis": 1}), ((4, 6), np.array(2, np.int64), {"axis": 1}), ((4, 6), ints(1, 3), {}), ((4, 6), np.array(4, np.int64), {"axis": -1}), ((4, 6), np.array(2, np.int32), {})]:
            yield Setting(op, f"{shape} {sizes} {label(attributes)}", [make(*shape), sizes], attributes, parameters=(1,))
    else:
        for place in 0, -1, 2, None:
            if place is None and op == "SequenceAt":
                continue
            middle = [make(2, 3)] if op == "SequenceInsert" else []
            yield Setting(op, f"{place}", [items, *middle, None if place is None else np.array(place, np.int64)], parameters=(1 + len(middle),))


@generator("OptionalHasElement", "OptionalGetElement", "Optional", by=9)
def optionals(op, version, make):
    if op != "Optional" and version >= 18:
        yield Setting(op, "tensor", [make(2, 3)])
        yield Setting(op, "sequence", [[make(2, 3), make(2, 3)]])
    if op == "OptionalHasElement" and version >= 18:
        yield Setting(op, "nothing", [])


# --- Control flow ---------------------------------------------------------------------------------------------------------------------


def body(nodes, inputs, outputs):
    """A graph; inputs and outputs are (name, type, shape)."""
    return helper.make_graph(nodes, "body", [helper.make_tensor_value_info(*value) for value in inputs], [helper.make_tensor_value_info(*value) for value in outputs])


@generator("Scan", by=9)
def scan(op, version, make):
    """Sums up the elements; gives each sum times its element."""
    nodes = [helper.make_node("Add", ["s", "x"], ["t"]), helper.make_node("Mul", ["t", "x"], ["y"])]
    graph = body(nodes, [("s", 1, [2]), ("x", 1, [2])], [("t", 1, [2]), ("y", 1, [2])])

    def expect(lengths, start, x, backwards):
        last, rows = np.zeros_like(start), np.zeros_like(x)
        for k in range(len(x)):
            last[k], size = start[k], x.shape[1] if lengths is None else lengths[k]
            for at in range(size):
                element = x[k, size - 1 - at if backwards else at]
                last[k] += element
                rows[k, at] = last[k] * element
        return last, rows

    for backwards in 0, 1:
        if version == 8:
            for lengths in None, ints(4, 2, 3):
                yield Setting(op, f"{backwards} {lengths}", [lengths, make(3, 2), make(3, 4, 2)], {"body": graph, "num_scan_inputs": 1, "directions": [backwards]}, (True, True), expect=lambda n, s, x, b=backwards: expect(n, s, x, b))
            continue
        for axis in 0, 1:
            attributes = {"body": graph, "num_scan_inputs": 1, "scan_input_directions": [backwards], "scan_output_directions": [axis], "scan_input_axes": [axis], "scan_output_axes": [axis]}
            yield Setting(op, f"{backwards} {axis}", [make(2), make(2, 3) if axis else make(3, 2)], attributes, (True, True))


@generator("Loop", by=9)
def loop(op, version, make):
    """Doubles until there is more than 20, at most so many times."""
    nodes = [helper.make_node("Constant", [], ["most"], value=onnx.numpy_helper.from_array(np.array([20], np.float32)))]
    nodes += [helper.make_node("Add", ["s", "s"], ["t"]), helper.make_node("Less", ["t", "most"], ["h"]), helper.make_node("Identity", ["t"], ["y"])]
    nodes += [helper.make_node("Squeeze", ["h"], ["g"], **({"axes": [0]} if version < 13 else {}))]
    graph = body(nodes, [("i", 7, []), ("c", 9, []), ("s", 1, [1])], [("g", 9, []), ("t", 1, [1]), ("y", 1, [1])])
    start = np.array([1.5], np.float32)
    for count, condition in (3, True), (None, True), (7, None), (0, True), (3, False):
        yield Setting(op, f"{count} {condition}", [None if count is None else np.array(count, np.int64), None if condition is None else np.array(condition), start], {"body": graph}, (True, True))


@generator("If", by=9)
def branch(op, version, make):
    value = onnx.numpy_helper.from_array(np.array([1, 2], np.float32))
    yes = body([helper.make_node("Constant", [], ["a"], value=value)], [], [("a", 1, [2])])
    no = body([helper.make_node("Constant", [], ["b"], value=value), helper.make_node("Neg", ["b"], ["d"])], [], [("d", 1, [2])])
    for flag in True, False:
        yield Setting(op, f"{flag}", [np.array(flag)], {"then_branch": yes, "else_branch": no})


# --- ai.onnx.ml -----------------------------------------------------------------------------------------------------------------------

ML = "ai.onnx.ml"


@generator("ArrayFeatureExtractor", domain=ML, few=2)
def array_feature_extractor(op, version, make):
    for shape, picks in ((3, 4), [0, 2]), ((4,), [1, 3, 0]), ((2, 3, 4), [3]):
        yield Setting(op, f"{shape} {picks}", [make(*shape), ints(*picks)], parameters=(1,))


@generator("Binarizer", domain=ML)
def binarizer(op, version, make):
    for threshold in None, 0.5, -1.0:
        yield Setting(op, f"{threshold}", [make(2, 3)], {} if threshold is None else {"threshold": threshold})


@generator("FeatureVectorizer", domain=ML)
def feature_vectorizer(op, version, make):
    yield Setting(op, "two", [make(2, 3), make(2, 2)], {"inputdimensions": [3, 2]})


@generator("Imputer", domain=ML)
def imputer(op, version, make):
    if make.isfloat:
        x = np.array([[1, np.nan, 3], [-1, 2, np.nan]], make.dtype)
        yield Setting(op, "nan", [x], {"imputed_value_floats": [5.0], "replaced_value_float": float("nan")})
        yield Setting(op, "number", [x], {"imputed_value_floats": [5.0, 6.0, 7.0], "replaced_value_float": -1.0})
    else:
        yield Setting(op, "number", [make(2, 3)], {"imputed_value_int64s": [5, 6, 7], "replaced_value_int64": 1})


@generator("LabelEncoder", domain=ML)
def label_encoder(op, version, make):
    if version == 1:
        return
    if make.dtype == np.int64:
        yield Setting(op, "ints to floats", [ints(1, 2, 9)], {"keys_int64s": [1, 2, 3], "values_floats": [0.5, 1.5, 2.5], "default_float": -7.0})
        yield Setting(op, "ints", [ints(1, 2, 9)], {"keys_int64s": [1, 2, 3], "values_int64s": [5, 6, 7]})
        yield Setting(op, "ints to strings", [ints(1, 2, 9)], {"keys_int64s": [1, 2, 3], "values_strings": ["a", "b", "c"], "default_string": "z"})
    elif make.dtype == np.float32:
        yield Setting(op, "floats to ints", [np.array([0.5, np.nan, 3], np.float32)], {"keys_floats": [0.5, float("nan")], "values_int64s": [5, 6], "default_int64": 4})
        yield Setting(op, "floats to floats", [np.array([0.5, 3], np.float32)], {"keys_floats": [0.5, 1.0], "values_floats": [5.0, 6.0]})
    elif make.dtype == object:
        yield Setting(op, "strings to ints", [np.array(["a", "q"], object)], {"keys_strings": ["a", "b"], "values_int64s": [5, 6], "default_int64": 4})
        yield Setting(op, "strings to strings", [np.array(["a", "q"], object)], {"keys_strings": ["a", "b"], "values_strings": ["x", "y"]})
        yield Setting(op, "strings to floats", [np.array(["a", "q"], object)], {"keys_strings": ["a", "b"], "values_floats": [1.0, 2.0]})


@generator("CategoryMapper", domain=ML)
def category_mapper(op, version, make):
    x = np.array(["a", "q"], object) if make.dtype == object else ints(1, 7)
    yield Setting(op, "plain", [x], {"cats_int64s": [1, 2], "cats_strings": ["a", "b"], "default_int64": 9, "default_string": "?"})


@generator("LinearRegressor", domain=ML)
def linear_regressor(op, version, make):
    for post in None, "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO":
        yield Setting(op, f"{post}", [make(3, 4)], {"coefficients": [0.1 * k for k in range(8)], "intercepts": [0.5, -0.5], "targets": 2} | ({"post_transform": post} if post else {}))
    yield Setting(op, "one", [make(3, 4)], {"coefficients": [0.1, 0.2, 0.3, 0.4]})


@generator("LinearClassifier", domain=ML)
def linear_classifier(op, version, make):
    for post in None, "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT":
        more = {"post_transform": post} if post else {}
        yield Setting(op, f"{post} ints", [make(5, 4)], {"coefficients": [0.1 * (k % 5) - 0.2 for k in range(12)], "intercepts": [0.5, -0.5, 0.1], "classlabels_ints": [3, 5, 9], **more}, (True, True), types=kinds(np.int64, np.float32))
        yield Setting(op, f"{post} binary", [make(5, 4)], {"coefficients": [0.1, -0.2, 0.3, -0.4], "intercepts": [0.1], "classlabels_ints": [0, 1], **more}, (True, True), types=kinds(np.int64, np.float32))
        yield Setting(op, f"{post} strings", [make(5, 4)], {"coefficients": [0.1 * (k % 5) - 0.2 for k in range(12)], "intercepts": [0.5, -0.5, 0.1], "classlabels_strings": ["a", "b", "c"], **more}, (True, True), types=kinds(str, np.float32))


@generator("Normalizer", domain=ML)
def normalizer(op, version, make):
    for norm in None, "L1", "L2", "MAX":
        yield Setting(op, f"{norm}", [make(3, 4)], {"norm": norm} if norm else {})
    yield Setting(op, "zero", [np.zeros([2, 3], make.dtype)], {"norm": "L2"})
    yield Setting(op, "vector", [make(4)], {"norm": "L1"})


@generator("OneHotEncoder", domain=ML)
def one_hot_encoder(op, version, make):
    if make.dtype == object:
        yield Setting(op, "strings", [np.array(["a", "b", "a"], object)], {"cats_strings": ["a", "b", "c"]})
        yield Setting(op, "unknown", [np.array([["a", "q"]], object)], {"cats_strings": ["a", "b", "c"], "zeros": 1})
    else:
        yield Setting(op, "ints", [make(2, 3, low=0, high=2)], {"cats_int64s": [0, 1, 2, 5], "zeros": 1})


@generator("Scaler", domain=ML)
def scaler(op, version, make):
    yield Setting(op, "each", [make(2, 3)], {"offset": [1.0, 2.0, 3.0], "scale": [0.5, 2.0, 1.5]})
    yield Setting(op, "one", [make(2, 3)], {"offset": [1.0], "scale": [0.5]})


@generator("SVMRegressor", domain=ML)
def svm_regressor(op, version, make):
    for kernel in "LINEAR", "RBF", "POLY", "SIGMOID":
        yield Setting(op, kernel, [make(3, 2)], {"coefficients": [0.5, -0.3, 0.8], "kernel_type": kernel, "kernel_params": [0.4, 0.1, 3.0], "n_supports": 3, "rho": [0.2], "support_vectors": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, types=kinds(np.float32))


@generator("SVMClassifier", domain=ML)
def svm_classifier(op, version, make):
    for kernel in "LINEAR", "RBF", "POLY", "SIGMOID":
        yield Setting(op, kernel, [make(5, 2)], {"coefficients": [0.5, -0.3, 0.8], "kernel_type": kernel, "kernel_params": [0.4, 0.1, 3.0], "rho": [0.2], "support_vectors": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "vectors_per_class": [1, 2], "classlabels_ints": [0, 1]}, (True, True), types=kinds(np.int64, np.float32))
        yield Setting(op, kernel + " probabilities", [make(5, 2)], {"coefficients": [0.5, -0.3, 0.8], "kernel_type": kernel, "kernel_params": [0.4, 0.1, 3.0], "rho": [0.2], "support_vectors": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "vectors_per_class": [1, 2], "classlabels_ints": [3, 7], "prob_a": [0.5], "prob_b": [-0.1]}, (True, True), types=kinds(np.int64, np.float32))
        yield Setting(op, kernel + " three", [make(5, 2)], {"coefficients": [0.5, -0.3, 0.8, 0.1, -0.2, 0.4], "kernel_type": kernel, "kernel_params": [0.4, 0.1, 3.0], "rho": [0.2, -0.1, 0.3], "support_vectors": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "vectors_per_class": [1, 1, 1], "classlabels_ints": [0, 1, 5]}, (True, True), types=kinds(np.int64, np.float32))


TREE = {
    "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1], "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2], "nodes_featureids": [0, 1, 0, 0, 0, 2, 0, 0],
    "nodes_values": [0.1, -0.2, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0], "nodes_truenodeids": [1, 3, 0, 0, 0, 1, 0, 0], "nodes_falsenodeids": [2, 4, 0, 0, 0, 2, 0, 0],
}  # fmt: skip
LEAVES = [(0, 2), (0, 3), (0, 4), (1, 1), (1, 2)]


@generator("TreeEnsembleRegressor", "TreeEnsembleClassifier", domain=ML)
def trees(op, version, make):
    kind = "class" if op.endswith("Classifier") else "target"
    modes = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
    for mode, extra in itertools.product(modes, [{}, {"post_transform": "SOFTMAX"}, {"post_transform": "LOGISTIC"}, {"base_values": [0.3, -0.1]}] + ([{"aggregate_function": way} for way in ("AVERAGE", "MIN", "MAX")] if kind == "target" else [])):
        attributes = {**TREE, "nodes_modes": [mode, mode, "LEAF", "LEAF", "LEAF", mode, "LEAF", "LEAF"], **extra}
        attributes |= {f"{kind}_treeids": [tree for tree, _ in LEAVES], f"{kind}_nodeids": [node for _, node in LEAVES], f"{kind}_ids": [0, 1, 0, 1, 0], f"{kind}_weights": [0.5, 1.0, -0.5, 0.25, 2.0]}
        attributes |= {"classlabels_int64s": [4, 8]} if kind == "class" else {"n_targets": 2}
        yield Setting(op, f"{mode} {label(extra)}", [make(6, 3)], attributes, (True, True) if kind == "class" else (True,), types=kinds(np.int64, np.float32) if kind == "class" else kinds(np.float32))


@generator("TreeEnsemble", domain=ML)
def tree_ensemble(op, version, make):
    number = lambda values: onnx.numpy_helper.from_array(np.array(values, make.dtype))
    for aggregate, post in itertools.product([0, 1, 2, 3], [0, 1, 2]):
        attributes = {"tree_roots": [0], "nodes_featureids": [0, 1], "nodes_splits": number([0.1, -0.2]), "nodes_modes": onnx.numpy_helper.from_array(np.array([0, 1], np.uint8)), "nodes_truenodeids": [1, 0], "nodes_trueleafs": [0, 1], "nodes_falsenodeids": [2, 1], "nodes_falseleafs": [1, 1], "leaf_targetids": [0, 1, 0], "leaf_weights": number([0.5, 1.5, -1.0]), "n_targets": 2, "aggregate_function": aggregate, "post_transform": post}
        yield Setting(op, f"{aggregate} {post}", [make(5, 3)], attributes)
