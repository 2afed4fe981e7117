// RUN: fulgur-opt %s --split-input-file --fulgur-narrow-products | FileCheck %s
// RUN: not fulgur-opt %s --split-input-file --fulgur-narrow-products=type=f8 2>&1 | FileCheck %s --check-prefix=TYPE
// TYPE: error: products cannot be narrowed to 'f8'; there is bf16

// Two products of one tensor: it is rounded once, before it is reshaped, and their sums stay f32.
// CHECK-LABEL: @weights
// CHECK-SAME: %[[X:.*]]: tensor<2x3x16xf32>
// CHECK: %[[NARROW:.*]] = linalg.generic {{.*}} ins(%[[X]] : tensor<2x3x16xf32>) outs(%{{.*}} : tensor<2x3x16xbf16>)
// CHECK: arith.truncf %{{.*}} : f32 to bf16
// The nearest bfloat16, the even one of two: 1.00390625 is between 1.0 and 1.0078125, 1.01171875 between that and 1.015625.
// CHECK: %[[A:.*]] = arith.constant dense_resource<narrow> : tensor<16x2xbf16>
// CHECK: %[[B:.*]] = arith.constant dense_resource<narrow_1> : tensor<2x16xbf16>
// CHECK: %[[ROWS:.*]] = tensor.collapse_shape %[[NARROW]] {{.*}} : tensor<2x3x16xbf16> into tensor<6x16xbf16>
// CHECK-NOT: tensor.collapse_shape %[[NARROW]]
// CHECK: linalg.generic {{.*}} ins(%[[ROWS]], %[[A]] : tensor<6x16xbf16>, tensor<16x2xbf16>) outs(%{{.*}} : tensor<6x2xf32>)
// CHECK-NEXT: ^bb0(%[[L:.*]]: bf16, %[[R:.*]]: bf16, %[[SUM:.*]]: f32)
// CHECK-DAG: %[[WL:.*]] = arith.extf %[[L]] : bf16 to f32
// CHECK-DAG: %[[WR:.*]] = arith.extf %[[R]] : bf16 to f32
// CHECK: arith.mulf %[[WL]], %[[WR]] : f32
// CHECK: linalg.generic {{.*}} ins(%[[ROWS]], %[[B]] : tensor<6x16xbf16>, tensor<2x16xbf16>) outs(%{{.*}} : tensor<6x2xf32>)
func.func @weights(%x: tensor<2x3x16xf32>) -> (tensor<6x2xf32>, tensor<6x2xf32>) {
  %a = arith.constant dense<1.00390625> : tensor<16x2xf32>
  %b = arith.constant dense<1.01171875> : tensor<2x16xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<6x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<6x2xf32>) -> tensor<6x2xf32>
  %rows = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x16xf32> into tensor<6x16xf32>
  %p = linalg.matmul ins(%rows, %a : tensor<6x16xf32>, tensor<16x2xf32>) outs(%init : tensor<6x2xf32>) -> tensor<6x2xf32>
  %q = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"]} ins(%rows, %b : tensor<6x16xf32>, tensor<2x16xf32>) outs(%init : tensor<6x2xf32>) {
  ^bb0(%l: f32, %r: f32, %s: f32):
    %m = arith.mulf %l, %r : f32
    %n = arith.addf %s, %m : f32
    linalg.yield %n : f32
  } -> tensor<6x2xf32>
  return %p, %q : tensor<6x2xf32>, tensor<6x2xf32>
}
// CHECK: narrow: "0x40000000{{(803F)+}}"
// CHECK: narrow_1: "0x40000000{{(823F)+}}"

// -----

// A symbolic dim.
// CHECK-LABEL: @symbol
// CHECK: fulgur.symbol "rows"
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<?x32xbf16>)
// CHECK: linalg.generic {{.*}} : tensor<?x32xbf16>, tensor<32x2xbf16>) outs(%{{.*}} : tensor<?x2xf32>)
module {
  func.func @symbol(%x: tensor<?x32xf32> {fulgur.dims = ["rows", "32"]}) -> tensor<?x2xf32> {
    %a = arith.constant dense<0.5> : tensor<32x2xf32>
    %zero = arith.constant 0.0 : f32
    %rows = fulgur.symbol "rows"
    %empty = tensor.empty(%rows) : tensor<?x2xf32>
    %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x2xf32>) -> tensor<?x2xf32>
    %p = linalg.matmul ins(%x, %a : tensor<?x32xf32>, tensor<32x2xf32>) outs(%init : tensor<?x2xf32>) -> tensor<?x2xf32>
    return %p : tensor<?x2xf32>
  }
}

// -----

// Short sums, matrices that are no weights, and other types stay.
// CHECK-LABEL: @others
// CHECK-NOT: bf16
func.func @others(%x: tensor<2x1xf32>, %y: tensor<2x16xf32>, %z: tensor<16x2xf32>, %d: tensor<2x16xf64>)
    -> (tensor<2x4xf32>, tensor<2x2xf32>, tensor<2x2xf64>) {
  %a = arith.constant dense<0.5> : tensor<1x4xf32>
  %b = arith.constant dense<0.5> : tensor<16x2xf64>
  %0 = tensor.empty() : tensor<2x4xf32>
  %1 = tensor.empty() : tensor<2x2xf32>
  %2 = tensor.empty() : tensor<2x2xf64>
  %p = linalg.matmul ins(%x, %a : tensor<2x1xf32>, tensor<1x4xf32>) outs(%0 : tensor<2x4xf32>) -> tensor<2x4xf32>
  %q = linalg.matmul ins(%y, %z : tensor<2x16xf32>, tensor<16x2xf32>) outs(%1 : tensor<2x2xf32>) -> tensor<2x2xf32>
  %r = linalg.matmul ins(%d, %b : tensor<2x16xf64>, tensor<16x2xf64>) outs(%2 : tensor<2x2xf64>) -> tensor<2x2xf64>
  return %p, %q, %r : tensor<2x4xf32>, tensor<2x2xf32>, tensor<2x2xf64>
}
