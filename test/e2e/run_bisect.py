"""The first node of a model whose result departs from a reference: run_bisect.py MODEL [--inputs FOLDER] [--dim NAME=N]...

The reference is ONNX Runtime without optimisations, or ONNX's own evaluator. First every value of the graph is made an output, and
all are compared in the order of the nodes. If that hides the fault, because what is an output is not fused, values are made outputs
one at a time, and the first bad one is found by bisection. Further arguments, behind --, go to fulgurc.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

import toolchain


def make_inputs(model, folder, sizes, random):
    """Input name -> array, from a data set or made up."""
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in known]
    if folder:
        arrays = toolchain.read_tensors(folder, "input", [value.type for value in inputs])
        return dict(zip([value.name for value in inputs], arrays))
    feeds = {}
    for value in inputs:
        kind = value.type.tensor_type
        shape = [dim.dim_value if dim.HasField("dim_value") else sizes.get(dim.dim_param, 2) for dim in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if dtype == bool:
            feeds[value.name] = random.random(shape) < 0.5
        elif np.issubdtype(dtype, np.integer):
            feeds[value.name] = random.integers(0, 3, shape, endpoint=True).astype(dtype)
        else:
            feeds[value.name] = random.standard_normal(shape).astype(dtype)
    return feeds


def with_outputs(model, names, types):
    """The model with these values as its outputs, each of a known type, (element type, rank), or of none."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    del copy.graph.output[:]
    for name in names:
        value = copy.graph.output.add(name=name)
        if name in types:
            element, rank = types[name]
            value.CopyFrom(helper.make_tensor_value_info(name, element, [None] * rank))
    return copy


def reference_values(model, names, feeds):
    """Value name -> array, for those that are tensors."""
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        exposed = with_outputs(model, names, {}).SerializeToString()
        session = onnxruntime.InferenceSession(exposed, options, providers=["CPUExecutionProvider"])
        results = session.run(names, feeds)
    except Exception as error: # there is no common class of what it throws
        print(f"reference: ONNX's evaluator, since ONNX Runtime fails: {str(error).splitlines()[0][:200]}")
        from onnx.reference import ReferenceEvaluator

        results = ReferenceEvaluator(with_outputs(model, names, {})).run(names, feeds)
    return {name: array for name, array in zip(names, results) if isinstance(array, np.ndarray)}


def fulgur_values(model, feeds, arguments, scratch):
    """Output name -> array; ends the program when the model does not compile or run."""
    folder = Path(scratch) / "set"
    onnx.save(model, f"{scratch}/model.onnx")
    toolchain.write_tensors(folder, "input", feeds.items())
    ended = toolchain.compile_model(f"{scratch}/model.onnx", f"{scratch}/model", *arguments)
    if not ended.code:
        ended, arrays = toolchain.run_model(f"{scratch}/model.so", folder, f"{scratch}/out")
    if ended.code:
        sys.exit(f"{ended.reason()}\nwith these outputs: {' '.join(value.name for value in model.graph.output)}")
    return dict(zip([value.name for value in model.graph.output], arrays))


class Search:
    """A model, its reference values, and comparisons with them."""

    def __init__(self, model, feeds, tolerance, arguments):
        self.model, self.feeds, self.tolerance, self.arguments = model, feeds, tolerance, arguments
        self.producer = {name: node for node in model.graph.node for name in node.output if name}
        self.reference = reference_values(model, list(self.producer), feeds)
        self.types = {name: (helper.np_dtype_to_tensor_dtype(array.dtype), array.ndim) for name, array in self.reference.items()}

    def differences(self, names):
        """Name -> largest difference, when just these values are outputs."""
        with toolchain.scratch() as scratch:
            actual = fulgur_values(with_outputs(self.model, names, self.types), self.feeds, self.arguments, scratch)
        return {name: toolchain.difference(actual[name], self.reference[name]) for name in names}

    def first_bad(self):
        """The name of the first value that departs, the differences known by then, and how it was found."""
        outputs = [value.name for value in self.model.graph.output]
        names = [name for name in self.producer if name in self.reference]
        known = self.differences(names)
        for name in names:
            if known[name] > self.tolerance:
                return name, known, "with every value as an output"
        known = self.differences(outputs)
        if max(known.values()) <= self.tolerance:
            return None, known, ""
        low, high = 0, len(names) - 1  # the first bad one is in between, if what follows a bad value is bad
        while low < high:
            middle = (low + high) // 2
            known |= self.differences([names[middle]])
            low, high = (low, middle) if known[names[middle]] > self.tolerance else (middle + 1, high)
        return names[low], known | self.differences([names[low]]), "as the only output: with every value as an output nothing departs"


def describe(array):
    return f"{array.dtype}{list(array.shape)}"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("model", type=Path)
    options.add_argument("--inputs", type=Path, help="a folder with input_0.pb, input_1.pb, ...; default: made-up values")
    options.add_argument("--dim", action="append", default=[], metavar="NAME=N", help="size of a symbol, for made-up inputs (default: 2)")
    options.add_argument("--tolerance", type=float, default=toolchain.TOLERANCE, help="share of a value's largest element")
    options.add_argument("arguments", nargs="*", help="for fulgurc")
    options = options.parse_args()
    model = onnx.load(options.model)
    sizes = {name: int(size) for name, _, size in (text.partition("=") for text in options.dim)}
    feeds = make_inputs(model, options.inputs, sizes, np.random.default_rng(7))
    search = Search(model, feeds, options.tolerance, options.arguments)
    name, known, how = search.first_bad()
    if name is None:
        print(f"all outputs agree; the largest difference is {max(known.values()):.1e}")
        return False
    node = search.producer[name]
    print(f"value '{name}' of node '{node.name or node.output[0]}' ({node.op_type}) departs by {known[name]:.1e}, found {how}")
    print(f"  it is {describe(search.reference[name])}")
    for operand in filter(None, node.input):
        array = search.reference.get(operand, feeds.get(operand))
        shape = describe(array) if array is not None else "a constant"
        print(f"  input '{operand}' is {shape}" + (f", difference {known[operand]:.1e}" if operand in known else ""))
    return True


if __name__ == "__main__":
    sys.exit(main())
