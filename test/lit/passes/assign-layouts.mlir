// RUN: fulgur-opt %s --fulgur-assign-layouts --canonicalize --cse --split-input-file | FileCheck %s
// Convolutions read and write [batch, places, channels]; the transposes meet and go, or move to the end.

// The first one reads the input's few channels where they lie; the second reads what the first gives.
// CHECK-DAG: #[[FIRST:.*]] = affine_map<(d0, d1, d2, d3, d4, d5, d6) -> (d0, d6, d1 * 2 + d4, d2 * 2 + d5)>
// CHECK-DAG: #[[WEIGHTS:.*]] = affine_map<(d0, d1, d2, d3, d4, d5, d6) -> (d3, d6, d4, d5)>
// CHECK-DAG: #[[SECOND:.*]] = affine_map<(d0, d1, d2, d3, d4, d5, d6) -> (d0, d1 + d4, d2 + d5, d6)>
// CHECK-DAG: #[[BIAS:.*]] = affine_map<(d0, d1, d2, d3) -> (d3, 0, 0)>
// CHECK-LABEL: @chain
// CHECK: tensor.pad %{{.*}} low[0, 0, 1, 1] high[0, 0, 1, 1]
// CHECK: linalg.generic {indexing_maps = [#[[FIRST]], #[[WEIGHTS]]
// CHECK: -> tensor<?x4x4x16xf32>
// CHECK: linalg.generic {indexing_maps = [#{{.*}}, #[[BIAS]]
// CHECK: arith.maximumf
// CHECK: tensor.pad %{{.*}} low[0, 1, 1, 0] high[0, 1, 1, 0]
// CHECK: linalg.generic {indexing_maps = [#[[SECOND]], #[[WEIGHTS]]
// CHECK: -> tensor<?x4x4x16xf32>
// CHECK-NOT: linalg.generic
// CHECK: linalg.transpose {{.*}} permutation = [0, 3, 1, 2]
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d1, 0, 0)>
func.func @chain(%x: tensor<?x3x8x8xf32> {fulgur.dims = ["batch", "3", "8", "8"]}, %w: tensor<16x3x3x3xf32>, %v: tensor<16x16x3x3xf32>,
                 %bias: tensor<16x1x1xf32>) -> tensor<?x16x4x4xf32> {
  %zero = arith.constant 0.0 : f32
  %batch = fulgur.symbol "batch"
  %p = tensor.pad %x low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%a: index, %b: index, %c: index, %d: index):
    tensor.yield %zero : f32
  } : tensor<?x3x8x8xf32> to tensor<?x3x10x10xf32>
  %empty = tensor.empty(%batch) : tensor<?x16x4x4xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x16x4x4xf32>) -> tensor<?x16x4x4xf32>
  %y = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>}
      ins(%p, %w : tensor<?x3x10x10xf32>, tensor<16x3x3x3xf32>) outs(%init : tensor<?x16x4x4xf32>) -> tensor<?x16x4x4xf32>
  %r = linalg.generic {indexing_maps = [#id, #channel, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%y, %bias : tensor<?x16x4x4xf32>, tensor<16x1x1xf32>) outs(%empty : tensor<?x16x4x4xf32>) {
  ^bb0(%in: f32, %b: f32, %out: f32):
    %s = arith.addf %in, %b : f32
    %m = arith.maximumf %s, %zero : f32
    linalg.yield %m : f32
  } -> tensor<?x16x4x4xf32>
  %q = tensor.pad %r low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%a: index, %b: index, %c: index, %d: index):
    tensor.yield %zero : f32
  } : tensor<?x16x4x4xf32> to tensor<?x16x6x6xf32>
  %z = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%q, %v : tensor<?x16x6x6xf32>, tensor<16x16x3x3xf32>) outs(%init : tensor<?x16x4x4xf32>) -> tensor<?x16x4x4xf32>
  return %z : tensor<?x16x4x4xf32>
}

