// A mask over the past and the present, whose dim has a name of its own: what is required of the name is what it is.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --fulgur-fuse-attention | FileCheck %s
// CHECK: fulgur.require
// CHECK: fulgur.attention %arg0, %{{.*}}, %{{.*}} extras(%arg3 : tensor<?x?xf32>)
// CHECK-NOT: arith.select

#map = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map1 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>
#map2 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>
#map3 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>
#map4 = affine_map<(d0, d1, d2, d3) -> (d2, d3)>
#map5 = affine_map<(d0, d1) -> (d0, d1)>
#map6 = affine_map<(d0, d1) -> (d0)>
#map7 = affine_map<(d0, d1, d2, d3) -> (d2, 0)>
module attributes {fulgur.model = "attention", fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "b"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "s"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "p+s"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "p"}]} {
  func.func @main(%arg0: tensor<?x8x?x16xf32> {fulgur.dims = ["b", "8", "s", "16"], fulgur.name = "q"}, %arg1: tensor<?x8x?x16xf32> {fulgur.dims = ["b", "8", "s", "16"], fulgur.name = "k"}, %arg2: tensor<?x8x?x16xf32> {fulgur.dims = ["b", "8", "s", "16"], fulgur.name = "v"}, %arg3: tensor<?x?xf32> {fulgur.dims = ["s", "p+s"], fulgur.name = "m"}, %arg4: tensor<?x8x?x16xf32> {fulgur.dims = ["b", "8", "p", "16"], fulgur.name = "pk"}, %arg5: tensor<?x8x?x16xf32> {fulgur.dims = ["b", "8", "p", "16"], fulgur.name = "pv"}) -> (tensor<?x8x?x16xf32> {fulgur.dims = ["b", "8", "s", "16"], fulgur.name = "y"}, tensor<?x8x?x16xf32> {fulgur.dims = ["b", "8", "p+s", "16"], fulgur.name = "nk"}, tensor<?x8x?x16xf32> {fulgur.dims = ["b", "8", "p+s", "16"], fulgur.name = "nv"}) {
    %0 = fulgur.symbol "p+s"
    %1 = fulgur.symbol "s"
    %2 = fulgur.symbol "p"
    %3 = arith.addi %1, %2 overflow<nsw> : index
    %4 = arith.cmpi eq, %0, %3 : index
    fulgur.require %4, "'p+s' and 's + p' must be equal"
    %5 = fulgur.symbol "b"
    %concat = tensor.concat dim(2) %arg4, %arg1 : (tensor<?x8x?x16xf32>, tensor<?x8x?x16xf32>) -> tensor<?x8x?x16xf32>
    %concat_0 = tensor.concat dim(2) %arg5, %arg2 : (tensor<?x8x?x16xf32>, tensor<?x8x?x16xf32>) -> tensor<?x8x?x16xf32>
    %expanded = tensor.expand_shape %concat [[0], [1], [2, 3], [4]] output_shape [%5, 8, 1, %3, 16] : tensor<?x8x?x16xf32> into tensor<?x8x1x?x16xf32>
    %expanded_1 = tensor.expand_shape %concat_0 [[0], [1], [2, 3], [4]] output_shape [%5, 8, 1, %3, 16] : tensor<?x8x?x16xf32> into tensor<?x8x1x?x16xf32>
    %collapsed = tensor.collapse_shape %expanded [[0], [1, 2], [3], [4]] : tensor<?x8x1x?x16xf32> into tensor<?x8x?x16xf32>
    %collapsed_2 = tensor.collapse_shape %expanded_1 [[0], [1, 2], [3], [4]] : tensor<?x8x1x?x16xf32> into tensor<?x8x?x16xf32>
    %6 = tensor.empty(%5, %3) : tensor<?x8x16x?xf32>
    %transposed = linalg.transpose ins(%collapsed : tensor<?x8x?x16xf32>) outs(%6 : tensor<?x8x16x?xf32>) permutation = [0, 1, 3, 2] 
    %7 = tensor.empty(%5, %1) : tensor<?x8x?x16xf32>
    %8 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%arg0 : tensor<?x8x?x16xf32>) outs(%7 : tensor<?x8x?x16xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_6 = arith.constant 5.000000e-01 : f32
      %29 = arith.mulf %in, %cst_6 : f32
      linalg.yield %29 : f32
    } -> tensor<?x8x?x16xf32>
    %9 = tensor.empty(%5, %3) : tensor<?x8x16x?xf32>
    %10 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%transposed : tensor<?x8x16x?xf32>) outs(%9 : tensor<?x8x16x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_6 = arith.constant 5.000000e-01 : f32
      %29 = arith.mulf %in, %cst_6 : f32
      linalg.yield %29 : f32
    } -> tensor<?x8x16x?xf32>
    %cst = arith.constant 0.000000e+00 : f32
    %11 = tensor.empty(%5, %1, %3) : tensor<?x8x?x?xf32>
    %12 = linalg.fill ins(%cst : f32) outs(%11 : tensor<?x8x?x?xf32>) -> tensor<?x8x?x?xf32>
    %13 = linalg.generic {indexing_maps = [#map1, #map2, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%8, %10 : tensor<?x8x?x16xf32>, tensor<?x8x16x?xf32>) outs(%12 : tensor<?x8x?x?xf32>) {
    ^bb0(%in: f32, %in_6: f32, %out: f32):
      %29 = arith.mulf %in, %in_6 : f32
      %30 = arith.addf %out, %29 : f32
      linalg.yield %30 : f32
    } -> tensor<?x8x?x?xf32>
    %14 = tensor.empty(%5, %1, %3) : tensor<?x8x?x?xf32>
    %15 = linalg.generic {indexing_maps = [#map, #map4, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%13, %arg3 : tensor<?x8x?x?xf32>, tensor<?x?xf32>) outs(%14 : tensor<?x8x?x?xf32>) {
    ^bb0(%in: f32, %in_6: f32, %out: f32):
      %29 = arith.addf %in, %in_6 : f32
      linalg.yield %29 : f32
    } -> tensor<?x8x?x?xf32>
    %16 = fulgur.softmax %15 {axis = 3 : i64} : tensor<?x8x?x?xf32>
    %cst_3 = arith.constant 0xFF800000 : f32
    %17 = tensor.empty(%1) : tensor<?xf32>
    %18 = linalg.fill ins(%cst_3 : f32) outs(%17 : tensor<?xf32>) -> tensor<?xf32>
    %19 = linalg.generic {indexing_maps = [#map5, #map6], iterator_types = ["parallel", "reduction"]} ins(%arg3 : tensor<?x?xf32>) outs(%18 : tensor<?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %29 = arith.maximumf %out, %in : f32
      linalg.yield %29 : f32
    } -> tensor<?xf32>
    %expanded_4 = tensor.expand_shape %19 [[0, 1]] output_shape [%1, 1] : tensor<?xf32> into tensor<?x1xf32>
    %20 = tensor.empty(%1) : tensor<?x1xf32>
    %21 = linalg.generic {indexing_maps = [#map5, #map5], iterator_types = ["parallel", "parallel"]} ins(%expanded_4 : tensor<?x1xf32>) outs(%20 : tensor<?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    } -> tensor<?x1xf32>
    %22 = tensor.empty(%1) : tensor<?x1xi1>
    %23 = linalg.generic {indexing_maps = [#map5, #map5], iterator_types = ["parallel", "parallel"]} ins(%21 : tensor<?x1xf32>) outs(%22 : tensor<?x1xi1>) {
    ^bb0(%in: f32, %out: i1):
      %cst_6 = arith.constant 0xFF800000 : f32
      %29 = arith.cmpf oeq, %in, %cst_6 : f32
      linalg.yield %29 : i1
    } -> tensor<?x1xi1>
    %24 = tensor.empty(%5, %1, %3) : tensor<?x8x?x?xf32>
    %25 = linalg.generic {indexing_maps = [#map7, #map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%23, %16 : tensor<?x1xi1>, tensor<?x8x?x?xf32>) outs(%24 : tensor<?x8x?x?xf32>) {
    ^bb0(%in: i1, %in_6: f32, %out: f32):
      %cst_7 = arith.constant 0.000000e+00 : f32
      %29 = arith.select %in, %cst_7, %in_6 : f32
      linalg.yield %29 : f32
    } -> tensor<?x8x?x?xf32>
    %cst_5 = arith.constant 0.000000e+00 : f32
    %26 = tensor.empty(%5, %1) : tensor<?x8x?x16xf32>
    %27 = linalg.fill ins(%cst_5 : f32) outs(%26 : tensor<?x8x?x16xf32>) -> tensor<?x8x?x16xf32>
    %28 = linalg.generic {indexing_maps = [#map1, #map2, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%25, %collapsed_2 : tensor<?x8x?x?xf32>, tensor<?x8x?x16xf32>) outs(%27 : tensor<?x8x?x16xf32>) {
    ^bb0(%in: f32, %in_6: f32, %out: f32):
      %29 = arith.mulf %in, %in_6 : f32
      %30 = arith.addf %out, %29 : f32
      linalg.yield %30 : f32
    } -> tensor<?x8x?x16xf32>
    return %28, %concat, %concat_0 : tensor<?x8x?x16xf32>, tensor<?x8x?x16xf32>, tensor<?x8x?x16xf32>
  }
}
