// RUN: fulgur-opt %s --fulgur-form-kernels | FileCheck %s
// A kernel is a root with what only prepares its destination, and what only consumes it.

#identity = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>

// CHECK-LABEL: @product_with_epilogue
// CHECK: tensor.empty() : tensor<4x16xf32>
// CHECK: %[[OUT:.*]] = tensor.empty() : tensor<4x16xf32>
// CHECK-NEXT: %[[R:.*]] = fulgur.kernel ins(%{{.*}}, %{{.*}}, %{{.*}} : tensor<4x8xf32>, tensor<8x16xf32>, tensor<16xf32>) outs(%[[OUT]] : tensor<4x16xf32>) {
// CHECK: ^bb0(%{{.*}}, %{{.*}}, %[[BIAS:.*]]: tensor<16xf32>, %[[O:.*]]: tensor<4x16xf32>):
// CHECK: linalg.fill ins(%{{.*}}) outs(%[[O]]
// CHECK: %[[P:.*]] = linalg.matmul
// CHECK: linalg.generic {{.*}} ins(%[[P]], %[[BIAS]]
// CHECK: fulgur.yield
// CHECK-NOT: fulgur.kernel
// CHECK: return %[[R]]
func.func @product_with_epilogue(%a: tensor<4x8xf32>, %b: tensor<8x16xf32>, %bias: tensor<16xf32>) -> tensor<4x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x16xf32>) -> tensor<4x16xf32>
  %p = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<4x16xf32>) -> tensor<4x16xf32>
  %s = linalg.generic {indexing_maps = [#identity, #row, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%p, %bias : tensor<4x16xf32>, tensor<16xf32>) outs(%empty : tensor<4x16xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %z = arith.addf %x, %y : f32
    linalg.yield %z : f32
  } -> tensor<4x16xf32>
  return %s : tensor<4x16xf32>
}

// CHECK-LABEL: @negative_product_of_two_users
// CHECK: %[[P:.*]] = fulgur.kernel
// CHECK: linalg.matmul
// CHECK: fulgur.yield
// CHECK: fulgur.kernel ins(%[[P]]
// CHECK-NOT: linalg.matmul
// CHECK: arith.negf
func.func @negative_product_of_two_users(%a: tensor<4x8xf32>, %b: tensor<8x16xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x16xf32>) -> tensor<4x16xf32>
  %p = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<4x16xf32>) -> tensor<4x16xf32>
  %s = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%p : tensor<4x16xf32>) outs(%empty : tensor<4x16xf32>) {
  ^bb0(%x: f32, %o: f32):
    %z = arith.negf %x : f32
    linalg.yield %z : f32
  } -> tensor<4x16xf32>
  return %p, %s : tensor<4x16xf32>, tensor<4x16xf32>
}

// Accumulators are computed in their order: a consumer that permutes them waits.
// CHECK-LABEL: @negative_permuting_consumer
// CHECK: %[[P:.*]] = fulgur.kernel
// CHECK: linalg.matmul
// CHECK: fulgur.yield
// CHECK: fulgur.kernel ins(%[[P]]
func.func @negative_permuting_consumer(%a: tensor<4x8xf32>, %b: tensor<8x4xf32>) -> tensor<4x4xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x4xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x4xf32>) -> tensor<4x4xf32>
  %p = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x4xf32>) outs(%init : tensor<4x4xf32>) -> tensor<4x4xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%p : tensor<4x4xf32>) outs(%empty : tensor<4x4xf32>) {
  ^bb0(%x: f32, %o: f32):
    %z = arith.negf %x : f32
    linalg.yield %z : f32
  } -> tensor<4x4xf32>
  return %s : tensor<4x4xf32>
}

// A row operation takes its elementwise producer.
// CHECK-LABEL: @row_operation_with_producer
// CHECK: fulgur.kernel
// CHECK: %[[SCALED:.*]] = linalg.generic
// CHECK: fulgur.softmax %[[SCALED]]
// CHECK-NOT: fulgur.kernel
// CHECK: return
func.func @row_operation_with_producer(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %empty = tensor.empty() : tensor<4x8xf32>
  %s = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x8xf32>) outs(%empty : tensor<4x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %z = arith.negf %v : f32
    linalg.yield %z : f32
  } -> tensor<4x8xf32>
  %r = fulgur.softmax %s {axis = 1 : i64} : tensor<4x8xf32>
  return %r : tensor<4x8xf32>
}

// CHECK-LABEL: @negative_producer_of_two_users
// CHECK: %[[SCALED:.*]] = fulgur.kernel
// CHECK: arith.negf
// CHECK: fulgur.kernel ins(%[[SCALED]]
// CHECK-NOT: linalg.generic
// CHECK: fulgur.softmax
func.func @negative_producer_of_two_users(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %empty = tensor.empty() : tensor<4x8xf32>
  %s = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x8xf32>) outs(%empty : tensor<4x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %z = arith.negf %v : f32
    linalg.yield %z : f32
  } -> tensor<4x8xf32>
  %r = fulgur.softmax %s {axis = 1 : i64} : tensor<4x8xf32>
  return %s, %r : tensor<4x8xf32>, tensor<4x8xf32>
}

// The destination has the dims of the symbols; the reshape is a view and stays outside.
// CHECK-LABEL: @symbolic
// CHECK: %[[BATCH:.*]] = fulgur.symbol "batch"
// CHECK: tensor.empty(%[[BATCH]])
// CHECK: %[[OUT:.*]] = tensor.empty(%[[BATCH]]) : tensor<?x8xf32>
// CHECK-NEXT: %[[R:.*]] = fulgur.kernel {{.*}} outs(%[[OUT]] : tensor<?x8xf32>)
// CHECK-NOT: fulgur.symbol
// CHECK: fulgur.yield
// CHECK: tensor.expand_shape %[[R]]
func.func @symbolic(%x: tensor<?x8xf32> {fulgur.dims = ["batch", "8"]}) -> tensor<?x2x4xf32> {
  %batch = fulgur.symbol "batch"
  %empty = tensor.empty(%batch) : tensor<?x8xf32>
  %s = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%empty : tensor<?x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %z = arith.negf %v : f32
    linalg.yield %z : f32
  } -> tensor<?x8xf32>
  %r = tensor.expand_shape %s [[0], [1, 2]] output_shape [%batch, 2, 4] : tensor<?x8xf32> into tensor<?x2x4xf32>
  return %r : tensor<?x2x4xf32>
}

