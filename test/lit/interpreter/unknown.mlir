// What the interpreter does not know is said once, and is no fault.
// RUN: fulgur-opt %s --verify-numerics-each --canonicalize --cse 2>&1 >/dev/null | FileCheck %s
// CHECK: note: numerics are not checked: no interpretation of op 'complex.constant'
// CHECK-NEXT: note: numerics: 0 changes of the IR checked
func.func @main(%x: tensor<2xf32>) -> tensor<f32> {
  %c = complex.constant [3.0 : f32, 4.0 : f32] : complex<f32>
  %a = complex.abs %c : complex<f32>
  %b = complex.abs %c : complex<f32>
  %sum = arith.addf %a, %b : f32
  %result = tensor.from_elements %sum : tensor<f32>
  return %result : tensor<f32>
}