// -----

// A window of one element is a product over all places, a pool keeps the order, a sum over the places ends it.
// CHECK-DAG: #[[IN:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>
// CHECK-DAG: #[[FILTER:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d3, d4)>
// CHECK-DAG: #[[POOL:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1 * 2 + d4, d2 * 2 + d5, d3)>
// CHECK-LABEL: @product_pool_sum
// CHECK: %[[X:.*]] = linalg.transpose {{.*}} permutation = [0, 2, 3, 1]
// CHECK: %[[W:.*]] = tensor.collapse_shape %{{.*}} {{\[\[}}0], [1, 2, 3]]
// CHECK: %[[Y:.*]] = linalg.generic {indexing_maps = [#[[IN]], #[[FILTER]]{{.*}} ins(%[[X]], %[[W]] :
// CHECK: %[[P:.*]] = linalg.generic {indexing_maps = [#[[POOL]]{{.*}} ins(%[[Y]],
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction", "reduction"]} ins(%[[P]] :
// CHECK-NOT: linalg.transpose
// CHECK: return
func.func @product_pool_sum(%x: tensor<2x200x8x8xf32>, %w: tensor<16x200x1x1xf32>) -> tensor<2x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2x16x8x8xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x16x8x8xf32>) -> tensor<2x16x8x8xf32>
  %y = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<2x200x8x8xf32>, tensor<16x200x1x1xf32>) outs(%init : tensor<2x16x8x8xf32>) -> tensor<2x16x8x8xf32>
  %window = tensor.empty() : tensor<2x2xf32>
  %small = tensor.empty() : tensor<2x16x4x4xf32>
  %start = linalg.fill ins(%zero : f32) outs(%small : tensor<2x16x4x4xf32>) -> tensor<2x16x4x4xf32>
  %p = linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>}
      ins(%y, %window : tensor<2x16x8x8xf32>, tensor<2x2xf32>) outs(%start : tensor<2x16x4x4xf32>) -> tensor<2x16x4x4xf32>
  %one = tensor.empty() : tensor<2x16xf32>
  %none = linalg.fill ins(%zero : f32) outs(%one : tensor<2x16xf32>) -> tensor<2x16xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1)>],
      iterator_types = ["parallel", "parallel", "reduction", "reduction"]} ins(%p : tensor<2x16x4x4xf32>) outs(%none : tensor<2x16xf32>) {
  ^bb0(%in: f32, %out: f32):
    %t = arith.addf %out, %in : f32
    linalg.yield %t : f32
  } -> tensor<2x16xf32>
  return %s : tensor<2x16xf32>
}

// -----

