"""Layout."""

import itertools

import numpy as np
import onnx
from onnx import helper

from sweep.elementwise import SHAPES
from sweep.settings import Setting, generator, ints, label


@generator("Identity", "Flatten", "Shape", "Size", "NonZero", "EyeLike", "Transpose", "RandomNormalLike", "RandomUniformLike", "Bernoulli", few=4)
def whole(op, version, make):
    shapes = [(2, 3)] if op == "EyeLike" else SHAPES
    choices = {
        "Flatten": [{}, {"axis": 0}, {"axis": 1}] + ([{"axis": -1}] if version >= 11 else []),
        "Shape": [{}] + ([{"start": 1}, {"end": -1}, {"start": -2, "end": 9}, {"start": 2, "end": 1}] if version >= 15 else []),
        "EyeLike": [{}, {"k": 1}, {"k": -1, "dtype": 6}, {"dtype": 9}, {"k": 9}],
        "RandomNormalLike": [{"dtype": 1}, {"dtype": 11, "seed": 2.0, "mean": 3.0}],
        "RandomUniformLike": [{"dtype": 1}, {"dtype": 11, "seed": 2.0, "low": 3.0, "high": 4.0}],
        "Bernoulli": [{}, {"dtype": 1, "seed": 3.0}, {"dtype": 9}],
    }.get(op, [{}])
    for shape, attributes in itertools.product(shapes, choices):
        if op == "Flatten" and not -len(shape) <= attributes.get("axis", 1) <= len(shape):
            continue
        x = make(*shape, low=0, high=1) if op == "Bernoulli" else make(*shape)
        yield Setting(op, f"{shape} {label(attributes)}", [x], attributes, random=op.startswith(("Random", "Bern")))
    if op == "Transpose":
        for perm in (1, 0), (2, 0, 1), (0, 2, 1), (3, 1, 0, 2), (0, 1, 2), (4, 2, 0, 1, 3):
            yield Setting(op, f"{perm}", [make(*range(2, 2 + len(perm)))], {"perm": perm})


@generator("Reshape", few=4)
def reshape(op, version, make):
    settings = [((2, 3, 4), [4, -1], 0), ((2, 3, 4), [0, -1], 0), ((2, 3), [3, 2, 1], 0), ((), [1, 1], 0), ((1,), [], 0), ((0, 3), [3, 0] if version < 14 else [0, 5], 0)]
    settings += [((2, 3, 4), [0, 0, 2, 2], 0), ((6,), [-1], 0), ((2, 3, 4), [24], 0), ((0, 3), [0, -1], 0), ((2, 3, 4), [1, -1, 1, 2, 3], 0)]
    if version >= 14:
        settings += [((0, 3), [3, 0], 1), ((2, 3), [-1, 2], 1), ((0, 3, 4), [3, 4, 0], 1)]
    for shape, to, allow in settings:
        attributes = {"allowzero": 1} if allow else {}
        if version == 1:
            full = [shape[k] if size == 0 else size for k, size in enumerate(to)] if all(shape) else to
            yield Setting(op, f"{shape} {to}", [make(*shape)], {"shape": to, "consumed_inputs": [0]}, expect=lambda x, full=full: x.reshape(full))
        else:
            yield Setting(op, f"{shape} {to} {allow}", [make(*shape), ints(*to)], attributes, parameters=(1,))


@generator("Squeeze", "Unsqueeze", few=2)
def squeeze(op, version, make):
    if op == "Squeeze":
        settings = [((1, 3, 1, 2), [0, 2]), ((1, 3, 1, 2), None), ((1,), [0]), ((1, 0, 1), [2]), ((2, 3), None)]
        settings += [((2, 1, 3), [-2]), ((1, 3, 1), [-1, 0])] if version >= 11 else []
    else:
        settings = [((3, 2), [0, 2]), ((), [0]), ((0,), [1, 0]), ((2, 3), [3, 0, 1])]
        settings += [((2, 3), [-1]), ((2, 3), [-1, 0, -3])] if version >= 11 else []
    for shape, axes in settings:
        if version >= 13:
            yield Setting(op, f"{shape} {axes}", [make(*shape), None if axes is None else ints(*axes)], parameters=(1,))
        else:
            yield Setting(op, f"{shape} {axes}", [make(*shape)], {} if axes is None else {"axes": axes})


@generator("Concat", few=2)
def concat(op, version, make):
    for shapes, axis in [([(2, 3), (2, 1), (2, 4)], 1), ([(2, 3)], 0), ([(2,), (0,), (3,)], 0), ([(2, 3, 4)] * 2, 2), ([(1, 2, 0), (1, 3, 0)], 1)]:
        yield Setting(op, f"{len(shapes)} {shapes[0]} {axis}", [make(*shape) for shape in shapes], {"axis": axis})
    if version == 1:
        yield Setting(op, "default", [make(2, 3), make(2, 2)], {}, expect=lambda *x: np.concatenate(x, 1))
    if version >= 11:
        yield Setting(op, "negative", [make(2, 3), make(2, 2)], {"axis": -1})
        yield Setting(op, "many", [make(1, 2) for _ in range(40)], {"axis": -2})


