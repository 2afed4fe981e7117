// The list of builders, and what they share.
#include "passes/kernel/builders/Builder.h"

using namespace mlir;
using namespace fulgur;

Value KernelSite::operand(Value value) const {
  KernelOp kernel = this->kernel;
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || argument.getOwner() != kernel.bodyBlock())
    return {};
  unsigned number = argument.getArgNumber();
  return number < inputs.size() ? inputs[number] : outs[number - inputs.size()];
}

llvm::ArrayRef<KernelBuilder> fulgur::kernelBuilders() {
  static const KernelBuilder builders[] = {gemmBuilder,
                                           strassenBuilder,
                                           amxBuilder,
                                           blocksBuilder,
                                           softmaxBuilder,
                                           normBuilder,
                                           assembleBuilder,
                                           attentionBuilder,
                                           amxAttentionBuilder,
                                           amxConvolutionBuilder,
                                           winogradBuilder,
                                           groupedBuilder,
                                           directConvolutionBuilder,
                                           depthwiseBuilder,
                                           poolBuilder,
                                           pixelsBuilder,
                                           transpositionBuilder};
  return builders;
}

const KernelBuilder *fulgur::findKernelBuilder(StringRef kind) {
  for (const KernelBuilder &builder : kernelBuilders())
    if (builder.kind == kind)
      return &builder;
  return nullptr;
}
