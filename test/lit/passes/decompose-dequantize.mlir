// RUN: fulgur-opt %s --fulgur-decompose-dequantize | FileCheck %s
// What the loops compute is tested in test/lit/kernels/blocks.test and test/lit/interpreter/dequantize.mlir.

// CHECK-LABEL: @result
// CHECK-NOT: fulgur.dequantize
// CHECK: tensor.extract %{{.*}} : tensor<2x8xi8>
// CHECK: arith.shrui
// CHECK: arith.subf
// CHECK: arith.mulf
func.func @result(%codes: tensor<2x8xi8>, %scale: tensor<2x4xf16>) -> tensor<2x16xf32> {
  %w = fulgur.dequantize %codes, %scale {axis = 1 : i64, bits = 4 : i64, block = 4 : i64, offset = 8 : i64, per_byte = 2 : i64}
    : tensor<2x8xi8>, tensor<2x4xf16> -> tensor<2x16xf32>
  return %w : tensor<2x16xf32>
}

// Signed codes keep their sign.
// CHECK-LABEL: @signed
// CHECK-NOT: fulgur.dequantize
// CHECK: arith.shrsi
func.func @signed(%codes: tensor<16x2xi8>, %scale: tensor<4x2xf32>, %zero: tensor<4x2xi8>) -> tensor<16x2xf32> {
  %w = fulgur.dequantize %codes, %scale, %zero {axis = 0 : i64, bits = 8 : i64, block = 4 : i64, is_signed}
    : tensor<16x2xi8>, tensor<4x2xf32>, tensor<4x2xi8> -> tensor<16x2xf32>
  return %w : tensor<16x2xf32>
}

// A product takes the codes as they are.
// CHECK-LABEL: @negative_product
// CHECK: fulgur.dequantize
func.func @negative_product(%x: tensor<1x16xf32>, %codes: tensor<16x2xi8>, %scale: tensor<4x2xf32>, %sums: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %w = fulgur.dequantize %codes, %scale {axis = 0 : i64, bits = 8 : i64, block = 4 : i64} : tensor<16x2xi8>, tensor<4x2xf32> -> tensor<16x2xf32>
  %y = linalg.matmul ins(%x, %w : tensor<1x16xf32>, tensor<16x2xf32>) outs(%sums : tensor<1x2xf32>) -> tensor<1x2xf32>
  return %y : tensor<1x2xf32>
}

// A loop that picks numbers makes those only, when it is in a kernel that has no builder.
// CHECK-LABEL: @picked
// CHECK-NOT: fulgur.dequantize
// CHECK: linalg.generic
// CHECK: tensor.extract %{{.*}} : tensor<4x16xi8>
// CHECK: arith.mulf
// CHECK-NOT: linalg.generic
// CHECK-LABEL: @negative_picked
// CHECK: fulgur.dequantize
func.func @picked(%i: tensor<3xi64>, %codes: tensor<4x16xi8>, %scale: tensor<4x1xf32>, %out: tensor<3x16xf32>) -> tensor<3x16xf32> {
  %r = fulgur.kernel ins(%i, %codes, %scale : tensor<3xi64>, tensor<4x16xi8>, tensor<4x1xf32>) outs(%out : tensor<3x16xf32>) {
  ^bb0(%n: tensor<3xi64>, %c: tensor<4x16xi8>, %s: tensor<4x1xf32>, %o: tensor<3x16xf32>):
    %w = fulgur.dequantize %c, %s {axis = 1 : i64, bits = 8 : i64, block = 16 : i64} : tensor<4x16xi8>, tensor<4x1xf32> -> tensor<4x16xf32>
    %g = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
        ins(%n : tensor<3xi64>) outs(%o : tensor<3x16xf32>) {
    ^bb0(%k: i64, %e: f32):
      %row = arith.index_cast %k : i64 to index
      %column = linalg.index 1 : index
      %v = tensor.extract %w[%row, %column] : tensor<4x16xf32>
      linalg.yield %v : f32
    } -> tensor<3x16xf32>
    fulgur.yield %g : tensor<3x16xf32>
  } -> tensor<3x16xf32>
  return %r : tensor<3x16xf32>
}
func.func @negative_picked(%i: tensor<3xi64>, %codes: tensor<4x16xi8>, %scale: tensor<4x1xf32>, %out: tensor<3x16xf32>) -> tensor<3x16xf32> {
  %w = fulgur.dequantize %codes, %scale {axis = 1 : i64, bits = 8 : i64, block = 16 : i64} : tensor<4x16xi8>, tensor<4x1xf32> -> tensor<4x16xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%i : tensor<3xi64>) outs(%out : tensor<3x16xf32>) {
  ^bb0(%k: i64, %e: f32):
    %row = arith.index_cast %k : i64 to index
    %column = linalg.index 1 : index
    %v = tensor.extract %w[%row, %column] : tensor<4x16xf32>
    linalg.yield %v : f32
  } -> tensor<3x16xf32>
  return %g : tensor<3x16xf32>
}
