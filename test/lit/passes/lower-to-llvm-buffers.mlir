// RUN: fulgur-opt %s --fulgur-lower-to-llvm --canonicalize | FileCheck %s
// Buffers are descriptors over the caller's memory, found through the fields of fulgur_call.

// CHECK-LABEL: llvm.func @input
// CHECK-SAME: (%[[CALL:.*]]: !llvm.ptr
// CHECK: %[[FIELD:.*]] = llvm.getelementptr %[[CALL]][1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
// CHECK: %[[PORTS:.*]] = llvm.load %[[FIELD]]
// CHECK: %[[PORT:.*]] = llvm.getelementptr %[[PORTS]][3] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
// CHECK: %[[DATA:.*]] = llvm.load %[[PORT]]
// CHECK: llvm.getelementptr {{.*}}%[[DATA]][%{{.*}}] : (!llvm.ptr, i64) -> !llvm.ptr, f32
func.func @input(%call: !llvm.ptr, %n: index) -> f32 {
  %three = arith.constant 3 : index
  %x = fulgur.buffer %call input(%three) [%n] : !llvm.ptr -> memref<?xf32>
  %v = memref.load %x[%n] : memref<?xf32>
  return %v : f32
}

// CHECK-LABEL: llvm.func @output
// CHECK: llvm.getelementptr %{{.*}}[2] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
// CHECK: llvm.load
// CHECK: %[[DATA:.*]] = llvm.load
// CHECK: llvm.store %{{.*}}, %[[DATA]] : f32, !llvm.ptr
func.func @output(%call: !llvm.ptr, %v: f32) {
  %zero = arith.constant 0 : index
  %x = fulgur.buffer %call output(%zero) : !llvm.ptr -> memref<f32>
  memref.store %v, %x[] : memref<f32>
  return
}

// The arena and the weights: at an offset in bytes.
// CHECK-LABEL: llvm.func @arena
// CHECK-SAME: (%[[CALL:.*]]: !llvm.ptr, %[[OFFSET:.*]]: i64)
// CHECK: %[[FIELD:.*]] = llvm.getelementptr %[[CALL]][3]
// CHECK: %[[ARENA:.*]] = llvm.load %[[FIELD]]
// CHECK: %[[DATA:.*]] = llvm.getelementptr %[[ARENA]][%[[OFFSET]]] : (!llvm.ptr, i64) -> !llvm.ptr, i8
// CHECK: llvm.load %[[DATA]]
func.func @arena(%call: !llvm.ptr, %offset: index) -> f32 {
  %x = fulgur.buffer %call arena(%offset) : !llvm.ptr -> memref<f32>
  %v = memref.load %x[] : memref<f32>
  return %v : f32
}

// CHECK-LABEL: llvm.func @weights
// CHECK: llvm.getelementptr %{{.*}}[4]
// CHECK: llvm.getelementptr %{{.*}}[64] : (!llvm.ptr) -> !llvm.ptr, i8
func.func @weights(%call: !llvm.ptr) -> f32 {
  %offset = arith.constant 64 : index
  %x = fulgur.buffer %call weights(%offset) : !llvm.ptr -> memref<f32>
  %v = memref.load %x[] : memref<f32>
  return %v : f32
}
