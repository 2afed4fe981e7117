// Attention by AMX's tiles, in machine code: tiles are set up once for a task. Powers of a strip are computed beside the products of the next one's
// queries, and greatest scores beside the products of powers.
// RUN: fulgurc %s --compile-from=graph --mcpu=sapphirerapids --emit=asm -o - | FileCheck %s --implicit-check-not=ldtilecfg --implicit-check-not=tilerelease
// CHECK-LABEL: kernel_0_amx_attention_task0:
// CHECK: ldtilecfg
// CHECK: vreduceps
// CHECK: {{tilezero.*tmm0}}
// CHECK: tdpbf16ps %tmm6, %tmm4, %tmm0
// CHECK: tilestored %tmm3
// CHECK-NOT: vmaxps
// CHECK: vscalefps
// CHECK-NOT: vmaxps
// CHECK: vpermw
// CHECK: tileloadd {{.*}}, %tmm3
// CHECK: tdpbf16ps %tmm7, %tmm5, %tmm3
// CHECK-NOT: tilestored
// CHECK: vmaxps
// CHECK: tilestored %tmm3
// CHECK: tilerelease

#query = affine_map<(h, i, d, j, n) -> (i, h, d)>
#key = affine_map<(h, i, d, j, n) -> (j, h, d)>
#value = affine_map<(h, i, d, j, n) -> (j, h, n)>
#result = affine_map<(h, i, d, j, n) -> (i, h, n)>
module attributes {fulgur.model = "attention", fulgur.stage = "graph",
    fulgur.symbols = [{max = 9223372036854775807 : i64, min = 0 : i64, name = "keys"}]} {
  func.func @main(%q: tensor<512x12x64xbf16> {fulgur.dims = ["512", "12", "64"], fulgur.name = "q"},
                  %k: tensor<?x12x64xbf16> {fulgur.dims = ["keys", "12", "64"], fulgur.name = "k"},
                  %v: tensor<?x12x64xbf16> {fulgur.dims = ["keys", "12", "64"], fulgur.name = "v"})
      -> (tensor<512x12x64xbf16> {fulgur.dims = ["512", "12", "64"], fulgur.name = "x"}) {
    %x = fulgur.attention %q, %k, %v maps [#query, #key, #value, #result] {
    ^bb0(%a: f32, %i: index, %j: index):
      %eighth = arith.constant 0.125 : f32
      %b = arith.mulf %a, %eighth : f32
      fulgur.yield %b : f32
    } : tensor<512x12x64xbf16>, tensor<?x12x64xbf16>, tensor<?x12x64xbf16> -> tensor<512x12x64xbf16>
    return %x : tensor<512x12x64xbf16>
  }
}
