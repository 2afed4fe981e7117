"""The cases of run_microsoft.py: operators of ONNX Runtime in the forms that exporters and optimizers write."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class Input:
    """An input of a shape such as "B S 16": names are symbolic dims. Values are normal, in a range, or what a function makes."""

    shape: str = ""
    dtype: str = "float32"
    low: float = None
    high: float = None
    values: object = None
    constant: bool = False

    def dims(self):
        return [int(word) if word.isdigit() else word for word in self.shape.split()]

    def make(self, sizes, random):
        shape = [word if isinstance(word, int) else eval(word, {}, dict(sizes)) for word in self.dims()]
        if callable(self.values):
            return np.asarray(self.values(**sizes), self.dtype).reshape(shape)
        if self.values is not None:
            return np.asarray(self.values, self.dtype).reshape(shape)
        if np.issubdtype(np.dtype(self.dtype), np.integer):
            return random.integers(0 if self.low is None else self.low, 1 if self.high is None else self.high, shape, endpoint=True).astype(self.dtype)
        if self.low is not None:
            return random.uniform(self.low, self.high, shape).astype(self.dtype)
        return random.standard_normal(shape).astype(self.dtype)


@dataclasses.dataclass
class Case:
    name: str
    op: str
    inputs: dict
    outputs: list
    attributes: dict = dataclasses.field(default_factory=dict)
    sizes: list = dataclasses.field(default_factory=lambda: [{}])
    formula: object = None  # (feeds, attributes) -> outputs, where ONNX Runtime has no kernel
    slots: list = None  # all outputs of the operator, if some in between are not wanted
    types: dict = dataclasses.field(default_factory=dict)
    arguments: list = dataclasses.field(default_factory=list)
    domain: str = "com.microsoft"
    opset: int = 20
    tolerance: float = 1e-4

    def output_slots(self):
        return self.slots or self.outputs


CASES = []


def case(name, op, inputs, outputs="y", attributes=None, sizes=None, **rest):
    ports = {key: Input(value) if isinstance(value, str) else value for key, value in inputs.items()}
    CASES.append(Case(name, op, ports, outputs.split(), attributes or {}, sizes or [{}], **rest))


def weight(shape, **rest):
    return Input(shape, constant=True, **rest)


def ints(shape, low, high, dtype="int32", **rest):
    return Input(shape, dtype, low, high, **rest)


FLOAT, INT32 = 1, 6
BS = [dict(B=2, S=3), dict(B=1, S=7)]


# Activations

def erf(x):
    return np.vectorize(__import__("math").erf)(x)


def gelu(x):
    return x / 2 * (1 + erf(x / np.sqrt(2)))


case("gelu", "Gelu", dict(x="B S 8"), sizes=BS)
case("bias-gelu", "BiasGelu", dict(x="B S 8", b=weight("8")), sizes=BS)
case("fast-gelu", "FastGelu", dict(x="B S 8"), sizes=BS)
case("fast-gelu-bias", "FastGelu", dict(x="B S 8", b=weight("8")), sizes=BS)
case("quick-gelu", "QuickGelu", dict(x="B S 8"), attributes=dict(alpha=1.5), sizes=BS)
case(
    "bias-split-gelu", "BiasSplitGelu", dict(x="B S 16", b=weight("16")), sizes=BS,
    formula=lambda f, a: [(f["x"] + f["b"])[..., :8] * gelu((f["x"] + f["b"])[..., 8:]).astype(np.float32)],
)
case("bias-add", "BiasAdd", dict(x="B S 8", b=weight("8"), skip="B S 8"), sizes=BS, formula=lambda f, a: [f["x"] + f["b"] + f["skip"]])

# Normalisations

case("skip-layer-norm", "SkipLayerNormalization", dict(x="B S 8", skip="B S 8", g=weight("8"), b=weight("8")), sizes=BS)
case(
    "skip-layer-norm-all", "SkipLayerNormalization", dict(x="B S 8", skip="B S 8", g=weight("8"), b=None, bias=weight("8")),
    "y sum", dict(epsilon=1e-5), BS, slots=["y", "", "", "sum"],
)
case(
    "skip-rms-norm", "SkipSimplifiedLayerNormalization", dict(x="B S 8", skip="S 8", g=weight("8"), bias=weight("8")),
    "y sum", dict(epsilon=1e-5), BS, slots=["y", "", "", "sum"],
)
case(
    "rms-norm", "SimplifiedLayerNormalization", dict(x="B S 8", g=weight("8")), attributes=dict(axis=-1, epsilon=1e-5), sizes=BS,
    domain="", opset=17,
)
case("layer-norm-13", "LayerNormalization", dict(x="B S 8", g=weight("8"), b=weight("8")), sizes=BS, domain="", opset=13)
case(
    "embed-layer-norm", "EmbedLayerNormalization",
    dict(ids=ints("B S", 0, 19), seg=ints("B S", 0, 1), word=weight("20 8"), pos=weight("16 8"), segt=weight("2 8"), g=weight("8"), b=weight("8"), mask=ints("B S", 0, 1)),
    "y index sum", sizes=BS, types=dict(index=INT32),
)
case(
    "embed-layer-norm-positions", "EmbedLayerNormalization",
    dict(ids=ints("B S", 0, 19), seg=None, word=weight("20 8"), pos=weight("16 8"), segt=None, g=weight("8"), b=weight("8"), mask=None, ids2=ints("1 S", 0, 15)),
    "y index", sizes=BS, types=dict(index=INT32),
)

# Products

case("fused-matmul", "FusedMatMul", dict(a="B 4 S", b="B 5 4"), attributes=dict(alpha=0.5, transA=1, transB=1), sizes=BS)
case(
    "fused-matmul-batch", "FusedMatMul", dict(a="S B 2 4", b="5 B 2 4"),
    attributes=dict(transBatchA=1, transBatchB=1, transB=1), sizes=BS,
)
case("transpose-matmul", "TransposeMatMul", dict(a="4 S", b="4 5"), attributes=dict(transA=1), sizes=[dict(S=3)])
case(
    "fused-gemm", "FusedGemm", dict(a="S 4", b=weight("5 4"), c=weight("5")),
    attributes=dict(alpha=0.5, beta=2.0, transB=1, activation="LeakyRelu", activation_alpha=0.2), sizes=[dict(S=3)],
)

# Attention

case("attention", "Attention", dict(x="B S 8", w=weight("8 24"), b=weight("24")), attributes=dict(num_heads=2), sizes=BS)
case(
    "attention-mask", "Attention", dict(x="B S 8", w=weight("8 24"), b=weight("24"), m=ints("B S", 0, 1)),
    attributes=dict(num_heads=2), sizes=BS,
)
case(
    "attention-lengths", "Attention", dict(x="B S 8", w=weight("8 24"), b=weight("24"), m=ints("B", 1, 3)),
    attributes=dict(num_heads=2, unidirectional=1), sizes=BS,
)
case(
    "attention-ends-starts", "Attention", dict(x="2 S 8", w=weight("8 24"), b=weight("24"), m=Input("4", "int32", values=[3, 2, 1, 0])),
    attributes=dict(num_heads=2), sizes=[dict(S=4)],
)
case(
    "attention-mask-3d", "Attention", dict(x="B S 8", w=weight("8 24"), b=weight("24"), m=ints("B S S", 0, 1)),
    attributes=dict(num_heads=2, unidirectional=1), sizes=BS,
)
case(
    "attention-past", "Attention", dict(x="B S 8", w=weight("8 24"), b=weight("24"), m=None, past="2 B 2 P 4"), "y present",
    dict(num_heads=2, unidirectional=1), [dict(B=2, S=3, P=4), dict(B=1, S=1, P=6)],
)
case(
    "attention-past-mask", "Attention", dict(x="B S 8", w=weight("8 24"), b=weight("24"), m=ints("B T", 0, 1), past="2 B 2 P 4"),
    "y present", dict(num_heads=2, unidirectional=1, mask_filter_value=-50.0), [dict(B=2, S=3, P=4, T=7), dict(B=1, S=1, P=6, T=7)],
)
case(
    "attention-bias", "Attention", dict(x="B S 8", w=weight("8 24"), b=weight("24"), m=None, past=None, bias="1 2 S S"),
    attributes=dict(num_heads=2, scale=0.3), sizes=BS,
)
case(
    "attention-hidden-sizes", "Attention", dict(x="B S 8", w=weight("8 22"), b=weight("22")),
    attributes=dict(num_heads=2, qkv_hidden_sizes=[8, 8, 6]), sizes=BS,
)
BSL = [dict(B=2, S=3, L=5), dict(B=1, S=4, L=2)]
case("mha", "MultiHeadAttention", dict(q="B S 8", k="B L 8", v="B L 6"), attributes=dict(num_heads=2), sizes=BSL)
case(
    "mha-bias-mask", "MultiHeadAttention", dict(q="B S 8", k="B L 8", v="B L 8", b=weight("24"), m=ints("B L", 0, 1)),
    attributes=dict(num_heads=2), sizes=BSL,
)
case(
    "mha-lengths", "MultiHeadAttention", dict(q="B S 8", k="B L 8", v="B L 8", b=None, m=ints("B", 1, 2)),
    attributes=dict(num_heads=2), sizes=BSL,
)
case(
    "mha-attention-bias", "MultiHeadAttention", dict(q="B S 8", k="B L 8", v="B L 8", b=None, m=None, bias="B 1 S L"),
    attributes=dict(num_heads=2), sizes=BSL,
)
case(
    "mha-past", "MultiHeadAttention", dict(q="B S 8", k="B S 8", v="B S 8", b=None, m=None, bias=None, pk="B 2 P 4", pv="B 2 P 4"),
    "y pk2 pv2", dict(num_heads=2, unidirectional=1), [dict(B=2, S=3, P=4), dict(B=1, S=1, P=6)],
)
case(
    "mha-present-qk", "MultiHeadAttention", dict(q="B S 8", k="B S 8", v="B S 8", b=weight("24")),
    "y pk2 pv2 qk", dict(num_heads=2), BS,
)
case("mha-cross", "MultiHeadAttention", dict(q="B S 8", k="B 2 L 4", v="B 2 L 4", b=weight("24")), attributes=dict(num_heads=2), sizes=BSL)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def plain_attention(q, k, v):
    """[B, N, S, H] to [B, S, N·H]."""
    y = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])) @ v
    return y.swapaxes(1, 2).reshape(y.shape[0], y.shape[2], -1).astype(np.float32)


def packed_qkv(f, a):
    q, k, v = (f["q"][:, :, :, i].swapaxes(1, 2) for i in range(3))
    return [plain_attention(q, k, v)]


def packed_kv(f, a):
    q = f["q"].reshape(*f["q"].shape[:2], 2, 4).swapaxes(1, 2)
    k, v = (f["k"][:, :, :, i].swapaxes(1, 2) for i in range(2))
    return [plain_attention(q, k, v)]


case("mha-packed-qkv", "MultiHeadAttention", dict(q="B S 2 3 4"), attributes=dict(num_heads=2), sizes=BS, formula=packed_qkv)
case("mha-packed-kv", "MultiHeadAttention", dict(q="B S 8", k="B L 2 2 4"), attributes=dict(num_heads=2), sizes=BSL, formula=packed_kv)
case(
    "decoder-mha", "DecoderMaskedMultiHeadAttention",
    dict(q="B 1 8", k="B 1 8", v="B 1 8", m=ints("B T", 0, 1), bias=None, pk="B 2 M 4", pv="B 2 M 4", n=Input("1", "int32", values=lambda P, **_: P), w=None, i=None, b=weight("24")),
    "y pk2 pv2", dict(num_heads=2, past_present_share_buffer=1), [dict(B=2, M=8, P=4, T=5), dict(B=1, M=8, P=7, T=8)],
)


def decoder_packed(f, a):
    parts = np.split(f["q"], 3, -1)
    q, k, v = (part.reshape(-1, 1, 2, 4).swapaxes(1, 2) for part in parts)
    n = int(f["n"][0])
    keys, values = f["pk"].copy(), f["pv"].copy()
    keys[:, :, n : n + 1], values[:, :, n : n + 1] = k, v
    scores = q @ keys[:, :, : n + 1].swapaxes(-1, -2) / 2 + f["bias"] + np.where(f["m"] > 0, 0, -10000)[:, None, None, :]
    y = softmax(scores) @ values[:, :, : n + 1]
    return [y.swapaxes(1, 2).reshape(-1, 1, 8).astype(np.float32), keys, values]


case(
    "decoder-mha-packed", "DecoderMaskedMultiHeadAttention",
    dict(q="B 1 24", k=None, v=None, m=ints("B T", 0, 1), bias="1 2 1 T", pk="B 2 M 4", pv="B 2 M 4", n=Input("1", "int32", values=lambda P, **_: P)),
    "y pk2 pv2", dict(num_heads=2, past_present_share_buffer=1), [dict(B=2, M=8, P=4, T=5)], formula=decoder_packed,
)
case(
    "decoder-mha-beams", "DecoderMaskedMultiHeadAttention",
    dict(q="4 1 8", k="4 1 8", v="4 1 8", m=ints("4 T", 0, 1), bias=None, pk="4 2 M 4", pv="4 2 M 4", n=Input("1", "int32", values=lambda P, **_: P), w=Input("1", "int32", values=2), i=ints("2 2 M", 0, 1)),
    "y pk2 pv2", dict(num_heads=2, past_present_share_buffer=1), [dict(M=8, P=4, T=5)],
)
case(
    "decoder-mha-cross", "DecoderMaskedMultiHeadAttention", dict(q="B 1 8", k="B 2 L 4", v="B 2 L 4"),
    attributes=dict(num_heads=2), sizes=[dict(B=2, L=5)],
    formula=lambda f, a: [plain_attention(f["q"].reshape(-1, 1, 2, 4).swapaxes(1, 2), f["k"], f["v"])],
)

# Group query attention

GQA = dict(num_heads=4, kv_num_heads=2)


def lengths(values):
    return Input("B", "int32", values=values)


def total(values):
    return Input("1", "int32", values=values)


case(
    "gqa-prompt", "GroupQueryAttention", dict(q="B 5 32", k="B 5 16", v="B 5 16", pk=None, pv=None, n=lengths(lambda B: [4, 2][:B]), t=weight("1", dtype="int32", values=5)),
    "y pk2 pv2", GQA, [dict(B=1), dict(B=2)],
)
ROTARY = dict(cos=weight("16 8", low=-1, high=1), sin=weight("16 8", low=-1, high=1))
case(
    "gqa-decode", "GroupQueryAttention",
    dict(q="B 1 64", k="B 1 32", v="B 1 32", pk="B 2 8 16", pv="B 2 8 16", n=lengths(lambda B: [6, 3][:B]), t=weight("1", dtype="int32", values=7), **ROTARY),
    "y pk2 pv2", dict(**GQA, do_rotary=1), [dict(B=1), dict(B=2)],
)
case(
    "gqa-packed", "GroupQueryAttention",
    dict(q="1 3 128", k=None, v=None, pk="1 2 4 16", pv="1 2 4 16", n=Input("1", "int32", values=6), t=weight("1", dtype="int32", values=7), **ROTARY),
    "y pk2 pv2", dict(**GQA, do_rotary=1, rotary_interleaved=1, softcap=5.0, scale=0.4),
)
case(
    "gqa-window-bias", "GroupQueryAttention",
    dict(q="1 6 64", k="1 6 32", v="1 6 32", pk="1 2 8 16", pv="1 2 8 16", n=Input("1", "int32", values=5), t=weight("1", dtype="int32", values=6), cos=None, sin=None, p=None, bias="1 4 6 6"),
    "y pk2 pv2", dict(**GQA, local_window_size=3),
)
case(
    "gqa-positions-sink", "GroupQueryAttention",
    dict(q="1 2 64", k="1 2 32", v="1 2 32", pk="1 2 8 16", pv="1 2 8 16", n=Input("1", "int32", values=5), t=weight("1", dtype="int32", values=6), **ROTARY, p=ints("1 2", 0, 15, "int64"), bias=None, sink=weight("4")),
    "y pk2 pv2", dict(**GQA, do_rotary=1),
)
case(
    "gqa-smooth-softmax", "GroupQueryAttention",
    dict(q="B 1 64", k="B 1 32", v="B 1 32", pk="B 2 8 16", pv="B 2 8 16", n=lengths(lambda B: [6, 3][:B]), t=weight("1", dtype="int32", values=7)),
    "y pk2 pv2", dict(**GQA, smooth_softmax=1), [dict(B=2)],
)
case(
    "gqa-qk", "GroupQueryAttention",
    dict(q="1 6 64", k="1 6 32", v="1 6 32", pk=None, pv=None, n=Input("1", "int32", values=5), t=weight("1", dtype="int32", values=6)),
    "y pk2 pv2 qk", dict(**GQA, qk_output=2),
)
case(
    "gqa-fp16", "GroupQueryAttention",
    dict(q=Input("1 6 64", "float16"), k=Input("1 6 32", "float16"), v=Input("1 6 32", "float16"), pk=None, pv=None, n=Input("1", "int32", values=5), t=weight("1", dtype="int32", values=6)),
    "y", GQA, types=dict(y=10), slots=["y", "pk2", "pv2"], tolerance=2e-3,
)

# Rotary embedding

case("rotary", "RotaryEmbedding", dict(x="B S 32", p=ints("B S", 0, 15, "int64"), **ROTARY), sizes=BS)
case(
    "rotary-interleaved-first", "RotaryEmbedding", dict(x="B 2 S 16", p=Input("1", "int64", values=3), **ROTARY),
    attributes=dict(interleaved=1), sizes=BS,
)
case(
    "rotary-part", "RotaryEmbedding", dict(x="B S 48", p=ints("B S", 0, 15, "int64"), **ROTARY),
    attributes=dict(num_heads=2, rotary_embedding_dim=16), sizes=BS,
)
case(
    "mrotary", "MRotaryEmbedding", dict(x="B S 32", p=ints("3 B S", 0, 15, "int64"), **ROTARY),
    attributes=dict(num_heads=2, mrope_section=[4, 2, 2]), sizes=BS,
)
case(
    "mrotary-interleaved", "MRotaryEmbedding", dict(x="B 2 S 16", p=ints("3 B S", 0, 15, "int64"), **ROTARY),
    attributes=dict(mrope_section=[3, 3, 2], mrope_layout=1, scale=1.0), sizes=BS,
)

# Convolutions

case(
    "fused-conv", "FusedConv", dict(x="B 4 7 6", w=weight("6 4 3 3"), b=weight("6"), z="B 6 7 6"),
    attributes=dict(pads=[1, 1, 1, 1], activation="Relu"), sizes=[dict(B=2)],
)
case(
    "fused-conv-clip", "FusedConv", dict(x="B 4 7 6", w=weight("6 2 3 3"), b=weight("6")),
    attributes=dict(group=2, strides=[2, 2], activation="Clip", activation_params=[0.0, 1.5]), sizes=[dict(B=2)],
)
case(
    "nhwc-max-pool", "NhwcMaxPool", dict(x=ints("B 6 5 4", 0, 255, "uint8")), attributes=dict(kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 0]),
    sizes=[dict(B=2)], types=dict(y=2),
)


def conv_1x1(x, w):
    """Of [batch, height, width, channels] and [filters, channels]."""
    return np.einsum("bhwc,mc->bhwm", x, w)


case(
    "nhwc-fused-conv", "NhwcFusedConv", dict(x="B 3 5 4", w=weight("6 4 1 1"), b=weight("6"), z="B 3 5 6"), attributes=dict(activation="Tanh"),
    sizes=[dict(B=2)], formula=lambda f, a: [np.tanh(conv_1x1(f["x"], f["w"][:, :, 0, 0]) + f["b"] + f["z"])],
)
case(
    "nhwc-conv", "NhwcConv", dict(x="B 3 5 4", w=weight("6 1 1 4"), b=weight("6")), sizes=[dict(B=2)],
    formula=lambda f, a: [conv_1x1(f["x"], f["w"][:, 0, 0]) + f["b"]],
)

# Group normalisation, position biases, packing


def group_norm(f, a, key="x"):
    x = f[key] if key in f else key
    n, h, w, ch = x.shape
    y = x.reshape(n, h * w, a["groups"], -1)
    y = (y - y.mean((1, 3), keepdims=True)) / np.sqrt(y.var((1, 3), keepdims=True) + 1e-5)
    y = y.reshape(x.shape) * f["g"] + f["b"]
    return y / (1 + np.exp(-y)) if a["activation"] else y


def skip_group_norm(f, a):
    total = f["x"] + f["skip"][:, None, None] + f["bias"]
    return [group_norm({**f, "x": total}, a).astype(np.float32), total]


IMAGE = [dict(B=2, H=3, W=4)]
case("group-norm", "GroupNorm", dict(x="B H W 6", g=weight("6"), b=weight("6")), attributes=dict(groups=3, activation=1), sizes=IMAGE, formula=lambda f, a: [group_norm(f, a).astype(np.float32)])
case(
    "skip-group-norm", "SkipGroupNorm", dict(x="B H W 6", g=weight("6"), b=weight("6"), skip="B 6", bias=weight("6")), "y sum",
    dict(groups=2, activation=0), IMAGE, formula=skip_group_norm,
)


def t5_buckets(distance, buckets, greatest, both):
    start = np.zeros_like(distance)
    if both:
        buckets //= 2
        start += (distance > 0) * buckets
        n = np.abs(distance)
    else:
        n = np.maximum(-distance, 0)
    exact = buckets // 2
    large = exact + (np.log(np.maximum(n, 1).astype(np.float32) / exact) / np.log(greatest / exact) * (buckets - exact)).astype(np.int64)
    return start + np.where(n < exact, n, np.minimum(large, buckets - 1))


def relative_bias(f, a):
    table = f["t"].reshape(2, 8)
    distance = np.arange(40)[None, :] - np.arange(30)[:, None]
    return [table[:, t5_buckets(distance, 8, a["max_distance"], a.get("is_bidirectional", 0))][None]]


for both in (0, 1):
    case(
        f"relative-position-bias-{both}", "RelativePositionBias",
        dict(t="8 2", q=weight("1", dtype="int64", values=30), k=weight("1", dtype="int64", values=40)),
        attributes=dict(max_distance=20, is_bidirectional=both), formula=relative_bias,
    )


def gated_bias(f, a):
    q = (f["q"] + f["qb"]).reshape(*f["q"].shape[:2], 2, 4).swapaxes(1, 2)
    d = (q @ f["w"] + f["b"]).reshape(*q.shape[:3], 2, 3).sum(-1)
    gate = 1 / (1 + np.exp(-d))
    return [((gate[..., :1] * (gate[..., 1:] * f["e"] - 1) + 2) * f["r"]).astype(np.float32)]


case(
    "gated-position-bias", "GatedRelativePositionBias",
    dict(q="B S 8", qb=weight("8"), r="1 2 S S", w=weight("4 6"), b=weight("6"), e=weight("1 2 1 1")), attributes=dict(num_heads=2), sizes=BS,
    formula=gated_bias,
)


def remove_padding(f, a):
    counts, (batch, length) = f["n"], f["x"].shape[:2]
    places = np.arange(batch * length).reshape(batch, length)
    counted = np.arange(length)[None] < counts[:, None]
    offset = np.concatenate([places[counted], places[~counted]]).astype(np.int32)
    rows = f["x"].reshape(batch * length, -1)[offset[: counts.sum()]]
    return [rows, offset.reshape(batch, length), np.cumsum([0, *counts]).astype(np.int32), counts.max(keepdims=True)]


def restore_padding(f, a):
    batch, length = f["o"].shape
    rows = np.zeros((batch * length, 4), np.float32)
    rows[f["o"].reshape(-1)[: len(f["x"])]] = f["x"]
    return [rows.reshape(batch, length, 4)]


case("remove-padding", "RemovePadding", dict(x="B S 4", n=Input("B", "int32", values=lambda B, S: [2, 1, S][:B])), "y offset ends most", sizes=[dict(B=3, S=4), dict(B=1, S=2)], formula=remove_padding)
OFFSETS = [0, 1, 4, 8, 9, 10, 11, 2, 3, 5, 6, 7]
case("restore-padding", "RestorePadding", dict(x="T 4", o=Input("3 4", "int32", values=OFFSETS)), sizes=[dict(T=7)], formula=restore_padding)


def packed_attention(f, a):
    if "w" in f:
        q, k, v = np.split(f["x"] @ f["w"] + f["b"], 3, -1)
    else:
        q, k, v = f["x"], f["k"], f["v"]
    y = np.zeros_like(q)
    ends = f["e"]
    for b in range(len(ends) - 1):
        own = slice(ends[b], ends[b + 1])
        parts = [part[own].reshape(-1, 2, 4).swapaxes(0, 1) for part in (q, k, v)]
        scores = parts[0] @ parts[1].swapaxes(-1, -2) / 2
        if "bias" in f:
            n = ends[b + 1] - ends[b]
            scores = scores + f["bias"][b, :, :n, :n]
        y[own] = (softmax(scores) @ parts[2]).swapaxes(0, 1).reshape(-1, 8)
    return [y.astype(np.float32)]


ENDS = Input("4", "int32", values=[0, 2, 3, 7])
case(
    "packed-attention", "PackedAttention", dict(x="T 8", w=weight("8 24"), b=weight("24"), o=Input("3 4", "int32", values=OFFSETS), e=ENDS),
    attributes=dict(num_heads=2), sizes=[dict(T=7)], formula=packed_attention,
)
case(
    "packed-mha-bias", "PackedMultiHeadAttention",
    dict(x="T 8", k="T 8", v="T 8", b=None, o=Input("3 4", "int32", values=OFFSETS), e=ENDS, bias="3 2 4 4"),
    attributes=dict(num_heads=2), sizes=[dict(T=7)], formula=packed_attention,
)

# Experts

MOE = dict(x="B S 8", r="T 4", w1=weight("4 12 8"), b1=weight("4 12"), w2=weight("4 8 12"), b2=weight("4 8"))
TOKENS = [dict(B=2, S=3, T=6), dict(B=1, S=1, T=1)]
case("moe-relu", "MoE", MOE, attributes=dict(k=2), sizes=TOKENS)
case("moe-silu-normalized", "MoE", {**MOE, "b1": None, "b2": None}, attributes=dict(k=2, normalize_routing_weights=1, activation_type="silu"), sizes=TOKENS)
case("moe-gelu", "MoE", MOE, attributes=dict(k=1, activation_type="gelu"), sizes=TOKENS)
case(
    "moe-swiglu", "MoE", {**MOE, "w1": weight("4 24 8"), "b1": weight("4 24")}, sizes=TOKENS,
    attributes=dict(k=3, activation_type="swiglu", swiglu_fusion=1, activation_alpha=1.7, activation_beta=1.0, swiglu_limit=1.5, normalize_routing_weights=1),
)


def gated_moe(f, a):
    x = f["x"].reshape(-1, 8)
    p = softmax(f["r"])
    y = np.zeros_like(x)
    for t, row in enumerate(x):
        for e in np.argsort(-p[t])[: a["k"]]:
            g, l = f["w1"][e] @ row, f["w3"][e] @ row
            y[t] += p[t, e] * (f["w2"][e] @ (g / (1 + np.exp(-g)) * l))
    return [y.reshape(f["x"].shape)]


case("moe-gated", "MoE", {**MOE, "b1": None, "b2": None, "w3": weight("4 12 8")}, attributes=dict(k=2, activation_type="silu"), sizes=TOKENS, formula=gated_moe)

# Arrangements and arithmetic

case("expand-dims", "ExpandDims", dict(x="B S 4", a=weight("", dtype="int32", values=-2)), sizes=BS)
case("gather-nd", "GatherND", dict(x="B 3 4", i=Input("2 2", "int64", values=[0, 2, 0, 1])), sizes=[dict(B=2)])
case("pad", "Pad", dict(x="B 4", p=weight("4", dtype="int64", values=[0, 1, 2, 0]), v=Input("1", values=3)), sizes=[dict(B=2)])
case("range", "Range", dict(a=weight("1", values=2), b=weight("1", values=9), c=weight("1", values=1.5)))
case("range-by-one", "Range", dict(a=weight("", dtype="int64", values=2), b=weight("", dtype="int64", values=9)), types=dict(y=7))
case("trilu", "Trilu", dict(x="B 4 S", k=weight("", dtype="int64", values=1)), attributes=dict(upper=0), sizes=BS)
case("unique", "Unique", dict(x=Input("N", values=[2, 1, 1, 3, 4, 3])), "y i n", sizes=[dict(N=6)], types=dict(i=7, n=7))
case("unfold", "UnfoldTensor", dict(x="B 9 3"), attributes=dict(dim=1, size=4, step=2), sizes=BS)
BOXES = Input("3 4", values=[0, 0, 1, 1, 0.2, 0.1, 0.7, 0.6, -0.1, 0.3, 1.2, 0.5])
for mode in ("bilinear", "nearest"):
    case(
        f"crop-and-resize-{mode}", "CropAndResize",
        dict(x="B 2 6 5", b=BOXES, i=Input("3", "int32", values=[0, 1, 0]), s=weight("2", dtype="int32", values=[4, 3])),
        attributes=dict(mode=mode, extrapolation_value=0.5), sizes=[dict(B=2)],
    )
case("bias-softmax", "BiasSoftmax", dict(x="B 2 S 4", b="B 1 1 4"), attributes=dict(axis=3, is_inner_broadcast=1), sizes=BS, formula=lambda f, a: [softmax(f["x"] + f["b"])])
for metric in ("euclidean", "sqeuclidean"):
    case(f"cdist-{metric}", "CDist", dict(a="B 4", b="S 4"), attributes=dict(metric=metric), sizes=BS)


def as_complex(x):
    return x[..., 0] + 1j * x[..., 1]


def as_pairs(z):
    return np.stack([z.real, z.imag], -1).astype(np.float32)


case("complex-mul", "ComplexMul", dict(a="B S 2", b="S 2"), sizes=BS, formula=lambda f, a: [as_pairs(as_complex(f["a"]) * as_complex(f["b"]))])
case("complex-mul-conj", "ComplexMulConj", dict(a="B S 2", b="S 2"), sizes=BS, formula=lambda f, a: [as_pairs(as_complex(f["a"]) * as_complex(f["b"]).conj())])
case("causal-conv", "CausalConvWithState", dict(x="B 6 S", w=weight("6 1 4"), b=weight("6"), s="B 6 3"), "y state", dict(activation="silu"), BS)
case("causal-conv-first", "CausalConvWithState", dict(x="B 6 S", w=weight("6 1 3")), "y state", sizes=BS)
case("gated-add", "GatedAdd", dict(x="B S 4", y0="B S 4", g="B S 1"), "y", sizes=BS)
case("gated-rms-norm", "GatedRMSNorm", dict(x="B S 12", w=weight("4"), g="B S 12"), attributes=dict(epsilon=1e-5), sizes=BS, formula=lambda f, a: [(
    (lambda x: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * f["w"])(f["x"].reshape(*f["x"].shape[:2], 3, 4)).reshape(f["x"].shape) * f["g"] / (1 + np.exp(-f["g"]))
).astype(np.float32)])
case("linear-attention-gate", "LinearAttentionGate", dict(a="B S 4", d=weight("4"), s=weight("4"), b="B S 4"), "y beta", sizes=BS)

case(
    "conv-transpose-dynamic-pads", "ConvTransposeWithDynamicPads", dict(x="B 3 5 4", w=weight("3 2 3 3"), p=weight("4", dtype="int64", values=[1, 0, 1, 1]), b=weight("2")),
    attributes=dict(strides=[2, 1]), sizes=[dict(B=2)],
)
BLOCK_ROWS, BLOCK_COLUMNS = [[0, 1, 3], [0, 1, 2]], [[0, 0, 1], [0, 1, -1]]
SPARSE = dict(num_heads=4, kv_num_heads=2, sparse_block_size=16, do_rotary=1)


def sparse_inputs(queries, past, total):
    return dict(
        q=f"B {queries} 64", k=f"B {queries} 32", v=f"B {queries} 32", pk="B 2 32 16", pv="B 2 32 16",
        r=weight("2 3", dtype="int32", values=BLOCK_ROWS), cols=weight("2 3", dtype="int32", values=BLOCK_COLUMNS),
        t=weight("1", dtype="int32", values=total), e=Input("B", "int32", values=lambda B: [total, total - 3][:B]),
        cos=weight("32 8", low=-1, high=1), sin=weight("32 8", low=-1, high=1),
    )


def turned(x, positions, f):
    """[B, N, S, H] at the positions [S]."""
    a, b = np.split(x, 2, -1)
    cosine, sine = f["cos"][positions], f["sin"][positions]
    return np.concatenate([a * cosine - b * sine, b * cosine + a * sine], -1)


def sparse_attention(f, a):
    total, size = int(f["t"][0]), a["sparse_block_size"]
    allowed = np.zeros((2, 2, 2), bool)
    for layout in range(2):
        for row in range(2):
            allowed[layout, row, f["cols"][layout, f["r"][layout, row] : f["r"][layout, row + 1]]] = True
    keys, values, outputs = f["pk"].copy(), f["pv"].copy(), []
    for b, end in enumerate(f["e"]):
        q, k, v = (f[name][b].reshape(len(f[name][b]), -1, 16).swapaxes(0, 1) for name in "qkv")
        queries = q.shape[1]
        past = 0 if queries == total else end - queries
        positions = past + np.arange(queries)
        keys[b, :, past : past + queries] = turned(k[None], positions, f)[0]
        values[b, :, past : past + queries] = v
        scores = turned(q[None], positions, f)[0] @ keys[b].repeat(2, 0).swapaxes(-1, -2) / 4
        t = np.arange(keys.shape[2])
        for head in range(4):
            block = allowed[head % 2][positions[:, None] // size, t[None] // size]
            scores[head][~(block & (t[None] <= positions[:, None]) & (t[None] < end))] = -np.inf
        y = softmax(scores) @ values[b].repeat(2, 0)
        outputs.append(y.swapaxes(0, 1).reshape(queries, -1))
    return [np.stack(outputs).astype(np.float32), keys.astype(np.float32), values]


case("sparse-attention-prompt", "SparseAttention", sparse_inputs(24, 0, 24), "y pk2 pv2", SPARSE, [dict(B=1)], formula=sparse_attention)
case("sparse-attention-decode", "SparseAttention", sparse_inputs(1, 20, 21), "y pk2 pv2", SPARSE, [dict(B=2)], formula=sparse_attention)

# Lengths that only the caller knows, and 16 bits

case(
    "gqa-total-input", "GroupQueryAttention",
    dict(q="B S 64", k="B S 32", v="B S 32", pk="B 2 P 16", pv="B 2 P 16", n=Input("B", "int32", values=lambda B, S, P, T: [T - 1] * B), t=Input("1", "int32", values=lambda T, **_: T), **ROTARY),
    "y pk2 pv2", dict(**GQA, do_rotary=1), [dict(B=2, S=1, P=8, T=7), dict(B=1, S=3, P=4, T=7), dict(B=1, S=5, P=5, T=5)],
)
case(
    "skip-layer-norm-fp16", "SkipLayerNormalization", {name: Input(shape, "float16") for name, shape in dict(x="B S 8", skip="B S 8", g="8", b="8").items()},
    sizes=BS, types=dict(y=10), tolerance=2e-3,
)
case(
    "rotary-fp16", "RotaryEmbedding", dict(x=Input("B S 32", "float16"), p=ints("B S", 0, 15, "int64"), cos=Input("16 8", "float16", -1, 1), sin=Input("16 8", "float16", -1, 1)),
    sizes=BS, types=dict(y=10), tolerance=2e-3,
)


def relu_moe(f, a):
    f = {name: array.astype(np.float32) for name, array in f.items()}
    x, p = f["x"].reshape(-1, 8), softmax(f["r"])
    y = np.zeros_like(x)
    for t, row in enumerate(x):
        for e in np.argsort(-p[t])[: a["k"]]:
            y[t] += p[t, e] * (f["w2"][e] @ np.maximum(f["w1"][e] @ row + f["b1"][e], 0) + f["b2"][e])
    return [y.reshape(f["x"].shape).astype(np.float16)]


case("moe-fp16", "MoE", {name: Input(value.shape if isinstance(value, Input) else value, "float16") for name, value in MOE.items()}, attributes=dict(k=2), sizes=TOKENS, tolerance=5e-3, formula=relu_moe)

# Hyper-connections


def rms(x, scale, epsilon=1e-5):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * scale


def pre_mix(f, a):
    x = f["x"].reshape(*f["x"].shape[:2], 3, 4)
    gate = f["g"].reshape(x.shape) if f["g"].shape[-1] == 12 else f["g"].reshape(*x.shape[:3], -1)
    return [(a.get("reduction_scale", 1) * (x * gate).sum(-2)).astype(np.float32)]


def post_mix(f, a):
    mixed = np.einsum("bsck,bsch->bskh", f["m"], f["x"]) if "m" in f else f["x"]
    return [(mixed + f["g"][..., None] * f["y"][:, :, None]).astype(np.float32)]


def engram_gate(f, a):
    dot = (rms(f["k"], f["ks"]) * rms(f["q"], f["qs"])).sum(-1, keepdims=True) / np.sqrt(8)
    gate = 1 / (1 + np.exp(-np.sign(dot) * np.sqrt(np.maximum(abs(dot), 1e-6))))
    y = gate * f["v"][:, :, None]
    return [y.astype(np.float32), rms(y, f["cs"]).astype(np.float32)]


case("pre-mix", "HyperConnectionPreMix", dict(x="B S 3 4", g="B S 3"), attributes=dict(reduction_scale=0.5), sizes=BS, formula=pre_mix)
case("pre-mix-flat", "HyperConnectionPreMix", dict(x="B S 12", g="B S 12"), attributes=dict(num_branches=3), sizes=BS, formula=pre_mix)
case("post-mix", "HyperConnectionPostMix", dict(x="B S 3 4", y="B S 4", g="B S 3"), sizes=BS, formula=post_mix, outputs="z")
case("post-mix-matrix", "HyperConnectionPostMix", dict(x="B S 3 4", y="B S 4", g="B S 3", m="B S 3 3"), sizes=BS, formula=post_mix, outputs="z")
case("branch-norm", "BranchwiseRMSNorm", dict(x="B S 3 4", g="12"), sizes=BS, formula=lambda f, a: [rms(f["x"], f["g"].reshape(3, 4)).astype(np.float32)])
case(
    "branch-norm-flat", "BranchwiseRMSNorm", dict(x="B S 12"), attributes=dict(num_branches=3), sizes=BS,
    formula=lambda f, a: [rms(f["x"].reshape(*f["x"].shape[:2], 3, 4), 1).reshape(f["x"].shape).astype(np.float32)],
)
case(
    "engram-gate", "EngramGate", dict(k="B S 2 8", q="B S 2 8", v="B S 8", ks="2 8", qs="2 8", cs="2 8"), "y normed", sizes=BS,
    formula=engram_gate,
)
case("scaled-silu", "ScaledSiLU", dict(x="B S 8"), attributes=dict(alpha=1.5), sizes=BS, formula=lambda f, a: [(1.5 * f["x"] / (1 + np.exp(-1.5 * f["x"]))).astype(np.float32)])
case(
    "gated-rms-norm-sigmoid", "GatedRMSNorm", dict(x="B S 8", g=weight("8"), z="B S 8"), attributes=dict(activation="sigmoid"), sizes=BS,
    formula=lambda f, a: [(rms(f["x"], f["g"]) / (1 + np.exp(-f["z"]))).astype(np.float32)],
)


def dilated_causal(f, a):
    state = f["p"]
    everything = np.concatenate([state, f["x"]], 1)
    length, step = f["x"].shape[1], a["dilation"]
    y = sum(everything[:, k * step : k * step + length] * f["w"][:, 0, k] for k in range(3)) + f["b"]
    return [y.astype(np.float32), everything[:, length:]]


case(
    "causal-conv-dilated", "CausalConvWithState", dict(x="B S 6", w=weight("6 1 3"), b=weight("6"), p="B 4 6"), "y state",
    dict(dilation=2, channels_last=1), BS, formula=dilated_causal,
)

# Others that are rare

case("inverse", "Inverse", dict(x="B 5 5"), sizes=[dict(B=3)], tolerance=1e-3)
case("inverse-2d", "Inverse", dict(x=Input("3 3", "float64")), types=dict(y=11))
case("inverse-swaps", "Inverse", dict(x=Input("3 3", values=[0, 1, 0, 0, 0, 2, 4, 0, 1])))
for dtype in ("int32", "uint32", "int64", "float32", "float64"):
    real = dtype.startswith("f")
    given = Input("B S", dtype) if real else ints("B S", 0 if dtype.startswith("u") else -(2**31), 2**31 - 1, dtype)
    case(f"murmur-{dtype}", "MurmurHash3", dict(x=given), attributes=dict(seed=42), sizes=BS, types=dict(y=12))
case("murmur-signed", "MurmurHash3", dict(x=ints("B S", -(2**31), 2**31 - 1)), attributes=dict(positive=0), sizes=BS, types=dict(y=INT32))
case("murmur-known", "MurmurHash3", dict(x=ints("4", -(2**31), 2**31 - 1, constant=True)), types=dict(y=12))

def decoder_self(f):
    q, k, v = (part.reshape(len(f["x"]), 2, 1, 4) for part in np.split(f["x"] @ f["w"] + f["b"], 3, -1))
    k, v = (np.concatenate([past, new], 2) for past, new in zip(f["p"], (k, v)))
    y = softmax(q @ k.swapaxes(-1, -2) / 2) @ v
    return y.reshape(len(y), 1, 8), np.stack([k, v])


case(
    "decoder-masked-self", "DecoderMaskedSelfAttention",
    dict(x="B 1 8", w=weight("8 24"), b=weight("24"), m=None, p="2 B 2 P 4"), "y present", dict(num_heads=2), [dict(B=2, P=4)],
    formula=lambda f, a: [part.astype(np.float32) for part in decoder_self(f)],
)

# On trial before ONNX's first version

EXPERIMENTAL = dict(domain="", opset=8, sizes=[dict(B=2)])
case("affine", "Affine", dict(x="B 3 4 5"), attributes=dict(alpha=2.0, beta=-1.0), **EXPERIMENTAL)
case("parametric-softplus", "ParametricSoftplus", dict(x="B 3 4 5"), attributes=dict(alpha=2.0, beta=0.5), **EXPERIMENTAL)
case("scaled-tanh", "ScaledTanh", dict(x="B 3 4 5"), attributes=dict(alpha=2.0, beta=0.5), **EXPERIMENTAL)
case("scale", "Scale", dict(x="B 3 4 5"), attributes=dict(scale=2.5), formula=lambda f, a: [f["x"] * np.float32(2.5)], **EXPERIMENTAL)
case("image-scaler", "ImageScaler", dict(x="B 3 4 5"), attributes=dict(bias=[1.0, -2.0, 3.0], scale=0.5), **EXPERIMENTAL)
case("crop", "Crop", dict(x="B 3 6 7"), attributes=dict(border=[1, 2, 3, 1]), **EXPERIMENTAL)
case("crop-size", "Crop", dict(x="B 3 6 7"), attributes=dict(border=[1, 2, 0, 0], scale=[3, 4]), **EXPERIMENTAL)
case(
    "dynamic-slice", "DynamicSlice", dict(x="B 6 7", s=weight("2", dtype="int64", values=[1, 2]), e=weight("2", dtype="int64", values=[4, -1]), a=weight("2", dtype="int64", values=[1, 2])),
    **EXPERIMENTAL,
)
WORDS = Input("W 6", "int32", values=lambda W: np.array([[1, 2, 3, 4, 5, 6], [1, 2, 0, 0, 0, 0], [0, 2, 3, 0, 0, 0], [5, 0, 3, 4, 0, 0], [3, 0, 0, 0, 0, 0]])[:W])


def word_embedding(f, a):
    """As ONNX Runtime, which leaves what it gives for words of no characters to chance."""
    rows = []
    for word in f["s"]:
        length = max((word > 0).sum(), 3)
        characters = f["c"][word]
        windows = np.stack([characters[k : k + 3].ravel() for k in range(length - 2)])
        rows.append(np.tanh((windows @ f["w"].reshape(4, -1).T + f["b"]).max(0)) * (word[0] > 0))
    return [np.stack(rows).astype(np.float32)]


case("word-embedding", "WordConvEmbedding", dict(s=WORDS, w=weight("4 1 3 2"), b=weight("4"), c=weight("7 2")), sizes=[dict(W=5), dict(W=1)], formula=word_embedding)
TOKENS_BEFORE = Input("B S", "int64", values=lambda B, S: [[1, 2, 3, 1, 2, 4, 1, 2][:S], [0, 0, 0, 0, 0, 0, 0, 0][:S]][:B])
for runs in (1, 2, 3):
    case(f"ngram-repeat-block-{runs}", "NGramRepeatBlock", dict(t=TOKENS_BEFORE, x="B 6"), attributes=dict(ngram_size=runs), sizes=[dict(B=2, S=8), dict(B=1, S=3)])
ROWS_ALIKE = Input("B 8", "float16", values=lambda B: np.stack([np.zeros(8), np.ones(8), 300 * np.arange(8)])[:B])
for name, opset in (("LayerNormalization", 17), ("SimplifiedLayerNormalization", 17)):
    case(
        f"half-{name}", name, dict(x=ROWS_ALIKE, g=weight("8", dtype="float16", values=np.arange(8))), attributes=dict(epsilon=1e-12), sizes=[dict(B=3)],
        domain="", opset=opset, types=dict(y=10), tolerance=1e-3,
    )