// Groups are the dims in front of the channels, and a depthwise convolution has one channel each.
// CHECK-DAG: #[[DEPTH:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1 + d3, d2)>
// CHECK-LABEL: @groups
// CHECK: linalg.transpose {{.*}} permutation = [0, 3, 1, 2]
// CHECK: linalg.generic
// CHECK: -> tensor<1x8x4x2xf32>
// CHECK: tensor.collapse_shape {{.*}} : tensor<1x8x4x2xf32> into tensor<1x8x8xf32>
// CHECK: linalg.generic {indexing_maps = [#[[DEPTH]], #{{.*}}, #{{.*}}], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
// CHECK: -> tensor<1x6x8xf32>
// CHECK: linalg.transpose {{.*}} permutation = [0, 2, 1]
func.func @groups(%x: tensor<1x8x10xf32>, %w: tensor<4x2x2x3xf32>, %v: tensor<8x3xf32>) -> tensor<1x8x6xf32> {
  %zero = arith.constant 0.0 : f32
  %g = tensor.expand_shape %x [[0], [1, 2], [3]] output_shape [1, 4, 2, 10] : tensor<1x8x10xf32> into tensor<1x4x2x10xf32>
  %empty = tensor.empty() : tensor<1x4x2x8xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x4x2x8xf32>) -> tensor<1x4x2x8xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(n, g, f, o, c, k) -> (n, g, c, o + k)>, affine_map<(n, g, f, o, c, k) -> (g, f, c, k)>,
      affine_map<(n, g, f, o, c, k) -> (n, g, f, o)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%g, %w : tensor<1x4x2x10xf32>, tensor<4x2x2x3xf32>) outs(%init : tensor<1x4x2x8xf32>) {
  ^bb0(%in: f32, %u: f32, %out: f32):
    %m = arith.mulf %in, %u : f32
    %s = arith.addf %out, %m : f32
    linalg.yield %s : f32
  } -> tensor<1x4x2x8xf32>
  %flat = tensor.collapse_shape %y [[0], [1, 2], [3]] : tensor<1x4x2x8xf32> into tensor<1x8x8xf32>
  %small = tensor.empty() : tensor<1x8x6xf32>
  %start = linalg.fill ins(%zero : f32) outs(%small : tensor<1x8x6xf32>) -> tensor<1x8x6xf32>
  %z = linalg.depthwise_conv_1d_ncw_cw ins(%flat, %v : tensor<1x8x8xf32>, tensor<8x3xf32>) outs(%start : tensor<1x8x6xf32>) -> tensor<1x8x6xf32>
  return %z : tensor<1x8x6xf32>
}

// -----

// Windows side by side are the rows of a product.
// CHECK-LABEL: @patches
// CHECK: tensor.expand_shape {{.*}} : tensor<?x3x8x8xf32> into tensor<?x3x2x4x2x4xf32>
// CHECK: linalg.transpose {{.*}} permutation = [0, 2, 4, 1, 3, 5]
// CHECK: tensor.collapse_shape {{.*}} into tensor<?x2x2x48xf32>
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
// CHECK: -> tensor<?x2x2x16xf32>
func.func @patches(%x: tensor<?x3x8x8xf32> {fulgur.dims = ["batch", "3", "8", "8"]}, %w: tensor<16x3x4x4xf32>) -> tensor<?x16x2x2xf32> {
  %zero = arith.constant 0.0 : f32
  %batch = fulgur.symbol "batch"
  %empty = tensor.empty(%batch) : tensor<?x16x2x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x16x2x2xf32>) -> tensor<?x16x2x2xf32>
  %y = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<4> : vector<2xi64>}
      ins(%x, %w : tensor<?x3x8x8xf32>, tensor<16x3x4x4xf32>) outs(%init : tensor<?x16x2x2xf32>) -> tensor<?x16x2x2xf32>
  return %y : tensor<?x16x2x2xf32>
}

// -----

// What joins the channels of convolutions, reads them by position or only moves dims of size 1 needs no transpose.
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
// CHECK-LABEL: @join
// CHECK-NOT: linalg.transpose
// CHECK: tensor.concat dim(3)
// CHECK: tensor.extract %{{.*}}[%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}] : tensor<1x4x4x32xf32>
// CHECK: -> tensor<1x8x8x32xf32>
// CHECK-NOT: linalg.transpose
// CHECK: -> tensor<1x1x1x16xf32>
// CHECK: tensor.expand_shape
// CHECK: return
func.func @join(%x: tensor<1x3x6x6xf32>, %w: tensor<16x3x3x3xf32>, %v: tensor<16x32x8x8xf32>) -> tensor<1x16x1x1xf32> {
  %zero = arith.constant 0.0 : f32
  %two = arith.constant 2 : index
  %empty = tensor.empty() : tensor<1x16x4x4xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x16x4x4xf32>) -> tensor<1x16x4x4xf32>
  %y = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x3x6x6xf32>, tensor<16x3x3x3xf32>) outs(%init : tensor<1x16x4x4xf32>) -> tensor<1x16x4x4xf32>
  %j = tensor.concat dim(1) %y, %y : (tensor<1x16x4x4xf32>, tensor<1x16x4x4xf32>) -> tensor<1x32x4x4xf32>
  %large = tensor.empty() : tensor<1x32x8x8xf32>
  %u = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%large : tensor<1x32x8x8xf32>) {
  ^bb0(%out: f32):
    %n = linalg.index 0 : index
    %c = linalg.index 1 : index
    %h = linalg.index 2 : index
    %k = linalg.index 3 : index
    %a = arith.divui %h, %two : index
    %b = arith.divui %k, %two : index
    %e = tensor.extract %j[%n, %c, %a, %b] : tensor<1x32x4x4xf32>
    linalg.yield %e : f32
  } -> tensor<1x32x8x8xf32>
  %one = tensor.empty() : tensor<1x16x1x1xf32>
  %start = linalg.fill ins(%zero : f32) outs(%one : tensor<1x16x1x1xf32>) -> tensor<1x16x1x1xf32>
  %z = linalg.conv_2d_nchw_fchw ins(%u, %v : tensor<1x32x8x8xf32>, tensor<16x32x8x8xf32>) outs(%start : tensor<1x16x1x1xf32>) -> tensor<1x16x1x1xf32>
  return %z : tensor<1x16x1x1xf32>
}

