// io-eintr: a signal broke off a call, and the program took that for the end of the matter.
//
// A handler that ends the program, or a timeout, is meant to break calls off. So this speaks only
// where something else is known to have come: a signal that a process of the run sent and that does
// not by custom end programs, the end of a child, a timer that ticks, or where no handler for the
// customary signals is set at all; and only where something was left behind: data or a peer that
// was still there, clients in the queue, a child that nobody waited for.
//
// A signal that a process sends to itself is its way to break off a call of another thread's;
// ppoll, pselect and epoll_pwait are made to be broken off; and one that signals to somebody after
// its poll was broken off has gone on with its work.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

bool EndsPrograms(int signal) {
  return signal == SIGTERM || signal == SIGINT || signal == SIGQUIT || signal == SIGHUP;
}

// Reading by read and by fgets is one kind, and so is waiting by poll and by epoll.
Op KindOf(Op op) {
  if (op == Op::kStreamRead) return Op::kRead;
  if (op == Op::kStreamWrite) return Op::kWrite;
  if (op == Op::kEpollWait) return Op::kPoll;
  return op;
}

class IoEintr : public Rule {
 public:
  bool Watches(Op op) const override {
    switch (op) {
      case Op::kRead:
      case Op::kWrite:
      case Op::kStreamRead:
      case Op::kStreamWrite:
      case Op::kAccept:
      case Op::kWait:
      case Op::kKill:
      case Op::kPoll:
      case Op::kEpollWait:
      case Op::kConnect:
        return true;
      default:
        return false;
    }
  }
  bool WatchesSuccess(Op op) const override { return op == Op::kConnect; }

  void DidEnter(const Act& act) override {
    if (act.op == Op::kKill) {
      sent_.push_back(
          {static_cast<int32_t>(act.a), static_cast<int>(act.b), act.enter, act.process->pid});
      std::erase_if(broken_, [&](const Broken& each) {
        return each.kind == Op::kPoll && each.process == act.process;
      });
      return;
    }
    if (broken_.empty()) return;
    // It goes on, or waits for the right moment to do so.
    Op kind = KindOf(act.op);
    bool polls = kind == Op::kPoll;
    std::erase_if(broken_, [&](const Broken& each) {
      if (each.process != act.process) return false;
      if (polls) return each.kind != Op::kWait;
      if (each.kind == Op::kPoll) return Contains(each.polled, act.descriptor);
      return each.kind == kind && (kind == Op::kWait || each.descriptor == act.descriptor ||
                                   (act.descriptor != nullptr && each.descriptor != nullptr &&
                                    each.descriptor->description == act.descriptor->description));
    });
  }

  void DidLeave(const Act& act) override {
    if (act.op == Op::kConnect) {
      if (act.failed() || act.descriptor == nullptr) return;
      std::erase_if(clients_, [](const auto& each) {
        auto client = each.lock();
        return client == nullptr || client->socket.met;
      });
      clients_.push_back(act.descriptor->object());
      return;
    }
    if (act.err != EINTR || act.op == Op::kKill || MadeToBeBroken(act.call)) return;
    int signal = 0;
    if (!Meant(act, &signal)) return;
    broken_.push_back({act.process, KindOf(act.op), act.descriptor, act.site(), signal,
                       static_cast<int32_t>(act.a), Polled(act)});
  }

  void DidFork(const Process& parent, const Process& child, const Act* act) override {
    for (const auto& [fd, copy] : child.table) {
      if (copy->object()->socket.accepted && copy->birth == Birth::kInherited) {
        serving_.insert(&child);
        return;
      }
    }
  }