// Two products start from one fill: each fills its own destination.
// CHECK-LABEL: @shared_fill
// CHECK: fulgur.kernel
// CHECK: linalg.fill
// CHECK: linalg.matmul
// CHECK: fulgur.kernel
// CHECK: linalg.fill
// CHECK: linalg.matmul
// CHECK: }
// CHECK-NOT: linalg.fill
// CHECK: return
func.func @shared_fill(%a: tensor<4x8xf32>, %b: tensor<8x16xf32>, %c: tensor<8x16xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x16xf32>) -> tensor<4x16xf32>
  %p = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<4x16xf32>) -> tensor<4x16xf32>
  %q = linalg.matmul ins(%a, %c : tensor<4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<4x16xf32>) -> tensor<4x16xf32>
  return %p, %q : tensor<4x16xf32>, tensor<4x16xf32>
}

// What nobody uses is not computed.
// CHECK-LABEL: @unused
// CHECK-NOT: fulgur.kernel
// CHECK: return
func.func @unused(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %r = fulgur.softmax %x {axis = 1 : i64} : tensor<4x8xf32>
  return %x : tensor<4x8xf32>
}

// Two results of equal types, prepared by one fill of one empty tensor, get a destination each.
// CHECK-LABEL: @two_results
// CHECK: fulgur.kernel ins(%{{.*}} : tensor<4x8xi64>) outs(%{{.*}}, %{{.*}} : tensor<4xi64>, tensor<4xi64>) {
// CHECK: ^bb0(%{{.*}}: tensor<4x8xi64>, %[[A:.*]]: tensor<4xi64>, %[[B:.*]]: tensor<4xi64>):
// CHECK-DAG: %[[FA:.*]] = linalg.fill ins(%{{.*}}) outs(%[[A]]
// CHECK-DAG: %[[FB:.*]] = linalg.fill ins(%{{.*}}) outs(%[[B]]
// CHECK: linalg.generic {{.*}} outs(%[[FA]], %[[FB]]
#rows = affine_map<(d0, d1) -> (d0)>
func.func @two_results(%x: tensor<4x8xi64>) -> (tensor<4xi64>, tensor<4xi64>) {
  %zero = arith.constant 0 : i64
  %empty = tensor.empty() : tensor<4xi64>
  %init = linalg.fill ins(%zero : i64) outs(%empty : tensor<4xi64>) -> tensor<4xi64>
  %r:2 = linalg.generic {indexing_maps = [#identity, #rows, #rows], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<4x8xi64>) outs(%init, %init : tensor<4xi64>, tensor<4xi64>) {
  ^bb0(%in: i64, %most: i64, %sum: i64):
    %m = arith.maxsi %in, %most : i64
    %s = arith.addi %in, %sum : i64
    linalg.yield %m, %s : i64, i64
  } -> (tensor<4xi64>, tensor<4xi64>)
  return %r#0, %r#1 : tensor<4xi64>, tensor<4xi64>
}

// A convolution takes its padding along, and pads for itself what another reads as well.
// CHECK-LABEL: @convolutions
// CHECK-NOT: tensor.pad
// CHECK: %[[Y:.*]] = fulgur.kernel ins(%{{.*}}, %{{.*}} : tensor<1x8x4xf32>, tensor<16x4x3xf32>) outs(%{{.*}} : tensor<1x8x16xf32>) {
// CHECK: tensor.pad
// CHECK: linalg.generic
// CHECK: arith.mulf
// CHECK: fulgur.yield
// CHECK: fulgur.kernel ins(%{{.*}}, %{{.*}}, %[[Y]] : tensor<1x8x4xf32>, tensor<16x4x3xf32>, tensor<1x8x16xf32>) outs(%{{.*}} : tensor<1x8x16xf32>) {
// CHECK: tensor.pad
// CHECK: linalg.generic
// CHECK: arith.mulf
// CHECK: linalg.generic
// CHECK: arith.maximumf
// CHECK: fulgur.yield
// CHECK-NOT: fulgur.kernel
#input = affine_map<(n, o, f, k, c) -> (n, o + k, c)>
#weights = affine_map<(n, o, f, k, c) -> (f, c, k)>
#output = affine_map<(n, o, f, k, c) -> (n, o, f)>
#all = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
func.func @convolutions(%x: tensor<1x8x4xf32>, %w: tensor<16x4x3xf32>, %v: tensor<16x4x3xf32>) -> tensor<1x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %p = tensor.pad %x low[0, 1, 0] high[0, 1, 0] {
  ^bb0(%a: index, %b: index, %c: index):
    tensor.yield %zero : f32
  } : tensor<1x8x4xf32> to tensor<1x10x4xf32>
  %empty = tensor.empty() : tensor<1x8x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x8x16xf32>) -> tensor<1x8x16xf32>
  %y = linalg.generic {indexing_maps = [#input, #weights, #output], iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%p, %w : tensor<1x10x4xf32>, tensor<16x4x3xf32>) outs(%init : tensor<1x8x16xf32>) {
  ^bb0(%in: f32, %u: f32, %out: f32):
    %m = arith.mulf %in, %u : f32
    %s = arith.addf %out, %m : f32
    linalg.yield %s : f32
  } -> tensor<1x8x16xf32>
  %z = linalg.generic {indexing_maps = [#input, #weights, #output], iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%p, %v : tensor<1x10x4xf32>, tensor<16x4x3xf32>) outs(%init : tensor<1x8x16xf32>) {
  ^bb0(%in: f32, %u: f32, %out: f32):
    %m = arith.mulf %in, %u : f32
    %s = arith.addf %out, %m : f32
    linalg.yield %s : f32
  } -> tensor<1x8x16xf32>
  %r = linalg.generic {indexing_maps = [#all, #all, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%y, %z : tensor<1x8x16xf32>, tensor<1x8x16xf32>) outs(%empty : tensor<1x8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %s = arith.addf %a, %b : f32
    %m = arith.maximumf %s, %zero : f32
    linalg.yield %m : f32
  } -> tensor<1x8x16xf32>
  return %r : tensor<1x8x16xf32>
}

// A product reads weights that data picks from a table where they are.
// CHECK-LABEL: @picked_weights
// CHECK: fulgur.kernel ins(%{{.*}} : tensor<4xi64>, tensor<9x8x3xf32>, tensor<4x1x8xf32>)
// CHECK: tensor.extract
// CHECK: linalg.batch_matmul
// CHECK-NOT: fulgur.kernel ins
#first = affine_map<(d0, d1, d2) -> (d0)>
#whole = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
func.func @picked_weights(%x: tensor<4x1x8xf32>, %pick: tensor<4xi64>) -> tensor<4x1x3xf32> {
  %table = arith.constant dense<1.0> : tensor<9x8x3xf32>
  %zero = arith.constant 0.0 : f32
  %place = tensor.empty() : tensor<4x8x3xf32>
  %weights = linalg.generic {indexing_maps = [#first, #whole], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%pick : tensor<4xi64>) outs(%place : tensor<4x8x3xf32>) {
  ^bb0(%i: i64, %o: f32):
    %d1 = linalg.index 1 : index
    %d2 = linalg.index 2 : index
    %row = arith.index_cast %i : i64 to index
    %w = tensor.extract %table[%row, %d1, %d2] : tensor<9x8x3xf32>
    linalg.yield %w : f32
  } -> tensor<4x8x3xf32>
  %empty = tensor.empty() : tensor<4x1x3xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x1x3xf32>) -> tensor<4x1x3xf32>
  %r = linalg.batch_matmul ins(%x, %weights : tensor<4x1x8xf32>, tensor<4x8x3xf32>) outs(%init : tensor<4x1x3xf32>) -> tensor<4x1x3xf32>
  return %r : tensor<4x1x3xf32>
}

// Not elements that data picks within the matrices.
// CHECK-LABEL: @picked_elsewhere
// CHECK-COUNT-2: fulgur.kernel
func.func @picked_elsewhere(%x: tensor<4x1x8xf32>, %pick: tensor<8xi64>) -> tensor<4x1x3xf32> {
  %table = arith.constant dense<1.0> : tensor<4x9x3xf32>
  %zero = arith.constant 0.0 : f32
  %place = tensor.empty() : tensor<4x8x3xf32>
  %weights = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d1)>, #whole], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%pick : tensor<8xi64>) outs(%place : tensor<4x8x3xf32>) {
  ^bb0(%i: i64, %o: f32):
    %d0 = linalg.index 0 : index
    %d2 = linalg.index 2 : index
    %row = arith.index_cast %i : i64 to index
    %w = tensor.extract %table[%d0, %row, %d2] : tensor<4x9x3xf32>
    linalg.yield %w : f32
  } -> tensor<4x8x3xf32>
  %empty = tensor.empty() : tensor<4x1x3xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x1x3xf32>) -> tensor<4x1x3xf32>
  %r = linalg.batch_matmul ins(%x, %weights : tensor<4x1x8xf32>, tensor<4x8x3xf32>) outs(%init : tensor<4x1x3xf32>) -> tensor<4x1x3xf32>
  return %r : tensor<4x1x3xf32>
}

