"""Fulgur, through the C interface that a product uses: one library per model, memory and threads of the caller's."""

import ctypes
import os
import re
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from engines import Unavailable

NAME = "Fulgur"
PRECISIONS = ("f32", "bf16")

TYPES = {1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64",
         12: "uint32", 13: "uint64"}
NUMBERS = {np.dtype(name): number for number, name in TYPES.items()}
ALIGNMENT = 64
FROM_RUN = -1  # a dim that only the run of a program can tell
ROOM = 64  # more rows than are in use that a state has room for


class Tensor(ctypes.Structure):  # fulgur_tensor
    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("dtype", ctypes.c_int), ("rank", ctypes.c_int32),
                ("dims", ctypes.c_int64 * 8)]


class Context(ctypes.Structure):  # fulgur_context
    _fields_ = [("struct_bytes", ctypes.c_uint32), ("reserved", ctypes.c_uint32), ("arena", ctypes.c_void_p),
                ("arena_bytes", ctypes.c_size_t), ("weights", ctypes.c_void_p), ("weights_bytes", ctypes.c_size_t),
                ("executor", ctypes.c_void_p), ("allocator", ctypes.c_void_p)]


class Dim(ctypes.Structure):  # fulgur_dim
    _fields_ = [("value", ctypes.c_int64), ("symbol", ctypes.c_int32), ("text", ctypes.c_char_p)]


class Port(ctypes.Structure):  # fulgur_port
    _fields_ = [("name", ctypes.c_char_p), ("dtype", ctypes.c_int), ("rank", ctypes.c_int32), ("dims", ctypes.POINTER(Dim)),
                ("element", ctypes.c_void_p)]


class State(ctypes.Structure):  # fulgur_state
    _fields_ = [("input", ctypes.c_int32), ("output", ctypes.c_int32)]


class Model(ctypes.Structure):  # fulgur_model
    _fields_ = [("abi_version", ctypes.c_uint32), ("struct_bytes", ctypes.c_uint32), ("name", ctypes.c_char_p),
                ("producer", ctypes.c_char_p), ("target", ctypes.c_char_p), ("n_inputs", ctypes.c_int32),
                ("n_outputs", ctypes.c_int32), ("n_symbols", ctypes.c_int32), ("n_messages", ctypes.c_int32),
                ("inputs", ctypes.POINTER(Port)), ("outputs", ctypes.POINTER(Port)), ("symbols", ctypes.c_void_p),
                ("messages", ctypes.c_void_p), ("embedded_weights", ctypes.c_void_p), ("weights_bytes", ctypes.c_uint64),
                ("weights_hash", ctypes.c_uint64), ("cpu_features", ctypes.c_uint64), ("stack_bytes", ctypes.c_uint64),
                ("arena_bytes", ctypes.c_uint64), ("plan", ctypes.c_void_p), ("run", ctypes.c_void_p), ("program", ctypes.c_void_p),
                ("n_variants", ctypes.c_int32), ("variants", ctypes.c_void_p), ("n_states", ctypes.c_int32),
                ("states", ctypes.POINTER(State))]


def missing():
    return None


def build(case, folder, options):
    """Compiles the model for this CPU. Of the case's dims, those that fulgurc can be told by name are fixed."""
    compiler = Path(options["fulgurc"]).resolve()
    if not compiler.exists():
        raise Unavailable(f"there is no {compiler}; build it, or name another with --fulgurc")
    stem = Path(folder) / "m"
    command = [str(compiler), case["model"], "-o", str(stem), "--emit=so", "--mcpu=native", "--weights=file"]
    for name, size in case["dims"].items():
        if re.fullmatch(r"[A-Za-z_]\w*", name):  # not an expression such as "past + new"
            command += ["--dim", f"{name}={size}"]
    if options["precision"] != "f32":
        command.append(f"--precision={options['precision']}")
    command += shlex.split(options["fulgur_args"])
    with tempfile.TemporaryFile("w+") as log:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        text = log.read()
    if process.returncode:
        reason = [line for line in text.splitlines() if "error" in line] or text.splitlines() or ["no output"]
        raise Unavailable(f"fulgurc ended with code {process.returncode}: {reason[0]}")
    library, weights = stem.with_suffix(".so"), stem.with_suffix(".weights")
    runtime = compiler.parents[1] / "lib" / "libfulgur_rt.so"
    return {"library": str(library), "weights": str(weights) if weights.exists() else None,
            "runtime": str(runtime), "compile_seconds": seconds, "compile_cpu_seconds": usage.ru_utime + usage.ru_stime,
            "compile_peak_bytes": usage.ru_maxrss * 1024, "code_bytes": library.stat().st_size,
            "artifact_bytes": sum(file.stat().st_size for file in (library, weights) if file.exists())}


