// RUN: fulgur-opt %s --fulgur-decompose-attention | FileCheck %s
// What the loops compute is tested in test/lit/kernels.

#query = affine_map<(b, i, d, j, n) -> (b, i, d)>
#key = affine_map<(b, i, d, j, n) -> (b, j, d)>
#value = affine_map<(b, i, d, j, n) -> (b, j, n)>
#result = affine_map<(b, i, d, j, n) -> (b, i, n)>

// CHECK-LABEL: @causal
// CHECK-NOT: fulgur.attention
// The product, the score with its mask, the row's maximum, powers, their sum, the second product, and the quotient.
// CHECK: arith.mulf
// CHECK: arith.mulf
// CHECK: arith.cmpi sle
// CHECK: arith.maximumf
// CHECK: math.exp
// CHECK: arith.addf
// CHECK: arith.mulf
// CHECK: arith.divf
func.func @causal(%q: tensor<2x?x8xf32>, %k: tensor<2x?x8xf32>, %v: tensor<2x?x4xf32>, %past: index) -> tensor<2x?x4xf32> {
  %r = fulgur.attention %q, %k, %v causal(%past) maps [#query, #key, #value, #result] {
  ^bb0(%s: f32, %i: index, %j: index):
    %half = arith.constant 5.000000e-01 : f32
    %x = arith.mulf %s, %half : f32
    fulgur.yield %x : f32
  } : tensor<2x?x8xf32>, tensor<2x?x8xf32>, tensor<2x?x4xf32> -> tensor<2x?x4xf32>
  return %r : tensor<2x?x4xf32>
}

// A kernel that has a builder keeps its specification.
// CHECK-LABEL: @negative_scheduled
// CHECK: fulgur.attention
func.func @negative_scheduled(%q: tensor<2x3x8xf32>, %out: tensor<2x3x8xf32>) -> tensor<2x3x8xf32> {
  %r = fulgur.kernel ins(%q : tensor<2x3x8xf32>) outs(%out : tensor<2x3x8xf32>) schedule(<kind = "attention">) {
  ^bb0(%a: tensor<2x3x8xf32>, %o: tensor<2x3x8xf32>):
    %s = fulgur.attention %a, %a, %a maps [#query, #key, #value, #result] {
    ^bb0(%x: f32, %i: index, %j: index):
      fulgur.yield %x : f32
    } : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32> -> tensor<2x3x8xf32>
    fulgur.yield %s : tensor<2x3x8xf32>
  } -> tensor<2x3x8xf32>
  return %r : tensor<2x3x8xf32>
}
