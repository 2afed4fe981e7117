// Pools: a fold over a window that slides over the spatial dims.
#include "dialects/Fulgur.h"
#include "frontends/onnx/Fold.h"
#include "frontends/onnx/Window.h"
#include <cmath>

using namespace mlir;
using namespace fulgur;
using namespace fulgur::onnx;

namespace {
SmallVector<Window, 3> windows(const Core &c, const Site &s, const Tensor &x) {
  if (x.rank() < 3)
    c.fail("the input has rank " + Twine(x.rank()) + ", which is below 3");
  SmallVector<int64_t> kernel = s.integers("kernel_shape");
  if (int64_t(kernel.size()) != x.rank() - 2)
    c.fail("attribute 'kernel_shape' has " + Twine(kernel.size()) +
           " entries for " + Twine(x.rank() - 2) + " dims");
  return windowsOf(c, s, x, kernel);
}

/// Folds every window of the padded input: linalg's named pools over two dims,
/// the same as a generic over any other number.
Tensor pool(const Core &c, const Tensor &x, ArrayRef<Window> windows,
            bool greatest, DType type) {
  Element start = greatest ? lowest(type) : Element{};
  Tensor padded = padFor(c, x, windows, start);
  Shape shape{x.shape[0], x.shape[1]}, kernel;
  SmallVector<int64_t> strides, dilations;
  for (const Window &w : windows) {
    shape.push_back(w.count);
    kernel.push_back(w.kernel);
    strides.push_back(w.stride);
    dilations.push_back(w.dilation);
  }
  Body here = c.body(&c.builder);
  Value in[] = {c.value(padded), c.empty(kernel, x.type)};
  Value out = linalg::FillOp::create(c.builder, c.loc,
                                     Scalar{&here, type, Value(), start}.emit(),
                                     c.empty(shape, type))
                  .getResult(0);
  if (windows.size() == 2 && !isUnsigned(type)) { // the named maximum is signed
    auto list = [&](ArrayRef<int64_t> values) {
      return DenseIntElementsAttr::get(
          RankedTensorType::get(values.size(), c.builder.getI64Type()), values);
    };
    auto create = [&](auto op) {
      return decltype(op)::create(c.builder, c.loc, TypeRange{out.getType()},
                                  in, ValueRange{out}, list(strides),
                                  list(dilations))
          ->getResult(0);
    };
    Value result = !greatest ? create(linalg::PoolingNchwSumOp())
                             : create(linalg::PoolingNchwMaxOp());
    return c.tensor(result, type, shape);
  }
  unsigned dims = windows.size(), loops = 2 + 2 * dims;
  auto dim = [&](unsigned k) { return c.builder.getAffineDimExpr(k); };
  SmallVector<AffineExpr> atIn{dim(0), dim(1)}, atWindow, atOut{dim(0), dim(1)};
  for (unsigned k = 0; k < dims; ++k) {
    atIn.push_back(dim(2 + k) * strides[k] + dim(2 + dims + k) * dilations[k]);
    atWindow.push_back(dim(2 + dims + k));
    atOut.push_back(dim(2 + k));
  }
  SmallVector<AffineMap> maps;
  for (ArrayRef<AffineExpr> at :
       {ArrayRef<AffineExpr>(atIn), ArrayRef<AffineExpr>(atWindow),
        ArrayRef<AffineExpr>(atOut)})
    maps.push_back(AffineMap::get(loops, 0, at, c.builder.getContext()));
  SmallVector<utils::IteratorType> kinds(2 + dims,
                                         utils::IteratorType::parallel);
  kinds.append(dims, utils::IteratorType::reduction);
  auto generic = linalg::GenericOp::create(
      c.builder, c.loc, out.getType(), in, out, maps, kinds,
      [&](OpBuilder &inside, Location, ValueRange v) {
        Body body = c.body(&inside);
        Scalar element =
                   convert(Scalar{&body, x.type, v[0], std::nullopt}, type),
               total{&body, type, v[2], std::nullopt};
        linalg::YieldOp::create(
            inside, c.loc,
            (greatest ? maximum(total, element) : total + element).emit());
      });
  return c.tensor(generic.getResult(0), type, shape);
}

/// The number of an element as the model counts: along the whole tensor, the
/// spatial dims in the storage order.
Scalar numberOf(Body &body, ArrayRef<Extent> shape, ArrayRef<Scalar> at,
                bool columnMajor) {
  Atoms &atoms = body.sizes.atoms;
  SmallVector<unsigned> order{0, 1}; // slowest first
  for (unsigned k = 2; k < shape.size(); ++k)
    order.push_back(columnMajor ? shape.size() + 1 - k : k);
  Scalar number = at[0];
  for (unsigned k : ArrayRef(order).drop_front())
    number =
        number * Scalar::extent(body, DType::index, atoms.simplify(shape[k])) +
        at[k];
  return number;
}

/// Where in the input the greatest element of each window is: the first one of
/// several, in row-major order.
Tensor placesOf(const Core &c, const Tensor &x, const Tensor &greatest,
                ArrayRef<Window> windows, bool columnMajor) {
  unsigned dims = windows.size();
  Value table = c.value(x), best = c.value(greatest);
  Shape taps;
  for (const Window &w : windows)
    taps.push_back(w.kernel);
  // The position in the window; it tells the place when the window is known.
  Extent none = product(taps);
  Tensor tap =
      fold(c, greatest.shape, taps, DType::i64, {none}, {},
           [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at,
               const Scalar &first) {
             SmallVector<Scalar> from(at.take_front(2));
             Scalar number = Scalar::constant(body, DType::index, 0), inside;
             for (auto [k, w] : llvm::enumerate(windows)) {
               auto extent = [&](const Extent &e) {
                 return Scalar::extent(body, DType::index, e);
               };
               Scalar tap = at[2 + dims + k];
               Scalar place = at[2 + k] * double(w.stride) +
                              tap * double(w.dilation) - extent(w.low);
               Scalar there = (place >= 0) & (place < extent(x.shape[2 + k]));
               inside = k ? inside & there : there;
               number = number * double(w.kernel) + tap;
               from.push_back(minimum(maximum(place, place.like(0)),
                                      extent(x.shape[2 + k] - 1)));
             }
             Scalar hit = inside & equal(c.extract(body, table, x.type, from),
                                         c.extract(body, best, x.type,
                                                   at.take_front(2 + dims)));
             return minimum(
                 first, select(hit, convert(number, DType::i64),
                               convert(Scalar::extent(body, DType::index, none),
                                       DType::i64)));
           });
  return c.generate(
      greatest.shape, DType::i64, {tap},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        SmallVector<Scalar> place(at);
        // A window of NaNs has no greatest element; its first one will do.
        Scalar rest = convert(v[0], DType::index);
        rest = select(rest < Scalar::extent(body, DType::index, none), rest,
                      rest.like(0));
        for (unsigned k = dims; k-- > 0;) {
          const Window &w = windows[k];
          Scalar tap = remainder(rest, rest.like(w.kernel));
          rest = rest / double(w.kernel);
          Scalar low = Scalar::extent(body, DType::index, w.low);
          place[2 + k] = maximum(at[2 + k] * double(w.stride) +
                                     tap * double(w.dilation) - low,
                                 low.like(0));
        }
        return convert(numberOf(body, x.shape, place, columnMajor), DType::i64);
      });
}

