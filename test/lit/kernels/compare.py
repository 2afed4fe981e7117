# Writes a module whose @main computes a kernel twice, by its own builder and by the generic one, and returns the greatest
# absolute difference. Operands are filled with small integers, so that products and sums of them are exact.


def tensor(dims, sizes, element="f32", kind="tensor"):
    """The type of a tensor (or memref) with the named dims; a size is an int, or a str such as "13?" when it is dynamic."""
    return f"{kind}<" + "".join(("?" if str(sizes[d]).endswith("?") else str(sizes[d])) + "x" for d in dims) + element + ">"


def sizes_of(arguments):
    return dict(argument.split("=") for argument in arguments)


def generic(maps, loops, ins, out, body, index):
    """linalg.generic over the named loops; `ins` are (value, type), a "1" in a map stands for a dim of size 1."""
    affine = [f"affine_map<({', '.join(loops)}) -> ({', '.join('0' if d == '1' else d for d in m)})>" for m in maps]
    kinds = ", ".join('"reduction"' if loop not in maps[-1] else '"parallel"' for loop in loops)
    return (f"%v{index} = linalg.generic {{indexing_maps = [{', '.join(affine)}], iterator_types = [{kinds}]}} "
            f"ins({', '.join(v for v, _ in ins)} : {', '.join(t for _, t in ins)}) outs({out[0]} : {out[1]}) {{\n{body}\n}} -> {out[1]}")


