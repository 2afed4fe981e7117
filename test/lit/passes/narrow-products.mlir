// RUN: fulgur-opt %s --split-input-file --fulgur-narrow-products | FileCheck %s
// RUN: fulgur-opt %s --split-input-file --fulgur-narrow-products=pairs | FileCheck %s --check-prefix=PAIRS
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

// -----

// Attention: queries, keys and values are rounded where they are computed. Its result is rounded by itself, as the product wants it.
#query = affine_map<(h, i, d, j, n) -> (i, h, d)>
#key = affine_map<(h, i, d, j, n) -> (j, h, d)>
#value = affine_map<(h, i, d, j, n) -> (j, h, n)>
#result = affine_map<(h, i, d, j, n) -> (i, h, n)>
// CHECK-LABEL: @attention
// CHECK-COUNT-2: linalg.generic {{.*}} ins(%{{.*}} : tensor<20x64xf32>) outs(%{{.*}} : tensor<20x64xbf16>)
// CHECK: %[[RESULT:.*]] = fulgur.attention %[[QUERY:.*]], %[[KEY:.*]], %[[KEY]] maps
// CHECK: ^bb0(%{{.*}}: f32, %{{.*}}: index, %{{.*}}: index)
// CHECK: : tensor<20x2x32xbf16>, tensor<20x2x32xbf16>, tensor<20x2x32xbf16> -> tensor<20x2x32xbf16>
// CHECK-NOT: linalg.generic {{.*}} outs(%{{.*}} : tensor<20x2x32xbf16>)
// CHECK: tensor.collapse_shape %[[RESULT]]
func.func @attention(%x: tensor<20x64xf32>) -> tensor<20x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.5> : tensor<64x64xf32>
  %o = arith.constant dense<0.5> : tensor<64x16xf32>
  %empty = tensor.empty() : tensor<20x64xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<20x64xf32>) -> tensor<20x64xf32>
  %q = linalg.matmul ins(%x, %w : tensor<20x64xf32>, tensor<64x64xf32>) outs(%init : tensor<20x64xf32>) -> tensor<20x64xf32>
  %k = linalg.matmul ins(%q, %w : tensor<20x64xf32>, tensor<64x64xf32>) outs(%init : tensor<20x64xf32>) -> tensor<20x64xf32>
  %query = tensor.expand_shape %q [[0], [1, 2]] output_shape [20, 2, 32] : tensor<20x64xf32> into tensor<20x2x32xf32>
  %kv = tensor.expand_shape %k [[0], [1, 2]] output_shape [20, 2, 32] : tensor<20x64xf32> into tensor<20x2x32xf32>
  %a = fulgur.attention %query, %kv, %kv maps [#query, #key, #value, #result] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<20x2x32xf32>, tensor<20x2x32xf32>, tensor<20x2x32xf32> -> tensor<20x2x32xf32>
  %rows = tensor.collapse_shape %a [[0], [1, 2]] : tensor<20x2x32xf32> into tensor<20x64xf32>
  %none = tensor.empty() : tensor<20x16xf32>
  %out = linalg.fill ins(%zero : f32) outs(%none : tensor<20x16xf32>) -> tensor<20x16xf32>
  %r = linalg.matmul ins(%rows, %o : tensor<20x64xf32>, tensor<64x16xf32>) outs(%out : tensor<20x16xf32>) -> tensor<20x16xf32>
  return %r : tensor<20x16xf32>
}

// -----

