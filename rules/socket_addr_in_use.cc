// socket-addr-in-use: bind found its port taken, and the program went without.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

int PortOf(const std::string* address) {
  sockaddr_in in;  // sockaddr_in6 has its port in the same place
  if (address == nullptr || address->size() < sizeof(in)) return 0;
  std::memcpy(&in, address->data(), sizeof(in));
  return in.sin_family == AF_INET || in.sin_family == AF_INET6 ? ntohs(in.sin_port) : 0;
}

class SocketAddrInUse : public Rule {
 public:
  bool Watches(Op op) const override { return op == Op::kBind; }

  void DidLeave(const Act& act) override {
    if (act.descriptor == nullptr) return;
    auto object = act.descriptor->object();
    int port = PortOf(act.Blob(BlobTag::kPeer));
    if (!act.failed()) {
      // A search that has found another port, or the same one later.
      if (port != 0)
        std::erase_if(refused_, [&](const Refused& each) { return each.process == act.process; });
      // The kernel may have chosen it.
      if (int given = PortOf(act.Blob(BlobTag::kLocal)))
        bound_.push_back({given, object, act.process, act.site()});
      return;
    }
    if (port == 0) return;
    if (act.err != EADDRINUSE || object->socket.reuse_address) return;
    if (object->socket.type != SOCK_STREAM) return;
    for (Refused& each : refused_) {
      if (each.process == act.process && each.port == port) return void(++each.finding.count);
    }
    refused_.push_back({act.process, port, Taken(act, port)});
  }

  void DidFinish() override {
    for (Refused& each : refused_) Report(std::move(each.finding));
  }

 private:
  struct Bound {
    int port = 0;
    std::weak_ptr<Object> object;
    const Process* process = nullptr;
    Site site;
  };
  struct Refused {
    const Process* process = nullptr;
    int port = 0;
    Finding finding;
  };

  Finding Taken(const Act& act, int port) {
    Finding finding;
    finding.site = act.site();
    finding.subjects = SubjectsOf(*act.descriptor);
    AddSteps(finding.story, LifeOf(model(), act.descriptor));
    std::string who;
    const Bound* past = nullptr;
    for (const Bound& bound : bound_) {
      if (bound.port != port) continue;
      auto object = bound.object.lock();
      if (object == nullptr || object->descriptions.empty()) {
        past = &bound;
        continue;
      }
      std::vector<std::string> names;
      for (const auto& holder : Holders(*object)) {
        names.push_back(absl::StrCat(Named(*holder->process), " (fd ", holder->number, ")"));
      }
      if (names.empty()) continue;
      who = Enumerate(names);
      AddSteps(finding.story,
               {StepAt(absl::StrCat(Named(*bound.process), " bound a socket to port ", port),
                       bound.site)});
      AddSteps(finding.story, StillHeld(model(), Holders(*object)));
    }
    if (who.empty() && past != nullptr) {
      AddSteps(finding.story,
               {StepAt(absl::StrCat(Named(*past->process), " bound a socket to port ", port),
                       past->site)});
    }
    finding.message = absl::StrCat(
        Named(*act.process), " could not bind port ", port, " (EADDRINUSE)",
        !who.empty() ? absl::StrCat(": ", who, " holds it")
        : past != nullptr
            ? ": its old connections are still in TIME_WAIT, and SO_REUSEADDR is not set"
            : ", and SO_REUSEADDR is not set: another program has it, or old connections in "
              "TIME_WAIT keep it");
    finding.fix =
        !who.empty()
            ? "close the other socket first or choose another port; and set SO_REUSEADDR with "
              "setsockopt before bind, so that a restarted server gets its port back at once"
            : "set SO_REUSEADDR with setsockopt before bind, so that a restarted server gets its "
              "port back at once";
    AddSteps(finding.story, {StepAt(absl::StrCat(CallOf(act), " and got EADDRINUSE"), act.site())});
    return finding;
  }

  std::vector<Bound> bound_;
  std::vector<Refused> refused_;
};

REGISTER_RULE(SocketAddrInUse, "socket-addr-in-use", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
