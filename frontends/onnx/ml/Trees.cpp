// Ensembles of decision trees. All trees are one table of nodes; an element
// walks it for as many steps as the deepest tree has, a leaf being its own
// child. What leaves are worth is a second table.
#include "frontends/onnx/Table.h"
#include "frontends/onnx/ml/Operators.h"
#include "llvm/ADT/DenseMap.h"
#include <cmath>
#include <set>

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// How a node compares a feature with its threshold.
enum class Mode { leq, lt, gte, gt, eq, neq, leaf, member };

struct Node {
  Mode mode = Mode::leaf;
  int64_t feature = 0;
  double threshold = 0;
  bool missingIsTrue = false;
  int64_t yes = 0, no = 0;
};

struct Weight {
  int64_t node, target;
  double value;
};

enum class Aggregate { sum, average, min, max };

struct Forest {
  std::vector<Node> nodes;
  std::vector<int64_t> roots;
  std::vector<Weight> weights;
  int64_t targets = 1;
  Aggregate aggregate = Aggregate::sum;
};

/// The longest way from a root to a leaf; an error where a way does not end.
int64_t depthOf(const Core &c, const Forest &forest) {
  // A way visits its nodes once, so that one longer than all nodes is endless.
  enum : int64_t { unknown = -2, open = -1 };
  std::vector<int64_t> depth(forest.nodes.size(), unknown);
  int64_t deepest = 0;
  for (int64_t root : forest.roots) {
    SmallVector<int64_t> way{root};
    while (!way.empty()) {
      int64_t at = way.back();
      const Node &node = forest.nodes[at];
      if (node.mode == Mode::leaf) {
        depth[at] = 0;
        way.pop_back();
        continue;
      }
      if (depth[at] >= 0) {
        way.pop_back();
        continue;
      }
      bool first = depth[at] == unknown;
      depth[at] = open;
      int64_t longest = 0;
      bool ready = true;
      for (int64_t child : {node.yes, node.no}) {
        if (depth[child] >= 0) {
          longest = std::max(longest, depth[child]);
          continue;
        }
        if (depth[child] == open || !first)
          c.fail("the trees have a cycle at node " + Twine(child));
        way.push_back(child);
        ready = false;
      }
      if (ready) {
        depth[at] = longest + 1;
        way.pop_back();
      }
    }
    deepest = std::max(deepest, depth[root]);
  }
  return deepest;
}

Scalar compare(Mode mode, const Scalar &x, const Scalar &threshold) {
  switch (mode) {
  case Mode::leq:
    return x <= threshold;
  case Mode::lt:
    return x < threshold;
  case Mode::gte:
    return x >= threshold;
  case Mode::gt:
    return x > threshold;
  case Mode::neq:
    return differ(x, threshold);
  default:
    return equal(x, threshold);
  }
}

