// What the loops of all convolutions have in common: where operands lie, which
// positions of a window are inside of the input, what is done with a sum.
#pragma once
#include "passes/kernel/builders/Convolution.h"
#include "passes/kernel/builders/Elementwise.h"
#include "passes/kernel/builders/Multiply.h"

namespace fulgur {
/// How the result is cut into tiles and tasks, as the schedule says it.
struct ConvolutionPlan {
  int64_t pixels, vectors; ///< of a tile, which lies in one row
  int64_t columns, parts;  ///< of a task: pixels of a row, parts of the lanes
  int64_t rows;            ///< of a task
  explicit ConvolutionPlan(ScheduleAttr schedule);
};

/// The schedule for tiles of `pixels` x `vectors`, with tasks of about
/// `operations` additions and multiplications.
ScheduleAttr scheduleConvolution(const Convolution &c, llvm::StringRef kind,
                                 int64_t pixels, int64_t vectors, int64_t lanes,
                                 int64_t operations);

/// The size of a loop, or what it is taken for when it is not known.
int64_t typicalSize(const Convolution &c, unsigned loop);

/// Which taps of the windows of a tile are inside of the input: all, those that
/// are known to be when compiling, or some of the single pixel's.
enum class Reach { All, Known, Single };

/// Emits at the kernel's site. Weights are panels of `pack` lanes, one step of
/// the sum (or `depth` channels in each lane) after the other, as
/// Convolution::weightOrder() has them; loops take `width` lanes at once, of
/// which a panel has a multiple.
struct ConvolutionLoops {
  KernelSite &site;
  Convolution c;
  ConvolutionPlan plan;
  int64_t lanes, width, pack;
  Multiplication elements{mlir::getElementTypeOrSelf(c.weights),
                          /*unsignedRow=*/true, lanes, site.target};
  int64_t depth = c.depth();
  bool ofAllGroups = c.isDepthwise(); ///< whether a task is
  Emitter e{site.builder, site.loc};

  llvm::SmallVector<mlir::Value> sizes; ///< of the convolution's loops
  llvm::SmallVector<mlir::Value, 3> inputSizes, low; ///< per spatial dim
  Access input, out;
  llvm::SmallVector<Access> epilogueInputs;
  mlir::Value weights; ///< one dimension
  llvm::SmallVector<mlir::Value>
      point; ///< indices of the loops of the result that are known so far

  ConvolutionLoops(KernelSite &site, const Convolution &convolution,
                   ScheduleAttr schedule);

  /// Sets `weights` to panels, packed here if they are not yet.
  void takeWeights();

  /// What one task computes, of the image (and group) at `point`: rows are
  /// those of all spatial dims but the last.
  struct Task {
    mlir::Value rowFrom, rowTo, columnFrom, columnTo, partFrom, partTo;
  };
  void forTasks(llvm::function_ref<void(const Task &)> body);
  /// Calls body() with `point` at each row of the task.
  void forRows(const Task &task, llvm::function_ref<void()> body);
  using Tile =
      llvm::function_ref<void(mlir::Value column, int64_t count, Reach)>;
  /// Cuts the task's pixels of the row at `point` into tiles of up to
  /// `plan.pixels`.
  void forTiles(const Task &task, Tile tile);

  mlir::VectorType vectorType() {
    return mlir::VectorType::get(lanes, elements.sumType());
  }
  int64_t size(Convolution::Loop loop) { return c.size(loop); }
  /// How often the loops take `width` lanes.
  int64_t parts() { return llvm::divideCeil(c.size(c.lane()), width); }
  bool wholeParts() { return c.size(c.lane()) % width == 0; }
  mlir::Value sizeOf(Convolution::Loop loop) {
    return loop ? sizes[*loop] : e.index(1);
  }
  const Convolution::Spatial &row() { return c.spatial.back(); }
  unsigned rowDim() { return c.spatial.size() - 1; }
  int64_t taps() { return size(row().window); } ///< of a window along the row
  /// How far one step along spatial dim k, or along the channels, moves in the
  /// input; null: not at all.
  mlir::Value inputStep(unsigned k) { return input.steps[c.spatial[k].image]; }

  /// The positions [from, to) of the window that are inside of the input along
  /// spatial dim k, for the window at `image`.
  std::pair<mlir::Value, mlir::Value> insideOf(unsigned k, mlir::Value image);
  /// The positions in [from, to) whose windows are inside along spatial dim k.
  std::pair<mlir::Value, mlir::Value> wholeWindows(unsigned k, mlir::Value from,
                                                   mlir::Value to);
  /// Whether a tap is inside along the row, for a column that is known, too.
  bool isInside(int64_t column, int64_t tap);
  /// Where the window at `point` begins in the input, but for the last spatial
  /// dim.
  mlir::Value inputBase();
  /// image * stride - low, in elements of the input.
  mlir::Value windowStart(unsigned k, mlir::Value image);
  /// Where the weights of the lanes from `column` on begin.
  mlir::Value weightsOf(mlir::Value column);
  /// The lanes from `column` on that exist.
  mlir::Value laneMask(mlir::Value column);
  /// Calls body(masked) for the part that begins at `column0`.
  void forPart(mlir::Value column0, llvm::function_ref<void(bool)> body);
  /// What all pixels' sums of the lanes from `column` on may begin with: what
  /// the epilogue adds to them first, or 0.
  mlir::Value begin(mlir::Value column, mlir::Value mask);
  /// Computes the epilogue of the sums at `point`, whose lanes begin at
  /// `column`, and writes it. They may have begun with begin().
  void finish(mlir::Value sums, mlir::Value column, mlir::Value mask,
              bool hasBegun = false);

private:
  FirstAddition addedToAllPixels();
  void knownTiles(const Task &task, Tile tile);
  void unknownTiles(const Task &task, Tile tile);
  void insertAt(mlir::Value buffer);
  void packWeights(mlir::Value buffer);
  mlir::Value indexOf(unsigned epilogueLoop);
};
} // namespace fulgur
