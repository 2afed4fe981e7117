// Attention by products of matrices, [batch * heads, ...], with views in between, a constant triangle and the scale behind.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --fulgur-fuse-attention --canonicalize --cse | FileCheck %s
// The same numbers, as far as the interpreter knows the operations:
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --verify-numerics-each --fulgur-fuse-attention --fulgur-decompose-attention -o %t.mlir 2>&1 | FileCheck %s --check-prefix=RIGHT
// RIGHT-NOT: error
// RIGHT: numerics: {{[0-9]+}} changes of the IR checked{{$}}

// CHECK-DAG: #[[ROWS:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d2, d1, d3)>
// CHECK-NOT: linalg.transpose
// CHECK: fulgur.attention {{.*}} causal(%c0) maps [#[[ROWS]], {{.*}}] {
// CHECK-NEXT: (%[[S:.*]]: f32, %{{.*}}: index, %{{.*}}: index):
// CHECK-NEXT: arith.mulf %[[S]], %{{.*}} : f32
// CHECK-NEXT: fulgur.yield
// CHECK-NOT: linalg.transpose

#map = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#map1 = affine_map<(d0, d1) -> (d0, d1)>
#map2 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map3 = affine_map<(d0, d1, d2, d3) -> (d2, d3)>
module attributes {fulgur.model = "attention", fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "batch"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "sequence"}]} {
  func.func @main(%arg0: tensor<?x?x32xf32> {fulgur.dims = ["batch", "sequence", "32"], fulgur.name = "q"}, %arg1: tensor<?x?x32xf32> {fulgur.dims = ["batch", "sequence", "32"], fulgur.name = "k"}, %arg2: tensor<?x?x32xf32> {fulgur.dims = ["batch", "sequence", "32"], fulgur.name = "v"}) -> (tensor<?x?x32xf32> {fulgur.dims = ["batch", "sequence", "32"], fulgur.name = "122"}) {
    %0 = fulgur.symbol "batch"
    %1 = fulgur.symbol "sequence"
    %c4 = arith.constant 4 : index
    %2 = arith.muli %0, %c4 overflow<nsw> : index
    %expanded = tensor.expand_shape %arg0 [[0], [1], [2, 3]] output_shape [%0, %1, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
    %3 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %transposed = linalg.transpose ins(%expanded : tensor<?x?x4x8xf32>) outs(%3 : tensor<?x4x?x8xf32>) permutation = [0, 2, 1, 3] 
    %collapsed = tensor.collapse_shape %transposed [[0, 1], [2], [3]] : tensor<?x4x?x8xf32> into tensor<?x?x8xf32>
    %expanded_0 = tensor.expand_shape %arg1 [[0], [1], [2, 3]] output_shape [%0, %1, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
    %4 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %transposed_1 = linalg.transpose ins(%expanded_0 : tensor<?x?x4x8xf32>) outs(%4 : tensor<?x4x?x8xf32>) permutation = [0, 2, 1, 3] 
    %collapsed_2 = tensor.collapse_shape %transposed_1 [[0, 1], [2], [3]] : tensor<?x4x?x8xf32> into tensor<?x?x8xf32>
    %expanded_3 = tensor.expand_shape %arg2 [[0], [1], [2, 3]] output_shape [%0, %1, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
    %5 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %transposed_4 = linalg.transpose ins(%expanded_3 : tensor<?x?x4x8xf32>) outs(%5 : tensor<?x4x?x8xf32>) permutation = [0, 2, 1, 3] 
    %collapsed_5 = tensor.collapse_shape %transposed_4 [[0, 1], [2], [3]] : tensor<?x4x?x8xf32> into tensor<?x?x8xf32>
    %6 = tensor.empty(%2, %1) : tensor<?x8x?xf32>
    %transposed_6 = linalg.transpose ins(%collapsed_2 : tensor<?x?x8xf32>) outs(%6 : tensor<?x8x?xf32>) permutation = [0, 2, 1] 
    %cst = arith.constant 0.000000e+00 : f32
    %7 = tensor.empty(%2, %1, %1) : tensor<?x?x?xf32>
    %8 = linalg.fill ins(%cst : f32) outs(%7 : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
    %9 = linalg.batch_matmul ins(%collapsed, %transposed_6 : tensor<?x?x8xf32>, tensor<?x8x?xf32>) outs(%8 : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
    %10 = tensor.empty(%2, %1, %1) : tensor<?x?x?xf32>
    %11 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%9 : tensor<?x?x?xf32>) outs(%10 : tensor<?x?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_13 = arith.constant 2.500000e-01 : f32
      %23 = arith.mulf %in, %cst_13 : f32
      linalg.yield %23 : f32
    } -> tensor<?x?x?xf32>
    %12 = tensor.empty(%1, %1) : tensor<?x?xf32>
    %13 = linalg.generic {indexing_maps = [#map1], iterator_types = ["parallel", "parallel"]} outs(%12 : tensor<?x?xf32>) {
    ^bb0(%out: f32):
      %cst_13 = arith.constant 0xFF800000 : f32
      linalg.yield %cst_13 : f32
    } -> tensor<?x?xf32>
    %14 = tensor.empty(%1, %1) : tensor<?x?xf32>
    %15 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel"]} ins(%13 : tensor<?x?xf32>) outs(%14 : tensor<?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %23 = linalg.index 0 : index
      %24 = linalg.index 1 : index
      %c1 = arith.constant 1 : index
      %25 = arith.addi %23, %c1 : index
      %26 = arith.cmpi sle, %25, %24 : index
      %cst_13 = arith.constant 0.000000e+00 : f32
      %27 = arith.select %26, %in, %cst_13 : f32
      linalg.yield %27 : f32
    } -> tensor<?x?xf32>
    %expanded_7 = tensor.expand_shape %11 [[0, 1], [2], [3]] output_shape [%0, 4, %1, %1] : tensor<?x?x?xf32> into tensor<?x4x?x?xf32>
    %16 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %17 = linalg.generic {indexing_maps = [#map2, #map3, #map2], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_7, %15 : tensor<?x4x?x?xf32>, tensor<?x?xf32>) outs(%16 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_13: f32, %out: f32):
      %23 = arith.addf %in, %in_13 : f32
      linalg.yield %23 : f32
    } -> tensor<?x4x?x?xf32>
    %collapsed_8 = tensor.collapse_shape %17 [[0, 1], [2], [3]] : tensor<?x4x?x?xf32> into tensor<?x?x?xf32>
    %18 = fulgur.softmax %collapsed_8 {axis = 2 : i64} : tensor<?x?x?xf32>
    %cst_9 = arith.constant 0.000000e+00 : f32
    %19 = tensor.empty(%2, %1) : tensor<?x?x8xf32>
    %20 = linalg.fill ins(%cst_9 : f32) outs(%19 : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    %21 = linalg.batch_matmul ins(%18, %collapsed_5 : tensor<?x?x?xf32>, tensor<?x?x8xf32>) outs(%20 : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    %expanded_10 = tensor.expand_shape %21 [[0, 1], [2], [3]] output_shape [%0, 4, %1, 8] : tensor<?x?x8xf32> into tensor<?x4x?x8xf32>
    %22 = tensor.empty(%0, %1) : tensor<?x?x4x8xf32>
    %transposed_11 = linalg.transpose ins(%expanded_10 : tensor<?x4x?x8xf32>) outs(%22 : tensor<?x?x4x8xf32>) permutation = [0, 2, 1, 3] 
    %collapsed_12 = tensor.collapse_shape %transposed_11 [[0], [1], [2, 3]] : tensor<?x?x4x8xf32> into tensor<?x?x32xf32>
    return %collapsed_12 : tensor<?x?x32xf32>
  }
}
