"""Convolution and pooling."""

import itertools

import numpy as np

from sweep.settings import Setting, generator, ints, kinds, label, products


def windows(version):
    """Attributes of windows over two dims."""
    yield {}
    yield {"strides": [2, 1]}
    yield {"pads": [1, 0, 2, 1]}
    yield {"pads": [1, 1, 1, 1], "strides": [2, 3]}
    yield {"auto_pad": "SAME_UPPER", "strides": [2, 2]}
    yield {"auto_pad": "SAME_LOWER", "strides": [2, 3]}
    yield {"auto_pad": "VALID", "strides": [1, 2]}
    yield {"auto_pad": "NOTSET", "pads": [0, 1, 0, 1]}
    yield {"auto_pad": "SAME_UPPER"}
    yield {"auto_pad": "SAME_LOWER"}


@generator("Conv", few=3)
def conv(op, version, make):
    for attributes in windows(version):
        yield Setting(op, label(attributes), [make(2, 3, 8, 9), make(4, 3, 3, 2), make(4)], {"kernel_shape": [3, 2], **attributes}, parameters=(1, 2))
    yield Setting(op, "dilated", [make(1, 2, 9, 9), make(3, 2, 3, 3)], {"dilations": [2, 3], "pads": [2, 3, 2, 3]}, parameters=(1,))
    yield Setting(op, "dilated same", [make(1, 2, 9, 8), make(3, 2, 3, 3)], {"dilations": [2, 1], "auto_pad": "SAME_UPPER"}, parameters=(1,))
    yield Setting(op, "groups", [make(2, 4, 6, 6), make(6, 2, 3, 3), make(6)], {"group": 2}, parameters=(1, 2))
    yield Setting(op, "depthwise", [make(1, 4, 6, 6), make(4, 1, 3, 3)], {"group": 4, "pads": [1, 1, 1, 1]}, parameters=(1,))
    yield Setting(op, "depthwise two", [make(1, 4, 6, 6), make(8, 1, 3, 3), make(8)], {"group": 4, "strides": [2, 2]}, parameters=(1, 2))
    yield Setting(op, "1d", [make(2, 3, 10), make(4, 3, 3), make(4)], {"strides": [2], "pads": [1, 2]}, parameters=(1, 2))
    yield Setting(op, "3d", [make(1, 2, 5, 6, 4), make(3, 2, 2, 3, 1), make(3)], {"strides": [1, 2, 1], "pads": [0, 1, 0, 1, 0, 0]}, parameters=(1, 2))
    yield Setting(op, "3d groups", [make(1, 4, 5, 6, 4), make(4, 2, 2, 2, 2)], {"group": 2, "dilations": [1, 2, 1]}, parameters=(1,))
    yield Setting(op, "pointwise", [make(1, 16, 5, 5), make(24, 16, 1, 1), make(24)], parameters=(1, 2))
    yield Setting(op, "no batch", [make(0, 3, 5, 5), make(2, 3, 3, 3)], parameters=(1,))
    yield Setting(op, "whole", [make(1, 3, 4, 4), make(2, 3, 4, 4)], parameters=(1,))
    yield Setting(op, "wide", [make(1, 3, 30, 31), make(16, 3, 7, 7), make(16)], {"strides": [2, 2], "pads": [3, 3, 3, 3]}, parameters=(1, 2))
    yield Setting(op, "1d same", [make(1, 2, 7), make(2, 2, 4)], {"auto_pad": "SAME_LOWER", "strides": [2]}, parameters=(1,))
    yield Setting(op, "2d far pads", [make(1, 1, 3, 3), make(1, 1, 2, 2)], {"pads": [4, 4, 4, 4]}, parameters=(1,))


@generator("ConvTranspose", few=3)
def conv_transpose(op, version, make):
    for attributes in windows(version):
        yield Setting(op, label(attributes), [make(2, 3, 4, 5), make(3, 4, 3, 2), make(4)], {"kernel_shape": [3, 2], **attributes}, parameters=(1, 2))
    yield Setting(op, "output padding", [make(1, 2, 3, 4), make(2, 3, 3, 3)], {"strides": [2, 3], "output_padding": [1, 2]}, parameters=(1,))
    yield Setting(op, "output shape", [make(1, 2, 3, 4), make(2, 3, 3, 3)], {"strides": [2, 2], "output_shape": [8, 9]}, parameters=(1,))
    yield Setting(op, "output shape lower", [make(1, 2, 3, 4), make(2, 3, 3, 3)], {"strides": [2, 2], "output_shape": [6, 7], "auto_pad": "SAME_LOWER"}, parameters=(1,))
    yield Setting(op, "output shape upper", [make(1, 2, 3, 4), make(2, 3, 3, 3)], {"strides": [2, 2], "output_shape": [6, 7], "auto_pad": "SAME_UPPER"}, parameters=(1,))
    yield Setting(op, "dilated", [make(1, 2, 4, 4), make(2, 3, 3, 2)], {"dilations": [2, 3]}, parameters=(1,))
    yield Setting(op, "groups", [make(2, 4, 3, 3), make(4, 2, 3, 3), make(4)], {"group": 2, "strides": [2, 1]}, parameters=(1, 2))
    yield Setting(op, "depthwise", [make(1, 4, 3, 3), make(4, 1, 3, 3)], {"group": 4}, parameters=(1,))
    yield Setting(op, "1d", [make(2, 3, 6), make(3, 4, 3), make(4)], {"strides": [2], "pads": [1, 2]}, parameters=(1, 2))
    yield Setting(op, "3d", [make(1, 2, 3, 4, 2), make(2, 3, 2, 3, 1)], {"strides": [1, 2, 1]}, parameters=(1,))
    yield Setting(op, "pads beyond", [make(1, 1, 3, 3), make(1, 1, 2, 2)], {"pads": [1, 1, 1, 1]}, parameters=(1,))


