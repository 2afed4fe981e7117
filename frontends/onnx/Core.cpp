// Values, shapes and loops of the core.
#include "frontends/onnx/Core.h"
#include "mlir/IR/Diagnostics.h"
#include <cmath>

using namespace mlir;
using namespace fulgur::onnx;

void Core::fail(const Twine &message) const {
  emitError(loc) << message;
  throw ImportFailure{ImportStatus::invalidModel};
}

void Core::unsupported(const Twine &message) const {
  emitError(loc) << message;
  throw ImportFailure{ImportStatus::unsupported};
}

//===-- Constants and values ----------------------------------------------===//

Element fulgur::onnx::lowest(DType type) {
  if (type == DType::boolean || isUnsigned(type))
    return {0, 0};
  return {bitWidth(type) >= 64 ? Atoms::kMin
                               : -(int64_t(1) << (bitWidth(type) - 1)),
          -INFINITY};
}

Element fulgur::onnx::highest(DType type) {
  unsigned bits = bitWidth(type);
  if (isUnsigned(type))
    return {bits == 64 ? -1 : (int64_t(1) << bits) - 1, INFINITY};
  return {bits >= 64 ? Atoms::kMax : (int64_t(1) << (bits - 1)) - 1, INFINITY};
}

Tensor Core::scalar(DType type, double number) const {
  Body here = body();
  return Tensor(Elements{*Scalar::constant(here, type, number).known}, type,
                {});
}

Tensor Core::vector(ArrayRef<Extent> extents) const {
  Elements elements;
  for (const Extent &extent : extents)
    elements.push_back({sizes.atoms.simplify(extent)});
  return Tensor(std::move(elements), DType::i64, {int64_t(extents.size())});
}

RankedTensorType Core::typeOf(ArrayRef<Extent> shape, DType type) const {
  Type element = mlirType(type, builder.getContext());
  if (!element)
    unsupported("tensors of type " + name(type) + " are not supported");
  SmallVector<int64_t> dims;
  int64_t bytes = (bitWidth(type) + 7) / 8;
  for (const Extent &extent : shape) {
    std::optional<int64_t> size = sizes.atoms.simplify(extent).constant();
    if (size && *size < 0)
      fail("a dim would have the size " + Twine(*size));
    if (size && *size && __builtin_mul_overflow(bytes, *size, &bytes))
      fail("a tensor of shape " + text(shape) + " is too large");
    dims.push_back(size ? *size : ShapedType::kDynamic);
  }
  return RankedTensorType::get(dims, element);
}

SmallVector<OpFoldResult> Core::sizesOf(ArrayRef<Extent> extents) const {
  SmallVector<OpFoldResult> result;
  for (const Extent &extent : extents) {
    Extent simple = sizes.atoms.simplify(extent);
    if (std::optional<int64_t> size = simple.constant())
      result.push_back(builder.getIndexAttr(*size));
    else
      result.push_back(index(simple));
  }
  return result;
}

Value Core::empty(ArrayRef<Extent> shape, DType type) const {
  typeOf(shape, type); // complains about impossible shapes
  return tensor::EmptyOp::create(builder, loc, sizesOf(shape),
                                 mlirType(type, builder.getContext()));
}

Value Core::filled(ArrayRef<Extent> shape, DType type, double number) const {
  Body here = body(&builder);
  Value element = Scalar::constant(here, type, number).emit();
  return linalg::FillOp::create(builder, loc, element, empty(shape, type))
      .getResult(0);
}

Tensor Core::fill(ArrayRef<Extent> shape, DType type, double number) const {
  std::optional<int64_t> count = product(shape).constant();
  if (!count || *count > knownLimit(type))
    return tensor(filled(shape, type, number), type, shape);
  Body here = body(&builder);
  return Tensor(Elements(*count, *Scalar::constant(here, type, number).known),
                type, Shape(shape));
}

