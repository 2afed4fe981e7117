"""States: decoding with keys and values that stay in one buffer gives what decoding without it gives, and leaves the rest of the buffer alone.

Models are small decoders of several kinds, decoded in steps of several sizes. Without --state the present of one step is the past of
the next; with it, the buffer is. Rows that are not in use are no numbers, so whatever reads them shows.

Caches of bytes are compared with a model that rounds new keys and values itself, to the numbers that the bytes and their scales stand for.
"""

import dataclasses
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import toolchain

BATCH, CAPACITY, WIDTH, SIZE = 2, 11, 16, 8  # of the model's rows, and of a head
STEPS = (3, 1, 1, 4, 2)  # new rows; they fill the buffer


@dataclasses.dataclass
class Kind:
    name: str
    heads: int = 2
    key_heads: int = 2
    rotary: bool = False
    fused: bool = False  # one product for queries, keys and values
    dims: tuple = ()  # those that are fixed while compiling
    arguments: tuple = ()
    mask: str = "total"  # what the model calls the mask's size
    old_rows: bool = False  # an output that is computed from the old rows alone
    bytes: bool = False  # --kv-cache=int8


KINDS = [
    Kind("plain"),
    Kind("groups", heads=4, key_heads=2),
    Kind("rotary", heads=4, key_heads=1, rotary=True),
    Kind("fused", fused=True),
    Kind("mask-says", mask="past + new", rotary=True),
    Kind("fixed", dims=("batch", "capacity"), rotary=True),
    Kind("small-vectors", heads=4, key_heads=2, rotary=True, arguments=("--mcpu=x86-64-v3",)),
    Kind("bf16", arguments=("--precision=bf16",)),
    Kind("old-rows", old_rows=True),
    Kind("bytes", mask="past + new", bytes=True),
    Kind("bytes-groups", heads=4, key_heads=2, rotary=True, mask="past + new", bytes=True),
    Kind("bytes-fixed", dims=("batch", "capacity"), fused=True, mask="past + new", bytes=True),
    Kind("bytes-small-vectors", heads=4, key_heads=1, mask="past + new", arguments=("--mcpu=x86-64-v3",), bytes=True),
    Kind("bytes-unfused", heads=4, key_heads=2, old_rows=True, bytes=True),
]


