// RUN: fulgur-opt %s --fulgur-pack-weights | FileCheck %s
// Two columns a panel: the columns of a 2x3 weight become the panels (0, 1) and (2, nothing), each step after step.

// CHECK-LABEL: @columns_last
// CHECK: arith.constant dense_resource<[[PACKED:.*]]> : tensor<2x2x2xf32>
// CHECK: ^bb0(%{{.*}}: tensor<?x2xf32>, %[[W:.*]]: tensor<2x2x2xf32>, %{{.*}}: tensor<?x3xf32>)
// CHECK: %[[B:.*]] = linalg.unpack %[[W]] outer_dims_perm = [1, 0] inner_dims_pos = [1] inner_tiles = [2] {{.*}} -> tensor<2x3xf32>
// CHECK: linalg.matmul ins(%{{.*}}, %[[B]]
// The second kernel has the same weight in the same layout.
// CHECK: dense_resource<[[PACKED]]>
func.func @columns_last(%a: tensor<?x2xf32>, %out: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>) {
  %weight = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %r = fulgur.kernel ins(%a, %weight : tensor<?x2xf32>, tensor<2x3xf32>) outs(%out : tensor<?x3xf32>)
      schedule(<kind = "gemm", tile = [6, 2], pack = 2>) {
  ^bb0(%x: tensor<?x2xf32>, %w: tensor<2x3xf32>, %o: tensor<?x3xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x3xf32>) -> tensor<?x3xf32>
    %p = linalg.matmul ins(%x, %w : tensor<?x2xf32>, tensor<2x3xf32>) outs(%init : tensor<?x3xf32>) -> tensor<?x3xf32>
    fulgur.yield %p : tensor<?x3xf32>
  } -> tensor<?x3xf32>
  %s = fulgur.kernel ins(%a, %weight : tensor<?x2xf32>, tensor<2x3xf32>) outs(%out : tensor<?x3xf32>)
      schedule(<kind = "gemm", tile = [6, 2], pack = 2>) {
  ^bb0(%x: tensor<?x2xf32>, %w: tensor<2x3xf32>, %o: tensor<?x3xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x3xf32>) -> tensor<?x3xf32>
    %p = linalg.matmul ins(%x, %w : tensor<?x2xf32>, tensor<2x3xf32>) outs(%init : tensor<?x3xf32>) -> tensor<?x3xf32>
    fulgur.yield %p : tensor<?x3xf32>
  } -> tensor<?x3xf32>
  return %r, %s : tensor<?x3xf32>, tensor<?x3xf32>
}

// An operand that is computed stays as it is.
// CHECK-LABEL: @negative_no_weight
// CHECK-NOT: linalg.unpack
// CHECK: return
func.func @negative_no_weight(%a: tensor<?x2xf32>, %b: tensor<2x3xf32>, %out: tensor<?x3xf32>) -> tensor<?x3xf32> {
  %r = fulgur.kernel ins(%a, %b : tensor<?x2xf32>, tensor<2x3xf32>) outs(%out : tensor<?x3xf32>)
      schedule(<kind = "gemm", tile = [6, 2], pack = 2>) {
  ^bb0(%x: tensor<?x2xf32>, %w: tensor<2x3xf32>, %o: tensor<?x3xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x3xf32>) -> tensor<?x3xf32>
    %p = linalg.matmul ins(%x, %w : tensor<?x2xf32>, tensor<2x3xf32>) outs(%init : tensor<?x3xf32>) -> tensor<?x3xf32>
    fulgur.yield %p : tensor<?x3xf32>
  } -> tensor<?x3xf32>
  return %r : tensor<?x3xf32>
}

