// RUN: fulgur-opt %s --fulgur-form-kernels | FileCheck %s
// Loops over time that do not need each other are one kernel.

// CHECK-LABEL: @both_directions
// CHECK: %[[BOTH:.*]]:2 = fulgur.kernel ins(%arg2, %arg1, %arg0, %arg2, %arg1, %arg0 : {{.*}}) outs(%{{.*}}, %{{.*}} : tensor<3x4xf32>, tensor<3x4xf32>) {
// CHECK: %[[FIRST:.*]] = scf.for
// CHECK: %[[SECOND:.*]] = scf.for
// CHECK: fulgur.yield %[[FIRST]], %[[SECOND]]
// CHECK: return %[[BOTH]]#0, %[[BOTH]]#1
func.func @both_directions(%x: tensor<5x3x4xf32>, %w: tensor<4x4xf32>, %h: tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<3x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %zero = arith.constant 0.0 : f32
  %a = scf.for %i = %c0 to %c5 step %c1 iter_args(%state = %h) -> tensor<3x4xf32> {
    %e = tensor.empty() : tensor<3x4xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<3x4xf32>) -> tensor<3x4xf32>
    %p = linalg.matmul ins(%state, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%f : tensor<3x4xf32>) -> tensor<3x4xf32>
    %now = tensor.extract_slice %x[%i, 0, 0] [1, 3, 4] [1, 1, 1] : tensor<5x3x4xf32> to tensor<3x4xf32>
    %s = linalg.add ins(%p, %now : tensor<3x4xf32>, tensor<3x4xf32>) outs(%e : tensor<3x4xf32>) -> tensor<3x4xf32>
    %next = linalg.copy ins(%s : tensor<3x4xf32>) outs(%state : tensor<3x4xf32>) -> tensor<3x4xf32>
    scf.yield %next : tensor<3x4xf32>
  }
  %b = scf.for %i = %c0 to %c5 step %c1 iter_args(%state = %h) -> tensor<3x4xf32> {
    %e = tensor.empty() : tensor<3x4xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<3x4xf32>) -> tensor<3x4xf32>
    %p = linalg.matmul ins(%state, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%f : tensor<3x4xf32>) -> tensor<3x4xf32>
    %j = arith.subi %c4, %i : index
    %now = tensor.extract_slice %x[%j, 0, 0] [1, 3, 4] [1, 1, 1] : tensor<5x3x4xf32> to tensor<3x4xf32>
    %s = linalg.add ins(%p, %now : tensor<3x4xf32>, tensor<3x4xf32>) outs(%e : tensor<3x4xf32>) -> tensor<3x4xf32>
    %next = linalg.copy ins(%s : tensor<3x4xf32>) outs(%state : tensor<3x4xf32>) -> tensor<3x4xf32>
    scf.yield %next : tensor<3x4xf32>
  }
  return %a, %b : tensor<3x4xf32>, tensor<3x4xf32>
}

// What begins with the result of the other is a kernel of its own.
// CHECK-LABEL: @negative_layers
// CHECK: %[[FIRST:.*]] = fulgur.kernel
// CHECK: %[[SECOND:.*]] = fulgur.kernel ins(%[[FIRST]]
// CHECK: return %[[FIRST]], %[[SECOND]]
func.func @negative_layers(%w: tensor<4x4xf32>, %h: tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<3x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  %zero = arith.constant 0.0 : f32
  %a = scf.for %i = %c0 to %c5 step %c1 iter_args(%state = %h) -> tensor<3x4xf32> {
    %e = tensor.empty() : tensor<3x4xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<3x4xf32>) -> tensor<3x4xf32>
    %p = linalg.matmul ins(%state, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%f : tensor<3x4xf32>) -> tensor<3x4xf32>
    %next = linalg.copy ins(%p : tensor<3x4xf32>) outs(%state : tensor<3x4xf32>) -> tensor<3x4xf32>
    scf.yield %next : tensor<3x4xf32>
  }
  %b = scf.for %i = %c0 to %c5 step %c1 iter_args(%state = %a) -> tensor<3x4xf32> {
    %e = tensor.empty() : tensor<3x4xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<3x4xf32>) -> tensor<3x4xf32>
    %p = linalg.matmul ins(%state, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%f : tensor<3x4xf32>) -> tensor<3x4xf32>
    %next = linalg.copy ins(%p : tensor<3x4xf32>) outs(%state : tensor<3x4xf32>) -> tensor<3x4xf32>
    scf.yield %next : tensor<3x4xf32>
  }
  return %a, %b : tensor<3x4xf32>, tensor<3x4xf32>
}

// Loops that multiply nothing are kernels of their own.
// CHECK-LABEL: @negative_no_products
// CHECK-COUNT-2: fulgur.kernel
func.func @negative_no_products(%h: tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<3x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  %a = scf.for %i = %c0 to %c5 step %c1 iter_args(%state = %h) -> tensor<3x4xf32> {
    %next = linalg.exp ins(%h : tensor<3x4xf32>) outs(%state : tensor<3x4xf32>) -> tensor<3x4xf32>
    scf.yield %next : tensor<3x4xf32>
  }
  %b = scf.for %i = %c0 to %c5 step %c1 iter_args(%state = %h) -> tensor<3x4xf32> {
    %next = linalg.tanh ins(%h : tensor<3x4xf32>) outs(%state : tensor<3x4xf32>) -> tensor<3x4xf32>
    scf.yield %next : tensor<3x4xf32>
  }
  return %a, %b : tensor<3x4xf32>, tensor<3x4xf32>
}
