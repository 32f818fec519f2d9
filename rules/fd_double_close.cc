// fd-double-close: close of a descriptor that this process had already closed.
#include "absl/strings/str_cat.h"
#include "analyzer/model/late.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class FdDoubleClose : public Rule {
 public:
  // A stale close succeeds; what fails then is some use of what it hit.
  bool Watches(Op op) const override { return op != Op::kHello && op != Op::kStreamState; }
  bool WatchesSuccess(Op op) const override { return op == Op::kPoll; }

  void DidLeave(const Act& act) override { suspects_.Take(act); }
  void DidFinish() override { suspects_.Judge(); }

 private:
  void Twice(const std::shared_ptr<Descriptor>& closed, const std::vector<LateCall>& calls) {
    const Process& process = *closed->process;
    const LateCall& again = calls.front();
    Finding finding;
    finding.message = absl::StrCat(Named(process), " closed fd ", closed->number,
                                   " a second time: it had been closed by ",
                                   CallName(closed->died.call), " already (EBADF)");
    bool threads = again.site.tid != closed->died.tid;
    finding.fix = absl::StrCat(
        "Let one place own fd ", closed->number, " and close it",
        threads ? ", in one of the two threads only"
                : "; set the variable to -1 when it is closed, and skip the second close");
    finding.site = again.site;
    finding.story = LifeOf(model(), closed);
    AddCalls(finding, process, closed->number, calls);
    finding.subjects = {closed->id};
    AddLineage(finding.subjects, process);
    // It failed and did nothing. bash does it with every pipe.
    bool harmless = IsInstalled(process, again.site.time);
    Report(harmless ? Severity::kNote : severity(), std::move(finding));
  }

  void Stale(const std::shared_ptr<Descriptor>& victim, const std::vector<LateCall>& calls) {
    const Process& process = *victim->process;
    const auto& meant = victim->predecessor;
    Finding finding;
    finding.message = absl::StrCat(Named(process), " closed fd ", victim->number,
                                   " a second time, when the number had already ", "been given to ",
                                   Describe(*victim->description), ": that was closed instead");
    finding.fix = absl::StrCat("Take away this second close of fd ", victim->number,
                               " (set the variable to -1 when it is closed first)");
    finding.site = victim->died;
    finding.story = LifeOf(model(), meant);
    AddSteps(finding.story, LifeOf(model(), victim));
    AddCalls(finding, process, victim->number, calls);
    finding.subjects = {victim->id, meant->id};
    AddLineage(finding.subjects, process);
    Report(std::move(finding));
  }

  static void AddCalls(Finding& finding, const Process& process, int fd,
                       const std::vector<LateCall>& calls) {
    for (const LateCall& call : calls) {
      AddSteps(finding.story,
               {StepAt(absl::StrCat(CallOf(process, call.site.call, fd), ", which failed: fd ", fd,
                                    " is closed"),
                       call.site)});
    }
  }

  LateSuspects suspects_{
      [this](const std::shared_ptr<Descriptor>& closed, const LateVerdict& verdict) {
        if (verdict.kind == LateKind::kDoubleClose) Twice(closed, verdict.calls);
        if (verdict.kind == LateKind::kStaleClose) Stale(closed, verdict.calls);
      },
      [this](uint32_t a, uint32_t b) { return SamePlace(a, b); }};
};

REGISTER_RULE(FdDoubleClose, "fd-double-close", Severity::kError,
              {"stdio-close-mismatch", "process-child-fallthrough"});

}  // namespace
}  // namespace ipctrace
