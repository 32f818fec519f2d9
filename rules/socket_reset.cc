// socket-reset: a connection was closed with bytes in it that nobody had read. The kernel then
// answers with a reset, which throws away what is on its way to the peer.
#include <errno.h>

#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class SocketReset : public Rule {
 public:
  bool Watches(Op op) const override {
    return op == Op::kRead || op == Op::kWrite || op == Op::kStreamRead || op == Op::kStreamWrite ||
           op == Op::kTransfer;
  }
  bool WatchesSuccess(Op op) const override { return false; }

  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how,
                 const Act& act) override {
    if (descriptor->object()->kind == ObjectKind::kSocket)
      Closing(descriptor, act.site(), how == Death::kExec);
  }

  void WillEnd(const Process& process) override {
    for (const auto& [fd, descriptor] : process.table) {
      if (descriptor->object()->kind != ObjectKind::kSocket) continue;
      Site site;
      site.process = process.id;
      site.pid = site.tid = process.pid;
      site.time = process.ended_at;
      Closing(descriptor, site, true);
    }
  }

  void DidLeave(const Act& act) override {
    if (act.err != ECONNRESET || closed_.empty() || act.descriptor == nullptr) return;
    auto it = closed_.find(act.descriptor->object()->id);
    if (it == closed_.end()) return;
    Report(Reset(act, it->second));
    closed_.erase(it);
  }

 private:
  struct Closed {
    std::shared_ptr<Descriptor> descriptor;
    Site site;
    bool implied = false;  // by exit or exec: there is no close to point at
    uint64_t unread = 0;
  };

  void Closing(const std::shared_ptr<Descriptor>& descriptor, const Site& site, bool implied) {
    const auto& object = descriptor->object();
    const SocketInfo& socket = object->socket;
    if (!socket.stream() || socket.state != SocketState::kConnected) return;
    uint64_t unread = socket.incoming.Unread();
    if (unread == 0 || object->outside || descriptor->description->outside) return;
    // The connection goes with its last descriptor.
    for (const Description* each : object->descriptions) {
      for (const Descriptor* holder : each->holders) {
        if (holder != descriptor.get()) return;
      }
    }
    auto other = socket.other_end.lock();
    if (other != nullptr) closed_[other->id] = {descriptor, site, implied, unread};
  }

  Finding Reset(const Act& act, const Closed& closed) {
    const Process& closer = *closed.descriptor->process;
    std::string fd = FdName(*closed.descriptor);
    Finding finding;
    finding.site = closed.implied ? act.site() : closed.site;
    finding.message =
        absl::StrCat(Named(closer), closed.implied ? " ended with " : " closed ", fd, ", ",
                     Describe(*closed.descriptor->description), ", with ", Bytes(closed.unread),
                     " unread: that resets the connection, and ", NameOf(act.call), " in ",
                     Named(*act.process), " failed with ECONNRESET");
    finding.fix = absl::StrCat("in ", InWhom(closer), ", call shutdown(", closed.descriptor->number,
                               ", SHUT_WR) and read until end-of-file before close");
    finding.subjects = SubjectsOf(*closed.descriptor);
    AddSubject(finding.subjects, act.descriptor->object()->id);
    AddSteps(finding.story, LifeOf(model(), closed.descriptor));
    if (const auto& sent = closed.descriptor->object()->socket.incoming.last_write) {
      AddSteps(finding.story,
               {StepAt(absl::StrCat(Named(*act.process), " sent what was never read"), *sent)});
    }
    AddSteps(finding.story, {StepAt(absl::StrCat(CallOf(act), " and got ECONNRESET"), act.site())});
    return finding;
  }

  // What was closed with unread bytes, by the id of the peer's socket.
  absl::flat_hash_map<uint64_t, Closed> closed_;
};

REGISTER_RULE(SocketReset, "socket-reset", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