/// For every row and tree the number of the leaf that the row ends at.
Tensor leavesOf(const Core &c, const Tensor &x, const Forest &forest,
                ArrayRef<int64_t> leafNumbers) {
  int64_t count = forest.nodes.size();
  std::vector<int64_t> features, children, modes, missing;
  std::vector<double> thresholds;
  std::set<Mode> used;
  bool hasMissing = false;
  for (const Node &node : forest.nodes) {
    features.push_back(node.feature);
    children.push_back(node.no);
    children.push_back(node.yes);
    modes.push_back(int64_t(node.mode));
    missing.push_back(node.missingIsTrue);
    thresholds.push_back(node.threshold);
    hasMissing |= node.missingIsTrue;
    if (node.mode != Mode::leaf)
      used.insert(node.mode);
    c.sizes.requireAtLeast(x.shape[1], node.feature + 1,
                           "the trees look at feature " + Twine(node.feature),
                           c.loc);
  }
  auto integers = [&](ArrayRef<int64_t> shape, ArrayRef<int64_t> numbers) {
    return c.value(integerTable(c, DType::i32, shape, numbers));
  };
  Value featureTable = integers({count}, features),
        childTable = integers({count, 2}, children),
        modeTable = used.size() > 1 ? integers({count}, modes) : Value(),
        missingTable = hasMissing ? integers({count}, missing) : Value(),
        leafTable = integers({count}, leafNumbers),
        thresholdTable = c.value(realTable(c, x.type, {count}, thresholds)),
        rootTable = integers({int64_t(forest.roots.size())}, forest.roots),
        table = c.value(x), zero = c.index(0), one = c.index(1),
        depth = c.index(depthOf(c, forest));
  auto read = [&](Body &body, Value from, ArrayRef<Scalar> at) {
    return c.extract(body, from, DType::i32, at);
  };
  Shape shape{x.shape[0], int64_t(forest.roots.size())};
  return c.generate(
      shape, DType::i64, {},
      [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
        Value start =
            convert(read(body, rootTable, {at[1]}), DType::index).emit();
        Value row = at[0].emit();
        auto walk = scf::ForOp::create(
            *body.builder, c.loc, zero, depth, one, start,
            [&](OpBuilder &inside, Location loc, Value, ValueRange carried) {
              Body step = c.body(&inside);
              Scalar node{&step, DType::index, carried[0], std::nullopt},
                  sample{&step, DType::index, row, std::nullopt};
              Scalar value =
                  c.extract(step, table, x.type,
                            {sample, read(step, featureTable, {node})});
              Scalar threshold =
                  c.extract(step, thresholdTable, x.type, {node});
              Scalar yes = Scalar::constant(step, DType::boolean, 0);
              if (modeTable) {
                Scalar mode = read(step, modeTable, {node});
                for (Mode one : used)
                  yes = yes | (equal(mode, mode.like(double(one))) &
                               compare(one, value, threshold));
              } else if (!used.empty()) {
                yes = compare(*used.begin(), value, threshold);
              }
              Scalar isMissing = differ(value, value);
              if (missingTable) {
                Scalar flag = read(step, missingTable, {node});
                yes = select(isMissing, differ(flag, flag.like(0)), yes);
              } else {
                yes = yes & ~isMissing;
              }
              Scalar next =
                  read(step, childTable, {node, convert(yes, DType::index)});
              scf::YieldOp::create(inside, loc,
                                   convert(next, DType::index).emit());
            });
        Scalar node{&body, DType::index, walk.getResult(0), std::nullopt};
        return convert(read(body, leafTable, {node}), DType::i64);
      });
}

/// The scores of all rows, [rows, targets], before base values.
Tensor scoresOf(const Core &c, const Tensor &x, const Forest &forest) {
  int64_t targets = forest.targets, trees = forest.roots.size();
  std::vector<int64_t> leafNumbers;
  int64_t leaves = 0;
  for (const Node &node : forest.nodes)
    leafNumbers.push_back(node.mode == Mode::leaf ? leaves++ : 0);
  if (leaves * targets > (int64_t(1) << 28))
    c.unsupported("a table of " + Twine(leaves) + " leaves and " +
                  Twine(targets) + " targets is too large");

  bool isMin = forest.aggregate == Aggregate::min,
       isMax = forest.aggregate == Aggregate::max;
  // What a leaf that does not know a target leaves as it is.
  double limit = x.type == DType::f64
                     ? std::numeric_limits<double>::max()
                     : double(std::numeric_limits<float>::max());
  double neutral = isMin ? limit : isMax ? -limit : 0;
  std::vector<double> worth(leaves * targets, neutral);
  for (const Weight &weight : forest.weights) {
    if (forest.nodes[weight.node].mode != Mode::leaf)
      continue;
    double &value = worth[leafNumbers[weight.node] * targets + weight.target];
    value = isMin   ? std::min(value, weight.value)
            : isMax ? std::max(value, weight.value)
                    : value + weight.value;
  }
  Tensor at = leavesOf(c, x, forest, leafNumbers);
  Value table = c.value(realTable(c, x.type, {leaves, targets}, worth));
  Tensor parts =
      c.generate({x.shape[0], trees, targets}, x.type, {c.unsqueeze(at, {2})},
                 [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> place) {
                   return c.extract(body, table, x.type, {v[0], place[2]});
                 });
  if (isMin || isMax)
    return c.reduce(parts, {1}, false, x.type, {0, neutral},
                    [&](const Scalar &v, const Scalar &best) {
                      return isMin ? minimum(v, best) : maximum(v, best);
                    });
  Tensor total = c.sum(parts, {1}, false);
  return forest.aggregate == Aggregate::average
             ? c.mul(total, 1.0 / double(trees))
             : total;
}

Aggregate aggregateOf(const Core &c, StringRef name) {
  std::optional<Aggregate> aggregate =
      llvm::StringSwitch<std::optional<Aggregate>>(name)
          .Case("SUM", Aggregate::sum)
          .Case("AVERAGE", Aggregate::average)
          .Case("MIN", Aggregate::min)
          .Case("MAX", Aggregate::max)
          .Default(std::nullopt);
  if (!aggregate)
    c.fail("aggregate_function '" + name +
           "' is not one of SUM, AVERAGE, MIN, MAX");
  return *aggregate;
}

