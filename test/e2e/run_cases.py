"""Small models from ONNX text, against ONNX's reference evaluator: run_cases.py [CASE...]

A case is cases/NAME.onnxtxt. Its comments say how to run it:
    // sizes: batch=2 sequence=5     one data set; more lines are more data sets of the one compiled library
    // range: indices 0 4            values of an integer input (default 0 to 3), or of a float input (default normal)
    // sizes: shape=2,-1 axis=0      values of integer inputs, in place of random ones
    // refused: n=2 m=3: text        a data set that the library must refuse with a message that contains the text
    // args: --dim batch=1..8        further arguments of fulgurc
"""

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx.reference import ReferenceEvaluator

import toolchain

CASES = Path(__file__).resolve().parent / "cases"


def directives(text, name):
    return re.findall(rf"^// {name}: *(.*)$", text, re.MULTILINE)


def make_input(value, sizes, ranges, random):
    if value.type.HasField("sequence_type"):  # three elements, alike
        element = onnx.ValueInfoProto(name=value.name, type=value.type.sequence_type.elem_type)
        return [make_input(element, sizes, ranges, random) for _ in range(3)]
    kind = value.type.tensor_type
    shape = [sizes[dim.dim_param][0] if dim.dim_param else dim.dim_value for dim in kind.shape.dim]
    if kind.elem_type == onnx.TensorProto.STRING:
        return random.choice(["", "a", "b c", "B, c", "ü"], shape).astype(object)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    if value.name in sizes and len(shape) <= 1 and dtype.kind in "iub":
        return np.array(sizes[value.name], dtype).reshape(shape)
    if dtype == bool:
        return random.random(shape) < 0.5
    if np.issubdtype(dtype, np.integer):
        low, high = ranges.get(value.name, (0, 3))
        return random.integers(low, high, shape, endpoint=True).astype(dtype)
    if value.name in ranges:
        return random.uniform(*ranges[value.name], shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)


def make_inputs(model, line, ranges, random):
    words = [word.split("=") for word in line.split()]
    sizes = {name: [int(number) for number in numbers.split(",") if number] for name, numbers in words}
    return {value.name: make_input(value, sizes, ranges, random) for value in model.graph.input}


def check(path):
    text = path.read_text(encoding="utf-8")
    model = onnx.parser.parse_model("\n".join(line for line in text.splitlines() if not line.startswith("//")))
    ranges = {name: (float(low), float(high)) for name, low, high in map(str.split, directives(text, "range"))}
    reference = ReferenceEvaluator(model)
    random = np.random.default_rng(7)
    with toolchain.scratch() as scratch:
        onnx.save(model, f"{scratch}/model.onnx")
        arguments = [word for line in directives(text, "args") for word in shlex.split(line)]
        ended = toolchain.compile_model(f"{scratch}/model.onnx", f"{scratch}/model", *arguments)
        if ended.code:
            return False, "does not compile: " + ended.reason()
        errors = []
        for index, line in enumerate(directives(text, "sizes") or [""]):
            feeds = make_inputs(model, line, ranges, random)
            folder = f"{scratch}/{index}"
            toolchain.write_tensors(folder, "input", feeds.items(), [value.type for value in model.graph.input])
            returned = [value.type for value in model.graph.output]
            ended, outputs = toolchain.run_model(f"{scratch}/model.so", folder, folder + "/out", returned)
            if ended.code:
                return False, f"does not run with {line}: {ended.reason()}"
            errors.append(toolchain.worst(outputs, reference.run(None, feeds)))
        for index, line in enumerate(directives(text, "refused")):
            line, message = line.split(": ", 1)
            folder = f"{scratch}/refused{index}"
            feeds = make_inputs(model, line, ranges, random)
            toolchain.write_tensors(folder, "input", feeds.items(), [value.type for value in model.graph.input])
            ended, _ = toolchain.run_model(f"{scratch}/model.so", folder, folder + "/out", returned)
            if ended.code != 1 or message not in ended.output:
                return False, f"is not refused with {line}: {ended.reason()}"
        return max(errors) <= toolchain.TOLERANCE, "largest differences " + " ".join(f"{error:.1e}" for error in errors)


def main(names):
    cases = [path for path in sorted(CASES.glob("*.onnxtxt")) if not names or path.stem in names]
    return not toolchain.all_right(check, cases, lambda path: path.stem, "cases")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
