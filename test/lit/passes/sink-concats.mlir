// RUN: fulgur-opt %s --fulgur-sink-concats --remarks-filter-missed=fulgur-sink-concats --remark-format=emitRemark -o %t.mlir 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: FileCheck %s < %t.mlir
// An elementwise loop over a concatenation of slices is a concatenation of loops over slices.

#identity = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#row = affine_map<(d0, d1, d2) -> (d2)>

// A rotary embedding as torch exports Llama's: x * cos + concat(-x[d/2:], x[:d/2]) * sin, x behind a transpose, which keeps rows whole.
// CHECK-LABEL: @rotary
// CHECK-SAME: (%[[X:.*]]: tensor<5x2x8xf32>, %[[COS:.*]]: tensor<8xf32>, %[[SIN:.*]]: tensor<8xf32>)
// CHECK-DAG: %[[X1:.*]] = tensor.extract_slice %[[X]][0, 0, 4] [5, 2, 4] [1, 1, 1]
// CHECK-DAG: linalg.generic {indexing_maps = [#[[SWAP:.*]], #[[IDENTITY:.*]]], {{.*}} ins(%[[X1]]
// CHECK-NOT: linalg.transpose ins
// CHECK: arith.negf
// CHECK-DAG: tensor.extract_slice %[[COS]][0] [4] [1]
// CHECK-DAG: tensor.extract_slice %[[SIN]][0] [4] [1]
// CHECK-DAG: tensor.extract_slice %[[COS]][4] [4] [1]
// CHECK-DAG: tensor.extract_slice %[[SIN]][4] [4] [1]
// CHECK: tensor.concat dim(2) %{{.*}}, %{{.*}} : (tensor<2x5x4xf32>, tensor<2x5x4xf32>)
// CHECK-NEXT: return
func.func @rotary(%x: tensor<5x2x8xf32>, %cos: tensor<8xf32>, %sin: tensor<8xf32>) -> tensor<2x5x8xf32> {
  %e = tensor.empty() : tensor<2x5x8xf32>
  %e4 = tensor.empty() : tensor<2x5x4xf32>
  %t = linalg.transpose ins(%x : tensor<5x2x8xf32>) outs(%e : tensor<2x5x8xf32>) permutation = [1, 0, 2]
  %a = linalg.generic {indexing_maps = [#identity, #row, #identity], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%t, %cos : tensor<2x5x8xf32>, tensor<8xf32>) outs(%e : tensor<2x5x8xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %m = arith.mulf %p, %q : f32
    linalg.yield %m : f32
  } -> tensor<2x5x8xf32>
  %x0 = tensor.extract_slice %t[0, 0, 0] [2, 5, 4] [1, 1, 1] : tensor<2x5x8xf32> to tensor<2x5x4xf32>
  %x1 = tensor.extract_slice %t[0, 0, 4] [2, 5, 4] [1, 1, 1] : tensor<2x5x8xf32> to tensor<2x5x4xf32>
  %n = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x1 : tensor<2x5x4xf32>) outs(%e4 : tensor<2x5x4xf32>) {
  ^bb0(%p: f32, %o: f32):
    %m = arith.negf %p : f32
    linalg.yield %m : f32
  } -> tensor<2x5x4xf32>
  %turned = tensor.concat dim(2) %n, %x0 : (tensor<2x5x4xf32>, tensor<2x5x4xf32>) -> tensor<2x5x8xf32>
  %b = linalg.generic {indexing_maps = [#identity, #row, #identity], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%turned, %sin : tensor<2x5x8xf32>, tensor<8xf32>) outs(%e : tensor<2x5x8xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %m = arith.mulf %p, %q : f32
    linalg.yield %m : f32
  } -> tensor<2x5x8xf32>
  %r = linalg.generic {indexing_maps = [#identity, #identity, #identity], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%a, %b : tensor<2x5x8xf32>, tensor<2x5x8xf32>) outs(%e : tensor<2x5x8xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %m = arith.addf %p, %q : f32
    linalg.yield %m : f32
  } -> tensor<2x5x8xf32>
  return %r : tensor<2x5x8xf32>
}

// What others read has to be put together anyway.
// REMARK: remark: {{.*}}reads a concatenation that others read as well
// CHECK-LABEL: @negative_two_readers
// CHECK: %[[C:.*]] = tensor.concat
// CHECK: linalg.generic {{.*}} ins(%[[C]]
func.func @negative_two_readers(%x: tensor<2x5x8xf32>) -> (tensor<2x5x8xf32>, tensor<2x5x8xf32>) {
  %e = tensor.empty() : tensor<2x5x8xf32>
  %x0 = tensor.extract_slice %x[0, 0, 0] [2, 5, 4] [1, 1, 1] : tensor<2x5x8xf32> to tensor<2x5x4xf32>
  %x1 = tensor.extract_slice %x[0, 0, 4] [2, 5, 4] [1, 1, 1] : tensor<2x5x8xf32> to tensor<2x5x4xf32>
  %turned = tensor.concat dim(2) %x1, %x0 : (tensor<2x5x4xf32>, tensor<2x5x4xf32>) -> tensor<2x5x8xf32>
  %r = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%turned : tensor<2x5x8xf32>) outs(%e : tensor<2x5x8xf32>) {
  ^bb0(%p: f32, %o: f32):
    %m = arith.negf %p : f32
    linalg.yield %m : f32
  } -> tensor<2x5x8xf32>
  return %turned, %r : tensor<2x5x8xf32>, tensor<2x5x8xf32>
}

// Parts that are tensors of their own gain nothing; loops that use their indices would have to count from elsewhere.
// CHECK-LABEL: @negative_other_loops
// CHECK-COUNT-2: tensor.concat
// CHECK: arith.negf
// CHECK: linalg.index
// CHECK: return
func.func @negative_other_loops(%x: tensor<2x5x8xf32>, %y: tensor<2x5x4xf32>) -> (tensor<2x5x8xf32>, tensor<2x5x8xf32>) {
  %e = tensor.empty() : tensor<2x5x8xf32>
  %own = tensor.concat dim(2) %y, %y : (tensor<2x5x4xf32>, tensor<2x5x4xf32>) -> tensor<2x5x8xf32>
  %x0 = tensor.extract_slice %x[0, 0, 0] [2, 5, 4] [1, 1, 1] : tensor<2x5x8xf32> to tensor<2x5x4xf32>
  %turned = tensor.concat dim(2) %x0, %x0 : (tensor<2x5x4xf32>, tensor<2x5x4xf32>) -> tensor<2x5x8xf32>
  %r = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%own : tensor<2x5x8xf32>) outs(%e : tensor<2x5x8xf32>) {
  ^bb0(%p: f32, %o: f32):
    %m = arith.negf %p : f32
    linalg.yield %m : f32
  } -> tensor<2x5x8xf32>
  %s = linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%turned : tensor<2x5x8xf32>) outs(%e : tensor<2x5x8xf32>) {
  ^bb0(%p: f32, %o: f32):
    %i = linalg.index 2 : index
    %j = arith.index_cast %i : index to i32
    %f = arith.sitofp %j : i32 to f32
    %m = arith.addf %p, %f : f32
    linalg.yield %m : f32
  } -> tensor<2x5x8xf32>
  return %r, %s : tensor<2x5x8xf32>, tensor<2x5x8xf32>
}
