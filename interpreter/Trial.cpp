#include "interpreter/Trial.h"
#include "dialects/Fulgur.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/xxhash.h"
#include <cmath>
#include <random>

using namespace mlir;

namespace fulgur::interpreter {

/// Sizes of the symbols that are looked at, and those of them that are run.
static constexpr unsigned kSizes = 600, kTries = 24;
/// Elements of one input, and bytes of an arena, that are still tried.
static constexpr int64_t kMaxElements = 1 << 24, kMaxArena = int64_t(1) << 32;
/// Runs with random errors of up to so many units in the last place.
static constexpr unsigned kNoisyRuns = 3;
static constexpr double kNoise = 4;

/// The symbols of a module, or of the program that it is a part of.
static ArrayAttr symbolsOf(ModuleOp module) {
  for (Operation *holder = module; holder; holder = holder->getParentOp())
    if (auto known = holder->getAttrOfType<ArrayAttr>(kSymbolsAttr))
      return known;
  return ArrayAttr::get(module.getContext(), {});
}

EntryNames entriesOf(ModuleOp module) {
  EntryNames names;
  for (auto function : module.getOps<func::FuncOp>()) {
    StringRef name = function.getName();
    if (function.isExternal())
      continue;
    if (name == "main" || (function.isPublic() && name.ends_with("__run")))
      names.main = name;
    if (name == "plan" || (function.isPublic() && name.ends_with("__plan")))
      names.plan = name;
  }
  if (auto main = module.lookupSymbol<func::FuncOp>(names.main))
    names.isOnBuffers =
        main.getNumArguments() == 1 &&
        isa<LLVM::LLVMPointerType>(main.getArgumentTypes().front());
  return names;
}

std::vector<Format> inputFormats(ModuleOp module) {
  std::vector<Format> formats;
  EntryNames entries = entriesOf(module);
  if (auto main = module.lookupSymbol<func::FuncOp>(entries.main);
      main && !entries.isOnBuffers)
    for (Type type : main.getArgumentTypes())
      formats.push_back(Format::of(type));
  else if (auto ports = module->getAttrOfType<ArrayAttr>("fulgur.inputs"))
    for (auto port : ports.getAsRange<DictionaryAttr>())
      switch (port.getAs<IntegerAttr>("dtype").getInt()) {
      case FULGUR_FLOAT32:
        formats.emplace_back(Format::f32, 32);
        break;
      case FULGUR_FLOAT64:
        formats.emplace_back(Format::f64, 64);
        break;
      case FULGUR_FLOAT16:
        formats.emplace_back(Format::f16, 16);
        break;
      case FULGUR_BFLOAT16:
        formats.emplace_back(Format::bf16, 16);
        break;
      case FULGUR_BOOL:
        formats.emplace_back(Format::integer, 1);
        break;
      case FULGUR_INT16:
      case FULGUR_UINT16:
        formats.emplace_back(Format::integer, 16);
        break;
      case FULGUR_INT32:
      case FULGUR_UINT32:
        formats.emplace_back(Format::integer, 32);
        break;
      case FULGUR_INT64:
      case FULGUR_UINT64:
        formats.emplace_back(Format::integer, 64);
        break;
      default: // bytes, packed ones among them
        formats.emplace_back(Format::integer, 8);
      }
  return formats;
}

Trial::Trial(ModuleOp module,
             std::vector<llvm::IntrusiveRefCntPtr<Array>> given)
    : inputs(std::move(given)) {
  EntryNames entries = entriesOf(module);
  auto main = entries.isOnBuffers
                  ? func::FuncOp()
                  : module.lookupSymbol<func::FuncOp>(entries.main);
  auto ports = module->getAttrOfType<ArrayAttr>("fulgur.inputs");
  for (auto [i, input] : llvm::enumerate(inputs)) {
    auto names =
        main ? main.getArgAttrOfType<ArrayAttr>(i, kDimsAttr) : nullptr;
    if (!names && ports)
      names = cast<DictionaryAttr>(ports[i]).getAs<ArrayAttr>("texts");
    if (names && names.size() == input->sizes.size())
      for (auto [name, size] : llvm::zip(names, input->sizes))
        symbols.try_emplace(cast<StringAttr>(name).str(), size);
  }
  for (auto symbol : symbolsOf(module).getAsRange<DictionaryAttr>())
    if (auto source = symbol.getAs<IntegerAttr>("source");
        source && source.getInt() == FULGUR_FROM_VALUE) {
      const Array &input = *inputs[symbol.getAs<IntegerAttr>("input").getInt()];
      symbols[symbol.getAs<StringAttr>("name").str()] =
          input.format
              .load(input.at(symbol.getAs<IntegerAttr>("element").getInt()))
              .integer;
    }
}

//===-- Sizes -------------------------------------------------------------===//

/// The size of a dim by its name; one that has none is of any size.
static int64_t sizeOf(ArrayAttr names, unsigned dim,
                      const std::map<std::string, int64_t> &symbols) {
  auto symbol = names && dim < names.size()
                    ? symbols.find(cast<StringAttr>(names[dim]).str())
                    : symbols.end();
  return symbol == symbols.end() ? 3 : symbol->second;
}

/// The bytes of a port whose elements are packed: their bits, and then dims.
static int64_t packedBytes(ArrayRef<int64_t> packed, ArrayAttr names,
                           const std::map<std::string, int64_t> &symbols) {
  int64_t bits = packed.front();
  for (auto [k, size] : llvm::enumerate(packed.drop_front()))
    bits *= ShapedType::isDynamic(size) ? sizeOf(names, k, symbols) : size;
  return (bits + 7) / 8;
}

bool Trial::chooseSizes(ModuleOp module, unsigned &attempt, std::string &why) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  auto known = symbolsOf(module).getAsRange<DictionaryAttr>();
  Host host;
  host.constants = &constants;
  for (auto symbol : known)
    host.symbols[symbol.getAs<StringAttr>("name").getValue().str()] = 1;
  Machine machine(module, host);

