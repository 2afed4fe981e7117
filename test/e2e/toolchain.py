"""What the end-to-end scripts share: compiling a model with fulgurc, running it with fulgur-run, judging its outputs."""

import concurrent.futures
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FULGUR_BUILD", ROOT / "build" / "dev")).resolve()
COMPILER, RUNNER = BUILD / "bin" / "fulgurc", BUILD / "bin" / "fulgur-run"

SKIPPED = 77  # the exit code by which ctest knows a test that had nothing to do
TOLERANCE = 1e-4  # of the largest reference value
TIMEOUT = 300
UNSUPPORTED = 3  # fulgurc's exit code for operators and types that it does not have


@dataclasses.dataclass
class Ended:
    """How a program ended. A signal shows as a negative code, as with subprocess; running out of time as one too."""

    code: int
    output: str
    seconds: float = 0.0  # by the clock
    cpu_seconds: float = 0.0  # with the programs that it started
    peak_bytes: int = 0  # of memory
    timed_out: bool = False

    def reason(self):
        lines = [line for line in self.output.splitlines() if "error" in line.lower()] or self.output.splitlines() or ["no output"]
        return f"exit code {self.code}: {lines[0][:300]}"

    def message(self):
        """What --diagnostics-format=json says is wrong, without file and node; else the line that reason() shows."""
        for line in self.output.splitlines():
            if line.startswith("{"):
                diagnostic = json.loads(line)
                if diagnostic["severity"] == "error":
                    return diagnostic["message"]
        return self.reason()


def call(*arguments, timeout=TIMEOUT, **options):
    with tempfile.TemporaryFile() as output:
        start = time.monotonic()
        process = subprocess.Popen(
            list(map(str, arguments)), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
        )
        expired = threading.Event()

        def expire():
            expired.set()
            process.kill()

        timer = threading.Timer(timeout, expire)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        output.seek(0)
        text = output.read().decode(errors="replace")
    if expired.is_set():
        text = f"error: {Path(arguments[0]).name} ran longer than {timeout} s"
    cpu = usage.ru_utime + usage.ru_stime
    return Ended(process.returncode, text, seconds, cpu, usage.ru_maxrss * 1024, expired.is_set())


def compile_model(model, stem, *arguments, **options):
    """Makes STEM.so."""
    return call(COMPILER, model, "-o", stem, "--emit=so", *arguments, **options)


def run_model(library, inputs, outputs, types=(), **options):
    """Runs STEM.so on a folder of input_K.pb and returns how that ended and the values it wrote."""
    given = ["--inputs", inputs] if (Path(inputs) / "input_0.pb").exists() else []
    ended = call(RUNNER, library, *given, "--outputs", outputs, **options)
    return ended, read_tensors(outputs, "output", types) if ended.code == 0 else []


def read_tensors(folder, role, types=()):
    """The values of role_0.pb, role_1.pb, ... in a folder: arrays, but lists for sequences and None for nothing, as `types` say."""
    values = []
    while (path := Path(folder) / f"{role}_{len(values)}.pb").exists():
        kind = types[len(values)].WhichOneof("value") if len(values) < len(types) else "tensor_type"
        if kind == "sequence_type":
            values.append(numpy_helper.to_list(onnx.SequenceProto.FromString(path.read_bytes())))
        elif kind == "optional_type":
            values.append(numpy_helper.to_optional(onnx.OptionalProto.FromString(path.read_bytes())))
        else:
            values.append(numpy_helper.to_array(onnx.load_tensor(path)))
    return values


def proto_of(value, name, kind):
    """A tensor, a sequence or an optional value as the message that a data set holds."""
    if kind == "optional_type":
        return numpy_helper.from_optional(value, name)
    if isinstance(value, list):
        return numpy_helper.from_list(value, name)
    if isinstance(value, onnx.TensorProto):
        return value
    return numpy_helper.from_array(np.asarray(value), name)


def write_tensors(folder, role, named, types=()):
    """Writes (name, value) pairs as role_0.pb, role_1.pb, ..."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for index, (name, value) in enumerate(named):
        kind = types[index].WhichOneof("value") if index < len(types) else "tensor_type"
        (Path(folder) / f"{role}_{index}.pb").write_bytes(proto_of(value, name, kind).SerializeToString())


def plain(value):
    """A tensor as an array; strings, of which numpy has types of many lengths, as objects."""
    array = np.asarray(value)
    return array.astype(str).astype(object) if array.dtype.kind in "OSU" else array


def difference(actual, expected):
    """The largest difference as a share of the largest reference value; infinite when shape, type, NaNs or infinities differ."""
    if isinstance(expected, list):
        return worst(actual, expected) if isinstance(actual, list) else np.inf
    if isinstance(expected, dict):
        texts = {key.decode() if isinstance(key, bytes) else key: value for key, value in actual.items()}
        if texts.keys() != expected.keys():
            return np.inf
        return max((difference(value, np.asarray(expected[key], value.dtype)) for key, value in texts.items()), default=0.0)
    if actual is None or expected is None:
        return 0.0 if actual is expected else np.inf
    actual, expected = plain(actual), plain(expected)
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return np.inf
    if expected.size == 0:
        return 0.0
    if expected.dtype in (bool, object) or not np.issubdtype(expected.dtype, np.inexact):
        return 0.0 if np.array_equal(actual, expected) else np.inf
    actual, expected = actual.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(expected)
    if not np.array_equal(actual[~finite], expected[~finite], equal_nan=True) or not np.isfinite(actual[finite]).all():
        return np.inf
    if not finite.any():
        return 0.0
    return float(np.abs(actual[finite] - expected[finite]).max() / max(np.abs(expected[finite]).max(), 1e-6))


def worst(actual, expected):
    """The largest difference over all outputs."""
    if len(actual) != len(expected):
        return np.inf
    return max(map(difference, actual, expected), default=0.0)


def in_parallel(function, items):
    """function(item) for every item, a few at a time, in order."""
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from zip(items, pool.map(function, items))


def all_right(check, items, name, what):
    """Prints a line for every item, of what check(item) says: whether it is right, and a text. Whether all are; none at all is wrong."""
    failures = 0
    for item, (right, text) in in_parallel(check, items):
        print(f"{'ok  ' if right else 'FAIL'} {name(item)}: {text}", flush=True)
        failures += not right
    print(f"{len(items) - failures} of {len(items)} {what} right")
    return bool(items) and not failures


def scratch():
    return tempfile.TemporaryDirectory(prefix="fulgur-")


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)
