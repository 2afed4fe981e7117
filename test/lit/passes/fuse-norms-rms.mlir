// Root mean square normalisation as exporters spell it; the residual before it stays.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fuse-norms --canonicalize --cse | FileCheck %s
// RUN: fulgur-opt %s --canonicalize --cse --verify-numerics-each --fulgur-fuse-norms -o %t.mlir 2>&1 | FileCheck %s --check-prefix=RIGHT
// RIGHT-NOT: error
// RIGHT: changes of the IR checked{{$}}

// CHECK: %[[X:.*]] = linalg.generic
// CHECK: %[[Y:.*]] = fulgur.rms_norm %[[X]], %arg2 {axis = 2 : i64, epsilon = 9.99999997E-7 : f32} : tensor<?x?x16xf32>, tensor<16xf32>
// CHECK-NOT: linalg.generic
// CHECK: return %[[Y]]

#map = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#map1 = affine_map<(d0, d1, d2) -> (d0, d1)>
#map2 = affine_map<(d0, d1, d2) -> (d0, d1, 0)>
#map3 = affine_map<(d0, d1, d2) -> (d2)>
module attributes {fulgur.model = "norm", fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "batch"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "sequence"}]} {
  func.func @main(%arg0: tensor<?x?x16xf32> {fulgur.dims = ["batch", "sequence", "16"], fulgur.name = "x"}, %arg1: tensor<?x?x16xf32> {fulgur.dims = ["batch", "sequence", "16"], fulgur.name = "r"}, %arg2: tensor<16xf32> {fulgur.dims = ["16"], fulgur.name = "w"}) -> (tensor<?x?x16xf32> {fulgur.dims = ["batch", "sequence", "16"], fulgur.name = "13"}) {
    %0 = fulgur.symbol "batch"
    %1 = fulgur.symbol "sequence"
    %2 = tensor.empty(%0, %1) : tensor<?x?x16xf32>
    %3 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%arg0, %arg1 : tensor<?x?x16xf32>, tensor<?x?x16xf32>) outs(%2 : tensor<?x?x16xf32>) {
    ^bb0(%in: f32, %in_0: f32, %out: f32):
      %21 = arith.addf %in, %in_0 : f32
      linalg.yield %21 : f32
    } -> tensor<?x?x16xf32>
    %4 = tensor.empty(%0, %1) : tensor<?x?x16xf32>
    %5 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%3 : tensor<?x?x16xf32>) outs(%4 : tensor<?x?x16xf32>) {
    ^bb0(%in: f32, %out: f32):
      %21 = arith.mulf %in, %in : f32
      linalg.yield %21 : f32
    } -> tensor<?x?x16xf32>
    %cst = arith.constant 0.000000e+00 : f32
    %6 = tensor.empty(%0, %1) : tensor<?x?xf32>
    %7 = linalg.fill ins(%cst : f32) outs(%6 : tensor<?x?xf32>) -> tensor<?x?xf32>
    %8 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%5 : tensor<?x?x16xf32>) outs(%7 : tensor<?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %21 = arith.addf %out, %in : f32
      linalg.yield %21 : f32
    } -> tensor<?x?xf32>
    %expanded = tensor.expand_shape %8 [[0], [1, 2]] output_shape [%0, %1, 1] : tensor<?x?xf32> into tensor<?x?x1xf32>
    %9 = tensor.empty(%0, %1) : tensor<?x?x1xf32>
    %10 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%expanded : tensor<?x?x1xf32>) outs(%9 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_0 = arith.constant 1.600000e+01 : f32
      %21 = arith.divf %in, %cst_0 : f32
      linalg.yield %21 : f32
    } -> tensor<?x?x1xf32>
    %11 = tensor.empty(%0, %1) : tensor<?x?x1xf32>
    %12 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%10 : tensor<?x?x1xf32>) outs(%11 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_0 = arith.constant 9.99999997E-7 : f32
      %21 = arith.addf %in, %cst_0 : f32
      linalg.yield %21 : f32
    } -> tensor<?x?x1xf32>
    %13 = tensor.empty(%0, %1) : tensor<?x?x1xf32>
    %14 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%12 : tensor<?x?x1xf32>) outs(%13 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %21 = math.sqrt %in : f32
      linalg.yield %21 : f32
    } -> tensor<?x?x1xf32>
    %15 = tensor.empty(%0, %1) : tensor<?x?x1xf32>
    %16 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%14 : tensor<?x?x1xf32>) outs(%15 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_0 = arith.constant 1.000000e+00 : f32
      %21 = arith.divf %cst_0, %in : f32
      linalg.yield %21 : f32
    } -> tensor<?x?x1xf32>
    %17 = tensor.empty(%0, %1) : tensor<?x?x16xf32>
    %18 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%3, %16 : tensor<?x?x16xf32>, tensor<?x?x1xf32>) outs(%17 : tensor<?x?x16xf32>) {
    ^bb0(%in: f32, %in_0: f32, %out: f32):
      %21 = arith.mulf %in, %in_0 : f32
      linalg.yield %21 : f32
    } -> tensor<?x?x16xf32>
    %19 = tensor.empty(%0, %1) : tensor<?x?x16xf32>
    %20 = linalg.generic {indexing_maps = [#map3, #map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%arg2, %18 : tensor<16xf32>, tensor<?x?x16xf32>) outs(%19 : tensor<?x?x16xf32>) {
    ^bb0(%in: f32, %in_0: f32, %out: f32):
      %21 = arith.mulf %in, %in_0 : f32
      linalg.yield %21 : f32
    } -> tensor<?x?x16xf32>
    return %20 : tensor<?x?x16xf32>
  }
}