  // Requirements on sizes alone, and the sizes of arguments that have no named
  // dims.
  SmallVector<mlir::Value> conditions, sizes;
  for (auto require : main.getBody().front().getOps<RequireOp>())
    if (machine.isComputable("main", require.getCondition()))
      conditions.push_back(require.getCondition());
  llvm::DenseMap<mlir::Value, SizedOp> sized;
  for (auto op : main.getBody().front().getOps<SizedOp>())
    sized[op.getTensor()] = op;

  constexpr unsigned positive = 400;
  constexpr int64_t primes[] = {3, 5, 2, 7, 11, 13};
  while (attempt++ < kSizes) {
    std::mt19937_64 random(attempt);
    unsigned number = 0;
    for (auto symbol : known) {
      int64_t min = symbol.getAs<IntegerAttr>("min").getInt(),
              max = symbol.getAs<IntegerAttr>("max").getInt();
      // Distinct sizes at first, then equal ones, then any.
      int64_t size = attempt == 1   ? primes[number++ % std::size(primes)]
                     : attempt == 2 ? 2
                     : attempt == 3
                         ? 4
                         : int64_t(random() % (attempt % 2 ? 5 : 13));
      host.symbols[symbol.getAs<StringAttr>("name").getValue().str()] =
          std::clamp(size, attempt < positive ? std::max<int64_t>(min, 1) : min,
                     max);
    }
    machine.restart();
    SmallVector<Scalar> values;
    bool isKnown = machine.evaluate("main", conditions, values);
    if (machine.ending() == Ending::unknown) {
      why = machine.reason();
      return false;
    }
    if (!isKnown ||
        llvm::any_of(values, [](Scalar x) { return x.integer == 0; }))
      continue;
    shapes.clear();
    bool isGood = true;
    for (auto [i, argument] : llvm::enumerate(main.getArguments())) {
      auto type = dyn_cast<RankedTensorType>(argument.getType());
      if (!type) {
        why = "an argument of @main is no tensor";
        return false;
      }
      auto names = main.getArgAttrOfType<ArrayAttr>(i, kDimsAttr);
      SmallVector<int64_t> shape(type.getShape());
      SmallVector<Scalar> dynamic;
      SizedOp op = sized.lookup(argument);
      if (op && !machine.evaluate(
                    "main", SmallVector<mlir::Value>(op.getSizes()), dynamic))
        isGood = false;
      unsigned next = 0;
      int64_t count = 1;
      for (auto [k, size] : llvm::enumerate(shape)) {
        if (!ShapedType::isDynamic(size)) {
        } else if (auto packed = main.getArgAttrOfType<DenseI64ArrayAttr>(
                       i, kPackedAttr)) {
          size = packedBytes(packed, names, host.symbols);
        } else if (next < dynamic.size()) {
          size = dynamic[next++].integer;
        } else {
          size = sizeOf(names, k, host.symbols);
        }
        isGood &=
            size >= (attempt < positive && type.isDynamicDim(k) ? 1 : 0) &&
            size <= kMaxElements;
        count = isGood ? count * std::max<int64_t>(size, 1) : 0;
        isGood &= count <= kMaxElements;
      }
      shapes.emplace_back(shape);
    }
    if (!isGood)
      continue;
    symbols = host.symbols;
    return true;
  }
  why = "no sizes of the symbols meet all requirements";
  return false;
}

