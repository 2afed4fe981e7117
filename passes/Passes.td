// Every pass: its name, what it guarantees and its options. The code is in the file of the same name.
include "mlir/Pass/PassBase.td"

def FormKernels : Pass<"fulgur-form-kernels", "mlir::func::FuncOp"> {
  let summary = "Groups the graph's operations into fulgur.kernel regions";
  let description = [{
    Afterwards a function holds kernels, views (reshapes), index arithmetic, checks and constants, and nothing else.
    A product takes the elementwise operations that only it feeds as its epilogue.
  }];
  let dependentDialects = ["fulgur::FulgurDialect", "mlir::tensor::TensorDialect", "mlir::linalg::LinalgDialect"];
}
