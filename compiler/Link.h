// The linker's work: merging objects, and the files that other tools link: m.a
// and m.so.
#pragma once
#include "compiler/Elf.h"
#include "compiler/Target.h"
#include "llvm/ADT/ArrayRef.h"

namespace fulgur {

/// Finds a linker that merges objects (ld.lld or ld): `wanted`, or one on PATH.
/// Empty: there is none.
std::string findLinker(llvm::StringRef wanted);

/// Merges relocatable objects into one.
llvm::Expected<ObjectBytes> mergeObjects(llvm::ArrayRef<ObjectBytes> objects,
                                         llvm::StringRef linker);

/// Writes the archive `path` with the one member `object`, a file, under the
/// name `member`; `symbols` are the global ones that it defines. The member is
/// streamed: it may hold gigabytes of weights.
llvm::Error writeArchive(llvm::StringRef path, llvm::StringRef object,
                         llvm::StringRef member,
                         llvm::ArrayRef<std::string> symbols);

struct SharedLibrary {
  std::string path, soname, object, runtimeLibrary; ///< files
  std::vector<std::string> exports; ///< the only symbols others see
  std::string
      linker; ///< empty: cc for this machine's own architecture, else ld.lld
};

/// Links `library.object` and the runtime into a shared library.
llvm::Error linkShared(const SharedLibrary &library, const CpuTarget &target);

} // namespace fulgur
