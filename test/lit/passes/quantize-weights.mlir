// RUN: fulgur-opt %s --fulgur-quantize-weights=block=2 | FileCheck %s

// What lies farthest from 0 becomes -8 of its block's scale.
// CHECK-LABEL: @weights
// CHECK-SAME: %[[x:.*]]: tensor<1x4xf32>
// CHECK-DAG: %[[codes:.*]] = arith.constant dense_resource<codes{{.*}}> : tensor<4x2xi8>
// CHECK-DAG: %[[scales:.*]] = arith.constant dense_resource<scales{{.*}}> : tensor<2x2xf32>
// CHECK: %[[w:.*]] = fulgur.dequantize %[[codes]], %[[scales]] {axis = 0 : i64, bits = 4 : i64, block = 2 : i64, offset = 8 : i64}
// CHECK: linalg.matmul ins(%[[x]], %[[w]]
func.func @weights(%x: tensor<1x4xf32>, %sums: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %w = arith.constant dense<[[8.0, 1.0], [2.0, -0.125], [0.0, -16.0], [0.0, 4.0]]> : tensor<4x2xf32>
  %y = linalg.matmul ins(%x, %w : tensor<1x4xf32>, tensor<4x2xf32>) outs(%sums : tensor<1x2xf32>) -> tensor<1x2xf32>
  return %y : tensor<1x2xf32>
}

// Blocks go along the sum, wherever that is; another use keeps the floats.
// CHECK-LABEL: @transposed
// CHECK: %[[floats:.*]] = arith.constant dense<{{.*}}> : tensor<2x4xf32>
// CHECK: fulgur.dequantize {{.*}} {axis = 1 : i64
// CHECK: return %{{.*}}, %[[floats]]
func.func @transposed(%x: tensor<1x4xf32>, %sums: tensor<1x2xf32>) -> (tensor<1x2xf32>, tensor<2x4xf32>) {
  %w = arith.constant dense<[[8.0, 1.0, 2.0, -0.125], [0.0, -16.0, 0.0, 4.0]]> : tensor<2x4xf32>
  %y = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%x, %w : tensor<1x4xf32>, tensor<2x4xf32>) outs(%sums : tensor<1x2xf32>) -> tensor<1x2xf32>
  return %y, %w : tensor<1x2xf32>, tensor<2x4xf32>
}

// A sum that is no whole number of blocks.
// CHECK-LABEL: @negative_odd
// CHECK-NOT: fulgur.dequantize
func.func @negative_odd(%x: tensor<1x3xf32>, %sums: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %w = arith.constant dense<1.0> : tensor<3x2xf32>
  %y = linalg.matmul ins(%x, %w : tensor<1x3xf32>, tensor<3x2xf32>) outs(%sums : tensor<1x2xf32>) -> tensor<1x2xf32>
  return %y : tensor<1x2xf32>
}

// A matrix that is no constant.
// CHECK-LABEL: @negative_activations
// CHECK-NOT: fulgur.dequantize
func.func @negative_activations(%x: tensor<1x4xf32>, %w: tensor<4x2xf32>, %sums: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %y = linalg.matmul ins(%x, %w : tensor<1x4xf32>, tensor<4x2xf32>) outs(%sums : tensor<1x2xf32>) -> tensor<1x2xf32>
  return %y : tensor<1x2xf32>
}

// RUN: fulgur-opt %s --fulgur-quantize-weights="bits=8 block=0 round=true" | FileCheck %s --check-prefix=BYTES
// RUN: fulgur-opt %s --fulgur-quantize-weights="bits=8 block=0 round=true" --remarks-filter-missed=.* --remark-format=emitRemark -o %t 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: fulgur-opt %s --fulgur-quantize-weights="bits=4 block=16 round=true" | FileCheck %s --check-prefix=ROUND

