// RUN: fulgur-opt %s --fulgur-decompose-row-ops | FileCheck %s
// What the loops compute is tested in test/lit/kernels/rows.test.

// CHECK-LABEL: @softmax
// CHECK-NOT: fulgur.softmax
// CHECK: arith.maximumf
// CHECK: math.exp
// CHECK: arith.addf
// CHECK: arith.divf
func.func @softmax(%x: tensor<?x4xf64>) -> tensor<?x4xf64> {
  %r = fulgur.softmax %x {axis = 0 : i64} : tensor<?x4xf64>
  return %r : tensor<?x4xf64>
}

// CHECK-LABEL: @norms
// CHECK-NOT: fulgur.
func.func @norms(%x: tensor<?x4xf32>, %scale: tensor<4xf32>) -> tensor<?x4xf32> {
  %r = fulgur.layer_norm %x, %scale, %scale {axis = 1 : i64, epsilon = 1.0e-5 : f32} : tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>
  %s = fulgur.rms_norm %r, %scale {axis = 1 : i64, epsilon = 1.0e-5 : f32} : tensor<?x4xf32>, tensor<4xf32>
  return %s : tensor<?x4xf32>
}

// A kernel that has a builder keeps its specification.
// CHECK-LABEL: @negative_scheduled
// CHECK: fulgur.softmax
func.func @negative_scheduled(%x: tensor<?x4xf32>, %out: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %r = fulgur.kernel ins(%x : tensor<?x4xf32>) outs(%out : tensor<?x4xf32>) schedule(<kind = "softmax">) {
  ^bb0(%a: tensor<?x4xf32>, %o: tensor<?x4xf32>):
    %s = fulgur.softmax %a {axis = 1 : i64} : tensor<?x4xf32>
    fulgur.yield %s : tensor<?x4xf32>
  } -> tensor<?x4xf32>
  return %r : tensor<?x4xf32>
}

// Blocks are a dim of their own meanwhile.
// CHECK-LABEL: @round_blocks
// CHECK-NOT: fulgur.
// CHECK: tensor.expand_shape %{{.*}} {{\[\[}}0], [1, 2]] {{.*}} : tensor<?x32xf32> into tensor<?x2x16xf32>
// CHECK: arith.maximumf
// CHECK: math.roundeven
// CHECK: tensor.collapse_shape
func.func @round_blocks(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %r = fulgur.round_blocks %x {block = 16 : i64} : tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}
