"""The cases of run_microsoft.py that have to do with quantized tensors."""

import numpy as np

from microsoft_cases import CASES, Input, case

U8, I8 = 2, 3
BS = [dict(B=2, S=3), dict(B=1, S=7)]


def byte(shape, signed=False):
    """Any numbers of a byte."""
    return Input(shape, "int8", -128, 127) if signed else Input(shape, "uint8", 0, 255)


def bytes_of(shape, signed=False):
    """Weights. Signed ones have 7 bits: with 8, ONNX Runtime's products saturate on processors without VNNI."""
    return Input(shape, "int8" if signed else "uint8", -64 if signed else 0, 63 if signed else 255, constant=True)


def number(value, dtype="float32", shape=""):
    return Input(shape, dtype, values=value, constant=True)


def scales(shape, low=0.01, high=0.1):
    return Input(shape, low=low, high=high, constant=True)


def zero(value, signed=False):
    return number(value, "int8" if signed else "uint8")


X = dict(x=byte("B S 8"), s=number(0.0487), z=zero(120))
Y = dict(ys=number(0.0413), yz=zero(100))
SX = dict(x=byte("B S 8", True), s=number(0.0487), z=zero(-12, True))
SY = dict(ys=number(0.0413), yz=zero(7, True))
for name, given, result, kind in [("u8", X, Y, U8), ("i8", SX, SY, I8)]:
    second = dict(b=byte("S 8", name == "i8"), bs=number(0.0213), bz=zero(3, name == "i8"))
    for op in ("QLinearAdd", "QLinearMul"):
        case(f"{op}-{name}", op, {**given, **second, **result}, sizes=BS, types=dict(y=kind))
    case(f"qlinear-leaky-relu-{name}", "QLinearLeakyRelu", {**given, **result}, attributes=dict(alpha=0.2), sizes=BS, types=dict(y=kind))
    case(f"qlinear-sigmoid-{name}", "QLinearSigmoid", {**given, "ys": number(1 / 256), "yz": result["yz"]}, sizes=BS, types=dict(y=kind))
    case(f"qlinear-concat-{name}", "QLinearConcat", {**result, **given, **{**second, "b": byte("B S 3", name == "i8")}}, attributes=dict(axis=2), sizes=BS, types=dict(y=kind))
    case(f"qlinear-global-pool-{name}", "QLinearGlobalAveragePool", {**given, "x": byte("B 4 5 S", name == "i8"), **result}, sizes=BS, types=dict(y=kind))
    case(
        f"qlinear-average-pool-{name}", "QLinearAveragePool", {**given, "x": byte("B 4 6 S", name == "i8"), **result},
        attributes=dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 1]), sizes=BS, types=dict(y=kind),
    )
case(
    "qlinear-average-pool-nhwc", "QLinearAveragePool", {**X, "x": byte("B 6 S 4"), **Y},
    attributes=dict(kernel_shape=[2, 2], channels_last=1), sizes=[dict(B=2, S=3)], types=dict(y=U8),
)
case("qlinear-global-pool-nhwc", "QLinearGlobalAveragePool", {**X, "x": byte("B 5 S 4"), **Y}, attributes=dict(channels_last=1), sizes=BS, types=dict(y=U8))
case(
    "qlinear-where", "QLinearWhere",
    dict(c=Input("B S 8", "bool", values=lambda B, S: np.arange(B * S * 8) % 3 == 0), x=byte("B S 8"), s=number(0.0487), z=zero(120), b=byte("S 8"), bs=number(0.0213), bz=zero(3), **Y),
    sizes=BS, types=dict(y=U8),
)
case(
    "qlinear-reduce-mean", "QLinearReduceMean", {**X, **Y}, attributes=dict(axes=[-1], keepdims=0), sizes=BS, types=dict(y=U8),
    formula=lambda f, a: [np.clip(np.rint(((f["x"].astype(np.float32) - 120) * np.float32(0.0487)).mean(-1) / np.float32(0.0413)) + 100, 0, 255).astype(np.uint8)],
)
case("ms-quantize", "QuantizeLinear", dict(x="B S 8", s=number(0.0213), z=zero(7, True)), sizes=BS, types=dict(y=I8))
case("ms-quantize-axis", "QuantizeLinear", dict(x="B S 4", s=scales("4"), z=number([1, 2, 3, 4], "uint8", "4")), attributes=dict(axis=2), sizes=BS, types=dict(y=U8))
case("ms-quantize-16", "QuantizeLinear", dict(x="B S 4", s=number(0.0001), z=number(30000, "uint16")), sizes=BS, types=dict(y=4))
case("ms-dequantize", "DequantizeLinear", dict(x=byte("B S 8"), s=number(0.0213), z=zero(7)), sizes=BS)
case("ms-dequantize-16", "DequantizeLinear", dict(x=Input("B S 8", "int16", -3000, 3000), s=number(0.0213), z=number(7, "int16")), sizes=BS)

