# Every file here with a RUN line is a test. ctest runs these folder by folder; by hand: FULGUR_BUILD=build/dev lit test/lit
import os
import shlex
import shutil
import sys

import lit.formats

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = os.path.abspath(os.environ.get("FULGUR_BUILD", os.path.join(root, "build", "dev")))
llvm = os.environ.get("FULGUR_LLVM_BIN", "/usr/lib/llvm-22/bin")
python = os.environ.get("FULGUR_PYTHON", sys.executable)

config.name = "fulgur"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".onnxtxt", ".test"]
config.test_source_root = os.path.dirname(os.path.abspath(__file__))
config.test_exec_root = os.path.join(build, "test", "lit")
config.environment["PATH"] = os.pathsep.join([os.path.join(build, "bin"), llvm, os.environ["PATH"]])
for name in ["ASAN_OPTIONS", "UBSAN_OPTIONS", "HOME"]:
    if name in os.environ:
        config.environment[name] = os.environ[name]

# What this CPU can run, and what it can emulate.
config.available_features.update(name for name in ["qemu-x86_64", "qemu-aarch64", "aarch64-linux-gnu-gcc"] if shutil.which(name))
try:
    with open("/proc/cpuinfo", encoding="ascii") as text:
        flags = set(text.read().split())
    config.available_features.update(flags & {"avx2", "avx512f", "avx512bw", "avx512_bf16", "avx512_vnni", "avx512vbmi"})
except OSError:
    pass

# %onnx turns the ONNX text of a test (its lines without //) into a model file: %onnx %s %t.onnx
config.substitutions.append(("%onnx", shlex.join([python, os.path.join(config.test_source_root, "onnxtxt.py")])))
config.substitutions.append(("%python", shlex.quote(python)))
config.substitutions.append(("%build", build))
config.substitutions.append(("%include", os.path.join(root, "runtime")))

# ... | %kernels builds the kernels of a module and runs its @main, which returns a number: the greatest difference between kernels and
# their specifications, computed by the generic builder.
passes = """fulgur-choose-schedules fulgur-decompose-attention fulgur-decompose-row-ops
  fulgur-decompose-dequantize fulgur-outline-kernels fulgur-bufferize canonicalize cse fulgur-lower-linalg
  scf-forall-to-for fulgur-tabulate-functions fulgur-approximate-math convert-vector-to-scf expand-strided-metadata lower-affine convert-scf-to-cf canonicalize cse
  fulgur-lower-to-llvm""".split()
run = " | mlir-runner -O2 -e main -entry-point-result=f32"
# The other one builds for AVX-512, which LLVM legalises for the CPU that is there.
vectors = ("fulgur-choose-schedules", "fulgur-outline-kernels")
wide = {name: name + "=vector-bytes=64 vector-registers=32" for name in vectors}
bf16 = {name: wide[name] + " bf16=true" for name in vectors} | {
    "fulgur-lower-to-llvm": "fulgur-lower-to-llvm=bf16=true", "fulgur-tabulate-functions": "fulgur-tabulate-functions=vector-bytes=64"}
config.substitutions.append(("%kernels512bf16", "fulgur-opt " + " ".join(shlex.quote("--" + bf16.get(name, name)) for name in passes) + run))
vbmi = bf16 | {"fulgur-outline-kernels": bf16["fulgur-outline-kernels"] + " vbmi=true"}
config.substitutions.append(("%kernels512vbmi", "fulgur-opt " + " ".join(shlex.quote("--" + vbmi.get(name, name)) for name in passes) + run))
vnni = {name: wide[name] + " vnni=true" for name in vectors}
config.substitutions.append(("%kernels512vnni", "fulgur-opt " + " ".join(shlex.quote("--" + vnni.get(name, name)) for name in passes) + run))
# AMX is emulated: test/emulation.
emulation = os.path.join(build, "lib", "libfulgur_amx_emulation.so")
if os.path.exists(emulation):
    config.available_features.add("amx-emulation")
amx = {name: vnni[name] + " bf16=true" for name in vectors} | {"fulgur-lower-to-llvm": "fulgur-lower-to-llvm=bf16=true"}
amx["fulgur-choose-schedules"] += " amx=true"
config.substitutions.append(("%kernelsamx", "fulgur-opt " + " ".join(shlex.quote("--" + amx.get(name, name)) for name in passes) +
                             f" | env LD_PRELOAD={shlex.quote(emulation)} mlir-runner -O2 -e main -entry-point-result=f32" +
                             " --mattr=+amx-tile,+amx-int8,+amx-bf16"))
narrow = {name: name + "=vector-bytes=16" for name in vectors}
config.substitutions.append(("%kernels128", "fulgur-opt " + " ".join(shlex.quote("--" + narrow.get(name, name)) for name in passes) + run))
config.substitutions.append(("%kernels512", "fulgur-opt " + " ".join(shlex.quote("--" + wide.get(name, name)) for name in passes) + run))
config.substitutions.append(("%kernels", "fulgur-opt " + " ".join("--" + name for name in passes) + run))

# ... | %math runs @main with math functions of f32 as polynomials and those of f64 from libm.
passes = """fulgur-approximate-math convert-scf-to-cf canonicalize cse convert-math-to-libm fulgur-lower-to-llvm""".split()
config.substitutions.append(("%math", "fulgur-opt " + " ".join("--" + name for name in passes) + run))
# The same where those that may be approximate are tables.
passes = ["fulgur-tabulate-functions=vector-bytes=64", *passes]
passes[-1] += "=bf16=true"
config.substitutions.append(("%tabulated", "fulgur-opt " + " ".join(shlex.quote("--" + name) for name in passes) + run))
