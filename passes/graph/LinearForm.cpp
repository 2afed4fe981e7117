#include "passes/graph/LinearForm.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "passes/WeightStore.h"
#include <cmath>

using namespace mlir;
using namespace fulgur;

/// The constant that `value` is.
static std::optional<Numbers> numbersOf(linalg::GenericOp loop, Value value) {
  FloatAttr scalar;
  if (matchPattern(value, m_Constant(&scalar)))
    return Numbers{{scalar.getValueAsDouble()}};
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || argument.getOwner() != loop.getBody() ||
      argument.getArgNumber() >= loop.getNumDpsInputs())
    return std::nullopt;
  OpOperand *operand = loop.getDpsInputOperand(argument.getArgNumber());
  ElementsAttr table;
  if (!matchPattern(operand->get(), m_Constant(&table)) ||
      !table.getElementType().isF32())
    return std::nullopt;
  Numbers numbers;
  ArrayRef<int64_t> shape = table.getShapedType().getShape();
  for (auto [size, at] :
       llvm::zip(shape, loop.getMatchingIndexingMap(operand).getResults())) {
    if (size == 1 || isa<AffineConstantExpr>(at))
      continue;
    auto dim = dyn_cast<AffineDimExpr>(at);
    if (!dim || numbers.loop >= 0)
      return std::nullopt;
    numbers.loop = dim.getPosition();
  }
  ArrayRef<float> elements = weightFloats(table);
  if (elements.size() == 1)
    numbers.loop = -1;
  if (elements.empty() || (numbers.loop < 0 && elements.size() != 1))
    return std::nullopt;
  numbers.values.assign(elements.begin(), elements.end());
  return numbers;
}

/// change(a, b), for each index.
static std::optional<Numbers>
combine(const Numbers &a, const Numbers &b,
        llvm::function_ref<double(double, double)> change) {
  if (a.loop >= 0 && b.loop >= 0 && a.loop != b.loop)
    return std::nullopt;
  const Numbers &many = a.loop >= 0 ? a : b;
  Numbers result{{}, many.loop};
  for (size_t k : llvm::seq(many.values.size()))
    result.values.push_back(
        change(a.values[a.loop >= 0 ? k : 0], b.values[b.loop >= 0 ? k : 0]));
  return result;
}

static bool scale(LinearForm &form, const Numbers &by,
                  llvm::function_ref<double(double, double)> change) {
  auto shift = combine(form.shift, by, change);
  if (!shift)
    return false;
  form.shift = *shift;
  for (LinearForm::Term &term : form.terms) {
    auto factor = combine(term.factor, by, change);
    if (!factor)
      return false;
    term.factor = *factor;
  }
  return true;
}

static double product(double a, double b) { return a * b; }

/// A byte less a zero point: as floats, both are exact.
static std::optional<LinearForm> matchByte(Operation *op) {
  auto conversion = dyn_cast_or_null<arith::SIToFPOp>(op);
  auto sub =
      conversion ? conversion.getIn().getDefiningOp<arith::SubIOp>() : nullptr;
  Operation *wide = sub ? sub.getLhs().getDefiningOp() : nullptr;
  APInt zero;
  if (!isa_and_nonnull<arith::ExtUIOp, arith::ExtSIOp>(wide) ||
      !wide->getOperand(0).getType().isInteger(8) ||
      !conversion.getType().isF32() ||
      !matchPattern(sub.getRhs(), m_ConstantInt(&zero)) ||
      zero.abs().ugt(UINT8_MAX))
    return std::nullopt;
  OpBuilder builder(op);
  Value byte = arith::SIToFPOp::create(builder, op->getLoc(),
                                       conversion.getType(), sub.getLhs());
  return LinearForm{
      {{byte, Numbers{{1}}}}, Numbers{{-double(zero.getSExtValue())}}, 1};
}

