// stdio-lost-output: a process ends, or becomes another program, without writing out what it had
// printed into a stream's buffer.
#include <signal.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class StdioLostOutput : public Rule {
 public:
  bool Watches(Op op) const override { return op == Op::kExitNow || op == Op::kExec; }

  void DidFork(const Process& parent, const Process& child, const Act* act) override {
    for (const auto& [address, copy] : child.streams) {
      if (copy->inherited_pending == 0) continue;
      auto it = parent.streams.find(address);
      if (it != parent.streams.end())
        copies_[it->second->id].push_back(
            {copy, &child, copy->inherited_pending, it->second->flushes});
    }
  }

  void DidEnter(const Act& act) override {
    if (act.op == Op::kExitNow) {
      ended_.insert(act.process);
      for (Loss& loss : Lost(*act.process)) {
        loss.finding.site = act.site();
        Say(loss,
            act.call == Call::abort
                ? absl::StrCat(Named(*act.process), " called abort")
                : absl::StrCat(Named(*act.process), " left by ", CallName(act.call)),
            act.call == Call::abort
                ? "abort does not flush: call fflush before it"
                : absl::StrCat("call fflush(", Argument(*loss.stream), ") before ",
                               CallName(act.call), ", or leave by exit"));
        losses_.push_back(std::move(loss));
      }
      return;
    }
    std::vector<Loss>& execs = execs_[act.process];
    execs.clear();
    for (Loss& loss : Lost(*act.process)) {
      loss.finding.site = act.site();
      Say(loss,
          absl::StrCat(Named(*act.process), " became another program (", CallName(act.call), ")"),
          absl::StrCat("call fflush(", Argument(*loss.stream), ") before ", CallName(act.call)));
      execs.push_back(std::move(loss));
    }
  }

  void DidLeave(const Act& act) override {
    if (act.op == Op::kExec) execs_.erase(act.process);  // it failed: nothing is lost
  }

  void DidExec(const Process& process, const Act* act) override {
    auto it = execs_.find(&process);
    if (it == execs_.end()) return;
    for (Loss& loss : it->second) losses_.push_back(std::move(loss));
    execs_.erase(it);
  }

  // That it was killed, and by what, is sometimes known only later.
  void WillEnd(const Process& process) override {
    if (process.end == EndKind::kExited || ended_.contains(&process)) return;
    for (Loss& loss : Lost(process)) {
      loss.finding.site = loss.stream->last_use;
      loss.killed = &process;
      losses_.push_back(std::move(loss));
    }
  }

  void DidFinish() override {
    for (Loss& loss : losses_) {
      if (loss.killed != nullptr && !Killed(loss)) continue;
      if (WrittenByCopy(*loss.stream) >= loss.bytes) continue;
      Report(std::move(loss.finding));
    }
  }

 private:
  struct Loss {
    std::shared_ptr<Stream> stream;
    uint64_t bytes = 0;
    const Process* killed = nullptr;  // not by its own call
    Finding finding;
  };

  struct Copied {
    std::shared_ptr<Stream> copy;
    const Process* process = nullptr;
    uint64_t bytes = 0;
    uint64_t flushes = 0;  // of the original
  };

  bool Killed(Loss& loss) {
    const Process& process = *loss.killed;
    // After SIGPIPE there was nobody to read it; and what ipctrace kills is not the program's
    // doing.
    if (process.end != EndKind::kKilled || process.status == SIGPIPE || CutShort(model()))
      return false;
    Site end;
    end.process = process.id;
    end.pid = end.tid = process.pid;
    end.time = process.ended_at;
    std::string signal = absl::StrCat("signal ", process.status);
    if (const char* name = sigabbrev_np(process.status)) signal = absl::StrCat("SIG", name);
    Say(loss, absl::StrCat(Named(process), " was killed by ", signal),
        absl::StrCat("call fflush(", Argument(*loss.stream),
                     ") after each piece of output that must not be lost, or make the stream "
                     "line-buffered with setvbuf"),
        &end);
    return true;
  }

  static std::string Argument(const Stream& stream) {
    std::string name = StreamName(stream);
    return name == "stdout" || name == "stderr" ? name : "the stream";
  }

  // What the process itself put into its streams and has not written. A forked child's copy of its
  // parent's output is the parent's to write.
  std::vector<Loss> Lost(const Process& process) const {
    std::vector<Loss> lost;
    for (const auto& [address, stream] : process.streams) {
      if (stream->pending <= stream->inherited_pending) continue;
      auto descriptor = process.Find(stream->number);
      if (descriptor == nullptr) continue;
      const Object& object = *descriptor->object();
      // Nobody is there to read it; but a command that popen has just started may still come.
      if (object.IsPipe() && !object.outside && object.last_reader.process != nullptr &&
          Readers(object).empty()) {
        continue;
      }
      Loss loss;
      loss.stream = stream;
      loss.bytes = stream->pending - stream->inherited_pending;
      loss.finding.subjects = SubjectsOf(*descriptor);
      AddSubject(loss.finding.subjects, stream->id);
      AddSteps(loss.finding.story, LifeOf(model(), descriptor));
      lost.push_back(std::move(loss));
    }
    std::sort(lost.begin(), lost.end(),
              [](const Loss& a, const Loss& b) { return a.stream->number < b.stream->number; });
    return lost;
  }

  void Say(Loss& loss, const std::string& what, std::string fix, const Site* site = nullptr) {
    Finding& finding = loss.finding;
    finding.message =
        absl::StrCat(what, " with ", Bytes(loss.bytes), " printed to ", StreamName(*loss.stream),
                     " still in its buffer: they were never written");
    finding.fix = std::move(fix);
    if (loss.stream->last_use.process != 0) {
      AddSteps(finding.story, {StepAt(absl::StrCat(StreamName(*loss.stream), " was last used (",
                                                   CallName(loss.stream->last_use.call), ")"),
                                      loss.stream->last_use)});
    }
    AddSteps(
        finding.story,
        {StepAt(absl::StrCat(what, ", and the ", Bytes(loss.bytes), " in the buffer went with it"),
                site != nullptr ? *site : finding.site)});
  }

  // How many of the bytes in a stream that was not flushed any more some forked child wrote from
  // its copy, as where a daemon's first process leaves.
  uint64_t WrittenByCopy(const Stream& stream) const {
    auto it = copies_.find(stream.id);
    if (it == copies_.end()) return 0;
    uint64_t written = 0;
    for (const Copied& each : it->second) {
      if (each.flushes != stream.flushes) continue;
      // One that outlives the run may still write it.
      bool all = each.process->alive() || each.copy->flushes > 0;
      written =
          std::max(written, all ? each.bytes : std::min(each.bytes, WrittenByCopy(*each.copy)));
    }
    return written;
  }

  // Forked copies of streams with something in them, by Stream::id.
  absl::flat_hash_map<uint64_t, std::vector<Copied>> copies_;
  absl::flat_hash_map<const Process*, std::vector<Loss>> execs_;  // of an exec under way
  absl::flat_hash_set<const Process*> ended_;                     // by _exit
  std::vector<Loss> losses_;
};

REGISTER_RULE(StdioLostOutput, "stdio-lost-output", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
