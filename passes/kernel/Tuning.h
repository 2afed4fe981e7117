// What the choice of schedules and their tuning agree on: how a kernel is found
// again in a database, and what may be tried on it.
#pragma once
#include "passes/kernel/builders/Builder.h"
#include <string>

namespace fulgur {
/// Of a module: {a kernel's key = the text of its fastest schedule}.
inline constexpr llvm::StringLiteral kTunedAttr = "fulgur.tuned";
/// Of a module that is one kernel with one schedule, to be measured: {key,
/// kernel, operands, uses, schedule, sizes}.
inline constexpr llvm::StringLiteral kTrialAttr = "fulgur.trial";

/// A hash of what decides about a kernel's schedule: its body, its operands'
/// types and which of them are constants, the vector unit. The values of
/// constants are not in it, nor is where the kernel stands.
std::string kernelKey(KernelOp kernel, const Target &target);

/// `<kind = "gemm", ...>`
std::string scheduleText(ScheduleAttr schedule);

/// The schedules that `builder` has for a kernel: first its own choice, then
/// the alternatives, none twice.
llvm::SmallVector<ScheduleAttr> schedulesFor(const KernelBuilder &builder,
                                             KernelOp kernel,
                                             const Target &target);

/// The first builder that accepts the kernel, or null.
const KernelBuilder *builderOf(KernelOp kernel);

/// What was tuned for the kernel, else what `builder` chooses. `pass` remarks
/// on a tuned schedule that the builder does not have.
ScheduleAttr chooseSchedule(const KernelBuilder &builder, KernelOp kernel,
                            const Target &target, llvm::StringRef pass);
} // namespace fulgur
