"""What the end-to-end scripts share: compiling a model with fulgurc, running it with fulgur-run, judging its outputs."""

import concurrent.futures
import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FULGUR_BUILD", ROOT / "build" / "dev"))
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

    def reason(self):
        lines = [line for line in self.output.splitlines() if "error" in line.lower()] or self.output.splitlines() or ["no output"]
        return f"exit code {self.code}: {lines[0][:300]}"


def call(*arguments, timeout=TIMEOUT, **options):
    try:
        done = subprocess.run(
            list(map(str, arguments)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False, **options
        )
    except subprocess.TimeoutExpired:
        return Ended(-1, f"error: {Path(arguments[0]).name} ran longer than {timeout} s")
    return Ended(done.returncode, done.stdout.decode(errors="replace"))


def compile_model(model, stem, *arguments, **options):
    """Makes STEM.so."""
    return call(COMPILER, model, "-o", stem, "--emit=so", *arguments, **options)


def run_model(library, inputs, outputs):
    """Runs STEM.so on a folder of input_K.pb and returns how that ended and the arrays it wrote."""
    given = ["--inputs", inputs] if (Path(inputs) / "input_0.pb").exists() else []
    ended = call(RUNNER, library, *given, "--outputs", outputs)
    return ended, read_tensors(outputs, "output") if ended.code == 0 else []


def read_tensors(folder, role):
    """The arrays of role_0.pb, role_1.pb, ... in a folder."""
    arrays = []
    while (path := Path(folder) / f"{role}_{len(arrays)}.pb").exists():
        arrays.append(numpy_helper.to_array(onnx.load_tensor(path)))
    return arrays


def write_tensors(folder, role, named):
    """Writes (name, array) pairs as role_0.pb, role_1.pb, ..."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for index, (name, array) in enumerate(named):
        onnx.save_tensor(numpy_helper.from_array(np.asarray(array), name), Path(folder) / f"{role}_{index}.pb")


def difference(actual, expected):
    """The largest difference as a share of the largest reference value; infinite when shape, type, NaNs or infinities differ."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return np.inf
    if expected.size == 0:
        return 0.0
    if expected.dtype == bool or not np.issubdtype(expected.dtype, np.inexact):
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


def scratch():
    return tempfile.TemporaryDirectory(prefix="fulgur-")


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)
