// stdio-close-mismatch: fclose comes to a descriptor that is no longer the stream's, because close
// or another stream's fclose took it away.
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

class StdioCloseMismatch : public Rule {
 public:
  bool Watches(Op op) const override {
    return op == Op::kStreamClose || op == Op::kPclose || op == Op::kStreamReopen ||
           op == Op::kStreamOpen;
  }

  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how,
                 const Act& act) override {
    if (how != Death::kClosed && how != Death::kClosedByRange) return;
    for (const auto& [address, stream] : descriptor->process->streams) {
      if (stream->number != descriptor->number) continue;
      bool by_itself = act.a == address && (act.op == Op::kStreamClose || act.op == Op::kPclose ||
                                            act.op == Op::kStreamReopen);
      // The standard three are redirected by close and open or dup: they follow their number.
      if (by_itself || OpOf(stream->born.call) == Op::kNone || Standard(*stream)) continue;
      taken_[stream->id] = {descriptor, act.site(), act.op};
    }
  }

  void DidEnter(const Act& act) override {
    if (act.op == Op::kStreamOpen) return;
    auto it = act.process->streams.find(act.a);
    if (it == act.process->streams.end()) return;
    auto taken = taken_.find(it->second->id);
    if (taken == taken_.end()) return;
    if (act.op != Op::kStreamReopen) Report(Mismatch(act, *it->second, taken->second));
    taken_.erase(taken);
  }

 private:
  struct Taken {
    std::shared_ptr<Descriptor> descriptor;
    Site site;
    Op by = Op::kNone;
  };

  static bool Standard(const Stream& stream) {
    Op op = OpOf(stream.born.call);
    return op != Op::kStreamOpen && op != Op::kPopen && op != Op::kStreamReopen;
  }

  Finding Mismatch(const Act& act, const Stream& stream, const Taken& taken) {
    std::string closer = CallName(act.call);
    bool two_streams = taken.by == Op::kStreamClose || taken.by == Op::kPclose;
    auto victim = act.process->Find(stream.number);
    Finding finding;
    finding.site = act.site();
    finding.message = absl::StrCat(
        Named(*act.process), " called ", closer, " on the stream over fd ", stream.number,
        ", which ", two_streams ? "the fclose of another stream" : CallName(taken.site.call),
        " had already closed: ",
        victim == nullptr ? absl::StrCat(closer, " fails, and what the buffer held is lost")
                          : absl::StrCat("it closes ", Describe(*victim->description),
                                         ", which has been given that number since"));
    finding.fix = two_streams
                      ? absl::StrCat("give the second stream a descriptor of its own: fdopen(dup(",
                                     stream.number, "), ...)")
                      : absl::StrCat("leave out the ", CallName(taken.site.call), ": ", closer,
                                     " closes the descriptor too");
    finding.subjects = SubjectsOf(*taken.descriptor);
    AddSubject(finding.subjects, stream.id);
    if (victim != nullptr) AddSubject(finding.subjects, victim->id);
    AddSteps(finding.story, LifeOf(model(), taken.descriptor));
    AddSteps(finding.story,
             {StepAt(absl::StrCat("a stream (FILE*) was put on fd ", stream.number), stream.born)});
    if (victim != nullptr) AddSteps(finding.story, {BirthStep(model(), *victim)});
    AddSteps(finding.story, {StepAt(CallOf(act), act.site())});
    return finding;
  }

  absl::flat_hash_map<uint64_t, Taken> taken_;  // by Stream::id
};

REGISTER_RULE(StdioCloseMismatch, "stdio-close-mismatch", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