// The new rows of a cache go from the projection to their place behind the past.
// CHECK-LABEL: @concatenation
// CHECK: fulgur.kernel ins(%{{.*}} : {{.*}}) outs(%{{.*}} : tensor<2x8x4xf32>)
// CHECK: (%[[NEW:.*]]: tensor<3x12xf32>, %[[PAST:.*]]: tensor<2x5x4xf32>, %[[OUT:.*]]: tensor<2x8x4xf32>):
// CHECK: tensor.extract_slice %[[NEW]][0, 4] [3, 8]
// CHECK: linalg.transpose
// CHECK: %[[FIRST:.*]] = tensor.insert_slice %[[PAST]] into %[[OUT]][0, 0, 0]
// CHECK: tensor.insert_slice %{{.*}} into %[[FIRST]][0, 5, 0]
// CHECK-NOT: fulgur.kernel
// CHECK: return
func.func @concatenation(%past: tensor<2x5x4xf32>, %projected: tensor<3x12xf32>) -> tensor<2x8x4xf32> {
  %slice = tensor.extract_slice %projected[0, 4] [3, 8] [1, 1] : tensor<3x12xf32> to tensor<3x8xf32>
  %heads = tensor.expand_shape %slice [[0], [1, 2]] output_shape [3, 2, 4] : tensor<3x8xf32> into tensor<3x2x4xf32>
  %empty = tensor.empty() : tensor<2x3x4xf32>
  %new = linalg.transpose ins(%heads : tensor<3x2x4xf32>) outs(%empty : tensor<2x3x4xf32>) permutation = [1, 0, 2]
  %all = tensor.concat dim(1) %past, %new : (tensor<2x5x4xf32>, tensor<2x3x4xf32>) -> tensor<2x8x4xf32>
  return %all : tensor<2x8x4xf32>
}

// Attention reads slices where they are, each kernel its own; a slice of every other element is made by another kernel.
// CHECK-LABEL: @attention_of_slices
// CHECK: %[[EVEN:.*]] = fulgur.kernel ins(%[[X:.*]] : tensor<5x24xf32>)
// CHECK-NEXT: ^bb0
// CHECK-NEXT: tensor.extract_slice %{{.*}}[0, 0] [5, 8] [1, 2]
// CHECK: %[[EVEN3:.*]] = tensor.expand_shape %[[EVEN]]
// CHECK: fulgur.kernel ins(%[[X]], %[[EVEN3]] :
// CHECK-NEXT: ^bb0(%[[A:.*]]: tensor<5x24xf32>, %[[V:.*]]: tensor<5x2x4xf32>, %
// CHECK-DAG: %[[QS:.*]] = tensor.extract_slice %[[A]][0, 0] [5, 8] [1, 1]
// CHECK-DAG: %[[Q3:.*]] = tensor.expand_shape %[[QS]]
// CHECK-DAG: %[[KS:.*]] = tensor.extract_slice %[[A]][0, 8] [5, 8] [1, 1]
// CHECK-DAG: %[[K3:.*]] = tensor.expand_shape %[[KS]]
// CHECK: fulgur.attention %[[Q3]], %[[K3]], %[[V]]
// CHECK-NOT: fulgur.kernel
// CHECK: return
func.func @attention_of_slices(%x: tensor<5x24xf32>) -> tensor<5x2x4xf32> {
  %q = tensor.extract_slice %x[0, 0] [5, 8] [1, 1] : tensor<5x24xf32> to tensor<5x8xf32>
  %k = tensor.extract_slice %x[0, 8] [5, 8] [1, 1] : tensor<5x24xf32> to tensor<5x8xf32>
  %v = tensor.extract_slice %x[0, 0] [5, 8] [1, 2] : tensor<5x24xf32> to tensor<5x8xf32>
  %q3 = tensor.expand_shape %q [[0], [1, 2]] output_shape [5, 2, 4] : tensor<5x8xf32> into tensor<5x2x4xf32>
  %k3 = tensor.expand_shape %k [[0], [1, 2]] output_shape [5, 2, 4] : tensor<5x8xf32> into tensor<5x2x4xf32>
  %v3 = tensor.expand_shape %v [[0], [1, 2]] output_shape [5, 2, 4] : tensor<5x8xf32> into tensor<5x2x4xf32>
  %r = fulgur.attention %q3, %k3, %v3 maps [affine_map<(h, i, d, j, n) -> (i, h, d)>, affine_map<(h, i, d, j, n) -> (j, h, d)>,
      affine_map<(h, i, d, j, n) -> (j, h, n)>, affine_map<(h, i, d, j, n) -> (i, h, n)>] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<5x2x4xf32>, tensor<5x2x4xf32>, tensor<5x2x4xf32> -> tensor<5x2x4xf32>
  return %r : tensor<5x2x4xf32>
}

