// socket-byte-order: a port went into an address in the machine's byte order.
//
// htons leaves no trace, so this speaks only where the run itself shows the swap: nobody listens on
// the port that connect asked for and somebody on its mirror image; or what bind or connect asked
// for is the mirror image of a port that everybody knows, that stands on the command line, that the
// kernel gave to the program, or that comes after the one that was taken.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
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

int PortOf(const std::string* address) {
  sockaddr_in in;  // sockaddr_in6 has its port in the same place
  if (address == nullptr || address->size() < sizeof(in)) return 0;
  std::memcpy(&in, address->data(), sizeof(in));
  return in.sin_family == AF_INET || in.sin_family == AF_INET6 ? ntohs(in.sin_port) : 0;
}

int Swapped(int port) { return (port & 0xff) << 8 | port >> 8; }

// Ports that people write into programs and that nobody gets by chance.
bool WellKnown(int port) {
  static constexpr int kPorts[] = {21,   22,   23,   25,   53,   80,    110,   143,  443,  993,
                                   1234, 2000, 2222, 3000, 3306, 4000,  4321,  4444, 5000, 5432,
                                   5555, 6000, 6379, 6666, 7000, 7777,  8000,  8001, 8080, 8081,
                                   8443, 8888, 9000, 9090, 9999, 10000, 12345, 54321};
  return std::find(std::begin(kPorts), std::end(kPorts), port) != std::end(kPorts);
}

class SocketByteOrder : public Rule {
 public:
  bool Watches(Op op) const override {
    return op == Op::kBind || op == Op::kListen || op == Op::kConnect;
  }

  void DidLeave(const Act& act) override {
    if (act.descriptor == nullptr) return;
    auto object = act.descriptor->object();
    switch (act.op) {
      case Op::kBind: {
        int port = PortOf(act.Blob(BlobTag::kPeer));
        if (!act.failed()) binds_.push_back({object, port, act.site(), act.descriptor});
        if (port == 0) granted_.insert(PortOf(act.Blob(BlobTag::kLocal)));
        if (LooksSwapped(port, *act.descriptor)) {
          Report(Wrong(act.site(), act.descriptor, "bind", port));
        }
        if (act.err == EADDRINUSE) taken_[object->id] = port;
        return;
      }
      case Op::kListen:
        if (!act.failed()) listeners_.push_back(object);
        return;
      default:
        if (act.err == ECONNREFUSED) Refused(act);
        return;
    }
  }

 private:
  struct Bind {
    std::weak_ptr<Object> object;
    int port = 0;  // asked for; 0: any
    Site site;
    std::shared_ptr<Descriptor> descriptor;
  };

  // As an argument of its own, or at the end of one: "8080", "--port=8080", "localhost:8080".
  static bool OnCommandLine(int port, const Process& process) {
    std::string text = absl::StrCat(port);
    return std::any_of(process.argv.begin(), process.argv.end(), [&](const std::string& word) {
      if (!word.ends_with(text)) return false;
      return word.size() == text.size() || word[word.size() - text.size() - 1] == '=' ||
             word[word.size() - text.size() - 1] == ':';
    });
  }

  // Nobody meant this port, but its mirror image. Not so where the kernel chose it (a server that
  // binds again to the port it was given) or the user, on the command line.
  bool LooksSwapped(int port, const Descriptor& descriptor) const {
    int swapped = Swapped(port);
    if (port == 0 || swapped == port || granted_.contains(port)) return false;
    if (OnCommandLine(port, *descriptor.process)) return false;
    // Smaller numbers may be anything: a count, a time.
    if (swapped >= 1024 && OnCommandLine(swapped, *descriptor.process)) return true;
    if (granted_.contains(swapped)) return true;
    auto taken = taken_.find(descriptor.object()->id);
    if (taken != taken_.end() && taken->second + 1 == swapped) return true;
    return WellKnown(swapped) && !WellKnown(port);
  }

  std::shared_ptr<Object> ListenerOn(int port) const {
    std::string ending = absl::StrCat(":", port);
    for (const auto& each : listeners_) {
      auto object = each.lock();
      if (object != nullptr && !object->descriptions.empty() &&
          object->socket.local.ends_with(ending)) {
        return object;
      }
    }
    return nullptr;
  }

  void Refused(const Act& act) {
    int port = PortOf(act.Blob(BlobTag::kPeer));
    if (port == 0 || Swapped(port) == port || ListenerOn(port) != nullptr) return;
    auto meant = ListenerOn(Swapped(port));
    if (meant == nullptr) {
      if (LooksSwapped(port, *act.descriptor)) {
        Report(Wrong(act.site(), act.descriptor, "connect", port));
      }
      return;
    }
    // One of the two has it wrong: the one whose port nobody would have written so.
    for (const Bind& bind : binds_) {
      if (bind.object.lock() != meant || bind.port == 0 || !WellKnown(port)) continue;
      return Report(Wrong(bind.site, bind.descriptor, "bind", Swapped(port)));
    }
    Finding finding = Wrong(act.site(), act.descriptor, "connect", port);
    finding.message = absl::StrCat(Named(*act.process), " asked to connect to port ", port,
                                   ", where nobody listens; with its two bytes swapped it is ",
                                   Swapped(port), ", where ", Describe(*meant), " is");
    AddSteps(finding.story,
             {StepAt(absl::StrCat(Describe(*meant), " was waiting there"), meant->born)});
    Report(std::move(finding));
  }

  Finding Wrong(const Site& site, const std::shared_ptr<Descriptor>& descriptor, const char* call,
                int port) {
    Finding finding;
    finding.site = site;
    finding.message = absl::StrCat(Named(*descriptor->process), " gave ", call, " port ", port,
                                   ", which is ", Swapped(port),
                                   " with its two bytes swapped: the port "
                                   "went in without htons");
    finding.fix =
        "put the port into the address as htons(port): addresses are in network byte order";
    finding.subjects = SubjectsOf(*descriptor);
    AddSteps(finding.story, LifeOf(model(), descriptor));
    AddSteps(finding.story,
             {StepAt(absl::StrCat(CallOf(*descriptor->process, site.call, descriptor->number),
                                  " with port ", port),
                     site)});
    return finding;
  }

  std::vector<Bind> binds_;
  absl::flat_hash_set<int> granted_;          // ports that the kernel chose
  absl::flat_hash_map<uint64_t, int> taken_;  // the last that bind met as such, by Object::id
  std::vector<std::weak_ptr<Object>> listeners_;
};

REGISTER_RULE(SocketByteOrder, "socket-byte-order", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
