// What a compilation tells about its result, as data.
#include "compiler/Report.h"
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Interfaces/LoopLikeInterface.h"

using namespace mlir;
using namespace fulgur;
namespace json = llvm::json;

static std::string textOf(const Place &place) {
  return place.op.empty() ? place.node : place.node + " (" + place.op + ")";
}

/// How many numbers the body computes; nothing where that depends on symbols.
static std::optional<int64_t> operationsOf(KernelOp kernel) {
  int64_t total = 0;
  WalkResult walked =
      kernel.getBody().walk<WalkOrder::PreOrder>([&](Operation *op) {
        if (isa<LoopLikeOpInterface>(op))
          return WalkResult::interrupt();
        int64_t each = 0;
        SmallVector<int64_t> ranges;
        if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
          ranges = linalgOp.getStaticLoopRanges();
          for (Operation &scalar : *linalgOp.getBlock())
            each += isa<arith::ArithDialect, math::MathDialect>(
                        scalar.getDialect()) &&
                    !scalar.hasTrait<OpTrait::ConstantLike>();
        } else if (isa<SoftmaxOp, LayerNormOp, RMSNormOp>(op)) {
          each = 5;
          llvm::append_range(
              ranges,
              cast<RankedTensorType>(op->getResult(0).getType()).getShape());
        } else {
          return WalkResult::advance();
        }
        for (int64_t range : ranges)
          each = ShapedType::isDynamic(range) || each < 0 ? -1 : each * range;
        if (each < 0)
          return WalkResult::interrupt();
        total += each;
        return WalkResult::skip();
      });
  return walked.wasInterrupted() ? std::nullopt : std::optional(total);
}

static std::optional<int64_t> bytesOf(KernelOp kernel) {
  int64_t total = 0;
  for (Type type : kernel.getOperandTypes()) {
    auto shaped = dyn_cast<ShapedType>(type);
    if (!shaped)
      continue;
    if (!shaped.hasStaticShape())
      return std::nullopt;
    total += shaped.getNumElements() *
             llvm::divideCeil(shaped.getElementType().isIndex()
                                  ? 64
                                  : shaped.getElementTypeBitWidth(),
                              8);
  }
  return total;
}

/// The nodes that an operation stands for, as the frontend named them.
static void addNodes(Location location, std::vector<std::string> &nodes) {
  if (auto fused = dyn_cast<FusedLoc>(location)) {
    for (Location part : fused.getLocations())
      addNodes(part, nodes);
    return;
  }
  std::string node = textOf(placeOf(location));
  if (!node.empty() && !llvm::is_contained(nodes, node))
    nodes.push_back(node);
}

void Report::addKernels(ModuleOp module) {
  kernels.clear();
  module.walk([&](KernelOp op) {
    Kernel &kernel = kernels.emplace_back();
    kernel.kind = "generic";
    if (ScheduleAttr schedule = op.getScheduleAttr()) {
      kernel.kind = schedule.getKind().str();
      llvm::raw_string_ostream os(kernel.schedule);
      os << Attribute(schedule);
    }
    kernel.calls = 1;
    kernel.operations = operationsOf(op);
    kernel.bytes = bytesOf(op);
    op.getBody().walk([&](Operation *inner) {
      if (!inner->hasTrait<OpTrait::ConstantLike>())
        addNodes(inner->getLoc(), kernel.nodes);
    });
  });
}

void Report::addFunctions(ModuleOp module, StringRef prefix) {
  std::vector<std::string> functions;
  module.walk([&](func::CallOp call) {
    auto part = call->getParentOfType<ModuleOp>();
    if (!call.getCallee().starts_with("kernel_"))
      return;
    std::string name = part->getParentOp() && part.getSymName()
                           ? (*part.getSymName() + ".").str()
                           : "";
    functions.push_back((prefix + name + call.getCallee()).str());
  });
  if (functions.size() != kernels.size())
    return; // one of them turned out to do nothing
  std::vector<Kernel> grouped;
  llvm::StringMap<size_t> known;
  for (auto [function, kernel] : llvm::zip(functions, kernels)) {
    auto [place, isNew] = known.try_emplace(function, grouped.size());
    if (isNew) {
      grouped.push_back(std::move(kernel));
      grouped.back().function = function;
      continue;
    }
    Kernel &first = grouped[place->second];
    ++first.calls;
    for (std::string &node : kernel.nodes)
      if (!llvm::is_contained(first.nodes, node))
        first.nodes.push_back(std::move(node));
  }
  kernels = std::move(grouped);
}