// Loops over slices whose results are put together write them where they belong; the epilogue of a product stays with the product.
// CHECK-LABEL: @parts_of_slices
// CHECK: fulgur.kernel ins(%{{.*}}, %{{.*}} : tensor<4x8xf32>, tensor<8x4xf32>)
// CHECK: linalg.matmul
// CHECK: arith.negf
// CHECK: %[[P:.*]] = fulgur.kernel
// CHECK: ^bb0
// CHECK: tensor.extract_slice %{{.*}}[0, 4] [4, 4] [1, 1]
// CHECK: arith.negf
// CHECK: tensor.extract_slice %{{.*}}[0, 0] [4, 4] [1, 1]
// CHECK: tensor.extract_slice %{{.*}}[0, 4] [4, 4] [1, 1]
// CHECK: arith.addf
// CHECK: tensor.insert_slice
// CHECK: tensor.insert_slice
// CHECK: tensor.insert_slice
// CHECK: fulgur.yield
// CHECK-NOT: fulgur.kernel
// CHECK: return
func.func @parts_of_slices(%x: tensor<4x8xf32>, %w: tensor<8x4xf32>) -> tensor<4x12xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x4xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
  %p = linalg.matmul ins(%x, %w : tensor<4x8xf32>, tensor<8x4xf32>) outs(%init : tensor<4x4xf32>) -> tensor<4x4xf32>
  %n = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%p : tensor<4x4xf32>) outs(%e : tensor<4x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.negf %a : f32
    linalg.yield %r : f32
  } -> tensor<4x4xf32>
  %x0 = tensor.extract_slice %x[0, 0] [4, 4] [1, 1] : tensor<4x8xf32> to tensor<4x4xf32>
  %x1 = tensor.extract_slice %x[0, 4] [4, 4] [1, 1] : tensor<4x8xf32> to tensor<4x4xf32>
  %m = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%x1 : tensor<4x4xf32>) outs(%e : tensor<4x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.negf %a : f32
    linalg.yield %r : f32
  } -> tensor<4x4xf32>
  %s = linalg.generic {indexing_maps = [#identity, #identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%x0, %x1 : tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<4x4xf32>
  %c = tensor.concat dim(1) %n, %m, %s : (tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x12xf32>
  return %c : tensor<4x12xf32>
}

// Weights of few bits go with the product that takes them, with each one if there are several.
// CHECK-LABEL: @few_bits
// CHECK: fulgur.kernel ins({{.*}} : tensor<8x4xi8>, tensor<2x4xf32>, tensor<1x8xf32>)
// CHECK: fulgur.dequantize
// CHECK: linalg.matmul
// CHECK: fulgur.kernel ins({{.*}} : tensor<8x4xi8>, tensor<2x4xf32>, tensor<3x8xf32>)
// CHECK: fulgur.dequantize
// CHECK: linalg.matmul
// CHECK-NOT: fulgur.dequantize
// CHECK: return
func.func @few_bits(%x: tensor<1x8xf32>, %y: tensor<3x8xf32>) -> (tensor<1x4xf32>, tensor<3x4xf32>) {
  %zero = arith.constant 0.0 : f32
  %codes = arith.constant dense<1> : tensor<8x4xi8>
  %scale = arith.constant dense<1.0> : tensor<2x4xf32>
  %w = fulgur.dequantize %codes, %scale {axis = 0 : i64, bits = 4 : i64, block = 4 : i64} : tensor<8x4xi8>, tensor<2x4xf32> -> tensor<8x4xf32>
  %empty1 = tensor.empty() : tensor<1x4xf32>
  %init1 = linalg.fill ins(%zero : f32) outs(%empty1 : tensor<1x4xf32>) -> tensor<1x4xf32>
  %r1 = linalg.matmul ins(%x, %w : tensor<1x8xf32>, tensor<8x4xf32>) outs(%init1 : tensor<1x4xf32>) -> tensor<1x4xf32>
  %empty3 = tensor.empty() : tensor<3x4xf32>
  %init3 = linalg.fill ins(%zero : f32) outs(%empty3 : tensor<3x4xf32>) -> tensor<3x4xf32>
  %r3 = linalg.matmul ins(%y, %w : tensor<3x8xf32>, tensor<8x4xf32>) outs(%init3 : tensor<3x4xf32>) -> tensor<3x4xf32>
  return %r1, %r3 : tensor<1x4xf32>, tensor<3x4xf32>
}

// A normalization writes its rows rounded, too, and only so when nobody else reads them.
// CHECK-LABEL: @rounded_norm
// CHECK: %[[R:.*]] = fulgur.kernel ins(%{{.*}}, %{{.*}} : tensor<4x16xf32>, tensor<16xf32>) outs(%{{.*}} : tensor<4x16xbf16>)
// CHECK: fulgur.rms_norm
// CHECK: arith.truncf
// CHECK: fulgur.yield %{{.*}} : tensor<4x16xbf16>
// CHECK-NOT: fulgur.kernel
// CHECK: return %[[R]]
func.func @rounded_norm(%x: tensor<4x16xf32>, %scale: tensor<16xf32>) -> tensor<4x16xbf16> {
  %norm = fulgur.rms_norm %x, %scale {axis = 1 : i64, epsilon = 1.0e-5 : f32} : tensor<4x16xf32>, tensor<16xf32>
  %empty = tensor.empty() : tensor<4x16xbf16>
  %r = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%norm : tensor<4x16xf32>) outs(%empty : tensor<4x16xbf16>) {
  ^bb0(%a: f32, %o: bf16):
    %z = arith.truncf %a : f32 to bf16
    linalg.yield %z : bf16
  } -> tensor<4x16xbf16>
  return %r : tensor<4x16xbf16>
}

// CHECK-LABEL: @rounded_norm_of_two_users
// CHECK: %[[R:.*]]:2 = fulgur.kernel ins(%{{.*}} : tensor<4x16xf32>, tensor<4x16xf32>, tensor<16xf32>) outs(%{{.*}} : tensor<4x16xbf16>, tensor<4x16xf32>)
// CHECK: arith.addf
// CHECK: %[[N:.*]] = fulgur.rms_norm
// CHECK: fulgur.yield %{{.*}}, %[[N]] : tensor<4x16xbf16>, tensor<4x16xf32>
// CHECK: fulgur.kernel ins(%[[R]]#1
// CHECK: arith.negf
func.func @rounded_norm_of_two_users(%x: tensor<4x16xf32>, %y: tensor<4x16xf32>, %scale: tensor<16xf32>) -> (tensor<4x16xbf16>, tensor<4x16xf32>) {
  %wide = tensor.empty() : tensor<4x16xf32>
  %sum = linalg.generic {indexing_maps = [#identity, #identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%x, %y : tensor<4x16xf32>, tensor<4x16xf32>) outs(%wide : tensor<4x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %z = arith.addf %a, %b : f32
    linalg.yield %z : f32
  } -> tensor<4x16xf32>
  %norm = fulgur.rms_norm %sum, %scale {axis = 1 : i64, epsilon = 1.0e-5 : f32} : tensor<4x16xf32>, tensor<16xf32>
  %empty = tensor.empty() : tensor<4x16xbf16>
  %r = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%norm : tensor<4x16xf32>) outs(%empty : tensor<4x16xbf16>) {
  ^bb0(%a: f32, %o: bf16):
    %z = arith.truncf %a : f32 to bf16
    linalg.yield %z : bf16
  } -> tensor<4x16xbf16>
  %n = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%norm : tensor<4x16xf32>) outs(%wide : tensor<4x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %z = arith.negf %a : f32
    linalg.yield %z : f32
  } -> tensor<4x16xf32>
  return %r, %n : tensor<4x16xbf16>, tensor<4x16xf32>
}

