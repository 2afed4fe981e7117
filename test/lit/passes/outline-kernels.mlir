// RUN: fulgur-opt %s --split-input-file --fulgur-outline-kernels | FileCheck %s
// Kernels that compute the same thing are one function. The generic builder leaves the body on tensors over the buffers.

// CHECK-LABEL: module @same
// CHECK: func.func @main(%[[CALL:.*]]: !llvm.ptr, %[[A:.*]]: memref<4x8xf32>, %[[B:.*]]: memref<4x8xf32>)
// CHECK-NEXT: call @[[KERNEL:kernel_0_generic]](%[[CALL]], %[[A]], %[[B]])
// CHECK-NEXT: call @[[KERNEL]](%[[CALL]], %[[B]], %[[A]])
// CHECK-NEXT: return
// CHECK: func.func private @[[KERNEL]](%{{.*}}: !llvm.ptr, %[[IN:.*]]: memref<4x8xf32>, %[[OUT:.*]]: memref<4x8xf32>)
// CHECK: %[[X:.*]] = bufferization.to_tensor %[[IN]] restrict : memref
// CHECK: bufferization.to_tensor %[[OUT]] restrict writable : memref
// CHECK: %[[S:.*]] = fulgur.softmax %[[X]]
// CHECK: bufferization.materialize_in_destination %[[S]] in restrict writable %[[OUT]]
// CHECK-NOT: func.func
module @same {
  func.func @main(%call: !llvm.ptr, %x: memref<4x8xf32>, %y: memref<4x8xf32>) {
    fulgur.kernel ins(%x : memref<4x8xf32>) outs(%y : memref<4x8xf32>) {
    ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
      %s = fulgur.softmax %a {axis = 1 : i64} : tensor<4x8xf32>
      fulgur.yield %s : tensor<4x8xf32>
    }
    fulgur.kernel ins(%y : memref<4x8xf32>) outs(%x : memref<4x8xf32>) {
    ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
      %s = fulgur.softmax %a {axis = 1 : i64} : tensor<4x8xf32>
      fulgur.yield %s : tensor<4x8xf32>
    }
    return
  }
}

// -----

// Another axis, another shape, another schedule.
// CHECK-LABEL: module @negative_different
// CHECK: call @kernel_0_generic
// CHECK: call @kernel_1_generic
// CHECK: call @kernel_2_generic
// CHECK: call @kernel_3_softmax
module @negative_different {
  func.func @main(%call: !llvm.ptr, %x: memref<4x8xf32>, %y: memref<4x8xf32>, %z: memref<8x8xf32>) {
    fulgur.kernel ins(%x : memref<4x8xf32>) outs(%y : memref<4x8xf32>) {
    ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
      %s = fulgur.softmax %a {axis = 1 : i64} : tensor<4x8xf32>
      fulgur.yield %s : tensor<4x8xf32>
    }
    fulgur.kernel ins(%x : memref<4x8xf32>) outs(%y : memref<4x8xf32>) {
    ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
      %s = fulgur.softmax %a {axis = 0 : i64} : tensor<4x8xf32>
      fulgur.yield %s : tensor<4x8xf32>
    }
    fulgur.kernel ins(%z : memref<8x8xf32>) outs(%z : memref<8x8xf32>) {
    ^bb0(%a: tensor<8x8xf32>, %o: tensor<8x8xf32>):
      %s = fulgur.softmax %a {axis = 1 : i64} : tensor<8x8xf32>
      fulgur.yield %s : tensor<8x8xf32>
    }
    fulgur.kernel ins(%x : memref<4x8xf32>) outs(%y : memref<4x8xf32>) schedule(<kind = "softmax", lanes = 8, unroll = 4, grain = 256>) {
    ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
      %s = fulgur.softmax %a {axis = 1 : i64} : tensor<4x8xf32>
      fulgur.yield %s : tensor<4x8xf32>
    }
    return
  }
}

// -----

// Where the operations stand in the model makes no difference.
// CHECK-LABEL: module @same_elsewhere
// CHECK: call @kernel_0_generic
// CHECK: call @kernel_0_generic
module @same_elsewhere {
  func.func @main(%call: !llvm.ptr, %x: memref<4x8xf32>) {
    fulgur.kernel outs(%x : memref<4x8xf32>) {
    ^bb0(%o: tensor<4x8xf32>):
      %s = fulgur.softmax %o {axis = 1 : i64} : tensor<4x8xf32> loc("first")
      fulgur.yield %s : tensor<4x8xf32>
    } loc("first")
    fulgur.kernel outs(%x : memref<4x8xf32>) {
    ^bb0(%o: tensor<4x8xf32>):
      %s = fulgur.softmax %o {axis = 1 : i64} : tensor<4x8xf32> loc("second")
      fulgur.yield %s : tensor<4x8xf32>
    } loc("second")
    return
  }
}