def describe(array):
    tensor = Tensor(array.ctypes.data, array.nbytes, NUMBERS[array.dtype], array.ndim)
    tensor.dims[: array.ndim] = array.shape
    return tensor


def with_room(array, port):
    """The rows of a state at the front of a buffer that has as much room as the port says, or some."""
    room = [size + ROOM if dim.text.endswith(b"capacity") else size for dim, size in zip(port.dims[: port.rank], array.shape)]
    buffer = np.zeros([size if dim.value < 0 else dim.value for dim, size in zip(port.dims[: port.rank], room)], array.dtype)
    buffer[tuple(map(slice, array.shape))] = array
    return buffer


def in_use(buffer):
    """The rows of a state that are in use: those behind are zeros."""
    used = np.nonzero(buffer)
    return buffer[tuple(slice(0, places.max() + 1 if len(places) else 0) for places in used)]


class Engine:
    not_its_own = 0

    def __init__(self, case, threads, precision, built):
        self.runtime = ctypes.CDLL(built["runtime"])
        self.runtime.fulgur_last_message.restype = ctypes.c_char_p
        self.runtime.fulgur_pool_create.restype = ctypes.c_void_p
        self.library = ctypes.CDLL(built["library"])
        self.model = Model.in_dll(self.library, "m_model")
        self.version = self.model.producer.decode().split()[1]
        self.arrays = [np.ascontiguousarray(array) for array in case["inputs"].values()]
        for port in self.model.inputs[len(self.arrays) : self.model.n_inputs]:  # how many rows of states are in use
            self.arrays.append(np.array(case["dims"][port.name.decode()], np.int64))
        states = {state.output: state.input for state in self.model.states[: self.model.n_states]}
        for number in states.values():
            self.arrays[number] = with_room(self.arrays[number], self.model.inputs[number])
        self.inputs = (Tensor * len(self.arrays))(*map(describe, self.arrays))
        self.results = (Tensor * self.model.n_outputs)()
        arena = ctypes.c_size_t()
        self.check(self.runtime.fulgur_plan(ctypes.byref(self.model), self.inputs, len(self.inputs), self.results, len(self.results),
                                            ctypes.byref(arena)))
        self.memory = np.empty(arena.value + ALIGNMENT, np.uint8)
        self.context = Context()
        self.runtime.fulgur_context_init(ctypes.byref(self.context))
        self.context.arena = -(-self.memory.ctypes.data // ALIGNMENT) * ALIGNMENT
        self.context.arena_bytes = arena.value
        if built["weights"]:  # in huge pages, or as processes share them
            get = self.runtime.fulgur_weights_load if case["load_weights"] else self.runtime.fulgur_weights_map
            self.check(get(ctypes.byref(self.model), os.fsencode(built["weights"]), 0, ctypes.byref(self.context, Context.weights.offset),
                           ctypes.byref(self.context, Context.weights_bytes.offset)))
        if threads > 1:
            self.context.executor = self.runtime.fulgur_pool_create(threads)
        self.buffers = []
        for number, tensor in enumerate(self.results):  # ours, except where only the run can tell the size
            if number in states:
                self.buffers.append(self.arrays[states[number]])
                tensor.data, tensor.bytes = self.inputs[states[number]].data, self.inputs[states[number]].bytes
                continue
            dims = tensor.dims[: tensor.rank] if tensor.rank >= 0 else [FROM_RUN]
            array = None if FROM_RUN in dims else np.zeros(dims, TYPES[tensor.dtype])
            self.buffers.append(array)
            tensor.data, tensor.bytes = (None, 0) if array is None else (array.ctypes.data, array.nbytes)
        self.facts = {"arena_bytes": arena.value, "weights_bytes": self.model.weights_bytes, "code_bytes": built["code_bytes"]}

    def check(self, status):
        if status:
            raise Unavailable(self.runtime.fulgur_last_message().decode())

    def run(self):
        for tensor, buffer in zip(self.results, self.buffers):
            if buffer is None:
                self.runtime.fulgur_release(ctypes.byref(self.context), ctypes.byref(tensor))
        self.check(self.runtime.fulgur_run(ctypes.byref(self.model), ctypes.byref(self.context), self.inputs, len(self.inputs),
                                           self.results, len(self.results)))

    def outputs(self):
        arrays = []
        states = {state.output for state in self.model.states[: self.model.n_states]}
        for number, tensor in enumerate(self.results):
            if number in states:
                arrays.append(in_use(self.buffers[number]))
                continue
            shape = tuple(tensor.dims[: tensor.rank])
            dtype = np.dtype(TYPES[tensor.dtype])
            content = ctypes.string_at(tensor.data, int(np.prod(shape)) * dtype.itemsize)
            arrays.append(np.frombuffer(content, dtype).reshape(shape))
        return arrays
