"""The interpreter against ONNX's expected results: run_interpreter.py [REGEX] [--stage NAME]...

Cases of ONNX's backend tests are compiled up to each of the stages, and that IR is interpreted on the cases' inputs. Programs, and
operations that the interpreter does not know, are only counted; what is random, or packed into less than bytes, is left out.
"""

import argparse
import collections
import sys

import numpy as np
import onnx

import backend
import toolchain

INTERPRETER = toolchain.BUILD / "bin" / "fulgur-interpret"


def judge(case, stage, scratch):
    """'pass', or what else became of a case."""
    onnx.save(case.model, f"{scratch}/model.onnx")
    ended = toolchain.call(toolchain.COMPILER, f"{scratch}/model.onnx", f"--compile-to={stage}", "-o", f"{scratch}/model.mlir")
    if ended.code:
        return "does not compile", ended.reason()
    if "func.func @drive" in open(f"{scratch}/model.mlir").read():
        return "program", ""
    for inputs, expected in case.data_sets(scratch):
        ended = toolchain.call(INTERPRETER, f"{scratch}/model.mlir", "--inputs", inputs, "--outputs", f"{scratch}/out")
        if ended.code == toolchain.UNSUPPORTED:
            return "unknown", ended.reason()
        if ended.code:
            return "failed", ended.reason()
        actual = toolchain.read_tensors(f"{scratch}/out", "output")
        for k, (a, e) in enumerate(zip(actual, expected)):
            e = np.asarray(e)
            if a.dtype != e.dtype and a.dtype.itemsize == e.dtype.itemsize:
                a = a.view(e.dtype)  # the IR does not know signs
            if a.shape != e.shape or not np.allclose(a.astype(np.float64), e.astype(np.float64), case.rtol, case.atol, equal_nan=True):
                return "wrong", f"output {k} departs by {toolchain.difference(a, e):.1e}"
    return "pass", ""


def is_plain(case):
    """Whether the outputs follow from the inputs, all of which are files of whole bytes."""
    kinds = [value.type.tensor_type.elem_type for value in [*case.model.graph.input, *case.model.graph.output]]
    packed = {onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.FLOAT4E2M1, onnx.TensorProto.STRING, 25, 26, 0}
    random = any(node.op_type in ("Dropout", "Bernoulli") or "Random" in node.op_type for node in case.model.graph.node)
    return bool(case.inputs()) and not random and not packed.intersection(kinds)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("regex", nargs="?", default=".")
    options.add_argument("--stage", action="append", default=[])
    options.add_argument("--every", type=int, default=1, help="only every n-th case")
    options = options.parse_args()
    cases = [case for case in backend.load_cases(options.regex) if case.kind == "node" and is_plain(case)][:: options.every]
    counts = collections.Counter()
    for case in cases:
        for stage in options.stage or ["import", "graph", "kernel", "memory"]:
            with toolchain.scratch() as scratch:
                result, reason = judge(case, stage, scratch)
            counts[result] += 1
            if result not in ("pass", "program"):
                print(f"{case.name} at stage {stage}: {result} {reason}", flush=True)
            if result in ("program", "does not compile"):
                break
    print(", ".join(f"{count} {result}" for result, count in counts.most_common()))
    return counts["wrong"] + counts["failed"] > 0 or not counts["pass"]


if __name__ == "__main__":
    sys.exit(main())
