// Differences in double precision.
#include "CompareTensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iomanip>
#include <limits>
#include <sstream>
#include <stdexcept>

static Difference compareStrings(const Tensor &result,
                                 const Tensor &reference) {
  Difference difference;
  for (int64_t i = 0; i < result.elements() && difference.ok; ++i) {
    if (result.string(i) == reference.string(i))
      continue;
    difference.ok = false;
    difference.firstWrong = i;
    difference.wrong = "element " + std::to_string(i) + " is '" +
                       result.string(i) + "' instead of '" +
                       reference.string(i) + "'";
  }
  return difference;
}

static Difference compareParts(const Tensor &result, const Tensor &reference,
                               const Tolerance &tolerance) {
  Difference all;
  for (size_t i = 0; i < result.parts.size(); ++i) {
    Difference one =
        compareTensors(result.parts[i], reference.parts[i], tolerance);
    if (all.ok && !one.ok) {
      all.ok = false;
      all.firstWrong = int64_t(i);
      all.wrong = "'" + result.parts[i].name + "' differs" +
                  (one.wrong.empty() ? "" : ": " + one.wrong);
    }
    all.maxAbsolute = std::max(all.maxAbsolute, one.maxAbsolute);
    all.maxRelative = std::max(all.maxRelative, one.maxRelative);
    all.rms = std::max(all.rms, one.rms);
  }
  return all;
}

Difference compareTensors(const Tensor &result, const Tensor &reference,
                          const Tolerance &tolerance) {
  if (result.dtype != reference.dtype || result.dims != reference.dims)
    throw std::runtime_error("output '" + result.name + "' is " +
                             result.type() + ", but its reference is " +
                             reference.type());
  if (result.isContainer())
    return compareParts(result, reference, tolerance);
  if (result.dtype == FULGUR_STRING)
    return compareStrings(result, reference);
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
  if (int64_t k = difference.firstWrong; k >= 0) {
    std::ostringstream text;
    text << std::setprecision(9) << "element " << k << " is "
         << result.number(k) << " instead of " << reference.number(k);
    difference.wrong = text.str();
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

bool sameBits(const Tensor &a, const Tensor &b) {
  if (a.dtype != b.dtype || a.dims != b.dims)
    return false;
  if (a.isContainer())
    return std::ranges::equal(a.parts, b.parts, sameBits);
  if (a.dtype == FULGUR_STRING)
    return compareStrings(a, b).ok;
  return a.data.size() == 0 ||
         std::memcmp(a.data.data(), b.data.data(), a.data.size()) == 0;
}
