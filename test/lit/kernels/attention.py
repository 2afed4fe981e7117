# attention.py bhid,bhjd,bhjn->bhin b=2 h=3 i=70? j=45? d=24 n=24 [causal=5] [offsets=b] [window=7] [sink=h] [zero_empty|average_empty] [mask=bij] [keep=bj] [slope=h]
# [plain] [scale=0.005] [bf16] [narrow] [joint] [kscale=bhj vscale=hn]: attention, as a module for %kernels. `mask` is added, `keep` are booleans, `slope` is for
# the distance of i and j. `bf16` are queries, keys and values of that type, `narrow` a result; with `kscale` or `vscale`
# keys or values are bytes with scales of these dims (1: a single one), and all their sizes are known.
import sys
from compare import module, sizes_of, tensor

spec, *rest = sys.argv[1:]
inputs, o = spec.split("->")
q, k, v = inputs.split(",")
options = dict(a.split("=") for a in rest if "=" in a)
sizes = {name: size for name, size in options.items() if len(name) == 1}
sizes["1"] = "1"
loops = [c for c in dict.fromkeys(o + q + k) if c not in "idjn1"] + list("idjn")
affine = lambda dims: f"affine_map<({', '.join(loops)}) -> ({', '.join('0' if c == '1' else c for c in dims)})>"
number, narrow = "bf16" if "bf16" in rest else "f32", "bf16" if "narrow" in rest else "f32"
operands = [("q", q, number), ("k", k, number), ("v", v, number)]
arguments, lines, value, extras = ["%s: f32", "%i: index", "%j: index"], [], "%s", []
if "plain" not in rest:
    lines += [f"%factor = arith.constant {float(options.get('scale', 0.005))} : f32", "%s0 = arith.mulf %s, %factor : f32"]
    value = "%s0"
for name, element, text in [
        ("mask", "f32", "%t{0} = arith.addf {1}, %mask_ : f32"),
        ("keep", "i1", "%hidden = arith.constant 0xFF800000 : f32\n%t{0} = arith.select %keep_, {1}, %hidden : f32"),
        ("slope", "f32", """%ii = arith.index_cast %i : index to i32
%jj = arith.index_cast %j : index to i32
%distance = arith.subi %jj, %ii : i32
%fd = arith.sitofp %distance : i32 to f32
%tenth = arith.constant 0.01 : f32
%ft = arith.mulf %fd, %tenth : f32
%bias = arith.mulf %ft, %slope_ : f32
%t{0} = arith.addf {1}, %bias : f32"""),
        ("past", "index", "%sees = arith.cmpi sle, %j, %past_ : index\n%least = arith.constant -3.4e38 : f32\n%t{0} = arith.select %sees, {1}, %least : f32")]:
    if name in options:
        operands.append((name, options[name], element))
        extras.append(name)
        arguments.append(f"%{name}_: {element}")
        lines.append(text.format(len(lines), value))
        value = f"%t{len(lines) - 1}"
before = ""
for at, (name, dims) in enumerate([("k", k), ("v", v)], 1):
    if name + "scale" not in options:
        continue
    scales, into, own = options[name + "scale"], tensor(dims, sizes), [f"d{i}" for i in range(len(dims))]
    operands[at] = (name + "c", dims, "i8")
    operands.append((name + "s", scales, "f32"))
    maps = [f"affine_map<({', '.join(own)}) -> ({', '.join('0' if c == '1' else own[dims.index(c)] for c in of)})>" for of in (dims, scales, dims)]
    before += f"""%{name}e = tensor.empty() : {into}
%{name} = linalg.generic {{indexing_maps = [{', '.join(maps)}], iterator_types = [{', '.join(['"parallel"'] * len(dims))}]}}
    ins(%{name}c, %{name}s : {tensor(dims, sizes, "i8")}, {tensor(scales, sizes)}) outs(%{name}e : {into}) {{
^bb0(%code: i8, %scale: f32, %unused: f32):
  %small = arith.constant 0.0009765625 : f32
  %wide = arith.sitofp %code : i8 to f32
  %part = arith.mulf %wide, %small : f32
  %whole = arith.mulf %part, %scale : f32
  linalg.yield %whole : f32
}} -> {into}
"""
text = "%r = fulgur.attention %q, %k, %v"
if extras:
    text += f" extras({', '.join('%' + n for n in extras)} : {', '.join(tensor(options[n], sizes, e) for n, _, e in operands if n in extras)})"
maps = [q, k, v] + [options[n] for n in extras]
if "sink" in options:
    operands.append(("sink", options["sink"], "f32"))
    maps.append(options["sink"])
    text += f" sink(%sink : {tensor(options['sink'], sizes)})"
if "offsets" in options:
    operands.append(("offsets", options["offsets"], "i64"))
    maps.append(options["offsets"])
    text += f" offsets(%offsets : {tensor(options['offsets'], sizes, 'i64')})"
if "causal" in options:
    before += f"%offset = arith.constant {options['causal']} : index\n"
    text += " causal(%offset)"
text += f" maps [{', '.join(map(affine, maps + [o]))}]"
attributes = [f"window = {options['window']} : i64"] if "window" in options else []
attributes += [f"{what}_empty_rows" for what in ("zero", "average") if f"{what}_empty" in rest]
if attributes:
    text += f" attributes {{{', '.join(attributes)}}}"
newline = "\n"
text += f" {{\n^bb0({', '.join(arguments)}):\n{newline.join(lines)}\nfulgur.yield {value} : f32\n}} : "
text += f"{', '.join(tensor(d, sizes, number) for d in (q, k, v))} -> {tensor(o, sizes, narrow)}"
if "joint" in rest:  # query, key and value are slices of wider tensors, whose last dim has heads and columns
    for at, (name, dims, _) in enumerate(operands[:3]):
        wide, heads, columns = name.upper(), *(int(sizes[d]) for d in dims[-2:])
        sizes[wide] = str(heads * columns + 8 * at + 5)
        operands[at] = (name + "w", dims[:-2] + wide, number)
        sizes[wide + "s"] = str(heads * columns)
        outer, source, part = [sizes[d] for d in dims[:-2]], tensor(dims[:-2] + wide, sizes, number), tensor([*dims[:-2], wide + "s"], sizes, number)
        zeros, ones = "0, " * len(outer), ", ".join(["1"] * (len(outer) + 1))
        groups = ", ".join(f"[{i}]" for i in range(len(outer))) + f", [{len(outer)}, {len(outer) + 1}]"
        before += f"%{name}s = tensor.extract_slice %{name}w[{zeros}{8 * at + 3}] [{', '.join(outer)}, {heads * columns}] [{ones}] : {source} to {part}\n"
        before += (f"%{name} = tensor.expand_shape %{name}s [{groups}] output_shape [{', '.join(outer)}, {heads}, {columns}] : {part} into "
                   f"{tensor(dims, sizes, number)}\n")
print(module(sizes, operands, o, before + text, "%r", element=narrow))
