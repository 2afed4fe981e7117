// RUN: fulgur-opt %s --split-input-file --fulgur-quantize-products --canonicalize | FileCheck %s
// RUN: fulgur-opt %s --split-input-file --fulgur-quantize-products --verify-numerics-each -o /dev/null

// A weight with a scale for each column: its sums (6, -2 and 3) times the zero point 10 are constants, and so are the products of the scales.
// CHECK-LABEL: @columns
// CHECK-SAME: %[[X:.*]]: tensor<4x3xi8>
// CHECK-DAG: %[[SUMS:.*]] = arith.constant dense<[-60, 20, -30]> : tensor<3xi32>
// CHECK-DAG: %[[SCALES:.*]] = arith.constant dense<[5.000000e-01, 1.000000e+00, 2.000000e+00]> : tensor<3xf32>
// CHECK-DAG: %[[W:.*]] = arith.constant dense<{{.*}}> : tensor<3x3xi8>
// CHECK: %[[P:.*]] = linalg.generic {{.*}} ins(%[[X]], %[[W]] : tensor<4x3xi8>, tensor<3x3xi8>) outs(%{{.*}} : tensor<4x3xi32>)
// CHECK: arith.extui %{{.*}} : i8 to i32
// CHECK: arith.extsi %{{.*}} : i8 to i32
// CHECK: linalg.generic {{.*}} ins(%[[P]], %[[SUMS]], %[[SCALES]] : tensor<4x3xi32>, tensor<3xi32>, tensor<3xf32>)
// CHECK: %[[SUM:.*]] = arith.addi %{{.*}}, %{{.*}} : i32
// CHECK: %[[F:.*]] = arith.sitofp %[[SUM]] : i32 to f32
// CHECK: arith.mulf %[[F]], %{{.*}} : f32
#id = affine_map<(m, n) -> (m, n)>
#column = affine_map<(m, n) -> (n)>
func.func @columns(%x: tensor<4x3xi8>) -> tensor<4x3xf32> {
  %w = arith.constant dense<[[1, 2, 3], [2, -7, 0], [3, 3, 0]]> : tensor<3x3xi8>
  %t = arith.constant dense<[1.0, 2.0, 4.0]> : tensor<3xf32>
  %s = arith.constant 0.5 : f32
  %z = arith.constant 10 : i32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x3xf32>
  %f = tensor.empty() : tensor<3x3xf32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x3xi8>) outs(%e : tensor<4x3xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.subi %0, %z : i32
    %2 = arith.sitofp %1 : i32 to f32
    %3 = arith.mulf %2, %s : f32
    linalg.yield %3 : f32
  } -> tensor<4x3xf32>
  %b = linalg.generic {indexing_maps = [#id, #column, #id], iterator_types = ["parallel", "parallel"]} ins(%w, %t : tensor<3x3xi8>, tensor<3xf32>) outs(%f : tensor<3x3xf32>) {
  ^bb0(%i: i8, %j: f32, %o: f32):
    %0 = arith.sitofp %i : i8 to f32
    %1 = arith.mulf %0, %j : f32
    linalg.yield %1 : f32
  } -> tensor<3x3xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<4x3xf32>) -> tensor<4x3xf32>
  %p = linalg.matmul ins(%a, %b : tensor<4x3xf32>, tensor<3x3xf32>) outs(%init : tensor<4x3xf32>) -> tensor<4x3xf32>
  return %p : tensor<4x3xf32>
}

// -----

