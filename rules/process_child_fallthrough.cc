// process-child-fallthrough: a forked child does not leave after its branch and runs on into its
// parent's code.
//
// The signs of that, each from one and the same call stack in both processes: parent and child
// both accept on the listener after the child was given a connection to serve; both fork again
// after the child had done something that the parent did not do (and, where that is another fork
// than the one which made the child, the parent had nothing of its own to say: else there are two
// who go on); the parent waits for this child, and the child, which has none, for the 0 that fork
// gave it; or the child had failed to become another program, and both read. Such a child need
// not be followed by its parent to the fork that made it: it forks there itself, and that is
// enough. A recursion that comes by the same line again has another stack. An interpreter has one
// stack for all places of a script, so nothing can be said of it; programs that came with the
// system are left alone, and so are all interpreters among them.
//
// A child that waits for any child where its parent then takes it, though it has none, may mean it:
// last lines that everybody runs are often so. Where it had a branch of its own before and its
// parent had none, that is worth a note. It is proof together with one thing more: it had failed to
// become another program; it there uses the -1 that its branch left in a variable of its parent's;
// or it becomes the program that its parent becomes.
#include <errno.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

constexpr size_t kMostStacks = 16;

uint64_t Printed(const Process& process) {
  uint64_t bytes = 0;
  for (const auto& [address, stream] : process.streams) {
    if (stream->pending > stream->inherited_pending)
      bytes += stream->pending - stream->inherited_pending;
  }
  return bytes;
}

class ProcessChildFallthrough : public Rule {
 public:
  bool Watches(Op op) const override {
    switch (op) {
      case Op::kAccept:
      case Op::kPoll:
      case Op::kEpollWait:
      case Op::kRead:
      case Op::kWrite:
      case Op::kStreamRead:
      case Op::kStreamWrite:
      case Op::kClose:
      case Op::kOpen:
      case Op::kDup2:
      case Op::kSleep:
      case Op::kExec:
      case Op::kWait:
        return true;
      default:
        return false;
    }
  }
  bool WatchesEntry(Op op) const override {
    return op == Op::kAccept || op == Op::kWait || op == Op::kPoll || op == Op::kEpollWait;
  }

  void DidFork(const Process& parent, const Process& child, const Act* act) override {
    if (child.execed || OpOf(child.born.call) != Op::kFork || IsInstalled(parent, child.born.time))
      return;
    if (Child* own = Find(parent)) ChildForked(*own, child);
    ParentForked(parent, child);
    Child& young = children_[&child];
    young.parent = &parent;
    young.process = &child;
    young.fork = child.born;
    young.parent_printed = Printed(parent);
    doings_[&child].clear();
    doings_[&parent].clear();
    auto accepts = accepts_.find(&parent);
    if (accepts == accepts_.end()) return;
    for (const Accept& accept : accepts->second) {
      for (const auto& [fd, copy] : child.table) {
        if (copy->object()->id == accept.connection) young.given.push_back({accept, copy});
      }
    }
  }

  void DidEnter(const Act& act) override {
    if (children_.empty()) return;
    if (act.op == Op::kAccept) Accepts(act);
    if (act.op == Op::kPoll || act.op == Op::kEpollWait) LooksForClients(act);
    if (act.op == Op::kWait) ParentWaits(act);
  }

  void DidLeave(const Act& act) override {
    if (act.op == Op::kAccept) {
      if (act.failed() || act.descriptor == nullptr) return;
      auto connection = act.process->Find(static_cast<int>(act.result));
      if (connection == nullptr) return;
      auto& accepts = accepts_[act.process];
      uint64_t listener = act.descriptor->object()->id;
      std::erase_if(accepts, [&](const Accept& each) { return each.listener == listener; });
      accepts.push_back({listener, connection->object()->id, act.site()});
      return;
    }
    if (act.op == Op::kWait) {
      if (act.err == ECHILD) ChildWaits(act);
      return;
    }
    if (act.op == Op::kPoll || act.op == Op::kEpollWait) return;
    if (doings_.empty()) return;
    if (act.failed()) ChildFails(act);
    if (some_exec_failed_ && (act.op == Op::kRead || act.op == Op::kStreamRead)) Reads(act);
    auto it = doings_.find(act.process);
    if (it == doings_.end() || act.stack == 0 || it->second.size() >= kMostStacks) return;
    auto known = [&](const Doing& each) { return each.stack == act.stack; };
    if (std::any_of(it->second.begin(), it->second.end(), known)) return;
    it->second.push_back({act.stack, act.op == Op::kWrite || act.op == Op::kStreamWrite});
  }

