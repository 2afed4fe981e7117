// A recursive-descent evaluator: sum of products of atoms.
#include "DimExpression.h"

#include <cctype>

namespace {

class Evaluator {
public:
  using Values = std::function<std::optional<int64_t>(const std::string &)>;
  using Value = std::optional<int64_t>;

  Evaluator(const std::string &text, const Values &valueOf)
      : text(text), valueOf(valueOf) {}

  Value whole() {
    Value value = sum();
    return value && peek() == 0 ? value : std::nullopt;
  }

private:
  char peek() {
    while (at < text.size() &&
           std::isspace(static_cast<unsigned char>(text[at])))
      ++at;
    return at < text.size() ? text[at] : 0;
  }

  Value sum() {
    Value left = product();
    for (char sign = peek(); left && (sign == '+' || sign == '-');
         sign = peek()) {
      ++at;
      Value right = product();
      int64_t result;
      if (!right ||
          (sign == '+' ? __builtin_add_overflow(*left, *right, &result)
                       : __builtin_sub_overflow(*left, *right, &result)))
        return std::nullopt;
      left = result;
    }
    return left;
  }

  Value product() {
    Value left = atom();
    for (char sign = peek(); left && (sign == '*' || sign == '/');
         sign = peek()) {
      at += sign == '/' && text.compare(at, 2, "//") == 0 ? 2 : 1;
      Value right = atom();
      int64_t result;
      if (!right || (sign == '/' && *right <= 0))
        return std::nullopt;
      if (sign == '/')
        result = *left / *right;
      else if (__builtin_mul_overflow(*left, *right, &result))
        return std::nullopt;
      left = result;
    }
    return left;
  }

  Value atom() {
    char first = peek();
    if (first == '(') {
      ++at;
      Value value = sum();
      if (peek() != ')')
        return std::nullopt;
      ++at;
      return value;
    }
    size_t start = at;
    while (at < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[at])) ||
            text[at] == '_' || text[at] == '.' || text[at] == ':'))
      ++at;
    std::string word = text.substr(start, at - start);
    if (word.empty() || word.size() > 300)
      return std::nullopt;
    if (!std::isdigit(static_cast<unsigned char>(first)))
      return valueOf(word);
    int64_t number = 0;
    for (char digit : word)
      if (digit < '0' || digit > '9' ||
          __builtin_mul_overflow(number, 10, &number) ||
          __builtin_add_overflow(number, digit - '0', &number))
        return std::nullopt;
    return number;
  }

  const std::string &text;
  const Values &valueOf;
  size_t at = 0;
};

} // namespace

std::optional<int64_t> evaluateDim(const std::string &text,
                                   const Evaluator::Values &valueOf) {
  if (std::optional<int64_t> value = valueOf(text))
    return value;
  return Evaluator(text, valueOf).whole();
}