/// The trees as TreeEnsembleClassifier and TreeEnsembleRegressor have them:
/// nodes are known by the numbers of their tree and of themselves. `of` begins
/// the names of the attributes of the weights.
Forest readTrees(const Core &c, const Site &s, StringRef of) {
  Forest forest;
  SmallVector<int64_t> trees = s.integers("nodes_treeids"),
                       ids = s.integers("nodes_nodeids"),
                       features = s.integers("nodes_featureids"),
                       yes = s.integers("nodes_truenodeids"),
                       no = s.integers("nodes_falsenodeids"),
                       missing = s.integers("nodes_missing_value_tracks_true");
  SmallVector<StringRef> modes = s.texts("nodes_modes");
  std::vector<double> values = s.numbers("nodes_values");
  if (values.empty())
    values = s.numbers("nodes_values_as_tensor");
  size_t count = trees.size();
  for (size_t other : {ids.size(), features.size(), yes.size(), no.size(),
                       modes.size(), values.size()})
    if (other != count)
      c.fail("the attributes of nodes have " + Twine(count) + " and " +
             Twine(other) + " elements");
  std::map<std::pair<int64_t, int64_t>, int64_t> places;
  std::set<int64_t> seen;
  for (size_t k = 0; k < count; ++k) {
    if (!places.try_emplace({trees[k], ids[k]}, k).second)
      c.fail("tree " + Twine(trees[k]) + " has two nodes " + Twine(ids[k]));
    if (seen.insert(trees[k]).second)
      forest.roots.push_back(k);
  }
  auto place = [&](int64_t tree, int64_t id) {
    auto found = places.find({tree, id});
    if (found == places.end())
      c.fail("tree " + Twine(tree) + " has no node " + Twine(id));
    return found->second;
  };
  for (size_t k = 0; k < count; ++k) {
    Node node;
    std::optional<Mode> mode = llvm::StringSwitch<std::optional<Mode>>(modes[k])
                                   .Case("BRANCH_LEQ", Mode::leq)
                                   .Case("BRANCH_LT", Mode::lt)
                                   .Case("BRANCH_GTE", Mode::gte)
                                   .Case("BRANCH_GT", Mode::gt)
                                   .Case("BRANCH_EQ", Mode::eq)
                                   .Case("BRANCH_NEQ", Mode::neq)
                                   .Case("LEAF", Mode::leaf)
                                   .Default(std::nullopt);
    if (!mode)
      c.fail("node mode '" + modes[k] + "' is not one that ONNX defines");
    node.mode = *mode;
    node.yes = node.no = k;
    if (node.mode != Mode::leaf) {
      node.feature = features[k];
      node.threshold = values[k];
      node.missingIsTrue = k < missing.size() && missing[k];
      node.yes = place(trees[k], yes[k]);
      node.no = place(trees[k], no[k]);
    }
    forest.nodes.push_back(node);
  }
  auto named = [&](StringRef name) { return (of + "_" + name).str(); };
  SmallVector<int64_t> weightTrees = s.integers(named("treeids")),
                       weightNodes = s.integers(named("nodeids")),
                       targets = s.integers(named("ids"));
  std::vector<double> weights = s.numbers(named("weights"));
  if (weights.empty())
    weights = s.numbers(named("weights_as_tensor"));
  for (size_t other : {weightNodes.size(), targets.size(), weights.size()})
    if (other != weightTrees.size())
      c.fail("the attributes of weights have " + Twine(weightTrees.size()) +
             " and " + Twine(other) + " elements");
  for (size_t k = 0; k < weights.size(); ++k)
    forest.weights.push_back(
        {place(weightTrees[k], weightNodes[k]), targets[k], weights[k]});
  return forest;
}

void checkTargets(const Core &c, const Forest &forest) {
  for (const Weight &weight : forest.weights)
    if (weight.target < 0 || weight.target >= forest.targets)
      c.fail("a weight is for target " + Twine(weight.target) +
             ", but there are " + Twine(forest.targets));
  if (forest.roots.empty())
    c.fail("there are no trees");
  for (const Node &node : forest.nodes)
    if (node.feature < 0)
      c.fail("a node looks at feature " + Twine(node.feature));
}

