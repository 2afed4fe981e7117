"""Losses, attention, signals."""

import itertools

import numpy as np

from sweep.settings import Setting, generator, ints, label


@generator("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def losses(op, version, make):
    for shape, weighted, attributes in itertools.product([(3, 5), (2, 4, 3), (2, 3, 2, 2)], [False, True], [{}, {"reduction": "sum"}, {"reduction": "none"}, {"ignore_index": 1}, {"ignore_index": -1, "reduction": "mean"}]):
        target = make.of(np.int64)(*shape[:1], *shape[2:], low=0, high=shape[1] - 1)
        if attributes.get("ignore_index") == -1:
            target = np.where(target == 0, -1, target)
        outputs = (True, True) if op.startswith("Soft") and "ignore_index" not in attributes else (True,)
        yield Setting(op, f"{shape} {weighted} {label(attributes)}", [make(*shape), target, *([make(shape[1], low=0.1, high=1)] if weighted else [])], attributes, outputs)


@generator("Attention")
def attention(op, version, make):
    q, k, v = make(2, 3, 4, 8), make(2, 3, 6, 8), make(2, 3, 6, 8)
    yield Setting(op, "plain", [q, k, v])
    yield Setting(op, "causal", [q, k, v], {"is_causal": 1})
    yield Setting(op, "mask", [q, k, v, make(4, 6)])
    yield Setting(op, "bool mask", [q, k, v, np.tril(np.ones([4, 6], bool))])
    yield Setting(op, "scale softcap", [q, k, v], {"scale": 0.3, "softcap": 2.0})
    yield Setting(op, "grouped", [make(2, 4, 4, 8), make(2, 2, 6, 8), make(2, 2, 6, 8)])
    yield Setting(op, "3d", [make(2, 4, 12), make(2, 6, 12), make(2, 6, 12)], {"q_num_heads": 3, "kv_num_heads": 3})
    yield Setting(op, "3d grouped", [make(2, 4, 16), make(2, 6, 8), make(2, 6, 8)], {"q_num_heads": 4, "kv_num_heads": 2})
    yield Setting(op, "past", [q, k, v, None, make(2, 3, 2, 8), make(2, 3, 2, 8)], {}, (True, True, True))
    yield Setting(op, "past causal mask", [q, k, v, make(4, 8), make(2, 3, 2, 8), make(2, 3, 2, 8)], {"is_causal": 1}, (True, True, True))
    yield Setting(op, "values wider", [q, k, make(2, 3, 6, 10)])
    for mode in 0, 1, 2, 3:
        yield Setting(op, f"scores {mode}", [q, k, v, make(4, 6)], {"qk_matmul_output_mode": mode, "softcap": 3.0}, (True, False, False, True))
    yield Setting(op, "masks of batches", [q, k, v, make(2, 1, 4, 6)])
    if version >= 24:
        yield Setting(op, "lengths", [q, k, v, None, None, None, ints(4, 6)])


@generator("RotaryEmbedding")
def rotary(op, version, make):
    for interleaved in 0, 1:
        yield Setting(op, f"4d {interleaved}", [make(2, 3, 4, 8), make(50, 4), make(50, 4), make.of(np.int64)(2, 4, low=0, high=49)], {"interleaved": interleaved})
        yield Setting(op, f"3d {interleaved}", [make(2, 4, 24), make(50, 4), make(50, 4), make.of(np.int64)(2, 4, low=0, high=49)], {"interleaved": interleaved, "num_heads": 3})
        yield Setting(op, f"caches {interleaved}", [make(2, 3, 4, 8), make(2, 4, 4), make(2, 4, 4)], {"interleaved": interleaved})
        yield Setting(op, f"partial {interleaved}", [make(2, 3, 4, 8), make(50, 2), make(50, 2), make.of(np.int64)(2, 4, low=0, high=49)], {"interleaved": interleaved, "rotary_embedding_dim": 4})


@generator("SwiGLU")
def swiglu(op, version, make):
    yield Setting(op, "default", [make(2, 3, 8)])


@generator("DFT", few=2)
def dft(op, version, make):
    real = lambda *shape: make(*shape, 1)
    for shape, axis, length, attributes in [((2, 8), 1, None, {}), ((2, 7), 1, None, {}), ((2, 8, 3), 1, 10, {}), ((2, 8, 3), 1, 5, {}), ((2, 8), 1, None, {"onesided": 1}), ((2, 9), 1, 6, {"onesided": 1})]:
        for x, inverse in (real(*shape), 0), (make(*shape, 2), 0), (make(*shape, 2), 1):
            if attributes and (inverse or x.shape[-1] == 2) and version < 20:
                continue
            if attributes and (x.shape[-1] == 2 and not inverse):
                continue
            flags = {**attributes, **({"inverse": 1} if inverse else {})}
            size = None if length is None else np.array(length, np.int64)
            if version < 20:
                yield Setting(op, f"{shape} {axis} {length} {label(flags)} {x.shape[-1]}", [x, size], {**flags, "axis": axis}, parameters=(1,))
            else:
                yield Setting(op, f"{shape} {axis} {length} {label(flags)} {x.shape[-1]}", [x, size, np.array(axis, np.int64)], flags, parameters=(1, 2))


@generator("STFT", few=2)
def stft(op, version, make):
    for onesided, window, size in itertools.product([None, 0], [True, False], [8, 7]):
        step = np.array(4, np.int64)
        yield Setting(op, f"{onesided} {window} {size}", [make(2, 32, 1), step, make(size) if window else None, np.array(size, np.int64)], {} if onesided is None else {"onesided": 0}, parameters=(1, 2, 3))
    yield Setting(op, "complex", [make(1, 32, 2), np.array(4, np.int64), make(8)], {"onesided": 0}, parameters=(1, 2))


@generator("HannWindow", "HammingWindow", "BlackmanWindow")
def window(op, version, make):
    for size, periodic, kind in itertools.product([10, 1, 7], [None, 0], [None, 11, 10]):
        yield Setting(op, f"{size} {periodic} {kind}", [np.array(size, make.dtype)], {key: value for key, value in (("periodic", periodic), ("output_datatype", kind)) if value is not None}, parameters=(0,))


@generator("MelWeightMatrix")
def mel(op, version, make):
    numbers = [np.array(8, make.dtype), np.array(16, make.dtype), np.array(8000 if make.dtype.itemsize > 1 else 100, make.dtype), np.array(0, np.float32), np.array(4000 if make.dtype.itemsize > 1 else 50, np.float32)]
    yield Setting(op, "default", numbers, parameters=(0, 1, 2, 3, 4))
    yield Setting(op, "double", numbers, {"output_datatype": 11}, parameters=(0, 1, 2, 3, 4))


@generator("LinearAttention")
def linear_attention(op, version, make):
    yield Setting(op, "linear", [make(1, 3, 8), make(1, 3, 8), make(1, 3, 8)], {"q_num_heads": 2, "kv_num_heads": 2, "update_rule": "linear"}, (True, True))


@generator("NonMaxSuppression")
def non_max_suppression(op, version, make):
    random = make.of(np.float32)
    low = random(2, 6, 2, low=0, high=1)
    boxes = np.concatenate([low, low + random(2, 6, 2, low=0.2, high=0.6)], -1).astype(np.float32)
    scores = random(2, 3, 6, low=0, high=1)
    for number, (most, overlap, score, center) in enumerate([(2, 0.5, 0.1, 0), (5, 0.3, None, 0), (None, None, None, 0), (3, 0.9, 0.5, 1), (0, 0.5, 0.0, 0), (10, 0.0, 0.99, 0)]):
        limits = [None if most is None else ints(most), None if overlap is None else np.array([overlap], np.float32), None if score is None else np.array([score], np.float32)]
        yield Setting(op, f"{number}", [boxes, scores, *limits], {"center_point_box": 1} if center else {}, parameters=(2, 3, 4))