  // Where the parent takes the child is where the child had waited for nobody.
  void DidReap(const Process& parent, const Process& process, const Act& act) override {
    Child* child = Find(process);
    auto others = doings_.find(&parent);
    if (child == nullptr || others == doings_.end()) return;
    const Idle& idle = child->idle;
    if (idle.site.process == 0 || !SameStack(idle.site.stack, act.stack)) return;
    // What the parent did on its way there, the child did too: it has no branch of its own.
    if (DidMore(others->second, idle.doings, By::kStack)) return;
    if (!DidMore(idle.doings, others->second, By::kStack)) return;
    ReportIdle(*child, act.site(), Did(others->second, child->unset.stack, By::kStack));
  }

  // The child's wait was not meant for it, if it becomes what its parent becomes.
  void DidExec(const Process& process, const Act* act) override {
    for (Lost& lost : found_[kWaits]) {
      if (lost.child->parent == &process && lost.child->execed && act != nullptr &&
          SameStack(lost.child->last_exec.stack, act->stack)) {
        lost.finding.severity = Severity::kError;
      }
    }
    accepts_.erase(&process);
    doings_.erase(&process);
    // Its parent may yet take it where it had waited.
    if (Child* own = Find(process); own != nullptr && own->idle.site.process == 0)
      children_.erase(&process);
  }
  void WillEnd(const Process& process) override {
    accepts_.erase(&process);
    doings_.erase(&process);
    // Its parent's next fork may still show what it did.
    const Child* own = Find(process);
    if (own == nullptr || !own->forks.empty() || own->polled != nullptr) return;
    for (const Site* each : {&own->accepted, &own->waited, &own->idle.site, &own->read_on}) {
      if (each->process != 0) return;
    }
    children_.erase(&process);
  }

  // Each mistake by its first sign: one that accepts where its parent does will fork and wait there
  // too.
  void DidFinish() override {
    for (auto& [process, child] : children_) ComparePolls(child);
    std::vector<uint32_t> told;  // where those were forked
    for (std::vector<Lost>& found : found_) {
      // The first child's story is told of all that were lost in one way.
      std::stable_sort(found.begin(), found.end(),
                       [](const Lost& a, const Lost& b) { return a.fork.time < b.fork.time; });
      std::vector<uint32_t> now;
      for (Lost& lost : found) {
        if (std::any_of(told.begin(), told.end(),
                        [&](uint32_t each) { return SamePlace(lost.fork.stack, each); })) {
          continue;
        }
        now.push_back(lost.fork.stack);
        const Severity level = lost.finding.severity;
        Report(level, std::move(lost.finding));
      }
      told.insert(told.end(), now.begin(), now.end());
    }
  }

 private:
  struct Accept {
    uint64_t listener = 0;  // Object::id
    uint64_t connection = 0;
    Site site;
  };
  struct Given {
    Accept accept;  // the parent's
    std::shared_ptr<Descriptor> copy;
  };
  // What a process did, by the place.
  struct Doing {
    uint32_t stack = 0;
    bool output = false;
  };
  // By what two doings are the same: the place, wherever it was called from, or all calls.
  enum class By { kPlace, kStack };
  // A child's wait for any child, of which it has none.
  struct Idle {
    Site site;
    std::string name;  // the child's, then
    std::vector<Doing> doings;
  };
  // In the order in which they are believed.
  enum Sign { kAccepts, kForks, kWaits, kReads, kSigns };
  struct Lost {
    const Process* child;
    Site fork;
    Finding finding;
  };
  struct Child {
    const Process* parent = nullptr;
    const Process* process = nullptr;
    Site fork;
    std::array<bool, kSigns> told = {};
    std::vector<Given> given;
    Site accepted;  // by the child, where the parent had accepted
    uint64_t listener = 0;
    std::shared_ptr<Descriptor> polled;  // by which it polled the listener
    uint32_t polled_stack = 0;           // if so: where
    Site given_at;                       // and the parent's accept of its connection
    uint64_t closed = 0;                 // its own descriptor of the listener, if it closed that
    // For those that fork again: by what forks, and what each had done before.
    uint64_t parent_printed = 0;
    bool printed = false, parent_printed_more = false;
    std::vector<Site> forks, parent_forks;
    std::vector<Doing> doings, parent_doings;
    Site waited;         // by the child, for nobody
    Site parent_waited;  // for this child
    Idle idle;
    Site exec_failed;
    Site read_on;  // thereafter, by its first read
    Site unset;    // its first call on a negative descriptor
  };

