// A window to both sides and padding, with the lowest number instead of -∞ (ModernBERT): a row that sees no key has equal weights for all
// keys, those outside of its window as well.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --fulgur-fuse-attention --canonicalize --cse | FileCheck %s
// The same numbers, as far as the interpreter knows the operations:
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --verify-numerics-each --fulgur-fuse-attention --fulgur-decompose-attention -o %t.mlir 2>&1 | FileCheck %s --check-prefix=RIGHT
// RIGHT-NOT: error
// RIGHT: numerics: {{[0-9]+}} changes of the IR checked{{$}}

// CHECK: fulgur.attention {{.*}} extras(%{{.*}} : tensor<?x?xf32>) causal(%c2) {{.*}} attributes {average_empty_rows, window = 5 : i64}

#map = affine_map<(d0) -> (d0)>
#map1 = affine_map<(d0, d1) -> (0, d1)>
#map2 = affine_map<(d0, d1) -> (d0, 0)>
#map3 = affine_map<(d0, d1) -> (d0, d1)>
#map4 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map5 = affine_map<(d0, d1, d2, d3) -> (0, d1, d2, d3)>
#map6 = affine_map<(d0, d1, d2, d3) -> (d0, d1, 0, d3)>
#map7 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>
#map8 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>
#map9 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>
#map10 = affine_map<(d0, d1, d2, d3) -> (d0, 0, d2, d3)>
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
    %6 = tensor.empty(%1) : tensor<?xi64>
    %7 = linalg.generic {indexing_maps = [#map], iterator_types = ["parallel"]} outs(%6 : tensor<?xi64>) {
    ^bb0(%out: i64):
      %35 = linalg.index 0 : index
      %36 = arith.index_cast %35 : index to i64
      linalg.yield %36 : i64
    } -> tensor<?xi64>
    %expanded_4 = tensor.expand_shape %7 [[0, 1]] output_shape [1, %1] : tensor<?xi64> into tensor<1x?xi64>
    %expanded_5 = tensor.expand_shape %7 [[0, 1]] output_shape [%1, 1] : tensor<?xi64> into tensor<?x1xi64>
    %8 = tensor.empty(%1, %1) : tensor<?x?xi1>
    %9 = linalg.generic {indexing_maps = [#map1, #map2, #map3], iterator_types = ["parallel", "parallel"]} ins(%expanded_4, %expanded_5 : tensor<1x?xi64>, tensor<?x1xi64>) outs(%8 : tensor<?x?xi1>) {
    ^bb0(%in: i64, %in_13: i64, %out: i1):
      %c0 = arith.constant 0 : i64
      %c2 = arith.constant 2 : i64
      %35 = arith.subi %in, %in_13 : i64
      %36 = arith.subi %c0, %35 : i64
      %distance = arith.maxsi %35, %36 : i64
      %near = arith.cmpi sle, %distance, %c2 : i64
      linalg.yield %near : i1
    } -> tensor<?x?xi1>
    %expanded_6 = tensor.expand_shape %9 [[0, 1, 2], [3]] output_shape [1, 1, %1, %1] : tensor<?x?xi1> into tensor<1x1x?x?xi1>
    %expanded_7 = tensor.expand_shape %arg3 [[0], [1, 2, 3]] output_shape [%0, 1, 1, %1] : tensor<?x?xi64> into tensor<?x1x1x?xi64>
    %10 = tensor.empty(%0, %1) : tensor<?x1x1x?xi1>
    %11 = linalg.generic {indexing_maps = [#map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_7 : tensor<?x1x1x?xi64>) outs(%10 : tensor<?x1x1x?xi1>) {
    ^bb0(%in: i64, %out: i1):
      %c0_i64 = arith.constant 0 : i64
      %35 = arith.cmpi eq, %in, %c0_i64 : i64
      %true = arith.constant true
      %36 = arith.xori %35, %true : i1
      linalg.yield %36 : i1
    } -> tensor<?x1x1x?xi1>
    %12 = tensor.empty(%0, %1, %1) : tensor<?x1x?x?xi1>
    %13 = linalg.generic {indexing_maps = [#map5, #map6, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_6, %11 : tensor<1x1x?x?xi1>, tensor<?x1x1x?xi1>) outs(%12 : tensor<?x1x?x?xi1>) {
    ^bb0(%in: i1, %in_13: i1, %out: i1):
      %35 = arith.andi %in, %in_13 : i1
      linalg.yield %35 : i1
    } -> tensor<?x1x?x?xi1>
    %collapsed = tensor.collapse_shape %transposed_1 [[0, 1], [2], [3]] : tensor<?x4x?x8xf32> into tensor<?x?x8xf32>
    %14 = tensor.empty(%2, %1) : tensor<?x8x?xf32>
    %transposed_8 = linalg.transpose ins(%collapsed : tensor<?x?x8xf32>) outs(%14 : tensor<?x8x?xf32>) permutation = [0, 2, 1] 
    %expanded_9 = tensor.expand_shape %transposed_8 [[0, 1], [2], [3]] output_shape [%0, 4, 8, %1] : tensor<?x8x?xf32> into tensor<?x4x8x?xf32>
    %15 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %16 = linalg.generic {indexing_maps = [#map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%transposed : tensor<?x4x?x8xf32>) outs(%15 : tensor<?x4x?x8xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_13 = arith.constant 0.594603539 : f32
      %35 = arith.mulf %in, %cst_13 : f32
      linalg.yield %35 : f32
    } -> tensor<?x4x?x8xf32>
    %17 = tensor.empty(%0, %1) : tensor<?x4x8x?xf32>
    %18 = linalg.generic {indexing_maps = [#map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_9 : tensor<?x4x8x?xf32>) outs(%17 : tensor<?x4x8x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_13 = arith.constant 0.594603539 : f32
      %35 = arith.mulf %in, %cst_13 : f32
      linalg.yield %35 : f32
    } -> tensor<?x4x8x?xf32>
    %19 = tensor.empty(%0, %1, %1) : tensor<?x1x?x?xf32>
    %20 = linalg.generic {indexing_maps = [#map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%13 : tensor<?x1x?x?xi1>) outs(%19 : tensor<?x1x?x?xf32>) {
    ^bb0(%in: i1, %out: f32):
      %cst_13 = arith.constant 0.000000e+00 : f32
      %cst_14 = arith.constant -3.40282347E+38 : f32
      %35 = arith.select %in, %cst_13, %cst_14 : f32
      linalg.yield %35 : f32
    } -> tensor<?x1x?x?xf32>
    %cst = arith.constant 0.000000e+00 : f32
    %21 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %22 = linalg.fill ins(%cst : f32) outs(%21 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %23 = linalg.generic {indexing_maps = [#map7, #map8, #map9], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%16, %18 : tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) outs(%22 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_13: f32, %out: f32):
      %35 = arith.mulf %in, %in_13 : f32
      %36 = arith.addf %out, %35 : f32
      linalg.yield %36 : f32
    } -> tensor<?x4x?x?xf32>
    %24 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %25 = linalg.generic {indexing_maps = [#map4, #map10, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%23, %20 : tensor<?x4x?x?xf32>, tensor<?x1x?x?xf32>) outs(%24 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_13: f32, %out: f32):
      %35 = arith.addf %in, %in_13 : f32
      linalg.yield %35 : f32
    } -> tensor<?x4x?x?xf32>
    %26 = fulgur.softmax %25 {axis = 3 : i64} : tensor<?x4x?x?xf32>
    %27 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xi1>
    %28 = linalg.generic {indexing_maps = [#map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%26 : tensor<?x4x?x?xf32>) outs(%27 : tensor<?x4x?x?xi1>) {
    ^bb0(%in: f32, %out: i1):
      %35 = arith.cmpf une, %in, %in : f32
      linalg.yield %35 : i1
    } -> tensor<?x4x?x?xi1>
    %29 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %30 = linalg.generic {indexing_maps = [#map4, #map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%28, %26 : tensor<?x4x?x?xi1>, tensor<?x4x?x?xf32>) outs(%29 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: i1, %in_13: f32, %out: f32):
      %cst_14 = arith.constant 0.000000e+00 : f32
      %35 = arith.select %in, %cst_14, %in_13 : f32
      linalg.yield %35 : f32
    } -> tensor<?x4x?x?xf32>
    %cst_10 = arith.constant 0.000000e+00 : f32
    %31 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %32 = linalg.fill ins(%cst_10 : f32) outs(%31 : tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    %33 = linalg.generic {indexing_maps = [#map7, #map8, #map9], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%30, %transposed_3 : tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) outs(%32 : tensor<?x4x?x8xf32>) {
    ^bb0(%in: f32, %in_13: f32, %out: f32):
      %35 = arith.mulf %in, %in_13 : f32
      %36 = arith.addf %out, %35 : f32
      linalg.yield %36 : f32
    } -> tensor<?x4x?x8xf32>
    %34 = tensor.empty(%0, %1) : tensor<?x?x4x8xf32>
    %transposed_11 = linalg.transpose ins(%33 : tensor<?x4x?x8xf32>) outs(%34 : tensor<?x?x4x8xf32>) permutation = [0, 2, 1, 3] 
    %collapsed_12 = tensor.collapse_shape %transposed_11 [[0], [1], [2, 3]] : tensor<?x?x4x8xf32> into tensor<?x?x32xf32>
    return %collapsed_12 : tensor<?x?x32xf32>
  }
}
