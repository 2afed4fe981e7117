"""IREE's CPU target, compiled for this CPU from the same ONNX file, on its own task system."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from engines import Unavailable

NAME = "IREE"
PRECISIONS = ("f32",)
TIMEOUT = 900


def missing():
    try:
        import iree.compiler  # noqa: F401
        import iree.runtime  # noqa: F401
    except ImportError:
        return "the Python packages iree-base-compiler and iree-base-runtime are not installed"
    return None


def checked(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{Path(command[0]).name} takes more than {TIMEOUT} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or done.stderr.splitlines() or ["no output"]
        raise Unavailable(lines[-1][:300])


def fixed(model, shapes, target):
    """Writes the model with the dims of the inputs in place of symbols."""
    import onnx

    proto = onnx.load(model)
    for port in proto.graph.input:
        for dim, size in zip(port.type.tensor_type.shape.dim, shapes.get(port.name, ())):
            dim.dim_value = size
    del proto.graph.value_info[:]
    onnx.save(proto, target, save_as_external_data=True, location=Path(target).name + ".data")


def build(case, folder, options):
    import iree.compiler

    folder = Path(folder)
    compiler = Path(iree.compiler.__file__).parent / "_mlir_libs" / "iree-compile"
    source, imported, module = folder / "iree.onnx", folder / "iree.mlir", folder / "iree.vmfb"
    shapes = {name: array.shape for name, array in case["inputs"].items()} if case["dims"] else {}
    start = time.monotonic()
    fixed(case["model"], shapes, str(source))
    checked([sys.executable, "-m", "iree.compiler.tools.import_onnx", str(source), "-o", str(imported), "--opset-version=21"])
    checked([str(compiler), str(imported), "-o", str(module), "--iree-hal-target-backends=llvm-cpu",
             "--iree-llvmcpu-target-cpu=host", "--iree-opt-level=O3"])
    return {"module": str(module), "compile_seconds": time.monotonic() - start, "artifact_bytes": module.stat().st_size}


class Engine:
    not_its_own = 0

    def __init__(self, case, threads, precision, built):
        import importlib.metadata

        import iree.runtime

        self.version = importlib.metadata.version("iree-base-runtime")
        self.facts = {}
        driver = "local-sync" if threads == 1 else "local-task"
        iree.runtime.flags.parse_flags(f"--task_topology_max_group_count={threads}")
        config = iree.runtime.Config(driver)
        try:
            module = iree.runtime.VmModule.mmap(config.vm_instance, built["module"])
            self.module = iree.runtime.load_vm_module(module, config)
        except Exception as error:
            raise Unavailable(str(error).strip().splitlines()[0]) from error
        names = [name for name in module.function_names if not name.startswith("__") and not name.endswith("$async")]
        self.function = self.module[names[0]]
        self.arguments = [iree.runtime.asdevicearray(config.device, array) for array in case["inputs"].values()]

    def run(self):
        self.results = self.function(*self.arguments)

    def outputs(self):
        results = self.results if isinstance(self.results, (tuple, list)) else [self.results]
        return [np.asarray(value) for value in results]
