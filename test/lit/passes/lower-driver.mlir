// RUN: fulgur-opt %s --fulgur-lower-driver=prefix=m | FileCheck %s
// Values get slots: the input 0, the state of the loop 1, the output of the part in between 2. Each call that fails ends the driver.

// CHECK: module attributes {
// CHECK-SAME: fulgur.inputs = [{dims = [2], dtype = 1 : i64, name = "x"
// CHECK-SAME: fulgur.output_slots = array<i32: 1>
// CHECK-SAME: fulgur.parts = [{inputs = array<i32: 1>, messages = [], name = "part_0", outputs = array<i32: 2>
// CHECK-SAME: fulgur.slots = 3 : i64
// CHECK: func.func @m__drive(%[[FRAME:.*]]: !llvm.ptr) -> i32
// CHECK: %[[TO:.*]] = arith.constant 1 : i32
// CHECK: %[[FROM:.*]] = arith.constant 0 : i32
// CHECK: %[[STATUS:.*]] = call @fulgur__assign(%[[FRAME]], %[[TO]], %[[FROM]])
// CHECK: %[[GOOD:.*]] = arith.cmpi eq, %[[STATUS]]
// CHECK: cf.cond_br %[[GOOD]], ^[[GO:.*]], ^[[STOP:.*]]
// CHECK: ^[[STOP]]:
// CHECK-NEXT: return %[[STATUS]]
// CHECK: ^[[GO]]:
// CHECK: cf.br ^[[HEAD:bb.*]](%
// CHECK: call @fulgur__part(%[[FRAME]]
// CHECK: call @fulgur__assign(%[[FRAME]]
// CHECK: cf.br ^[[HEAD]](
module attributes {fulgur.symbols = []} {
  func.func @drive(%x: !fulgur.value {fulgur.name = "x", fulgur.dims = ["2"], fulgur.type = tensor<2xf32>})
      -> (!fulgur.value {fulgur.name = "y", fulgur.dims = ["2"], fulgur.type = tensor<2xf32>}) {
    %zero = arith.constant 0 : i64
    %one = arith.constant 1 : i64
    %count = arith.constant 3 : i64
    %last:2 = scf.while (%i = %zero, %state = %x) : (i64, !fulgur.value) -> (i64, !fulgur.value) {
      %go = arith.cmpi slt, %i, %count : i64
      scf.condition(%go) %i, %state : i64, !fulgur.value
    } do {
    ^bb0(%i: i64, %state: !fulgur.value):
      fulgur.run @part_0(%state)
      %next = fulgur.output @part_0[0]
      %j = arith.addi %i, %one : i64
      scf.yield %j, %next : i64, !fulgur.value
    }
    return %last#1 : !fulgur.value
  }
  module @part_0 attributes {fulgur.messages = [], fulgur.outputs = [{dims = [2], dtype = 1 : i64, name = "", symbols = [-1], texts = ["?"]}]} {
  }
}