# Products

W = bytes_of("8 5", True)
case("matmul-integer-to-float", "MatMulIntegerToFloat", dict(x=byte("B S 8"), w=W, a=number(0.0311), b=scales("5"), az=zero(110), bz=number([0] * 5, "int8", "5"), bias=Input("5", constant=True)), sizes=BS)
case("matmul-integer-to-float-plain", "MatMulIntegerToFloat", dict(x=byte("B S 8"), w=bytes_of("8 5"), a=number(0.0311), b=number(0.01), az=zero(110), bz=zero(140)), sizes=BS)
case("dynamic-matmul", "DynamicQuantizeMatMul", dict(x="B S 8", w=W, b=number(0.0213), bz=zero(3, True), bias=Input("5", constant=True)), sizes=BS)
case("dynamic-matmul-columns", "DynamicQuantizeMatMul", dict(x="B S 8", w=W, b=scales("5")), sizes=BS)
for transposed in (0, 1):
    shape, count = ("5 8", 5) if transposed else ("8 5", 5)
    GEMM = dict(x=byte("B 8"), s=number(0.0311), z=zero(110), w=bytes_of(shape, True), ws=scales("5"), wz=number([0] * 5, "int8", "5"), c=Input("5", "int32", -500, 500, constant=True))
    case(f"qgemm-{transposed}", "QGemm", {**GEMM, **Y}, attributes=dict(transB=transposed), sizes=[dict(B=3)], types=dict(y=U8))
    case(f"qgemm-float-{transposed}", "QGemm", GEMM, attributes=dict(transB=transposed, alpha=0.5), sizes=[dict(B=3)])
CONV = dict(x=byte("B 4 7 S"), s=number(0.0311), z=zero(110), w=bytes_of("6 4 3 3", True), ws=scales("6"), wz=number([0] * 6, "int8", "6"), ys=number(0.5), yz=zero(90))
case("qlinear-conv", "QLinearConv", {**CONV, "b": Input("6", "int32", -500, 500, constant=True)}, attributes=dict(pads=[1, 1, 1, 1], strides=[2, 1]), sizes=[dict(B=2, S=5)], types=dict(y=U8), domain="")
case("qlinear-conv-nhwc", "QLinearConv", {**CONV, "x": byte("B 7 S 4")}, attributes=dict(channels_last=1, pads=[1, 1, 1, 1]), sizes=[dict(B=2, S=5)], types=dict(y=U8))
MANY = dict(x=byte("B 240 14 S"), s=number(0.0311), z=zero(110), w=bytes_of("32 240 3 3", True), ws=scales("32"), wz=number([0] * 32, "int8", "32"), ys=number(3.0), yz=zero(90))
case("qlinear-conv-many-channels", "QLinearConv", MANY, attributes=dict(pads=[1, 1, 1, 1]), sizes=[dict(B=2, S=15)], types=dict(y=U8), domain="")
case(
    "qattention", "QAttention",
    dict(x=byte("B S 8"), w=bytes_of("8 24", True), bias=Input("24", constant=True), a=number(0.01), b=number(0.0213), m=Input("B", "int32", values=lambda B, S: [S - 1] * B), az=zero(110), bz=zero(3, True)),
    attributes=dict(num_heads=2), sizes=BS, tolerance=1e-3,
)

