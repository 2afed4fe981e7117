// How a compiled model is loaded, as the command line says it.
#ifndef FULGUR_TOOLS_LOADOPTIONS_H
#define FULGUR_TOOLS_LOADOPTIONS_H

#include "LoadedModel.h"
#include <CLI/CLI.hpp>

inline void addLoadOptions(CLI::App &app, LoadedModel::Options &options) {
  app.add_option("--weights", options.weights,
                 "Weights file; default: MODEL's name with .weights")
      ->type_name("FILE");
  app.add_flag("--load-weights", options.loadWeights,
               "Read the weights file into huge pages instead of mapping it");
  app.add_option("--cpu-variant", options.variant,
                 "Use the code for these CPUs, when the library has several")
      ->type_name("NAME");
  app.add_option("--model-symbol", options.symbol,
                 "Descriptor to use, when the library has several")
      ->type_name("NAME");
}

#endif // FULGUR_TOOLS_LOADOPTIONS_H
