// Extents in the IR: index values, each built once, and the conditions between
// them. They stand at the head of @main; only those of sizes that are known
// while running stand where these are.
#pragma once
#include "frontends/onnx/Extent.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Value.h"
#include <set>

namespace fulgur::onnx {

/// The sizes of one model.
class Sizes {
public:
  /// Index arithmetic goes to the start of `entry`.
  explicit Sizes(mlir::Block *entry)
      : entry(entry), builder(mlir::OpBuilder::atBlockBegin(entry)) {}

  Atoms atoms;

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
  /// Checks the condition a = b before a run, once, and takes it for granted
  /// from now on.
  void requireEqual(const Extent &a, const Extent &b,
                    const llvm::Twine &message, mlir::Location loc);
  /// Checks the condition a >= b before a run, unless it is known.
  void requireAtLeast(const Extent &a, const Extent &b,
                      const llvm::Twine &message, mlir::Location loc);

private:
  /// Emits the next operation behind those already there.
  template <typename Op, typename... Args>
  mlir::Value emit(mlir::Location loc, Args &&...args);
  /// Sets where the extent is computed.
  void place(bool runtime);
  mlir::Value atom(unsigned id, mlir::Location loc);
  void require(int predicate, const Extent &a, const Extent &b,
               const llvm::Twine &message, mlir::Location loc);

  mlir::Block *entry;
  mlir::OpBuilder builder;
  mlir::Operation *tail =
      nullptr; ///< where run-time sizes are computed behind; null: at the end
  mlir::Operation *head = nullptr; ///< the last operation at the head of @main
  bool atHead = true;
  std::map<Extent, mlir::Value> values;
  std::set<std::pair<Extent, Extent>> minima;
  std::map<Extent, Extent> bounds; ///< of sizes known only while running
};

} // namespace fulgur::onnx
