// Einstein summation, two operands at a time: each pair is brought by
// transposes into the form of a batched matrix product, so that the kernels of
// products serve; what sums nothing is an elementwise product.
// https://numpy.org/doc/stable/reference/generated/numpy.einsum.html
#include "frontends/onnx/Core.h"
#include <map>

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// Letters name themselves; the dims of an ellipsis are numbered from the last
/// one, behind all letters.
using Label = int;
constexpr Label kEllipsis = 256;
using Labels = SmallVector<Label, 4>;

bool has(ArrayRef<Label> labels, Label label) {
  return llvm::is_contained(labels, label);
}

struct Operand {
  Tensor x;
  Labels labels; ///< one for each dim
};

class Einsum {
public:
  Einsum(const Core &c, const Site &s) : c(c) {
    std::string equation = s.text("equation", "").str();
    llvm::erase(equation, ' ');
    auto [left, right] = StringRef(equation).split("->");
    isExplicit = StringRef(equation).contains("->");
    SmallVector<StringRef> terms;
    left.split(terms, ',');
    if (terms.size() != s.size())
      c.fail("the equation '" + equation + "' has " + Twine(terms.size()) +
             " terms, but there are " + Twine(s.size()) + " inputs");
    for (auto [k, term] : llvm::enumerate(terms))
      operands.push_back({s[k], labelsOf(term, s[k].rank())});
    output = isExplicit ? labelsOf(right, -1) : implicitOutput();
    for (Label label : output) {
      if (llvm::count(output, label) > 1)
        c.fail("the equation '" + equation +
               "' names a dim of the result twice");
      if (label < kEllipsis && !isUsed(label, 0))
        c.fail("the equation '" + equation +
               "' has a dim in the result that no input has");
    }
  }

  Tensor run() {
    DType type = operands[0].x.type;
    for (Operand &operand : operands) {
      if (operand.x.type != type)
        c.fail("inputs are of types " + name(type) + " and " +
               name(operand.x.type));
      // Products of products are rounded once, not after each.
      if (isHalf(type) && operands.size() > 2)
        operand.x = c.cast(operand.x, DType::f32);
      takeDiagonal(operand);
    }
    broadcastUnits();
    Operand result = operands[0];
    sumOut(result, 1);
    for (size_t k = 1; k < operands.size(); ++k) {
      sumOut(operands[k], k + 1, &result);
      result = contract(result, operands[k], k + 1);
    }
    return c.cast(ordered(result, output), type);
  }

private:
  /// The labels of a term; `rank` says how many dims the ellipsis is, for the
  /// result (-1) as many as the inputs have.
  Labels labelsOf(StringRef term, int64_t rank) {
    Labels labels;
    size_t dots = term.find("...");
    int64_t letters = dots == StringRef::npos ? term.size() : term.size() - 3;
    int64_t hidden = rank < 0 ? ellipsis : rank - letters;
    if (rank >= 0 && (hidden < 0 || (hidden && dots == StringRef::npos)))
      c.fail("the term '" + term + "' does not fit an input of rank " +
             Twine(rank));
    for (size_t k = 0; k < term.size(); ++k) {
      if (k == dots) {
        for (int64_t dim = hidden; dim-- > 0;)
          labels.push_back(kEllipsis + dim);
        ellipsis = std::max(ellipsis, hidden);
        k += 2;
      } else if (llvm::isAlpha(term[k])) {
        labels.push_back(term[k]);
      } else {
        c.fail("the term '" + term + "' has '" + Twine(term[k]) +
               "', which is no label");
      }
    }
    return labels;
  }

  /// The dims of the ellipsis, then all labels that appear once, in the order
  /// of the alphabet.
  Labels implicitOutput() {
    std::map<Label, int> count;
    for (const Operand &operand : operands)
      for (Label label : operand.labels)
        ++count[label];
    Labels labels;
    for (int64_t dim = ellipsis; dim-- > 0;)
      labels.push_back(kEllipsis + dim);
    for (auto [label, times] : count)
      if (label < kEllipsis && times == 1)
        labels.push_back(label);
    return labels;
  }

  /// Whether an operand from `first` on has the label.
  bool isUsed(Label label, size_t first) const {
    return llvm::any_of(ArrayRef(operands).drop_front(first),
                        [&](const Operand &o) { return has(o.labels, label); });
  }
  /// Whether the label is needed behind the operands before `next`.
  bool isKept(Label label, size_t next) const {
    return has(output, label) || isUsed(label, next);
  }

  /// Where a label repeats, the elements at which its dims agree.
  void takeDiagonal(Operand &operand) {
    Labels labels;
    Shape shape;
    for (auto [label, size] : llvm::zip(operand.labels, operand.x.shape)) {
      auto *before = llvm::find(labels, label);
      if (before == labels.end()) {
        labels.push_back(label);
        shape.push_back(size);
      } else {
        c.requireEqual(shape[before - labels.begin()], size);
      }
    }
    if (labels.size() == operand.labels.size())
      return;
    Value table = c.value(operand.x);
    DType type = operand.x.type;
    operand.x = c.generate(
        shape, type, {},
        [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
          SmallVector<Scalar> from;
          for (Label label : operand.labels)
            from.push_back(at[llvm::find(labels, label) - labels.begin()]);
          return c.extract(body, table, type, from);
        });
    operand.labels = labels;
  }

