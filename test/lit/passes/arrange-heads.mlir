// RUN: fulgur-opt %s --split-input-file --fulgur-arrange-heads --canonicalize | FileCheck %s
// A product whose parts are queries, keys and values becomes one for each, head by head.

#rows = affine_map<(m, n, k) -> (m, k)>
#weight = affine_map<(m, n, k) -> (k, n)>
#sums = affine_map<(m, n, k) -> (m, n)>
#identity = affine_map<(d0, d1) -> (d0, d1)>
#column = affine_map<(d0, d1) -> (d1)>
#query = affine_map<(h, i, d, j, n) -> (0, i, h, d)>
#key = affine_map<(h, i, d, j, n) -> (0, j, h, d)>
#value = affine_map<(h, i, d, j, n) -> (0, j, h, n)>
#result = affine_map<(h, i, d, j, n) -> (0, i, h, n)>

// Queries are only read rounded, keys and values returned as they are, too: the transpose of keys is what there is already.
// CHECK-DAG: #[[HEADS:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>
// CHECK-DAG: #[[BIAS:.*]] = affine_map<(d0, d1, d2, d3) -> (d1, d3)>
// CHECK-DAG: #[[KEY:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (0, d0, d3, d2)>
// CHECK-DAG: #[[SUMMED:.*]] = affine_map<(d0, d1, d2) -> (0, d0, d2, d1)>
// CHECK-LABEL: @joint
// CHECK: linalg.generic {{.*}}#[[HEADS]]]{{.*}} ins(%{{.*}}, %{{.*}} : tensor<1x64x32xbf16>, tensor<32x2x64xbf16>)
// CHECK: %[[V:.*]] = linalg.generic {{.*}}#[[BIAS]]{{.*}} outs(%{{.*}} : tensor<1x2x64x64xf32>)
// CHECK: %[[VN:.*]] = linalg.generic {{.*}} ins(%[[V]] : tensor<1x2x64x64xf32>) outs(%{{.*}} : tensor<1x2x64x64xbf16>)
// CHECK: linalg.generic {{.*}}#[[HEADS]]]
// CHECK: %[[K:.*]] = linalg.generic {{.*}}#[[BIAS]]{{.*}} outs(%{{.*}} : tensor<1x2x64x64xf32>)
// CHECK: %[[KN:.*]] = linalg.generic {{.*}} ins(%[[K]] : tensor<1x2x64x64xf32>) outs(%{{.*}} : tensor<1x2x64x64xbf16>)
// CHECK: linalg.generic {{.*}}#[[HEADS]]]
// CHECK: %[[Q:.*]] = linalg.generic {{.*}}#[[BIAS]]{{.*}} outs(%{{.*}} : tensor<1x2x64x64xbf16>)
// CHECK: arith.truncf
// CHECK: fulgur.attention %[[Q]], %[[KN]], %[[VN]] maps [#{{.*}}, #[[KEY]], #{{.*}}, #{{.*}}]
// CHECK: linalg.generic {indexing_maps = [#[[SUMMED]], {{.*}} ins(%[[V]]
// CHECK: return %{{.*}}, %[[K]], %{{.*}} : tensor<1x64x2x64xf32>, tensor<1x2x64x64xf32>, tensor<2x64xf32>
func.func @joint(%x: tensor<64x32xbf16>) -> (tensor<1x64x2x64xf32>, tensor<1x2x64x64xf32>, tensor<2x64xf32>) {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.5> : tensor<32x384xbf16>
  %b = arith.constant dense<0.25> : tensor<384xf32>
  %e = tensor.empty() : tensor<64x384xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<64x384xf32>) -> tensor<64x384xf32>
  %p = linalg.generic {indexing_maps = [#rows, #weight, #sums], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<64x32xbf16>, tensor<32x384xbf16>) outs(%init : tensor<64x384xf32>) {
  ^bb0(%l: bf16, %r: bf16, %s: f32):
    %lw = arith.extf %l : bf16 to f32
    %rw = arith.extf %r : bf16 to f32
    %q = arith.mulf %lw, %rw : f32
    %t = arith.addf %s, %q : f32
    linalg.yield %t : f32
  } -> tensor<64x384xf32>
  %a = linalg.generic {indexing_maps = [#identity, #column, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%p, %b : tensor<64x384xf32>, tensor<384xf32>) outs(%e : tensor<64x384xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %t = arith.addf %l, %r : f32
    linalg.yield %t : f32
  } -> tensor<64x384xf32>
  %ne = tensor.empty() : tensor<64x384xbf16>
  %n = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%a : tensor<64x384xf32>) outs(%ne : tensor<64x384xbf16>) {
  ^bb0(%l: f32, %o: bf16):
    %t = arith.truncf %l : f32 to bf16
    linalg.yield %t : bf16
  } -> tensor<64x384xbf16>
  %a3 = tensor.expand_shape %a [[0, 1], [2]] output_shape [1, 64, 384] : tensor<64x384xf32> into tensor<1x64x384xf32>
  %n3 = tensor.expand_shape %n [[0, 1], [2]] output_shape [1, 64, 384] : tensor<64x384xbf16> into tensor<1x64x384xbf16>
  %qs = tensor.extract_slice %n3[0, 0, 0] [1, 64, 128] [1, 1, 1] : tensor<1x64x384xbf16> to tensor<1x64x128xbf16>
  %ks = tensor.extract_slice %n3[0, 0, 128] [1, 64, 128] [1, 1, 1] : tensor<1x64x384xbf16> to tensor<1x64x128xbf16>
  %vs = tensor.extract_slice %n3[0, 0, 256] [1, 64, 128] [1, 1, 1] : tensor<1x64x384xbf16> to tensor<1x64x128xbf16>
  %kw = tensor.extract_slice %a3[0, 0, 128] [1, 64, 128] [1, 1, 1] : tensor<1x64x384xf32> to tensor<1x64x128xf32>
  %vw = tensor.extract_slice %a3[0, 0, 256] [1, 64, 128] [1, 1, 1] : tensor<1x64x384xf32> to tensor<1x64x128xf32>
  %qh = tensor.expand_shape %qs [[0], [1], [2, 3]] output_shape [1, 64, 2, 64] : tensor<1x64x128xbf16> into tensor<1x64x2x64xbf16>
  %kh = tensor.expand_shape %ks [[0], [1], [2, 3]] output_shape [1, 64, 2, 64] : tensor<1x64x128xbf16> into tensor<1x64x2x64xbf16>
  %vh = tensor.expand_shape %vs [[0], [1], [2, 3]] output_shape [1, 64, 2, 64] : tensor<1x64x128xbf16> into tensor<1x64x2x64xbf16>
  %kwh = tensor.expand_shape %kw [[0], [1], [2, 3]] output_shape [1, 64, 2, 64] : tensor<1x64x128xf32> into tensor<1x64x2x64xf32>
  %vwh = tensor.expand_shape %vw [[0], [1], [2, 3]] output_shape [1, 64, 2, 64] : tensor<1x64x128xf32> into tensor<1x64x2x64xf32>
  %te = tensor.empty() : tensor<1x2x64x64xf32>
  %present = linalg.transpose ins(%kwh : tensor<1x64x2x64xf32>) outs(%te : tensor<1x2x64x64xf32>) permutation = [0, 2, 1, 3]
  %r = fulgur.attention %qh, %kh, %vh maps [#query, #key, #value, #result] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<1x64x2x64xbf16>, tensor<1x64x2x64xbf16>, tensor<1x64x2x64xbf16> -> tensor<1x64x2x64xf32>
  %se = tensor.empty() : tensor<2x64xf32>
  %si = linalg.fill ins(%zero : f32) outs(%se : tensor<2x64xf32>) -> tensor<2x64xf32>
  %sum = linalg.generic {indexing_maps = [affine_map<(h, d, j) -> (0, j, h, d)>, affine_map<(h, d, j) -> (h, d)>],
      iterator_types = ["parallel", "parallel", "reduction"]} ins(%vwh : tensor<1x64x2x64xf32>) outs(%si : tensor<2x64xf32>) {
  ^bb0(%l: f32, %s: f32):
    %t = arith.addf %s, %l : f32
    linalg.yield %t : f32
  } -> tensor<2x64xf32>
  return %r, %present, %sum : tensor<1x64x2x64xf32>, tensor<1x2x64x64xf32>, tensor<2x64xf32>
}

// -----

#rows = affine_map<(m, n, k) -> (m, k)>
#weight = affine_map<(m, n, k) -> (k, n)>
#sums = affine_map<(m, n, k) -> (m, n)>
#query = affine_map<(h, i, d, j, n) -> (i, h, d)>
#key = affine_map<(h, i, d, j, n) -> (j, h, d)>
#value = affine_map<(h, i, d, j, n) -> (j, h, n)>
#result = affine_map<(h, i, d, j, n) -> (i, h, n)>

// Heads of 32 fill no panel.
// CHECK-LABEL: @narrow_heads
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<64x128xf32>)
// CHECK: fulgur.attention
// CHECK: : tensor<64x4x32xf32>, tensor<64x4x32xf32>, tensor<64x4x32xf32>
func.func @narrow_heads(%x: tensor<64x32xbf16>) -> tensor<64x4x32xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.5> : tensor<32x128xbf16>
  %e = tensor.empty() : tensor<64x128xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<64x128xf32>) -> tensor<64x128xf32>
  %p = linalg.generic {indexing_maps = [#rows, #weight, #sums], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<64x32xbf16>, tensor<32x128xbf16>) outs(%init : tensor<64x128xf32>) {
  ^bb0(%l: bf16, %r: bf16, %s: f32):
    %lw = arith.extf %l : bf16 to f32
    %rw = arith.extf %r : bf16 to f32
    %q = arith.mulf %lw, %rw : f32
    %t = arith.addf %s, %q : f32
    linalg.yield %t : f32
  } -> tensor<64x128xf32>
  %h = tensor.expand_shape %p [[0], [1, 2]] output_shape [64, 4, 32] : tensor<64x128xf32> into tensor<64x4x32xf32>
  %r = fulgur.attention %h, %h, %h maps [#query, #key, #value, #result] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<64x4x32xf32>, tensor<64x4x32xf32>, tensor<64x4x32xf32> -> tensor<64x4x32xf32>
  return %r : tensor<64x4x32xf32>
}
