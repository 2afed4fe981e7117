// RUN: fulgur-opt %s --fulgur-split-kernels="sizes=rows=6" --remarks-filter-missed=.* --remark-format=emitRemark 2>&1 | FileCheck %s
// RUN: not fulgur-opt %s --fulgur-split-kernels="sizes=rows" 2>&1 | FileCheck %s --check-prefix=BAD
// BAD: error: size 'rows' is not NAME=N
// RUN: fulgur-opt %s --fulgur-split-kernels="sizes=rows=6 chosen-only" --remarks-filter-missed=.* --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=CHOSEN
// A small model for each schedule of each different kernel: dynamic dims are symbols named after their sizes, weights are constants.

// CHECK: remark: {{.*}}it is not measured: its sizes are not known
// CHECK-NOT: @main(%arg0: tensor<?x64xf32>
// CHECK: module @k[[KEY:[0-9a-f]+]]_0 attributes {
// CHECK-SAME: fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "n12"}]
// CHECK-SAME: fulgur.trial = {kernel = "", key = "[[KEY]]", operands = "12x64xf32, constant 64x256xf32 -> 12x256xf32",
// CHECK-SAME: schedule = "<kind = \22gemm\22, tile = [6, 2], lanes = 8, unroll = 4, pack = 16, grain = 132>", sizes = {n12 = 12 : i64}, uses = 2 : i64}
// CHECK: func.func @main(%[[X:.*]]: tensor<?x64xf32> {fulgur.dims = ["n12", "64"], fulgur.name = "input0"}) -> (tensor<?x256xf32> {fulgur.dims = ["n12", "256"], fulgur.name = "output0"})
// CHECK-DAG: %[[W:.*]] = arith.constant dense<7.812500e-03> : tensor<64x256xf32>
// CHECK-DAG: %[[N:.*]] = fulgur.symbol "n12"
// CHECK: %[[OUT:.*]] = tensor.empty(%[[N]])
// CHECK: fulgur.kernel ins(%[[X]], %[[W]] : {{.*}}) outs(%[[OUT]] : {{.*}}) schedule(<kind = "gemm", tile = [6, 2], lanes = 8, unroll = 4, pack = 16, grain = 132>)
// CHECK: module @k[[KEY]]_1
// CHECK: fulgur.kernel {{.*}} schedule(<kind = "gemm", tile = [6, 2], lanes = 8, pack = 16, grain = 132>)
// CHECK: schedule(<kind = "gemm", tile = [4, 3], lanes = 8, unroll = 4, pack = 24, grain = 132>)
// CHECK: module @k{{.*}}_0
// CHECK: fulgur.kernel {{.*}} schedule(<kind = "softmax", lanes = 8, unroll = 4, grain = 128>)
// CHECK: fulgur.kernel {{.*}} schedule(<kind = "softmax", lanes = 8, grain = 128>)
// CHECK-NOT: kind = "gemm"
// CHECK-NOT: f64
// Or each different kernel once, as it would be built.
// CHOSEN: remark: {{.*}}it is not measured: it has a tensor of indices
// CHOSEN: module @k{{.*}}_0 {{.*}} uses = 2
// CHOSEN: fulgur.kernel {{.*}} schedule(<kind = "gemm"
// CHOSEN: module @k{{.*}}_0 {{.*}} uses = 1
// CHOSEN: fulgur.kernel {{.*}} schedule(<kind = "softmax"
// CHOSEN: module @k{{.*}}_0 {{.*}} schedule = "", {{.*}} uses = 1
// CHOSEN: fulgur.kernel ins(%arg0 : tensor<8x256xf64>) outs(%0 : tensor<8x256xf64>) {
// CHOSEN-NOT: fulgur.kernel
module attributes {fulgur.symbols = [{max = 9 : i64, min = 0 : i64, name = "rows"}, {max = 2 : i64, min = 2 : i64, name = "two"}, {max = 9 : i64, min = 0 : i64, name = "other"}]} {
  func.func @main(%x: tensor<?x?x64xf32> {fulgur.dims = ["two", "rows", "64"]}, %y: tensor<?x64xf32> {fulgur.dims = ["other", "64"]}, %z: tensor<8x256xf64> {fulgur.dims = ["8", "256"]}) -> (tensor<?x256xf32>, tensor<?x256xf32>, tensor<?x64xf32>, tensor<8x256xf64>) {
    %weight = arith.constant dense<1.0> : tensor<64x256xf32>
    %rows = fulgur.symbol "rows"
    %two = fulgur.symbol "two"
    %all = arith.muli %two, %rows : index
    %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x?x64xf32> into tensor<?x64xf32>
    %out = tensor.empty(%all) : tensor<?x256xf32>
    %a = fulgur.kernel ins(%flat, %weight : tensor<?x64xf32>, tensor<64x256xf32>) outs(%out : tensor<?x256xf32>) {
    ^bb0(%i: tensor<?x64xf32>, %w: tensor<64x256xf32>, %o: tensor<?x256xf32>):
      %zero = arith.constant 0.0 : f32
      %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x256xf32>) -> tensor<?x256xf32>
      %p = linalg.matmul ins(%i, %w : tensor<?x64xf32>, tensor<64x256xf32>) outs(%init : tensor<?x256xf32>) -> tensor<?x256xf32>
      fulgur.yield %p : tensor<?x256xf32>
    } -> tensor<?x256xf32>
    %weight2 = arith.constant dense<2.0> : tensor<64x256xf32>
    %b = fulgur.kernel ins(%flat, %weight2 : tensor<?x64xf32>, tensor<64x256xf32>) outs(%out : tensor<?x256xf32>) {
    ^bb0(%i: tensor<?x64xf32>, %w: tensor<64x256xf32>, %o: tensor<?x256xf32>):
      %zero = arith.constant 0.0 : f32
      %init = linalg.fill ins(%zero : f32) outs(%o : tensor<?x256xf32>) -> tensor<?x256xf32>
      %p = linalg.matmul ins(%i, %w : tensor<?x64xf32>, tensor<64x256xf32>) outs(%init : tensor<?x256xf32>) -> tensor<?x256xf32>
      fulgur.yield %p : tensor<?x256xf32>
    } -> tensor<?x256xf32>
    %soft = tensor.empty(%all) : tensor<?x256xf32>
    %c = fulgur.kernel ins(%b : tensor<?x256xf32>) outs(%soft : tensor<?x256xf32>) {
    ^bb0(%i: tensor<?x256xf32>, %o: tensor<?x256xf32>):
      %s = fulgur.softmax %i {axis = 1 : i64} : tensor<?x256xf32>
      fulgur.yield %s : tensor<?x256xf32>
    } -> tensor<?x256xf32>
    // A size that nobody told, and a kernel without a builder.
    %number = fulgur.symbol "other"
    %rest = tensor.empty(%number) : tensor<?x64xf32>
    %d = fulgur.kernel ins(%y : tensor<?x64xf32>) outs(%rest : tensor<?x64xf32>) {
    ^bb0(%i: tensor<?x64xf32>, %o: tensor<?x64xf32>):
      %s = fulgur.softmax %i {axis = 1 : i64} : tensor<?x64xf32>
      fulgur.yield %s : tensor<?x64xf32>
    } -> tensor<?x64xf32>
    %double = tensor.empty() : tensor<8x256xf64>
    %e = fulgur.kernel ins(%z : tensor<8x256xf64>) outs(%double : tensor<8x256xf64>) {
    ^bb0(%i: tensor<8x256xf64>, %o: tensor<8x256xf64>):
      %s = fulgur.softmax %i {axis = 1 : i64} : tensor<8x256xf64>
      fulgur.yield %s : tensor<8x256xf64>
    } -> tensor<8x256xf64>
    // Indices, which no model takes or gives.
    %places = tensor.empty() : tensor<8xindex>
    %f = fulgur.kernel ins(%z : tensor<8x256xf64>) outs(%places : tensor<8xindex>) {
    ^bb0(%i: tensor<8x256xf64>, %o: tensor<8xindex>):
      %zero = arith.constant 0 : index
      %s = linalg.fill ins(%zero : index) outs(%o : tensor<8xindex>) -> tensor<8xindex>
      fulgur.yield %s : tensor<8xindex>
    } -> tensor<8xindex>
    return %a, %c, %d, %e : tensor<?x256xf32>, tensor<?x256xf32>, tensor<?x64xf32>, tensor<8x256xf64>
  }
}
