#include "compiler/Precision.h"
#include "llvm/ADT/StringSwitch.h"

using namespace fulgur;
using llvm::StringRef;

/// Groups are read by whole vectors, and their sums have 32 bits.
static constexpr int64_t kGroupStep = 16, kLargestGroup = 1 << 15;

std::optional<Precision> Precision::parse(StringRef text,
                                          std::string &complaint) {
  auto [name, settings] = text.split(':');
  auto kind = llvm::StringSwitch<std::optional<Kind>>(name)
                  .Case("f32", f32)
                  .Case("f16", f16)
                  .Case("bf16", bf16)
                  .Case("int8-dynamic", int8Dynamic)
                  .Case("int4-weights", int4Weights)
                  .Default(std::nullopt);
  if (!kind) {
    complaint = "there is no such precision; there are f32, bf16, f16, "
                "int8-dynamic and int4-weights";
    return std::nullopt;
  }
  Precision result{*kind};
  while (!settings.empty()) {
    auto [setting, rest] = settings.split(',');
    auto [key, value] = setting.split('=');
    bool isGood = false;
    if (key == "group")
      isGood = !value.getAsInteger(10, result.group) && result.group > 0 &&
               result.group % kGroupStep == 0 && result.group <= kLargestGroup;
    else if (key == "activations") {
      result.byteActivations = value == "int8";
      isGood = result.byteActivations || value == "f32";
    }
    if (*kind != int4Weights || !isGood) {
      complaint = ("'" + setting + "' is not for it").str();
      if (*kind == int4Weights)
        complaint = ("'" + setting +
                     "' is neither group=N, where N is a multiple of 16, nor "
                     "activations=f32 or int8")
                        .str();
      return std::nullopt;
    }
    settings = rest;
  }
  return result;
}
