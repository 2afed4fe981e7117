"""Gather and scatter."""

import itertools

import numpy as np

from sweep.settings import Setting, generator, ints


@generator("Gather", few=3)
def gather(op, version, make):
    low = 0 if version < 11 else -2
    for shape, axis, indices in [((3, 4), 0, (2, 2)), ((3, 4), 1, ()), ((3,), 0, (5,)), ((2, 3, 4), 2, (2, 1)), ((2, 3, 4), 1, (0,)), ((2, 3, 2, 2, 2), -1, (2,)), ((3, 0), 0, (2,))]:
        for kind in np.int64, np.int32:
            if axis < 0 and version < 11:
                continue
            yield Setting(op, f"{shape} {axis} {indices} {np.dtype(kind).name}", [make(*shape), make.of(kind)(*indices, low=low, high=1)], {"axis": axis}, parameters=(1,))


@generator("GatherElements", few=2)
def gather_elements(op, version, make):
    for shape, axis, to in [((3, 4), 0, (2, 4)), ((3, 4), 1, (3, 7)), ((3,), 0, (5,)), ((2, 3, 4), -1, (2, 3, 1)), ((2, 3, 4), 1, (1, 2, 3)), ((3, 2), 0, (0, 2))]:
        size = shape[axis]
        for kind in np.int64, np.int32:
            yield Setting(op, f"{shape} {axis} {to} {np.dtype(kind).name}", [make(*shape), make.of(kind)(*to, low=-size, high=size - 1)], {"axis": axis}, parameters=(1,))


@generator("GatherND", few=2)
def gather_nd(op, version, make):
    for shape, to, batch in [((3, 4), (2, 2), 0), ((3, 4), (5, 1), 0), ((2, 3, 4), (2, 1), 1), ((2, 3, 4), (2, 3, 1), 2), ((2, 3, 4), (2, 2, 2), 0), ((2, 3), (0, 2), 0), ((3,), (1,), 0)]:
        if batch and version < 12:
            continue
        yield Setting(op, f"{shape} {to} {batch}", [make(*shape), make.of(np.int64)(*to, low=-2, high=1)], {"batch_dims": batch} if batch else {}, parameters=(1,))


@generator("ScatterElements", "Scatter", few=2)
def scatter_elements(op, version, make):
    reductions = [None] + (["add", "mul"] if version >= 16 else []) + (["max", "min"] if version >= 18 else [])
    for reduction, (shape, axis, to) in itertools.product(reductions, [((3, 4), 0, (2, 4)), ((3, 4), 1, (3, 2)), ((5,), 0, (3,)), ((2, 3, 4), -1, (1, 2, 3)), ((3, 2), 0, (0, 2))]):
        if axis < 0 and version < 11:
            continue
        indices = make.random.permuted(np.broadcast_to(np.arange(shape[axis]).reshape([-1 if k == axis % len(shape) else 1 for k in range(len(shape))]), [shape[k] if k == axis % len(shape) else to[k] for k in range(len(shape))]), axis=axis)
        indices = np.ascontiguousarray(np.take(indices, range(to[axis]), axis))
        if reduction:
            indices = make.of(np.int64)(*to, low=-shape[axis], high=shape[axis] - 1)
        yield Setting(op, f"{shape} {axis} {to} {reduction}", [make(*shape), indices.astype(np.int64), make(*to)], {"axis": axis} | ({"reduction": reduction} if reduction else {}), parameters=(1,))


@generator("ScatterND", few=2)
def scatter_nd(op, version, make):
    reductions = [None] + (["add", "mul"] if version >= 16 else []) + (["max", "min"] if version >= 18 else [])
    for reduction, (shape, to) in itertools.product(reductions, [((4, 3), [[1], [3]]), ((4, 3), [[0, 1], [2, 2], [3, 0]]), ((5,), [[4], [0], [-2]]), ((2, 3, 4), [[[0, 1], [1, 2]]]), ((4,), [])]):
        indices = np.array(to, np.int64).reshape(np.shape(to) if to else (0, 1))
        if reduction and to:
            indices = np.concatenate([indices, indices])
        updates = make(*indices.shape[:-1], *shape[indices.shape[-1] :])
        yield Setting(op, f"{shape} {indices.shape} {reduction}", [make(*shape), indices, updates], {"reduction": reduction} if reduction else {}, parameters=(1,))


@generator("TensorScatter", few=2)
def tensor_scatter(op, version, make):
    for mode, axis in itertools.product([None, "circular"], [None, 1, 2]):
        shape, update = ((2, 3, 5, 4), (2, 3, 2, 4)) if axis != 1 else ((2, 5, 4), (2, 2, 4))
        yield Setting(op, f"{mode} {axis}", [make(*shape), make(*update), ints(1, 4) if mode else ints(1, 3)], {key: value for key, value in (("mode", mode), ("axis", axis)) if value})
    yield Setting(op, "no indices", [make(2, 3, 5, 4), make(2, 3, 2, 4)])
