#include "analyzer/model/waits.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "analyzer/model/replay.h"

namespace ipctrace {
namespace {

enum class Want : uint8_t { kData, kSpace };

// One thing that would end a wait.
struct Cause {
  std::shared_ptr<Object> object;  // for kData and kSpace
  Want want = Want::kData;
  const Process* child = nullptr;  // its end would
  const Thread* thread = nullptr;  // its end would
};

// What one blocked thread waits for: any of the causes.
struct Blocked {
  const Thread* thread = nullptr;
  const Act* act = nullptr;
  std::vector<Cause> causes;
};

bool HeldOutside(const Object& object) {
  if (object.outside) return true;
  return std::any_of(object.descriptions.begin(), object.descriptions.end(),
                     [](const Description* each) { return each->outside; });
}

// Whether a wait on this object's descriptor can be looked through at all, and adds its cause.
// False: somebody or something that is not in the model may end the wait.
// `partly`: the call reads again and again before it returns, so that what it has taken is not
// counted yet; that it sleeps says that there is no more.
bool AddObject(const std::shared_ptr<Descriptor>& descriptor, Want want, Blocked& blocked,
               bool partly = false) {
  if (descriptor == nullptr || !descriptor->description) return false;
  const auto& object = descriptor->object();
  if (HeldOutside(*object)) return false;
  if (object->IsPipe()) {
    if (want == Want::kData && !partly && object->queue.Unread() > 0) return false;
  } else if (object->kind == ObjectKind::kSocket) {
    const SocketInfo& socket = object->socket;
    auto other = socket.other_end.lock();
    if (socket.state != SocketState::kConnected || !socket.stream()) {
      // A datagram socket pair has two ends that nobody else can reach.
      if (other == nullptr || socket.state != SocketState::kConnected) return false;
    }
    if (other == nullptr || HeldOutside(*other)) return false;
    if (other->descriptions.empty()) return false;  // end-of-file or EPIPE is on its way
    if (want == Want::kData) {
      if ((socket.incoming.Unread() > 0 && !partly) || socket.receive_timeout) return false;
      if (other->socket.shut_write || socket.shut_read) return false;
    } else if (socket.send_timeout) {
      return false;
    }
  } else {
    return false;
  }
  blocked.causes.push_back({object, want, nullptr, nullptr});
  return true;
}

bool AddPoll(const Act& act, Blocked& blocked) {
  if (static_cast<int64_t>(act.b) >= 0) return false;  // a timeout
  const std::string* set = act.Blob(BlobTag::kPoll);
  if (set == nullptr) return false;
  for (const PollEntry& entry : EntriesOf<PollEntry>(*set)) {
    if (entry.fd < 0) continue;
    auto descriptor = act.process->Find(entry.fd);
    if ((entry.events & (POLLIN | POLLRDNORM | POLLPRI)) != 0 &&
        !AddObject(descriptor, Want::kData, blocked)) {
      return false;
    }
    if ((entry.events & (POLLOUT | POLLWRNORM)) != 0 &&
        !AddObject(descriptor, Want::kSpace, blocked)) {
      return false;
    }
    // With no events asked for, POLLHUP and POLLERR still come.
    if (entry.events == 0 && !AddObject(descriptor, Want::kData, blocked)) return false;
  }
  return !blocked.causes.empty();
}

bool AddEpoll(const Act& act, Blocked& blocked) {
  if (static_cast<int64_t>(act.b) >= 0 || act.descriptor == nullptr) return false;
  for (const auto& [fd, entry] : act.descriptor->object()->interest) {
    auto description = entry.first.lock();
    if (description == nullptr || description->holders.empty()) continue;
    auto descriptor =
        description->holders.front()->process->Find(description->holders.front()->number);
    if ((entry.second & EPOLLIN) != 0 && !AddObject(descriptor, Want::kData, blocked)) return false;
    if ((entry.second & EPOLLOUT) != 0 && !AddObject(descriptor, Want::kSpace, blocked))
      return false;
  }
  return !blocked.causes.empty();
}

bool AddChildren(const Act& act, int64_t pid, Blocked& blocked) {
  for (const Process* child : act.process->children) {
    if (child->reaped || (pid > 0 && child->pid != pid)) continue;
    if (!child->alive()) return false;  // its status is there to take
    blocked.causes.push_back({nullptr, Want::kData, child, nullptr});
  }
  return !blocked.causes.empty();
}

// The call that a child of system() or pclose() runs for.
bool AddSpawned(const Act& act, Blocked& blocked) {
  for (const Process* child : act.process->children) {
    if (!child->alive() || child->reaped) continue;
    if (act.op == Op::kSystem && child->born.time < act.enter) continue;
    blocked.causes.push_back({nullptr, Want::kData, child, nullptr});
  }
  return !blocked.causes.empty();
}

// Whether the thread waits for acts of others only, and which. False: it runs, or may be woken by
// what the model does not see.
bool Causes(const Thread& thread, Blocked& blocked) {
  const Act* act = thread.current();
  if (act == nullptr) return false;
  blocked.thread = &thread;
  blocked.act = act;
  bool may_block = act->descriptor != nullptr && !act->descriptor->description->nonblocking() &&
                   (act->flags & kRecordDontWait) == 0;
  switch (act->op) {
    case Op::kRead:
    case Op::kStreamRead:
      return may_block &&
             AddObject(act->descriptor, Want::kData, blocked, act->op == Op::kStreamRead);
    case Op::kWrite:
    case Op::kStreamWrite:
    case Op::kStreamClose:
      return act->op == Op::kStreamClose
                 ? false
                 : may_block && AddObject(act->descriptor, Want::kSpace, blocked);
    case Op::kExit: {
      // libc writes out what the streams hold before the process ends.
      for (const auto& [address, stream] : act->process->streams) {
        if (stream->pending == 0) continue;
        auto descriptor = stream->descriptor.lock();
        if (descriptor == nullptr || descriptor->description->nonblocking()) return false;
        if (!AddObject(descriptor, Want::kSpace, blocked)) return false;
      }
      return !blocked.causes.empty();
    }
    case Op::kPoll:
      return AddPoll(*act, blocked);
    case Op::kEpollWait:
      return AddEpoll(*act, blocked);
    case Op::kWait:
      if ((act->b & WNOHANG) != 0 || static_cast<int64_t>(act->a) < -1 || act->a == 0) return false;
      return AddChildren(*act, static_cast<int64_t>(act->a), blocked);
    case Op::kSystem:
    case Op::kPclose:
      return AddSpawned(*act, blocked);
    case Op::kThreadJoin: {
      if (act->b != 0) return false;
      for (const Thread* other : act->process->threads) {
        if (other->pthread == act->a && !other->ended) {
          blocked.causes.push_back({nullptr, Want::kData, nullptr, other});
          return true;
        }
      }
      // The first thread's pthread_t is told by nobody.
      for (const Thread* other : act->process->threads) {
        if (other->pthread == 0 && other->tid == act->process->pid) {
          blocked.causes.push_back({nullptr, Want::kData, nullptr, other});
          return true;
        }
      }
      return false;
    }
    case Op::kLockFile: {
      if (act->b == 0 || act->descriptor == nullptr) return false;
      for (const FileLock& lock : act->descriptor->object()->locks) {
        bool asks_as_process = static_cast<int64_t>(act->c) != -1;  // fcntl(2), not flock(2)
        if (lock.by_process != asks_as_process) continue;
        uint64_t own = asks_as_process ? act->process->id : act->descriptor->description->id;
        if (lock.owner == own) continue;
        blocked.causes.push_back({act->descriptor->object(), Want::kSpace, nullptr, nullptr});
        return true;
      }
      return false;
    }
    default:
      return false;
  }
}

// The live descriptors by which the others could give what `cause` wants.
std::vector<Descriptor*> WakingEnds(const Cause& cause) {
  std::vector<Descriptor*> ends;
  if (cause.object == nullptr) return ends;
  const Object* object = cause.object.get();
  std::shared_ptr<Object> other;
  if (object->kind == ObjectKind::kSocket) {
    other = object->socket.other_end.lock();
    object = other.get();
  }
  if (object == nullptr) return ends;
  for (const Description* description : object->descriptions) {
    if (object->IsPipe()) {
      bool is_source =
          cause.want == Want::kData ? description->writable() : description->readable();
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
  if (cause.object->kind == ObjectKind::kFile) return Lockers(model, *cause.object);
  std::vector<const Process*> processes;
  for (const Descriptor* end : WakingEnds(cause)) {
    if (std::find(processes.begin(), processes.end(), end->process) == processes.end()) {
      processes.push_back(end->process);
    }
  }
  return processes;
}

bool AlarmPending(const Process& process, Nanos now) {
  return process.alarm_at >= 0 && (process.alarm_at >= now || process.alarm_interval > 0);
}

}  // namespace

std::vector<const Thread*> FindDeadlocked(const Model& model, Nanos now) {
  std::vector<Blocked> suspects;
  absl::flat_hash_set<const Thread*> suspected;
  for (const auto& [pid, process] : model.alive()) {
    if (!process->traced || AlarmPending(*process, now)) continue;
    for (const Thread* thread : process->threads) {
      Blocked blocked;
      if (!Causes(*thread, blocked)) continue;
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
  bool changed = true;
  while (changed) {
    changed = false;
    std::erase_if(suspects, [&](const Blocked& blocked) {
      bool free = child_may_end(*blocked.act->process);
      free = free ||
             std::any_of(blocked.causes.begin(), blocked.causes.end(), [&](const Cause& cause) {
               if (cause.thread != nullptr) return !suspected.contains(cause.thread);
               auto wakers = Wakers(model, cause);
               // Nobody holds the other end: end-of-file or EPIPE is on its way.
               if (wakers.empty()) return true;
               return std::any_of(wakers.begin(), wakers.end(),
                                  [&](const Process* process) { return can_act(*process); });
             });
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
  for (uint32_t id : threads) {
    const Thread* thread = model.FindThread(id);
    Blocked blocked;
    if (thread == nullptr || !Causes(*thread, blocked)) continue;
    deadlock.since = std::max(deadlock.since, blocked.act->enter);
    for (const Cause& cause : blocked.causes) {
      Wait wait;
      wait.thread = thread;
      wait.act = blocked.act;
      wait.object = cause.object;
      wait.wants_data = cause.object != nullptr && cause.want == Want::kData;
      wait.wants_space = cause.object != nullptr && cause.want == Want::kSpace;
      wait.joins = cause.thread;
      if (cause.thread == nullptr) wait.holders = Wakers(model, cause);
      for (Descriptor* end : WakingEnds(cause)) {
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