@generator("Split", few=2)
def split(op, version, make):
    for shape, axis, sizes in [((6, 4), 0, [1, 2, 3]), ((6, 4), 1, [2, 2]), ((5,), 0, [5]), ((4, 3), 0, [0, 4]), ((2, 6), None, None), ((2, 7, 2), 1, [3, 4])]:
        attributes = {} if axis is None else {"axis": axis}
        outputs = (True,) * (2 if sizes is None else len(sizes))
        if version == 1 and axis is not None and sizes is not None:
            yield Setting(op, f"{shape} {axis} {sizes} input", [make(*shape), np.array(sizes, make.dtype)], attributes, outputs, (1,), expect=lambda x, s, axis=axis, sizes=sizes: tuple(np.split(x, np.cumsum(sizes)[:-1], axis)))
        if version < 13:
            expect = (lambda x, s=sizes, a=axis or 0: tuple(np.split(x, 2 if s is None else np.cumsum(s)[:-1], a))) if version == 1 else None
            yield Setting(op, f"{shape} {axis} {sizes}", [make(*shape)], attributes | ({} if sizes is None else {"split": sizes}), outputs, expect=expect)
        else:
            count = {"num_outputs": 2} if sizes is None and version >= 18 else {}
            yield Setting(op, f"{shape} {axis} {sizes}", [make(*shape), None if sizes is None else ints(*sizes)], attributes | count, outputs, (1,))
    if version >= 18:
        for size, count in (7, 3), (5, 4), (3, 3), (10, 4), (4, 3):
            yield Setting(op, f"{size} in {count}", [make(size, 2)], {"num_outputs": count}, (True,) * count)
    if version >= 11:
        yield Setting(op, "negative", [make(2, 4), *([ints(1, 3)] if version >= 13 else [])], {"axis": -1} | ({} if version >= 13 else {"split": [1, 3]}), (True, True), (1,))
    yield Setting(op, "one unused", [make(4, 3), *([ints(1, 3)] if version >= 13 else [])], {} if version >= 13 else {"split": [1, 3]}, (False, True), (1,))


@generator("Slice", few=3)
def slices(op, version, make):
    far = 2**31 - 1
    settings = [((4, 5), [1], [3], [0], None), ((4, 5), [0, 1], [3, -1], None, None), ((4, 5), [-3], [far], [1], None), ((5,), [3], [1], [0], None)]
    settings += [((4, 5), [0], [100], [0], None), ((2, 3, 4), [1], [2], [2], None), ((0, 3), [1], [3], [1], None), ((4, 5), [-100], [-1], [0], None)]
    if version >= 10:
        settings += [((7, 5), [1, 0], [7, 5], [0, 1], [2, 3]), ((7,), [5], [0], [0], [-2]), ((7,), [-1], [-(2**63)], [0], [-1]), ((7, 4), [6], [0], [0], [-1])]
        settings += [((7,), [far], [-far], [0], [-3]), ((7,), [2**63 - 1], [-(2**63)], [0], [-1]), ((5,), [1], [3], [0], [-1]), ((2, 5), [4], [0], [1], [-4])]
        settings += [((7,), [0], [7], [0], [10]), ((4, 5), [2, 1], [4, 3], [-1, -2], [1, 1])]
    for shape, starts, ends, axes, steps in settings:
        text = f"{shape} {starts} {ends} {axes} {steps}"
        if version < 10:
            yield Setting(op, text, [make(*shape)], {"starts": starts, "ends": ends} | ({} if axes is None else {"axes": axes}))
            continue
        yield Setting(op, text, [make(*shape), ints(*starts), ints(*ends), None if axes is None else ints(*axes), None if steps is None else ints(*steps)], parameters=(1, 2, 3, 4))
    if version >= 10:
        small = [np.array(numbers, np.int32) for numbers in ([1], [-1], [0], [1])]
        yield Setting(op, "int32", [make(5, 3), *small], parameters=(1, 2, 3, 4))


