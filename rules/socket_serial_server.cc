// socket-serial-server: clients waited in the listen queue because the server serves, or waits for,
// one connection at a time.
//
// A client waits from the time its connect has returned until somebody calls accept. That is the
// server's doing if the one thread that accepts has spent the time on another connection: it read
// or wrote on it, or waited for the child or the thread that has it. A server that polls several of
// them together, or that has several threads or processes in accept, is none of these; one that
// polls its listener alone, to wait for no longer than it wants to, may be.
//
// A wait of some milliseconds may be the scheduler's doing, and would come and go from run to run.
// So one counts only where it lasted as long as people notice, or where no schedule could have
// avoided it: the client that was served meanwhile is of the same thread as the one that waited,
// and sent what the server served it for after the other had connected.
#include <sys/wait.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

constexpr Nanos kNoticed = 100'000'000;

class SocketSerialServer : public Rule {
 public:
  bool Watches(Op op) const override {
    switch (op) {
      case Op::kAccept:
      case Op::kConnect:
      case Op::kRead:
      case Op::kWrite:
      case Op::kStreamRead:
      case Op::kStreamWrite:
      case Op::kWait:
      case Op::kThreadCreate:
      case Op::kThreadJoin:
      case Op::kPoll:
      case Op::kEpollWait:
        return true;
      default:
        return false;
    }
  }

  void DidLeave(const Act& act) override {
    switch (act.op) {
      case Op::kConnect:
        if (!act.failed() && act.descriptor != nullptr) {
          connected_[act.descriptor->object()->id] = {act.leave, act.site()};
        }
        return;
      case Op::kAccept:
        return Accepted(act);
      default:
        break;
    }
    if (servers_.empty()) return;
    auto it = acceptors_.find(act.thread->id);
    if (it == acceptors_.end()) return;
    Acceptor& acceptor = it->second;
    switch (act.op) {
      case Op::kWait:
        if ((act.b & WNOHANG) == 0 && act.result > 0)
          Busy(acceptor, act, "waited for the child that served another one");
        return;
      case Op::kThreadCreate:
        if (!act.failed()) acceptor.threads.push_back(act.a);
        return;
      case Op::kThreadJoin:
        if (!act.failed() && absl::c_linear_search(acceptor.threads, act.a))
          Busy(acceptor, act, "waited for the thread that served another one");
        return;
      case Op::kPoll:
      case Op::kEpollWait:
        if (PollsClients(act, acceptor.listener)) servers_[acceptor.listener].serial = false;
        return;
      default:
        if (act.descriptor != nullptr && act.descriptor->object()->socket.accepted)
          Busy(acceptor, act, nullptr);
    }
  }

  void DidFinish() override {
    std::vector<const Server*> servers;
    for (const auto& [id, server] : servers_) {
      if (server.serial && server.clients > 0) servers.push_back(&server);
    }
    std::sort(servers.begin(), servers.end(),
              [](const Server* a, const Server* b) { return a->site.time < b->site.time; });
    for (const Server* server : servers) Report(Serial(*server));
  }

 private:
  struct Acceptor {
    uint64_t listener = 0;
    std::shared_ptr<const Object> connection;  // that it accepted last
    std::vector<uint64_t> threads;             // that it has made since, by pthread_t
    bool busy = false;                         // with a connection, since its last accept
    const char* waits = nullptr;               // for whom; null: it serves itself
    Site where;
  };
  struct Server {
    std::shared_ptr<Descriptor> listener;
    uint32_t thread = 0;  // the only one that accepts
    bool serial = true;
    int clients = 0;
    Nanos longest = 0;
    Site site;  // of the accept that came late
    Site busy;
    const char* waits = nullptr;
    Site client;
  };
  struct Connected {
    Nanos time = 0;
    Site site;
  };

  static void Busy(Acceptor& acceptor, const Act& act, const char* waits) {
    if (acceptor.busy) return;
    acceptor.busy = true;
    acceptor.where = act.site();
    acceptor.waits = waits;
  }

  // Whether it waits for whichever of several clients is first, or for a new one beside those it
  // has.
  static bool PollsClients(const Act& act, uint64_t listener) {
    if (act.op == Op::kPoll && act.a == 0) return false;  // it sleeps
    const bool known =
        act.op == Op::kPoll ? act.Blob(BlobTag::kPoll) != nullptr : act.descriptor != nullptr;
    if (!known) return true;
    int clients = 0;
    bool polls_listener = false;
    for (const Watched& each : WatchedBy(act)) {
      const Object& object = *each.descriptor->object();
      polls_listener |= object.id == listener;
      if (object.kind == ObjectKind::kSocket && object.socket.accepted) ++clients;
    }
    return clients > 1 || (clients == 1 && polls_listener);
  }