  /// Dims of size 1 that meet larger ones of the same label are dropped: they
  /// broadcast.
  void broadcastUnits() {
    std::map<Label, Extent> sizes;
    for (const Operand &operand : operands)
      for (auto [label, size] : llvm::zip(operand.labels, operand.x.shape)) {
        Extent simple = c.sizes.atoms.simplify(size);
        auto [known, isNew] = sizes.try_emplace(label, simple);
        if (!isNew && known->second.is(1))
          known->second = simple;
      }
    for (Operand &operand : operands) {
      SmallVector<int64_t> units;
      Labels labels;
      for (auto [k, label] : llvm::enumerate(operand.labels)) {
        const Extent &size = sizes[label];
        if (c.sizes.atoms.simplify(operand.x.shape[k]).is(1) && !size.is(1)) {
          units.push_back(k);
          continue;
        }
        c.requireEqual(operand.x.shape[k], size);
        labels.push_back(label);
      }
      operand.x = c.squeeze(operand.x, units);
      operand.labels = labels;
    }
  }

  /// Sums over the labels that nothing else has.
  void sumOut(Operand &operand, size_t next,
              const Operand *partner = nullptr) const {
    SmallVector<int64_t> axes;
    Labels labels;
    for (auto [k, label] : llvm::enumerate(operand.labels))
      if (isKept(label, next) || (partner && has(partner->labels, label)))
        labels.push_back(label);
      else
        axes.push_back(k);
    if (axes.empty())
      return;
    operand = {c.sum(operand.x, axes, false), labels};
  }

  /// The operand with its dims in the order of `labels`; dims that it lacks
  /// have the size 1.
  Tensor ordered(const Operand &operand, ArrayRef<Label> labels) const {
    SmallVector<int64_t> permutation, missing;
    for (auto [k, label] : llvm::enumerate(labels)) {
      const auto *found = llvm::find(operand.labels, label);
      if (found == operand.labels.end())
        missing.push_back(k);
      else
        permutation.push_back(found - operand.labels.begin());
    }
    Tensor x = llvm::is_sorted(permutation)
                   ? operand.x
                   : c.transpose(operand.x, permutation);
    return missing.empty() ? x : c.unsqueeze(x, missing);
  }

  Operand contract(const Operand &a, const Operand &b, size_t next) const {
    Labels batch, rows, columns, inner;
    for (Label label : a.labels)
      (!has(b.labels, label) ? rows
       : isKept(label, next) ? batch
                             : inner)
          .push_back(label);
    for (Label label : b.labels)
      if (!has(a.labels, label))
        columns.push_back(label);
    // A sum that one side does not need is done before the product.
    Operand left = a;
    sumOut(left, next, &b);
    llvm::erase_if(rows, [&](Label label) { return !has(left.labels, label); });

    Labels result = batch;
    llvm::append_range(result, rows);
    llvm::append_range(result, columns);
    if (inner.empty())
      return {c.mul(ordered(left, result), ordered(b, result)), result};
    if (rows.empty() && columns.empty()) {
      Labels all = batch;
      llvm::append_range(all, inner);
      SmallVector<int64_t> axes =
          llvm::to_vector(llvm::seq<int64_t>(batch.size(), all.size()));
      return {c.sum(c.mul(ordered(left, all), ordered(b, all)), axes, false),
              batch};
    }
    auto sizes = [&](const Operand &operand, ArrayRef<Label> labels) {
      Shape shape;
      for (Label label : labels)
        shape.push_back(operand.x.shape[llvm::find(operand.labels, label) -
                                        operand.labels.begin()]);
      return shape;
    };
    auto matrices = [&](const Operand &operand, ArrayRef<Label> first,
                        ArrayRef<Label> second) {
      Labels order = batch;
      order.append(first.begin(), first.end());
      order.append(second.begin(), second.end());
      Shape shape;
      if (!batch.empty())
        shape.push_back(product(sizes(operand, batch)));
      shape.push_back(product(sizes(operand, first)));
      shape.push_back(product(sizes(operand, second)));
      return c.reshape(ordered(operand, order), shape);
    };
    Tensor product =
        c.matmul(matrices(left, rows, inner), matrices(b, inner, columns));
    Shape shape = sizes(left, batch);
    llvm::append_range(shape, sizes(left, rows));
    llvm::append_range(shape, sizes(b, columns));
    return {c.reshape(product, shape), result};
  }

  const Core &c;
  bool isExplicit;
  int64_t ellipsis = 0; ///< how many dims it is at most
  SmallVector<Operand> operands;
  Labels output;
};

Tensor importEinsum(const Core &c, const Site &s) { return Einsum(c, s).run(); }
} // namespace

void fulgur::onnx::registerEinsum(OpTable &ops) {
  ops["Einsum"] = importEinsum;
}
