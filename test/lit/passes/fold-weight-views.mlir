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
