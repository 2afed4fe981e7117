// Weights that somebody else reads have to be computed anyway.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --fulgur-fuse-attention --remarks-filter-missed=fulgur-fuse-attention --remark-format=emitRemark -o %t.mlir 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: FileCheck %s < %t.mlir
// REMARK: remark: [Missed]{{.*}}the scores or weights are used elsewhere
// CHECK: fulgur.softmax
// CHECK-NOT: fulgur.attention

#map = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>
#map1 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>
#map2 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>
#map3 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
module attributes {fulgur.model = "attention", fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "batch"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "sequence"}]} {
  func.func @main(%arg0: tensor<?x4x?x8xf32> {fulgur.dims = ["batch", "4", "sequence", "8"], fulgur.name = "q"}, %arg1: tensor<?x4x?x8xf32> {fulgur.dims = ["batch", "4", "sequence", "8"], fulgur.name = "k"}, %arg2: tensor<?x4x?x8xf32> {fulgur.dims = ["batch", "4", "sequence", "8"], fulgur.name = "v"}) -> (tensor<?x4x?x8xf32> {fulgur.dims = ["batch", "4", "sequence", "8"], fulgur.name = "matmul_1"}, tensor<?x4x?x?xf32> {fulgur.dims = ["batch", "4", "sequence", "sequence"], fulgur.name = "softmax"}) {
    %0 = fulgur.symbol "batch"
    %1 = fulgur.symbol "sequence"
    %2 = tensor.empty(%0, %1) : tensor<?x4x8x?xf32>
    %transposed = linalg.transpose ins(%arg2 : tensor<?x4x?x8xf32>) outs(%2 : tensor<?x4x8x?xf32>) permutation = [0, 1, 3, 2] 
    %cst = arith.constant 0.000000e+00 : f32
    %3 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %4 = linalg.fill ins(%cst : f32) outs(%3 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %5 = linalg.generic {indexing_maps = [#map, #map1, #map2], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%arg2, %transposed : tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) outs(%4 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_1: f32, %out: f32):
      %12 = arith.mulf %in, %in_1 : f32
      %13 = arith.addf %out, %12 : f32
      linalg.yield %13 : f32
    } -> tensor<?x4x?x?xf32>
    %6 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %7 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%5 : tensor<?x4x?x?xf32>) outs(%6 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_1 = arith.constant 2.500000e-01 : f32
      %12 = arith.mulf %in, %cst_1 : f32
      linalg.yield %12 : f32
    } -> tensor<?x4x?x?xf32>
    %8 = fulgur.softmax %7 {axis = 3 : i64} : tensor<?x4x?x?xf32>
    %cst_0 = arith.constant 0.000000e+00 : f32
    %9 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %10 = linalg.fill ins(%cst_0 : f32) outs(%9 : tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    %11 = linalg.generic {indexing_maps = [#map, #map1, #map2], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%8, %arg2 : tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) outs(%10 : tensor<?x4x?x8xf32>) {
    ^bb0(%in: f32, %in_1: f32, %out: f32):
      %12 = arith.mulf %in, %in_1 : f32
      %13 = arith.addf %out, %12 : f32
      linalg.yield %13 : f32
    } -> tensor<?x4x?x8xf32>
    return %11, %8 : tensor<?x4x?x8xf32>, tensor<?x4x?x?xf32>
  }
}
