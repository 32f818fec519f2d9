// socket-listener-in-child: a child that was made to serve one connection holds the listening
// socket too.
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class SocketListenerInChild : public Rule {
 public:
  bool Watches(Op op) const override {
    return op == Op::kRead || op == Op::kWrite || op == Op::kStreamRead || op == Op::kStreamWrite ||
           op == Op::kTransfer;
  }

  // A child that inherits an accepted connection and the socket that accepted it.
  void DidFork(const Process& parent, const Process& child, const Act* act) override {
    if (child.execed) return;
    for (const auto& [fd, connection] : child.table) {
      const Object& object = *connection->object();
      if (object.kind != ObjectKind::kSocket || !object.socket.accepted) continue;
      if (connection->birth != Birth::kInherited || connection->from == nullptr) continue;
      auto listener = object.socket.listener.lock();
      if (listener == nullptr || handed_on_.contains({&parent, object.id})) continue;
      for (const auto& [number, copy] : child.table) {
        if (copy->object() != listener) continue;
        children_[&child].push_back({connection, copy});
        break;
      }
    }
  }

  // Its first read or write on the connection: by now the listener should be closed.
  void DidEnter(const Act& act) override {
    if (children_.empty() || act.descriptor == nullptr) return;
    auto it = children_.find(act.process);
    if (it == children_.end()) return;
    const auto to = act.op == Op::kTransfer ? act.process->Find(static_cast<int>(act.a)) : nullptr;
    for (size_t i = 0; i < it->second.size(); ++i) {
      const Serving serving = it->second[i];
      const auto& connection = serving.connection->object();
      if (connection != act.descriptor->object() && (to == nullptr || connection != to->object()))
        continue;
      it->second.erase(it->second.begin() + static_cast<ptrdiff_t>(i));
      handed_on_.insert({act.process, serving.connection->object()->id});
      if (serving.listener->alive()) suspects_.push_back({serving, act.process, act.site()});
      break;
    }
    if (it->second.empty()) children_.erase(it);
  }

  void DidExec(const Process& process, const Act* act) override { children_.erase(&process); }
  void WillEnd(const Process& process) override { children_.erase(&process); }

  void DidFinish() override {
    for (const Suspect& suspect : suspects_) {
      // One that accepts, or waits for clients, has use for it.
      if (!suspect.serving.listener->usage.Used()) Report(Kept(suspect));
    }
  }

 private:
  struct Serving {
    std::shared_ptr<Descriptor> connection, listener;  // the child's copies
  };
  struct Suspect {
    Serving serving;
    const Process* child = nullptr;
    Site first_use;  // of the connection
  };

  Finding Kept(const Suspect& suspect) {
    const Descriptor& listener = *suspect.serving.listener;
    const Process& child = *suspect.child;
    Finding finding;
    finding.site = child.born;
    finding.message = absl::StrCat(
        Named(child), " serves one connection and still holds fd ", listener.number,
        ", the listening socket",
        listener.object()->socket.local.empty()
            ? ""
            : absl::StrCat(" on ", listener.object()->socket.local),
        ": it keeps the port taken when the server stops, and can take clients that it will never "
        "serve");
    finding.fix = absl::StrCat("close(", listener.number,
                               ") in the child, on the line after fork, before it serves");
    finding.subjects = {listener.id, suspect.serving.connection->id};
    AddSteps(finding.story, LifeOf(model(), suspect.serving.listener));
    AddSteps(finding.story, LifeOf(model(), suspect.serving.connection));
    AddSteps(finding.story, {StepAt(absl::StrCat(Named(child), " began to serve fd ",
                                                 suspect.serving.connection->number, " with fd ",
                                                 listener.number, " open"),
                                    suspect.first_use)});
    return finding;
  }

  absl::flat_hash_map<const Process*, std::vector<Serving>> children_;  // that have not yet served
  // Who serves which connection: what such a child forks is its helper.
  absl::flat_hash_set<std::pair<const Process*, uint64_t>> handed_on_;
  std::vector<Suspect> suspects_;
};

REGISTER_RULE(SocketListenerInChild, "socket-listener-in-child", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