// Signed bytes times an unsigned weight: both change their first bit and with it their zero points (3 + 128 and 128 - 128), behind a reshape.
// CHECK-LABEL: @signs
// CHECK-SAME: %[[X:.*]]: tensor<2x2x2xi8>
// CHECK-DAG: %[[SUMS:.*]] = arith.constant dense<[-131, 262]> : tensor<2xi32>
// CHECK-DAG: %[[W:.*]] = arith.constant dense_resource<bytes> : tensor<2x2xi8>
// CHECK: %[[U:.*]] = linalg.generic {{.*}} ins(%[[X]] : tensor<2x2x2xi8>)
// CHECK: arith.xori %{{.*}}, %c-128_i8 : i8
// CHECK: %[[ROWS:.*]] = tensor.collapse_shape %[[U]] {{.*}} : tensor<2x2x2xi8> into tensor<4x2xi8>
// CHECK: linalg.generic {{.*}} ins(%[[ROWS]], %[[W]] : tensor<4x2xi8>, tensor<2x2xi8>) outs(%{{.*}} : tensor<4x2xi32>)
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %[[SUMS]] : tensor<4x2xi32>, tensor<2xi32>) outs(%{{.*}} : tensor<4x2xf32>)
// CHECK: bytes: "0x{{[0-9A-F]+}}010100FD"
#id = affine_map<(m, n) -> (m, n)>
#id3 = affine_map<(l, m, n) -> (l, m, n)>
func.func @signs(%x: tensor<2x2x2xi8>) -> tensor<4x2xf32> {
  %w = arith.constant dense<[[-127, -127], [-128, 125]]> : tensor<2x2xi8>
  %s = arith.constant 0.5 : f32
  %z = arith.constant 3 : i32
  %v = arith.constant 128 : i32
  %zero = arith.constant 0.0 : f32
  %d = tensor.empty() : tensor<2x2x2xf32>
  %e = tensor.empty() : tensor<4x2xf32>
  %f = tensor.empty() : tensor<2x2xf32>
  %a = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%x : tensor<2x2x2xi8>) outs(%d : tensor<2x2x2xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.extsi %i : i8 to i32
    %1 = arith.subi %0, %z : i32
    %2 = arith.sitofp %1 : i32 to f32
    %3 = arith.mulf %2, %s : f32
    linalg.yield %3 : f32
  } -> tensor<2x2x2xf32>
  %rows = tensor.collapse_shape %a [[0, 1], [2]] : tensor<2x2x2xf32> into tensor<4x2xf32>
  %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%w : tensor<2x2xi8>) outs(%f : tensor<2x2xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.subi %0, %v : i32
    %2 = arith.sitofp %1 : i32 to f32
    %3 = arith.mulf %2, %s : f32
    linalg.yield %3 : f32
  } -> tensor<2x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<4x2xf32>) -> tensor<4x2xf32>
  %p = linalg.matmul ins(%rows, %b : tensor<4x2xf32>, tensor<2x2xf32>) outs(%init : tensor<4x2xf32>) -> tensor<4x2xf32>
  return %p : tensor<4x2xf32>
}

// -----

