// The few things that a finished relocatable ELF64 object needs beyond what
// LLVM wrote.
#include "compiler/Elf.h"
#include "compiler/Failure.h"
#include "llvm/ObjCopy/ConfigManager.h"
#include "llvm/ObjCopy/ObjCopy.h"
#include "llvm/Object/ELF.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;
using namespace fulgur;
using Elf = object::ELFFile<object::ELF64LE>;

/// Above this, sections go where references from code cannot reach and need
/// not: far from the code.
static constexpr uint64_t farBytes = uint64_t(1) << 30;

Expected<uint64_t> fulgur::fillSection(ObjectBytes &object, StringRef name) {
  Expected<Elf> elf = Elf::create(StringRef(object.data(), object.size()));
  if (!elf)
    return elf.takeError();
  auto sections = elf->sections();
  if (!sections)
    return sections.takeError();
  for (const Elf::Elf_Shdr &section : *sections) {
    Expected<StringRef> sectionName = elf->getSectionName(section);
    if (!sectionName)
      return sectionName.takeError();
    if (*sectionName != name)
      continue;
    if (section.sh_type != ELF::SHT_NOBITS)
      return fail(ExitCode::internal,
                  "internal error: section '" + name + "' already has content");
    auto &header = const_cast<Elf::Elf_Shdr &>(section); // `object` is ours
    uint64_t offset =
        alignTo(object.size(), std::max<uint64_t>(header.sh_addralign, 1));
    header.sh_type = ELF::SHT_PROGBITS;
    header.sh_flags = ELF::SHF_ALLOC;
    if (elf->getHeader().e_machine == ELF::EM_X86_64 &&
        header.sh_size > farBytes)
      header.sh_flags |= ELF::SHF_X86_64_LARGE;
    header.sh_offset = offset;
    object.resize(offset);
    return offset;
  }
  return fail(ExitCode::internal,
              "internal error: the object has no section '" + name + "'");
}

Expected<uint64_t> fulgur::offsetOfSymbol(const ObjectBytes &object,
                                          StringRef symbol, uint64_t at) {
  auto file = object::ObjectFile::createELFObjectFile(
      MemoryBufferRef(StringRef(object.data(), object.size()), "model.o"));
  if (!file)
    return file.takeError();
  for (const object::SymbolRef &candidate : (*file)->symbols()) {
    Expected<StringRef> name = candidate.getName();
    if (!name)
      return name.takeError();
    if (*name != symbol)
      continue;
    auto section = candidate.getSection();
    auto value = candidate.getValue();
    if (!section)
      return section.takeError();
    if (!value)
      return value.takeError();
    if (*section == (*file)->section_end())
      break;
    auto content = (*section)->getContents();
    if (!content)
      return content.takeError();
    return content->data() - object.data() + *value + at;
  }
  return fail(ExitCode::internal,
              "internal error: the object does not define '" + symbol + "'");
}

Error fulgur::tidyObject(
    ObjectBytes &object,
    ArrayRef<std::pair<std::string, std::string>> renamedSections,
    const std::map<std::string, std::string> &renamedSymbols) {
  auto file = object::ObjectFile::createELFObjectFile(
      MemoryBufferRef(StringRef(object.data(), object.size()), "model.o"));
  if (!file)
    return file.takeError();
  objcopy::ConfigManager config;
  config.ELF.LocalizeHidden = true;
  config.Common.StripDebug = true;
  for (auto &[from, to] : renamedSections) {
    objcopy::SectionRename rename;
    rename.OriginalName = from;
    rename.NewName = to;
    config.Common.SectionsToRename[from] = rename;
  }
  for (auto &[from, to] : renamedSymbols)
    config.Common.SymbolsToRename[from] = to;
  ObjectBytes result;
  raw_svector_ostream os(result);
  if (Error error = objcopy::executeObjcopyOnBinary(config, **file, os))
    return error;
  object = std::move(result);
  return Error::success();
}

Expected<std::vector<std::pair<std::string, uint64_t>>>
fulgur::functionBytes(const ObjectBytes &object) {
  auto file = object::ObjectFile::createELFObjectFile(
      MemoryBufferRef(StringRef(object.data(), object.size()), "model.o"));
  if (!file)
    return file.takeError();
  std::vector<std::pair<std::string, uint64_t>> functions;
  for (const object::SymbolRef &symbol : (*file)->symbols()) {
    auto type = symbol.getType();
    auto name = symbol.getName();
    if (!type)
      return type.takeError();
    if (!name)
      return name.takeError();
    if (*type == object::SymbolRef::ST_Function)
      functions.push_back(
          {name->str(), object::ELFSymbolRef(symbol).getSize()});
  }
  return functions;
}

Expected<std::vector<std::string>>
fulgur::globalSymbols(const ObjectBytes &object, bool defined) {
  auto file = object::ObjectFile::createELFObjectFile(
      MemoryBufferRef(StringRef(object.data(), object.size()), "model.o"));
  if (!file)
    return file.takeError();
  std::vector<std::string> names;
  for (const object::SymbolRef &symbol : (*file)->symbols()) {
    auto flags = symbol.getFlags();
    auto name = symbol.getName();
    if (!flags)
      return flags.takeError();
    if (!name)
      return name.takeError();
    bool isDefined = !(*flags & object::SymbolRef::SF_Undefined);
    if (isDefined == defined && *flags & object::SymbolRef::SF_Global &&
        !name->empty())
      names.push_back(name->str());
  }
  llvm::sort(names);
  return names;
}
