# strassen-weights.py columns=0.01: a product of 128 rows with 256x128 weights of about the same size, for %choose; `columns` makes every
# third column of the left half so many times as large, `steps` half of the steps of the first half, `one` a single one of them.
import random
import struct
import sys

rows, steps, columns = 128, 256, 128
sizes = dict(a.split("=") for a in sys.argv[1:])
at = random.Random(0)
def factor(k, n):
    f = 1.0
    if n < columns // 2 and n % 3 == 0:
        f *= float(sizes.get("columns", 1))
    if k < steps // 2 and k % 2 == 0:
        f *= float(sizes.get("steps", 1))
    return f * (float(sizes.get("one", 1)) if k == 5 else 1)
numbers = [at.uniform(-1, 1) * factor(k, n) for k in range(steps) for n in range(columns)]
bits = struct.pack(f"<{len(numbers)}f", *numbers).hex()
a, b, c = f"tensor<{rows}x{steps}xf32>", f"tensor<{steps}x{columns}xf32>", f"tensor<{rows}x{columns}xf32>"
print(f"""func.func @product(%a: {a}, %out: {c}) -> {c} {{
  %weight = arith.constant dense<"0x{bits}"> : {b}
  %r = fulgur.kernel ins(%a, %weight : {a}, {b}) outs(%out : {c}) {{
  ^bb0(%x: {a}, %w: {b}, %o: {c}):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : {c}) -> {c}
    %p = linalg.matmul ins(%x, %w : {a}, {b}) outs(%init : {c}) -> {c}
    fulgur.yield %p : {c}
  }} -> {c}
  return %r : {c}
}}""")