// Three filters of a convolution, two a panel: the window and its channels follow each other for both.
// CHECK-LABEL: @convolution
// CHECK: arith.constant dense_resource<[[FILTERS:.*]]> : tensor<2x1x2x2x2xf32>
// CHECK: ^bb0(%{{.*}}: tensor<1x4x5x2xf32>, %[[F:.*]]: tensor<2x1x2x2x2xf32>, %{{.*}}: tensor<1x4x4x3xf32>)
// CHECK: linalg.unpack %[[F]] outer_dims_perm = [0, 2, 3, 1] inner_dims_pos = [0] inner_tiles = [2] {{.*}} -> tensor<3x2x1x2xf32>
func.func @convolution(%a: tensor<1x4x5x2xf32>, %out: tensor<1x4x4x3xf32>) -> tensor<1x4x4x3xf32> {
  %weight = arith.constant dense<[[1., 2.], [3., 4.], [5., 6.], [7., 8.], [9., 10.], [11., 12.]]> : tensor<6x2xf32>
  %filters = tensor.expand_shape %weight [[0, 1], [2, 3]] output_shape [3, 2, 1, 2] : tensor<6x2xf32> into tensor<3x2x1x2xf32>
  %r = fulgur.kernel ins(%a, %filters : tensor<1x4x5x2xf32>, tensor<3x2x1x2xf32>) outs(%out : tensor<1x4x4x3xf32>)
      schedule(<kind = "convolution", tile = [2, 1, 4, 1], pack = 2>) {
  ^bb0(%x: tensor<1x4x5x2xf32>, %w: tensor<3x2x1x2xf32>, %o: tensor<1x4x4x3xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x4x4x3xf32>) -> tensor<1x4x4x3xf32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>,
        affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%x, %w : tensor<1x4x5x2xf32>, tensor<3x2x1x2xf32>) outs(%init : tensor<1x4x4x3xf32>) {
    ^bb0(%in: f32, %by: f32, %sum: f32):
      %m = arith.mulf %in, %by : f32
      %s = arith.addf %sum, %m : f32
      linalg.yield %s : f32
    } -> tensor<1x4x4x3xf32>
    fulgur.yield %p : tensor<1x4x4x3xf32>
  } -> tensor<1x4x4x3xf32>
  return %r : tensor<1x4x4x3xf32>
}

