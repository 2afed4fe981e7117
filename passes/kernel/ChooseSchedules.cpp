// Decides how every kernel is computed. Decisions are functions of the kernel's
// body, the target and what was tuned, so that equal kernels stay equal and the
// same model always gives the same code.
#include "passes/Passes.h"
#include "passes/kernel/Tuning.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_CHOOSESCHEDULES
#include "passes/Passes.h.inc"

namespace {
struct ChooseSchedules : impl::ChooseSchedulesBase<ChooseSchedules> {
  using ChooseSchedulesBase::ChooseSchedulesBase;

  void runOnOperation() override {
    Target target;
    target.vectorBytes = vectorBytes;
    target.vectorRegisters = vectorRegisters;
    getOperation().walk([&](KernelOp kernel) {
      if (kernel.getSchedule())
        return;
      if (const KernelBuilder *builder = builderOf(kernel))
        kernel.setScheduleAttr(
            chooseSchedule(*builder, kernel, target, getArgument()));
    });
  }
};
} // namespace
} // namespace fulgur
