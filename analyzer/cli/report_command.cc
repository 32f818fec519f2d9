#include "analyzer/cli/commands.h"
#include "analyzer/cli/tracing.h"

namespace ipctrace {

int ReportCommand(const Options& options) {
  if (options.arguments.size() != 1) return Fail("report needs the name of one trace");
  if (const absl::Status status = LoadProtocols(options); !status.ok())
    return Fail(std::string(status.message()));
  Tracing tracing(options);
  if (const absl::Status status = tracing.Open(); !status.ok())
    return Fail(std::string(status.message()));
  const absl::Status read = ReadEventLog(options.arguments[0], &tracing);
  // What stands before the damage is still worth its report.
  if (!read.ok() && read.code() != absl::StatusCode::kDataLoss)
    return Fail(std::string(read.message()));
  Report report =
      tracing.MakeReport(read.ok() ? tracing.model().finish_reason() : FinishReason::kAnalyzerCut);
  if (!read.ok()) report.problems.emplace_back(read.message());
  const int status = FindingsStatus(options, report, 0);
  return tracing.Finish(std::move(report)) ? status : kExitFailure;
}

}  // namespace ipctrace
