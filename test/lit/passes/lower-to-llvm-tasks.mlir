// RUN: fulgur-opt %s --fulgur-lower-to-llvm --canonicalize | FileCheck %s
// A launch packs the task's values on its stack and hands them to fulgur_parallel.

// On the caller's executor when there is one and more than one task; else task after task.
// CHECK: llvm.func internal @fulgur_parallel(%[[CALL:.*]]: !llvm.ptr, %[[COUNT:.*]]: i64, %[[TASK:.*]]: !llvm.ptr, %[[PACKED:.*]]: !llvm.ptr) attributes {{.*}}no_inline
// CHECK: llvm.getelementptr %[[CALL]][5]
// CHECK: %[[PARALLEL_FOR:.*]] = llvm.load
// CHECK: llvm.cond_br %{{.*}}, ^[[SHARE:.*]], ^[[HEAD:.*]](
// CHECK: ^[[SHARE]]:
// CHECK: llvm.getelementptr %[[CALL]][6]
// CHECK: %[[EXECUTOR:.*]] = llvm.load
// CHECK: llvm.call %[[PARALLEL_FOR]](%[[EXECUTOR]], %[[COUNT]], %[[TASK]], %[[PACKED]])
// CHECK: ^[[HEAD]](%[[I:.*]]: i64):
// CHECK: llvm.icmp "slt" %[[I]], %[[COUNT]]
// CHECK: llvm.call %[[TASK]](%[[PACKED]], %[[I]])

// CHECK: llvm.func @task(%[[PACKED:.*]]: !llvm.ptr, %[[I:.*]]: i64)
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[PACKED]][0, 0] : (!llvm.ptr) -> !llvm.ptr, !llvm.struct<(i64, f32)>
// CHECK: llvm.load %[[AT]] : !llvm.ptr -> i64
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[PACKED]][0, 1] : (!llvm.ptr) -> !llvm.ptr, !llvm.struct<(i64, f32)>
// CHECK: llvm.load %[[AT]] : !llvm.ptr -> f32
func.func private @use(index, f32, index)
func.func @task(%packed: !llvm.ptr, %i: index) {
  %n, %v = fulgur.arguments %packed : !llvm.ptr -> index, f32
  call @use(%n, %v, %i) : (index, f32, index) -> ()
  return
}

// CHECK: llvm.func @launch(%[[CALL:.*]]: !llvm.ptr, %[[N:.*]]: i64, %[[V:.*]]: f32)
// CHECK-DAG: %[[TASK:.*]] = llvm.mlir.addressof @task
// CHECK-DAG: %[[PACKED:.*]] = llvm.alloca %{{.*}} x !llvm.struct<(i64, f32)>
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[PACKED]][0, 0]
// CHECK: llvm.store %[[N]], %[[AT]]
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[PACKED]][0, 1]
// CHECK: llvm.store %[[V]], %[[AT]]
// CHECK: llvm.call @fulgur_parallel(%[[CALL]], %[[N]], %[[TASK]], %[[PACKED]])
func.func @launch(%call: !llvm.ptr, %n: index, %v: f32) {
  fulgur.launch %call @task(%n) with %n, %v : index, f32 : !llvm.ptr
  return
}

// One slot, however often the launch runs.
// CHECK: llvm.func @launch_in_loop
// CHECK: llvm.alloca
// CHECK: ^bb
// CHECK-NOT: llvm.alloca
// CHECK: llvm.return
func.func @launch_in_loop(%call: !llvm.ptr, %n: index, %v: f32, %again: i1) {
  cf.br ^body
^body:
  fulgur.launch %call @task(%n) with %n, %v : index, f32 : !llvm.ptr
  cf.cond_br %again, ^body, ^end
^end:
  return
}
