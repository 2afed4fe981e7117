// Rows that are rounded to bytes: by themselves, and by the kernel that multiplies them with weights of few bits.
// RUN: fulgurc %s --compile-from=graph --compile-to=llvm -o %t.mlir --verify-numerics-each --mcpu=x86-64-v3 2>&1 | FileCheck %s
// RUN: fulgurc %s --compile-from=graph --compile-to=llvm -o %t.mlir --verify-numerics-each --mcpu=x86-64-v4 --mattr=+avx512vnni 2>&1 | FileCheck %s
// RUN: fulgurc %s --compile-from=graph --compile-to=llvm -o %t.mlir --verify-numerics-each --mcpu=x86-64-v2 2>&1 | FileCheck %s
// CHECK-NOT: not checked
// CHECK: note: numerics: {{[1-9][0-9]*}} changes of the IR checked{{$}}

#rows = affine_map<(m, n, k) -> (m, k)>
#columns = affine_map<(m, n, k) -> (n, k)>
#result = affine_map<(m, n, k) -> (m, n)>
module attributes {fulgur.model = "rounded", fulgur.stage = "graph",
    fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "rows"}]} {
  func.func @main(%x: tensor<?x32xf32> {fulgur.dims = ["rows", "32"], fulgur.name = "x"})
      -> (tensor<?x32xf32> {fulgur.dims = ["rows", "32"], fulgur.name = "alone"},
          tensor<?x3xf32> {fulgur.dims = ["rows", "3"], fulgur.name = "product"}) {
    %rows = fulgur.symbol "rows"
    %zero = arith.constant 0.0 : f32
    %none = tensor.empty(%rows) : tensor<?x3xf32>
    %sums = linalg.fill ins(%zero : f32) outs(%none : tensor<?x3xf32>) -> tensor<?x3xf32>
    %codes = arith.constant dense<"0x4420823CFDE6F1C26B30F90EC7DD01E4887534A20F0B0D04C36ED80E71E0FD77B07670EB940BD5335F973DAAD8619B91"> : tensor<3x16xi8>
    %scale = arith.constant dense<[[0.5, -1.0], [0.25, 1.5], [0.75, 0.125]]> : tensor<3x2xf32>
    %w = fulgur.dequantize %codes, %scale {axis = 1 : i64, bits = 4 : i64, block = 16 : i64, offset = 8 : i64, per_byte = 2 : i64}
      : tensor<3x16xi8>, tensor<3x2xf32> -> tensor<3x32xf32>
    %r = fulgur.round_blocks %x {block = 16 : i64} : tensor<?x32xf32>
    %y = linalg.matmul indexing_maps = [#rows, #columns, #result] ins(%r, %w : tensor<?x32xf32>, tensor<3x32xf32>)
      outs(%sums : tensor<?x3xf32>) -> tensor<?x3xf32>
    %e = tensor.empty(%rows) : tensor<?x32xf32>
    %alone = linalg.generic {indexing_maps = [affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (m, k)>], iterator_types = ["parallel", "parallel"]}
        ins(%r : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) {
    ^bb0(%a: f32, %o: f32):
      %n = arith.negf %a : f32
      linalg.yield %n : f32
    } -> tensor<?x32xf32>
    return %alone, %y : tensor<?x32xf32>, tensor<?x3xf32>
  }
}
