#include "frontends/onnx/State.h"
#include "dialects/States.h"
#include "frontends/onnx/Packing.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace fulgur::onnx;

/// What the `*` of the pattern stands for in the name.
static std::optional<StringRef> starIn(StringRef pattern, StringRef name) {
  auto [before, after] = pattern.split('*');
  if (!pattern.contains('*'))
    return pattern == name ? std::optional(StringRef()) : std::nullopt;
  if (name.size() < before.size() + after.size() ||
      !name.consume_front(before) || !name.consume_back(after))
    return std::nullopt;
  return name;
}

std::vector<State> fulgur::onnx::matchStates(
    const Core &core, ArrayRef<std::pair<std::string, std::string>> patterns,
    ArrayRef<std::string> inputs, ArrayRef<std::string> outputs) {
  std::vector<State> states;
  for (const auto &[from, to] : patterns) {
    size_t before = states.size();
    for (const std::string &input : inputs) {
      std::optional<StringRef> star = starIn(from, input);
      if (!star)
        continue;
      auto [head, tail] = StringRef(to).split('*');
      std::string output = (head + *star + tail).str();
      const auto *position = llvm::find(outputs, output);
      if (position == outputs.end())
        core.fail("--state " + from + "=" + to + " makes input '" + input +
                  "' one buffer with '" + output +
                  "', which is not an output of the model");
      for (const State &other : states)
        if (other.input == input || other.output == output)
          core.fail("--state makes input '" + input +
                    "' one buffer with output '" + output + "', but input '" +
                    other.input + "' is already one with '" + other.output +
                    "'");
      states.push_back(
          {input, output, position - outputs.begin(), std::nullopt, {}, 0});
    }
    if (states.size() == before)
      core.fail("--state names '" + from +
                "', which is not an input of the model");
  }
  return states;
}

static std::string nameOf(const State &state) {
  return "--state " + state.input + "=" + state.output;
}

/// Whether one buffer can be both.
static void check(const Core &core, const State &state, const Tensor &output) {
  if (core.program.isSplit() || !state.port || !output.isTensor())
    core.unsupported(nameOf(state) +
                     " is not supported in a model with control flow, "
                     "sequences, or sizes that depend on data");
  if (output.type != state.port.type ||
      output.shape.size() != state.port.shape.size())
    core.fail(nameOf(state) + ": a buffer cannot be both " +
              name(state.port.type) + core.text(state.port.shape) + " and " +
              name(output.type) + core.text(output.shape));
  if (isPacked(output.type))
    core.unsupported(nameOf(state) + " is not supported for elements of type " +
                     name(output.type));
  if (llvm::any_of(output.shape, [&](const Extent &size) {
        return core.sizes.atoms.isRuntime(size);
      }))
    core.unsupported(nameOf(state) + " is not supported where the size of '" +
                     state.output + "' depends on data");
}

bool fulgur::onnx::isBuffer(const Tensor &x) {
  return x && x.value() && isStateArgument(x.value());
}

std::optional<int64_t> fulgur::onnx::growingAxis(const Core &core,
                                                 const State &state,
                                                 const Tensor &output) {
  check(core, state, output);
  std::optional<int64_t> axis;
  for (int64_t k = 0; k < output.rank(); ++k) {
    if (core.sizes.atoms.knownEqual(output.shape[k], state.port.shape[k]))
      continue;
    if (axis)
      core.fail(nameOf(state) + ": the shapes " + core.text(state.port.shape) +
                " and " + core.text(output.shape) +
                " differ in more than one dim; fix the others with --shape");
    axis = k;
  }
  return axis;
}

Tensor fulgur::onnx::storeState(const Core &core, const State &state,
                                const Tensor &output) {
  check(core, state, output);
  if (!state.axis)
    return output;
  for (int64_t k = 0; k < output.rank(); ++k)
    if (k != *state.axis)
      core.requireEqual(output.shape[k], state.port.shape[k]);
  Extent size = output.shape[*state.axis],
         capacity = state.port.shape[*state.axis];
  std::string full = "the buffer of '" + state.input + "' has room for '" +
                     core.sizes.atoms.text(capacity) + "' rows only, but '" +
                     core.sizes.atoms.text(size) + "' are needed";
  if (core.sizes.atoms.upper(capacity) < core.sizes.atoms.lower(size))
    core.fail(full);
  core.sizes.requireAtLeast(capacity, size, full, core.loc);
  SmallVector<mlir::OpFoldResult> zeros(output.rank(),
                                        core.builder.getIndexAttr(0)),
      ones(output.rank(), core.builder.getIndexAttr(1));
  Value all = mlir::tensor::InsertSliceOp::create(
      core.builder, core.loc, core.value(output), core.value(state.port), zeros,
      core.sizesOf(output.shape), ones);
  return {all, state.port.type, state.port.shape};
}
