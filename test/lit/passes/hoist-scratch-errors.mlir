// RUN: fulgur-opt %s --split-input-file --fulgur-hoist-scratch --verify-diagnostics

func.func private @kernel(%call: !llvm.ptr, %n: index) {
  scf.forall (%task) in (%n) {
    // expected-error@+1 {{needs memory of a size unknown at compile time inside a parallel loop}}
    %scratch = memref.alloc(%n) : memref<?xf32>
  }
  return
}

// -----

func.func @main(%call: !llvm.ptr, %x: memref<1xindex>) {
  call @kernel(%call, %x) : (!llvm.ptr, memref<1xindex>) -> ()
  return
}
func.func private @kernel(%call: !llvm.ptr, %x: memref<1xindex>) {
  %zero = arith.constant 0 : index
  %n = memref.load %x[%zero] : memref<1xindex>
  // expected-error@+1 {{has a size that is not a function of the operands' dims}}
  %scratch = memref.alloc(%n) : memref<?xf32>
  return
}

// -----

// Many tasks may be none of the cases.
func.func private @kernel(%call: !llvm.ptr, %n: index) {
  scf.forall (%task) in (%n) {
    scf.index_switch %task
    case 0 {
      scf.yield
    }
    default {
      // expected-error@+1 {{needs memory of a size unknown at compile time inside a parallel loop}}
      %scratch = memref.alloc(%n) : memref<?xf32>
    }
  }
  return
}