@generator("Pad", few=3)
def pad(op, version, make):
    modes = ["constant", "reflect", "edge"] + (["wrap"] if version >= 19 else [])
    settings = [((3, 4), [1, 0, 2, 3]), ((3, 4), [0, 0, 0, 0]), ((5,), [2, 1]), ((2, 3, 4), [0, 1, 2, 0, 0, 1]), ((3, 4), [-1, 0, 0, -2]), ((3, 4), [1, -1, -1, 2])]
    settings += [((1, 2, 3, 4), [0, 0, 2, 1, 0, 0, 1, 3]), ((5,), [4, 4]), ((5,), [-2, 3])]
    for (shape, pads), mode in itertools.product(settings, modes):
        attributes = {} if mode == "constant" else {"mode": mode}
        if version < 11:
            key = "paddings" if version == 1 else "pads"
            expect = (lambda x, pads=pads, mode=mode: padded(x, pads, mode, 0)) if version == 1 else None
            yield Setting(op, f"{mode} {shape} {pads}", [make(*shape)], {**attributes, key: pads}, expect=expect)
            continue
        yield Setting(op, f"{mode} {shape} {pads}", [make(*shape), ints(*pads)], attributes, parameters=(1,))
        if mode == "constant":
            yield Setting(op, f"value {shape} {pads}", [make(*shape), ints(*pads), make()], attributes, parameters=(1, 2))
            if version >= 18:
                yield Setting(op, f"axes {shape}", [make(*shape), ints(1, 2), make(), ints(-1)], attributes, parameters=(1, 2, 3))
    if version < 11:
        yield Setting(op, "value", [make(2, 3)], {"paddings" if version == 1 else "pads": [1, 1, 1, 1], "value": 1.5}, expect=lambda x: padded(x, [1] * 4, "constant", 1.5))
    else:
        yield Setting(op, "empty", [make(0, 3), ints(1, 1, 1, 1)], parameters=(1,))


def padded(x, pads, mode, value):
    """Pad, of amounts that may be negative."""
    count = x.ndim
    widths = [(max(pads[k], 0), max(pads[k + count], 0)) for k in range(count)]
    cut = tuple(slice(max(-pads[k], 0), None if pads[k + count] >= 0 else pads[k + count]) for k in range(count))
    return np.pad(x, widths, constant_values=value)[cut] if mode == "constant" else np.pad(x[cut], widths, mode)


@generator("Expand", few=3)
def expand(op, version, make):
    for shape, to in [((3, 1), [2, 3, 4]), ((3, 1), [1, 1]), ((), [2, 3]), ((1,), [0]), ((2, 3), [3]), ((1, 3, 1), [2, 1, 5]), ((3,), []), ((0, 1), [1, 2]), ((2, 1), [1])]:
        yield Setting(op, f"{shape} {to}", [make(*shape), ints(*to)], parameters=(1,))


@generator("Tile", few=2)
def tile(op, version, make):
    if version == 1:
        for shape, count, axis in ((2, 3), 2, 0), ((2, 3), 3, 1), ((4,), 1, 0):
            numbers = [np.array([count], make.dtype), np.array([axis], make.dtype)]
            yield Setting(op, f"{shape} {count} {axis}", [make(*shape), *numbers], parameters=(1, 2), expect=lambda x, n, a: np.tile(x, [int(n[0]) if k == a[0] else 1 for k in range(x.ndim)]))
        return
    for shape, repeats in [((2, 3), [2, 2]), ((2, 3), [1, 1]), ((3,), [0]), ((2, 1, 3), [1, 4, 2]), ((0, 2), [2, 2]), ((), [])]:
        yield Setting(op, f"{shape} {repeats}", [make(*shape), ints(*repeats)], parameters=(1,))


@generator("ConstantOfShape", by=9)
def constant_of_shape(op, version, make):
    for shape in [2, 3], [], [0], [2, 0, 3], [1]:
        yield Setting(op, f"{shape}", [ints(*shape)], parameters=(0,))
    for kind in ["float32", "float16", "float64", "int8", "int32", "int64", "uint8", "bool"] + ["uint16", "uint32", "uint64", "int16"]:
        value = onnx.numpy_helper.from_array(np.array([3], kind))
        yield Setting(op, kind, [ints(2, 2)], {"value": value}, parameters=(0,))


@generator("Constant", by=9)
def constant(op, version, make):
    for kind in ["float32", "float16", "float64"] + (["int8", "int32", "int64", "uint8", "bool", "object"] if version >= 9 else []):
        value = onnx.numpy_helper.from_array(make.of(kind)(2, 3))
        yield Setting(op, kind, [], {"value": value})
    yield Setting(op, "empty", [], {"value": onnx.numpy_helper.from_array(make(0, 3))})
    if version >= 12:
        for attributes in [{"value_int": 3}, {"value_float": 2.5}, {"value_ints": [1, 2]}, {"value_floats": [1.0, 2.0]}, {"value_string": "a"}, {"value_strings": ["a", "b"]}]:
            yield Setting(op, label(attributes), [], attributes)
    if version >= 11:
        sparse = helper.make_sparse_tensor(onnx.numpy_helper.from_array(np.array([1.5, 2.5], np.float32)), onnx.numpy_helper.from_array(ints(1, 5)), [2, 4])
        dense = np.array([[0, 1.5, 0, 0], [0, 2.5, 0, 0]], np.float32)
        yield Setting(op, "sparse", [], {"sparse_value": sparse}, expect=lambda: dense, types=[helper.make_tensor_type_proto(1, None)])