/// Elements that are all numbers, as an attribute: written out if there are
/// few, else in a blob.
static TypedAttr constantAttribute(RankedTensorType type,
                                   ArrayRef<Element> elements) {
  Type element = type.getElementType();
  DenseElementsAttr dense;
  if (auto real = dyn_cast<FloatType>(element)) {
    SmallVector<APFloat> numbers;
    for (const Element &x : elements) {
      APFloat number(x.real);
      bool lost;
      number.convert(real.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                     &lost);
      numbers.push_back(number);
    }
    dense = DenseElementsAttr::get(type, numbers);
  } else {
    SmallVector<APInt> numbers;
    for (const Element &x : elements)
      numbers.push_back(APInt(64, *x.integer.constant())
                            .trunc(element.getIntOrFloatBitWidth()));
    dense = DenseElementsAttr::get(type, numbers);
  }
  if (elements.size() <= 64 || dense.isSplat() || element.isInteger(1))
    return dense;
  return DenseResourceElementsAttr::get(
      type, "folded",
      HeapAsmResourceBlob::allocateAndCopyWithAlign(dense.getRawData(), 64));
}

Value Core::value(const Tensor &x) const {
  if (!x.isTensor())
    fail("an input is not a tensor whose rank is known");
  RankedTensorType type = typeOf(x.shape, x.type);
  Value value = x.value();
  if (value && !program.isHere(value))
    value = x.known() && !value.getDefiningOp<arith::ConstantOp>()
                ? Value()
                : program.bring(value, type, x.shape, x.type, loc);
  if (!value) {
    Value &known = program.known(x);
    if (!known)
      known = constant(x, type);
    value = known;
  }
  if (value.getType() == type)
    return value;
  return tensor::CastOp::create(builder, loc, type, value);
}

Value Core::constant(const Tensor &x, RankedTensorType type) const {
  const Elements &elements = *x.known();
  if (isReal(x.type) || llvm::all_of(elements, [](const Element &e) {
        return e.integer.constant().has_value();
      }))
    return arith::ConstantOp::create(builder, loc,
                                     constantAttribute(type, elements));
  Body here = body(&builder);
  SmallVector<Value> values;
  for (const Element &element : elements)
    values.push_back(Scalar::extent(here, x.type, element.integer).emit());
  return tensor::FromElementsOp::create(builder, loc, type, values);
}

Value Core::outside(const Tensor &x) const {
  // A number needs no part that computes it.
  if (x.known() && x.known()->size() == 1 && x.rank() <= 1 &&
      (isInteger(x.type) || x.type == DType::boolean))
    if (auto number = x.known()->front().integer.constant()) {
      program.split();
      OpBuilder &b = program.driver;
      Value value =
          arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(*number));
      return fulgur::WriteOp::create(
          b, loc, fulgur::ValueType::get(b.getContext()), value,
          b.getI32IntegerAttr(int(x.type)), b.getI32IntegerAttr(x.rank()));
    }
  return program.valueOf(x, [&] { return value(x); }, loc);
}

//===-- Shapes ------------------------------------------------------------===//

std::string Core::text(ArrayRef<Extent> shape) const {
  return "[" +
         llvm::join(
             llvm::map_range(
                 shape, [&](const Extent &e) { return sizes.atoms.text(e); }),
             ", ") +
         "]";
}

int64_t Core::axis(int64_t axis, int64_t rank) const {
  if (axis < -rank || axis >= rank)
    fail("axis " + Twine(axis) + " is outside a tensor of rank " + Twine(rank) +
         (rank ? ", whose axes are " + Twine(-rank) + " to " + Twine(rank - 1)
               : Twine(", which has no axes")));
  return axis < 0 ? axis + rank : axis;
}

SmallVector<int64_t> Core::axes(ArrayRef<int64_t> axes, int64_t rank) const {
  SmallVector<int64_t> result;
  for (int64_t one : axes) {
    int64_t k = axis(one, rank);
    if (llvm::is_contained(result, k))
      fail("axis " + Twine(one) + " is named twice");
    result.push_back(k);
  }
  return result;
}

