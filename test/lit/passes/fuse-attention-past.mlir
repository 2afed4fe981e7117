// Attention of a decoder: keys behind a past, two heads to one head of keys, whose copies disappear, and a mask of positions and
// padding, of which the positions become causal.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --fulgur-fuse-attention --canonicalize --cse | FileCheck %s
// The same numbers, as far as the interpreter knows the operations:
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --verify-numerics-each --fulgur-fuse-attention --fulgur-decompose-attention -o %t.mlir 2>&1 | FileCheck %s --check-prefix=RIGHT
// RIGHT-NOT: error
// RIGHT: numerics: {{[0-9]+}} changes of the IR checked{{$}}

// CHECK: %[[K:.*]] = tensor.concat dim(2) %arg3
// CHECK: %[[V:.*]] = tensor.concat dim(2) %arg4
// CHECK: %[[Q:.*]] = tensor.expand_shape %arg0 {{.*}} into tensor<?x?x2x2x8xf32>
// CHECK: %[[PAST:.*]] = fulgur.symbol "past"
// CHECK: %[[MASK:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<?x?xf32>)
// CHECK: fulgur.attention %[[Q]], %[[K]], %[[V]] extras(%[[MASK]] : tensor<?x?xf32>) causal(%[[PAST]])
// CHECK-NOT: linalg.generic
// CHECK: return