// Transformed before, and restored in the body.
// CHECK-LABEL: @winograd
// CHECK: arith.constant dense_resource<[[TRANSFORMED:.*]]> : tensor<1x4x4x1x2xf32>
// CHECK: ^bb0(%{{.*}}: tensor<1x4x4x1xf32>, %[[T:.*]]: tensor<1x4x4x1x2xf32>, %{{.*}}: tensor<1x2x2x1xf32>)
// CHECK: %[[U:.*]] = linalg.unpack %[[T]] outer_dims_perm = [2, 0, 1, 3] inner_dims_pos = [2] inner_tiles = [2] {{.*}} -> tensor<4x4x1x1xf32>
// CHECK: %[[L:.*]] = arith.constant dense<{{.*}}> : tensor<3x4xf32>
// CHECK: linalg.generic {{.*}} ins(%[[L]], %[[L]], %[[U]] : {{.*}}) outs(%{{.*}} : tensor<1x1x3x3xf32>)
func.func @winograd(%a: tensor<1x4x4x1xf32>, %out: tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32> {
  %weight = arith.constant dense<[[[[1., 2., 1.], [2., 4., 2.], [1., 2., 1.]]]]> : tensor<1x1x3x3xf32>
  %r = fulgur.kernel ins(%a, %weight : tensor<1x4x4x1xf32>, tensor<1x1x3x3xf32>) outs(%out : tensor<1x2x2x1xf32>)
      schedule(<kind = "winograd", tile = [1, 1, 1, 1, 2], lanes = 2, pack = 2>) {
  ^bb0(%x: tensor<1x4x4x1xf32>, %w: tensor<1x1x3x3xf32>, %o: tensor<1x2x2x1xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>,
        affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%x, %w : tensor<1x4x4x1xf32>, tensor<1x1x3x3xf32>) outs(%init : tensor<1x2x2x1xf32>) {
    ^bb0(%in: f32, %by: f32, %sum: f32):
      %m = arith.mulf %in, %by : f32
      %s = arith.addf %sum, %m : f32
      linalg.yield %s : f32
    } -> tensor<1x2x2x1xf32>
    fulgur.yield %p : tensor<1x2x2x1xf32>
  } -> tensor<1x2x2x1xf32>
  return %r : tensor<1x2x2x1xf32>
}

// Of bfloat16, pairs of channels lie together.
// CHECK-LABEL: @winograd_of_pairs
// CHECK: arith.constant dense_resource<[[PAIRS:.*]]> : tensor<1x4x4x1x2x2xbf16>
// CHECK: %[[U:.*]] = linalg.unpack %{{.*}} outer_dims_perm = [2, 0, 1, 3] inner_dims_pos = [2, 3] inner_tiles = [2, 2] {{.*}} -> tensor<4x4x1x2xbf16>
// CHECK: %[[L:.*]] = arith.constant dense<{{.*}}> : tensor<3x4xbf16>
// CHECK: linalg.generic {{.*}} ins(%[[L]], %[[L]], %[[U]] : {{.*}}) outs(%{{.*}} : tensor<1x2x3x3xbf16>)
func.func @winograd_of_pairs(%a: tensor<1x4x4x2xbf16>, %out: tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32> {
  %weight = arith.constant dense<[[[[1., 2., 1.], [2., 4., 2.], [1., 2., 1.]], [[0., 0., 0.], [0., 1., 0.], [0., 0., 0.]]]]> : tensor<1x2x3x3xbf16>
  %r = fulgur.kernel ins(%a, %weight : tensor<1x4x4x2xbf16>, tensor<1x2x3x3xbf16>) outs(%out : tensor<1x2x2x1xf32>)
      schedule(<kind = "winograd", tile = [1, 1, 2, 1, 2], lanes = 2, pack = 2>) {
  ^bb0(%x: tensor<1x4x4x2xbf16>, %w: tensor<1x2x3x3xbf16>, %o: tensor<1x2x2x1xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>,
        affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%x, %w : tensor<1x4x4x2xbf16>, tensor<1x2x3x3xbf16>) outs(%init : tensor<1x2x2x1xf32>) {
    ^bb0(%in: bf16, %by: bf16, %sum: f32):
      %l = arith.extf %in : bf16 to f32
      %k = arith.extf %by : bf16 to f32
      %m = arith.mulf %l, %k : f32
      %s = arith.addf %sum, %m : f32
      linalg.yield %s : f32
    } -> tensor<1x2x2x1xf32>
    fulgur.yield %p : tensor<1x2x2x1xf32>
  } -> tensor<1x2x2x1xf32>
  return %r : tensor<1x2x2x1xf32>
}

// Of bytes, pairs of channels lie together, and integers restore them.
// CHECK-LABEL: @winograd_of_bytes
// CHECK: arith.constant dense_resource<[[BYTES:.*]]> : tensor<1x6x6x2x2x2xi16>
// CHECK: ^bb0(%{{.*}}: tensor<1x6x6x4xi8>, %[[T:.*]]: tensor<1x6x6x2x2x2xi16>, %{{.*}}: tensor<1x4x4x1xi32>)
// CHECK: %[[U:.*]] = linalg.unpack %[[T]] outer_dims_perm = [2, 0, 1, 3] inner_dims_pos = [2, 3] inner_tiles = [2, 2] {{.*}} -> tensor<6x6x1x4xi16>
// CHECK: %[[L:.*]] = arith.constant dense<{{.*}}> : tensor<3x6xi8>
// CHECK: linalg.generic {{.*}} ins(%[[L]], %[[L]], %[[U]] : {{.*}}) outs(%{{.*}} : tensor<1x4x3x3xi8>)
// CHECK: arith.trunci %{{.*}} : i16 to i8
func.func @winograd_of_bytes(%a: tensor<1x6x6x4xi8>, %out: tensor<1x4x4x1xi32>) -> tensor<1x4x4x1xi32> {
  %weight = arith.constant dense<[[[[1, 0, 0], [0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0], [0, 0, -128]],
                                   [[0, 0, 0], [0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 1, 0], [0, 0, 0]]]]> : tensor<1x4x3x3xi8>
  %r = fulgur.kernel ins(%a, %weight : tensor<1x6x6x4xi8>, tensor<1x4x3x3xi8>) outs(%out : tensor<1x4x4x1xi32>)
      schedule(<kind = "winograd", tile = [1, 1, 4, 1, 4], lanes = 2, pack = 2>) {
  ^bb0(%x: tensor<1x6x6x4xi8>, %w: tensor<1x4x3x3xi8>, %o: tensor<1x4x4x1xi32>):
    %zero = arith.constant 0 : i32
    %init = linalg.fill ins(%zero : i32) outs(%o : tensor<1x4x4x1xi32>) -> tensor<1x4x4x1xi32>
    %p = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, i, j, c) -> (n, h + i, w + j, c)>,
        affine_map<(n, h, w, f, i, j, c) -> (f, c, i, j)>, affine_map<(n, h, w, f, i, j, c) -> (n, h, w, f)>],
        iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
        ins(%x, %w : tensor<1x6x6x4xi8>, tensor<1x4x3x3xi8>) outs(%init : tensor<1x4x4x1xi32>) {
    ^bb0(%in: i8, %by: i8, %sum: i32):
      %l = arith.extui %in : i8 to i32
      %k = arith.extsi %by : i8 to i32
      %m = arith.muli %l, %k : i32
      %s = arith.addi %sum, %m : i32
      linalg.yield %s : i32
    } -> tensor<1x4x4x1xi32>
    fulgur.yield %p : tensor<1x4x4x1xi32>
  } -> tensor<1x4x4x1xi32>
  return %r : tensor<1x4x4x1xi32>
}

