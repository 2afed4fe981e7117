// The same seed gives the same inputs on every machine.
#include "RandomInputs.h"
#include "DimExpression.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>

static std::map<std::string, int64_t>
symbolSizes(const fulgur_model &model, const RandomOptions &options) {
  std::map<std::string, int64_t> sizes = options.dims;
  for (int32_t i = 0; i < model.n_symbols; ++i) {
    const fulgur_symbol &symbol = model.symbols[i];
    // One that is itself an expression of others follows from those.
    bool plain = std::string_view(symbol.name).find_first_of("+-*/ ") ==
                 std::string_view::npos;
    if (plain && symbol.source == FULGUR_FROM_DIM)
      sizes.try_emplace(symbol.name, std::max<int64_t>(symbol.min, 1));
  }
  return sizes;
}

static int64_t dimSize(const fulgur_port &port, const fulgur_dim &dim,
                       const std::map<std::string, int64_t> &sizes) {
  if (dim.value >= 0)
    return dim.value;
  std::optional<int64_t> size =
      evaluateDim(dim.text, [&](const std::string &name) {
        auto found = sizes.find(name);
        return found == sizes.end() ? std::nullopt
                                    : std::optional(found->second);
      });
  if (!size || *size < 0)
    throw std::runtime_error(
        "input '" + std::string(port.name) + "': the size of dim '" + dim.text +
        "' is not known; give it with --dim '" + dim.text + "=N'");
  return *size;
}

/// In [0, 1), from 53 random bits: what the standard distributions give differs
/// between libraries.
static double unit(std::mt19937_64 &random) {
  return double(random() >> 11) * 0x1p-53;
}

std::vector<Tensor> randomInputs(const fulgur_model &model,
                                 const RandomOptions &options) {
  std::mt19937_64 random(options.seed);
  std::map<std::string, int64_t> sizes = symbolSizes(model, options);
  std::vector<Tensor> inputs;
  for (int32_t i = 0; i < model.n_inputs; ++i) {
    const fulgur_port &port = model.inputs[i];
    if (port.dtype == FULGUR_STRING || port.dtype == FULGUR_SEQUENCE ||
        port.dtype == FULGUR_OPTIONAL)
      throw std::runtime_error("input '" + std::string(port.name) + "' is a " +
                               fulgur_dtype_name(port.dtype) +
                               ", which cannot be made up; give all inputs "
                               "with --inputs");
    std::vector<int64_t> dims;
    for (int32_t k = 0; k < port.rank; ++k)
      dims.push_back(dimSize(port, port.dims[k], sizes));
    Tensor tensor = Tensor::zeros(port.name, port.dtype, dims);
    auto [low, high] = options.range.value_or(
        isFloat(port.dtype)         ? std::pair(-1.0, 1.0)
        : port.dtype == FULGUR_BOOL ? std::pair(0.0, 1.0)
                                    : std::pair(0.0, 3.0));
    for (int64_t k = 0, count = tensor.elements(); k < count; ++k)
      tensor.setNumber(k,
                       isFloat(port.dtype)
                           ? low + unit(random) * (high - low)
                           : low + std::floor(unit(random) * (high - low + 1)));
    inputs.push_back(std::move(tensor));
  }
  // Sizes that are elements of inputs.
  for (const fulgur_symbol &symbol :
       std::span(model.symbols, size_t(model.n_symbols)))
    if (auto size = options.dims.find(symbol.name);
        symbol.source == FULGUR_FROM_VALUE && size != options.dims.end())
      inputs[size_t(symbol.input)].setNumber(symbol.element,
                                             double(size->second));
  return inputs;
}
