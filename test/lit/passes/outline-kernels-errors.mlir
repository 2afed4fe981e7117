// RUN: fulgur-opt %s --split-input-file --fulgur-outline-kernels --verify-diagnostics

func.func @main(%call: !llvm.ptr, %x: memref<4x8xf32>, %y: memref<4x8xf32>) {
  // expected-error@+1 {{is scheduled for the builder 'magic', which does not exist}}
  fulgur.kernel ins(%x : memref<4x8xf32>) outs(%y : memref<4x8xf32>) schedule(<kind = "magic">) {
  ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<4x8xf32>
    fulgur.yield %s : tensor<4x8xf32>
  }
  return
}

// -----

func.func @main(%call: !llvm.ptr, %x: memref<4x8xf32>, %y: memref<4x8xf32>) {
  // expected-error@+1 {{is scheduled for the builder 'gemm', which does not build such a body}}
  fulgur.kernel ins(%x : memref<4x8xf32>) outs(%y : memref<4x8xf32>) schedule(<kind = "gemm">) {
  ^bb0(%a: tensor<4x8xf32>, %o: tensor<4x8xf32>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<4x8xf32>
    fulgur.yield %s : tensor<4x8xf32>
  }
  return
}