// A product of bfloat16 writes its result as it is and rounded, if others read it as it is; one of f32 does not.
// CHECK-LABEL: @rounded_product
// CHECK: %[[R:.*]]:2 = fulgur.kernel ins(%{{.*}} : tensor<4x16xbf16>, tensor<16x16xbf16>, tensor<16xf32>) outs(%{{.*}} : tensor<4x16xbf16>, tensor<4x16xf32>)
// CHECK: arith.mulf
// CHECK: %[[S:.*]] = linalg.generic
// CHECK: %[[N:.*]] = linalg.generic {{.*}} ins(%[[S]] : tensor<4x16xf32>)
// CHECK: arith.truncf
// CHECK: fulgur.yield %[[N]], %[[S]] : tensor<4x16xbf16>, tensor<4x16xf32>
// CHECK: fulgur.kernel ins(%[[R]]#1
// CHECK: return %[[R]]#0
func.func @rounded_product(%x: tensor<4x16xbf16>, %w: tensor<16x16xbf16>, %bias: tensor<16xf32>) -> (tensor<4x16xbf16>, tensor<4x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %wide = tensor.empty() : tensor<4x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%wide : tensor<4x16xf32>) -> tensor<4x16xf32>
  %p = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<4x16xbf16>, tensor<16x16xbf16>) outs(%init : tensor<4x16xf32>) {
  ^bb0(%a: bf16, %b: bf16, %s: f32):
    %aw = arith.extf %a : bf16 to f32
    %bw = arith.extf %b : bf16 to f32
    %q = arith.mulf %aw, %bw : f32
    %t = arith.addf %s, %q : f32
    linalg.yield %t : f32
  } -> tensor<4x16xf32>
  %sum = linalg.generic {indexing_maps = [#identity, #row, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%p, %bias : tensor<4x16xf32>, tensor<16xf32>) outs(%wide : tensor<4x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %z = arith.addf %a, %b : f32
    linalg.yield %z : f32
  } -> tensor<4x16xf32>
  %empty = tensor.empty() : tensor<4x16xbf16>
  %r = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%sum : tensor<4x16xf32>) outs(%empty : tensor<4x16xbf16>) {
  ^bb0(%a: f32, %o: bf16):
    %z = arith.truncf %a : f32 to bf16
    linalg.yield %z : bf16
  } -> tensor<4x16xbf16>
  %n = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%sum : tensor<4x16xf32>) outs(%wide : tensor<4x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %z = arith.negf %a : f32
    linalg.yield %z : f32
  } -> tensor<4x16xf32>
  return %r, %n : tensor<4x16xbf16>, tensor<4x16xf32>
}

