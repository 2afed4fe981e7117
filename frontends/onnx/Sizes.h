// Extents in the IR: index values, each built once, and the conditions between
// them. They stand at the head of @main; only those of sizes that are known
// while running stand where these are.
#pragma once
#include "frontends/onnx/Extent.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Value.h"
#include <functional>
#include <set>

namespace fulgur::onnx {

/// The sizes of one model.
class Sizes {
public:
  /// From now on index arithmetic goes to the start of `block`, in which
  /// nothing is computed yet.
  void begin(mlir::Block *block);
  /// Makes a run-time size, computed by another function, a symbol; returns its
  /// name.
  std::function<std::string(mlir::Value index, llvm::StringRef name)> carry;

  Atoms atoms;

  /// An element of an input that sizes are built on, and the symbol that it is.
  struct InputValue {
    std::string symbol;
    int64_t input, element;
    int64_t lower, upper; ///< of the element's type
  };
  llvm::SmallVector<InputValue> inputValues;

  /// The extent as a value of type index.
  mlir::Value index(const Extent &extent, mlir::Location loc);
  /// A size that is `value` while running and at most `bound`; more ends the
  /// run with the message.
  Extent runtime(llvm::StringRef name, mlir::Value value, const Extent &bound,
                 const llvm::Twine &message, mlir::Location loc);
  /// The text of a size; that of one that is known only while running with its
  /// bound, as in "rows <= batch".
  std::string textWithBound(const Extent &extent);
  /// While one exists, arithmetic on such sizes goes in front of what is added
  /// to @main: a loop that is being filled.
  class Behind {
  public:
    explicit Behind(Sizes &sizes) : sizes(sizes), outermost(!sizes.tail) {
      if (outermost && !sizes.entry->empty())
        sizes.tail = &sizes.entry->back();
    }
    ~Behind() {
      if (outermost)
        sizes.tail = nullptr;
    }

  private:
    Sizes &sizes;
    bool outermost; ///< a loop in a loop adds to @main where that one does
  };
  /// Says that the dynamic dims of `argument` are those of `shape`.
  void sized(mlir::Value argument, llvm::ArrayRef<Extent> shape,
             mlir::Location loc);
  /// Checks the condition a = b before a run, once, and takes it for granted
  /// from now on.
  void requireEqual(const Extent &a, const Extent &b,
                    const llvm::Twine &message, mlir::Location loc);
  /// Checks the condition a >= b before a run, unless it is known.
  void requireAtLeast(const Extent &a, const Extent &b,
                      const llvm::Twine &message, mlir::Location loc);

  /// What is known about sizes at one point of the model.
  struct Facts {
    Atoms atoms;
    std::set<std::pair<Extent, Extent>> minima;
    /// Run-time sizes: where they are computed, and the symbols they became.
    std::map<unsigned, mlir::Value> origins;
    std::map<unsigned, std::string> carried;
  };
  Facts facts() const { return {atoms, minima, origins, carried}; }
  void restore(const Facts &facts);

private:
  /// Emits the next operation behind those already there.
  template <typename Op, typename... Args>
  mlir::Value emit(mlir::Location loc, Args &&...args);
  /// Sets where the extent is computed.
  void place(bool runtime);
  mlir::Value atom(unsigned id, mlir::Location loc);
  /// Whether the extent is not 0, as an i1.
  mlir::Value condition(const Extent &extent, mlir::Location loc);
  void require(int predicate, const Extent &a, const Extent &b,
               const llvm::Twine &message, mlir::Location loc);

  mlir::Block *entry = nullptr;
  mlir::OpBuilder builder{static_cast<mlir::MLIRContext *>(nullptr)};
  mlir::Operation *tail =
      nullptr; ///< where run-time sizes are computed behind; null: at the end
  mlir::Operation *head = nullptr; ///< the last operation at the head of @main
  bool atHead = true;
  std::map<Extent, mlir::Value> values;
  std::set<std::pair<Extent, Extent>> minima;
  std::map<Extent, Extent> bounds; ///< of sizes known only while running
  std::map<unsigned, mlir::Value> origins;
  std::map<unsigned, std::string> carried;
};

} // namespace fulgur::onnx
