// A report: everything that the writers put into words, as plain values. They look nothing up but
// lines of source files, so that all forms of a report say the same.
#ifndef IPCTRACE_ANALYZER_REPORT_REPORT_H_
#define IPCTRACE_ANALYZER_REPORT_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analyzer/findings/store.h"
#include "analyzer/model/model.h"
#include "analyzer/symbols/stacks.h"

namespace ipctrace {

// How a process ended.
struct Ending {
  enum Kind { kUnknown, kAlive, kStatus, kSignal } kind = kUnknown;
  int number = 0;  // exit status or signal
};

// "SIGPIPE"; "SIG34" for one without a name.
std::string SignalName(int signal);

struct ReportProcess {
  int32_t pid = 0, ppid = 0;
  std::string name;
  std::vector<std::string> argv;
  Ending ending;
  bool traced = true;
  Nanos started = 0, ended_at = 0;  // ended_at is 0 while it is alive
};

// Where something happened, in words.
struct ReportSite {
  int32_t pid = 0, tid = 0;  // 0: nowhere in particular
  std::string process;       // name of the program
  std::string call;          // of libc; empty: none
  Nanos time = 0;
  FrameList stack;
  int place = -1;  // index in `stack` of the frame to point at; -1: none

  const Frame* Place() const {
    return place < 0 ? nullptr : stack[static_cast<size_t>(place)].get();
  }
};

struct ReportStep {
  std::string message;
  ReportSite site;
};

struct ReportFinding {
  std::string rule;
  Severity severity = Severity::kError;
  int64_t count = 1;
  std::string message, fix;
  ReportSite site;
  std::vector<ReportStep> story;
  std::vector<std::string> picture;
  std::string fingerprint;
};

struct Report {
  std::vector<std::string> argv;
  FinishReason reason = FinishReason::kEnded;
  Ending ending;  // of the program's first process
  std::vector<ReportFinding> findings;
  std::vector<ReportProcess> processes;
  Coverage coverage;
  // Where each thread stood when the run was ended from outside (timeout, deadlock, interruption).
  std::vector<ReportStep> standing;
  std::vector<std::string> problems;  // of ipctrace itself: sentences

  // Whether all of the run was seen. If not, Holes() says what was missed, a phrase each.
  bool complete() const { return Holes().empty(); }
  std::vector<std::string> Holes() const;
  int64_t Count(Severity severity) const;  // findings, not repetitions
};

// Builds the report of a run as it stands, `reason` being why it is (or was) over.
Report BuildReport(const Model& model, const FindingStore& findings, Stacks* stacks,
                   FinishReason reason);

// What a rule's page says of it, for those forms that list the rules.
struct RulePage {
  std::string id;
  std::string severity;
  std::string summary;  // one sentence
  std::string text;     // the whole page (Markdown)
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_REPORT_REPORT_H_