// Planes that become pixels are one kernel with the loop that makes their bytes; what pads the channels is in it.
// CHECK-LABEL: @pixels
// CHECK: fulgur.kernel ins(%{{.*}} : tensor<1x3x4x4xf32>) outs(%{{.*}} : tensor<1x4x4x4xi8>)
// CHECK: linalg.generic
// CHECK: tensor.pad
// CHECK: linalg.transpose
// CHECK: fulgur.yield
// CHECK-NOT: fulgur.kernel
func.func @pixels(%x: tensor<1x3x4x4xf32>) -> tensor<1x4x4x4xi8> {
  %z = arith.constant 5 : i8
  %e = tensor.empty() : tensor<1x3x4x4xi8>
  %t = tensor.empty() : tensor<1x4x4x4xi8>
  %b = linalg.generic {indexing_maps = [affine_map<(n, c, h, w) -> (n, c, h, w)>, affine_map<(n, c, h, w) -> (n, c, h, w)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%x : tensor<1x3x4x4xf32>) outs(%e : tensor<1x3x4x4xi8>) {
  ^bb0(%i: f32, %o: i8):
    %0 = arith.fptosi %i : f32 to i8
    linalg.yield %0 : i8
  } -> tensor<1x3x4x4xi8>
  %p = tensor.pad %b low[0, 0, 0, 0] high[0, 1, 0, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %z : i8
  } : tensor<1x3x4x4xi8> to tensor<1x4x4x4xi8>
  %y = linalg.transpose ins(%p : tensor<1x4x4x4xi8>) outs(%t : tensor<1x4x4x4xi8>) permutation = [0, 2, 3, 1]
  return %y : tensor<1x4x4x4xi8>
}

// What is inserted into a state is written where it belongs; the kernel keeps the rest. Two insertions are one kernel, or two when
// somebody reads what is there in between.
// CHECK-LABEL: @state
// CHECK-SAME: %[[STATE:.*]]: tensor<9x4xf32>
// CHECK: %[[AFTER:.*]] = fulgur.kernel ins(%arg1, %{{.*}} : tensor<1x4xf32>, index) outs(%[[STATE]] : tensor<9x4xf32>) keeps {
// CHECK: ^bb0(%[[NEW:.*]]: tensor<1x4xf32>, %[[AT:.*]]: index, %[[OUT:.*]]: tensor<9x4xf32>):
// CHECK: tensor.insert_slice %[[NEW]] into %[[OUT]][%[[AT]], 0]
// CHECK: fulgur.kernel ins(%[[AFTER]] : tensor<9x4xf32>)
// CHECK: fulgur.kernel ins(%arg1 : tensor<1x4xf32>) outs(%[[AFTER]] : tensor<9x4xf32>) keeps {
func.func @state(%state: tensor<9x4xf32> {fulgur.state = 0 : i64}, %a: tensor<1x4xf32>) -> (tensor<9x4xf32>, tensor<9x4xf32>) {
  %past = fulgur.symbol "past"
  %0 = tensor.insert_slice %a into %state[%past, 0] [1, 4] [1, 1] : tensor<1x4xf32> into tensor<9x4xf32>
  %1 = fulgur.softmax %0 {axis = 1 : i64} : tensor<9x4xf32>
  %2 = tensor.insert_slice %a into %0[8, 0] [1, 4] [1, 1] : tensor<1x4xf32> into tensor<9x4xf32>
  return %2, %1 : tensor<9x4xf32>, tensor<9x4xf32>
}

// What is no state, or is read by the same kernel, is copied.
// CHECK-LABEL: @negative_state
// CHECK-NOT: keeps
// CHECK: return
func.func @negative_state(%state: tensor<9x4xf32> {fulgur.state = 0 : i64}, %x: tensor<9x4xf32>, %a: tensor<1x4xf32>) -> (tensor<9x4xf32>, tensor<9x4xf32>) {
  %0 = tensor.insert_slice %a into %x[3, 0] [1, 4] [1, 1] : tensor<1x4xf32> into tensor<9x4xf32>
  %part = tensor.extract_slice %state[0, 0] [2, 4] [1, 1] : tensor<9x4xf32> to tensor<2x4xf32>
  %1 = tensor.insert_slice %part into %state[3, 0] [2, 4] [1, 1] : tensor<2x4xf32> into tensor<9x4xf32>
  return %1, %0 : tensor<9x4xf32>, tensor<9x4xf32>
}

// Convolutions whose results are parts of one tensor write them there, one after the other. What is interleaved and then
// concatenated goes to its place at once. Channels in front are no vectors, and are written apart.
#cx = affine_map<(d0, d1, d2, d3) -> (d0 + d2, d3)>
#cw = affine_map<(d0, d1, d2, d3) -> (d1, d3, d2)>
#cy = affine_map<(d0, d1, d2, d3) -> (d0, d1)>
// CHECK-LABEL: @parts
// CHECK: %[[FIRST:.*]] = fulgur.kernel ins(%arg0, %arg1 : tensor<5x8xf32>, tensor<16x8x2xf32>) outs(%{{.*}} : tensor<8x20xf32>) {
// CHECK: %[[SUMS:.*]] = linalg.generic
// CHECK: tensor.insert_slice %[[SUMS]] into %{{.*}}[0, 0] [4, 16] [2, 1]
// CHECK: %[[SECOND:.*]] = fulgur.kernel ins(%arg0, %arg2 : tensor<5x8xf32>, tensor<16x8x2xf32>) outs(%[[FIRST]] : tensor<8x20xf32>) keeps {
// CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[1, 0] [4, 16] [2, 1]
// CHECK: %[[ALL:.*]] = fulgur.kernel ins(%arg3 : tensor<8x4xf32>) outs(%[[SECOND]] : tensor<8x20xf32>) keeps {
// CHECK: return %[[ALL]]
func.func @parts(%x: tensor<5x8xf32>, %a: tensor<16x8x2xf32>, %b: tensor<16x8x2xf32>, %skip: tensor<8x4xf32>) -> tensor<8x20xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x16xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4x16xf32>) -> tensor<4x16xf32>
  %0 = linalg.generic {indexing_maps = [#cx, #cw, #cy], iterator_types = ["parallel", "parallel", "reduction", "reduction"]} ins(%x, %a : tensor<5x8xf32>, tensor<16x8x2xf32>) outs(%f : tensor<4x16xf32>) {
  ^bb0(%i: f32, %w: f32, %o: f32):
    %m = arith.mulf %i, %w : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<4x16xf32>
  %1 = linalg.generic {indexing_maps = [#cx, #cw, #cy], iterator_types = ["parallel", "parallel", "reduction", "reduction"]} ins(%x, %b : tensor<5x8xf32>, tensor<16x8x2xf32>) outs(%f : tensor<4x16xf32>) {
  ^bb0(%i: f32, %w: f32, %o: f32):
    %m = arith.mulf %i, %w : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<4x16xf32>
  %all = tensor.empty() : tensor<8x16xf32>
  %2 = tensor.insert_slice %0 into %all[0, 0] [4, 16] [2, 1] : tensor<4x16xf32> into tensor<8x16xf32>
  %3 = tensor.insert_slice %1 into %2[1, 0] [4, 16] [2, 1] : tensor<4x16xf32> into tensor<8x16xf32>
  %y = tensor.concat dim(1) %3, %skip : (tensor<8x16xf32>, tensor<8x4xf32>) -> tensor<8x20xf32>
  return %y : tensor<8x20xf32>
}

#ny = affine_map<(d0, d1, d2, d3) -> (d1, d0)>
// CHECK-LABEL: @negative_parts
// CHECK: %[[SUMS:.*]] = fulgur.kernel ins(%arg0, %arg1
// CHECK: fulgur.kernel ins(%[[SUMS]] : tensor<16x4xf32>) outs(%{{.*}} : tensor<16x8xf32>) {
func.func @negative_parts(%x: tensor<5x8xf32>, %a: tensor<16x8x2xf32>) -> tensor<16x8xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<16x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<16x4xf32>) -> tensor<16x4xf32>
  %0 = linalg.generic {indexing_maps = [#cx, #cw, #ny], iterator_types = ["parallel", "parallel", "reduction", "reduction"]} ins(%x, %a : tensor<5x8xf32>, tensor<16x8x2xf32>) outs(%f : tensor<16x4xf32>) {
  ^bb0(%i: f32, %w: f32, %o: f32):
    %m = arith.mulf %i, %w : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<16x4xf32>
  %all = tensor.empty() : tensor<16x8xf32>
  %2 = tensor.insert_slice %0 into %all[0, 0] [16, 4] [1, 2] : tensor<16x4xf32> into tensor<16x8xf32>
  return %2 : tensor<16x8xf32>
}

// Few channels behind many are copied with them: equal convolutions of such have one kernel then.
// CHECK-LABEL: @negative_few_channels
// CHECK: %[[SUMS:.*]] = fulgur.kernel ins(%arg0, %arg1 : tensor<5x8xf32>, tensor<16x8x2xf32>) outs(%{{.*}} : tensor<4x16xf32>) {
// CHECK: fulgur.kernel ins(%{{.*}}%[[SUMS]]{{.*}}) outs(%{{.*}} : tensor<4x56xf32>) {
func.func @negative_few_channels(%x: tensor<5x8xf32>, %a: tensor<16x8x2xf32>, %before: tensor<4x40xf32>) -> tensor<4x56xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x16xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4x16xf32>) -> tensor<4x16xf32>
  %0 = linalg.generic {indexing_maps = [#cx, #cw, #cy], iterator_types = ["parallel", "parallel", "reduction", "reduction"]} ins(%x, %a : tensor<5x8xf32>, tensor<16x8x2xf32>) outs(%f : tensor<4x16xf32>) {
  ^bb0(%i: f32, %w: f32, %o: f32):
    %m = arith.mulf %i, %w : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<4x16xf32>
  %y = tensor.concat dim(1) %before, %0 : (tensor<4x40xf32>, tensor<4x16xf32>) -> tensor<4x56xf32>
  return %y : tensor<4x56xf32>
}

// So is what a loop inserts, row by row.
// CHECK-LABEL: @state_of_sequences
// CHECK: fulgur.kernel ins(%arg1, %arg2 : tensor<2x1x4xf32>, tensor<2xindex>) outs(%arg0 : tensor<2x9x4xf32>) keeps {
// CHECK: ^bb0(%[[NEW:.*]]: tensor<2x1x4xf32>, %{{.*}}: tensor<2xindex>, %[[OUT:.*]]: tensor<2x9x4xf32>):
// CHECK: scf.for {{.*}} iter_args(%[[NOW:.*]] = %[[OUT]])
// CHECK: tensor.extract_slice %[[NEW]]
// CHECK: tensor.insert_slice %{{.*}} into %[[NOW]]
func.func @state_of_sequences(%state: tensor<2x9x4xf32> {fulgur.state = 0 : i64}, %new: tensor<2x1x4xf32>, %starts: tensor<2xindex>) -> tensor<2x9x4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %all = scf.for %i = %c0 to %c2 step %c1 iter_args(%now = %state) -> tensor<2x9x4xf32> {
    %part = tensor.extract_slice %new[%i, 0, 0] [1, 1, 4] [1, 1, 1] : tensor<2x1x4xf32> to tensor<1x1x4xf32>
    %start = tensor.extract %starts[%i] : tensor<2xindex>
    %next = tensor.insert_slice %part into %now[%i, %start, 0] [1, 1, 4] [1, 1, 1] : tensor<1x1x4xf32> into tensor<2x9x4xf32>
    scf.yield %next : tensor<2x9x4xf32>
  }
  return %all : tensor<2x9x4xf32>
}

// A loop that reads the state besides is for a copy.
// CHECK-LABEL: @negative_state_of_sequences
// CHECK-NOT: keeps
// CHECK: return
func.func @negative_state_of_sequences(%state: tensor<2x9x4xf32> {fulgur.state = 0 : i64}) -> tensor<2x9x4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %all = scf.for %i = %c0 to %c2 step %c1 iter_args(%now = %state) -> tensor<2x9x4xf32> {
    %part = tensor.extract_slice %state[%i, 0, 0] [1, 1, 4] [1, 1, 1] : tensor<2x9x4xf32> to tensor<1x1x4xf32>
    %next = tensor.insert_slice %part into %now[0, %i, 0] [1, 1, 4] [1, 1, 1] : tensor<1x1x4xf32> into tensor<2x9x4xf32>
    scf.yield %next : tensor<2x9x4xf32>
  }
  return %all : tensor<2x9x4xf32>
}

// Attention makes numbers of keys and values that are bytes itself, and reads the bytes through slices.
// CHECK-LABEL: @bytes
// CHECK-NOT: linalg.generic
// CHECK: fulgur.kernel ins(%arg1, %arg2, %arg0, %arg3 : tensor<2x9x4xi8>, tensor<2x9xf32>, tensor<2x3x4xf32>, tensor<2x5x4xf32>)
// CHECK: %[[CODES:.*]] = tensor.extract_slice %{{.*}}[0, 0, 0] [2, 5, 4]
// CHECK: %[[KEYS:.*]] = linalg.generic
// CHECK-SAME: ins(%[[CODES]]
// CHECK: fulgur.attention %{{.*}}, %[[KEYS]]
func.func @bytes(%q: tensor<2x3x4xf32>, %codes: tensor<2x9x4xi8>, %scales: tensor<2x9xf32>, %v: tensor<2x5x4xf32>) -> tensor<2x3x4xf32> {
  %keys = tensor.extract_slice %codes[0, 0, 0] [2, 5, 4] [1, 1, 1] : tensor<2x9x4xi8> to tensor<2x5x4xi8>
  %rows = tensor.extract_slice %scales[0, 0] [2, 5] [1, 1] : tensor<2x9xf32> to tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x4xf32>
  %k = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>],
      iterator_types = ["parallel", "parallel", "parallel"]} ins(%keys, %rows : tensor<2x5x4xi8>, tensor<2x5xf32>) outs(%e : tensor<2x5x4xf32>) {
  ^bb0(%code: i8, %scale: f32, %o: f32):
    %wide = arith.sitofp %code : i8 to f32
    %number = arith.mulf %wide, %scale : f32
    linalg.yield %number : f32
  } -> tensor<2x5x4xf32>
  %y = fulgur.attention %q, %k, %v maps [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d3, d2)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4)>] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<2x3x4xf32>, tensor<2x5x4xf32>, tensor<2x5x4xf32> -> tensor<2x3x4xf32>
  return %y : tensor<2x3x4xf32>
}

