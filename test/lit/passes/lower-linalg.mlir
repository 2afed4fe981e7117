// RUN: fulgur-opt %s --fulgur-lower-linalg | FileCheck %s
// Rows of a kernel's own operation are shared among tasks; the innermost loop is the one that most operands are contiguous along.

#identity = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>

// 32768 visits a task: 64 columns make it 512 rows.
// CHECK-LABEL: @rows
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x64xf32>, %[[BIAS:[a-z0-9]+]]: memref<64xf32>, %[[OUT:[a-z0-9]+]]: memref<?x64xf32>)
// CHECK: %[[ROWS:.*]] = memref.dim %[[X]]
// CHECK: %[[GRAIN:.*]] = arith.ceildivsi
// CHECK: %[[TASKS:.*]] = arith.ceildivsi %[[ROWS]], %[[GRAIN]]
// CHECK: scf.forall (%[[TASK:.*]]) in (%[[TASKS]])
// CHECK: %[[FROM:.*]] = arith.muli %[[TASK]], %[[GRAIN]]
// CHECK: %[[END:.*]] = arith.addi %[[FROM]], %[[GRAIN]]
// CHECK: %[[TO:.*]] = arith.minsi %[[END]], %[[ROWS]]
// CHECK: scf.for %[[I:.*]] = %[[FROM]] to %[[TO]]
// CHECK: scf.for %[[J:.*]] = %{{.*}} to %{{.*}} step
// CHECK: memref.load %[[X]][%[[I]], %[[J]]]
// CHECK: memref.load %[[BIAS]][%[[J]]]
// CHECK: memref.store %{{.*}}, %[[OUT]][%[[I]], %[[J]]]
func.func @rows(%x: memref<?x64xf32>, %bias: memref<64xf32>, %out: memref<?x64xf32>) {
  linalg.generic {indexing_maps = [#identity, #row, #identity], iterator_types = ["parallel", "parallel"]}
      ins(%x, %bias : memref<?x64xf32>, memref<64xf32>) outs(%out : memref<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  }
  return
}

// CHECK-LABEL: @transposed_operands
// CHECK: scf.forall
// The second dim of all operands is the first loop: it goes innermost.
// CHECK: scf.for %[[ROW:.*]] =
// CHECK: scf.for %[[COLUMN:.*]] =
// CHECK: memref.load %{{.*}}[%[[ROW]], %[[COLUMN]]]
// CHECK: memref.store %{{.*}}, %{{.*}}[%[[ROW]], %[[COLUMN]]]
func.func @transposed_operands(%x: memref<8x16xf32>, %out: memref<8x16xf32>) {
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d1, d0)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%out : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.negf %a : f32
    linalg.yield %s : f32
  }
  return
}

// A copy of short rows that lie together moves vectors, between any strides.
// CHECK-LABEL: @copied_rows
// CHECK: %[[ROW:.*]] = vector.load %{{.*}} : memref<4x8x32xf32, strided<[32, 128, 1], offset: 64>>, vector<16xf32>
// CHECK: vector.store %[[ROW]], %{{.*}} : memref<8x4x32xf32>, vector<16xf32>
func.func @copied_rows(%x: memref<4x8x32xf32, strided<[32, 128, 1], offset: 64>>, %out: memref<8x4x32xf32>) {
  linalg.transpose ins(%x : memref<4x8x32xf32, strided<[32, 128, 1], offset: 64>>) outs(%out : memref<8x4x32xf32>) permutation = [1, 0, 2]
  return
}

// Rows of other lengths, bits, and columns do not.
// CHECK-LABEL: @copied_elements
// CHECK-NOT: vector.load
// CHECK: return
func.func @copied_elements(%x: memref<4x8x30xf32>, %out: memref<8x4x30xf32>, %b: memref<4x8x32xi1>, %c: memref<8x4x32xi1>, %y: memref<16x32xf32>, %z: memref<32x16xf32>) {
  linalg.transpose ins(%x : memref<4x8x30xf32>) outs(%out : memref<8x4x30xf32>) permutation = [1, 0, 2]
  linalg.transpose ins(%b : memref<4x8x32xi1>) outs(%c : memref<8x4x32xi1>) permutation = [1, 0, 2]
  linalg.transpose ins(%y : memref<16x32xf32>) outs(%z : memref<32x16xf32>) permutation = [1, 0]
  return
}

