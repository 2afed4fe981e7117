// Finds normalisations by what they compute, in whatever steps:
//
//   rms_norm    x / sqrt(sum(x²) / n + epsilon) * scale
//   layer_norm  d / sqrt(sum(d²) / n + epsilon) * scale + bias, d = x - sum(x)
//   / n
//
// where roots, quotients and powers may be spelled in any way.
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Passes.h"
#include "passes/graph/Term.h"
#include <cmath>

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_FUSENORMS
#include "passes/Passes.h.inc"

namespace {

/// A term as a product of powers.
struct Powers {
  double coefficient = 1;
  SmallVector<std::pair<const Term *, double>, 4> factors{};

  void multiply(const Term *term, double exponent) {
    if (auto value = term->real(); value && *value > 0) {
      coefficient *= std::pow(*value, exponent);
    } else if (term->isA<arith::MulFOp>()) {
      multiply(term->operands[0], exponent);
      multiply(term->operands[1], exponent);
    } else if (term->isA<arith::DivFOp>()) {
      multiply(term->operands[0], exponent);
      multiply(term->operands[1], -exponent);
    } else if (term->isA<math::SqrtOp>()) {
      multiply(term->operands[0], exponent / 2);
    } else if (term->isA<math::RsqrtOp>()) {
      multiply(term->operands[0], -exponent / 2);
    } else if (auto power = term->isA<math::PowFOp>()
                                ? term->operands[1]->real()
                                : std::nullopt) {
      multiply(term->operands[0], exponent * *power);
    } else {
      auto *known = llvm::find_if(
          factors, [&](auto &factor) { return factor.first == term; });
      if (known != factors.end())
        known->second += exponent;
      else
        factors.push_back({term, exponent});
    }
  }
  explicit Powers(const Term *term) { multiply(term, 1); }

  /// Takes out the one factor with this exponent of which `is` holds.
  const Term *take(double exponent, llvm::function_ref<bool(const Term *)> is) {
    for (auto &factor : factors)
      if (factor.second == exponent && is(factor.first)) {
        const Term *term = factor.first;
        factors.erase(&factor);
        return term;
      }
    return nullptr;
  }
};

/// The normalisation of which an operation gives the last result.
class Norm {
public:
  Norm(linalg::GenericOp op, RewriterBase &rewriter)
      : op(op), b(rewriter),
        terms(atoms, b, [](Operation *) { return false; }) {
    b.setInsertionPoint(op);
  }

  bool run() {
    auto sizes = terms.dims(op->getResult(0));
    if (!sizes || sizes->empty())
      return false;
    SmallVector<Number> at;
    for (const Number &size : *sizes)
      at.push_back(Number::atom(atoms.loop(size)));
    column = *at.back().atom();
    auto count = sizes->back().constant();
    if (!count || *count < 2)
      return false;
    n = *count;
    const Term *all = terms.at(op->getResult(0), at);
    position = at;
    if (match(all)) {
      write(nullptr);
      return true;
    }
    if (all->isA<arith::AddFOp>())
      for (unsigned side : {0, 1})
        if (isWeight(all->operands[side]) && match(all->operands[1 - side]) &&
            isCentred) {
          write(all->operands[side]);
          return true;
        }
    return false;
  }

private:
  bool isClose(double a, double b) { return std::abs(a / b - 1) < 1e-5; }

  /// A number for each column, or one for all of them.
  bool isWeight(const Term *term) {
    return llvm::all_of(term->loops,
                        [&](unsigned loop) { return loop == column; }) &&
           weightOf(term, /*make=*/false);
  }

  /// The mean over the columns that a term is; what it is the mean of.
  const Term *meanOf(const Term *term) {
    Powers powers(term);
    if (powers.factors.size() != 1 || powers.factors[0].second != 1 ||
        !isClose(powers.coefficient, 1.0 / double(n)))
      return nullptr;
    return terms.folded<arith::AddFOp>(powers.factors[0].first, 0, column);
  }

