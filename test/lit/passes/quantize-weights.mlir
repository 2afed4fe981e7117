// RUN: fulgur-opt %s --fulgur-quantize-weights=block=2 | FileCheck %s

// What lies farthest from 0 becomes -8 of its block's scale.
// CHECK-LABEL: @weights
// CHECK-SAME: %[[x:.*]]: tensor<1x4xf32>
// CHECK-DAG: %[[codes:.*]] = arith.constant dense_resource<codes> : tensor<4x2xi8>
// CHECK-DAG: %[[scales:.*]] = arith.constant dense_resource<scales> : tensor<2x2xf32>
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

