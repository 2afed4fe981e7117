"""External data that reaches for what is not the model's: run_external.py [ATTACK...]

Each of these models must be refused, and the file that it reaches for must not be opened: strace watches, where it is installed.
Naming a file (O_PATH) is no opening: it reads nothing, and devices and pipes do not notice.
"""

import os
import re
import shutil
import sys
import threading
from pathlib import Path

import onnx
import onnx.parser
from onnx import TensorProto, helper

import toolchain

SECRET = b"SECRET" * 700
OPENED = re.compile(r"\bopen(?:at2?)?\((.*)\) = \d+<(.*?)>")
OPSETS = [helper.make_opsetid("", 20), helper.make_opsetid("local", 1)]


def tensor(location="../secret.bin", name="w", dims=(4,), **fields):
    """A tensor whose bytes are elsewhere."""
    proto = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, text in {"location": location, **fields}.items():
        proto.external_data.add(key=key, value=str(text))
    return proto


def model(nodes, initializers=(), sparse=(), functions=()):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    graph = helper.make_graph(nodes, "attack", value[:1], value[1:], list(initializers), sparse_initializer=list(sparse))
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=9, functions=list(functions))


ADD = helper.make_node("Add", ["x", "w"], ["y"], "add")


def initializer(location, **fields):
    return model([ADD], [tensor(location, **fields)])


def constant(**attribute):
    return helper.make_node("Constant", [], ["w"], "constant", **attribute)


def sparse():
    return helper.make_sparse_tensor(tensor(dims=[2]), helper.make_tensor("", TensorProto.INT64, [2], [1, 3]), [4])


def in_subgraph():
    condition = helper.make_node("Constant", [], ["c"], "condition", value=helper.make_tensor("", TensorProto.BOOL, [], [True]))
    result = helper.make_tensor_value_info("r", TensorProto.FLOAT, [4])
    branch = helper.make_graph([helper.make_node("Add", ["x", "w"], ["r"], "inner")], "branch", [], [result], [tensor()])
    choice = helper.make_node("If", ["c"], ["y"], "choice", then_branch=branch, else_branch=branch)
    return model([condition, choice])


def in_function():
    body = [constant(value=tensor(name="")), ADD]
    function = helper.make_function("local", "Secretive", ["x"], ["y"], body, OPSETS[:1])
    return model([helper.make_node("Secretive", ["x"], ["y"], "call", domain="local")], functions=[function])


def link(folder, secret):
    (folder / "w.bin").symlink_to(secret)


def link_above(folder, secret):
    (folder / "up").symlink_to("..")


def hard_link(folder, secret):
    os.link(secret, folder / "w.bin")


def fifo(folder, secret):
    os.mkfifo(folder / "w.bin")


def device(folder, secret):
    try:
        os.mknod(folder / "w.bin", 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
    except PermissionError:  # only root may make one
        (folder / "w.bin").symlink_to("/dev/zero")


def subfolder(folder, secret):
    (folder / "w.bin").mkdir()


# Name -> model, what prepares its folder, and the file that must not be opened (below the model's folder, or the secret one).
ATTACKS = {
    "parent": (initializer("../secret.bin"), None, None),
    "parent-inside": (initializer("inner/../../secret.bin"), None, None),
    "absolute": (None, None, None),
    "link": (initializer("w.bin"), link, None),
    "link-above": (initializer("up/secret.bin"), link_above, None),
    "hard-link": (initializer("w.bin"), hard_link, "w.bin"),
    "fifo": (initializer("w.bin"), fifo, "w.bin"),
    "device": (initializer("w.bin"), device, "w.bin"),
    "folder": (initializer("w.bin"), subfolder, "w.bin"),
    "overflow": (initializer("data.bin", offset=(1 << 64) - 8, length=16), None, None),
    "past-end": (initializer("data.bin", offset=1 << 40, length=16), None, None),
    "huge-length": (initializer("data.bin", offset=0, length=1 << 62), None, None),
    "sparse-initializer": (model([ADD], sparse=[sparse()]), None, None),
    "sparse-constant": (model([constant(sparse_value=sparse()), ADD]), None, None),
    "subgraph": (in_subgraph(), None, None),
    "function": (in_function(), None, None),
    "attribute": (model([constant(value=tensor(name="")), ADD]), None, None),
    "swap": (initializer("w.bin"), None, None),
}


def swap_forever(folder, secret, stop):
    """Now it is a file of the model's, now a link to another: whoever checks first and opens later follows it."""
    good, bad, place = folder / "good", folder / "bad", folder / "w.bin"
    while not stop.is_set():
        good.write_bytes(bytes(16))
        os.replace(good, place)
        bad.symlink_to(secret)
        os.replace(bad, place)


def opened(log):
    """The files that strace saw being opened for reading."""
    for line in log.read_text(errors="replace").splitlines():
        found = OPENED.search(line)
        if found and "O_PATH" not in found[1]:
            yield found[2].split("<")[0]


def compile_watched(folder, strace):
    watch = [strace, "-f", "-y", "-e", "trace=open,openat,openat2", "-o", folder / "opened"] if strace else []
    ended = toolchain.call(*watch, toolchain.COMPILER, folder / "model" / "model.onnx", "-o", folder / "out" / "m", "--emit=obj")
    return ended, set(opened(folder / "opened")) if strace else set()


def check(name, strace):
    """None, or what went wrong."""
    attack, prepare, target = ATTACKS[name]
    with toolchain.scratch() as scratch:
        folder = Path(scratch).resolve()
        secret, place = folder / "secret.bin", folder / "model"
        secret.write_bytes(SECRET)
        (place / "inner").mkdir(parents=True)
        (folder / "out").mkdir()
        (place / "data.bin").write_bytes(bytes(4096))
        if prepare:
            prepare(place, secret)
        onnx.save(attack or initializer(str(secret)), place / "model.onnx")
        forbidden = {str(secret), "/dev/zero", str(place / target) if target else str(secret)}
        if name == "swap":
            return check_swap(folder, secret, strace)
        ended, seen = compile_watched(folder, strace)
        if strace and str(place / "model.onnx") not in seen:
            return "strace did not even see the model being opened"
        if ended.code != 1 or "error:" not in ended.output:
            return f"ended with {ended.reason()}"
        if not any(word in ended.output for word in ("external data", "data of")):
            return f"is refused for another reason: {ended.reason()}"
        return f"opened {seen & forbidden}" if seen & forbidden else None


def check_swap(folder, secret, strace):
    """It compiles when it met the good file; the other one never gets in."""
    stop = threading.Event()
    swapper = threading.Thread(target=swap_forever, args=(folder / "model", secret, stop))
    swapper.start()
    try:
        for _ in range(20):
            ended, seen = compile_watched(folder, strace)
            if ended.code not in (0, 1):
                return f"ended with {ended.reason()}"
            if str(secret) in seen or ended.code == 0 and SECRET[:16] in (folder / "out" / "m.o").read_bytes():
                return "followed the link"
    finally:
        stop.set()
        swapper.join()
    return None


def main(names):
    strace = shutil.which("strace")
    failures = 0
    chosen = names or list(ATTACKS)
    for name in chosen:
        wrong = check(name, strace)
        if wrong:
            print(f"FAIL {name}: {wrong}", flush=True)
            failures += 1
    watched = "" if strace else "; strace is not installed, so nobody watched what is opened"
    print(f"{len(chosen) - failures} of {len(chosen)} attacks refused{watched}")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