// -----

// Integers of 32 bits are those of quantized numbers: a convolution of few of them, and one of each channel, put theirs last.
// CHECK-LABEL: @integers
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<1x4x4x8xi32>)
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<1x6x6x4xi32>, tensor<4x3x3xi32>) outs(%{{.*}} : tensor<1x4x4x4xi32>)
func.func @integers(%i: tensor<1x4x6x6xi32>, %v: tensor<8x4x3x3xi32>, %w: tensor<4x3x3xi32>) -> (tensor<1x8x4x4xi32>, tensor<1x4x4x4xi32>) {
  %zero = arith.constant 0 : i32
  %e = tensor.empty() : tensor<1x8x4x4xi32>
  %f = tensor.empty() : tensor<1x4x4x4xi32>
  %a = linalg.fill ins(%zero : i32) outs(%e : tensor<1x8x4x4xi32>) -> tensor<1x8x4x4xi32>
  %b = linalg.fill ins(%zero : i32) outs(%f : tensor<1x4x4x4xi32>) -> tensor<1x4x4x4xi32>
  %y = linalg.conv_2d_nchw_fchw ins(%i, %v : tensor<1x4x6x6xi32>, tensor<8x4x3x3xi32>) outs(%a : tensor<1x8x4x4xi32>) -> tensor<1x8x4x4xi32>
  %z = linalg.depthwise_conv_2d_nchw_chw ins(%i, %w : tensor<1x4x6x6xi32>, tensor<4x3x3xi32>) outs(%b : tensor<1x4x4x4xi32>) -> tensor<1x4x4x4xi32>
  return %y, %z : tensor<1x8x4x4xi32>, tensor<1x4x4x4xi32>
}

// -----

