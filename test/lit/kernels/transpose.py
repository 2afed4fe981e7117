# transpose.py from=nhwc to=nchw n=2 h=9 w=20 c=40 [bias] [other] [ints]: what lies in one order, in another one, as a module for %kernels;
# `bias` adds a number for each c, `other` a tensor in the order of the result; of `ints`, nothing is added.
import sys
from compare import generic, module, sizes_of, tensor

options = sizes_of(a for a in sys.argv[1:] if "=" in a)
flags = [a for a in sys.argv[1:] if "=" not in a]
source, result = options.pop("from"), options.pop("to")
element = "i32" if "ints" in flags else "f32"
operands, ins, maps = [("a", source, "f32")], [("%a", tensor(source, options))], [source]
lines, arguments, value = [], ["%x: f32"], "%x"
for name, dims in [("bias", "c"), ("other", result)]:
    if name in flags:
        operands.append((name, dims, "f32"))
        ins.append((f"%{name}", tensor(dims, options)))
        maps.append(dims)
        arguments.append(f"%{name}_: f32")
        lines.append(f"%r{len(lines)} = arith.addf {value}, %{name}_ : f32")
        value = f"%r{len(lines) - 1}"
if "ints" in flags:
    lines.append(f"%i = arith.fptosi {value} : f32 to i32")
    value = "%i"
out = tensor(result, options, element)
text = f"^bb0({', '.join(arguments)}, %o: {element}):\n" + "\n".join(lines) + f"\nlinalg.yield {value} : {element}"
print(module(options, operands, result, generic([*maps, result], list(result), ins, ("%out", out), text, 0), "%v0", element=element))
