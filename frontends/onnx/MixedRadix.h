// Fast Fourier transforms of lengths that are known, by passes of small factors
// (Temperton, Self-sorting mixed-radix fast Fourier transforms, 1983; the
// passes are those of Swarztrauber's FFTPACK, Vectorizing the FFTs, 1982).
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// The rotation by `index` of `length` steps: its cosine and sine. Quarters of
/// a turn are exact.
std::pair<double, double> rotation(int64_t index, int64_t length);

/// The radices of the passes that a length is transformed by, in their order:
/// eights, fours and a two, which goes first, then odd primes. Their product
/// divides the length; large primes are left over.
SmallVector<int64_t> radicesOf(int64_t length);

/// The passes on [rows, length, 1 or 2], times `scale`. What is left to do on
/// the result, [rows, product of the radices, rest, 2], is a transform of the
/// rest.
///
/// Every operation rounds by itself and stands where it does in numpy's
/// pocketfft: a bin that should be zero is a sum that cancels, and is as far
/// from it as there.
Tensor transformByPasses(const Core &c, const Tensor &x,
                         ArrayRef<int64_t> radices, bool inverse, double scale);

} // namespace fulgur::onnx
