// RUN: fulgur-opt %s --split-input-file --fulgur-raise-slices --canonicalize --cse | FileCheck %s
// RUN: fulgur-opt %s --split-input-file --verify-numerics-each --fulgur-raise-slices -o %t.mlir 2>&1 | FileCheck %s --check-prefix=RIGHT
// RIGHT-NOT: error
// RIGHT-COUNT-12: numerics: 1 changes of the IR checked{{$}}
// What a slice is taken of is computed for the slice only.

// An operand that has the dim is sliced, one that has not stays; so the slice goes up to what is given.
// CHECK-LABEL: fulgur.model = "elementwise"
// CHECK: @main(%[[X:[a-z0-9]+]]: tensor<2x8x4xf32>, %[[Y:[a-z0-9]+]]: tensor<1x8x4xf32>, %[[Z:[a-z0-9]+]]: tensor<2x8x4xf32>
// CHECK-DAG: %[[XS:.*]] = tensor.extract_slice %[[X]][0, 3, 0] [2, 1, 4] [1, 1, 1]
// CHECK-DAG: %[[YS:.*]] = tensor.extract_slice %[[Y]][0, 3, 0] [1, 1, 4] [1, 1, 1]
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} ins(%[[XS]], %[[YS]] : tensor<2x1x4xf32>, tensor<1x1x4xf32>)
// CHECK: %[[ZS:.*]] = tensor.extract_slice %[[Z]][0, 3, 0] [2, 1, 4] [1, 1, 1]
// CHECK: %[[PRODUCT:.*]] = linalg.generic {{.*}} ins(%[[SUM]], %[[ZS]] : tensor<2x1x4xf32>, tensor<2x1x4xf32>)
// CHECK: return %[[PRODUCT]]
#id3 = affine_map<(b, i, j) -> (b, i, j)>
#first = affine_map<(b, i, j) -> (0, i, j)>
module attributes {fulgur.model = "elementwise", fulgur.symbols = []} {
  func.func @main(%x: tensor<2x8x4xf32>, %y: tensor<1x8x4xf32>, %z: tensor<2x8x4xf32>) -> tensor<2x1x4xf32> {
    %empty = tensor.empty() : tensor<2x8x4xf32>
    %sum = linalg.generic {indexing_maps = [#id3, #first, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%x, %y : tensor<2x8x4xf32>, tensor<1x8x4xf32>) outs(%empty : tensor<2x8x4xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %c = arith.addf %a, %b : f32
      linalg.yield %c : f32
    } -> tensor<2x8x4xf32>
    %product = linalg.generic {indexing_maps = [#id3, #id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%sum, %z : tensor<2x8x4xf32>, tensor<2x8x4xf32>) outs(%empty : tensor<2x8x4xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %c = arith.mulf %a, %b : f32
      linalg.yield %c : f32
    } -> tensor<2x8x4xf32>
    %row = tensor.extract_slice %product[0, 3, 0] [2, 1, 4] [1, 1, 1] : tensor<2x8x4xf32> to tensor<2x1x4xf32>
    return %row : tensor<2x1x4xf32>
  }
}

// -----

// The first row of each image, whose rows lie in one matrix: products, a residual that is used twice, and a norm.
// CHECK-LABEL: fulgur.model = "rows_of_images"
// CHECK: @main(%[[X:[a-z0-9]+]]: tensor<?x10x16xf32>
// CHECK: %[[BATCH:.*]] = fulgur.symbol "batch"
// CHECK: %[[SLICE:.*]] = tensor.extract_slice %[[X]][0, 0, 0] [%[[BATCH]], 1, 16] [1, 1, 1]
// CHECK: %[[ROWS:.*]] = tensor.collapse_shape %[[SLICE]] {{\[\[}}0, 1], [2]] : tensor<?x1x16xf32> into tensor<?x16xf32>
// CHECK: %[[EMPTY:.*]] = tensor.empty(%[[BATCH]]) : tensor<?x16xf32>
// CHECK: %[[ZERO:.*]] = linalg.fill {{.*}} outs(%[[EMPTY]] : tensor<?x16xf32>)
// CHECK: %[[P:.*]] = linalg.matmul ins(%[[ROWS]], {{.*}} outs(%[[ZERO]] : tensor<?x16xf32>)
// CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%[[P]], %[[ROWS]] : tensor<?x16xf32>, tensor<?x16xf32>)
// CHECK: fulgur.layer_norm {{.*}} : tensor<?x1x16xf32>
// CHECK: linalg.matmul
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %[[R]] : tensor<?x16xf32>, tensor<?x16xf32>)
// CHECK-NOT: tensor.extract_slice
// CHECK: return %{{.*}} : tensor<?x16xf32>
#id2 = affine_map<(i, j) -> (i, j)>
module attributes {fulgur.model = "rows_of_images", fulgur.symbols = [{max = 9 : i64, min = 2 : i64, name = "batch"}]} {
  func.func @main(%x: tensor<?x10x16xf32> {fulgur.dims = ["batch", "10", "16"], fulgur.name = "x"},
                            %w: tensor<16x16xf32>, %v: tensor<16x16xf32>, %scale: tensor<16xf32>) -> tensor<?x16xf32> {
    %batch = fulgur.symbol "batch"
    %c10 = arith.constant 10 : index
    %zero = arith.constant 0.0 : f32
    %all = arith.muli %batch, %c10 : index
    %empty = tensor.empty(%all) : tensor<?x16xf32>
    %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x16xf32>) -> tensor<?x16xf32>
    %rows = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x10x16xf32> into tensor<?x16xf32>
    %p = linalg.matmul ins(%rows, %w : tensor<?x16xf32>, tensor<16x16xf32>) outs(%init : tensor<?x16xf32>) -> tensor<?x16xf32>
    %r = linalg.generic {indexing_maps = [#id2, #id2, #id2], iterator_types = ["parallel", "parallel"]}
        ins(%p, %rows : tensor<?x16xf32>, tensor<?x16xf32>) outs(%empty : tensor<?x16xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %c = arith.addf %a, %b : f32
      linalg.yield %c : f32
    } -> tensor<?x16xf32>
    %images = tensor.expand_shape %r [[0, 1], [2]] output_shape [%batch, 10, 16] : tensor<?x16xf32> into tensor<?x10x16xf32>
    %n = fulgur.layer_norm %images, %scale {axis = 2 : i64, epsilon = 1.0e-5 : f32} : tensor<?x10x16xf32>, tensor<16xf32>
    %nrows = tensor.collapse_shape %n [[0, 1], [2]] : tensor<?x10x16xf32> into tensor<?x16xf32>
    %q = linalg.matmul ins(%nrows, %v : tensor<?x16xf32>, tensor<16x16xf32>) outs(%init : tensor<?x16xf32>) -> tensor<?x16xf32>
    %s = linalg.generic {indexing_maps = [#id2, #id2, #id2], iterator_types = ["parallel", "parallel"]}
        ins(%q, %r : tensor<?x16xf32>, tensor<?x16xf32>) outs(%empty : tensor<?x16xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %c = arith.addf %a, %b : f32
      linalg.yield %c : f32
    } -> tensor<?x16xf32>
    %out = tensor.expand_shape %s [[0, 1], [2]] output_shape [%batch, 10, 16] : tensor<?x16xf32> into tensor<?x10x16xf32>
    %cls = tensor.extract_slice %out[0, 0, 0] [%batch, 1, 16] [1, 1, 1] : tensor<?x10x16xf32> to tensor<?x16xf32>
    return %cls : tensor<?x16xf32>
  }
}

// -----

// The last position of a decoder: its index is computed behind what moves, and moves as well. The query that sees all keys is
// the last one, so the offset is larger by its index; the index that the score asks for stays the same.
// CHECK-LABEL: fulgur.model = "causal"
// CHECK: @main(%[[Q:[a-z0-9]+]]: tensor<4x?x8xf32>
// CHECK: %[[LENGTH:.*]] = fulgur.symbol "length"
// CHECK: %[[LAST:.*]] = arith.addi %[[LENGTH]], %c-1 : index
// CHECK: %[[ROW:.*]] = tensor.extract_slice %[[Q]][0, %[[LAST]], 0] [4, 1, 8] [1, 1, 1]
// CHECK: fulgur.attention %[[ROW]], %{{.*}}, %{{.*}} causal(%[[LAST]])
// CHECK: : tensor<4x1x8xf32>, tensor<4x?x8xf32>, tensor<4x?x8xf32> -> tensor<4x1x8xf32>
module attributes {fulgur.model = "causal", fulgur.symbols = [{max = 9 : i64, min = 2 : i64, name = "length"}]} {
  func.func @main(%q: tensor<4x?x8xf32> {fulgur.dims = ["4", "length", "8"], fulgur.name = "q"},
                    %k: tensor<4x?x8xf32> {fulgur.dims = ["4", "length", "8"], fulgur.name = "k"},
                    %v: tensor<4x?x8xf32> {fulgur.dims = ["4", "length", "8"], fulgur.name = "v"}) -> tensor<4x1x8xf32> {
    %c0 = arith.constant 0 : index
    %a = fulgur.attention %q, %k, %v causal(%c0)
        maps [affine_map<(h, i, d, j, n) -> (h, i, d)>, affine_map<(h, i, d, j, n) -> (h, j, d)>,
              affine_map<(h, i, d, j, n) -> (h, j, n)>, affine_map<(h, i, d, j, n) -> (h, i, n)>] {
    ^bb0(%s: f32, %i: index, %j: index):
      fulgur.yield %s : f32
    } : tensor<4x?x8xf32>, tensor<4x?x8xf32>, tensor<4x?x8xf32> -> tensor<4x?x8xf32>
    %length = fulgur.symbol "length"
    %minus = arith.constant -1 : index
    %last = arith.addi %length, %minus : index
    %row = tensor.extract_slice %a[0, %last, 0] [4, 1, 8] [1, 1, 1] : tensor<4x?x8xf32> to tensor<4x1x8xf32>
    return %row : tensor<4x1x8xf32>
  }
}

// -----

// One query of one head: its row of the mask, and no keys and values of other heads.
// CHECK-LABEL: fulgur.model = "masked"
// CHECK: @main(%[[Q:[a-z0-9]+]]: tensor<4x6x8xf32>, %[[K:[a-z0-9]+]]: tensor<4x5x8xf32>, %[[V:[a-z0-9]+]]: tensor<4x5x8xf32>, %[[M:[a-z0-9]+]]: tensor<6x5xf32>)
// CHECK-DAG: %[[C3:.*]] = arith.constant 3 : index
// CHECK-DAG: %[[QS:.*]] = tensor.extract_slice %[[Q]][1, 3, 0] [1, 1, 8]
// CHECK-DAG: %[[KS:.*]] = tensor.extract_slice %[[K]][1, 0, 0] [1, 5, 8]
// CHECK-DAG: %[[VS:.*]] = tensor.extract_slice %[[V]][1, 0, 0] [1, 5, 8]
// CHECK-DAG: %[[MS:.*]] = tensor.extract_slice %[[M]][3, 0] [1, 5]
// CHECK: fulgur.attention %[[QS]], %[[KS]], %[[VS]] extras(%[[MS]] : tensor<1x5xf32>)
// CHECK: ^bb0(%{{.*}}: f32, %[[I:.*]]: index, %{{.*}}: index, %{{.*}}: f32):
// CHECK: arith.addi %[[I]], %[[C3]] : index
module attributes {fulgur.model = "masked", fulgur.symbols = []} {
  func.func @main(%q: tensor<4x6x8xf32>, %k: tensor<4x5x8xf32>, %v: tensor<4x5x8xf32>, %m: tensor<6x5xf32>) -> tensor<1x1x8xf32> {
    %a = fulgur.attention %q, %k, %v extras(%m : tensor<6x5xf32>)
        maps [affine_map<(h, i, d, j, n) -> (h, i, d)>, affine_map<(h, i, d, j, n) -> (h, j, d)>,
              affine_map<(h, i, d, j, n) -> (h, j, n)>, affine_map<(h, i, d, j, n) -> (i, j)>,
              affine_map<(h, i, d, j, n) -> (h, i, n)>] {
    ^bb0(%s: f32, %i: index, %j: index, %b: f32):
      %sum = arith.addf %s, %b : f32
      %int = arith.index_cast %i : index to i32
      %far = arith.sitofp %int : i32 to f32
      %far2 = arith.mulf %far, %sum : f32
      fulgur.yield %far2 : f32
    } : tensor<4x6x8xf32>, tensor<4x5x8xf32>, tensor<4x5x8xf32> -> tensor<4x6x8xf32>
    %row = tensor.extract_slice %a[1, 3, 0] [1, 1, 8] [1, 1, 1] : tensor<4x6x8xf32> to tensor<1x1x8xf32>
    return %row : tensor<1x1x8xf32>
  }
}

// -----

// Rows that are picked from a table, with positions added that follow from their index, normalised and summed up.
// CHECK-LABEL: fulgur.model = "picked"
// CHECK: @main(%[[TABLE:[a-z0-9]+]]: tensor<9x4xf32>, %[[ROWS:[a-z0-9]+]]: tensor<8xi64>
// CHECK: %[[C5:.*]] = arith.constant 5 : index
// CHECK: %[[ROW:.*]] = tensor.extract_slice %[[ROWS]][5] [1] [1]
// CHECK: linalg.generic {{.*}} ins(%[[ROW]] : tensor<1xi64>) outs(%{{.*}} : tensor<1x4xf32>)
// CHECK: arith.addi %{{.*}}, %[[C5]] : index
// CHECK: tensor.extract %[[TABLE]]
// CHECK: fulgur.softmax {{.*}} : tensor<1x4xf32>
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]} ins(%{{.*}} : tensor<1x4xf32>) outs(%{{.*}} : tensor<1xf32>)
#id2 = affine_map<(i, j) -> (i, j)>
module attributes {fulgur.model = "picked", fulgur.symbols = []} {
  func.func @main(%table: tensor<9x4xf32>, %rows: tensor<8xi64>) -> tensor<1xf32> {
    %empty = tensor.empty() : tensor<8x4xf32>
    %zero = arith.constant 0.0 : f32
    %picked = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, #id2], iterator_types = ["parallel", "parallel"]}
        ins(%rows : tensor<8xi64>) outs(%empty : tensor<8x4xf32>) {
    ^bb0(%n: i64, %o: f32):
      %c9 = arith.constant 9 : index
      %j = linalg.index 1 : index
      %i = linalg.index 0 : index
      %at = arith.index_cast %n : i64 to index
      %sum = arith.addi %i, %at : index
      %in = arith.remui %sum, %c9 : index
      %e = tensor.extract %table[%in, %j] : tensor<9x4xf32>
      linalg.yield %e : f32
    } -> tensor<8x4xf32>
    %s = fulgur.softmax %picked {axis = 1 : i64} : tensor<8x4xf32>
    %sums = tensor.empty() : tensor<8xf32>
    %init = linalg.fill ins(%zero : f32) outs(%sums : tensor<8xf32>) -> tensor<8xf32>
    %total = linalg.generic {indexing_maps = [#id2, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}
        ins(%s : tensor<8x4xf32>) outs(%init : tensor<8xf32>) {
    ^bb0(%a: f32, %o: f32):
      %c = arith.maximumf %a, %o : f32
      linalg.yield %c : f32
    } -> tensor<8xf32>
    %one = tensor.extract_slice %total[5] [1] [1] : tensor<8xf32> to tensor<1xf32>
    return %one : tensor<1xf32>
  }
}

// -----

// Of columns, the part of the weight. A slice of a slice is one slice.
// CHECK-LABEL: fulgur.model = "columns"
// CHECK: @main(%[[A:[a-z0-9]+]]: tensor<4x8xf32>, %[[B:[a-z0-9]+]]: tensor<8x16xf32>
// CHECK: %[[PART:.*]] = tensor.extract_slice %[[B]][0, 6] [8, 3] [1, 1]
// CHECK: linalg.matmul ins(%[[A]], %[[PART]] : tensor<4x8xf32>, tensor<8x3xf32>) outs(%{{.*}} : tensor<4x3xf32>)
module attributes {fulgur.model = "columns", fulgur.symbols = []} {
  func.func @main(%a: tensor<4x8xf32>, %b: tensor<8x16xf32>, %add: tensor<4x16xf32>) -> tensor<4x3xf32> {
    %p = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x16xf32>) outs(%add : tensor<4x16xf32>) -> tensor<4x16xf32>
    %wide = tensor.extract_slice %p[0, 4] [4, 8] [1, 1] : tensor<4x16xf32> to tensor<4x8xf32>
    %part = tensor.extract_slice %wide[0, 2] [4, 3] [1, 1] : tensor<4x8xf32> to tensor<4x3xf32>
    return %part : tensor<4x3xf32>
  }
}

// -----

// Along the concatenated dim the slice lies in one input; along another one it goes to both.
// CHECK-LABEL: fulgur.model = "concat"
// CHECK: @main(%[[X:[a-z0-9]+]]: tensor<2x8xf32>, %[[Y:[a-z0-9]+]]: tensor<6x8xf32>, %[[Z:[a-z0-9]+]]: tensor<6x8xf32>)
// CHECK-DAG: %[[YS:.*]] = tensor.extract_slice %[[Y]][1, 0] [2, 2]
// CHECK-DAG: %[[ZS:.*]] = tensor.extract_slice %[[Z]][1, 0] [2, 2]
// CHECK: tensor.concat dim(1) %[[YS]], %[[ZS]] : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x4xf32>
// CHECK-NOT: %[[X]]
module attributes {fulgur.model = "concat", fulgur.symbols = []} {
  func.func @main(%x: tensor<2x8xf32>, %y: tensor<6x8xf32>, %z: tensor<6x8xf32>) -> tensor<2x4xf32> {
    %rows = tensor.concat dim(0) %x, %y : (tensor<2x8xf32>, tensor<6x8xf32>) -> tensor<8x8xf32>
    %part = tensor.extract_slice %rows[3, 0] [2, 2] [1, 1] : tensor<8x8xf32> to tensor<2x2xf32>
    %cols = tensor.extract_slice %z[1, 0] [2, 2] [1, 1] : tensor<6x8xf32> to tensor<2x2xf32>
    %both = tensor.concat dim(1) %part, %cols : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x4xf32>
    return %both : tensor<2x4xf32>
  }
}

// -----

// A dim that only the operands' order knows: heads become one dim with their elements.
// CHECK-LABEL: fulgur.model = "order"
// CHECK: @main(%[[X:[a-z0-9]+]]: tensor<2x4x?x3xf32>
// CHECK: tensor.extract_slice %[[X]][0, 0, 1, 0] [2, 4, 1, 3]
// CHECK: linalg.transpose {{.*}} permutation = [0, 2, 1, 3]
// CHECK-NOT: tensor.extract_slice
module attributes {fulgur.model = "order", fulgur.symbols = [{max = 9 : i64, min = 2 : i64, name = "length"}]} {
  func.func @main(%x: tensor<2x4x?x3xf32> {fulgur.dims = ["2", "4", "length", "3"], fulgur.name = "x"}) -> tensor<2x12xf32> {
    %length = fulgur.symbol "length"
    %empty = tensor.empty(%length) : tensor<2x?x4x3xf32>
    %t = linalg.transpose ins(%x : tensor<2x4x?x3xf32>) outs(%empty : tensor<2x?x4x3xf32>) permutation = [0, 2, 1, 3]
    %rows = tensor.collapse_shape %t [[0, 1], [2, 3]] : tensor<2x?x4x3xf32> into tensor<?x12xf32>
    %split = tensor.expand_shape %rows [[0, 1], [2]] output_shape [2, %length, 12] : tensor<?x12xf32> into tensor<2x?x12xf32>
    %row = tensor.extract_slice %split[0, 1, 0] [2, 1, 12] [1, 1, 1] : tensor<2x?x12xf32> to tensor<2x12xf32>
    return %row : tensor<2x12xf32>
  }
}

// -----

// The last row of any number of rows, if there is one.
// CHECK-LABEL: fulgur.model = "last"
// CHECK: @main(%[[X:[a-z0-9]+]]: tensor<?x4xf32>
// CHECK: %[[START:.*]] = arith.maxsi
// CHECK: %[[SIZE:.*]] = arith.maxsi
// CHECK: %[[ROW:.*]] = tensor.extract_slice %[[X]][%[[START]], 0] [%[[SIZE]], 4] [1, 1]
// CHECK: linalg.generic {{.*}} ins(%[[ROW]] : tensor<?x4xf32>)
#id2 = affine_map<(i, j) -> (i, j)>
module attributes {fulgur.model = "last", fulgur.symbols = [{max = 9 : i64, min = 0 : i64, name = "length"}]} {
  func.func @main(%x: tensor<?x4xf32> {fulgur.dims = ["length", "4"], fulgur.name = "x"}) -> tensor<?x4xf32> {
    %n = fulgur.symbol "length"
    %c-1 = arith.constant -1 : index
    %c0 = arith.constant 0 : index
    %empty = tensor.empty(%n) : tensor<?x4xf32>
    %e = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]}
        ins(%x : tensor<?x4xf32>) outs(%empty : tensor<?x4xf32>) {
    ^bb0(%a: f32, %o: f32):
      %b = math.exp %a : f32
      linalg.yield %b : f32
    } -> tensor<?x4xf32>
    %before = arith.addi %n, %c-1 : index
    %start = arith.maxsi %before, %c0 : index
    %left = arith.subi %n, %start : index
    %size = arith.maxsi %left, %c0 : index
    %row = tensor.extract_slice %e[%start, 0] [%size, 4] [1, 1] : tensor<?x4xf32> to tensor<?x4xf32>
    return %row : tensor<?x4xf32>
  }
}

// -----

// What reads nothing.
// CHECK-LABEL: fulgur.model = "alike"
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<2xf32>)
// CHECK-NOT: tensor.extract_slice
#id = affine_map<(i) -> (i)>
module attributes {fulgur.model = "alike", fulgur.symbols = []} {
  func.func @main() -> tensor<2xf32> {
    %half = arith.constant 0.5 : f32
    %empty = tensor.empty() : tensor<8xf32>
    %e = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]} outs(%empty : tensor<8xf32>) {
    ^bb0(%o: f32):
      %b = math.exp %half : f32
      linalg.yield %b : f32
    } -> tensor<8xf32>
    %part = tensor.extract_slice %e[3] [2] [1] : tensor<8xf32> to tensor<2xf32>
    return %part : tensor<2xf32>
  }
}

