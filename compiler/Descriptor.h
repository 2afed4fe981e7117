// What a compiled model shows to the world: its descriptor and its functions,
// as LLVM IR.
#pragma once
#include "compiler/ModelInfo.h"
#include "llvm/IR/Module.h"
#include <array>
#include <string>

namespace fulgur {

/// The symbols that belong to a model with a given prefix.
struct Symbols {
  explicit Symbols(llvm::StringRef prefix);

  std::string prefix;
  std::string model, planCall, runCall,
      lastMessage; ///< m_model, m_plan, m_run, m_last_message: the public ones
  /// Made by the pipeline: m__plan and m__run, or of a program's parts
  /// m__part__plan and m__part__run.
  std::string plan(llvm::StringRef part = "") const;
  std::string run(llvm::StringRef part = "") const;
  std::string drive;                        ///< m__drive, of programs
  std::string weights;                      ///< m__weights
  std::string weightsSpace, weightsSection; ///< .bss.m_weights in LLVM IR,
                                            ///< .rodata.m_weights in the object

  std::array<std::string, 4> exported() const {
    return {lastMessage, model, planCall, runCall};
  }
};

/// The code for one of several kinds of CPUs.
struct CodeVariant {
  std::string name;
  uint64_t cpuFeatures = 0;
  ModelInfo info;
  Symbols symbols; ///< of its functions
};

struct DescriptorOptions {
  std::string producer, target; ///< for people
  uint64_t cpuFeatures = 0;
  bool embedWeights = true;
  /// The most demanding first; the model's own functions are those of the last.
  /// Empty: there is one kind of CPUs.
  llvm::ArrayRef<CodeVariant> variants = {};
};

/// Appends to `module`, which defines `symbols.plan()` and `symbols.run()`, or
/// those of all parts and `symbols.drive`, the
/// model's descriptor (fulgur_model), its functions and, for embedded weights,
/// a zero-filled section of their size, to be renamed and filled with
/// fillSection(). The hash and the stack's size are left 0; they are known when
/// all is compiled (see offsetOfSymbol()).
llvm::Error addDescriptor(llvm::Module &module, const ModelInfo &info,
                          const Symbols &symbols,
                          const DescriptorOptions &options);

} // namespace fulgur
