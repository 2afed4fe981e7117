"""Operators of ONNX Runtime, against ONNX Runtime or, where it has no kernel for the CPU, a formula in numpy: run_microsoft.py [PATTERN...]

A case is an operator with attributes and inputs; a dim that is a letter is symbolic, and each of the case's sizes is a data set for
the one compiled library. The cases stand in microsoft_cases.py.
"""

import re
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper

import toolchain
from quantized_cases import CASES  # which adds to those of microsoft_cases

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

OPSET = 20


def value_info(name, array, dims):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), dims)


def model_of(case, feeds, outputs):
    inputs = [value_info(name, feeds[name], value.dims()) for name, value in case.inputs.items() if value is not None and not value.constant]
    constants = [onnx.numpy_helper.from_array(feeds[name], name) for name, value in case.inputs.items() if value is not None and value.constant]
    node = helper.make_node(
        case.op,
        [name if value is not None else "" for name, value in case.inputs.items()],
        [name if name in case.outputs else "" for name in case.output_slots()],
        name="node",
        domain=case.domain,
        **case.attributes,
    )
    graph = helper.make_graph([node], "g", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", case.opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def references(case, every):
    """The outputs for each data set, by ONNX Runtime or by the case's formula."""
    if case.formula:
        return [[np.asarray(array) for array in case.formula(feeds, case.attributes)] for feeds in every]
    kinds = [helper.make_tensor_value_info(name, case.types.get(name, TensorProto.FLOAT), None) for name in case.outputs]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model_of(case, every[0], kinds).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    wanted = [value.name for value in session.get_inputs()]
    return [session.run(None, {name: feeds[name] for name in wanted}) for feeds in every]


def check(case):
    if not case.formula and not onnxruntime:
        return None, "onnxruntime is not there"
    try:
        return compare(case)
    except Exception as error:  # a reference that does not run says nothing about us, but must be seen
        return False, f"{type(error).__name__}: {error}"


def compare(case):
    random = np.random.default_rng(7)
    constants = {name: value.make({}, random) for name, value in case.inputs.items() if value is not None and value.constant}
    every = []
    for sizes in case.sizes:
        made = {name: value.make(sizes, random) for name, value in case.inputs.items() if value is not None and not value.constant}
        every.append({**made, **constants})
    expected = references(case, every)
    outputs = [value_info(name, array, [None] * array.ndim) for name, array in zip(case.outputs, expected[0])]
    with toolchain.scratch() as scratch:
        onnx.save(model_of(case, every[0], outputs), f"{scratch}/model.onnx")
        ended = toolchain.compile_model(f"{scratch}/model.onnx", f"{scratch}/model", *case.arguments)
        if ended.code:
            return False, "does not compile: " + ended.reason()
        errors = []
        for index, (feeds, arrays) in enumerate(zip(every, expected)):
            folder = f"{scratch}/{index}"
            given = [(name, feeds[name]) for name, value in case.inputs.items() if value is not None and not value.constant]
            toolchain.write_tensors(folder, "input", given)
            ended, actual = toolchain.run_model(f"{scratch}/model.so", folder, folder + "/out")
            if ended.code:
                return False, f"does not run with {case.sizes[index]}: {ended.reason()}"
            errors.append(toolchain.worst(actual, arrays))
        return max(errors) <= case.tolerance, "largest differences " + " ".join(f"{error:.1e}" for error in errors)


def main(patterns):
    cases = [case for case in CASES if not patterns or any(re.search(pattern, case.name) for pattern in patterns)]
    wrong = skipped = 0
    for case, (right, text) in toolchain.in_parallel(check, cases):
        wrong += right is False
        skipped += right is None
        print(f"{ {True: 'ok  ', False: 'FAIL', None: 'skip'}[right]} {case.name}: {text}", flush=True)
    print(f"{len(cases) - wrong - skipped} of {len(cases)} cases right, {skipped} skipped")
    if cases and skipped == len(cases):
        return toolchain.SKIPPED
    return wrong > 0 or not cases


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
