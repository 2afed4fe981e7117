# pixels.py n=1 h=5 w=21? c=3 [from=bytes|bf16|f32] [to=bf16] fill=9: planes of bytes, or of what is rounded to bytes, as pixels of four
# bytes, or the same of bfloat16; a module for %kernels.
import sys
from compare import generic, module, tensor

options = dict(a.split("=") for a in sys.argv[1:])
sizes = {d: options[d] for d in "nhwc"} | {"p": "4"}
stored = options.get("to", "i8")
number = "f32" if options["from"] == "f32" else stored
planes, given = tensor("nchw", sizes, stored), tensor("nchw", sizes, number)
body, source = f"%fill = arith.constant {options['fill']} : {stored}\n", "%a"
rounding = "%r = math.roundeven %m : f32\n%i = arith.fptosi %r : f32 to i32\n%t = arith.trunci %i : i32 to i8"
if stored == "bf16":
    rounding = "%t = arith.truncf %m : f32 to bf16"
dynamic = [position for position, d in enumerate("nchw") if str(sizes[d]).endswith("?")]
for position in dynamic:
    body += f"%at{position} = arith.constant {position} : index\n%size{position} = tensor.dim %a, %at{position} : {given}\n"
operands = [("a", list("nchw"), number)]
if number == "f32":
    operands.append(("b", ["c"], "f32"))
    body += f"%e = tensor.empty({', '.join(f'%size{position}' for position in dynamic)}) : {planes}\n"
    body += generic(["nchw", "c", "nchw"], "nchw", [("%a", given), ("%b", tensor("c", sizes))], ("%e", planes),
                    f"^bb0(%x: f32, %y: f32, %o: {stored}):\n%m = arith.mulf %x, %y : f32\n{rounding}\nlinalg.yield %t : {stored}", 0) + "\n"
    source = "%v0"
padded = tensor("nphw", sizes, stored)
body += f"""%padded = tensor.pad {source} low[0, 0, 0, 0] high[0, {4 - int(sizes['c'])}, 0, 0] {{
    ^bb0(%p0: index, %p1: index, %p2: index, %p3: index):
      tensor.yield %fill : {stored}
    }} : {planes} to {padded}
    %v1 = linalg.transpose ins(%padded : {padded}) outs(%out : {tensor('nhwp', sizes, stored)}) permutation = [0, 2, 3, 1]"""
print(module(sizes, operands, list("nhwp"), body, "%v1", element=stored))