//===-- Inputs ------------------------------------------------------------===//

bool Trial::makeInputs(ModuleOp module, unsigned attempt) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  inputs.clear();
  for (auto [i, shape] : llvm::enumerate(shapes)) {
    Format format = Format::of(main.getArgumentTypes()[i]);
    if (!format)
      return false;
    auto name = main.getArgAttrOfType<StringAttr>(i, kNameAttr);
    std::string seed = name ? name.getValue().str() : std::to_string(i);
    std::mt19937_64 random(llvm::xxh3_64bits(seed));
    auto array = makeArray(format, shape);
    for (int64_t k = 0, count = array->count(); k < count; ++k) {
      double unit = double(random() >> 11) * 0x1p-53; // [0, 1)
      // Indices have to be in bounds; logarithms and roots like what is
      // positive.
      constexpr int64_t largest[] = {3, 1, 0, 3};
      Scalar value =
          format.isFloat()
              ? Scalar::of(
                    format.round(attempt == 3 ? unit + 0.125 : 2 * unit - 1))
              : Scalar::of(format.wrap(int64_t(
                    unit * double(1 + largest[attempt % std::size(largest)]))));
      format.store(value, array->at(k));
    }
    inputs.push_back(array);
  }
  // A size that is an element of an input.
  if (!module->getParentOp())
    for (auto symbol : symbolsOf(module).getAsRange<DictionaryAttr>()) {
      auto input = symbol.getAs<IntegerAttr>("input"),
           element = symbol.getAs<IntegerAttr>("element"),
           source = symbol.getAs<IntegerAttr>("source");
      if (!input || !element || !source || source.getInt() != FULGUR_FROM_VALUE)
        continue;
      Array &array = *inputs[input.getInt()];
      if (element.getInt() < array.count())
        array.format.store(
            Scalar::of(symbols[symbol.getAs<StringAttr>("name").str()]),
            array.at(element.getInt()));
    }
  return true;
}

/// Numbers in all outputs that are none.
static int64_t countNaNs(const Outcome &outcome) {
  int64_t result = 0;
  for (const auto &output : outcome.outputs)
    if (output->format.isFloat())
      for (int64_t k = 0, count = output->count(); k < count; ++k)
        result += std::isnan(output->format.load(output->at(k)).real);
  return result;
}

/// The share of the largest number that results may be apart by, for the
/// coarsest format that the module computes in.
static double shareOf(ModuleOp module) {
  double share = 0;
  auto look = [&](Type type) {
    switch (Format::of(type).kind) {
    case Format::bf16:
      share = std::max(share, 5e-2);
      break;
    case Format::f16:
      share = std::max(share, 1e-2);
      break;
    case Format::f32:
      share = std::max(share, 1e-4);
      break;
    case Format::f64:
      share = std::max(share, 1e-9);
      break;
    default:
      break;
    }
  };
  module.walk([&](Operation *op) {
    for (Type type : op->getResultTypes())
      look(type);
  });
  return share;
}

bool Trial::chooseInputs(ModuleOp module, std::string &why) {
  std::optional<unsigned> best;
  int64_t fewest = INT64_MAX;
  for (unsigned attempt = 0; attempt < 4; ++attempt) {
    if (!makeInputs(module, attempt)) {
      why = "an input is of a type that cannot be made up";
      return false;
    }
    Outcome outcome = run(module);
    if (outcome.ending == Ending::unknown) {
      first.ending = Ending::unknown;
      why = outcome.reason;
      return false;
    }
    if (outcome.ending != Ending::finished) {
      why = "it ends with '" + outcome.reason + "' on made-up inputs";
      continue;
    }
    int64_t nans = countNaNs(outcome);
    if (nans < fewest) {
      fewest = nans;
      best = attempt;
      first = std::move(outcome);
    }
    if (nans == 0)
      break;
  }
  return best && makeInputs(module, *best);
}

