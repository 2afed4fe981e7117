// Makes fulgur.attention of a product, a score, a softmax and a product.
//
// Nothing is matched op by op. The second product says what the loops are; from
// there on tensors are read backwards as terms (Term.h), through whatever
// reshapes, transposes, broadcasts and elementwise operations an exporter put
// in between, until the first product is reached. What the score needs besides
// it becomes extra operands of the least rank that holds them, computed once
// for all layers, and comparisons of query and key positions become `causal`.
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/graph/AttentionFusion.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_FUSEATTENTION
#include "passes/Passes.h.inc"

namespace {
struct FuseAttention : impl::FuseAttentionBase<FuseAttention> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> products;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (isPlainProduct(op) && op->getBlock() == &getOperation().front())
        products.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp product : products) {
      AttentionFusion fusion(product, rewriter);
      if (!fusion.run() && !fusion.reason.empty())
        remark(product, getArgument(), fusion.reason);
    }
  }
};
} // namespace
} // namespace fulgur