// Slices of one computed value are slices of it rounded; those of an argument, such as a cache, stay.
#query = affine_map<(i, d, j, n) -> (i, d)>
#key = affine_map<(i, d, j, n) -> (j, d)>
#value = affine_map<(i, d, j, n) -> (j, n)>
#result = affine_map<(i, d, j, n) -> (i, n)>
// CHECK-LABEL: @attention_of_slices
// CHECK: %[[ALL:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<20x64xf32>) outs(%{{.*}} : tensor<20x64xbf16>)
// CHECK-DAG: %[[QUERY:.*]] = tensor.extract_slice %[[ALL]][0, 0] [20, 32] [1, 1] : tensor<20x64xbf16> to tensor<20x32xbf16>
// CHECK-DAG: %[[KEY:.*]] = tensor.extract_slice %[[ALL]][0, 32] [20, 32] [1, 1] : tensor<20x64xbf16> to tensor<20x32xbf16>
// CHECK: fulgur.attention %[[QUERY]], %[[KEY]], %[[KEY]]
// CHECK: : tensor<20x32xf32>, tensor<20x32xf32>, tensor<20x32xf32> -> tensor<20x32xf32>
func.func @attention_of_slices(%x: tensor<20x64xf32>) -> (tensor<20x32xf32>, tensor<20x32xf32>) {
  %empty = tensor.empty() : tensor<20x64xf32>
  %all = linalg.abs ins(%x : tensor<20x64xf32>) outs(%empty : tensor<20x64xf32>) -> tensor<20x64xf32>
  %q = tensor.extract_slice %all[0, 0] [20, 32] [1, 1] : tensor<20x64xf32> to tensor<20x32xf32>
  %k = tensor.extract_slice %all[0, 32] [20, 32] [1, 1] : tensor<20x64xf32> to tensor<20x32xf32>
  %a = fulgur.attention %q, %k, %k maps [#query, #key, #value, #result] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<20x32xf32>, tensor<20x32xf32>, tensor<20x32xf32> -> tensor<20x32xf32>
  %cached = tensor.extract_slice %x[0, 32] [20, 32] [1, 1] : tensor<20x64xf32> to tensor<20x32xf32>
  %b = fulgur.attention %q, %cached, %cached maps [#query, #key, #value, #result] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<20x32xf32>, tensor<20x32xf32>, tensor<20x32xf32> -> tensor<20x32xf32>
  return %a, %b : tensor<20x32xf32>, tensor<20x32xf32>
}

// -----

// Rows that end with half a vector of pairs.
#query = affine_map<(i, d, j, n) -> (i, d)>
#key = affine_map<(i, d, j, n) -> (j, d)>
#value = affine_map<(i, d, j, n) -> (j, n)>
#result = affine_map<(i, d, j, n) -> (i, n)>
// CHECK-LABEL: @attention_of_halves
// CHECK: fulgur.attention
// CHECK: tensor<20x48xbf16>, tensor<20x48xbf16>, tensor<20x48xbf16> -> tensor<20x48xf32>
func.func @attention_of_halves(%x: tensor<20x48xf32>) -> tensor<20x48xf32> {
  %0 = tensor.empty() : tensor<20x48xf32>
  %c = linalg.abs ins(%x : tensor<20x48xf32>) outs(%0 : tensor<20x48xf32>) -> tensor<20x48xf32>
  %a = fulgur.attention %c, %c, %c maps [#query, #key, #value, #result] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<20x48xf32>, tensor<20x48xf32>, tensor<20x48xf32> -> tensor<20x48xf32>
  return %a : tensor<20x48xf32>
}

// -----

// Few queries, keys from elsewhere, rows that are not of whole vectors or halves; a result that somebody needs as it is.
#query = affine_map<(i, d, j, n) -> (i, d)>
#key = affine_map<(i, d, j, n) -> (j, d)>
#value = affine_map<(i, d, j, n) -> (j, n)>
#result = affine_map<(i, d, j, n) -> (i, n)>
// CHECK-LABEL: @attention_stays
// CHECK-NOT: bf16
func.func @attention_stays(%x: tensor<20x32xf32>, %y: tensor<4x32xf32>, %z: tensor<20x24xf32>)
    -> (tensor<4x32xf32>, tensor<20x32xf32>, tensor<20x24xf32>) {
  %0 = tensor.empty() : tensor<20x32xf32>
  %1 = tensor.empty() : tensor<20x24xf32>
  %c = linalg.abs ins(%x : tensor<20x32xf32>) outs(%0 : tensor<20x32xf32>) -> tensor<20x32xf32>
  %d = linalg.abs ins(%z : tensor<20x24xf32>) outs(%1 : tensor<20x24xf32>) -> tensor<20x24xf32>
  %few = fulgur.attention %y, %c, %c maps [#query, #key, #value, #result] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<4x32xf32>, tensor<20x32xf32>, tensor<20x32xf32> -> tensor<4x32xf32>
  %cache = fulgur.attention %c, %x, %c maps [#query, #key, #value, #result] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<20x32xf32>, tensor<20x32xf32>, tensor<20x32xf32> -> tensor<20x32xf32>
  %odd = fulgur.attention %d, %d, %d maps [#query, #key, #value, #result] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<20x24xf32>, tensor<20x24xf32>, tensor<20x24xf32> -> tensor<20x24xf32>
  return %few, %cache, %odd : tensor<4x32xf32>, tensor<20x32xf32>, tensor<20x24xf32>
}

// -----

// A convolution over pairs of channels, rounded before it is padded.
// CHECK-LABEL: @convolution
// CHECK: %[[X:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<1x10x10x256xbf16>)
// CHECK: %[[PADDED:.*]] = tensor.pad %[[X]] low[0, 1, 1, 0] high[0, 1, 1, 0]
// CHECK: tensor<1x10x10x256xbf16> to tensor<1x12x12x256xbf16>
// CHECK: linalg.generic {{.*}} ins(%[[PADDED]], %{{.*}} : tensor<1x12x12x256xbf16>, tensor<256x256x3x3xbf16>) outs(%{{.*}} : tensor<1x10x10x256xf32>)
// Few 3x3 windows are for Winograd's transformation of f32, unless pairs are one instruction; an odd number of channels has no pairs.
// CHECK-LABEL: @convolutions_stay
// CHECK-NOT: bf16
// PAIRS-LABEL: @convolutions_stay
// PAIRS: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<1x12x12x64xbf16>, tensor<64x64x3x3xbf16>)
// PAIRS: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<1x12x12x257xf32>, tensor<256x257x3x3xf32>)
#input = affine_map<(n, y, x, f, v, u, c) -> (n, y + v, x + u, c)>
#weights = affine_map<(n, y, x, f, v, u, c) -> (f, c, v, u)>
#image = affine_map<(n, y, x, f, v, u, c) -> (n, y, x, f)>
#convolution = {indexing_maps = [#input, #weights, #image],
    iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
func.func @convolution(%x: tensor<1x10x10x256xf32>) -> tensor<1x10x10x256xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.5> : tensor<256x256x3x3xf32>
  %p = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%a: index, %b: index, %c: index, %d: index):
    tensor.yield %zero : f32
  } : tensor<1x10x10x256xf32> to tensor<1x12x12x256xf32>
  %empty = tensor.empty() : tensor<1x10x10x256xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x10x10x256xf32>) -> tensor<1x10x10x256xf32>
  %r = linalg.generic #convolution ins(%p, %w : tensor<1x12x12x256xf32>, tensor<256x256x3x3xf32>) outs(%init : tensor<1x10x10x256xf32>) {
  ^bb0(%l: f32, %k: f32, %s: f32):
    %m = arith.mulf %l, %k : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<1x10x10x256xf32>
  return %r : tensor<1x10x10x256xf32>
}
func.func @convolutions_stay(%x: tensor<1x12x12x64xf32>, %y: tensor<1x12x12x257xf32>) -> (tensor<1x10x10x64xf32>, tensor<1x10x10x256xf32>) {
  %w = arith.constant dense<0.5> : tensor<64x64x3x3xf32>
  %v = arith.constant dense<0.5> : tensor<256x257x3x3xf32>
  %0 = tensor.empty() : tensor<1x10x10x64xf32>
  %1 = tensor.empty() : tensor<1x10x10x256xf32>
  %few = linalg.generic #convolution ins(%x, %w : tensor<1x12x12x64xf32>, tensor<64x64x3x3xf32>) outs(%0 : tensor<1x10x10x64xf32>) {
  ^bb0(%l: f32, %k: f32, %s: f32):
    %m = arith.mulf %l, %k : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<1x10x10x64xf32>
  %odd = linalg.generic #convolution ins(%y, %v : tensor<1x12x12x257xf32>, tensor<256x257x3x3xf32>) outs(%1 : tensor<1x10x10x256xf32>) {
  ^bb0(%l: f32, %k: f32, %s: f32):
    %m = arith.mulf %l, %k : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<1x10x10x256xf32>
  return %few, %odd : tensor<1x10x10x64xf32>, tensor<1x10x10x256xf32>
}

// -----

// Weights of experts are picked from the narrow table.
// CHECK-LABEL: @experts
// CHECK: %[[TABLE:.*]] = arith.constant dense_resource<narrow{{.*}}> : tensor<8x32x16xbf16>
// CHECK: %[[PICKED:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<2xi64>) outs(%{{.*}} : tensor<2x32x16xbf16>)
// CHECK: tensor.extract %[[TABLE]][{{.*}}] : tensor<8x32x16xbf16>
// CHECK: linalg.yield %{{.*}} : bf16
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %[[PICKED]] : tensor<2x4x32xbf16>, tensor<2x32x16xbf16>) outs(%{{.*}} : tensor<2x4x16xf32>)
func.func @experts(%x: tensor<2x4x32xf32>, %expert: tensor<2xi64>) -> tensor<2x4x16xf32> {
  %w = arith.constant dense<0.5> : tensor<8x32x16xf32>
  %zero = arith.constant 0.0 : f32
  %0 = tensor.empty() : tensor<2x32x16xf32>
  %1 = tensor.empty() : tensor<2x4x16xf32>
  %picked = linalg.generic {indexing_maps = [affine_map<(e, k, n) -> (e)>, affine_map<(e, k, n) -> (e, k, n)>],
      iterator_types = ["parallel", "parallel", "parallel"]} ins(%expert : tensor<2xi64>) outs(%0 : tensor<2x32x16xf32>) {
  ^bb0(%e: i64, %o: f32):
    %at = arith.index_cast %e : i64 to index
    %k = linalg.index 1 : index
    %n = linalg.index 2 : index
    %v = tensor.extract %w[%at, %k, %n] : tensor<8x32x16xf32>
    linalg.yield %v : f32
  } -> tensor<2x32x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%1 : tensor<2x4x16xf32>) -> tensor<2x4x16xf32>
  %r = linalg.batch_matmul ins(%x, %picked : tensor<2x4x32xf32>, tensor<2x32x16xf32>) outs(%init : tensor<2x4x16xf32>) -> tensor<2x4x16xf32>
  return %r : tensor<2x4x16xf32>
}

