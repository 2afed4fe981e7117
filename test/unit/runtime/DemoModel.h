// A model written by hand in the shape that the compiler gives to its own:
//   y[b, s] = x[b, s] * scale[ids[b, s]] + weights[0],  sum[b] = sum of y[b, :]
#ifndef FULGUR_DEMO_MODEL_H
#define FULGUR_DEMO_MODEL_H

#include "fulgur.h"

#ifdef __cplusplus
extern "C" {
#endif

__attribute__((visibility("default"))) extern const fulgur_model demo_model;

#ifdef __cplusplus
}
#endif
#endif // FULGUR_DEMO_MODEL_H