  void Accepted(const Act& act) {
    if (act.failed() || act.descriptor == nullptr) return;
    auto listener = act.descriptor->object();
    Server& server = servers_[listener->id];
    if (server.thread == 0) {
      server.thread = act.thread->id;
      server.listener = act.descriptor;
      server.site = act.site();
    }
    if (server.thread != act.thread->id || act.descriptor->description->nonblocking())
      server.serial = false;
    auto connection = act.process->Find(static_cast<int>(act.result));
    Acceptor& acceptor = acceptors_[act.thread->id];
    if (connection != nullptr && acceptor.busy && acceptor.listener == listener->id) {
      Late(act, *connection->object(), server, acceptor);
    }
    acceptor = {};
    acceptor.listener = listener->id;
    if (connection != nullptr) acceptor.connection = connection->object();
  }

  // Whether the client could not but wait: what was served before its turn had been sent, by its
  // own thread, when it had connected.
  static bool CouldNotButWait(const Connected& client, const Object* served) {
    if (served == nullptr) return false;
    const Queue& requests = served->socket.incoming;
    // The server may have its bytes before the write that sent them returns.
    if (requests.read > requests.written) {
      auto other = served->socket.other_end.lock();
      if (other == nullptr) return false;
      for (const auto& end : Holders(*other)) {
        for (const Thread* thread : end->process->threads) {
          const Act* act = thread->current();
          if (act != nullptr && act->op == Op::kWrite && act->descriptor != nullptr &&
              act->descriptor->object() == other) {
            return thread->tid == client.site.tid && act->enter > client.time;
          }
        }
      }
    }
    return requests.last_write && requests.last_write->tid == client.site.tid &&
           requests.last_write->time > client.time && requests.Unread() == 0;
  }

  void Late(const Act& act, const Object& connection, Server& server, const Acceptor& acceptor) {
    auto client = connection.socket.other_end.lock();
    auto it = client != nullptr ? connected_.find(client->id) : connected_.end();
    if (it == connected_.end()) return;
    // Only since the server was busy: before, it was on its way to accept.
    Nanos waited = act.enter - std::max(it->second.time, acceptor.where.time);
    if (waited < kNoticed && !CouldNotButWait(it->second, acceptor.connection.get())) return;
    if (server.clients++ == 0) {
      server.site = act.site();
      server.busy = acceptor.where;
      server.waits = acceptor.waits;
      server.client = it->second.site;
    }
    server.longest = std::max(server.longest, waited);
  }

  Finding Serial(const Server& server) {
    const Descriptor& listener = *server.listener;
    Finding finding;
    finding.site = server.site;
    finding.message =
        absl::StrCat(server.clients == 1 ? "a client" : absl::StrCat(server.clients, " clients"),
                     " waited in the listen queue, up to ", Duration(server.longest), ", while ",
                     Describe(*listener.process), " ",
                     server.waits != nullptr ? server.waits : "served another one itself");
    finding.fix =
        server.waits == nullptr
            ? "hand each connection to a child process or a thread of a pool, or serve all of "
              "them with poll"
        : OpOf(server.busy.call) == Op::kThreadJoin
            ? "do not join the thread in the accept loop: let a pool of threads take the "
              "connections"
            : "do not wait for the child in the accept loop: reap children in a SIGCHLD handler "
              "with waitpid(-1, NULL, WNOHANG)";
    finding.subjects = SubjectsOf(listener);
    AddSteps(finding.story, LifeOf(model(), server.listener));
    AddSteps(finding.story,
             {StepAt(server.waits != nullptr ? "the server waited here"
                                             : "the server was here, with another client",
                     server.busy),
              StepAt("a client connected and had to wait", server.client),
              StepAt("its turn came with this accept", server.site)});
    return finding;
  }

  absl::flat_hash_map<uint64_t, Connected> connected_;  // client sockets, by Object::id
  absl::flat_hash_map<uint64_t, Server> servers_;       // by the listener's Object::id
  absl::flat_hash_map<uint32_t, Acceptor> acceptors_;   // by Thread::id
};

REGISTER_RULE(SocketSerialServer, "socket-serial-server", Severity::kNote, {});

}  // namespace
}  // namespace ipctrace