std::optional<LinearForm> fulgur::matchLinearForm(linalg::GenericOp loop,
                                                  Value value) {
  if (auto numbers = numbersOf(loop, value))
    return LinearForm{{}, *numbers};
  Operation *op = value.getDefiningOp();
  LinearForm itself{{{value, Numbers{{1}}}}, {}};
  if (std::optional<LinearForm> byte = matchByte(op))
    return byte;
  if (!isa_and_nonnull<arith::AddFOp, arith::SubFOp, arith::MulFOp,
                       arith::DivFOp>(op))
    return itself;
  // What is computed for others as well stays there.
  auto part = [&](Value operand) -> std::optional<LinearForm> {
    if (operand.getDefiningOp() && !operand.hasOneUse() &&
        !matchPattern(operand, m_Constant()))
      return LinearForm{{{operand, Numbers{{1}}}}, {}};
    return matchLinearForm(loop, operand);
  };
  auto a = part(op->getOperand(0)), b = part(op->getOperand(1));
  if (!a || !b)
    return std::nullopt;
  if (isa<arith::MulFOp>(op) && a->terms.empty())
    std::swap(a, b);
  LinearForm form = *a;
  form.operations += b->operations + 1;
  if (isa<arith::MulFOp, arith::DivFOp>(op)) {
    if (!b->terms.empty())
      return itself;
    if (!scale(
            form, b->shift,
            isa<arith::MulFOp>(op) ? product
                                   : [](double x, double y) { return x / y; }))
      return std::nullopt;
    return form;
  }
  if (isa<arith::SubFOp>(op))
    scale(*b, Numbers{{-1}}, product);
  auto shift =
      combine(form.shift, b->shift, [](double x, double y) { return x + y; });
  if (!shift)
    return std::nullopt;
  form.shift = *shift;
  form.terms.append(b->terms);
  return form;
}

linalg::GenericOp
fulgur::replaceByForms(linalg::GenericOp loop,
                       ArrayRef<std::pair<Value, LinearForm>> forms) {
  IRRewriter rewriter(loop->getContext());
  rewriter.setInsertionPoint(loop);
  Block *body = loop.getBody();
  SmallVector<Value> inputs(loop.getDpsInputs());
  SmallVector<AffineMap> maps = loop.getIndexingMapsArray();
  unsigned count = loop.getNumDpsInputs();
  Type f32 = rewriter.getF32Type();
  auto valueOf = [&](const Numbers &numbers, Location loc) -> Value {
    SmallVector<float> values(numbers.values.begin(), numbers.values.end());
    if (llvm::all_equal(values))
      return arith::ConstantOp::create(rewriter, loc,
                                       rewriter.getF32FloatAttr(values[0]));
    auto type = RankedTensorType::get(int64_t(values.size()), f32);
    OpBuilder outside(loop);
    inputs.push_back(arith::ConstantOp::create(
        outside, loc, DenseElementsAttr::get(type, ArrayRef<float>(values))));
    maps.insert(maps.begin() + count,
                AffineMap::get(loop.getNumLoops(), 0,
                               rewriter.getAffineDimExpr(numbers.loop)));
    return body->insertArgument(count++, f32, loc);
  };
  for (const auto &[value, form] : forms) {
    Location loc = value.getLoc();
    rewriter.setInsertionPointAfterValue(value);
    Value sum;
    if (!llvm::all_of(form.shift.values, [](double x) { return x == 0; }))
      sum = valueOf(form.shift, loc);
    for (const LinearForm::Term &term : form.terms) {
      Value factor = valueOf(term.factor, loc);
      sum = sum ? math::FmaOp::create(rewriter, loc, term.value, factor, sum)
                      .getResult()
                : arith::MulFOp::create(rewriter, loc, term.value, factor);
    }
    rewriter.replaceAllUsesWith(value, sum);
  }
  rewriter.setInsertionPoint(loop);
  auto result =
      linalg::GenericOp::create(rewriter, loop.getLoc(), loop->getResultTypes(),
                                inputs, SmallVector<Value>(loop.getDpsInits()),
                                maps, loop.getIteratorTypesArray());
  rewriter.inlineRegionBefore(loop.getRegion(), result.getRegion(),
                              result.getRegion().end());
  rewriter.replaceOp(loop, result);
  return result;
}
