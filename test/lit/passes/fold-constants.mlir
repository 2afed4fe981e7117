// RUN: fulgur-opt %s --fulgur-fold-constants --canonicalize | FileCheck %s

// The scale of a batch normalization is a constant when its statistics are.
// CHECK-LABEL: @scale
// CHECK-NEXT: %[[S:.*]] = arith.constant dense<[1.000000e+00, 1.500000e+00]> : tensor<2xf32>
// CHECK-NEXT: return %[[S]]
#each = affine_map<(d0) -> (d0)>
func.func @scale() -> tensor<2xf32> {
  %variance = arith.constant dense<[3.0, 0.0]> : tensor<2xf32>
  %factor = arith.constant dense<[2.0, 1.5]> : tensor<2xf32>
  %one = arith.constant 1.0 : f32
  %empty = tensor.empty() : tensor<2xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, #each, #each], iterator_types = ["parallel"]}
      ins(%factor, %variance : tensor<2xf32>, tensor<2xf32>) outs(%empty : tensor<2xf32>) {
  ^bb0(%f: f32, %v: f32, %out: f32):
    %a = arith.addf %v, %one : f32
    %r = math.sqrt %a : f32
    %i = arith.divf %one, %r : f32
    %p = arith.mulf %f, %i : f32
    linalg.yield %p : f32
  } -> tensor<2xf32>
  return %s : tensor<2xf32>
}

// CHECK-LABEL: @reshape
// CHECK-NEXT: arith.constant dense_resource<weight> : tensor<4xf32>
// CHECK-NEXT: return
func.func @reshape() -> tensor<4xf32> {
  %w = arith.constant dense_resource<weight> : tensor<2x2xf32>
  %r = tensor.collapse_shape %w [[0, 1]] : tensor<2x2xf32> into tensor<4xf32>
  return %r : tensor<4xf32>
}

// An exponential would have other last bits here than in a run.
// CHECK-LABEL: @negative_inexact
// CHECK: math.exp
func.func @negative_inexact() -> tensor<2xf32> {
  %x = arith.constant dense<[3.0, 0.0]> : tensor<2xf32>
  %empty = tensor.empty() : tensor<2xf32>
  %s = linalg.generic {indexing_maps = [#each, #each], iterator_types = ["parallel"]}
      ins(%x : tensor<2xf32>) outs(%empty : tensor<2xf32>) {
  ^bb0(%v: f32, %out: f32):
    %e = math.exp %v : f32
    linalg.yield %e : f32
  } -> tensor<2xf32>
  return %s : tensor<2xf32>
}

{-# dialect_resources: { builtin: { weight: "0x040000000000803F000000400000404000008040" } } #-}

// The bias of a quantized product is a constant.
// CHECK-LABEL: @bias
// CHECK-NEXT: %[[B:.*]] = arith.constant dense<[2.500000e+00, -5.000000e-01]> : tensor<2xf32>
// CHECK-NEXT: return %[[B]]
func.func @bias() -> tensor<2xf32> {
  %b = arith.constant dense<[5, -2]> : tensor<2xi32>
  %scale = arith.constant dense<[0.5, 0.25]> : tensor<2xf32>
  %empty = tensor.empty() : tensor<2xf32>
  %s = linalg.generic {indexing_maps = [#each, #each, #each], iterator_types = ["parallel"]}
      ins(%b, %scale : tensor<2xi32>, tensor<2xf32>) outs(%empty : tensor<2xf32>) {
  ^bb0(%i: i32, %j: f32, %out: f32):
    %f = arith.sitofp %i : i32 to f32
    %p = arith.mulf %f, %j : f32
    linalg.yield %p : f32
  } -> tensor<2xf32>
  return %s : tensor<2xf32>
}

// Weights of bytes stay what they are.
// CHECK-LABEL: @negative_bytes
// CHECK: arith.sitofp
func.func @negative_bytes() -> tensor<2xf32> {
  %b = arith.constant dense<[5, -2]> : tensor<2xi8>
  %empty = tensor.empty() : tensor<2xf32>
  %s = linalg.generic {indexing_maps = [#each, #each], iterator_types = ["parallel"]} ins(%b : tensor<2xi8>) outs(%empty : tensor<2xf32>) {
  ^bb0(%i: i8, %out: f32):
    %f = arith.sitofp %i : i8 to f32
    linalg.yield %f : f32
  } -> tensor<2xf32>
  return %s : tensor<2xf32>
}