std::unique_ptr<Trial> Trial::make(ModuleOp module, std::string &why) {
  EntryNames entries = entriesOf(module);
  if (entries.main.empty() || entries.isOnBuffers) {
    why = "there is no @main on tensors";
    return nullptr;
  }
  std::unique_ptr<Trial> trial(new Trial());
  trial->share = shareOf(module);
  unsigned attempt = 0;
  for (unsigned tried = 0; tried < kTries; ++tried) {
    std::string reason;
    if (!trial->chooseSizes(module, attempt, reason)) {
      why = tried ? why : reason; // of the inputs
      return nullptr;
    }
    trial->first = Outcome{Ending::stopped, "", {}};
    if (trial->chooseInputs(module, why)) {
      trial->measureSpread(module);
      return trial;
    }
    if (trial->first.ending == Ending::unknown || trial->symbols.empty())
      return nullptr;
  }
  return nullptr;
}

/// Calls `visit` with each pair of numbers until it returns false.
static void
forEachPair(const Array &a, const Array &b,
            llvm::function_ref<bool(int64_t, double, double)> visit) {
  auto number = [](const Array &array, int64_t k) {
    Scalar value = array.format.load(array.at(k));
    return array.format.isFloat() ? value.real : double(value.integer);
  };
  for (int64_t k = 0, count = a.count(); k < count; ++k)
    if (!visit(k, number(a, k), number(b, k)))
      return;
}

/// How far two numbers are apart; infinitely where one is infinite or no
/// number and the other is not the same.
static double distance(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b)))
    return 0;
  double result = std::fabs(a - b);
  return std::isfinite(result) ? result : INFINITY;
}

void Trial::measureSpread(ModuleOp module) {
  spreads.assign(first.outputs.size(), 0);
  for (unsigned seed = 1; seed <= kNoisyRuns; ++seed) {
    Outcome moved = run(module, kNoise, seed);
    for (auto [i, spread] : llvm::enumerate(spreads)) {
      // Rounding has decided something else than a number.
      if (moved.ending != Ending::finished ||
          moved.outputs[i]->sizes != first.outputs[i]->sizes) {
        spread = INFINITY;
        continue;
      }
      forEachPair(*first.outputs[i], *moved.outputs[i],
                  [&](int64_t, double a, double b) {
                    spread = std::max(spread, distance(a, b));
                    return true;
                  });
    }
  }
}

//===-- Runs --------------------------------------------------------------===//

/// The sentence of a status that @plan or @main has returned.
static std::string messageOf(ModuleOp module, int64_t number) {
  auto messages = module->getAttrOfType<ArrayAttr>("fulgur.messages");
  if (messages && number > 0 && number <= int64_t(messages.size()))
    return cast<StringAttr>(messages[number - 1]).str();
  return "status " + std::to_string(number);
}

