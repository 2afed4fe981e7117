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

void fulgur::measure(
    Operation *op, llvm::StringRef pass, llvm::StringRef what,
    llvm::ArrayRef<std::pair<llvm::StringRef, int64_t>> numbers) {
  auto remark = remark::analysis(op->getLoc(),
                                 remark::RemarkOpts::name(what).category(pass));
  for (auto [name, number] : numbers)
    remark << remark::detail::Remark::Arg(name, number);
}
