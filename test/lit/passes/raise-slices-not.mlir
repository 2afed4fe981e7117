// RUN: fulgur-opt %s --fulgur-raise-slices | FileCheck %s
// RUN: fulgur-opt %s --fulgur-raise-slices --remarks-filter-missed=.* --remark-format=emitRemark -o %t.mlir 2>&1 | FileCheck %s --check-prefix=REMARK
// What is used as a whole, or has to be known as a whole, is computed as a whole.

#id2 = affine_map<(i, j) -> (i, j)>

// The other use is the model's output.
// CHECK-LABEL: @second_use
// CHECK: linalg.generic
// CHECK-SAME: tensor<8x4xf32>
// CHECK: tensor.extract_slice %{{.*}}[0, 0] [1, 4]
// CHECK-NEXT: return
func.func @second_use(%x: tensor<8x4xf32>) -> (tensor<1x4xf32>, tensor<8x4xf32>) {
  %empty = tensor.empty() : tensor<8x4xf32>
  %e = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<8x4xf32>) outs(%empty : tensor<8x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %b = math.exp %a : f32
    linalg.yield %b : f32
  } -> tensor<8x4xf32>
  %row = tensor.extract_slice %e[0, 0] [1, 4] [1, 1] : tensor<8x4xf32> to tensor<1x4xf32>
  return %row, %e : tensor<1x4xf32>, tensor<8x4xf32>
}

// REMARK: remark: {{.*}}all of it is computed: several places of it are used
// CHECK-LABEL: @two_places
// CHECK: linalg.generic
// CHECK-SAME: tensor<8x4xf32>
// CHECK: tensor.extract_slice
// CHECK: tensor.extract_slice
func.func @two_places(%x: tensor<8x4xf32>) -> (tensor<1x4xf32>, tensor<1x4xf32>) {
  %empty = tensor.empty() : tensor<8x4xf32>
  %e = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<8x4xf32>) outs(%empty : tensor<8x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %b = math.exp %a : f32
    linalg.yield %b : f32
  } -> tensor<8x4xf32>
  %first = tensor.extract_slice %e[0, 0] [1, 4] [1, 1] : tensor<8x4xf32> to tensor<1x4xf32>
  %last = tensor.extract_slice %e[7, 0] [1, 4] [1, 1] : tensor<8x4xf32> to tensor<1x4xf32>
  return %first, %last : tensor<1x4xf32>, tensor<1x4xf32>
}

// Sums and norms go over the dim.
// CHECK-LABEL: @over_the_dim
// CHECK: fulgur.softmax {{.*}} : tensor<8x4xf32>
// CHECK: fulgur.rms_norm {{.*}} : tensor<8x4xf32>
func.func @over_the_dim(%x: tensor<8x4xf32>, %w: tensor<4xf32>) -> (tensor<1x4xf32>, tensor<8x1xf32>) {
  %s = fulgur.softmax %x {axis = 0 : i64} : tensor<8x4xf32>
  %row = tensor.extract_slice %s[0, 0] [1, 4] [1, 1] : tensor<8x4xf32> to tensor<1x4xf32>
  %n = fulgur.rms_norm %x, %w {axis = 1 : i64, epsilon = 1.0e-5 : f32} : tensor<8x4xf32>, tensor<4xf32>
  %column = tensor.extract_slice %n[0, 2] [8, 1] [1, 1] : tensor<8x4xf32> to tensor<8x1xf32>
  return %row, %column : tensor<1x4xf32>, tensor<8x1xf32>
}