@generator("ConvInteger", "QLinearConv")
def conv_integer(op, version, make):
    one = lambda value: np.array(value, np.float32)
    kinds = [(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)]
    for (first, second), attributes in itertools.product(kinds, [{}, {"pads": [1, 1, 1, 1], "strides": [2, 1]}, {"dilations": [2, 1]}, {"auto_pad": "SAME_UPPER"}]):
        x, w = make.of(first), make.of(second)
        text = f"{np.dtype(first).name} {np.dtype(second).name} {label(attributes)}"
        if op == "ConvInteger":
            yield Setting(op, text, [x(1, 2, 6, 6), w(3, 2, 3, 2), x(), w()], attributes, parameters=(1, 2, 3))
        else:
            bias = make.of(np.int32)(3)
            yield Setting(op, text, [x(1, 2, 6, 6), one(0.1), x(), w(3, 2, 3, 2), one(0.2), w(), one(0.04), x(), bias], attributes, parameters=tuple(range(1, 9)))
            points = np.zeros([3], second)
            yield Setting(op, text + " channels", [x(1, 2, 6, 6), one(0.1), x(), w(3, 2, 3, 2), np.array([0.2, 0.3, 0.1], np.float32), points, one(0.04), x()], attributes, parameters=tuple(range(1, 8)))


@generator("AveragePool", "MaxPool", "LpPool", few=3)
def pool(op, version, make):
    extra = [{}]
    if op == "AveragePool" and version >= 7:
        extra.append({"count_include_pad": 1})
    if op == "LpPool":
        extra = [{"p": 2 if version > 1 else 2.0}, {"p": 1 if version > 1 else 1.0}, {"p": 3 if version > 1 else 3.0}]
    ceil = {"AveragePool": 10, "MaxPool": 10, "LpPool": 18}[op]
    if version >= ceil:
        extra += [{**e, "ceil_mode": 1} for e in extra]
    dilated = {"AveragePool": 19, "MaxPool": 10, "LpPool": 18}[op]
    for window, more in itertools.product(windows(version), extra):
        if "pads" in window and "auto_pad" not in window and max(window["pads"]) > 1:
            window = {**window, "pads": [1, 0, 1, 1]}
        outputs = (True, True) if op == "MaxPool" and version >= 8 and "pads" in window else (True,)
        yield Setting(op, label({**window, **more}), [make(2, 3, 8, 9)], {"kernel_shape": [3, 2], **window, **more}, outputs)
    for more in extra:
        yield Setting(op, f"1d {label(more)}", [make(2, 3, 10)], {"kernel_shape": [3], "strides": [2], "pads": [1, 1], **more})
        yield Setting(op, f"3d {label(more)}", [make(1, 2, 5, 6, 4)], {"kernel_shape": [2, 3, 2], "strides": [2, 1, 3], "pads": [0, 1, 0, 1, 1, 1], **more})
        yield Setting(op, f"square {label(more)}", [make(1, 1, 7, 7)], {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [1, 1, 1, 1], **more})
        if version >= dilated:
            yield Setting(op, f"dilated {label(more)}", [make(1, 2, 9, 9)], {"kernel_shape": [3, 2], "dilations": [2, 3], "pads": [1, 1, 1, 1], "strides": [2, 1], **more})
            yield Setting(op, f"dilated same {label(more)}", [make(1, 2, 9, 9)], {"kernel_shape": [3, 2], "dilations": [2, 3], "auto_pad": "SAME_UPPER", "strides": [2, 1], **more})
    if op == "MaxPool" and version >= 8:
        yield Setting(op, "columns", [make(1, 2, 5, 6)], {"kernel_shape": [2, 2], "storage_order": 1}, (True, True))
        yield Setting(op, "infinite", [np.full([1, 1, 4, 4], -np.inf, make.dtype)] if make.isfloat else [np.full([1, 1, 4, 4], -128 if make.dtype == np.int8 else 0, make.dtype)], {"kernel_shape": [2, 2]}, (True, True))