// A small depthwise convolution costs less than two transpositions; other types stay as they are.
// CHECK-LABEL: @negative
// CHECK: linalg.depthwise_conv_2d_nchw_chw
// CHECK: linalg.conv_2d_nchw_fchw
// CHECK-NOT: linalg.transpose
func.func @negative(%x: tensor<1x4x6x6xf32>, %w: tensor<4x3x3xf32>, %i: tensor<1x4x6x6xi64>, %v: tensor<4x4x3x3xi64>)
    -> (tensor<1x4x4x4xf32>, tensor<1x4x4x4xi64>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<1x4x4x4xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  %y = linalg.depthwise_conv_2d_nchw_chw ins(%x, %w : tensor<1x4x6x6xf32>, tensor<4x3x3xf32>) outs(%init : tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  %none = arith.constant 0 : i64
  %integers = tensor.empty() : tensor<1x4x4x4xi64>
  %start = linalg.fill ins(%none : i64) outs(%integers : tensor<1x4x4x4xi64>) -> tensor<1x4x4x4xi64>
  %z = linalg.conv_2d_nchw_fchw ins(%i, %v : tensor<1x4x6x6xi64>, tensor<4x4x3x3xi64>) outs(%start : tensor<1x4x4x4xi64>) -> tensor<1x4x4x4xi64>
  return %y, %z : tensor<1x4x4x4xf32>, tensor<1x4x4x4xi64>
}

// -----

// Parts with their channels last are put together so, also by convolutions with windows of one element; pixels that are shuffled for a
// convolution have their channels last afterwards, others stay.
// CHECK-LABEL: @interleaved
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
// CHECK: %[[WHOLE:.*]] = tensor.insert_slice %{{.*}} into %{{.*}}[0, 0, 0, 0] [1, 4, 4, 16] [1, 2, 2, 1] : tensor<1x4x4x16xf32> into tensor<1x8x8x16xf32>
// CHECK: linalg.transpose ins(%[[WHOLE]] : tensor<1x8x8x16xf32>)
func.func @interleaved(%x: tensor<1x8x4x4xf32>, %w: tensor<16x8x1x1xf32>) -> tensor<1x16x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x16x4x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x16x4x4xf32>) -> tensor<1x16x4x4xf32>
  %0 = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x8x4x4xf32>, tensor<16x8x1x1xf32>) outs(%f : tensor<1x16x4x4xf32>) -> tensor<1x16x4x4xf32>
  %all = tensor.empty() : tensor<1x16x8x8xf32>
  %1 = tensor.insert_slice %0 into %all[0, 0, 0, 0] [1, 16, 4, 4] [1, 1, 2, 2] : tensor<1x16x4x4xf32> into tensor<1x16x8x8xf32>
  return %1 : tensor<1x16x8x8xf32>
}

// CHECK-LABEL: @shuffled
// CHECK: %[[PIXELS:.*]] = linalg.transpose ins(%{{.*}} : tensor<1x4x4x4x2x2xf32>) outs(%{{.*}} : tensor<1x4x2x4x2x4xf32>) permutation = [0, 1, 4, 2, 5, 3]
// CHECK: %[[LAST:.*]] = tensor.collapse_shape %[[PIXELS]] {{.*}} : tensor<1x4x2x4x2x4xf32> into tensor<1x8x8x4xf32>
// CHECK: linalg.generic {{.*}} ins(%[[LAST]], %
func.func @shuffled(%x: tensor<1x8x6x6xf32>, %w: tensor<16x8x3x3xf32>, %v: tensor<16x4x3x3xf32>) -> tensor<1x16x6x6xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x16x4x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x16x4x4xf32>) -> tensor<1x16x4x4xf32>
  %0 = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x8x6x6xf32>, tensor<16x8x3x3xf32>) outs(%f : tensor<1x16x4x4xf32>) -> tensor<1x16x4x4xf32>
  %1 = tensor.expand_shape %0 [[0], [1, 2, 3], [4], [5]] output_shape [1, 4, 2, 2, 4, 4] : tensor<1x16x4x4xf32> into tensor<1x4x2x2x4x4xf32>
  %t = tensor.empty() : tensor<1x4x4x2x4x2xf32>
  %2 = linalg.transpose ins(%1 : tensor<1x4x2x2x4x4xf32>) outs(%t : tensor<1x4x4x2x4x2xf32>) permutation = [0, 1, 4, 2, 5, 3]
  %3 = tensor.collapse_shape %2 [[0], [1], [2, 3], [4, 5]] : tensor<1x4x4x2x4x2xf32> into tensor<1x4x8x8xf32>
  %g = tensor.empty() : tensor<1x16x6x6xf32>
  %h = linalg.fill ins(%zero : f32) outs(%g : tensor<1x16x6x6xf32>) -> tensor<1x16x6x6xf32>
  %4 = linalg.conv_2d_nchw_fchw ins(%3, %v : tensor<1x4x8x8xf32>, tensor<16x4x3x3xf32>) outs(%h : tensor<1x16x6x6xf32>) -> tensor<1x16x6x6xf32>
  return %4 : tensor<1x16x6x6xf32>
}