std::vector<double> baseValuesOf(const Site &s) {
  std::vector<double> values = s.numbers("base_values");
  return values.empty() ? s.numbers("base_values_as_tensor") : values;
}

Tensor importRegressor(const Core &c, const Site &s) {
  Tensor x = featuresOf(c, s[0]);
  Forest forest = readTrees(c, s, "target");
  forest.targets = s.integer("n_targets", 1);
  forest.aggregate = aggregateOf(c, s.text("aggregate_function", "SUM"));
  checkTargets(c, forest);
  Tensor scores = scoresOf(c, x, forest);
  std::vector<double> base = baseValuesOf(s);
  if (!base.empty()) {
    if (base.size() != 1 && int64_t(base.size()) != forest.targets)
      c.fail("there are " + Twine(base.size()) + " base values for " +
             Twine(forest.targets) + " targets");
    scores = c.add(scores, realTable(c, x.type, {int64_t(base.size())}, base));
  }
  return c.cast(postTransform(c, scores, postTransformOf(c, s)), DType::f32);
}

/// Labels and scores. Where of two classes only one has weights, its score
/// decides: the second class is taken from 0 on, or from a half on if no weight
/// is negative, which makes the score a probability. The score of the first
/// class says both.
SmallVector<Tensor> importClassifier(const Core &c, const Site &s) {
  Tensor x = featuresOf(c, s[0]);
  Labels labels = labelsOf(s, "classlabels_int64s");
  StringRef how = postTransformOf(c, s);
  Forest forest = readTrees(c, s, "class");
  forest.targets = labels.size();
  checkTargets(c, forest);
  std::set<int64_t> classes;
  bool arePositive = true;
  for (const Weight &weight : forest.weights) {
    classes.insert(weight.target);
    arePositive &= weight.value >= 0;
  }
  std::vector<double> base = baseValuesOf(s);
  if (base.size() > 1 && base.size() != labels.size())
    c.fail("there are " + Twine(base.size()) + " base values for " +
           Twine(labels.size()) + " classes");
  auto withBase = [&](const Tensor &scores) {
    return base.empty()
               ? scores
               : c.add(scores,
                       realTable(c, x.type, {int64_t(base.size())}, base));
  };
  if (labels.size() > 2 || classes.size() != 1) {
    Tensor scores = withBase(scoresOf(c, x, forest));
    return {pickLabels(c, bestColumn(c, scores), labels),
            c.cast(postTransform(c, scores, how), DType::f32)};
  }

  int64_t scored = *classes.begin();
  forest.targets = 1;
  for (Weight &weight : forest.weights)
    weight.target = 0;
  if (base.size() == 2)
    base = {base[scored]};
  if (labels.size() == 1 && labels.areStrings())
    labels.strings.insert(labels.strings.begin(), "0");
  else if (labels.size() == 1)
    labels.integers.insert(labels.integers.begin(), 0);
  Tensor score = withBase(scoresOf(c, x, forest));
  Tensor isSecond =
      c.map({c.squeeze(score, {1})}, DType::i64, [&](ArrayRef<Scalar> v) {
        return convert(v[0] > (arePositive ? 0.5 : 0.0), DType::i64);
      });
  // The other class has the score 0 if it is the first, and else is what is
  // left of the probability or the negative.
  bool isLeft = arePositive && how != "LOGISTIC" && how != "PROBIT";
  Tensor both = c.generate(
      {x.shape[0], 2}, x.type, {score},
      [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        Scalar other = scored ? v[0].like(0) : isLeft ? 1.0 - v[0] : -v[0];
        return select(equal(at[1], at[1].like(0)), other, v[0]);
      });
  if (scored || how == "LOGISTIC" || how == "PROBIT")
    both = postTransform(c, both, how);
  return {pickLabels(c, isSecond, labels), c.cast(both, DType::f32)};
}