@generator("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(op, version, make):
    for shape in (2, 3, 4, 5), (2, 3, 7), (1, 2, 3, 4, 2), (1, 1, 1, 1):
        for attributes in ([{}, {"p": 1}, {"p": 3}] if version > 1 else [{}, {"p": 1.0}]) if op == "GlobalLpPool" else [{}]:
            yield Setting(op, f"{shape} {label(attributes)}", [make(*shape)], attributes)


@generator("MaxUnpool")
def max_unpool(op, version, make):
    x = make(1, 1, 2, 2)
    yield Setting(op, "plain", [x, np.array([[[[0, 3], [8, 15]]]], np.int64)], {"kernel_shape": [2, 2], "strides": [2, 2]})
    yield Setting(op, "shape", [x, np.array([[[[0, 3], [8, 15]]]], np.int64), ints(1, 1, 5, 5)], {"kernel_shape": [2, 2], "strides": [2, 2]}, parameters=(2,))
    yield Setting(op, "pads", [x, np.array([[[[0, 1], [4, 8]]]], np.int64)], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]})


@generator("MaxRoiPool")
def max_roi_pool(op, version, make):
    rois = np.array([[0, 0, 0, 4, 4], [1, 1, 2, 5, 3], [0, 3, 3, 3, 3]]).astype(make.dtype)
    for scale in None, 0.5:
        yield Setting(op, f"{scale}", [make(2, 2, 6, 7), rois], {"pooled_shape": [2, 3]} | ({"spatial_scale": scale} if scale else {}))


@generator("RoiAlign")
def roi_align(op, version, make):
    rois, batch = np.array([[0, 0, 4, 4], [1.3, 2.2, 5, 3.1], [0.5, 0.5, 0.6, 0.6]]).astype(make.dtype), ints(0, 1, 0)
    for attributes in products(mode=[None, "max"], output_height=[None, 2], output_width=[3], sampling_ratio=[None, 2], spatial_scale=[None, 0.5], coordinate_transformation_mode=[None, "output_half_pixel"] if version >= 16 else [None]):
        yield Setting(op, label(attributes), [make(2, 2, 6, 7), rois, batch], attributes)


@generator("LRN")
def lrn(op, version, make):
    for size, shape in itertools.product([3, 5, 1, 2], [(2, 7, 3, 3), (1, 4), (1, 4, 5)]):
        yield Setting(op, f"{size} {shape}", [make(*shape)], {"size": size, "alpha": 0.1, "beta": 0.6, "bias": 1.5})
    yield Setting(op, "defaults", [make(1, 4, 2, 2)], {"size": 3})


@generator("Col2Im", few=2)
def col2im(op, version, make):
    yield Setting(op, "plain", [make(1, 6, 4), ints(3, 4), ints(2, 3)], parameters=(1, 2))
    yield Setting(op, "strided", [make(2, 8, 4), ints(4, 4), ints(2, 2)], {"strides": [2, 2]}, parameters=(1, 2))
    yield Setting(op, "pads", [make(1, 4, 25), ints(4, 4), ints(2, 2)], {"pads": [1, 1, 1, 1]}, parameters=(1, 2))
    yield Setting(op, "dilated", [make(1, 4, 4), ints(4, 4), ints(2, 2)], {"dilations": [2, 2]}, parameters=(1, 2))
    yield Setting(op, "1d", [make(1, 6, 5), ints(7), ints(3)], parameters=(1, 2))


@generator("DeformConv")
def deform_conv(op, version, make):
    yield Setting(op, "plain", [make(1, 2, 4, 4), make(3, 2, 2, 2), make(1, 8, 3, 3)], parameters=(1,))
    yield Setting(op, "pads", [make(1, 2, 4, 4), make(3, 2, 2, 2), make(1, 8, 5, 5), make(3)], {"pads": [1, 1, 1, 1]}, parameters=(1, 3))
    yield Setting(op, "mask", [make(1, 2, 4, 4), make(3, 2, 2, 2), make(1, 8, 3, 3), make(3), make(1, 4, 3, 3)], parameters=(1, 3))
    yield Setting(op, "groups", [make(1, 4, 5, 5), make(4, 2, 2, 2), make(1, 16, 2, 2)], {"group": 2, "offset_group": 2, "strides": [2, 2]}, parameters=(1,))


@generator("CausalConvWithState")
def causal(op, version, make):
    yield Setting(op, "plain", [make(2, 3, 5), make(3, 1, 4)], {}, (True, True), (1,))
    yield Setting(op, "bias state", [make(2, 3, 5), make(3, 1, 4), make(3), make(2, 3, 3)], {}, (True, True), (1, 2))
    yield Setting(op, "silu", [make(2, 3, 1), make(3, 1, 4), make(3), make(2, 3, 3)], {"activation": "silu"}, (True, True), (1, 2))
