// Sizes of symbolic dims, such as "past_sequence + sequence".
#ifndef FULGUR_TOOLS_DIMEXPRESSION_H
#define FULGUR_TOOLS_DIMEXPRESSION_H

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

/// The value of an expression of numbers, names, + - * // and parentheses,
/// where `valueOf` gives the values of names (and is asked for the whole text
/// first). Nothing when the text is no such expression or a name has no value.
std::optional<int64_t> evaluateDim(
    const std::string &text,
    const std::function<std::optional<int64_t>(const std::string &)> &valueOf);

#endif // FULGUR_TOOLS_DIMEXPRESSION_H