void Report::addMeasurements(const std::vector<Measurement> &measurements) {
  for (const Measurement &measurement : measurements) {
    auto number = [&](const char *name) {
      auto found = measurement.numbers.find(name);
      return found == measurement.numbers.end() ? 0 : found->second;
    };
    if (measurement.what == "arena")
      arenas.push_back({number("bytes"), number("least"), {}});
    else if (measurement.what == "buffer" && !arenas.empty())
      arenas.back().buffers.push_back({textOf(measurement.place),
                                       number("offset"), number("bytes"),
                                       number("first"), number("last")});
  }
}

void Report::addCode(
    const std::vector<std::pair<std::string, uint64_t>> &functionBytes) {
  for (Kernel &kernel : kernels)
    for (auto &[function, bytes] : functionBytes)
      if (!kernel.function.empty() &&
          (function == kernel.function ||
           StringRef(function).starts_with(kernel.function + "_task")))
        kernel.codeBytes += bytes;
}

template <typename T> static json::Value orNull(const std::optional<T> &value) {
  return value ? json::Value(*value) : json::Value(nullptr);
}

json::Value Report::json() const {
  auto text = [](StringRef string) { return json::fixUTF8(string); };
  json::Array kernelList, remarkList, arenaList, weightList, codeList,
      phaseList;
  for (const Kernel &kernel : kernels) {
    json::Array nodes;
    for (const std::string &node : kernel.nodes)
      nodes.push_back(text(node));
    kernelList.push_back(json::Object{{"function", text(kernel.function)},
                                      {"kind", kernel.kind},
                                      {"schedule", kernel.schedule},
                                      {"calls", kernel.calls},
                                      {"operations", orNull(kernel.operations)},
                                      {"bytes", orNull(kernel.bytes)},
                                      {"code_bytes", int64_t(kernel.codeBytes)},
                                      {"nodes", std::move(nodes)}});
  }
  for (const RemarkEntry &remark : remarks)
    remarkList.push_back(json::Object{{"pass", remark.pass},
                                      {"node", text(remark.place.node)},
                                      {"op", text(remark.place.op)},
                                      {"reason", text(remark.reason)}});
  for (const Arena &arena : arenas) {
    json::Array buffers;
    for (const Buffer &buffer : arena.buffers)
      buffers.push_back(json::Object{{"node", text(buffer.node)},
                                     {"offset", buffer.offset},
                                     {"bytes", buffer.bytes},
                                     {"first", buffer.first},
                                     {"last", buffer.last}});
    arenaList.push_back(json::Object{{"bytes", arena.bytes},
                                     {"least_bytes", arena.leastBytes},
                                     {"buffers", std::move(buffers)}});
  }
  for (const Weight &weight : weights)
    weightList.push_back(json::Object{{"name", text(weight.name)},
                                      {"type", weight.type},
                                      {"bytes", int64_t(weight.bytes)}});
  for (const Code &each : code)
    codeList.push_back(
        json::Object{{"cpu", text(each.cpu)}, {"bytes", int64_t(each.bytes)}});
  json::Value errors = nullptr;
  if (accuracy) {
    json::Array outputs;
    for (const OutputError &error : accuracy->outputs)
      outputs.push_back(json::Object{{"output", text(error.output)},
                                     {"type", error.type},
                                     {"max_absolute", error.maxAbsolute},
                                     {"max_relative", error.maxRelative},
                                     {"rms", error.rms}});
    errors = json::Object{{"data", text(accuracy->data)},
                          {"outputs", std::move(outputs)}};
  }
  for (const Phase &phase : phases)
    phaseList.push_back(
        json::Object{{"name", phase.name}, {"seconds", phase.seconds}});
  return json::Object{
      {"model", text(model)},
      {"source", text(source)},
      {"producer", producer},
      {"target", text(target)},
      {"kernels", std::move(kernelList)},
      {"remarks", std::move(remarkList)},
      {"memory", json::Object{{"arenas", std::move(arenaList)},
                              {"constant", arenaIsConstant},
                              {"stack_bytes", int64_t(stackBytes)}}},
      {"weights", json::Object{{"bytes", int64_t(weightsBytes)},
                               {"largest", std::move(weightList)}}},
      {"accuracy", std::move(errors)},
      {"code", std::move(codeList)},
      {"phases", std::move(phaseList)}};
}
