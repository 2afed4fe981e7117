"""Latency of a compiled model and of ONNX Runtime on the same inputs, measured in turns in one process.

    compare_onnxruntime.py MODEL.onnx [--dim NAME=N ...] [--threads N] [--seconds S] [--fulgurc FILE] [--compile-args "..."]

Compiles the model for this CPU, then runs both engines in blocks: A A A ... B B B ..., again and again, with a pause between
blocks, because ONNX Runtime's threads go on spinning for a while after a run and would take the CPU from whoever runs next.
Prints the medians, their ratio (above 1: Fulgur is faster), p99, and the largest difference of the outputs.
"""

import argparse
import ctypes
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import onnxruntime

DTYPES = {numpy.dtype("float32"): 1, numpy.dtype("int32"): 6, numpy.dtype("int64"): 7, numpy.dtype("bool"): 9,
          numpy.dtype("float16"): 10, numpy.dtype("float64"): 11}


class Tensor(ctypes.Structure):  # fulgur_tensor
    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("dtype", ctypes.c_int), ("rank", ctypes.c_int32),
                ("dims", ctypes.c_int64 * 8)]


class Context(ctypes.Structure):  # fulgur_context
    _fields_ = [("struct_bytes", ctypes.c_uint32), ("reserved", ctypes.c_uint32), ("arena", ctypes.c_void_p),
                ("arena_bytes", ctypes.c_size_t), ("weights", ctypes.c_void_p), ("weights_bytes", ctypes.c_size_t),
                ("executor", ctypes.c_void_p), ("allocator", ctypes.c_void_p)]


class Fulgur:
    """A compiled model, ready to run on fixed inputs."""

    def __init__(self, library, prefix, runtime, inputs, outputs, threads):
        self.runtime = ctypes.CDLL(runtime)
        self.runtime.fulgur_last_message.restype = ctypes.c_char_p
        self.runtime.fulgur_pool_create.restype = ctypes.c_void_p
        self.library = ctypes.CDLL(library)
        self.model = ctypes.byref(ctypes.c_char.in_dll(self.library, prefix + "_model"))
        self.arrays = [numpy.ascontiguousarray(array) for array in inputs]
        self.inputs = (Tensor * len(inputs))(*map(self.describe, self.arrays))
        self.outputs = (Tensor * outputs)()
        arena = ctypes.c_size_t()
        self.check(self.runtime.fulgur_plan(self.model, self.inputs, len(inputs), self.outputs, outputs, ctypes.byref(arena)))
        types = {number: dtype for dtype, number in DTYPES.items()}
        self.results = [numpy.zeros(tensor.dims[: tensor.rank], types[tensor.dtype]) for tensor in self.outputs]
        for tensor, array in zip(self.outputs, self.results):
            tensor.data, tensor.bytes = array.ctypes.data, array.nbytes
        self.arena = numpy.zeros(arena.value + 64, numpy.uint8)
        self.context = Context()
        self.runtime.fulgur_context_init(ctypes.byref(self.context))
        self.context.arena, self.context.arena_bytes = (self.arena.ctypes.data + 63) // 64 * 64, arena.value
        if threads > 1:
            self.context.executor = self.runtime.fulgur_pool_create(threads)

    @staticmethod
    def describe(array):
        tensor = Tensor(array.ctypes.data, array.nbytes, DTYPES[array.dtype], array.ndim)
        tensor.dims[: array.ndim] = array.shape
        return tensor

    def check(self, status):
        if status:
            sys.exit(f"fulgur: {self.runtime.fulgur_last_message().decode()}")

    def run(self):
        self.check(self.runtime.fulgur_run(self.model, ctypes.byref(self.context), self.inputs, len(self.inputs), self.outputs,
                                           len(self.outputs)))


def random_inputs(session, dims, seed=0):
    generator = numpy.random.default_rng(seed)
    for port in session.get_inputs():
        shape = [int(dims.get(str(dim), dim)) for dim in port.shape]
        if "float" in port.type:
            yield generator.standard_normal(shape).astype("float32" if port.type == "tensor(float)" else "float16")
        else:  # ids and masks: small, and never negative
            yield numpy.ones(shape, "int64") if "mask" in port.name else generator.integers(0, 2, shape)


def measure(engines, seconds, block, pause):
    times = [[] for _ in engines]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for engine, spent in zip(engines, times):
            time.sleep(pause)
            for _ in range(block):
                start = time.perf_counter()
                engine()
                spent.append((time.perf_counter() - start) * 1e3)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--dim", action="append", default=[], help="NAME=N: the size of a symbolic dim")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--block", type=int, default=8, help="runs of one engine before the other's turn")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between blocks")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--fulgurc", default=os.path.join(root, "build", "dev", "bin", "fulgurc"))
    parser.add_argument("--compile-args", default="--mcpu=native")
    arguments = parser.parse_args()
    dims = dict(dim.split("=") for dim in arguments.dim)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = arguments.threads, 1
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    inputs = list(random_inputs(session, dims))
    feed = {port.name: array for port, array in zip(session.get_inputs(), inputs)}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([arguments.fulgurc, arguments.model, "-o", os.path.join(folder, "m"), "-q",
                        *shlex.split(arguments.compile_args)], check=True)
        runtime = os.path.join(os.path.dirname(os.path.dirname(arguments.fulgurc)), "lib", "libfulgur_rt.so")
        model = Fulgur(os.path.join(folder, "m.so"), "m", runtime, inputs, len(session.get_outputs()), arguments.threads)
        model.run()
        expected = session.run(None, feed)
        difference = max(numpy.abs(a - b).max() / numpy.abs(b).max() for a, b in zip(model.results, expected) if b.size)
        ours, theirs = measure([model.run, lambda: session.run(None, feed)], arguments.seconds, arguments.block, arguments.pause)
    for name, times in ("Fulgur", ours), (f"ONNX Runtime {onnxruntime.__version__}", theirs):
        print(f"{name:24} median {statistics.median(times):8.2f} ms   p99 {numpy.percentile(times, 99):8.2f} ms   {len(times)} runs")
    print(f"ratio of medians {statistics.median(theirs) / statistics.median(ours):.2f} at {arguments.threads} thread(s); "
          f"largest difference {difference:.1e} of the largest value")


if __name__ == "__main__":
    main()