class Graph:
    def __init__(self):
        self.nodes, self.constants, self.random = [], [], np.random.default_rng(7)

    def add(self, op, *inputs, name=None, **attributes):
        name = name or f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def constant(self, value):
        self.constants.append(numpy_helper.from_array(np.asarray(value), f"constant_{len(self.constants)}"))
        return self.constants[-1].name

    def weight(self, *shape):
        return self.constant(self.random.standard_normal(shape).astype(np.float32) / np.sqrt(shape[0]).astype(np.float32))

    def split(self, x, heads):
        """[batch, new, heads * SIZE] as [batch, heads, new, SIZE]"""
        return self.add("Transpose", self.add("Reshape", x, self.constant(np.array([0, 0, heads, SIZE]))), perm=[0, 2, 1, 3])

    def part(self, x, start, end, axis=-1):
        return self.add("Slice", x, *(self.constant(np.array([number])) for number in (start, end, axis)))

    def rotate(self, x, cos, sin):
        turned = self.add("Concat", self.add("Neg", self.part(x, SIZE // 2, SIZE)), self.part(x, 0, SIZE // 2), axis=-1)
        return self.add("Add", self.add("Mul", x, cos), self.add("Mul", turned, sin))


    def rounded(self, x):
        """What is left of rows that become bytes with a scale each."""
        greatest = self.add("ReduceMax", self.add("Abs", x), self.constant(np.array([-1])), keepdims=1)
        codes = self.add("Round", self.add("Mul", x, self.add("Div", self.constant(np.float32(127)), greatest)))
        return self.add("Mul", codes, self.add("Mul", greatest, self.constant(np.float32(1 / 127))))


def decoder(kind, rounds=False):
    """Two layers; queries see all keys that the mask lets through."""
    graph = Graph()
    mask = graph.add("Unsqueeze", "mask", graph.constant(np.array([1, 2])))
    if kind.rotary:
        speeds = graph.constant(np.float32([[[[1.0, 0.5, 0.1, 0.02] * 2]]]))
        angles = graph.add("Mul", graph.add("Unsqueeze", graph.add("Cast", "places", to=TensorProto.FLOAT),
                                            graph.constant(np.array([1, 3]))), speeds)
        cos, sin = graph.add("Cos", angles), graph.add("Sin", angles)
    x, presents = "x", []
    for layer in range(2):
        if kind.fused:
            both = graph.add("MatMul", x, graph.weight(WIDTH, (kind.heads + 2 * kind.key_heads) * SIZE))
            ends = np.cumsum([0, kind.heads, kind.key_heads, kind.key_heads]) * SIZE
            parts = [graph.part(both, start, end) for start, end in zip(ends[:-1], ends[1:])]
        else:
            parts = [graph.add("MatMul", x, graph.weight(WIDTH, heads * SIZE)) for heads in (kind.heads, kind.key_heads, kind.key_heads)]
        query, key, value = (graph.split(part, heads) for part, heads in zip(parts, (kind.heads, kind.key_heads, kind.key_heads)))
        if kind.rotary:
            query, key = graph.rotate(query, cos, sin), graph.rotate(key, cos, sin)
        if rounds:
            key, value = graph.rounded(key), graph.rounded(value)
        pair = [graph.add("Concat", f"past.{layer}.{what}", new, name=f"present.{layer}.{what}", axis=2)
                for what, new in (("key", key), ("value", value))]
        presents += pair
        if kind.heads != kind.key_heads:  # each head of keys for several heads of queries
            times = kind.heads // kind.key_heads
            shape = graph.constant(np.array([1, 1, times, 1, 1]))
            pair = [graph.add("Reshape", graph.add("Expand", graph.add("Unsqueeze", all_rows, graph.constant(np.array([2]))), shape),
                              graph.constant(np.array([0, kind.heads, -1, SIZE]))) for all_rows in pair]
        scores = graph.add("MatMul", query, graph.add("Transpose", pair[0], perm=[0, 1, 3, 2]))
        scores = graph.add("Add", graph.add("Mul", scores, graph.constant(np.float32(SIZE**-0.5))), mask)
        read = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), pair[1])
        read = graph.add("Reshape", graph.add("Transpose", read, perm=[0, 2, 1, 3]), graph.constant(np.array([0, 0, kind.heads * SIZE])))
        x = graph.add("Add", x, graph.add("MatMul", read, graph.weight(kind.heads * SIZE, WIDTH)))
    graph.add("Identity", x, name="y")
    outputs = ["y"] + presents
    if kind.old_rows:
        outputs.append(graph.add("ReduceSum", "past.1.value", graph.constant(np.array([2])), name="old", keepdims=0))
    floats, kept = TensorProto.FLOAT, ["batch", kind.key_heads, "past", SIZE]
    inputs = [("x", floats, ["batch", "new", WIDTH]), ("mask", floats, ["batch", kind.mask]), ("places", TensorProto.INT64, ["batch", "new"])]
    inputs += [(name.replace("present", "past"), floats, kept) for name in presents]
    return helper.make_model(
        helper.make_graph(graph.nodes, "decoder", [helper.make_tensor_value_info(*port) for port in inputs],
                          [helper.make_tensor_value_info(name, floats, None) for name in outputs], graph.constants),
        opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def inputs_of(random, start, new):
    places = np.broadcast_to(np.arange(start, start + new), (BATCH, new))
    mask = np.where(random.random((BATCH, start + new)) < 0.2, np.float32(-10), np.float32(0))
    return [("x", random.standard_normal((BATCH, new, WIDTH)).astype(np.float32)), ("mask", mask), ("places", places)]


def run(stem, named):
    toolchain.write_tensors(f"{stem}-in", "input", named)
    return toolchain.run_model(f"{stem}.so", f"{stem}-in", f"{stem}-out")


def compiled(kind, scratch, name, *arguments):
    sizes = {"batch": BATCH, "capacity": CAPACITY}
    fixed = [f"--dim={'past_capacity' if dim == 'capacity' else dim}={sizes[dim]}" for dim in kind.dims if name == "state" or dim == "batch"]
    return toolchain.compile_model(f"{scratch}/{name}.onnx", f"{scratch}/{name}", *fixed, *kind.arguments, *arguments)


def empty_buffers(kind, ports):
    """The states by name, with nothing in use."""
    shape = (BATCH, kind.key_heads, CAPACITY, SIZE)
    if not kind.bytes:
        return {port: np.full(shape, np.nan, np.float32) for port in ports}
    return {port: np.full(shape, 99, np.int8) for port in ports} | {
        f"{port}.scale": np.full(shape[:-1], np.nan, np.float32) for port in ports
    }


def rows_of(kind, buffers, port, end):
    rows = buffers[port][:, :, :end]
    return rows * buffers[f"{port}.scale"][:, :, :end, None] if kind.bytes else rows


def decode(kind, scratch):
    """What went wrong, or None."""
    ports = [f"past.{layer}.{what}" for layer in range(2) for what in ("key", "value")]
    for name, arguments in (("plain", ()), ("state", ("--state", "past.*=present.*") + kind.bytes * ("--kv-cache=int8",))):
        ended = compiled(kind, scratch, name, *arguments)
        if ended.code:
            return f"does not compile: {ended.reason()}"
    says_rows = kind.mask == "total"
    random = np.random.default_rng(5)
    buffers = empty_buffers(kind, ports)
    past = [np.zeros((BATCH, kind.key_heads, 0, SIZE), np.float32) for _ in ports]
    start, largest = 0, 0.0
    for new in STEPS:
        given = inputs_of(random, start, new)
        rows = [("past", np.int64(start))] if says_rows else []
        states = list(buffers.items())
        ended, expected = run(f"{scratch}/plain", given + list(zip(ports, past)))
        other, actual = run(f"{scratch}/state", given + states[: len(ports)] + rows + states[len(ports) :])
        for end in (ended, other):
            if end.code:
                return f"does not run at row {start}: {end.reason()}"
        past = expected[1:5]
        after = dict(zip(buffers, actual[1:5] + actual[5 + kind.old_rows :]))
        start += new
        for port, before in buffers.items():
            if before[:, :, start:].tobytes() != after[port][:, :, start:].tobytes():
                return f"rows of '{port}' that are not in use have changed up to row {start}"
        buffers = after
        actual = [actual[0], *(rows_of(kind, buffers, port, start) for port in ports), *actual[5 : 5 + kind.old_rows]]
        largest = max(largest, toolchain.worst(actual, expected))
    if largest > toolchain.TOLERANCE:
        return f"differs by {largest:.1e}"
    given = inputs_of(random, start, 1)
    rows = [("past", np.int64(start))] if says_rows else []
    states = list(buffers.items())
    ended, _ = run(f"{scratch}/state", given + states[: len(ports)] + rows + states[len(ports) :])
    if ended.code == 0 or not any(reason in ended.output for reason in ("rows only, but", f"must be from 0 to {CAPACITY}")):
        return f"a full buffer is not refused: {ended.reason()}"
    return None


@dataclasses.dataclass
class Grouped:
    """com.microsoft's GroupQueryAttention, which is told how long each sequence is: a state is its whole cache, as in ONNX Runtime GenAI."""

    name: str
    batch: int = 2
    mask: bool = False  # lengths follow from a mask
    arguments: tuple = ()


GROUPED = [Grouped("grouped"), Grouped("grouped-mask", mask=True), Grouped("grouped-one", batch=1, arguments=("--dim=batch=1",))]
HEADS, KEY_HEADS = 4, 2


def grouped_decoder(kind):
    graph = Graph()
    lengths, total = "lengths", "total"
    if kind.mask:
        counts = graph.add("ReduceSum", "mask", graph.constant(np.array([1])), keepdims=0)
        lengths = graph.add("Cast", graph.add("Sub", counts, graph.constant(np.array(1))), to=TensorProto.INT32)
        total = graph.add("Cast", graph.add("Gather", graph.add("Shape", "mask"), graph.constant(np.array(1)), axis=0), to=TensorProto.INT32)
    angles = np.arange(CAPACITY)[:, None] * np.float32([1, 0.5, 0.1, 0.02])
    tables = [graph.constant(function(angles).astype(np.float32)) for function in (np.cos, np.sin)]
    x, ports = "x", []
    for layer in range(2):
        parts = [graph.add("MatMul", x, graph.weight(WIDTH, heads * SIZE)) for heads in (HEADS, KEY_HEADS, KEY_HEADS)]
        pair = [f"{layer}.{what}" for what in ("key", "value")]
        outputs = [f"read.{layer}"] + [f"present.{port}" for port in pair]
        graph.nodes.append(
            helper.make_node("GroupQueryAttention", [*parts, *(f"past.{port}" for port in pair), lengths, total, *tables], outputs,
                             outputs[0], domain="com.microsoft", num_heads=HEADS, kv_num_heads=KEY_HEADS, do_rotary=1)
        )
        ports += pair
        x = graph.add("Add", x, graph.add("MatMul", outputs[0], graph.weight(HEADS * SIZE, WIDTH)))
    graph.add("Identity", x, name="y")
    floats, integers = TensorProto.FLOAT, TensorProto.INT32
    inputs = [("x", floats, ["batch", "new", WIDTH])]
    inputs += [("mask", TensorProto.INT64, ["batch", "all"])] if kind.mask else [("lengths", integers, ["batch"]), ("total", integers, [])]
    inputs += [(f"past.{port}", floats, ["batch", KEY_HEADS, "past", SIZE]) for port in ports]
    outputs = [("y", floats, None)] + [(f"present.{port}", floats, None) for port in ports]
    return helper.make_model(
        helper.make_graph(graph.nodes, "decoder", [helper.make_tensor_value_info(*port) for port in inputs],
                          [helper.make_tensor_value_info(*port) for port in outputs], graph.constants),
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)], ir_version=9)


