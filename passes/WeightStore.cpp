#include "passes/WeightStore.h"
#include "dialects/Fulgur.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Memory.h"
#include <sys/mman.h>
#include <unistd.h>

using namespace mlir;
using namespace fulgur;

ElementsAttr fulgur::constantOf(KernelOp kernel, Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  ElementsAttr constant;
  if (!argument || argument.getArgNumber() >= kernel.getInputs().size() ||
      !matchPattern(kernel.getInputs()[argument.getArgNumber()],
                    m_Constant(&constant)))
    return {};
  return constant;
}

ArrayRef<char> fulgur::weightBytes(ElementsAttr weight) {
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(weight)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    return blob ? blob->getData() : ArrayRef<char>();
  }
  auto dense = dyn_cast<DenseElementsAttr>(weight);
  if (!dense || dense.getElementType().getIntOrFloatBitWidth() < 8)
    return {};
  return dense.getRawData();
}

ArrayRef<float> fulgur::weightFloats(ElementsAttr weight) {
  ArrayRef<char> bytes = weightBytes(weight);
  return {reinterpret_cast<const float *>(bytes.data()),
          bytes.size() / sizeof(float)};
}

ElementsAttr
fulgur::addWeight(RankedTensorType type, StringRef name,
                  llvm::function_ref<void(MutableArrayRef<char>)> fill) {
  size_t bytes = type.getNumElements() * type.getElementTypeBitWidth() / 8;
  std::error_code error;
  llvm::sys::MemoryBlock pages = llvm::sys::Memory::allocateMappedMemory(
      std::max<size_t>(bytes, 1), nullptr,
      llvm::sys::Memory::MF_READ | llvm::sys::Memory::MF_WRITE, error);
  if (error)
    llvm::report_fatal_error(llvm::Twine("no memory for a weight of ") +
                             llvm::Twine(bytes) + " bytes");
  fill({static_cast<char *>(pages.base()), bytes});
  AsmResourceBlob blob(
      {static_cast<char *>(pages.base()), bytes}, /*dataAlignment=*/64,
      [pages](void *, size_t, size_t) mutable {
        llvm::sys::Memory::releaseMappedMemory(pages);
      },
      /*dataIsMutable=*/false);
  return DenseResourceElementsAttr::get(type, name, std::move(blob));
}

void fulgur::releaseWeight(ElementsAttr weight) {
#ifdef MADV_PAGEOUT
  // Unlike MADV_DONTNEED, this keeps the content whatever kind of memory it is.
  ArrayRef<char> bytes = weightBytes(weight);
  uintptr_t page = sysconf(_SC_PAGESIZE);
  uintptr_t from =
                llvm::alignTo(reinterpret_cast<uintptr_t>(bytes.begin()), page),
            to =
                llvm::alignDown(reinterpret_cast<uintptr_t>(bytes.end()), page);
  if (from < to)
    madvise(reinterpret_cast<void *>(from), to - from, MADV_PAGEOUT);
#endif
}
