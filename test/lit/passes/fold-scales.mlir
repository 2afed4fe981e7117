// RUN: fulgur-opt %s --fulgur-fold-scales --canonicalize | fulgur-opt --mlir-elide-elementsattrs-if-larger=64 --mlir-elide-resource-strings-if-larger=200 | FileCheck %s

// A bias, then a batch normalization: the filters are multiplied by 2 and 3, and one constant is added.
// CHECK-LABEL: @normalized
// CHECK-DAG: %[[SHIFT:.*]] = arith.constant dense<[4.000000e+00, 1.100000e+01]> : tensor<2xf32>
// CHECK-DAG: %[[W:.*]] = arith.constant dense_resource<scaled> : tensor<2x1x2xf32>
// CHECK: %[[Y:.*]] = linalg.generic {{.*}} ins(%{{.*}}, %[[W]] :
// CHECK: linalg.generic {{.*}} ins(%[[Y]], %[[SHIFT]] : tensor<1x4x2xf32>, tensor<2xf32>)
// CHECK-NEXT: ^bb0(%[[V:.*]]: f32, %[[B:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT: %[[S:.*]] = arith.addf %[[V]], %[[B]]
// CHECK-NEXT: arith.maximumf %[[S]]
#input = affine_map<(n, o, f, k, c) -> (n, o + k, c)>
#weights = affine_map<(n, o, f, k, c) -> (f, c, k)>
#output = affine_map<(n, o, f, k, c) -> (n, o, f)>
#all = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#filter = affine_map<(d0, d1, d2) -> (d2, 0)>
func.func @normalized(%x: tensor<1x5x1xf32>) -> tensor<1x4x2xf32> {
  %w = arith.constant dense<[[[1.0, 2.0]], [[3.0, 4.0]]]> : tensor<2x1x2xf32>
  %bias = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %scale = arith.constant dense<[[2.0], [3.0]]> : tensor<2x1xf32>
  %shift = arith.constant dense<[[2.0], [5.0]]> : tensor<2x1xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<1x4x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x4x2xf32>) -> tensor<1x4x2xf32>
  %y = linalg.generic {indexing_maps = [#input, #weights, #output], iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%x, %w : tensor<1x5x1xf32>, tensor<2x1x2xf32>) outs(%init : tensor<1x4x2xf32>) {
  ^bb0(%in: f32, %u: f32, %out: f32):
    %m = arith.mulf %in, %u : f32
    %s = arith.addf %out, %m : f32
    linalg.yield %s : f32
  } -> tensor<1x4x2xf32>
  %z = linalg.generic {indexing_maps = [#all, #filter, #filter, #filter, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%y, %bias, %scale, %shift : tensor<1x4x2xf32>, tensor<2x1xf32>, tensor<2x1xf32>, tensor<2x1xf32>) outs(%empty : tensor<1x4x2xf32>) {
  ^bb0(%v: f32, %b: f32, %f: f32, %t: f32, %out: f32):
    %a = arith.addf %v, %b : f32
    %m = arith.mulf %a, %f : f32
    %s = arith.addf %m, %t : f32
    %r = arith.maximumf %s, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x4x2xf32>
  return %z : tensor<1x4x2xf32>
}

// Behind another function, or from outside, a scale stays where it is.
// CHECK-LABEL: @negative
// CHECK: arith.maximumf
// CHECK-NEXT: arith.mulf
// CHECK-NEXT: arith.mulf
func.func @negative(%a: tensor<4x2xf32>, %given: tensor<2xf32>) -> tensor<4x2xf32> {
  %w = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %scale = arith.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x2xf32>) -> tensor<4x2xf32>
  %y = linalg.matmul ins(%a, %w : tensor<4x2xf32>, tensor<2x2xf32>) outs(%init : tensor<4x2xf32>) -> tensor<4x2xf32>
  %z = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d1)>,
      affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%y, %scale, %given : tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) outs(%empty : tensor<4x2xf32>) {
  ^bb0(%v: f32, %f: f32, %g: f32, %out: f32):
    %r = arith.maximumf %v, %zero : f32
    %m = arith.mulf %r, %f : f32
    %s = arith.mulf %m, %g : f32
    linalg.yield %s : f32
  } -> tensor<4x2xf32>
  return %z : tensor<4x2xf32>
}
