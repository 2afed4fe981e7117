// Percentiles are nearest-rank: real measurements, never interpolated ones.
#include "LatencyStatistics.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <numeric>
#include <thread>
#include <unistd.h>

/// The measurement that `permille` of all are not above.
static double percentile(const std::vector<double> &sorted, size_t permille) {
  size_t rank = (permille * sorted.size() + 999) / 1000;
  return sorted[std::max<size_t>(rank, 1) - 1];
}

LatencyStatistics::LatencyStatistics(const Latencies &latencies) {
  std::vector<double> sorted = latencies.milliseconds;
  std::ranges::sort(sorted);
  runs = sorted.size();
  double total = std::accumulate(sorted.begin(), sorted.end(), 0.0);
  min = sorted.front();
  max = sorted.back();
  mean = total / double(runs);
  median = percentile(sorted, 500);
  p90 = percentile(sorted, 900);
  p95 = percentile(sorted, 950);
  p99 = percentile(sorted, 990);
  p999 = percentile(sorted, 999);
  throughput = total > 0 ? 1000 * double(runs) / total : 0;
  cpuMean = latencies.cpuMilliseconds / double(runs);
}

static std::string quoted(const std::string &text) {
  std::string out = "\"";
  for (char c : text) {
    char escape[8] = {c, 0};
    if (c == '"' || c == '\\')
      std::snprintf(escape, sizeof escape, "\\%c", c);
    else if (static_cast<unsigned char>(c) < 32)
      std::snprintf(escape, sizeof escape, "\\u%04x", unsigned(c));
    out += escape;
  }
  return out + '"';
}

static std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

/// What google-benchmark says about the machine, as far as one can know it.
static std::string context(const std::string &executable) {
  char date[40] = "", host[256] = "";
  std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S%z", std::localtime(&now));
  gethostname(host, sizeof host - 1);
  double load[3] = {};
  getloadavg(load, 3);
  return "  \"context\": {\n    \"date\": " + quoted(date) +
         ",\n    \"host_name\": " + quoted(host) +
         ",\n    \"executable\": " + quoted(executable) +
         ",\n    \"num_cpus\": " +
         std::to_string(std::thread::hardware_concurrency()) +
         ",\n    \"load_avg\": [" + number(load[0]) + ", " + number(load[1]) +
         ", " + number(load[2]) +
         "],\n    \"library_build_type\": \"release\"\n  }";
}

static std::string row(const BenchmarkEntry &entry, const char *aggregate,
                       double milliseconds) {
  const LatencyStatistics &statistics = entry.statistics;
  std::string suffix = aggregate ? std::string("_") + aggregate : "";
  std::string text = "    {\n      \"name\": " + quoted(entry.name + suffix) +
                     ",\n      \"run_name\": " + quoted(entry.name) +
                     ",\n      \"run_type\": ";
  text +=
      aggregate
          ? "\"aggregate\",\n      \"aggregate_name\": " + quoted(aggregate) +
                ",\n      \"aggregate_unit\": \"time\""
          : std::string("\"iteration\",\n      \"repetition_index\": 0");
  return text + ",\n      \"repetitions\": 1,\n      \"threads\": " +
         std::to_string(entry.threads) +
         ",\n      \"iterations\": " + std::to_string(statistics.runs) +
         ",\n      \"real_time\": " + number(milliseconds) +
         ",\n      \"cpu_time\": " + number(statistics.cpuMean) +
         ",\n      \"time_unit\": \"ms\"" +
         ",\n      \"items_per_second\": " + number(statistics.throughput) +
         ",\n      \"first_result_ms\": " + number(entry.firstResult) +
         "\n    }";
}

std::string benchmarkJson(const std::string &executable,
                          const std::vector<BenchmarkEntry> &entries) {
  std::string rows;
  for (const BenchmarkEntry &entry : entries) {
    const LatencyStatistics &s = entry.statistics;
    rows += (rows.empty() ? "" : ",\n") + row(entry, nullptr, s.mean);
    const std::pair<const char *, double> aggregates[] = {
        {"min", s.min}, {"max", s.max}, {"mean", s.mean}, {"median", s.median},
        {"p90", s.p90}, {"p95", s.p95}, {"p99", s.p99},   {"p99.9", s.p999}};
    for (auto [name, value] : aggregates)
      rows += ",\n" + row(entry, name, value);
  }
  return "{\n" + context(executable) + ",\n  \"benchmarks\": [\n" + rows +
         "\n  ]\n}\n";
}