  bool match(const Term *term) {
    Powers powers(term);
    const Term *variance = powers.take(
        -0.5, [](const Term *factor) { return factor->isA<arith::AddFOp>(); });
    if (!variance)
      return false;
    const Term *squares = nullptr;
    for (unsigned side : {0, 1})
      if (auto value = variance->operands[side]->real()) {
        epsilon = *value;
        squares = meanOf(variance->operands[1 - side]);
      }
    if (!squares || epsilon < 0)
      return false;
    Powers square(squares);
    if (square.factors.size() != 1 || square.factors[0].second != 2 ||
        square.coefficient != 1)
      return false;
    input = square.factors[0].first;
    if (!powers.take(1, [&](const Term *factor) { return factor == input; }))
      return false;
    isCentred = false;
    if (input->isA<arith::SubFOp>() &&
        meanOf(input->operands[1]) == input->operands[0]) {
      input = input->operands[0];
      isCentred = true;
    }
    scale =
        powers.take(1, [&](const Term *factor) { return isWeight(factor); });
    return powers.factors.empty() && isClose(powers.coefficient, 1) &&
           find(input);
  }

  /// Where a term stands with the dims of the result.
  bool find(const Term *term) {
    for (const Reading &reading : terms.origins(term))
      if (ArrayRef(reading.at) == ArrayRef(position) &&
          isa<RankedTensorType>(reading.tensor.getType()) &&
          reading.tensor.getType() == op->getResult(0).getType()) {
        tensor = reading.tensor;
        return true;
      }
    return false;
  }

  /// The columns' numbers as a tensor of them; with `make` unset only whether
  /// there is one.
  Value weightOf(const Term *term, bool make = true) {
    for (const Reading &reading : terms.origins(term)) {
      auto type = dyn_cast<RankedTensorType>(reading.tensor.getType());
      if (!type || !type.hasStaticShape() || type.getNumElements() != n ||
          !type.getElementType().isF32() || reading.at.empty() ||
          reading.at.back().atom() != column)
        continue;
      if (!make || type.getRank() == 1)
        return reading.tensor;
      ReassociationIndices group =
          llvm::to_vector(llvm::seq<int64_t>(0, type.getRank()));
      return tensor::CollapseShapeOp::create(
          b, op.getLoc(), reading.tensor,
          ArrayRef<ReassociationIndices>(group));
    }
    return {};
  }

  void write(const Term *bias) {
    Location loc = op.getLoc();
    auto type = RankedTensorType::get({n}, b.getF32Type());
    Value scaleValue =
        scale ? weightOf(scale)
              : arith::ConstantOp::create(
                    b, loc, DenseElementsAttr::get(type, float(1)));
    int64_t axis = position.size() - 1;
    FloatAttr smallest = b.getF32FloatAttr(float(epsilon));
    Value result =
        isCentred
            ? LayerNormOp::create(b, loc, op->getResult(0).getType(), tensor,
                                  scaleValue, bias ? weightOf(bias) : Value(),
                                  b.getI64IntegerAttr(axis), smallest)
                  .getResult()
            : RMSNormOp::create(b, loc, op->getResult(0).getType(), tensor,
                                scaleValue, b.getI64IntegerAttr(axis), smallest)
                  .getResult();
    b.replaceAllUsesWith(op->getResult(0), result);
  }

  linalg::GenericOp op;
  RewriterBase &b;
  Atoms atoms;
  Terms terms;
  SmallVector<Number> position;
  unsigned column;
  int64_t n;
  double epsilon;
  bool isCentred;
  const Term *input, *scale;
  Value tensor;
};

/// Whether an elementwise operation may end a normalisation: it multiplies or
/// adds.
bool mayEnd(linalg::GenericOp op) {
  if (op.getNumResults() != 1 || !op.hasPureTensorSemantics() ||
      !linalg::isElementwise(op) ||
      !getElementTypeOrSelf(op->getResult(0)).isF32())
    return false;
  Operation *last =
      op.getBody()->getTerminator()->getOperand(0).getDefiningOp();
  return isa_and_nonnull<arith::MulFOp, arith::AddFOp, arith::DivFOp>(last);
}

struct FuseNorms : impl::FuseNormsBase<FuseNorms> {
  void runOnOperation() override {
    Block &block = getOperation().front();
    if (llvm::none_of(block.getOps<linalg::GenericOp>(),
                      [](linalg::GenericOp op) {
                        return op.getNumReductionLoops() == 1;
                      }))
      return;
    // Last to first: the scale and the bias belong to it.
    SmallVector<linalg::GenericOp> ends;
    for (linalg::GenericOp op : block.getOps<linalg::GenericOp>())
      if (mayEnd(op))
        ends.push_back(op);
    IRRewriter rewriter(&getContext());
    for (linalg::GenericOp op : llvm::reverse(ends))
      if (!op->use_empty() && Norm(op, rewriter).run())
        rewriter.eraseOp(op);
  }
};
} // namespace
} // namespace fulgur
