// Gives every constant of @main its place in the weights segment. The module's
// attribute fulgur.weights lists them as {offset, resource}, in order; equal
// constants are stored once (bufferization has made one global of them).
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Passes.h"
#include "passes/memory/BufferDims.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_PLACEWEIGHTS
#include "passes/Passes.h.inc"

namespace {
struct PlaceWeights : impl::PlaceWeightsBase<PlaceWeights> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto main = module.lookupSymbol<func::FuncOp>("main");
    if (!main || main.getBody().empty())
      return;
    Builder attributes(&getContext());
    SmallVector<Attribute> weights;
    llvm::StringMap<int64_t> offsets;
    int64_t end = 0;
    main.walk([&](memref::GetGlobalOp get) {
      auto [known, isNew] = offsets.try_emplace(get.getName(), end);
      auto type = cast<MemRefType>(get.getType());
      if (isNew) {
        auto global = module.lookupSymbol<memref::GlobalOp>(get.getName());
        weights.push_back(attributes.getDictionaryAttr(
            {attributes.getNamedAttr("offset",
                                     attributes.getI64IntegerAttr(end)),
             attributes.getNamedAttr("resource", *global.getInitialValue())}));
        end = llvm::alignTo(end + type.getNumElements() *
                                      elementBytes(type.getElementType()),
                            kAlignment);
      }
      OpBuilder builder(get);
      Value offset =
          arith::ConstantIndexOp::create(builder, get.getLoc(), known->second);
      Value buffer =
          BufferOp::create(builder, get.getLoc(), type, main.getArgument(0),
                           Segment::weights, offset, ValueRange());
      get.replaceAllUsesWith(buffer);
      get.erase();
    });
    for (auto global :
         llvm::make_early_inc_range(module.getOps<memref::GlobalOp>()))
      if (offsets.contains(global.getName()))
        global.erase();
    module->setAttr("fulgur.weights", attributes.getArrayAttr(weights));
    module->setAttr("fulgur.weights_bytes", attributes.getI64IntegerAttr(end));
  }
};
} // namespace
} // namespace fulgur
