// A loop whose results are the pieces of one tensor is one kernel, which writes
// each where it belongs.
// RUN: fulgur-opt %s --fulgur-form-kernels --fulgur-choose-schedules | FileCheck %s
// RUN: fulgurc %s --compile-from=graph --compile-to=memory -o - | FileCheck %s --check-prefix=BUFFERS

// CHECK: fulgur.kernel {{.*}} schedule(<kind = "assemble">)
// CHECK: linalg.generic
// CHECK-COUNT-2: tensor.insert_slice
// CHECK-NOT: fulgur.kernel

// BUFFERS: func.func private @kernel_0_assemble
// BUFFERS-DAG: memref.subview %arg3[0, 1] [4, 1] [1, 1]
// BUFFERS-DAG: memref.subview %arg3[0, 0] [4, 1] [1, 1]
// BUFFERS: scf.for
// BUFFERS-COUNT-2: memref.store
// BUFFERS-NOT: scf.for
#map = affine_map<(d0) -> (d0)>
module attributes {fulgur.model = "pieces", fulgur.stage = "graph", fulgur.symbols = []} {
func.func @main(%x: tensor<4xf32> {fulgur.dims = ["4"], fulgur.name = "x"}, %y: tensor<4xf32> {fulgur.dims = ["4"], fulgur.name = "y"})
    -> (tensor<4x2xf32> {fulgur.dims = ["4", "2"], fulgur.name = "z"}) {
  %empty = tensor.empty() : tensor<4xf32>
  %all = tensor.empty() : tensor<4x2xf32>
  %r:2 = linalg.generic {indexing_maps = [#map, #map, #map, #map], iterator_types = ["parallel"]}
      ins(%x, %y : tensor<4xf32>, tensor<4xf32>) outs(%empty, %empty : tensor<4xf32>, tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32, %p: f32):
    %sum = arith.addf %a, %b : f32
    %difference = arith.subf %a, %b : f32
    linalg.yield %sum, %difference : f32, f32
  } -> (tensor<4xf32>, tensor<4xf32>)
  %first = tensor.insert_slice %r#1 into %all[0, 1] [4, 1] [1, 1] : tensor<4xf32> into tensor<4x2xf32>
  %both = tensor.insert_slice %r#0 into %first[0, 0] [4, 1] [1, 1] : tensor<4xf32> into tensor<4x2xf32>
  return %both : tensor<4x2xf32>
}
}
