// RUN: fulgur-opt %s --fulgur-pack-weights | FileCheck %s
// What a loop over time multiplies with in each step is packed into panels of 64 columns; those beyond its own are zeros.

#rows = affine_map<(d0, d1, d2) -> (d0, d2)>
#columns = affine_map<(d0, d1, d2) -> (d1, d2)>
#sums = affine_map<(d0, d1, d2) -> (d0, d1)>

// CHECK-DAG: #[[A:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d3)>
// CHECK-DAG: #[[W:.*]] = affine_map<(d0, d1, d2, d3) -> (d1, d3, d2)>
// CHECK-DAG: #[[OUT:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
// CHECK-LABEL: @step
// CHECK: %[[PACKED:.*]] = arith.constant dense_resource<packed> : tensor<1x3x64xf32>
// CHECK: fulgur.kernel ins(%{{.*}}, %{{.*}}, %[[PACKED]] :
// CHECK: ^bb0(%{{.*}}: tensor<?x3xf32>, %[[ROWS:.*]]: index, %[[WEIGHTS:.*]]: tensor<1x3x64xf32>, %{{.*}}: tensor<?x3xf32>):
// CHECK: scf.for {{.*}} iter_args(%[[STATE:.*]] = %{{.*}})
// CHECK: %[[SUMS:.*]] = linalg.fill {{.*}} -> tensor<?x1x64xf32>
// CHECK: %[[PRODUCT:.*]] = linalg.generic {indexing_maps = [#[[A]], #[[W]], #[[OUT]]], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
// CHECK-SAME: ins(%[[STATE]], %[[WEIGHTS]] : tensor<?x3xf32>, tensor<1x3x64xf32>) outs(%[[SUMS]] : tensor<?x1x64xf32>)
// CHECK: %[[FLAT:.*]] = tensor.collapse_shape %[[PRODUCT]] {{\[}}[0], [1, 2]]
// CHECK: tensor.extract_slice %[[FLAT]][0, 0] [%[[ROWS]], 3] [1, 1]
func.func @step(%h: tensor<?x3xf32>, %n: index, %out: tensor<?x3xf32>) -> tensor<?x3xf32> {
  %weight = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]> : tensor<3x3xf32>
  %r = fulgur.kernel ins(%h, %n, %weight : tensor<?x3xf32>, index, tensor<3x3xf32>) outs(%out : tensor<?x3xf32>) {
  ^bb0(%x: tensor<?x3xf32>, %rows: index, %w: tensor<3x3xf32>, %o: tensor<?x3xf32>):
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c5 = arith.constant 5 : index
    %zero = arith.constant 0.0 : f32
    %first = linalg.copy ins(%x : tensor<?x3xf32>) outs(%o : tensor<?x3xf32>) -> tensor<?x3xf32>
    %last = scf.for %i = %c0 to %c5 step %c1 iter_args(%state = %first) -> tensor<?x3xf32> {
      %e = tensor.empty(%rows) : tensor<?x3xf32>
      %init = linalg.fill ins(%zero : f32) outs(%e : tensor<?x3xf32>) -> tensor<?x3xf32>
      %p = linalg.matmul indexing_maps = [#rows, #columns, #sums] ins(%state, %w : tensor<?x3xf32>, tensor<3x3xf32>) outs(%init : tensor<?x3xf32>) -> tensor<?x3xf32>
      %next = linalg.copy ins(%p : tensor<?x3xf32>) outs(%state : tensor<?x3xf32>) -> tensor<?x3xf32>
      scf.yield %next : tensor<?x3xf32>
    }
    fulgur.yield %last : tensor<?x3xf32>
  } -> tensor<?x3xf32>
  return %r : tensor<?x3xf32>
}

// Weights that are computed stay as they are.
// CHECK-LABEL: @negative_computed
// CHECK-NOT: linalg.generic
// CHECK: linalg.matmul
func.func @negative_computed(%h: tensor<?x3xf32>, %n: index, %weight: tensor<3x3xf32>, %out: tensor<?x3xf32>) -> tensor<?x3xf32> {
  %r = fulgur.kernel ins(%h, %n, %weight : tensor<?x3xf32>, index, tensor<3x3xf32>) outs(%out : tensor<?x3xf32>) {
  ^bb0(%x: tensor<?x3xf32>, %rows: index, %w: tensor<3x3xf32>, %o: tensor<?x3xf32>):
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c5 = arith.constant 5 : index
    %zero = arith.constant 0.0 : f32
    %first = linalg.copy ins(%x : tensor<?x3xf32>) outs(%o : tensor<?x3xf32>) -> tensor<?x3xf32>
    %last = scf.for %i = %c0 to %c5 step %c1 iter_args(%state = %first) -> tensor<?x3xf32> {
      %e = tensor.empty(%rows) : tensor<?x3xf32>
      %init = linalg.fill ins(%zero : f32) outs(%e : tensor<?x3xf32>) -> tensor<?x3xf32>
      %p = linalg.matmul indexing_maps = [#rows, #columns, #sums] ins(%state, %w : tensor<?x3xf32>, tensor<3x3xf32>) outs(%init : tensor<?x3xf32>) -> tensor<?x3xf32>
      %next = linalg.copy ins(%p : tensor<?x3xf32>) outs(%state : tensor<?x3xf32>) -> tensor<?x3xf32>
      scf.yield %next : tensor<?x3xf32>
    }
    fulgur.yield %last : tensor<?x3xf32>
  } -> tensor<?x3xf32>
  return %r : tensor<?x3xf32>
}

// So do those with the steps in front of the columns.
// CHECK-LABEL: @negative_other_order
// CHECK-NOT: linalg.generic
// CHECK: linalg.matmul
func.func @negative_other_order(%h: tensor<?x3xf32>, %n: index, %out: tensor<?x3xf32>) -> tensor<?x3xf32> {
  %weight = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]> : tensor<3x3xf32>
  %r = fulgur.kernel ins(%h, %n, %weight : tensor<?x3xf32>, index, tensor<3x3xf32>) outs(%out : tensor<?x3xf32>) {
  ^bb0(%x: tensor<?x3xf32>, %rows: index, %w: tensor<3x3xf32>, %o: tensor<?x3xf32>):
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c5 = arith.constant 5 : index
    %zero = arith.constant 0.0 : f32
    %first = linalg.copy ins(%x : tensor<?x3xf32>) outs(%o : tensor<?x3xf32>) -> tensor<?x3xf32>
    %last = scf.for %i = %c0 to %c5 step %c1 iter_args(%state = %first) -> tensor<?x3xf32> {
      %e = tensor.empty(%rows) : tensor<?x3xf32>
      %init = linalg.fill ins(%zero : f32) outs(%e : tensor<?x3xf32>) -> tensor<?x3xf32>
      %p = linalg.matmul indexing_maps = [#rows, affine_map<(d0, d1, d2) -> (d2, d1)>, #sums] ins(%state, %w : tensor<?x3xf32>, tensor<3x3xf32>) outs(%init : tensor<?x3xf32>) -> tensor<?x3xf32>
      %next = linalg.copy ins(%p : tensor<?x3xf32>) outs(%state : tensor<?x3xf32>) -> tensor<?x3xf32>
      scf.yield %next : tensor<?x3xf32>
    }
    fulgur.yield %last : tensor<?x3xf32>
  } -> tensor<?x3xf32>
  return %r : tensor<?x3xf32>
}