// Rows become bytes, with a scale for all of a sum or for each block of it; rows that are picked from the weight are picked from its codes.
// CHECK-LABEL: @rows
// BYTES-LABEL: @rows
// BYTES-SAME: %[[x:.*]]: tensor<1x32xf32>
// BYTES: %[[w:.*]] = fulgur.dequantize {{.*}} {axis = 1 : i64, bits = 8 : i64, block = 32 : i64, offset = 128 : i64} : tensor<4x32xi8>, tensor<4x1xf32>
// BYTES-DAG: %[[rounded:.*]] = fulgur.round_blocks %[[x]] {block = 32 : i64}
// BYTES-DAG: tensor.extract %[[w]][%{{.*}}, %{{.*}}]
// BYTES: ins(%[[rounded]], %[[w]] :
// ROUND-LABEL: @rows
// ROUND: fulgur.dequantize {{.*}} {axis = 1 : i64, bits = 4 : i64, block = 16 : i64, offset = 8 : i64}
// ROUND: fulgur.round_blocks %{{.*}} {block = 16 : i64}
func.func @rows(%x: tensor<1x32xf32>, %sums: tensor<1x4xf32>, %i: tensor<3xi64>) -> (tensor<1x4xf32>, tensor<3x32xf32>) {
  %w = arith.constant dense<0.5> : tensor<4x32xf32>
  %e = tensor.empty() : tensor<3x32xf32>
  %picked = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%i : tensor<3xi64>) outs(%e : tensor<3x32xf32>) {
  ^bb0(%n: i64, %o: f32):
    %row = arith.index_cast %n : i64 to index
    %column = linalg.index 1 : index
    %v = tensor.extract %w[%row, %column] : tensor<4x32xf32>
    linalg.yield %v : f32
  } -> tensor<3x32xf32>
  %y = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%x, %w : tensor<1x32xf32>, tensor<4x32xf32>) outs(%sums : tensor<1x4xf32>) -> tensor<1x4xf32>
  return %y, %picked : tensor<1x4xf32>, tensor<3x32xf32>
}

// Short sums stay float32, and rows that are not along the last dim stay numbers.
// BYTES-LABEL: @negative_short
// BYTES-NOT: fulgur.dequantize
// BYTES-LABEL: @negative_columns
// BYTES: fulgur.dequantize
// BYTES-NOT: fulgur.round_blocks
func.func @negative_short(%x: tensor<1x8xf32>, %sums: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %w = arith.constant dense<1.0> : tensor<8x2xf32>
  %y = linalg.matmul ins(%x, %w : tensor<1x8xf32>, tensor<8x2xf32>) outs(%sums : tensor<1x2xf32>) -> tensor<1x2xf32>
  return %y : tensor<1x2xf32>
}
func.func @negative_columns(%x: tensor<32x5xf32>, %sums: tensor<5x4xf32>) -> tensor<5x4xf32> {
  %w = arith.constant dense<1.0> : tensor<32x4xf32>
  %y = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%x, %w : tensor<32x5xf32>, tensor<32x4xf32>) outs(%sums : tensor<5x4xf32>) -> tensor<5x4xf32>
  return %y : tensor<5x4xf32>
}

// The weights do not change in convolutions, which is said.
// REMARK-DAG: remark: {{.*}}stays float32: its sums are short
// REMARK-DAG: remark: {{.*}}its sums do not go along the last dim
// REMARK-DAG: remark: [Missed]{{.*}}the weights of convolutions stay float32
// BYTES-LABEL: @negative_convolution
// BYTES: arith.constant dense<1.000000e+00> : tensor<3x3x16x2xf32>
func.func @negative_convolution(%x: tensor<1x5x5x16xf32>, %sums: tensor<1x3x3x2xf32>) -> tensor<1x3x3x2xf32> {
  %w = arith.constant dense<1.0> : tensor<3x3x16x2xf32>
  %y = linalg.conv_2d_nhwc_hwcf ins(%x, %w : tensor<1x5x5x16xf32>, tensor<3x3x16x2xf32>) outs(%sums : tensor<1x3x3x2xf32>) -> tensor<1x3x3x2xf32>
  return %y : tensor<1x3x3x2xf32>
}

// What decides where rows go, or which class something is of, stays exact.
// REMARK-DAG: remark: {{.*}}a weight of 64 steps stays float32: it has few columns
// BYTES-LABEL: @negative_router
// BYTES-NOT: fulgur.dequantize
func.func @negative_router(%x: tensor<5x64xf32>, %sums: tensor<5x4xf32>) -> tensor<5x4xf32> {
  %w = arith.constant dense<1.0> : tensor<64x4xf32>
  %y = linalg.matmul ins(%x, %w : tensor<5x64xf32>, tensor<64x4xf32>) outs(%sums : tensor<5x4xf32>) -> tensor<5x4xf32>
  return %y : tensor<5x4xf32>
}

