# rows.py layer_norm a=2 b=3 c=45? [residual] [broadcast] [axis=1] [rounded]: a row operation, perhaps rounded to bfloat16, as a module
# for %kernels.
import sys
from compare import generic, module, sizes_of, tensor

name, *rest = sys.argv[1:]
axis = next((int(a[5:]) for a in rest if a.startswith("axis=")), None)
sizes = sizes_of(a for a in rest if "=" in a and not a.startswith("axis="))
dims = "".join(sizes)
axis = len(dims) - 1 if axis is None else axis
sizes["1"] = "1"
x, row = tensor(dims, sizes), tensor(dims[axis:], sizes)
operands, body, source = [("x", dims, "f32")], "", "%x"
other = dims if "residual" in rest else dims[0] + "1" * (len(dims) - 2) + dims[-1] if "broadcast" in rest else None
if other:
    operands.append(("y", other, "f32"))
    destination = "%out"
    if "rounded" in rest:
        destination, body = "%sums", f"%sums = tensor.empty() : {x}\n    "
    body += generic([dims, other, dims], list(dims), [("%x", x), ("%y", tensor(other, sizes))], (destination, x),
                   "^bb0(%p: f32, %q: f32, %o: f32):\n%s = arith.addf %p, %q : f32\nlinalg.yield %s : f32", 0) + "\n    "
    source = "%v0"
parameters = {"softmax": [], "rms_norm": ["scale"], "layer_norm": ["scale", "bias"]}[name]
operands += [(p, dims[axis:], "f32") for p in parameters]
attributes = f"axis = {axis} : i64" + ("" if name == "softmax" else ", epsilon = 1.0e-5 : f32")
arguments, types = ", ".join([source] + [f"%{p}" for p in parameters]), ", ".join([x] + [row] * len(parameters))
body += f"%r = fulgur.{name} {arguments} {{{attributes}}} : {types}"
if "rounded" not in rest:
    print(module(sizes, operands, dims, body, "%r"))
else:
    rounding = generic([dims, dims], list(dims), [("%r", x)], ("%out", tensor(dims, sizes, "bf16")),
                       "^bb0(%p: f32, %o: bf16):\n%s = arith.truncf %p : f32 to bf16\nlinalg.yield %s : bf16", 1)
    print(module(sizes, operands, dims, f"{body}\n    {rounding}", "%v1", element="bf16"))