// Windows are not of one place each; every other row is no part; of most rows little would be saved.
// CHECK-LABEL: @other_parts
// CHECK: linalg.generic
// CHECK-SAME: outs(%{{.*}} : tensor<6xf32>)
// CHECK: math.exp
// CHECK: tensor.extract_slice %{{.*}}[0] [2] [2]
// CHECK: linalg.generic
// CHECK-SAME: outs(%{{.*}} : tensor<6xf32>)
// CHECK: math.exp
// CHECK: tensor.extract_slice %{{.*}}[1] [5] [1]
// CHECK: linalg.generic
// CHECK-SAME: outs(%{{.*}} : tensor<6xf32>)
// CHECK: arith.maximumf
// CHECK: tensor.extract_slice %{{.*}}[0] [1] [1]
func.func @other_parts(%x: tensor<6xf32>, %y: tensor<8xf32>, %window: tensor<3xf32>) -> (tensor<2xf32>, tensor<5xf32>, tensor<1xf32>) {
  %empty = tensor.empty() : tensor<6xf32>
  %e = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%x : tensor<6xf32>) outs(%empty : tensor<6xf32>) {
  ^bb0(%a: f32, %o: f32):
    %b = math.exp %a : f32
    linalg.yield %b : f32
  } -> tensor<6xf32>
  %rows = tensor.extract_slice %e[0] [2] [2] : tensor<6xf32> to tensor<2xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%x : tensor<6xf32>) outs(%empty : tensor<6xf32>) {
  ^bb0(%a: f32, %o: f32):
    %b = math.exp %a : f32
    linalg.yield %b : f32
  } -> tensor<6xf32>
  %most = tensor.extract_slice %f[1] [5] [1] : tensor<6xf32> to tensor<5xf32>
  %pool = linalg.generic {indexing_maps = [affine_map<(i, k) -> (i + k)>, affine_map<(i, k) -> (k)>, affine_map<(i, k) -> (i)>],
                          iterator_types = ["parallel", "reduction"]}
      ins(%y, %window : tensor<8xf32>, tensor<3xf32>) outs(%empty : tensor<6xf32>) {
  ^bb0(%a: f32, %w: f32, %o: f32):
    %b = arith.maximumf %a, %o : f32
    linalg.yield %b : f32
  } -> tensor<6xf32>
  %one = tensor.extract_slice %pool[0] [1] [1] : tensor<6xf32> to tensor<1xf32>
  return %rows, %most, %one : tensor<2xf32>, tensor<5xf32>, tensor<1xf32>
}

// An index out of data has been checked only where the slice stands.
// CHECK-LABEL: @index_from_data
// CHECK: linalg.generic
// CHECK-SAME: tensor<8x4xf32>
// CHECK: fulgur.check_bounds
// CHECK: tensor.extract_slice
func.func @index_from_data(%x: tensor<8x4xf32>, %where: tensor<i64>) -> tensor<1x4xf32> {
  %c0 = arith.constant 0 : index
  %c8 = arith.constant 8 : index
  %n = tensor.extract %where[] : tensor<i64>
  %i = arith.index_cast %n : i64 to index
  %empty = tensor.empty() : tensor<8x4xf32>
  %e = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<8x4xf32>) outs(%empty : tensor<8x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %b = math.exp %a : f32
    linalg.yield %b : f32
  } -> tensor<8x4xf32>
  fulgur.check_bounds %where in %c0 to %c8, "index outside of the rows" : tensor<i64>
  %row = tensor.extract_slice %e[%i, 0] [1, 4] [1, 1] : tensor<8x4xf32> to tensor<1x4xf32>
  return %row : tensor<1x4xf32>
}

// The score would have to know where its queries begin.
// CHECK-LABEL: @counted_queries
// CHECK: fulgur.attention
// CHECK: tensor<6x8xf32>, tensor<5x8xf32>, tensor<5x8xf32> -> tensor<6x8xf32>
func.func @counted_queries(%q: tensor<6x8xf32>, %k: tensor<5x8xf32>, %v: tensor<5x8xf32>) -> tensor<1x8xf32> {
  %at = fulgur.symbol "at"
  %a = fulgur.attention %q, %k, %v
      maps [affine_map<(i, d, j, n) -> (i, d)>, affine_map<(i, d, j, n) -> (j, d)>,
            affine_map<(i, d, j, n) -> (j, n)>, affine_map<(i, d, j, n) -> (i, n)>] {
  ^bb0(%s: f32, %i: index, %j: index):
    %int = arith.index_cast %i : index to i32
    %far = arith.sitofp %int : i32 to f32
    %t = arith.mulf %s, %far : f32
    fulgur.yield %t : f32
  } : tensor<6x8xf32>, tensor<5x8xf32>, tensor<5x8xf32> -> tensor<6x8xf32>
  %row = tensor.extract_slice %a[%at, 0] [1, 8] [1, 1] : tensor<6x8xf32> to tensor<1x8xf32>
  return %row : tensor<1x8xf32>
}

// CHECK-LABEL: @across_inputs
// CHECK: tensor.concat dim(0) {{.*}} -> tensor<8x8xf32>
// CHECK: tensor.extract_slice
func.func @across_inputs(%x: tensor<2x8xf32>, %y: tensor<6x8xf32>) -> tensor<2x8xf32> {
  %rows = tensor.concat dim(0) %x, %y : (tensor<2x8xf32>, tensor<6x8xf32>) -> tensor<8x8xf32>
  %part = tensor.extract_slice %rows[1, 0] [2, 8] [1, 1] : tensor<8x8xf32> to tensor<2x8xf32>
  return %part : tensor<2x8xf32>
}
