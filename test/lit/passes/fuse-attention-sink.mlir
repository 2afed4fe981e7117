// Attention with a sink as torch.onnx writes that of gpt-oss: the greatest logit is subtracted before the softmax, which subtracts it anyway.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --fulgur-fuse-attention --canonicalize --cse | FileCheck %s
// What is added to rows is none of it, and stays:
// RUN: sed 's/arith.subf/arith.addf/' %s | fulgur-opt --canonicalize --cse --fulgur-fold-transposes --fulgur-fuse-attention | FileCheck %s --check-prefix=NOT
// The same numbers, as far as the interpreter knows the operations:
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fold-transposes --verify-numerics-each --fulgur-fuse-attention --fulgur-decompose-attention -o %t.mlir 2>&1 | FileCheck %s --check-prefix=RIGHT
// RIGHT-NOT: error
// RIGHT: numerics: {{[0-9]+}} changes of the IR checked{{$}}

// CHECK-NOT: fulgur.softmax
// CHECK: fulgur.attention %arg0, %arg1, %arg2 extras(%{{.*}}) sink(%{{.*}})
// CHECK-NOT: fulgur.softmax
// NOT-NOT: fulgur.attention
// NOT: fulgur.softmax

#map = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>
#map1 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>
#map2 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>
#map3 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map4 = affine_map<(d0, d1, d2, d3) -> (d0, 0, d2, d3)>
#map5 = affine_map<(d0, d1, d2, d3) -> (0, d1, 0, d3)>
#map6 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
#map7 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>
module attributes {fulgur.model = "sink", fulgur.stage = "import", fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "s31"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "s0"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "s49"}]} {
  func.func @main(%arg0: tensor<?x4x?x8xf32> {fulgur.dims = ["s31", "4", "s0", "8"], fulgur.name = "q"}, %arg1: tensor<?x4x?x8xf32> {fulgur.dims = ["s31", "4", "s49", "8"], fulgur.name = "k"}, %arg2: tensor<?x4x?x8xf32> {fulgur.dims = ["s31", "4", "s49", "8"], fulgur.name = "v"}, %arg3: tensor<?x1x?x?xf32> {fulgur.dims = ["s31", "1", "s0", "s49"], fulgur.name = "mask"}) -> (tensor<?x?x4x8xf32> {fulgur.dims = ["s31", "s0", "4", "8"], fulgur.name = "y"}) {
    %0 = fulgur.symbol "s31"
    %1 = fulgur.symbol "s49"
    %2 = fulgur.symbol "s0"
    %c1 = arith.constant 1 : index
    %3 = arith.addi %1, %c1 overflow<nsw> : index
    %4 = tensor.empty(%0, %1) : tensor<?x4x8x?xf32>
    %transposed = linalg.transpose ins(%arg1 : tensor<?x4x?x8xf32>) outs(%4 : tensor<?x4x8x?xf32>) permutation = [0, 1, 3, 2] 
    %cst = arith.constant 0.000000e+00 : f32
    %5 = tensor.empty(%0, %2, %1) : tensor<?x4x?x?xf32>
    %6 = linalg.fill ins(%cst : f32) outs(%5 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %7 = linalg.generic {indexing_maps = [#map, #map1, #map2], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%arg0, %transposed : tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) outs(%6 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.mulf %in, %in_4 : f32
      %27 = arith.addf %out, %26 : f32
      linalg.yield %27 : f32
    } -> tensor<?x4x?x?xf32>
    %8 = tensor.empty(%0, %2, %1) : tensor<?x4x?x?xf32>
    %9 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%7 : tensor<?x4x?x?xf32>) outs(%8 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %cst_4 = arith.constant 2.500000e-01 : f32
      %26 = arith.mulf %in, %cst_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x4x?x?xf32>
    %10 = tensor.empty(%0, %2, %1) : tensor<?x4x?x?xf32>
    %11 = linalg.generic {indexing_maps = [#map3, #map4, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%9, %arg3 : tensor<?x4x?x?xf32>, tensor<?x1x?x?xf32>) outs(%10 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.addf %in, %in_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x4x?x?xf32>
    %12 = tensor.empty(%0, %2) : tensor<?x4x?x1xf32>
    %cst_0 = arith.constant dense<[[[[0.000000e+00]], [[2.500000e-01]], [[5.000000e-01]], [[7.500000e-01]]]]> : tensor<1x4x1x1xf32>
    %13 = linalg.generic {indexing_maps = [#map5, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%cst_0 : tensor<1x4x1x1xf32>) outs(%12 : tensor<?x4x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    } -> tensor<?x4x?x1xf32>
    %concat = tensor.concat dim(3) %11, %13 : (tensor<?x4x?x?xf32>, tensor<?x4x?x1xf32>) -> tensor<?x4x?x?xf32>
    %cst_1 = arith.constant 0xFF800000 : f32
    %14 = tensor.empty(%0, %2) : tensor<?x4x?xf32>
    %15 = linalg.fill ins(%cst_1 : f32) outs(%14 : tensor<?x4x?xf32>) -> tensor<?x4x?xf32>
    %16 = linalg.generic {indexing_maps = [#map3, #map6], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%concat : tensor<?x4x?x?xf32>) outs(%15 : tensor<?x4x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %26 = arith.maximumf %out, %in : f32
      linalg.yield %26 : f32
    } -> tensor<?x4x?xf32>
    %expanded = tensor.expand_shape %16 [[0], [1], [2, 3]] output_shape [%0, 4, %2, 1] : tensor<?x4x?xf32> into tensor<?x4x?x1xf32>
    %17 = tensor.empty(%0, %2) : tensor<?x4x?x1xf32>
    %18 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded : tensor<?x4x?x1xf32>) outs(%17 : tensor<?x4x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    } -> tensor<?x4x?x1xf32>
    %19 = tensor.empty(%0, %2, %3) : tensor<?x4x?x?xf32>
    %20 = linalg.generic {indexing_maps = [#map3, #map7, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%concat, %18 : tensor<?x4x?x?xf32>, tensor<?x4x?x1xf32>) outs(%19 : tensor<?x4x?x?xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.subf %in, %in_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x4x?x?xf32>
    %21 = fulgur.softmax %20 {axis = 3 : i64} : tensor<?x4x?x?xf32>
    %extracted_slice = tensor.extract_slice %21[0, 0, 0, 0] [%0, 4, %2, %1] [1, 1, 1, 1] : tensor<?x4x?x?xf32> to tensor<?x4x?x?xf32>
    %cst_2 = arith.constant 0.000000e+00 : f32
    %22 = tensor.empty(%0, %2) : tensor<?x4x?x8xf32>
    %23 = linalg.fill ins(%cst_2 : f32) outs(%22 : tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    %24 = linalg.generic {indexing_maps = [#map, #map1, #map2], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%extracted_slice, %arg2 : tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) outs(%23 : tensor<?x4x?x8xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.mulf %in, %in_4 : f32
      %27 = arith.addf %out, %26 : f32
      linalg.yield %27 : f32
    } -> tensor<?x4x?x8xf32>
    %25 = tensor.empty(%0, %2) : tensor<?x?x4x8xf32>
    %transposed_3 = linalg.transpose ins(%24 : tensor<?x4x?x8xf32>) outs(%25 : tensor<?x?x4x8xf32>) permutation = [0, 2, 1, 3] 
    return %transposed_3 : tensor<?x?x4x8xf32>
  }
}