/// The trees as TreeEnsemble has them: nodes and leaves are numbered apart, and
/// children are known by position. A node that asks for one of several values
/// becomes a chain of nodes that ask for one.
Tensor importTreeEnsemble(const Core &c, const Site &s) {
  Tensor x = featuresOf(c, s[0]);
  Forest forest;
  SmallVector<int64_t> features = s.integers("nodes_featureids"),
                       yes = s.integers("nodes_truenodeids"),
                       no = s.integers("nodes_falsenodeids"),
                       yesIsLeaf = s.integers("nodes_trueleafs"),
                       noIsLeaf = s.integers("nodes_falseleafs"),
                       missing = s.integers("nodes_missing_value_tracks_true"),
                       targets = s.integers("leaf_targetids"),
                       roots = s.integers("tree_roots");
  std::vector<double> modes = s.numbers("nodes_modes"),
                      splits = s.numbers("nodes_splits"),
                      weights = s.numbers("leaf_weights"),
                      members = s.numbers("membership_values");
  int64_t count = features.size(), leaves = weights.size();
  for (size_t other : {yes.size(), no.size(), yesIsLeaf.size(), noIsLeaf.size(),
                       modes.size(), splits.size()})
    if (int64_t(other) != count)
      c.fail("the attributes of nodes have " + Twine(count) + " and " +
             Twine(other) + " elements");
  if (int64_t(targets.size()) != leaves)
    c.fail("there are " + Twine(leaves) + " leaf weights and " +
           Twine(targets.size()) + " leaf targets");
  // Nodes first, then leaves, then the rest of the chains.
  auto child = [&](int64_t at, bool isLeaf) {
    if (at < 0 || at >= (isLeaf ? leaves : count))
      c.fail("a node has the child " + Twine(at) + " of " +
             Twine(isLeaf ? leaves : count));
    return isLeaf ? count + at : at;
  };
  for (int64_t k = 0; k < count; ++k) {
    if (modes[k] < 0 || modes[k] > 6)
      c.fail("node mode " + Twine(int64_t(modes[k])) +
             " is not one that ONNX defines");
    Mode mode = modes[k] == 6 ? Mode::member : Mode(int64_t(modes[k]));
    forest.nodes.push_back({mode, features[k], splits[k],
                            k < int64_t(missing.size()) && missing[k] != 0,
                            child(yes[k], yesIsLeaf[k]),
                            child(no[k], noIsLeaf[k])});
  }
  for (int64_t k = 0; k < leaves; ++k) {
    Node leaf;
    leaf.yes = leaf.no = count + k;
    forest.nodes.push_back(leaf);
    forest.weights.push_back({count + k, targets[k], weights[k]});
  }
  size_t next = 0;
  for (int64_t k = 0; k < count; ++k) {
    if (forest.nodes[k].mode != Mode::member)
      continue;
    Node node = forest.nodes[k];
    node.mode = Mode::eq;
    SmallVector<double> values;
    for (; next < members.size() && !std::isnan(members[next]); ++next)
      values.push_back(members[next]);
    if (next++ >= members.size() || values.empty())
      c.fail("membership_values has no values, ended by NaN, for node " +
             Twine(k));
    int64_t at = k;
    for (auto [v, value] : llvm::enumerate(values)) {
      bool isLast = v + 1 == values.size();
      node.threshold = value;
      Node link = node;
      if (!isLast)
        link.no = forest.nodes.size();
      forest.nodes[at] = link;
      if (!isLast) {
        at = forest.nodes.size();
        forest.nodes.push_back(link);
      }
    }
  }
  for (int64_t root : roots) {
    if (root < 0 || root >= count)
      c.fail("a tree begins at node " + Twine(root) + " of " + Twine(count));
    // A tree that is nothing but a leaf is written as a node with that leaf on
    // both sides.
    forest.roots.push_back(root);
  }
  forest.targets = s.integer("n_targets", 1);
  int64_t aggregate = s.integer("aggregate_function", 1);
  const Aggregate order[] = {Aggregate::average, Aggregate::sum, Aggregate::min,
                             Aggregate::max};
  if (aggregate < 0 || aggregate > 3)
    c.fail("aggregate_function " + Twine(aggregate) +
           " is not one that ONNX defines");
  forest.aggregate = order[aggregate];
  checkTargets(c, forest);
  const StringRef transforms[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO",
                                  "PROBIT"};
  int64_t how = s.integer("post_transform", 0);
  if (how < 0 || how > 4)
    c.fail("post_transform " + Twine(how) + " is not one that ONNX defines");
  return c.cast(postTransform(c, scoresOf(c, x, forest), transforms[how]),
                s[0].type);
}
} // namespace

void fulgur::onnx::registerMlTrees(OpTable &ops) {
  ops["ai.onnx.ml::TreeEnsemble"] = importTreeEnsemble;
  ops["ai.onnx.ml::TreeEnsembleClassifier"] = importClassifier;
  ops["ai.onnx.ml::TreeEnsembleRegressor"] = importRegressor;
}
