// RUN: fulgurc %s -o - --emit=llvm | FileCheck %s
// CHECK: @scale_model = {{.*}}constant
// The border between pipeline and code generation: a module as the pipeline leaves it, written by hand.
// y = x * w, row by row, for any batch.
module attributes {
  fulgur.model = "scale",
  fulgur.symbols = [{name = "batch", min = 1 : i64, max = 64 : i64}],
  fulgur.inputs = [{name = "x", dtype = 1 : i64, dims = [-1, 4], texts = ["batch", "4"], symbols = [0, -1]}],
  fulgur.outputs = [{name = "y/out:0", dtype = 1 : i64, dims = [-1, 4], texts = ["batch", "4"], symbols = [0, -1]}],
  fulgur.messages = ["node 'scale' (Mul): batch is odd"],
  fulgur.arena_bytes = 64 : i64,
  fulgur.weights = [{offset = 64 : i64, resource = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>}],
  fulgur.weights_bytes = 80 : i64
} {
  llvm.func @scale__plan(%symbols: !llvm.ptr, %arena: !llvm.ptr, %dims: !llvm.ptr) -> i32 {
    %zero = llvm.mlir.constant(0 : i32) : i32
    %bytes = llvm.mlir.constant(64 : i64) : i64
    %four = llvm.mlir.constant(4 : i64) : i64
    %batch = llvm.load %symbols : !llvm.ptr -> i64
    llvm.store %bytes, %arena : i64, !llvm.ptr
    llvm.store %batch, %dims : i64, !llvm.ptr
    %second = llvm.getelementptr %dims[1] : (!llvm.ptr) -> !llvm.ptr, i64
    llvm.store %four, %second : i64, !llvm.ptr
    llvm.return %zero : i32
  }
  llvm.func @kernel_0(%x: !llvm.ptr, %w: !llvm.ptr, %y: !llvm.ptr, %rows: i64) {
    %zero = llvm.mlir.constant(0 : i64) : i64
    %one = llvm.mlir.constant(1 : i64) : i64
    %four = llvm.mlir.constant(4 : i64) : i64
    llvm.br ^row(%zero : i64)
  ^row(%i: i64):
    %more = llvm.icmp "slt" %i, %rows : i64
    llvm.cond_br %more, ^body, ^end
  ^body:
    %at = llvm.mul %i, %four : i64
    %from = llvm.getelementptr %x[%at] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %to = llvm.getelementptr %y[%at] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %a = llvm.load %from {alignment = 4 : i64} : !llvm.ptr -> vector<4xf32>
    %b = llvm.load %w {alignment = 4 : i64} : !llvm.ptr -> vector<4xf32>
    %c = llvm.fmul %a, %b : vector<4xf32>
    llvm.store %c, %to {alignment = 4 : i64} : vector<4xf32>, !llvm.ptr
    %next = llvm.add %i, %one : i64
    llvm.br ^row(%next : i64)
  ^end:
    llvm.return
  }
  llvm.func @scale__run(%call: !llvm.ptr) -> i32 {
    %zero = llvm.mlir.constant(0 : i32) : i32
    %symbols = llvm.load %call : !llvm.ptr -> !llvm.ptr
    %inputsAt = llvm.getelementptr %call[8] : (!llvm.ptr) -> !llvm.ptr, i8
    %outputsAt = llvm.getelementptr %call[16] : (!llvm.ptr) -> !llvm.ptr, i8
    %weightsAt = llvm.getelementptr %call[32] : (!llvm.ptr) -> !llvm.ptr, i8
    %inputs = llvm.load %inputsAt : !llvm.ptr -> !llvm.ptr
    %outputs = llvm.load %outputsAt : !llvm.ptr -> !llvm.ptr
    %weights = llvm.load %weightsAt : !llvm.ptr -> !llvm.ptr
    %w = llvm.getelementptr %weights[64] : (!llvm.ptr) -> !llvm.ptr, i8
    %x = llvm.load %inputs : !llvm.ptr -> !llvm.ptr
    %y = llvm.load %outputs : !llvm.ptr -> !llvm.ptr
    %batch = llvm.load %symbols : !llvm.ptr -> i64
    llvm.call @kernel_0(%x, %w, %y, %batch) : (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> ()
    llvm.return %zero : i32
  }
}
