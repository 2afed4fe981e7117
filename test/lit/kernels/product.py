# product.py mk,kn->mn m=13? k=37 n=45 [packed=8] [picked=5] [bias] [gelu] [residual] [mask] [bf16|half|halves] [us|su] [narrow|both] [strassen=6,2,8] [nan] [third=0.25]: a product
# and its epilogue, as a module for %kernels. With `packed`, b comes in panels of so many columns, as PackWeights leaves it; with
# `picked`, its first dim is picked by data from a table of so many. `bf16` are operands of that type, `half` is a b of float16, `halves` are both, `narrow` a result, `both` the result in front of itself as it is; `us` and `su`
# are bytes, one unsigned and one signed, with sums in i32, of which `narrow` makes bytes. `strassen` has rows, vectors and lanes of a
# tile; with `nan`, one number of the second row is none; with `third`, every third row is so many times as large, the others are no integers,
# and only that third is compared.
import sys
from compare import generic, module, sizes_of, tensor

GELU = """%s{0} = arith.constant 0.03125 : f32\n%h{0} = arith.constant 0.5 : f32\n%o{0} = arith.constant 1.0 : f32
%x{0} = arith.mulf {1}, %s{0} : f32\n%e{0} = math.erf %x{0} fastmath<afn> : f32\n%d{0} = arith.addf %e{0}, %o{0} : f32
%y{0} = arith.mulf %x{0}, %h{0} : f32\n%r{0} = arith.mulf %y{0}, %d{0} : f32"""

