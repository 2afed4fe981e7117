"""Resizing and sampling."""

import itertools
import zlib

import numpy as np

from sweep.settings import Setting, generator, ints, label


@generator("Upsample", few=2)
def upsample(op, version, make):
    for mode, (high, wide) in itertools.product([None, "nearest", "linear" if version >= 7 else "bilinear"], [(2.0, 2.0), (1.0, 3.0), (1.5, 2.5)]):
        attributes = {"mode": mode} if mode else {}
        x = make(1, 2, 3, 4)
        text = f"{mode} {high} {wide}"
        if version == 1:
            nearest = mode in (None, "nearest")
            expect = (lambda x, h=high, w=wide: x[:, :, (np.arange(int(3 * h)) / h).astype(int)][:, :, :, (np.arange(int(4 * w)) / w).astype(int)]) if nearest else None
            if nearest:
                yield Setting(op, text, [x], {**attributes, "height_scale": high, "width_scale": wide}, expect=expect)
            else:
                yield Setting(op, text, [x], {**attributes, "height_scale": high, "width_scale": wide})
        elif version == 7:
            yield Setting(op, text, [x], {**attributes, "scales": [1.0, 1.0, high, wide]})
        else:
            yield Setting(op, text, [x, np.array([1, 1, high, wide], np.float32)], attributes, parameters=(1,))


@generator("Resize", few=4)
def resize(op, version, make):
    shapes = [((1, 2, 4, 5), (1, 1, 2.0, 1.5)), ((1, 1, 6, 5), (1, 1, 0.5, 0.6)), ((1, 1, 3, 3), (1, 1, 1, 3.3))]
    if version == 10:
        for mode, (shape, scales) in itertools.product(["nearest", "linear"], shapes):
            yield Setting(op, f"{mode} {scales}", [make(*shape), np.array(scales, np.float32)], {"mode": mode}, parameters=(1,))
        return
    roi = np.array([], np.float32) if version < 13 else None
    places = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"] + (["half_pixel_symmetric"] if version >= 19 else [])
    rounds = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
    for (shape, scales), place, mode in itertools.product(shapes, places, ["nearest", "linear", "cubic"]):
        more = [{"nearest_mode": way} for way in rounds] if mode == "nearest" else [{}] + ([{"cubic_coeff_a": -0.5, "exclude_outside": 1}] if mode == "cubic" else [])
        for extra in more:
            attributes = {"mode": mode, "coordinate_transformation_mode": place, **extra}
            if not make.isfloat and mode != "nearest":
                continue
            text = f"{mode} {place} {label(extra)} {scales}"
            yield Setting(op, text, [make(*shape), roi, np.array(scales, np.float32)], attributes, parameters=(1, 2), slack=3)
            if zlib.crc32(text.encode()) % 3 == 0:
                sizes = ints(*[max(1, int(size * scale)) for size, scale in zip(shape, scales)])
                nothing = np.array([], np.float32) if version < 13 else None
                yield Setting(op, "sizes " + text, [make(*shape), roi, nothing, sizes], attributes, parameters=(1, 2, 3), slack=3)
                if version >= 18 and mode != "nearest" and min(scales[2:]) < 1:
                    yield Setting(op, "antialias " + text, [make(*shape), None, np.array(scales, np.float32)], {**attributes, "antialias": 1}, parameters=(2,), slack=3)
    crop = np.array([0, 0, 0.1, 0.2, 1, 1, 0.7, 0.9], np.float32)
    for mode in "linear", "nearest":
        yield Setting(op, f"crop {mode}", [make(1, 1, 5, 6), crop, None if version >= 13 else np.array([], np.float32), ints(1, 1, 4, 7)], {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 2.5}, parameters=(1, 2, 3))
    if version >= 18:
        for policy in "stretch", "not_larger", "not_smaller":
            for mode in "linear", "nearest":
                yield Setting(op, f"{policy} {mode}", [make(1, 1, 4, 6), None, None, ints(7, 7)], {"mode": mode, "axes": [2, 3], "keep_aspect_ratio_policy": policy}, parameters=(3,))
        yield Setting(op, "axes", [make(1, 4, 6, 2), None, np.array([2, 0.5], np.float32)], {"mode": "linear", "axes": [2, 1]}, parameters=(2,))
    for shape, scales in ((5,), (2.0,)), ((2, 5), (1.0, 1.7)), ((1, 1, 3, 4, 2), (1, 1, 2, 1.5, 1)), ((2, 3, 4), (1, 2.0, 1.5)):
        for mode in "linear", "nearest":
            yield Setting(op, f"{len(shape)}d {mode}", [make(*shape), roi, np.array(scales, np.float32)], {"mode": mode}, parameters=(1, 2))


@generator("GridSample", few=3)
def grid_sample(op, version, make):
    names = ["bilinear", "nearest", "bicubic"] if version < 20 else ["linear", "nearest", "cubic"]
    grid = make.of(np.float32)
    kind = np.float32 if make.dtype.kind not in "f" else make.dtype
    for mode, padding, align in itertools.product([None, *names], [None, "border", "reflection"], [None, 1]):
        attributes = {key: value for key, value in (("mode", mode), ("padding_mode", padding), ("align_corners", align)) if value is not None}
        yield Setting(op, label(attributes), [make(2, 2, 4, 5), grid(2, 3, 4, 2, low=-1.4, high=1.4).astype(kind)], attributes, slack=10)
        if version >= 20 and mode != "cubic":
            yield Setting(op, "3d " + label(attributes), [make(1, 2, 3, 4, 5), grid(1, 2, 3, 2, 3, low=-1.2, high=1.2).astype(kind)], attributes, slack=10)


@generator("AffineGrid", by=0)
def affine_grid(op, version, make):
    for align in None, 1:
        yield Setting(op, f"2d {align}", [make(2, 2, 3), ints(2, 3, 4, 5)], {"align_corners": align} if align else {}, parameters=(1,))
        yield Setting(op, f"3d {align}", [make(1, 3, 4), ints(1, 2, 3, 4, 2)], {"align_corners": align} if align else {}, parameters=(1,))
