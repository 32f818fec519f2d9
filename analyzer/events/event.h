// What the model is fed with: the threads' records, merged into one order, and what the analyzer
// itself observed of the run. A run's model and findings are a function of its events alone, so a
// kept trace is the events, written down (analyzer/events/log.h), and gives the same report.
#ifndef IPCTRACE_ANALYZER_EVENTS_EVENT_H_
#define IPCTRACE_ANALYZER_EVENTS_EVENT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "analyzer/findings/finding.h"
#include "preload/trace/calls.h"
#include "preload/trace/format.h"

namespace ipctrace {

using Blobs = std::vector<std::pair<BlobTag, std::string>>;

enum class EventKind : uint8_t {
  kEnter = 1,     // a call was entered: fd, a, b, c, stack and blobs as far as known at entry
  kLeave = 2,     // it returned: all fields final; blobs are those that became known since
  kAbandon = 3,   // a longjmp left it, or its thread was cancelled in it
  kDeath = 4,     // observed: process `pid` (trace id `process`) is gone; result=1 if status known,
                  // c=wait status
  kDeadlock = 5,  // observed: the waits of these threads were verified in the kernel. `blob`s:
                  // kPayload = trace ids of the threads, as native uint32_t
  kFinish = 6,    // the run is over. a=FinishReason
  kHolders = 7,   // observed: processes outside the run hold the object. a=device, b=inode
  kRun = 8,       // first event: kArgv = the command; a=wall-clock start, ns since the epoch
  kCoverage = 9,  // last but kFinish: a=records lost, b=untraced execs, kPath=lines of holes,
                  // c=bytes that the kernel counted as written by the first process and all that
                  // were waited for in the end by it (wchar of proc(5)), plus 1; 0: not known;
                  // result=the same of bytes read (rchar), from its beginning; 0: not known
  kParked = 10,   // observed, before a kDeadlock with the thread: it sleeps at a lock, outside of
                  // all recorded calls. `stack`: of kStack, where it could be read; else 0
};

enum class FinishReason : uint64_t {
  kEnded = 0,
  kTimeout = 1,
  kDeadlock = 2,
  kInterrupted = 3,
  kAnalyzerCut = 4 /* trace is cut short */,
};

struct Event {
  EventKind kind = EventKind::kEnter;
  Call call = Call::fact_none;
  uint8_t flags = 0;      // RecordFlags
  uint32_t process = 0;   // trace ids
  uint32_t thread = 0;
  int32_t pid = 0, tid = 0;
  uint64_t seq = 0;       // of the record in its thread: pairs kEnter with kLeave
  Nanos time = 0;         // of entry or of return
  uint32_t stack = 0;
  int fd = -1;
  int64_t result = 0;
  int err = 0;
  uint64_t a = 0, b = 0, c = 0;
  Blobs blobs;
};

// Takes events in order.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void Take(const Event& event) = 0;
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_EVENTS_EVENT_H_
