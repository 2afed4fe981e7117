"""A sweep over the operators of ai.onnx and ai.onnx.ml, to find faults: run_sweep.py [PATTERN] [options]

Takes the settings of the package sweep (every operator, in every version of its schema, with types, attributes, shapes and special values)
and the random graphs of sweep_graphs.py, and makes of each up to six models:
    static    sizes are numbers, parameters (axes, pads, a new shape, ...) are initializers
    constant  all inputs are initializers
    data      sizes are numbers, parameters are inputs of the run
    symbolic  sizes above 1 are symbols, parameters are initializers
    open      all sizes are symbols, also those of 0 and 1, parameters are inputs of the run
    kept      as static, with a sparse initializer: such a model is not converted to the newest opset
Each is compiled and run, and compared with ONNX Runtime and ONNX's reference evaluator. Both have faults of their own, so a result is
wrong when it differs from both, and `disputed` when it agrees with one of them only.

    run_sweep.py '^Resize'               the cases whose names match
    run_sweep.py --share 0.1             a tenth of the cases, the same ones every time
    run_sweep.py --variants open,data    these models only
    run_sweep.py --log results.jsonl     a line for every case; those that are in it are not run again
    run_sweep.py --keep FOLDER 'NAME'    leaves the models and data of faults there
    run_sweep.py --found                 the cases of sweep_found.txt

The whole is no part of the tests that every change passes, but sweep_found.txt is: cases that were wrong once, one for each fault.
"""

import argparse
import collections
import json
import multiprocessing
import os
import re
import shutil
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

import toolchain

FOUND = Path(__file__).resolve().parent / "sweep_found.txt"
VARIANTS = ["static", "constant", "data", "symbolic", "open", "kept"]
FAULTS = ["crash", "timeout", "wrong", "failed", "disputed", "refused"]
TIMEOUT = 120  # seconds of the clock for a compilation or a run
PRECISION = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 1e-4, "float64": 1e-6, "complex64": 1e-4, "complex128": 1e-6}


# --- Models --------------------------------------------------------------------------------------------------------------------------


def type_of(value, dims=None):
    """The type of a value; sizes are those of `dims` where they are given."""
    if isinstance(value, list):
        element = value[0] if value else np.zeros([0], np.float32)
        return helper.make_sequence_type_proto(helper.make_tensor_type_proto(element_type(element), None))
    return helper.make_tensor_type_proto(element_type(value), list(value.shape) if dims is None else dims)


def element_type(array):
    if array.dtype.kind in "OSU":
        return onnx.TensorProto.STRING
    return helper.np_dtype_to_tensor_dtype(array.dtype)


def is_parameter(setting, position, variant):
    """Whether an input is an initializer of the model."""
    if isinstance(setting.inputs[position], list):
        return False
    return variant == "constant" or position in setting.parameters and variant in ("static", "symbolic", "kept")


def dims_of(setting, position, name, variant):
    """The sizes that a model states for an input."""
    array = setting.inputs[position]
    if array.ndim == 1 and position in setting.parameters:  # how many axes, pads, ... there are is known
        return list(array.shape)
    if variant == "symbolic":
        return [f"{name}_{axis}" if size > 1 else size for axis, size in enumerate(array.shape)]
    return [f"{name}_{axis}" for axis in range(array.ndim)] if variant == "open" else list(array.shape)


def is_old(setting, variant):
    """Whether the model is a file of IR version 3, in which initializers are inputs too."""
    return setting.opset < 9 and not setting.domain and variant != "kept"


def is_newest(setting):
    return onnx.defs.get_schema(setting.op).since_version == setting.opset


