// A running session: its shared file, the records that come, the processes that end, and who waits
// for whom. The caller owns the loop:
//
//   auto session = LiveSession::Create(path, config);     // then start the program
//   while (...) { wait at most session->Step(sink); ... }
//   session->Finish(sink, reason);
//
// Not thread-safe; one per process.
#ifndef IPCTRACE_ANALYZER_LIVE_SESSION_H_
#define IPCTRACE_ANALYZER_LIVE_SESSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "analyzer/events/event.h"
#include "analyzer/model/model.h"

namespace ipctrace {

struct SessionConfig {
  std::vector<std::string> argv;  // the command, for the report
  uint64_t options = 0;           // SessionOptions
  std::vector<uint16_t> payload_ports;  // SessionHeader::payload_ports, at most 4
  int32_t first_pid = 0;          // bare form: who waits for the report
  size_t bytes = 0;               // of the shared file; 0: kDefaultSessionSize
};

class LiveSession {
 public:
  // Creates the shared file at `path`, which must not exist, and maps it. The file is removed by
  // the destructor. The program finds it through kSessionVariable=`path` in its environment.
  static absl::StatusOr<std::unique_ptr<LiveSession>> Create(const std::string& path,
                                                             const SessionConfig& config);
  // A path for a new session: in /dev/shm, or in TMPDIR or /tmp where that has no room.
  static std::string NewPath();
  ~LiveSession();

  // Reads what has come since the last call and hands it on in order. Returns how long the caller
  // should sleep before the next call (zero: there is more already).
  absl::Duration Step(EventSink* sink);

  // Looks for threads that can never go on, verifies them against the kernel, and hands on a
  // kDeadlock event for each set found for the first time. Call it after Step. Returns true when
  // the run as a whole can not end by itself: the first process, or every live traced process, is
  // in such a set (or can only wait for it).
  bool CheckDeadlock(const Model& model, EventSink* sink);

  // Whether a traced process has said hello, and which still live.
  bool heard() const;
  std::vector<int32_t> LivePids() const;
  // Whether a process with this number said hello, be it alive or not.
  bool Knows(int32_t pid) const;
  // Whether a process of the run lives, other than its first one. One that has been forked and has
  // not said a word yet is one, too.
  bool OthersLive(const Model& model, int32_t first_pid) const;
  // The first process has ended and was not reaped yet, or waits for the report: notes what the
  // kernel has counted of it.
  void WillReap(int32_t pid);
  // Tells the session how the program's first process ended (a wait status), if the caller is its
  // parent.
  void DidEnd(int32_t pid, int wait_status, EventSink* sink);
  // Bare form: the first process waits for the report.
  bool FirstProcessWaits() const;

  // Drains what is left, hands on kCoverage and kFinish. Afterwards writers drop their records.
  void Finish(EventSink* sink, FinishReason reason);
  // Bare form: lets the first process go. After the report has been printed.
  void ReportDone();

 private:
  struct Impl;
  explicit LiveSession(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_LIVE_SESSION_H_