// -----

// Two queries behind a past.
// CHECK-LABEL: fulgur.model = "past"
// CHECK: @main(%[[Q:[a-z0-9]+]]: tensor<5x8xf32>
// CHECK: %[[OFFSET:.*]] = arith.addi %{{.*}}, %c-2 : index
// CHECK: fulgur.attention %{{.*}}, %{{.*}}, %{{.*}} causal(%[[OFFSET]])
// CHECK: : tensor<2x8xf32>, tensor<?x8xf32>, tensor<?x8xf32> -> tensor<2x8xf32>
module attributes {fulgur.model = "past", fulgur.symbols = [{max = 9 : i64, min = 5 : i64, name = "all"}]} {
  func.func @main(%q: tensor<5x8xf32>, %k: tensor<?x8xf32> {fulgur.dims = ["all", "8"], fulgur.name = "k"},
                  %v: tensor<?x8xf32> {fulgur.dims = ["all", "8"], fulgur.name = "v"}) -> tensor<2x8xf32> {
    %all = fulgur.symbol "all"
    %c-5 = arith.constant -5 : index
    %past = arith.addi %all, %c-5 : index
    %a = fulgur.attention %q, %k, %v causal(%past)
        maps [affine_map<(i, d, j, n) -> (i, d)>, affine_map<(i, d, j, n) -> (j, d)>,
              affine_map<(i, d, j, n) -> (j, n)>, affine_map<(i, d, j, n) -> (i, n)>] attributes {window = 3 : i64} {
    ^bb0(%s: f32, %i: index, %j: index):
      fulgur.yield %s : f32
    } : tensor<5x8xf32>, tensor<?x8xf32>, tensor<?x8xf32> -> tensor<5x8xf32>
    %rows = tensor.extract_slice %a[3, 0] [2, 8] [1, 1] : tensor<5x8xf32> to tensor<2x8xf32>
    return %rows : tensor<2x8xf32>
  }
}

