// What is added to the score lies with its heads innermost, as a table gives relative positions: rows of keys are made of it once, instead of gathering them in
// every attention that reads them.
// RUN: fulgur-opt %s --fulgur-fuse-attention --canonicalize --cse | FileCheck %s
// RUN: fulgur-opt %s --verify-numerics-each --fulgur-fuse-attention --fulgur-decompose-attention -o %t.mlir 2>&1 | FileCheck %s --check-prefix=RIGHT
// RIGHT-NOT: error
// RIGHT: numerics: {{[0-9]+}} changes of the IR checked{{$}}

// CHECK: %[[ROWS:.*]] = linalg.transpose ins(%arg3 : tensor<5x6x2xf32>) outs(%{{.*}} : tensor<2x5x6xf32>) permutation = [2, 0, 1]
// CHECK-NOT: linalg.transpose
// CHECK: fulgur.attention %arg0, %arg1, %arg2 extras(%[[ROWS]] : tensor<2x5x6xf32>)
#q = affine_map<(h, i, j, d) -> (h, i, d)>
#k = affine_map<(h, i, j, d) -> (h, j, d)>
#s = affine_map<(h, i, j, d) -> (h, i, j)>
#p = affine_map<(h, i, n, j) -> (h, i, j)>
#v = affine_map<(h, i, n, j) -> (h, j, n)>
#y = affine_map<(h, i, n, j) -> (h, i, n)>
#id = affine_map<(h, i, j) -> (h, i, j)>
module attributes {fulgur.model = "attention", fulgur.symbols = []} {
  func.func @main(%q: tensor<2x5x8xf32> {fulgur.dims = ["2", "5", "8"], fulgur.name = "q"}, %k: tensor<2x6x8xf32> {fulgur.dims = ["2", "6", "8"], fulgur.name = "k"},
                  %v: tensor<2x6x8xf32> {fulgur.dims = ["2", "6", "8"], fulgur.name = "v"}, %bias: tensor<5x6x2xf32> {fulgur.dims = ["5", "6", "2"], fulgur.name = "bias"})
      -> (tensor<2x5x8xf32> {fulgur.dims = ["2", "5", "8"], fulgur.name = "y"}) {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<2x5x6xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<2x5x6xf32>) -> tensor<2x5x6xf32>
    %products = linalg.generic {indexing_maps = [#q, #k, #s], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
        ins(%q, %k : tensor<2x5x8xf32>, tensor<2x6x8xf32>) outs(%f : tensor<2x5x6xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %m = arith.mulf %a, %b : f32
      %n = arith.addf %o, %m : f32
      linalg.yield %n : f32
    } -> tensor<2x5x6xf32>
    %turned = linalg.transpose ins(%bias : tensor<5x6x2xf32>) outs(%e : tensor<2x5x6xf32>) permutation = [2, 0, 1]
    %scores = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%products, %turned : tensor<2x5x6xf32>, tensor<2x5x6xf32>) outs(%e : tensor<2x5x6xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %n = arith.addf %a, %b : f32
      linalg.yield %n : f32
    } -> tensor<2x5x6xf32>
    %weights = fulgur.softmax %scores {axis = 2 : i64} : tensor<2x5x6xf32>
    %e2 = tensor.empty() : tensor<2x5x8xf32>
    %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
    %y = linalg.generic {indexing_maps = [#p, #v, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
        ins(%weights, %v : tensor<2x5x6xf32>, tensor<2x6x8xf32>) outs(%f2 : tensor<2x5x8xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %m = arith.mulf %a, %b : f32
      %n = arith.addf %o, %m : f32
      linalg.yield %n : f32
    } -> tensor<2x5x8xf32>
    return %y : tensor<2x5x8xf32>
  }
}
