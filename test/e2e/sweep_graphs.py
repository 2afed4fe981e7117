"""Random graphs for run_sweep.py: what single operators do not show.

Chains of elementwise operations, reductions, changes of layout and products with values that are used several times; outputs that are
inputs, initializers, or two names for one value; inputs and initializers that nothing uses; initializers that are inputs too; local
functions that call each other; branches and loops whose graphs take values from outside.
"""

import dataclasses
import re

import numpy as np
from onnx import TensorProto, helper, numpy_helper

COUNT = 400
FLOAT, INT, BOOL = np.dtype(np.float32), np.dtype(np.int64), np.dtype(bool)


@dataclasses.dataclass
class Graph:
    """One random model; what it shares with a Setting of sweep is what the judge asks for."""

    seed: int
    expect: object = None
    random: bool = False
    slack: float = 30.0
    relative_to_largest: bool = True
    trust: tuple = ("runtime", "reference")
    inputs: tuple = ()

    def model(self, variant):
        if variant not in ("static", "symbolic"):
            return None
        return Builder(self.seed).build(symbolic=variant == "symbolic")


class Builder:
    """Grows a graph; `values` holds an array of every value, so that the shape is known of what is built on."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.opset = int(self.random.choice([13, 17, 18, 21]))
        self.values, self.nodes, self.initializers, self.inputs = {}, [], [], []
        self.functions, self.count = {}, 0

    def name(self, stem):
        self.count += 1
        return f"{stem}{self.count}"

    def one(self, *choices):
        return choices[self.random.integers(len(choices))]

    def array(self, shape, dtype=FLOAT):
        if dtype == BOOL:
            return self.random.random(shape) < 0.5
        if dtype == INT:
            return self.random.integers(-3, 4, shape)
        return np.asarray(self.random.standard_normal(shape)).astype(dtype)

    def constant(self, array):
        """A value of the model: an initializer or a node."""
        name = self.name("c")
        array = np.asarray(array)
        if self.random.random() < 0.7:
            self.initializers.append(numpy_helper.from_array(array, name))
        else:
            self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array)))
        self.values[name] = array
        return name

    def pick(self, dtype=None, rank=None, least=0):
        names = [
            name
            for name, value in self.values.items()
            if (dtype is None or value.dtype == dtype) and (rank is None or value.ndim == rank) and value.ndim >= least and 0 < value.size < 5000
        ]
        recent = names[-4:] if self.random.random() < 0.6 else names
        return recent[self.random.integers(len(recent))] if recent else None

    def add(self, op, inputs, results, domain="", **attributes):
        outputs = [self.name("v") for _ in results]
        self.nodes.append(helper.make_node(op, inputs, outputs, domain=domain, **attributes))
        self.values.update(zip(outputs, map(np.asarray, results)))
        return outputs

    def step(self):
        kinds = "unary unary binary binary reduce reshape transpose concat matmul slice gather softmax where cast split shape pad expand call branch loop norm"
        getattr(self, "add_" + self.one(*kinds.split()))()

    def add_unary(self):
        x = self.pick(FLOAT)
        op, function = self.one(("Relu", lambda v: np.maximum(v, 0)), ("Tanh", np.tanh), ("Neg", np.negative), ("Abs", np.abs), ("Sigmoid", np.tanh), ("Floor", np.floor), ("Identity", np.copy), ("Sqrt", np.abs), ("Erf", np.tanh))  # fmt: skip
        if op == "Sqrt":
            x = self.add("Abs", [x], [np.abs(self.values[x])])[0]
        self.add(op, [x], [function(self.values[x])])

    def add_binary(self):
        x = self.pick(FLOAT)
        value = self.values[x]
        y = next((name for name in self.random.permutation(list(self.values)) if self.values[name].dtype == FLOAT and fits(value, self.values[name])), None)
        if y is None or self.random.random() < 0.2:
            y = self.constant(self.array(value.shape[self.random.integers(value.ndim + 1) :]))
        inputs = [x, y] if self.random.random() < 0.5 else [y, x]
        op = self.one("Add", "Sub", "Mul", "Max", "Min", "Less", "Equal")
        result = np.broadcast_to(value + self.values[y], np.broadcast_shapes(value.shape, self.values[y].shape))
        self.add(op, inputs, [np.zeros(result.shape, BOOL if op in ("Less", "Equal") else FLOAT)])

    def add_reduce(self):
        x = self.pick(FLOAT, least=1)
        if x is None:
            return
        value = self.values[x]
        axis, keep = int(self.random.integers(-value.ndim, value.ndim)), int(self.random.integers(2))
        op, function = self.one(("ReduceSum", np.sum), ("ReduceMean", np.mean), ("ReduceMax", np.max), ("ReduceMin", np.min), ("ArgMax", None))
        if op == "ArgMax":
            self.add(op, [x], [np.argmax(value, axis, keepdims=bool(keep))], axis=axis, keepdims=keep)
        elif op == "ReduceSum" or self.opset >= 18:
            self.add(op, [x, self.constant(np.array([axis]))], [function(value, axis, keepdims=bool(keep))], keepdims=keep)
        else:
            self.add(op, [x], [function(value, axis, keepdims=bool(keep))], axes=[axis], keepdims=keep)

    def add_reshape(self):
        x = self.pick()
        value = self.values[x]
        if value.ndim >= 2 and self.random.random() < 0.5:
            shape = [0] * (value.ndim - 2) + [-1]
        else:
            shape = self.one([-1], [1, -1], [-1, 1])
        result = value.reshape([value.shape[k] if size == 0 else size for k, size in enumerate(shape)])
        self.add("Reshape", [x, self.constant(np.array(shape))], [result])

    def add_transpose(self):
        x = self.pick(least=2)
        if x:
            perm = [int(axis) for axis in self.random.permutation(self.values[x].ndim)]
            self.add("Transpose", [x], [self.values[x].transpose(perm)], perm=perm)

    def add_concat(self):
        x = self.pick(least=1)
        if x:
            axis = int(self.random.integers(self.values[x].ndim))
            parts = [x] * int(self.random.integers(1, 4))
            self.add("Concat", parts, [np.concatenate([self.values[x]] * len(parts), axis)], axis=axis)

    def add_matmul(self):
        x = self.pick(FLOAT, least=2)
        if x is None:
            return
        value = self.values[x]
        if self.random.random() < 0.5:
            y = self.constant(self.array((value.shape[-1], int(self.random.integers(1, 9)))) * np.float32(0.3))
        else:
            y = self.add("Transpose", [x], [np.swapaxes(value, -1, -2)], perm=[*range(value.ndim - 2), value.ndim - 1, value.ndim - 2])[0]
        self.add("MatMul", [x, y], [value @ self.values[y]])

    def add_slice(self):
        x = self.pick(least=1)
        if x is None:
            return
        value = self.values[x]
        axis = int(self.random.integers(value.ndim))
        step = int(self.one(1, 1, 2, -1))
        start, end = (0, max(1, value.shape[axis] - 1)) if step > 0 else (value.shape[axis] - 1, -value.shape[axis] - 1)
        at = [slice(None)] * value.ndim
        at[axis] = slice(start, end if step > 0 else None, step)
        self.add("Slice", [x, *(self.constant(np.array([number])) for number in (start, end, axis, step))], [value[tuple(at)]])

    def add_gather(self):
        x = self.pick(least=1)
        if x is None:
            return
        value = self.values[x]
        axis = int(self.random.integers(value.ndim))
        shape = self.one((), (1,), (2,), (2, 2))
        indices = self.random.integers(-value.shape[axis], value.shape[axis], shape)
        self.add("Gather", [x, self.constant(indices)], [np.take(value, indices, axis)], axis=axis)

    def add_softmax(self):
        x = self.pick(FLOAT, least=1)
        if x:
            self.add(self.one("Softmax", "LogSoftmax"), [x], [self.values[x]], axis=int(self.random.integers(self.values[x].ndim)))

    def add_norm(self):
        x = self.pick(FLOAT, least=2)
        if x and self.opset >= 17:
            size = self.values[x].shape[-1]
            self.add("LayerNormalization", [x, self.constant(self.array((size,))), self.constant(self.array((size,)))], [self.values[x]])

    def add_where(self):
        condition = self.pick(BOOL)
        if condition:
            shape = self.values[condition].shape
            self.add("Where", [condition, self.constant(self.array(shape)), self.constant(self.array(()))], [np.zeros(shape, FLOAT)])

    def add_cast(self):
        x = self.pick()
        dtype = self.one(FLOAT, INT, BOOL, np.dtype(np.float64), np.dtype(np.int32))
        if self.values[x].dtype == FLOAT and dtype.kind == "i":
            x = self.add("Clip", [x, self.constant(np.float32(-9)), self.constant(np.float32(9))], [np.clip(self.values[x], -9, 9)])[0]
        self.add("Cast", [x], [self.values[x].astype(dtype)], to=helper.np_dtype_to_tensor_dtype(dtype))

    def add_split(self):
        x = self.pick(least=1)
        if x is None or self.values[x].shape[-1] < 2:
            return
        size = self.values[x].shape[-1]
        sizes = np.array([1, size - 1])
        self.add("Split", [x, self.constant(sizes)], np.split(self.values[x], [1], -1), axis=-1)

    def add_shape(self):
        x = self.pick(FLOAT, least=1)
        if x is None:
            return
        shape = self.add("Shape", [x], [np.array(self.values[x].shape)])[0]
        if self.random.random() < 0.5:
            self.add("ConstantOfShape", [shape], [np.zeros(self.values[x].shape, FLOAT)])
        else:
            self.add("Expand", [self.constant(self.array((1,))), shape], [np.zeros(self.values[x].shape, FLOAT)])

    def add_pad(self):
        x = self.pick(FLOAT, least=1)
        if x:
            rank = self.values[x].ndim
            pads = self.random.integers(0, 2, 2 * rank)
            self.add("Pad", [x, self.constant(pads)], [np.pad(self.values[x], list(zip(pads[:rank], pads[rank:])))], mode="constant")

    def add_expand(self):
        x = self.pick()
        shape = (2, *self.values[x].shape)
        self.add("Expand", [x, self.constant(np.array(shape))], [np.broadcast_to(self.values[x], shape)])

    def add_call(self):
        """A function that scales, and one that calls it twice."""
        x = self.pick(FLOAT)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("local", 1)]
        half = [helper.make_node("Constant", [], ["h"], value_float=0.5), helper.make_node("Mul", ["a", "h"], ["b"])]
        self.functions["Half"] = helper.make_function("local", "Half", ["a"], ["b"], half, opsets)
        nodes = [helper.make_node("Half", ["a"], ["h"], domain="local"), helper.make_node("Half", ["h"], ["b"], domain="local"), helper.make_node("Sub", ["a", "b"], ["d"])]
        self.functions["Quarters"] = helper.make_function("local", "Quarters", ["a"], ["b", "d"], nodes, opsets)
        value = self.values[x]
        self.add("Quarters", [x], [value / 4, value * 0.75], "local")

    def branch(self, op, x, y):
        """A graph without inputs over values from outside."""
        output = self.name("b")
        dims = [f"{output}_{axis}" for axis in range(self.values[x].ndim)]
        return helper.make_graph([helper.make_node(op, [x, y], [output])], output, [], [helper.make_tensor_value_info(output, TensorProto.FLOAT, dims)])

    def add_branch(self):
        x = self.pick(FLOAT)
        y = self.constant(self.array(()))
        flag = self.name("flag")
        self.inputs.append((flag, np.array(self.random.random() < 0.5)))
        self.values[flag] = self.inputs[-1][1]
        self.add("If", [flag], [self.values[x]], then_branch=self.branch("Add", x, y), else_branch=self.branch("Mul", x, y))

    def add_loop(self):
        """Three rounds that add a value from outside, and a list of what they had."""
        x = self.pick(FLOAT)
        state, i, more = self.name("s"), self.name("i"), self.name("m")
        after, kept, goes = self.name("t"), self.name("k"), self.name("g")
        dims = [f"{after}_{axis}" for axis in range(self.values[x].ndim)]
        nodes = [helper.make_node("Add", [state, x], [after]), helper.make_node("Identity", [after], [kept]), helper.make_node("Identity", [more], [goes])]
        scalar = helper.make_tensor_value_info
        body = helper.make_graph(
            nodes, "body", [scalar(i, TensorProto.INT64, []), scalar(more, TensorProto.BOOL, []), scalar(state, TensorProto.FLOAT, dims)],
            [scalar(goes, TensorProto.BOOL, []), scalar(after, TensorProto.FLOAT, dims), scalar(kept, TensorProto.FLOAT, dims)],
        )  # fmt: skip
        value = self.values[x]
        self.add("Loop", [self.constant(np.array(3)), "", x], [value * 4, np.stack([value * 2, value * 3, value * 4])], body=body)

    def build(self, symbolic):
        dims = self.one([2, 3, 4], [1, 5, 8], [3, 7, 1], [4, 16, 33])
        for k in range(int(self.random.integers(1, 4))):
            shape = tuple(dims[self.random.integers(3 - rank) :][:rank] if (rank := int(self.random.integers(0, 4))) < 3 else dims)
            self.inputs.append((f"x{k}", self.array(shape)))
        self.values.update(self.inputs)
        for _ in range(int(self.random.integers(2, 14))):
            self.step()
        made = [name for node in self.nodes for name in node.output if node.op_type != "Constant"]
        names = list(dict.fromkeys([made[-1] if made else self.inputs[0][0], *self.random.choice(list(self.values), int(self.random.integers(0, 4)))]))
        graph = helper.make_graph(self.nodes, "random", [], [], self.initializers)
        feeds = {}
        for name, value in self.inputs:
            sizes = [f"{name}_{axis}" if symbolic and size > 1 else size for axis, size in enumerate(value.shape)]
            graph.input.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), sizes))
            feeds[name] = value
        for name in names:
            graph.output.append(helper.make_tensor_value_info(str(name), helper.np_dtype_to_tensor_dtype(self.values[name].dtype), None))
        imports = [helper.make_opsetid("", self.opset)] + ([helper.make_opsetid("local", 1)] if self.functions else [])
        model = helper.make_model(graph, opset_imports=imports, functions=list(self.functions.values()), ir_version=8)
        if not self.functions and self.random.random() < 0.3:  # as files of IR version 3 have it
            for tensor in self.initializers:
                model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        return model, feeds, []


def fits(a, b):
    try:
        return np.broadcast_shapes(a.shape, b.shape) and a.ndim >= b.ndim
    except ValueError:
        return False


def all_cases(pattern=""):
    wanted = re.compile(pattern)
    for seed in range(COUNT):
        if wanted.search(name := f"Graph {seed}"):
            yield name, Graph(seed)