// -----

// An image that a convolution wants rounded is narrow for all: for the loop that adds it to another one, and for windows of each channel.
// CHECK-LABEL: @images
// CHECK: %[[A:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<1x6x6x16xbf16>)
// CHECK: linalg.generic {{.*}} ins(%[[A]], %{{.*}} : tensor<1x6x6x16xbf16>, tensor<16x16xbf16>)
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} ins(%{{.*}}, %[[A]] : tensor<1x6x6x16xf32>, tensor<1x6x6x16xbf16>) outs(%{{.*}} : tensor<1x6x6x16xf32>)
// CHECK-NEXT: ^bb0(%{{.*}}: f32, %[[NARROW:.*]]: bf16, %{{.*}}: f32)
// CHECK-NEXT: arith.extf %[[NARROW]] : bf16 to f32
// CHECK: %[[B:.*]] = linalg.generic {{.*}} ins(%[[SUM]] : tensor<1x6x6x16xf32>) outs(%{{.*}} : tensor<1x6x6x16xbf16>)
// CHECK: linalg.generic {{.*}} ins(%[[B]], %{{.*}} : tensor<1x6x6x16xbf16>, tensor<16x3x3xf32>) outs(%{{.*}} : tensor<1x4x4x16xf32>)
// CHECK-NEXT: ^bb0(%[[L:.*]]: bf16, %[[K:.*]]: f32, %{{.*}}: f32)
// CHECK-NEXT: %[[WIDE:.*]] = arith.extf %[[L]] : bf16 to f32
// CHECK-NEXT: arith.mulf %[[WIDE]], %[[K]] : f32
#id = affine_map<(n, y, x, c) -> (n, y, x, c)>
func.func @images(%x: tensor<1x6x6x16xf32>) -> tensor<1x4x4x16xf32> {
  %w = arith.constant dense<0.5> : tensor<16x16xf32>
  %d = arith.constant dense<0.5> : tensor<16x3x3xf32>
  %0 = tensor.empty() : tensor<1x6x6x16xf32>
  %1 = tensor.empty() : tensor<1x4x4x16xf32>
  %a = linalg.abs ins(%x : tensor<1x6x6x16xf32>) outs(%0 : tensor<1x6x6x16xf32>) -> tensor<1x6x6x16xf32>
  %p = linalg.generic {indexing_maps = [affine_map<(n, y, x, f, c) -> (n, y, x, c)>, affine_map<(n, y, x, f, c) -> (f, c)>, affine_map<(n, y, x, f, c) -> (n, y, x, f)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%a, %w : tensor<1x6x6x16xf32>, tensor<16x16xf32>) outs(%0 : tensor<1x6x6x16xf32>) {
  ^bb0(%l: f32, %k: f32, %s: f32):
    %m = arith.mulf %l, %k : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<1x6x6x16xf32>
  %sum = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%p, %a : tensor<1x6x6x16xf32>, tensor<1x6x6x16xf32>) outs(%0 : tensor<1x6x6x16xf32>) {
  ^bb0(%l: f32, %k: f32, %o: f32):
    %t = arith.addf %l, %k : f32
    linalg.yield %t : f32
  } -> tensor<1x6x6x16xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(n, y, x, c, v, u) -> (n, y + v, x + u, c)>, affine_map<(n, y, x, c, v, u) -> (c, v, u)>, affine_map<(n, y, x, c, v, u) -> (n, y, x, c)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]} ins(%sum, %d : tensor<1x6x6x16xf32>, tensor<16x3x3xf32>) outs(%1 : tensor<1x4x4x16xf32>) {
  ^bb0(%l: f32, %k: f32, %s: f32):
    %m = arith.mulf %l, %k : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<1x4x4x16xf32>
  return %r : tensor<1x4x4x16xf32>
}

