// Sequences and optionals: steps of the driver on whole values.
#include "frontends/onnx/Driver.h"
#include "onnx/onnx_pb.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::onnx;

namespace {

using Tensors = SmallVector<Tensor>;

Tensor requireSequence(const Core &c, const Tensor &x) {
  if (!x.sequence || x.optional)
    c.fail("an input is not a sequence");
  if (x.type == mapType)
    c.unsupported("a sequence of maps can only be an output");
  return x;
}

/// A tensor that comes out of a sequence: its rank is that of the sequence's
/// elements, or what type inference says; its dims are new symbols.
Tensor element(const Core &c, const Site &s, Value value, DType type,
               std::optional<size_t> rank) {
  if (const ::onnx::TypeProto *known = s.typeOf(0);
      !rank && known && known->tensor_type().has_shape())
    rank = known->tensor_type().shape().dim_size();
  Tensor result = c.inside(value, type, {});
  result.ranked = rank.has_value();
  StepOp::create(
      c.program.driver, c.loc, TypeRange(),
      c.program.driver.getStringAttr("check"), value, ValueRange(),
      c.program.driver.getArrayAttr(
          {immediate(c, int(type)), immediate(c, rank ? int64_t(*rank) : -1)}));
  for (size_t axis = 0; rank && axis < *rank; ++axis)
    result.shape.push_back(c.program.defineDim(
        (s.result() + "." + Twine(axis)).str(), value, axis, c.loc));
  return result;
}

std::optional<size_t> rankOf(const Tensor &x) {
  return x.ranked && !x.empty ? std::optional<size_t>(x.shape.size())
                              : std::nullopt;
}

Tensor sequenceOf(const Core &c, Value value, DType type,
                  std::optional<size_t> rank) {
  Tensor result = c.inside(value, type, {});
  result.sequence = true;
  result.ranked = rank.has_value();
  result.shape.resize(rank.value_or(0));
  return result;
}

Tensors importEmpty(const Core &c, const Site &s) {
  DType type = s.dtype("dtype", DType::f32);
  c.program.split();
  Tensor result =
      sequenceOf(c, step(c, "sequence_empty", {}, {immediate(c, int(type))}),
                 type, std::nullopt);
  result.empty = true;
  return {result};
}

Tensors importConstruct(const Core &c, const Site &s) {
  SmallVector<Value> values;
  std::optional<size_t> rank = rankOf(s[0]);
  for (size_t k = 0; k < s.size(); ++k) {
    if (s[k].type != s[0].type || s[k].sequence || s[k].optional)
      c.fail("input " + Twine(k) + " is of type " + name(s[k].type) + ", not " +
             name(s[0].type) + " as input 0");
    if (rankOf(s[k]) != rank)
      rank = std::nullopt;
    values.push_back(c.outside(s[k]));
  }
  Value sequence =
      step(c, "sequence_empty", {}, {immediate(c, int(s[0].type))});
  for (Value value : values)
    steps(c, "sequence_append", {sequence, value}, {}, 0);
  return {sequenceOf(c, sequence, s[0].type, rank)};
}

Tensors importInsert(const Core &c, const Site &s) {
  Tensor x = requireSequence(c, s[0]);
  if (s[1].type != x.type)
    c.fail("a tensor of type " + name(s[1].type) +
           " cannot be inserted into a sequence of " + name(x.type));
  std::optional<size_t> rank = rankOf(s[1]);
  if (!x.empty && rankOf(x) != rank)
    rank = std::nullopt;
  SmallVector<Value> in{c.outside(x), c.outside(s[1]), operand(c, s[2])};
  return {sequenceOf(c, step(c, "sequence_insert", in), x.type, rank)};
}

Tensors importErase(const Core &c, const Site &s) {
  Tensor x = requireSequence(c, s[0]);
  SmallVector<Value> in{c.outside(x), operand(c, s[1])};
  return {sequenceOf(c, step(c, "sequence_erase", in), x.type, rankOf(x))};
}

Tensors importAt(const Core &c, const Site &s) {
  Tensor x = requireSequence(c, s[0]);
  SmallVector<Value> in{c.outside(x), c.outside(s[1])};
  return {element(c, s, step(c, "sequence_at", in), x.type, rankOf(x))};
}

Tensors importLength(const Core &c, const Site &s) {
  Tensor x = requireSequence(c, s[0]);
  return {c.inside(step(c, "sequence_length", c.outside(x)), DType::i64, {})};
}

Tensors importConcat(const Core &c, const Site &s) {
  Tensor x = requireSequence(c, s[0]);
  bool stack = s.integer("new_axis", 0);
  Value value = step(c, "concat", c.outside(x),
                     {immediate(c, s.integer("axis", 0)), immediate(c, stack),
                      immediate(c, int(x.type))});
  std::optional<size_t> rank = rankOf(x);
  if (rank && stack)
    ++*rank;
  return {element(c, s, value, x.type, rank)};
}

Tensors importSplit(const Core &c, const Site &s) {
  const Tensor &x = s[0];
  bool keep = s[1] || s.integer("keepdims", 1);
  SmallVector<Value> in{c.outside(x), operand(c, s[1])};
  std::optional<size_t> rank = rankOf(x);
  if (rank && !keep)
    --*rank;
  return {
      sequenceOf(c,
                 step(c, "split", in,
                      {immediate(c, s.integer("axis", 0)), immediate(c, keep)}),
                 x.type, rank)};
}

//===-- Optionals ---------------------------------------------------------===//

Tensors importOptional(const Core &c, const Site &s) {
  Tensor x = s[0];
  Value value = step(c, "optional", operand(c, x));
  Tensor result;
  if (x) {
    result = c.inside(value, x.type, Shape(x.shape.size()));
    result.sequence = x.sequence;
    result.ranked = x.ranked;
  } else {
    // Nothing, of the type that the attribute says.
    const ::onnx::TypeProto *type = s.typeOf(0);
    if (!type || !type->has_optional_type())
      c.fail("attribute 'type' is missing");
    ::onnx::TypeProto inner = type->optional_type().elem_type();
    bool sequence = inner.has_sequence_type();
    if (sequence)
      inner = ::onnx::TypeProto(inner.sequence_type().elem_type());
    result = c.inside(value, DType(inner.tensor_type().elem_type()),
                      Shape(inner.tensor_type().shape().dim_size()));
    result.sequence = sequence;
    result.ranked = inner.tensor_type().has_shape();
  }
  result.optional = true;
  return {result};
}

Tensors importGet(const Core &c, const Site &s) {
  Tensor x = s[0];
  if (!x.optional)
    return {x};
  Value value = step(c, "optional_get", c.outside(x));
  if (x.sequence)
    return {sequenceOf(c, value, x.type, rankOf(x))};
  return {element(c, s, value, x.type, rankOf(x))};
}

Tensors importHas(const Core &c, const Site &s) {
  Tensor x = s[0];
  if (!x || !x.optional)
    return {c.scalar(DType::boolean, bool(x))};
  return {c.inside(step(c, "optional_has", c.outside(x)), DType::boolean, {})};
}

Tensors importIdentity(const Core &, const Site &s) { return {s[0]}; }

} // namespace

void fulgur::onnx::registerSequence(OpTable &ops) {
  ops["Identity"] = OpImport::ofValues(importIdentity);
  ops["SequenceEmpty"] = OpImport::ofValues(importEmpty, 0);
  ops["SequenceConstruct"] = OpImport::ofValues(importConstruct);
  ops["SequenceInsert"] = OpImport::ofValues(importInsert, 2);
  ops["SequenceErase"] = OpImport::ofValues(importErase);
  ops["SequenceAt"] = OpImport::ofValues(importAt, 2);
  ops["SequenceLength"] = OpImport::ofValues(importLength);
  ops["ConcatFromSequence"] = OpImport::ofValues(importConcat);
  ops["SplitToSequence"] = OpImport::ofValues(importSplit);
  ops["Optional"] = OpImport::ofValues(importOptional, 0);
  ops["OptionalGetElement"] = OpImport::ofValues(importGet);
  ops["OptionalHasElement"] = OpImport::ofValues(importHas, 0);
}