// Integers less a zero point that is not known yet: it is multiplied with the weight's sums. A weight may be of 32 bits if it fits 8.
// CHECK-LABEL: @integers
// CHECK-SAME: %[[X:.*]]: tensor<4x2xi8>, %[[Z:.*]]: tensor<i8>
// CHECK-DAG: %[[SUMS:.*]] = arith.constant dense<[-100, 7]> : tensor<2xi32>
// CHECK: %[[P:.*]] = linalg.generic {{.*}} ins(%[[X]], %{{.*}} : tensor<4x2xi8>, tensor<2x2xi8>) outs(%{{.*}} : tensor<4x2xi32>)
// CHECK: %[[Y:.*]] = linalg.generic {{.*}} ins(%[[P]], %[[Z]], %[[SUMS]] : tensor<4x2xi32>, tensor<i8>, tensor<2xi32>) outs(%{{.*}} : tensor<4x2xi32>)
// CHECK: %[[U:.*]] = arith.extui %{{.*}} : i8 to i32
// CHECK: %[[T:.*]] = arith.muli %[[U]], %{{.*}} : i32
// CHECK: arith.subi %{{.*}}, %[[T]] : i32
// CHECK: return %[[Y]]
#id = affine_map<(m, n) -> (m, n)>
#none = affine_map<(m, n) -> ()>
func.func @integers(%x: tensor<4x2xi8>, %z: tensor<i8>) -> tensor<4x2xi32> {
  %w = arith.constant dense<[[-128, 3], [28, 4]]> : tensor<2x2xi32>
  %zero = arith.constant 0 : i32
  %e = tensor.empty() : tensor<4x2xi32>
  %a = linalg.generic {indexing_maps = [#id, #none, #id], iterator_types = ["parallel", "parallel"]} ins(%x, %z : tensor<4x2xi8>, tensor<i8>) outs(%e : tensor<4x2xi32>) {
  ^bb0(%i: i8, %j: i8, %o: i32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.extui %j : i8 to i32
    %2 = arith.subi %0, %1 : i32
    linalg.yield %2 : i32
  } -> tensor<4x2xi32>
  %init = linalg.fill ins(%zero : i32) outs(%e : tensor<4x2xi32>) -> tensor<4x2xi32>
  %p = linalg.matmul ins(%a, %w : tensor<4x2xi32>, tensor<2x2xi32>) outs(%init : tensor<4x2xi32>) -> tensor<4x2xi32>
  return %p : tensor<4x2xi32>
}

// -----

// Two matrices that are no weights, one of them behind a transpose that only the product sees: both need sums of the other.
// CHECK-LABEL: @both
// CHECK-SAME: %[[X:.*]]: tensor<4x16xi8>, %[[Y:.*]]: tensor<1x16x3xi8>
// CHECK: %[[S:.*]] = linalg.generic {{.*}} ins(%[[Y]] : tensor<1x16x3xi8>)
// CHECK: arith.xori
// CHECK: %[[R:.*]] = tensor.collapse_shape %[[S]] {{.*}} : tensor<1x16x3xi8> into tensor<16x3xi8>
// CHECK: %[[P:.*]] = linalg.generic {{.*}} ins(%[[X]], %[[R]] : tensor<4x16xi8>, tensor<16x3xi8>) outs(%{{.*}} : tensor<4x3xi32>)
// CHECK: %[[SY:.*]] = linalg.generic {{.*}} ins(%[[R]] : tensor<16x3xi8>) outs(%{{.*}} : tensor<3xi32>)
// CHECK: %[[SX:.*]] = linalg.generic {{.*}} ins(%[[X]] : tensor<4x16xi8>) outs(%{{.*}} : tensor<4xi32>)
// CHECK: linalg.generic {{.*}} ins(%[[P]], %[[SY]], %[[SX]] : tensor<4x3xi32>, tensor<3xi32>, tensor<4xi32>)
#id = affine_map<(m, n) -> (m, n)>
#id3 = affine_map<(l, m, n) -> (l, m, n)>
func.func @both(%x: tensor<4x16xi8>, %y: tensor<1x16x3xi8>) -> tensor<4x3xf32> {
  %s = arith.constant 0.5 : f32
  %z = arith.constant 3 : i32
  %v = arith.constant 5 : i32
  %zero = arith.constant 0.0 : f32
  %d = tensor.empty() : tensor<4x16xf32>
  %e = tensor.empty() : tensor<1x16x3xf32>
  %r = tensor.empty() : tensor<1x3x16xf32>
  %g = tensor.empty() : tensor<4x3xf32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x16xi8>) outs(%d : tensor<4x16xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.subi %0, %z : i32
    %2 = arith.sitofp %1 : i32 to f32
    %3 = arith.mulf %2, %s : f32
    linalg.yield %3 : f32
  } -> tensor<4x16xf32>
  %b = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%y : tensor<1x16x3xi8>) outs(%e : tensor<1x16x3xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.subi %0, %v : i32
    %2 = arith.sitofp %1 : i32 to f32
    %3 = arith.mulf %2, %s : f32
    linalg.yield %3 : f32
  } -> tensor<1x16x3xf32>
  %t = linalg.transpose ins(%b : tensor<1x16x3xf32>) outs(%r : tensor<1x3x16xf32>) permutation = [0, 2, 1]
  %c = tensor.collapse_shape %t [[0, 1], [2]] : tensor<1x3x16xf32> into tensor<3x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%g : tensor<4x3xf32>) -> tensor<4x3xf32>
  %p = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %c : tensor<4x16xf32>, tensor<3x16xf32>) outs(%init : tensor<4x3xf32>) {
  ^bb0(%l: f32, %q: f32, %o: f32):
    %0 = arith.mulf %l, %q : f32
    %1 = arith.addf %o, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<4x3xf32>
  return %p : tensor<4x3xf32>
}

// -----