# Blocks of few bits

for bits in (4, 8):
    for block, inner in ((16, 32), (32, 40)):
        blocks, size = -(-inner // block), block * bits // 8
        given = dict(x=f"B S {inner}", w=bytes_of(f"5 {blocks} {size}"), s=scales(f"5 {blocks}"))
        shape = dict(K=inner, N=5, bits=bits, block_size=block)
        case(f"matmul-nbits-{bits}-{block}", "MatMulNBits", given, attributes=shape, sizes=BS, tolerance=1e-3)
        case(f"matmul-nbits-{bits}-{block}-zeros", "MatMulNBits", {**given, "z": bytes_of(f"5 {-(-blocks * bits // 8)}")}, attributes=shape, sizes=BS, tolerance=1e-3)

def rounded_product(f, a):
    """Rows as bytes with a scale for each block, times the weights."""
    x = f["x"].reshape(*f["x"].shape[:-1], -1, a["block_size"]).astype(np.float32)
    greatest = np.abs(x).max(-1, keepdims=True)
    rows = np.rint(x * (np.float32(127) / greatest)) * (greatest / np.float32(127))
    bits = a["bits"]
    codes = np.stack([f["w"] >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)], -1).reshape(a["N"], -1, a["block_size"])
    weights = (codes.astype(np.float32) - (1 << bits - 1)) * f["s"][..., None]
    return [np.einsum("bsgk,ngk->bsn", rows, weights)]


for bits in (4, 8):
    case(
        f"matmul-nbits-{bits}-bytes", "MatMulNBits", dict(x="B S 64", w=bytes_of(f"5 2 {4 * bits}"), s=scales("5 2")),
        attributes=dict(K=64, N=5, bits=bits, block_size=32, accuracy_level=4), sizes=BS, formula=rounded_product,
    )
case("matmul-nbits-real-zeros", "MatMulNBits", dict(x="B S 32", w=bytes_of("5 2 8"), s=scales("5 2"), z=scales("5 2", 6, 9), g=None, bias=Input("5", constant=True)), attributes=dict(K=32, N=5, bits=4, block_size=16), sizes=BS, tolerance=1e-3)
for kind in (0, 1):
    case(f"matmul-bnb4-{kind}", "MatMulBnb4", dict(x="B S 32", w=bytes_of("80"), s=scales("10")), attributes=dict(K=32, N=5, block_size=16, quant_type=kind), sizes=BS)
ROWS = Input("B S", "int64", values=lambda B, S: np.arange(B * S) % 6 - 3)
case("gather-blocks", "GatherBlockQuantized", dict(d=bytes_of("6 16"), i=ROWS, s=scales("6 2"), z=bytes_of("6 1")), attributes=dict(block_size=16, quantize_axis=1), sizes=BS)
case("gather-blocks-8", "GatherBlockQuantized", dict(d=bytes_of("6 32"), i=ROWS, s=scales("6 2")), attributes=dict(block_size=16, bits=8, quantize_axis=1), sizes=BS)
case("matmul-integer-16", "MatMulInteger16", dict(x=Input("B S 8", "int16", -3000, 3000), w=Input("8 5", "int16", -3000, 3000)), sizes=BS, types=dict(y=6))
case(
    "mul-integer", "MulInteger", dict(x=byte("B S 8"), z=zero(120), b=byte("S 8", True), bz=None), sizes=BS,
    formula=lambda f, a: [(f["x"].astype(np.int32) - 120) * f["b"].astype(np.int32)],
)
case(
    "reduce-sum-integer", "ReduceSumInteger", dict(x=byte("B S 8")), attributes=dict(axes=[-1], keepdims=0), sizes=BS,
    formula=lambda f, a: [f["x"].sum(-1, dtype=np.uint32)],
)


