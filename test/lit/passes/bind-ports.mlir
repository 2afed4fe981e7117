// RUN: fulgur-opt %s --split-input-file --fulgur-bind-ports | FileCheck %s
// @main reads the caller's inputs and computes into the caller's outputs.

// CHECK-LABEL: module @in_place
// CHECK-SAME: fulgur.inputs = [{dims = [-1, 8], dtype = 1 : i64, name = "x", symbols = [1, -1], texts = ["batch", "8"]}]
// CHECK-SAME: fulgur.outputs = [{dims = [-1, 8], dtype = 1 : i64, name = "y", symbols = [1, -1], texts = ["batch", "8"]}]
// CHECK: func.func private @main(%[[CALL:.*]]: !llvm.ptr) -> i32
// CHECK: %[[BATCH:.*]] = fulgur.symbol "batch"
// CHECK: %[[INPUT:.*]] = fulgur.buffer %[[CALL]] input(%{{.*}}) [%[[BATCH]]] : !llvm.ptr -> memref<?x8xf32>
// CHECK: %[[X:.*]] = bufferization.to_tensor %[[INPUT]] restrict : memref<?x8xf32> to tensor<?x8xf32>
// CHECK: %[[OUTPUT:.*]] = fulgur.buffer %[[CALL]] output(%{{.*}}) [%{{.*}}] : !llvm.ptr -> memref<?x8xf32>
// CHECK: %[[PLACE:.*]] = bufferization.to_tensor %[[OUTPUT]] restrict writable
// CHECK: %[[Y:.*]] = fulgur.kernel ins(%[[X]] : tensor<?x8xf32>) outs(%[[PLACE]] : tensor<?x8xf32>)
// CHECK: bufferization.materialize_in_destination %[[Y]] in restrict writable %[[OUTPUT]]
// CHECK: %[[OK:.*]] = arith.constant 0 : i32
// CHECK: return %[[OK]] : i32
module @in_place attributes {fulgur.symbols = [{name = "sequence", min = 1 : i64, max = 512 : i64}, {name = "batch", min = 1 : i64, max = 8 : i64}]} {
  func.func @main(%x: tensor<?x8xf32> {fulgur.name = "x", fulgur.dims = ["batch", "8"]})
      -> (tensor<?x8xf32> {fulgur.name = "y", fulgur.dims = ["batch", "8"]}) {
    %batch = fulgur.symbol "batch"
    %out = tensor.empty(%batch) : tensor<?x8xf32>
    %r = fulgur.kernel ins(%x : tensor<?x8xf32>) outs(%out : tensor<?x8xf32>) {
    ^bb0(%a: tensor<?x8xf32>, %o: tensor<?x8xf32>):
      %s = fulgur.softmax %a {axis = 1 : i64} : tensor<?x8xf32>
      fulgur.yield %s : tensor<?x8xf32>
    } -> tensor<?x8xf32>
    return %r : tensor<?x8xf32>
  }
}

// -----

// The element type is ONNX's: the importer says where MLIR's type is not enough.
// CHECK-LABEL: module @element_types
// CHECK-SAME: fulgur.inputs = [{dims = [2], dtype = 2 : i64, name = "unsigned"{{.*}}}, {dims = [2], dtype = 9 : i64, name = "boolean"{{.*}}}, {dims = [2], dtype = 16 : i64, name = "bfloat16"
module @element_types {
  func.func @main(%u: tensor<2xi8> {fulgur.name = "unsigned", fulgur.dims = ["2"], fulgur.dtype = 2 : i64},
                  %b: tensor<2xi1> {fulgur.name = "boolean", fulgur.dims = ["2"]},
                  %h: tensor<2xbf16> {fulgur.name = "bfloat16", fulgur.dims = ["2"]}) {
    return
  }
}

// -----

// The kernel writes the output through the reshape between them.
// CHECK-LABEL: module @through_reshape
// CHECK: %[[OUTPUT:.*]] = fulgur.buffer %{{.*}} output
// CHECK: %[[VIEW:.*]] = memref.collapse_shape %[[OUTPUT]] {{\[\[}}0, 1]] : memref<2x4xf32> into memref<8xf32>
// CHECK: %[[PLACE:.*]] = bufferization.to_tensor %[[VIEW]] restrict writable
// CHECK: fulgur.kernel {{.*}} outs(%[[PLACE]]
module @through_reshape {
  func.func @main(%x: tensor<8xf32> {fulgur.name = "x", fulgur.dims = ["8"]}) -> (tensor<2x4xf32> {fulgur.name = "y", fulgur.dims = ["2", "4"]}) {
    %out = tensor.empty() : tensor<8xf32>
    %r = fulgur.kernel ins(%x : tensor<8xf32>) outs(%out : tensor<8xf32>) {
    ^bb0(%a: tensor<8xf32>, %o: tensor<8xf32>):
      %s = fulgur.softmax %a {axis = 0 : i64} : tensor<8xf32>
      fulgur.yield %s : tensor<8xf32>
    } -> tensor<8xf32>
    %y = tensor.expand_shape %r [[0, 1]] output_shape [2, 4] : tensor<8xf32> into tensor<2x4xf32>
    return %y : tensor<2x4xf32>
  }
}

// -----