// What a convolution's input is padded with is its zero point.
// CHECK-LABEL: @convolution
// CHECK-SAME: %[[X:.*]]: tensor<1x4x4xi8>
// CHECK: %[[PAD:.*]] = tensor.pad %[[X]] low[0, 1, 0] high[0, 1, 0]
// CHECK: tensor.yield %c7_i8 : i8
// CHECK: linalg.generic {{.*}} ins(%[[PAD]], %{{.*}} : tensor<1x6x4xi8>, tensor<3x3x4xi8>) outs(%{{.*}} : tensor<1x4x3xi32>)
// CHECK: arith.sitofp
#id3 = affine_map<(l, m, n) -> (l, m, n)>
func.func @convolution(%x: tensor<1x4x4xi8>) -> tensor<1x4x3xf32> {
  %w = arith.constant dense<2> : tensor<3x3x4xi8>
  %s = arith.constant 0.5 : f32
  %z = arith.constant 7 : i32
  %zero = arith.constant 0.0 : f32
  %d = tensor.empty() : tensor<1x4x4xf32>
  %e = tensor.empty() : tensor<3x3x4xf32>
  %g = tensor.empty() : tensor<1x4x3xf32>
  %a = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%x : tensor<1x4x4xi8>) outs(%d : tensor<1x4x4xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.subi %0, %z : i32
    %2 = arith.sitofp %1 : i32 to f32
    %3 = arith.mulf %2, %s : f32
    linalg.yield %3 : f32
  } -> tensor<1x4x4xf32>
  %pad = tensor.pad %a low[0, 1, 0] high[0, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index):
    tensor.yield %zero : f32
  } : tensor<1x4x4xf32> to tensor<1x6x4xf32>
  %b = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%w : tensor<3x3x4xi8>) outs(%e : tensor<3x3x4xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.sitofp %i : i8 to f32
    %1 = arith.mulf %0, %s : f32
    linalg.yield %1 : f32
  } -> tensor<3x3x4xf32>
  %init = linalg.fill ins(%zero : f32) outs(%g : tensor<1x4x3xf32>) -> tensor<1x4x3xf32>
  %p = linalg.generic {indexing_maps = [affine_map<(n, o, f, w, c) -> (n, o + w, c)>, affine_map<(n, o, f, w, c) -> (f, w, c)>, affine_map<(n, o, f, w, c) -> (n, o, f)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]} ins(%pad, %b : tensor<1x6x4xf32>, tensor<3x3x4xf32>) outs(%init : tensor<1x4x3xf32>) {
  ^bb0(%l: f32, %q: f32, %o: f32):
    %0 = arith.mulf %l, %q : f32
    %1 = arith.addf %o, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<1x4x3xf32>
  return %p : tensor<1x4x3xf32>
}

// -----

// The planes of an image become pixels of four bytes, the last of them the zero point; weights get zeros.
// CHECK-LABEL: @image
// CHECK-SAME: %[[X:.*]]: tensor<1x3x5x5xi8>
// CHECK-DAG: %[[Z:.*]] = arith.constant 7 : i8
// CHECK-DAG: %[[W:.*]] = arith.constant dense_resource<filled> : tensor<2x4x3x3xi8>
// CHECK: %[[A:.*]] = tensor.pad %[[X]] low[0, 0, 0, 0] high[0, 1, 0, 0]
// CHECK: tensor.yield %[[Z]] : i8
// CHECK: %[[T:.*]] = linalg.transpose ins(%[[A]] : tensor<1x4x5x5xi8>) outs(%{{.*}} : tensor<1x5x5x4xi8>) permutation = [0, 2, 3, 1]
// CHECK: %[[P:.*]] = tensor.pad %[[T]] low[0, 1, 1, 0] high[0, 1, 1, 0]
// CHECK: tensor.yield %[[Z]] : i8
// CHECK: linalg.generic {{.*}} ins(%[[P]], %[[W]] : tensor<1x7x7x4xi8>, tensor<2x4x3x3xi8>) outs(%{{.*}} : tensor<1x5x5x2xi32>)
#id = affine_map<(n, c, h, w) -> (n, c, h, w)>
func.func @image(%x: tensor<1x3x5x5xi8>) -> tensor<1x5x5x2xf32> {
  %w = arith.constant dense<3> : tensor<2x3x3x3xi8>
  %s = arith.constant 0.5 : f32
  %z = arith.constant 7 : i32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x3x5x5xf32>
  %f = tensor.empty() : tensor<2x3x3x3xf32>
  %g = tensor.empty() : tensor<1x5x5x2xf32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%x : tensor<1x3x5x5xi8>) outs(%e : tensor<1x3x5x5xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.subi %0, %z : i32
    %2 = arith.sitofp %1 : i32 to f32
    %3 = arith.mulf %2, %s : f32
    linalg.yield %3 : f32
  } -> tensor<1x3x5x5xf32>
  %p = tensor.pad %a low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x3x5x5xf32> to tensor<1x3x7x7xf32>
  %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%w : tensor<2x3x3x3xi8>) outs(%f : tensor<2x3x3x3xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.sitofp %i : i8 to f32
    %1 = arith.mulf %0, %s : f32
    linalg.yield %1 : f32
  } -> tensor<2x3x3x3xf32>
  %init = linalg.fill ins(%zero : f32) outs(%g : tensor<1x5x5x2xf32>) -> tensor<1x5x5x2xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, c, i, j) -> (n, c, h + i, w + j)>, affine_map<(n, h, w, f, c, i, j) -> (f, c, i, j)>, affine_map<(n, h, w, f, c, i, j) -> (n, h, w, f)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]} ins(%p, %b : tensor<1x3x7x7xf32>, tensor<2x3x3x3xf32>) outs(%init : tensor<1x5x5x2xf32>) {
  ^bb0(%i: f32, %j: f32, %o: f32):
    %0 = arith.mulf %i, %j : f32
    %1 = arith.addf %o, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<1x5x5x2xf32>
  return %y : tensor<1x5x5x2xf32>
}