#map = affine_map<(d0) -> (d0)>
#map1 = affine_map<(d0, d1) -> (0, d1)>
#map2 = affine_map<(d0, d1) -> (d0, 0)>
#map3 = affine_map<(d0, d1) -> (d0, d1)>
#map4 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map5 = affine_map<(d0, d1, d2, d3) -> (0, d1, d2, d3)>
#map6 = affine_map<(d0, d1, d2, d3) -> (d0, d1, 0, d3)>
#map7 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, 0, d3, d4)>
#map8 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>
#map9 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>
#map10 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>
#map11 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>
#map12 = affine_map<(d0, d1, d2, d3) -> (d0, 0, d2, d3)>
module attributes {fulgur.model = "attention", fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "batch"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "sequence"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "past"}]} {
  func.func @main(%arg0: tensor<?x?x32xf32> {fulgur.dims = ["batch", "sequence", "32"], fulgur.name = "q"}, %arg1: tensor<?x?x16xf32> {fulgur.dims = ["batch", "sequence", "16"], fulgur.name = "k"}, %arg2: tensor<?x?x16xf32> {fulgur.dims = ["batch", "sequence", "16"], fulgur.name = "v"}, %arg3: tensor<?x2x?x8xf32> {fulgur.dims = ["batch", "2", "past", "8"], fulgur.name = "pk"}, %arg4: tensor<?x2x?x8xf32> {fulgur.dims = ["batch", "2", "past", "8"], fulgur.name = "pv"}, %arg5: tensor<?x?xi64> {fulgur.dims = ["batch", "past"], fulgur.name = "pm"}, %arg6: tensor<?x?xi64> {fulgur.dims = ["batch", "sequence"], fulgur.name = "mask"}) -> (tensor<?x?x32xf32> {fulgur.dims = ["batch", "sequence", "32"], fulgur.name = "179"}, tensor<?x2x?x8xf32> {fulgur.dims = ["batch", "2", "sequence + past", "8"], fulgur.name = "k.1"}, tensor<?x2x?x8xf32> {fulgur.dims = ["batch", "2", "sequence + past", "8"], fulgur.name = "v.1"}) {
    %0 = fulgur.symbol "batch"
    %1 = fulgur.symbol "sequence"
    %2 = fulgur.symbol "past"
    %3 = arith.addi %1, %2 overflow<nsw> : index
    %expanded = tensor.expand_shape %arg0 [[0], [1], [2, 3]] output_shape [%0, %1, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
    %4 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %transposed = linalg.transpose ins(%expanded : tensor<?x?x4x8xf32>) outs(%4 : tensor<?x4x?x8xf32>) permutation = [0, 2, 1, 3] 
    %expanded_0 = tensor.expand_shape %arg1 [[0], [1], [2, 3]] output_shape [%0, %1, 2, 8] : tensor<?x?x16xf32> into tensor<?x?x2x8xf32>
    %5 = tensor.empty(%0, %1) : tensor<?x2x?x8xf32>
    %transposed_1 = linalg.transpose ins(%expanded_0 : tensor<?x?x2x8xf32>) outs(%5 : tensor<?x2x?x8xf32>) permutation = [0, 2, 1, 3] 
    %expanded_2 = tensor.expand_shape %arg2 [[0], [1], [2, 3]] output_shape [%0, %1, 2, 8] : tensor<?x?x16xf32> into tensor<?x?x2x8xf32>
    %6 = tensor.empty(%0, %1) : tensor<?x2x?x8xf32>
    %transposed_3 = linalg.transpose ins(%expanded_2 : tensor<?x?x2x8xf32>) outs(%6 : tensor<?x2x?x8xf32>) permutation = [0, 2, 1, 3] 
    %concat = tensor.concat dim(2) %arg3, %transposed_1 : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
    %concat_4 = tensor.concat dim(2) %arg4, %transposed_3 : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
    %concat_5 = tensor.concat dim(1) %arg5, %arg6 : (tensor<?x?xi64>, tensor<?x?xi64>) -> tensor<?x?xi64>
    %7 = tensor.empty(%1) : tensor<?xi64>
    %8 = linalg.generic {indexing_maps = [#map], iterator_types = ["parallel"]} outs(%7 : tensor<?xi64>) {
    ^bb0(%out: i64):
      %44 = linalg.index 0 : index
      %45 = arith.index_cast %44 : index to i64
      linalg.yield %45 : i64
    } -> tensor<?xi64>
    %9 = tensor.empty(%1) : tensor<?xi64>
    %10 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%8 : tensor<?xi64>) outs(%9 : tensor<?xi64>) {
    ^bb0(%in: i64, %out: i64):
      %44 = arith.index_cast %2 : index to i64
      %45 = arith.addi %in, %44 : i64
      linalg.yield %45 : i64
    } -> tensor<?xi64>
    %11 = tensor.empty(%3) : tensor<?xi64>
    %12 = linalg.generic {indexing_maps = [#map], iterator_types = ["parallel"]} outs(%11 : tensor<?xi64>) {
    ^bb0(%out: i64):
      %44 = linalg.index 0 : index
      %45 = arith.index_cast %44 : index to i64
      linalg.yield %45 : i64
    } -> tensor<?xi64>
    %expanded_6 = tensor.expand_shape %12 [[0, 1]] output_shape [1, %3] : tensor<?xi64> into tensor<1x?xi64>
    %expanded_7 = tensor.expand_shape %10 [[0, 1]] output_shape [%1, 1] : tensor<?xi64> into tensor<?x1xi64>
    %13 = tensor.empty(%1, %3) : tensor<?x?xi1>
    %14 = linalg.generic {indexing_maps = [#map1, #map2, #map3], iterator_types = ["parallel", "parallel"]} ins(%expanded_6, %expanded_7 : tensor<1x?xi64>, tensor<?x1xi64>) outs(%13 : tensor<?x?xi1>) {
    ^bb0(%in: i64, %in_19: i64, %out: i1):
      %44 = arith.cmpi sle, %in, %in_19 : i64
      linalg.yield %44 : i1
    } -> tensor<?x?xi1>
    %expanded_8 = tensor.expand_shape %14 [[0, 1], [2]] output_shape [1, %1, %3] : tensor<?x?xi1> into tensor<1x?x?xi1>
    %expanded_9 = tensor.expand_shape %expanded_8 [[0], [1, 2], [3]] output_shape [1, 1, %1, %3] : tensor<1x?x?xi1> into tensor<1x1x?x?xi1>
    %expanded_10 = tensor.expand_shape %concat_5 [[0], [1, 2]] output_shape [%0, 1, %3] : tensor<?x?xi64> into tensor<?x1x?xi64>
    %expanded_11 = tensor.expand_shape %expanded_10 [[0], [1], [2, 3]] output_shape [%0, 1, 1, %3] : tensor<?x1x?xi64> into tensor<?x1x1x?xi64>
    %15 = tensor.empty(%0, %3) : tensor<?x1x1x?xi1>
    %16 = linalg.generic {indexing_maps = [#map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_11 : tensor<?x1x1x?xi64>) outs(%15 : tensor<?x1x1x?xi1>) {
    ^bb0(%in: i64, %out: i1):
      %c0_i64 = arith.constant 0 : i64
      %44 = arith.cmpi eq, %in, %c0_i64 : i64
      %true = arith.constant true
      %45 = arith.xori %44, %true : i1
      linalg.yield %45 : i1
    } -> tensor<?x1x1x?xi1>
    %17 = tensor.empty(%0, %1, %3) : tensor<?x1x?x?xi1>
    %18 = linalg.generic {indexing_maps = [#map5, #map6, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_9, %16 : tensor<1x1x?x?xi1>, tensor<?x1x1x?xi1>) outs(%17 : tensor<?x1x?x?xi1>) {
    ^bb0(%in: i1, %in_19: i1, %out: i1):
      %44 = arith.andi %in, %in_19 : i1
      linalg.yield %44 : i1
    } -> tensor<?x1x?x?xi1>
    %expanded_12 = tensor.expand_shape %concat [[0], [1], [2, 3], [4]] output_shape [%0, 2, 1, %3, 8] : tensor<?x2x?x8xf32> into tensor<?x2x1x?x8xf32>
    %19 = tensor.empty(%0, %3) : tensor<?x2x2x?x8xf32>
    %20 = linalg.generic {indexing_maps = [#map7, #map8], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%expanded_12 : tensor<?x2x1x?x8xf32>) outs(%19 : tensor<?x2x2x?x8xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    } -> tensor<?x2x2x?x8xf32>
    %collapsed = tensor.collapse_shape %20 [[0], [1, 2], [3], [4]] : tensor<?x2x2x?x8xf32> into tensor<?x4x?x8xf32>
    %expanded_13 = tensor.expand_shape %concat_4 [[0], [1], [2, 3], [4]] output_shape [%0, 2, 1, %3, 8] : tensor<?x2x?x8xf32> into tensor<?x2x1x?x8xf32>
    %21 = tensor.empty(%0, %3) : tensor<?x2x2x?x8xf32>
    %22 = linalg.generic {indexing_maps = [#map7, #map8], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%expanded_13 : tensor<?x2x1x?x8xf32>) outs(%21 : tensor<?x2x2x?x8xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    } -> tensor<?x2x2x?x8xf32>
    %collapsed_14 = tensor.collapse_shape %22 [[0], [1, 2], [3], [4]] : tensor<?x2x2x?x8xf32> into tensor<?x4x?x8xf32>
    %23 = tensor.empty(%0, %3) : tensor<?x4x8x?xf32>
    %transposed_15 = linalg.transpose ins(%collapsed : tensor<?x4x?x8xf32>) outs(%23 : tensor<?x4x8x?xf32>) permutation = [0, 1, 3, 2] 
    %24 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %25 = linalg.generic {indexing_maps = [#map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%transposed : tensor<?x4x?x8xf32>) outs(%24 : tensor<?x4x?x8xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_19 = arith.constant 0.594603539 : f32
      %44 = arith.mulf %in, %cst_19 : f32
      linalg.yield %44 : f32
    } -> tensor<?x4x?x8xf32>
    %26 = tensor.empty(%0, %3) : tensor<?x4x8x?xf32>
    %27 = linalg.generic {indexing_maps = [#map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%transposed_15 : tensor<?x4x8x?xf32>) outs(%26 : tensor<?x4x8x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_19 = arith.constant 0.594603539 : f32
      %44 = arith.mulf %in, %cst_19 : f32
      linalg.yield %44 : f32
    } -> tensor<?x4x8x?xf32>
    %cst = arith.constant 0.000000e+00 : f32
    %28 = tensor.empty(%0, %1, %3) : tensor<?x4x?x?xf32>
    %29 = linalg.fill ins(%cst : f32) outs(%28 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %30 = linalg.generic {indexing_maps = [#map9, #map10, #map11], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%25, %27 : tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) outs(%29 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_19: f32, %out: f32):
      %44 = arith.mulf %in, %in_19 : f32
      %45 = arith.addf %out, %44 : f32
      linalg.yield %45 : f32
    } -> tensor<?x4x?x?xf32>
    %31 = tensor.empty(%0, %1, %3) : tensor<?x1x?x?xf32>
    %32 = linalg.generic {indexing_maps = [#map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%18 : tensor<?x1x?x?xi1>) outs(%31 : tensor<?x1x?x?xf32>) {
    ^bb0(%in: i1, %out: f32):
      %cst_19 = arith.constant 0.000000e+00 : f32
      %cst_20 = arith.constant 0xFF800000 : f32
      %44 = arith.select %in, %cst_19, %cst_20 : f32
      linalg.yield %44 : f32
    } -> tensor<?x1x?x?xf32>
    %33 = tensor.empty(%0, %1, %3) : tensor<?x4x?x?xf32>
    %34 = linalg.generic {indexing_maps = [#map4, #map12, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%30, %32 : tensor<?x4x?x?xf32>, tensor<?x1x?x?xf32>) outs(%33 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_19: f32, %out: f32):
      %44 = arith.addf %in, %in_19 : f32
      linalg.yield %44 : f32
    } -> tensor<?x4x?x?xf32>
    %35 = fulgur.softmax %34 {axis = 3 : i64} : tensor<?x4x?x?xf32>
    %36 = tensor.empty(%0, %1, %3) : tensor<?x4x?x?xi1>
    %37 = linalg.generic {indexing_maps = [#map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%35 : tensor<?x4x?x?xf32>) outs(%36 : tensor<?x4x?x?xi1>) {
    ^bb0(%in: f32, %out: i1):
      %44 = arith.cmpf une, %in, %in : f32
      linalg.yield %44 : i1
    } -> tensor<?x4x?x?xi1>
    %38 = tensor.empty(%0, %1, %3) : tensor<?x4x?x?xf32>
    %39 = linalg.generic {indexing_maps = [#map4, #map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%37, %35 : tensor<?x4x?x?xi1>, tensor<?x4x?x?xf32>) outs(%38 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: i1, %in_19: f32, %out: f32):
      %cst_20 = arith.constant 0.000000e+00 : f32
      %44 = arith.select %in, %cst_20, %in_19 : f32
      linalg.yield %44 : f32
    } -> tensor<?x4x?x?xf32>
    %cst_16 = arith.constant 0.000000e+00 : f32
    %40 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %41 = linalg.fill ins(%cst_16 : f32) outs(%40 : tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    %42 = linalg.generic {indexing_maps = [#map9, #map10, #map11], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%39, %collapsed_14 : tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) outs(%41 : tensor<?x4x?x8xf32>) {
    ^bb0(%in: f32, %in_19: f32, %out: f32):
      %44 = arith.mulf %in, %in_19 : f32
      %45 = arith.addf %out, %44 : f32
      linalg.yield %45 : f32
    } -> tensor<?x4x?x8xf32>
    %43 = tensor.empty(%0, %1) : tensor<?x?x4x8xf32>
    %transposed_17 = linalg.transpose ins(%42 : tensor<?x4x?x8xf32>) outs(%43 : tensor<?x?x4x8xf32>) permutation = [0, 2, 1, 3] 
    %collapsed_18 = tensor.collapse_shape %transposed_17 [[0], [1], [2, 3]] : tensor<?x?x4x8xf32> into tensor<?x?x32xf32>
    return %collapsed_18, %concat, %concat_4 : tensor<?x?x32xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
  }
}
