"""Models that are broken or hostile: run_hostile.py [MUTANTS]

fulgurc must end by itself, soon, within 4 GiB, with exit code 1, 3 or 5 and one line "error: ...", and leave no output file. A
mutant whose damage happens to be harmless may compile.
"""

import random
import re
import resource
import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper

import mutate
import toolchain

REFUSED = {1, 3, 5}  # model or compile error, unsupported, resource limit
SECONDS, BYTES = 60, 4 << 30


def value(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def model(nodes, inputs, outputs, initializers=(), opset=20, **fields):
    graph = helper.make_graph(nodes, "hostile", inputs, outputs, list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9, **fields)


def sound():
    """The model that the mutants are made from."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 4], [0.25 * i for i in range(16)])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"], "matmul"),
        helper.make_node("Relu", ["product"], ["positive"], "relu"),
        helper.make_node("Softmax", ["positive"], ["y"], "softmax", axis=-1),
    ]
    return model(nodes, [value("x", ["n", 4])], [value("y", ["n", 4])], [weights])


def external(location, **fields):
    """A model with one initializer whose bytes are elsewhere."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, text in {"location": location, **fields}.items():
        tensor.external_data.add(key=key, value=str(text))
    return model([helper.make_node("Add", ["x", "w"], ["y"], "add")], [value("x", [4])], [value("y", [4])], [tensor])


def hand_made():
    """Name -> bytes of models that are wrong on purpose."""
    x, y = value("x", [4]), value("y", [4])

    def one(*nodes, **fields):
        return model([helper.make_node(*node[:3], f"node{i}", **dict(node[3:])) for i, node in enumerate(nodes)], [x], [y], **fields)

    huge = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40, 1 << 40])
    short = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 20], raw_data=b"1234")
    negative = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-4], raw_data=b"1234")
    add = helper.make_node("Add", ["x", "w"], ["y"], "add")
    deep = [helper.make_node("Identity", [f"v{i}"], [f"v{i + 1}"], f"id{i}") for i in range(20000)]
    models = {
        "cycle": one(("Add", ["x", "b"], ["a"]), ("Relu", ["a"], ["b"]), ("Relu", ["b"], ["y"])),
        "self-cycle": one(("Add", ["x", "y"], ["y"])),
        "undefined-input": one(("Add", ["x", "nowhere"], ["y"])),
        "unknown-operator": one(("Frobnicate", ["x"], ["y"])),
        "unknown-domain": one(("Relu", ["x"], ["y"], ("domain", "org.example.unknown"))),
        "wrong-type": model([helper.make_node("MatMul", ["x", "i"], ["y"], "matmul")], [x, value("i", [4], TensorProto.INT64)], [y]),
        "wrong-output-type": model([helper.make_node("Relu", ["x"], ["y"], "relu")], [x], [value("y", [4], TensorProto.INT64)]),
        "wrong-shape": model([helper.make_node("MatMul", ["x", "z"], ["y"], "mm")], [x, value("z", [5])], [value("y", [])]),
        "bad-axis": one(("Softmax", ["x"], ["y"], ("axis", 7))),
        "missing-output": one(("Relu", ["x"], ["z"])),
        "duplicate-output": one(("Relu", ["x"], ["y"]), ("Neg", ["x"], ["y"])),
        "future-opset": one(("Relu", ["x"], ["y"]), opset=999),
        "ancient-opset": one(("Relu", ["x"], ["y"]), opset=0),
        "no-opset": onnx.ModelProto(ir_version=9, graph=sound().graph),
        "no-graph": onnx.ModelProto(ir_version=9),
        "huge-initializer": model([add], [x], [y], [huge]),
        "short-initializer": model([add], [value("x", [1 << 20])], [value("y", [1 << 20])], [short]),
        "negative-dim": model([add], [x], [y], [negative]),
        "huge-input": model([helper.make_node("Relu", ["x"], ["y"], "relu")], [value("x", [1 << 62, 1 << 62])], [value("y", [1 << 62, 1 << 62])]),
        "string-relu": model([helper.make_node("Relu", ["x"], ["y"], "relu")], [value("x", [4], TensorProto.STRING)], [value("y", [4], TensorProto.STRING)]),
        "bad-reshape": model([helper.make_node("Reshape", ["x", "s"], ["y"], "reshape")], [x], [value("y", [3])], [helper.make_tensor("s", TensorProto.INT64, [1], [3])]),
        "huge-pad": model([helper.make_node("Pad", ["x", "p"], ["y"], "pad")], [x], [value("y", [None])], [helper.make_tensor("p", TensorProto.INT64, [2], [1 << 60, 1 << 60])]),
        "huge-constant": model([helper.make_node("ConstantOfShape", ["s"], ["c"], "fill"), helper.make_node("Add", ["x", "c"], ["y"], "add")], [value("x", [1])], [value("y", [1 << 30, 1 << 30])], [helper.make_tensor("s", TensorProto.INT64, [2], [1 << 30, 1 << 30])]),
        "deep-chain": model(deep + [helper.make_node("ImageDecoder", ["v20000"], ["y"], "decode")], [value("v0", [4], TensorProto.UINT8)], [value("y", [None, None, 3], TensorProto.UINT8)]),
        "external-absolute": external("/etc/passwd"),
        "external-parent": external("../secret.bin"),
        "external-inner-parent": external("folder/../../secret.bin"),
        "external-missing": external("absent.bin"),
        "external-link": external("link.bin"),
        "external-short": external("data.bin", offset=0, length=1 << 20),
        "external-past-end": external("data.bin", offset=1 << 40, length=16),
        "external-negative": external("data.bin", offset=-16, length=16),
        "external-overflow": external("data.bin", offset=(1 << 64) - 8, length=16),
        "external-folder": external("."),
    }
    files = {name: made.SerializeToString() for name, made in models.items()}
    whole = sound().SerializeToString()
    files |= {"empty": b"", "text": b"this is not a model\n", "zeros": bytes(4096), "tail": whole + b"\xff" * 64}
    files |= {f"truncated-{share}": whole[: len(whole) * share // 8] for share in range(1, 8)}
    return files


def mutants(count):
    """A sound model with damaged bytes. The damage may be harmless."""
    whole = sound().SerializeToString()
    source = random.Random(11)
    for index in range(count):
        yield f"mutant-{index}", mutate.damaged(source, whole)


def limit():
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def check(item):
    """None, or what is wrong with the way fulgurc took this file."""
    name, data = item
    with toolchain.scratch() as scratch:
        folder = Path(scratch)
        (folder / "model").mkdir()
        (folder / "model" / "model.onnx").write_bytes(data)
        (folder / "secret.bin").write_bytes(bytes(16))
        (folder / "model" / "data.bin").write_bytes(bytes(16))
        (folder / "model" / "link.bin").symlink_to(folder / "secret.bin")
        (folder / "out").mkdir()
        ended = toolchain.compile_model(folder / "model" / "model.onnx", folder / "out" / "m", timeout=SECONDS, preexec_fn=limit)
        left = sorted(path.name for path in (folder / "out").iterdir())
        if ended.code == 0:
            return None if name.startswith("mutant-") else "compiled, although it is broken"
        if ended.code not in REFUSED:
            return ended.reason()
        if len(re.findall(r"\berror:", ended.output)) != 1:
            return f"has no single line 'error:' but {ended.output[:500]!r}"
        return f"left {' '.join(left)}" if left else None


def main(count):
    files = [*hand_made().items(), *mutants(count)]
    failures = 0
    for (name, _), wrong in toolchain.in_parallel(check, files):
        if wrong:
            print(f"FAIL {name}: {wrong}", flush=True)
            failures += 1
    print(f"{len(files) - failures} of {len(files)} hostile models taken as they should be")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
