// RUN: fulgurc %s -o - --emit=llvm | FileCheck %s
// CHECK-DAG: @program_model = {{.*}}constant
// CHECK-DAG: @program__drive
// A program as the pipeline leaves it, written by hand: the part 'triple' computes 3 * x; the driver runs it `times` times on its
// own result and collects the results.
module attributes {
  fulgur.model = "program",
  fulgur.symbols = [{name = "batch", min = 0 : i64, max = 64 : i64},
                    {name = "y.0#1", min = 0 : i64, max = 9223372036854775807 : i64, source = 2 : i64}],
  fulgur.inputs = [{name = "x", dtype = 1 : i64, dims = [-1], texts = ["batch"], symbols = [0]},
                   {name = "times", dtype = 7 : i64, dims = [], texts = [], symbols = []}],
  fulgur.outputs = [{name = "all", dtype = 1 : i64, dims = [-1], texts = ["?"], symbols = [-1]},
                    {name = "each", dtype = 100 : i64, dims = [-1], texts = ["length"], symbols = [-1],
                     element = {name = "", dtype = 1 : i64, rank = -1 : i64, dims = [], texts = [], symbols = []}}],
  fulgur.messages = [],
  fulgur.arena_bytes = 0 : i64,
  fulgur.weights = [],
  fulgur.weights_bytes = 0 : i64,
  fulgur.slots = 5 : i64,
  fulgur.output_slots = array<i32: 3, 4>,
  fulgur.parts = [{name = "triple", inputs = array<i32: 2>, outputs = array<i32: 2>, messages = [],
                   ports = [{name = "y", dtype = 1 : i64, dims = [-1], texts = ["batch"], symbols = [0]}]}]
} {
  llvm.func @fulgur__read(!llvm.ptr, i32, !llvm.ptr, !llvm.ptr) -> i32
  llvm.func @fulgur__assign(!llvm.ptr, i32, i32) -> i32
  llvm.func @fulgur__part(!llvm.ptr, i32) -> i32
  llvm.func @fulgur__sequence_append(!llvm.ptr, i32, i32) -> i32
  llvm.func @fulgur__sequence_empty(!llvm.ptr, i32, i32) -> i32
  llvm.func @fulgur__concat(!llvm.ptr, i32, i32, i32, i32, i32, !llvm.ptr) -> i32
  llvm.mlir.global internal constant @node("node 'loop' (Loop, opset 21)\00")

  llvm.func @program__triple__plan(%symbols: !llvm.ptr, %arena: !llvm.ptr, %dims: !llvm.ptr) -> i32 {
    %zero = llvm.mlir.constant(0 : i32) : i32
    %bytes = llvm.mlir.constant(0 : i64) : i64
    %batch = llvm.load %symbols : !llvm.ptr -> i64
    llvm.store %bytes, %arena : i64, !llvm.ptr
    llvm.store %batch, %dims : i64, !llvm.ptr
    llvm.return %zero : i32
  }
  llvm.func @program__triple__run(%call: !llvm.ptr) -> i32 {
    %status = llvm.mlir.constant(0 : i32) : i32
    %zero = llvm.mlir.constant(0 : i64) : i64
    %one = llvm.mlir.constant(1 : i64) : i64
    %three = llvm.mlir.constant(3.0 : f32) : f32
    %symbols = llvm.load %call : !llvm.ptr -> !llvm.ptr
    %inputsAt = llvm.getelementptr %call[8] : (!llvm.ptr) -> !llvm.ptr, i8
    %outputsAt = llvm.getelementptr %call[16] : (!llvm.ptr) -> !llvm.ptr, i8
    %inputs = llvm.load %inputsAt : !llvm.ptr -> !llvm.ptr
    %outputs = llvm.load %outputsAt : !llvm.ptr -> !llvm.ptr
    %x = llvm.load %inputs : !llvm.ptr -> !llvm.ptr
    %y = llvm.load %outputs : !llvm.ptr -> !llvm.ptr
    %batch = llvm.load %symbols : !llvm.ptr -> i64
    llvm.br ^row(%zero : i64)
  ^row(%i: i64):
    %more = llvm.icmp "slt" %i, %batch : i64
    llvm.cond_br %more, ^body, ^end
  ^body:
    %from = llvm.getelementptr %x[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %to = llvm.getelementptr %y[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %a = llvm.load %from : !llvm.ptr -> f32
    %b = llvm.fmul %a, %three : f32
    llvm.store %b, %to : f32, !llvm.ptr
    %next = llvm.add %i, %one : i64
    llvm.br ^row(%next : i64)
  ^end:
    llvm.return %status : i32
  }
  llvm.func @program__drive(%frame: !llvm.ptr) -> i32 {
    %c0 = llvm.mlir.constant(0 : i32) : i32
    %c1 = llvm.mlir.constant(1 : i32) : i32
    %c2 = llvm.mlir.constant(2 : i32) : i32
    %c3 = llvm.mlir.constant(3 : i32) : i32
    %c4 = llvm.mlir.constant(4 : i32) : i32
    %zero = llvm.mlir.constant(0 : i64) : i64
    %one = llvm.mlir.constant(1 : i64) : i64
    %node = llvm.mlir.addressof @node : !llvm.ptr
    %place = llvm.alloca %c1 x i64 : (i32) -> !llvm.ptr
    %s0 = llvm.call @fulgur__read(%frame, %c1, %place, %node) : (!llvm.ptr, i32, !llvm.ptr, !llvm.ptr) -> i32
    %ok0 = llvm.icmp "eq" %s0, %c0 : i32
    llvm.cond_br %ok0, ^begin, ^stop(%s0 : i32)
  ^begin:
    %times = llvm.load %place : !llvm.ptr -> i64
    %s1 = llvm.call @fulgur__assign(%frame, %c2, %c0) : (!llvm.ptr, i32, i32) -> i32
    %s2 = llvm.call @fulgur__sequence_empty(%frame, %c4, %c1) : (!llvm.ptr, i32, i32) -> i32
    llvm.br ^loop(%zero : i64)
  ^loop(%i: i64):
    %more = llvm.icmp "slt" %i, %times : i64
    llvm.cond_br %more, ^body, ^end
  ^body:
    %s3 = llvm.call @fulgur__part(%frame, %c0) : (!llvm.ptr, i32) -> i32
    %ok3 = llvm.icmp "eq" %s3, %c0 : i32
    llvm.cond_br %ok3, ^collect, ^stop(%s3 : i32)
  ^collect:
    %s4 = llvm.call @fulgur__sequence_append(%frame, %c4, %c2) : (!llvm.ptr, i32, i32) -> i32
    %ok4 = llvm.icmp "eq" %s4, %c0 : i32
    %next = llvm.add %i, %one : i64
    llvm.cond_br %ok4, ^loop(%next : i64), ^stop(%s4 : i32)
  ^end:
    %s5 = llvm.call @fulgur__concat(%frame, %c3, %c4, %c0, %c0, %c1, %node) : (!llvm.ptr, i32, i32, i32, i32, i32, !llvm.ptr) -> i32
    llvm.br ^stop(%s5 : i32)
  ^stop(%status: i32):
    llvm.return %status : i32
  }
}
