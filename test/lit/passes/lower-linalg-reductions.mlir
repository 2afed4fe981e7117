// RUN: fulgur-opt %s --fulgur-lower-linalg | FileCheck %s
// A reduction along the innermost loop runs in a register, and its sum may be taken in any order.

#identity = affine_map<(d0, d1) -> (d0, d1)>
#first = affine_map<(d0, d1) -> (d0)>
#second = affine_map<(d0, d1) -> (d1)>

// CHECK-LABEL: @in_register
// CHECK-SAME: (%[[X:.*]]: memref<8x64xf32>, %[[OUT:.*]]: memref<8xf32>)
// CHECK: scf.forall
// CHECK: scf.for %[[ROW:.*]] =
// CHECK: %[[START:.*]] = memref.load %[[OUT]][%[[ROW]]]
// CHECK: %[[SUM:.*]] = scf.for %[[K:.*]] = {{.*}} iter_args(%[[PART:.*]] = %[[START]])
// CHECK-NEXT: %[[V:.*]] = memref.load %[[X]][%[[ROW]], %[[K]]]
// CHECK-NEXT: %[[NEXT:.*]] = arith.addf %[[PART]], %[[V]] fastmath<reassoc,contract>
// CHECK-NEXT: scf.yield %[[NEXT]]
// CHECK: memref.store %[[SUM]], %[[OUT]][%[[ROW]]]
func.func @in_register(%x: memref<8x64xf32>, %out: memref<8xf32>) {
  linalg.generic {indexing_maps = [#identity, #first], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<8x64xf32>) outs(%out : memref<8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.addf %o, %a : f32
    linalg.yield %s : f32
  }
  return
}

// Down the columns: whole rows are added, each element in its order.
// CHECK-LABEL: @negative_along_the_outer_dim
// CHECK-NOT: iter_args
// CHECK-NOT: fastmath
// CHECK: scf.for %[[ROW:.*]] =
// CHECK: scf.for %[[COLUMN:.*]] =
// CHECK: memref.load %{{.*}}[%[[ROW]], %[[COLUMN]]]
// CHECK: memref.load %{{.*}}[%[[COLUMN]]]
// CHECK: memref.store %{{.*}}[%[[COLUMN]]]
func.func @negative_along_the_outer_dim(%x: memref<64x8xf32>, %out: memref<8xf32>) {
  linalg.generic {indexing_maps = [#identity, #second], iterator_types = ["reduction", "parallel"]}
      ins(%x : memref<64x8xf32>) outs(%out : memref<8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.addf %o, %a : f32
    linalg.yield %s : f32
  }
  return
}

// Only what combines with the sum is free in its order.
// CHECK-LABEL: @negative_order_of_the_body
// CHECK: arith.addf %{{.*}}, %{{.*}} : f32
// CHECK: arith.addf %{{.*}}, %{{.*}} fastmath<reassoc,contract> : f32
func.func @negative_order_of_the_body(%x: memref<8x64xf32>, %out: memref<8xf32>) {
  %one = arith.constant 1.0 : f32
  linalg.generic {indexing_maps = [#identity, #first], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<8x64xf32>) outs(%out : memref<8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %b = arith.addf %a, %one : f32
    %s = arith.addf %o, %b : f32
    linalg.yield %s : f32
  }
  return
}

// To a scalar: nothing to share.
// CHECK-LABEL: @negative_to_a_scalar
// CHECK-NOT: scf.forall
// CHECK: scf.for {{.*}} iter_args
// CHECK-NOT: scf.forall
// CHECK: return
func.func @negative_to_a_scalar(%x: memref<64xf32>, %out: memref<f32>) {
  linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>], iterator_types = ["reduction"]}
      ins(%x : memref<64xf32>) outs(%out : memref<f32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.addf %o, %a : f32
    linalg.yield %s : f32
  }
  return
}