// One loop: pieces of it.
// CHECK-LABEL: @pieces
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?xf32>,
// CHECK: %[[SIZE:.*]] = memref.dim %[[X]]
// CHECK: %[[GRAIN:.*]] = arith.constant 32768 : index
// CHECK: %[[TASKS:.*]] = arith.ceildivsi %[[SIZE]], %[[GRAIN]]
// CHECK: scf.forall (%[[TASK:.*]]) in (%[[TASKS]])
// CHECK: %[[FROM:.*]] = arith.muli %[[TASK]], %[[GRAIN]]
// CHECK: %[[TO:.*]] = arith.minsi %{{.*}}, %[[SIZE]]
// CHECK: scf.for %{{.*}} = %[[FROM]] to %[[TO]]
func.func @pieces(%x: memref<?xf32>, %out: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      ins(%x : memref<?xf32>) outs(%out : memref<?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.negf %a : f32
    linalg.yield %s : f32
  }
  return
}

// CHECK-LABEL: @copy
// CHECK-NOT: memref.copy
// CHECK: scf.forall
// CHECK: %[[V:.*]] = memref.load
// CHECK: memref.store %[[V]]
func.func @copy(%x: memref<?x8xf32>, %out: memref<?x8xf32>) {
  memref.copy %x, %out : memref<?x8xf32> to memref<?x8xf32>
  return
}

// CHECK-LABEL: @scalar
// CHECK-NOT: scf.
// CHECK: %[[V:.*]] = memref.load %{{.*}}[] : memref<f32>
// CHECK: memref.store %[[V]], %{{.*}}[] : memref<f32>
func.func @scalar(%x: memref<f32>, %out: memref<f32>) {
  memref.copy %x, %out : memref<f32> to memref<f32>
  return
}

// CHECK-LABEL: @index
// CHECK: scf.for %[[I:.*]] =
// CHECK: arith.index_cast %[[I]]
func.func @index(%out: memref<8xi64>) {
  linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%out : memref<8xi64>) {
  ^bb0(%o: i64):
    %i = linalg.index 0 : index
    %v = arith.index_cast %i : index to i64
    linalg.yield %v : i64
  }
  return
}

// The loop around it runs it many times: tasks would cost more than they share.
// CHECK-LABEL: @negative_inside_a_loop
// CHECK-NOT: scf.forall
// CHECK: return
func.func @negative_inside_a_loop(%out: memref<4x8xf32>, %n: index) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %v = arith.constant 0.0 : f32
  scf.for %i = %zero to %n step %one {
    linalg.fill ins(%v : f32) outs(%out : memref<4x8xf32>)
  }
  return
}

