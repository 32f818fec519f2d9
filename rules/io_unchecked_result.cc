// io-unchecked-result: the -1 of a failed call is used as a number of bytes.
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class IoUncheckedResult : public Rule {
 public:
  bool Watches(Op op) const override {
    return op == Op::kRead || op == Op::kWrite || op == Op::kReadAt || op == Op::kWriteAt ||
           op == Op::kStreamRead;
  }
  bool WatchesEntry(Op op) const override { return op != Op::kStreamRead; }

  // At entry: with so many bytes to move it may well die in the call.
  void DidEnter(const Act& act) override {
    // As size_t, and as the unsigned int that some keep it in.
    if (act.a != UINT64_MAX && act.a != UINT32_MAX) return;
    auto it = failed_.find(act.thread->id);
    // A gigantic buffer is not a mistake; a failed call just before makes it one.
    if (it == failed_.end() && act.a != UINT64_MAX) return;
    Finding finding;
    finding.site = act.site();
    finding.message = absl::StrCat(
        Named(*act.process), " called ", CallName(act.call), " on fd ", act.fd, " for -1 bytes",
        it == failed_.end()
            ? std::string(": the result of a call that failed")
            : absl::StrCat(": that is what ", CallName(it->second.site.call), " on fd ",
                           it->second.fd, " had returned ",
                           it->second.err == 0 ? "at end-of-file" : "when it failed with ",
                           it->second.err == 0 ? "" : strerrorname_np(it->second.err)));
    finding.fix = absl::StrCat(
        "look at the result of ", it == failed_.end() ? "the call" : CallName(it->second.site.call),
        " before using it: leave the loop, or report the error, where it is -1");
    if (act.descriptor != nullptr) finding.subjects = SubjectsOf(*act.descriptor);
    if (it != failed_.end()) {
      AddSteps(finding.story,
               {StepAt(absl::StrCat(
                           CallOf(*act.process, it->second.site.call, it->second.fd),
                           it->second.err == 0 ? ", which met end-of-file" : ", which failed with ",
                           it->second.err == 0 ? "" : strerrorname_np(it->second.err)),
                       it->second.site)});
    }
    AddSteps(finding.story,
             {StepAt(absl::StrCat(CallOf(act), " with -1 as the number of bytes"), act.site())});
    Report(std::move(finding));
  }

  void DidLeave(const Act& act) override {
    if (act.op == Op::kStreamRead) {
      // Of these only getline returns a number of bytes, and -1 at end-of-file, too.
      bool counts =
          act.call == Call::getline || act.call == Call::getdelim || act.call == Call::__getdelim;
      if (counts && act.result == 0) failed_[act.thread->id] = {act.site(), act.fd, act.err};
    } else if (act.failed() && act.result == -1) {
      failed_[act.thread->id] = {act.site(), act.fd, act.err};
    } else if (!failed_.empty()) {
      failed_.erase(act.thread->id);
    }
  }

 private:
  struct Failed {
    Site site;
    int fd = -1;
    int err = 0;
  };
  absl::flat_hash_map<uint32_t, Failed> failed_;  // the last, by Thread::id
};

REGISTER_RULE(IoUncheckedResult, "io-unchecked-result", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
