// Makes one function of kernels that differ in numbers only: what differs
// becomes an argument. The scales and zero points of a quantized model are
// other ones in every layer; without this, so would be the code.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_SHAREKERNELS
#include "passes/Passes.h.inc"

namespace {
constexpr llvm::StringLiteral kTaken = "taken";

/// The number that a constant is, or that all elements of a vector are.
TypedAttr numberOf(arith::ConstantOp op) {
  if (isa<FloatType, IntegerType>(op.getType()))
    return op.getValue();
  if (auto splat = dyn_cast<SplatElementsAttr>(op.getValue());
      splat && isa<VectorType>(op.getType()))
    return splat.getSplatValue<TypedAttr>();
  return {};
}

/// Whether code is better for knowing the number: it stays a constant.
bool isSpecial(arith::ConstantOp op, TypedAttr number) {
  if (auto real = dyn_cast<FloatAttr>(number)) {
    APFloat value = real.getValue();
    return value.isZero() || !value.isFinite() ||
           abs(value).isExactlyValue(1) ||
           // one instruction only where the bound is known not to be a NaN
           llvm::any_of(op->getUsers(),
                        llvm::IsaPred<arith::MaximumFOp, arith::MinimumFOp>);
  }
  auto integer = dyn_cast<IntegerAttr>(number);
  auto type = integer ? dyn_cast<IntegerType>(integer.getType()) : nullptr;
  return !type || type.getWidth() == 1 || type.getWidth() == 64 ||
         integer.getValue().isZero() || integer.getValue().isOne() ||
         integer.getValue().isAllOnes() ||
         llvm::any_of(
             op->getUsers(),
             llvm::IsaPred<arith::ShLIOp, arith::ShRSIOp, arith::ShRUIOp,
                           arith::DivSIOp, arith::DivUIOp, arith::RemSIOp,
                           arith::RemUIOp>);
}

/// A kernel's function, and the numbers that were taken out of it.
struct Kernel {
  func::FuncOp function;
  SmallVector<std::pair<arith::ConstantOp, TypedAttr>> numbers;

  explicit Kernel(func::FuncOp function) : function(function) {
    function.walk([&](arith::ConstantOp op) {
      TypedAttr number = numberOf(op);
      if (!number || isSpecial(op, number))
        return;
      numbers.push_back({op, op.getValue()});
      op.setValueAttr(cast<TypedAttr>(Builder(op).getZeroAttr(op.getType())));
      op->setAttr(kTaken, UnitAttr::get(op.getContext()));
    });
  }

  void putBack(unsigned i) {
    auto [op, value] = numbers[i];
    op.setValueAttr(value);
    op->removeAttr(kTaken);
  }

  TypedAttr number(unsigned i) {
    auto [op, value] = numbers[i];
    auto splat = dyn_cast<SplatElementsAttr>(value);
    return splat ? splat.getSplatValue<TypedAttr>() : value;
  }

  /// A hash that is equal for kernels that isLike.
  size_t hash() {
    llvm::hash_code hash = hash_value(function.getFunctionType());
    function.getBody().walk([&](Operation *op) {
      hash = llvm::hash_combine(hash,
                                OperationEquivalence::computeHash(
                                    op, OperationEquivalence::ignoreHashValue,
                                    OperationEquivalence::ignoreHashValue,
                                    OperationEquivalence::IgnoreLocations));
    });
    return hash;
  }

  bool isLike(Kernel &other) {
    return function.getFunctionType() == other.function.getFunctionType() &&
           OperationEquivalence::isRegionEquivalentTo(
               &function.getBody(), &other.function.getBody(),
               OperationEquivalence::IgnoreLocations);
  }
};

struct ShareKernels : impl::ShareKernelsBase<ShareKernels> {
  void runOnOperation() override {
    SmallVector<func::CallOp> calls;
    getOperation().walk([&](func::CallOp call) { calls.push_back(call); });
    llvm::MapVector<StringAttr, SmallVector<func::CallOp>> callsOf;
    for (func::CallOp call : calls)
      callsOf[call.getCalleeAttr().getAttr()].push_back(call);

    SmallVector<SmallVector<Kernel>> groups;
    llvm::DenseMap<size_t, SmallVector<unsigned>> known;
    for (auto &[name, users] : callsOf) {
      auto function = getOperation().lookupSymbol<func::FuncOp>(name);
      if (!function || function.isExternal())
        continue;
      Kernel kernel(function);
      SmallVector<unsigned> &candidates = known[kernel.hash()];
      auto *same = llvm::find_if(candidates, [&](unsigned group) {
        return groups[group].front().isLike(kernel);
      });
      if (same == candidates.end()) {
        candidates.push_back(groups.size());
        same = std::prev(candidates.end());
        groups.emplace_back();
      }
      groups[*same].push_back(std::move(kernel));
    }
    for (SmallVector<Kernel> &group : groups)
      share(group, callsOf);
  }

private:
  /// Leaves the first kernel of them, which is called for all.
  static void
  share(MutableArrayRef<Kernel> group,
        llvm::MapVector<StringAttr, SmallVector<func::CallOp>> &callsOf) {
    func::FuncOp function = group.front().function;
    llvm::MapVector<ArrayAttr, Value> arguments; // by what each kernel has
    for (auto [i, number] : llvm::enumerate(group.front().numbers)) {
      arith::ConstantOp op = number.first;
      SmallVector<Attribute> values;
      for (Kernel &kernel : group)
        values.push_back(kernel.number(i));
      if (llvm::all_equal(values)) {
        group.front().putBack(i);
        continue;
      }
      Value &argument = arguments[ArrayAttr::get(op.getContext(), values)];
      if (!argument) {
        unsigned position = function.getNumArguments();
        (void)function.insertArgument(position,
                                      getElementTypeOrSelf(op.getType()), {},
                                      function.getLoc());
        argument = function.getArgument(position);
      }
      Value value = argument;
      if (isa<VectorType>(op.getType())) {
        OpBuilder builder(op);
        value = vector::BroadcastOp::create(builder, op.getLoc(), op.getType(),
                                            argument);
      }
      op.replaceAllUsesWith(value);
      op.erase();
    }
    for (auto [member, kernel] : llvm::enumerate(group)) {
      for (func::CallOp call : callsOf[kernel.function.getSymNameAttr()]) {
        OpBuilder builder(call);
        for (auto &[values, argument] : arguments) {
          Value value = arith::ConstantOp::create(
              builder, call.getLoc(), cast<TypedAttr>(values[member]));
          call->insertOperands(call->getNumOperands(), value);
        }
        call.setCallee(function.getSymName());
      }
      if (member != 0)
        kernel.function.erase();
    }
  }
};
} // namespace
} // namespace fulgur
