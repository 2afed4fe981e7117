// Matrix products with what stands around them: transposes, factors,
// activations.
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/microsoft/Activations.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;
using namespace fulgur::onnx::microsoft;

namespace {
void requireSameType(const Core &c, const Tensor &a, const Tensor &b) {
  if (a.type != b.type)
    c.fail("inputs are of types " + name(a.type) + " and " + name(b.type));
}

/// An operand of a product as the attributes want it: [rows, batch..., columns]
/// becomes [batch..., rows, columns], then the last two dims change places.
Tensor transposed(const Core &c, const Tensor &x, bool batch, bool matrix) {
  SmallVector<int64_t> order;
  for (int64_t k = 0; k < x.rank(); ++k)
    order.push_back(k);
  if (order.size() < 2)
    return x; // a vector has nothing to transpose
  if (batch)
    std::rotate(order.begin(), order.begin() + 1, order.end() - 1);
  if (matrix)
    std::swap(order[order.size() - 2], order.back());
  return c.transpose(x, order);
}

Tensor scaled(const Core &c, const Tensor &x, double alpha) {
  return alpha == 1 ? x : c.mul(x, alpha);
}

/// alpha · A · B, each transposed on demand.
Tensor importFusedMatMul(const Core &c, const Site &s) {
  requireSameType(c, s[0], s[1]);
  Tensor a = transposed(c, s[0], s.integer("transBatchA", 0),
                        s.integer("transA", 0)),
         b = transposed(c, s[1], s.integer("transBatchB", 0),
                        s.integer("transB", 0));
  return scaled(c, c.matmul(a, b), s.real("alpha", 1));
}

Tensor importFusedMatMulActivation(const Core &c, const Site &s) {
  return c.map(importFusedMatMul(c, s), activationWithNames(c, s));
}

/// activation(alpha · A · B + beta · C).
Tensor importFusedGemm(const Core &c, const Site &s) {
  Tensor a = s[0], b = s[1];
  requireSameType(c, a, b);
  if (a.rank() != 2 || b.rank() != 2)
    c.fail("needs matrices, not tensors of rank " + Twine(a.rank()) + " and " +
           Twine(b.rank()));
  double alpha = s.real("alpha", 1), beta = s.real("beta", 1);
  Activation activation = activationWithNames(c, s);
  Tensor product = c.matmul2d(transposed(c, a, false, s.integer("transA", 0)),
                              b, s.integer("transB", 0), computeType(a.type));
  if (!s[2])
    return c.map({product}, a.type,
                 [&](ArrayRef<Scalar> v) { return activation(v[0] * alpha); });
  c.broadcastTo(s[2], product.shape);
  return c.map({product, s[2]}, a.type, [&](ArrayRef<Scalar> v) {
    return activation(v[0] * alpha + v[1] * beta);
  });
}

Tensor importGemmFastGelu(const Core &c, const Site &s) {
  requireSameType(c, s[0], s[1]);
  Tensor product = c.matmul(s[0], s[1]);
  if (!s[2])
    return c.map(product, geluByTanh);
  return c.map({product, s[2]}, product.type,
               [](ArrayRef<Scalar> v) { return geluByTanh(v[0] + v[1]); });
}
} // namespace

void microsoft::products(Extensions &ops) {
  ops.add("FusedMatMul <alpha: float = 1, transA: int = 0, transB: int = 0, "
          "transBatchA: int = 0, transBatchB: int = 0> (T A, T B) => (T Y)",
          importFusedMatMul);
  // Sparse tensors have been written out.
  ops.add("SparseToDenseMatMul <alpha: float = 1, transA: int = 0, "
          "transB: int = 0> (T A, V B) => (V Y) where "
          "T: float|double|int64|int32|uint64|uint32, "
          "V: float|double|int64|int32|uint64|uint32",
          importFusedMatMul);
  ops.add("TransposeMatMul <alpha: float = 1, transA: int = 0, "
          "transB: int = 0> (T A, T B) => (T Y)",
          importFusedMatMul);
  ops.add("FusedMatMulActivation <alpha: float = 1, transA: int = 0, "
          "transB: int = 0, transBatchA: int = 0, transBatchB: int = 0, "
          "activation: string, activation_alpha: float?, "
          "activation_beta: float?, activation_gamma: float?, "
          "activation_axis: int?> (T A, T B) => (T Y)",
          importFusedMatMulActivation);
  ops.add("FusedGemm <alpha: float = 1, beta: float = 1, transA: int = 0, "
          "transB: int = 0, activation: string?, activation_alpha: float?, "
          "activation_beta: float?, activation_gamma: float?> "
          "(T A, T B, T? C) => (T Y)",
          importFusedGemm);
  ops.add("GemmFastGelu (T X, T W, T? bias) => (T Y)", importGemmFastGelu);
}
