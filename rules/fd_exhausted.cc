// fd-exhausted: no descriptor was left (EMFILE, ENFILE), and who holds them.
#include <errno.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class FdExhausted : public Rule {
 public:
  bool Watches(Op op) const override {
    switch (op) {
      case Op::kOpen:
      case Op::kPipe:
      case Op::kSocket:
      case Op::kSocketpair:
      case Op::kAccept:
      case Op::kAnonymous:
      case Op::kDup:
      case Op::kStreamOpen:
      case Op::kStreamReopen:
      case Op::kDirOpen:
      case Op::kPopen:
        return true;
      default:
        return false;
    }
  }
  bool WatchesSuccess(Op op) const override { return false; }

  void DidLeave(const Act& act) override {
    if (act.err != EMFILE && act.err != ENFILE) return;
    // inotify has limits of its own that it reports so.
    if (act.op == Op::kAnonymous && static_cast<AnonymousKind>(act.a) == AnonymousKind::kInotify) {
      return;
    }
    if (CountRepetition(act.stack)) return;
    const Process& process = *act.process;

    // Who opened what is open, by place.
    struct Place {
      const Descriptor* first;
      size_t count = 0;
    };
    std::vector<Place> places;
    for (const auto& [fd, descriptor] : process.table) {
      auto same = std::find_if(places.begin(), places.end(), [&](const Place& place) {
        return (place.first->birth == descriptor->birth) &&
               (place.first->born.stack == descriptor->born.stack ||
                SamePlace(place.first->born.stack, descriptor->born.stack));
      });
      if (same == places.end()) {
        places.push_back({descriptor.get(), 1});
      } else {
        ++same->count;
      }
    }
    std::stable_sort(places.begin(), places.end(),
                     [](const Place& a, const Place& b) { return a.count > b.count; });

    Finding finding;
    finding.message = absl::StrCat(
        Named(process), " could not ", CallName(act.call), ": ",
        act.err == EMFILE ? absl::StrCat("all descriptors that the process may have are open (",
                                         process.table.size(), ", EMFILE)")
                          : std::string("the system has no more open files to give (ENFILE)"));
    if (!places.empty() && places[0].count > 1) {
      const Descriptor& most = *places[0].first;
      finding.fix = absl::StrCat("Close what ", CallName(most.born.call),
                                 " opened when it is done with: ", places[0].count, " of the ",
                                 process.table.size(), " open descriptors come from one place");
    } else {
      finding.fix = "Close descriptors when they are done with, or raise the limit (ulimit -n)";
    }
    finding.site = act.site();
    finding.picture.push_back(
        absl::StrCat("open in ", Describe(process), ": ", process.table.size()));
    for (size_t i = 0; i < places.size() && i < kRows; ++i) {
      const Descriptor& first = *places[i].first;
      std::string how = first.birth == Birth::kInherited ? "inherited"
                        : first.birth == Birth::kFound   ? "open from the start"
                        : first.birth == Birth::kReceived
                            ? "received"
                            : absl::StrCat("by ", CallName(first.born.call));
      std::string count = absl::StrCat(places[i].count);
      count.insert(0, count.size() < 6 ? 6 - count.size() : 0, ' ');
      finding.picture.push_back(absl::StrCat(count, "  ", how, ", the first is fd ", first.number,
                                             ", ", Describe(*first.description)));
      AddSteps(finding.story, {StepAt(absl::StrCat("first of ", places[i].count, " still open: ",
                                                   BirthStep(model(), first).message),
                                      first.born)});
    }
    AddSteps(finding.story, {StepAt(absl::StrCat(CallName(act.call), " failed with ",
                                                 act.err == EMFILE ? "EMFILE" : "ENFILE"),
                                    act.site())});
    Report(std::move(finding));
  }

 private:
  static constexpr size_t kRows = 8;
};

REGISTER_RULE(FdExhausted, "fd-exhausted", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
