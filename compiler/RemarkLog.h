// Collects what passes say about what they did and did not do.
#pragma once
#include "compiler/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include <map>
#include <mutex>
#include <vector>

namespace fulgur {

/// What a pass left as it was, and why.
struct RemarkEntry {
  std::string pass;
  Place place;
  std::string reason;
};

/// Numbers that a pass told about one thing.
struct Measurement {
  std::string pass, what;
  Place place;
  std::map<std::string, int64_t> numbers;
};

class RemarkLog {
public:
  /// From now on everything that passes in `context` say is collected here.
  void attach(mlir::MLIRContext &context);

  /// In the order of passes and nodes, each once.
  std::vector<RemarkEntry> remarks() const;
  /// In the order in which they were told; those since the last call.
  std::vector<Measurement> takeMeasurements();

private:
  friend class LogStreamer;
  std::mutex mutex;
  std::vector<RemarkEntry> entries;
  std::vector<Measurement> measurements;
};

} // namespace fulgur