// Nor does what is picked by its greatest element change, if the model goes on with that; to return it, as which class an input is of, decides nothing.
// CHECK-LABEL: @negative_picks
// CHECK-NOT: fulgur.dequantize
// REMARK-DAG: remark: {{.*}}its weights stay float32: what is picked depends on its result
// BYTES-LABEL: @negative_picks
// BYTES-NOT: fulgur.dequantize
// CHECK-LABEL: @negative_best
// CHECK-NOT: fulgur.dequantize
// BYTES-LABEL: @negative_best
// BYTES-NOT: fulgur.dequantize
// CHECK-LABEL: @class
// CHECK: fulgur.dequantize
// BYTES-LABEL: @class
// BYTES: fulgur.dequantize
func.func @negative_picks(%x: tensor<5x64xf32>, %sums: tensor<5x32xf32>) -> tensor<5xf32> {
  %w = arith.constant dense<1.0> : tensor<64x32xf32>
  %table = arith.constant dense<2.0> : tensor<32xf32>
  %y = linalg.matmul ins(%x, %w : tensor<5x64xf32>, tensor<64x32xf32>) outs(%sums : tensor<5x32xf32>) -> tensor<5x32xf32>
  %shares = fulgur.softmax %y {axis = 1 : i64} : tensor<5x32xf32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  %c32 = arith.constant 32 : index
  %none = tensor.empty() : tensor<5xi64>
  %best = scf.for %i = %c0 to %c5 step %c1 iter_args(%all = %none) -> tensor<5xi64> {
    %one = scf.for %j = %c1 to %c32 step %c1 iter_args(%best = %c0) -> index {
      %a = tensor.extract %shares[%i, %j] : tensor<5x32xf32>
      %b = tensor.extract %shares[%i, %best] : tensor<5x32xf32>
      %more = arith.cmpf ogt, %a, %b : f32
      %next = arith.select %more, %j, %best : index
      scf.yield %next : index
    }
    %place = arith.index_cast %one : index to i64
    %filled = tensor.insert %place into %all[%i] : tensor<5xi64>
    scf.yield %filled : tensor<5xi64>
  }
  %e = tensor.empty() : tensor<5xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%best : tensor<5xi64>) outs(%e : tensor<5xf32>) {
  ^bb0(%n: i64, %o: f32):
    %at = arith.index_cast %n : i64 to index
    %v = tensor.extract %table[%at] : tensor<32xf32>
    linalg.yield %v : f32
  } -> tensor<5xf32>
  return %r : tensor<5xf32>
}

#greatest = {
  indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]
}
func.func @negative_best(%x: tensor<5x64xf32>, %sums: tensor<5x32xf32>, %least: tensor<5xf32>, %first: tensor<5xi64>) -> tensor<5xi64> {
  %w = arith.constant dense<1.0> : tensor<64x32xf32>
  %y = linalg.matmul ins(%x, %w : tensor<5x64xf32>, tensor<64x32xf32>) outs(%sums : tensor<5x32xf32>) -> tensor<5x32xf32>
  %v, %n = linalg.generic #greatest ins(%y : tensor<5x32xf32>) outs(%least, %first : tensor<5xf32>, tensor<5xi64>) {
  ^bb0(%a: f32, %b: f32, %k: i64):
    %more = arith.cmpf ogt, %a, %b : f32
    %j = linalg.index 1 : index
    %place = arith.index_cast %j : index to i64
    %greater = arith.select %more, %a, %b : f32
    %at = arith.select %more, %place, %k : i64
    linalg.yield %greater, %at : f32, i64
  } -> (tensor<5xf32>, tensor<5xi64>)
  %twice = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>], iterator_types = ["parallel"]} outs(%n : tensor<5xi64>) {
  ^bb0(%k: i64):
    %d = arith.addi %k, %k : i64
    linalg.yield %d : i64
  } -> tensor<5xi64>
  return %twice : tensor<5xi64>
}
func.func @class(%x: tensor<5x64xf32>, %sums: tensor<5x32xf32>, %least: tensor<5xf32>, %first: tensor<5xi64>) -> tensor<5x1xi64> {
  %w = arith.constant dense<1.0> : tensor<64x32xf32>
  %y = linalg.matmul ins(%x, %w : tensor<5x64xf32>, tensor<64x32xf32>) outs(%sums : tensor<5x32xf32>) -> tensor<5x32xf32>
  %v, %n = linalg.generic #greatest ins(%y : tensor<5x32xf32>) outs(%least, %first : tensor<5xf32>, tensor<5xi64>) {
  ^bb0(%a: f32, %b: f32, %k: i64):
    %more = arith.cmpf ogt, %a, %b : f32
    %j = linalg.index 1 : index
    %place = arith.index_cast %j : index to i64
    %greater = arith.select %more, %a, %b : f32
    %at = arith.select %more, %place, %k : i64
    linalg.yield %greater, %at : f32, i64
  } -> (tensor<5xf32>, tensor<5xi64>)
  %column = tensor.expand_shape %n [[0, 1]] output_shape [5, 1] : tensor<5xi64> into tensor<5x1xi64>
  return %column : tensor<5x1xi64>
}