  // What is known of it as a child; null: nothing.
  Child* Find(const Process& process) {
    auto it = children_.find(&process);
    return it == children_.end() ? nullptr : &it->second;
  }

  // The same sign is told of a child once.
  void Tell(Child& child, Sign sign, Finding finding) {
    if (child.told[sign]) return;
    child.told[sign] = true;
    found_[sign].push_back({child.process, child.fork, std::move(finding)});
  }

  void Accepts(const Act& act) {
    // One that served its client has mostly closed the listener: it comes to accept all the same.
    auto listening = act.descriptor;
    if (listening == nullptr) {
      auto closed = act.process->gone.find(act.fd);
      if (closed == act.process->gone.end()) return;
      listening = closed->second;
    }
    uint64_t listener = listening->object()->id;
    if (Child* own = Find(*act.process); own != nullptr && own->accepted.process == 0) {
      Child& child = *own;
      for (const Given& given : child.given) {
        if (given.accept.listener != listener) continue;
        if (!WasForIt(given)) continue;
        if (!SameStack(given.accept.site.stack, act.stack)) continue;
        child.accepted = act.site();
        child.listener = listener;
        if (act.descriptor == nullptr) child.closed = listening->id;
        bool parent_goes_on =
            std::any_of(child.parent_forks.begin(), child.parent_forks.end(),
                        [&](const Site& each) { return SameStack(each.stack, child.fork.stack); });
        if (parent_goes_on || ParentAccepts(child)) ReportAccept(child, listening);
        break;
      }
    }
    if (act.descriptor != nullptr) ParentAccepted(act, act.descriptor);
  }

  void ParentAccepted(const Act& act, const std::shared_ptr<Descriptor>& listener) {
    uint64_t id = listener->object()->id;
    for (auto& [process, child] : children_) {
      if (child.parent != act.process || child.accepted.process == 0 || child.listener != id)
        continue;
      ReportAccept(child, listener);
    }
    last_accept_[{act.process, id}] = act.enter;
  }

  // Who polls the listener that he accepted on is about to accept again. A child that does so in
  // the same place may never come to accept: its parent is quicker.
  void LooksForClients(const Act& act) {
    if (auto accepts = accepts_.find(act.process); accepts != accepts_.end()) {
      for (const Accept& accept : accepts->second) {
        auto listener = WatchedCopy(act, accept.listener);
        if (listener == nullptr) continue;
        polls_[{act.process, accept.listener}] = act.stack;
        ParentAccepted(act, listener);
      }
    }
    Child* child = Find(*act.process);
    if (child == nullptr || child->polled != nullptr) return;
    for (const Given& given : child->given) {
      if (!WasForIt(given)) continue;
      child->polled = WatchedCopy(act, given.accept.listener);
      child->polled_stack = act.stack;
      child->given_at = given.accept.site;
      if (child->polled != nullptr) return;
    }
  }

  // One that let go of the connection unused is another worker, not a lost one.
  static bool WasForIt(const Given& given) {
    return given.copy->usage.Used() || given.copy->alive();
  }

  // By which descriptor the call watches this object; null: it does not.
  static std::shared_ptr<Descriptor> WatchedCopy(const Act& act, uint64_t object) {
    for (Watched& each : WatchedBy(act)) {
      if (each.descriptor->object()->id == object) return std::move(each.descriptor);
    }
    return nullptr;
  }

  // Who only polled is told at the end: then the parent has polled as well, if it does.
  void ComparePolls(Child& child) {
    if (child.polled == nullptr || child.told[kAccepts]) return;
    child.listener = child.polled->object()->id;
    auto parents = polls_.find({child.parent, child.listener});
    if (parents == polls_.end() || !SameStack(parents->second, child.polled_stack)) return;
    child.accepted = child.given_at;
    if (ParentAccepts(child)) ReportAccept(child, child.polled);
  }

  bool ParentAccepts(const Child& child) const {
    auto it = last_accept_.find({child.parent, child.listener});
    return it != last_accept_.end() && it->second > child.fork.time;
  }

