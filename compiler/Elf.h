// The few things that a finished relocatable ELF64 object needs beyond what
// LLVM wrote. The object is a byte vector; a large section's content never
// passes through it, but goes behind it in the file.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <map>
#include <string>
#include <vector>

namespace fulgur {

using ObjectBytes = llvm::SmallVector<char, 0>;

/// Makes the zero-filled (SHT_NOBITS) section `name` one that is read-only and
/// filled from the file, and returns where in the file its content has to
/// follow: the new end of `object`.
llvm::Expected<uint64_t> fillSection(ObjectBytes &object, llvm::StringRef name);

/// Offset in the file of byte `at` of what `symbol` names.
llvm::Expected<uint64_t> offsetOfSymbol(const ObjectBytes &object,
                                        llvm::StringRef symbol, uint64_t at);

/// Makes hidden symbols local, as if they had been internal to one source file,
/// and gives sections and symbols other names.
llvm::Error tidyObject(
    ObjectBytes &object,
    llvm::ArrayRef<std::pair<std::string, std::string>> renamedSections = {},
    const std::map<std::string, std::string> &renamedSymbols = {});

/// The functions of an object and how many bytes of code each has.
llvm::Expected<std::vector<std::pair<std::string, uint64_t>>>
functionBytes(const ObjectBytes &object);

/// Names of global symbols, defined or undefined, sorted.
llvm::Expected<std::vector<std::string>>
globalSymbols(const ObjectBytes &object, bool defined);

} // namespace fulgur
