// What rules say, and how it is kept until the report.
#ifndef IPCTRACE_ANALYZER_FINDINGS_FINDING_H_
#define IPCTRACE_ANALYZER_FINDINGS_FINDING_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "preload/trace/calls.h"

namespace ipctrace {

// Nanoseconds since the session began.
using Nanos = int64_t;

// Note < warning < error; shared/rules of severity: an error is proved in this run.
enum class Severity : uint8_t { kNote, kWarning, kError };

std::string_view SeverityName(Severity severity);

// Where something happened: which process and thread, when, in which call, from which stack.
// A value; it stays valid after the process is gone.
struct Site {
  uint32_t process = 0;  // Process::id; 0: nowhere in particular
  int32_t pid = 0;
  int32_t tid = 0;
  uint32_t stack = 0;  // id of a captured stack; 0: not known
  Call call = Call::fact_none;
  Nanos time = 0;
};

// One line of a finding's story, in order of time.
struct Step {
  std::string message;  // past tense, no full stop: "process 12 opened the pipe as 3 and 4"
  Site site;
};

struct Finding {
  std::string_view rule;  // its public id; storage is static
  Severity severity = Severity::kError;
  std::string message;  // one sentence
  std::string fix;      // one sentence: the one change that mends it
  Site site;            // the main location
  std::vector<Step> story;
  // Drawn as it is (monospaced, one row a line): who waits for whom, who holds what. May be empty.
  std::vector<std::string> picture;

  // Findings of a rule with the same main location and the same `cause` are one finding with a
  // count. `cause` says where the mistake was made (a stack), where that is not the location.
  uint32_t cause_stack = 0;
  // The objects and descriptors it is about (their ids): a rule yields to another about the same.
  std::vector<uint64_t> subjects;
  int64_t count = 1;
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_FINDINGS_FINDING_H_
