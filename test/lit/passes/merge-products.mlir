// RUN: fulgur-opt %s --fulgur-merge-products --remarks-filter-missed=fulgur-merge-products --remark-format=emitRemark -split-input-file -o %t.mlir 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: FileCheck %s < %t.mlir
// Products of the same rows whose readers take slices in place become one.

#query = affine_map<(b, h, i, d, j, n) -> (b, i, h, d)>
#key = affine_map<(b, h, i, d, j, n) -> (b, j, h, d)>
#value = affine_map<(b, h, i, d, j, n) -> (b, j, h, n)>
#result = affine_map<(b, h, i, d, j, n) -> (b, i, h, n)>
#identity = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>

// As torch writes BERT and Whisper, whose keys have no bias: nothing is added to them.
// CHECK-LABEL: @projections
// CHECK: %[[ROWS:.*]] = tensor.collapse_shape
// CHECK: %[[W:.*]] = arith.constant dense_resource<joined> : tensor<2x8xf32>
// CHECK: %[[P:.*]] = linalg.matmul ins(%[[ROWS]], %[[W]] : tensor<?x2xf32>, tensor<2x8xf32>)
// CHECK: %[[BIAS:.*]] = arith.constant dense<[1.000000e+00, 2.000000e+00, -0.000000e+00, -0.000000e+00, 5.000000e+00, 5.000000e+00, 5.000000e+00, 5.000000e+00]> : tensor<8xf32>
// CHECK: %[[B:.*]] = linalg.generic {{.*}} ins(%[[P]], %[[BIAS]]
// CHECK: %[[Q:.*]] = tensor.extract_slice %[[B]][0, 0] [%{{.*}}, 2] [1, 1]
// CHECK: %[[K:.*]] = tensor.extract_slice %[[B]][0, 2] [%{{.*}}, 2] [1, 1]
// CHECK: %[[V:.*]] = tensor.extract_slice %[[B]][0, 4] [%{{.*}}, 4] [1, 1]
// CHECK-NOT: linalg.matmul
// CHECK-DAG: %[[Q4:.*]] = tensor.expand_shape %[[Q]]
// CHECK-DAG: %[[K4:.*]] = tensor.expand_shape %[[K]]
// CHECK-DAG: %[[V4:.*]] = tensor.expand_shape %[[V]]
// CHECK: fulgur.attention %[[Q4]], %[[K4]], %[[V4]]
// CHECK: joined: "0x400000000000803F000000400000A0400000C0400000803F00000040000040400000804000004040
module attributes {fulgur.symbols = [{name = "b", min = 0, max = 9}, {name = "s", min = 0, max = 9}]} {
func.func @projections(%x: tensor<?x?x2xf32> {fulgur.name = "x", fulgur.dims = ["b", "s", "2"]}) -> tensor<?x?x2x2xf32> {
  %b = fulgur.symbol "b"
  %s = fulgur.symbol "s"
  %m = arith.muli %b, %s : index
  %rows = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x?x2xf32> into tensor<?x2xf32>
  %wq = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %wk = arith.constant dense<[[5.0, 6.0], [7.0, 8.0]]> : tensor<2x2xf32>
  %wv = arith.constant dense<[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]> : tensor<2x4xf32>
  %bq = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %bv = arith.constant dense<5.0> : tensor<4xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty(%m) : tensor<?x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<?x2xf32>) -> tensor<?x2xf32>
  %e4 = tensor.empty(%m) : tensor<?x4xf32>
  %init4 = linalg.fill ins(%zero : f32) outs(%e4 : tensor<?x4xf32>) -> tensor<?x4xf32>
  %q = linalg.matmul ins(%rows, %wq : tensor<?x2xf32>, tensor<2x2xf32>) outs(%init : tensor<?x2xf32>) -> tensor<?x2xf32>
  %qb = linalg.generic {indexing_maps = [#identity, #row, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%q, %bq : tensor<?x2xf32>, tensor<2xf32>) outs(%e : tensor<?x2xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %r = arith.addf %a, %c : f32
    linalg.yield %r : f32
  } -> tensor<?x2xf32>
  %k = linalg.matmul ins(%rows, %wk : tensor<?x2xf32>, tensor<2x2xf32>) outs(%init : tensor<?x2xf32>) -> tensor<?x2xf32>
  %v = linalg.matmul ins(%rows, %wv : tensor<?x2xf32>, tensor<2x4xf32>) outs(%init4 : tensor<?x4xf32>) -> tensor<?x4xf32>
  %vb = linalg.generic {indexing_maps = [#row, #identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%bv, %v : tensor<4xf32>, tensor<?x4xf32>) outs(%e4 : tensor<?x4xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %r = arith.addf %a, %c : f32
    linalg.yield %r : f32
  } -> tensor<?x4xf32>
  %q4 = tensor.expand_shape %qb [[0, 1], [2, 3]] output_shape [%b, %s, 2, 1] : tensor<?x2xf32> into tensor<?x?x2x1xf32>
  %k4 = tensor.expand_shape %k [[0, 1], [2, 3]] output_shape [%b, %s, 2, 1] : tensor<?x2xf32> into tensor<?x?x2x1xf32>
  %v4 = tensor.expand_shape %vb [[0, 1], [2, 3]] output_shape [%b, %s, 2, 2] : tensor<?x4xf32> into tensor<?x?x2x2xf32>
  %r = fulgur.attention %q4, %k4, %v4 maps [#query, #key, #value, #result] {
  ^bb0(%score: f32, %i: index, %j: index):
    fulgur.yield %score : f32
  } : tensor<?x?x2x1xf32>, tensor<?x?x2x1xf32>, tensor<?x?x2x2xf32> -> tensor<?x?x2x2xf32>
  return %r : tensor<?x?x2x2xf32>
}
}

// -----

// Weights may be transposed; a present state takes its part from wherever it is.
// CHECK-LABEL: @transposed_weights
// CHECK-DAG: dense_resource<joined> : tensor<5x2xf32>
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<3x2xf32>, tensor<5x2xf32>)
// CHECK: %[[K:.*]] = tensor.extract_slice %{{.*}}[0, 0] [3, 2] [1, 1]
// CHECK: %[[V:.*]] = tensor.extract_slice %{{.*}}[0, 2] [3, 3] [1, 1]
// CHECK: linalg.transpose ins(%[[K]]
// CHECK: tensor.concat dim(0) %{{.*}}, %[[V]]
// CHECK: joined: "0x400000000000803F0000004000004040000080400000A0400000C0400000E040000000410000104100002041"
func.func @transposed_weights(%x: tensor<3x2xf32>, %past: tensor<2x4xf32>, %old: tensor<1x3xf32>) -> (tensor<2x7xf32>, tensor<4x3xf32>) {
  %wk = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %wv = arith.constant dense<[[5.0, 6.0], [7.0, 8.0], [9.0, 10.0]]> : tensor<3x2xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<3x2xf32>) -> tensor<3x2xf32>
  %e3 = tensor.empty() : tensor<3x3xf32>
  %init3 = linalg.fill ins(%zero : f32) outs(%e3 : tensor<3x3xf32>) -> tensor<3x3xf32>
  %k = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %wk : tensor<3x2xf32>, tensor<2x2xf32>) outs(%init : tensor<3x2xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<3x2xf32>
  %v = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %wv : tensor<3x2xf32>, tensor<3x2xf32>) outs(%init3 : tensor<3x3xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<3x3xf32>
  %et = tensor.empty() : tensor<2x3xf32>
  %t = linalg.transpose ins(%k : tensor<3x2xf32>) outs(%et : tensor<2x3xf32>) permutation = [1, 0]
  %keys = tensor.concat dim(1) %past, %t : (tensor<2x4xf32>, tensor<2x3xf32>) -> tensor<2x7xf32>
  %values = tensor.concat dim(0) %old, %v : (tensor<1x3xf32>, tensor<3x3xf32>) -> tensor<4x3xf32>
  return %keys, %values : tensor<2x7xf32>, tensor<4x3xf32>
}