// Rows that indices pick: an index is read once for its row, as long as it is known to be read and that nothing writes it.
// CHECK-LABEL: @gathered_rows
// CHECK: memref.load %{{.*}} : memref<4xi64>
// CHECK: scf.for
// CHECK-NOT: memref<4xi64>
// CHECK: return
#picked = affine_map<(d0, d1) -> (d0)>
#element = affine_map<(d0, d1) -> (d0, d1)>
func.func @gathered_rows(%indices: memref<4xi64>, %table: memref<?x8xf32>, %out: memref<4x8xf32>) {
  linalg.generic {indexing_maps = [#picked, #element], iterator_types = ["parallel", "parallel"]} ins(%indices : memref<4xi64>) outs(%out : memref<4x8xf32>) {
  ^bb0(%k: i64, %o: f32):
    %i = arith.index_cast %k : i64 to index
    %j = linalg.index 1 : index
    %v = memref.load %table[%i, %j] : memref<?x8xf32>
    linalg.yield %v : f32
  }
  return
}

// Rows that are picked and computed with are on vectors.
// CHECK-LABEL: @added_rows
// CHECK: vector.load %{{.*}} : memref<?x8xf32>, vector<8xf32>
// CHECK: arith.addf %{{.*}} : vector<8xf32>
// CHECK: vector.store
// CHECK: return
func.func @added_rows(%indices: memref<4xi64>, %table: memref<?x8xf32>, %x: memref<4x8xf32>, %out: memref<4x8xf32>) {
  linalg.generic {indexing_maps = [#picked, #element, #element], iterator_types = ["parallel", "parallel"]}
      ins(%indices, %x : memref<4xi64>, memref<4x8xf32>) outs(%out : memref<4x8xf32>) {
  ^bb0(%k: i64, %a: f32, %o: f32):
    %i = arith.index_cast %k : i64 to index
    %j = linalg.index 1 : index
    %v = memref.load %table[%i, %j] : memref<?x8xf32>
    %s = arith.addf %v, %a : f32
    linalg.yield %s : f32
  }
  return
}

// CHECK-LABEL: @scattered_rows
// CHECK: scf.for
// CHECK: memref.load %{{.*}} : memref<?x1xi64>
// CHECK: scf.for
// CHECK-NOT: memref<?x1xi64>
// CHECK: return
func.func @scattered_rows(%indices: memref<?x1xi64>, %updates: memref<?x8xf32>, %out: memref<?x8xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %eight = arith.constant 8 : index
  %n = memref.dim %indices, %zero : memref<?x1xi64>
  scf.for %i = %zero to %n step %one {
    scf.for %j = %zero to %eight step %one {
      %k = memref.load %indices[%i, %zero] : memref<?x1xi64>
      %to = arith.index_cast %k : i64 to index
      %u = memref.load %updates[%i, %j] : memref<?x8xf32>
      %v = memref.load %out[%to, %j] : memref<?x8xf32>
      %sum = arith.addf %u, %v : f32
      memref.store %sum, %out[%to, %j] : memref<?x8xf32>
    }
  }
  return
}

// A loop that may not run at all must not read for it.
// CHECK-LABEL: @negative_perhaps_empty
// CHECK: scf.for
// CHECK-NEXT: memref.load %{{.*}} : memref<1xi64>
func.func @negative_perhaps_empty(%indices: memref<1xi64>, %out: memref<?xi64>, %n: index) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  scf.for %j = %zero to %n step %one {
    %k = memref.load %indices[%zero] : memref<1xi64>
    memref.store %k, %out[%j] : memref<?xi64>
  }
  return
}

// CHECK-LABEL: @negative_written
// CHECK: scf.for
// CHECK-NEXT: memref.load
func.func @negative_written(%counts: memref<8xi64>, %v: i64) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %eight = arith.constant 8 : index
  scf.for %j = %zero to %eight step %one {
    %k = memref.load %counts[%zero] : memref<8xi64>
    %sum = arith.addi %k, %v : i64
    memref.store %sum, %counts[%zero] : memref<8xi64>
  }
  return
}

// Bilinear rows of an image: three tables lie along the second loop, but elements are picked and written along the third. A part
// that is where it belongs is not copied.
// CHECK-LABEL: @picked
// CHECK: scf.forall
// CHECK: scf.for
// CHECK: scf.for %[[C:.*]] = %{{.*}} to %{{.*}} step
// CHECK: memref.load {{.*}}, %[[C]]] : memref<4x8x64xf32>
// CHECK: memref.store {{.*}}, %[[C]]] : memref<4x16x64xf32>
// CHECK-NOT: scf.for
// CHECK: return
#table = affine_map<(d0, d1, d2) -> (d1)>
#image = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
func.func @picked(%x: memref<4x8x64xf32>, %at: memref<16xindex>, %a: memref<16xf32>, %b: memref<16xf32>, %out: memref<4x16x64xf32>) {
  linalg.generic {indexing_maps = [#table, #table, #table, #image], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%at, %a, %b : memref<16xindex>, memref<16xf32>, memref<16xf32>) outs(%out : memref<4x16x64xf32>) {
  ^bb0(%i: index, %f: f32, %g: f32, %o: f32):
    %row = linalg.index 0 : index
    %channel = linalg.index 2 : index
    %e = memref.load %x[%row, %i, %channel] : memref<4x8x64xf32>
    %p = arith.mulf %e, %f : f32
    %s = arith.addf %p, %g : f32
    linalg.yield %s : f32
  }
  memref.copy %out, %out : memref<4x16x64xf32> to memref<4x16x64xf32>
  return
}

#columns = affine_map<(y, q, x, p) -> (y, x, q, p)>
#result = affine_map<(y, q, x, p) -> (y, q, x, p)>

// Rows of two elements: the loop around them is inside of rows, too, which are numbered without it.
// CHECK-LABEL: @short_rows
// CHECK: scf.forall
// CHECK: scf.for %[[ROW:.*]] = %{{.*}} to
// CHECK: arith.remsi %[[ROW]], %{{.*}} : index
// CHECK-NOT: arith.remsi
// CHECK: scf.for
// CHECK: scf.for
// CHECK: memref.store
func.func @short_rows(%in: memref<8x65x3x2xf32>, %out: memref<8x3x65x2xf32>) {
  linalg.generic {indexing_maps = [#columns, #result], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%in : memref<8x65x3x2xf32>) outs(%out : memref<8x3x65x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  }
  return
}

// A loop that is long, or of unknown size, stays one over rows.
// CHECK-LABEL: @negative_short_rows_of_unknown_size
// CHECK-COUNT-2: arith.remsi
// CHECK-NOT: arith.remsi
// CHECK: memref.store
func.func @negative_short_rows_of_unknown_size(%in: memref<8x?x3x2xf32>, %out: memref<8x3x?x2xf32>) {
  linalg.generic {indexing_maps = [#columns, #result], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%in : memref<8x?x3x2xf32>) outs(%out : memref<8x3x?x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  }
  return
}
