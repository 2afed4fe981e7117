#include "passes/graph/WeightProduct.h"
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "passes/WeightStore.h"
#include "passes/kernel/builders/View.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace fulgur;

bool fulgur::hasLongSums(linalg::LinalgOp product) {
  int64_t steps = 1;
  for (auto [size, kind] : llvm::zip(product.getStaticLoopRanges(),
                                     product.getIteratorTypesArray()))
    if (kind == utils::IteratorType::reduction)
      steps = ShapedType::isDynamic(size) ? kShortestSum : steps * size;
  return steps >= kShortestSum;
}

/// Whether anything is computed with `value`, more than to return it.
static bool isUsed(Value value) {
  return llvm::any_of(value.getUsers(), [](Operation *user) {
    if (isViewOperation(user) || isa<linalg::TransposeOp>(user))
      return isUsed(user->getResult(0));
    return !user->hasTrait<OpTrait::ReturnLike>();
  });
}

/// Whether `op` gives such numbers as TopK and ArgMax do: positions of what is
/// compared.
static bool findsPositions(Operation *op) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!isa<scf::ForOp>(op) && (!generic || generic.getNumReductionLoops() == 0))
    return false;
  return llvm::any_of(op->getResults(), [](Value result) {
    Type element = getElementTypeOrSelf(result.getType());
    return element.isInteger(64) && isUsed(result);
  });
}

/// Whether the result of `op`, which reads `value`, still tells how the numbers
/// compare.
static bool keepsOrder(Operation *op, Value value) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return isViewOperation(op) || isa<SoftmaxOp, linalg::TransposeOp>(op) ||
         (generic && linalg::isElementwise(generic) &&
          op->getNumResults() == 1 &&
          op->getResult(0).getType() == value.getType());
}

bool fulgur::decidesWhatIsPicked(linalg::LinalgOp product) {
  llvm::SetVector<Value> compared; // each once, on however many ways
  compared.insert(product->getResult(0));
  for (unsigned next = 0; next < compared.size(); ++next) {
    Value value = compared[next];
    for (Operation *user : value.getUsers()) {
      // What loops read, they read inside.
      Operation *op = value.getParentBlock()->findAncestorOpInBlock(*user);
      if (findsPositions(op))
        return true;
      if (keepsOrder(op, value))
        compared.insert(op->getResult(0));
    }
  }
  return false;
}

ElementsAttr fulgur::floatWeightOf(Value value) {
  ElementsAttr weight;
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || !type.getElementType().isF32() || type.getRank() < 2 ||
      !matchPattern(value, m_Constant(&weight)) || weightBytes(weight).empty())
    return {};
  return weight;
}

ElementsAttr fulgur::narrowWeight(ElementsAttr weight, StringRef name,
                                  Type element, uint16_t (*convert)(float)) {
  auto type = RankedTensorType::get(weight.getShapedType().getShape(), element);
  ArrayRef<float> from = weightFloats(weight);
  size_t step = from.size() > 1; // 0: a splat
  return addWeight(type, name, [&](MutableArrayRef<char> bytes) {
    auto *to = reinterpret_cast<uint16_t *>(bytes.data());
    for (int64_t i : llvm::seq(type.getNumElements()))
      to[i] = convert(from[i * step]);
  });
}
