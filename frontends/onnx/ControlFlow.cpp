// If, Loop and Scan: branches and loops of the driver. Their graphs are
// imported where they stand, so that they see the values around them.
#include "frontends/onnx/Driver.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "onnx/onnx_pb.h"
#include "llvm/ADT/ScopeExit.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::onnx;

namespace {

Value integer(const Core &c, int64_t number) {
  return arith::ConstantOp::create(c.program.driver, c.loc,
                                   c.program.driver.getI64IntegerAttr(number));
}

/// The number in a tensor of one integer or BOOL, for the driver.
Value read(const Core &c, const Tensor &x) {
  if (x.known() && x.known()->size() == 1)
    if (auto number = x.known()->front().integer.constant())
      return integer(c, *number);
  Value value = c.outside(x);
  return ReadOp::create(c.program.driver, c.loc, c.program.driver.getI64Type(),
                        value);
}

Tensor write(const Core &c, Value number, DType type) {
  OpBuilder &b = c.program.driver;
  return c.inside(WriteOp::create(b, c.loc, ValueType::get(b.getContext()),
                                  number, b.getI32IntegerAttr(int(type)),
                                  b.getI32IntegerAttr(0)),
                  type, {});
}

Value isNot(const Core &c, Value number, int64_t other) {
  return arith::CmpIOp::create(c.program.driver, c.loc,
                               arith::CmpIPredicate::ne, number,
                               integer(c, other));
}

/// Whether a known BOOL is the one asked for.
bool isKnown(const Tensor &x, bool wanted) {
  return x && x.known() && x.known()->size() == 1 &&
         x.known()->front().integer.is(wanted);
}

/// A value that has come out of a branch or a loop: of what `like` is, with the
/// dims of `like` where `keep` says that they still hold, and new ones
/// elsewhere.
Tensor joined(const Core &c, Value value, const Tensor &like,
              llvm::function_ref<bool(size_t axis)> keep, StringRef name) {
  Tensor result = c.inside(value, like.type, like.shape);
  result.sequence = like.sequence;
  result.optional = like.optional;
  result.ranked = like.ranked;
  result.empty = like.empty;
  if (!like.isTensor())
    return result;
  for (auto [axis, size] : llvm::enumerate(result.shape))
    if (!keep(axis))
      size = c.program.defineDim((name + "." + Twine(axis)).str(), value, axis,
                                 c.loc);
  return result;
}

/// Ends unless the two are the same kind of value.
void requireSameKind(const Core &c, const Tensor &a, const Tensor &b,
                     StringRef place) {
  if (a.type != b.type || a.sequence != b.sequence)
    c.fail(place + " are of different types");
  if (a.isTensor() && b.isTensor() && a.rank() != b.rank())
    c.unsupported(place + " have " + Twine(a.rank()) + " and " +
                  Twine(b.rank()) +
                  " dims, but the number of dims must be known before the "
                  "model runs");
}

/// Lets what is said of a sequence's elements hold for those of `other` too;
/// whether that says less than before.
bool widen(Tensor &sequence, const Tensor &other) {
  // What is there stands for an optional that has it.
  if (other.optional && !sequence.optional)
    return sequence.optional = true;
  if (other.empty || (!sequence.ranked && !sequence.empty) ||
      (sequence.ranked && other.ranked && !sequence.empty &&
       sequence.rank() == other.rank()))
    return false;
  bool same = sequence.empty && other.ranked;
  sequence.ranked = same;
  sequence.shape.resize(same ? other.rank() : 0);
  sequence.empty = false;
  return true;
}

/// Whether a size that was computed inside means the same outside.
bool isOlder(const Core &c, const Extent &size, const Program::Facts &outside) {
  const Atoms &before = outside.sizes.atoms;
  Extent simple = c.sizes.atoms.simplify(size);
  std::function<bool(const Extent &)> older = [&](const Extent &e) {
    return llvm::all_of(e.terms(), [&](const Extent::Term &term) {
      return llvm::all_of(term.factors,
                          [&](unsigned id) { return id < before.size(); });
    });
  };
  return older(simple);
}

/// The element of `x`, which is `value` in the driver, with the number `index`
/// along the axis.
Tensor elementOf(const Core &c, Value value, const Tensor &x, int64_t axis,
                 Value index) {
  Shape shape(x.shape);
  shape.erase(shape.begin() + axis);
  Value slice =
      step(c, "take", value, {c.program.driver.getI32IntegerAttr(axis)}, index);
  return c.inside(slice, x.type, shape);
}

//===-- If ----------------------------------------------------------------===//

SmallVector<Tensor> importIf(const Core &c, const Site &s) {
  const ::onnx::GraphProto &yes = s.graph("then_branch"),
                           &no = s.graph("else_branch");
  if (isKnown(s[0], true))
    return s.import(yes, {});
  if (isKnown(s[0], false))
    return s.import(no, {});

  Value condition = isNot(c, read(c, s[0]), 0);
  OpBuilder &driver = c.program.driver;
  c.program.cut(c.loc);
  Program::Facts facts = c.program.facts();
  // The branches are filled first: only then is known what they give.
  auto draft = scf::IfOp::create(driver, c.loc, TypeRange(), condition,
                                 /*withElseRegion=*/true);
  Region *regions[] = {&draft.getThenRegion(), &draft.getElseRegion()};
  SmallVector<Tensor> results[2];
  SmallVector<Value> values[2];
  SmallVector<SmallVector<bool>> holds[2];
  const ::onnx::GraphProto *graphs[] = {&yes, &no};
  for (auto [k, graph] : llvm::enumerate(graphs)) {
    OpBuilder::InsertionGuard guard(driver);
    regions[k]->getBlocks().clear();
    driver.createBlock(regions[k]);
    c.program.enter();
    results[k] = s.import(*graph, {});
    for (const Tensor &x : results[k])
      values[k].push_back(c.outside(x));
    for (Tensor &x : results[k]) {
      SmallVector<bool> &dims = holds[k].emplace_back();
      for (Extent &size : x.shape) {
        size = c.sizes.atoms.simplify(size);
        dims.push_back(isOlder(c, size, facts));
      }
    }
    c.program.leave(facts, c.loc);
    scf::YieldOp::create(driver, c.loc, values[k]);
  }
  if (results[0].size() != results[1].size())
    c.fail("its branches have " + Twine(results[0].size()) + " and " +
           Twine(results[1].size()) + " outputs");
  auto branch =
      scf::IfOp::create(driver, c.loc, ValueRange(values[0]).getTypes(),
                        condition, /*withElseRegion=*/true);
  branch.getThenRegion().takeBody(*regions[0]);
  branch.getElseRegion().takeBody(*regions[1]);
  draft.erase();
  SmallVector<Tensor> out;
  for (size_t k = 0; k < results[0].size(); ++k) {
    const Tensor &a = results[0][k], &b = results[1][k];
    requireSameKind(c, a, b,
                    ("outputs " + Twine(k) + " of its branches").str());
    Tensor like = a;
    if (!a.isTensor() || !b.isTensor())
      widen(like, b);
    out.push_back(joined(
        c, branch.getResult(k), like,
        [&](size_t axis) {
          return a.isTensor() && b.isTensor() && holds[0][k][axis] &&
                 holds[1][k][axis] && a.shape[axis] == b.shape[axis];
        },
        s.result()));
  }
  return out;
}

//===-- Loops -------------------------------------------------------------===//

/// What a loop's graph is called with and what came of it.
struct Round {
  SmallVector<Tensor> next;    ///< of the states
  SmallVector<Tensor> stacked; ///< one slice of every stacked output
  Value more;                  ///< i64: 0 to stop
};

/// One loop of the driver.
struct LoopSpec {
  Value count; ///< i64: how many rounds at most
  Value first; ///< i64: whether to start at all
  SmallVector<Tensor> states;
  size_t numStacked;
  SmallVector<bool> reversed; ///< stacked outputs that grow at the front
  SmallVector<int64_t> axes;  ///< along which outputs are stacked
  /// What the model states of a slice of each; there may be none.
  SmallVector<const ::onnx::ValueInfoProto *> stated;
  /// Imports the graph for the round with the number `at` (an i64).
  std::function<Round(Value at, ArrayRef<Tensor> states)> body;
};

/// The size that the model states; -1 if it does not.
int64_t statedSize(const ::onnx::ValueInfoProto &value, int64_t rank,
                   int64_t axis) {
  const ::onnx::TensorShapeProto &shape = value.type().tensor_type().shape();
  return shape.dim_size() == rank && shape.dim(axis).has_dim_value()
             ? shape.dim(axis).dim_value()
             : -1;
}

/// Imports the body once for states whose dims stay what they are, except for
/// those that turned out to change, and says which did.
///
/// Which dims a round changes is known only when its graph is imported with an
/// assumption about them: at first that none changes. Rounds that break it are
/// imported again; what they have built so far is never run.
SmallVector<Tensor> importLoop(const Core &c, const Site &s, LoopSpec &loop) {
  OpBuilder &driver = c.program.driver;
  MLIRContext *context = driver.getContext();
  SmallVector<Value> inits{integer(c, 0), loop.first};
  for (const Tensor &state : loop.states)
    inits.push_back(c.outside(state));
  c.program.cut(c.loc);
  Program::Facts facts = c.program.facts();

  SmallVector<Tensor> assumed = loop.states;
  SmallVector<SmallVector<bool>> changes;
  for (const Tensor &state : loop.states)
    changes.emplace_back(state.shape.size(), false);
  SmallVector<Type> types = llvm::to_vector(ValueRange(inits).getTypes());
  SmallVector<Location> places(types.size(), c.loc);
  SmallVector<Tensor> slices;
  SmallVector<Value> stacks; ///< sequences that grow by one slice a round
  SmallVector<SmallVector<bool>> sliceHolds;
  scf::WhileOp result;
  for (bool again = true; again;) {
    again = false;
    OpBuilder::InsertionGuard guard(driver);
    stacks.clear();
    result = scf::WhileOp::create(driver, c.loc, types, inits);
    Block *before = driver.createBlock(&result.getBefore(), {}, types, places);
    Value inside =
        arith::CmpIOp::create(driver, c.loc, arith::CmpIPredicate::slt,
                              before->getArgument(0), loop.count);
    Value go = isNot(c, before->getArgument(1), 0);
    Value both = arith::AndIOp::create(driver, c.loc, inside, go);
    scf::ConditionOp::create(driver, c.loc, both, before->getArguments());

    Block *after = driver.createBlock(&result.getAfter(), {}, types, places);
    c.program.enter();
    SmallVector<Tensor> states;
    for (auto [k, init] : llvm::enumerate(assumed))
      states.push_back(joined(
          c, after->getArgument(k + 2), init,
          [&](size_t axis) { return !changes[k][axis]; }, s.nameOf(k + 2)));
    Round round = loop.body(after->getArgument(0), states);
    SmallVector<Value> yields{arith::AddIOp::create(driver, c.loc,
                                                    after->getArgument(0),
                                                    integer(c, 1)),
                              round.more};
    for (auto [k, next] : llvm::enumerate(round.next)) {
      requireSameKind(
          c, states[k], next,
          ("state " + Twine(k) + " before and after a round").str());
      yields.push_back(c.outside(next));
      if (!states[k].isTensor() || !next.isTensor()) {
        if (states[k].isTensor())
          c.unsupported("the rank of state " + Twine(k) +
                        " is not known before the model runs");
        if (widen(assumed[k], next)) {
          changes[k].resize(assumed[k].shape.size());
          again = true;
        }
        continue;
      }
      for (size_t axis = 0; axis < next.shape.size(); ++axis)
        if (!changes[k][axis] &&
            !c.sizes.atoms.knownEqual(next.shape[axis], states[k].shape[axis]))
          again = changes[k][axis] = true;
    }
    slices = round.stacked;
    sliceHolds.clear();
    SmallVector<Value> parts;
    for (Tensor &slice : slices) {
      parts.push_back(c.outside(slice));
      SmallVector<bool> &dims = sliceHolds.emplace_back();
      for (Extent &size : slice.shape) {
        size = c.sizes.atoms.simplify(size);
        dims.push_back(isOlder(c, size, facts));
      }
    }
    {
      OpBuilder::InsertionGuard back(driver);
      driver.setInsertionPoint(result);
      for (const Tensor &slice : slices)
        stacks.push_back(step(c, "sequence_empty", {},
                              {driver.getI32IntegerAttr(int(slice.type))}));
    }
    for (auto [k, part] : llvm::enumerate(parts))
      StepOp::create(driver, c.loc, TypeRange(),
                     driver.getStringAttr(loop.reversed[k] ? "sequence_prepend"
                                                           : "sequence_append"),
                     ValueRange{stacks[k], part}, ValueRange(),
                     driver.getArrayAttr({}));
    c.program.leave(facts, c.loc);
    scf::YieldOp::create(driver, c.loc, yields);
    if (again)
      c.program.discard(result);
  }
  driver.setInsertionPointAfter(result);
  SmallVector<Tensor> out;
  for (auto [k, state] : llvm::enumerate(assumed))
    out.push_back(joined(
        c, result.getResult(k + 2), state,
        [&](size_t axis) { return !changes[k][axis]; }, s.nameOf(k + 2)));
  for (auto [k, slice] : llvm::enumerate(slices)) {
    if (!slice.isTensor())
      c.unsupported("stacked output " + Twine(k) +
                    " is not a tensor whose rank is known");
    int64_t axis = c.axis(loop.axes[k], slice.rank() + 1);
    SmallVector<int64_t> dims;
    // Without a round nobody knows the other sizes.
    for (auto [at, size] : llvm::enumerate(slice.shape))
      dims.push_back(size.constant().value_or(
          k < loop.stated.size() ? statedSize(*loop.stated[k], slice.rank(), at)
                                 : -1));
    Value whole = step(c, "stack", stacks[k],
                       {driver.getI32IntegerAttr(axis),
                        driver.getI32IntegerAttr(int(slice.type)),
                        driver.getI32IntegerAttr(slice.rank()),
                        DenseI64ArrayAttr::get(context, dims)});
    Tensor like = slice;
    like.shape.insert(like.shape.begin() + axis, Extent());
    out.push_back(joined(
        c, whole, like,
        [&](size_t at) {
          return int64_t(at) != axis &&
                 sliceHolds[k][int64_t(at) < axis ? at : at - 1];
        },
        s.result()));
  }
  return out;
}

SmallVector<Tensor> importLoopOp(const Core &c, const Site &s) {
  const ::onnx::GraphProto &graph = s.graph("body");
  LoopSpec loop;
  for (size_t k = 2; k < s.size(); ++k)
    loop.states.push_back(s[k]);
  if (graph.input_size() != int(loop.states.size()) + 2)
    c.fail("its graph has " + Twine(graph.input_size()) + " inputs, but gets " +
           Twine(loop.states.size() + 2));
  if (graph.output_size() < int(loop.states.size()) + 1)
    c.fail("its graph has " + Twine(graph.output_size()) +
           " outputs, fewer than the condition and " +
           Twine(loop.states.size()) + " states");
  c.program.split();
  loop.count = s[0] ? read(c, s[0]) : integer(c, Atoms::kMax);
  loop.first = s[1] ? read(c, s[1]) : integer(c, 1);
  loop.numStacked = graph.output_size() - 1 - loop.states.size();
  loop.axes.assign(loop.numStacked, 0);
  loop.reversed.assign(loop.numStacked, false);
  for (size_t k = 0; k < loop.numStacked; ++k)
    loop.stated.push_back(&graph.output(int(k + 1 + loop.states.size())));
  loop.body = [&](Value at, ArrayRef<Tensor> states) {
    SmallVector<Tensor> in{write(c, at, DType::i64),
                           c.scalar(DType::boolean, 1)};
    llvm::append_range(in, states);
    SmallVector<Tensor> out = s.import(graph, in);
    Round round;
    round.more = read(c, out[0]);
    ArrayRef<Tensor> rest = ArrayRef(out).drop_front();
    round.next.assign(rest.begin(), rest.begin() + states.size());
    round.stacked.assign(rest.begin() + states.size(), rest.end());
    return round;
  };
  return importLoop(c, s, loop);
}

/// What a Scan goes through.
struct ScanSpec {
  SmallVector<Tensor> states, inputs;
  SmallVector<int64_t> axes, backwards;       ///< of the inputs
  SmallVector<int64_t> outAxes, outBackwards; ///< of the stacked outputs
  Value count; ///< i64: how many elements; null: all of them
};

/// One scan: a loop whose graph gets the states and an element of every input.
SmallVector<Tensor> importScanLoop(const Core &c, const Site &s,
                                   ScanSpec &scan) {
  const ::onnx::GraphProto &graph = s.graph("body");
  OpBuilder &driver = c.program.driver;
  LoopSpec loop;
  loop.states = scan.states;
  loop.axes = scan.outAxes;
  loop.reversed.assign(scan.outBackwards.begin(), scan.outBackwards.end());
  loop.numStacked = scan.outAxes.size();
  for (size_t k = 0; k < loop.numStacked; ++k)
    loop.stated.push_back(&graph.output(int(k + scan.states.size())));
  SmallVector<Value> inputs;
  std::optional<Extent> length;
  for (auto [k, x] : llvm::enumerate(scan.inputs)) {
    if (!x.isTensor())
      c.unsupported("scan input " + Twine(k) +
                    " is not a tensor whose rank is known");
    scan.axes[k] = c.axis(scan.axes[k], x.rank());
    if (length)
      c.requireEqual(*length, x.shape[scan.axes[k]]);
    else
      length = x.shape[scan.axes[k]];
    inputs.push_back(c.outside(x));
  }
  if (scan.count)
    loop.count = scan.count;
  else if (auto constant = c.sizes.atoms.simplify(*length).constant())
    loop.count = integer(c, *constant);
  else
    loop.count = ExtentOp::create(driver, c.loc, driver.getI64Type(), inputs[0],
                                  driver.getI64IntegerAttr(scan.axes[0]));
  loop.first = integer(c, 1);
  size_t numStates = scan.states.size();
  loop.body = [&](Value at, ArrayRef<Tensor> states) {
    SmallVector<Tensor> in(states);
    for (auto [k, x] : llvm::enumerate(scan.inputs)) {
      Value index = at;
      if (scan.backwards[k]) {
        Value last =
            arith::SubIOp::create(driver, c.loc, loop.count, integer(c, 1));
        index = arith::SubIOp::create(driver, c.loc, last, at);
      }
      in.push_back(elementOf(c, inputs[k], x, scan.axes[k], index));
    }
    SmallVector<Tensor> out = s.import(graph, in);
    Round round;
    round.more = integer(c, 1);
    round.next.assign(out.begin(), out.begin() + numStates);
    round.stacked.assign(out.begin() + numStates, out.end());
    return round;
  };
  return importLoop(c, s, loop);
}

/// The numbers of an attribute with an entry for each of `count` tensors; 0 if
/// it is not there.
SmallVector<int64_t> perTensor(const Core &c, const Site &s, StringRef name,
                               size_t count) {
  SmallVector<int64_t> given = s.integers(name);
  if (given.empty())
    given.assign(count, 0);
  if (given.size() != count)
    c.fail(name + " has " + Twine(given.size()) + " entries, not " +
           Twine(count));
  return given;
}

/// Scan-8: a scan for each of a batch of sequences, which are as long as the
/// first input says, or as there is room for. Dim 0 counts the sequences, dim 1
/// their elements; what a shorter sequence leaves of an output is 0.
SmallVector<Tensor> importScanOfBatch(const Core &c, const Site &s,
                                      size_t numStates, size_t numInputs,
                                      size_t numOutputs) {
  OpBuilder &driver = c.program.driver;
  Extent batch, room;
  SmallVector<Value> values;
  for (size_t k = 1; k < s.size(); ++k) {
    Tensor x = s[k];
    bool isInput = k > numStates;
    if (!x.isTensor() || x.rank() < (isInput ? 2 : 1))
      c.fail("input " + Twine(k) + " has no dim for the batch" +
             (isInput ? " or none for the sequence" : ""));
    if (k == 1)
      batch = x.shape[0];
    c.requireEqual(batch, x.shape[0], "the sequences of a batch");
    if (k == numStates + 1)
      room = x.shape[1];
    if (isInput)
      c.requireEqual(room, x.shape[1], "the elements of a sequence");
    values.push_back(c.outside(x));
  }
  Value lengths = s[0] ? c.outside(s[0]) : Value();
  LoopSpec loop;
  loop.count = ExtentOp::create(driver, c.loc, driver.getI64Type(), values[0],
                                driver.getI64IntegerAttr(0));
  loop.first = integer(c, 1);
  loop.numStacked = numStates + numOutputs;
  loop.axes.assign(loop.numStacked, 0);
  loop.reversed.assign(loop.numStacked, false);
  loop.body = [&](Value at, ArrayRef<Tensor>) {
    ScanSpec scan;
    for (size_t k = 1; k < s.size(); ++k)
      (k > numStates ? scan.inputs : scan.states)
          .push_back(elementOf(c, values[k - 1], s[k], 0, at));
    scan.axes.assign(numInputs, 0);
    scan.backwards = perTensor(c, s, "directions", numInputs);
    scan.outAxes.assign(numOutputs, 0);
    scan.outBackwards.assign(numOutputs, 0);
    if (lengths)
      scan.count = read(c, elementOf(c, lengths, s[0], 0, at));
    Round round;
    round.more = integer(c, 1);
    round.stacked = importScanLoop(c, s, scan);
    for (Tensor &whole : llvm::drop_begin(round.stacked, numStates)) {
      Shape low(whole.rank(), 0), high(whole.rank(), 0);
      high[0] = c.sizes.atoms.simplify(room - whole.shape[0]);
      c.requireSize(high[0], "what a sequence leaves of its room");
      whole = c.pad(whole, low, high, {});
      whole.shape[0] = room;
    }
    return round;
  };
  return importLoop(c, s, loop);
}

/// States first, then the tensors that are gone through; in front of them the
/// lengths of the sequences before opset 9.
SmallVector<Tensor> importScan(const Core &c, const Site &s) {
  const ::onnx::GraphProto &graph = s.graph("body");
  bool ofBatch = s.opset() < 9;
  int64_t numInputs = s.integer("num_scan_inputs", 0),
          most = int64_t(s.size()) - ofBatch;
  if (numInputs < 1 || numInputs > most)
    c.fail("num_scan_inputs is " + Twine(numInputs) + ", but the node has " +
           Twine(s.size()) + " inputs");
  size_t numStates = most - numInputs;
  if (graph.output_size() < int(numStates))
    c.fail("its graph has " + Twine(graph.output_size()) +
           " outputs, fewer than the " + Twine(numStates) + " states");
  size_t numOutputs = graph.output_size() - numStates;
  c.program.split();
  if (ofBatch)
    return importScanOfBatch(c, s, numStates, numInputs, numOutputs);
  ScanSpec scan;
  for (size_t k = 0; k < s.size(); ++k)
    (k < numStates ? scan.states : scan.inputs).push_back(s[k]);
  scan.axes = perTensor(c, s, "scan_input_axes", numInputs);
  scan.backwards = perTensor(c, s, "scan_input_directions", numInputs);
  scan.outAxes = perTensor(c, s, "scan_output_axes", numOutputs);
  scan.outBackwards = perTensor(c, s, "scan_output_directions", numOutputs);
  return importScanLoop(c, s, scan);
}

} // namespace

void fulgur::onnx::registerControlFlow(OpTable &ops) {
  ops["If"] = OpImport::ofValues(importIf);
  ops["Loop"] = OpImport::ofValues(importLoopOp, 0);
  ops["Scan"] = OpImport::ofValues(importScan, 0);
}
