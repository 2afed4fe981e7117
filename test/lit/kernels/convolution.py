# convolution.py h=9:3 w=20?:3,s2,d1,p1+1 n=2 g=1 f=40 c=5 in=nhwgc weights=gfhwc [winograd=2,16] [bias] [residual] [bf16] [image] [bytes] [narrow] [fill=9]:
# a convolution over the spatial dims d, h, w (size:window, then stride, dilation, padding in front + behind) with its epilogue, as a module
# for %kernels. `bf16` are operands of that type, `image` an input alone, `narrow` a result. Of `bytes`, the input is unsigned and the
# weights are signed, and `narrow` makes bytes of their sums; `fill` is what they are padded with.
import re
import sys
from compare import generic, module, tensor

options = dict(a.split("=") for a in sys.argv[1:] if "=" in a)
flags = [a for a in sys.argv[1:] if "=" not in a]
order = options["in"]
spatial = [d for d in "dhw" if d in order]
sizes, window, stride, dilation, low, high = {}, {}, {}, {}, {}, {}
for d in spatial:
    size, rest = options[d].split(":")
    sizes[d] = size
    parts = rest.split(",")
    window[d] = int(parts[0])
    settings = {"s": "1", "d": "1", "p": "0+0"} | {p[0]: p[1:] for p in parts[1:]}
    stride[d], dilation[d] = int(settings["s"]), int(settings["d"])
    low[d], high[d] = map(int, settings["p"].split("+"))
for d in "ngfc":
    if d in order + options["weights"]:
        sizes[d] = options[d]
count = lambda d: int(str(sizes[d]).rstrip("?"))
dynamic_of = lambda d: "?" if str(sizes[d]).endswith("?") else ""
# Upper case: the input with its padding; o + spatial dim: the result; k + spatial dim: the window.
for d in spatial:
    padded = count(d) + low[d] + high[d]
    sizes[d.upper()] = f"{padded}{dynamic_of(d)}"
    sizes["o" + d] = f"{(padded - (window[d] - 1) * dilation[d] - 1) // stride[d] + 1}{dynamic_of(d)}"
    sizes["k" + d] = window[d]

result = [d for d in ["n"] if d in order] + ["o" + d for d in spatial] + [d for d in "gf" if d in order + options["weights"]]
weights = ["k" + d if d in spatial else d for d in options["weights"]]
loops = result + ["k" + d for d in spatial] + (["c"] if "c" in order else [])
places = [f"o{d} * {stride[d]} + k{d} * {dilation[d]}" if d in spatial else d for d in order]
of_bytes = "bytes" in flags
sums = "i32" if of_bytes else "f32"
factor = "i8" if of_bytes else "bf16" if "bf16" in flags else "f32"
number = "bf16" if "image" in flags else factor
stored = ("i8" if of_bytes else "bf16") if "narrow" in flags else "f32" if "bias" in flags or "residual" in flags else sums
out, given = tensor(result, sizes, sums), tensor(order, sizes, number)
operands = [("a", list(order), number), ("b", weights, factor)]
body, source = "", ("%a", given)
for name, kind in [("zero", sums), ("none", number)]:
    value = options.get("fill", "0") if name == "none" else "0"
    body += f"%{name} = arith.constant {value if kind.startswith('i') else '0.0'} : {kind}\n"
if any(low.values()) or any(high.values()):
    padding = lambda by: ", ".join(str(by.get(d, 0)) for d in order)
    indices = ", ".join(f"%p{i}: index" for i in range(len(order)))
    source = ("%padded", tensor([d.upper() if d in spatial else d for d in order], sizes, number))
    body += f"""%padded = tensor.pad %a low[{padding(low)}] high[{padding(high)}] {{
    ^bb0({indices}):
      tensor.yield %none : {number}
    }} : {given} to {source[1]}
    """
destination = "%out"
if stored != sums:  # the sums do not go to the destination
    destination, dynamic = "%sums", [position for position, d in enumerate(result) if dynamic_of(d)]
    for position in dynamic:
        body += f"%at{position} = arith.constant {position} : index\n%size{position} = tensor.dim %out, %at{position} : {tensor(result, sizes, stored)}\n"
    body += f"%sums = tensor.empty({', '.join(f'%size{position}' for position in dynamic)}) : {out}\n"
body += f"%init = linalg.fill ins(%zero : {sums}) outs({destination} : {out}) -> {out}\n"
widen = ("" if number == sums else f"%xw = {'arith.extui' if of_bytes else 'arith.extf'} %x : {number} to {sums}\n") + (
    "" if factor == sums else f"%yw = {'arith.extsi' if of_bytes else 'arith.extf'} %y : {factor} to {sums}\n")
factors = ("%x, " if number == sums else "%xw, ") + ("%y" if factor == sums else "%yw")
body += generic([places, weights, result], loops, [source, ("%b", tensor(weights, sizes, factor))], ("%init", out),
                f"^bb0(%x: {number}, %y: {factor}, %s: {sums}):\n{widen}%m = arith.mul{sums[0]} {factors} : {sums}\n%t = arith.add{sums[0]} %s, %m : {sums}\nlinalg.yield %t : {sums}", 0)
ins, maps, lines, arguments, value = [("%v0", out)], [result], [], [f"%p: {sums}"], "%p"
if of_bytes and stored != sums:
    lines.append("%r0 = arith.sitofp %p : i32 to f32")
    value = "%r0"
for name, dims, line in [("bias", result[-1:], "%r{0} = arith.addf {1}, %bias_ : f32"),
                         ("residual", result, "%r{0} = arith.subf {1}, %residual_ : f32")]:
    if name in flags:
        operands.append((name, dims, "f32"))
        ins.append((f"%{name}", tensor(dims, sizes)))
        maps.append(dims)
        arguments.append(f"%{name}_: f32")
        lines.append(line.format(len(lines), value))
        value = f"%r{len(lines) - 1}"
if stored == "bf16":
    lines.append(f"%n = arith.truncf {value} : f32 to bf16")
    value = "%n"
elif stored == "i8":
    lines.append(f"%scale = arith.constant 0.0078125 : f32\n%q = arith.mulf {value}, %scale : f32\n%w = math.roundeven %q : f32\n"
                 "%i = arith.fptosi %w : f32 to i32\n%n = arith.trunci %i : i32 to i8")
    value = "%n"
yielded = "%v0"
if lines:
    text = f"^bb0({', '.join(arguments)}, %o: {stored}):\n" + "\n".join(lines) + f"\nlinalg.yield {value} : {stored}"
    body += "\n    " + generic([*maps, result], result, ins, ("%out", tensor(result, sizes, stored)), text, 1)
    yielded = "%v1"
schedule = ""
if "winograd" in options:  # elements of a tile along one dim, channels of a block
    outputs, channels = options["winograd"].split(",")
    schedule = f'schedule(<kind = "winograd", tile = [5, 2, {channels}, 1, {outputs}], lanes = 8, unroll = 2, pack = 16, grain = 10>)'
print(module(sizes, operands, result, body, yielded, schedule=schedule, element=stored))
