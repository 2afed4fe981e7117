// RUN: fulgur-opt %s --fulgur-lower-reshapes | FileCheck %s
// A reshape of a contiguous buffer is the same memory with other sizes and strides.

// Several dynamic sizes in one group.
// CHECK-LABEL: @expand
// CHECK-SAME: (%[[X:.*]]: memref<?xf32>, %[[A:.*]]: index, %[[B:.*]]: index)
// CHECK: %[[STRIDE:.*]] = arith.muli %{{.*}}, %[[B]]
// CHECK: memref.reinterpret_cast %[[X]] to offset: [0], sizes: [%[[A]], %[[B]], 4], strides: [%[[STRIDE]], 4, 1] : memref<?xf32> to memref<?x?x4xf32>
func.func @expand(%x: memref<?xf32>, %a: index, %b: index) -> memref<?x?x4xf32> {
  %y = memref.expand_shape %x [[0, 1, 2]] output_shape [%a, %b, 4] : memref<?xf32> into memref<?x?x4xf32>
  return %y : memref<?x?x4xf32>
}

// CHECK-LABEL: @collapse
// CHECK-SAME: (%[[X:.*]]: memref<?x?x4xf32>)
// CHECK-DAG: %[[A:.*]] = memref.dim %[[X]], %c0
// CHECK-DAG: %[[B:.*]] = memref.dim %[[X]], %c1
// CHECK: %[[AB:.*]] = arith.muli %[[A]], %[[B]]
// CHECK: memref.reinterpret_cast %[[X]] to offset: [0], sizes: [%[[AB]], 4], strides: [4, 1]
func.func @collapse(%x: memref<?x?x4xf32>) -> memref<?x4xf32> {
  %y = memref.collapse_shape %x [[0, 1], [2]] : memref<?x?x4xf32> into memref<?x4xf32>
  return %y : memref<?x4xf32>
}

// CHECK-LABEL: @static
// CHECK: memref.reinterpret_cast %{{.*}} to offset: [0], sizes: [2, 3, 4], strides: [12, 4, 1]
func.func @static(%x: memref<6x4xf32>) -> memref<2x3x4xf32> {
  %y = memref.expand_shape %x [[0, 1], [2]] output_shape [2, 3, 4] : memref<6x4xf32> into memref<2x3x4xf32>
  return %y : memref<2x3x4xf32>
}

// The dims of a slice, split with several dynamic sizes.
// CHECK-LABEL: @expand_slice
// CHECK-SAME: (%[[X:.*]]: memref<?x8xf32, strided<[24, 1], offset: 8>>, %[[A:.*]]: index, %[[B:.*]]: index)
// CHECK: %[[BUFFER:.*]], %{{.*}}, %{{.*}}:2, %{{.*}}:2 = memref.extract_strided_metadata %[[X]]
// CHECK: %[[STRIDE:.*]] = arith.muli %{{.*}}, %[[B]]
// CHECK: memref.reinterpret_cast %[[BUFFER]] to offset: [8], sizes: [%[[A]], %[[B]], 2, 4], strides: [%[[STRIDE]], 24, 4, 1]
func.func @expand_slice(%x: memref<?x8xf32, strided<[24, 1], offset: 8>>, %a: index, %b: index) -> memref<?x?x2x4xf32, strided<[?, 24, 4, 1], offset: 8>> {
  %y = memref.expand_shape %x [[0, 1], [2, 3]] output_shape [%a, %b, 2, 4]
      : memref<?x8xf32, strided<[24, 1], offset: 8>> into memref<?x?x2x4xf32, strided<[?, 24, 4, 1], offset: 8>>
  return %y : memref<?x?x2x4xf32, strided<[?, 24, 4, 1], offset: 8>>
}

// Upstream's pass knows what is left.
// CHECK-LABEL: @negative_collapse_slice
// CHECK: memref.collapse_shape
func.func @negative_collapse_slice(%x: memref<2x3xf32, strided<[6, 2], offset: ?>>) -> memref<6xf32, strided<[2], offset: ?>> {
  %y = memref.collapse_shape %x [[0, 1]] : memref<2x3xf32, strided<[6, 2], offset: ?>> into memref<6xf32, strided<[2], offset: ?>>
  return %y : memref<6xf32, strided<[2], offset: ?>>
}
