// Extents as people write them: how an extent is printed, and the grammar that
// reads it back.
#include "frontends/onnx/Extent.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace fulgur::onnx;

std::string Atoms::text(const Extent &e) const {
  int budget = 64;
  return text(e, budget);
}

std::string Atoms::text(const Extent &e, int &budget) const {
  if (e.sum.empty())
    return "0";
  if (--budget < 0)
    return "...";
  auto part = [&](const Extent &x) { return text(x, budget); };
  auto nested = [&](const Extent &x) {
    return x.constant() || x.atom() ? part(x) : "(" + part(x) + ")";
  };
  std::string out;
  for (const Extent::Term &term : e.sum) {
    std::vector<std::string> parts;
    uint64_t size =
        term.coefficient < 0 ? -uint64_t(term.coefficient) : term.coefficient;
    if (size != 1 || term.factors.empty())
      parts.push_back(std::to_string(size));
    for (unsigned id : term.factors) {
      const Atom &atom = atoms[id];
      auto function = [&](llvm::StringRef name) {
        std::string first =
            atom.kind == Kind::select ? part(atom.condition) + ", " : "";
        first += part(atom.a) + ", ";
        parts.push_back((name + "(").str() + first + part(atom.b) + ")");
      };
      auto infix = [&](llvm::StringRef name) {
        std::string first = nested(atom.a);
        parts.push_back(("(" + first + name).str() + nested(atom.b) + ")");
      };
      switch (atom.kind) {
      case Kind::symbol:
      case Kind::runtime:
        parts.push_back(atom.name);
        break;
      case Kind::floorDiv:
        infix(" // ");
        break;
      case Kind::mod:
        infix(" % ");
        break;
      case Kind::max:
        function("max");
        break;
      case Kind::min:
        function("min");
        break;
      case Kind::equal:
        function("equal");
        break;
      case Kind::less:
        function("less");
        break;
      case Kind::select:
        function("select");
        break;
      }
    }
    out += out.empty() ? (term.coefficient < 0 ? "-" : "")
                       : (term.coefficient < 0 ? " - " : " + ");
    out += llvm::join(parts, "*");
  }
  return out;
}

namespace {
/// Recursive descent over the text of one dim. Names become symbols only when
/// the whole text is an expression.
class Parser {
public:
  Parser(llvm::StringRef text, Atoms *atoms) : rest(text), atoms(atoms) {}

  std::optional<Extent> whole() {
    std::optional<Extent> result = sum();
    return rest.ltrim().empty() ? result : std::nullopt;
  }

private:
  bool eat(llvm::StringRef token) {
    rest = rest.ltrim();
    return rest.consume_front(token);
  }

  std::optional<Extent> sum() {
    std::optional<Extent> left = eat("-") ? negate(term()) : term();
    while (left) {
      bool plus = eat("+");
      if (!plus && !eat("-"))
        break;
      std::optional<Extent> right = term();
      if (!right)
        return std::nullopt;
      left = plus ? *left + *right : *left - *right;
    }
    return left;
  }

  static std::optional<Extent> negate(std::optional<Extent> x) {
    return x ? std::optional(Extent(-1) * *x) : x;
  }

  std::optional<Extent> term() {
    std::optional<Extent> left = factor();
    while (left) {
      char op = eat("//") ? '/' : eat("*") ? '*' : eat("%") ? '%' : 0;
      if (!op)
        break;
      std::optional<Extent> right = factor();
      if (!right || (op != '*' && right->is(0)))
        return std::nullopt;
      if (op == '*')
        left = *left * *right;
      else if (atoms)
        left = op == '/' ? atoms->floorDiv(*left, *right)
                         : atoms->mod(*left, *right);
    }
    return left;
  }

  std::optional<Extent> factor() {
    if (eat("(")) {
      std::optional<Extent> inner = sum();
      return eat(")") ? inner : std::nullopt;
    }
    rest = rest.ltrim();
    int64_t number;
    if (!rest.empty() && llvm::isDigit(rest.front()))
      return rest.consumeInteger(10, number) ? std::nullopt
                                             : std::optional(Extent(number));
    llvm::StringRef name = rest.take_while([](char c) {
      return llvm::isAlnum(c) || c == '_' || c == '.' || c == ':';
    });
    if (name.empty())
      return std::nullopt;
    llvm::StringRef behind = rest.drop_front(name.size());
    std::string lower = name.lower();
    if (behind.ltrim().starts_with("(") &&
        llvm::is_contained({"max", "min", "equal", "less", "select"}, lower)) {
      rest = behind.ltrim().drop_front();
      return function(lower);
    }
    // An element of an input: its number in brackets belongs to the name.
    llvm::StringRef element = behind;
    if (element.consume_front("[") && element.consumeInteger(10, number) == 0 &&
        element.consume_front("]"))
      name = rest.drop_back(element.size());
    rest = rest.drop_front(name.size());
    return atoms ? atoms->symbol(name) : Extent(1);
  }

  std::optional<Extent> function(llvm::StringRef name) {
    llvm::SmallVector<Extent, 3> x;
    do {
      std::optional<Extent> operand = sum();
      if (!operand)
        return std::nullopt;
      x.push_back(*operand);
    } while (eat(","));
    if (!eat(")") || x.size() != (name == "select" ? 3 : 2))
      return std::nullopt;
    if (!atoms)
      return Extent(1);
    return name == "max"     ? atoms->max(x[0], x[1])
           : name == "min"   ? atoms->min(x[0], x[1])
           : name == "equal" ? atoms->equal(x[0], x[1])
           : name == "less"  ? atoms->less(x[0], x[1])
                             : atoms->select(x[0], x[1], x[2]);
  }

  llvm::StringRef rest;
  Atoms *atoms; ///< null while only the grammar is checked
};
} // namespace

Extent Atoms::parse(llvm::StringRef text) {
  if (!Parser(text, nullptr).whole())
    return symbol(text);
  if (std::optional<Extent> result = Parser(text, this).whole())
    return *result;
  return symbol(text);
}
