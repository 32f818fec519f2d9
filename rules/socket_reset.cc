// socket-reset: a connection was closed with bytes in it that nobody had read. The kernel then
// answers with a reset, which throws away what is on its way to the peer.
//
// What the peer's write put there may be read, in part, and the connection closed, before that
// write is seen to return. So it is judged when the reset is met.
#include <errno.h>

#include <deque>
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
    auto other = act.descriptor->object()->socket.other_end.lock();
    auto it = other != nullptr ? closed_.find(other->id) : closed_.end();
    if (it == closed_.end()) return;
    Closed& closed = it->second;
    const Queue& incoming = other->socket.incoming;
    if (closed.unread == 0 && incoming.last_write && incoming.last_write->time < closed.site.time) {
      closed.unread = incoming.Unread();
    }
    if (closed.unread == 0) return;
    Report(Reset(act, closed));
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
    if (object->outside || descriptor->description->outside) return;
    // The connection goes with its last descriptor.
    for (const Description* each : object->descriptions) {
      for (const Descriptor* holder : each->holders) {
        if (holder != descriptor.get()) return;
      }
    }
    uint64_t unread = socket.incoming.Unread();
    closed_[object->id] = {descriptor, site, implied, unread};
    if (unread > 0) return;
    read_out_.push_back(object->id);
    if (read_out_.size() <= kMostReadOut) return;
    if (auto it = closed_.find(read_out_.front()); it != closed_.end() && it->second.unread == 0) {
      closed_.erase(it);
    }
    read_out_.pop_front();
  }

  Finding Reset(const Act& act, const Closed& closed) {
    const Process& closer = *closed.descriptor->process;
    std::string fd = FdName(*closed.descriptor);
    Finding finding;
    finding.site = closed.implied ? act.site() : closed.site;
    finding.message =
        absl::StrCat(Named(closer), closed.implied ? " ended with " : " closed ", fd, ", ",
                     Describe(*closed.descriptor->description), ", with ", Bytes(closed.unread),
                     " unread: that resets the connection, and ", CallName(act.call), " in ",
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

  static constexpr size_t kMostReadOut = 64;

  // Connections that were closed, by Object::id: all that had unread bytes then, and the last few
  // that had none as far as was seen.
  absl::flat_hash_map<uint64_t, Closed> closed_;
  std::deque<uint64_t> read_out_;
};

REGISTER_RULE(SocketReset, "socket-reset", Severity::kWarning, {"fd-double-close"});

}  // namespace
}  // namespace ipctrace
