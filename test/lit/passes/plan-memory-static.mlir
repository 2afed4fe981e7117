// RUN: fulgur-opt %s --split-input-file --fulgur-plan-memory --canonicalize | FileCheck %s
// Buffers that are not alive together share memory; the arena's size is a constant.

// CHECK-LABEL: module @chain
// CHECK-SAME: fulgur.arena_bytes = 128 : i64
// CHECK: @plan(%{{.*}}, %[[ARENA:.*]]: !llvm.ptr, %{{.*}})
// CHECK: %[[BYTES:.*]] = arith.constant 128 : i64
// CHECK: llvm.store %[[BYTES]], %{{.*}} : i64, !llvm.ptr
// CHECK: @main(%[[CALL:.*]]: !llvm.ptr)
// CHECK-DAG: %[[LOW:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[HIGH:.*]] = arith.constant 64 : index
// CHECK: %[[FIRST:.*]] = fulgur.buffer %[[CALL]] arena(%[[LOW]])
// CHECK: call @fill(%[[FIRST]])
// CHECK: %[[SECOND:.*]] = fulgur.buffer %[[CALL]] arena(%[[HIGH]])
// CHECK: call @step(%[[FIRST]], %[[SECOND]])
// CHECK: %[[THIRD:.*]] = fulgur.buffer %[[CALL]] arena(%[[LOW]])
// CHECK: call @step(%[[SECOND]], %[[THIRD]])
module @chain {
  func.func private @fill(memref<16xf32>)
  func.func private @step(memref<16xf32>, memref<16xf32>)
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %first = memref.alloc() : memref<16xf32>
    call @fill(%first) : (memref<16xf32>) -> ()
    %second = memref.alloc() : memref<16xf32>
    call @step(%first, %second) : (memref<16xf32>, memref<16xf32>) -> ()
    %third = memref.alloc() : memref<16xf32>
    call @step(%second, %third) : (memref<16xf32>, memref<16xf32>) -> ()
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}

// -----

// A buffer lives as long as its views do.
// CHECK-LABEL: module @negative_viewed_later
// CHECK-SAME: fulgur.arena_bytes = 192 : i64
module @negative_viewed_later {
  func.func private @fill(memref<16xf32>)
  func.func private @step(memref<16xf32>, memref<16xf32>)
  func.func private @read(memref<4x4xf32>, memref<16xf32>)
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %first = memref.alloc() : memref<16xf32>
    %view = memref.expand_shape %first [[0, 1]] output_shape [4, 4] : memref<16xf32> into memref<4x4xf32>
    call @fill(%first) : (memref<16xf32>) -> ()
    %second = memref.alloc() : memref<16xf32>
    call @step(%first, %second) : (memref<16xf32>, memref<16xf32>) -> ()
    %third = memref.alloc() : memref<16xf32>
    call @step(%second, %third) : (memref<16xf32>, memref<16xf32>) -> ()
    call @read(%view, %third) : (memref<4x4xf32>, memref<16xf32>) -> ()
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}

// -----

// Sizes are rounded up to 64 bytes: 65 booleans take two lines.
// CHECK-LABEL: module @aligned
// CHECK-SAME: fulgur.arena_bytes = 192 : i64
module @aligned {
  func.func private @step(memref<65xi1>, memref<1xi8>)
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %flags = memref.alloc() : memref<65xi1>
    %byte = memref.alloc() : memref<1xi8>
    call @step(%flags, %byte) : (memref<65xi1>, memref<1xi8>) -> ()
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}

// -----

// Two small buffers fit where one large one was.
// CHECK-LABEL: module @gap
// CHECK-SAME: fulgur.arena_bytes = 256 : i64
module @gap {
  func.func private @fill(memref<32xf32>)
  func.func private @step(memref<16xf32>, memref<16xf32>, memref<32xf32>)
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %large = memref.alloc() : memref<32xf32>
    call @fill(%large) : (memref<32xf32>) -> ()
    %a = memref.alloc() : memref<16xf32>
    %b = memref.alloc() : memref<16xf32>
    %c = memref.alloc() : memref<32xf32>
    call @step(%a, %b, %c) : (memref<16xf32>, memref<16xf32>, memref<32xf32>) -> ()
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}

// -----

// What nobody uses takes no memory.
// CHECK-LABEL: module @unused
// CHECK-SAME: fulgur.arena_bytes = 0 : i64
// CHECK-NOT: memref.alloc
// CHECK-NOT: fulgur.buffer
module @unused {
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %unused = memref.alloc() : memref<16xf32>
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}