spec, *rest = sys.argv[1:]
sizes = sizes_of(a for a in rest if "=" in a)
tile, third = sizes.pop("strassen", None), sizes.pop("third", None)
inputs, c = spec.split("->")
a, b = inputs.split(",")
loops = list(dict.fromkeys(c + a + b))
signs = "us" if "us" in rest else "su" if "su" in rest else ""
number = "bf16" if "bf16" in rest else "i8" if signs else "f32"
sum_type, depth = ("i32", 4) if signs else ("f32", 2)
row, weight = ("f16" if name else number for name in ("halves" in rest, "half" in rest or "halves" in rest))
operands = [("a", a, row), ("b", b, weight)]
unpack = unrolled = ""
if "packed" in sizes:
    width, column, step = int(sizes.pop("packed")), next(d for d in b if d in c and d not in a), next(d for d in b if d not in c)
    table = b.replace(b[0], "T") if "picked" in sizes else b
    sizes |= {"P": str(-(-int(sizes[column]) // width)), "W": str(width)} | ({"T": sizes["picked"]} if "picked" in sizes else {})
    outer = [d for d in table if d not in (column, step)]
    panels, inner = "".join(outer) + "P" + step + "W", f"inner_dims_pos = [{table.index(column)}] inner_tiles = [{width}]"
    at = [*outer, f"{column} floordiv {width}", step, f"{column} mod {width}"]
    if number != "f32":  # several steps together
        sizes |= {"S": str(-(-int(sizes[step]) // depth)), "D": str(depth)}
        panels, inner = "".join(outer) + "PSWD", f"inner_dims_pos = [{table.index(column)}, {table.index(step)}] inner_tiles = [{width}, {depth}]"
        at[-2:] = [f"{step} floordiv {depth}", at[-1], f"{step} mod {depth}"]
    operands[1] = ("b", panels, weight)
    packed, whole = tensor(panels, sizes, weight), tensor(table, sizes, weight)
    order = [table.index(d) for d in (*outer, column, step)]
    unpack = f"""%whole = tensor.empty() : {whole}
    %unpacked = linalg.unpack %b outer_dims_perm = {order} {inner}
      into %whole : {packed} -> {whole}
    """
    unrolled = f"""%whole = tensor.empty() : {whole}
    %unpacked = linalg.generic {{indexing_maps = [affine_map<({', '.join(table)}) -> ({', '.join(at)})>, affine_map<({', '.join(table)}) -> ({', '.join(table)})>],
      iterator_types = [{', '.join(['"parallel"'] * len(table))}]}} ins(%b : {packed}) outs(%whole : {whole}) {{
    ^bb0(%x: {weight}, %y: {weight}):
      linalg.yield %x : {weight}
    }} -> {whole}
    """
right, rows, pick = ("%unpacked" if unpack else "%b"), b, ""
if "picked" in sizes:
    sizes["T"] = sizes.pop("picked")
    rows = "T" + b[1:]
    if not unpack:
        operands[1] = ("b", rows, weight)
    operands.append(("pick", b[0], "i64"))
    table, inner = tensor(rows, sizes, weight), "\n".join(f"%j{i} = linalg.index {i} : index" for i in range(1, len(b)))
    size = f"%count = arith.constant 0 : index\n%picks = tensor.dim %pick, %count : {tensor(b[0], sizes, 'i64')}" if "?" in sizes[b[0]] else ""
    pick = f"""{size}
    %all = tensor.empty({"%picks" if size else ""}) : {tensor(b, sizes, weight)}
    %picked = linalg.generic {{indexing_maps = [affine_map<({', '.join(b)}) -> ({b[0]})>, affine_map<({', '.join(b)}) -> ({', '.join(b)})>],
      iterator_types = [{', '.join(['"parallel"'] * len(b))}]}} ins(%pick : {tensor(b[0], sizes, "i64")}) outs(%all : {tensor(b, sizes, weight)}) {{
    ^bb0(%x: i64, %y: {weight}):
      {inner}
      %j0 = arith.index_cast %x : i64 to index
      %t = tensor.extract {right}[{', '.join(f"%j{i}" for i in range(len(b)))}] : {table}
      linalg.yield %t : {weight}
    }} -> {tensor(b, sizes, weight)}
    """
    right = "%picked"
extend = [{"u": "extui", "s": "extsi"}[s] for s in signs] or ["extf", "extf"]
widen = "" if number == "f32" else "".join(f"%{x}w = arith.{how} %{x} : {number} to {sum_type}\n" for x, how in zip("xy", extend))
factors = "%xw, %yw" if widen else "%x, %y"
if weight == "f16":
    widen, factors = "%yw = arith.extf %y : f16 to f32\n", "%x, %yw"
if row == "f16":
    widen, factors = "%xw = arith.extf %x : f16 to f32\n" + widen, "%xw, %yw"
dynamic = ", ".join(f"%size_{d}" for d in c if str(sizes[d]).endswith("?"))
epilogue = any(name in rest for name in ("bias", "gelu", "residual", "mask"))
narrow = ("i8" if signs else "bf16") if "narrow" in rest else "f32" if epilogue else sum_type
sums, out = "%out", tensor(c, sizes, sum_type)
body = pick + f"%zero = arith.constant {'0' if signs else '0.0'} : {sum_type}\n    "
if narrow != sum_type:  # the sums do not go to the destination
    sums = "%sums"
    for position, d in enumerate(c):
        if str(sizes[d]).endswith("?"):
            body += f"%at{d} = arith.constant {position} : index\n    %size_{d} = tensor.dim %out, %at{d} : {tensor(c, sizes, narrow)}\n    "
    body += f"%sums = tensor.empty({dynamic}) : {out}\n    "
body += f"%init = linalg.fill ins(%zero : {sum_type}) outs({sums} : {out}) -> {out}\n    "
body += generic([a, b, c], loops, [("%a", tensor(a, sizes, row)), (right, tensor(b, sizes, weight))], ("%init", out),
                f"^bb0(%x: {row}, %y: {weight}, %s: {sum_type}):\n{widen}%m = arith.mul{sum_type[0]} {factors} : {sum_type}\n%t = arith.add{sum_type[0]} %s, %m : {sum_type}\nlinalg.yield %t : {sum_type}", 0)
ins, maps, lines, arguments, value = [("%v0", out)], [c], [], [f"%p: {sum_type}"], "%p"
if signs and (epilogue or "narrow" in rest):
    lines.append("%r0 = arith.sitofp %p : i32 to f32")
    value = "%r0"
for name, dims, element, line in [("bias", c[-1], "f32", "%r{0} = arith.addf {1}, %bias_ : f32"),
                                  ("gelu", None, None, GELU),
                                  ("residual", c, "f32", "%r{0} = arith.subf {1}, %residual_ : f32"),
                                  ("mask", c[-1], "i1", "%f{0} = arith.constant -9.0 : f32\n%r{0} = arith.select %mask_, %f{0}, {1} : f32")]:
    if name in rest and not dims:
        lines.append(line.format(len(lines), value))
        value = f"%r{len(lines) - 1}"
    elif name in rest:
        operands.append((name, dims, element))
        ins.append((f"%{name}", tensor(dims, sizes, element)))
        maps.append(dims)
        arguments.append(f"%{name}_: {element}")
        lines.append(line.format(len(lines), value))
        value = f"%r{len(lines) - 1}"
if narrow == "bf16":
    lines.append(f"%n = arith.truncf {value} : f32 to {narrow}")
elif narrow == "i8":
    lines.append(f"%scale = arith.constant 0.0078125 : f32\n%q = arith.mulf {value}, %scale : f32\n%w = math.roundeven %q : f32\n"
                 "%i = arith.fptosi %w : f32 to i32\n%n = arith.trunci %i : i32 to i8")
if narrow in ("bf16", "i8"):
    value = "%n"
yielded = "%v0"
if lines:
    text = f"^bb0({', '.join(arguments)}, %o: {narrow}):\n" + "\n".join(lines) + f"\nlinalg.yield {value} : {narrow}"
    body += "\n    " + generic([*maps, c], list(c), ins, ("%out", tensor(c, sizes, narrow)), text, 1)
    yielded = "%v1"
rounded = None
if "both" in rest:
    text = "^bb0(%p: f32, %o: bf16):\n%n = arith.truncf %p : f32 to bf16\nlinalg.yield %n : bf16"
    body += "\n    " + generic([c, c], list(c), [(yielded, out)], ("%rounded", tensor(c, sizes, "bf16")), text, 2)
    rounded = "%v2"
schedule = change = ""
if tile:
    rows, vectors, lanes = tile.split(",")
    schedule = f'schedule(<kind = "strassen", tile = [{rows}, {vectors}], lanes = {lanes}, unroll = 2, pack = {width}, grain = 66>)'
if "nan" in rest:
    at = ", ".join(["%second"] * len(a))
    change = f"""%second = arith.constant 1 : index
  %nan = arith.constant 0x7FC00000 : f32
  memref.store %nan, %am[{at}] : {tensor(a, sizes, number, "memref")}"""
last = ""
if third:
    def scale(name, dims, ours, others):
        identity = f"affine_map<({', '.join(dims)}) -> ({', '.join(dims)})>"
        return f"""linalg.generic {{indexing_maps = [{identity}], iterator_types = [{', '.join(['"parallel"'] * len(dims))}]}} outs(%{name}m : {tensor(dims, sizes, "f32", "memref")}) {{
  ^bb0(%x: f32):
    %three = arith.constant 3 : index
    %ours = arith.constant {ours} : f32
    %others = arith.constant {others} : f32
    %r = linalg.index {len(dims) - 2} : index
    %m = arith.remui %r, %three : index
    %first = arith.constant 1 : index
    %is = arith.cmpi eq, %m, %first : index
    %factor = arith.select %is, %ours, %others : f32
    %y = arith.mulf %x, %factor : f32
    linalg.yield %y : f32
  }}
  """
    change += scale("a", a, third, 1.1)
    last = scale("built", c, 1.0, 0.0) + scale("specified", c, 1.0, 0.0)
print(module(sizes, operands, c, unpack + body, yielded, unrolled + body, schedule, narrow, change, rounded, last))