// -----

// The gate of an MLP is an operand of the other product's epilogue, which would have to copy it.
#identity = affine_map<(d0, d1) -> (d0, d1)>
// REMARK: remark: {{.*}}fulgur-merge-products{{.*}}shares its rows with other products, but node 'act' (Mul) does not read slices where they are
// CHECK-LABEL: @negative_gate
// CHECK-COUNT-2: linalg.matmul
// CHECK-NOT: tensor.extract_slice
func.func @negative_gate(%x: tensor<3x2xf32>) -> tensor<3x2xf32> {
  %wk = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %wv = arith.constant dense<[[5.0, 6.0], [7.0, 8.0]]> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<3x2xf32>) -> tensor<3x2xf32>
  %g = linalg.matmul ins(%x, %wk : tensor<3x2xf32>, tensor<2x2xf32>) outs(%init : tensor<3x2xf32>) -> tensor<3x2xf32>
  %u = linalg.matmul ins(%x, %wv : tensor<3x2xf32>, tensor<2x2xf32>) outs(%init : tensor<3x2xf32>) -> tensor<3x2xf32>
  %r = linalg.generic {indexing_maps = [#identity, #identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%g, %u : tensor<3x2xf32>, tensor<3x2xf32>) outs(%e : tensor<3x2xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %m = arith.mulf %a, %c : f32
    linalg.yield %m : f32
  } -> tensor<3x2xf32> loc("act (Mul)")
  return %r : tensor<3x2xf32>
}

