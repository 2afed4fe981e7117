// Attention of many queries (Dao et al., FlashAttention, 2022): blocks of
// queries go over blocks of keys, and scores never leave the cache.
//
// Scores lie with one query in each lane, so that the greatest score and the
// sum of a row are vertical operations. How a block's two products are computed
// is what the forms differ in: on vectors (FlashVectors.cpp), or by AMX's tiles
// (FlashTiles.cpp). With bfloat16 and instructions for it, both take pairs: of
// neighbouring elements of queries and keys, and of powers and values of
// neighbouring keys. Buffers see a pair as the bits of one f32.
#pragma once
#include "passes/kernel/builders/Attention.h"

namespace fulgur {
struct Flash {
  AttentionEmitter &a;
  Emitter &e = a.e;
  int64_t lanes = a.lanes, blockQueries = a.schedule.getTile()[0],
          blockKeys = a.schedule.getTile()[1];
  int64_t columns = llvm::alignTo(a.attention.columns, lanes);
  mlir::Value queryCount = a.sizes[a.i], keyCount = a.sizes[a.j];
  bool pairs = a.pairs();

  /// A part of the keys or values: where row 0 is, and the step of the rows.
  struct Rows {
    mlir::Value flat, position, step;
  };

  // One task.
  mlir::Value queries{}, scores{}, results{};
  mlir::Value greatest{}, raised{}, total{}, scale{}; ///< per query
  mlir::Value valueTile{};                            ///< null: read in place
  llvm::SmallVector<mlir::Value>
      extraTiles{};                       ///< [key][query]; null: read in place
  llvm::SmallVector<mlir::Value> point{}; ///< indices of the batch loops
  // One block of queries.
  mlir::Value first{}, count{};
  bool areWhole = false; ///< they fill all vectors
  // One block of keys.
  mlir::Value key0{}, keysHere{}, keysTo{}; ///< keysTo: behind the last of all
  /// Queries of the block that lie next to each other in buffers: where they
  /// begin and how many they are, and where their scores begin.
  mlir::Value stripFrom{}, scoresFrom{};
  int64_t pitch;

  Flash(AttentionEmitter &a, int64_t pitch) : a(a), pitch(pitch) {}
  virtual ~Flash() = default;

  /// Emits all loops.
  void build();

  /// Buffers of a task.
  virtual void allocate() = 0;
  /// Behind the last block of a task.
  virtual void release() {}
  /// The queries [from, from + here) of a block.
  virtual void queryBlock(mlir::Value from, mlir::Value here) = 0;
  /// The keys [key0, key0 + keysHere).
  virtual void keyBlock() = 0;
  /// Where buffers have a pair of elements of 16 queries.
  virtual mlir::Value pairOfQueries(mlir::Value pair, mlir::Value query) = 0;

  // Parts of what the forms do, in the order in which they do it.
  void allocateQueries(); ///< what there is one number of for each
  void allocateExtras();
  void copyQueryPairs(mlir::Value queriesTo);
  void begin(mlir::Value query);
  void forKeyBlocks();
  void copyValuePairs(mlir::Value to);
  void copyExtras(int64_t width, mlir::Value queriesHere);
  llvm::SmallVector<mlir::Value>
  makeScores(llvm::SmallVector<mlir::Value> sums, mlir::Value query0,
             int64_t vectors, mlir::Value row,
             llvm::ArrayRef<mlir::Value> keyIndices,
             llvm::function_ref<void(llvm::ArrayRef<mlir::Value>)> whenHidden =
                 nullptr);
  mlir::Value addPowers(mlir::Value row, mlir::Value query, mlir::Value most,
                        mlir::Value sum);
  void invertTotals(mlir::Value query);
  void storeRow(mlir::Value row, mlir::Value from, mlir::Value index);

  mlir::Value load(mlir::Value from, mlir::Value at) {
    return a.load(from, at);
  }
  void keep(mlir::Value vector, mlir::Value to, mlir::Value at) {
    a.keep(vector, to, at);
  }
  mlir::Value scalar(mlir::Value from, mlir::Value at) {
    return a.scalar(from, at);
  }
  Rows valueRows() {
    return {a.value.flat, at(a.value, {{a.j, key0}}), a.value.steps[a.j]};
  }
  /// A place in a buffer of [key][query].
  mlir::Value place(mlir::Value row, mlir::Value query) {
    return e.add(e.mul(row, pitch), e.sub(query, stripFrom));
  }
  mlir::Value scorePlace(mlir::Value row, mlir::Value query) {
    return e.add(scoresFrom, place(row, query));
  }
  /// A scale of codes in every lane.
  mlir::Value
  scaleAt(const Access &scale,
          std::initializer_list<std::pair<unsigned, mlir::Value>> indices) {
    return scalar(scale.flat, at(scale, indices));
  }
  mlir::Value
  at(const Access &access,
     std::initializer_list<std::pair<unsigned, mlir::Value>> indices) {
    return access.at(e, point, indices);
  }
  /// Whether an extra operand is transposed first: neighbouring queries are not
  /// neighbours in it.
  bool hasTile(const Access &extra) {
    return extra.steps[a.i] && known(extra.steps[a.i]) != 1;
  }

private:
  mlir::Value packPowers(mlir::Value first, mlir::Value second);
  llvm::SmallVector<mlir::Value> extrasAt(mlir::Value row, mlir::Value key,
                                          mlir::Value query);
  llvm::SmallVector<mlir::Value>
  hide(llvm::ArrayRef<mlir::Value> scores, mlir::Value query0, int64_t vectors,
       mlir::Value row, int64_t rows,
       llvm::function_ref<void(llvm::ArrayRef<mlir::Value>)> whenHidden);
};

/// The forms.
void emitFlashVectors(AttentionEmitter &a);
void emitFlashTiles(AttentionEmitter &a);

/// Blocks for tiles are multiples of this.
constexpr int64_t kTileStrip = 32;
/// The queries and keys of a block of an attention that tiles can compute, if
/// the target has them.
std::optional<std::pair<int64_t, int64_t>> blockOfTiles(Attention attention,
                                                        const Target &target);
} // namespace fulgur