void Core::requireEqual(const Extent &left, const Extent &right,
                        const Twine &what) const {
  Extent a = sizes.atoms.simplify(left), b = sizes.atoms.simplify(right);
  std::string which = what.isTriviallyEmpty() ? "" : (": " + what).str();
  if (sizes.atoms.knownDifferent(a, b))
    fail("sizes " + sizes.atoms.text(a) + " and " + sizes.atoms.text(b) +
         " must be equal" + which);
  sizes.requireEqual(a, b,
                     "'" + sizes.atoms.text(a) + "' and '" +
                         sizes.atoms.text(b) + "' must be equal" + which,
                     loc);
}

/// Which of the two is 1, if one is, turns out before a run.
Extent Core::broadcastDim(const Extent &x, const Extent &y) const {
  Atoms &atoms = sizes.atoms;
  if (atoms.covers(x, y))
    return x; // it comes of a broadcast of `y`, which was checked
  if (atoms.covers(y, x))
    return y;
  sizes.requireAtLeast(
      atoms.equal(x, y) + atoms.equal(x, 1) + atoms.equal(y, 1), 1,
      "'" + atoms.text(x) + "' and '" + atoms.text(y) +
          "' must be equal, or one of them 1",
      loc);
  return atoms.broadcast(x, y);
}

Shape Core::broadcast(ArrayRef<Extent> a, ArrayRef<Extent> b) const {
  if (a.size() < b.size())
    std::swap(a, b);
  Shape result(a);
  for (size_t k = 0; k < b.size(); ++k) {
    Extent &x = result[a.size() - b.size() + k];
    Extent y = sizes.atoms.simplify(b[k]);
    x = sizes.atoms.simplify(x);
    if (x.is(1))
      x = y;
    if (y.is(1) || x == y)
      continue;
    if (x.constant() && y.constant())
      fail("shapes " + text(a) + " and " + text(b) + " do not broadcast: " +
           sizes.atoms.text(x) + " is not " + sizes.atoms.text(y));
    if (!sizes.atoms.mayBroadcast(x, y)) {
      requireEqual(x, y);
      x = y.constant() ? y : sizes.atoms.simplify(x);
    } else {
      x = broadcastDim(x, y);
    }
  }
  return result;
}

void Core::requireType(const Tensor &x, bool holds, StringRef expected) const {
  if (!holds)
    fail("an input is of type " + name(x.type) + ", not " + expected);
}

//===-- Loops -------------------------------------------------------------===//

std::optional<int64_t> fulgur::onnx::constantCount(ArrayRef<Extent> shape) {
  for (const Extent &size : shape)
    if (!size.constant())
      return std::nullopt;
  return product(shape).constant();
}

void fulgur::onnx::forEachIndex(
    ArrayRef<Extent> shape, llvm::function_ref<void(ArrayRef<int64_t>)> use) {
  SmallVector<int64_t> at(shape.size(), 0);
  for (int64_t left = *constantCount(shape); left > 0; --left) {
    use(at);
    for (size_t k = shape.size(); k-- > 0;) {
      if (++at[k] < *shape[k].constant())
        break;
      at[k] = 0;
    }
  }
}

int64_t fulgur::onnx::broadcastOffset(ArrayRef<Extent> shape,
                                      ArrayRef<int64_t> at) {
  int64_t offset = 0;
  for (size_t k = 0; k < shape.size(); ++k) {
    int64_t size = *shape[k].constant();
    offset = offset * size + (size == 1 ? 0 : at[at.size() - shape.size() + k]);
  }
  return offset;
}

/// A known element inside the body, in the type that it is computed with.
static Scalar scalarOf(Body &body, DType type, const Element &element) {
  return {&body, computeType(type), Value(), element};
}

static Scalar extended(Body &body, DType type, Value value) {
  return convert(Scalar{&body, type, value, std::nullopt}, computeType(type));
}

