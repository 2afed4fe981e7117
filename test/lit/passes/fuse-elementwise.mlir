// RUN: fulgur-opt %s --fulgur-fuse-elementwise | FileCheck %s
// A chain of elementwise operations is one loop.

#identity = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>

// CHECK-LABEL: @chain
// CHECK: linalg.generic
// CHECK: math.exp
// CHECK-NEXT: arith.addf
// CHECK-NOT: linalg.generic
// CHECK: return
func.func @chain(%x: tensor<4x8xf32>, %bias: tensor<8xf32>) -> tensor<4x8xf32> {
  %empty = tensor.empty() : tensor<4x8xf32>
  %e = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x8xf32>) outs(%empty : tensor<4x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %y = math.exp %v : f32
    linalg.yield %y : f32
  } -> tensor<4x8xf32>
  %s = linalg.generic {indexing_maps = [#identity, #row, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%e, %bias : tensor<4x8xf32>, tensor<8xf32>) outs(%empty : tensor<4x8xf32>) {
  ^bb0(%v: f32, %b: f32, %o: f32):
    %y = arith.addf %v, %b : f32
    linalg.yield %y : f32
  } -> tensor<4x8xf32>
  return %s : tensor<4x8xf32>
}

// CHECK-LABEL: @negative_two_users
// CHECK: math.exp
// CHECK: linalg.generic
// CHECK: arith.negf
// CHECK: return
func.func @negative_two_users(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %empty = tensor.empty() : tensor<4x8xf32>
  %e = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x8xf32>) outs(%empty : tensor<4x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %y = math.exp %v : f32
    linalg.yield %y : f32
  } -> tensor<4x8xf32>
  %n = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%e : tensor<4x8xf32>) outs(%empty : tensor<4x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %y = arith.negf %v : f32
    linalg.yield %y : f32
  } -> tensor<4x8xf32>
  return %e, %n : tensor<4x8xf32>, tensor<4x8xf32>
}

// A cast costs less than storing what it gives.
// CHECK-LABEL: @cheap_with_two_users
// CHECK: linalg.generic
// CHECK: arith.extf
// CHECK: arith.negf
// CHECK: linalg.generic
// CHECK: arith.extf
// CHECK: math.exp
func.func @cheap_with_two_users(%x: tensor<4x8xf16>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %empty = tensor.empty() : tensor<4x8xf32>
  %c = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x8xf16>) outs(%empty : tensor<4x8xf32>) {
  ^bb0(%v: f16, %o: f32):
    %y = arith.extf %v : f16 to f32
    linalg.yield %y : f32
  } -> tensor<4x8xf32>
  %n = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%c : tensor<4x8xf32>) outs(%empty : tensor<4x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %y = arith.negf %v : f32
    linalg.yield %y : f32
  } -> tensor<4x8xf32>
  %e = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%c : tensor<4x8xf32>) outs(%empty : tensor<4x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %y = math.exp %v : f32
    linalg.yield %y : f32
  } -> tensor<4x8xf32>
  return %n, %e : tensor<4x8xf32>, tensor<4x8xf32>
}

// One exponential for each column, not for each element.
// CHECK-LABEL: @negative_broadcast
// CHECK: iterator_types = ["parallel"]
// CHECK: math.exp
// CHECK: iterator_types = ["parallel", "parallel"]
// CHECK: arith.addf
func.func @negative_broadcast(%x: tensor<4x8xf32>, %bias: tensor<8xf32>) -> tensor<4x8xf32> {
  %column = tensor.empty() : tensor<8xf32>
  %e = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      ins(%bias : tensor<8xf32>) outs(%column : tensor<8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %y = math.exp %v : f32
    linalg.yield %y : f32
  } -> tensor<8xf32>
  %empty = tensor.empty() : tensor<4x8xf32>
  %s = linalg.generic {indexing_maps = [#identity, #row, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%x, %e : tensor<4x8xf32>, tensor<8xf32>) outs(%empty : tensor<4x8xf32>) {
  ^bb0(%v: f32, %b: f32, %o: f32):
    %y = arith.addf %v, %b : f32
    linalg.yield %y : f32
  } -> tensor<4x8xf32>
  return %s : tensor<4x8xf32>
}

// A product reads each element many times, so what it reads is computed before.
// CHECK-LABEL: @negative_product
// CHECK: math.exp
// CHECK: linalg.generic
// CHECK: arith.mulf
func.func @negative_product(%a: tensor<4x8xf32>, %b: tensor<8x16xf32>) -> tensor<4x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x8xf32>
  %e = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%a : tensor<4x8xf32>) outs(%empty : tensor<4x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %y = math.exp %v : f32
    linalg.yield %y : f32
  } -> tensor<4x8xf32>
  %out = tensor.empty() : tensor<4x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%out : tensor<4x16xf32>) -> tensor<4x16xf32>
  %p = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%e, %b : tensor<4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<4x16xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %m = arith.mulf %x, %y : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<4x16xf32>
  return %p : tensor<4x16xf32>
}

