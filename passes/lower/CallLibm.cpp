// Functions of doubles that LLVM has no intrinsic for become calls of the C library's. f32 never gets here: it has polynomials.
#include "mlir/Conversion/MathToLibm/MathToLibm.h"
#include "mlir/Transforms/DialectConversion.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_CALLLIBM
#include "passes/Passes.h.inc"

namespace {
struct CallLibm : impl::CallLibmBase<CallLibm> {
  void runOnOperation() override {
    ConversionTarget target(getContext());
    target.markUnknownOpDynamicallyLegal([](Operation *op) {
      return !isa<math::AcosOp, math::AcoshOp, math::AsinOp, math::AsinhOp, math::Atan2Op, math::AtanOp, math::AtanhOp, math::CbrtOp, math::CoshOp, math::ErfOp,
                  math::ErfcOp, math::ExpM1Op, math::Log1pOp, math::SinhOp, math::TanOp, math::TanhOp>(op);
    });
    RewritePatternSet patterns(&getContext());
    populateMathToLibmConversionPatterns(patterns);
    if (failed(applyPartialConversion(getOperation(), target, std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace fulgur
