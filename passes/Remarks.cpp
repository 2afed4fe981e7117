#include "passes/Remarks.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;

void fulgur::remark(Operation *op, llvm::StringRef pass,
                    const llvm::Twine &reason) {
  if (!op->getContext()->getRemarkEngine())
    return;
  remark::missed(
      op->getLoc(),
      remark::RemarkOpts::name(op->getName().getStringRef()).category(pass))
      << reason.str();
}
