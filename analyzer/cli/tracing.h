// What run, attach and report have in common: the way from events to a written report.
#ifndef IPCTRACE_ANALYZER_CLI_TRACING_H_
#define IPCTRACE_ANALYZER_CLI_TRACING_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "analyzer/analysis.h"
#include "analyzer/cli/options.h"
#include "analyzer/events/event.h"
#include "analyzer/events/log.h"
#include "analyzer/findings/store.h"
#include "analyzer/live/session.h"
#include "analyzer/report/report.h"
#include "analyzer/symbols/stacks.h"

namespace ipctrace {

// Where a report goes. Opened before the program is run, so that a wrong name is not learned of
// when the run is over.
class ReportFile {
 public:
  ~ReportFile();
  absl::Status Open(const Options& options);
  // Writes the report in the form that the options name. May be called again: a file is then
  // written anew.
  absl::Status Write(const Report& report);
  // Whether it is standard error or output, where what was said cannot be taken back.
  bool is_stream() const { return name_.empty(); }

 private:
  Options options_;
  std::string name_;  // empty: standard error or output
  int fd_ = -1;
};

// Reads the protocols that --protocol names, and says on standard error what is doubtful in them.
// Before a Tracing is made.
absl::Status LoadProtocols(const Options& options);

// What of the bytes is to be recorded in full: all where --payload=full says so, else what the
// loaded protocols may watch.
void ChoosePayload(const Options& options, SessionConfig* config);

// The analysis of one run.
class Tracing : public EventSink {
 public:
  explicit Tracing(const Options& options);

  // Opens the report and the kept trace.
  absl::Status Open();
  void Take(const Event& event) override;
  const Model& model() const { return analysis_.model(); }

  Report MakeReport(FinishReason reason);
  // Ends the kept trace, and writes the report. What goes wrong is said, in the report where that
  // is possible. Returns false if anything did.
  bool Finish(Report report);
  ReportFile& file() { return file_; }

 private:
  const Options options_;
  // Never taken apart: there is one for a process, which then ends, and it may hold a lot.
  Stacks& stacks_ = *new Stacks;
  FindingStore& store_;
  Analysis& analysis_;
  std::unique_ptr<EventLogWriter> log_;
  ReportFile file_;
};

// The exit status that --error-exitcode and --fail-on ask for, or `otherwise`.
int FindingsStatus(const Options& options, const Report& report, int otherwise);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_CLI_TRACING_H_