Tensor Core::map(ArrayRef<Tensor> in, DType type, Elementwise each) const {
  Shape shape;
  for (const Tensor &x : in)
    shape = broadcast(shape, x.shape);
  std::optional<int64_t> count = constantCount(shape);
  bool known = count && *count <= knownLimit(type) &&
               llvm::all_of(in, [](const Tensor &x) { return x.known(); });
  if (known) {
    Elements elements;
    Body here = body();
    forEachIndex(shape, [&](ArrayRef<int64_t> at) {
      SmallVector<Scalar> scalars;
      for (const Tensor &x : in)
        scalars.push_back(
            scalarOf(here, x.type, (*x.known())[broadcastOffset(x.shape, at)]));
      if (!known)
        return;
      Scalar result = convert(each(scalars), type);
      known = result.known.has_value();
      if (known)
        elements.push_back(*result.known);
    });
    if (known)
      return Tensor(std::move(elements), type, shape);
  }
  return generate(shape, type, in,
                  [&](Body &, ArrayRef<Scalar> scalars, ArrayRef<Scalar>) {
                    return each(scalars);
                  });
}

Tensor Core::map(const Tensor &x,
                 llvm::function_ref<Scalar(const Scalar &)> each) const {
  return map({x}, x.type, [&](ArrayRef<Scalar> v) { return each(v[0]); });
}

/// Where the element of a tensor is that broadcasts to the coordinates: along
/// each dim, no further than its end.
static SmallVector<Scalar> spreadPlace(const Core &c, Body &body,
                                       ArrayRef<Extent> shape,
                                       ArrayRef<Scalar> at) {
  SmallVector<Scalar> place;
  for (auto [size, index] : llvm::zip(shape, at.take_back(shape.size())))
    place.push_back(
        minimum(index, Scalar::extent(body, DType::index,
                                      c.sizes.atoms.simplify(size - 1))));
  return place;
}

bool Core::spreadsLate(const Extent &x, const Extent &to) const {
  Extent size = sizes.atoms.simplify(x);
  return !size.is(1) && !sizes.atoms.knownDifferent(size, 1) &&
         !sizes.atoms.knownEqual(size, to);
}

Tensor Core::generate(ArrayRef<Extent> shape, DType type, ArrayRef<Tensor> in,
                      Generate each) const {
  MLIRContext *context = builder.getContext();
  Value out = empty(shape, type);
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  SmallVector<int> position; // of an operand, or -1 for one that the body
                             // names or reads itself
  SmallVector<Value> tables; // that are read by the body, because where they
                             // broadcast is known only before a run
  for (const Tensor &x : in) {
    tables.push_back({});
    if (x.known() && x.known()->size() == 1) {
      position.push_back(-1);
      continue;
    }
    ArrayRef<Extent> along = shape.take_back(x.shape.size());
    if (llvm::any_of(llvm::zip(x.shape, along), [&](auto dims) {
          return spreadsLate(std::get<0>(dims), std::get<1>(dims));
        })) {
      position.push_back(-1);
      tables.back() = value(x);
      continue;
    }
    SmallVector<AffineExpr> at;
    for (size_t k = 0; k < x.shape.size(); ++k) {
      size_t dim = shape.size() - x.shape.size() + k;
      bool spread = sizes.atoms.simplify(x.shape[k]).is(1) &&
                    !sizes.atoms.simplify(shape[dim]).is(1);
      at.push_back(spread ? getAffineConstantExpr(0, context)
                          : getAffineDimExpr(dim, context));
    }
    position.push_back(operands.size());
    operands.push_back(value(x));
    maps.push_back(AffineMap::get(shape.size(), 0, at, context));
  }
  maps.push_back(builder.getMultiDimIdentityMap(shape.size()));
  SmallVector<utils::IteratorType> loops(shape.size(),
                                         utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      builder, loc, out.getType(), operands, out, maps, loops,
      [&](OpBuilder &inside, Location, ValueRange values) {
        Body body = this->body(&inside);
        SmallVector<Scalar> scalars, at;
        for (size_t k = 0; k < shape.size(); ++k)
          at.push_back({&body, DType::index,
                        linalg::IndexOp::create(inside, loc, k), std::nullopt});
        for (auto [x, k, table] : llvm::zip(in, position, tables))
          scalars.push_back(table
                                ? extract(body, table, x.type,
                                          spreadPlace(*this, body, x.shape, at))
                            : k < 0 ? scalarOf(body, x.type, x.known()->front())
                                    : extended(body, x.type, values[k]));
        Value result = convert(each(body, scalars, at), type).emit();
        for (Scalar &index : at)
          if (index.value.use_empty())
            index.value.getDefiningOp()->erase();
        linalg::YieldOp::create(inside, loc, result);
      });
  return tensor(generic.getResult(0), type, shape);
}

