"""Normalization."""

import itertools

import numpy as np

from sweep.settings import Setting, generator


@generator("BatchNormalization", few=3)
def batch_normalization(op, version, make):
    def tensors(shape):
        count = shape[1] if len(shape) > 1 else 1
        return [make(*shape), make(count), make(count), make(count), make(count, low=0.5, high=2)]

    for shape in (2, 3, 4, 5), (2, 3), (1, 2, 3), (2, 3, 2, 2, 2), (0, 3, 2):
        def expect(x, s, b, m, v):
            at = (None, slice(None)) + (None,) * (x.ndim - 2)
            return ((x - m[at]) / np.sqrt(v[at] + np.float32(1e-5)) * s[at] + b[at]).astype(x.dtype)
        legacy = {"is_test": 1, **({"consumed_inputs": [0, 0, 0, 1, 1]} if version == 1 else {})} if version < 7 else {}
        yield Setting(op, f"{shape}", tensors(shape), legacy, parameters=(1, 2, 3, 4), expect=expect if version < 7 else None)
        if version < 7:
            yield Setting(op, f"spatial {shape}", tensors(shape), {**legacy, "spatial": 1, "epsilon": 1e-5, "momentum": 0.5}, parameters=(1, 2, 3, 4), expect=expect)
        if version in (6, 7) and len(shape) > 2:
            per = lambda **rest: make(*shape[1:], **rest)
            yield Setting(op, f"each {shape}", [make(*shape), per(), per(), per(), per(low=0.5, high=2)], {**legacy, "spatial": 0}, parameters=(1, 2, 3, 4), expect=lambda x, s, b, m, v: ((x - m) / np.sqrt(v + np.float32(1e-5)) * s + b).astype(x.dtype))
    if version >= 14:
        yield Setting(op, "training", tensors((2, 3, 4)), {"training_mode": 1, "momentum": 0.7}, (True, True, True), slack=10)
        yield Setting(op, "training one output", tensors((2, 3, 4)), {"training_mode": 1}, slack=10)
    yield Setting(op, "epsilon", tensors((2, 3, 4)), {"epsilon": 0.1} | ({"is_test": 1, "consumed_inputs": [0, 0, 0, 1, 1]} if version == 1 else {"is_test": 1} if version < 7 else {}), parameters=(1, 2, 3, 4), expect=(lambda x, s, b, m, v: ((x - m[:, None]) / np.sqrt(v[:, None] + np.float32(0.1)) * s[:, None] + b[:, None]).astype(x.dtype)) if version < 7 else None)


@generator("InstanceNormalization")
def instance_normalization(op, version, make):
    for shape in (2, 3, 4, 5), (2, 3, 7), (1, 2, 2, 3, 2):
        legacy = {"consumed_inputs": [0, 0, 0]} if version == 1 else {}
        def expect(x, s, b):
            axes, at = tuple(range(2, x.ndim)), (slice(None),) + (None,) * (x.ndim - 2)
            wide = x.astype(np.float64)
            return ((wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + 1e-5) * s[at] + b[at]).astype(x.dtype)
        yield Setting(op, f"{shape}", [make(*shape), make(shape[1]), make(shape[1])], legacy, parameters=(1, 2), expect=expect, slack=3)


@generator("LayerNormalization", "RMSNormalization")
def layer_normalization(op, version, make):
    for shape, axis in itertools.product([(2, 3, 4), (5,), (2, 3, 2, 4)], [None, -1, 0, 1, -2]):
        if axis is not None and not -len(shape) <= axis < len(shape):
            continue
        scale = shape[-1 if axis is None else axis :]
        rest = [make(*scale)] if op == "LayerNormalization" and axis != 1 else []
        outputs = (True, True, True) if op == "LayerNormalization" and axis == -1 else (True,)
        yield Setting(op, f"{shape} {axis}", [make(*shape), make(*scale), *rest], {} if axis is None else {"axis": axis}, outputs, (1, 2), slack=10)
    yield Setting(op, "epsilon", [make(2, 3), make(3)], {"epsilon": 0.1}, slack=10)
    yield Setting(op, "scale broadcast", [make(2, 3, 4), make(1)], {"axis": 1}, slack=10)


@generator("GroupNormalization")
def group_normalization(op, version, make):
    for shape, groups in ((2, 4, 3, 3), 2), ((1, 4, 5), 4), ((1, 4, 2, 2), 1):
        count = shape[1] if version >= 21 else groups
        yield Setting(op, f"{shape} {groups}", [make(*shape), make(count), make(count)], {"num_groups": groups}, parameters=(1, 2), slack=10)


@generator("LpNormalization")
def lp_normalization(op, version, make):
    for shape, axis, p in itertools.product([(2, 3, 4), (5,)], [None, 0, -1], [None, 1, 2]):
        yield Setting(op, f"{shape} {axis} {p}", [make(*shape)], {key: value for key, value in (("axis", axis), ("p", p)) if value is not None})
    yield Setting(op, "zero", [np.zeros([2, 3], make.dtype)], {"axis": 1, "p": 2})


@generator("MeanVarianceNormalization")
def mean_variance(op, version, make):
    yield Setting(op, "default", [make(2, 3, 4, 5)], slack=10)
    yield Setting(op, "axes", [make(2, 3, 4)], {"axes": [1, 2]}, slack=10)


@generator("Dropout", few=3)
def dropout(op, version, make):
    for shape in (2, 3), (), (0, 3):
        for outputs in (True,), (True, True):
            if version < 7:
                if outputs == (True,):
                    attributes = {"is_test": 1, "ratio": 0.3} | ({"consumed_inputs": [0]} if version == 1 else {})
                    yield Setting(op, f"{shape} {outputs}", [make(*shape)], attributes, outputs, expect=lambda x: x)
            elif version < 12:
                yield Setting(op, f"{shape} {outputs}", [make(*shape)], {"ratio": 0.3}, outputs)
            else:
                yield Setting(op, f"{shape} {outputs}", [make(*shape), np.array(0.3, np.float32), np.array(False)], {}, outputs, (1, 2))
                yield Setting(op, f"short {shape} {outputs}", [make(*shape)], {"seed": 3}, outputs)
    if version >= 12:
        yield Setting(op, "training", [make(2, 3), np.array(0.3, np.float32), np.array(True)], {}, (True, True), (1, 2), random=True)
        yield Setting(op, "training zero", [make(2, 3), np.array(0.0, np.float32), np.array(True)], {}, (True, True), (1, 2))