// A reduction reads a slice where it is.
// CHECK-LABEL: @reduction_of_slice
// CHECK: fulgur.kernel
// CHECK: tensor.extract_slice %{{.*}}[0, 8] [5, 8] [1, 1]
// CHECK: linalg.generic
// CHECK-NOT: fulgur.kernel
// CHECK: return
func.func @reduction_of_slice(%x: tensor<5x24xf32>) -> tensor<8xf32> {
  %zero = arith.constant 0.0 : f32
  %slice = tensor.extract_slice %x[0, 8] [5, 8] [1, 1] : tensor<5x24xf32> to tensor<5x8xf32>
  %empty = tensor.empty() : tensor<8xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<8xf32>) -> tensor<8xf32>
  %sum = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]}
      ins(%slice : tensor<5x8xf32>) outs(%init : tensor<8xf32>) {
  ^bb0(%a: f32, %s: f32):
    %t = arith.addf %s, %a : f32
    linalg.yield %t : f32
  } -> tensor<8xf32>
  return %sum : tensor<8xf32>
}

// Of a state that more is inserted into, it does not: behind the insertion there would be other rows.
// CHECK-LABEL: @negative_reduction_of_state
// CHECK: %[[OLD:.*]] = fulgur.kernel ins(%arg0 : tensor<5x24xf32>) outs(%{{.*}} : tensor<4x24xf32>)
// CHECK: fulgur.kernel ins(%arg1 : tensor<1x24xf32>) outs(%arg0 : tensor<5x24xf32>) keeps
// CHECK: fulgur.kernel ins(%[[OLD]] : tensor<4x24xf32>)
func.func @negative_reduction_of_state(%state: tensor<5x24xf32> {fulgur.state = 0 : i64}, %new: tensor<1x24xf32>) -> (tensor<5x24xf32>, tensor<24xf32>) {
  %zero = arith.constant 0.0 : f32
  %old = tensor.extract_slice %state[0, 0] [4, 24] [1, 1] : tensor<5x24xf32> to tensor<4x24xf32>
  %next = tensor.insert_slice %new into %state[4, 0] [1, 24] [1, 1] : tensor<1x24xf32> into tensor<5x24xf32>
  %empty = tensor.empty() : tensor<24xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<24xf32>) -> tensor<24xf32>
  %sum = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]}
      ins(%old : tensor<4x24xf32>) outs(%init : tensor<24xf32>) {
  ^bb0(%a: f32, %s: f32):
    %t = arith.addf %s, %a : f32
    linalg.yield %t : f32
  } -> tensor<24xf32>
  return %next, %sum : tensor<5x24xf32>, tensor<24xf32>
}

