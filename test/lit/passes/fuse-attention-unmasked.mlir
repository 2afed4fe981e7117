// ONNX's Attention without a mask: its definition adds zeros, and asks in each row whether all of them are -∞.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --fulgur-fuse-attention | FileCheck %s
// CHECK: %[[OUT:.*]] = fulgur.attention %arg0, %arg1, %arg2 maps
// CHECK-NOT: arith.select
// CHECK: return %[[OUT]]

#map = affine_map<(d0, d1) -> (d0, d1)>
#map1 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map2 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>
#map3 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>
#map4 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>
#map5 = affine_map<(d0, d1, d2, d3) -> (d2, d3)>
#map6 = affine_map<(d0, d1) -> (d0)>
#map7 = affine_map<(d0, d1, d2, d3) -> (d2, 0)>
module attributes {fulgur.model = "attention", fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "b"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "s"}]} {
  func.func @main(%arg0: tensor<?x12x?x64xf32> {fulgur.dims = ["b", "12", "s", "64"], fulgur.name = "q"}, %arg1: tensor<?x12x?x64xf32> {fulgur.dims = ["b", "12", "s", "64"], fulgur.name = "k"}, %arg2: tensor<?x12x?x64xf32> {fulgur.dims = ["b", "12", "s", "64"], fulgur.name = "v"}) -> (tensor<?x12x?x64xf32> {fulgur.dims = ["b", "12", "s", "64"], fulgur.name = "y"}) {
    %0 = fulgur.symbol "s"
    %1 = fulgur.symbol "b"
    %2 = tensor.empty(%0, %0) : tensor<?x?xf32>
    %3 = linalg.generic {indexing_maps = [#map], iterator_types = ["parallel", "parallel"]} outs(%2 : tensor<?x?xf32>) {
    ^bb0(%out: f32):
      %cst_5 = arith.constant 0.000000e+00 : f32
      linalg.yield %cst_5 : f32
    } -> tensor<?x?xf32>
    %expanded = tensor.expand_shape %arg1 [[0], [1], [2, 3], [4]] output_shape [%1, 12, 1, %0, 64] : tensor<?x12x?x64xf32> into tensor<?x12x1x?x64xf32>
    %expanded_0 = tensor.expand_shape %arg2 [[0], [1], [2, 3], [4]] output_shape [%1, 12, 1, %0, 64] : tensor<?x12x?x64xf32> into tensor<?x12x1x?x64xf32>
    %collapsed = tensor.collapse_shape %expanded [[0], [1, 2], [3], [4]] : tensor<?x12x1x?x64xf32> into tensor<?x12x?x64xf32>
    %collapsed_1 = tensor.collapse_shape %expanded_0 [[0], [1, 2], [3], [4]] : tensor<?x12x1x?x64xf32> into tensor<?x12x?x64xf32>
    %4 = tensor.empty(%1, %0) : tensor<?x12x64x?xf32>
    %transposed = linalg.transpose ins(%collapsed : tensor<?x12x?x64xf32>) outs(%4 : tensor<?x12x64x?xf32>) permutation = [0, 1, 3, 2] 
    %5 = tensor.empty(%1, %0) : tensor<?x12x?x64xf32>
    %6 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%arg0 : tensor<?x12x?x64xf32>) outs(%5 : tensor<?x12x?x64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_5 = arith.constant 0.353553385 : f32
      %27 = arith.mulf %in, %cst_5 : f32
      linalg.yield %27 : f32
    } -> tensor<?x12x?x64xf32>
    %7 = tensor.empty(%1, %0) : tensor<?x12x64x?xf32>
    %8 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%transposed : tensor<?x12x64x?xf32>) outs(%7 : tensor<?x12x64x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_5 = arith.constant 0.353553385 : f32
      %27 = arith.mulf %in, %cst_5 : f32
      linalg.yield %27 : f32
    } -> tensor<?x12x64x?xf32>
    %cst = arith.constant 0.000000e+00 : f32
    %9 = tensor.empty(%1, %0, %0) : tensor<?x12x?x?xf32>
    %10 = linalg.fill ins(%cst : f32) outs(%9 : tensor<?x12x?x?xf32>) -> tensor<?x12x?x?xf32>
    %11 = linalg.generic {indexing_maps = [#map2, #map3, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%6, %8 : tensor<?x12x?x64xf32>, tensor<?x12x64x?xf32>) outs(%10 : tensor<?x12x?x?xf32>) {
    ^bb0(%in: f32, %in_5: f32, %out: f32):
      %27 = arith.mulf %in, %in_5 : f32
      %28 = arith.addf %out, %27 : f32
      linalg.yield %28 : f32
    } -> tensor<?x12x?x?xf32>
    %12 = tensor.empty(%1, %0, %0) : tensor<?x12x?x?xf32>
    %13 = linalg.generic {indexing_maps = [#map1, #map5, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%11, %3 : tensor<?x12x?x?xf32>, tensor<?x?xf32>) outs(%12 : tensor<?x12x?x?xf32>) {
    ^bb0(%in: f32, %in_5: f32, %out: f32):
      %27 = arith.addf %in, %in_5 : f32
      linalg.yield %27 : f32
    } -> tensor<?x12x?x?xf32>
    %14 = fulgur.softmax %13 {axis = 3 : i64} : tensor<?x12x?x?xf32>
    %cst_2 = arith.constant 0xFF800000 : f32
    %15 = tensor.empty(%0) : tensor<?xf32>
    %16 = linalg.fill ins(%cst_2 : f32) outs(%15 : tensor<?xf32>) -> tensor<?xf32>
    %17 = linalg.generic {indexing_maps = [#map, #map6], iterator_types = ["parallel", "reduction"]} ins(%3 : tensor<?x?xf32>) outs(%16 : tensor<?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %27 = arith.maximumf %out, %in : f32
      linalg.yield %27 : f32
    } -> tensor<?xf32>
    %expanded_3 = tensor.expand_shape %17 [[0, 1]] output_shape [%0, 1] : tensor<?xf32> into tensor<?x1xf32>
    %18 = tensor.empty(%0) : tensor<?x1xf32>
    %19 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]} ins(%expanded_3 : tensor<?x1xf32>) outs(%18 : tensor<?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    } -> tensor<?x1xf32>
    %20 = tensor.empty(%0) : tensor<?x1xi1>
    %21 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]} ins(%19 : tensor<?x1xf32>) outs(%20 : tensor<?x1xi1>) {
    ^bb0(%in: f32, %out: i1):
      %cst_5 = arith.constant 0xFF800000 : f32
      %27 = arith.cmpf oeq, %in, %cst_5 : f32
      linalg.yield %27 : i1
    } -> tensor<?x1xi1>
    %22 = tensor.empty(%1, %0, %0) : tensor<?x12x?x?xf32>
    %23 = linalg.generic {indexing_maps = [#map7, #map1, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%21, %14 : tensor<?x1xi1>, tensor<?x12x?x?xf32>) outs(%22 : tensor<?x12x?x?xf32>) {
    ^bb0(%in: i1, %in_5: f32, %out: f32):
      %cst_6 = arith.constant 0.000000e+00 : f32
      %27 = arith.select %in, %cst_6, %in_5 : f32
      linalg.yield %27 : f32
    } -> tensor<?x12x?x?xf32>
    %cst_4 = arith.constant 0.000000e+00 : f32
    %24 = tensor.empty(%1, %0) : tensor<?x12x?x64xf32>
    %25 = linalg.fill ins(%cst_4 : f32) outs(%24 : tensor<?x12x?x64xf32>) -> tensor<?x12x?x64xf32>
    %26 = linalg.generic {indexing_maps = [#map2, #map3, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%23, %collapsed_1 : tensor<?x12x?x?xf32>, tensor<?x12x?x64xf32>) outs(%25 : tensor<?x12x?x64xf32>) {
    ^bb0(%in: f32, %in_5: f32, %out: f32):
      %27 = arith.mulf %in, %in_5 : f32
      %28 = arith.addf %out, %27 : f32
      linalg.yield %28 : f32
    } -> tensor<?x12x?x64xf32>
    return %26 : tensor<?x12x?x64xf32>
  }
}