  void WillEnd(const Process& process) override {
    child_ends_.push_back(&process);
    for (Broken& each : broken_) {
      if (each.process == &process && process.end == EndKind::kExited) Judge(each);
    }
    std::erase_if(broken_, [&](const Broken& each) { return each.process == &process; });
  }

  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how,
                 const Act& act) override {
    if (broken_.empty()) return;
    auto is_of = [&](const Broken& each) {
      return each.descriptor == descriptor || Contains(each.polled, descriptor);
    };
    for (Broken& each : broken_) {
      if (is_of(each)) Judge(each);
    }
    std::erase_if(broken_, is_of);
  }

 private:
  struct Sent {
    int32_t pid = 0;
    int signal = 0;
    Nanos time = 0;
    int32_t by = 0;  // pid
  };
  struct Broken {
    const Process* process = nullptr;
    Op kind = Op::kNone;
    std::shared_ptr<Descriptor> descriptor;
    Site site;
    int signal = 0;                                   // 0: not known
    int32_t pid = 0;                                  // wait: whom it waits for
    std::vector<std::shared_ptr<Descriptor>> polled;  // poll: for input
  };

  static bool Contains(const std::vector<std::shared_ptr<Descriptor>>& list,
                       const std::shared_ptr<Descriptor>& descriptor) {
    return std::find(list.begin(), list.end(), descriptor) != list.end();
  }

  static bool MadeToBeBroken(Call call) {
    return call == Call::ppoll || call == Call::__ppoll_chk || call == Call::pselect ||
           call == Call::epoll_pwait || call == Call::epoll_pwait2;
  }

  static std::vector<std::shared_ptr<Descriptor>> Polled(const Act& act) {
    std::vector<std::shared_ptr<Descriptor>> polled;
    for (Watched& each : WatchedBy(act)) {
      if ((each.events & POLLIN) != 0) polled.push_back(std::move(each.descriptor));
    }
    return polled;
  }

  static bool Handles(const Process& process, int signal) {
    return process.dispositions[static_cast<size_t>(signal)] == Disposition::kHandler;
  }

  // False where the signal is one that breaks calls off by intention, or may be one.
  bool Meant(const Act& act, int* signal) const {
    const Process& process = *act.process;
    for (auto it = sent_.rbegin(); it != sent_.rend(); ++it) {
      if (it->time > act.leave || it->time < act.enter) continue;
      if (it->pid != process.pid || !Handles(process, std::clamp(it->signal, 0, 64))) continue;
      *signal = it->signal;
      if (it->by == process.pid) return false;
      return !EndsPrograms(it->signal) && it->signal != SIGALRM;
    }
    if (process.alarm_at >= 0 && Handles(process, SIGALRM)) {
      // One that comes again and again is a clock, not a timeout.
      *signal = SIGALRM;
      if (process.alarm_interval == 0) return false;
      return true;
    }
    if (Handles(process, SIGCHLD)) {
      for (auto it = child_ends_.rbegin(); it != child_ends_.rend(); ++it) {
        if ((*it)->parent != &process || (*it)->ended_at < act.enter) continue;
        *signal = SIGCHLD;
        return true;
      }
    }
    for (int each : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGALRM}) {
      if (Handles(process, each)) return false;
    }
    return true;
  }

  // Something was left behind that the call, made again, would have found.
  bool LeftBehind(const Broken& broken) const {
    if (broken.kind == Op::kWait) {
      return std::any_of(broken.process->children.begin(), broken.process->children.end(),
                         [&](const Process* child) {
                           return !child->reaped && (broken.pid <= 0 || child->pid == broken.pid);
                         });
    }
    if (broken.kind == Op::kPoll) {
      return std::any_of(broken.polled.begin(), broken.polled.end(), [&](const auto& each) {
        bool listens = each->object()->socket.state == SocketState::kListening;
        return LeftAt(*each, listens ? Op::kAccept : Op::kRead, broken);
      });
    }
    return broken.descriptor != nullptr && LeftAt(*broken.descriptor, broken.kind, broken);
  }

  bool ServingChildEnded(const Broken& broken) const {
    return std::any_of(child_ends_.begin(), child_ends_.end(), [&](const Process* each) {
      return each->parent == broken.process && each->ended_at >= broken.site.time &&
             serving_.contains(each);
    });
  }

  bool LeftAt(const Descriptor& descriptor, Op kind, const Broken& broken) const {
    const Object& object = *descriptor.object();
    auto held_by_others = [&](const std::vector<std::shared_ptr<Descriptor>>& ends) {
      return std::any_of(ends.begin(), ends.end(),
                         [&](const auto& end) { return end->process != broken.process; });
    };
    auto other = object.socket.other_end.lock();
    switch (kind) {
      case Op::kRead:
        if (object.IsPipe()) return object.queue.Unread() > 0 || held_by_others(Writers(object));
        return object.socket.incoming.Unread() > 0 ||
               (other != nullptr && held_by_others(Holders(*other)));
      case Op::kWrite:
        if (object.IsPipe()) return held_by_others(Readers(object));
        return other != nullptr && held_by_others(Holders(*other));
      case Op::kAccept:
        // A child's end or a tick never means that a server should stop; what the run itself sends
        // may, unless a client is left in the queue. One that polls may watch for the end of its
        // client's, where that is a child and not one that serves.
        if (broken.signal == SIGALRM) return true;
        if (broken.signal == SIGCHLD && (broken.kind == Op::kAccept || ServingChildEnded(broken)))
          return true;
        return std::any_of(clients_.begin(), clients_.end(), [&](const auto& each) {
          auto client = each.lock();
          return client != nullptr && !client->socket.met &&
                 client->socket.queued_on.lock().get() == &object;
        });
      default:
        return false;
    }
  }

  void Judge(const Broken& broken) {
    if (!LeftBehind(broken)) return;
    const std::string call = CallName(broken.site.call);
    std::string signal = "a signal";
    if (const char* name = broken.signal != 0 ? sigabbrev_np(broken.signal) : nullptr)
      signal = absl::StrCat("SIG", name);
    Finding finding;
    finding.site = broken.site;
    finding.message = absl::StrCat(
        signal, " broke off ", call, " in ", Named(*broken.process),
        " (EINTR), and it was never called again",
        broken.descriptor != nullptr ? absl::StrCat(" on fd ", broken.descriptor->number) : "");
    finding.fix = absl::StrCat("call ", call, " again where it fails with EINTR",
                               broken.kind == Op::kPoll
                                   ? " (SA_RESTART does not spare it that)"
                                   : ", or set the handler with sigaction and SA_RESTART");
    if (broken.descriptor != nullptr) {
      finding.subjects = SubjectsOf(*broken.descriptor);
      AddSteps(finding.story, LifeOf(model(), broken.descriptor));
    }
    AddSteps(finding.story,
             {StepAt(absl::StrCat(CallOf(*broken.process, broken.site.call, ""), " and got EINTR"),
                     broken.site)});
    // Event loops of long standing have signals that break a poll off on purpose.
    const bool known_loop =
        broken.kind == Op::kPoll && IsInstalled(*broken.process, broken.site.time);
    Report(known_loop ? Severity::kNote : severity(), std::move(finding));
  }

  std::vector<Broken> broken_;
  std::vector<Sent> sent_;
  std::vector<std::weak_ptr<Object>> clients_;  // connected, and perhaps not accepted yet
  std::vector<const Process*> child_ends_;
  absl::flat_hash_set<const Process*> serving_;  // forked with an accepted connection
};

REGISTER_RULE(IoEintr, "io-eintr", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
