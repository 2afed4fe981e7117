// RUN: fulgur-opt %s --split-input-file --fulgur-hoist-scratch | FileCheck %s
// Kernels allocate nothing: what they need is on the stack, when small and of fixed size, or an operand allocated by @main.

// CHECK-LABEL: @kernel_on_stack
// CHECK-NEXT: %[[SCRATCH:.*]] = memref.alloca() {alignment = 64 : i64} : memref<64xf32>
// CHECK-NOT: memref.alloc()
// CHECK: memref.store %{{.*}}, %[[SCRATCH]]
func.func private @kernel_on_stack(%call: !llvm.ptr, %x: memref<8xf32>) {
  %zero = arith.constant 0 : index
  %value = memref.load %x[%zero] : memref<8xf32>
  %scratch = memref.alloc() : memref<64xf32>
  memref.store %value, %scratch[%zero] : memref<64xf32>
  return
}

// -----

// In a parallel loop it is the stack of the task, outside of the task's loops.
// CHECK-LABEL: @kernel_in_task
// CHECK: scf.forall
// CHECK-NEXT: memref.alloca() {alignment = 64 : i64} : memref<64xf32>
// CHECK: scf.for
// CHECK-NOT: memref.alloc
func.func private @kernel_in_task(%call: !llvm.ptr, %x: memref<?xf32>, %n: index) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  scf.forall (%task) in (%n) {
    scf.for %i = %zero to %n step %one {
      %scratch = memref.alloc() : memref<64xf32>
      %value = memref.load %x[%i] : memref<?xf32>
      memref.store %value, %scratch[%zero] : memref<64xf32>
    }
  }
  return
}

// -----

// More than the stack's 64 KiB.
// CHECK-LABEL: module @too_large
// CHECK: func.func @main
// CHECK: %[[SCRATCH:.*]] = memref.alloc() : memref<128x256xf32>
// CHECK: call @kernel(%{{.*}}, %{{.*}}, %[[SCRATCH]])
// CHECK: func.func private @kernel(%{{.*}}, %{{.*}}, %[[OPERAND:.*]]: memref<128x256xf32>)
// CHECK-NOT: memref.alloc
// CHECK: memref.store %{{.*}}, %[[OPERAND]]
module @too_large {
  func.func @main(%call: !llvm.ptr, %x: memref<8xf32>) {
    call @kernel(%call, %x) : (!llvm.ptr, memref<8xf32>) -> ()
    return
  }
  func.func private @kernel(%call: !llvm.ptr, %x: memref<8xf32>) {
    %zero = arith.constant 0 : index
    %value = memref.load %x[%zero] : memref<8xf32>
    %scratch = memref.alloc() : memref<128x256xf32>
    memref.store %value, %scratch[%zero, %zero] : memref<128x256xf32>
    return
  }
}

// -----

// The stack is shared by the kernel's buffers: 40 KiB fit once.
// CHECK-LABEL: module @stack_is_full
// CHECK: memref.alloc() : memref<10240xf32>
// CHECK: func.func private @kernel(%{{.*}}, %{{.*}}: memref<10240xf32>)
// CHECK: memref.alloca() {alignment = 64 : i64} : memref<10240xf32>
module @stack_is_full {
  func.func @main(%call: !llvm.ptr) {
    call @kernel(%call) : (!llvm.ptr) -> ()
    return
  }
  func.func private @kernel(%call: !llvm.ptr) {
    %zero = arith.constant 0 : index
    %value = arith.constant 0.0 : f32
    %first = memref.alloc() : memref<10240xf32>
    %second = memref.alloc() : memref<10240xf32>
    memref.store %value, %first[%zero] : memref<10240xf32>
    memref.store %value, %second[%zero] : memref<10240xf32>
    return
  }
}

// -----

// A size is computed again by each caller from the sizes of its own buffers.
// CHECK-LABEL: module @symbolic
// CHECK: func.func @main
// CHECK: %[[BATCH:.*]] = fulgur.symbol "batch"
// CHECK: %[[SEQUENCE:.*]] = fulgur.symbol "sequence"
// CHECK: %[[TWICE:.*]] = arith.muli %[[BATCH]], %{{.*}}
// CHECK: %[[FIRST:.*]] = memref.alloc(%[[TWICE]])
// CHECK: call @kernel(%{{.*}}, %{{.*}}, %[[FIRST]])
// CHECK: %[[TWICE:.*]] = arith.muli %[[SEQUENCE]], %{{.*}}
// CHECK: %[[SECOND:.*]] = memref.alloc(%[[TWICE]])
// CHECK: call @kernel(%{{.*}}, %{{.*}}, %[[SECOND]])
// CHECK: func.func private @kernel
// CHECK-NOT: memref.alloc
module @symbolic {
  func.func @main(%call: !llvm.ptr) {
    %zero = arith.constant 0 : index
    %batch = fulgur.symbol "batch"
    %sequence = fulgur.symbol "sequence"
    %x = fulgur.buffer %call input(%zero) [%batch] : !llvm.ptr -> memref<?xf32>
    %y = fulgur.buffer %call arena(%zero) [%sequence] : !llvm.ptr -> memref<?xf32>
    call @kernel(%call, %x) : (!llvm.ptr, memref<?xf32>) -> ()
    call @kernel(%call, %y) : (!llvm.ptr, memref<?xf32>) -> ()
    return
  }
  func.func private @kernel(%call: !llvm.ptr, %x: memref<?xf32>) {
    %zero = arith.constant 0 : index
    %two = arith.constant 2 : index
    %size = memref.dim %x, %zero : memref<?xf32>
    %twice = arith.muli %size, %two : index
    %scratch = memref.alloc(%twice) : memref<?xf32>
    %value = memref.load %x[%zero] : memref<?xf32>
    memref.store %value, %scratch[%zero] : memref<?xf32>
    return
  }
}

// -----

// So is what only one task of a parallel loop uses.
// CHECK-LABEL: module @one_task
// CHECK: %[[SCRATCH:.*]] = memref.alloc(%{{.*}}) : memref<?xf32>
// CHECK: call @kernel(%{{.*}}, %{{.*}}, %[[SCRATCH]])
// CHECK: func.func private @kernel
// CHECK-NOT: memref.alloc
module @one_task {
  func.func @main(%call: !llvm.ptr) {
    %zero = arith.constant 0 : index
    %batch = fulgur.symbol "batch"
    %x = fulgur.buffer %call input(%zero) [%batch] : !llvm.ptr -> memref<?xf32>
    call @kernel(%call, %x) : (!llvm.ptr, memref<?xf32>) -> ()
    return
  }
  func.func private @kernel(%call: !llvm.ptr, %x: memref<?xf32>) {
    %zero = arith.constant 0 : index
    %size = memref.dim %x, %zero : memref<?xf32>
    scf.forall (%task) in (2) {
      scf.index_switch %task
      case 1 {
        %scratch = memref.alloc(%size) : memref<?xf32>
        %value = memref.load %x[%zero] : memref<?xf32>
        memref.store %value, %scratch[%zero] : memref<?xf32>
        scf.yield
      }
      default {
      }
    }
    return
  }
}
