// From LLVM IR to an object: same bytes for any number of threads, hidden
// internals, weights in place.
#include "compiler/Codegen.h"
#include "compiler/Link.h"
#include "compiler/ModelInfo.h"
#include "compiler/Options.h"
#include "compiler/Weights.h"
#include "mlir/IR/Builders.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Object/Archive.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/xxhash.h"
#include <gtest/gtest.h>

using namespace fulgur;
using namespace llvm;

/// A module of `numKernels` functions, long enough to be split, that share a
/// constant and a variable.
static std::string moduleText(unsigned numKernels) {
  std::string text = "@shared = private constant [2 x i32] [i32 3, i32 5]\n"
                     "@count = internal global i32 0\n"
                     "@space = hidden global [1000 x i8] zeroinitializer, "
                     "section \".bss.m_weights\", align 64\n"
                     "@m_model = constant ptr @space\n";
  std::string calls;
  for (unsigned k = 0; k < numKernels; ++k) {
    std::string name = "kernel_" + std::to_string(k);
    text += "define void @" + name +
            "(ptr %p) {\n  %c = load volatile i32, ptr @count\n  %s = load "
            "volatile i32, ptr @shared\n";
    for (unsigned i = 0; i < 400; ++i)
      text += "  store volatile i32 " + std::to_string(i + k) + ", ptr %p\n";
    text += "  ret void\n}\n";
    calls += "  call void @" + name + "(ptr %p)\n";
  }
  return text + "define i32 @m_run(ptr %p) {\n" + calls +
         "  %m = load volatile ptr, ptr @m_model\n  ret i32 0\n}\n";
}

static Code codeOf(unsigned threads, StringRef linker) {
  initializeTargets();
  LLVMContext context;
  SMDiagnostic diagnostic;
  std::unique_ptr<Module> module =
      parseAssemblyString(moduleText(30), diagnostic, context);
  Options options;
  Expected<CpuTarget> target = resolveTarget(options);
  CodegenOptions choices;
  choices.threads = threads;
  choices.linker = linker.str();
  choices.roots = {{"m_run", {}}};
  choices.exports = {"m_model", "m_run"};
  choices.renamedSections = {{".bss.m_weights", ".rodata.m_weights"}};
  return cantFail(generateObject(*module, *target, choices));
}

TEST(Codegen, BytesDoNotDependOnThreads) {
  std::string linker = findLinker("");
  EXPECT_EQ(codeOf(1, linker).object, codeOf(3, linker).object);
}

TEST(Codegen, EqualKernelsAreCompiledOnce) {
  initializeTargets();
  LLVMContext context;
  SMDiagnostic diagnostic;
  std::string text;
  for (StringRef name : {"a", "b", "c"})
    text += ("define void @" + name +
             "(ptr %p) {\n  store volatile i32 7, ptr %p\n  ret void\n}\n")
                .str();
  auto module = parseAssemblyString(
      text + "define i32 @m_run(ptr %p) {\n  call void @a(ptr %p)\n  call void "
             "@b(ptr %p)\n  call void @c(ptr %p)\n  ret i32 0\n}\n",
      diagnostic, context);
  Options options;
  CodegenOptions choices;
  choices.linker = findLinker("");
  choices.roots = {{"m_run", {}}};
  choices.exports = {"m_run"};
  Code code = cantFail(
      generateObject(*module, cantFail(resolveTarget(options)), choices));
  unsigned kernels = 0;
  for (auto &[name, bytes] : cantFail(functionBytes(code.object)))
    kernels += name != "m_run";
  EXPECT_EQ(kernels, 1u);
}

TEST(Codegen, OnlyExportsAreGlobal) {
  for (std::string linker : {std::string(), findLinker("")}) {
    Code code = codeOf(2, linker);
    EXPECT_EQ(cantFail(globalSymbols(code.object, /*defined=*/true)),
              (std::vector<std::string>{"m_model", "m_run"}));
    EXPECT_GT(code.stackBytes, 0u);
    EXPECT_LT(code.stackBytes, 4096u);
  }
}