  void ReportAccept(Child& child, const std::shared_ptr<Descriptor>& listener) {
    if (child.told[kAccepts]) return;
    Finding finding;
    finding.site = child.accepted;
    finding.message = absl::StrCat(
        Named(*child.process),
        " was made to serve one connection, but runs on into its parent's accept loop: parent and "
        "child now both accept on fd ",
        listener->number, child.closed ? ", which the child has closed" : "");
    finding.fix = "end the child's branch with exit or _exit, after it has served its connection";
    finding.subjects = {listener->object()->id, SubjectOf(*child.process)};
    if (child.closed) AddSubject(finding.subjects, child.closed);
    AddSteps(finding.story,
             {StepAt(absl::StrCat("fork made ", Named(*child.process), " for the connection"),
                     child.fork),
              StepAt(absl::StrCat(Named(*child.process),
                                  child.accepted.process == child.process->id
                                      ? " called accept, as its parent does"
                                      : " waited for clients to accept here, as its parent does"),
                     child.accepted)});
    Tell(child, kAccepts, std::move(finding));
  }

  void ParentWaits(const Act& act) {
    auto pid = static_cast<int64_t>(act.a);
    if (pid <= 0) return;
    for (auto& [process, child] : children_) {
      if (child.parent != act.process || process->pid != pid || process->reaped) continue;
      child.parent_waited = act.site();
      ReportWait(child);
      return;
    }
  }

  void ChildWaits(const Act& act) {
    Child* child = Find(*act.process);
    if (child == nullptr || !act.process->children.empty()) return;
    if (act.a == 0) {
      child->waited = act.site();
      ReportWait(*child);
    } else if (static_cast<int64_t>(act.a) == -1 && child->idle.site.process == 0) {
      child->idle = {act.site(), Named(*act.process), doings_[act.process]};
    }
  }

  void ChildFails(const Act& act) {
    Child* child = Find(*act.process);
    if (child == nullptr) return;
    if (act.op == Op::kExec) {
      child->exec_failed = act.site();
      some_exec_failed_ = true;
    }
    if (act.err == EBADF && act.fd < 0 && act.op != Op::kClose && child->unset.process == 0)
      child->unset = act.site();
  }

  // One that was to become another program takes its parent's input.
  void Reads(const Act& act) {
    if (Child* own = Find(*act.process);
        own != nullptr && own->exec_failed.process != 0 && own->read_on.process == 0) {
      own->read_on = act.site();
      ++readers_;
    }
    if (readers_ == 0) return;
    for (auto& [process, child] : children_) {
      if (child.parent != act.process || child.read_on.process == 0 || child.told[kReads]) continue;
      if (!SameStack(child.read_on.stack, act.stack)) continue;
      Finding finding = WentOn(child, Named(*process), child.read_on,
                               "code: there it reads what its parent was to read");
      AddSteps(finding.story,
               {FailedExec(child, Named(*process)),
                StepAt(absl::StrCat(Named(*process), " read there"), child.read_on),
                StepAt(absl::StrCat(Named(*act.process), " read there"), act.site())});
      --readers_;
      Tell(child, kReads, std::move(finding));
    }
  }

  // Empty where no exec of it failed.
  static Step FailedExec(const Child& child, const std::string& name) {
    if (child.exec_failed.process == 0) return Step();
    return StepAt(absl::StrCat(name, " did not become another program: its ",
                               CallName(child.exec_failed.call), " failed"),
                  child.exec_failed);
  }

  // What child and parent do alike after the child's branch, at `site`.
  static Finding WentOn(const Child& child, const std::string& name, const Site& site,
                        absl::string_view where) {
    Finding finding;
    finding.site = site;
    finding.message =
        absl::StrCat(name, " did not end after its branch and went on in its parent's ", where);
    finding.fix = "end the child's branch with exit or _exit, so that only the parent goes on";
    finding.subjects = {SubjectOf(*child.process)};
    AddSteps(finding.story, {StepAt(absl::StrCat("fork made ", name), child.fork)});
    return finding;
  }

  void ReportIdle(Child& child, const Site& reaped, bool uses_unset) {
    const std::string& name = child.idle.name;
    Finding finding = WentOn(child, name, child.idle.site,
                             "code: there it waits for a child, and has none (ECHILD)");
    AddSteps(finding.story,
             {StepAt(absl::StrCat(Named(*child.parent), " waited for ", name), reaped),
              StepAt(absl::StrCat(name, " waited where its parent waits, and has no child"),
                     child.idle.site),
              FailedExec(child, name)});
    if (uses_unset) {
      AddSteps(finding.story, {StepAt(absl::StrCat(CallName(child.unset.call), " in ", name,
                                                   " failed on a descriptor that is none"),
                                      child.unset)});
    }
    if (child.exec_failed.process == 0 && !uses_unset) finding.severity = Severity::kNote;
    Tell(child, kWaits, std::move(finding));
  }