SmallVector<Tensor> importMaxPool(const Core &c, const Site &s) {
  SmallVector<Window, 3> all = windows(c, s, s[0]);
  DType type = s[0].type;
  Tensor y =
      c.cast(pool(c, s[0], all, true, isHalf(type) ? DType::f32 : type), type);
  if (!s.wants(1))
    return {y};
  return {y, placesOf(c, s[0], y, all, s.integer("storage_order", 0))};
}

/// Zeros with the elements where a MaxPool found them. The places count in the
/// tensor that the pool's attributes imply; a larger one holds that in its
/// first corner.
Tensor importMaxUnpool(const Core &c, const Site &s) {
  Tensor x = s[0], places = s[1];
  c.requireType(places, isInteger(places.type), "integer");
  SmallVector<int64_t> kernel = s.integers("kernel_shape");
  size_t dims = kernel.size();
  if (x.rank() != int64_t(dims) + 2 || places.rank() != x.rank())
    c.fail("elements of rank " + Twine(x.rank()) + ", places of rank " +
           Twine(places.rank()) + " and a window over " + Twine(dims) +
           " dims do not fit");
  SmallVector<int64_t> strides = perDim(c, s, "strides", dims, 1, 1),
                       pads = perDim(c, s, "pads", 2 * dims, 0, 0);
  Shape implied{x.shape[0], x.shape[1]};
  for (int64_t k = 0; k < x.rank(); ++k)
    c.requireEqual(x.shape[k], places.shape[k]);
  for (size_t k = 0; k < dims; ++k) {
    implied.push_back(c.sizes.atoms.simplify((x.shape[2 + k] - 1) * strides[k] +
                                             kernel[k] - pads[k] -
                                             pads[dims + k]));
    c.sizes.requireAtLeast(implied.back(), 0,
                           "the padding is larger than the result", c.loc);
  }
  Shape shape = s[2] ? s.extents(2) : implied;
  if (shape.size() != implied.size())
    c.fail("output_shape has " + Twine(shape.size()) + " entries, not " +
           Twine(implied.size()));
  Extent total = product(implied);
  CheckBoundsOp::create(c.builder, c.loc, c.value(places), c.index(0),
                        c.index(total),
                        c.builder.getStringAttr("place outside the result"));
  Value elements = c.value(x), numbers = c.value(places);
  SmallVector<Value> flat = c.loop(
      x.shape, {c.value(c.fill({total}, x.type, 0))},
      [&](Body &body, ArrayRef<Scalar> at,
          ValueRange state) -> SmallVector<Value> {
        Scalar place =
            convert(c.extract(body, numbers, places.type, at), DType::index);
        Scalar element = c.extract(body, elements, x.type, at);
        return {tensor::InsertOp::create(*body.builder, c.loc,
                                         convert(element, x.type).emit(),
                                         state[0], ValueRange{place.emit()})};
      });
  Tensor y = c.reshape(c.tensor(flat[0], x.type, {total}), implied);
  Shape low(shape.size(), 0), high;
  for (auto [size, least] : llvm::zip(shape, implied)) {
    c.sizes.requireAtLeast(
        size, least, "output_shape is smaller than what is unpooled", c.loc);
    high.push_back(c.sizes.atoms.simplify(size - least));
  }
  return c.pad(y, low, high, {});
}

