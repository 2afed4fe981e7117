"""ONNX's own backend tests, compiled with fulgurc and run with fulgur-run: the cases, and what is said of each.

A case is judged as the model says it and, apart from that, with a symbol of its own for every size of every input.
"""

import dataclasses
import functools
import itertools
import re
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import toolchain

KINDS = ["node", "simple", "pytorch-operator", "pytorch-converted", "light"]
PATIENCE = 6  # seconds by the clock for a second of computing
WRONG = ["wrong", "failed", "crash", "timeout"]  # what no case may be
RESULTS = ["pass", "refused", *WRONG]


@dataclasses.dataclass
class Verdict:
    """What became of a case: `failed` is an error other than 'unsupported'."""

    result: str
    reason: str = ""
    seconds: float = 0.0  # that the compiler computed


class Case:
    """A model with data sets. Cases of kind node are in memory, the others on disk and loaded when they are needed."""

    def __init__(self, test, kind):
        self.name, self.kind, self.rtol, self.atol = test.name, kind, test.rtol, test.atol
        self.test = test

    @functools.cached_property
    def model(self):
        if self.test.model is not None:
            return self.test.model
        return onnx.load(light_file(self.test) if self.kind == "light" else Path(self.test.model_dir) / "model.onnx")

    def inputs(self):
        """The inputs that are no initializers."""
        known = {tensor.name for tensor in self.model.graph.initializer}
        return [value for value in self.model.graph.input if value.name not in known]

    def data_sets(self, scratch):
        """(folder of inputs, expected values) for every data set."""
        given, returned = self.inputs(), [value.type for value in self.model.graph.output]
        if self.test.model_dir:
            for folder in sorted(Path(self.test.model_dir).glob("test_data_set_*")):
                yield folder, toolchain.read_tensors(folder, "output", returned)
            return
        sets = self.test.data_sets if self.kind != "light" else [light_data(self)]
        for index, (inputs, outputs) in enumerate(sets):
            folder = Path(scratch) / f"set_{index}"
            toolchain.write_tensors(folder, "input", zip([value.name for value in given], inputs), [value.type for value in given])
            yield folder, [numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value for value in outputs]


def light_file(test):
    """The real architectures with made-up weights that the onnx package brings along."""
    return Path(onnx.__file__).parent.parent / test.url


def light_data(case):
    """The one data set that ONNX's test runner makes of such a model."""
    from onnx.backend.test.runner import Runner

    stem = light_file(case.test).with_suffix("")
    outputs = [onnx.load_tensor(f"{stem}_output_{index}.pb") for index in range(len(case.model.graph.output))]
    return [Runner.generate_dummy_data(value) for value in case.inputs()], outputs


def load_cases(pattern=""):
    warnings.filterwarnings("ignore")
    from onnx.backend.test.loader import load_model_tests

    for kind in KINDS:
        for test in load_model_tests(kind="real" if kind == "light" else kind):
            if kind == "light":
                test.name = test.name.replace("test_", "test_light_", 1)
            if re.search(pattern, test.name):
                yield Case(test, kind)


def with_symbols(model):
    """The model with a symbol for every size above 1 of an input, none the same; None when there is no such size. A size of 1 may
    mean broadcasting and a size of 0 emptiness, so these stay."""
    model, symbols = onnx.ModelProto.FromString(model.SerializeToString()), 0
    known = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name in known or not value.type.HasField("tensor_type"):
            continue
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_value > 1:
                dim.dim_param = re.sub(r"\W", "_", f"{value.name}_{axis}")
                symbols += 1
    forget_sizes(model.graph, keep_inputs=True)
    return model if symbols else None


