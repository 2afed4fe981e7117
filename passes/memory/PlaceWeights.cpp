// Gives every constant of @main, or of the parts of a program, or of the
// variants for several CPUs, its place in the one weights segment. The module's
// attribute fulgur.weights lists them as {offset, resource}, in order;
// constants with equal bytes are stored once.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Passes.h"
#include "passes/WeightStore.h"
#include "passes/memory/BufferDims.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_PLACEWEIGHTS
#include "passes/Passes.h.inc"

namespace {
struct PlaceWeights : impl::PlaceWeightsBase<PlaceWeights> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    module.walk<WalkOrder::PreOrder>([&](ModuleOp part) {
      if (auto main = part.lookupSymbol<func::FuncOp>("main");
          main && !main.getBody().empty())
        place(part, main);
    });
    Builder attributes(&getContext());
    module->setAttr("fulgur.weights", attributes.getArrayAttr(weights));
    module->setAttr("fulgur.weights_bytes", attributes.getI64IntegerAttr(end));
    weights.clear();
    places.clear();
    same.clear();
    end = 0;
  }

private:
  void place(ModuleOp module, func::FuncOp main) {
    llvm::StringSet<> placed;
    main.walk([&](memref::GetGlobalOp get) {
      auto global = module.lookupSymbol<memref::GlobalOp>(get.getName());
      auto type = cast<MemRefType>(get.getType());
      placed.insert(get.getName());
      OpBuilder builder(get);
      Value offset = arith::ConstantIndexOp::create(
          builder, get.getLoc(),
          offsetOf(cast<ElementsAttr>(*global.getInitialValue()), type));
      Value buffer =
          BufferOp::create(builder, get.getLoc(), type, main.getArgument(0),
                           Segment::weights, offset, ValueRange());
      get.replaceAllUsesWith(buffer);
      get.erase();
    });
    for (auto global :
         llvm::make_early_inc_range(module.getOps<memref::GlobalOp>()))
      if (placed.contains(global.getName()))
        global.erase();
  }

  /// The place of a constant; that of an equal one, whoever has it.
  int64_t offsetOf(ElementsAttr value, MemRefType type) {
    if (auto known = same.find(value); known != same.end())
      return known->second;
    int64_t &place = same[value];
    int64_t bytes = type.getNumElements() * elementBytes(type.getElementType());
    ArrayRef<char> content = weightBytes(value);
    bool comparable = int64_t(content.size()) == bytes && bytes > 0;
    SmallVector<std::pair<ArrayRef<char>, int64_t>> &equals =
        places[comparable ? llvm::xxh3_64bits(
                                StringRef(content.data(), content.size()))
                          : 0];
    if (comparable)
      for (auto [other, offset] : equals)
        if (other == content)
          return place = offset;
    int64_t offset = place = end;
    if (comparable)
      equals.push_back({content, offset});
    Builder attributes(&getContext());
    weights.push_back(attributes.getDictionaryAttr(
        {attributes.getNamedAttr("offset",
                                 attributes.getI64IntegerAttr(offset)),
         attributes.getNamedAttr("resource", value)}));
    end = llvm::alignTo(end + bytes, kAlignment);
    return offset;
  }

  SmallVector<Attribute> weights;
  std::map<uint64_t, SmallVector<std::pair<ArrayRef<char>, int64_t>>> places;
  llvm::DenseMap<Attribute, int64_t> same;
  int64_t end = 0;
};
} // namespace
} // namespace fulgur
