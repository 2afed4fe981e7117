// Attention of few queries and the memory that keys and values come from: what
// is asked for ahead, and what is copied on the way.
#include "passes/kernel/builders/DecodeAttention.h"

using namespace mlir;
using namespace fulgur;

static constexpr int64_t kAhead = 8; // keys

/// Asks for one line of every page of `count` keys or values from `from` on.
/// The processor reads ahead by itself, but not over the end of a page unless
/// it has seen a line of the next one.
void Decode::touch(const Access &access, Value from, Value count) {
  constexpr int64_t page = 4096;
  auto step = known(access.steps[a.j] ? access.steps[a.j] : e.index(0));
  if (!step || *step <= 1)
    return;
  Value base = at(access, {{a.j, from}});
  int64_t each = std::max<int64_t>(1, page / (*step * bytesOf(access)));
  e.loop(e.index(0), count, each, [&](Value key) {
    memref::PrefetchOp::create(e.builder, e.loc, access.flat,
                               e.add(base, e.mul(key, *step)),
                               /*isWrite=*/false, /*localityHint=*/2,
                               /*isDataCache=*/true);
  });
}

/// Asks for the columns [from, to) of what comes kAhead keys behind `row`: with
/// many rows there is too much to compute for the processor to look that far.
void Decode::prefetch(const Access &access, Value row, int64_t from,
                      int64_t to) {
  if (!access.steps[a.j])
    return;
  int64_t line = 64 / bytesOf(access);
  Value ahead = e.add(row, e.mul(access.steps[a.j], kAhead));
  for (; from < to; from += line)
    memref::PrefetchOp::create(e.builder, e.loc, access.flat,
                               ValueRange{e.add(ahead, from)},
                               /*isWrite=*/false, /*localityHint=*/3,
                               /*isDataCache=*/true);
}

/// Copies what of this block was there before. It is read where it came from,
/// as it is in the caches there, but for rows behind the last whole vector of
/// scores.
void Decode::copyPast(const Access &past, Value pastRows, const Access &rows,
                      int64_t size) {
  pastHere = e.index(0);
  if (!past.flat)
    return;
  Value here = e.max(e.min(e.sub(pastRows, key0), keysHere), pastHere);
  pastHere = e.sub(here, e.remainder(here, e.index(lanes)));
  auto placeOf = [&](const Access &access, Value row) {
    return Place{access.flat, at(access, {{a.j, e.add(key0, row)}})};
  };
  auto copy = [&](auto copy, Value row, Value count) {
    copy(e, placeOf(past, row), placeOf(rows, row), e.mul(count, size), lanes);
  };
  copy(copyAroundCaches, e.index(0), pastHere);
  copy(copyElements, pastHere, e.sub(here, pastHere));
}
