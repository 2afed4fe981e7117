// RUN: fulgur-opt %s --split-input-file --fulgur-lower-entry=prefix=tiny | FileCheck %s
// The run and the plan take their C names and read the symbols from the caller's arrays.

// CHECK-LABEL: module @symbols
// CHECK: func.func @tiny__plan(%[[ARRAY:.*]]: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr) -> i32
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[ARRAY]][1] : (!llvm.ptr) -> !llvm.ptr, i64
// CHECK: %[[WIDE:.*]] = llvm.load %[[AT]] : !llvm.ptr -> i64
// CHECK: arith.index_cast %[[WIDE]] : i64 to index
// CHECK: func.func @tiny__run(%[[CALL:.*]]: !llvm.ptr) -> i32
// CHECK: %[[ARRAY:.*]] = llvm.load %[[CALL]] : !llvm.ptr -> !llvm.ptr
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[ARRAY]][0]
// CHECK: %[[WIDE:.*]] = llvm.load %[[AT]]
// CHECK: %[[BATCH:.*]] = arith.index_cast %[[WIDE]]
// CHECK: call @use(%[[BATCH]])
module @symbols attributes {fulgur.symbols = [{name = "batch", min = 1 : i64, max = 8 : i64}, {name = "sequence", min = 1 : i64, max = 8 : i64}]} {
  func.func private @use(index)
  func.func private @plan(%symbols: !llvm.ptr, %arena: !llvm.ptr, %dims: !llvm.ptr) -> i32 {
    %sequence = fulgur.symbol "sequence"
    call @use(%sequence) : (index) -> ()
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %batch = fulgur.symbol "batch"
    call @use(%batch) : (index) -> ()
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}

// -----

// A bad index ends the run with the number of the check's message.
// CHECK-LABEL: module @bounds
// CHECK: func.func @tiny__run
// CHECK: %[[LOWER:.*]] = arith.index_cast %{{.*}} : index to i32
// CHECK: %[[UPPER:.*]] = arith.index_cast %{{.*}} : index to i32
// CHECK: %[[YES:.*]] = arith.constant true
// CHECK: %[[FLAT:.*]] = memref.collapse_shape %{{.*}} {{\[\[}}0, 1]] : memref<2x3xi32> into memref<6xi32>
// CHECK: %[[GOOD:.*]] = scf.for %[[I:.*]] = {{.*}} iter_args(%[[SO_FAR:.*]] = %[[YES]])
// CHECK: %[[INDEX:.*]] = memref.load %[[FLAT]][%[[I]]]
// CHECK: arith.cmpi sge, %[[INDEX]], %[[LOWER]]
// CHECK: arith.cmpi slt, %[[INDEX]], %[[UPPER]]
// CHECK: arith.andi %{{.*}}, %[[SO_FAR]]
// CHECK: %[[NUMBER:.*]] = arith.constant 7 : i32
// CHECK: cf.cond_br %[[GOOD]], ^[[GO_ON:.*]], ^[[STOP:.*]]
// CHECK: ^[[STOP]]:
// CHECK-NEXT: return %[[NUMBER]] : i32
// CHECK: ^[[GO_ON]]:
// CHECK: call @work
module @bounds {
  func.func private @work()
  func.func private @plan(%symbols: !llvm.ptr, %arena: !llvm.ptr, %dims: !llvm.ptr) -> i32 {
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : index
    %ten = arith.constant 10 : index
    %indices = fulgur.buffer %call input(%zero) : !llvm.ptr -> memref<2x3xi32>
    fulgur.check_bounds %indices in %zero to %ten, "index outside the table" {number = 7 : i32} : memref<2x3xi32>
    call @work() : () -> ()
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}

// -----

// One index needs no loop.
// CHECK-LABEL: module @scalar_bounds
// CHECK: func.func @tiny__run
// CHECK-NOT: scf.for
// CHECK: memref.load %{{.*}}[] : memref<i64>
// CHECK: cf.cond_br
module @scalar_bounds {
  func.func private @plan(%symbols: !llvm.ptr, %arena: !llvm.ptr, %dims: !llvm.ptr) -> i32 {
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : index
    %ten = arith.constant 10 : index
    %indices = fulgur.buffer %call input(%zero) : !llvm.ptr -> memref<i64>
    fulgur.check_bounds %indices in %zero to %ten, "index outside the table" {number = 7 : i32} : memref<i64>
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}

// -----

// Sizes known while running: as unsigned numbers, so that negative ones are too large. Then what is required of them.
// CHECK-LABEL: module @run_time_sizes
// CHECK: func.func @tiny__run
// CHECK: %[[ROWS:.*]] = call @count()
// CHECK: %[[BOUND:.*]] = arith.constant 10 : index
// CHECK: %[[GOOD:.*]] = arith.cmpi ule, %[[ROWS]], %[[BOUND]]
// CHECK: %[[NUMBER:.*]] = arith.constant 1 : i32
// CHECK: cf.cond_br %[[GOOD]], ^[[GO_ON:.*]], ^[[STOP:.*]]
// CHECK: ^[[STOP]]:
// CHECK-NEXT: return %[[NUMBER]] : i32
// CHECK: ^[[GO_ON]]:
// CHECK: %[[SOME:.*]] = arith.cmpi ne, %[[ROWS]], %{{.*}}
// CHECK: %[[NUMBER:.*]] = arith.constant 2 : i32
// CHECK: cf.cond_br %[[SOME]], ^{{.*}}, ^[[STOP:.*]]
// CHECK: ^[[STOP]]:
// CHECK-NEXT: return %[[NUMBER]] : i32
module @run_time_sizes {
  func.func private @count() -> index
  func.func private @plan(%symbols: !llvm.ptr, %arena: !llvm.ptr, %dims: !llvm.ptr) -> i32 {
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : index
    %count = call @count() : () -> index
    %ten = arith.constant 10 : index
    %rows = fulgur.bounded %count at most %ten, "too many rows" {number = 1 : i32}
    %some = arith.cmpi ne, %rows, %zero : index
    fulgur.require %some, "no rows" {number = 2 : i32}
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}

// -----

// The sizes of outputs that are known only while running are the only ones that a run writes: dim 1 of the second output.
// CHECK-LABEL: module @output_dims
// CHECK: func.func @tiny__run(%[[CALL:.*]]: !llvm.ptr) -> i32
// CHECK: %[[ROWS:.*]] = call @count()
// CHECK: %[[FIELD:.*]] = llvm.getelementptr %[[CALL]][7] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
// CHECK: %[[DIMS:.*]] = llvm.load %[[FIELD]] : !llvm.ptr -> !llvm.ptr
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[DIMS]][2] : (!llvm.ptr) -> !llvm.ptr, i64
// CHECK: %[[WIDE:.*]] = arith.index_cast %[[ROWS]] : index to i64
// CHECK: llvm.store %[[WIDE]], %[[AT]] : i64, !llvm.ptr
// CHECK-NOT: llvm.store
module @output_dims attributes {fulgur.symbols = [{name = "batch", min = 1 : i64, max = 8 : i64}]} {
  func.func private @count() -> index
  func.func private @plan(%symbols: !llvm.ptr, %arena: !llvm.ptr, %dims: !llvm.ptr) -> i32 {
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %batch = fulgur.symbol "batch"
    %count = call @count() : () -> index
    %rows = fulgur.bounded %count at most %batch, "too many rows" {number = 1 : i32}
    %first = fulgur.buffer %call output(%zero) [%batch] : !llvm.ptr -> memref<?xf32>
    %second = fulgur.buffer %call output(%one) [%batch, %rows] : !llvm.ptr -> memref<?x?xf32>
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}
