// LLVM IR to machine code.
#pragma once
#include "compiler/Elf.h"
#include "compiler/Target.h"
#include "llvm/IR/Module.h"

namespace fulgur {
class KernelCache;

struct CodegenOptions {
  unsigned level = 3;
  unsigned threads = 1;
  std::string linker; ///< an ld that merges objects; empty: the module is
                      ///< compiled in one piece
  KernelCache *cache = nullptr; ///< may be null
  /// A function whose calls bound the stack.
  struct Root {
    std::string function;
    std::vector<std::string> calledBack; ///< what the runtime calls below it
  };
  std::vector<Root> roots;          ///< one of them runs
  std::vector<std::string> exports; ///< symbols that stay global
  std::vector<std::pair<std::string, std::string>>
      renamedSections; ///< in the object
};

struct Code {
  ObjectBytes object;
  uint64_t stackBytes = 0; ///< upper bound of what a root and everything it
                           ///< calls or hands out needs, and on top of it the
                           ///< deepest function that is called back
};

/// Compiles `module` to one relocatable object in which only public symbols are
/// global. Functions are compiled for `target`, unless they name a CPU of their
/// own; public ones for every CPU. Functions are compiled in parallel, in parts
/// that depend on the module alone: the result does not depend on `threads`.
llvm::Expected<Code> generateObject(llvm::Module &module,
                                    const CpuTarget &target,
                                    const CodegenOptions &options);

/// Optimises `module` in one part and writes it as LLVM IR or, with `assembly`,
/// as assembly.
llvm::Error generateText(llvm::Module &module, const CpuTarget &target,
                         const CodegenOptions &options, bool assembly,
                         llvm::raw_pwrite_stream &os);

} // namespace fulgur
