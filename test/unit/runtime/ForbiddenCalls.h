// Counts the calls that a run on the calling thread must not make.
#ifndef FULGUR_FORBIDDEN_CALLS_H
#define FULGUR_FORBIDDEN_CALLS_H

#ifdef __cplusplus
extern "C"
#else
extern
#endif
    int forbidden_calls;

#endif // FULGUR_FORBIDDEN_CALLS_H