// -----

// Channels that do not lie together are put last, before the padding.
#input = affine_map<(n, x, f, u, c) -> (n, c, x * 2 + u)>
#weights = affine_map<(n, x, f, u, c) -> (f, c, u)>
#image = affine_map<(n, x, f, u, c) -> (n, x, f)>
// CHECK-DAG: #[[INPUT:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1 * 2 + d3, d4)>
// CHECK-LABEL: @channels_first
// CHECK: %[[T:.*]] = linalg.transpose ins(%{{.*}} : tensor<1x80x30xf32>) outs(%{{.*}} : tensor<1x30x80xf32>) permutation = [0, 2, 1]
// CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%[[T]] : tensor<1x30x80xf32>) outs(%{{.*}} : tensor<1x30x80xbf16>)
// CHECK: %[[P:.*]] = tensor.pad %[[R]] low[0, 1, 0] high[0, 2, 0]
// CHECK: linalg.generic {indexing_maps = [#[[INPUT]], {{.*}} ins(%[[P]], %{{.*}} : tensor<1x33x80xbf16>, tensor<16x80x3xbf16>) outs(%{{.*}} : tensor<1x16x16xf32>)
func.func @channels_first(%x: tensor<1x80x30xf32>) -> tensor<1x16x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.5> : tensor<16x80x3xf32>
  %padded = tensor.pad %x low[0, 0, 1] high[0, 0, 2] {
  ^bb0(%a: index, %b: index, %c: index):
    tensor.yield %zero : f32
  } : tensor<1x80x30xf32> to tensor<1x80x33xf32>
  %empty = tensor.empty() : tensor<1x16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x16x16xf32>) -> tensor<1x16x16xf32>
  %r = linalg.generic {indexing_maps = [#input, #weights, #image],
      iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%padded, %w : tensor<1x80x33xf32>, tensor<16x80x3xf32>) outs(%init : tensor<1x16x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %o, %p : f32
    linalg.yield %s : f32
  } -> tensor<1x16x16xf32>
  return %r : tensor<1x16x16xf32>
}

