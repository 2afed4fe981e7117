// RUN: fulgur-opt %s --fulgur-plan-memory --canonicalize --cse | FileCheck %s
// The offset of a buffer is the largest end of the buffers below it, for every value of the symbols.

// CHECK: module attributes {
// CHECK-SAME: fulgur.arena_bytes = 0 : i64
module attributes {fulgur.symbols = [{name = "batch", min = 1 : i64, max = 1024 : i64}, {name = "sequence", min = 1 : i64, max = 1024 : i64}]} {
  func.func private @fill(memref<?x16xf32>)
  func.func private @step(memref<?x16xf32>, memref<?x32xf32>)
  func.func private @last(memref<?x32xf32>, memref<?x16xf32>)

  // The arena ends where the last buffer, or the one below it, does.
  // CHECK: func.func private @plan(%{{.*}}, %[[ARENA:.*]]: !llvm.ptr, %{{.*}}) -> i32
  // CHECK-DAG: %[[BATCH:.*]] = fulgur.symbol "batch"
  // CHECK-DAG: %[[SEQUENCE:.*]] = fulgur.symbol "sequence"
  // CHECK-DAG: %[[NARROW:.*]] = arith.muli %[[BATCH]], %c64
  // CHECK-DAG: %[[WIDE:.*]] = arith.muli %[[SEQUENCE]], %c128
  // CHECK-DAG: %[[END:.*]] = arith.addi %[[WIDE]], %[[NARROW]]
  // CHECK: %[[PAIR:.*]] = arith.maxui %[[WIDE]], %[[END]]
  // CHECK: %[[TOTAL:.*]] = arith.maxui %[[PAIR]], %[[END]]
  // Sizes beyond 64 bits are reported as a negative one; a double tells.
  // CHECK: %[[FITS:.*]] = arith.cmpf olt
  // CHECK: %[[REPORTED:.*]] = arith.select %[[FITS]], %[[TOTAL]], %c-1
  // CHECK: %[[BYTES:.*]] = arith.index_cast %[[REPORTED]] : index to i64
  // CHECK: llvm.store %[[BYTES]], %[[ARENA]]

  // The first and the third are the same place, above the second.
  // CHECK: func.func private @main(%[[CALL:.*]]: !llvm.ptr)
  // CHECK-DAG: %[[WIDE:.*]] = arith.muli %{{.*}}, %c128
  // CHECK-DAG: %[[ABOVE:.*]] = fulgur.buffer %[[CALL]] arena(%[[WIDE]]) {{.*}} -> memref<?x16xf32>
  // CHECK: call @fill(%[[ABOVE]])
  // CHECK: %[[BELOW:.*]] = fulgur.buffer %[[CALL]] arena(%c0) {{.*}} -> memref<?x32xf32>
  // CHECK: call @step(%[[ABOVE]], %[[BELOW]])
  // CHECK: call @last(%[[BELOW]], %[[ABOVE]])
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %batch = fulgur.symbol "batch"
    %first = memref.alloc(%batch) : memref<?x16xf32>
    call @fill(%first) : (memref<?x16xf32>) -> ()
    // Sizes may be computed late: the plan moves them up.
    %sequence = fulgur.symbol "sequence"
    %second = memref.alloc(%sequence) : memref<?x32xf32>
    call @step(%first, %second) : (memref<?x16xf32>, memref<?x32xf32>) -> ()
    %third = memref.alloc(%batch) : memref<?x16xf32>
    call @last(%second, %third) : (memref<?x32xf32>, memref<?x16xf32>) -> ()
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}
