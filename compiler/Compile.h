// The compiler as one function: a model in, files out.
#pragma once
#include "compiler/Failure.h"
#include "compiler/Options.h"

namespace fulgur {

/// Compiles as `options` say. Whatever is wrong has been printed when this
/// returns; files exist only after success. The process's targets must have
/// been initialised (initializeTargets()).
ExitCode compile(const Options &options);

/// "fulgurc 0.1.0 (LLVM 22.1.8)"
std::string producer();

} // namespace fulgur