def model_of(setting, variant):
    """The model with one node, what its inputs get, and arguments for the compiler; None where it is the same as another variant's."""
    there = [k for k, value in enumerate(setting.inputs) if value is not None]
    if variant == "constant" and (not there or any(isinstance(setting.inputs[k], list) for k in there)):
        return None
    if variant == "data" and not any(k in setting.parameters for k in there):
        return None
    if variant in ("symbolic", "open") and all(is_parameter(setting, k, variant) or np.ndim(setting.inputs[k]) == 0 for k in there):
        return None
    if variant == "kept" and (setting.domain or is_newest(setting)):
        return None
    names = ["" if value is None else f"x{k}" for k, value in enumerate(setting.inputs)]
    outputs = [f"y{k}" if wanted else "" for k, wanted in enumerate(setting.outputs)]
    node = helper.make_node(setting.op, names, outputs, name="node", domain=setting.domain, **setting.attributes)
    graph = helper.make_graph([node], "sweep", [], [])
    feeds, arguments = {}, []
    for k in there:
        value, name = setting.inputs[k], names[k]
        constant = is_parameter(setting, k, variant)
        if constant:
            graph.initializer.append(numpy_helper.from_array(value, name))
        if not constant or is_old(setting, variant):
            dims = None if constant or isinstance(value, list) else dims_of(setting, k, name, variant)
            graph.input.append(helper.make_value_info(name, type_of(value, dims)))
        if not constant:
            feeds[name] = value
            for axis, size in enumerate(np.shape(value) if not isinstance(value, list) else ()):
                if size == 0 and variant == "open" and not (np.ndim(value) == 1 and k in setting.parameters):
                    arguments += ["--dim", f"{name}_{axis}=0.."]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name)
    imports = [helper.make_opsetid("", setting.opset if not setting.domain else 21)]
    if setting.domain:
        imports.append(helper.make_opsetid(setting.domain, setting.opset))
    level = 3 if is_old(setting, variant) else max(4, helper.find_min_ir_version_for(imports, ignore_unknown=True))
    if variant == "kept":
        values = numpy_helper.from_array(np.ones([1], np.float32), "sparse")
        graph.sparse_initializer.append(helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros([1], np.int64), "at"), [2]))
        level = max(level, 8)
    return with_output_types(helper.make_model(graph, opset_imports=imports, ir_version=level), setting), feeds, arguments


def with_output_types(model, setting):
    """Says which types the outputs have, as inference or else the setting knows them."""
    for position, output in enumerate(model.graph.output):
        if setting.types:
            output.type.CopyFrom(setting.types[position])
    try:
        inferred = {value.name: value.type for value in onnx.shape_inference.infer_shapes(model).graph.output}
        for output in model.graph.output:
            if not setting.types and inferred[output.name].WhichOneof("value"):
                output.type.CopyFrom(inferred[output.name])
    except onnx.shape_inference.InferenceError:
        pass
    for output in model.graph.output:  # nothing is known: as the first input
        if not output.type.WhichOneof("value"):
            first = next(value for value in setting.inputs if value is not None)
            output.type.CopyFrom(type_of(first))
        if output.type.HasField("tensor_type"):  # sizes are found by the compiler
            output.type.tensor_type.ClearField("shape")
    return model


# --- What the results should be -------------------------------------------------------------------------------------------------------


def by_runtime(model, feeds):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def by_reference(model, feeds):
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(model).run(None, feeds)


def expectations(setting, model, feeds):
    """(who, values) for all that can tell."""
    if setting.expect is not None:
        values = setting.expect(*setting.inputs)
        return [("definition", list(values) if isinstance(values, tuple) else [values])], ""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    del model.graph.sparse_initializer[:]  # which the evaluators do not know
    told, why = [], ""
    for who, evaluate in ("runtime", by_runtime), ("reference", by_reference):
        if who not in setting.trust:
            continue
        try:
            with np.errstate(all="ignore"):
                values = evaluate(model, feeds)
            if all(value is not None for value in values):
                told.append((who, values))
        except Exception as error:  # whatever they throw
            why += f"{who}: {str(error).strip()[:200]} "
    return told, why


