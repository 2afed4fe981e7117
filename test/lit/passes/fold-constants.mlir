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

// The weights of a convolution that torch divides by their norms, as torch.onnx writes weight_norm.
// CHECK-LABEL: @weight_norm
// CHECK-NEXT: %[[W:.*]] = arith.constant dense<{{\[\[}}1.200000e+00, 1.600000e+00], [0.000000e+00, 3.000000e+00]]> : tensor<2x2xf32>
// CHECK-NEXT: return %[[W]]
#all = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
func.func @weight_norm() -> tensor<2x2xf32> {
  %w = arith.constant dense<[[3.0, 4.0], [0.0, 2.0]]> : tensor<2x2xf32>
  %g = arith.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2xf32>) -> tensor<2xf32>
  %sum = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]} ins(%w : tensor<2x2xf32>) outs(%init : tensor<2xf32>) {
  ^bb0(%v: f32, %s: f32):
    %p = arith.mulf %v, %v : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<2xf32>
  %whole = tensor.empty() : tensor<2x2xf32>
  %column = tensor.expand_shape %sum [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
  %r = linalg.generic {indexing_maps = [#all, #row, affine_map<(d0, d1) -> (d0, 0)>, #all], iterator_types = ["parallel", "parallel"]}
      ins(%w, %g, %column : tensor<2x2xf32>, tensor<2xf32>, tensor<2x1xf32>) outs(%whole : tensor<2x2xf32>) {
  ^bb0(%v: f32, %scale: f32, %square: f32, %out: f32):
    %norm = math.sqrt %square : f32
    %f = arith.divf %scale, %norm : f32
    %p = arith.mulf %v, %f : f32
    linalg.yield %p : f32
  } -> tensor<2x2xf32>
  return %r : tensor<2x2xf32>
}

// The keys of relative positions of DeBERTa: a normalized table times a transposed weight, as torch.onnx writes a Linear.
// CHECK-LABEL: @relative_keys
// CHECK-NEXT: %[[K:.*]] = arith.constant dense<{{\[\[}}-1.000000e+00, 2.000000e+00], [-1.000000e+00, 2.000000e+00], [1.000000e+00, -2.000000e+00]]> : tensor<3x2xf32>
// CHECK-NEXT: return %[[K]]
func.func @relative_keys() -> tensor<3x2xf32> {
  %table = arith.constant dense<[[0.0, 2.0], [4.0, 6.0], [9.0, 7.0]]> : tensor<3x2xf32>
  %scale = arith.constant dense<1.0> : tensor<2xf32>
  %w = arith.constant dense<[[1.0, 0.0], [0.0, 2.0]]> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %norm = fulgur.layer_norm %table, %scale {axis = 1 : i64, epsilon = 0.0 : f32} : tensor<3x2xf32>, tensor<2xf32>
  %turned = tensor.empty() : tensor<2x2xf32>
  %t = linalg.transpose ins(%w : tensor<2x2xf32>) outs(%turned : tensor<2x2xf32>) permutation = [1, 0]
  %empty = tensor.empty() : tensor<3x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<3x2xf32>) -> tensor<3x2xf32>
  %k = linalg.matmul ins(%norm, %t : tensor<3x2xf32>, tensor<2x2xf32>) outs(%init : tensor<3x2xf32>) -> tensor<3x2xf32>
  return %k : tensor<3x2xf32>
}

// A table of all pairs is larger than what it is made of: a run computes it.
// CHECK-LABEL: @negative_large
// CHECK: linalg.generic
func.func @negative_large() -> tensor<300x300xf32> {
  %a = arith.constant dense<1.0> : tensor<300xf32>
  %empty = tensor.empty() : tensor<300x300xf32>
  %r = linalg.generic {indexing_maps = [#row, affine_map<(d0, d1) -> (d1)>, #all], iterator_types = ["parallel", "parallel"]}
      ins(%a, %a : tensor<300xf32>, tensor<300xf32>) outs(%empty : tensor<300x300xf32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %p = arith.subf %x, %y : f32
    linalg.yield %p : f32
  } -> tensor<300x300xf32>
  return %r : tensor<300x300xf32>
}

// What is added to may be something else than 0, and the greatest is no sum.
// CHECK-LABEL: @negative_no_sum
// CHECK: linalg.generic
func.func @negative_no_sum() -> tensor<2xf32> {
  %w = arith.constant dense<[[3.0, 4.0], [0.0, 2.0]]> : tensor<2x2xf32>
  %low = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2xf32>
  %init = linalg.fill ins(%low : f32) outs(%empty : tensor<2xf32>) -> tensor<2xf32>
  %m = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]} ins(%w : tensor<2x2xf32>) outs(%init : tensor<2xf32>) {
  ^bb0(%v: f32, %s: f32):
    %p = arith.maximumf %v, %s : f32
    linalg.yield %p : f32
  } -> tensor<2xf32>
  return %m : tensor<2xf32>
}
