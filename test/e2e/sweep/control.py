"""Control flow."""

import numpy as np
import onnx
from onnx import helper

from sweep.settings import Setting, generator, ints


def body(nodes, inputs, outputs):
    """A graph; inputs and outputs are (name, type, shape)."""
    return helper.make_graph(nodes, "body", [helper.make_tensor_value_info(*value) for value in inputs], [helper.make_tensor_value_info(*value) for value in outputs])


@generator("Scan", by=9)
def scan(op, version, make):
    """Sums up the elements; gives each sum times its element."""
    nodes = [helper.make_node("Add", ["s", "x"], ["t"]), helper.make_node("Mul", ["t", "x"], ["y"])]
    graph = body(nodes, [("s", 1, [2]), ("x", 1, [2])], [("t", 1, [2]), ("y", 1, [2])])

    def expect(lengths, start, x, backwards):
        last, rows = np.zeros_like(start), np.zeros_like(x)
        for k in range(len(x)):
            last[k], size = start[k], x.shape[1] if lengths is None else lengths[k]
            for at in range(size):
                element = x[k, size - 1 - at if backwards else at]
                last[k] += element
                rows[k, at] = last[k] * element
        return last, rows

    for backwards in 0, 1:
        if version == 8:
            for lengths in None, ints(4, 2, 3):
                yield Setting(op, f"{backwards} {lengths}", [lengths, make(3, 2), make(3, 4, 2)], {"body": graph, "num_scan_inputs": 1, "directions": [backwards]}, (True, True), expect=lambda n, s, x, b=backwards: expect(n, s, x, b))
            continue
        for axis in 0, 1:
            attributes = {"body": graph, "num_scan_inputs": 1, "scan_input_directions": [backwards], "scan_output_directions": [axis], "scan_input_axes": [axis], "scan_output_axes": [axis]}
            yield Setting(op, f"{backwards} {axis}", [make(2), make(2, 3) if axis else make(3, 2)], attributes, (True, True))


@generator("Loop", by=9)
def loop(op, version, make):
    """Doubles until there is more than 20, at most so many times."""
    nodes = [helper.make_node("Constant", [], ["most"], value=onnx.numpy_helper.from_array(np.array([20], np.float32)))]
    nodes += [helper.make_node("Add", ["s", "s"], ["t"]), helper.make_node("Less", ["t", "most"], ["h"]), helper.make_node("Identity", ["t"], ["y"])]
    nodes += [helper.make_node("Squeeze", ["h"], ["g"], **({"axes": [0]} if version < 13 else {}))]
    graph = body(nodes, [("i", 7, []), ("c", 9, []), ("s", 1, [1])], [("g", 9, []), ("t", 1, [1]), ("y", 1, [1])])
    start = np.array([1.5], np.float32)
    for count, condition in (3, True), (None, True), (7, None), (0, True), (3, False):
        yield Setting(op, f"{count} {condition}", [None if count is None else np.array(count, np.int64), None if condition is None else np.array(condition), start], {"body": graph}, (True, True))


@generator("If", by=9)
def branch(op, version, make):
    value = onnx.numpy_helper.from_array(np.array([1, 2], np.float32))
    yes = body([helper.make_node("Constant", [], ["a"], value=value)], [], [("a", 1, [2])])
    no = body([helper.make_node("Constant", [], ["b"], value=value), helper.make_node("Neg", ["b"], ["d"])], [], [("d", 1, [2])])
    for flag in True, False:
        yield Setting(op, f"{flag}", [np.array(flag)], {"then_branch": yes, "else_branch": no})
