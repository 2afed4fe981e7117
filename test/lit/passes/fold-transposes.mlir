// RUN: fulgur-opt %s --fulgur-fold-transposes | FileCheck %s
// A transpose beside a product becomes a permuted map of the product.

// CHECK-LABEL: @operand
// CHECK-NOT: linalg.transpose
// CHECK: linalg.generic {indexing_maps = [#[[LEFT:.*]], #[[RIGHT:.*]], #[[OUT:.*]]]
// CHECK-SAME: ins(%{{.*}}, %{{.*}} : tensor<4x8xf32>, tensor<16x8xf32>)
func.func @operand(%a: tensor<4x8xf32>, %b: tensor<16x8xf32>) -> tensor<4x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<8x16xf32>
  %t = linalg.transpose ins(%b : tensor<16x8xf32>) outs(%empty : tensor<8x16xf32>) permutation = [1, 0]
  %out = tensor.empty() : tensor<4x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%out : tensor<4x16xf32>) -> tensor<4x16xf32>
  %p = linalg.matmul ins(%a, %t : tensor<4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<4x16xf32>) -> tensor<4x16xf32>
  return %p : tensor<4x16xf32>
}

// CHECK-LABEL: @result
// CHECK-NOT: linalg.transpose
// CHECK: linalg.generic
// CHECK-SAME: outs(%{{.*}} : tensor<16x4xf32>)
func.func @result(%a: tensor<4x8xf32>, %b: tensor<8x16xf32>) -> tensor<16x4xf32> {
  %zero = arith.constant 0.0 : f32
  %out = tensor.empty() : tensor<4x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%out : tensor<4x16xf32>) -> tensor<4x16xf32>
  %p = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<4x16xf32>) -> tensor<4x16xf32>
  %empty = tensor.empty() : tensor<16x4xf32>
  %t = linalg.transpose ins(%p : tensor<4x16xf32>) outs(%empty : tensor<16x4xf32>) permutation = [1, 0]
  return %t : tensor<16x4xf32>
}

// A scaling with a scalar lets the transpose pass, so that it reaches the product.
// CHECK-LABEL: @below_elementwise
// CHECK: %[[SCALED:.*]] = linalg.generic
// CHECK-SAME: ins(%{{.*}} : tensor<16x8xf32>)
// CHECK-NOT: linalg.transpose
// CHECK: linalg.generic
// CHECK-SAME: ins(%{{.*}}, %[[SCALED]] : tensor<4x8xf32>, tensor<16x8xf32>)
#identity = affine_map<(d0, d1) -> (d0, d1)>
#scalar = affine_map<(d0, d1) -> ()>
func.func @below_elementwise(%a: tensor<4x8xf32>, %b: tensor<16x8xf32>, %factor: tensor<f32>) -> tensor<4x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<8x16xf32>
  %t = linalg.transpose ins(%b : tensor<16x8xf32>) outs(%empty : tensor<8x16xf32>) permutation = [1, 0]
  %s = linalg.generic {indexing_maps = [#identity, #scalar, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%t, %factor : tensor<8x16xf32>, tensor<f32>) outs(%empty : tensor<8x16xf32>) {
  ^bb0(%x: f32, %f: f32, %o: f32):
    %y = arith.mulf %x, %f : f32
    linalg.yield %y : f32
  } -> tensor<8x16xf32>
  %out = tensor.empty() : tensor<4x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%out : tensor<4x16xf32>) -> tensor<4x16xf32>
  %p = linalg.matmul ins(%a, %s : tensor<4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<4x16xf32>) -> tensor<4x16xf32>
  return %p : tensor<4x16xf32>
}

// The reshape goes last, where it may meet another one.
// CHECK-LABEL: @below_collapse
// CHECK: %[[T:.*]] = linalg.transpose ins(%{{.*}} : tensor<2x3x5xf32>) outs(%{{.*}} : tensor<5x2x3xf32>) permutation = [2, 0, 1]
// CHECK: tensor.collapse_shape %[[T]] {{\[\[}}0], [1, 2]] : tensor<5x2x3xf32> into tensor<5x6xf32>
func.func @below_collapse(%x: tensor<2x3x5xf32>) -> tensor<5x6xf32> {
  %c = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x5xf32> into tensor<6x5xf32>
  %empty = tensor.empty() : tensor<5x6xf32>
  %t = linalg.transpose ins(%c : tensor<6x5xf32>) outs(%empty : tensor<5x6xf32>) permutation = [1, 0]
  return %t : tensor<5x6xf32>
}

// The product's own order is wanted too.
// CHECK-LABEL: @negative_result_of_two_users
// CHECK: %[[P:.*]] = linalg.matmul
// CHECK: linalg.transpose ins(%[[P]]
func.func @negative_result_of_two_users(%a: tensor<4x8xf32>, %b: tensor<8x16xf32>) -> (tensor<4x16xf32>, tensor<16x4xf32>) {
  %zero = arith.constant 0.0 : f32
  %out = tensor.empty() : tensor<4x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%out : tensor<4x16xf32>) -> tensor<4x16xf32>
  %p = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<4x16xf32>) -> tensor<4x16xf32>
  %empty = tensor.empty() : tensor<16x4xf32>
  %t = linalg.transpose ins(%p : tensor<4x16xf32>) outs(%empty : tensor<16x4xf32>) permutation = [1, 0]
  return %p, %t : tensor<4x16xf32>, tensor<16x4xf32>
}

