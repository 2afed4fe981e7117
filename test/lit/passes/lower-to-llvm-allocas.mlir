// RUN: fulgur-opt %s --fulgur-lower-to-llvm | FileCheck %s

// Scratch of fixed size is allocated before anything that the code generator may turn into branches, such as a division: only
// then is it part of the frame that the stack bound counts.
// CHECK-LABEL: llvm.func @task
// CHECK-NEXT: %[[SIZE:.*]] = llvm.mlir.constant(4096 : index)
// CHECK-NEXT: llvm.alloca %[[SIZE]] x f32
// CHECK: llvm.sdiv
func.func @task(%packed: !llvm.ptr, %i: index, %j: index) -> f32 {
  %0 = arith.divsi %i, %j : index
  %scratch = memref.alloca() : memref<4096xf32>
  %1 = memref.load %scratch[%0] : memref<4096xf32>
  return %1 : f32
}
