// RUN: fulgur-opt %s --fulgur-outline-tasks | FileCheck %s
// The body of a parallel loop is a task function; constants are made again there, everything else travels.

// CHECK: func.func private @kernel_task0(%[[PACKED:.*]]: !llvm.ptr, %[[I:.*]]: index) {
// CHECK-DAG: %[[V:.*]] = arith.constant 2.0{{.*}} : f32
// CHECK-DAG: %[[X:.*]] = fulgur.arguments %[[PACKED]] : !llvm.ptr -> memref<?xf32>
// CHECK: memref.store %[[V]], %[[X]][%[[I]]]
// CHECK: func.func private @kernel_task1(%{{.*}}: !llvm.ptr, %{{.*}}: index) {
// CHECK-NOT: fulgur.arguments
// CHECK: return
// CHECK: func.func @kernel(%[[CALL:.*]]: !llvm.ptr, %[[X:.*]]: memref<?xf32>, %[[N:.*]]: index)
// CHECK-NOT: scf.forall
// CHECK: fulgur.launch %[[CALL]] @kernel_task0(%[[N]]) with %[[X]] : memref<?xf32> : !llvm.ptr
// CHECK: %[[COUNT:.*]] = arith.constant 4 : index
// CHECK: fulgur.launch %[[CALL]] @kernel_task1(%[[COUNT]]) : !llvm.ptr
func.func @kernel(%call: !llvm.ptr, %x: memref<?xf32>, %n: index) {
  %value = arith.constant 2.0 : f32
  scf.forall (%i) in (%n) {
    memref.store %value, %x[%i] : memref<?xf32>
  }
  scf.forall (%i) in (4) {
  }
  return
}
