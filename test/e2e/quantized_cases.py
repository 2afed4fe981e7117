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
case("matmul-nbits-real-zeros", "MatMulNBits", dict(x="B S 32", w=bytes_of("5 2 8"), s=scales("5 2"), z=scales("5 2", 6, 9), g=None, bias=Input("5", constant=True)), attributes=dict(K=32, N=5, bits=4, block_size=16), sizes=BS, tolerance=1e-3)
for kind in (0, 1):
    case(f"matmul-bnb4-{kind}", "MatMulBnb4", dict(x="B S 32", w=bytes_of("80"), s=scales("10")), attributes=dict(K=32, N=5, block_size=16, quant_type=kind), sizes=BS)
ROWS = Input("B S", "int64", values=lambda B, S: np.arange(B * S) % 6 - 3)
case("gather-blocks", "GatherBlockQuantized", dict(d=bytes_of("6 16"), i=ROWS, s=scales("6 2"), z=bytes_of("6 1")), attributes=dict(block_size=16, quantize_axis=1), sizes=BS)
case("gather-blocks-8", "GatherBlockQuantized", dict(d=bytes_of("6 32"), i=ROWS, s=scales("6 2")), attributes=dict(block_size=16, bits=8, quantize_axis=1), sizes=BS)
