// Runs a model in two precisions on the same data.
#ifndef FULGUR_TOOLS_ACCURACY_H
#define FULGUR_TOOLS_ACCURACY_H

#include "compiler/Accuracy.h"
#include "compiler/Options.h"

/// What fulgurc asks when it has made a library as `options` say: compiles the
/// same model for float32 into a temporary folder and runs both on the tensors
/// at `place` (as fulgur-run takes them; empty: made-up ones).
fulgur::MeasureAccuracy accuracyOf(fulgur::Options options, std::string place);

#endif // FULGUR_TOOLS_ACCURACY_H
