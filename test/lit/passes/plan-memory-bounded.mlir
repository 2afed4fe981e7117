// RUN: fulgur-opt %s --fulgur-plan-memory --canonicalize --cse | FileCheck %s
// For a size that is known only while running, the plan reserves its bound; the run checks it.

// CHECK: module attributes {
// CHECK-SAME: fulgur.messages = ["node 'route': too many rows", "node 'route': no rows"]
module attributes {fulgur.symbols = [{name = "batch", min = 1 : i64, max = 1024 : i64}]} {
  func.func private @count() -> index
  func.func private @use(memref<?x16xf32>, memref<16xf32>)

  // CHECK: func.func private @plan
  // CHECK-NOT: fulgur.bounded
  // CHECK-DAG: %[[BATCH:.*]] = fulgur.symbol "batch"
  // CHECK-DAG: %[[BYTES:.*]] = arith.muli %[[BATCH]], %c64
  // CHECK-NOT: fulgur.require
  // CHECK: return

  // CHECK: func.func private @main
  // CHECK: %[[ROWS:.*]] = fulgur.bounded %{{.*}} at most %{{.*}}, "too many rows" {number = 1 : i32}
  // CHECK: fulgur.require %{{.*}}, "no rows" {number = 2 : i32}
  // CHECK: fulgur.buffer %{{.*}} arena(%{{.*}}) [%[[ROWS]]] : !llvm.ptr -> memref<?x16xf32>
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : index
    %batch = fulgur.symbol "batch"
    %count = call @count() : () -> index
    %rows = fulgur.bounded %count at most %batch, "too many rows" loc("route")
    %some = arith.cmpi ne, %rows, %zero : index
    fulgur.require %some, "no rows" loc("route")
    %routed = memref.alloc(%rows) : memref<?x16xf32>
    %other = memref.alloc() : memref<16xf32>
    call @use(%routed, %other) : (memref<?x16xf32>, memref<16xf32>) -> ()
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}