@generator("Range")
def ranges(op, version, make):
    for start, limit, delta in (0, 5, 1), (5, 0, -2), (1, 10, 3), (3, 3, 1), (5, 1, 1), (2, 9, 2):
        if make.dtype.kind == "u" and delta < 0:
            continue
        yield Setting(op, f"{start} {limit} {delta}", [np.array(x).astype(make.dtype) for x in (start, limit, delta)], parameters=(0, 1, 2))
    if make.isfloat:
        yield Setting(op, "fraction", [np.array(x).astype(make.dtype) for x in (0.5, 3.1, 0.25)], parameters=(0, 1, 2))


@generator("DepthToSpace", "SpaceToDepth")
def depth(op, version, make):
    for shape, block in ((2, 8, 2, 3), 2), ((1, 9, 1, 2), 3), ((0, 4, 2, 2), 2), ((1, 4, 2, 2), 1):
        if op == "SpaceToDepth":
            yield Setting(op, f"{shape} {block}", [make(shape[0], 3, shape[2] * block, shape[3] * block)], {"blocksize": block})
            continue
        for mode in [None, "DCR", "CRD"] if version >= 11 else [None]:
            yield Setting(op, f"{shape} {block} {mode}", [make(*shape)], {"blocksize": block} | ({"mode": mode} if mode else {}))


@generator("Trilu")
def trilu(op, version, make):
    for shape, k, upper in itertools.product([(3, 4), (2, 4, 3), (2, 0, 3), (1, 1)], [None, 0, 1, -2, 7], [None, 0]):
        yield Setting(op, f"{shape} {k} {upper}", [make(*shape), None if k is None else np.array(k, np.int64)], {} if upper is None else {"upper": 0}, parameters=(1,))


@generator("Compress", few=2)
def compress(op, version, make):
    for shape, axis, condition in [((3, 2), 0, [1, 0, 1]), ((3, 2), 1, [0, 1]), ((3, 2), None, [0, 1, 1, 0, 1]), ((4,), 0, [0, 1]), ((3,), 0, [0, 0, 0]), ((2, 3), None, [1])]:
        yield Setting(op, f"{shape} {axis} {condition}", [make(*shape), np.array(condition, bool)], {} if axis is None else {"axis": axis}, parameters=(1,))
    if version >= 11:
        yield Setting(op, "negative", [make(3, 2), np.array([1, 0], bool)], {"axis": -1}, parameters=(1,))


@generator("ReverseSequence", few=2)
def reverse_sequence(op, version, make):
    yield Setting(op, "default", [make(4, 3, 2), ints(4, 1, 3)], parameters=(1,))
    yield Setting(op, "batch first", [make(3, 4, 2), ints(1, 4, 2)], {"batch_axis": 0, "time_axis": 1}, parameters=(1,))
    yield Setting(op, "small", [make(1, 1), ints(1)], parameters=(1,))


@generator("CenterCropPad", few=2)
def center_crop_pad(op, version, make):
    for shape, to, axes in [((5, 8), [3, 9], None), ((4, 5, 3), [7, 2], [0, 1]), ((5, 5), [2, 2], None), ((5, 6, 3), [8], [-2]), ((4,), [7], None)]:
        yield Setting(op, f"{shape} {to} {axes}", [make(*shape), ints(*to)], {} if axes is None else {"axes": axes}, parameters=(1,))


@generator("Unique")
def unique(op, version, make):
    for shape, axis, order in itertools.product([(6,), (3, 2), (0,), (2, 3, 2)], [None, 0, -1], [None, 0]):
        if axis == -1 and len(shape) < 2:
            continue
        attributes = {key: value for key, value in (("axis", axis), ("sorted", order)) if value is not None}
        yield Setting(op, f"{shape} {label(attributes)}", [make(*shape, low=0, high=2) if not make.isfloat else np.round(make(*shape, low=0, high=2))], attributes, (True,) * 4)


@generator("OneHot", by=2)
def one_hot(op, version, make):
    for shape, axis in [((3,), None), ((2, 3), 0), ((2, 3), 1), ((2, 3), -1), ((), None), ((0,), None)]:
        for kind in (np.int64, np.int32, np.float32) if version >= 9 else ():
            indices = make.of(np.int64)(*shape, low=0 if version < 11 else -6, high=7).astype(kind)
            values = make.of(make.dtype)(2)
            yield Setting(op, f"{shape} {axis} {np.dtype(kind).name}", [indices, np.array(5, kind) if version >= 11 else np.array([5], kind), values], {} if axis is None else {"axis": axis}, parameters=(1, 2))