  void ReportWait(Child& child) {
    if (child.waited.process == 0 || child.parent_waited.process == 0) return;
    if (!SameStack(child.waited.stack, child.parent_waited.stack)) return;
    Finding finding =
        WentOn(child, Named(*child.process), child.waited,
               "code: there it waits for itself (ECHILD), where its parent waits for it");
    AddSteps(
        finding.story,
        {StepAt(absl::StrCat(Named(*child.parent), " waits for ", Named(*child.process)),
                child.parent_waited),
         StepAt(absl::StrCat(Named(*child.process), " waited in the same place, and has no child"),
                child.waited)});
    Tell(child, kWaits, std::move(finding));
  }

  void ChildForked(Child& child, const Process& grandchild) {
    if (child.told[kForks] || child.forks.size() >= kMostStacks) return;
    child.printed |= Printed(*child.process) > 0;
    TakeIn(child.process, child.doings);
    child.forks.push_back(grandchild.born);
    for (const Site& other : child.parent_forks) CompareForks(child, grandchild.born, other);
    // Another program was to run there: that its parent came by once will do.
    if (child.exec_failed.process != 0) CompareForks(child, grandchild.born, child.fork);
  }

  void ParentForked(const Process& parent, const Process& next) {
    for (auto& [process, child] : children_) {
      if (child.parent != &parent || child.told[kForks] || process == &next) continue;
      if (child.parent_forks.size() >= kMostStacks) continue;
      child.parent_printed_more |= Printed(parent) > child.parent_printed;
      TakeIn(&parent, child.parent_doings);
      child.parent_forks.push_back(next.born);
      for (const Site& own : child.forks) CompareForks(child, own, next.born);
    }
  }

  void TakeIn(const Process* process, std::vector<Doing>& doings) const {
    auto it = doings_.find(process);
    if (it != doings_.end()) doings.insert(doings.end(), it->second.begin(), it->second.end());
  }

  bool Did(const std::vector<Doing>& doings, uint32_t stack, By by) {
    return std::any_of(doings.begin(), doings.end(), [&](const Doing& each) {
      return by == By::kPlace ? SamePlace(each.stack, stack) : SameStack(each.stack, stack);
    });
  }

  // Whether the one has done what the other has not.
  bool DidMore(const std::vector<Doing>& doings, const std::vector<Doing>& others, By by,
               bool output_only = false) {
    return std::any_of(doings.begin(), doings.end(), [&](const Doing& each) {
      return (each.output || !output_only) && !Did(others, each.stack, by);
    });
  }

  void CompareForks(Child& child, const Site& own, const Site& parents) {
    if (child.told[kForks] || !SameStack(own.stack, parents.stack)) return;
    // Where both do the same, both are meant to.
    if (!(child.printed && !child.parent_printed_more) &&
        !DidMore(child.doings, child.parent_doings, By::kPlace)) {
      return;
    }
    const bool in_loop = SameStack(own.stack, child.fork.stack);
    // Else both come straight to it: who makes a tree by levels forks in turns.
    if (!in_loop && (child.forks.size() > 1 || child.parent_forks.size() > 1)) return;
    if (!in_loop && (child.parent_printed_more || DidMore(child.parent_doings, child.doings,
                                                          By::kPlace, /*output_only=*/true))) {
      return;
    }
    const std::string name = Named(*child.process);
    Finding finding = WentOn(child, name, own,
                             in_loop ? "loop: parent and child now both fork there"
                                     : "code: parent and child both fork there");
    AddSteps(finding.story,
             {FailedExec(child, name),
              StepAt(absl::StrCat(name, in_loop ? " forked in the same place"
                                                : " forked in the same place as its parent"),
                     own)});
    Tell(child, kForks, std::move(finding));
  }

  absl::flat_hash_map<const Process*, Child> children_;
  std::array<std::vector<Lost>, kSigns> found_;
  bool some_exec_failed_ = false;  // of a child's
  int readers_ = 0;                // children with a read_on that is not told
  absl::flat_hash_map<const Process*, std::vector<Accept>> accepts_;  // the last, for each listener
  absl::flat_hash_map<std::pair<const Process*, uint64_t>, Nanos> last_accept_;
  absl::flat_hash_map<std::pair<const Process*, uint64_t>, uint32_t> polls_;  // stacks, likewise
  absl::flat_hash_map<const Process*, std::vector<Doing>> doings_;            // since the last fork
};

REGISTER_RULE(ProcessChildFallthrough, "process-child-fallthrough", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
