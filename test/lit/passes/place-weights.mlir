// RUN: fulgur-opt %s --fulgur-place-weights | FileCheck %s
// Constants of @main are placed in the order of their use, each at a multiple of 64 bytes, once.

// CHECK: module attributes {
// CHECK-SAME: fulgur.weights = [{offset = 0 : i64, resource = dense<1.000000e+00> : tensor<5xf32>}, {offset = 64 : i64, resource = dense<true> : tensor<65xi1>}, {offset = 192 : i64, resource = dense<2.000000e+00> : tensor<2xf64>}]
// CHECK-SAME: fulgur.weights_bytes = 256 : i64
module {
  memref.global "private" constant @doubles : memref<2xf64> = dense<2.0>
  memref.global "private" constant @floats : memref<5xf32> = dense<1.0>
  memref.global "private" constant @flags : memref<65xi1> = dense<true>
  // Constants that only kernels use stay theirs.
  // CHECK-NOT: memref.global
  // CHECK: memref.global "private" constant @table
  // CHECK-NOT: memref.global
  memref.global "private" constant @table : memref<2xf32> = dense<3.0>

  // CHECK: func.func @main(%[[CALL:.*]]: !llvm.ptr)
  // CHECK: %[[AT:.*]] = arith.constant 0 : index
  // CHECK: fulgur.buffer %[[CALL]] weights(%[[AT]]) : !llvm.ptr -> memref<5xf32>
  // CHECK: %[[AT:.*]] = arith.constant 64 : index
  // CHECK: fulgur.buffer %[[CALL]] weights(%[[AT]]) : !llvm.ptr -> memref<65xi1>
  // CHECK: %[[AT:.*]] = arith.constant 192 : index
  // CHECK: fulgur.buffer %[[CALL]] weights(%[[AT]]) : !llvm.ptr -> memref<2xf64>
  // CHECK: %[[AT:.*]] = arith.constant 0 : index
  // CHECK: fulgur.buffer %[[CALL]] weights(%[[AT]]) : !llvm.ptr -> memref<5xf32>
  func.func @main(%call: !llvm.ptr) {
    %floats = memref.get_global @floats : memref<5xf32>
    %flags = memref.get_global @flags : memref<65xi1>
    %doubles = memref.get_global @doubles : memref<2xf64>
    %again = memref.get_global @floats : memref<5xf32>
    return
  }

  // CHECK: func.func private @kernel
  // CHECK: memref.get_global @table
  func.func private @kernel(%call: !llvm.ptr) {
    %table = memref.get_global @table : memref<2xf32>
    return
  }
}