// CHECK-LABEL: @negative_shuffled
// CHECK: linalg.transpose ins(%{{.*}} : tensor<1x4x4x4x2x2xf32>) outs(%{{.*}} : tensor<1x4x4x2x4x2xf32>)
func.func @negative_shuffled(%x: tensor<1x8x6x6xf32>, %w: tensor<16x8x3x3xf32>) -> tensor<1x4x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x16x4x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x16x4x4xf32>) -> tensor<1x16x4x4xf32>
  %0 = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x8x6x6xf32>, tensor<16x8x3x3xf32>) outs(%f : tensor<1x16x4x4xf32>) -> tensor<1x16x4x4xf32>
  %1 = tensor.expand_shape %0 [[0], [1, 2, 3], [4], [5]] output_shape [1, 4, 2, 2, 4, 4] : tensor<1x16x4x4xf32> into tensor<1x4x2x2x4x4xf32>
  %t = tensor.empty() : tensor<1x4x4x2x4x2xf32>
  %2 = linalg.transpose ins(%1 : tensor<1x4x2x2x4x4xf32>) outs(%t : tensor<1x4x4x2x4x2xf32>) permutation = [0, 1, 4, 2, 5, 3]
  %3 = tensor.collapse_shape %2 [[0], [1], [2, 3], [4, 5]] : tensor<1x4x4x2x4x2xf32> into tensor<1x4x8x8xf32>
  return %3 : tensor<1x4x8x8xf32>
}

// -----

