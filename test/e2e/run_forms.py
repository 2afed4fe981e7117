"""Models in forms that files have beside the plain one: sparse tensors, imports and types left out, ONNX's domain by its name: run_forms.py"""

import math
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import toolchain

X = np.arange(12, dtype=np.float32).reshape(3, 4)
SPARSE = np.zeros((4, 5), np.float32)
SPARSE[[0, 1, 3], [1, 2, 0]] = 1, 2, 3


def sparse(places):
    values = numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w")
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.array(places, np.int64), "places"), [4, 5])


COORDINATES, POSITIONS = sparse([[0, 1], [1, 2], [3, 0]]), sparse([1, 7, 15])


def node(op, inputs=("x",), domain="", **attributes):
    return helper.make_node(op, inputs, ["y"], domain=domain, **attributes)


def model(*nodes, opsets=(("", 17),), untyped=False, **graph):
    output = onnx.ValueInfoProto(name="y") if untyped else helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "forms", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])], [output], **graph)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*opset) for opset in opsets], ir_version=8)


def many():
    """Indices that are too many to be kept in the structure of the file."""
    values = np.arange(1, 20001, dtype=np.float32)
    places = numpy_helper.from_array(np.arange(20000, dtype=np.int64) * 2, "places")
    return helper.make_sparse_tensor(numpy_helper.from_array(values, "w"), places, [4, 10000])


MANY = np.zeros(40000, np.float32)
MANY[::2] = np.arange(1, 20001)
ALSO = (("", 17), ("com.microsoft", 1))
PRODUCT = dict(inputs=("x", "w"))
GELU = X / 2 * (1 + np.vectorize(math.erf)(X / np.sqrt(2)))
FORMS = [
    ("sparse coordinates", model(node("MatMul", **PRODUCT), sparse_initializer=[COORDINATES]), X @ SPARSE),
    ("sparse positions", model(node("MatMul", **PRODUCT), sparse_initializer=[POSITIONS]), X @ SPARSE),
    ("many", model(node("MatMul", **PRODUCT), sparse_initializer=[many()]), X @ MANY.reshape(4, 10000)),
    ("constant", model(helper.make_node("Constant", [], ["w"], sparse_value=POSITIONS), node("MatMul", **PRODUCT)), X @ SPARSE),
    ("sparse operand", model(node("SparseToDenseMatMul", ("w", "x"), "com.microsoft", transA=1, transB=1), sparse_initializer=[COORDINATES], opsets=ALSO), SPARSE.T @ X.T),
    ("import left out", model(node("Gelu", domain="com.microsoft")), GELU),
    ("type left out", model(node("Relu"), untyped=True), X),
    ("domain by name", model(node("Relu", domain="ai.onnx")), X),
    ("imported by name", model(node("Relu"), opsets=(("ai.onnx", 17),)), X),
]


def check(form):
    name, proto, expected = form
    with toolchain.scratch() as scratch:
        onnx.save(proto, f"{scratch}/model.onnx")
        ended = toolchain.compile_model(f"{scratch}/model.onnx", f"{scratch}/model")
        if ended.code:
            return False, "does not compile: " + ended.reason()
        toolchain.write_tensors(f"{scratch}/in", "input", [("x", X)])
        ended, actual = toolchain.run_model(f"{scratch}/model.so", f"{scratch}/in", f"{scratch}/out")
        if ended.code:
            return False, "does not run: " + ended.reason()
        error = toolchain.worst(actual, [np.asarray(expected, np.float32)])
        return error <= toolchain.TOLERANCE, f"largest difference {error:.1e}"


def main():
    return not toolchain.all_right(check, FORMS, lambda form: form[0], "forms")


if __name__ == "__main__":
    sys.exit(main())
