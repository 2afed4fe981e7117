"""A model with a kernel of every kind, and the comparison of what two machines print about it:
cross.py model MODEL | cross.py compare NUMBERS NUMBERS"""

import sys

import numpy as np


def write(path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    shapes = {"scale": [24], "bias": [24], "w": [24, 70], "b": [70], "v": [70, 24], "f": [20, 3, 3, 3], "d": [20, 1, 3, 3]}
    weights = [numpy_helper.from_array(random.normal(0, 0.3, shape).astype(np.float32), name) for name, shape in shapes.items()]
    node = helper.make_node
    nodes = [
        node("LayerNormalization", ["x", "scale", "bias"], ["n"]),
        node("MatMul", ["n", "w"], ["p"]),
        node("Add", ["p", "b"], ["q"]),
        node("Gelu", ["q"], ["g"]),
        node("MatMul", ["g", "v"], ["r"]),
        node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
        node("MatMul", ["r", "t"], ["s"]),
        node("Softmax", ["s"], ["a"]),
        node("MatMul", ["a", "r"], ["c"]),
        node("Add", ["c", "x"], ["y"]),
        node("Conv", ["i", "f"], ["j"], pads=[1, 1, 1, 1]),
        node("Relu", ["j"], ["k"]),
        node("Conv", ["k", "d"], ["l"], group=20, strides=[2, 2]),
        node("Tanh", ["l"], ["m"]),
        node("GlobalAveragePool", ["m"], ["z"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [2, 13, 24]), value("i", TensorProto.FLOAT, [1, 3, 15, 15])],
        [value("y", TensorProto.FLOAT, [2, 13, 24]), value("z", TensorProto.FLOAT, [1, 20, 1, 1])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def compare(one, other):
    a, b = np.loadtxt(one), np.loadtxt(other)
    difference = np.abs(a - b).max() / np.abs(a).max()
    print(f"{len(a)} numbers, largest difference {difference:.1e}")
    sys.exit(a.shape != b.shape or not difference < 1e-5)


if sys.argv[1] == "model":
    write(sys.argv[2])
else:
    compare(*sys.argv[2:])