// The bias is added to the product itself; the reshape follows. Its sizes stay functions of the symbols.
// CHECK-LABEL: @reshape_behind
// CHECK: %[[BATCH:.*]] = fulgur.symbol "batch"
// CHECK: %[[P:.*]] = linalg.matmul
// CHECK: %[[S:.*]] = linalg.generic
// CHECK-SAME: ins(%[[P]], %{{.*}} : tensor<?x16xf32>, tensor<16xf32>)
// CHECK-NOT: tensor.dim
// CHECK: tensor.expand_shape %[[S]] {{\[\[}}0, 1], [2]] output_shape [%[[BATCH]], 4, 16]
func.func @reshape_behind(%x: tensor<?x8xf32>, %w: tensor<8x16xf32>, %bias: tensor<16xf32>) -> tensor<?x4x16xf32> {
  %zero = arith.constant 0.0 : f32
  %four = arith.constant 4 : index
  %batch = fulgur.symbol "batch"
  %rows = arith.muli %batch, %four : index
  %out = tensor.empty(%rows) : tensor<?x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%out : tensor<?x16xf32>) -> tensor<?x16xf32>
  %p = linalg.matmul ins(%x, %w : tensor<?x8xf32>, tensor<8x16xf32>) outs(%init : tensor<?x16xf32>) -> tensor<?x16xf32>
  %r = tensor.expand_shape %p [[0, 1], [2]] output_shape [%batch, 4, 16] : tensor<?x16xf32> into tensor<?x4x16xf32>
  %empty = tensor.empty(%batch) : tensor<?x4x16xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(b, m, n) -> (b, m, n)>, affine_map<(b, m, n) -> (n)>, affine_map<(b, m, n) -> (b, m, n)>],
      iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%r, %bias : tensor<?x4x16xf32>, tensor<16xf32>) outs(%empty : tensor<?x4x16xf32>) {
  ^bb0(%v: f32, %b: f32, %o: f32):
    %y = arith.addf %v, %b : f32
    linalg.yield %y : f32
  } -> tensor<?x4x16xf32>
  return %s : tensor<?x4x16xf32>
}

// An elementwise loop over interleaved parts is computed on each part; with one that has more than the parts share, it is not.
#place = affine_map<(d0, d1) -> (d0, d1)>
#channel = affine_map<(d0, d1) -> (d1)>
// CHECK-LABEL: @interleaved
// CHECK: %[[A:.*]] = linalg.generic {{.*}} ins(%arg0, %arg2 : tensor<3x4xf32>, tensor<4xf32>)
// CHECK: %[[FIRST:.*]] = tensor.insert_slice %[[A]] into %{{.*}}[0, 0] [3, 4] [2, 1]
// CHECK: %[[B:.*]] = linalg.generic {{.*}} ins(%arg1, %arg2 : tensor<2x4xf32>, tensor<4xf32>)
// CHECK: %[[BOTH:.*]] = tensor.insert_slice %[[B]] into %[[FIRST]][1, 0] [2, 4] [2, 1]
// CHECK: return %[[BOTH]]
func.func @interleaved(%a: tensor<3x4xf32>, %b: tensor<2x4xf32>, %s: tensor<4xf32>) -> tensor<5x4xf32> {
  %e = tensor.empty() : tensor<5x4xf32>
  %0 = tensor.insert_slice %a into %e[0, 0] [3, 4] [2, 1] : tensor<3x4xf32> into tensor<5x4xf32>
  %1 = tensor.insert_slice %b into %0[1, 0] [2, 4] [2, 1] : tensor<2x4xf32> into tensor<5x4xf32>
  %2 = linalg.generic {indexing_maps = [#place, #channel, #place], iterator_types = ["parallel", "parallel"]} ins(%1, %s : tensor<5x4xf32>, tensor<4xf32>) outs(%e : tensor<5x4xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %r = arith.mulf %x, %y : f32
    linalg.yield %r : f32
  } -> tensor<5x4xf32>
  return %2 : tensor<5x4xf32>
}

// CHECK-LABEL: @negative_interleaved
// CHECK: %[[ALL:.*]] = tensor.insert_slice %arg1
// CHECK: linalg.generic {{.*}} ins(%[[ALL]], %arg2 : tensor<5x4xf32>, tensor<5x4xf32>)
func.func @negative_interleaved(%a: tensor<3x4xf32>, %b: tensor<2x4xf32>, %s: tensor<5x4xf32>) -> tensor<5x4xf32> {
  %e = tensor.empty() : tensor<5x4xf32>
  %0 = tensor.insert_slice %a into %e[0, 0] [3, 4] [2, 1] : tensor<3x4xf32> into tensor<5x4xf32>
  %1 = tensor.insert_slice %b into %0[1, 0] [2, 4] [2, 1] : tensor<2x4xf32> into tensor<5x4xf32>
  %2 = linalg.generic {indexing_maps = [#place, #place, #place], iterator_types = ["parallel", "parallel"]} ins(%1, %s : tensor<5x4xf32>, tensor<5x4xf32>) outs(%e : tensor<5x4xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %r = arith.mulf %x, %y : f32
    linalg.yield %r : f32
  } -> tensor<5x4xf32>
  return %2 : tensor<5x4xf32>
}
