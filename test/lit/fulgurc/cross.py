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
    bytes_of = {"wb": ([24, 70], np.int8), "fb": ([24, 16, 3, 3], np.int8)}
    weights += [numpy_helper.from_array(random.integers(-127, 128, shape).astype(dtype), name) for name, (shape, dtype) in bytes_of.items()]
    weights += [numpy_helper.from_array(np.float32(0.01), "step"), numpy_helper.from_array(np.uint8(128), "middle")]
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
        node("DynamicQuantizeLinear", ["x"], ["xb", "xs", "xz"]),
        node("MatMulInteger", ["xb", "wb", "xz"], ["si"]),
        node("Cast", ["si"], ["sf"], to=TensorProto.FLOAT),
        node("Mul", ["sf", "xs"], ["yb"]),
        node("QuantizeLinear", ["u", "step", "middle"], ["ub"]),
        node("DequantizeLinear", ["ub", "step", "middle"], ["ud"]),
        node("DequantizeLinear", ["fb", "step"], ["fd"]),
        node("Conv", ["ud", "fd"], ["zb"], pads=[1, 1, 1, 1]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [2, 13, 24]), value("i", TensorProto.FLOAT, [1, 3, 15, 15]), value("u", TensorProto.FLOAT, [1, 16, 9, 9])],
        [value("y", TensorProto.FLOAT, [2, 13, 24]), value("z", TensorProto.FLOAT, [1, 20, 1, 1]),
         value("yb", TensorProto.FLOAT, [2, 13, 70]), value("zb", TensorProto.FLOAT, [1, 24, 9, 9])],
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
