"""Every schedule that tuning may choose for a kernel gives the numbers of the generic builder: run_schedules.py [KERNEL...]

fulgurc makes a small model of each kernel with each schedule; here they get random weights, are compiled, and run on the same inputs.
"""

import json
import re
import subprocess
import sys

import numpy as np
import onnx

import toolchain

# name: (nodes, weights, sizes of dims, inputs)
KERNELS = {
    "product": ("y = MatMul(x, w)", {"w": (70, 83)}, "float[rows, 70] x", "float[rows, 83] y"),
    "one-row": ("y = MatMul(x, w)", {"w": (70, 163)}, "float[1, 70] x", "float[1, 163] y"),
    "epilogue": ("p = MatMul(x, w) s = Add(p, b) y = Relu(s)", {"w": (40, 256), "b": (256,)}, "float[rows, 40] x", "float[rows, 256] y"),
    "batches": ("y = MatMul(x, z)", {}, "float[3, rows, 33] x, float[3, 33, 50] z", "float[3, rows, 50] y"),
    "convolution": ("y = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, w, b)", {"w": (40, 12, 3, 3), "b": (40,)},
                    "float[1, 12, 37, 41] x", "float[1, 40, 19, 21] y"),
    "attention": ("t = Transpose<perm = [0, 1, 3, 2]>(k) s = MatMul(q, t) p = Softmax(s) y = MatMul(p, v)", {},
                  "float[1, 3, rows, 40] q, float[1, 3, 70, 40] k, float[1, 3, 70, 24] v", "float[1, 3, rows, 24] y"),
    "softmax": ("y = Softmax(x)", {}, "float[rows, 77] x", "float[rows, 77] y"),
    "norm": ("y = LayerNormalization(x, g)", {"g": (77,)}, "float[rows, 77] x", "float[rows, 77] y"),
}
ROWS = 29
SCHEDULE = re.compile(r"schedule\(<[^>]*>\)")
SPLAT = re.compile(r"dense<7\.812500e-03> : tensor<([\dx]+)xf32>")


def write_model(name, path):
    nodes, weights, inputs, outputs = KERNELS[name]
    text = f'<ir_version: 10, opset_import: ["" : 20]> kernel ({inputs}) => ({outputs}) {{ {nodes} }}'
    model = onnx.parser.parse_model(text)
    generator = np.random.default_rng(1)
    for weight, shape in weights.items():
        array = generator.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, weight))
    onnx.save(model, path)


def with_weights(text):
    """The weights, all equal, become random ones."""
    generator = np.random.default_rng(2)

    def random(match):
        shape = tuple(map(int, match[1].split("x")))
        data = generator.standard_normal(shape).astype("<f4").tobytes().hex().upper()
        return f'dense<"0x{data}"> : tensor<{match[1]}xf32>'

    return SPLAT.sub(random, text)


def run(folder, source, text, cpu):
    """The outputs of a small model."""
    source.write_text(text)
    stem = source.with_suffix("")
    ended = toolchain.compile_model(source, stem, "--compile-from=graph", f"--mcpu={cpu}")
    if ended.code:
        raise RuntimeError("does not compile: " + ended.reason())
    results = folder / f"{stem.name}.out"
    ended, outputs = toolchain.run_model(f"{stem}.so", folder / "inputs", results)
    if ended.code:
        raise RuntimeError("does not run: " + ended.reason())
    return outputs


def write_inputs(folder, text):
    """Random inputs of the @main of a small model."""
    generator = np.random.default_rng(3)
    shapes = re.findall(r'%arg\d+: tensor<[^>]*> \{fulgur\.dims = \[([^\]]*)\]', text.split("->")[0])
    arrays = [generator.standard_normal([int(dim.strip(' "n')) for dim in dims.split(",")]).astype(np.float32) for dims in shapes]
    toolchain.write_tensors(folder / "inputs", "input", [(f"input{i}", array) for i, array in enumerate(arrays)])


def check(job):
    """The number of schedules of a kernel, and what is wrong with them."""
    name, cpu = job
    wrong = []
    with toolchain.scratch() as scratch:
        folder = toolchain.Path(scratch)
        write_model(name, folder / "m.onnx")
        subprocess.run([toolchain.COMPILER, folder / "m.onnx", f"--tuning-kernels={folder}/k", f"--tuning-size=rows={ROWS}",
                        f"--mcpu={cpu}", "-q"], check=True)
        trials = json.loads((folder / "k" / "index.json").read_text())["trials"]
        expected = None
        for trial in trials:
            text = with_weights((folder / "k" / trial["file"]).read_text())
            if expected is None:
                write_inputs(folder, text.split("func.func @main", 1)[1])
                expected = run(folder, folder / "generic.mlir", SCHEDULE.sub('schedule(<kind = "generic">)', text), cpu)
            try:
                error = toolchain.worst(run(folder, folder / trial["file"], text, cpu), expected)
            except RuntimeError as reason:
                wrong.append(f"{trial['schedule']} {reason}")
                continue
            if error > 1e-5:
                wrong.append(f"{trial['schedule']} differs by {error:.1e}")
    return len(trials), wrong


def main(names):
    failures = 0
    work = [(name, cpu) for name in names or KERNELS for cpu in ("x86-64-v3", "native")]
    for (name, cpu), (count, wrong) in toolchain.in_parallel(check, work):
        print(f"{'FAIL' if wrong or count < 2 else 'ok  '} {name}, {cpu}: {count} schedules", *wrong, sep="\n     ", flush=True)
        failures += bool(wrong) or count < 2
    return failures > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
