// RUN: fulgur-opt %s --fulgur-plan-memory --cse | FileCheck %s
// @plan checks the requirements between symbols, then gives the arena's size and the outputs' dims.

// Messages of @plan come first, numbered from 1; those of checks while running follow.
// CHECK: module attributes {
// CHECK-SAME: fulgur.messages = ["node 'add': 'past' is not 4 less than 'total'", "'batch' is odd", "node 'embed': index outside the table"]
module attributes {fulgur.symbols = [{name = "past", min = 0 : i64, max = 1024 : i64}, {name = "total", min = 0 : i64, max = 1024 : i64}, {name = "batch", min = 0 : i64, max = 1024 : i64}]} {
  // CHECK: func.func private @plan(%{{.*}}, %[[ARENA:.*]]: !llvm.ptr, %[[DIMS:.*]]: !llvm.ptr) -> i32
  // CHECK: %[[OK:.*]] = arith.constant 0 : i32
  // The first that fails decides: it is looked at last.
  // CHECK: %[[EVEN:.*]] = arith.cmpi eq
  // CHECK: %[[TWO:.*]] = arith.constant 2 : i32
  // CHECK: %[[SECOND:.*]] = arith.select %[[EVEN]], %[[OK]], %[[TWO]]
  // CHECK: %[[SUM:.*]] = arith.addi
  // CHECK: %[[SAME:.*]] = arith.cmpi eq, %[[SUM]]
  // CHECK: %[[ONE:.*]] = arith.constant 1 : i32
  // CHECK: %[[FIRST:.*]] = arith.select %[[SAME]], %[[SECOND]], %[[ONE]]

  // The dims of the outputs in their order, static ones too.
  // CHECK: llvm.store %{{.*}}, %[[ARENA_AT:.*]] : i64, !llvm.ptr
  // CHECK: llvm.getelementptr %[[DIMS]][0]
  // CHECK: llvm.getelementptr %[[DIMS]][1]
  // CHECK: llvm.getelementptr %[[DIMS]][2]
  // CHECK-NOT: llvm.getelementptr
  // CHECK: return %[[FIRST]] : i32

  // CHECK: func.func private @main
  // CHECK-NOT: fulgur.require
  // CHECK: fulgur.check_bounds {{.*}} {number = 3 : i32}
  // CHECK-NOT: fulgur.require
  // CHECK: return
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    %four = arith.constant 4 : index
    %past = fulgur.symbol "past"
    %total = fulgur.symbol "total"
    %batch = fulgur.symbol "batch"
    %sum = arith.addi %past, %four : index
    %same = arith.cmpi eq, %sum, %total : index
    fulgur.require %same, "'past' is not 4 less than 'total'" loc("add")
    %indices = fulgur.buffer %call input(%zero) [%batch] : !llvm.ptr -> memref<?xi64>
    fulgur.check_bounds %indices in %zero to %four, "index outside the table" : memref<?xi64> loc("embed")
    %rest = arith.remui %batch, %two : index
    %even = arith.cmpi eq, %rest, %zero : index
    fulgur.require %even, "'batch' is odd" loc(unknown)
    %second = fulgur.buffer %call output(%one) [%total] : !llvm.ptr -> memref<?x8xf32>
    %first = fulgur.buffer %call output(%zero) [%batch] : !llvm.ptr -> memref<?xf32>
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}
