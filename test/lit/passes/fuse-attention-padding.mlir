// Attention of an encoder, as torch.onnx.export writes it: queries and keys are scaled by a root each, the mask is boolean and
// reaches the score as a number, weights that are no numbers are replaced. The operands stay where the projections left them.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --fulgur-fuse-attention --canonicalize --cse | FileCheck %s
// The same numbers, as far as the interpreter knows the operations:
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --verify-numerics-each --fulgur-fuse-attention --fulgur-decompose-attention -o %t.mlir 2>&1 | FileCheck %s --check-prefix=RIGHT
// RIGHT-NOT: error
// RIGHT: numerics: {{[0-9]+}} changes of the IR checked{{$}}

// CHECK-DAG: #[[ROWS:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d2, d1, d3)>
// CHECK-DAG: #[[KEYS:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d4, d1, d3)>
// CHECK-DAG: #[[MASK:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d4)>
// CHECK-NOT: linalg.transpose
// CHECK: %[[Q:.*]] = tensor.expand_shape %arg0
// CHECK-NOT: linalg.transpose
// CHECK: %[[MASKED:.*]] = linalg.generic
// CHECK-SAME: ins(%arg3 : tensor<?x?xi64>) outs(%{{.*}} : tensor<?x?xf32>)
// CHECK: fulgur.attention %[[Q]], %{{.*}}, %{{.*}} extras(%[[MASKED]] : tensor<?x?xf32>) maps [#[[ROWS]], #[[KEYS]], {{.*}}, #[[MASK]], {{.*}}] attributes {zero_empty_rows}
// CHECK-NEXT: (%[[S:.*]]: f32, %{{.*}}: index, %{{.*}}: index, %[[M:.*]]: f32):
// CHECK-NEXT: %[[SCALED:.*]] = arith.mulf %[[S]], %{{.*}} : f32
// CHECK-NEXT: arith.addf %[[SCALED]], %[[M]] : f32
// CHECK-NOT: linalg.transpose

