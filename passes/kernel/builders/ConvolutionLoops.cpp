#include "passes/kernel/builders/ConvolutionLoops.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace fulgur;

ConvolutionLoops::ConvolutionLoops(KernelSite &site,
                                   const Convolution &convolution,
                                   int64_t lanes, int64_t width)
    : site(site), c(convolution), lanes(lanes), width(width), pack(width) {
  unsigned count = c.ranges.size();
  Value inputBuffer = site.operand(c.input), outBuffer = site.operand(c.out);
  point.resize(count);
  sizes.resize(count);
  for (auto [loop, size] : llvm::enumerate(c.ranges))
    if (!ShapedType::isDynamic(size))
      sizes[loop] = e.index(size);
  for (auto [dim, loop] : llvm::enumerate(c.outLoops))
    if (!sizes[loop])
      sizes[loop] = e.dim(outBuffer, dim);
  for (const Convolution::Spatial &dim : c.spatial) {
    inputSizes.push_back(e.dim(inputBuffer, dim.inputDim));
    auto value = dyn_cast<Value>(dim.low);
    low.push_back(value ? site.operand(value)
                        : e.index(*getConstantIntValue(dim.low)));
  }
  input = accessOf(e, inputBuffer, c.inputLoops, count);
  out = accessOf(e, outBuffer, c.outLoops, count);
  for (auto [value, loops] : llvm::zip(c.epilogueInputs, c.epilogueLoops))
    epilogueInputs.push_back(
        value ? accessOf(e, site.operand(value), loops, count) : Access());
  Value buffer = site.operand(c.weights);
  if (c.packed) {
    weights = e.flatten(buffer);
    pack = c.packed.getStaticInnerTiles()[0];
  } else {
    packWeights(buffer);
  }
}

/// Weights that are computed while running become panels before the loops.
void ConvolutionLoops::packWeights(Value buffer) {
  Access from = accessOf(e, buffer, c.weightLoops, c.ranges.size());
  int64_t steps = c.steps(), columns = c.size(c.lane());
  int64_t outer = c.isDepthwise() ? 1 : size(c.group);
  auto type =
      MemRefType::get(outer * parts() * steps * width, e.builder.getF32Type());
  weights = memref::AllocOp::create(e.builder, e.loc, type,
                                    e.builder.getI64IntegerAttr(64));
  Value zero = e.real(0, e.builder.getF32Type());
  e.parallel(e.index(outer * parts()), [&](Value index) {
    SmallVector<Value> at(c.ranges.size());
    Value column0 = e.mul(e.remainder(index, e.index(parts())), width);
    if (outer != 1)
      at[*c.group] = e.floorDiv(index, e.index(parts()));
    e.loop(e.index(0), e.index(steps), 1, [&](Value step) {
      Value rest = step;
      auto take = [&](unsigned loop) {
        at[loop] = e.remainder(rest, sizes[loop]);
        rest = e.floorDiv(rest, sizes[loop]);
      };
      if (c.channel)
        take(*c.channel);
      for (const Convolution::Spatial &dim : llvm::reverse(c.spatial))
        take(dim.window);
      Value to = e.mul(e.add(e.mul(index, steps), step), width);
      e.loop(e.index(0), e.index(width), 1, [&](Value lane) {
        Value column = e.add(column0, lane);
        at[c.lane()] = e.min(column, e.index(columns - 1));
        Value weight =
            memref::LoadOp::create(e.builder, e.loc, from.flat, from.at(e, at));
        weight = arith::SelectOp::create(
            e.builder, e.loc, e.less(column, e.index(columns)), weight, zero);
        memref::StoreOp::create(e.builder, e.loc, weight, weights,
                                e.add(to, lane));
      });
    });
  });
}

std::pair<Value, Value> ConvolutionLoops::insideOf(unsigned k, Value image) {
  const Convolution::Spatial &dim = c.spatial[k];
  Value zero = e.index(0), count = sizes[dim.window];
  if (!c.padded)
    return {zero, count};
  Value start = e.sub(e.mul(image, dim.stride), low[k]),
        dilation = e.index(dim.dilation);
  auto reach = [&](Value distance) {
    return e.min(e.ceilDiv(e.max(distance, zero), dilation), count);
  };
  return {reach(e.sub(zero, start)), reach(e.sub(inputSizes[k], start))};
}

Value ConvolutionLoops::windowStart(unsigned k, Value image) {
  Value start = e.sub(e.mul(image, c.spatial[k].stride), low[k]);
  return inputStep(k) ? e.mul(start, inputStep(k)) : e.index(0);
}

Value ConvolutionLoops::inputBase() {
  SmallVector<Value> outer(point.size());
  for (Convolution::Loop loop : {c.batch, c.group})
    if (loop)
      outer[*loop] = point[*loop];
  Value base = input.at(e, outer);
  for (unsigned k = 0; k + 1 < c.spatial.size(); ++k)
    base = e.add(base, windowStart(k, point[c.spatial[k].image]));
  return base;
}

Value ConvolutionLoops::weightsOf(Value column) {
  Value panel = e.floorDiv(column, e.index(pack));
  if (c.group && !c.isDepthwise())
    panel =
        e.add(e.mul(point[*c.group], llvm::divideCeil(c.size(c.lane()), pack)),
              panel);
  return e.add(e.mul(panel, c.steps() * pack),
               e.remainder(column, e.index(pack)));
}

Value ConvolutionLoops::laneMask(Value column) {
  return e.lanesBelow(e.sub(sizes[c.lane()], column), lanes);
}

void ConvolutionLoops::forPart(Value column0,
                               llvm::function_ref<void(bool)> body) {
  if (wholeParts())
    return body(false);
  e.branch(
      e.less(sizes[c.lane()], e.add(column0, width)), [&] { body(true); },
      [&] { body(false); });
}

void ConvolutionLoops::finish(Value sums, Value column, Value mask) {
  point[c.lane()] = column;
  Columns columns{lanes, mask};
  Value result = sums;
  if (c.epilogue) {
    SmallVector<Value> arguments;
    for (Access &access : epilogueInputs)
      arguments.push_back(access.flat
                              ? readColumns(e, access.flat, access.at(e, point),
                                            access.steps[c.lane()], columns)
                              : sums);
    result = computeLanes(e, site, c.epilogue, arguments, lanes,
                          [&](unsigned loop) { return indexOf(loop); })[0];
  }
  writeColumns(e, result, out.flat, out.at(e, point), out.steps[c.lane()],
               columns);
  point[c.lane()] = {};
}

/// The lanes' indices along a loop of the epilogue.
Value ConvolutionLoops::indexOf(unsigned epilogueLoop) {
  unsigned loop = c.epilogueDims[epilogueLoop];
  Value index = e.broadcast(point[loop] ? point[loop] : e.index(0), lanes);
  if (loop != c.lane())
    return index;
  return arith::AddIOp::create(e.builder, e.loc, index,
                               e.iota(lanes, e.builder.getIndexType()));
}
