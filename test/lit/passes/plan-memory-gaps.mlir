// The largest buffers first would leave a gap below the last one; the plan needs no more than what is in use at a time.
// RUN: fulgur-opt %s --fulgur-plan-memory --remarks-filter-analyse=fulgur.* --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s
// CHECK: arena{{.*}}bytes=1024, least=1024
module attributes {fulgur.symbols = []} {
  func.func private @use(memref<64xf32>)
  func.func private @use2(memref<128xf32>)
  func.func private @use3(memref<192xf32>)
  func.func private @main(%call: !llvm.ptr) -> i32 {
    %a = memref.alloc() : memref<128xf32>
    %b = memref.alloc() : memref<128xf32>
    %c = memref.alloc() : memref<64xf32>
    %d = memref.alloc() : memref<192xf32>
    func.call @use2(%a) : (memref<128xf32>) -> ()
    func.call @use2(%b) : (memref<128xf32>) -> ()
    func.call @use2(%a) : (memref<128xf32>) -> ()
    func.call @use(%c) : (memref<64xf32>) -> ()
    func.call @use2(%b) : (memref<128xf32>) -> ()
    func.call @use3(%d) : (memref<192xf32>) -> ()
    func.call @use(%c) : (memref<64xf32>) -> ()
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}