// -----

// Three planes become pixels of four numbers where pairs are multiplied by one instruction.
#input = affine_map<(n, x, f, u, c) -> (n, c, x * 2 + u)>
#weights = affine_map<(n, x, f, u, c) -> (f, c, u)>
#image = affine_map<(n, x, f, u, c) -> (n, x, f)>
// CHECK-LABEL: @planes
// CHECK-NOT: bf16
// PAIRS-LABEL: @planes
// PAIRS: %[[R:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<1x3x30xf32>) outs(%{{.*}} : tensor<1x3x30xbf16>)
// PAIRS: %[[F:.*]] = tensor.pad %[[R]] low[0, 0, 0] high[0, 1, 0]
// PAIRS: %[[T:.*]] = linalg.transpose ins(%[[F]] : tensor<1x4x30xbf16>) outs(%{{.*}} : tensor<1x30x4xbf16>) permutation = [0, 2, 1]
// PAIRS: %[[P:.*]] = tensor.pad %[[T]] low[0, 1, 0] high[0, 2, 0]
// PAIRS: %[[W:.*]] = arith.constant dense_resource<{{.*}}> : tensor<16x4x3xbf16>
// PAIRS: linalg.generic {{.*}} ins(%[[P]], %[[W]] : tensor<1x33x4xbf16>, tensor<16x4x3xbf16>) outs(%{{.*}} : tensor<1x16x16xf32>)
func.func @planes(%x: tensor<1x3x30xf32>) -> tensor<1x16x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.5> : tensor<16x3x3xf32>
  %padded = tensor.pad %x low[0, 0, 1] high[0, 0, 2] {
  ^bb0(%a: index, %b: index, %c: index):
    tensor.yield %zero : f32
  } : tensor<1x3x30xf32> to tensor<1x3x33xf32>
  %empty = tensor.empty() : tensor<1x16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x16x16xf32>) -> tensor<1x16x16xf32>
  %r = linalg.generic {indexing_maps = [#input, #weights, #image],
      iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%padded, %w : tensor<1x3x33xf32>, tensor<16x3x3xf32>) outs(%init : tensor<1x16x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %o, %p : f32
    linalg.yield %s : f32
  } -> tensor<1x16x16xf32>
  return %r : tensor<1x16x16xf32>
}

