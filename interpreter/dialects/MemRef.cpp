// memref: memory and views of it. An access outside of the dims is an error of
// the module, and so is a view that goes beyond its memory once it is used.
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "interpreter/Host.h"
#include "interpreter/Machine.h"
#include "mlir/IR/SymbolTable.h"
#include <cstring>

using namespace mlir;

namespace fulgur::interpreter {

std::optional<int64_t> elementAt(Machine &machine, const Step &step,
                                 const Array &array, unsigned first) {
  int64_t at = array.offset;
  for (auto [k, size] : llvm::enumerate(array.sizes)) {
    int64_t index = machine.integer(step, first + k);
    if (index < 0 || index >= size) {
      machine.wrong(step, "has index " + Twine(index) + " in dim " + Twine(k) +
                              ", which is of size " + Twine(size));
      return std::nullopt;
    }
    at += index * array.strides[k];
  }
  if (!array.holds(at)) {
    machine.wrong(step, "touches element " + Twine(at) +
                            ", which is outside of its memory");
    return std::nullopt;
  }
  return at;
}

void assign(Machine &machine, const Step &step, const Array &from,
            const Array &to) {
  if (from.sizes != to.sizes)
    return machine.wrong(step, "copies between different shapes");
  // Through a copy, since both may be the same memory.
  llvm::IntrusiveRefCntPtr<Array> source = copyOf(from);
  const char *at = source->buffer->data;
  int64_t bytes = from.format.bytes();
  forEachIndex(to.sizes, [&](ArrayRef<int64_t> index) {
    int64_t element = to.offset;
    for (auto [i, stride] : llvm::zip(index, to.strides))
      element += i * stride;
    if (!to.holds(element))
      return machine.wrong(step, "writes outside of its memory");
    std::memcpy(to.at(element), at, bytes);
    at += bytes;
  });
}

/// A view of the same memory.
static llvm::IntrusiveRefCntPtr<Array> viewOf(const Array &array) {
  auto view = llvm::makeIntrusiveRefCnt<Array>();
  view->buffer = array.buffer;
  view->base = array.base;
  view->offset = array.offset;
  view->format = array.format;
  return view;
}

static void runSubView(Machine &machine, const Step &step) {
  auto op = step.as<memref::SubViewOp>();
  const Array &source = machine.array(step, 0);
  unsigned next = 1;
  auto offsets = machine.mixed(step, op.getStaticOffsets(), next);
  next += op.getOffsets().size();
  auto sizes = machine.mixed(step, op.getStaticSizes(), next);
  next += op.getSizes().size();
  auto strides = machine.mixed(step, op.getStaticStrides(), next);
  auto view = viewOf(source);
  auto dropped = op.getDroppedDims();
  for (unsigned k = 0; k < sizes.size(); ++k) {
    view->offset += offsets[k] * source.strides[k];
    if (dropped.test(k))
      continue;
    view->sizes.push_back(sizes[k]);
    view->strides.push_back(strides[k] * source.strides[k]);
  }
  machine.set(step, 0, view);
}

static void runReinterpret(Machine &machine, const Step &step) {
  auto op = step.as<memref::ReinterpretCastOp>();
  unsigned next = 1;
  auto offsets = machine.mixed(step, op.getStaticOffsets(), next);
  next += op.getOffsets().size();
  auto view = viewOf(machine.array(step, 0));
  view->offset = offsets[0];
  view->sizes = machine.mixed(step, op.getStaticSizes(), next);
  next += op.getSizes().size();
  view->strides = machine.mixed(step, op.getStaticStrides(), next);
  machine.set(step, 0, view);
}

static void runExpand(Machine &machine, const Step &step) {
  auto op = step.as<memref::ExpandShapeOp>();
  const Array &source = machine.array(step, 0);
  auto view = viewOf(source);
  view->sizes = machine.mixed(step, op.getStaticOutputShape(), 1);
  view->strides.resize(view->sizes.size());
  for (auto [group, stride] :
       llvm::zip(op.getReassociationIndices(), source.strides))
    for (int64_t step = stride; int64_t dim : llvm::reverse(group)) {
      view->strides[dim] = step;
      step *= view->sizes[dim];
    }
  machine.set(step, 0, view);
}

static void runCollapse(Machine &machine, const Step &step) {
  auto op = step.as<memref::CollapseShapeOp>();
  const Array &source = machine.array(step, 0);
  auto view = viewOf(source);
  for (const ReassociationIndices &group : op.getReassociationIndices()) {
    int64_t size = 1, stride = 1;
    for (int64_t dim : llvm::reverse(group)) {
      // The innermost dim that moves decides.
      if (size == 1)
        stride = source.strides[dim];
      else if (source.sizes[dim] > 1 && source.strides[dim] != stride * size)
        return machine.wrong(step, "collapses dims that are not contiguous");
      size *= source.sizes[dim];
    }
    view->sizes.push_back(size);
    view->strides.push_back(stride);
  }
  machine.set(step, 0, view);
}

static void runTranspose(Machine &machine, const Step &step) {
  const Array &source = machine.array(step, 0);
  auto view = viewOf(source);
  for (AffineExpr dim :
       step.as<memref::TransposeOp>().getPermutation().getResults()) {
    unsigned from = cast<AffineDimExpr>(dim).getPosition();
    view->sizes.push_back(source.sizes[from]);
    view->strides.push_back(source.strides[from]);
  }
  machine.set(step, 0, view);
}

static void runMetadata(Machine &machine, const Step &step) {
  const Array &source = machine.array(step, 0);
  auto base = viewOf(source);
  base->offset = 0;
  unsigned next = 0;
  machine.set(step, next++, base);
  machine.set(step, next++, Scalar::of(source.offset));
  for (int64_t size : source.sizes)
    machine.set(step, next++, Scalar::of(size));
  for (int64_t stride : source.strides)
    machine.set(step, next++, Scalar::of(stride));
}

static void runAlloc(Machine &machine, const Step &step) {
  auto type = cast<MemRefType>(step.op->getResult(0).getType());
  Format format = step.resultFormats[0];
  if (!format || isa<VectorType>(type.getElementType()) ||
      !type.getLayout().isIdentity())
    return machine.unknown(step, "such a type");
  auto sizes = machine.mixed(step, type.getShape(), 0);
  if (llvm::any_of(sizes, [](int64_t size) { return size < 0; }))
    return machine.wrong(step, "has a negative size");
  machine.set(step, 0, makeArray(format, sizes));
}

static void runGlobal(Machine &machine, const Step &step) {
  auto op = step.as<memref::GetGlobalOp>();
  auto global = dyn_cast_or_null<memref::GlobalOp>(
      SymbolTable::lookupSymbolIn(ModuleOp(machine.module), op.getName()));
  auto content = global ? dyn_cast_or_null<ElementsAttr>(
                              global.getInitialValue().value_or(Attribute()))
                        : ElementsAttr();
  auto array =
      content && global.getConstant() ? machine.constant(content) : nullptr;
  if (!array)
    return machine.unknown(step, "such a global");
  machine.set(step, 0, array);
}

void registerMemRef(Registry &registry) {
  registry.add<memref::AllocOp>(runAlloc);
  registry.add<memref::AllocaOp>(runAlloc);
  registry.ignore<memref::DeallocOp>();
  registry.ignore<memref::AssumeAlignmentOp>();
  registry.ignore<memref::GlobalOp>();
  registry.ignore<memref::PrefetchOp>();
  registry.add<memref::GetGlobalOp>(runGlobal);
  registry.add<memref::SubViewOp>(runSubView);
  registry.add<memref::ReinterpretCastOp>(runReinterpret);
  registry.add<memref::ExpandShapeOp>(runExpand);
  registry.add<memref::CollapseShapeOp>(runCollapse);
  registry.add<memref::TransposeOp>(runTranspose);
  registry.add<memref::ExtractStridedMetadataOp>(runMetadata);

  registry.add<memref::ExtractAlignedPointerAsIndexOp>([](Machine &machine,
                                                          const Step &step) {
    const Array &array = machine.array(step, 0);
    machine.host.allow(array.buffer->data, array.buffer->bytes);
    machine.set(step, 0, Scalar::of(reinterpret_cast<int64_t>(array.at(0))));
  });
  registry.add<memref::LoadOp>([](Machine &machine, const Step &step) {
    const Array &array = machine.array(step, 0);
    if (auto at = elementAt(machine, step, array, 1))
      machine.set(step, 0, array.format.load(array.at(*at)));
  });
  registry.add<memref::StoreOp>([](Machine &machine, const Step &step) {
    const Array &array = machine.array(step, 1);
    if (auto at = elementAt(machine, step, array, 2))
      array.format.store(machine.value(step, 0).scalar, array.at(*at));
  });
  registry.add<memref::CopyOp>([](Machine &machine, const Step &step) {
    assign(machine, step, machine.array(step, 0), machine.array(step, 1));
  });
  auto dim = [](Machine &machine, const Step &step) {
    const Array &array = machine.array(step, 0);
    int64_t number = machine.integer(step, 1);
    if (number < 0 || number >= int64_t(array.sizes.size()))
      return machine.wrong(step, "asks for dim " + Twine(number));
    machine.set(step, 0, Scalar::of(array.sizes[number]));
  };
  registry.add<memref::DimOp>(dim);
  auto same = [](Machine &machine, const Step &step) {
    machine.set(step, 0, machine.value(step, 0));
  };
  registry.add<memref::CastOp>(same);
  registry.add<memref::MemorySpaceCastOp>(same);
}

} // namespace fulgur::interpreter
