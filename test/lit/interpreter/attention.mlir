// The definition of attention and its kernels, for few queries and for many, agree, and no kernel reads outside of its operands.
// RUN: fulgurc %s --compile-from=graph --compile-to=llvm -o %t.mlir --verify-numerics-each 2>&1 | FileCheck %s
// RUN: fulgurc %s --compile-from=graph --compile-to=llvm -o %t.mlir --verify-numerics-each --mcpu=x86-64-v4 2>&1 | FileCheck %s
// CHECK-NOT: not checked
// CHECK: note: numerics: {{[1-9][0-9]*}} changes of the IR checked{{$}}

#query = affine_map<(h, i, d, j, n) -> (h, i, d)>
#key = affine_map<(h, i, d, j, n) -> (j, d)>
#value = affine_map<(h, i, d, j, n) -> (j, n)>
#mask = affine_map<(h, i, d, j, n) -> (i, j)>
#sink = affine_map<(h, i, d, j, n) -> (h)>
#result = affine_map<(h, i, d, j, n) -> (i, h, n)>
module attributes {fulgur.model = "attention", fulgur.stage = "graph",
    fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "queries"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "keys"}]} {
  func.func @main(%q: tensor<2x?x9xf32> {fulgur.dims = ["2", "queries", "9"], fulgur.name = "q"},
                  %k: tensor<?x9xf32> {fulgur.dims = ["keys", "9"], fulgur.name = "k"},
                  %v: tensor<?x5xf32> {fulgur.dims = ["keys", "5"], fulgur.name = "v"},
                  %m: tensor<?x?xf32> {fulgur.dims = ["queries", "keys"], fulgur.name = "m"},
                  %s: tensor<2xf32> {fulgur.dims = ["2"], fulgur.name = "s"},
                  %p: tensor<2x21x9xf32> {fulgur.dims = ["2", "21", "9"], fulgur.name = "p"},
                  %w: tensor<33x9xf32> {fulgur.dims = ["33", "9"], fulgur.name = "w"})
      -> (tensor<?x2x5xf32> {fulgur.dims = ["queries", "2", "5"], fulgur.name = "x"},
          tensor<21x2x9xf32> {fulgur.dims = ["21", "2", "9"], fulgur.name = "y"}) {
    %x = fulgur.attention %q, %k, %v extras(%m : tensor<?x?xf32>) sink(%s : tensor<2xf32>) maps [#query, #key, #value, #mask, #sink, #result] {
    ^bb0(%a: f32, %i: index, %j: index, %b: f32):
      %half = arith.constant 0.5 : f32
      %c = arith.mulf %a, %half : f32
      %d = arith.addf %c, %b : f32
      fulgur.yield %d : f32
    } : tensor<2x?x9xf32>, tensor<?x9xf32>, tensor<?x5xf32> -> tensor<?x2x5xf32>
    %offset = arith.constant 12 : index
    %y = fulgur.attention %p, %w, %w causal(%offset) maps [#query, #key, #value, #result] attributes {window = 7 : i64, zero_empty_rows} {
    ^bb0(%a: f32, %i: index, %j: index):
      fulgur.yield %a : f32
    } : tensor<2x21x9xf32>, tensor<33x9xf32>, tensor<33x9xf32> -> tensor<21x2x9xf32>
    return %x, %y : tensor<?x2x5xf32>, tensor<21x2x9xf32>
  }
}
