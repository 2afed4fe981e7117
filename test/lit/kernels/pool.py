# pool.py max|sum|maxui|maxsi|maxbf16 h=9:3,s2,d1,p1+1 w=20?:3 n=2 c=5 in=nhwc: a pool over the spatial dims d, h, w (size:window, then stride, dilation,
# padding in front + behind), as a module for %kernels. maxui and maxsi are of bytes, maxbf16 is
# of bfloat16.
import sys
from compare import generic, module, tensor

kind = sys.argv[1]
options = dict(a.split("=") for a in sys.argv[2:])
order = options["in"]
spatial = [d for d in "dhw" if d in order]
sizes, window, stride, dilation, low, high = {}, {}, {}, {}, {}, {}
for d in order:
    size, _, rest = options[d].partition(":")
    sizes[d] = size
    if d not in spatial:
        continue
    first, *others = rest.split(",")
    window[d] = int(first)
    settings = {"s": "1", "d": "1", "p": "0+0"} | {p[0]: p[1:] for p in others}
    stride[d], dilation[d] = int(settings["s"]), int(settings["d"])
    low[d], high[d] = map(int, settings["p"].split("+"))
# Upper case: the input with its padding; o + spatial dim: the result; k + spatial dim: the window.
for d in spatial:
    number, dynamic = int(sizes[d].rstrip("?")), "?" if sizes[d].endswith("?") else ""
    padded = number + low[d] + high[d]
    sizes[d.upper()] = f"{padded}{dynamic}"
    sizes["o" + d] = f"{(padded - (window[d] - 1) * dilation[d] - 1) // stride[d] + 1}{dynamic}"
    sizes["k" + d] = window[d]
result = ["o" + d if d in spatial else d for d in order]
taps = ["k" + d for d in spatial]
places = [f"o{d} * {stride[d]} + k{d} * {dilation[d]}" if d in spatial else d for d in order]
start, fold = {"sum": ("0.0", "arith.addf"), "max": ("0xFF800000", "arith.maximumf"), "maxbf16": ("0xFF80", "arith.maximumf"),
               "maxui": ("0", "arith.maxui"), "maxsi": ("-128", "arith.maxsi")}[kind]
element = "i8" if kind.endswith("i") else "bf16" if kind.endswith("bf16") else "f32"
out, given = tensor(result, sizes, element), tensor(order, sizes, element)
source, padded = ("%a", given), any(low.values()) or any(high.values())
body = f"%start = arith.constant {start} : {element}\n"
if padded:
    padding = lambda by: ", ".join(str(by.get(d, 0)) for d in order)
    indices = ", ".join(f"%p{i}: index" for i in range(len(order)))
    source = ("%padded", tensor([d.upper() if d in spatial else d for d in order], sizes, element))
    body += f"""%padded = tensor.pad %a low[{padding(low)}] high[{padding(high)}] {{
    ^bb0({indices}):
      tensor.yield %start : {element}
    }} : {given} to {source[1]}
    """
body += f"%window = tensor.empty() : {tensor(taps, sizes)}\n"
body += f"%init = linalg.fill ins(%start : {element}) outs(%out : {out}) -> {out}\n"
body += generic([places, taps, result], result + taps, [source, ("%window", tensor(taps, sizes))], ("%init", out),
                f"^bb0(%x: {element}, %y: f32, %s: {element}):\n%t = {fold} %s, %x : {element}\nlinalg.yield %t : {element}", 0)
print(module(sizes, [("a", list(order), element)], result, body, "%v0", element=element))
