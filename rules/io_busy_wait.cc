// io-busy-wait: a non-blocking call that is made again and again until it works.
//
// Counted are EAGAINs in a row on one descriptor by one thread, with no poll between. With sleeps
// between it is only slow. Whoever waits in a way that is not seen here takes his time over it.
#include <errno.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

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
        if (act.op != Op::kPause && act.b == 0) return;
        if (auto it = tries_.find(act.thread->id); it != tries_.end()) {
          for (auto& [descriptor, tries] : it->second) Finish(tries);
          tries_.erase(it);
        }
        return;
      case Op::kSleep:
        if (auto it = tries_.find(act.thread->id); it != tries_.end()) {
          for (auto& [descriptor, tries] : it->second) {
            // Until then it had not slept, and is told so.
            if (tries.busy != nullptr && !tries.slept) Finish(tries);
            tries.slept = true;
          }
        }
        return;
      default:
        break;
    }
    if (act.descriptor == nullptr) return;
    if (!again) {
      auto thread = tries_.find(act.thread->id);
      if (thread == tries_.end()) return;
      auto it = thread->second.find(act.descriptor->id);
      if (it == thread->second.end()) return;
      Finish(it->second);
      thread->second.erase(it);
      return;
    }
    Tries& tries = tries_[act.thread->id][act.descriptor->id];
    if (tries.count == 0 || tries.call != act.call) {
      Finish(tries);
      tries = {};
      tries.call = act.call;
      tries.since = act.enter;
      tries.first = act.site();
    }
    tries.last = act.leave;
    if (++tries.count == kMany &&
        (tries.slept || tries.last - tries.since < Nanos{kMany} * kBusy)) {
      tries.busy = std::make_unique<Finding>(Begin(act, tries));
    }
  }

  void DidFinish() override {
    std::vector<Tries*> left;
    for (auto& [thread, of_thread] : tries_) {
      for (auto& [descriptor, tries] : of_thread) left.push_back(&tries);
    }
    std::sort(left.begin(), left.end(),
              [](const Tries* a, const Tries* b) { return a->since < b->since; });
    for (Tries* tries : left) Finish(*tries);
  }

 private:
  struct Tries {
    int64_t count = 0;
    Call call = Call::fact_none;
    Nanos since = 0, last = 0;
    Site first;
    bool slept = false;
    // What is said when the last has been made: how often, and for how long. Null: they are few.
    std::unique_ptr<Finding> busy;
  };

  // All that is known when they are found to be too many.
  Finding Begin(const Act& act, const Tries& tries) {
    Finding finding;
    finding.site = act.site();
    finding.message =
        absl::StrCat(Named(*act.process), " called ", CallName(act.call), " on fd ", act.fd);
    finding.fix =
        absl::StrCat("wait with poll (",
                     act.op == Op::kWrite || act.op == Op::kStreamWrite ? "POLLOUT" : "POLLIN",
                     ") until fd ", act.fd, " is ready, or leave the descriptor blocking");
    finding.subjects = SubjectsOf(*act.descriptor);
    AddSteps(finding.story, LifeOf(model(), act.descriptor));
    AddSteps(finding.story,
             {StepAt(absl::StrCat(CallOf(act), " and got EAGAIN for the first time"), tries.first),
              StepAt(CallOf(act), act.site())});
    return finding;
  }

  // The tries are over: the call worked, was given up, or waits now.
  void Finish(Tries& tries) {
    std::unique_ptr<Finding> finding = std::move(tries.busy);
    if (finding == nullptr || CountRepetition(finding->site.stack)) return;
    absl::StrAppend(
        &finding->message, " ", tries.count, " times in a row in ",
        Duration(tries.last - tries.since), " only to get EAGAIN",
        tries.slept ? ", with sleeps between" : ": it keeps a processor busy with waiting");
    Step& last = finding->story.back();
    absl::StrAppend(&last.message, " and got EAGAIN for the last time, after ", tries.count - 1,
                    " others");
    last.site.time = tries.last;
    Report(tries.slept ? Severity::kNote : Severity::kWarning, std::move(*finding));
  }

  absl::flat_hash_map<uint32_t, absl::flat_hash_map<uint64_t, Tries>>
      tries_;  // by thread, descriptor
};

REGISTER_RULE(IoBusyWait, "io-busy-wait", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