TEST(Codegen, WeightsTakeNoSpaceUntilTheyFollow) {
  Code code = codeOf(1, "");
  uint64_t before = code.object.size();
  uint64_t offset = cantFail(fillSection(code.object, ".rodata.m_weights"));
  EXPECT_EQ(offset, code.object.size());
  EXPECT_EQ(offset % 64, 0u);
  EXPECT_LT(offset, before + 64);
  EXPECT_TRUE(
      errorToBool(fillSection(code.object, ".rodata.m_weights").takeError()))
      << "it is filled already";
}

TEST(Codegen, CallsOfOtherLibrariesAreRefused) {
  initializeTargets();
  LLVMContext context;
  SMDiagnostic diagnostic;
  auto module = parseAssemblyString(
      "declare float @expf(float)\ndefine float @m_run(float %x) {\n  %y = "
      "call float @expf(float %x)\n  ret float %y\n}\n",
      diagnostic, context);
  Options options;
  CodegenOptions choices;
  choices.exports = {"m_run"};
  Expected<Code> code =
      generateObject(*module, *resolveTarget(options), choices);
  ASSERT_FALSE(bool(code));
  EXPECT_NE(toString(code.takeError()).find("'expf'"), std::string::npos);
}

TEST(Archive, IsReadableAndTheSameEachTime) {
  SmallString<128> folder;
  ASSERT_FALSE(sys::fs::createUniqueDirectory("fulgur-archive", folder));
  std::string object = (folder + "/m.o").str();
  {
    Code code = codeOf(1, "");
    std::error_code reason;
    raw_fd_ostream(object, reason)
        << StringRef(code.object.data(), code.object.size());
  }
  for (StringRef member : {"m.o", "a-name-that-is-longer-than-sixteen.o"}) {
    std::string first = (folder + "/1.a").str(),
                second = (folder + "/2.a").str();
    ASSERT_FALSE(
        bool(writeArchive(first, object, member, {"m_model", "m_run"})));
    ASSERT_FALSE(
        bool(writeArchive(second, object, member, {"m_model", "m_run"})));
    auto a = MemoryBuffer::getFile(first), b = MemoryBuffer::getFile(second),
         o = MemoryBuffer::getFile(object);
    EXPECT_EQ((*a)->getBuffer(), (*b)->getBuffer());
    auto archive = cantFail(object::Archive::create(**a));
    auto found = cantFail(archive->findSym("m_run"));
    ASSERT_TRUE(found);
    EXPECT_EQ(cantFail(found->getName()), member);
    EXPECT_EQ(cantFail(found->getBuffer()), (*o)->getBuffer());
  }
  sys::fs::remove_directories(folder);
}

TEST(Weights, AreStreamedWithGapsSplatsAndBooleans) {
  mlir::MLIRContext context;
  mlir::Builder builder(&context);
  ModelInfo info;
  auto splat = mlir::DenseElementsAttr::get(
      mlir::RankedTensorType::get({3000}, builder.getF32Type()), 1.0f);
  auto flags = mlir::DenseElementsAttr::get(
      mlir::RankedTensorType::get({3}, builder.getI1Type()),
      ArrayRef<bool>{true, false, true});
  info.weights = {{64, flags}, {128, splat}};
  info.weightsBytes = 128 + 12000 + 10;
  std::string bytes;
  raw_string_ostream os(bytes);
  uint64_t hash = cantFail(writeSegment(info, os));
  ASSERT_EQ(bytes.size(), info.weightsBytes);
  EXPECT_EQ(bytes.substr(64, 4), std::string("\1\0\1\0", 4));
  float last;
  memcpy(&last, bytes.data() + 128 + 4 * 2999, sizeof last);
  EXPECT_EQ(last, 1.0f);
  EXPECT_EQ(hash, xxHash64(bytes));
}