// The transposed tensor is needed anyhow, so the loop reads it.
// CHECK-LABEL: @negative_elementwise_beside_another_user
// CHECK: %[[T:.*]] = linalg.transpose
// CHECK: linalg.generic
// CHECK-SAME: ins(%[[T]] : tensor<8x16xf32>)
func.func @negative_elementwise_beside_another_user(%b: tensor<16x8xf32>) -> (tensor<8x16xf32>, tensor<8x16xf32>) {
  %empty = tensor.empty() : tensor<8x16xf32>
  %t = linalg.transpose ins(%b : tensor<16x8xf32>) outs(%empty : tensor<8x16xf32>) permutation = [1, 0]
  %s = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%t : tensor<8x16xf32>) outs(%empty : tensor<8x16xf32>) {
  ^bb0(%x: f32, %o: f32):
    %y = arith.negf %x : f32
    linalg.yield %y : f32
  } -> tensor<8x16xf32>
  return %t, %s : tensor<8x16xf32>, tensor<8x16xf32>
}

// What accumulates into a tensor that is already there keeps its layout.
// CHECK-LABEL: @negative_accumulates
// CHECK: linalg.matmul
// CHECK: linalg.transpose
func.func @negative_accumulates(%a: tensor<4x8xf32>, %b: tensor<8x16xf32>, %c: tensor<4x16xf32>) -> tensor<16x4xf32> {
  %p = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x16xf32>) outs(%c : tensor<4x16xf32>) -> tensor<4x16xf32>
  %empty = tensor.empty() : tensor<16x4xf32>
  %t = linalg.transpose ins(%p : tensor<4x16xf32>) outs(%empty : tensor<16x4xf32>) permutation = [1, 0]
  return %t : tensor<16x4xf32>
}

// Queries, keys and values of Swin and of timm's transformers are transposed
// together: what attention reads are slices of the product.
// CHECK-LABEL: @slices
// CHECK: %[[Q:.*]] = tensor.extract_slice %{{.*}}[0, 0, 0, 0, 0] [64, 49, 1, 3, 32] [1, 1, 1, 1, 1] : tensor<64x49x3x3x32xf32>
// CHECK: linalg.transpose ins(%[[Q]] : tensor<64x49x1x3x32xf32>) outs(%{{.*}} : tensor<1x64x3x49x32xf32>) permutation = [2, 0, 3, 1, 4]
// CHECK: %[[K:.*]] = tensor.extract_slice %{{.*}}[0, 0, 1, 0, 0] [64, 49, 1, 3, 32]
// CHECK: linalg.transpose ins(%[[K]]
func.func @slices(%x: tensor<64x49x3x3x32xf32>) -> (tensor<1x64x3x49x32xf32>, tensor<1x64x3x49x32xf32>) {
  %empty = tensor.empty() : tensor<3x64x3x49x32xf32>
  %t = linalg.transpose ins(%x : tensor<64x49x3x3x32xf32>) outs(%empty : tensor<3x64x3x49x32xf32>) permutation = [2, 0, 3, 1, 4]
  %q = tensor.extract_slice %t[0, 0, 0, 0, 0] [1, 64, 3, 49, 32] [1, 1, 1, 1, 1] : tensor<3x64x3x49x32xf32> to tensor<1x64x3x49x32xf32>
  %k = tensor.extract_slice %t[1, 0, 0, 0, 0] [1, 64, 3, 49, 32] [1, 1, 1, 1, 1] : tensor<3x64x3x49x32xf32> to tensor<1x64x3x49x32xf32>
  return %q, %k : tensor<1x64x3x49x32xf32>, tensor<1x64x3x49x32xf32>
}

// Slices that overlap would transpose more than all of it.
// CHECK-LABEL: @negative_slices_that_overlap
// CHECK: %[[T:.*]] = linalg.transpose
// CHECK: tensor.extract_slice %[[T]]
// CHECK: tensor.extract_slice %[[T]]
func.func @negative_slices_that_overlap(%x: tensor<8x16xf32>) -> (tensor<12x8xf32>, tensor<12x8xf32>) {
  %empty = tensor.empty() : tensor<16x8xf32>
  %t = linalg.transpose ins(%x : tensor<8x16xf32>) outs(%empty : tensor<16x8xf32>) permutation = [1, 0]
  %a = tensor.extract_slice %t[0, 0] [12, 8] [1, 1] : tensor<16x8xf32> to tensor<12x8xf32>
  %b = tensor.extract_slice %t[4, 0] [12, 8] [1, 1] : tensor<16x8xf32> to tensor<12x8xf32>
  return %a, %b : tensor<12x8xf32>, tensor<12x8xf32>
}
