// Layer normalisation before there was an operator for it.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fuse-norms --canonicalize --cse | FileCheck %s
// RUN: fulgur-opt %s --canonicalize --cse --verify-numerics-each --fulgur-fuse-norms -o %t.mlir 2>&1 | FileCheck %s --check-prefix=RIGHT
// RIGHT-NOT: error
// RIGHT: changes of the IR checked{{$}}

// CHECK-NOT: linalg.generic
// CHECK: %[[Y:.*]] = fulgur.layer_norm %arg0, %{{.*}}, %{{.*}} {axis = 2 : i64, epsilon = 9.99999974E-6 : f32}
// CHECK-NOT: linalg.generic
// CHECK: return %[[Y]]

#map = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#map1 = affine_map<(d0, d1, d2) -> (d0, d1)>
#map2 = affine_map<(d0, d1, d2) -> (d0, d1, 0)>
#map3 = affine_map<(d0, d1, d2) -> (d2)>
module attributes {fulgur.model = "norm", fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "batch"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "sequence"}]} {
  func.func @main(%arg0: tensor<?x?x4xf32> {fulgur.dims = ["batch", "sequence", "4"], fulgur.name = "x"}) -> (tensor<?x?x4xf32> {fulgur.dims = ["batch", "sequence", "4"], fulgur.name = "13"}) {
    %0 = fulgur.symbol "batch"
    %1 = fulgur.symbol "sequence"
    %cst = arith.constant 0.000000e+00 : f32
    %2 = tensor.empty(%0, %1) : tensor<?x?xf32>
    %3 = linalg.fill ins(%cst : f32) outs(%2 : tensor<?x?xf32>) -> tensor<?x?xf32>
    %4 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%arg0 : tensor<?x?x4xf32>) outs(%3 : tensor<?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %26 = arith.addf %out, %in : f32
      linalg.yield %26 : f32
    } -> tensor<?x?xf32>
    %expanded = tensor.expand_shape %4 [[0], [1, 2]] output_shape [%0, %1, 1] : tensor<?x?xf32> into tensor<?x?x1xf32>
    %5 = tensor.empty(%0, %1) : tensor<?x?x1xf32>
    %6 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%expanded : tensor<?x?x1xf32>) outs(%5 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_4 = arith.constant 4.000000e+00 : f32
      %26 = arith.divf %in, %cst_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x1xf32>
    %7 = tensor.empty(%0, %1) : tensor<?x?x4xf32>
    %8 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%arg0, %6 : tensor<?x?x4xf32>, tensor<?x?x1xf32>) outs(%7 : tensor<?x?x4xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.subf %in, %in_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x4xf32>
    %9 = tensor.empty(%0, %1) : tensor<?x?x4xf32>
    %10 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%8 : tensor<?x?x4xf32>) outs(%9 : tensor<?x?x4xf32>) {
    ^bb0(%in: f32, %out: f32):
      %26 = arith.mulf %in, %in : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x4xf32>
    %cst_0 = arith.constant 0.000000e+00 : f32
    %11 = tensor.empty(%0, %1) : tensor<?x?xf32>
    %12 = linalg.fill ins(%cst_0 : f32) outs(%11 : tensor<?x?xf32>) -> tensor<?x?xf32>
    %13 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%10 : tensor<?x?x4xf32>) outs(%12 : tensor<?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %26 = arith.addf %out, %in : f32
      linalg.yield %26 : f32
    } -> tensor<?x?xf32>
    %expanded_1 = tensor.expand_shape %13 [[0], [1, 2]] output_shape [%0, %1, 1] : tensor<?x?xf32> into tensor<?x?x1xf32>
    %14 = tensor.empty(%0, %1) : tensor<?x?x1xf32>
    %15 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%expanded_1 : tensor<?x?x1xf32>) outs(%14 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_4 = arith.constant 4.000000e+00 : f32
      %26 = arith.divf %in, %cst_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x1xf32>
    %16 = tensor.empty(%0, %1) : tensor<?x?x1xf32>
    %17 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%15 : tensor<?x?x1xf32>) outs(%16 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_4 = arith.constant 9.99999974E-6 : f32
      %26 = arith.addf %in, %cst_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x1xf32>
    %18 = tensor.empty(%0, %1) : tensor<?x?x1xf32>
    %19 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%17 : tensor<?x?x1xf32>) outs(%18 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %26 = math.sqrt %in : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x1xf32>
    %20 = tensor.empty(%0, %1) : tensor<?x?x4xf32>
    %21 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%8, %19 : tensor<?x?x4xf32>, tensor<?x?x1xf32>) outs(%20 : tensor<?x?x4xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.divf %in, %in_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x4xf32>
    %22 = tensor.empty(%0, %1) : tensor<?x?x4xf32>
    %cst_2 = arith.constant dense<[1.000000e+00, 2.000000e+00, -1.000000e+00, 5.000000e-01]> : tensor<4xf32>
    %23 = linalg.generic {indexing_maps = [#map, #map3, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%21, %cst_2 : tensor<?x?x4xf32>, tensor<4xf32>) outs(%22 : tensor<?x?x4xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.mulf %in, %in_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x4xf32>
    %24 = tensor.empty(%0, %1) : tensor<?x?x4xf32>
    %cst_3 = arith.constant dense<[2.500000e-01, -5.000000e-01, 1.000000e+00, 2.000000e+00]> : tensor<4xf32>
    %25 = linalg.generic {indexing_maps = [#map, #map3, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%23, %cst_3 : tensor<?x?x4xf32>, tensor<4xf32>) outs(%24 : tensor<?x?x4xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.addf %in, %in_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x4xf32>
    return %25 : tensor<?x?x4xf32>
  }
}
