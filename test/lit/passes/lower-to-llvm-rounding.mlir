// A product may become one operation with a sum, unless it is to be rounded.
// RUN: fulgur-opt %s --fulgur-lower-to-llvm | FileCheck %s

// CHECK-LABEL: llvm.func @sum
// CHECK: llvm.fmul %{{.*}} {fastmathFlags = #llvm.fastmath<contract>} : f32
// CHECK: llvm.fmul %arg0, %arg1 {{.*}}: f32
// CHECK-NOT: contract
// CHECK: llvm.fadd %{{.*}} {fastmathFlags = #llvm.fastmath<nnan, contract>} : f32
func.func @sum(%a: f32, %b: f32) -> f32 {
  %free = arith.mulf %a, %a : f32
  %rounded = arith.mulf %a, %b {fulgur.rounded} : f32
  %sum = arith.addf %free, %rounded fastmath<nnan> : f32
  return %sum : f32
}
