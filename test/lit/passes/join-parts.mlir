// RUN: fulgur-opt %s --fulgur-join-parts | FileCheck %s
// What two parts define gets names of its own; what they declare is declared once; entry points keep their names.

// CHECK-NOT: module @part
// CHECK: llvm.func @erf(f64) -> f64
// CHECK: llvm.func @part_0.kernel(
// CHECK: llvm.call @erf
// CHECK: llvm.func @m__part_0__run()
// CHECK: llvm.call @part_0.kernel
// CHECK-NOT: llvm.func @erf
// CHECK: llvm.func @part_1.kernel(
// CHECK: llvm.func @m__part_1__run()
// CHECK: llvm.call @part_1.kernel
module {
  module @part_0 {
    llvm.func @erf(f64) -> f64
    llvm.func @kernel(%x: f64) {
      %y = llvm.call @erf(%x) : (f64) -> f64
      llvm.return
    }
    llvm.func @m__part_0__run() {
      %x = llvm.mlir.constant(1.0 : f64) : f64
      llvm.call @kernel(%x) : (f64) -> ()
      llvm.return
    }
  }
  module @part_1 {
    llvm.func @erf(f64) -> f64
    llvm.func @kernel(%x: f64) {
      llvm.return
    }
    llvm.func @m__part_1__run() {
      %x = llvm.mlir.constant(1.0 : f64) : f64
      llvm.call @kernel(%x) : (f64) -> ()
      llvm.return
    }
  }
}
