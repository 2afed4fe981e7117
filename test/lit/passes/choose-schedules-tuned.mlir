// RUN: fulgur-opt %s --fulgur-choose-schedules --remarks-filter-missed=.* --remark-format=emitRemark 2>&1 | FileCheck %s
// What was tuned goes before the builder's choice, when the builder has such a schedule for the kernel. A key is a hash of the kernel's
// text: --fulgur-split-kernels tells new ones when MLIR prints it otherwise.

// CHECK: remark: {{.*}}its tuned schedule <kind = "softmax", lanes = 1000> is not one that its builder has: tune it again
module attributes {fulgur.tuned = {
  "1f88b750679d2978" = "<kind = \22softmax\22, lanes = 8, unroll = 2, grain = 256>",
  "def9afb8a8a73ca6" = "<kind = \22softmax\22, lanes = 1000>",
  "ffffffffffffffff" = "of no kernel"}} {
  // CHECK-LABEL: @tuned
  // CHECK: schedule(<kind = "softmax", lanes = 8, unroll = 2, grain = 256>)
  func.func @tuned(%x: tensor<?x128xf32>, %out: tensor<?x128xf32>) -> tensor<?x128xf32> {
    %r = fulgur.kernel ins(%x : tensor<?x128xf32>) outs(%out : tensor<?x128xf32>) {
    ^bb0(%a: tensor<?x128xf32>, %o: tensor<?x128xf32>):
      %s = fulgur.softmax %a {axis = 1 : i64} : tensor<?x128xf32>
      fulgur.yield %s : tensor<?x128xf32>
    } -> tensor<?x128xf32>
    return %r : tensor<?x128xf32>
  }

  // Of a builder that was another one then.
  // CHECK-LABEL: @stale
  // CHECK: schedule(<kind = "softmax", lanes = 8, unroll = 4, grain = 512>)
  func.func @stale(%x: tensor<?x64xf32>, %out: tensor<?x64xf32>) -> tensor<?x64xf32> {
    %r = fulgur.kernel ins(%x : tensor<?x64xf32>) outs(%out : tensor<?x64xf32>) {
    ^bb0(%a: tensor<?x64xf32>, %o: tensor<?x64xf32>):
      %s = fulgur.softmax %a {axis = 1 : i64} : tensor<?x64xf32>
      fulgur.yield %s : tensor<?x64xf32>
    } -> tensor<?x64xf32>
    return %r : tensor<?x64xf32>
  }

  // CHECK-LABEL: @unknown
  // CHECK: schedule(<kind = "softmax", lanes = 8, unroll = 4, grain = 1024>)
  func.func @unknown(%x: tensor<?x32xf32>, %out: tensor<?x32xf32>) -> tensor<?x32xf32> {
    %r = fulgur.kernel ins(%x : tensor<?x32xf32>) outs(%out : tensor<?x32xf32>) {
    ^bb0(%a: tensor<?x32xf32>, %o: tensor<?x32xf32>):
      %s = fulgur.softmax %a {axis = 1 : i64} : tensor<?x32xf32>
      fulgur.yield %s : tensor<?x32xf32>
    } -> tensor<?x32xf32>
    return %r : tensor<?x32xf32>
  }
}
