// Which attentions can be products of bfloat16.
#pragma once
#include "dialects/Fulgur.h"

namespace fulgur {
/// Whether rows are contiguous and of whole vectors, or halves of vectors of
/// pairs: then both products can take their operands in pairs of bfloat16 where
/// they are.
bool hasRowsOfPairs(AttentionOp op);
} // namespace fulgur