// -----

// Other rows, sums that start with something, and weights that are inputs.
// CHECK-LABEL: @negative_different
// CHECK-COUNT-5: linalg.matmul
// CHECK-NOT: tensor.extract_slice
func.func @negative_different(%x: tensor<3x2xf32>, %y: tensor<3x2xf32>, %w: tensor<2x2xf32>, %old: tensor<1x2xf32>)
    -> (tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>) {
  %wk = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %one = arith.constant dense<1.0> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<3x2xf32>) -> tensor<3x2xf32>
  %0 = linalg.matmul ins(%x, %wk : tensor<3x2xf32>, tensor<2x2xf32>) outs(%init : tensor<3x2xf32>) -> tensor<3x2xf32>
  %1 = linalg.matmul ins(%y, %wk : tensor<3x2xf32>, tensor<2x2xf32>) outs(%init : tensor<3x2xf32>) -> tensor<3x2xf32>
  %2 = linalg.matmul ins(%x, %wk : tensor<3x2xf32>, tensor<2x2xf32>) outs(%y : tensor<3x2xf32>) -> tensor<3x2xf32>
  %3 = linalg.matmul ins(%x, %w : tensor<3x2xf32>, tensor<2x2xf32>) outs(%init : tensor<3x2xf32>) -> tensor<3x2xf32>
  %4 = linalg.matmul ins(%x, %one : tensor<3x2xf32>, tensor<2x2xf32>) outs(%init : tensor<3x2xf32>) -> tensor<3x2xf32>
  %r0 = tensor.concat dim(0) %old, %0 : (tensor<1x2xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
  %r1 = tensor.concat dim(0) %old, %1 : (tensor<1x2xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
  %r2 = tensor.concat dim(0) %old, %2 : (tensor<1x2xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
  %r3 = tensor.concat dim(0) %old, %3 : (tensor<1x2xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
  %r4 = tensor.concat dim(0) %old, %4 : (tensor<1x2xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
  return %r0, %r1, %r2, %r3, %r4 : tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>
}

// -----

// Of weights of few bits, codes, scales and zeros are joined.
#left = affine_map<(m, n, k) -> (m, k)>
#right = affine_map<(m, n, k) -> (n, k)>
#sum = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @few_bits
// CHECK-DAG: %[[CODES:.*]] = arith.constant dense_resource<joined{{.*}}> : tensor<5x4xi8>
// CHECK-DAG: %[[SCALES:.*]] = arith.constant dense_resource<joined{{.*}}> : tensor<5x2xf32>
// CHECK-DAG: %[[ZEROS:.*]] = arith.constant dense_resource<joined{{.*}}> : tensor<5x1xi8>
// CHECK: %[[W:.*]] = fulgur.dequantize %[[CODES]], %[[SCALES]], %[[ZEROS]] {axis = 1 : i64, bits = 4 : i64, block = 4 : i64, per_byte = 2 : i64} : {{.*}} -> tensor<5x8xf32>
// CHECK: linalg.matmul {{.*}} ins(%{{.*}}, %[[W]] : tensor<3x8xf32>, tensor<5x8xf32>)
// CHECK: tensor.extract_slice %{{.*}}[0, 0] [3, 2] [1, 1]
// CHECK: tensor.extract_slice %{{.*}}[0, 2] [3, 3] [1, 1]
// CHECK-DAG: joined: "0x4000000001020304050607081112131415161718191A1B1C"
// CHECK-DAG: joined{{.*}}: "0x400000002132435465"
func.func @few_bits(%x: tensor<3x8xf32>, %old: tensor<1x2xf32>, %older: tensor<1x3xf32>) -> (tensor<4x2xf32>, tensor<4x3xf32>) {
  %ck = arith.constant dense<[[1, 2, 3, 4], [5, 6, 7, 8]]> : tensor<2x4xi8>
  %sk = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %zk = arith.constant dense<[[0x21], [0x32]]> : tensor<2x1xi8>
  %cv = arith.constant dense<[[0x11, 0x12, 0x13, 0x14], [0x15, 0x16, 0x17, 0x18], [0x19, 0x1a, 0x1b, 0x1c]]> : tensor<3x4xi8>
  %sv = arith.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %zv = arith.constant dense<[[0x43], [0x54], [0x65]]> : tensor<3x1xi8>
  %wk = fulgur.dequantize %ck, %sk, %zk {axis = 1 : i64, bits = 4 : i64, block = 4 : i64, per_byte = 2 : i64} : tensor<2x4xi8>, tensor<2x2xf32>, tensor<2x1xi8> -> tensor<2x8xf32>
  %wv = fulgur.dequantize %cv, %sv, %zv {axis = 1 : i64, bits = 4 : i64, block = 4 : i64, per_byte = 2 : i64} : tensor<3x4xi8>, tensor<3x2xf32>, tensor<3x1xi8> -> tensor<3x8xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<3x2xf32>) -> tensor<3x2xf32>
  %e3 = tensor.empty() : tensor<3x3xf32>
  %init3 = linalg.fill ins(%zero : f32) outs(%e3 : tensor<3x3xf32>) -> tensor<3x3xf32>
  %k = linalg.matmul indexing_maps = [#left, #right, #sum] ins(%x, %wk : tensor<3x8xf32>, tensor<2x8xf32>) outs(%init : tensor<3x2xf32>) -> tensor<3x2xf32>
  %v = linalg.matmul indexing_maps = [#left, #right, #sum] ins(%x, %wv : tensor<3x8xf32>, tensor<3x8xf32>) outs(%init3 : tensor<3x3xf32>) -> tensor<3x3xf32>
  %keys = tensor.concat dim(0) %old, %k : (tensor<1x2xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
  %values = tensor.concat dim(0) %older, %v : (tensor<1x3xf32>, tensor<3x3xf32>) -> tensor<4x3xf32>
  return %keys, %values : tensor<4x2xf32>, tensor<4x3xf32>
}

// -----

// Not with blocks of another size, nor where the columns of one end in the middle of a byte.
#left = affine_map<(m, n, k) -> (m, k)>
#right = affine_map<(m, n, k) -> (n, k)>
#sum = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @negative_few_bits
// CHECK-COUNT-4: linalg.matmul
// CHECK-NOT: tensor.extract_slice
func.func @negative_few_bits(%x: tensor<3x4xf32>, %old: tensor<1x2xf32>, %older: tensor<1x3xf32>)
    -> (tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x3xf32>, tensor<4x3xf32>) {
  %c = arith.constant dense<[[1, 2], [5, 6]]> : tensor<2x2xi8>
  %s2 = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %s1 = arith.constant dense<[[1.0], [3.0]]> : tensor<2x1xf32>
  %c3 = arith.constant dense<[[1, 2], [5, 6], [7, 8], [9, 10]]> : tensor<4x2xi8>
  %s3 = arith.constant dense<[[1.0, 2.0, 3.0]]> : tensor<1x3xf32>
  %w0 = fulgur.dequantize %c, %s2 {axis = 1 : i64, bits = 4 : i64, block = 2 : i64, per_byte = 2 : i64} : tensor<2x2xi8>, tensor<2x2xf32> -> tensor<2x4xf32>
  %w1 = fulgur.dequantize %c, %s1 {axis = 1 : i64, bits = 4 : i64, block = 4 : i64, per_byte = 2 : i64} : tensor<2x2xi8>, tensor<2x1xf32> -> tensor<2x4xf32>
  %w2 = fulgur.dequantize %c3, %s3 {axis = 0 : i64, bits = 4 : i64, block = 4 : i64, per_byte = 2 : i64} : tensor<4x2xi8>, tensor<1x3xf32> -> tensor<4x3xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<3x2xf32>) -> tensor<3x2xf32>
  %e3 = tensor.empty() : tensor<3x3xf32>
  %init3 = linalg.fill ins(%zero : f32) outs(%e3 : tensor<3x3xf32>) -> tensor<3x3xf32>
  %0 = linalg.matmul indexing_maps = [#left, #right, #sum] ins(%x, %w0 : tensor<3x4xf32>, tensor<2x4xf32>) outs(%init : tensor<3x2xf32>) -> tensor<3x2xf32>
  %1 = linalg.matmul indexing_maps = [#left, #right, #sum] ins(%x, %w1 : tensor<3x4xf32>, tensor<2x4xf32>) outs(%init : tensor<3x2xf32>) -> tensor<3x2xf32>
  %2 = linalg.matmul ins(%x, %w2 : tensor<3x4xf32>, tensor<4x3xf32>) outs(%init3 : tensor<3x3xf32>) -> tensor<3x3xf32>
  %3 = linalg.matmul ins(%x, %w2 : tensor<3x4xf32>, tensor<4x3xf32>) outs(%init3 : tensor<3x3xf32>) -> tensor<3x3xf32>
  %r0 = tensor.concat dim(0) %old, %0 : (tensor<1x2xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
  %r1 = tensor.concat dim(0) %old, %1 : (tensor<1x2xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
  %r2 = tensor.concat dim(0) %older, %2 : (tensor<1x3xf32>, tensor<3x3xf32>) -> tensor<4x3xf32>
  %r3 = tensor.concat dim(0) %older, %3 : (tensor<1x3xf32>, tensor<3x3xf32>) -> tensor<4x3xf32>
  return %r0, %r1, %r2, %r3 : tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x3xf32>, tensor<4x3xf32>
}
