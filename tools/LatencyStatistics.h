// Statistics of latencies, and their JSON in google-benchmark's schema.
#ifndef FULGUR_TOOLS_LATENCYSTATISTICS_H
#define FULGUR_TOOLS_LATENCYSTATISTICS_H

#include <string>
#include <vector>

/// Wall-clock milliseconds of single runs, and the CPU time of all of them.
struct Latencies {
  std::vector<double> milliseconds;
  double cpuMilliseconds = 0;
};

struct LatencyStatistics {
  double min, max, mean, median, p90, p95, p99, p999;
  double throughput; ///< runs per second
  double cpuMean;    ///< CPU milliseconds per run
  size_t runs;

  /// `latencies` must not be empty.
  explicit LatencyStatistics(const Latencies &latencies);
};

/// One model's part of the JSON file.
struct BenchmarkEntry {
  std::string name;
  int threads;
  LatencyStatistics statistics;
  double firstResult; ///< milliseconds from loading to the first result
};

/// The whole JSON file.
std::string benchmarkJson(const std::string &executable,
                          const std::vector<BenchmarkEntry> &entries);

#endif // FULGUR_TOOLS_LATENCYSTATISTICS_H
