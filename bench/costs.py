"""How much arithmetic a model does on given inputs, and how many bytes it has to read and write at least.

Counted while ONNX Runtime runs the model unoptimised with its profiler on, so sizes that depend on data, such as the rows of a
routed expert, are those of this run. Arithmetic is that of products and convolutions. Bytes are the weights that these read, each
once, and the model's inputs and outputs.
"""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

# What only moves a weight or picks from it, before a product multiplies with it.
MOVES = {"Transpose", "Reshape", "Cast", "Identity", "Squeeze", "Unsqueeze", "Gather", "Slice", "Split", "DequantizeLinear", "Expand",
         "GatherND", "GatherElements"}


def operations(kind, inputs, outputs, node):
    """Multiplications and additions of one node."""
    size = math.prod(outputs[0]) if outputs else 0
    if kind in ("MatMul", "MatMulInteger", "MatMulNBits"):
        return 2 * size * inputs[0][-1]
    if kind == "Gemm":
        transposed = any(a.name == "transA" and a.i for a in node.attribute) if node is not None else False
        return 2 * size * inputs[0][0 if transposed else 1]
    if kind == "FusedMatMul":
        return 2 * size * inputs[0][-1]
    if kind in ("Conv", "ConvInteger"):
        return 2 * size * math.prod(inputs[1][1:])
    if kind == "ConvTranspose":
        return 2 * math.prod(inputs[0]) * math.prod(inputs[1][1:])
    return 0


def all_nodes(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from all_nodes(attribute.g)


def weight_roots(nodes, constants):
    """{value: the initializer it is taken from}, for values that are weights or parts of one."""
    roots = {name: name for name in constants}
    for node in nodes:
        if node.op_type in MOVES and node.input and node.input[0] in roots:
            for output in node.output:
                roots[output] = roots[node.input[0]]
    return roots


def count(model, arrays):
    import onnx
    import onnxruntime

    graph = onnx.load(model, load_external_data=False).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    nodes = list(all_nodes(graph))
    by_name = {node.name: node for node in nodes if node.name}
    roots = weight_roots(nodes, kinds)
    del graph
    with tempfile.TemporaryDirectory(prefix="fulgur-bench-") as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")  # packed weights have no shape in the profile
        options.enable_profiling, options.profile_file_prefix = True, f"{folder}/profile"
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        outputs = session.run(None, arrays)
        events = json.loads(Path(session.end_profiling()).read_text())
    flops, weights = 0, {}
    for event in events:
        facts = event.get("args", {})
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        inputs, results = ([list(entry.values())[0] for entry in facts.get(key, [])] for key in ("input_type_shape", "output_type_shape"))
        node = by_name.get(event["name"].removesuffix("_kernel_time"))
        done = operations(facts["op_name"], inputs, results, node)
        flops += done
        if done and node is not None:
            for name, shape in zip(node.input, inputs):
                if name in roots:
                    item = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kinds[roots[name]])).itemsize
                    weights[name] = math.prod(shape) * item
    ports = sum(array.nbytes for array in arrays.values()) + sum(array.nbytes for array in outputs)
    return {"flops": flops, "bytes": sum(weights.values()) + ports, "weights": sum(weights.values())}


def of(case):
    """Counts in a process of its own, which may need much memory; None when ONNX Runtime cannot run the model."""
    done = subprocess.run([sys.executable, __file__, str(case.model), str(case.inputs)], capture_output=True, text=True)
    if done.returncode:
        print(f"  operations are not counted: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return None
    return json.loads(done.stdout)


if __name__ == "__main__":
    with np.load(sys.argv[2]) as stored:
        print(json.dumps(count(sys.argv[1], dict(stored))))
