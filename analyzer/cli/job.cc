#include "analyzer/cli/job.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "analyzer/cli/commands.h"
#include "analyzer/live/kernel.h"

namespace ipctrace {
namespace {

bool IsIgnored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

// Whether nobody outside the calling process's group and inside its session has a child in the
// group. The kernel then stops nobody in it at a terminal's wish. The parents of this process are
// looked at, which are all that matters but for unusual families.
bool IsOrphanedGroup() {
  const pid_t group = getpgrp(), session = getsid(0);
  for (pid_t pid = getppid(); pid > 0 && getsid(pid) == session; pid = ParentOf(pid)) {
    if (getpgid(pid) != group) return false;
  }
  return true;
}

// The signal by which the analyzer tells the front that the program has stopped or goes on: one
// that is queued. Of others two that are pending become one, whoever sent them, and the terminal
// sends those that stop to the front as well. It carries the stop's number and signal (0: it goes
// on).
int NewsSignal() { return SIGRTMIN + 1; }
constexpr int kSignalBits = 8;

// By then a signal that was sent to the process group has come to all of it.
constexpr absl::Duration kGroupIsTold = absl::Milliseconds(20);

// Stops the calling process by a signal that it has blocked.
void StopBy(int signal) {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  sigaction(signal, &standard, nullptr);
  raise(signal);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  sigprocmask(SIG_UNBLOCK, &one, nullptr);
  sigprocmask(SIG_BLOCK, &one, nullptr);
}

}  // namespace

absl::StatusOr<Job> Job::Split() {
  Job job;
  job.term_ignored_ = IsIgnored(SIGTERM);
  job.hup_ignored_ = IsIgnored(SIGHUP);
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;  // if it was ignored, wait would not say how the program ended
  sigaction(SIGCHLD, &standard, &job.child_);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &job.mask_);

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return absl::InternalError(absl::StrCat("cannot make a pipe: ", strerror(errno)));
  job.front_ = getpid();
  const pid_t analyzer = fork();
  if (analyzer < 0) return absl::InternalError(absl::StrCat("cannot fork: ", strerror(errno)));
  if (analyzer > 0) StandInFront(analyzer, ends[1]);
  close(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  job.front_pipe_ = ends[0];
  sigset_t read;
  sigemptyset(&read);
  for (const int signal : {SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&read, signal);
  job.signals_ = signalfd(-1, &read, SFD_CLOEXEC | SFD_NONBLOCK);
  if (job.signals_ < 0)
    return absl::InternalError(absl::StrCat("cannot read signals: ", strerror(errno)));
  return job;
}

struct Job::FromFront {
  Signal signal;
  int32_t stop = 0;  // for SIGCONT: the last stop that the front had heard of
};

void Job::StandInFront(pid_t analyzer, int pipe) {
  // What it held would be held open for the program's peers.
  if (pipe > 0) close_range(0, static_cast<unsigned>(pipe) - 1, 0);
  close_range(static_cast<unsigned>(pipe) + 1, ~0u, 0);
  sigset_t all, news;
  sigfillset(&all);
  sigemptyset(&news);
  sigaddset(&news, NewsSignal());
  const timespec no_time{};
  int32_t stop = 0;
  while (true) {
    siginfo_t info;
    const int number = sigwaitinfo(&all, &info);
    if (number == SIGCHLD) {
      // As the first process of a container it has children that it never made.
      int status = 0;
      for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == analyzer) _exit(WIFEXITED(status) ? WEXITSTATUS(status) : kExitFailure);
      }
    } else if (number == NewsSignal()) {
      int last = 0;
      do {  // only the latest counts
        if (info.si_code == SI_QUEUE && info.si_pid == analyzer) last = info.si_value.sival_int;
      } while (sigtimedwait(&news, &info, &no_time) > 0);
      if (last == 0) continue;
      stop = last >> kSignalBits;
      if (const int signal = last & ((1 << kSignalBits) - 1); signal != 0) StopBy(signal);
    } else if (number == SIGTERM || number == SIGHUP ||
               (number == SIGCONT && info.si_pid != analyzer)) {
      // Who was told to go on does not stop for what was before. If need be the analyzer says it
      // again.
      while (number == SIGCONT && sigtimedwait(&news, nullptr, &no_time) > 0) {
      }
      const bool from_process = info.si_code <= 0;
      const FromFront message = {{number, from_process ? info.si_pid : 0}, stop};
      [[maybe_unused]] const ssize_t written = write(pipe, &message, sizeof(message));
    }
  }
}

void Job::RestoreSignals() const {
  sigaction(SIGCHLD, &child_, nullptr);
  sigprocmask(SIG_SETMASK, &mask_, nullptr);
}

void Job::Leave() const {
  // A parent in the session and outside the group is what lets a terminal stop the group. The
  // program shall have one if it would have had one, and else none.
  if (IsOrphanedGroup()) {
    setsid();
  } else {
    setpgid(0, 0);
  }
}

std::vector<Job::Signal> Job::TakeSignals() {
  std::vector<Signal> taken;
  signalfd_siginfo info;
  while (read(signals_, &info, sizeof(info)) == sizeof(info)) {
    taken.push_back({static_cast<int32_t>(info.ssi_signo),
                     info.ssi_code <= 0 ? static_cast<int32_t>(info.ssi_pid) : 0});
  }
  FromFront message;
  ssize_t got = -1;
  while (front_pipe_ >= 0 &&
         (got = read(front_pipe_, &message, sizeof(message))) == sizeof(message)) {
    if (message.signal.number == SIGCONT) {
      continued_at_stop_ = message.stop;
      continue_due_ = absl::Now() + kGroupIsTold;
    } else {
      taken.push_back(message.signal);
    }
  }
  if (got == 0) {
    close(front_pipe_);
    front_pipe_ = -1;
  }
  std::erase_if(taken, [&](const Signal& signal) {
    return (signal.number == SIGTERM && term_ignored_) || (signal.number == SIGHUP && hup_ignored_);
  });
  return taken;
}

void Job::TellFront() const {
  // While the front lives it is the parent; its number is then nobody else's.
  if (getppid() != front_) return;
  sigval value{};
  value.sival_int = stops_ << kSignalBits | stopped_by_;
  sigqueue(front_, NewsSignal(), value);
  if (stopped_by_ == 0) kill(front_, SIGCONT);
}

void Job::DidStop(int signal) {
  ++stops_;
  stopped_by_ = signal;
  TellFront();
}

void Job::DidContinue() {
  stopped_by_ = 0;
  TellFront();
}

bool Job::ShouldContinue() {
  if (absl::Now() < continue_due_) return false;
  continue_due_ = absl::InfiniteFuture();
  if (stopped_by_ == 0) return false;
  if (continued_at_stop_ == stops_) return true;
  // It went on with all of the group, and has stopped again.
  TellFront();
  return false;
}

}  // namespace ipctrace
