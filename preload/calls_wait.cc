// Waiting for several descriptors, for time, and for signals; locks on files.
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "preload/interpose.h"
#include "preload/readable.h"
#include "preload/undeclared.h"

namespace ipctrace {
namespace {

constexpr uint64_t kForever = ~uint64_t{0};
constexpr unsigned kMostEntries = 1024;

uint64_t FromMilliseconds(int timeout) {
  return timeout < 0 ? kForever : static_cast<uint64_t>(timeout) * 1000000;
}
uint64_t FromTimespec(const timespec* timeout) {
  if (timeout == nullptr || !Readable(timeout, sizeof(*timeout))) return kForever;
  return static_cast<uint64_t>(timeout->tv_sec) * 1000000000 +
         static_cast<uint64_t>(timeout->tv_nsec);
}
uint64_t FromTimeval(const timeval* timeout) {
  if (timeout == nullptr || !Readable(timeout, sizeof(*timeout))) return kForever;
  return static_cast<uint64_t>(timeout->tv_sec) * 1000000000 +
         static_cast<uint64_t>(timeout->tv_usec) * 1000;
}

static_assert(sizeof(pollfd) == sizeof(PollEntry));

// One hook's entry and return; the act itself must be the interposer's, for its stack.
void EnterPoll(Act& act, const pollfd* entries, nfds_t count, uint64_t timeout) {
  act->a = count;
  act->b = timeout;
  if (!act.lost() && count != 0 && count <= kMostEntries &&
      Readable(entries, count * sizeof(pollfd))) {
    BlobWriter writer(act.thread(), act.record(), BlobTag::kPoll);
    for (nfds_t i = 0; i < count; ++i) {
      const PollEntry entry = {entries[i].fd, entries[i].events, 0};
      writer.Write(&entry, sizeof(entry));
    }
    writer.Finish();
  }
  act.Enter();
}

int LeavePoll(Act& act, int result, const pollfd* entries, nfds_t count) {
  if (act.Return(result) && result > 0 && !act.lost()) {
    BlobWriter writer(act.thread(), act.record(), BlobTag::kPollReady);
    for (nfds_t i = 0; i < count; ++i) {
      if (entries[i].revents == 0) continue;
      const PollEntry entry = {entries[i].fd, entries[i].events, entries[i].revents};
      writer.Write(&entry, sizeof(entry));
    }
    writer.Finish();
  }
  act.Done();
  return result;
}

}  // namespace

INTERPOSE(poll)(pollfd* entries, nfds_t count, int timeout) {
  Act act(Call::poll, -1);
  EnterPoll(act, entries, count, FromMilliseconds(timeout));
  return LeavePoll(act, REAL(poll)(entries, count, timeout), entries, count);
}

INTERPOSE(__poll_chk)(pollfd* entries, nfds_t count, int timeout, size_t room) {
  Act act(Call::__poll_chk, -1);
  EnterPoll(act, entries, count, FromMilliseconds(timeout));
  return LeavePoll(act, REAL(__poll_chk)(entries, count, timeout, room), entries, count);
}

INTERPOSE(ppoll)(pollfd* entries, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  Act act(Call::ppoll, -1);
  EnterPoll(act, entries, count, FromTimespec(timeout));
  return LeavePoll(act, REAL(ppoll)(entries, count, timeout, mask), entries, count);
}

INTERPOSE(__ppoll_chk)(pollfd* entries, nfds_t count, const timespec* timeout, const sigset_t* mask,
                       size_t room) {
  Act act(Call::__ppoll_chk, -1);
  EnterPoll(act, entries, count, FromTimespec(timeout));
  return LeavePoll(act, REAL(__ppoll_chk)(entries, count, timeout, mask, room), entries, count);
}

// --- select --------------------------------------------------------------------------------------

namespace {

bool IsIn(const fd_set* set, int fd) {
  return set != nullptr && (reinterpret_cast<const uint64_t*>(set)[fd / 64] >> fd % 64 & 1) != 0;
}

// Sets larger than FD_SETSIZE are the caller's own arrays: as many words as `count` asks for.
bool AreReadable(int count, const fd_set* read, const fd_set* write, const fd_set* except) {
  const size_t bytes = (static_cast<size_t>(count) + 63) / 64 * 8;
  return count >= 0 && count <= 65536 && (read == nullptr || Readable(read, bytes)) &&
         (write == nullptr || Readable(write, bytes)) &&
         (except == nullptr || Readable(except, bytes));
}

void WriteSets(Act& act, BlobTag tag, int count, const fd_set* read, const fd_set* write,
               const fd_set* except) {
  if (act.lost() || !AreReadable(count, read, write, except)) return;
  BlobWriter writer(act.thread(), act.record(), tag);
  uint64_t entries = 0;
  for (int fd = 0; fd < count; ++fd) {
    const int events = (IsIn(read, fd) ? POLLIN : 0) | (IsIn(write, fd) ? POLLOUT : 0) |
                       (IsIn(except, fd) ? POLLPRI : 0);
    if (events == 0) continue;
    const auto bits = static_cast<int16_t>(events);
    const bool ready = tag == BlobTag::kPollReady;
    const PollEntry entry = {fd, bits, ready ? bits : int16_t{0}};
    writer.Write(&entry, sizeof(entry));
    ++entries;
  }
  writer.Finish();
  if (tag == BlobTag::kPoll) act->a = entries;
}

}  // namespace

INTERPOSE(select)(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
  Act act(Call::select, -1);
  act->b = FromTimeval(timeout);
  WriteSets(act, BlobTag::kPoll, count, read, write, except);
  act.Enter();
  const int result = REAL(select)(count, read, write, except, timeout);
  if (act.Return(result) && result > 0) {
    WriteSets(act, BlobTag::kPollReady, count, read, write, except);
  }
  act.Done();
  return result;
}

INTERPOSE(pselect)(int count, fd_set* read, fd_set* write, fd_set* except, const timespec* timeout,
                   const sigset_t* mask) {
  Act act(Call::pselect, -1);
  act->b = FromTimespec(timeout);
  WriteSets(act, BlobTag::kPoll, count, read, write, except);
  act.Enter();
  const int result = REAL(pselect)(count, read, write, except, timeout, mask);
  if (act.Return(result) && result > 0) {
    WriteSets(act, BlobTag::kPollReady, count, read, write, except);
  }
  act.Done();
  return result;
}

// --- epoll ---------------------------------------------------------------------------------------

INTERPOSE(epoll_ctl)(int epoll, int operation, int fd, epoll_event* event) {
  Act act(Call::epoll_ctl, epoll);
  act->a = static_cast<uint32_t>(operation);
  act->b = static_cast<uint64_t>(int64_t{fd});
  if (event != nullptr && operation != EPOLL_CTL_DEL && Readable(event, sizeof(*event))) {
    act->c = event->events;
  }
  act.Enter();
  return act.Leave(REAL(epoll_ctl)(epoll, operation, fd, event));
}

namespace {
int LeaveEpoll(Act& act, int result, const epoll_event* events) {
  if (act.Return(result) && result > 0 && !act.lost()) {
    BlobWriter writer(act.thread(), act.record(), BlobTag::kPollReady);
    for (int i = 0; i < result; ++i) {
      const PollEntry entry = {events[i].data.fd, 0, static_cast<int16_t>(events[i].events)};
      writer.Write(&entry, sizeof(entry));
    }
    writer.Finish();
  }
  act.Done();
  return result;
}
}  // namespace

#define EPOLL_WAIT(name, parameters, arguments, nanoseconds)    \
  INTERPOSE(name) parameters {                                  \
    Act act(Call::name, epoll);                                 \
    act->a = static_cast<uint32_t>(most);                       \
    act->b = nanoseconds;                                       \
    act.Enter();                                                \
    return LeaveEpoll(act, REAL(name) arguments, events);       \
  }
EPOLL_WAIT(epoll_wait, (int epoll, epoll_event* events, int most, int timeout),
           (epoll, events, most, timeout), FromMilliseconds(timeout))
EPOLL_WAIT(epoll_pwait,
           (int epoll, epoll_event* events, int most, int timeout, const sigset_t* mask),
           (epoll, events, most, timeout, mask), FromMilliseconds(timeout))
EPOLL_WAIT(epoll_pwait2,
           (int epoll, epoll_event* events, int most, const timespec* timeout,
            const sigset_t* mask),
           (epoll, events, most, timeout, mask), FromTimespec(timeout))

// --- Locks on files ------------------------------------------------------------------------------

INTERPOSE(flock)(int fd, int operation) {
  Act act(Call::flock, fd);
  act->a = (operation & LOCK_SH) != 0 ? 1 : (operation & LOCK_EX) != 0 ? 2 : 0;
  act->b = (operation & LOCK_NB) == 0;
  act->c = ~uint64_t{0};
  act.Enter();
  return act.Leave(REAL(flock)(fd, operation));
}

#define LOCKF(name)                                           \
  INTERPOSE(name)(int fd, int command, off64_t length) {      \
    Act act(Call::name, fd);                                  \
    act->a = command == F_ULOCK || command == F_TEST ? 0 : 2; \
    act->b = command == F_LOCK;                               \
    act.Enter();                                              \
    return act.Leave(REAL(name)(fd, command, length));        \
  }
LOCKF(lockf)
LOCKF(lockf64)

// --- Time and signals ----------------------------------------------------------------------------

INTERPOSE(sleep)(unsigned seconds) {
  Act act(Call::sleep, -1);
  act->a = uint64_t{seconds} * 1000000000;
  act.Enter();
  const unsigned left = REAL(sleep)(seconds);
  act.Leave(static_cast<long>(left));
  return left;
}

INTERPOSE(usleep)(useconds_t microseconds) {
  Act act(Call::usleep, -1);
  act->a = uint64_t{microseconds} * 1000;
  act.Enter();
  return act.Leave(REAL(usleep)(microseconds));
}

INTERPOSE(nanosleep)(const timespec* time, timespec* left) {
  Act act(Call::nanosleep, -1);
  act->a = FromTimespec(time);
  act.Enter();
  return act.Leave(REAL(nanosleep)(time, left));
}

INTERPOSE(clock_nanosleep)(clockid_t clock, int flags, const timespec* time, timespec* left) {
  Act act(Call::clock_nanosleep, -1);
  act->a = FromTimespec(time);
  act.Enter();
  return act.LeaveError(REAL(clock_nanosleep)(clock, flags, time, left));
}

INTERPOSE(pause)() {
  Act act(Call::pause, -1);
  act.Enter();
  return act.Leave(REAL(pause)());
}

INTERPOSE(sigsuspend)(const sigset_t* mask) {
  Act act(Call::sigsuspend, -1);
  act.Enter();
  return act.Leave(REAL(sigsuspend)(mask));
}

INTERPOSE(sigwait)(const sigset_t* set, int* signal) {
  Act act(Call::sigwait, -1);
  act.Enter();
  return act.LeaveError(REAL(sigwait)(set, signal));
}

INTERPOSE(sigwaitinfo)(const sigset_t* set, siginfo_t* info) {
  Act act(Call::sigwaitinfo, -1);
  act.Enter();
  return act.Leave(REAL(sigwaitinfo)(set, info));
}

INTERPOSE(sigtimedwait)(const sigset_t* set, siginfo_t* info, const timespec* timeout) {
  Act act(Call::sigtimedwait, -1);
  act->a = 1;
  act.Enter();
  return act.Leave(REAL(sigtimedwait)(set, info, timeout));
}

ALSO(__poll, poll);
ALSO(__select, select);
ALSO(__nanosleep, nanosleep);
ALSO(__sigsuspend, sigsuspend);

}  // namespace ipctrace
