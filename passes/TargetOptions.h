// Passes that have to know the target, and the options that tell them: the list
// `targetOptions` in Passes.td.
#pragma once
#include "passes/Target.h"

namespace fulgur {
/// A pass with these options; `Base` is what TableGen made of it.
template <typename Base> struct OnTarget : Base {
  using Base::Base;

protected:
  Target targetOptions() const {
    return {.vectorBytes = this->vectorBytes,
            .vectorRegisters = this->vectorRegisters,
            .bf16 = this->bf16,
            .vbmi = this->vbmi,
            .strassen = this->strassen,
            .amx = this->amx,
            .vnni = this->vnni,
            .dotprod = this->dotprod,
            .halves = this->halves};
  }
};

/// The options of such a pass.
template <typename Options> Options optionsFor(const Target &target) {
  Options options;
  options.vectorBytes = target.vectorBytes;
  options.vectorRegisters = target.vectorRegisters;
  options.bf16 = target.bf16;
  options.vbmi = target.vbmi;
  options.strassen = target.strassen;
  options.amx = target.amx;
  options.vnni = target.vnni;
  options.dotprod = target.dotprod;
  options.halves = target.halves;
  return options;
}
} // namespace fulgur
