"""Writes the model y = relu(x * w), whose sums are exact in any order: cpu-variants.py MODEL"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

weight = (np.arange(64 * 80).reshape(64, 80) % 11 / 4).astype(np.float32)
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Relu", ["p"], ["y"])],
    "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 80])],
    [numpy_helper.from_array(weight, "w")],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), sys.argv[1])
