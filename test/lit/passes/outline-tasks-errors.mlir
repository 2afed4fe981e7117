// RUN: fulgur-opt %s --split-input-file --fulgur-outline-tasks --verify-diagnostics

func.func @two_indices(%call: !llvm.ptr) {
  // expected-error@+1 {{is not a plain parallel loop over one index}}
  scf.forall (%i, %j) in (4, 4) {
  }
  return
}

// -----

func.func @nested(%call: !llvm.ptr) {
  scf.forall (%i) in (4) {
    // expected-error@+1 {{is not a plain parallel loop over one index}}
    scf.forall (%j) in (4) {
    }
  }
  return
}
