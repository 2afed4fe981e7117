// RUN: fulgur-opt %s --fulgur-slice-weights | FileCheck %s
// The weights of one expert, and a reshape of them, are the bytes of all experts' weights where they lie.

// CHECK-LABEL: @expert
// CHECK: %[[W:.*]] = arith.constant dense_resource<experts_1_1> : tensor<2x3xf32>
// CHECK-NOT: tensor.
// CHECK: return %[[W]]
func.func @expert() -> tensor<2x3xf32> {
  %all = arith.constant dense_resource<experts> : tensor<2x2x3xf32>
  %one = tensor.extract_slice %all[1, 0, 0] [1, 2, 3] [1, 1, 1] : tensor<2x2x3xf32> to tensor<1x2x3xf32>
  %matrix = tensor.collapse_shape %one [[0, 1], [2]] : tensor<1x2x3xf32> into tensor<2x3xf32>
  return %matrix : tensor<2x3xf32>
}

// Columns do not follow each other.
// CHECK-LABEL: @columns
// CHECK: tensor.extract_slice
func.func @columns() -> tensor<2x2x1xf32> {
  %all = arith.constant dense_resource<experts> : tensor<2x2x3xf32>
  %columns = tensor.extract_slice %all[0, 0, 1] [2, 2, 1] [1, 1, 1] : tensor<2x2x3xf32> to tensor<2x2x1xf32>
  return %columns : tensor<2x2x1xf32>
}

// CHECK: experts_1_1: "0x04000000000080400000A0400000C0400000E0400000004100001041"
{-#
  dialect_resources: {
    builtin: {
      experts: "0x04000000000080BF000000000000803F00000040000040400000803F000080400000A0400000C0400000E0400000004100001041"
    }
  }
#-}