// -----

// Maxima that are rounded for all who use them are those of a rounded image.
#id = affine_map<(n, y, x, c) -> (n, y, x, c)>
#places = affine_map<(n, y, x, c, v, u) -> (n, y * 2 + v, x * 2 + u, c)>
#window = affine_map<(n, y, x, c, v, u) -> (v, u)>
#result = affine_map<(n, y, x, c, v, u) -> (n, y, x, c)>
// CHECK-LABEL: @maxima
// CHECK: %[[A:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<1x8x8x16xbf16>)
// CHECK: %[[LEAST:.*]] = arith.constant 0xFF80 : bf16
// CHECK: tensor.pad %[[A]]
// CHECK: tensor.yield %[[LEAST]] : bf16
// CHECK: %[[INIT:.*]] = linalg.fill ins(%[[LEAST]] : bf16)
// CHECK: %[[M:.*]] = linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<1x9x9x16xbf16>, tensor<2x2xf32>) outs(%[[INIT]] : tensor<1x4x4x16xbf16>)
// CHECK: arith.maximumf %{{.*}}, %{{.*}} : bf16
// CHECK: linalg.generic {{.*}} ins(%[[M]], %{{.*}} : tensor<1x4x4x16xbf16>, tensor<16x16xbf16>)
func.func @maxima(%x: tensor<1x8x8x16xf32>) -> tensor<1x4x4x16xf32> {
  %zero = arith.constant 0.0 : f32
  %least = arith.constant 0xFF800000 : f32
  %w = arith.constant dense<0.5> : tensor<16x16xf32>
  %image = tensor.empty() : tensor<1x8x8x16xf32>
  %small = tensor.empty() : tensor<1x4x4x16xf32>
  %window = tensor.empty() : tensor<2x2xf32>
  %a = linalg.abs ins(%x : tensor<1x8x8x16xf32>) outs(%image : tensor<1x8x8x16xf32>) -> tensor<1x8x8x16xf32>
  %p = tensor.pad %a low[0, 1, 1, 0] high[0, 0, 0, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %least : f32
  } : tensor<1x8x8x16xf32> to tensor<1x9x9x16xf32>
  %start = linalg.fill ins(%least : f32) outs(%small : tensor<1x4x4x16xf32>) -> tensor<1x4x4x16xf32>
  %m = linalg.generic {indexing_maps = [#places, #window, #result],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%p, %window : tensor<1x9x9x16xf32>, tensor<2x2xf32>) outs(%start : tensor<1x4x4x16xf32>) {
  ^bb0(%l: f32, %k: f32, %s: f32):
    %t = arith.maximumf %s, %l : f32
    linalg.yield %t : f32
  } -> tensor<1x4x4x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%small : tensor<1x4x4x16xf32>) -> tensor<1x4x4x16xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(n, y, x, f, c) -> (n, y, x, c)>, affine_map<(n, y, x, f, c) -> (f, c)>, affine_map<(n, y, x, f, c) -> (n, y, x, f)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%m, %w : tensor<1x4x4x16xf32>, tensor<16x16xf32>) outs(%init : tensor<1x4x4x16xf32>) {
  ^bb0(%l: f32, %k: f32, %s: f32):
    %q = arith.mulf %l, %k : f32
    %t = arith.addf %s, %q : f32
    linalg.yield %t : f32
  } -> tensor<1x4x4x16xf32>
  return %r : tensor<1x4x4x16xf32>
}

