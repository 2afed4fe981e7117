// Makes one module of a program, or of the variants of a model for several
// CPUs: what its parts define moves into the module that they are in. Names
// inside a part mean something only there, so all but the entry points get the
// part's name in front; declarations are of the world outside.
#include "mlir/IR/AttrTypeSubElements.h"
#include "passes/Passes.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_JOINPARTS
#include "passes/Passes.h.inc"

namespace {
struct JoinParts : impl::JoinPartsBase<JoinParts> {
  void runOnOperation() override {
    ModuleOp program = getOperation();
    llvm::StringSet<> declared;
    for (auto function : program.getOps<LLVM::LLVMFuncOp>())
      if (function.isExternal())
        declared.insert(function.getName());
    for (ModuleOp part :
         llvm::make_early_inc_range(program.getOps<ModuleOp>())) {
      rename(part);
      for (Operation &op : llvm::make_early_inc_range(*part.getBody())) {
        auto function = dyn_cast<LLVM::LLVMFuncOp>(op);
        if (function && function.isExternal() &&
            !declared.insert(function.getName()).second)
          continue;
        op.moveBefore(program.getBody(), program.getBody()->end());
      }
      part.erase();
    }
  }

private:
  static void rename(ModuleOp part) {
    llvm::DenseMap<StringAttr, StringAttr> names;
    MLIRContext *context = part.getContext();
    std::string entry = ("__" + *part.getSymName() + "__").str();
    for (Operation &op : *part.getBody()) {
      auto symbol = dyn_cast<SymbolOpInterface>(op);
      auto function = dyn_cast<LLVM::LLVMFuncOp>(op);
      if (!symbol || symbol.getName().contains(entry) ||
          (function && function.isExternal()))
        continue;
      StringAttr old = symbol.getNameAttr();
      names[old] = StringAttr::get(context, part.getSymName().value() + "." +
                                                old.getValue());
      symbol.setName(names[old]);
    }
    AttrTypeReplacer replacer;
    replacer.addReplacement([&](FlatSymbolRefAttr reference) -> Attribute {
      StringAttr name = names.lookup(reference.getAttr());
      return name ? FlatSymbolRefAttr::get(name) : reference;
    });
    replacer.recursivelyReplaceElementsIn(part, /*replaceAttrs=*/true);
  }
};
} // namespace
} // namespace fulgur
