// RUN: fulgur-opt %s --fulgur-choose-schedules | FileCheck %s
// RUN: fulgur-opt %s --fulgur-choose-schedules="vector-bytes=64 vector-registers=32" | FileCheck %s --check-prefix=WIDE
// The tile of a product fits the registers; weights get a packing.

// CHECK-LABEL: @product_with_weight
// CHECK: schedule(<kind = "gemm", tile = [6, 2], lanes = 8, unroll = 4, pack = 16, grain = 132>)
// WIDE-LABEL: @product_with_weight
// WIDE: schedule(<kind = "gemm", tile = [6, 4], lanes = 16, unroll = 4, pack = 64, grain = 48>)
func.func @product_with_weight(%a: tensor<?x64xf32>, %out: tensor<?x256xf32>) -> tensor<?x256xf32> {
  %weight = arith.constant dense<1.0> : tensor<64x256xf32>
  %r = fulgur.kernel ins(%a, %weight : tensor<?x64xf32>, tensor<64x256xf32>) outs(%out : tensor<?x256xf32>) {
  ^bb0(%x: tensor<?x64xf32>, %w: tensor<64x256xf32>, %o: tensor<?x256xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x256xf32>) -> tensor<?x256xf32>
    %p = linalg.matmul ins(%x, %w : tensor<?x64xf32>, tensor<64x256xf32>) outs(%init : tensor<?x256xf32>) -> tensor<?x256xf32>
    fulgur.yield %p : tensor<?x256xf32>
  } -> tensor<?x256xf32>
  return %r : tensor<?x256xf32>
}

// One row: more columns at once instead. Nothing to pack.
// CHECK-LABEL: @one_row
// CHECK: schedule(<kind = "gemm", tile = [1, 4], lanes = 8, unroll = 4, grain = 256>)
func.func @one_row(%a: tensor<1x64xf32>, %b: tensor<64x256xf32>, %out: tensor<1x256xf32>) -> tensor<1x256xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<1x64xf32>, tensor<64x256xf32>) outs(%out : tensor<1x256xf32>) {
  ^bb0(%x: tensor<1x64xf32>, %y: tensor<64x256xf32>, %o: tensor<1x256xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x256xf32>) -> tensor<1x256xf32>
    %p = linalg.matmul ins(%x, %y : tensor<1x64xf32>, tensor<64x256xf32>) outs(%init : tensor<1x256xf32>) -> tensor<1x256xf32>
    fulgur.yield %p : tensor<1x256xf32>
  } -> tensor<1x256xf32>
  return %r : tensor<1x256xf32>
}

// CHECK-LABEL: @softmax
// CHECK: schedule(<kind = "softmax", lanes = 8, unroll = 4, grain = 256>)
func.func @softmax(%x: tensor<?x128xf32>, %out: tensor<?x128xf32>) -> tensor<?x128xf32> {
  %r = fulgur.kernel ins(%x : tensor<?x128xf32>) outs(%out : tensor<?x128xf32>) {
  ^bb0(%a: tensor<?x128xf32>, %o: tensor<?x128xf32>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<?x128xf32>
    fulgur.yield %s : tensor<?x128xf32>
  } -> tensor<?x128xf32>
  return %r : tensor<?x128xf32>
}

// No builder computes in f64 or along another axis.
// CHECK-LABEL: @negative
// CHECK-NOT: schedule
func.func @negative(%x: tensor<8x8xf64>, %y: tensor<8x8xf32>, %out: tensor<8x8xf64>, %out2: tensor<8x8xf32>) -> (tensor<8x8xf64>, tensor<8x8xf32>) {
  %r = fulgur.kernel ins(%x : tensor<8x8xf64>) outs(%out : tensor<8x8xf64>) {
  ^bb0(%a: tensor<8x8xf64>, %o: tensor<8x8xf64>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<8x8xf64>
    fulgur.yield %s : tensor<8x8xf64>
  } -> tensor<8x8xf64>
  %t = fulgur.kernel ins(%y : tensor<8x8xf32>) outs(%out2 : tensor<8x8xf32>) {
  ^bb0(%a: tensor<8x8xf32>, %o: tensor<8x8xf32>):
    %s = fulgur.softmax %a {axis = 0 : i64} : tensor<8x8xf32>
    fulgur.yield %s : tensor<8x8xf32>
  } -> tensor<8x8xf32>
  return %r, %t : tensor<8x8xf64>, tensor<8x8xf32>
}
