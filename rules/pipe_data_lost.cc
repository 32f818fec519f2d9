// pipe-data-lost: the last read end went away with bytes unread.
#include <map>

#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class PipeDataLost : public Rule {
 public:
  bool Watches(Op op) const override { return false; }

  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how,
                 const Act& act) override {
    if (how == Death::kVanished) return;
    Leaves(descriptor, act.site(), how);
  }

  void WillEnd(const Process& process) override {
    if (process.end != EndKind::kExited) {
      // It had no say in when it ended.
      for (const auto& [fd, descriptor] : process.table) lost_.erase(descriptor->object()->id);
      return;
    }
    Site end;
    for (const Thread* thread : process.threads) {
      for (const auto& act : thread->open) {
        bool exits = act->op == Op::kExitBegin || act->op == Op::kExitNow;
        if (exits && act->stack != 0) end = act->site();
      }
    }
    for (const auto& [fd, descriptor] : process.table) Leaves(descriptor, end, Death::kExit);
  }

  void DidFinish() override {
    if (model().coverage().untraced_execs > 0) return;
    for (auto& [id, lost] : lost_) Judge(lost);
  }

 private:
  static constexpr size_t kManyPipes = 1000;

  struct Use {
    bool reads = false;
    bool writes = false;
  };

  struct Lost {
    std::shared_ptr<Descriptor> end;
    Site site;
    Death how = Death::kAlive;
    Use use;
  };

  // A read end goes. The loss is the last reader's: an end that its process never reads from, such
  // as the one that a writer still has from before the fork, may go before or after, as the
  // scheduler will. Whether bytes were lost is known for sure only in the end, when all writes have
  // been seen to return.
  void Leaves(const std::shared_ptr<Descriptor>& descriptor, const Site& site, Death how) {
    const Object& object = *descriptor->object();
    if (!object.IsPipe() || !descriptor->description->readable()) return;
    const Process* process = descriptor->process;
    bool last = true;
    for (const auto& other : Readers(object)) {
      if (other == descriptor) continue;
      if (other->process != process) last = false;
      if (other->process == process && how != Death::kExit) return;
    }
    Use use = UseBy(*process, object);
    auto known = lost_.find(object.id);
    if (known != lost_.end()) {
      if (known->second.use.reads && !use.reads) return;
    } else if (!last && !use.reads) {
      return;
    }
    if (object.queue.written == 0 && Writers(object).empty()) return;
    if (last && object.queue.Unread() == 0 && Writers(object).empty()) {
      lost_.erase(object.id);
      return;
    }
    Lost& lost = lost_[object.id];
    if (lost.end != nullptr && lost.end->process == process && lost.site.time == site.time) return;
    lost = {descriptor, site, how, use};
    if (lost_.size() > kManyPipes) Forget();
  }

  // Those that can bear no loss any more.
  void Forget() {
    std::erase_if(lost_, [](const auto& entry) {
      const Object& object = *entry.second.end->object();
      return object.queue.Unread() == 0 && Writers(object).empty();
    });
  }

  // What the process has done with its ends of the pipe.
  static Use UseBy(const Process& process, const Object& object) {
    Use use;
    auto look = [&](const Descriptor& each) {
      if (each.object().get() != &object) return;
      use.reads |= each.usage.reads > 0 || each.usage.read_bytes > 0;
      use.writes |= each.usage.writes > 0 || each.usage.write_bytes > 0;
    };
    for (const auto& [fd, each] : process.table) look(*each);
    for (const auto& [fd, each] : process.gone) look(*each);
    use.writes |= object.queue.last_writer == process.id;
    return use;
  }

  void Judge(const Lost& lost) {
    const Object& object = *lost.end->object();
    const Process& reader = *lost.end->process;
    const Queue& queue = object.queue;
    if (object.outside || queue.Unread() == 0 || queue.inexact || !queue.last_write ||
        (lost.use.reads && lost.use.writes))
      return;
    if (!Readers(object).empty()) return;
    if (queue.last_writer == reader.id) return;
    for (const Process* each : model().processes()) {
      if (!each->traced && each->parent != nullptr) return;  // it may have read
    }

    Finding finding;
    std::string unread = Bytes(queue.Unread());
    const Process* writer = model().Find(queue.last_writer);
    bool by_exit = lost.how == Death::kExit;
    finding.message = absl::StrCat(
        Named(reader), by_exit ? " ended" : absl::StrCat(" closed fd ", lost.end->number), " with ",
        unread, " unread in the pipe",
        writer != nullptr ? absl::StrCat(" that ", Named(*writer), " had written") : "",
        ": they are lost, and the writer does not know");
    finding.fix = absl::StrCat(
        "Read fd ", lost.end->number, " in ", InWhom(reader), " until read returns 0 before ",
        by_exit ? "it ends" : "it is closed", ", or let the writer send only what is read");
    finding.site = lost.site;
    if (lost.site.stack == 0) {
      finding.site = queue.last_read && queue.last_reader == reader.id ? *queue.last_read
                                                                       : WhereToClose(*lost.end);
    }
    finding.story = LifeOf(model(), lost.end);
    AddSteps(finding.story, {StepAt(absl::StrCat(writer != nullptr ? Named(*writer) : "somebody",
                                                 " wrote the last of ", Bytes(queue.written),
                                                 ", of which ", queue.read, " were read"),
                                    *queue.last_write)});
    finding.subjects = SubjectsOf(*lost.end);
    // A program that is given a pipe as its input takes what it wants of it: `seq 1000 | grep -q
    // 5`.
    Nanos when = lost.site.time != 0 ? lost.site.time : reader.ended_at;
    bool execed = reader.execed && reader.last_exec.time < when;  // not: lost by that exec
    bool filter = lost.end->number == 0 || lost.end->survived_exec || execed ||
                  OpOf(lost.end->born.call) == Op::kPopen || IsInstalled(reader, when);
    if (filter) {
      Report(Severity::kNote, std::move(finding));
    } else {
      Report(std::move(finding));
    }
  }

  std::map<uint64_t, Lost> lost_;  // by object
};

REGISTER_RULE(PipeDataLost, "pipe-data-lost", Severity::kWarning,
              {"pipe-broken", "pipe-no-eof", "pipe-full-deadlock", "ipc-deadlock",
               "fd-use-after-close", "fd-double-close"});

}  // namespace
}  // namespace ipctrace
