// Attention: softmax(score(query · key)) · value as one kernel.
#include "passes/kernel/builders/Flash.h"

using namespace mlir;
using namespace fulgur;

static bool acceptsAttention(KernelOp kernel) {
  return matchAttention(kernel).has_value();
}

static ScheduleAttr scheduleOf(MLIRContext *context, StringRef kind,
                               int64_t queries, int64_t keys, int64_t lanes) {
  return ScheduleAttr::get(context, kind, {queries, keys}, lanes, /*unroll=*/1,
                           /*pack=*/0, /*grain=*/1);
}

/// tile = [queries, keys] of a block: queries, results, keys and values of a
/// block stay in the cache.
static ScheduleAttr scheduleVectors(Attention attention, const Target &target) {
  int64_t lanes = target.lanes(),
          rowElements = attention.depth + attention.columns;
  int64_t queries = 64, keys = 96;
  // Each block of queries puts the values together in pairs: with more of them
  // that is less work, but their scores leave the first-level cache.
  constexpr int64_t kManyQueries = 512;
  auto all = attention.size(attention.op.queryLoop());
  if (attention.narrow && target.bf16 && lanes == 16 && all) {
    // Behind the first block, powers leave the registers as such: of few keys,
    // most are to be there.
    if (*all >= kManyQueries)
      queries = 128;
    else
      keys = 48;
  }
  for (; queries > lanes && queries * rowElements > 16384; queries /= 2)
    ;
  // A multiple of 24, and so of every tile's rows.
  for (; keys > 24 && keys * rowElements > 16384; keys /= 2)
    ;
  return scheduleOf(attention.op.getContext(), attentionBuilder.kind, queries,
                    keys, lanes);
}

static ScheduleAttr scheduleAttention(KernelOp kernel, const Target &target) {
  Attention attention = *matchAttention(kernel);
  if (auto block = blockOfTiles(attention, target))
    return scheduleOf(kernel.getContext(), amxAttentionBuilder.kind,
                      block->first, block->second, target.lanes());
  return scheduleVectors(attention, target);
}

/// Larger and smaller blocks; those of tiles on vectors, too.
static SmallVector<ScheduleAttr> alternativesOfAttention(KernelOp kernel,
                                                         const Target &target,
                                                         ScheduleAttr chosen) {
  SmallVector<ScheduleAttr> schedules;
  bool byTiles = chosen.getKind() == amxAttentionBuilder.kind;
  int64_t queries = chosen.getTile()[0], keys = chosen.getTile()[1];
  // Blocks are whole tiles: keys of vectors' tiles, of any height.
  int64_t queryStep = byTiles ? kTileStrip : chosen.getLanes(),
          keyStep = byTiles ? kTileStrip : 24;
  for (auto [someQueries, someKeys] : {std::pair(queries, keys / 2),
                                       {queries, keys * 2},
                                       {queries * 2, keys},
                                       {queries / 2, keys}})
    if (someKeys % keyStep == 0 && someQueries % queryStep == 0)
      schedules.push_back(scheduleOf(kernel.getContext(), chosen.getKind(),
                                     someQueries, someKeys, chosen.getLanes()));
  if (byTiles)
    schedules.push_back(scheduleVectors(*matchAttention(kernel), target));
  return schedules;
}

static LogicalResult buildAttention(KernelSite &site) {
  Attention attention = *matchAttention(site.kernel);
  ScheduleAttr schedule = site.kernel.getScheduleAttr();
  if (!schedule)
    schedule = scheduleAttention(site.kernel, site.target);
  AttentionEmitter emitter{site, attention, schedule};
  emitter.access();
  auto emitMany = [&] {
    emitter.copyPast();
    emitFlashAttention(emitter);
  };
  if (!canDecode(emitter)) {
    emitMany();
    return success();
  }
  Value few = hasFewQueries(emitter), scratch;
  if (known(few) != 0)
    scratch = decodeScratch(emitter);
  emitter.e.branch(
      few, [&] { emitDecodeAttention(emitter, scratch); }, emitMany);
  return success();
}

const KernelBuilder fulgur::attentionBuilder = {
    "attention", acceptsAttention, scheduleAttention, buildAttention,
    alternativesOfAttention};

const KernelBuilder fulgur::amxAttentionBuilder = {
    "amx_attention", acceptsAttention, scheduleAttention, buildAttention,
    alternativesOfAttention};
