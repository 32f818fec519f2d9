// socket-unbounded-threads: each connection gets a thread or process of its own, and nothing bounds
// how many there are.
//
// Whatever the thread that accepts makes between one accept and the next is made for that
// connection. What counts is how many of them were alive at once: a bound would show there.
#include <algorithm>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

constexpr size_t kMany = 8;

class SocketUnboundedThreads : public Rule {
 public:
  bool Watches(Op op) const override {
    return op == Op::kAccept || op == Op::kThreadCreate || op == Op::kThreadEnd ||
           op == Op::kThreadJoin;
  }

  void DidLeave(const Act& act) override {
    switch (act.op) {
      case Op::kAccept:
        if (!act.failed() && act.descriptor != nullptr) waiting_[act.process] = act.descriptor;
        return;
      case Op::kThreadCreate:
        if (!act.failed()) Begin(*act.process, {act.process, nullptr, act.a}, act.site());
        return;
      default:
        if (servers_.empty() || (act.op == Op::kThreadJoin && act.result != 0)) return;
        for (auto& [id, server] : servers_) {
          std::erase_if(server.handlers, [&](const Handler& each) {
            return each.process == act.process && each.child == nullptr && each.pthread == act.a;
          });
        }
    }
  }

  void DidFork(const Process& parent, const Process& child, const Act* act) override {
    if (!waiting_.empty() && !child.execed) Begin(parent, {&parent, &child, 0}, child.born);
  }

  void WillEnd(const Process& process) override {
    waiting_.erase(&process);
    for (auto& [id, server] : servers_) {
      std::erase_if(server.handlers, [&](const Handler& each) {
        return each.child == &process || (each.child == nullptr && each.process == &process);
      });
    }
  }

  void DidFinish() override {
    std::vector<const Server*> servers;
    for (const auto& [id, server] : servers_) {
      if (server.peak >= kMany) servers.push_back(&server);
    }
    std::sort(servers.begin(), servers.end(),
              [](const Server* a, const Server* b) { return a->site.time < b->site.time; });
    for (const Server* server : servers) Report(Unbounded(*server));
  }

 private:
  struct Handler {
    const Process* process = nullptr;  // that accepted
    const Process* child = nullptr;    // or, if null, a thread of it:
    uint64_t pthread = 0;
  };
  struct Server {
    std::shared_ptr<Descriptor> listener;
    std::vector<Handler> handlers;  // alive
    size_t peak = 0;
    size_t all = 0;
    bool threads = false;
    Site site, peak_site;
  };

  void Begin(const Process& process, const Handler& handler, const Site& site) {
    auto it = waiting_.find(&process);
    if (it == waiting_.end()) return;
    std::shared_ptr<Descriptor> listener = it->second;
    waiting_.erase(it);
    Server& server = servers_[listener->object()->id];
    if (server.listener == nullptr) {
      server.listener = listener;
      server.site = site;
    }
    server.threads = handler.child == nullptr;
    server.handlers.push_back(handler);
    ++server.all;
    if (server.handlers.size() > server.peak) {
      server.peak = server.handlers.size();
      server.peak_site = site;
    }
  }

  Finding Unbounded(const Server& server) {
    const char* what = server.threads ? "threads" : "processes";
    Finding finding;
    finding.site = server.site;
    finding.message = absl::StrCat(
        Describe(*server.listener->process), " makes a ", server.threads ? "thread" : "process",
        " for each connection and nothing bounds their number: ", server.peak, " at once, ",
        server.all, " in all");
    finding.fix = server.threads
                      ? "let a fixed pool of threads take the connections from a queue"
                      : "bound the number of children: wait for one before the next fork when "
                        "there are too many, or fork a fixed number of workers first";
    finding.subjects = {server.listener->object()->id};
    AddSteps(finding.story, LifeOf(model(), server.listener));
    AddSteps(finding.story, {StepAt("the first was made here", server.site),
                             StepAt(absl::StrCat("there were ", server.peak, " ", what, " at once"),
                                    server.peak_site)});
    return finding;
  }

  absl::flat_hash_map<const Process*, std::shared_ptr<Descriptor>>
      waiting_;                                    // accepted, no handler yet
  absl::flat_hash_map<uint64_t, Server> servers_;  // by the listener's Object::id
};

REGISTER_RULE(SocketUnboundedThreads, "socket-unbounded-threads", Severity::kNote, {});

}  // namespace
}  // namespace ipctrace
