// RUN: fulgur-opt %s --fulgur-fold-weight-views | FileCheck %s
// Slices and reshapes of weights are weights: what a mixture's experts are split into.

// CHECK-LABEL: @experts
// CHECK-DAG: %[[FIRST:.*]] = arith.constant dense_resource<slice> : tensor<2x2xf32>
// CHECK-DAG: %[[SECOND:.*]] = arith.constant dense_resource<slice_1> : tensor<2x2xf32>
// CHECK: return %[[FIRST]], %[[SECOND]]
func.func @experts() -> (tensor<2x2xf32>, tensor<2x2xf32>) {
  %all = arith.constant dense_resource<weight> : tensor<2x2x2xf32>
  %a = tensor.extract_slice %all[0, 0, 0] [1, 2, 2] [1, 1, 1] : tensor<2x2x2xf32> to tensor<1x2x2xf32>
  %b = tensor.extract_slice %all[1, 0, 0] [1, 2, 2] [1, 1, 1] : tensor<2x2x2xf32> to tensor<1x2x2xf32>
  %first = tensor.collapse_shape %a [[0, 1], [2]] : tensor<1x2x2xf32> into tensor<2x2xf32>
  %second = tensor.collapse_shape %b [[0, 1], [2]] : tensor<1x2x2xf32> into tensor<2x2xf32>
  return %first, %second : tensor<2x2xf32>, tensor<2x2xf32>
}

// Elements that do not follow each other are copied.
// CHECK-LABEL: @columns
// CHECK: %[[COLUMNS:.*]] = arith.constant dense_resource<slice_2> : tensor<2x2x1xf32>
// CHECK: return %[[COLUMNS]]
func.func @columns() -> tensor<2x2x1xf32> {
  %all = arith.constant dense_resource<weight> : tensor<2x2x2xf32>
  %r = tensor.extract_slice %all[0, 0, 1] [2, 2, 1] [1, 1, 1] : tensor<2x2x2xf32> to tensor<2x2x1xf32>
  return %r : tensor<2x2x1xf32>
}

// CHECK-LABEL: @small
// CHECK: %[[LAST:.*]] = arith.constant dense<{{\[\[}}2, 3], [5, 6]]> : tensor<2x2xi64>
// CHECK: return %[[LAST]]
func.func @small() -> tensor<2x2xi64> {
  %all = arith.constant dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xi64>
  %r = tensor.extract_slice %all[0, 1] [2, 2] [1, 1] : tensor<2x3xi64> to tensor<2x2xi64>
  return %r : tensor<2x2xi64>
}

// Nothing happens to slices of other tensors, to slices at places that only the run knows, and with steps.
// CHECK-LABEL: @negative
// CHECK-COUNT-3: tensor.extract_slice
func.func @negative(%x: tensor<4x2xf32>, %i: index) -> (tensor<2x2xf32>, tensor<1x2x2xf32>, tensor<2x2x1xf32>) {
  %all = arith.constant dense_resource<weight> : tensor<2x2x2xf32>
  %a = tensor.extract_slice %x[0, 0] [2, 2] [1, 1] : tensor<4x2xf32> to tensor<2x2xf32>
  %b = tensor.extract_slice %all[%i, 0, 0] [1, 2, 2] [1, 1, 1] : tensor<2x2x2xf32> to tensor<1x2x2xf32>
  %c = tensor.extract_slice %all[0, 0, 0] [2, 2, 1] [1, 1, 2] : tensor<2x2x2xf32> to tensor<2x2x1xf32>
  return %a, %b, %c : tensor<2x2xf32>, tensor<1x2x2xf32>, tensor<2x2x1xf32>
}

