// Runs of models that are programs.
#ifndef FULGUR_PROGRAM_H
#define FULGUR_PROGRAM_H

#include "fulgur.h"

/// Runs a program, the model's or that of one of its variants, on inputs and a
/// context that have been checked. `symbols` has the first `n_symbols` of the
/// model's, the others come from the run.
fulgur_status fulgur__run_program(const fulgur_model *model,
                                  const fulgur_program *program,
                                  const fulgur_context *context,
                                  const int64_t *symbols, int32_t n_symbols,
                                  const fulgur_tensor *inputs,
                                  fulgur_tensor *outputs);

/// The executor of those who gave none.
void fulgur__run_serially(fulgur_executor *self, int64_t count,
                          fulgur_task task, void *argument);

#endif // FULGUR_PROGRAM_H
