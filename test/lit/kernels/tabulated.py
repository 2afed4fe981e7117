# tabulated.py erf|tanh: how far GELU by a table is from GELU, as a share of what it is or of a quarter, from -12 to 12, as a module for %tabulated.
import sys

FORMULAS = {"erf": "%t{0} = arith.mulf %x, %root2 : V\n%u{0} = math.erf %t{0} FLAG: V",
            "tanh": "%c{0} = arith.mulf %x, %x : V\n%d{0} = arith.mulf %c{0}, %x : V\n%f{0} = arith.mulf %d{0}, %cubic : V\n"
                    "%g{0} = arith.addf %x, %f{0} : V\n%t{0} = arith.mulf %g{0}, %root : V\n%u{0} = math.tanh %t{0} FLAG: V"}


def gelu(number, flag):
    text = FORMULAS[sys.argv[1]] + "\n%v{0} = arith.addf %u{0}, %one : V\n%w{0} = arith.mulf %x, %half : V\n%y{0} = arith.mulf %w{0}, %v{0} : V\n"
    return text.format(number).replace("FLAG", flag)


constants = {"root2": 0.70710678, "cubic": 0.044715, "root": 0.79788456, "one": 1.0, "half": 0.5, "quarter": 0.25, "start": 0.0, "step": 16 / 1024}
text = "\n".join(f"%{name} = arith.constant dense<{value:e}> : V" for name, value in constants.items())
print(f"""func.func @main() -> f32 {{
{text}
%begin = arith.constant dense<[{", ".join(f"{lane / 1024 - 12:e}" for lane in range(16))}]> : V
%zero = arith.constant 0 : index
%next = arith.constant 1 : index
%steps = arith.constant {24 * 1024 // 16} : index
%worst = scf.for %i = %zero to %steps step %next iter_args(%now = %start) -> V {{
%n = arith.index_cast %i : index to i32
%f = arith.sitofp %n : i32 to f32
%all = vector.broadcast %f : f32 to V
%moved = arith.mulf %all, %step : V
%x = arith.addf %begin, %moved : V
{gelu(0, "fastmath<afn> ")}{gelu(1, "")}
%rounded = arith.truncf %y0 : V to vector<16xbf16>
%wide = arith.extf %rounded : vector<16xbf16> to V
%difference = arith.subf %wide, %y1 : V
%error = math.absf %difference : V
%size = math.absf %y1 : V
%least = arith.maximumf %size, %quarter : V
%share = arith.divf %error, %least : V
%larger = arith.maximumf %now, %share : V
scf.yield %larger : V
}}
%result = vector.reduction <maximumf>, %worst : V into f32
return %result : f32
}}""".replace(": V", ": vector<16xf32>").replace("to V", "to vector<16xf32>").replace("-> V", "-> vector<16xf32>"))