def agree(actual, expected, setting):
    if isinstance(expected, (list, tuple)):
        return isinstance(actual, list) and len(actual) == len(expected) and all(agree(a, e, setting) for a, e in zip(actual, expected))
    if actual is None:
        return False
    actual, expected = toolchain.plain(actual), toolchain.plain(expected)
    if actual.shape != expected.shape:
        return False
    if expected.dtype == object or actual.dtype == object:
        return actual.dtype == expected.dtype and (setting.random or bool((actual == expected).all()))
    if helper.np_dtype_to_tensor_dtype(actual.dtype) != helper.np_dtype_to_tensor_dtype(expected.dtype):
        return False
    if setting.random:
        return True
    precision = PRECISION.get(expected.dtype.name)
    if precision is None:
        return actual.astype(expected.dtype).tobytes() == expected.tobytes() or bool(np.array_equal(actual, expected))
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    actual, expected = actual.astype(wide), expected.astype(wide)
    finite = np.isfinite(expected)
    scale = np.abs(expected[finite]).max(initial=0.0)
    scale = scale if setting.relative_to_largest and scale < 1e30 else 1e-5
    with np.errstate(all="ignore"):
        return bool(np.allclose(actual, expected, rtol=precision * setting.slack, atol=precision * setting.slack * scale * 0.1, equal_nan=True))


def shown(values):
    """The beginning of some values, for a report."""
    texts = []
    for value in values:
        if isinstance(value, list):
            texts.append(f"[{shown(value)}]")
        else:
            array = toolchain.plain(value)
            texts.append(f"{array.dtype}{list(array.shape)} {array.ravel()[:6].tolist()}")
    return "; ".join(texts)[:400]


# --- Judging --------------------------------------------------------------------------------------------------------------------------


def judge(name, made, setting, keep=None):
    """{result, reason} of one model."""
    model, feeds, arguments = made
    told, silent = expectations(setting, model, feeds)
    with toolchain.scratch() as scratch:
        verdict = judge_in(scratch, model, feeds, arguments, setting, told, silent)
        if keep and verdict["result"] in FAULTS:
            folder = Path(keep) / re.sub(r"[^\w.,=-]+", "_", name)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(scratch, folder, ignore=shutil.ignore_patterns("library*"))
    return verdict


def judge_in(scratch, model, feeds, arguments, setting, told, silent):
    def verdict(result, reason=""):
        return {"result": result, "reason": reason}

    path = f"{scratch}/model.onnx"
    Path(path).write_bytes(model.SerializeToString())
    types = {value.name: value.type for value in model.graph.input}
    toolchain.write_tensors(f"{scratch}/in", "input", feeds.items(), [types[name] for name in feeds])
    compiled = toolchain.compile_model(path, f"{scratch}/library", "-q", "-j", "1", "--diagnostics-format=json", *arguments, timeout=TIMEOUT)
    if compiled.timed_out:
        return verdict("timeout", "compiling")
    if compiled.code < 0 or compiled.code >= 70:
        return verdict("crash", compiled.message())
    if compiled.code == toolchain.UNSUPPORTED:
        return verdict("refused", compiled.message())
    if compiled.code:
        return verdict("failed" if told else "invalid", compiled.message() + ("" if told else " | " + silent))
    ended, actual = toolchain.run_model(
        f"{scratch}/library.so", f"{scratch}/in", f"{scratch}/out", [value.type for value in model.graph.output], timeout=TIMEOUT
    )
    if ended.timed_out:
        return verdict("timeout", "running")
    if ended.code < 0 or ended.code >= 70:
        return verdict("crash", "while running: " + ended.reason())
    if ended.code:
        return verdict("failed" if told else "invalid", "while running: " + ended.reason() + ("" if told else " | " + silent))
    if not told:
        return verdict("unjudged", silent)
    same = [len(actual) == len(values) and all(agree(a, e, setting) for a, e in zip(actual, values)) for _, values in told]
    if all(same):
        return verdict("pass")
    text = f"got {shown(actual)}" + "".join(f" | {who} {shown(values)}" for (who, values), ok in zip(told, same) if not ok)
    return verdict("disputed" if any(same) else "wrong", text)


# --- Many of them ---------------------------------------------------------------------------------------------------------------------


