"""The same bits for any number of threads: run_threads.py [NAME...]

Models whose kernels are large enough for many tasks, and those of the corpus where there is one (see run_corpus.py).
"""

import os
import sys
from pathlib import Path

import numpy as np
import onnx

import toolchain

THREADS = (2, 3, 4)
SIZES = {"rows": 301, "past": 130}
# name: (inputs, outputs, weights, nodes)
MODELS = {
    "products": ("float[rows, 256] x", "float[rows, 200] y", {"w": (256, 700), "b": (700,), "v": (700, 200)},
                 "p = MatMul(x, w) s = Add(p, b) r = Relu(s) y = MatMul(r, v)"),
    "one-row": ("float[1, 900] x", "float[1, 3000] y", {"w": (900, 3000)}, "y = MatMul(x, w)"),
    "rows": ("float[rows, 500] x", "float[rows, 500] y, float[rows, 500] z", {"g": (500,), "b": (500,)},
             "y = LayerNormalization(x, g, b) e = Erf(x) z = Softmax(e)"),
    "attention": ("float[4, rows, 64] q, float[4, rows, 64] k, float[4, rows, 64] v", "float[4, rows, 64] y", {},
                  "t = Transpose<perm = [0, 2, 1]>(k) s = MatMul(q, t) p = Softmax(s) y = MatMul(p, v)"),
    "convolution": ("float[2, 16, 57, 57] x", "float[2, 48, 29, 29] y", {"w": (48, 16, 3, 3), "b": (48,)},
                    "c = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, w, b) y = Relu(c)"),
    "reductions": ("float[rows, past, 64] x", "float[rows, 64] y, float[past, 64] z, float n", {},
                   "a = Constant<value_ints = [1]>() y = ReduceSum<keepdims = 0>(x, a) b = Constant<value_ints = [0]>() "
                   "z = ReduceMean<keepdims = 0>(x, b) s = Mul(x, x) n = ReduceSum<keepdims = 0>(s)"),
}


def write(name, folder):
    """One of the models above, and inputs for it."""
    inputs, outputs, weights, nodes = MODELS[name]
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> model ({inputs}) => ({outputs}) {{ {nodes} }}')
    generator = np.random.default_rng(1)

    def random(shape):
        return generator.standard_normal(shape).astype(np.float32)

    for weight, shape in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(random(shape), weight))
    onnx.save(model, folder / "model.onnx")
    arrays = [(port.name, random([SIZES.get(dim.dim_param, dim.dim_value) for dim in port.type.tensor_type.shape.dim]))
              for port in model.graph.input]
    toolchain.write_tensors(folder / "test_data_set_0", "input", arrays)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("output_*.pb"))}


def check(item):
    """What is wrong with a model, or nothing."""
    with toolchain.scratch() as scratch:
        scratch = Path(scratch)
        folder = item if isinstance(item, Path) else write(item, scratch)
        ended = toolchain.compile_model(folder / "model.onnx", scratch / "m")
        if ended.code:
            return "does not compile: " + ended.reason()
        for data_set in sorted(folder.glob("test_data_set_*")):
            bits = {}
            for threads in (1, *THREADS):
                results = scratch / f"{data_set.name}-{threads}"
                ended = toolchain.call(toolchain.RUNNER, scratch / "m.so", "--inputs", data_set, "--outputs", results, "--threads", threads)
                if ended.code:
                    return f"{data_set.name} does not run on {threads} threads: {ended.reason()}"
                bits[threads] = contents(results)
            for threads in THREADS:
                if different := [name for name, content in bits[1].items() if bits[threads].get(name) != content]:
                    return f"{data_set.name} on {threads} threads differs in {different[0]}"
            if not bits[1]:
                return f"{data_set.name} has no outputs"
    return ""


def main(names):
    corpus = Path(os.environ.get("FULGUR_CORPUS", toolchain.ROOT / "build" / "corpus" / "tiny"))
    work = list(MODELS) + sorted(path.parent for path in corpus.glob("*/meta.json"))
    work = [item for item in work if not names or (item if isinstance(item, str) else item.name) in names]
    failures = 0
    for item, wrong in toolchain.in_parallel(check, work):
        print(f"{'FAIL' if wrong else 'ok  '} {item if isinstance(item, str) else item.name} {wrong}", flush=True)
        failures += bool(wrong)
    return failures > 0 or not work


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