#map = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map1 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>
#map2 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>
#map3 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>
#map4 = affine_map<(d0, d1, d2, d3) -> (d0, 0, 0, d3)>
module attributes {fulgur.model = "attention", fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "batch"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "sequence"}]} {
  func.func @main(%arg0: tensor<?x?x32xf32> {fulgur.dims = ["batch", "sequence", "32"], fulgur.name = "q"}, %arg1: tensor<?x?x32xf32> {fulgur.dims = ["batch", "sequence", "32"], fulgur.name = "k"}, %arg2: tensor<?x?x32xf32> {fulgur.dims = ["batch", "sequence", "32"], fulgur.name = "v"}, %arg3: tensor<?x?xi64> {fulgur.dims = ["batch", "sequence"], fulgur.name = "mask"}) -> (tensor<?x?x32xf32> {fulgur.dims = ["batch", "sequence", "32"], fulgur.name = "view_3"}) {
    %0 = fulgur.symbol "batch"
    %1 = fulgur.symbol "sequence"
    %c4 = arith.constant 4 : index
    %2 = arith.muli %0, %c4 overflow<nsw> : index
    %expanded = tensor.expand_shape %arg0 [[0], [1], [2, 3]] output_shape [%0, %1, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
    %3 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %transposed = linalg.transpose ins(%expanded : tensor<?x?x4x8xf32>) outs(%3 : tensor<?x4x?x8xf32>) permutation = [0, 2, 1, 3] 
    %expanded_0 = tensor.expand_shape %arg1 [[0], [1], [2, 3]] output_shape [%0, %1, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
    %4 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %transposed_1 = linalg.transpose ins(%expanded_0 : tensor<?x?x4x8xf32>) outs(%4 : tensor<?x4x?x8xf32>) permutation = [0, 2, 1, 3] 
    %expanded_2 = tensor.expand_shape %arg2 [[0], [1], [2, 3]] output_shape [%0, %1, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
    %5 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %transposed_3 = linalg.transpose ins(%expanded_2 : tensor<?x?x4x8xf32>) outs(%5 : tensor<?x4x?x8xf32>) permutation = [0, 2, 1, 3] 
    %expanded_4 = tensor.expand_shape %arg3 [[0], [1, 2, 3]] output_shape [%0, 1, 1, %1] : tensor<?x?xi64> into tensor<?x1x1x?xi64>
    %6 = tensor.empty(%0, %1) : tensor<?x1x1x?xi1>
    %7 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_4 : tensor<?x1x1x?xi64>) outs(%6 : tensor<?x1x1x?xi1>) {
    ^bb0(%in: i64, %out: i1):
      %c0_i64 = arith.constant 0 : i64
      %29 = arith.cmpi eq, %in, %c0_i64 : i64
      %true = arith.constant true
      %30 = arith.xori %29, %true : i1
      linalg.yield %30 : i1
    } -> tensor<?x1x1x?xi1>
    %collapsed = tensor.collapse_shape %transposed_1 [[0, 1], [2], [3]] : tensor<?x4x?x8xf32> into tensor<?x?x8xf32>
    %8 = tensor.empty(%2, %1) : tensor<?x8x?xf32>
    %transposed_5 = linalg.transpose ins(%collapsed : tensor<?x?x8xf32>) outs(%8 : tensor<?x8x?xf32>) permutation = [0, 2, 1] 
    %expanded_6 = tensor.expand_shape %transposed_5 [[0, 1], [2], [3]] output_shape [%0, 4, 8, %1] : tensor<?x8x?xf32> into tensor<?x4x8x?xf32>
    %9 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %10 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%transposed : tensor<?x4x?x8xf32>) outs(%9 : tensor<?x4x?x8xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_10 = arith.constant 0.594603539 : f32
      %29 = arith.mulf %in, %cst_10 : f32
      linalg.yield %29 : f32
    } -> tensor<?x4x?x8xf32>
    %11 = tensor.empty(%0, %1) : tensor<?x4x8x?xf32>
    %12 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_6 : tensor<?x4x8x?xf32>) outs(%11 : tensor<?x4x8x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_10 = arith.constant 0.594603539 : f32
      %29 = arith.mulf %in, %cst_10 : f32
      linalg.yield %29 : f32
    } -> tensor<?x4x8x?xf32>
    %13 = tensor.empty(%0, %1) : tensor<?x1x1x?xf32>
    %14 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%7 : tensor<?x1x1x?xi1>) outs(%13 : tensor<?x1x1x?xf32>) {
    ^bb0(%in: i1, %out: f32):
      %cst_10 = arith.constant 0.000000e+00 : f32
      %cst_11 = arith.constant -3.40282347E+38 : f32
      %29 = arith.select %in, %cst_10, %cst_11 : f32
      linalg.yield %29 : f32
    } -> tensor<?x1x1x?xf32>
    %cst = arith.constant 0.000000e+00 : f32
    %15 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %16 = linalg.fill ins(%cst : f32) outs(%15 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %17 = linalg.generic {indexing_maps = [#map1, #map2, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%10, %12 : tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) outs(%16 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_10: f32, %out: f32):
      %29 = arith.mulf %in, %in_10 : f32
      %30 = arith.addf %out, %29 : f32
      linalg.yield %30 : f32
    } -> tensor<?x4x?x?xf32>
    %18 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %19 = linalg.generic {indexing_maps = [#map, #map4, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%17, %14 : tensor<?x4x?x?xf32>, tensor<?x1x1x?xf32>) outs(%18 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_10: f32, %out: f32):
      %29 = arith.addf %in, %in_10 : f32
      linalg.yield %29 : f32
    } -> tensor<?x4x?x?xf32>
    %20 = fulgur.softmax %19 {axis = 3 : i64} : tensor<?x4x?x?xf32>
    %21 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xi1>
    %22 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%20 : tensor<?x4x?x?xf32>) outs(%21 : tensor<?x4x?x?xi1>) {
    ^bb0(%in: f32, %out: i1):
      %29 = arith.cmpf une, %in, %in : f32
      linalg.yield %29 : i1
    } -> tensor<?x4x?x?xi1>
    %23 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %24 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%22, %20 : tensor<?x4x?x?xi1>, tensor<?x4x?x?xf32>) outs(%23 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: i1, %in_10: f32, %out: f32):
      %cst_11 = arith.constant 0.000000e+00 : f32
      %29 = arith.select %in, %cst_11, %in_10 : f32
      linalg.yield %29 : f32
    } -> tensor<?x4x?x?xf32>
    %cst_7 = arith.constant 0.000000e+00 : f32
    %25 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %26 = linalg.fill ins(%cst_7 : f32) outs(%25 : tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    %27 = linalg.generic {indexing_maps = [#map1, #map2, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%24, %transposed_3 : tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) outs(%26 : tensor<?x4x?x8xf32>) {
    ^bb0(%in: f32, %in_10: f32, %out: f32):
      %29 = arith.mulf %in, %in_10 : f32
      %30 = arith.addf %out, %29 : f32
      linalg.yield %30 : f32
    } -> tensor<?x4x?x8xf32>
    %28 = tensor.empty(%0, %1) : tensor<?x?x4x8xf32>
    %transposed_8 = linalg.transpose ins(%27 : tensor<?x4x?x8xf32>) outs(%28 : tensor<?x?x4x8xf32>) permutation = [0, 2, 1, 3] 
    %collapsed_9 = tensor.collapse_shape %transposed_8 [[0], [1], [2, 3]] : tensor<?x?x4x8xf32> into tensor<?x?x32xf32>
    return %collapsed_9 : tensor<?x?x32xf32>
  }
}
