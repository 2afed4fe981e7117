#include "passes/kernel/builders/ProductLoops.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace fulgur;

SmallVector<int> ProductLoops::loopsOf(const Product::Operand &operand) {
  // Neighbours that share a loop are one dim there: only the innermost one's
  // stride is the loop's, and that of a dim of size 1 is none.
  SmallVector<int64_t> ranges = product.contraction.getStaticLoopRanges();
  auto innermost = [&](const Product::Loop &dims) {
    for (unsigned dim : llvm::reverse(dims))
      if (ranges[dim] != 1)
        return dim;
    return dims.back();
  };
  SmallVector<int> result;
  for (int dim : operand.dims) {
    result.push_back(-1);
    for (auto [loop, dims] : llvm::enumerate(product.loops))
      if (dim >= 0 && llvm::is_contained(dims, unsigned(dim)) &&
          innermost(dims) == unsigned(dim))
        result.back() = loop;
  }
  return result;
}

SmallVector<int> ProductLoops::loopsOfPanels() {
  SmallVector<int> result;
  for (int loop : loopsOf(product.bOperand))
    if (loop != int(column()) && loop != int(reduction()))
      result.push_back(loop);
  result.append({int(product.loops.size()), int(reduction()), -1});
  return result;
}

void ProductLoops::accessOperands(Value bBuffer) {
  SmallVector<int64_t> ranges = product.contraction.getStaticLoopRanges();
  Value aBuffer = site.operand(product.aOperand.value),
        outBuffer = site.operand(product.out);
  auto sizeOf = [&](unsigned dim) -> Value {
    if (!ShapedType::isDynamic(ranges[dim]))
      return e.index(ranges[dim]);
    for (auto [operand, buffer] : {std::pair(&product.aOperand, aBuffer),
                                   {&product.outOperand, outBuffer},
                                   {&product.bOperand, bBuffer}})
      // A table has more matrices than there are picked.
      if (buffer && operand->has(dim) &&
          !(operand == &product.bOperand && product.gather &&
            operand->dims[0] == int(dim)))
        return e.dim(buffer, llvm::find(operand->dims, int(dim)) -
                                 operand->dims.begin());
    llvm_unreachable("a dim of a contraction is in one of its operands");
  };
  for (const Product::Loop &dims : product.loops) {
    Value size = e.index(1);
    for (unsigned dim : dims)
      size = e.mul(size, sizeOf(dim));
    sizes.push_back(size);
  }
  unsigned count = product.loops.size();
  a = accessOf(e, aBuffer, loopsOf(product.aOperand), count);
  out = accessOf(e, outBuffer, loopsOf(product.outOperand), count);
  if (product.roundedOut)
    roundedOut = accessOf(e, site.operand(product.roundedOut),
                          loopsOf(product.outOperand), count);
}

void ProductLoops::accessEpilogue() {
  for (const Product::Operand &input : product.epilogueInputs)
    epilogueInputs.push_back(input.value
                                 ? accessOf(e, site.operand(input.value),
                                            loopsOf(input), sizes.size())
                                 : Access());
}

Value ProductLoops::outerPoints() {
  Value count = e.index(1);
  for (Value size : ArrayRef(sizes).drop_back(3))
    count = e.mul(count, size);
  return count;
}

void ProductLoops::forTasks(int64_t rowsOfStream, Task task) {
  Value points = outerPoints(),
        panels = e.ceilDiv(sizes[column()], e.index(width)),
        rowBlocks = e.ceilDiv(sizes[row()], e.index(taskRows));
  // Equal chunks of rows, whole tiles each.
  Value blockRows =
      e.mul(e.ceilDiv(e.ceilDiv(sizes[row()], e.max(rowBlocks, e.index(1))),
                      e.index(rows)),
            rows);
  Value rowsOfTask =
      e.max(e.min(sizes[row()], blockRows), e.index(rowsOfStream));
  Value operations = e.mul(e.max(sizes[reduction()], e.index(1)),
                           e.mul(rowsOfTask, 2 * width));
  Value taskPanels = e.add(e.floorDiv(e.index(kTaskOperations), operations), 1);
  Value chunks = e.ceilDiv(panels, taskPanels);
  // As many as threads can share evenly: more blocks of rows, if there are some
  // already, else more chunks of panels.
  Value tiles = e.ceilDiv(sizes[row()], e.index(rows)), one = e.index(1),
        tasks = e.evenTasks(e.mul(e.mul(points, rowBlocks), chunks)),
        several = e.less(one, rowBlocks);
  auto choose = [&](Value more, Value same) {
    return e.builder.createOrFold<arith::SelectOp>(e.loc, several, more, same);
  };
  auto dividedBy = [&](Value others) {
    return e.ceilDiv(tasks, e.max(others, one));
  };
  Value moreBlocks = e.min(dividedBy(e.mul(points, chunks)), tiles),
        moreChunks = e.min(dividedBy(e.mul(points, rowBlocks)), panels);
  rowBlocks = choose(moreBlocks, rowBlocks);
  chunks = choose(chunks, moreChunks);
  e.parallel(e.mul(e.mul(points, rowBlocks), chunks), [&](Value index) {
    Value block = e.remainder(index, rowBlocks),
          rest = e.floorDiv(index, rowBlocks),
          chunk = e.remainder(rest, chunks);
    auto [fromTile, toTile] = e.part(block, tiles, rowBlocks);
    auto [fromPanel, toPanel] = e.part(chunk, panels, chunks);
    task(e.floorDiv(rest, chunks), e.mul(fromTile, rows),
         e.min(e.mul(toTile, rows), sizes[row()]), fromPanel, toPanel);
  });
}

