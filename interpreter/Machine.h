// Runs functions operation by operation. What an operation does is a function
// in the registry, written in the file of its dialect.
#pragma once
#include "interpreter/Value.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Operation.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringMap.h"
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace fulgur::interpreter {

class Machine;
class Host;
struct Step;

/// Runs one operation: reads operands from the machine and sets its results.
using Handler = void (*)(Machine &, const Step &);

/// Computes one number of the result from one of each operand.
using Elementwise = Scalar (*)(Machine &, const Step &, const Scalar *);

struct Block {
  Block() = default;
  Block(Block &&) = default;
  llvm::SmallVector<unsigned> arguments;
  std::vector<Step> steps;
};

/// A region: its blocks in order.
struct Body {
  Body() = default;
  Body(Body &&) = default;
  std::vector<Block> blocks;
  const Block &front() const { return blocks.front(); }
};

/// What a handler keeps from one execution of its operation to the next.
struct Memo {
  virtual ~Memo() = default;
};

/// An operation, with the places of its operands and results in the frame.
struct Step {
  mlir::Operation *op = nullptr;
  Handler handler = nullptr;
  Elementwise compute = nullptr;
  llvm::SmallVector<unsigned, 4> operands, results;
  llvm::SmallVector<Format, 4> formats, resultFormats;
  llvm::SmallVector<bool, 4> last; ///< whether nobody else uses the operand
  std::vector<Body> regions;
  llvm::SmallVector<unsigned, 2> successors;
  mutable std::unique_ptr<Memo> memo;

  template <typename Op> Op as() const { return llvm::cast<Op>(op); }
};

/// A function and the number of values in it.
struct Function {
  mlir::func::FuncOp op;
  unsigned values = 0;
  std::optional<Body> body;
};

/// Runs an operation on scalars, vectors or tensors number by number.
void mapOver(Machine &machine, const Step &step, Elementwise compute);

/// From operations to what they do.
class Registry {
public:
  /// All that the dialects' files know.
  static const Registry &get();

  template <typename Op> void add(Handler handler) {
    handlers[Op::getOperationName()] = {handler, nullptr};
  }
  /// An operation on scalars that maps over vectors and tensors.
  template <typename Op> void elementwise(Elementwise compute) {
    handlers[Op::getOperationName()] = {[](Machine &machine, const Step &step) {
                                          mapOver(machine, step, step.compute);
                                        },
                                        compute};
  }
  /// An operation without effect on numbers.
  template <typename Op> void ignore() {
    add<Op>([](Machine &, const Step &) {});
  }

  std::pair<Handler, Elementwise> find(mlir::Operation *op) const;

private:
  llvm::StringMap<std::pair<Handler, Elementwise>> handlers;
};

/// The results of an affine map, for its dims and then its symbols.
llvm::SmallVector<int64_t, 6> evaluateMap(mlir::AffineMap map,
                                          llvm::ArrayRef<int64_t> operands);

// One for each file in dialects/.
void registerArith(Registry &);
void registerBufferization(Registry &);
void registerControl(Registry &);
void registerFulgur(Registry &);
void registerLinalg(Registry &);
void registerLLVM(Registry &);
void registerMath(Registry &);
void registerMemRef(Registry &);
void registerScf(Registry &);
void registerTensor(Registry &);
void registerVector(Registry &);
/// Runs an operation of the LinalgOp interface.
void runStructured(Machine &machine, const Step &step);
/// Runs fulgur.attention.
void runAttention(Machine &machine, const Step &step);
/// The bits of a vector as one of other elements.
void runBitCast(Machine &machine, const Step &step);

/// How an execution ends.
enum class Ending {
  finished,
  stopped, ///< by the module itself: a requirement does not hold
  unknown, ///< the interpreter does not know an operation or a type
  wrong    ///< what it does is undefined, such as reading outside of memory
};

/// One module, being run.
class Machine {
public:
  /// `noise`: to the results of inexact operations, random relative errors of
  /// up to so many units in the last place are added.
  Machine(mlir::ModuleOp module, Host &host, double noise = 0,
          unsigned seed = 0);
  ~Machine();

  /// The results of a function, or nothing when it did not get to its end.
  std::optional<llvm::SmallVector<Value>> call(llvm::StringRef function,
                                               llvm::ArrayRef<Value> arguments);

  /// Computes what `values`, which are in the entry block of `function`, are
  /// made of, and no more. False when that is not possible.
  bool evaluate(llvm::StringRef function, llvm::ArrayRef<mlir::Value> values,
                llvm::SmallVectorImpl<Scalar> &results);

  /// Whether evaluate() can compute the value.
  bool isComputable(llvm::StringRef function, mlir::Value value);
  /// Forgets how the last execution ended, unless something is unknown.
  void restart() {
    if (end != Ending::unknown)
      end = Ending::finished;
  }

  Ending ending() const { return end; }
  /// Why it ended early.
  const std::string &reason() const { return why; }

  // For handlers.
  Host &host;
  const mlir::ModuleOp module;

  const Value &value(const Step &step, unsigned i) const {
    return frame[step.operands[i]];
  }
  int64_t integer(const Step &step, unsigned i) const {
    return value(step, i).scalar.integer;
  }
  const Array &array(const Step &step, unsigned i) const {
    return static_cast<const Array &>(*value(step, i).aggregate);
  }
  const Lanes &lanes(const Step &step, unsigned i) const {
    return static_cast<const Lanes &>(*value(step, i).aggregate);
  }
  void set(const Step &step, unsigned i, Value value) {
    frame[step.results[i]] = std::move(value);
  }
  /// The operand as a row-major array that nobody else has.
  llvm::IntrusiveRefCntPtr<Array> take(const Step &step, unsigned i);
  /// Static and dynamic sizes; the dynamic ones are operands from `first` on.
  llvm::SmallVector<int64_t, 4>
  mixed(const Step &step, llvm::ArrayRef<int64_t> known, unsigned first) const;

  /// Runs a region; what it yields is in `yielded` then. Operands of its
  /// entry block are set with `setArgument`.
  void run(const Body &body);
  void setArgument(const Body &body, unsigned i, Value value) {
    frame[body.front().arguments[i]] = std::move(value);
  }
  const Value &argument(const Body &body, unsigned i) const {
    return frame[body.front().arguments[i]];
  }
  /// Changes an operand for the operations that follow.
  void replace(const Step &step, unsigned i, Value value) {
    frame[step.operands[i]] = std::move(value);
  }
  void yield(const Step &step);
  void jump(const Step &step, unsigned successor, mlir::OperandRange operands);
  llvm::SmallVector<Value, 4> yielded;

  /// A result of arithmetic, rounded to its format.
  Scalar real(Format format, double value, bool exact = false) {
    double rounded = format.round(value);
    return noise > 0 && !exact &&
                   (rounded != value || format.kind == Format::f64)
               ? disturbed(format, rounded)
               : Scalar::of(rounded);
  }
  bool isExact() const { return noise == 0; }
  /// a * b + c, rounded once.
  Scalar fused(Format format, double a, double b, double c);
  llvm::IntrusiveRefCntPtr<Array> constant(mlir::ElementsAttr attribute);
  bool hasEnded() const { return end != Ending::finished; }
  void stop(Ending ending, const llvm::Twine &reason);
  void wrong(const Step &step, const llvm::Twine &reason);
  void unknown(const Step &step, const llvm::Twine &what);

  /// The iteration that each linalg operation around is at.
  llvm::SmallVector<llvm::SmallVector<int64_t, 6>, 2> iterations;

private:
  Scalar disturbed(Format format, double value) {
    // Xorshift (Marsaglia, 2003).
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    double share = double(int64_t(random >> 11)) * 0x1p-52 - 1; // [-1, 1)
    // What is infinite or no number stays so.
    return Scalar::of(
        format.round(value * (1 + share * noise * format.epsilon())));
  }
  /// The operations of the entry block that `values` are made of; false when
  /// they need an argument or a region.
  static bool slice(const Function &function,
                    llvm::ArrayRef<mlir::Value> values,
                    llvm::DenseSet<mlir::Operation *> &needed);
  const Function *find(llvm::StringRef name);
  Body compile(mlir::Region &region,
               llvm::DenseMap<mlir::Value, unsigned> &places);
  bool compile(mlir::Operation &op, Step &step,
               llvm::DenseMap<mlir::Value, unsigned> &places,
               const llvm::DenseMap<mlir::Block *, unsigned> &blocks);

  llvm::StringMap<std::unique_ptr<Function>> functions;
  Value *frame = nullptr;
  unsigned next = 0;                  ///< block
  llvm::SmallVector<Value, 4> passed; ///< arguments of that block
  unsigned depth = 0;
  Ending end = Ending::finished;
  std::string why;
  double noise;
  uint64_t random; ///< state of a generator
};

/// The element of an array, counted from its base, that the operands from
/// `first` on are the indices of. Outside of the dims, or of the memory, the
/// execution ends.
std::optional<int64_t> elementAt(Machine &machine, const Step &step,
                                 const Array &array, unsigned first);
/// Copies the elements of one array into the memory of another.
void assign(Machine &machine, const Step &step, const Array &from,
            const Array &to);

/// The elements of a constant. They are kept as long as `keep`, which knows
/// them again.
using Constants = std::map<const void *, llvm::IntrusiveRefCntPtr<Array>>;
llvm::IntrusiveRefCntPtr<Array> constantOf(mlir::ElementsAttr attribute,
                                           Constants &keep);

} // namespace fulgur::interpreter
