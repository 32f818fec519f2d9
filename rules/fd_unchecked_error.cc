// fd-unchecked-error: the -1 of a call that failed is used as a descriptor.
#include <errno.h>

#include <cstring>
#include <deque>
#include <map>

#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class FdUncheckedError : public Rule {
 public:
  bool Watches(Op op) const override { return Makes(op) || Uses(op); }
  bool WatchesSuccess(Op op) const override { return false; }

  void DidLeave(const Act& act) override {
    if (act.err == 0 || (act.op == Op::kConnect && act.err == EINPROGRESS)) return;
    uint64_t root = 0;
    if (act.err == EBADF && Uses(act.op)) {
      bool negative = act.fd < 0 && HasDescriptor(act);
      if (act.op == Op::kTransfer) negative |= static_cast<int>(act.a) < 0;
      if (act.op == Op::kEpollCtl) negative |= static_cast<int>(act.b) < 0;
      if (negative) root = Used(act);
    }
    if (Makes(act.op)) Failed(act, root);
  }

  void DidFinish() override {
    for (auto& [id, failure] : failures_) {
      if (failure.uses > 0) {
        failure.finding.count = failure.uses;
        Report(std::move(failure.finding));
      }
    }
  }

 private:
  // A call that was to give a descriptor and gave -1.
  struct Failure {
    uint64_t root = 0;  // the first of a chain: accept(-1) fails because socket failed
    Op op = Op::kNone;
    Site site;
    int err = 0;
    std::string text;
    int64_t uses = 0;
    Finding finding;
  };

  static bool Makes(Op op) {
    switch (op) {
      case Op::kOpen:
      case Op::kPipe:
      case Op::kSocket:
      case Op::kSocketpair:
      case Op::kAccept:
      case Op::kAnonymous:
      case Op::kDup:
      case Op::kDup2:
        return true;
      default:
        return Readies(op);
    }
  }
  // What a function that is to give a descriptor does with it before it gives it: where that fails,
  // it gives -1 too.
  static bool Readies(Op op) { return op == Op::kBind || op == Op::kListen || op == Op::kConnect; }

  // Not close, poll and the probes, which may be asked about a number that is none.
  static bool Uses(Op op) {
    switch (op) {
      case Op::kRead:
      case Op::kWrite:
      case Op::kReadAt:
      case Op::kWriteAt:
      case Op::kSeek:
      case Op::kTransfer:
      case Op::kTruncate:
      case Op::kFile:
      case Op::kMap:
      case Op::kStreamOpen:
      case Op::kDirOpen:
      case Op::kDup:
      case Op::kDup2:
      case Op::kStatusFlags:
      case Op::kBind:
      case Op::kListen:
      case Op::kAccept:
      case Op::kConnect:
      case Op::kShutdown:
      case Op::kSockopt:
      case Op::kEpollCtl:
      case Op::kEpollWait:
      case Op::kLockFile:
        return true;
      default:
        return false;
    }
  }

  static bool HasDescriptor(const Act& act) {
    if (act.op == Op::kStreamOpen || act.op == Op::kDirOpen)
      return act.b == 0;  // fdopen, fdopendir
    return act.op != Op::kDup || act.call == Call::dup;
  }

  void Failed(const Act& act, uint64_t root) {
    uint64_t id = ++next_id_;
    Failure& failure = failures_[id];
    failure.root = root != 0 ? root : id;
    failure.op = act.op;
    failure.site = act.site();
    failure.err = act.err;
    const std::string* path = act.Blob(BlobTag::kPath);
    failure.text = absl::StrCat(CallName(act.call), path != nullptr && !path->empty()
                                                        ? absl::StrCat("(\"", path->c_str(), "\")")
                                                        : std::string());
    auto& recent = recent_[act.process->id];
    recent.push_back(id);
    if (recent.size() <= kRecent) return;
    // The oldest is forgotten, unless something was told of it.
    auto oldest = failures_.find(recent.front());
    recent.pop_front();
    if (oldest != failures_.end() && oldest->second.uses == 0) failures_.erase(oldest);
  }

  // The failure that this use goes back to: the last one in the thread, else in the process, else
  // in the parent before it forked.
  Failure* CauseOf(const Act& act) {
    Failure* found = nullptr;
    auto search = [&](uint32_t process, int32_t tid, Nanos before) {
      auto it = recent_.find(process);
      if (it == recent_.end()) return;
      for (auto id = it->second.rbegin(); id != it->second.rend() && found == nullptr; ++id) {
        auto failure = failures_.find(*id);
        if (failure == failures_.end() || failure->second.site.time > before) continue;
        if (tid != 0 && failure->second.site.tid != tid) continue;
        found = &failure->second;
      }
    };
    search(act.process->id, act.thread->tid, act.enter);
    if (found == nullptr) search(act.process->id, 0, act.enter);
    for (const Process* child = act.process;
         found == nullptr && child->parent != nullptr && !child->execed; child = child->parent) {
      search(child->parent->id, 0, child->born.time);
    }
    if (found == nullptr) return nullptr;
    auto root = failures_.find(found->root);
    return root == failures_.end() ? found : &root->second;
  }

  uint64_t Used(const Act& act) {
    Failure* cause = CauseOf(act);
    if (cause == nullptr) return 0;
    if (++cause->uses > 1) return cause->root;
    Finding& finding = cause->finding;
    bool direct = !Readies(cause->op);
    finding.message = absl::StrCat(
        Named(*act.process), " called ", CallName(act.call), " on descriptor ",
        act.fd < 0 ? act.fd : -1, direct ? ": the result of " : ", given by a function in which ",
        cause->text, direct ? ", which had failed (" : " had failed (",
        strerrorname_np(cause->err) != nullptr ? strerrorname_np(cause->err) : "error", ", ",
        strerrordesc_np(cause->err) != nullptr ? strerrordesc_np(cause->err) : "", ")");
    finding.fix =
        absl::StrCat("Check the result of ", direct ? "" : "the function that calls ", cause->text,
                     direct ? " where it is called" : "", ", and do not go on when it is -1");
    finding.site = act.site();
    finding.cause_stack = cause->site.stack;
    finding.story = {
        StepAt(absl::StrCat(cause->text, " failed with ",
                            strerrorname_np(cause->err) != nullptr ? strerrorname_np(cause->err)
                                                                   : "an error"),
               cause->site),
        StepAt(absl::StrCat(Named(*act.process), " called ", CallName(act.call),
                            " on -1 all the same: EBADF"),
               act.site())};
    return cause->root;
  }

  static constexpr size_t kRecent = 16;
  uint64_t next_id_ = 0;
  std::map<uint64_t, Failure> failures_;
  std::map<uint32_t, std::deque<uint64_t>> recent_;  // by process
};

REGISTER_RULE(FdUncheckedError, "fd-unchecked-error", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
