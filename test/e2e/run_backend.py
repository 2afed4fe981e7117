"""ONNX's own backend tests: run_backend.py [--all | --record] [PATTERN]

By default the cases listed in backend_passing.txt run, and all of them must pass. --all runs every case, prints what is wrong or
crashes, and counts; cases that are refused with exit code 3 are no failure. --record does the same and rewrites the list, without
the cases that repeat another one with its function expanded.
"""

import argparse
import collections
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx

import toolchain

LIST = Path(__file__).resolve().parent / "backend_passing.txt"
KINDS = ["node", "simple", "pytorch-operator", "pytorch-converted"]


def load_cases():
    warnings.filterwarnings("ignore")
    from onnx.backend.test.loader import load_model_tests

    for kind in KINDS:
        for case in load_model_tests(kind=kind):
            if case.model is not None or case.model_dir:
                yield case


def data_sets(case, scratch):
    """(folder of inputs, expected arrays) of a case that is in memory, or on disk."""
    if case.model is None:
        for folder in sorted(Path(case.model_dir).glob("test_data_set_*")):
            yield folder, toolchain.read_tensors(folder, "output")
        return
    names = [value.name for value in case.model.graph.input]
    for index, (inputs, outputs) in enumerate(case.data_sets):
        folder = Path(scratch) / f"set_{index}"
        toolchain.write_tensors(folder, "input", zip(names, inputs))
        yield folder, [np.asarray(array) for array in outputs]


def agree(actual, expected, case):
    if len(actual) != len(expected):
        return False
    for ours, theirs in zip(actual, expected):
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            return False
        rtol = case.rtol
        if theirs.dtype.name == "bfloat16":  # as ONNX's own runner: numpy has no such type, and one bit of it is 2^-7
            ours, theirs, rtol = ours.astype(np.float32), theirs.astype(np.float32), max(rtol, 2**-6)
        if np.issubdtype(theirs.dtype, np.number):
            with np.errstate(all="ignore"):
                if not np.allclose(ours, theirs, rtol=rtol, atol=max(case.atol, 1e-6), equal_nan=True):
                    return False
        elif not np.array_equal(ours, theirs):
            return False
    return True


def judge(case):
    """pass, refused, failed (an error other than 'unsupported'), wrong, or crash; and why."""
    with toolchain.scratch() as scratch:
        model = Path(case.model_dir or scratch) / "model.onnx"
        try:
            if case.model is not None:
                onnx.save(case.model, model)
            ended = toolchain.compile_model(model, f"{scratch}/library", timeout=120)
            if ended.code:
                kind = "refused" if ended.code == toolchain.UNSUPPORTED else "crash" if ended.code < 0 or ended.code >= 70 else "failed"
                return kind, ended.reason()
            for folder, expected in data_sets(case, scratch):
                ended, actual = toolchain.run_model(f"{scratch}/library.so", folder, f"{scratch}/out")
                if ended.code:
                    return "crash" if ended.code < 0 else "failed", "while running: " + ended.reason()
                if not agree(actual, expected, case):
                    return "wrong", f"largest difference {toolchain.worst(actual, expected):.1e}"
        except (TypeError, ValueError, AttributeError, NotImplementedError) as no_tensors: # sequences, optionals, strings
            return "refused", f"its data are not dense tensors: {no_tensors}"
    return "pass", ""


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--all", action="store_true")
    options.add_argument("--record", action="store_true")
    options.add_argument("pattern", nargs="?", default="")
    options = options.parse_args()
    listed = set(LIST.read_text(encoding="utf-8").split()) if LIST.exists() else set()
    everything = options.all or options.record
    cases = [case for case in load_cases() if re.search(options.pattern, case.name) and (everything or case.name in listed)]
    if not cases:
        toolchain.skip(f"no case is chosen by {LIST.name}")

    results = collections.defaultdict(list)
    for case, (result, reason) in toolchain.in_parallel(judge, cases):
        results[result].append(case.name)
        if result in ("wrong", "crash", "failed") or result != "pass" and not everything:
            print(f"{result} {case.name}: {reason}", flush=True)
    print(", ".join(f"{len(results[kind])} {kind}" for kind in ["pass", "refused", "failed", "wrong", "crash"]))
    if options.record:
        chosen = sorted(name for name in results["pass"] if not name.endswith("_expanded"))
        LIST.write_text("\n".join(chosen) + "\n", encoding="utf-8")
    if everything:
        return bool(results["wrong"] or results["crash"])
    return len(results["pass"]) != len(cases)


if __name__ == "__main__":
    sys.exit(main())
