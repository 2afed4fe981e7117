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
