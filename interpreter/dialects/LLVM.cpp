// The few LLVM operations that stand in the IR before everything is converted:
// reads of the runtime's structures, and functions that math lacks.
#include "interpreter/Host.h"
#include "interpreter/Machine.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include <cmath>

using namespace mlir;

namespace fulgur::interpreter {

static void runGEP(Machine &machine, const Step &step) {
  auto op = step.as<LLVM::GEPOp>();
  Format element = Format::of(op.getElemType());
  if (op.getIndices().size() != 1 || !element)
    return machine.unknown(step, "such indices");
  auto index = op.getIndices()[0];
  int64_t number = isa<IntegerAttr>(index) ? cast<IntegerAttr>(index).getInt()
                                           : machine.integer(step, 1);
  machine.set(step, 0,
              Scalar::of(machine.integer(step, 0) + number * element.bytes()));
}

/// Where the numbers of a load or store are, if the module may touch them.
static char *place(Machine &machine, const Step &step, int64_t address,
                   Type type) {
  Format format = Format::of(type);
  auto vector = dyn_cast<VectorType>(type);
  if (!format || (vector && format.bits % 8)) {
    machine.unknown(step, "such a type"); // booleans in vectors are bits
    return nullptr;
  }
  int64_t count = vector ? vector.getNumElements() : 1;
  if (!machine.host.isAllowed(address, count * format.bytes())) {
    machine.wrong(step, "touches memory that is none of the run's");
    return nullptr;
  }
  return reinterpret_cast<char *>(address);
}

static void runLoad(Machine &machine, const Step &step) {
  Type type = step.op->getResult(0).getType();
  Format format = step.resultFormats[0];
  char *at = place(machine, step, machine.integer(step, 0), type);
  auto vector = dyn_cast<VectorType>(type);
  if (!at)
    return;
  if (!vector)
    return machine.set(step, 0, format.load(at));
  auto result = llvm::makeIntrusiveRefCnt<Lanes>();
  for (int64_t k = 0; k < vector.getNumElements(); ++k)
    result->lanes.push_back(format.load(at + k * format.bytes()));
  machine.set(step, 0, result);
}

static void runStore(Machine &machine, const Step &step) {
  Type type = step.op->getOperand(0).getType();
  Format format = step.formats[0];
  char *at = place(machine, step, machine.integer(step, 1), type);
  if (!at)
    return;
  if (!isa<VectorType>(type))
    return format.store(machine.value(step, 0).scalar, at);
  for (auto [k, lane] : llvm::enumerate(machine.lanes(step, 0).lanes))
    format.store(lane, at + k * format.bytes());
}

/// Calls `visit` with the memory of each lane that is not masked.
static void forEachActive(Machine &machine, const Step &step, int64_t address,
                          const Lanes &mask, Format format,
                          llvm::function_ref<void(int64_t, char *)> visit) {
  if (format.bits % 8)
    return machine.unknown(step, "such a type");
  for (auto [k, active] : llvm::enumerate(mask.lanes)) {
    int64_t at = address + int64_t(k) * format.bytes();
    if (!active.integer)
      continue;
    if (!machine.host.isAllowed(at, format.bytes()))
      return machine.wrong(step, "touches memory that is none of the run's");
    visit(k, reinterpret_cast<char *>(at));
  }
}

static void runMaskedLoad(Machine &machine, const Step &step) {
  if (step.operands.size() != 3)
    return machine.unknown(step, "nothing behind the mask");
  Format format = step.resultFormats[0];
  auto result = llvm::makeIntrusiveRefCnt<Lanes>(machine.lanes(step, 2));
  forEachActive(
      machine, step, machine.integer(step, 0), machine.lanes(step, 1), format,
      [&](int64_t k, char *at) { result->lanes[k] = format.load(at); });
  machine.set(step, 0, result);
}

static void runMaskedStore(Machine &machine, const Step &step) {
  Format format = step.formats[0];
  auto &lanes = machine.lanes(step, 0).lanes;
  forEachActive(machine, step, machine.integer(step, 1), machine.lanes(step, 2),
                format,
                [&](int64_t k, char *at) { format.store(lanes[k], at); });
}

/// Sums of two products each: the odd lanes' first.
static void runPairSums(Machine &machine, const Step &step) {
  auto &sums = machine.lanes(step, 0).lanes;
  auto &a = machine.lanes(step, 1).lanes, &b = machine.lanes(step, 2).lanes;
  auto result = llvm::makeIntrusiveRefCnt<Lanes>();
  for (auto [k, sum] : llvm::enumerate(sums)) {
    Scalar total = sum;
    for (size_t lane : {2 * k + 1, 2 * k})
      total = machine.fused(step.resultFormats[0], a[lane].real, b[lane].real,
                            total.real);
    result->lanes.push_back(total);
  }
  machine.set(step, 0, result);
}

/// Sums of `count` products of integers each, on top of the first operand if
/// there are three.
static void runDotProducts(Machine &machine, const Step &step, unsigned count,
                           bool firstIsUnsigned) {
  unsigned first = step.operands.size() - 2;
  auto &a = machine.lanes(step, first).lanes,
       &b = machine.lanes(step, first + 1).lanes;
  Format format = step.resultFormats[0], element = step.formats[first];
  auto result = llvm::makeIntrusiveRefCnt<Lanes>();
  for (size_t k = 0; k < a.size() / count; ++k) {
    int64_t total = first ? machine.lanes(step, 0).lanes[k].integer : 0;
    for (size_t lane = k * count; lane < (k + 1) * count; ++lane) {
      int64_t x = llvm::SignExtend64(a[lane].integer, element.bits),
              y = llvm::SignExtend64(b[lane].integer, element.bits);
      if (firstIsUnsigned)
        x &= llvm::maskTrailingOnes<uint64_t>(element.bits);
      total += x * y;
    }
    if (format.bits == 16) // these saturate
      total = std::clamp<int64_t>(total, INT16_MIN, INT16_MAX);
    result->lanes.push_back(Scalar::of(format.wrap(total)));
  }
  machine.set(step, 0, result);
}

/// Elements of two vectors, by number.
static void runPick(Machine &machine, const Step &step) {
  auto &numbers = machine.lanes(step, 1).lanes;
  auto result = llvm::makeIntrusiveRefCnt<Lanes>();
  size_t count = numbers.size();
  for (Scalar number : numbers) {
    size_t k = number.integer & (2 * count - 1);
    result->lanes.push_back(
        machine.lanes(step, k < count ? 0 : 2).lanes[k % count]);
  }
  machine.set(step, 0, result);
}

static void runIntrinsic(Machine &machine, const Step &step) {
  StringRef name = step.as<LLVM::CallIntrinsicOp>().getIntrin();
  if (name == "llvm.x86.avx512bf16.dpbf16ps.512")
    return runPairSums(machine, step);
  if (name == "llvm.x86.avx512.vpdpbusd.512" ||
      name == "llvm.x86.avx512.vpdpbusd.256")
    return runDotProducts(machine, step, 4, /*firstIsUnsigned=*/true);
  if (name == "llvm.x86.avx512.pmaddubs.w.512" ||
      name == "llvm.x86.avx2.pmadd.ub.sw")
    return runDotProducts(machine, step, 2, /*firstIsUnsigned=*/true);
  if (name == "llvm.x86.avx512.pmaddw.d.512" ||
      name == "llvm.x86.avx2.pmadd.wd")
    return runDotProducts(machine, step, 2, /*firstIsUnsigned=*/false);
  if (name == "llvm.x86.avx512.vpermi2var.ps.512")
    return runPick(machine, step);
  machine.unknown(step, "the intrinsic " + name);
}

void registerLLVM(Registry &registry) {
  registry.add<LLVM::GEPOp>(runGEP);
  registry.ignore<LLVM::FenceOp>();
  registry.add<LLVM::LoadOp>(runLoad);
  registry.add<LLVM::StoreOp>(runStore);
  registry.add<LLVM::MaskedLoadOp>(runMaskedLoad);
  registry.add<LLVM::MaskedStoreOp>(runMaskedStore);
  registry.add<LLVM::BitcastOp>(runBitCast);
  registry.add<LLVM::CallIntrinsicOp>(runIntrinsic);
  registry.add<LLVM::IntToPtrOp>([](Machine &machine, const Step &step) {
    machine.set(step, 0, machine.value(step, 0));
  });
  registry.elementwise<LLVM::LrintOp>(
      [](Machine &, const Step &s, const Scalar *x) {
        // To even; what is outside is poison, on x86 the least number.
        int64_t least = INT64_MIN >> (64 - s.resultFormats[0].bits);
        double whole = std::nearbyint(x[0].real);
        bool fits = whole >= double(least) && whole < -double(least);
        return Scalar::of(fits ? int64_t(whole) : least);
      });
  registry.elementwise<LLVM::FMulAddOp>(
      [](Machine &m, const Step &s, const Scalar *x) {
        return m.fused(s.resultFormats[0], x[0].real, x[1].real, x[2].real);
      });
}

} // namespace fulgur::interpreter