def all_settings(pattern):
    """{name: setting} of all cases whose names match, with the variants that they have."""
    import sweep
    import sweep_graphs

    for name, setting in [*sweep.all_cases(pattern), *sweep_graphs.all_cases(pattern)]:
        yield name, setting


def make(setting, variant):
    return setting.model(variant) if hasattr(setting, "model") else model_of(setting, variant)


def work(connection, pattern, keep):
    """A process that judges the cases whose names it is told. The evaluators it asks may take it down."""
    warnings.filterwarnings("ignore")
    settings = dict(all_settings(pattern))
    while True:
        try:
            name, variant = connection.recv()
        except EOFError:
            return
        try:
            made = make(settings[name], variant)
            connection.send(judge(f"{name} {variant}", made, settings[name], keep) if made else None)
        except Exception as error:  # a fault of the sweep
            connection.send({"result": "broken", "reason": f"{type(error).__name__}: {error}"[:300]})


class Worker:
    def __init__(self, *arguments):
        self.arguments = arguments
        self.start()

    def start(self):
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, *self.arguments), daemon=True)
        self.process.start()
        other.close()

    def judge(self, name, variant):
        try:
            self.connection.send((name, variant))
            return self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            self.start()
            return {"result": "no answer", "reason": "an evaluator ended its process"}


def number(task):
    """A number in [0, 1) that looks random."""
    return zlib.crc32(" ".join(task).encode()) / 2**32


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--after", type=float, default=0.0, help="without the cases of that share")
    parser.add_argument("--variants", type=lambda text: text.split(","), default=VARIANTS)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--found", action="store_true")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    warnings.filterwarnings("ignore")

    known = {}
    if options.log and options.log.exists():
        known = {(line["case"], line["variant"]): line for line in map(json.loads, options.log.read_text().splitlines())}
    names = [name for name, _ in all_settings(options.pattern)]
    found = [tuple(line.rsplit(" ", 1)) for line in FOUND.read_text(encoding="utf-8").splitlines()] if options.found else []
    if lost := [name for name, _ in found if name not in names]:
        sys.exit(f"{FOUND.name} has cases that the sweep has no longer: {', '.join(lost)}")
    tasks = [(name, variant) for name in names for variant in options.variants if options.after <= number((name, variant)) < options.share]
    tasks = found or tasks
    if options.list:
        print("\n".join(f"{name} {variant}" for name, variant in tasks))
        return 0
    tasks = sorted((task for task in tasks if task not in known), key=number)  # mixed, so that a part of them tells of all
    counts, groups, lock = collections.Counter(), collections.defaultdict(list), threading.Lock()
    queue = iter(tasks)

    def serve():
        worker = Worker(options.pattern, options.keep)
        while True:
            with lock:
                task = next(queue, None)
            if task is None:
                return
            verdict = worker.judge(*task)
            if verdict is None:
                continue
            with lock:
                counts[verdict["result"]] += 1
                if verdict["result"] in FAULTS[:5]:
                    print(f"{verdict['result']} {' '.join(task)}: {verdict['reason']}", flush=True)
                elif verdict["result"] not in ("pass", "unjudged", "invalid"):
                    groups[verdict["result"], re.sub(r"\d+", "N", verdict["reason"])].append(" ".join(task))
                if options.log:
                    with options.log.open("a") as log:
                        log.write(json.dumps({"case": task[0], "variant": task[1], **verdict}) + "\n")

    threads = [threading.Thread(target=serve) for _ in range(options.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (result, reason), cases in sorted(groups.items(), key=lambda item: -len(item[1])):
        print(f"{result} {len(cases)}x: {reason}\n    such as {', '.join(cases[:3])}")
    print(", ".join(f"{count} {result}" for result, count in counts.most_common()) or "no case is chosen")
    bad = ["crash", "timeout", "wrong", "failed"] + (["refused", "broken", "no answer"] if options.found else [])
    return any(counts[result] for result in bad)


if __name__ == "__main__":
    sys.exit(main())
