// Numbers of the data that decide about shapes. Those that the caller passes in
// a small integer input are symbols like the dims of inputs, read before a run
// is planned; sizes computed from them are sizes like any other. All others are
// symbols that the driver defines once they are computed.
#include "frontends/onnx/Core.h"

using namespace mlir;
using namespace fulgur::onnx;

/// Longer inputs hold data, not shapes.
static constexpr int64_t longestShape = 64;

void fulgur::onnx::nameElements(const Core &core, const Tensor &input,
                                int64_t number, StringRef name) {
  Sizes &sizes = core.sizes;
  int64_t lower = *lowest(input.type).integer.constant(),
          upper = input.type == DType::u64
                      ? Atoms::kMax
                      : *highest(input.type).integer.constant();
  Elements elements;
  for (int64_t k = 0, count = *constantCount(input.shape); k < count; ++k) {
    std::string symbol = name.str();
    if (input.rank())
      symbol += "[" + std::to_string(k) + "]";
    while (sizes.atoms.hasSymbol(symbol)) // a dim of that name
      symbol += "_";
    elements.push_back({sizes.atoms.value(symbol, lower, upper)});
    sizes.inputValues.push_back({symbol, number, k, lower, upper});
  }
  input.setKnown(std::move(elements));
}

/// Whether the elements of an input of this type can be symbols.
static bool isShapeLike(RankedTensorType type) {
  auto element = dyn_cast<IntegerType>(type.getElementType());
  return element && (element.getWidth() == 1 || element.getWidth() >= 8) &&
         type.getRank() <= 1 && type.hasStaticShape() &&
         type.getNumElements() <= longestShape;
}

/// The inputs of the model that the value is computed from, if their elements
/// are all that it is computed from and can be symbols.
static std::optional<SmallVector<unsigned>> originsOf(const Program &program,
                                                      Value value) {
  SmallVector<unsigned> inputs;
  llvm::SmallDenseSet<Value> seen;
  SmallVector<Value> open{value};
  while (!open.empty()) {
    Value next = open.pop_back_val();
    if (!next)
      return std::nullopt;
    if (!seen.insert(next).second)
      continue;
    if (Operation *op = next.getDefiningOp()) {
      if (op->getDialect() && isa<fulgur::ValueType>(next.getType()))
        return std::nullopt; // computed by the driver
      llvm::append_range(open, op->getOperands());
      for (Region &region : op->getRegions())
        region.walk([&](Operation *inner) {
          for (Value operand : inner->getOperands())
            if (!region.isAncestor(operand.getParentRegion()))
              open.push_back(operand);
        });
      continue;
    }
    auto argument = cast<BlockArgument>(next);
    if (auto input = program.inputOf(argument)) {
      if (!isShapeLike(input->type))
        return std::nullopt;
      inputs.push_back(input->number);
      continue;
    }
    Value source = program.sourceOf(argument);
    if (source == argument)
      return std::nullopt;
    open.push_back(source);
  }
  return inputs;
}

Shape Core::dataExtents(const Tensor &x, StringRef name) const {
  auto [known, isNew] = program.elements.try_emplace(x.identity());
  if (!isNew)
    return known->second;
  if (std::optional<SmallVector<unsigned>> origins =
          originsOf(program, x.value())) {
    llvm::erase_if(*origins, [&](unsigned input) {
      return llvm::any_of(sizes.inputValues, [&](const auto &value) {
        return value.input == input;
      });
    });
    if (!origins->empty())
      throw NeedsInputValues{*origins};
  }
  std::optional<int64_t> count = constantCount(x.shape);
  if (!count || x.rank() > 1)
    unsupported("the number of dims that '" + name +
                "' holds depends on data; only sizes may");
  program.keep(x);
  Value data = outside(x);
  Shape result;
  for (int64_t k = 0; k < *count; ++k)
    result.push_back(program.defineElement(name, data, k, loc));
  return program.elements[x.identity()] = result;
}

void Core::requireSize(const Extent &size, const Twine &what) const {
  Extent simple = sizes.atoms.simplify(size);
  if (std::optional<int64_t> constant = simple.constant();
      constant && *constant < 0)
    fail(what + " is a size, but " + Twine(*constant));
  if (sizes.atoms.isData(simple))
    sizes.requireAtLeast(simple, 0,
                         what + ", '" + sizes.atoms.text(simple) +
                             "', is a size and must not be negative",
                         loc);
}
