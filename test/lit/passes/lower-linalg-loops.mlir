// RUN: fulgur-opt %s --fulgur-lower-linalg="vector-bytes=32 vector-registers=16" | FileCheck %s
// What a kernel does in each step of a loop is on vectors.

#rows = affine_map<(d0, d1, d2, d3) -> (d0, d3)>
#panels = affine_map<(d0, d1, d2, d3) -> (d1, d3, d2)>
#sums = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
#identity = affine_map<(d0, d1) -> (d0, d1)>

// Two rows and a panel of four vectors: eight sums in registers. Odd steps begin with the last panel.
// CHECK-LABEL: @product
// CHECK-SAME: (%[[H:[a-z0-9]+]]: memref<2x5xf32>, %[[W:[a-z0-9]+]]: memref<3x5x32xf32>, %[[OUT:[a-z0-9]+]]: memref<2x3x32xf32>)
// CHECK: scf.for %[[T:.*]] = %{{.*}} to
// CHECK: %[[BIT:.*]] = arith.remui %[[T]], %{{.*}} : index
// CHECK: %[[ODD:.*]] = arith.cmpi ne, %[[BIT]]
// CHECK: scf.for %[[NUMBER:.*]] = %{{.*}} to
// CHECK: %[[TURNED:.*]] = arith.subi %{{.*}}, %[[NUMBER]]
// CHECK: %[[PANEL:.*]] = arith.select %[[ODD]], %[[TURNED]], %[[NUMBER]]
// CHECK-COUNT-8: vector.load %[[OUT]]
// CHECK: scf.for %[[STEP:.*]] = {{.*}} iter_args
// CHECK-COUNT-4: vector.load %[[W]][%[[PANEL]], %[[STEP]], %{{.*}}] : memref<3x5x32xf32>, vector<8xf32>
// CHECK: memref.load %[[H]][%{{.*}}, %[[STEP]]]
// CHECK-COUNT-4: vector.fma
// CHECK: memref.load %[[H]][%{{.*}}, %[[STEP]]]
// CHECK-COUNT-4: vector.fma
// CHECK-COUNT-8: vector.store %{{.*}}, %[[OUT]]
// CHECK-NOT: vector.fma
func.func @product(%h: memref<2x5xf32>, %w: memref<3x5x32xf32>, %out: memref<2x3x32xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  scf.for %t = %c0 to %c9 step %c1 {
    linalg.generic {indexing_maps = [#rows, #panels, #sums], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
        ins(%h, %w : memref<2x5xf32>, memref<3x5x32xf32>) outs(%out : memref<2x3x32xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %p = arith.mulf %a, %b : f32
      %s = arith.addf %o, %p : f32
      linalg.yield %s : f32
    }
  }
  return
}

// No whole vectors.
// CHECK-LABEL: @negative_narrow_panels
// CHECK-NOT: vector
func.func @negative_narrow_panels(%h: memref<2x5xf32>, %w: memref<3x5x12xf32>, %out: memref<2x3x12xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  scf.for %t = %c0 to %c9 step %c1 {
    linalg.generic {indexing_maps = [#rows, #panels, #sums], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
        ins(%h, %w : memref<2x5xf32>, memref<3x5x12xf32>) outs(%out : memref<2x3x12xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %p = arith.mulf %a, %b : f32
      %s = arith.addf %o, %p : f32
      linalg.yield %s : f32
    }
  }
  return
}

// A table is read along the loop, the length of a row once; the last elements are not on vectors.
// CHECK-LABEL: @gates
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<2x20xf32>, %[[TABLE:[a-z0-9]+]]: memref<9x2x20xf32>, %[[LENGTHS:[a-z0-9]+]]: memref<2x1xindex>, %[[OUT:[a-z0-9]+]]: memref<2x20xf32>)
// CHECK: scf.for %[[T:.*]] = %{{.*}} to
// CHECK: scf.for %[[ROW:.*]] = %{{.*}} to
// CHECK: scf.for %[[COLUMN:.*]] = %{{.*}} to %[[END:.*]] step
// CHECK: %[[A:.*]] = vector.load %[[X]][%[[ROW]], %[[COLUMN]]]
// CHECK: %[[LENGTH:.*]] = memref.load %[[LENGTHS]]
// CHECK: %[[B:.*]] = vector.load %[[TABLE]][%[[T]], %[[ROW]], %[[COLUMN]]]
// CHECK: %[[SUM:.*]] = arith.addf %[[A]], %[[B]] : vector<8xf32>
// CHECK: %[[WITHIN:.*]] = arith.cmpi slt, %[[T]], %[[LENGTH]] : index
// CHECK: %[[MASK:.*]] = vector.broadcast %[[WITHIN]] : i1 to vector<8xi1>
// CHECK: %[[NEW:.*]] = arith.select %[[MASK]], %[[SUM]], %[[A]]
// CHECK: vector.store %[[NEW]], %[[OUT]][%[[ROW]], %[[COLUMN]]]
// CHECK: scf.for %[[LAST:.*]] = %[[END]] to
// CHECK: memref.store %{{.*}}, %[[OUT]][%[[ROW]], %[[LAST]]]
func.func @gates(%x: memref<2x20xf32>, %table: memref<9x2x20xf32>, %lengths: memref<2x1xindex>, %out: memref<2x20xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  scf.for %t = %c0 to %c9 step %c1 {
    linalg.generic {indexing_maps = [#identity, affine_map<(d0, d1) -> (d0, 0)>, #identity], iterator_types = ["parallel", "parallel"]}
        ins(%x, %lengths : memref<2x20xf32>, memref<2x1xindex>) outs(%out : memref<2x20xf32>) {
    ^bb0(%a: f32, %length: index, %o: f32):
      %row = linalg.index 0 : index
      %column = linalg.index 1 : index
      %b = memref.load %table[%t, %row, %column] : memref<9x2x20xf32>
      %s = arith.addf %a, %b : f32
      %within = arith.cmpi slt, %t, %length : index
      %v = arith.select %within, %s, %a : f32
      linalg.yield %v : f32
    }
  }
  return
}

// A table is read across it.
// CHECK-LABEL: @negative_across
// CHECK-NOT: vector
func.func @negative_across(%x: memref<2x20xf32>, %table: memref<20x2xf32>, %out: memref<2x20xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  scf.for %t = %c0 to %c9 step %c1 {
    linalg.generic {indexing_maps = [#identity, #identity], iterator_types = ["parallel", "parallel"]}
        ins(%x : memref<2x20xf32>) outs(%out : memref<2x20xf32>) {
    ^bb0(%a: f32, %o: f32):
      %row = linalg.index 0 : index
      %column = linalg.index 1 : index
      %b = memref.load %table[%column, %row] : memref<20x2xf32>
      %s = arith.addf %a, %b : f32
      linalg.yield %s : f32
    }
  }
  return
}