// A loop that picks elements by sums of its indices: every other tap of a window, turned round.
#turned = affine_map<(d0, d1) -> (d0, d1 * -2 + 3)>
#same = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-LABEL: @picked
// CHECK: %[[TAPS:.*]] = arith.constant dense<{{\[\[}}3.000000e+00, 1.000000e+00], [7.000000e+00, 5.000000e+00]]> : tensor<2x2xf32>
// CHECK: return %[[TAPS]]
func.func @picked() -> tensor<2x2xf32> {
  %w = arith.constant dense<[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]> : tensor<2x4xf32>
  %e = tensor.empty() : tensor<2x2xf32>
  %r = linalg.generic {indexing_maps = [#turned, #same], iterator_types = ["parallel", "parallel"]} ins(%w : tensor<2x4xf32>) outs(%e : tensor<2x2xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<2x2xf32>
  return %r : tensor<2x2xf32>
}

// One that computes something, and one that gives more than there is, stay.
#spread = affine_map<(d0, d1, d2) -> (d0, d1 + d2)>
#all = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
// CHECK-LABEL: @negative_picked
// CHECK-COUNT-2: linalg.generic
func.func @negative_picked() -> (tensor<2x2xf32>, tensor<2x3x2xf32>) {
  %w = arith.constant dense<[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]> : tensor<2x4xf32>
  %e = tensor.empty() : tensor<2x2xf32>
  %r = linalg.generic {indexing_maps = [#turned, #same], iterator_types = ["parallel", "parallel"]} ins(%w : tensor<2x4xf32>) outs(%e : tensor<2x2xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.negf %in : f32
    linalg.yield %0 : f32
  } -> tensor<2x2xf32>
  %f = tensor.empty() : tensor<2x3x2xf32>
  %s = linalg.generic {indexing_maps = [#spread, #all], iterator_types = ["parallel", "parallel", "parallel"]} ins(%w : tensor<2x4xf32>) outs(%f : tensor<2x3x2xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<2x3x2xf32>
  return %r, %s : tensor<2x2xf32>, tensor<2x3x2xf32>
}

// Keys of relative positions, by heads: products take a transposed weight as it is, but not one that is reshaped behind that.
// CHECK-LABEL: @reshaped_transpose
// CHECK-NOT: linalg.transpose
// CHECK: arith.constant dense<{{\[\[\[}}0.000000e+00, 1.000000e+00], [4.000000e+00, 5.000000e+00]], {{\[\[}}2.000000e+00, 3.000000e+00], [6.000000e+00, 7.000000e+00]]]>
// CHECK-NOT: linalg.transpose
// CHECK: return
func.func @reshaped_transpose() -> tensor<2x4xf32> {
  %w = arith.constant dense<[[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]]> : tensor<2x2x2xf32>
  %e = tensor.empty() : tensor<2x2x2xf32>
  %t = linalg.transpose ins(%w : tensor<2x2x2xf32>) outs(%e : tensor<2x2x2xf32>) permutation = [1, 0, 2]
  %r = tensor.collapse_shape %t [[0], [1, 2]] : tensor<2x2x2xf32> into tensor<2x4xf32>
  return %r : tensor<2x4xf32>
}

// CHECK-LABEL: @negative_transpose
// CHECK: linalg.transpose
func.func @negative_transpose() -> tensor<2x4xf32> {
  %w = arith.constant dense_resource<weight> : tensor<4x2xf32>
  %e = tensor.empty() : tensor<2x4xf32>
  %t = linalg.transpose ins(%w : tensor<4x2xf32>) outs(%e : tensor<2x4xf32>) permutation = [1, 0]
  return %t : tensor<2x4xf32>
}

// The weight is 0 to 7.
// CHECK: {-#
// CHECK-DAG: slice: "0x04000000000000000000803F0000004000004040"
// CHECK-DAG: slice_1: "0x0400000000008040{{.*}}"
// CHECK-DAG: slice_2: "0x400000000000803F000040400000A0400000E040"
{-#
  dialect_resources: {
    builtin: {
      weight: "0x04000000000000000000803F0000004000004040000080400000A0400000C0400000E040"
    }
  }
#-}