Scalar Core::extract(Body &body, Value table, DType type,
                     ArrayRef<Scalar> at) const {
  SmallVector<Value> indices;
  for (const Scalar &index : at)
    indices.push_back(convert(index, DType::index).emit());
  return extended(
      body, type,
      tensor::ExtractOp::create(*body.builder, loc, table, indices));
}

Tensor Core::reduce(
    const Tensor &x, ArrayRef<int64_t> axes, bool keep, DType type,
    const Element &init,
    llvm::function_ref<Scalar(const Scalar &, const Scalar &)> each) const {
  DType accumulator = computeType(type);
  Shape kept, all; // the result without and with the reduced dims
  SmallVector<AffineExpr> at;
  SmallVector<utils::IteratorType> loops;
  for (int64_t k = 0; k < x.rank(); ++k) {
    bool reduced = llvm::is_contained(axes, k);
    loops.push_back(reduced ? utils::IteratorType::reduction
                            : utils::IteratorType::parallel);
    all.push_back(reduced ? Extent(1) : x.shape[k]);
    if (reduced)
      continue;
    kept.push_back(x.shape[k]);
    at.push_back(builder.getAffineDimExpr(k));
  }
  if (x.known() && constantCount(x.shape)) {
    Body here = body();
    std::vector<Scalar> results(*constantCount(all),
                                scalarOf(here, accumulator, init));
    size_t next = 0;
    forEachIndex(x.shape, [&](ArrayRef<int64_t> at) {
      Scalar &result = results[broadcastOffset(all, at)];
      result = each(scalarOf(here, x.type, (*x.known())[next++]), result);
    });
    if (llvm::all_of(results,
                     [](const Scalar &s) { return s.known.has_value(); })) {
      Elements elements;
      for (const Scalar &result : results)
        elements.push_back(*convert(result, type).known);
      return Tensor(std::move(elements), type, keep ? all : kept);
    }
  }
  Body here = body(&builder);
  Value start = linalg::FillOp::create(builder, loc,
                                       scalarOf(here, accumulator, init).emit(),
                                       empty(kept, accumulator))
                    .getResult(0);
  AffineMap maps[] = {builder.getMultiDimIdentityMap(x.rank()),
                      AffineMap::get(x.rank(), 0, at, builder.getContext())};
  auto generic = linalg::GenericOp::create(
      builder, loc, start.getType(), value(x), start, maps, loops,
      [&](OpBuilder &inside, Location, ValueRange v) {
        Body body = this->body(&inside);
        Scalar result = each(extended(body, x.type, v[0]),
                             Scalar{&body, accumulator, v[1], std::nullopt});
        linalg::YieldOp::create(inside, loc, result.emit());
      });
  Tensor result = cast(tensor(generic.getResult(0), accumulator, kept), type);
  return keep ? reshape(result, all) : result;
}

Tensor Core::sum(const Tensor &x, ArrayRef<int64_t> axes, bool keep) const {
  return reduce(x, axes, keep, x.type, {},
                [](const Scalar &v, const Scalar &total) { return total + v; });
}

Tensor Core::mean(const Tensor &x, ArrayRef<int64_t> axes, bool keep) const {
  Extent count = 1;
  for (int64_t axis : axes)
    count *= x.shape[axis];
  Tensor total = sum(cast(x, computeType(x.type)), axes, keep);
  return map({total}, x.type, [&](ArrayRef<Scalar> v) {
    return v[0] / convert(Scalar::extent(*v[0].body, DType::index,
                                         sizes.atoms.simplify(count)),
                          v[0].type);
  });
}

Tensor Core::max(const Tensor &x, ArrayRef<int64_t> axes, bool keep) const {
  return reduce(
      x, axes, keep, x.type, lowest(x.type),
      [](const Scalar &v, const Scalar &best) { return maximum(v, best); });
}

