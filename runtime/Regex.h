// Regular expressions in the syntax of RE2 (github.com/google/re2/wiki/Syntax),
// matched against whole texts in time linear in their length.
//
// There are: literals, escapes, ., classes with Perl's and POSIX's names,
// alternatives, groups of all kinds, repetitions, ^ $ \A \z \b \B, and the
// flags i m s U. There are not: classes of Unicode properties (\pL) and \C.
#ifndef FULGUR_REGEX_H
#define FULGUR_REGEX_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fulgur_regex fulgur_regex;

/// How many bytes of memory, aligned for any type, a pattern needs at most
/// while it is compiled and matched.
size_t fulgur__regex_bytes(const char *pattern, size_t bytes);

/// Compiles a pattern into `memory`. NULL when the pattern is wrong or too
/// large; *problem then says why.
fulgur_regex *fulgur__regex_compile(const char *pattern, size_t bytes,
                                    void *memory, const char **problem);

/// Does the pattern match the whole text?
int fulgur__regex_match(fulgur_regex *regex, const char *text, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif // FULGUR_REGEX_H
