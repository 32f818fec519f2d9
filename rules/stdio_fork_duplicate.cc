// stdio-fork-duplicate: output waited in a buffer at fork, which copied the buffer, and more than
// one of the copies was written out.
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

class StdioForkDuplicate : public Rule {
 public:
  bool Watches(Op op) const override { return false; }

  void DidFork(const Process& parent, const Process& child, const Act* act) override {
    for (const auto& [address, copy] : child.streams) {
      if (copy->inherited_pending == 0) continue;
      auto it = parent.streams.find(address);
      if (it == parent.streams.end()) continue;
      size_t family = FamilyOf(parent, it->second);
      families_[family].push_back({copy, &child, 0, copy->inherited_pending, child.born});
      family_of_[copy->id] = family;
    }
  }

  void DidFinish() override {
    for (const std::vector<Copy>& family : families_) Judge(family);
  }

 private:
  struct Copy {
    std::shared_ptr<Stream> stream;
    const Process* process = nullptr;
    uint64_t flushes = 0;  // of the stream when the copy was made
    uint64_t bytes = 0;
    Site fork;  // that made it; nowhere for the first

    bool written() const { return stream->flushes > flushes && stream->thrown_away != flushes; }
  };

  // The family of the bytes that wait in `stream`: the one of an earlier fork if it has written
  // nothing since, else a new one.
  size_t FamilyOf(const Process& process, const std::shared_ptr<Stream>& stream) {
    if (auto known = family_of_.find(stream->id); known != family_of_.end()) {
      for (const Copy& copy : families_[known->second]) {
        if (copy.stream == stream && !copy.written()) return known->second;
      }
    }
    families_.push_back({{stream, &process, stream->flushes, stream->pending, Site()}});
    return family_of_[stream->id] = families_.size() - 1;
  }

  void Judge(const std::vector<Copy>& family) {
    std::vector<const Copy*> written;
    for (const Copy& copy : family) {
      if (copy.written()) written.push_back(&copy);
    }
    if (written.size() < 2) return;
    Finding finding = Duplicate(written, family[0]);
    finding.count = static_cast<int64_t>(written.size()) - 1;
    Report(std::move(finding));
  }

  // At least two were written.
  Finding Duplicate(const std::vector<const Copy*>& written, const Copy& original) {
    constexpr size_t kNamed = 4;
    const Copy& first = *written[0];
    const Copy& second = *written[1];
    std::vector<std::string> writers;
    for (const Copy* copy : written) {
      if (writers.size() < kNamed) writers.push_back(Named(*copy->process));
    }
    if (written.size() > kNamed) {
      writers.back() = absl::StrCat(written.size() - kNamed + 1, " others");
    }
    const Stream& stream = *original.stream;
    std::string name = StreamName(stream);
    Finding finding;
    finding.site = second.fork;
    finding.message = absl::StrCat(
        Bytes(second.bytes), " that ", Named(*original.process), " had printed to ", name,
        " came out ", written.size() == 2 ? "twice" : absl::StrCat(written.size(), " times"),
        ": they were still in the buffer when fork copied it, and ", Enumerate(writers),
        written.size() == 2 ? " both" : " each", " wrote them out");
    // _exit helps where it was exit that wrote, and not the child's own fclose or printf.
    bool by_exit = second.stream->last_flush.call == Call::fact_process_exit &&
                   second.stream->flushes == second.flushes + 1;
    finding.fix =
        absl::StrCat("call fflush(", stream.number == 1 ? "stdout" : "NULL", ") right before fork",
                     by_exit ? ", or let the child leave by _exit" : "");
    finding.subjects = {stream.id, first.stream->id, second.stream->id};
    if (auto descriptor = stream.descriptor.lock()) {
      AddSteps(finding.story, LifeOf(model(), descriptor));
    }
    for (size_t i = 0; i < written.size() && i < kNamed; ++i) {
      if (written[i] == &original) continue;
      AddSteps(finding.story,
               {StepAt(absl::StrCat("fork made ", Named(*written[i]->process), " and copied the ",
                                    Bytes(written[i]->bytes), " in ", name, "'s buffer"),
                       written[i]->fork)});
    }
    for (size_t i = 0; i < written.size() && i < kNamed; ++i) {
      const Copy* copy = written[i];
      AddSteps(finding.story, {StepAt(absl::StrCat(Named(*copy->process), " wrote its buffer out (",
                                                   CallName(copy->stream->last_flush.call), ")"),
                                      copy->stream->last_flush)});
    }
    return finding;
  }

  // Copies of the same bytes; the first is where they were printed.
  std::vector<std::vector<Copy>> families_;
  absl::flat_hash_map<uint64_t, size_t> family_of_;  // by Stream::id
};

REGISTER_RULE(StdioForkDuplicate, "stdio-fork-duplicate", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
