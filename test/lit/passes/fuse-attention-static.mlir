// Sizes that are known: the batch of one is no loop of the products, and what the importer computed of positions is a constant.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --fulgur-fuse-attention --canonicalize --cse | FileCheck %s
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --verify-numerics-each --fulgur-fuse-attention --fulgur-decompose-attention -o %t.mlir 2>&1 | FileCheck %s --check-prefix=RIGHT
// RIGHT-NOT: error
// RIGHT: numerics: {{[0-9]+}} changes of the IR checked{{$}}

// CHECK-NOT: linalg.transpose
// CHECK: fulgur.attention {{.*}} extras(%{{.*}} : tensor<6xf32>) causal(%c0)
// CHECK-SAME: maps [#[[Q:.*]], #[[K:.*]], #[[V:.*]], #[[MASK:.*]], #[[OUT:.*]]]
// CHECK-NOT: linalg.transpose

#map = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map1 = affine_map<(d0, d1, d2, d3) -> (d0, d1, 0, d3)>
#map2 = affine_map<(d0, d1, d2, d3, d4) -> (d1, d2, d4)>
#map3 = affine_map<(d0, d1, d2, d3, d4) -> (d1, d4, d3)>
#map4 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>
#map5 = affine_map<(d0, d1, d2, d3) -> (d0, 0, d2, d3)>
module attributes {fulgur.model = "attention", fulgur.symbols = []} {
  func.func @main(%arg0: tensor<1x6x32xf32> {fulgur.dims = ["1", "6", "32"], fulgur.name = "q"}, %arg1: tensor<1x6x32xf32> {fulgur.dims = ["1", "6", "32"], fulgur.name = "k"}, %arg2: tensor<1x6x32xf32> {fulgur.dims = ["1", "6", "32"], fulgur.name = "v"}, %arg3: tensor<1x6xi64> {fulgur.dims = ["1", "6"], fulgur.name = "mask"}) -> (tensor<1x6x32xf32> {fulgur.dims = ["1", "6", "32"], fulgur.name = "view_3"}) {
    %expanded = tensor.expand_shape %arg0 [[0], [1], [2, 3]] output_shape [1, 6, 4, 8] : tensor<1x6x32xf32> into tensor<1x6x4x8xf32>
    %0 = tensor.empty() : tensor<1x4x6x8xf32>
    %transposed = linalg.transpose ins(%expanded : tensor<1x6x4x8xf32>) outs(%0 : tensor<1x4x6x8xf32>) permutation = [0, 2, 1, 3] 
    %expanded_0 = tensor.expand_shape %arg1 [[0], [1], [2, 3]] output_shape [1, 6, 4, 8] : tensor<1x6x32xf32> into tensor<1x6x4x8xf32>
    %1 = tensor.empty() : tensor<1x4x6x8xf32>
    %transposed_1 = linalg.transpose ins(%expanded_0 : tensor<1x6x4x8xf32>) outs(%1 : tensor<1x4x6x8xf32>) permutation = [0, 2, 1, 3] 
    %expanded_2 = tensor.expand_shape %arg2 [[0], [1], [2, 3]] output_shape [1, 6, 4, 8] : tensor<1x6x32xf32> into tensor<1x6x4x8xf32>
    %2 = tensor.empty() : tensor<1x4x6x8xf32>
    %transposed_3 = linalg.transpose ins(%expanded_2 : tensor<1x6x4x8xf32>) outs(%2 : tensor<1x4x6x8xf32>) permutation = [0, 2, 1, 3] 
    %expanded_4 = tensor.expand_shape %arg3 [[0], [1, 2, 3]] output_shape [1, 1, 1, 6] : tensor<1x6xi64> into tensor<1x1x1x6xi64>
    %3 = tensor.empty() : tensor<1x1x1x6xi1>
    %4 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_4 : tensor<1x1x1x6xi64>) outs(%3 : tensor<1x1x1x6xi1>) {
    ^bb0(%in: i64, %out: i1):
      %c0_i64 = arith.constant 0 : i64
      %28 = arith.cmpi eq, %in, %c0_i64 : i64
      %true = arith.constant true
      %29 = arith.xori %28, %true : i1
      linalg.yield %29 : i1
    } -> tensor<1x1x1x6xi1>
    %5 = tensor.empty() : tensor<1x1x6x6xi1>
    %cst = arith.constant dense<[[[[true, false, false, false, false, false], [true, true, false, false, false, false], [true, true, true, false, false, false], [true, true, true, true, false, false], [true, true, true, true, true, false], [true, true, true, true, true, true]]]]> : tensor<1x1x6x6xi1>
    %6 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%cst, %4 : tensor<1x1x6x6xi1>, tensor<1x1x1x6xi1>) outs(%5 : tensor<1x1x6x6xi1>) {
    ^bb0(%in: i1, %in_15: i1, %out: i1):
      %28 = arith.andi %in, %in_15 : i1
      linalg.yield %28 : i1
    } -> tensor<1x1x6x6xi1>
    %collapsed = tensor.collapse_shape %transposed_1 [[0, 1], [2], [3]] : tensor<1x4x6x8xf32> into tensor<4x6x8xf32>
    %7 = tensor.empty() : tensor<4x8x6xf32>
    %transposed_5 = linalg.transpose ins(%collapsed : tensor<4x6x8xf32>) outs(%7 : tensor<4x8x6xf32>) permutation = [0, 2, 1] 
    %expanded_6 = tensor.expand_shape %transposed_5 [[0, 1], [2], [3]] output_shape [1, 4, 8, 6] : tensor<4x8x6xf32> into tensor<1x4x8x6xf32>
    %8 = tensor.empty() : tensor<1x4x6x8xf32>
    %9 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%transposed : tensor<1x4x6x8xf32>) outs(%8 : tensor<1x4x6x8xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_15 = arith.constant 0.594603539 : f32
      %28 = arith.mulf %in, %cst_15 : f32
      linalg.yield %28 : f32
    } -> tensor<1x4x6x8xf32>
    %10 = tensor.empty() : tensor<1x4x8x6xf32>
    %11 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_6 : tensor<1x4x8x6xf32>) outs(%10 : tensor<1x4x8x6xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_15 = arith.constant 0.594603539 : f32
      %28 = arith.mulf %in, %cst_15 : f32
      linalg.yield %28 : f32
    } -> tensor<1x4x8x6xf32>
    %12 = tensor.empty() : tensor<1x1x6x6xf32>
    %13 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%6 : tensor<1x1x6x6xi1>) outs(%12 : tensor<1x1x6x6xf32>) {
    ^bb0(%in: i1, %out: f32):
      %cst_15 = arith.constant 0.000000e+00 : f32
      %cst_16 = arith.constant -3.40282347E+38 : f32
      %28 = arith.select %in, %cst_15, %cst_16 : f32
      linalg.yield %28 : f32
    } -> tensor<1x1x6x6xf32>
    %collapsed_7 = tensor.collapse_shape %9 [[0, 1], [2], [3]] : tensor<1x4x6x8xf32> into tensor<4x6x8xf32>
    %collapsed_8 = tensor.collapse_shape %11 [[0, 1], [2], [3]] : tensor<1x4x8x6xf32> into tensor<4x8x6xf32>
    %cst_9 = arith.constant 0.000000e+00 : f32
    %14 = tensor.empty() : tensor<1x4x6x6xf32>
    %15 = linalg.fill ins(%cst_9 : f32) outs(%14 : tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32>
    %16 = linalg.generic {indexing_maps = [#map2, #map3, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%collapsed_7, %collapsed_8 : tensor<4x6x8xf32>, tensor<4x8x6xf32>) outs(%15 : tensor<1x4x6x6xf32>) {
    ^bb0(%in: f32, %in_15: f32, %out: f32):
      %28 = arith.mulf %in, %in_15 : f32
      %29 = arith.addf %out, %28 : f32
      linalg.yield %29 : f32
    } -> tensor<1x4x6x6xf32>
    %17 = tensor.empty() : tensor<1x4x6x6xf32>
    %18 = linalg.generic {indexing_maps = [#map, #map5, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%16, %13 : tensor<1x4x6x6xf32>, tensor<1x1x6x6xf32>) outs(%17 : tensor<1x4x6x6xf32>) {
    ^bb0(%in: f32, %in_15: f32, %out: f32):
      %28 = arith.addf %in, %in_15 : f32
      linalg.yield %28 : f32
    } -> tensor<1x4x6x6xf32>
    %19 = fulgur.softmax %18 {axis = 3 : i64} : tensor<1x4x6x6xf32>
    %20 = tensor.empty() : tensor<1x4x6x6xi1>
    %21 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%19 : tensor<1x4x6x6xf32>) outs(%20 : tensor<1x4x6x6xi1>) {
    ^bb0(%in: f32, %out: i1):
      %28 = arith.cmpf une, %in, %in : f32
      linalg.yield %28 : i1
    } -> tensor<1x4x6x6xi1>
    %22 = tensor.empty() : tensor<1x4x6x6xf32>
    %23 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%21, %19 : tensor<1x4x6x6xi1>, tensor<1x4x6x6xf32>) outs(%22 : tensor<1x4x6x6xf32>) {
    ^bb0(%in: i1, %in_15: f32, %out: f32):
      %cst_16 = arith.constant 0.000000e+00 : f32
      %28 = arith.select %in, %cst_16, %in_15 : f32
      linalg.yield %28 : f32
    } -> tensor<1x4x6x6xf32>
    %collapsed_10 = tensor.collapse_shape %23 [[0, 1], [2], [3]] : tensor<1x4x6x6xf32> into tensor<4x6x6xf32>
    %collapsed_11 = tensor.collapse_shape %transposed_3 [[0, 1], [2], [3]] : tensor<1x4x6x8xf32> into tensor<4x6x8xf32>
    %cst_12 = arith.constant 0.000000e+00 : f32
    %24 = tensor.empty() : tensor<1x4x6x8xf32>
    %25 = linalg.fill ins(%cst_12 : f32) outs(%24 : tensor<1x4x6x8xf32>) -> tensor<1x4x6x8xf32>
    %26 = linalg.generic {indexing_maps = [#map2, #map3, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%collapsed_10, %collapsed_11 : tensor<4x6x6xf32>, tensor<4x6x8xf32>) outs(%25 : tensor<1x4x6x8xf32>) {
    ^bb0(%in: f32, %in_15: f32, %out: f32):
      %28 = arith.mulf %in, %in_15 : f32
      %29 = arith.addf %out, %28 : f32
      linalg.yield %29 : f32
    } -> tensor<1x4x6x8xf32>
    %27 = tensor.empty() : tensor<1x6x4x8xf32>
    %transposed_13 = linalg.transpose ins(%26 : tensor<1x4x6x8xf32>) outs(%27 : tensor<1x6x4x8xf32>) permutation = [0, 2, 1, 3] 
    %collapsed_14 = tensor.collapse_shape %transposed_13 [[0], [1], [2, 3]] : tensor<1x6x4x8xf32> into tensor<1x6x32xf32>
    return %collapsed_14 : tensor<1x6x32xf32>
  }
}
