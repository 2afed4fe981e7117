"""What an operator is called with, for every operator, version and type: what the modules with the operators share.

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
