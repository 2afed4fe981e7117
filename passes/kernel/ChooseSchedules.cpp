// Decides how every kernel is computed. Decisions are functions of the kernel's
// body, the target and what was tuned, so that equal kernels stay equal and the
// same model always gives the same code.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/TargetOptions.h"
#include "passes/kernel/StepProduct.h"
#include "passes/kernel/Tuning.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_CHOOSESCHEDULES
#include "passes/Passes.h.inc"

namespace {
/// Says what will be slow: heavy operations that go through generic loops.
void tellWhy(KernelOp kernel) {
  kernel.getBody().walk([&](Operation *op) {
    if (matchStepProduct(kernel, op))
      return;
    StringRef what;
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
      if (linalg::isaContractionOpInterface(linalgOp))
        what = "product";
      else if (linalg::isaConvolutionOpInterface(linalgOp))
        what = "convolution";
      else if (linalgOp.getNumReductionLoops() > 0)
        what = "reduction";
    } else if (isa<SoftmaxOp, LayerNormOp, RMSNormOp>(op)) {
      what = op->getName().stripDialect();
    }
    if (what.empty())
      return;
    auto isF32 = [](Value value) {
      return getElementTypeOrSelf(value.getType()).isF32();
    };
    auto other = llvm::find_if_not(op->getOperands(), isF32);
    std::string type;
    if (other != op->operand_end())
      llvm::raw_string_ostream(type)
          << " of " << getElementTypeOrSelf((*other).getType());
    remark(
        op, "fulgur-choose-schedules",
        "no builder takes this " + what + type +
            (type.empty() ? " in this form or with what is fused to it" : "") +
            ": generic loops compute it");
  });
}

struct ChooseSchedules : OnTarget<impl::ChooseSchedulesBase<ChooseSchedules>> {
  using OnTarget::OnTarget;

  void runOnOperation() override {
    Target target = targetOptions();
    getOperation().walk([&](KernelOp kernel) {
      if (kernel.getSchedule())
        return;
      if (const KernelBuilder *builder = builderOf(kernel))
        kernel.setScheduleAttr(
            chooseSchedule(*builder, kernel, target, getArgument()));
      else
        tellWhy(kernel);
    });
  }
};
} // namespace
} // namespace fulgur