// -----

// Keys that are bytes with scales stay: they would have to be rounded in a loop of their own.
#query = affine_map<(i, d, j, n) -> (i, d)>
#key = affine_map<(i, d, j, n) -> (j, d)>
#value = affine_map<(i, d, j, n) -> (j, n)>
#result = affine_map<(i, d, j, n) -> (i, n)>
// CHECK-LABEL: @attention_of_bytes
// CHECK-NOT: bf16
func.func @attention_of_bytes(%x: tensor<20x32xf32>, %codes: tensor<20x32xi8>, %scales: tensor<20xf32>) -> tensor<20x32xf32> {
  %0 = tensor.empty() : tensor<20x32xf32>
  %c = linalg.abs ins(%x : tensor<20x32xf32>) outs(%0 : tensor<20x32xf32>) -> tensor<20x32xf32>
  %k = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>],
      iterator_types = ["parallel", "parallel"]} ins(%codes, %scales : tensor<20x32xi8>, tensor<20xf32>) outs(%0 : tensor<20x32xf32>) {
  ^bb0(%code: i8, %scale: f32, %o: f32):
    %wide = arith.sitofp %code : i8 to f32
    %number = arith.mulf %wide, %scale : f32
    linalg.yield %number : f32
  } -> tensor<20x32xf32>
  %a = fulgur.attention %c, %k, %c maps [#query, #key, #value, #result] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<20x32xf32>, tensor<20x32xf32>, tensor<20x32xf32> -> tensor<20x32xf32>
  return %a : tensor<20x32xf32>
}

// -----

// Rows of an attention that others replace: what is picked is rounded at once, and so is the attention's result.
#query = affine_map<(i, d, j, n) -> (i, d)>
#key = affine_map<(i, d, j, n) -> (j, d)>
#value = affine_map<(i, d, j, n) -> (j, n)>
#result = affine_map<(i, d, j, n) -> (i, n)>
#identity = affine_map<(i, n) -> (i, n)>
// CHECK-LABEL: @repaired_attention
// CHECK: %[[A:.*]] = fulgur.attention
// CHECK: -> tensor<20x32xbf16>
// CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%[[A]], %{{.*}}, %{{.*}} : tensor<20x32xbf16>, tensor<32xf32>, tensor<20xi1>) outs(%{{.*}} : tensor<20x32xbf16>)
// CHECK: arith.extf
// CHECK: arith.select
// CHECK: arith.truncf
// CHECK: linalg.generic {{.*}} ins(%[[R]], %{{.*}} : tensor<20x32xbf16>, tensor<32x16xbf16>)
func.func @repaired_attention(%x: tensor<20x32xf32>, %mean: tensor<32xf32>, %empty: tensor<20xi1>) -> tensor<20x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.5> : tensor<32x16xf32>
  %0 = tensor.empty() : tensor<20x32xf32>
  %1 = tensor.empty() : tensor<20x16xf32>
  %a = fulgur.attention %x, %x, %x maps [#query, #key, #value, #result] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<20x32xf32>, tensor<20x32xf32>, tensor<20x32xf32> -> tensor<20x32xf32>
  %r = linalg.generic {indexing_maps = [#identity, affine_map<(i, n) -> (n)>, affine_map<(i, n) -> (i)>, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%a, %mean, %empty : tensor<20x32xf32>, tensor<32xf32>, tensor<20xi1>) outs(%0 : tensor<20x32xf32>) {
  ^bb0(%l: f32, %m: f32, %c: i1, %o: f32):
    %t = arith.select %c, %m, %l : f32
    linalg.yield %t : f32
  } -> tensor<20x32xf32>
  %init = linalg.fill ins(%zero : f32) outs(%1 : tensor<20x16xf32>) -> tensor<20x16xf32>
  %p = linalg.matmul ins(%r, %w : tensor<20x32xf32>, tensor<32x16xf32>) outs(%init : tensor<20x16xf32>) -> tensor<20x16xf32>
  return %p : tensor<20x16xf32>
}