def forget_sizes(graph, keep_inputs=False):
    """Removes what a graph and the graphs in it say about the sizes of their results."""
    del graph.value_info[:]
    for value in itertools.chain(graph.output, [] if keep_inputs else graph.input):
        if value.type.tensor_type.HasField("shape"):
            for dim in value.type.tensor_type.shape.dim:
                dim.Clear()
    for node in graph.node:
        for attribute in node.attribute:
            for subgraph in [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs:
                forget_sizes(subgraph)


def agree(actual, expected, case):
    """Whether two values are the same within the case's own tolerance, as ONNX's runner decides it."""
    if isinstance(expected, (list, tuple)):
        return isinstance(actual, list) and len(actual) == len(expected) and all(map(agree, actual, expected, itertools.repeat(case)))
    if actual is None or expected is None:
        return actual is expected
    actual, expected = toolchain.plain(actual), toolchain.plain(expected)
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    kind, rtol = expected.dtype, case.rtol
    if kind.name == "bfloat16":
        rtol = max(rtol, 2**-6)  # two units in the last place
    if kind.isbuiltin == 2 or kind.name.startswith("float8"):  # numpy computes with its own types only
        actual, expected = actual.astype(np.float32), expected.astype(np.float32)
    if not np.issubdtype(actual.dtype, np.inexact):
        return np.array_equal(actual, expected)
    with np.errstate(all="ignore"):
        return np.allclose(actual, expected, rtol=rtol, atol=case.atol, equal_nan=True)


def leaves_values_open(model):
    """Whether the standard leaves the values of the results to the implementation: it draws random numbers."""
    draws = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        inputs = [*node.input, "", "", ""]
        if node.op_type in draws or node.op_type == "Dropout" and constants.get(inputs[2], inputs[2] != ""):
            return True
    return False


def alike(actual, expected, case):
    """Whether two random values can be of the same operator: of one type and shape, and equal where neither drew a zero, since what
    the tests draw decides between zero and a number that is known (Bernoulli, Dropout)."""
    actual, expected = toolchain.plain(actual), toolchain.plain(expected)
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    both = (actual != 0) & (expected != 0)
    return agree(actual[both], expected[both], case)


def difference(actual, expected):
    """A few words on how outputs differ."""
    for index, (ours, theirs) in enumerate(zip(actual, expected)):
        if isinstance(theirs, list) or theirs is None or ours is None:
            return f"output {index} is {ours} instead of {theirs}"
        ours, theirs = toolchain.plain(ours), toolchain.plain(theirs)
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            return f"output {index} is {ours.dtype}{list(ours.shape)} instead of {theirs.dtype}{list(theirs.shape)}"
    try:
        return f"largest difference {toolchain.worst(actual, expected):.1e} of the largest value"
    except (AttributeError, TypeError, ValueError):
        return "other values"


def judge(case, symbolic=False, timeout=20):
    """The verdict on a case, or on the case with symbols for sizes. `timeout` is in seconds that compiler and run compute, since
    the clock also tells what else the machine does."""
    model = with_symbols(case.model) if symbolic else case.model
    with toolchain.scratch() as scratch:
        path = Path(scratch) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        compiled = toolchain.compile_model(path, f"{scratch}/library", "-q", "--diagnostics-format=json", timeout=PATIENCE * timeout)
        seconds = compiled.cpu_seconds
        if compiled.code or seconds > timeout:
            return Verdict(outcome(compiled, timeout), compiled.message(), seconds)
        types = [value.type for value in model.graph.output]
        same = alike if leaves_values_open(model) else agree
        for folder, expected in case.data_sets(scratch):
            ended, actual = toolchain.run_model(f"{scratch}/library.so", folder, f"{scratch}/out", types, timeout=PATIENCE * timeout)
            if ended.code or ended.cpu_seconds > timeout:
                return Verdict(outcome(ended, timeout), "while running: " + ended.reason(), seconds)
            if len(actual) != len(expected) or not all(map(same, actual, expected, itertools.repeat(case))):
                return Verdict("wrong", difference(actual, expected), seconds)
    return Verdict("pass", "", seconds)


def outcome(ended, timeout):
    if ended.timed_out or ended.cpu_seconds > timeout:
        return "timeout"
    if ended.code == toolchain.UNSUPPORTED:
        return "refused"
    return "crash" if ended.code < 0 or ended.code >= 70 else "failed"
