// The memory plan on random graphs: buffers that are alive together never
// overlap, whatever the symbols are, and fixed sizes leave little memory
// unused.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"
#include "llvm/Support/FormatVariadic.h"
#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using namespace fulgur;

namespace {
/// Values of the symbols "batch", "sequence" and "past".
struct Symbols {
  int64_t batch, sequence, past;
};

/// A size in elements: a number times, if symbolic, one of these.
enum class Factor { none, batch, sequence, tokens, keys };

struct Buffer {
  int64_t count;  ///< elements, but for the factor
  Factor factor;  ///
  StringRef type; ///< of one element
  int64_t elementBytes;
  int64_t last =
      0; ///< the step that uses it last; the step of its own number computes it

  int64_t bytes(Symbols symbols) const {
    int64_t times = 1;
    switch (factor) {
    case Factor::none:
      break;
    case Factor::batch:
      times = symbols.batch;
      break;
    case Factor::sequence:
      times = symbols.sequence;
      break;
    case Factor::tokens:
      times = symbols.batch * symbols.sequence;
      break;
    case Factor::keys:
      times = symbols.past + symbols.sequence;
      break;
    }
    return llvm::alignTo(times * count * elementBytes, 64);
  }
};

/// Steps that compute one buffer each from one to three others, mostly recent
/// ones.
class Graph {
public:
  Graph(unsigned seed, bool symbolic) : random(seed) {
    constexpr std::pair<const char *, int64_t> types[] = {
        {"f32", 4}, {"i64", 8}, {"i1", 1}, {"f16", 2}};
    int64_t steps = number(2, 40);
    text =
        R"(module attributes {fulgur.symbols = [{name = "batch", min = 1 : i64, max = 1024 : i64},
      {name = "sequence", min = 1 : i64, max = 4096 : i64}, {name = "past", min = 0 : i64, max = 4096 : i64}]} {
      func.func private @main(%call: !llvm.ptr) -> i32 {
      %batch = fulgur.symbol "batch"
      %sequence = fulgur.symbol "sequence"
      %past = fulgur.symbol "past"
      %tokens = arith.muli %batch, %sequence : index
      %keys = arith.addi %past, %sequence : index
    )";
    constexpr const char *names[] = {"", "%batch", "%sequence", "%tokens",
                                     "%keys"};
    for (int64_t step = 0; step < steps; ++step) {
      auto [type, bytes] = types[number(0, 3)];
      auto factor = Factor(symbolic ? number(0, 4) : 0);
      buffers.push_back({number(1, 2000), factor, type, bytes, step});
      std::string memref = llvm::formatv("memref<{0}{1}x{2}>",
                                         factor == Factor::none ? "" : "?x",
                                         buffers.back().count, type);
      text += llvm::formatv("%{0} = memref.alloc({1}) : {2}\n", step,
                            names[int(factor)], memref);
      std::string operands = llvm::formatv("%{0}", step), operandTypes = memref;
      for (int64_t inputs = step == 0 ? 0 : number(1, 3); inputs > 0;
           --inputs) {
        int64_t input = std::max<int64_t>(
            0, step - (number(0, 3) == 0 ? number(1, 20) : number(1, 2)));
        buffers[input].last = step;
        operands += llvm::formatv(", %{0}", input);
        operandTypes += ", " + memrefs[input];
      }
      memrefs.push_back(memref);
      text +=
          llvm::formatv("\"test.kernel\"({0}) {{step = {1}} : ({2}) -> ()\n",
                        operands, step, operandTypes);
    }
    text += "%ok = arith.constant 0 : i32\nreturn %ok : i32\n}\n}\n";
  }

  /// The most that is alive at once: no plan needs less.
  int64_t lowerBound(Symbols symbols) const {
    int64_t most = 0;
    for (size_t step = 0; step < buffers.size(); ++step) {
      int64_t alive = 0;
      for (size_t i = 0; i <= step; ++i)
        if (buffers[i].last >= int64_t(step))
          alive += buffers[i].bytes(symbols);
      most = std::max(most, alive);
    }
    return most;
  }

  std::string text;
  std::vector<Buffer> buffers;

private:
  int64_t number(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  }

  std::mt19937 random;
  std::vector<std::string> memrefs;
};

struct PlanMemoryTest : testing::Test {
  PlanMemoryTest() {
    context.loadDialect<FulgurDialect, arith::ArithDialect, func::FuncDialect,
                        memref::MemRefDialect, LLVM::LLVMDialect>();
    context.allowUnregisteredDialects();
    context.disableMultithreading();
  }

  OwningOpRef<ModuleOp> plan(const Graph &graph) {
    OwningOpRef<ModuleOp> module =
        parseSourceString<ModuleOp>(graph.text, &context);
    if (module && failed(run(*module, createPlanMemory())))
      module = nullptr;
    return module;
  }

