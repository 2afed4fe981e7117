# product.py mk,kn->mn m=13? k=37 n=45 [packed=8] [bias] [residual] [mask]: a product and its epilogue, as a module for %kernels.
# With `packed`, b comes in panels of so many columns, as PackWeights leaves it.
import sys
from compare import generic, module, sizes_of, tensor

spec, *rest = sys.argv[1:]
sizes = sizes_of(a for a in rest if "=" in a)
inputs, c = spec.split("->")
a, b = inputs.split(",")
loops = list(dict.fromkeys(c + a + b))
out = tensor(c, sizes)
operands = [("a", a, "f32"), ("b", b, "f32")]
unpack = unrolled = ""
if "packed" in sizes:
    width, column, step = int(sizes.pop("packed")), next(d for d in b if d in c), next(d for d in b if d not in c)
    sizes |= {"P": str(-(-int(sizes[column]) // width)), "W": str(width)}
    operands[1] = ("b", "P" + step + "W", "f32")
    packed, whole = tensor("P" + step + "W", sizes), tensor(b, sizes)
    maps = f"affine_map<({', '.join(b)}) -> ({column} floordiv {width}, {step}, {column} mod {width})>, affine_map<({', '.join(b)}) -> ({', '.join(b)})>"
    unpack = f"""%whole = tensor.empty() : {whole}
    %unpacked = linalg.unpack %b outer_dims_perm = [{b.index(column)}, {b.index(step)}] inner_dims_pos = [{b.index(column)}] inner_tiles = [{width}]
      into %whole : {packed} -> {whole}
    """
    unrolled = f"""%whole = tensor.empty() : {whole}
    %unpacked = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel"]}} ins(%b : {packed}) outs(%whole : {whole}) {{
    ^bb0(%x: f32, %y: f32):
      linalg.yield %x : f32
    }} -> {whole}
    """
body = f"""%zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%out : {out}) -> {out}
    """ + generic([a, b, c], loops, [("%a", tensor(a, sizes)), ("%unpacked" if unpack else "%b", tensor(b, sizes))], ("%init", out),
                  "^bb0(%x: f32, %y: f32, %s: f32):\n%m = arith.mulf %x, %y : f32\n%t = arith.addf %s, %m : f32\nlinalg.yield %t : f32", 0)
ins, maps, lines, arguments, value = [("%v0", out)], [c], [], ["%p: f32"], "%p"
for name, dims, element, line in [("bias", c[-1], "f32", "%r{0} = arith.addf {1}, %bias_ : f32"),
                                  ("residual", c, "f32", "%r{0} = arith.subf {1}, %residual_ : f32"),
                                  ("mask", c[-1], "i1", "%f{0} = arith.constant -9.0 : f32\n%r{0} = arith.select %mask_, %f{0}, {1} : f32")]:
    if name in rest:
        operands.append((name, dims, element))
        ins.append((f"%{name}", tensor(dims, sizes, element)))
        maps.append(dims)
        arguments.append(f"%{name}_: {element}")
        lines.append(line.format(len(lines), value))
        value = f"%r{len(lines) - 1}"
yielded = "%v0"
if lines:
    text = f"^bb0({', '.join(arguments)}, %o: f32):\n" + "\n".join(lines) + f"\nlinalg.yield {value} : f32"
    body += "\n    " + generic([*maps, c], list(c), ins, ("%out", out), text, 1)
    yielded = "%v1"
print(module(sizes, operands, c, unpack + body, yielded, unrolled + body))
