// Sums of products.
#include "frontends/onnx/Core.h"

using namespace fulgur::onnx;

namespace {
void requireSameType(const Core &c, const Tensor &a, const Tensor &b) {
  if (a.type != b.type)
    c.fail("inputs are of types " + name(a.type) + " and " + name(b.type));
}

Tensor importMatMul(const Core &c, const Site &s) {
  requireSameType(c, s[0], s[1]);
  return c.matmul(s[0], s[1]);
}

/// alpha · A · B + beta · C, each matrix transposed on demand.
Tensor importGemm(const Core &c, const Site &s) {
  Tensor a = s[0], b = s[1];
  requireSameType(c, a, b);
  if (a.rank() != 2 || b.rank() != 2)
    c.fail("needs matrices, not tensors of rank " + Twine(a.rank()) + " and " +
           Twine(b.rank()));
  if (s.integer("transA", 0))
    a = c.transpose(a, {1, 0});
  Tensor product =
      c.matmul2d(a, b, s.integer("transB", 0), computeType(a.type));
  double alpha = s.real("alpha", 1), beta = s.real("beta", 1);
  if (!s[2])
    return c.cast(alpha == 1 ? product : c.mul(product, alpha), a.type);
  requireSameType(c, a, s[2]);
  return c.map({product, s[2]}, a.type, [&](ArrayRef<Scalar> v) {
    Scalar scaled = alpha == 1 ? v[0] : v[0] * alpha;
    return scaled + (beta == 1 ? v[1] : v[1] * beta);
  });
}
} // namespace

void fulgur::onnx::registerContraction(OpTable &ops) {
  ops["Gemm"] = {importGemm, 2};
  ops["MatMul"] = {importMatMul, 2};
}