void ProductLoops::choosePoint(Value outer) {
  point.assign(product.loops.size() + 1, Value());
  for (unsigned loop = row(); loop-- > 0;) {
    point[loop] = e.remainder(outer, sizes[loop]);
    outer = e.floorDiv(outer, sizes[loop]);
  }
}

Value ProductLoops::positionInA(Value row) {
  point[this->row()] = row;
  Value position = a.at(e, point);
  point[this->row()] = {};
  return position;
}

SmallVector<Value> ProductLoops::positionsInA(Value row, int64_t count) {
  SmallVector<Value> positions;
  for (int64_t r : llvm::seq(count))
    positions.push_back(positionInA(e.add(row, r)));
  return positions;
}

Value ProductLoops::onStack(int64_t count, Type element) {
  return memref::AllocaOp::create(e.builder, e.loc,
                                  MemRefType::get(count, element),
                                  e.builder.getI64IntegerAttr(64));
}

Value ProductLoops::columnMask(Value column0, int64_t vector) {
  return e.lanesBelow(e.sub(sizes[column()], e.add(column0, vector * lanes)),
                      lanes);
}

void ProductLoops::finish(Value panelIndex, Value sumsFrom, Value row,
                          Value count) {
  Value column0 = e.mul(panelIndex, width);
  auto all = [&](bool masked) {
    e.loop(e.index(0), count, 1, [&](Value r) {
      finishRow(e.mul(e.add(sumsFrom, r), width), e.add(row, r), column0,
                masked);
    });
  };
  if (wholePanels())
    return all(false);
  e.branch(
      e.less(sizes[column()], e.add(column0, width)), [&] { all(true); },
      [&] { all(false); });
}

void ProductLoops::finishRow(Value sumsAt, Value row, Value column0,
                             bool masked) {
  auto type =
      VectorType::get(lanes, cast<MemRefType>(sums.getType()).getElementType());
  for (int64_t vector : llvm::seq(vectors)) {
    Value firstColumn = e.add(column0, vector * lanes);
    Columns columns{lanes, masked ? columnMask(column0, vector) : Value()};
    Value result = vector::LoadOp::create(e.builder, e.loc, type, sums,
                                          e.add(sumsAt, vector * lanes));
    finishVector(result, row, firstColumn, columns);
  }
}

void ProductLoops::finishVector(Value result, Value row, Value column,
                                Columns columns, Operation *done) {
  point[this->row()] = row;
  point[this->column()] = column;
  if (product.epilogue) {
    SmallVector<Value> arguments;
    for (Access &input : epilogueInputs)
      arguments.push_back(
          input.flat ? readColumns(e, input.flat, input.at(e, point),
                                   input.steps[this->column()], columns)
                     : result);
    result = computeLanes(
        e, site, product.epilogue, arguments, columns.lanes,
        [&](unsigned loop) { return indexOf(loop, columns.lanes); },
        {done, result})[0];
  }
  writeColumns(e, result, out.flat, out.at(e, point), out.steps[this->column()],
               columns);
  if (roundedOut.flat) {
    auto narrow = VectorType::get(columns.lanes, e.builder.getBF16Type());
    writeColumns(e, arith::TruncFOp::create(e.builder, e.loc, narrow, result),
                 roundedOut.flat, roundedOut.at(e, point),
                 roundedOut.steps[this->column()], columns);
  }
  point[this->row()] = point[this->column()] = {};
}

/// The lanes' indices along a loop of the epilogue.
Value ProductLoops::indexOf(unsigned epilogueLoop, int64_t lanes) {
  int dim = product.epilogueDims[epilogueLoop];
  unsigned loop =
      llvm::find_if(
          product.loops,
          [&](auto &dims) { return llvm::is_contained(dims, unsigned(dim)); }) -
      product.loops.begin();
  Value index = e.broadcast(point[loop], lanes);
  if (loop != column())
    return index;
  return arith::AddIOp::create(e.builder, e.loc, index,
                               e.iota(lanes, e.builder.getIndexType()));
}
