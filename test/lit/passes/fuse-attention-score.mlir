// A score with a soft cap and a bias for each head, a window, and a sink.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --fulgur-fuse-attention --canonicalize --cse | FileCheck %s
// The same numbers, as far as the interpreter knows the operations:
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --verify-numerics-each --fulgur-fuse-attention --fulgur-decompose-attention -o %t.mlir 2>&1 | FileCheck %s --check-prefix=RIGHT
// RIGHT-NOT: error
// RIGHT: numerics: {{[0-9]+}} changes of the IR checked{{$}}

// CHECK: fulgur.attention %arg0, %arg1, %arg2 extras(%arg3 : tensor<1x4x?x?xf32>) sink(%arg4 : tensor<4xf32>) causal(%c0)
// CHECK-SAME: window = 3
// CHECK: arith.mulf
// CHECK-NEXT: math.tanh
// CHECK-NEXT: arith.mulf
// CHECK-NEXT: arith.addf
// CHECK-NEXT: fulgur.yield

#map = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>
#map1 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>
#map2 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>
#map3 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map4 = affine_map<(d0, d1, d2, d3) -> (0, d1, d2, d3)>
#map5 = affine_map<(d0) -> (d0)>
#map6 = affine_map<(d0, d1) -> (0, d1)>
#map7 = affine_map<(d0, d1) -> (d0, 0)>
#map8 = affine_map<(d0, d1) -> (d0, d1)>
#map9 = affine_map<(d0, d1, d2, d3) -> (d2, d3)>
#map10 = affine_map<(d0, d1, d2, d3) -> (0, d1, 0, d3)>
module attributes {fulgur.model = "attention", fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "batch"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "sequence"}]} {
  func.func @main(%arg0: tensor<?x4x?x8xf32> {fulgur.dims = ["batch", "4", "sequence", "8"], fulgur.name = "q"}, %arg1: tensor<?x4x?x8xf32> {fulgur.dims = ["batch", "4", "sequence", "8"], fulgur.name = "k"}, %arg2: tensor<?x4x?x8xf32> {fulgur.dims = ["batch", "4", "sequence", "8"], fulgur.name = "v"}, %arg3: tensor<1x4x?x?xf32> {fulgur.dims = ["1", "4", "sequence", "sequence"], fulgur.name = "bias"}, %arg4: tensor<4xf32> {fulgur.dims = ["4"], fulgur.name = "sink"}) -> (tensor<?x4x?x8xf32> {fulgur.dims = ["batch", "4", "sequence", "8"], fulgur.name = "74"}) {
    %0 = fulgur.symbol "batch"
    %1 = fulgur.symbol "sequence"
    %2 = tensor.empty(%0, %1) : tensor<?x4x8x?xf32>
    %transposed = linalg.transpose ins(%arg1 : tensor<?x4x?x8xf32>) outs(%2 : tensor<?x4x8x?xf32>) permutation = [0, 1, 3, 2] 
    %cst = arith.constant 0.000000e+00 : f32
    %3 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %4 = linalg.fill ins(%cst : f32) outs(%3 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %5 = linalg.generic {indexing_maps = [#map, #map1, #map2], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%arg0, %transposed : tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) outs(%4 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_3: f32, %out: f32):
      %34 = arith.mulf %in, %in_3 : f32
      %35 = arith.addf %out, %34 : f32
      linalg.yield %35 : f32
    } -> tensor<?x4x?x?xf32>
    %6 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %7 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%5 : tensor<?x4x?x?xf32>) outs(%6 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_3 = arith.constant 2.500000e-01 : f32
      %34 = arith.mulf %in, %cst_3 : f32
      linalg.yield %34 : f32
    } -> tensor<?x4x?x?xf32>
    %8 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %9 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%7 : tensor<?x4x?x?xf32>) outs(%8 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_3 = arith.constant 3.000000e+01 : f32
      %34 = arith.divf %in, %cst_3 : f32
      linalg.yield %34 : f32
    } -> tensor<?x4x?x?xf32>
    %10 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %11 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%9 : tensor<?x4x?x?xf32>) outs(%10 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %34 = math.tanh %in : f32
      linalg.yield %34 : f32
    } -> tensor<?x4x?x?xf32>
    %12 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %13 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%11 : tensor<?x4x?x?xf32>) outs(%12 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_3 = arith.constant 3.000000e+01 : f32
      %34 = arith.mulf %in, %cst_3 : f32
      linalg.yield %34 : f32
    } -> tensor<?x4x?x?xf32>
    %14 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %15 = linalg.generic {indexing_maps = [#map3, #map4, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%13, %arg3 : tensor<?x4x?x?xf32>, tensor<1x4x?x?xf32>) outs(%14 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_3: f32, %out: f32):
      %34 = arith.addf %in, %in_3 : f32
      linalg.yield %34 : f32
    } -> tensor<?x4x?x?xf32>
    %16 = tensor.empty(%1) : tensor<?xi64>
    %17 = linalg.generic {indexing_maps = [#map5], iterator_types = ["parallel"]} outs(%16 : tensor<?xi64>) {
    ^bb0(%out: i64):
      %34 = linalg.index 0 : index
      %35 = arith.index_cast %34 : index to i64
      linalg.yield %35 : i64
    } -> tensor<?xi64>
    %expanded = tensor.expand_shape %17 [[0, 1]] output_shape [1, %1] : tensor<?xi64> into tensor<1x?xi64>
    %expanded_0 = tensor.expand_shape %17 [[0, 1]] output_shape [%1, 1] : tensor<?xi64> into tensor<?x1xi64>
    %18 = tensor.empty(%1, %1) : tensor<?x?xi1>
    %19 = linalg.generic {indexing_maps = [#map6, #map7, #map8], iterator_types = ["parallel", "parallel"]} ins(%expanded, %expanded_0 : tensor<1x?xi64>, tensor<?x1xi64>) outs(%18 : tensor<?x?xi1>) {
    ^bb0(%in: i64, %in_3: i64, %out: i1):
      %34 = arith.cmpi sle, %in, %in_3 : i64
      linalg.yield %34 : i1
    } -> tensor<?x?xi1>
    %20 = tensor.empty(%1) : tensor<?x1xi64>
    %21 = linalg.generic {indexing_maps = [#map8, #map8], iterator_types = ["parallel", "parallel"]} ins(%expanded_0 : tensor<?x1xi64>) outs(%20 : tensor<?x1xi64>) {
    ^bb0(%in: i64, %out: i64):
      %c3_i64 = arith.constant 3 : i64
      %34 = arith.subi %in, %c3_i64 : i64
      linalg.yield %34 : i64
    } -> tensor<?x1xi64>
    %22 = tensor.empty(%1, %1) : tensor<?x?xi1>
    %23 = linalg.generic {indexing_maps = [#map6, #map7, #map8], iterator_types = ["parallel", "parallel"]} ins(%expanded, %21 : tensor<1x?xi64>, tensor<?x1xi64>) outs(%22 : tensor<?x?xi1>) {
    ^bb0(%in: i64, %in_3: i64, %out: i1):
      %34 = arith.cmpi slt, %in_3, %in : i64
      linalg.yield %34 : i1
    } -> tensor<?x?xi1>
    %24 = tensor.empty(%1, %1) : tensor<?x?xi1>
    %25 = linalg.generic {indexing_maps = [#map8, #map8, #map8], iterator_types = ["parallel", "parallel"]} ins(%19, %23 : tensor<?x?xi1>, tensor<?x?xi1>) outs(%24 : tensor<?x?xi1>) {
    ^bb0(%in: i1, %in_3: i1, %out: i1):
      %34 = arith.andi %in, %in_3 : i1
      linalg.yield %34 : i1
    } -> tensor<?x?xi1>
    %26 = tensor.empty(%0, %1, %1) : tensor<?x4x?x?xf32>
    %27 = linalg.generic {indexing_maps = [#map9, #map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%25, %15 : tensor<?x?xi1>, tensor<?x4x?x?xf32>) outs(%26 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: i1, %in_3: f32, %out: f32):
      %cst_4 = arith.constant 0xFF800000 : f32
      %34 = arith.select %in, %in_3, %cst_4 : f32
      linalg.yield %34 : f32
    } -> tensor<?x4x?x?xf32>
    %expanded_1 = tensor.expand_shape %arg4 [[0, 1, 2, 3]] output_shape [1, 4, 1, 1] : tensor<4xf32> into tensor<1x4x1x1xf32>
    %28 = tensor.empty(%0, %1) : tensor<?x4x?x1xf32>
    %29 = linalg.generic {indexing_maps = [#map10, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_1 : tensor<1x4x1x1xf32>) outs(%28 : tensor<?x4x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    } -> tensor<?x4x?x1xf32>
    %concat = tensor.concat dim(3) %27, %29 : (tensor<?x4x?x?xf32>, tensor<?x4x?x1xf32>) -> tensor<?x4x?x?xf32>
    %30 = fulgur.softmax %concat {axis = 3 : i64} : tensor<?x4x?x?xf32>
    %extracted_slice = tensor.extract_slice %30[0, 0, 0, 0] [%0, 4, %1, %1] [1, 1, 1, 1] : tensor<?x4x?x?xf32> to tensor<?x4x?x?xf32>
    %cst_2 = arith.constant 0.000000e+00 : f32
    %31 = tensor.empty(%0, %1) : tensor<?x4x?x8xf32>
    %32 = linalg.fill ins(%cst_2 : f32) outs(%31 : tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    %33 = linalg.generic {indexing_maps = [#map, #map1, #map2], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%extracted_slice, %arg2 : tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) outs(%32 : tensor<?x4x?x8xf32>) {
    ^bb0(%in: f32, %in_3: f32, %out: f32):
      %34 = arith.mulf %in, %in_3 : f32
      %35 = arith.addf %out, %34 : f32
      linalg.yield %35 : f32
    } -> tensor<?x4x?x8xf32>
    return %33 : tensor<?x4x?x8xf32>
  }
}