/// How many elements the window at `index` covers of the dim, or of the dim and
/// its padding.
Scalar covered(const Window &w, const Extent &size, bool padding,
               const Scalar &index) {
  auto extent = [&](const Extent &e) {
    return Scalar::extent(*index.body, DType::index, e);
  };
  Scalar start = index * double(w.stride) - extent(w.low), zero = index.like(0),
         kernel = index.like(w.kernel);
  Scalar below =
      padding ? zero : maximum(zero, (w.dilation - 1.0 - start) / w.dilation);
  Scalar end = extent(padding ? size + w.high : size);
  return minimum(kernel, (end - start + (w.dilation - 1.0)) / w.dilation) -
         below;
}

} // namespace

Tensor fulgur::onnx::averagePool(const Core &c, const Site &s,
                                 const Tensor &x) {
  c.requireType(x, isReal(x.type), "floating point");
  SmallVector<Window, 3> all = windows(c, s, x);
  bool padding = s.integer("count_include_pad", 0), even = true;
  int64_t elements = 1;
  SmallVector<Window, 3> counted(all);
  for (auto [k, w] : llvm::enumerate(counted)) {
    elements *= w.kernel;
    even &= !w.partial && (padding || (w.low.is(0) && w.high.is(0)));
    if (w.partial) // the padding that the model asks for, not what the last
                   // window needs
      w.high = s.has("pads") ? s.integers("pads")[all.size() + k] : 0;
  }
  DType type = computeType(x.type);
  Tensor total = pool(c, x, all, false, type);
  if (even)
    return c.cast(
        c.map(total, [&](const Scalar &v) { return v / double(elements); }),
        x.type);
  return c.generate(total.shape, x.type, {total},
                    [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      Scalar count = Scalar::constant(body, DType::index, 1);
                      for (auto [k, w] : llvm::enumerate(counted))
                        count = count *
                                covered(w, x.shape[2 + k], padding, at[2 + k]);
                      return v[0] / convert(count, type);
                    });
}

