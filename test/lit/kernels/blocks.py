# blocks.py mk,nk->mn m=13? k=64 n=45 packed=16 bits=4 block=32 [picked=5] [zero] [real-zero] [half] [bias] [offset=8] [rounded]: a product with
# weights of few bits in panels, as PackWeights leaves them, as a module for %kernels. With `picked`, b's first dim is picked by data from a
# table of so many; `half` are scales of that type; `rounded` rows become bytes, whose scale is 1 because each block has a 127.
import sys
from compare import generic, module, sizes_of, tensor

spec, *rest = sys.argv[1:]
sizes = sizes_of(a for a in rest if "=" in a)
inputs, c = spec.split("->")
a, b = inputs.split(",")
width, bits, block, offset = (int(sizes.pop(name, 0)) for name in ("packed", "bits", "block", "offset"))
column, step = next(d for d in b if d in c and d not in a), next(d for d in b if d not in c)
depth, steps = 8 if bits == 4 else 4, int(sizes[step])
sizes |= {"P": str(-(-int(sizes[column]) // width)), "W": str(width), "S": str(-(-steps // depth)), "D": "4", "G": str(-(-steps // block))}
table = b
if "picked" in sizes:
    sizes["T"] = sizes.pop("picked")
    table = "T" + b[1:]
outer = "".join(d for d in table if d not in (column, step))
real, zero = "f16" if "half" in rest else "f32", "f32" if "real-zero" in rest else "i8" if "zero" in rest else ""
operands = [("a", a, "f32"), ("b", outer + "PSWD", "i8"), ("scale", outer + "PGW", real)]
if zero:
    operands.append(("zero", outer + "PGW", zero))
types = ", ".join(tensor(d, sizes, e) for _, d, e in operands[1:])
body = f"""%whole = fulgur.dequantize {', '.join('%' + n for n, _, _ in operands[1:])} {{axis = {table.index(step)} : i64, bits = {bits} : i64,
      block = {block} : i64, offset = {offset} : i64, pack = {width} : i64}} : {types} -> {tensor(table, sizes)}
    """
right = "%whole"
if table != b:
    operands.append(("pick", b[0], "i64"))
    inner = "\n".join(f"%j{i} = linalg.index {i} : index" for i in range(1, len(b)))
    body += f"""%all = tensor.empty() : {tensor(b, sizes)}
    %picked = linalg.generic {{indexing_maps = [affine_map<({', '.join(b)}) -> ({b[0]})>, affine_map<({', '.join(b)}) -> ({', '.join(b)})>],
      iterator_types = [{', '.join(['"parallel"'] * len(b))}]}} ins(%pick : {tensor(b[0], sizes, "i64")}) outs(%all : {tensor(b, sizes)}) {{
    ^bb0(%x: i64, %y: f32):
      {inner}
      %j0 = arith.index_cast %x : i64 to index
      %t = tensor.extract %whole[{', '.join(f"%j{i}" for i in range(len(b)))}] : {tensor(table, sizes)}
      linalg.yield %t : f32
    }} -> {tensor(b, sizes)}
    """
    right = "%picked"
left, change = "%a", ""
if "rounded" in rest:
    left = "%rounded"
    body += f"%rounded = fulgur.round_blocks %a {{block = {block} : i64}} : {tensor(a, sizes)}\n    "
    loops = ", ".join(a)
    change = f"""linalg.generic {{indexing_maps = [affine_map<({loops}) -> ({loops})>], iterator_types = [{', '.join(['"parallel"'] * len(a))}]}}
      outs(%am : {tensor(a, sizes, kind="memref")}) {{
  ^bb0(%o: f32):
    %k = linalg.index {a.index(step)} : index
    %block = arith.constant {block} : index
    %inBlock = arith.remui %k, %block : index
    %isFirst = arith.cmpi eq, %inBlock, %c0 : index
    %greatest = arith.constant 127.0 : f32
    %e = arith.select %isFirst, %greatest, %o : f32
    linalg.yield %e : f32
  }}"""
out = tensor(c, sizes)
body += f"%nothing = arith.constant 0.0 : f32\n    %init = linalg.fill ins(%nothing : f32) outs(%out : {out}) -> {out}\n    "
body += generic([a, b, c], list(dict.fromkeys(c + a + b)), [(left, tensor(a, sizes)), (right, tensor(b, sizes))], ("%init", out),
                "^bb0(%x: f32, %y: f32, %s: f32):\n%m = arith.mulf %x, %y : f32\n%t = arith.addf %s, %m : f32\nlinalg.yield %t : f32", 0)
yielded = "%v0"
if "bias" in rest:
    operands.append(("bias", c[-1], "f32"))
    body += "\n    " + generic([c, c[-1], c], list(c), [("%v0", out), ("%bias", tensor(c[-1], sizes))], ("%out", out),
                               "^bb0(%p: f32, %q: f32, %o: f32):\n%r = arith.addf %p, %q : f32\nlinalg.yield %r : f32", 1)
    yielded = "%v1"
print(module(sizes, operands, c, body, yielded, change=change and "%c0 = arith.constant 0 : index\n  " + change))
