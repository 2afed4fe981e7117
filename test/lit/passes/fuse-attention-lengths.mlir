// Sequences whose pasts are data (GroupQueryAttention): a bound for each of the batch, and a window in front of it; no mask.
// RUN: fulgur-opt %s --canonicalize --cse --fulgur-fuse-norms --canonicalize --cse --fulgur-fold-transposes --fulgur-fuse-attention --canonicalize --cse | FileCheck %s
// CHECK: fulgur.attention %{{[^ ]*}}, %{{[^ ]*}}, %{{[^ ]*}} offsets(%{{[^ ]*}} : tensor<?xi64>) causal(%c0) {{.*}} attributes {window = 3 : i64}

#map = affine_map<() -> ()>
#map1 = affine_map<(d0) -> (d0)>
#map2 = affine_map<(d0, d1, d2, d3) -> (d0, d1, 0, 0)>
#map3 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map4 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d2, d4)>
#map5 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d4, d3)>
#map6 = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>
#map7 = affine_map<(d0, d1, d2, d3) -> (d0, 0, d2, d3)>
module attributes {fulgur.model = "gqaw", fulgur.stage = "import", fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "batch"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "sequence"}, {max = 9223372036854775807 : i64, min = 0 : i64, name = "past"}]} {
  func.func @main(%arg0: tensor<?x?x16xf32> {fulgur.dims = ["batch", "sequence", "16"], fulgur.name = "q"}, %arg1: tensor<?x?x8xf32> {fulgur.dims = ["batch", "sequence", "8"], fulgur.name = "k"}, %arg2: tensor<?x?x8xf32> {fulgur.dims = ["batch", "sequence", "8"], fulgur.name = "v"}, %arg3: tensor<?x1x?x8xf32> {fulgur.dims = ["batch", "1", "past", "8"], fulgur.name = "pk"}, %arg4: tensor<?x1x?x8xf32> {fulgur.dims = ["batch", "1", "past", "8"], fulgur.name = "pv"}, %arg5: tensor<?xi32> {fulgur.dims = ["batch"], fulgur.name = "lengths"}, %arg6: tensor<1xi32> {fulgur.dims = ["1"], fulgur.name = "total"}) -> (tensor<?x?x16xf32> {fulgur.dims = ["batch", "sequence", "16"], fulgur.name = "y"}, tensor<?x1x?x8xf32> {fulgur.dims = ["batch", "1", "max(past, total.value)", "8"], fulgur.name = "ck"}, tensor<?x1x?x8xf32> {fulgur.dims = ["batch", "1", "max(past, total.value)", "8"], fulgur.name = "cv"}) {
    %0 = fulgur.symbol "batch"
    %1 = fulgur.symbol "sequence"
    %2 = fulgur.symbol "past"
    %3 = arith.addi %1, %2 overflow<nsw> : index
    %c-1 = arith.constant -1 : index
    %4 = arith.addi %1, %2 overflow<nsw> : index
    %5 = arith.addi %4, %c-1 overflow<nsw> : index
    %c2 = arith.constant 2 : index
    %6 = arith.muli %1, %c2 overflow<nsw> : index
    %expanded = tensor.expand_shape %arg0 [[0], [1], [2, 3]] output_shape [%0, %1, 2, 8] : tensor<?x?x16xf32> into tensor<?x?x2x8xf32>
    %7 = tensor.empty(%0, %1) : tensor<?x2x?x8xf32>
    %transposed = linalg.transpose ins(%expanded : tensor<?x?x2x8xf32>) outs(%7 : tensor<?x2x?x8xf32>) permutation = [0, 2, 1, 3] 
    %expanded_0 = tensor.expand_shape %arg1 [[0], [1], [2, 3]] output_shape [%0, %1, 1, 8] : tensor<?x?x8xf32> into tensor<?x?x1x8xf32>
    %8 = tensor.empty(%0, %1) : tensor<?x1x?x8xf32>
    %transposed_1 = linalg.transpose ins(%expanded_0 : tensor<?x?x1x8xf32>) outs(%8 : tensor<?x1x?x8xf32>) permutation = [0, 2, 1, 3] 
    %expanded_2 = tensor.expand_shape %arg2 [[0], [1], [2, 3]] output_shape [%0, %1, 1, 8] : tensor<?x?x8xf32> into tensor<?x?x1x8xf32>
    %9 = tensor.empty(%0, %1) : tensor<?x1x?x8xf32>
    %transposed_3 = linalg.transpose ins(%expanded_2 : tensor<?x?x1x8xf32>) outs(%9 : tensor<?x1x?x8xf32>) permutation = [0, 2, 1, 3] 
    %collapsed = tensor.collapse_shape %arg6 [] : tensor<1xi32> into tensor<i32>
    %10 = tensor.empty() : tensor<i64>
    %11 = linalg.generic {indexing_maps = [#map, #map], iterator_types = []} ins(%collapsed : tensor<i32>) outs(%10 : tensor<i64>) {
    ^bb0(%in: i32, %out: i64):
      %39 = arith.extsi %in : i32 to i64
      linalg.yield %39 : i64
    } -> tensor<i64>
    %extracted = tensor.extract %11[] : tensor<i64>
    %12 = arith.index_cast %extracted : i64 to index
    %13 = fulgur.bounded %12 at most %3, "'total' must not exceed 'sequence + past'"
    %14 = tensor.empty(%0) : tensor<?xi64>
    %15 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel"]} ins(%arg5 : tensor<?xi32>) outs(%14 : tensor<?xi64>) {
    ^bb0(%in: i32, %out: i64):
      %39 = arith.extsi %in : i32 to i64
      linalg.yield %39 : i64
    } -> tensor<?xi64>
    %16 = arith.maxsi %2, %13 : index
    %17 = arith.muli %16, %c-1 overflow<nsw> : index
    fulgur.check_bounds %15 in %17 to %16, "index outside the cache" : tensor<?xi64>
    %18 = tensor.empty(%0) : tensor<?xi64>
    %19 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel"]} ins(%15 : tensor<?xi64>) outs(%18 : tensor<?xi64>) {
    ^bb0(%in: i64, %out: i64):
      %c1_i64 = arith.constant 1 : i64
      %39 = arith.addi %in, %c1_i64 : i64
      linalg.yield %39 : i64
    } -> tensor<?xi64>
    %20 = tensor.empty(%0) : tensor<?xi64>
    %21 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel"]} ins(%19 : tensor<?xi64>) outs(%20 : tensor<?xi64>) {
    ^bb0(%in: i64, %out: i64):
      %39 = arith.index_cast %1 : index to i64
      %40 = arith.subi %in, %39 : i64
      %c0_i64 = arith.constant 0 : i64
      %41 = arith.maxsi %40, %c0_i64 : i64
      %42 = arith.index_cast %1 : index to i64
      %43 = arith.index_cast %13 : index to i64
      %44 = arith.cmpi eq, %42, %43 : i64
      %c0_i64_26 = arith.constant 0 : i64
      %45 = arith.select %44, %c0_i64_26, %41 : i64
      linalg.yield %45 : i64
    } -> tensor<?xi64>
    %concat = tensor.concat dim(2) %arg3, %transposed_1 : (tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x1x?x8xf32>
    %expanded_4 = tensor.expand_shape %21 [[0, 1, 2, 3]] output_shape [%0, 1, 1, 1] : tensor<?xi64> into tensor<?x1x1x1xi64>
    %22 = tensor.empty(%0, %16) : tensor<?x1x?x8xf32>
    %23 = linalg.generic {indexing_maps = [#map2, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_4 : tensor<?x1x1x1xi64>) outs(%22 : tensor<?x1x?x8xf32>) {
    ^bb0(%in: i64, %out: f32):
      %39 = linalg.index 0 : index
      %40 = linalg.index 1 : index
      %41 = linalg.index 2 : index
      %42 = linalg.index 3 : index
      %43 = arith.index_cast %in : i64 to index
      %44 = arith.cmpi slt, %41, %43 : index
      %45 = arith.addi %43, %1 : index
      %46 = arith.cmpi slt, %41, %45 : index
      %47 = arith.subi %41, %43 : index
      %48 = arith.addi %47, %2 : index
      %49 = arith.select %44, %41, %48 : index
      %50 = arith.cmpi slt, %49, %3 : index
      %51 = arith.minsi %49, %5 : index
      %c0 = arith.constant 0 : index
      %52 = arith.maxsi %51, %c0 : index
      %extracted_26 = tensor.extract %concat[%39, %40, %52, %42] : tensor<?x1x?x8xf32>
      %cst_27 = arith.constant 0.000000e+00 : f32
      %53 = arith.select %50, %extracted_26, %cst_27 : f32
      linalg.yield %53 : f32
    } -> tensor<?x1x?x8xf32>
    %concat_5 = tensor.concat dim(2) %arg4, %transposed_3 : (tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x1x?x8xf32>
    %expanded_6 = tensor.expand_shape %21 [[0, 1, 2, 3]] output_shape [%0, 1, 1, 1] : tensor<?xi64> into tensor<?x1x1x1xi64>
    %24 = tensor.empty(%0, %16) : tensor<?x1x?x8xf32>
    %25 = linalg.generic {indexing_maps = [#map2, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_6 : tensor<?x1x1x1xi64>) outs(%24 : tensor<?x1x?x8xf32>) {
    ^bb0(%in: i64, %out: f32):
      %39 = linalg.index 0 : index
      %40 = linalg.index 1 : index
      %41 = linalg.index 2 : index
      %42 = linalg.index 3 : index
      %43 = arith.index_cast %in : i64 to index
      %44 = arith.cmpi slt, %41, %43 : index
      %45 = arith.addi %43, %1 : index
      %46 = arith.cmpi slt, %41, %45 : index
      %47 = arith.subi %41, %43 : index
      %48 = arith.addi %47, %2 : index
      %49 = arith.select %44, %41, %48 : index
      %50 = arith.cmpi slt, %49, %3 : index
      %51 = arith.minsi %49, %5 : index
      %c0 = arith.constant 0 : index
      %52 = arith.maxsi %51, %c0 : index
      %extracted_26 = tensor.extract %concat_5[%39, %40, %52, %42] : tensor<?x1x?x8xf32>
      %cst_27 = arith.constant 0.000000e+00 : f32
      %53 = arith.select %50, %extracted_26, %cst_27 : f32
      linalg.yield %53 : f32
    } -> tensor<?x1x?x8xf32>
    %extracted_slice = tensor.extract_slice %23[0, 0, 0, 0] [%0, 1, %13, 8] [1, 1, 1, 1] : tensor<?x1x?x8xf32> to tensor<?x1x?x8xf32>
    %extracted_slice_7 = tensor.extract_slice %25[0, 0, 0, 0] [%0, 1, %13, 8] [1, 1, 1, 1] : tensor<?x1x?x8xf32> to tensor<?x1x?x8xf32>
    %expanded_8 = tensor.expand_shape %21 [[0, 1, 2, 3]] output_shape [%0, 1, 1, 1] : tensor<?xi64> into tensor<?x1x1x1xi64>
    %expanded_9 = tensor.expand_shape %19 [[0, 1, 2, 3]] output_shape [%0, 1, 1, 1] : tensor<?xi64> into tensor<?x1x1x1xi64>
    %26 = tensor.empty(%0, %1, %13) : tensor<?x1x?x?xi1>
    %27 = linalg.generic {indexing_maps = [#map2, #map2, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_8, %expanded_9 : tensor<?x1x1x1xi64>, tensor<?x1x1x1xi64>) outs(%26 : tensor<?x1x?x?xi1>) {
    ^bb0(%in: i64, %in_26: i64, %out: i1):
      %39 = linalg.index 2 : index
      %40 = linalg.index 3 : index
      %41 = arith.index_cast %in_26 : i64 to index
      %42 = arith.index_cast %in : i64 to index
      %43 = arith.addi %42, %39 : index
      %44 = arith.cmpi sle, %40, %43 : index
      %c3 = arith.constant 3 : index
      %45 = arith.subi %43, %c3 : index
      %46 = arith.cmpi slt, %45, %40 : index
      %47 = arith.andi %44, %46 : i1
      linalg.yield %47 : i1
    } -> tensor<?x1x?x?xi1>
    %collapsed_10 = tensor.collapse_shape %transposed [[0], [1, 2], [3]] : tensor<?x2x?x8xf32> into tensor<?x?x8xf32>
    %expanded_11 = tensor.expand_shape %collapsed_10 [[0], [1, 2], [3]] output_shape [%0, 1, %6, 8] : tensor<?x?x8xf32> into tensor<?x1x?x8xf32>
    %28 = tensor.empty(%0, %13) : tensor<?x1x8x?xf32>
    %transposed_12 = linalg.transpose ins(%extracted_slice : tensor<?x1x?x8xf32>) outs(%28 : tensor<?x1x8x?xf32>) permutation = [0, 1, 3, 2] 
    %collapsed_13 = tensor.collapse_shape %expanded_11 [[0, 1], [2], [3]] : tensor<?x1x?x8xf32> into tensor<?x?x8xf32>
    %collapsed_14 = tensor.collapse_shape %transposed_12 [[0, 1], [2], [3]] : tensor<?x1x8x?xf32> into tensor<?x8x?xf32>
    %cst = arith.constant 0.000000e+00 : f32
    %29 = tensor.empty(%0, %6, %13) : tensor<?x1x?x?xf32>
    %30 = linalg.fill ins(%cst : f32) outs(%29 : tensor<?x1x?x?xf32>) -> tensor<?x1x?x?xf32>
    %31 = linalg.generic {indexing_maps = [#map4, #map5, #map6], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%collapsed_13, %collapsed_14 : tensor<?x?x8xf32>, tensor<?x8x?xf32>) outs(%30 : tensor<?x1x?x?xf32>) {
    ^bb0(%in: f32, %in_26: f32, %out: f32):
      %39 = arith.mulf %in, %in_26 : f32
      %40 = arith.addf %out, %39 : f32
      linalg.yield %40 : f32
    } -> tensor<?x1x?x?xf32>
    %collapsed_15 = tensor.collapse_shape %31 [[0, 1], [2], [3]] : tensor<?x1x?x?xf32> into tensor<?x?x?xf32>
    %expanded_16 = tensor.expand_shape %collapsed_15 [[0], [1, 2], [3]] output_shape [%0, 2, %1, %13] : tensor<?x?x?xf32> into tensor<?x2x?x?xf32>
    %32 = tensor.empty(%0, %1, %13) : tensor<?x2x?x?xf32>
    %33 = linalg.generic {indexing_maps = [#map3, #map7, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_16, %27 : tensor<?x2x?x?xf32>, tensor<?x1x?x?xi1>) outs(%32 : tensor<?x2x?x?xf32>) {
    ^bb0(%in: f32, %in_26: i1, %out: f32):
      %cst_27 = arith.constant 0.353553385 : f32
      %39 = arith.mulf %in, %cst_27 : f32
      %cst_28 = arith.constant 0xFF800000 : f32
      %40 = arith.select %in_26, %39, %cst_28 : f32
      linalg.yield %40 : f32
    } -> tensor<?x2x?x?xf32>
    %34 = fulgur.softmax %33 {axis = 3 : i64} : tensor<?x2x?x?xf32>
    %collapsed_17 = tensor.collapse_shape %34 [[0], [1, 2], [3]] : tensor<?x2x?x?xf32> into tensor<?x?x?xf32>
    %expanded_18 = tensor.expand_shape %collapsed_17 [[0], [1, 2], [3]] output_shape [%0, 1, %6, %13] : tensor<?x?x?xf32> into tensor<?x1x?x?xf32>
    %collapsed_19 = tensor.collapse_shape %expanded_18 [[0, 1], [2], [3]] : tensor<?x1x?x?xf32> into tensor<?x?x?xf32>
    %collapsed_20 = tensor.collapse_shape %extracted_slice_7 [[0, 1], [2], [3]] : tensor<?x1x?x8xf32> into tensor<?x?x8xf32>
    %cst_21 = arith.constant 0.000000e+00 : f32
    %35 = tensor.empty(%0, %6) : tensor<?x1x?x8xf32>
    %36 = linalg.fill ins(%cst_21 : f32) outs(%35 : tensor<?x1x?x8xf32>) -> tensor<?x1x?x8xf32>
    %37 = linalg.generic {indexing_maps = [#map4, #map5, #map6], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%collapsed_19, %collapsed_20 : tensor<?x?x?xf32>, tensor<?x?x8xf32>) outs(%36 : tensor<?x1x?x8xf32>) {
    ^bb0(%in: f32, %in_26: f32, %out: f32):
      %39 = arith.mulf %in, %in_26 : f32
      %40 = arith.addf %out, %39 : f32
      linalg.yield %40 : f32
    } -> tensor<?x1x?x8xf32>
    %collapsed_22 = tensor.collapse_shape %37 [[0, 1], [2], [3]] : tensor<?x1x?x8xf32> into tensor<?x?x8xf32>
    %expanded_23 = tensor.expand_shape %collapsed_22 [[0], [1, 2], [3]] output_shape [%0, 2, %1, 8] : tensor<?x?x8xf32> into tensor<?x2x?x8xf32>
    %38 = tensor.empty(%0, %1) : tensor<?x?x2x8xf32>
    %transposed_24 = linalg.transpose ins(%expanded_23 : tensor<?x2x?x8xf32>) outs(%38 : tensor<?x?x2x8xf32>) permutation = [0, 2, 1, 3] 
    %collapsed_25 = tensor.collapse_shape %transposed_24 [[0], [1], [2, 3]] : tensor<?x?x2x8xf32> into tensor<?x?x16xf32>
    return %collapsed_25, %23, %25 : tensor<?x?x16xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>
  }
}
