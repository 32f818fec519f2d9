// fd-use-after-close: any use of a closed descriptor but another close.
#include <errno.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "analyzer/model/late.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class FdUseAfterClose : public Rule {
 public:
  bool Watches(Op op) const override { return op != Op::kHello && op != Op::kStreamState; }
  bool WatchesSuccess(Op op) const override {
    return op == Op::kRead || op == Op::kWrite || op == Op::kPoll;
  }

  void DidLeave(const Act& act) override {
    suspects_.Take(act);
    if (act.err != EBADF && (act.op == Op::kRead || act.op == Op::kWrite) &&
        act.descriptor != nullptr && act.descriptor->predecessor != nullptr) {
      CheckReuse(act);
    }
  }

  void DidFinish() override { suspects_.Judge(); }

 private:
  void Tell(const std::shared_ptr<Descriptor>& closed, const std::vector<LateCall>& calls) {
    const Process& process = *closed->process;
    const LateCall& use = calls.front();
    Finding finding;
    finding.message =
        absl::StrCat(Deed(*closed, use), " after fd ", closed->number, " was closed (",
                     CallName(closed->died.call), "): ", TellsOfEach(use) ? "POLLNVAL" : "EBADF");
    finding.fix = absl::StrCat("Close fd ", closed->number, " in ", InWhom(process),
                               use.site.tid != closed->died.tid
                                   ? " only when the other thread is done with it"
                                   : " only after its last use");
    finding.site = use.site;
    finding.story = LifeOf(model(), closed);
    int uses = 0;
    for (const LateCall& call : calls) {
      if (call.op != Op::kClose) ++uses;
      AddSteps(finding.story,
               {StepAt(absl::StrCat(Deed(*closed, call),
                                    TellsOfEach(call) ? ", which answered POLLNVAL: fd "
                                                      : ", which failed: fd ",
                                    closed->number, " is closed"),
                       call.site)});
    }
    finding.count = uses;
    finding.subjects = {closed->id};
    Report(std::move(finding));
  }

  // poll does not fail for a number that is not open: it says so in the number's own entry.
  static bool TellsOfEach(const LateCall& call) {
    return call.op == Op::kPoll && call.site.call != Call::select &&
           call.site.call != Call::pselect;
  }

  // "main[12] called write(4)", "main[12] watched fd 4 with poll".
  static std::string Deed(const Descriptor& closed, const LateCall& call) {
    if (call.op != Op::kPoll) return CallOf(*closed.process, call.site.call, closed.number);
    return absl::StrCat(Named(*closed.process), " watched fd ", closed.number, " with ",
                        CallName(call.site.call));
  }

  // Nothing fails where the kernel has given the number out again: the call then works on what
  // somebody else opened. It is so where another thread closed what this one used and itself opened
  // the new one, of the same kind, from another place in the program.
  void CheckReuse(const Act& act) {
    const Descriptor& now = *act.descriptor;
    const Descriptor& before = *now.predecessor;
    int32_t tid = act.thread->tid;
    if (before.died.tid == tid || now.born.tid == tid || before.died.tid != now.born.tid) return;
    if (!before.usage.last || !before.usage.first) return;
    if (before.usage.last->tid != tid || before.usage.first->tid != tid) return;
    if (act.thread->born.time > before.died.time) return;
    if (before.death != Death::kClosed || now.birth != Birth::kOpened) return;
    if (before.object()->kind != now.object()->kind) return;
    if (now.object()->kind == ObjectKind::kSocket)
      return;  // handed to workers by number, again and again
    if (SamePlace(before.born.stack, now.born.stack)) return;
    if (!told_.insert({now.id, tid}).second) return;
    uint32_t stack = act.stack;
    if (CountRepetition(stack)) return;
    Finding finding;
    finding.message =
        absl::StrCat(CallOf(act), " on a stale number: another thread had closed fd ", now.number,
                     ", and it now is ", Describe(*now.description), ", opened by that thread");
    finding.fix = absl::StrCat("Close fd ", now.number,
                               " only when the other thread is done with it, or tell that thread "
                               "that it is closed");
    finding.site = act.site();
    finding.story = LifeOf(model(), now.predecessor);
    AddSteps(finding.story, LifeOf(model(), act.descriptor));
    AddSteps(finding.story,
             {StepAt(absl::StrCat(CallOf(act), ", meant for what it was before"), act.site())});
    finding.subjects = {before.id, now.id};
    Report(std::move(finding));
  }

  LateSuspects suspects_{
      [this](const std::shared_ptr<Descriptor>& closed, const LateVerdict& verdict) {
        if (verdict.kind == LateKind::kUse) Tell(closed, verdict.calls);
      },
      [this](uint32_t a, uint32_t b) { return SamePlace(a, b); }};
  std::set<std::pair<uint64_t, int32_t>> told_;
};

REGISTER_RULE(FdUseAfterClose, "fd-use-after-close", Severity::kError,
              {"fd-double-close", "stdio-close-mismatch", "process-child-fallthrough"});

}  // namespace
}  // namespace ipctrace