// One kernel for two outputs: it writes the first, the second is a copy.
// CHECK-LABEL: module @two_outputs
// CHECK: %[[FIRST:.*]] = fulgur.buffer %{{.*}} output
// CHECK: %[[PLACE:.*]] = bufferization.to_tensor %[[FIRST]] restrict writable
// CHECK: %[[R:.*]] = fulgur.kernel {{.*}} outs(%[[PLACE]]
// CHECK: bufferization.materialize_in_destination %[[R]] in restrict writable %[[FIRST]]
// CHECK: %[[SECOND:.*]] = fulgur.buffer %{{.*}} output
// CHECK: bufferization.materialize_in_destination %[[R]] in restrict writable %[[SECOND]]
module @two_outputs {
  func.func @main(%x: tensor<8xf32> {fulgur.name = "x", fulgur.dims = ["8"]})
      -> (tensor<8xf32> {fulgur.name = "y", fulgur.dims = ["8"]}, tensor<8xf32> {fulgur.name = "z", fulgur.dims = ["8"]}) {
    %out = tensor.empty() : tensor<8xf32>
    %r = fulgur.kernel ins(%x : tensor<8xf32>) outs(%out : tensor<8xf32>) {
    ^bb0(%a: tensor<8xf32>, %o: tensor<8xf32>):
      %s = fulgur.softmax %a {axis = 0 : i64} : tensor<8xf32>
      fulgur.yield %s : tensor<8xf32>
    } -> tensor<8xf32>
    return %r, %r : tensor<8xf32>, tensor<8xf32>
  }
}

// -----

// An input and an output that are a state are one buffer, which a kernel writes into; the other output comes first, since it is copied
// from what may change.
// CHECK-LABEL: module @state
// CHECK-SAME: fulgur.states = [{input = 0 : i64, output = 1 : i64}]
// CHECK-NOT: fulgur.buffer %{{.*}} input(
// CHECK: %[[BUFFER:.*]] = fulgur.buffer %{{.*}} output(%c1{{.*}}) : !llvm.ptr -> memref<4xf32>
// CHECK: %[[STATE:.*]] = bufferization.to_tensor %[[BUFFER]] restrict writable
// CHECK: %[[AFTER:.*]] = fulgur.kernel outs(%[[STATE]] : tensor<4xf32>) keeps
// CHECK: %[[OUTPUT:.*]] = fulgur.buffer %{{.*}} output(%c0{{.*}})
// CHECK: materialize_in_destination %[[STATE]] in restrict writable %[[OUTPUT]]
// CHECK: materialize_in_destination %[[AFTER]] in restrict writable %[[BUFFER]]
module @state {
  func.func @main(%x: tensor<4xf32> {fulgur.name = "past", fulgur.dims = ["4"], fulgur.state = 1 : i64})
      -> (tensor<4xf32> {fulgur.name = "before", fulgur.dims = ["4"]}, tensor<4xf32> {fulgur.name = "present", fulgur.dims = ["4"]}) {
    %r = fulgur.kernel outs(%x : tensor<4xf32>) keeps {
    ^bb0(%o: tensor<4xf32>):
      %one = arith.constant 1.0 : f32
      %two = arith.constant 2 : index
      %s = tensor.insert %one into %o[%two] : tensor<4xf32>
      fulgur.yield %s : tensor<4xf32>
    } -> tensor<4xf32>
    return %x, %r : tensor<4xf32>, tensor<4xf32>
  }
}

// -----

// What two kernels write one after the other is in the output's buffer from the first one on.
// CHECK-LABEL: module @parts
// CHECK: %[[BUFFER:.*]] = fulgur.buffer %{{.*}} output(%c0{{.*}}) : !llvm.ptr -> memref<4xf32>
// CHECK: %[[OUTPUT:.*]] = bufferization.to_tensor %[[BUFFER]] restrict writable
// CHECK: %[[FIRST:.*]] = fulgur.kernel outs(%[[OUTPUT]] : tensor<4xf32>) {
// CHECK: %[[BOTH:.*]] = fulgur.kernel outs(%[[FIRST]] : tensor<4xf32>) keeps
// CHECK: materialize_in_destination %[[BOTH]] in restrict writable %[[BUFFER]]
module @parts {
  func.func @main() -> (tensor<4xf32> {fulgur.name = "y", fulgur.dims = ["4"]}) {
    %e = tensor.empty() : tensor<4xf32>
    %a = fulgur.kernel outs(%e : tensor<4xf32>) {
    ^bb0(%o: tensor<4xf32>):
      %one = arith.constant dense<1.0> : tensor<3xf32>
      %s = tensor.insert_slice %one into %o[0] [3] [1] : tensor<3xf32> into tensor<4xf32>
      fulgur.yield %s : tensor<4xf32>
    } -> tensor<4xf32>
    %r = fulgur.kernel outs(%a : tensor<4xf32>) keeps {
    ^bb0(%o: tensor<4xf32>):
      %two = arith.constant dense<2.0> : tensor<1xf32>
      %s = tensor.insert_slice %two into %o[3] [1] [1] : tensor<1xf32> into tensor<4xf32>
      fulgur.yield %s : tensor<4xf32>
    } -> tensor<4xf32>
    return %r : tensor<4xf32>
  }
}

// -----

// What has the scales of a state of bytes says so.
// CHECK-LABEL: module @scales
// CHECK-SAME: fulgur.states = [{input = 0 : i64, output = 0 : i64}, {input = 1 : i64, output = 1 : i64, scales_of = 0 : i64}]
module @scales {
  func.func @main(%x: tensor<4x2xi8> {fulgur.name = "past", fulgur.dims = ["4", "2"], fulgur.state = 0 : i64},
                  %s: tensor<4xf32> {fulgur.name = "past.scale", fulgur.dims = ["4"], fulgur.state = 1 : i64, fulgur.scales_of = 0 : i64})
      -> (tensor<4x2xi8> {fulgur.name = "present", fulgur.dims = ["4", "2"]}, tensor<4xf32> {fulgur.name = "present.scale", fulgur.dims = ["4"]}) {
    return %x, %s : tensor<4x2xi8>, tensor<4xf32>
  }
}