// Codes of few bits become unsigned ones in words of eight steps, scales that are float16s become such.
// CHECK-LABEL: @few_bits
// CHECK-DAG: arith.constant dense_resource<[[CODES:.*]]> : tensor<2x1x2x4xi8>
// CHECK-DAG: arith.constant dense_resource<[[SCALES:.*]]> : tensor<2x2x2xf16>
// CHECK: fulgur.dequantize {{.*}} {axis = 0 : i64, bits = 4 : i64, block = 4 : i64, offset = 8 : i64, pack = 2 : i64}
// CHECK-SAME: tensor<2x1x2x4xi8>, tensor<2x2x2xf16> -> tensor<8x3xf32>
func.func @few_bits(%a: tensor<1x8xf32>, %out: tensor<1x3xf32>) -> tensor<1x3xf32> {
  %codes = arith.constant dense<[[0, 1, -8], [1, 1, 7], [2, 1, 0], [3, 1, 0], [4, 2, 0], [5, 2, 0], [6, 2, 0], [7, 2, 0]]> : tensor<8x3xi8>
  %scale = arith.constant dense<[[1.0, 2.0, 0.5], [1.5, 2.5, 4.0]]> : tensor<2x3xf32>
  %r = fulgur.kernel ins(%a, %codes, %scale : tensor<1x8xf32>, tensor<8x3xi8>, tensor<2x3xf32>) outs(%out : tensor<1x3xf32>)
      schedule(<kind = "blocks", tile = [1, 1], lanes = 2, pack = 2>) {
  ^bb0(%x: tensor<1x8xf32>, %c: tensor<8x3xi8>, %s: tensor<2x3xf32>, %o: tensor<1x3xf32>):
    %zero = arith.constant 0.0 : f32
    %w = fulgur.dequantize %c, %s {axis = 0 : i64, bits = 4 : i64, block = 4 : i64, is_signed} : tensor<8x3xi8>, tensor<2x3xf32> -> tensor<8x3xf32>
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x3xf32>) -> tensor<1x3xf32>
    %p = linalg.matmul ins(%x, %w : tensor<1x8xf32>, tensor<8x3xf32>) outs(%init : tensor<1x3xf32>) -> tensor<1x3xf32>
    fulgur.yield %p : tensor<1x3xf32>
  } -> tensor<1x3xf32>
  return %r : tensor<1x3xf32>
}

