// Functions in MLIR's text, run by the interpreter.
#pragma once
#include "dialects/Fulgur.h"
#include "interpreter/Trial.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>

/// The numbers of the only result of @main, or why there are none.
struct Result {
  std::vector<double> numbers;
  std::string reason;
};

inline Result runText(const std::string &text) {
  using namespace mlir;
  using namespace fulgur::interpreter;
  DialectRegistry registry;
  registry
      .insert<fulgur::FulgurDialect, affine::AffineDialect, arith::ArithDialect,
              bufferization::BufferizationDialect, cf::ControlFlowDialect,
              func::FuncDialect, linalg::LinalgDialect, LLVM::LLVMDialect,
              math::MathDialect, memref::MemRefDialect, scf::SCFDialect,
              tensor::TensorDialect, vector::VectorDialect>();
  MLIRContext context(registry);
  auto module = parseSourceString<ModuleOp>(text, &context);
  if (!module)
    return {{}, "does not parse"};
  Host host;
  Constants constants;
  host.constants = &constants;
  host.symbols["n"] = 5;
  Machine machine(*module, host);
  auto results = machine.call("main", {});
  if (!results)
    return {{}, machine.reason()};
  Type type =
      module->lookupSymbol<func::FuncOp>("main").getResultTypes().front();
  Format format = Format::of(type);
  auto number = [&](Scalar value) {
    return format.isFloat() ? value.real : double(value.integer);
  };
  Result result;
  const fulgur::interpreter::Value &value = results->front();
  if (isa<VectorType>(type)) {
    for (Scalar lane : static_cast<Lanes &>(*value.aggregate).lanes)
      result.numbers.push_back(number(lane));
  } else if (isa<ShapedType>(type)) {
    auto array = copyOf(static_cast<Array &>(*value.aggregate));
    for (int64_t k = 0; k < array->count(); ++k)
      result.numbers.push_back(number(format.load(array->at(k))));
  } else {
    result.numbers.push_back(number(value.scalar));
  }
  return result;
}

/// Expects these numbers of a @main with that body, which returns `type`.
inline void expectNumbers(const std::string &type, const std::string &body,
                          const std::vector<double> &numbers) {
  Result result = runText("func.func @main() -> " + type + " {\n" + body + "}");
  EXPECT_EQ(result.reason, "") << body;
  EXPECT_EQ(result.numbers, numbers) << body;
}

/// Expects the execution to end early, for a reason that has this in it.
inline void expectEnd(const std::string &type, const std::string &body,
                      const std::string &reason) {
  Result result = runText("func.func @main() -> " + type + " {\n" + body + "}");
  EXPECT_NE(result.reason.find(reason), std::string::npos) << result.reason;
}
