"""What fulgurc says about the most common failures: run_diagnostics.py [--record] [NAME...]

A message names the node and its operator where there is one, what is wrong, with the numbers, and what to do. diagnostics.txt holds
all of them, to be read as a whole; --record writes it anew.
"""

import argparse
import re
import sys
from pathlib import Path

import onnx
import onnx.parser
from onnx import TensorProto, helper

import toolchain

GOLDEN = Path(__file__).resolve().parent / "diagnostics.txt"


def text(body, inputs="float[2,3] x", outputs="float[a,b] y", opset=20, values=""):
    """A model in ONNX's text format."""
    return onnx.parser.parse_model(
        f"<ir_version: 9, opset_import: [\"\": {opset}]> m ({inputs}) => ({outputs}) {values and f'<{values}>'} {{ {body} }}"
    )


def changed(model, change):
    change(model)
    return model


def with_weights(**fields):
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], **fields)
    return changed(text("y = Add(x, w)", values="float[3] w = {1, 2, 3}"), lambda m: m.graph.initializer[0].CopyFrom(weights))


def external(location, **fields):
    def change(model):
        for key, value in {"location": location, **fields}.items():
            model.graph.initializer[0].external_data.add(key=key, value=str(value))

    return changed(with_weights(data_location=TensorProto.EXTERNAL), change)


def dim_of(model):
    return model.graph.input[0].type.tensor_type.shape.dim[0]


def recursive():
    call = helper.make_node("Again", ["x"], ["y"], "again", domain="local")
    opsets = [helper.make_opsetid("local", 1), helper.make_opsetid("", 20)]
    function = helper.make_function("local", "Again", ["x"], ["y"], [call], opsets)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    graph = helper.make_graph([call], "m", value[:1], value[1:])
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=[function])


RELU = text("y = Relu(x)")
SYMBOLIC = text("y = Relu(x)", "float[n, 3] x")