// Loops that pick rows from a weight which a product has packed read the panels; those that compute with it otherwise do not.
// CHECK-LABEL: @picked
// CHECK: fulgur.kernel ins(%{{.*}}, %{{.*}} : tensor<4xi64>, tensor<2x3x2xf32>)
// CHECK: %[[panel:.*]] = arith.divui %[[row:.*]], %{{.*}} : index
// CHECK: %[[lane:.*]] = arith.remui %[[row]], %{{.*}} : index
// CHECK: tensor.extract %{{.*}}[%[[panel]], %{{.*}}, %[[lane]]] : tensor<2x3x2xf32>
// CHECK: fulgur.kernel ins(%{{.*}} : tensor<3x3xf32>)
func.func @picked(%a: tensor<1x3xf32>, %i: tensor<4xi64>, %out: tensor<1x3xf32>, %rows: tensor<4x3xf32>, %all: tensor<3x3xf32>)
    -> (tensor<1x3xf32>, tensor<4x3xf32>, tensor<3x3xf32>) {
  %weight = arith.constant dense<[[11.0, 12.0, 13.0], [14.0, 15.0, 16.0], [17.0, 18.0, 19.0]]> : tensor<3x3xf32>
  %p = fulgur.kernel ins(%i, %weight : tensor<4xi64>, tensor<3x3xf32>) outs(%rows : tensor<4x3xf32>) {
  ^bb0(%n: tensor<4xi64>, %w: tensor<3x3xf32>, %o: tensor<4x3xf32>):
    %g = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
        ins(%n : tensor<4xi64>) outs(%o : tensor<4x3xf32>) {
    ^bb0(%k: i64, %e: f32):
      %row = arith.index_cast %k : i64 to index
      %column = linalg.index 1 : index
      %v = tensor.extract %w[%row, %column] : tensor<3x3xf32>
      linalg.yield %v : f32
    } -> tensor<4x3xf32>
    fulgur.yield %g : tensor<4x3xf32>
  } -> tensor<4x3xf32>
  %c = fulgur.kernel ins(%weight : tensor<3x3xf32>) outs(%all : tensor<3x3xf32>) {
  ^bb0(%w: tensor<3x3xf32>, %o: tensor<3x3xf32>):
    %copy = linalg.copy ins(%w : tensor<3x3xf32>) outs(%o : tensor<3x3xf32>) -> tensor<3x3xf32>
    fulgur.yield %copy : tensor<3x3xf32>
  } -> tensor<3x3xf32>
  %r = fulgur.kernel ins(%a, %weight : tensor<1x3xf32>, tensor<3x3xf32>) outs(%out : tensor<1x3xf32>)
      schedule(<kind = "gemm", tile = [1, 1], lanes = 2, pack = 2>) {
  ^bb0(%x: tensor<1x3xf32>, %w: tensor<3x3xf32>, %o: tensor<1x3xf32>):
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%o : tensor<1x3xf32>) -> tensor<1x3xf32>
    %q = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %w : tensor<1x3xf32>, tensor<3x3xf32>) outs(%init : tensor<1x3xf32>) -> tensor<1x3xf32>
    fulgur.yield %q : tensor<1x3xf32>
  } -> tensor<1x3xf32>
  return %r, %p, %c : tensor<1x3xf32>, tensor<4x3xf32>, tensor<3x3xf32>
}

// The bytes: (1, 2) and (4, 5), then (3, 0) and (6, 0).
// CHECK: [[PACKED]]: "0x400000000000803F0000004000008040{{0000A0400000404000000000}}0000C04000000000"
// Filters 0 and 1, then filter 2: [1 5], [3 7], [2 6], [4 8]; [9 0], [11 0], [10 0], [12 0].
// CHECK: [[FILTERS]]: "0x400000000000803F0000A040{{000040400000E040000000400000C0400000804000000041}}
// The middle of the window's rows 1 2 1 is (1 + 2 + 1) / 2 and (1 - 2 + 1) / 2, of its columns as well.
// CHECK: [[TRANSFORMED]]: "0x400000000000803F00000000000000400000000000000000000000000000803F00000000
// The first and the second number of channel 0, each beside the zero of channel 1 and the pair of nobody's filter.
// CHECK: [[PAIRS]]: "0x40000000803F00000000000000400000{{0000000000000000}}
// 6 · 1 · 6 in the first matrix, 6 · 1 · 1 in the next ones, each with the pairs of channels 0 and 1 of a filter and of nobody's, then 2 and 3.
// CHECK: [[BYTES]]: "0x4000000024000000000000000000000000000000{{06000000000000000000000000000000}}
// Steps 0 to 3 in the lower halves, 4 to 7 in the upper ones: columns 0 and 1, then 2.
// CHECK-DAG: [[CODES]]: "0x40000000C8D9EAFBA9A9A9A9808F888800000000"
// CHECK-DAG: [[SCALES]]: "0x40000000003C0040003E0041003800000044{{0000}}"