def gemm_float8(f, a):
    y = np.float32(0.5) * f["x"].astype(np.float32) @ f["w"].astype(np.float32).T * f["sa"] * f["sb"] + f["c"]
    return [np.maximum(y, 0).astype(np.float32)]


F8 = "float8_e4m3fn"
case(
    "gemm-float8", "GemmFloat8",
    dict(x=Input("B 8", F8), w=Input("5 8", F8), c="5", sa=number(0.5), sb=number(2.0)),
    attributes=dict(transB=1, alpha=0.5, beta=1.0, activation="RELU", dtype=1), sizes=[dict(B=3)], formula=gemm_float8,
)

# Layers and embeddings

def lstm(f, a):
    """With the weights as numbers; the states stay what they are."""
    weights = {}
    for k in ("w", "r"):
        scale, zero = (f[k + p].reshape(len(f[k]), 1, -1).astype(np.float32) for p in ("s", "z"))
        weights[k] = (f[k].astype(np.float32) - zero) * scale
    states, lasts, cells = [], [], []
    for d in range(len(f["w"])):
        back = a["direction"] == "reverse" or d == 1
        h, c, rows = f["h"][d], np.zeros_like(f["h"][d]), []
        for x in f["x"][::-1] if back else f["x"]:
            gates = x @ weights["w"][d] + h @ weights["r"][d] + f["b"][d].reshape(2, 24).sum(0)
            i, o, g, new = np.split(gates, 4, -1)
            i, o, g = (1 / (1 + np.exp(-gate)) for gate in (i, o, g))
            c = g * c + i * np.tanh(new)
            h = o * np.tanh(c)
            rows.append(h)
        states.append(np.stack(rows[::-1] if back else rows))
        lasts.append(h)
        cells.append(c)
    return [np.stack(states, 1).astype(np.float32), np.stack(lasts).astype(np.float32), np.stack(cells).astype(np.float32)]


for signed in (False, True):
    kind = "int8" if signed else "uint8"
    for channels in (False, True):
        for direction, count in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
            parameters = f"{count} 24" if channels else f"{count}"
            zeros = Input(parameters, kind, 0, 9, constant=True)
            LSTM = dict(
                x=Input("S B 5", low=-1, high=1), w=bytes_of(f"{count} 5 24", signed), r=bytes_of(f"{count} 6 24", signed),
                b=Input(f"{count} 48", low=-0.3, high=0.3, constant=True), n=None, h=f"{count} B 6", c=None, p=None,
                ws=scales(parameters, 0.004, 0.006), wz=zeros, rs=scales(parameters, 0.004, 0.006), rz=zeros,
            )
            case(
                f"dynamic-lstm-{kind}-{'channels' if channels else 'all'}-{direction}", "DynamicQuantizeLSTM", LSTM, "y h2 c2",
                dict(hidden_size=6, direction=direction), BS, formula=lstm,
            )
EMBED = dict(
    ids=Input("B S", "int32", 0, 19), seg=Input("B S", "int32", 0, 1), word=bytes_of("20 8"), pos=bytes_of("16 8"), segt=bytes_of("2 8"), g=bytes_of("8"), b=bytes_of("8"), mask=Input("B S", "int32", 0, 1),
    ws=number(0.01), ps=number(0.02), ss=number(0.03), gs=number(0.04), bs=number(0.05), wz=zero(120), pz=zero(110), sz=zero(100), gz=zero(90), bz=zero(80),
)
case("q-embed-layer-norm", "QEmbedLayerNormalization", EMBED, "y index", sizes=BS, types=dict(index=6))
case(
    "q-embed-layer-norm-words", "QEmbedLayerNormalization", {**EMBED, "seg": None, "segt": None, "ss": None, "sz": None, "mask": None},
    "y index", sizes=BS, types=dict(index=6),
)

# Experts and fused projections