# Name -> a model or the bytes of a file, and further arguments of fulgurc.
CASES = {
    # Files
    "file-missing": (None,),
    "file-empty": (b"",),
    "file-is-a-web-page": (b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n",),
    "file-is-a-git-lfs-pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",),
    "file-is-a-pytorch-archive": (b"PK\3\4archive/data.pkl",),
    "file-truncated": (RELU.SerializeToString()[:-9],),
    "no-graph": (onnx.ModelProto(ir_version=9),),
    "no-opset": (onnx.ModelProto(ir_version=9, graph=RELU.graph),),
    "two-opsets": (changed(text("y = Relu(x)"), lambda m: m.opset_import.add(domain="ai.onnx", version=13)),),
    "future-opset": (text("y = Relu(x)", opset=99),),
    "future-ir-version": (changed(text("y = Relu(x)"), lambda m: setattr(m, "ir_version", 99)),),
    # Operators and types
    "unknown-operator": (text("y = Frobnicate(x)"),),
    "unknown-domain": (changed(text("y = Relu(x)"), lambda m: setattr(m.graph.node[0], "domain", "org.example")),),
    "operator-of-a-later-opset": (text("y = Gelu(x)", opset=13),),
    "operator-of-an-unimported-domain": (text("y = ai.onnx.ml.Normalizer(x)"),),
    "operator-unsupported": (text("y = ImageDecoder(x)", "uint8[n] x", "uint8[h,w,c] y"),),
    "too-many-dims": (text("y = Relu(x)", "float[1,1,1,1,1,1,1,1,1] x", "float y"),),
    "type-unsupported": (text("y = Identity(x)", "complex64[2] x", "complex64[2] y"),),
    # Graphs
    "cycle": (text("a = Add(x, b)\n b = Relu(a)\n y = Relu(b)"),),
    "undefined-input": (text("y = Add(x, nowhere)"),),
    "duplicate-name": (text("y = Relu(x)\n y = Neg(x)"),),
    "missing-output": (text("z = Relu(x)"),),
    "recursive-function": (recursive(),),
    "output-of-another-type": (text("y = Relu(x)", outputs="int64[a,b] y"),),
    # Attributes and operands
    "attribute-missing": (text("y = Cast(x)"),),
    "attribute-of-another-type": (text("y = Softmax<axis = 1.5>(x)"),),
    "attribute-unknown": (text("y = Relu<slope = 1.0>(x)"),),
    "attribute-out-of-range": (text("y = Softmax<axis = 7>(x)"),),
    "too-few-inputs": (text("y = Add(x)"),),
    "types-differ": (text("y = MatMul(x, i)", "float[2,3] x, int64[3,2] i"),),
    "permutation-wrong": (text("y = Transpose<perm = [0, 0]>(x)"),),
    # Shapes
    "matmul-shapes": (text("y = MatMul(x, x)"),),
    "broadcast-shapes": (text("y = Add(x, z)", "float[2,3] x, float[2,4] z"),),
    "gemm-shapes": (text("y = Gemm(x, z)", "float[2,3] x, float[4,2] z"),),
    "concat-shapes": (text("y = Concat<axis = 0>(x, z)", "float[2,3] x, float[2,4] z"),),
    "reshape-count": (text("y = Reshape(x, s)", values="int64[2] s = {4, 2}"),),
    "conv-channels": (text("y = Conv(x, z)", "float[1,3,8,8] x, float[4,2,3,3] z", "float[a,b,c,d] y"),),
    "index-out-of-range": (text("y = Gather(x, i)", values="int64[1] i = {9}"),),
    "no-shape": (changed(text("y = Relu(x)"), lambda m: m.graph.input[0].type.tensor_type.ClearField("shape")),),
    "negative-dim": (text("y = Pad(x, p)", values="int64[4] p = {-5, 0, 0, 0}"),),
    "negative-dim-of-an-input": (changed(text("y = Relu(x)"), lambda m: setattr(dim_of(m), "dim_value", -2)),),
    "too-large": (text("y = Relu(x)", "float[1099511627776,1099511627776] x"),),
    # Weights
    "weights-too-short": (with_weights(raw_data=b"1234"),),
    "weights-of-negative-size": (changed(with_weights(raw_data=b"1234"), lambda m: m.graph.initializer[0].dims.insert(0, -3)),),
    "external-missing": (external("weights.bin"),),
    "external-outside": (external("../weights.bin"),),
    "external-too-short": (external("data.bin", offset=8, length=12),),
    # The command line
    "dim-unknown": (SYMBOLIC, "--dim", "batch=2"),
    "dim-malformed": (SYMBOLIC, "--dim", "n"),
    "shape-of-another-rank": (SYMBOLIC, "--shape", "x:2x3x4"),
    "shape-against-the-model": (SYMBOLIC, "--shape", "x:2x4"),
    "cpu-unknown": (RELU, "--mcpu=z80"),
    "target-unknown": (RELU, "--target=vax-dec-vms"),
    "kind-unknown": (RELU, "--emit=dll"),
    "option-unknown": (RELU, "--fast"),
    "output-unwritable": (RELU, "-o", "model.onnx/m"),
    "linker-missing": (RELU, "--linker=no-such-linker"),
}


def said(name):
    """Exit code and message, without the places of this machine."""
    model, *arguments = CASES[name]
    with toolchain.scratch() as scratch:
        if model is not None:
            (Path(scratch) / "model.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        (Path(scratch) / "data.bin").write_bytes(bytes(16))
        output = [] if "-o" in arguments else ["-o", "out"]
        kind = [] if any(argument.startswith("--emit") for argument in arguments) else ["--emit=so"]
        ended = toolchain.call(toolchain.COMPILER, "model.onnx", *output, *kind, *arguments, cwd=scratch)
    lines = re.sub(re.escape(str(toolchain.BUILD)), "BUILD", ended.output).strip()
    return f"{name} (exit code {ended.code})\n    " + lines.replace("\n", "\n    ") + "\n"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--record", action="store_true")
    options.add_argument("names", nargs="*", default=list(CASES))
    options = options.parse_args()
    texts = [text for _, text in toolchain.in_parallel(said, options.names)]
    if options.record:
        GOLDEN.write_text("\n".join(texts), encoding="utf-8")
        return False
    expected = GOLDEN.read_text(encoding="utf-8").split("\n\n") if GOLDEN.exists() else []
    golden = {entry.split(" ", 1)[0]: entry.strip() for entry in expected}
    failures = 0
    for name, text in zip(options.names, texts):
        if text.strip() != golden.get(name):
            print(f"FAIL {text}  instead of\n{golden.get(name, 'nothing')}\n", flush=True)
            failures += 1
    print(f"{len(texts) - failures} of {len(texts)} messages as recorded")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
