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
