// RUN: fulgur-opt %s --fulgur-lower-to-llvm | FileCheck %s

// Integers become bfloat16 without a conversion that LLVM would make a call of.
// CHECK-LABEL: llvm.func @convert
// CHECK: llvm.uitofp {{.*}} : i1 to f32
// CHECK: llvm.sitofp {{.*}} : vector<4xi64> to vector<4xf32>
// CHECK-NOT: fptrunc
// CHECK-NOT: to bf16
func.func @convert(%b: i1, %i: vector<4xi64>) -> (bf16, vector<4xbf16>) {
  %x = arith.uitofp %b : i1 to bf16
  %y = arith.sitofp %i : vector<4xi64> to vector<4xbf16>
  return %x, %y : bf16, vector<4xbf16>
}
