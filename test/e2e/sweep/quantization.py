"""Quantization."""

import numpy as np
from onnx import TensorProto

from sweep.settings import Setting, generator, kinds


@generator("QuantizeLinear", few=4)
def quantize(op, version, make):
    kinds = [np.uint8, np.int8] + ([np.uint16, np.int16] if version >= 21 else [])
    wide = np.float32 if version < 19 or make.dtype == np.int32 else make.dtype
    for kind in kinds:
        point = make.of(kind)
        yield Setting(op, np.dtype(kind).name, [make(2, 3, 4), np.array(0.1, wide), point()], parameters=(1, 2))
        if version >= 13:
            for axis in None, 0, -1:
                count = (2, 3, 4)[1 if axis is None else axis]
                yield Setting(op, f"{np.dtype(kind).name} axis {axis}", [make(2, 3, 4), make.of(np.float32)(count, low=0.05, high=0.5).astype(wide), point(count)], {} if axis is None else {"axis": axis}, parameters=(1, 2))
        if make.isfloat:
            yield Setting(op, f"{np.dtype(kind).name} special", [make.special()[:-1], np.array(0.5, wide), point()], parameters=(1, 2))
    yield Setting(op, "no point", [make(2, 3), np.array(0.1, wide)], parameters=(1,))
    if version >= 21:
        yield Setting(op, "blocks", [make(4, 6), make.of(np.float32)(2, 6, low=0.05, high=0.5).astype(wide), make.of(np.uint8)(2, 6)], {"axis": 0, "block_size": 2}, parameters=(1, 2))
        yield Setting(op, "output type", [make(4, 6), np.array(0.1, wide)], {"output_dtype": TensorProto.INT8}, parameters=(1,))


@generator("DequantizeLinear", few=4)
def dequantize(op, version, make):
    point = (lambda *shape: np.zeros(shape, make.dtype)) if make.dtype == np.int32 or make.isfloat else make
    yield Setting(op, "plain", [make(2, 3, 4), np.array(0.1, np.float32), point()], parameters=(1, 2))
    yield Setting(op, "no point", [make(2, 3), np.array(0.1, np.float32)], parameters=(1,))
    if version >= 13:
        for axis in None, 0, -1:
            count = (2, 3, 4)[1 if axis is None else axis]
            yield Setting(op, f"axis {axis}", [make(2, 3, 4), make.of(np.float32)(count, low=0.05, high=0.5), point(count)], {} if axis is None else {"axis": axis}, parameters=(1, 2))
    if version >= 21:
        yield Setting(op, "blocks", [make(4, 6), make.of(np.float32)(4, 2, low=0.05, high=0.5), point(4, 2)], {"axis": 1, "block_size": 3}, parameters=(1, 2))
    if version >= 19:
        yield Setting(op, "half", [make(2, 3), np.array(0.1, np.float16), point()], parameters=(1, 2))


@generator("DynamicQuantizeLinear")
def dynamic_quantize(op, version, make):
    for shape in (2, 3), (1,), (2, 3, 4):
        yield Setting(op, f"{shape}", [make(*shape)], {}, (True, True, True))
    yield Setting(op, "positive", [make(5, low=1, high=2)], {}, (True, True, True))
    yield Setting(op, "zero", [np.zeros([3], np.float32)], {}, (True, True, True))
