// RUN: fulgur-opt %s --split-input-file --fulgur-outline-kernels | FileCheck %s
// Loops over time that do not need each other have a task each.

// CHECK-LABEL: func.func private @kernel_0_generic
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<4x4xf32>, %[[Y:[a-z0-9]+]]: memref<4x4xf32>, %[[Z:[a-z0-9]+]]: memref<4x4xf32>)
// CHECK: scf.forall (%[[TASK:.*]]) in (2)
// CHECK: scf.index_switch %[[TASK]]
// CHECK: case 0
// CHECK: %[[FIRST:.*]] = scf.for
// CHECK-NOT: scf.for
// CHECK: bufferization.materialize_in_destination %[[FIRST]] in restrict writable %[[Y]]
// CHECK: case 1
// CHECK: %[[SECOND:.*]] = scf.for
// CHECK: bufferization.materialize_in_destination %[[SECOND]] in restrict writable %[[Z]]
func.func @main(%call: !llvm.ptr, %x: memref<4x4xf32>, %y: memref<4x4xf32>, %z: memref<4x4xf32>) {
  fulgur.kernel ins(%x : memref<4x4xf32>) outs(%y, %z : memref<4x4xf32>, memref<4x4xf32>) {
  ^bb0(%w: tensor<4x4xf32>, %o: tensor<4x4xf32>, %p: tensor<4x4xf32>):
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c5 = arith.constant 5 : index
    %a = scf.for %i = %c0 to %c5 step %c1 iter_args(%state = %o) -> tensor<4x4xf32> {
      %next = linalg.matmul ins(%w, %w : tensor<4x4xf32>, tensor<4x4xf32>) outs(%state : tensor<4x4xf32>) -> tensor<4x4xf32>
      scf.yield %next : tensor<4x4xf32>
    }
    %b = scf.for %i = %c0 to %c1 step %c1 iter_args(%state = %p) -> tensor<4x4xf32> {
      %next = linalg.matmul ins(%w, %w : tensor<4x4xf32>, tensor<4x4xf32>) outs(%state : tensor<4x4xf32>) -> tensor<4x4xf32>
      scf.yield %next : tensor<4x4xf32>
    }
    fulgur.yield %a, %b : tensor<4x4xf32>, tensor<4x4xf32>
  }
  return
}

// -----

// CHECK-LABEL: func.func private @kernel_0_generic
// CHECK-NOT: scf.forall
// CHECK: return
module @negative_one_loop {
  func.func @main(%call: !llvm.ptr, %x: memref<4x4xf32>, %y: memref<4x4xf32>, %z: memref<4x4xf32>) {
    fulgur.kernel ins(%x : memref<4x4xf32>) outs(%y, %z : memref<4x4xf32>, memref<4x4xf32>) {
    ^bb0(%w: tensor<4x4xf32>, %o: tensor<4x4xf32>, %p: tensor<4x4xf32>):
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c5 = arith.constant 5 : index
      %a:2 = scf.for %i = %c0 to %c5 step %c1 iter_args(%state = %o, %other = %p) -> (tensor<4x4xf32>, tensor<4x4xf32>) {
        %next = linalg.matmul ins(%w, %w : tensor<4x4xf32>, tensor<4x4xf32>) outs(%state : tensor<4x4xf32>) -> tensor<4x4xf32>
        %same = linalg.copy ins(%w : tensor<4x4xf32>) outs(%other : tensor<4x4xf32>) -> tensor<4x4xf32>
        scf.yield %next, %same : tensor<4x4xf32>, tensor<4x4xf32>
      }
      fulgur.yield %a#0, %a#1 : tensor<4x4xf32>, tensor<4x4xf32>
    }
    return
  }
}
