// The pieces of a module that are compiled apart: one for each kernel.
#pragma once
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include <map>
#include <string>
#include <vector>

namespace fulgur {

/// A module in a context of its own, to be compiled on any thread.
struct Unit {
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> module;
  std::string hash; ///< of all that the module says
  size_t instructions = 0;
  std::string error; ///< why there is none
};

struct Units {
  /// Without what says the same as another; the exports and variables are in
  /// the first.
  std::vector<Unit> units;
  /// A kernel's functions are named after the hash of their unit, so that
  /// equal kernels of any two models are equal units. This maps such a name to
  /// the one that the function had.
  std::map<std::string, std::string> originalNames;
};

/// Splits `module`; local functions are copied to where they are used.
/// `entries` and `exports` call kernels; what kernels call or
/// hand out to executors is compiled along with them. The split depends on the
/// module alone; `threads` share the work.
Units splitModule(llvm::Module &module, llvm::ArrayRef<std::string> exports,
                  llvm::ArrayRef<std::string> entries, unsigned threads);

/// Runs `work(i)` for every i below `count` on up to `threads` threads.
void runInParallel(unsigned count, unsigned threads,
                   llvm::function_ref<void(unsigned)> work);

} // namespace fulgur
