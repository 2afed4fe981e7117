// How the runtime's files report a failure.
#ifndef FULGUR_STATUS_H
#define FULGUR_STATUS_H

#include "fulgur.h"

#if defined(__GNUC__)
#define FULGUR_PRINTF __attribute__((format(printf, 2, 3)))
#else
#define FULGUR_PRINTF
#endif

/// Keeps the sentence for fulgur_last_message() on this thread and returns
/// `status`.
fulgur_status fulgur__fail(fulgur_status status, const char *format,
                           ...) FULGUR_PRINTF;

#endif // FULGUR_STATUS_H