Outcome Trial::run(ModuleOp module, double noise, unsigned seed) {
  Outcome outcome;
  EntryNames entries = entriesOf(module);
  if (entries.main.empty()) {
    outcome.reason = "there is no function @main";
    return outcome;
  }
  Host host;
  host.symbols = symbols;
  host.constants = &constants;
  for (const auto &input : inputs)
    host.inputs.push_back(copyOf(*input));
  Machine machine(module, host, noise, seed);
  auto end = [&] {
    outcome.ending = machine.ending();
    outcome.reason = machine.reason();
    return std::move(outcome);
  };

  if (!entries.isOnBuffers) {
    SmallVector<Value> arguments;
    for (const auto &input : host.inputs)
      arguments.push_back(input);
    auto results = machine.call(entries.main, arguments);
    if (results)
      for (const Value &result : *results)
        outcome.outputs.emplace_back(
            static_cast<Array *>(result.aggregate.get()));
    return end();
  }

  if (auto states = module->getAttrOfType<ArrayAttr>("fulgur.states"))
    for (auto state : states.getAsRange<DictionaryAttr>()) {
      auto input = size_t(state.getAs<IntegerAttr>("input").getInt()),
           output = size_t(state.getAs<IntegerAttr>("output").getInt());
      if (output >= host.outputs.size())
        host.outputs.resize(output + 1);
      host.outputs[output] = host.inputs[input];
    }

  int64_t arenaBytes = 0;
  host.prepare(module, 0);
  host.allow(&arenaBytes, sizeof arenaBytes);
  auto pointer = [](const void *to) {
    return Value(Scalar::of(reinterpret_cast<int64_t>(to)));
  };
  auto stopped = [&](const SmallVector<Value> &results) {
    int64_t status = results.empty() ? 0 : results[0].scalar.integer;
    if (status)
      machine.stop(Ending::stopped, messageOf(module, status));
    return status != 0;
  };
  if (!entries.plan.empty()) {
    auto results = machine.call(
        entries.plan, {pointer(host.symbolArray.data()), pointer(&arenaBytes),
                       pointer(host.outputDims.data())});
    if (!results || stopped(*results))
      return end();
    if (arenaBytes < 0 || arenaBytes > kMaxArena) {
      machine.stop(Ending::unknown, "an arena of " + Twine(arenaBytes) +
                                        " bytes is too large to be tried");
      return end();
    }
    host.prepare(module, arenaBytes);
  }
  auto results =
      machine.call(entries.main, {Value(Scalar::of(host.address()))});
  if (!results || stopped(*results))
    return end();
  for (auto [i, output] : llvm::enumerate(host.outputs)) {
    if (!output) {
      machine.stop(Ending::wrong, "output " + Twine(i) + " has no buffer");
      return end();
    }
    outcome.outputs.push_back(copyOf(*output));
  }
  return end();
}

//===-- Comparison --------------------------------------------------------===//

static std::string textOf(ArrayRef<int64_t> sizes) {
  return "[" +
         llvm::join(
             llvm::map_range(sizes,
                             [](int64_t size) { return std::to_string(size); }),
             "x") +
         "]";
}

static std::string textOf(double number, int digits) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%.*g", digits, number);
  return text;
}

std::optional<Difference> Trial::compare(const Outcome &before,
                                         const Outcome &after) const {
  if (after.ending != Ending::finished)
    return Difference{"it ends with '" + after.reason + "'"};
  if (before.outputs.size() != after.outputs.size())
    return Difference{llvm::formatv("there are {0} outputs instead of {1}",
                                    after.outputs.size(),
                                    before.outputs.size())};
  for (unsigned i = 0; i < before.outputs.size(); ++i) {
    const Array &a = *before.outputs[i], &b = *after.outputs[i];
    double spread = i < spreads.size() ? spreads[i] : 0;
    if (std::isinf(spread))
      continue;
    if (a.sizes != b.sizes)
      return Difference{
          llvm::formatv("output {0} is of shape {1} instead of {2}", i,
                        textOf(b.sizes), textOf(a.sizes))};
    double largest = 0, furthest = 0;
    forEachPair(a, a, [&](int64_t, double x, double) {
      if (std::isfinite(x))
        largest = std::max(largest, std::fabs(x));
      return true;
    });
    double allowed =
        std::max(a.format.isFloat() ? share * largest : 0, 2 * kNoise * spread);
    std::optional<int64_t> element;
    double was = 0, is = 0;
    forEachPair(a, b, [&](int64_t k, double x, double y) {
      double apart = distance(x, y);
      furthest = std::max(furthest, apart);
      if (!(apart <= allowed) && !element) {
        element = k;
        was = x;
        is = y;
      }
      return true;
    });
    if (element)
      return Difference{llvm::formatv(
          "output {0} of shape {1}: element {2} is {3} instead of "
          "{4}; the largest difference is {5} of the largest "
          "element, {6} are allowed",
          i, textOf(a.sizes), *element, textOf(is, 9), textOf(was, 9),
          textOf(largest ? furthest / largest : furthest, 2),
          textOf(largest ? allowed / largest : allowed, 2))};
  }
  return std::nullopt;
}

std::string Trial::sizes() const {
  std::string result;
  for (auto &[name, size] : symbols)
    result +=
        (result.empty() ? "" : ", ") + name + " = " + std::to_string(size);
  return result;
}

} // namespace fulgur::interpreter
