// io-busy-wait: a non-blocking call that is made again and again until it works.
//
// Counted are EAGAINs in a row on one descriptor by one thread, with no poll between. With sleeps
// between it is only slow. Whoever waits in a way that is not seen here takes his time over it.
#include <errno.h>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

constexpr int kMany = 1000;
constexpr Nanos kBusy = 200'000;  // between two tries, on the average

class IoBusyWait : public Rule {
 public:
  bool Watches(Op op) const override {
    switch (op) {
      case Op::kRead:
      case Op::kWrite:
      case Op::kAccept:
      case Op::kStreamRead:
      case Op::kStreamWrite:
      case Op::kPoll:
      case Op::kEpollWait:
      case Op::kSleep:
      case Op::kPause:
        return true;
      default:
        return false;
    }
  }

  void DidLeave(const Act& act) override {
    bool again = act.err == EAGAIN;
    if (!again && tries_.empty()) return;
    switch (act.op) {
      case Op::kPoll:
      case Op::kEpollWait:
      case Op::kPause:
        // Asking without waiting is no better than trying.
        if (act.op == Op::kPause || act.b != 0) tries_.erase(act.thread->id);
        return;
      case Op::kSleep:
        if (auto it = tries_.find(act.thread->id); it != tries_.end()) {
          for (auto& [descriptor, tries] : it->second) tries.slept = true;
        }
        return;
      default:
        break;
    }
    if (act.descriptor == nullptr) return;
    if (!again) {
      auto it = tries_.find(act.thread->id);
      if (it != tries_.end()) it->second.erase(act.descriptor->id);
      return;
    }
    Tries& tries = tries_[act.thread->id][act.descriptor->id];
    if (tries.count == 0 || tries.call != act.call)
      tries = {0, act.call, act.enter, act.site(), false};
    if (++tries.count < kMany) return;
    Nanos took = act.leave - tries.since;
    if (tries.count == kMany && (tries.slept || took < kMany * kBusy)) Report(act, tries, took);
  }

 private:
  struct Tries {
    int64_t count = 0;
    Call call = Call::fact_none;
    Nanos since = 0;
    Site first;
    bool slept = false;
  };

  void Report(const Act& act, const Tries& tries, Nanos took) {
    if (CountRepetition(act.stack)) return;
    Finding finding;
    finding.site = act.site();
    finding.message = absl::StrCat(
        Named(*act.process), " called ", NameOf(act.call), " on fd ", act.fd, " ", tries.count,
        " times in a row in ", Duration(took), " only to get EAGAIN",
        tries.slept ? ", with sleeps between" : ": it keeps a processor busy with waiting");
    finding.fix =
        absl::StrCat("wait with poll (",
                     act.op == Op::kWrite || act.op == Op::kStreamWrite ? "POLLOUT" : "POLLIN",
                     ") until fd ", act.fd, " is ready, or leave the descriptor blocking");
    finding.subjects = SubjectsOf(*act.descriptor);
    AddSteps(finding.story, LifeOf(model(), act.descriptor));
    AddSteps(finding.story,
             {StepAt(absl::StrCat(CallOf(act), " and got EAGAIN for the first time"), tries.first),
              StepAt(absl::StrCat(CallOf(act), " and got EAGAIN for the ", tries.count, "th time"),
                     act.site())});
    Rule::Report(tries.slept ? Severity::kNote : Severity::kWarning, std::move(finding));
  }

  absl::flat_hash_map<uint32_t, absl::flat_hash_map<uint64_t, Tries>>
      tries_;  // by thread, descriptor
};

REGISTER_RULE(IoBusyWait, "io-busy-wait", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