// Rows of places that a transformer transposes and expands are images with their channels last: so they reach a convolution of each
// channel, and become rows again.
// CHECK-LABEL: @rows
// CHECK-NOT: linalg.transpose
// CHECK: tensor.expand_shape %{{.*}} {{.*}} : tensor<1x36x8xf32> into tensor<1x6x6x8xf32>
// CHECK-NOT: linalg.transpose
// CHECK: -> tensor<1x4x4x8xf32>
// CHECK-NOT: linalg.transpose
// CHECK: tensor.collapse_shape %{{.*}} : tensor<1x4x4x8xf32> into tensor<1x16x8xf32>
func.func @rows(%x: tensor<1x36x8xf32>, %w: tensor<8x3x3xf32>) -> tensor<1x16x8xf32> {
  %zero = arith.constant 0.0 : f32
  %t = tensor.empty() : tensor<1x8x36xf32>
  %0 = linalg.transpose ins(%x : tensor<1x36x8xf32>) outs(%t : tensor<1x8x36xf32>) permutation = [0, 2, 1]
  %1 = tensor.expand_shape %0 [[0], [1], [2, 3]] output_shape [1, 8, 6, 6] : tensor<1x8x36xf32> into tensor<1x8x6x6xf32>
  %e = tensor.empty() : tensor<1x8x4x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
  %2 = linalg.depthwise_conv_2d_nchw_chw ins(%1, %w : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>) outs(%f : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
  %3 = tensor.collapse_shape %2 [[0], [1], [2, 3]] : tensor<1x8x4x4xf32> into tensor<1x8x16xf32>
  %u = tensor.empty() : tensor<1x16x8xf32>
  %4 = linalg.transpose ins(%3 : tensor<1x8x16xf32>) outs(%u : tensor<1x16x8xf32>) permutation = [0, 2, 1]
  return %4 : tensor<1x16x8xf32>
}

// -----

// Groups of four channels each: sums of channels, then of groups; the image is read and written with its channels last.
// CHECK-LABEL: @group_norm
// CHECK-NOT: fulgur.layer_norm
// CHECK: %[[IMAGE:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<1x6x6x16xf32>)
// CHECK: %[[SUMS:.*]] = linalg.generic {{.*}} ins(%[[IMAGE]] : tensor<1x6x6x16xf32>) outs(%{{.*}} : tensor<1x16xf32>)
// CHECK: tensor.expand_shape %[[SUMS]] {{.*}} : tensor<1x16xf32> into tensor<1x4x4xf32>
// CHECK: -> tensor<1x4xf32>
// CHECK: ins(%[[IMAGE]], %{{.*}} : tensor<1x6x6x16xf32>, tensor<1x16xf32>) outs(%{{.*}} : tensor<1x16xf32>)
// CHECK: %[[NORMAL:.*]] = linalg.generic {{.*}} ins(%[[IMAGE]], %{{.*}}, %{{.*}} : tensor<1x6x6x16xf32>, tensor<1x16xf32>, tensor<1x16xf32>)
// CHECK: linalg.transpose ins(%[[NORMAL]] : tensor<1x6x6x16xf32>)
func.func @group_norm(%x: tensor<1x8x8x8xf32>, %w: tensor<16x8x3x3xf32>) -> tensor<1x16x6x6xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant dense<1.0> : tensor<144xf32>
  %e = tensor.empty() : tensor<1x16x6x6xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x16x6x6xf32>) -> tensor<1x16x6x6xf32>
  %0 = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x8x8x8xf32>, tensor<16x8x3x3xf32>) outs(%f : tensor<1x16x6x6xf32>) -> tensor<1x16x6x6xf32>
  %1 = tensor.collapse_shape %0 [[0], [1, 2, 3]] : tensor<1x16x6x6xf32> into tensor<1x576xf32>
  %2 = tensor.expand_shape %1 [[0], [1, 2]] output_shape [1, 4, 144] : tensor<1x576xf32> into tensor<1x4x144xf32>
  %3 = fulgur.layer_norm %2, %one {axis = 2 : i64, epsilon = 1.0e-5 : f32} : tensor<1x4x144xf32>, tensor<144xf32>
  %4 = tensor.collapse_shape %3 [[0], [1, 2]] : tensor<1x4x144xf32> into tensor<1x576xf32>
  %5 = tensor.expand_shape %4 [[0], [1, 2, 3]] output_shape [1, 16, 6, 6] : tensor<1x576xf32> into tensor<1x16x6x6xf32>
  return %5 : tensor<1x16x6x6xf32>
}

// Rows that are no whole channels stay rows.
// CHECK-LABEL: @negative_norm_of_parts
// CHECK: fulgur.layer_norm
func.func @negative_norm_of_parts(%x: tensor<1x8x8x8xf32>, %w: tensor<16x8x3x3xf32>) -> tensor<1x16x6x6xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant dense<1.0> : tensor<18xf32>
  %e = tensor.empty() : tensor<1x16x6x6xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x16x6x6xf32>) -> tensor<1x16x6x6xf32>
  %0 = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x8x8x8xf32>, tensor<16x8x3x3xf32>) outs(%f : tensor<1x16x6x6xf32>) -> tensor<1x16x6x6xf32>
  %1 = tensor.collapse_shape %0 [[0], [1, 2, 3]] : tensor<1x16x6x6xf32> into tensor<1x576xf32>
  %2 = tensor.expand_shape %1 [[0], [1, 2]] output_shape [1, 32, 18] : tensor<1x576xf32> into tensor<1x32x18xf32>
  %3 = fulgur.layer_norm %2, %one {axis = 2 : i64, epsilon = 1.0e-5 : f32} : tensor<1x32x18xf32>, tensor<18xf32>
  %4 = tensor.collapse_shape %3 [[0], [1, 2]] : tensor<1x32x18xf32> into tensor<1x576xf32>
  %5 = tensor.expand_shape %4 [[0], [1, 2, 3]] output_shape [1, 16, 6, 6] : tensor<1x576xf32> into tensor<1x16x6x6xf32>
  return %5 : tensor<1x16x6x6xf32>
}