  LogicalResult run(ModuleOp module, std::unique_ptr<Pass> pass) {
    PassManager passes(&context);
    passes.addPass(std::move(pass));
    return passes.run(module);
  }

  /// Puts numbers in place of the symbols: folding then computes every offset
  /// and the plan.
  OwningOpRef<ModuleOp> evaluate(ModuleOp planned, Symbols symbols) {
    OwningOpRef<ModuleOp> module = planned.clone();
    module->walk([&](SymbolOp op) {
      OpBuilder builder(op);
      int64_t value = op.getName() == "batch"      ? symbols.batch
                      : op.getName() == "sequence" ? symbols.sequence
                                                   : symbols.past;
      op.replaceAllUsesWith(
          arith::ConstantIndexOp::create(builder, op.getLoc(), value)
              .getResult());
      op.erase();
    });
    EXPECT_TRUE(succeeded(run(*module, createCanonicalizerPass())));
    return module;
  }

  /// The arena's size that @plan stores for its caller.
  static int64_t arenaBytes(ModuleOp evaluated) {
    auto plan = evaluated.lookupSymbol<func::FuncOp>("plan");
    int64_t bytes = -1;
    plan.walk([&](LLVM::StoreOp store) {
      if (store.getAddr() == plan.getArgument(1))
        bytes = getConstantIntValue(store.getValue()).value_or(-1);
    });
    return bytes;
  }

  /// Checks that all buffers lie inside the arena and those alive together
  /// apart; returns the arena's size.
  static int64_t check(const Graph &graph, ModuleOp evaluated,
                       Symbols symbols) {
    int64_t arena = arenaBytes(evaluated);
    std::vector<int64_t> offsets(graph.buffers.size(), -1);
    evaluated.walk([&](Operation *op) {
      auto step = op->getAttrOfType<IntegerAttr>("step");
      auto buffer =
          step ? op->getOperand(0).getDefiningOp<BufferOp>() : BufferOp();
      if (buffer && buffer.getSegment() == Segment::arena)
        offsets[step.getInt()] =
            getConstantIntValue(buffer.getPosition()).value_or(-1);
    });
    for (size_t i = 0; i < offsets.size(); ++i) {
      const Buffer &buffer = graph.buffers[i];
      EXPECT_GE(offsets[i], 0) << "buffer " << i;
      EXPECT_EQ(offsets[i] % 64, 0) << "buffer " << i;
      EXPECT_LE(offsets[i] + buffer.bytes(symbols), arena) << "buffer " << i;
      for (size_t j = 0; j < i; ++j) {
        if (graph.buffers[j].last <
            int64_t(i)) // gone when buffer i is computed
          continue;
        bool apart =
            offsets[j] + graph.buffers[j].bytes(symbols) <= offsets[i] ||
            offsets[i] + buffer.bytes(symbols) <= offsets[j];
        EXPECT_TRUE(apart) << "buffers " << j << " and " << i;
      }
    }
    return arena;
  }

  MLIRContext context;
};
} // namespace

TEST_F(PlanMemoryTest, FixedSizesWasteLittle) {
  double bound = 0, total = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(llvm::formatv("seed {0}", seed).str());
    Graph graph(seed, /*symbolic=*/false);
    OwningOpRef<ModuleOp> planned = plan(graph);
    ASSERT_TRUE(planned);
    Symbols none{1, 1, 0};
    int64_t arena = check(graph, *evaluate(*planned, none), none);
    EXPECT_EQ(
        (*planned)->getAttrOfType<IntegerAttr>("fulgur.arena_bytes").getInt(),
        arena);
    EXPECT_LE(arena, 1.3 * graph.lowerBound(none));
    bound += graph.lowerBound(none), total += arena;
  }
  EXPECT_LE(total, 1.05 * bound);
}

TEST_F(PlanMemoryTest, SymbolicSizesNeverOverlap) {
  constexpr Symbols values[] = {{1, 1, 0},    {1, 512, 0}, {1, 1, 4096},
                                {96, 96, 96}, {64, 3, 5},  {1024, 4096, 4096}};
  for (unsigned seed = 0; seed < 60; ++seed) {
    Graph graph(seed, /*symbolic=*/true);
    OwningOpRef<ModuleOp> planned = plan(graph);
    ASSERT_TRUE(planned);
    for (Symbols symbols : values) {
      SCOPED_TRACE(llvm::formatv("seed {0}, batch {1}, sequence {2}, past {3}",
                                 seed, symbols.batch, symbols.sequence,
                                 symbols.past)
                       .str());
      check(graph, *evaluate(*planned, symbols), symbols);
    }
  }
}

TEST_F(PlanMemoryTest, SizesBeyond64BitsAreReported) {
  Graph graph(7, /*symbolic=*/true);
  OwningOpRef<ModuleOp> planned = plan(graph);
  ASSERT_TRUE(planned);
  int64_t huge = int64_t(1) << 40;
  EXPECT_EQ(arenaBytes(*evaluate(*planned, {huge, huge, huge})), -1);
}
