// Differences in double precision.
#include "CompareTensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

Difference compareTensors(const Tensor &result, const Tensor &reference,
                          const Tolerance &tolerance) {
  if (result.dtype != reference.dtype || result.dims != reference.dims)
    throw std::runtime_error("output '" + result.name + "' is " +
                             result.type() + ", but its reference is " +
                             reference.type());
  constexpr double Infinity = std::numeric_limits<double>::infinity();
  bool elementwise = tolerance.rtol || tolerance.atol;
  double rtol = tolerance.rtol.value_or(0), atol = tolerance.atol.value_or(0);
  Difference difference;
  double largest = 0, squares = 0;
  int64_t count = result.elements();
  for (int64_t i = 0; i < count; ++i) {
    double a = result.number(i), b = reference.number(i);
    bool same = a == b || (std::isnan(a) && std::isnan(b));
    double distance = same ? 0 : std::fabs(a - b);
    if (std::isnan(distance))
      distance = Infinity;
    difference.maxAbsolute = std::max(difference.maxAbsolute, distance);
    squares += distance * distance;
    if (std::isfinite(b))
      largest = std::max(largest, std::fabs(b));
    if (elementwise && !(distance <= atol + rtol * std::fabs(b)) &&
        difference.firstWrong < 0 && !same)
      difference.firstWrong = i;
  }
  // With a reference of zeros, there is nothing to be relative to.
  difference.maxRelative = difference.maxAbsolute / (largest > 0 ? largest : 1);
  difference.rms = count ? std::sqrt(squares / double(count)) : 0;
  if (!isFloat(result.dtype)) // exactly: not all 64-bit integers are doubles
    difference.ok = std::memcmp(result.data.data(), reference.data.data(),
                                result.data.size()) == 0;
  else if (elementwise)
    difference.ok = difference.firstWrong < 0;
  else
    difference.ok = difference.maxRelative <= tolerance.maxRelative;
  return difference;
}
