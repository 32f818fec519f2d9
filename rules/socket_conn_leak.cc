// socket-conn-leak: the process that accepted a connection hands it to a child and keeps its own
// copy, so the client never sees end-of-file.
//
// The child gets it by fork, or in a message. Where it has ended when the next accept begins, the
// acceptor should have let go; but one that learns of the end only now, from a handler of SIGCHLD,
// and closes then, is on time.
#include <algorithm>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class SocketConnLeak : public Rule {
 public:
  bool Watches(Op op) const override { return op == Op::kAccept; }

  void DidOpen(const std::shared_ptr<Descriptor>& descriptor, const Act& act) override {
    if (act.op == Op::kAccept) accepted_[descriptor->id] = descriptor;
    if (descriptor->birth != Birth::kReceived) return;
    for (const Descriptor* holder : descriptor->description->holders) {
      auto it = accepted_.find(holder->id);
      if (it == accepted_.end() || holder->process == act.process || !holder->usage.sent) continue;
      handed_[holder->id].push_back({it->second, descriptor, act.process, *holder->usage.sent});
    }
  }

  void DidFork(const Process& parent, const Process& child, const Act* act) override {
    if (accepted_.empty()) return;
    for (const auto& [fd, copy] : child.table) {
      if (copy->birth != Birth::kInherited || copy->from == nullptr) continue;
      if (auto it = accepted_.find(copy->from->id); it != accepted_.end()) {
        handed_[copy->from->id].push_back({it->second, copy, &child, child.born});
        continue;
      }
      // A copy of a copy: what a child hands on, as in a double fork.
      for (auto& [id, handings] : handed_) {
        for (size_t i = 0; i < handings.size(); ++i) {
          if (handings[i].copy != copy->from) continue;
          handings.push_back({handings[i].kept, copy, &child, handings[i].fork});
          break;
        }
      }
    }
  }

  // The next accept begins: what was handed to a child that has ended should be closed by now.
  void DidEnter(const Act& act) override {
    last_accept_[act.process] = act.enter;
    for (auto& [id, handings] : handed_) {
      if (handings.front().kept->process == act.process) Look(handings, act.site());
    }
  }

  // An acceptor that nobody will wake from its accept any more: it began before the child's end.
  void DidDeadlock(const Deadlock& deadlock) override {
    for (const Wait& wait : deadlock.waits) {
      if (wait.act->op == Op::kAccept) DidEnter(*wait.act);
    }
  }

  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how,
                 const Act& act) override {
    if (auto it = handed_.find(descriptor->id); it != handed_.end()) {
      for (Handing& handing : it->second) {
        if (handing.leaked && ClosedOnTime(handing)) handing.leaked = false;
      }
    }
    Done(*descriptor, /*at_exit=*/false);
  }

  void WillEnd(const Process& process) override {
    if (accepted_.empty()) return;
    for (const auto& [fd, descriptor] : process.table)
      Done(*descriptor, process.end == EndKind::kExited);
  }

  void DidFinish() override {
    std::vector<std::shared_ptr<Descriptor>> left;
    for (const auto& [id, descriptor] : accepted_) left.push_back(descriptor);
    std::sort(left.begin(), left.end(), [](const auto& a, const auto& b) { return a->id < b->id; });
    for (const auto& descriptor : left) Done(*descriptor, false);
  }

 private:
  struct Handing {
    std::shared_ptr<Descriptor> kept;  // the acceptor's own
    std::shared_ptr<Descriptor> copy;  // the child's
    const Process* child = nullptr;
    Site fork;            // or the message
    bool leaked = false;  // the child had ended when the acceptor went on
    Site next;            // with this
  };

  static bool Served(const Handing& handing) {
    return handing.copy->usage.Used() || handing.copy->usage.passed > 0;
  }
  // Whether the acceptor has left the connection alone since it forked.
  static bool LeftAlone(const Handing& handing) {
    const Usage& usage = handing.kept->usage;
    return !usage.last || usage.last->time <= handing.fork.time;
  }

  // Whether the acceptor heard of the child's end after it had gone on, and not again since.
  bool ClosedOnTime(const Handing& handing) const {
    if (!handing.child->reaped) return false;
    Nanos heard = handing.child->reaped_at.time;
    auto accept = last_accept_.find(handing.kept->process);
    return heard >= handing.next.time && accept != last_accept_.end() && accept->second <= heard;
  }

  void Look(std::vector<Handing>& handings, const Site& next) {
    for (Handing& handing : handings) {
      if (handing.leaked || handing.child->alive() || !Served(handing) || !LeftAlone(handing))
        continue;
      handing.leaked = true;
      handing.next = next;
    }
  }

  // The acceptor's descriptor goes, or the run ends with it: all that is to be known is known.
  void Done(const Descriptor& descriptor, bool at_exit) {
    if (accepted_.erase(descriptor.id) == 0) return;
    auto it = handed_.find(descriptor.id);
    if (it == handed_.end()) return;
    if (at_exit) Look(it->second, Site());
    for (const Handing& handing : it->second) {
      if (!handing.leaked || !LeftAlone(handing)) continue;
      Report(Leak(handing));
      break;
    }
    handed_.erase(it);
  }

  Finding Leak(const Handing& handing) {
    const Descriptor& kept = *handing.kept;
    const Process& parent = *kept.process;
    std::string fd = FdName(kept);
    Finding finding;
    finding.site = kept.born;
    finding.message =
        absl::StrCat(Describe(parent), " accepted ", Describe(*kept.description), " as ", fd,
                     ", handed it to ", Named(*handing.child),
                     " and kept its own copy open: the client never sees end-of-file, and "
                     "the descriptors pile up");
    finding.fix = absl::StrCat("close(", kept.number,
                               ") in the parent, right after the ",
                               handing.copy->birth == Birth::kReceived ? "message" : "fork",
                               " that hands the connection to the child");
    finding.subjects = SubjectsOf(kept);
    AddSubject(finding.subjects, handing.copy->id);
    AddSteps(finding.story, LifeOf(model(), handing.kept));
    if (handing.copy->birth == Birth::kReceived) {
      AddSteps(finding.story, {StepAt(absl::StrCat(Describe(parent), " sent ", fd, " in a message"),
                                      handing.fork)});
    }
    Step fork = BirthStep(model(), *handing.copy);
    AddSteps(finding.story, {fork});
    if (handing.copy->usage.last) {
      AddSteps(finding.story, {StepAt(absl::StrCat(Named(*handing.child), " served the client"),
                                      *handing.copy->usage.last)});
    }
    Site ended;
    ended.process = handing.child->id;
    ended.pid = ended.tid = handing.child->pid;
    ended.time = handing.child->ended_at;
    AddSteps(finding.story, {StepAt(absl::StrCat(Named(*handing.child), " ended"), ended)});
    if (handing.next.process != 0) {
      AddSteps(finding.story,
               {StepAt(absl::StrCat(Describe(parent), " went on to the next accept with ", fd,
                                    " still open"),
                       handing.next)});
    }
    return finding;
  }

  // Accepted descriptors that are open, by id, and to whom each was handed.
  absl::flat_hash_map<uint64_t, std::shared_ptr<Descriptor>> accepted_;
  absl::flat_hash_map<uint64_t, std::vector<Handing>> handed_;
  absl::flat_hash_map<const Process*, Nanos> last_accept_;  // when it began
};

REGISTER_RULE(SocketConnLeak, "socket-conn-leak", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