namespace {
Tensor importAveragePool(const Core &c, const Site &s) {
  return averagePool(c, s, s[0]);
}

/// The attribute p, which was a real number in opset 1.
int64_t exponentOf(const Core &c, const Site &s) {
  if (s.opset() > 1)
    return s.integer("p", 2);
  double p = s.real("p", 2);
  if (p != std::floor(p) || std::fabs(p) > 1e9)
    c.unsupported("p is " + std::to_string(p) + ", not a whole number");
  return int64_t(p);
}

Scalar raised(const Scalar &x, int64_t p) {
  return p == 1 ? abs(x) : p == 2 ? x * x : power(abs(x), x.like(p));
}
Scalar root(const Scalar &x, int64_t p) {
  return p == 1 ? x : p == 2 ? sqrt(x) : power(x, x.like(1.0 / p));
}

Tensor importLpPool(const Core &c, const Site &s) {
  c.requireType(s[0], isReal(s[0].type), "floating point");
  int64_t p = exponentOf(c, s);
  Tensor total =
      pool(c, c.map(s[0], [&](const Scalar &v) { return raised(v, p); }),
           windows(c, s, s[0]), false, computeType(s[0].type));
  return c.cast(c.map(total, [&](const Scalar &v) { return root(v, p); }),
                s[0].type);
}

SmallVector<int64_t> spatial(const Core &c, const Tensor &x) {
  if (x.rank() < 3)
    c.fail("the input has rank " + Twine(x.rank()) + ", which is below 3");
  return llvm::to_vector(llvm::seq<int64_t>(2, x.rank()));
}

Tensor importGlobalAveragePool(const Core &c, const Site &s) {
  return c.mean(s[0], spatial(c, s[0]), true);
}
Tensor importGlobalMaxPool(const Core &c, const Site &s) {
  return c.max(s[0], spatial(c, s[0]), true);
}

Tensor importGlobalLpPool(const Core &c, const Site &s) {
  int64_t p = exponentOf(c, s);
  Tensor total = c.reduce(
      s[0], spatial(c, s[0]), true, s[0].type, {},
      [&](const Scalar &v, const Scalar &sum) { return sum + raised(v, p); });
  return c.map(total, [&](const Scalar &v) { return root(v, p); });
}
} // namespace

void fulgur::onnx::registerPooling(OpTable &ops) {
  ops["AveragePool"] = importAveragePool;
  ops["GlobalAveragePool"] = importGlobalAveragePool;
  ops["GlobalLpPool"] = importGlobalLpPool;
  ops["GlobalMaxPool"] = importGlobalMaxPool;
  ops["LpPool"] = importLpPool;
  ops["MaxPool"] = importMaxPool;
  ops["MaxUnpool"] = {importMaxUnpool, 2};
}