// -----

// What nobody uses does not count as a user.
// CHECK-LABEL: fulgur.model = "unused"
// CHECK: @main(%[[X:[a-z0-9]+]]: tensor<8x4xf32>
// CHECK: %[[XS:.*]] = tensor.extract_slice %[[X]][3, 0] [1, 4] [1, 1]
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} ins(%[[XS]] : tensor<1x4xf32>)
// CHECK: return %[[SUM]]
#id2 = affine_map<(i, j) -> (i, j)>
module attributes {fulgur.model = "unused", fulgur.symbols = []} {
  func.func @main(%x: tensor<8x4xf32>) -> tensor<1x4xf32> {
    %empty = tensor.empty() : tensor<8x4xf32>
    %sum = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]}
        ins(%x : tensor<8x4xf32>) outs(%empty : tensor<8x4xf32>) {
    ^bb0(%a: f32, %o: f32):
      %c = arith.addf %a, %a : f32
      linalg.yield %c : f32
    } -> tensor<8x4xf32>
    %row = tensor.extract_slice %sum[3, 0] [1, 4] [1, 1] : tensor<8x4xf32> to tensor<1x4xf32>
    %unused = tensor.expand_shape %sum [[0, 1], [2]] output_shape [2, 4, 4] : tensor<8x4xf32> into tensor<2x4x4xf32>
    return %row : tensor<1x4xf32>
  }
}
