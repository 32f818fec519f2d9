#include "analyzer/model/waits.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "analyzer/model/replay.h"

namespace ipctrace {
namespace {

// One thing that would end a wait.
struct Cause {
  Goal goal = Goal::kEnd;
  std::shared_ptr<Object> object;                       // as in Wait
  const Process* child = nullptr;                       // its end would
  const Thread* thread = nullptr;                       // its end would
  const std::vector<const Process*>* wakers = nullptr;  // of kWakeUp
};

// By its name, any process of the run can open it at any time, and so bring about what is waited
// for.
bool HasName(const Cause& cause) {
  return cause.object != nullptr && cause.object->kind == ObjectKind::kFifo &&
         !cause.object->path.empty();
}

// What one blocked thread waits for: any of the causes.
struct Blocked {
  const Thread* thread = nullptr;
  const Act* act = nullptr;  // null for one that is parked
  std::vector<Cause> causes;
};

bool HeldOutside(const Object& object) {
  if (object.outside) return true;
  return std::any_of(object.descriptions.begin(), object.descriptions.end(),
                     [](const Description* each) { return each->outside; });
}

// Whether nobody outside the run can know the socket's address: the kernel thought it up, or its
// path is gone, and nothing was written outside since that could have told it.
bool IsSecret(const Model& model, const Object& object) {
  const SocketInfo& socket = object.socket;
  if (socket.domain == AF_UNIX && socket.unlinked) return true;
  bool kernel_chose =
      (socket.domain == AF_UNIX || socket.domain == AF_INET || socket.domain == AF_INET6) &&
      !socket.named;
  return kernel_chose && model.told_outside() < object.born.time;
}

// Whether what comes through a FIFO with a name is an affair of the run's own: one of its processes
// made it, and another one than the waiting one has been, or is, at its other side. Else somebody
// may come who is not of the run: that is what names are for.
bool IsOwnAffair(const Object& fifo, Goal goal, const Process& waiting) {
  if (fifo.path.empty()) return true;
  if (!fifo.made_here || fifo.queue.read > fifo.queue.written) return false;
  const LastHolder& last = goal == Goal::kData ? fifo.last_writer : fifo.last_reader;
  if (last.process != nullptr && last.process != &waiting) return true;
  return std::any_of(
      fifo.descriptions.begin(), fifo.descriptions.end(), [&](const Description* each) {
        return (goal == Goal::kData ? each->writable() : each->readable()) &&
               std::any_of(each->holders.begin(), each->holders.end(),
                           [&](const Descriptor* holder) { return holder->process != &waiting; });
      });
}

// What is waited for at a socket. False: somebody or something that is not in the model may end the
// wait.
bool AddSocket(const Model& model, const std::shared_ptr<Object>& object, Goal goal,
               Blocked& blocked, bool partly) {
  const SocketInfo& socket = object->socket;
  if (goal == Goal::kData ? socket.receive_timeout : socket.send_timeout) return false;
  if (goal == Goal::kData && socket.state == SocketState::kListening) {
    if (!IsSecret(model, *object)) return false;
    blocked.causes.push_back({Goal::kClient, object});
    return true;
  }
  auto other = socket.other_end.lock();
  if (!socket.stream() && other == nullptr) {
    // Only UDP and AF_UNIX: of others, the kernel itself may send.
    bool known = socket.domain == AF_UNIX || socket.protocol == 0 || socket.protocol == IPPROTO_UDP;
    if (goal != Goal::kData || !known || socket.type != SOCK_DGRAM) return false;
    if (socket.peer.empty()) {
      if (!IsSecret(model, *object)) return false;
      blocked.causes.push_back({Goal::kClient, object});
      return true;
    }
    // It hears that one peer only.
    other = model.FindBound(socket.peer);
    if (other == nullptr || HeldOutside(*other)) return false;
    blocked.causes.push_back({goal, object, nullptr, nullptr});
    return true;
  }
  if (socket.state != SocketState::kConnected) return false;
  if (other == nullptr) {
    // Not accepted yet: nobody can send or read before that.
    auto listener = socket.queued_on.lock();
    if (listener == nullptr || HeldOutside(*listener)) return false;
    blocked.causes.push_back({Goal::kAccepted, listener});
    return true;
  }
  if (HeldOutside(*other)) return false;
  if (other->descriptions.empty()) return false;  // end-of-file or EPIPE is on its way
  if (goal == Goal::kData) {
    if (socket.incoming.Unread() > 0 && !socket.incoming.inexact && !partly) return false;
    if (other->socket.shut_write || socket.shut_read) return false;
  }
  blocked.causes.push_back({goal, object, nullptr, nullptr});
  return true;
}

// Whether a wait on this object's descriptor can be looked through at all, and adds its cause.
// `partly`: the call reads again and again before it returns, so that what it has taken is not
// counted yet; that it sleeps says that there is no more.
bool AddObject(const Model& model, const std::shared_ptr<Descriptor>& descriptor, Goal goal,
               Blocked& blocked, bool partly = false) {
  if (descriptor == nullptr || !descriptor->description) return false;
  const auto& object = descriptor->object();
  if (HeldOutside(*object)) return false;
  if (object->kind == ObjectKind::kSocket) return AddSocket(model, object, goal, blocked, partly);
  if (!object->IsPipe()) return false;
  if (goal == Goal::kData && !partly && object->queue.Unread() > 0 && !object->queue.inexact) {
    return false;
  }
  if (!IsOwnAffair(*object, goal, *blocked.act->process)) return false;
  blocked.causes.push_back({goal, object, nullptr, nullptr});
  return true;
}

// splice and its kin wait until there is something at the one side, and then for room at the other.
bool AddTransfer(const Model& model, const Act& act, Blocked& blocked) {
  auto to = act.process->Find(static_cast<int>(act.a));
  if (to == nullptr || (act.flags & kRecordDontWait) != 0) return false;
  if (act.descriptor->description->nonblocking() || to->description->nonblocking()) return false;
  auto streams = [](const Object& object) {
    return object.IsPipe() || object.kind == ObjectKind::kSocket;
  };
  const Object& from = *act.descriptor->object();
  if (!streams(from)) {
    // A file has its bytes at hand.
    return from.kind == ObjectKind::kFile && streams(*to->object()) &&
           AddObject(model, to, Goal::kSpace, blocked);
  }
  // What a call of splice has moved it returns with: it is counted.
  const Queue& queue = from.IsPipe() ? from.queue : from.socket.incoming;
  if (queue.inexact) return false;
  if (queue.Unread() == 0) return AddObject(model, act.descriptor, Goal::kData, blocked);
  return streams(*to->object()) && AddObject(model, to, Goal::kSpace, blocked);
}

bool AddPoll(const Model& model, const Act& act, Blocked& blocked) {
  if (static_cast<int64_t>(act.b) >= 0) return false;  // a timeout
  const std::string* set = act.Blob(BlobTag::kPoll);
  if (set == nullptr) return false;
  for (const PollEntry& entry : EntriesOf<PollEntry>(*set)) {
    if (entry.fd < 0) continue;
    auto descriptor = act.process->Find(entry.fd);
    if ((entry.events & (POLLIN | POLLRDNORM | POLLPRI)) != 0 &&
        !AddObject(model, descriptor, Goal::kData, blocked)) {
      return false;
    }
    if ((entry.events & (POLLOUT | POLLWRNORM)) != 0 &&
        !AddObject(model, descriptor, Goal::kSpace, blocked)) {
      return false;
    }
    // With no events asked for, POLLHUP and POLLERR still come.
    if (entry.events == 0 && !AddObject(model, descriptor, Goal::kData, blocked)) return false;
  }
  return !blocked.causes.empty();
}

bool AddEpoll(const Model& model, const Act& act, Blocked& blocked) {
  if (static_cast<int64_t>(act.b) >= 0 || act.descriptor == nullptr) return false;
  for (const auto& [descriptor, events] : WatchedBy(act)) {
    if ((events & EPOLLIN) != 0 && !AddObject(model, descriptor, Goal::kData, blocked))
      return false;
    if ((events & EPOLLOUT) != 0 && !AddObject(model, descriptor, Goal::kSpace, blocked))
      return false;
  }
  return !blocked.causes.empty();
}

// Of a process group (0, or below -1) it is not known who belongs to it: any child may.
bool AddChildren(const Act& act, int64_t pid, Blocked& blocked) {
  for (const Process* child : act.process->children) {
    if (child->reaped || (pid > 0 && child->pid != pid)) continue;
    if (!child->alive()) return false;  // its status is there to take
    blocked.causes.push_back({Goal::kEnd, nullptr, child, nullptr});
  }
  return !blocked.causes.empty();
}

// The call that a child of system() or pclose() runs for.
bool AddSpawned(const Act& act, Blocked& blocked) {
  const auto stream = act.process->streams.find(act.op == Op::kPclose ? act.a : 0);
  const int32_t its_own = stream != act.process->streams.end() ? stream->second->child : 0;
  for (const Process* child : act.process->children) {
    if (!child->alive() || child->reaped || (its_own != 0 && child->pid != its_own)) continue;
    if (act.op == Op::kSystem && child->born.time < act.enter) continue;
    blocked.causes.push_back({Goal::kEnd, nullptr, child, nullptr});
  }
  return !blocked.causes.empty();
}

// A client of an AF_UNIX listener whose queue is full waits until one is taken from it. (TCP tries
// for some minutes and then gives up: that is a timeout.)
bool AddConnect(const Model& model, const Act& act, Blocked& blocked) {
  const SocketInfo& socket = act.descriptor->object()->socket;
  if (socket.domain != AF_UNIX || !socket.stream() || socket.send_timeout) return false;
  auto listener = model.FindListener(socket.peer);
  if (listener == nullptr || HeldOutside(*listener)) return false;
  blocked.causes.push_back({Goal::kAccepted, listener});
  return true;
}

// An open that waits can only be that of a FIFO, for the other side.
bool AddOpen(const Model& model, const Act& act, Blocked& blocked) {
  const std::string* path = act.Blob(BlobTag::kPath);
  if (path == nullptr || !model.MadeFifo(path->c_str())) return false;
  int flags = OpenFlags(act);
  if ((flags & O_NONBLOCK) != 0 || (flags & O_ACCMODE) == O_RDWR) return false;
  blocked.causes.push_back({Goal::kOtherSide, nullptr});
  return true;
}

// Whether the thread waits for acts of others only, and which. False: it runs, or may be woken by
// what the model does not see.
bool Causes(const Model& model, const Thread& thread, Blocked& blocked) {
  const Act* act = thread.current();
  if (act == nullptr) return false;
  blocked.thread = &thread;
  blocked.act = act;
  bool may_block = act->descriptor != nullptr && !act->descriptor->description->nonblocking() &&
                   (act->flags & kRecordDontWait) == 0;
  switch (act->op) {
    case Op::kRead:
    case Op::kStreamRead:
      return may_block && AddObject(model, act->descriptor, Goal::kData, blocked, ReadsOn(*act));
    case Op::kWrite:
    case Op::kStreamWrite:
    case Op::kStreamClose:
      return may_block && AddObject(model, act->descriptor, Goal::kSpace, blocked);
    case Op::kTransfer:
      return act->descriptor != nullptr && AddTransfer(model, *act, blocked);
    case Op::kAccept:
      return may_block && act->descriptor->object()->socket.state == SocketState::kListening &&
             AddObject(model, act->descriptor, Goal::kData, blocked);
    case Op::kConnect:
      return may_block && AddConnect(model, *act, blocked);
    case Op::kOpen:
    case Op::kStreamOpen:
      return AddOpen(model, *act, blocked);
    case Op::kExit: {
      // libc writes out what the streams hold before the process ends.
      for (const auto& [address, stream] : act->process->streams) {
        if (stream->pending == 0) continue;
        auto descriptor = stream->descriptor.lock();
        if (descriptor == nullptr || descriptor->description->nonblocking()) return false;
        if (!AddObject(model, descriptor, Goal::kSpace, blocked)) return false;
      }
      return !blocked.causes.empty();
    }
    case Op::kPoll:
      return AddPoll(model, *act, blocked);
    case Op::kEpollWait:
      return AddEpoll(model, *act, blocked);
    case Op::kWait:
      if ((act->b & WNOHANG) != 0) return false;
      return AddChildren(*act, static_cast<int64_t>(act->a), blocked);
    case Op::kSystem:
    case Op::kPclose:
      return AddSpawned(*act, blocked);
    case Op::kThreadJoin: {
      if (act->b != 0) return false;
      for (const Thread* other : act->process->threads) {
        if (other->pthread == act->a && !other->ended) {
          blocked.causes.push_back({Goal::kEnd, nullptr, nullptr, other});
          return true;
        }
      }
      // The first thread's pthread_t is told by nobody.
      for (const Thread* other : act->process->threads) {
        if (other != &thread && other->pthread == 0 && other->tid == act->process->pid) {
          blocked.causes.push_back({Goal::kEnd, nullptr, nullptr, other});
          return true;
        }
      }
      return false;
    }
    case Op::kMutexLock: {
      // Recorded only in a forked child of a process with threads. One that processes share may be
      // unlocked from elsewhere.
      bool shared = act->c != 0;
      bool owner_is_here =
          std::any_of(act->process->threads.begin(), act->process->threads.end(),
                      [&](const Thread* each) { return each->tid == static_cast<int>(act->b); });
      if (shared || act->b == 0 || owner_is_here) return false;
      blocked.causes.push_back({Goal::kNever, nullptr});
      return true;
    }
    case Op::kLockFile: {
      if (act->b == 0 || act->descriptor == nullptr) return false;
      for (const FileLock& lock : act->descriptor->object()->locks) {
        bool asks_as_process = static_cast<int64_t>(act->c) != -1;  // fcntl(2), not flock(2)
        if (lock.by_process != asks_as_process) continue;
        uint64_t own = asks_as_process ? act->process->id : act->descriptor->description->id;
        if (lock.owner == own) continue;
        blocked.causes.push_back({Goal::kSpace, act->descriptor->object(), nullptr, nullptr});
        return true;
      }
      return false;
    }
    default:
      return false;
  }
}

// The live descriptors by which the others could give what `cause` wants.
std::vector<Descriptor*> WakingEnds(const Model& model, const Cause& cause) {
  std::vector<Descriptor*> ends;
  if (cause.object == nullptr || cause.goal == Goal::kClient) return ends;
  const Object* object = cause.object.get();
  std::shared_ptr<Object> other;
  if (object->kind == ObjectKind::kSocket && cause.goal != Goal::kAccepted) {
    other = object->socket.other_end.lock();
    if (other == nullptr) other = model.FindBound(object->socket.peer);
    object = other.get();
  }
  if (object == nullptr) return ends;
  for (const Description* description : object->descriptions) {
    if (object->IsPipe()) {
      bool is_source =
          cause.goal == Goal::kData ? description->writable() : description->readable();
      if (!is_source) continue;
    }
    ends.insert(ends.end(), description->holders.begin(), description->holders.end());
  }
  return ends;
}

// Processes that hold a lock on the object.
std::vector<const Process*> Lockers(const Model& model, const Object& object) {
  std::vector<const Process*> lockers;
  for (const FileLock& lock : object.locks) {
    if (lock.by_process) {
      if (const Process* process = model.Find(static_cast<uint32_t>(lock.owner))) {
        lockers.push_back(process);
      }
      continue;
    }
    for (const Description* description : object.descriptions) {
      if (description->id != lock.owner) continue;
      for (const Descriptor* holder : description->holders) lockers.push_back(holder->process);
    }
  }
  return lockers;
}

// Processes any of whose running threads could end the wait.
std::vector<const Process*> Wakers(const Model& model, const Cause& cause) {
  if (cause.child != nullptr) return {cause.child};
  if (cause.wakers != nullptr) return *cause.wakers;
  if (cause.goal == Goal::kClient || cause.goal == Goal::kOtherSide) {
    std::vector<const Process*> all;
    for (const Process* process : model.processes()) {
      if (process->alive()) all.push_back(process);
    }
    return all;
  }
  if (cause.object == nullptr) return {};
  if (cause.object->kind == ObjectKind::kFile) return Lockers(model, *cause.object);
  std::vector<const Process*> processes;
  for (const Descriptor* end : WakingEnds(model, cause)) {
    if (std::find(processes.begin(), processes.end(), end->process) == processes.end()) {
      processes.push_back(end->process);
    }
  }
  return processes;
}

// Whether a signal that somebody sends would run code of the program's own in it, which interrupts
// the wait or does what ends it. Faults are not sent, and SIGPIPE comes from its own writes; of
// SIGCHLD more is known.
bool HandlesSignals(const Process& process) {
  for (int signal = 1; signal < static_cast<int>(process.dispositions.size()); ++signal) {
    switch (signal) {
      case SIGCHLD:
      case SIGPIPE:
      case SIGILL:
      case SIGABRT:
      case SIGBUS:
      case SIGFPE:
      case SIGSEGV:
        continue;
      default:
        if (process.dispositions[signal] == Disposition::kHandler) return true;
    }
  }
  return false;
}

bool AlarmPending(const Process& process, Nanos now) {
  return process.alarm_at >= 0 && (process.alarm_at >= now || process.alarm_interval > 0);
}

// Whether processes wait for the other sides of different FIFOs. Those that wait at one and the
// same all want the same guest.
bool OpensAreCrossed(const std::vector<Blocked>& suspects) {
  const Process* first = nullptr;
  const std::string* first_path = nullptr;
  for (const Blocked& each : suspects) {
    if (each.act == nullptr || each.causes.front().goal != Goal::kOtherSide) continue;
    const std::string* path = each.act->Blob(BlobTag::kPath);
    if (first == nullptr) {
      first = each.act->process;
      first_path = path;
    } else if (each.act->process != first && *path != *first_path) {
      return true;
    }
  }
  return false;
}

// By a thread of its own process or, where it is alone there, by any of the others.
Wait ParkedWait(const Thread& thread, const std::vector<const Thread*>& deadlocked, Nanos since) {
  auto act = std::make_shared<Act>();
  act->enter = since;
  act->stack = thread.parked_stack;
  act->process = thread.process;
  act->thread = const_cast<Thread*>(&thread);
  Wait wait;
  wait.thread = &thread;
  wait.act = act.get();
  wait.own_act = std::move(act);
  wait.goal = Goal::kWakeUp;
  for (const Thread* other : deadlocked) {
    bool could = (other->process == thread.process) == (thread.process->threads.size() > 1);
    if (could && !absl::c_linear_search(wait.holders, other->process))
      wait.holders.push_back(other->process);
  }
  return wait;
}

}  // namespace

bool ReadsOn(const Act& act) {
  if (act.op == Op::kStreamRead) return true;
  if (act.op != Op::kRead || (act.flags & kRecordWaitAll) == 0 || act.descriptor == nullptr)
    return false;
  return act.descriptor->object()->socket.incoming.Unread() < act.a;
}

int OpenFlags(const Act& act) { return static_cast<int>(act.op == Op::kOpen ? act.a : act.c); }

std::vector<const Thread*> MayBeDeadlocked(const Model& model, Nanos now) {
  ParkedThreads parked;
  for (const auto& [pid, process] : model.alive()) {
    for (const Thread* thread : process->threads) {
      if (thread->current() == nullptr) parked.try_emplace(thread);
    }
  }
  std::vector<const Thread*> threads = FindDeadlocked(model, now, parked);
  const bool all_parked = std::all_of(threads.begin(), threads.end(), [](const Thread* thread) {
    return thread->current() == nullptr;
  });
  return all_parked ? std::vector<const Thread*>() : threads;
}

std::vector<const Thread*> FindDeadlocked(const Model& model, Nanos now,
                                          const ParkedThreads& parked) {
  std::vector<Blocked> suspects;
  absl::flat_hash_set<const Thread*> suspected;
  for (const auto& [pid, process] : model.alive()) {
    if (!process->traced || AlarmPending(*process, now)) continue;
    for (const Thread* thread : process->threads) {
      Blocked blocked;
      auto it = thread->current() == nullptr ? parked.find(thread) : parked.end();
      if (it != parked.end()) {
        if (HandlesSignals(*process)) continue;
        blocked.thread = thread;
        blocked.causes.push_back({.goal = Goal::kWakeUp, .wakers = &it->second});
      } else if (!Causes(model, *thread, blocked)) {
        continue;
      }
      suspected.insert(thread);
      suspects.push_back(std::move(blocked));
    }
  }
  // Who is not suspected can act; so can a process with such a thread, or with none that we see.
  auto can_act = [&](const Process& process) {
    if (!process.alive()) return false;
    if (!process.traced || process.threads.empty()) return true;
    return std::any_of(process.threads.begin(), process.threads.end(),
                       [&](const Thread* thread) { return !suspected.contains(thread); });
  };
  // The end of a child runs its parent's handler of SIGCHLD, which interrupts the wait or does what
  // ends it: make waits so for a token of its job server.
  auto child_may_end = [&](const Process& process) {
    return process.dispositions[SIGCHLD] == Disposition::kHandler &&
           std::any_of(process.children.rbegin(), process.children.rend(),
                       [&](const Process* child) { return !child->reaped && can_act(*child); });
  };
  auto somebody_can_act = [&] {
    return std::any_of(model.alive().begin(), model.alive().end(),
                       [&](const auto& entry) { return can_act(*entry.second); });
  };
  bool changed = true;
  while (changed) {
    changed = false;
    // One that waits for whoever may open a FIFO is a server; two of them are an accident.
    bool lonely = !OpensAreCrossed(suspects);
    auto may_come = [&](const Cause& cause) {
      if (cause.thread != nullptr) return !suspected.contains(cause.thread);
      if (cause.goal == Goal::kNever) return false;
      if (cause.goal == Goal::kOtherSide && lonely) return true;
      auto wakers = Wakers(model, cause);
      // Nobody holds the other end: end-of-file or EPIPE is on its way.
      if (wakers.empty()) return cause.goal != Goal::kWakeUp;
      return std::any_of(wakers.begin(), wakers.end(),
                         [&](const Process* process) { return can_act(*process); }) ||
             (HasName(cause) && somebody_can_act());
    };
    std::erase_if(suspects, [&](const Blocked& blocked) {
      const Process& process = *blocked.thread->process;
      bool free = child_may_end(process) || (HandlesSignals(process) && somebody_can_act()) ||
                  std::any_of(blocked.causes.begin(), blocked.causes.end(), may_come);
      if (free) {
        suspected.erase(blocked.thread);
        changed = true;
      }
      return free;
    });
  }
  std::vector<const Thread*> left(suspected.begin(), suspected.end());
  std::sort(left.begin(), left.end(),
            [](const Thread* a, const Thread* b) { return a->id < b->id; });
  return left;
}

Deadlock DeadlockOf(const Model& model, const std::vector<uint32_t>& threads) {
  Deadlock deadlock;
  // In the order in which the processes were forked: their ids tell who said its first word first,
  // which is another one in every run.
  std::vector<const Thread*> in_order;
  for (uint32_t id : threads) {
    if (const Thread* thread = model.FindThread(id)) in_order.push_back(thread);
  }
  std::stable_sort(in_order.begin(), in_order.end(), [](const Thread* a, const Thread* b) {
    return a->process->born.time < b->process->born.time;
  });
  for (const Thread* thread : in_order) {
    if (const Act* act = thread->current()) deadlock.since = std::max(deadlock.since, act->enter);
  }
  for (const Thread* thread : in_order) {
    if (thread->current() == nullptr) {
      deadlock.waits.push_back(ParkedWait(*thread, in_order, deadlock.since));
      continue;
    }
    Blocked blocked;
    if (!Causes(model, *thread, blocked)) continue;
    for (const Cause& cause : blocked.causes) {
      Wait wait;
      wait.thread = thread;
      wait.act = blocked.act;
      wait.goal = cause.goal;
      wait.object = cause.object;
      wait.joins = cause.thread;
      if (cause.thread == nullptr) wait.holders = Wakers(model, cause);
      for (Descriptor* end : WakingEnds(model, cause)) {
        wait.copies.push_back(end->process->Find(end->number));
      }
      deadlock.waits.push_back(std::move(wait));
    }
  }
  return deadlock;
}

bool Stuck(const Process& process, const std::vector<const Thread*>& deadlocked) {
  return std::all_of(process.threads.begin(), process.threads.end(), [&](const Thread* thread) {
    return std::binary_search(deadlocked.begin(), deadlocked.end(), thread,
                              [](const Thread* a, const Thread* b) { return a->id < b->id; });
  });
}

}  // namespace ipctrace
