# product.py mk,kn->mn m=13? k=37 n=45 [packed=8] [picked=5] [bias] [residual] [mask]: a product and its epilogue, as a module for %kernels.
# With `packed`, b comes in panels of so many columns, as PackWeights leaves it; with `picked`, its first dim is picked by data from
# a table of so many.
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
    width, column, step = int(sizes.pop("packed")), next(d for d in b if d in c and d not in a), next(d for d in b if d not in c)
    table = b.replace(b[0], "T") if "picked" in sizes else b
    sizes |= {"P": str(-(-int(sizes[column]) // width)), "W": str(width)} | ({"T": sizes["picked"]} if "picked" in sizes else {})
    outer = [d for d in table if d not in (column, step)]
    panels = "".join(outer) + "P" + step + "W"
    operands[1] = ("b", panels, "f32")
    packed, whole = tensor(panels, sizes), tensor(table, sizes)
    order = [table.index(d) for d in (*outer, column, step)]
    at = ", ".join([*outer, f"{column} floordiv {width}", step, f"{column} mod {width}"])
    unpack = f"""%whole = tensor.empty() : {whole}
    %unpacked = linalg.unpack %b outer_dims_perm = {order} inner_dims_pos = [{table.index(column)}] inner_tiles = [{width}]
      into %whole : {packed} -> {whole}
    """
    unrolled = f"""%whole = tensor.empty() : {whole}
    %unpacked = linalg.generic {{indexing_maps = [affine_map<({', '.join(table)}) -> ({at})>, affine_map<({', '.join(table)}) -> ({', '.join(table)})>],
      iterator_types = [{', '.join(['"parallel"'] * len(table))}]}} ins(%b : {packed}) outs(%whole : {whole}) {{
    ^bb0(%x: f32, %y: f32):
      linalg.yield %x : f32
    }} -> {whole}
    """
right, rows = ("%unpacked" if unpack else "%b"), b
if "picked" in sizes:
    sizes["T"] = sizes.pop("picked")
    rows = "T" + b[1:]
    if not unpack:
        operands[1] = ("b", rows, "f32")
    operands.append(("pick", b[0], "i64"))
    table, inner = tensor(rows, sizes), "\n".join(f"%j{i} = linalg.index {i} : index" for i in range(1, len(b)))
    size = f"%count = arith.constant 0 : index\n%picks = tensor.dim %pick, %count : {tensor(b[0], sizes, 'i64')}" if "?" in sizes[b[0]] else ""
    pick = f"""{size}
    %all = tensor.empty({"%picks" if size else ""}) : {tensor(b, sizes)}
    %picked = linalg.generic {{indexing_maps = [affine_map<({', '.join(b)}) -> ({b[0]})>, affine_map<({', '.join(b)}) -> ({', '.join(b)})>],
      iterator_types = [{', '.join(['"parallel"'] * len(b))}]}} ins(%pick : {tensor(b[0], sizes, "i64")}) outs(%all : {tensor(b, sizes)}) {{
    ^bb0(%x: i64, %y: f32):
      {inner}
      %j0 = arith.index_cast %x : i64 to index
      %t = tensor.extract {right}[{', '.join(f"%j{i}" for i in range(len(b)))}] : {table}
      linalg.yield %t : f32
    }} -> {tensor(b, sizes)}
    """
    right = "%picked"
else:
    pick = ""
body = pick + f"""%zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%out : {out}) -> {out}
    """ + generic([a, b, c], loops, [("%a", tensor(a, sizes)), (right, tensor(b, sizes))], ("%init", out),
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