SmallVector<Value> Core::loop(ArrayRef<Extent> counts, ArrayRef<Value> state,
                              Step step) const {
  Value zero = index(0), one = index(1);
  SmallVector<Value> lower(counts.size(), zero), upper,
      steps(counts.size(), one);
  for (const Extent &count : counts)
    upper.push_back(index(count));
  Sizes::Behind behind(sizes);
  scf::LoopNest nest = scf::buildLoopNest(
      builder, loc, lower, upper, steps, state,
      [&](OpBuilder &inside, Location, ValueRange at,
          ValueRange carried) -> scf::ValueVector {
        Body body = this->body(&inside);
        SmallVector<Scalar> indices;
        for (Value index : at)
          indices.push_back({&body, DType::index, index, std::nullopt});
        SmallVector<Value> next = step(body, indices, carried);
        return scf::ValueVector(next.begin(), next.end());
      });
  return SmallVector<Value>(nest.results);
}

Scalar fulgur::onnx::wrapIndex(const Scalar &index, const Extent &size) {
  Scalar i = convert(index, DType::index);
  if (isUnsigned(index.type))
    return i;
  return select(i < 0, i + Scalar::extent(*i.body, DType::index, size), i);
}

//===-- Elementwise -------------------------------------------------------===//

Tensor Core::add(const Tensor &a, const Tensor &b) const {
  return map({a, b}, a.type, [](ArrayRef<Scalar> v) { return v[0] + v[1]; });
}
Tensor Core::sub(const Tensor &a, const Tensor &b) const {
  return map({a, b}, a.type, [](ArrayRef<Scalar> v) { return v[0] - v[1]; });
}
Tensor Core::mul(const Tensor &a, const Tensor &b) const {
  return map({a, b}, a.type, [](ArrayRef<Scalar> v) { return v[0] * v[1]; });
}
Tensor Core::div(const Tensor &a, const Tensor &b) const {
  return map({a, b}, a.type, [](ArrayRef<Scalar> v) { return v[0] / v[1]; });
}
Tensor Core::mul(const Tensor &a, double b) const {
  return map(a, [&](const Scalar &v) { return v * b; });
}
Tensor Core::select(const Tensor &condition, const Tensor &a,
                    const Tensor &b) const {
  return map({condition, a, b}, a.type, [](ArrayRef<Scalar> v) {
    return fulgur::onnx::select(v[0], v[1], v[2]);
  });
}
Tensor Core::cast(const Tensor &x, DType type, const Conversion &how) const {
  if (x.type == type)
    return x;
  if (!mlirType(type, builder.getContext()))
    unsupported("a conversion to " + name(type) + " is not supported");
  return map({x}, type,
             [&](ArrayRef<Scalar> v) { return convert(v[0], type, how); });
}

Tensor Core::bits(const Tensor &x, DType type) const {
  if (x.type == type)
    return x;
  if (x.type == DType::boolean) // a byte that is 0 or 1
    return bits(cast(x, DType::u8), type);
  if (type == DType::boolean)
    return cast(bits(x, DType::u8), type);
  if (isPacked(type)) { // a byte holds the integer, or the bits in front of 0
    DType integer = isNarrowReal(type) ? DType::u4 : type;
    return map({x}, type, [&](ArrayRef<Scalar> v) {
      return reinterpret(convert(reinterpret(v[0], DType::i8), integer), type);
    });
  }
  Value from = value(x), out = empty(x.shape, type);
  if (from.getType() == out.getType())
    return tensor(from, type, x.shape);
  // Not through `generate`, which would compute with halves in f32.
  AffineMap identity = builder.getMultiDimIdentityMap(x.rank());
  SmallVector<utils::IteratorType> loops(x.rank(),
                                         utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      builder, loc, out.getType(), from, out, ArrayRef{identity, identity},
      loops, [&](OpBuilder &inside, Location, ValueRange v) {
        linalg::YieldOp::create(
            inside, loc,
            arith::BitcastOp::create(inside, loc, v[1].getType(), v[0])
                .getResult());
      });
  return tensor(generic.getResult(0), type, x.shape);
}