// -----

// Sums of integers, of planes that are no whole steps: weights get zeros between those that they have.
// CHECK-LABEL: @planes
// CHECK: tensor.pad %{{.*}} low[0, 0, 0, 0] high[0, 3, 0, 0]
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<1x5x5x8xi8>, tensor<2x8x2x2xi8>) outs(%{{.*}} : tensor<1x4x4x2xi32>)
#id = affine_map<(n, c, h, w) -> (n, c, h, w)>
func.func @planes(%x: tensor<1x5x5x5xi8>) -> tensor<1x4x4x2xi32> {
  %w = arith.constant dense<[[[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 10], [11, 12]], [[-1, -2], [-3, -4]], [[-5, -6], [-7, -8]]],
                             [[[2, 2], [3, 4]], [[5, 6], [7, 3]], [[9, 10], [11, 2]], [[-1, -2], [-3, 6]], [[-5, -6], [-7, 9]]]]> : tensor<2x5x2x2xi32>
  %z = arith.constant 7 : i32
  %zero = arith.constant 0 : i32
  %e = tensor.empty() : tensor<1x5x5x5xi32>
  %g = tensor.empty() : tensor<1x4x4x2xi32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%x : tensor<1x5x5x5xi8>) outs(%e : tensor<1x5x5x5xi32>) {
  ^bb0(%i: i8, %o: i32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.subi %0, %z : i32
    linalg.yield %1 : i32
  } -> tensor<1x5x5x5xi32>
  %init = linalg.fill ins(%zero : i32) outs(%g : tensor<1x4x4x2xi32>) -> tensor<1x4x4x2xi32>
  %y = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, c, i, j) -> (n, c, h + i, w + j)>, affine_map<(n, h, w, f, c, i, j) -> (f, c, i, j)>, affine_map<(n, h, w, f, c, i, j) -> (n, h, w, f)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]} ins(%a, %w : tensor<1x5x5x5xi32>, tensor<2x5x2x2xi32>) outs(%init : tensor<1x4x4x2xi32>) {
  ^bb0(%i: i32, %j: i32, %o: i32):
    %0 = arith.muli %i, %j : i32
    %1 = arith.addi %o, %0 : i32
    linalg.yield %1 : i32
  } -> tensor<1x4x4x2xi32>
  return %y : tensor<1x4x4x2xi32>
}

// -----

// Channels by themselves, which lie last.
// CHECK-LABEL: @depthwise
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<1x5x5x4xi8>, tensor<4x2x2xi8>) outs(%{{.*}} : tensor<1x4x4x4xi32>)
#id = affine_map<(n, h, w, c) -> (n, h, w, c)>
#id3 = affine_map<(c, i, j) -> (c, i, j)>
func.func @depthwise(%x: tensor<1x5x5x4xi8>) -> tensor<1x4x4x4xf32> {
  %w = arith.constant dense<[[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 10], [11, 12]], [[-1, -2], [-3, -4]]]> : tensor<4x2x2xi8>
  %s = arith.constant 0.5 : f32
  %z = arith.constant 7 : i32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x5x5x4xf32>
  %f = tensor.empty() : tensor<4x2x2xf32>
  %g = tensor.empty() : tensor<1x4x4x4xf32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%x : tensor<1x5x5x4xi8>) outs(%e : tensor<1x5x5x4xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.extui %i : i8 to i32
    %1 = arith.subi %0, %z : i32
    %2 = arith.sitofp %1 : i32 to f32
    %3 = arith.mulf %2, %s : f32
    linalg.yield %3 : f32
  } -> tensor<1x5x5x4xf32>
  %b = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%w : tensor<4x2x2xi8>) outs(%f : tensor<4x2x2xf32>) {
  ^bb0(%i: i8, %o: f32):
    %0 = arith.sitofp %i : i8 to f32
    %1 = arith.mulf %0, %s : f32
    linalg.yield %1 : f32
  } -> tensor<4x2x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%g : tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(n, h, w, c, i, j) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, c, i, j) -> (c, i, j)>, affine_map<(n, h, w, c, i, j) -> (n, h, w, c)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]} ins(%a, %b : tensor<1x5x5x4xf32>, tensor<4x2x2xf32>) outs(%init : tensor<1x4x4x4xf32>) {
  ^bb0(%i: f32, %j: f32, %o: f32):
    %0 = arith.mulf %i, %j : f32
    %1 = arith.addf %o, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<1x4x4x4xf32>
  return %y : tensor<1x4x4x4xf32>
}