def decode_grouped(kind, scratch):
    """What went wrong, or None. The first sequence is a token longer than the others."""
    model = f"{scratch}/model.onnx"
    onnx.save(grouped_decoder(kind), model)
    for name, arguments in (("plain", ()), ("state", ("--state", "past.*=present.*", "--remarks=fulgur-update-states"))):
        ended = toolchain.compile_model(model, f"{scratch}/{name}", *kind.arguments, *arguments)
        if ended.code:
            return f"does not compile: {ended.reason()}"
    if "fulgur-update-states" in ended.output:
        return f"copies its state: {ended.output}"
    ports = [f"past.{layer}.{what}" for layer in range(2) for what in ("key", "value")]
    random = np.random.default_rng(5)
    past = [np.zeros((kind.batch, KEY_HEADS, 0, SIZE), np.float32) for _ in ports]
    buffers = [np.full((kind.batch, KEY_HEADS, CAPACITY, SIZE), 1e30, np.float32) for _ in ports]
    total, largest = 0, 0.0
    for new in (4, 1, 1, 1):
        total += new
        ends = np.array([total] + [total - 1] * (kind.batch - 1))
        given = [("x", random.standard_normal((kind.batch, new, WIDTH)).astype(np.float32))]
        if kind.mask:
            given.append(("mask", (np.arange(total) < ends[:, None]).astype(np.int64)))
        else:
            given += [("lengths", (ends - 1).astype(np.int32)), ("total", np.int32(total))]
        ended, expected = run(f"{scratch}/plain", given + list(zip(ports, past)))
        other, actual = run(f"{scratch}/state", given + list(zip(ports, buffers)))
        for end in (ended, other):
            if end.code:
                return f"does not run up to token {total}: {end.reason()}"
        past, after = expected[1:], actual[1:]
        for before, state in zip(buffers, after):
            if not np.array_equal(before[:, :, total:], state[:, :, total:]):
                return f"rows that are not in use have changed up to token {total}"
        buffers = after
        for sequence, end in enumerate(ends):
            rows = min(new, new - (total - end)) if total == new else new  # the rest of a first run is padding
            pairs = [(actual[0][sequence, :rows], expected[0][sequence, :rows])]
            pairs += [(state[sequence, :, :end], old[sequence, :, :end]) for state, old in zip(buffers, past)]
            largest = max(largest, toolchain.worst(*map(list, zip(*pairs))))
    if largest > toolchain.TOLERANCE:
        return f"differs by {largest:.1e}"
    long = CAPACITY + 1
    given = [("x", np.zeros((kind.batch, 1, WIDTH), np.float32))]
    given += [("mask", np.ones((kind.batch, long), np.int64))] if kind.mask else [
        ("lengths", np.full(kind.batch, long - 1, np.int32)), ("total", np.int32(long))]
    ended, _ = run(f"{scratch}/state", given + list(zip(ports, buffers)))
    if ended.code == 0 or not ("must fit the cache" in ended.output or "must not exceed" in ended.output):
        return f"a full buffer is not refused: {ended.reason()}"
    return None


def check(kind):
    if isinstance(kind, Grouped):
        with toolchain.scratch() as scratch:
            return decode_grouped(kind, scratch)
    with toolchain.scratch() as scratch:
        onnx.save(decoder(kind, rounds=kind.bytes), f"{scratch}/plain.onnx")
        onnx.save(decoder(kind), f"{scratch}/state.onnx")
        return decode(kind, scratch)


def main(names):
    failures = 0
    kinds = [kind for kind in KINDS + GROUPED if not names or kind.name in names]
    for kind, wrong in toolchain.in_parallel(check, kinds):
        print(f"{'FAIL' if wrong else 'ok  '} {kind.name}{': ' + wrong if wrong else ''}", flush=True)
        failures += wrong is not None
    return failures > 0 or not kinds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