#query = affine_map<(h, g, i, d, j, n) -> (h, g, i, d)>
#key = affine_map<(h, g, i, d, j, n) -> (h, j, d)>
#value = affine_map<(h, g, i, d, j, n) -> (h, j, n)>
#mixed = affine_map<(h, g, i, d, j, n) -> (h, g, i, n)>

// Earlier keys and values that the model returns with new ones are copied by the kernel of attention, when the new ones are there.
// CHECK-LABEL: @past
// CHECK: %[[NEWKEYS:.*]] = fulgur.kernel ins(%arg2 : tensor<2x1x16xf32>) outs(%{{.*}} : tensor<2x9x16xf32>) {
// CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[0, 8, 0] [2, 1, 16]
// CHECK: %[[NEWVALUES:.*]] = fulgur.kernel ins(%arg4 : tensor<1x2x32xf32>) outs(%{{.*}} : tensor<2x9x32xf32>) {
// CHECK: linalg.transpose
// CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[0, 8, 0] [2, 1, 32]
// CHECK: %[[R:.*]]:3 = fulgur.kernel ins(%arg1, %arg3, %arg0 : {{.*}}) outs(%{{.*}}, %[[NEWKEYS]], %[[NEWVALUES]] : {{.*}}) keeps {
// CHECK: ^bb0(%[[K:.*]]: tensor<2x8x16xf32>, %[[V:.*]]: tensor<2x8x32xf32>, %[[Q:.*]]: tensor<2x3x1x16xf32>, %{{.*}}: tensor<2x3x1x32xf32>, %[[KS:.*]]: tensor<2x9x16xf32>, %[[VS:.*]]: tensor<2x9x32xf32>):
// CHECK: %[[KEYS:.*]] = tensor.insert_slice %[[K]] into %[[KS]][0, 0, 0] [2, 8, 16]
// CHECK: %[[VALUES:.*]] = tensor.insert_slice %[[V]] into %[[VS]][0, 0, 0] [2, 8, 32]
// CHECK: fulgur.attention %[[Q]], %[[KEYS]], %[[VALUES]]
// CHECK: return %[[R]]#0, %[[R]]#1, %[[R]]#2
func.func @past(%q: tensor<2x3x1x16xf32>, %keys: tensor<2x8x16xf32>, %k: tensor<2x1x16xf32>, %values: tensor<2x8x32xf32>, %v: tensor<1x2x32xf32>)
    -> (tensor<2x3x1x32xf32>, tensor<2x9x16xf32>, tensor<2x9x32xf32>) {
  %e = tensor.empty() : tensor<2x1x32xf32>
  %vt = linalg.transpose ins(%v : tensor<1x2x32xf32>) outs(%e : tensor<2x1x32xf32>) permutation = [1, 0, 2]
  %ks = tensor.concat dim(1) %keys, %k : (tensor<2x8x16xf32>, tensor<2x1x16xf32>) -> tensor<2x9x16xf32>
  %vs = tensor.concat dim(1) %values, %vt : (tensor<2x8x32xf32>, tensor<2x1x32xf32>) -> tensor<2x9x32xf32>
  %y = fulgur.attention %q, %ks, %vs maps [#query, #key, #value, #mixed] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<2x3x1x16xf32>, tensor<2x9x16xf32>, tensor<2x9x32xf32> -> tensor<2x3x1x32xf32>
  return %y, %ks, %vs : tensor<2x3x1x32xf32>, tensor<2x9x16xf32>, tensor<2x9x32xf32>
}

// Not where rows are no whole cache lines, or where somebody reads the values besides.
// CHECK-LABEL: @negative_past
// CHECK-NOT: keeps
// CHECK: fulgur.kernel
// CHECK: fulgur.attention
// CHECK-NOT: keeps
// CHECK: return
func.func @negative_past(%q: tensor<2x3x1x12xf32>, %keys: tensor<2x8x12xf32>, %k: tensor<2x1x12xf32>, %values: tensor<2x8x32xf32>, %v: tensor<2x1x32xf32>)
    -> (tensor<2x3x1x32xf32>, tensor<2x9x12xf32>, tensor<9x2x32xf32>) {
  %ks = tensor.concat dim(1) %keys, %k : (tensor<2x8x12xf32>, tensor<2x1x12xf32>) -> tensor<2x9x12xf32>
  %vs = tensor.concat dim(1) %values, %v : (tensor<2x8x32xf32>, tensor<2x1x32xf32>) -> tensor<2x9x32xf32>
  %y = fulgur.attention %q, %ks, %vs maps [#query, #key, #value, #mixed] {
  ^bb0(%s: f32, %i: index, %j: index):
    fulgur.yield %s : f32
  } : tensor<2x3x1x12xf32>, tensor<2x9x12xf32>, tensor<2x9x32xf32> -> tensor<2x3x1x32xf32>
  %e = tensor.empty() : tensor<9x2x32xf32>
  %turned = linalg.transpose ins(%vs : tensor<2x9x32xf32>) outs(%e : tensor<9x2x32xf32>) permutation = [1, 0, 2]
  return %y, %ks, %turned : tensor<2x3x1x32xf32>, tensor<2x9x12xf32>, tensor<9x2x32xf32>
}
