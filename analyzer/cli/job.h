// The two processes of `ipctrace run`.
//
// Whoever started ipctrace waits for one process, stops it, continues it, and signals it or its
// process group; the program's own signals to its process group go there as well (`kill(0,
// SIGTERM)`), and none of them must cost the report. So ipctrace is two:
//
//   front     the process that was started. It stays in the process group, in the program's place:
//   it
//             stops when the program stops, hands on what it is told, and ends with the status that
//             the analyzer says. It has no descriptor open but the one to the analyzer.
//   analyzer  its child, and the program's parent. It leaves the process group when the program is
//   in it,
//             and so gets no signal that is sent to the group, not even SIGKILL, which the front
//             and the program die of.
//
// All signals are blocked in both and read as they come, by whom: what the run's own processes send
// is not meant for ipctrace.
#ifndef IPCTRACE_ANALYZER_CLI_JOB_H_
#define IPCTRACE_ANALYZER_CLI_JOB_H_

#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace ipctrace {

class Job {
 public:
  // SIGCHLD; SIGTERM or SIGHUP, unless they were ignored (nohup); and the process that sent it (0:
  // the kernel).
  struct Signal {
    int32_t number = 0;
    int32_t sender = 0;
  };

  // Splits the calling process, which has one thread, in two. Returns in the analyzer. The front,
  // in its own copy of the process, ends with the analyzer's exit status.
  static absl::StatusOr<Job> Split();

  // In the program, before exec: signals as ipctrace found them.
  void RestoreSignals() const;
  // The program is in the process group: the analyzer leaves it.
  void Leave() const;

  // Readable when there may be something for TakeSignals.
  int signals_fd() const { return signals_; }
  int front_fd() const { return front_pipe_; }
  // The signals that came since the last call.
  std::vector<Signal> TakeSignals();
  // Whether the front is gone, which only SIGKILL can have done.
  bool front_gone() const { return front_pipe_ < 0; }

  // The program was stopped by this signal, or goes on: so does the front, for whoever waits for
  // it.
  void DidStop(int signal);
  void DidContinue();
  // Whether the front alone was told to go on, and the program is to be. To be asked often.
  bool ShouldContinue();

 private:
  struct FromFront;
  Job() = default;
  [[noreturn]] static void StandInFront(pid_t analyzer, int pipe);
  void TellFront() const;

  sigset_t mask_{};            // as found
  struct sigaction child_ {};  // likewise, of SIGCHLD
  bool term_ignored_ = false, hup_ignored_ = false;
  pid_t front_ = 0;
  int front_pipe_ = -1;
  int signals_ = -1;
  int stopped_by_ = 0;             // the signal; 0: the program runs
  int32_t stops_ = 0;              // how often it has stopped
  int32_t continued_at_stop_ = 0;  // the front was told to go on, when it stood still for this stop
  absl::Time continue_due_ = absl::InfiniteFuture();
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_CLI_JOB_H_
