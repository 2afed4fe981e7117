// Which attentions can be products of bfloat16.
#pragma once
#include "dialects/Fulgur.h"

namespace fulgur {
/// Whether rows of queries and keys are contiguous and of whole vectors of
/// pairs, and rows of values of whole vectors: then both products can take
/// their operands in pairs of bfloat16 where they are.
bool hasRowsOfPairs(AttentionOp op);
} // namespace fulgur