def module(sizes, operands, result, body, yielded, specified=None, schedule="", element="f32", change="", rounded=None, last=""):
    """`operands` are (name, dims, element), `result` the dims of what `body` (text on tensors) yields; `specified` is the same
    in other words for the generic builder, where that does not know those of `body`. `element` is the type of the result,
    `change` what happens to the filled operands, `last` to both results. `rounded` is the same rounded to bfloat16, a result in front of the other, which
    has to be equal, too; its destination is %rounded."""
    number = {d: int(str(s).rstrip("?")) for d, s in sizes.items()}
    memref = lambda dims, element="f32": tensor(dims, sizes, element, "memref")
    names = ", ".join(f"%{n}m" for n, _, _ in operands)
    types = ", ".join(memref(d, e) for _, d, e in operands)
    arguments = ", ".join(f"%{n}: {tensor(d, sizes, e)}" for n, d, e in operands)
    out = tensor(result, sizes, element)

    def kernel(destination, schedule, body):
        outs, outTypes, values, results, places = [destination], [memref(result, element)], [yielded], [out], ["%out"]
        if rounded:
            outs, outTypes = [destination[:-1] + "rm", *outs], [memref(result, "bf16"), *outTypes]
            values, results, places = [rounded, *values], [tensor(result, sizes, "bf16"), *results], ["%rounded", *places]
        return f"""fulgur.kernel ins({names} : {types}) outs({", ".join(outs)} : {", ".join(outTypes)}) {schedule} {{
  ^bb0({", ".join([arguments, *(f"{p}: {t}" for p, t in zip(places, results))])}):
    {body}
    fulgur.yield {", ".join(values)} : {", ".join(results)}
  }}"""

    def allocate(name, dims, element):
        dynamic = ", ".join(f"%size{number[d]}" for d in dims if str(sizes[d]).endswith("?"))
        return f"%{name}m = memref.alloc({dynamic}) : {memref(dims, element)}"

    def fill(seed, name, dims, element):
        loops = [f"d{i}" for i in range(len(dims))]
        indices = "\n".join(f"%i{i} = linalg.index {i} : index\n%f{i} = arith.constant {7 + 6 * i} : index\n%p{i} = arith.muli %i{i}, %f{i} : index\n"
                            f"%s{i + 1} = arith.addi %s{i}, %p{i} : index" for i in range(len(dims)))
        value = {"f32": "%g = arith.sitofp %n : i32 to f32\n%e = arith.constant 8.0 : f32\n%v = arith.subf %g, %e : f32",
                 "bf16": "%g = arith.sitofp %n : i32 to f32\n%e = arith.constant 8.0 : f32\n%w = arith.subf %g, %e : f32\n%v = arith.truncf %w : f32 to bf16",
                 "i8": "%e = arith.constant 8 : i32\n%d = arith.subi %n, %e : i32\n%f = arith.constant 15 : i32\n%w = arith.muli %d, %f : i32\n%v = arith.trunci %w : i32 to i8",
                 "f16": "%g = arith.sitofp %n : i32 to f32\n%e = arith.constant 8.0 : f32\n%w = arith.subf %g, %e : f32\n%v = arith.truncf %w : f32 to f16",
                 "index": "%v = arith.index_cast %n : i32 to index",
                 "i1": "%e = arith.constant 5 : i32\n%v = arith.cmpi slt, %n, %e : i32",
                 "i64": "%e = arith.constant 4 : i32\n%k = arith.remui %n, %e : i32\n%v = arith.extui %k : i32 to i64"}[element]
        return f"""linalg.generic {{indexing_maps = [affine_map<({', '.join(loops)}) -> ({', '.join(loops)})>],
      iterator_types = [{', '.join(['"parallel"'] * len(dims))}]}} outs(%{name}m : {memref(dims, element)}) {{
  ^bb0(%o: {element}):
    %s0 = arith.constant {seed} : index
    {indices}
    %m = arith.constant 17 : index
    %r = arith.remui %s{len(dims)}, %m : index
    %n = arith.index_cast %r : index to i32
    {value}
    linalg.yield %v : {element}
  }}"""

    buffers = [*operands, ("built", result, element), ("specified", result, element)]
    both = ""
    if rounded:
        buffers += [("builtr", result, "bf16"), ("specifiedr", result, "bf16")]
    parameters = ", ".join(f"%{n}m: {memref(d, e)}" for n, d, e in buffers)
    outer = "\n".join(f"%l{i} = memref.dim %builtm, %c{i} : {memref(result, element)}" for i in range(len(result)))
    constants = "\n".join(f"%c{i} = arith.constant {i} : index" for i in range(max(2, len(result))))
    position = ", ".join(f"%i{i}" for i in range(len(result)))
    before, after, state = "", "", "%start"
    for i in range(len(result)):
        before += f"%w{i} = scf.for %i{i} = %c0 to %l{i} step %c1 iter_args(%now{i} = {state}) -> f32 {{\n"
        state = f"%now{i}"
        inner = f"%w{i + 1}" if i + 1 < len(result) else "%max"
        after = f"scf.yield {inner} : f32\n}}\n" + after
    newline = "\n  "
    if rounded:
        both = f"""%xr = memref.load %builtrm[{position}] : {memref(result, "bf16")}
  %yr = memref.load %specifiedrm[{position}] : {memref(result, "bf16")}
  %xe = arith.extf %xr : bf16 to f32
  %ye = arith.extf %yr : bf16 to f32
  %dr = arith.subf %xe, %ye : f32
  %ar = math.absf %dr : f32"""
    how = "sitofp" if element[0] == "i" else "extf"
    widen = "" if element == "f32" else f"%x = arith.{how} %xn : {element} to f32\n  %y = arith.{how} %yn : {element} to f32"
    return f"""
func.func private @compute(%call: !llvm.ptr, {parameters}) {{
  {kernel("%builtm", schedule, body)}
  {kernel("%specifiedm", 'schedule(<kind = "generic">)', specified or body)}
  return
}}
func.func private @difference({parameters}) -> f32 {{
  {constants}
  {outer}
  %start = arith.constant 0.0 : f32
  {before}
  %{"xn" if widen else "x"} = memref.load %builtm[{position}] : {memref(result, element)}
  %{"yn" if widen else "y"} = memref.load %specifiedm[{position}] : {memref(result, element)}
  {widen}
  %d = arith.subf %x, %y : f32
  %xnan = arith.cmpf uno, %x, %x : f32
  %ynan = arith.cmpf uno, %y, %y : f32
  %nan = arith.andi %xnan, %ynan : i1
  %distance = arith.select %nan, %start, %d : f32
  %abs = math.absf %distance : f32
  {both}
  %worse = arith.maximumf %abs, {"%ar" if rounded else "%abs"} : f32
  %max = arith.maximumf {state}, %worse : f32
  {after}
  return %w0 : f32
}}
func.func @main() -> f32 {{
  {newline.join(f"%size{n} = arith.constant {n} : index" for n in sorted(set(number.values())))}
  {newline.join(allocate(*buffer) for buffer in buffers)}
  {newline.join(fill(i, *operand) for i, operand in enumerate(operands))}
  {change}
  %call = llvm.mlir.zero : !llvm.ptr
  call @compute(%call, {", ".join(f"%{n}m" for n, _, _ in buffers)}) : (!llvm.ptr, {", ".join(memref(d, e) for _, d, e in buffers)}) -> ()
  {last}
  %worst = call @difference({", ".join(f"%{n}m" for n, _, _ in buffers)}) : ({", ".join(memref(d, e) for _, d, e in buffers)}) -> f32
  return %worst : f32
}}"""