def expert_weights(bits, block, zeros):
    """Three quantized layers of 4 experts, as inputs."""
    result = {}
    for layer, rows, columns in ((1, 24, 32), (2, 32, 24 if block == 0 else 32)):
        rows = 32 if block and layer == 1 else rows
        blocks = (columns // block,) if block else ()
        result[layer] = dict(
            w=bytes_of(f"4 {rows} {columns * bits // 8}"), s=scales(" ".join(map(str, (4, rows, *blocks)))),
            z=(bytes_of(f"4 {rows} {-(-blocks[0] * bits // 8)}") if block else bytes_of(f"4 {-(-rows * bits // 8)}")) if zeros else None, b=Input(f"4 {rows}", constant=True),
        )
    return result


TOKENS = [dict(B=2, S=3, T=6), dict(B=1, S=1, T=1)]
for bits in (2, 4, 8):
    for block in (0, 16):
        for zeros in (False, True):
            one, two = expert_weights(bits, block, zeros).values()
            given = dict(x="B S 32", r="T 4", w1=one["w"], s1=one["s"], b1=one["b"], w2=two["w"], s2=two["s"], b2=two["b"])
            given |= dict(w3=None, s3=None, b3=None, z1=one["z"], z2=two["z"]) if zeros else {}
            attributes = dict(k=2, expert_weight_bits=bits, activation_type="silu", normalize_routing_weights=1) | (dict(block_size=block) if block else {})
            # ONNX Runtime rounds the operands of products with blocks of 8 bits.
            case(f"qmoe-{bits}-{block}-{'zeros' if zeros else 'symmetric'}", "QMoE", given, attributes=attributes, sizes=TOKENS, tolerance=2e-2 if bits == 8 and block else 2e-3)


def blocks_as_numbers(packed, scale):
    codes = np.stack([packed & 15, packed >> 4], -1).reshape(*scale.shape, 16).astype(np.float32) - 8
    return (codes * scale[..., None]).reshape(len(scale), -1)


def normalised_sum(f):
    total = f["x"] + f["skip"] if "skip" in f else f["x"]
    return (total / np.sqrt((total**2).mean(-1, keepdims=True) + 1e-5) * f["g"] if "g" in f else total), total


def silu(x):
    return x / (1 + np.exp(-x))


def fused_mlp(f, a):
    x, total = normalised_sum(f)
    gate, up = (x @ blocks_as_numbers(f[k], f[k + "s"]).T for k in ("u", "v"))
    y = (silu(gate + f["ub"]) * up).astype(np.float32)
    return [y, total] if "skip" in f else [y]


def fused_qkv(f, a):
    x, total = normalised_sum(f)
    return [(x @ blocks_as_numbers(f[k], f[k + "s"]).T).astype(np.float32) for k in ("q", "k", "v")] + [total]


def packed_rows(name, rows):
    return {name: bytes_of(f"{rows} 2 8"), name + "s": scales(f"{rows} 2")}


MLP = dict(**packed_rows("u", 5), ub=Input("5", constant=True), **packed_rows("v", 5))
case("matmul-nbits-mlp", "MatMulNBitsMlp", dict(x="B S 32", skip=None, g=None, **MLP), attributes=dict(K=32, N=5, block_size=16, activation="silu"), sizes=BS, formula=fused_mlp)
case(
    "matmul-nbits-mlp-norm", "MatMulNBitsMlp", dict(x="B S 32", skip="B S 32", g="32", **MLP), "y sum",
    dict(K=32, N=5, block_size=16, activation="silu", epsilon=1e-5), BS, formula=fused_mlp,
)
case(
    "matmul-nbits-qkv", "MatMulNBitsQkv",
    dict(x="B S 32", skip="B S 32", g="32", **packed_rows("q", 6), qb=None, **packed_rows("k", 4), kb=None, **packed_rows("v", 4)), "yq yk yv sum",
    dict(K=32, Nq=6, Nkv=4, block_size=16, epsilon=1e-5), BS, formula=fused_qkv,
)
FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def fp4_product(f, a):
    codes = np.stack([f["w"] & 15, f["w"] >> 4], -1).reshape(5, 32)
    scale = f["s"].view("float8_e4m3fn").astype(np.float32).repeat(16, 1) * f["s2"]
    return [(f["x"].astype(np.float32) @ (FP4[codes] * scale).T + f["b"].astype(np.float32)).astype(np.float16)]


def fp8_product(f, a):
    w = f["w"].astype(np.float32) * f["s"].repeat(16, 1)[:, :40]
    return [(f["x"].astype(np.float32) @ w.T).astype(np.float16)]


case(
    "matmul-fp4-weight", "MatMulBlockQuantizedFp4Weight",
    dict(x=Input("B S 32", "float16"), w=bytes_of("5 16"), s=Input("5 2", "uint8", 48, 64, constant=True), s2=number(0.5), i=None, b=Input("5", "float16")),
    sizes=BS, formula=fp4_product, tolerance=2e-3,
)
case(
    "matmul-fp8-weight", "MatMulBlockQuantizedFp8Weight",
    dict(x=Input("B S 40", "float16"), w=Input("5 40", F8, constant=True), s=scales("5 3")), attributes=dict(block_size=16), sizes=BS, formula=fp8_product, tolerance=2e-3,
)


# GroupQueryAttention, whose cache has bytes, or two numbers of 4 bits in each

def cached(name, kind, bits=8, size=16, scale_shape="1", sizes=None, past="8", lengths=(6, 3), new=1, total=7, constant=True, **attributes):
    width, batch = size * bits // 8, "B" if sizes else "1"
    cache = Input(f"{batch} 2 {past} {width}", "int8", -127, 127) if bits == 8 else Input(f"{batch} 2 {past} {width}", "uint8", 0, 255)
    scale = Input(scale_shape, low=0.005, high=0.03, constant=constant) if bits == 8 else Input(scale_shape, low=0.1, high=0.4, constant=constant)
    case(
        name, "GroupQueryAttention",
        dict(q=f"{batch} {new} {4 * size}", k=f"{batch} {new} {2 * size}", v=f"{batch} {new} {2 * size}", pk=cache, pv=cache,
             n=Input(batch, "int32", values=(lambda B=1: list(lengths)[:B])), t=Input("1", "int32", values=total, constant=True),
             cos=Input(f"16 {size // 2}", low=-1, high=1, constant=True), sin=Input(f"16 {size // 2}", low=-1, high=1, constant=True),
             p=None, bias=None, sink=None, ks=scale, vs=scale),
        "y pk2 pv2",
        dict(num_heads=4, kv_num_heads=2, do_rotary=1, k_quant_type=kind, v_quant_type=kind, kv_cache_bit_width=bits, **attributes), sizes,
        types=dict(pk2=I8 if bits == 8 else U8, pv2=I8 if bits == 8 else U8),
    )


cached("gqa-int8", "PER_TENSOR", sizes=[dict(B=1), dict(B=2)])
cached("gqa-int8-channels", "PER_CHANNEL", scale_shape="1 2 1 16", sizes=[dict(B=1), dict(B=2)])
cached("gqa-int8-input", "PER_CHANNEL", scale_shape="1 2 1 64", size=64, constant=False)
cached("gqa-int8-prompt", "PER_CHANNEL", scale_shape="1 2 1 64", size=64, past="0", lengths=(9,), new=10, total=10)
cached("gqa-int8-window", "PER_TENSOR", size=32, local_window_size=3, softcap=5.0, constant=False)
cached("gqa-int4", "PER_TENSOR", bits=4, sizes=[dict(B=1), dict(B=2)])
cached("gqa-int4-channels", "PER_CHANNEL", bits=4, scale_shape="1 2 1 16", sizes=[dict(B=1), dict(B=2)])
cached("gqa-int4-prompt", "PER_CHANNEL", bits=4, scale_shape="1 2 1 16", past="0", lengths=(9,), new=10, total=10)
