// Collects what passes say about what they did and did not do.
#include "compiler/RemarkLog.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace fulgur;

namespace fulgur {
/// Passes run on several threads.
class LogStreamer : public remark::detail::MLIRRemarkStreamerBase {
public:
  explicit LogStreamer(RemarkLog &log) : log(log) {}

  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    Place place = placeOf(remark.getLocation());
    std::lock_guard<std::mutex> lock(log.mutex);
    std::string pass = remark.getCategoryName().str();
    if (remark.getRemarkType() == llvm::remarks::Type::Missed) {
      std::string reason;
      for (const remark::detail::Remark::Arg &argument : remark.getArgs())
        reason += argument.val;
      log.entries.push_back({pass, place, reason});
      return;
    }
    Measurement measurement{pass, remark.getRemarkName().str(), place, {}};
    for (const remark::detail::Remark::Arg &argument : remark.getArgs())
      StringRef(argument.val)
          .getAsInteger(10, measurement.numbers[argument.key]);
    log.measurements.push_back(std::move(measurement));
  }

private:
  RemarkLog &log;
};
} // namespace fulgur

void RemarkLog::attach(MLIRContext &context) {
  remark::RemarkCategories categories;
  categories.missed = categories.analysis = "fulgur-.*";
  // It fails only where the context has an engine already.
  [[maybe_unused]] LogicalResult enabled = remark::enableOptimizationRemarks(
      context, std::make_unique<LogStreamer>(*this),
      std::make_unique<remark::RemarkEmittingPolicyAll>(), categories);
  assert(succeeded(enabled));
}

std::vector<RemarkEntry> RemarkLog::remarks() const {
  auto order = [](const RemarkEntry &entry) {
    return std::tie(entry.pass, entry.place.node, entry.reason);
  };
  std::vector<RemarkEntry> sorted = entries;
  llvm::sort(sorted, [&](auto &a, auto &b) { return order(a) < order(b); });
  sorted.erase(
      llvm::unique(sorted,
                   [&](auto &a, auto &b) { return order(a) == order(b); }),
      sorted.end());
  return sorted;
}

std::vector<Measurement> RemarkLog::takeMeasurements() {
  return std::exchange(measurements, {});
}
