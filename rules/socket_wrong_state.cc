// socket-wrong-state: a call that the socket's state machine (tcp(7), unix(7)) does not allow in
// the state the socket is in.
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

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

bool Connects(const SocketInfo& socket) {
  return socket.stream() &&
         (socket.domain == AF_INET || socket.domain == AF_INET6 || socket.domain == AF_UNIX);
}

class SocketWrongState : public Rule {
 public:
  bool Watches(Op op) const override {
    switch (op) {
      case Op::kRead:
      case Op::kWrite:
      case Op::kStreamRead:
      case Op::kStreamWrite:
      case Op::kStreamClose:
      case Op::kAccept:
      case Op::kConnect:
      case Op::kBind:
      case Op::kListen:
      case Op::kShutdown:
        return true;
      default:
        return false;
    }
  }
  bool WatchesSuccess(Op op) const override {
    return op == Op::kConnect || op == Op::kShutdown;
  }

  void DidEnter(const Act& act) override {
    if (act.descriptor == nullptr) return;
    const Object& object = *act.descriptor->object();
    if (object.kind != ObjectKind::kSocket) return;
    const SocketInfo& socket = object.socket;
    if (!Connects(socket) || object.outside) return;
    switch (act.op) {
      case Op::kRead:
        if (socket.state == SocketState::kListening) ReadListener(act);
        return;
      case Op::kWrite:
        // It may die here of SIGPIPE, so it is judged at entry.
        Wrote(act, socket);
        return;
      case Op::kConnect:
        if (socket.state == SocketState::kConnected)
          connected_before_.insert({act.thread->id, act.seq});
        return;
      default:
        return;
    }
  }

  void DidLeave(const Act& act) override {
    if (act.descriptor == nullptr) return;
    const Object& object = *act.descriptor->object();
    if (object.kind != ObjectKind::kSocket || object.outside) return;
    const SocketInfo& socket = object.socket;
    if (act.op == Op::kShutdown && !act.failed() && act.a != SHUT_RD) shut_[object.id] = act.site();
    if (act.op == Op::kConnect) return Connected(act, object);
    bool fresh = socket.state == SocketState::kNew || socket.state == SocketState::kBound;
    if (act.op == Op::kWrite && !socket.stream() && fresh &&
        (act.err == EDESTADDRREQ || act.err == ENOTCONN)) {
      Wrong(act, "sends a datagram without an address on a socket that is not connected",
            "give sendto the peer's address, or call connect first");
    }
    if (!act.failed() || !Connects(socket)) return;
    switch (act.op) {
      case Op::kStreamRead:
        if (act.err == ENOTCONN && socket.state == SocketState::kListening) ReadListener(act);
        [[fallthrough]];
      case Op::kRead:
        if ((act.err == ENOTCONN || act.err == EINVAL) && fresh) {
          Wrong(act, "reads from a socket that is not connected",
                "call connect first, and check that it returned 0");
        } else if (act.err == ENOTCONN && socket.state == SocketState::kFailed) {
          AfterFailedConnect(act, object);
        }
        return;
      case Op::kWrite:
      case Op::kStreamWrite:
      case Op::kStreamClose:
        if (act.err != EPIPE && act.err != ENOTCONN) return;
        if (socket.state == SocketState::kFailed) {
          AfterFailedConnect(act, object);
        } else if (act.op != Op::kWrite) {
          Wrote(act, socket);
        }
        return;
      case Op::kAccept:
        if (act.err != EINVAL) return;
        if (fresh) {
          Wrong(act, "calls accept on a socket that does not listen",
                "call listen on it before accept");
        } else if (socket.state == SocketState::kConnected) {
          Wrong(act, "calls accept on a connection", "call accept on the listening socket");
        }
        return;
      case Op::kListen:
        if (act.err == EINVAL &&
            (socket.state == SocketState::kConnected || socket.state == SocketState::kConnecting)) {
          Wrong(act, "calls listen on a connected socket", "make a socket of its own to listen on");
        }
        return;
      case Op::kBind:
        if (act.err == EINVAL && socket.state != SocketState::kNew) {
          Wrong(act,
                absl::StrCat("calls bind on a socket that ", socket.state == SocketState::kConnected
                                                                 ? "is connected"
                                                                 : "has an address already"),
                "bind each socket once, before listen or connect");
        }
        return;
      case Op::kShutdown:
        if (act.err == ENOTCONN && fresh) {
          Wrong(act, "calls shutdown on a socket that was never connected",
                "connect it first, or just close it");
        }
        return;
      default:
        return;
    }
  }

  // What a stream's buffer held was written, and SIGPIPE ended the process there.
  void WillEnd(const Process& process) override {
    if (process.end == EndKind::kExited ||
        (process.end == EndKind::kKilled && process.status != SIGPIPE)) {
      return;
    }
    for (const Thread* thread : process.threads) {
      for (const auto& act : thread->open) {
        if (act->op != Op::kStreamWrite && act->op != Op::kStreamClose) continue;
        if (act->descriptor == nullptr) continue;
        const Object& object = *act->descriptor->object();
        if (object.kind == ObjectKind::kSocket && Connects(object.socket) && !object.outside)
          Wrote(*act, object.socket);
      }
    }
  }

 private:
  void ReadListener(const Act& act) {
    Wrong(act, "reads from a listening socket, which carries no data",
          "read from the descriptor that accept returns, not from the one it was given");
  }

  // A write reaches the socket, or is about to.
  void Wrote(const Act& act, const SocketInfo& socket) {
    if (socket.state == SocketState::kListening) {
      Wrong(act, "writes to a listening socket, which carries no data",
            "write to the descriptor that accept returns, not to the one it was given");
    } else if (socket.shut_write) {
      WroteAfterShutdown(act);
    } else if (socket.state == SocketState::kNew || socket.state == SocketState::kBound) {
      Wrong(act, "writes to a socket that is not connected",
            "call connect first, and check that it returned 0");
    }
  }

  void Connected(const Act& act, const Object& object) {
    bool again = connected_before_.erase({act.thread->id, act.seq}) > 0;
    if (act.err == EINPROGRESS || act.err == EALREADY || act.err == EINTR || act.err == EAGAIN) {
      under_way_.insert(object.id);
      return;
    }
    if (!Connects(object.socket)) return;
    if (act.failed() && act.err != EISCONN) failed_[object.id] = {act.site(), act.err};
    if (act.err != EISCONN &&
        !(act.err == EINVAL && object.socket.state == SocketState::kListening))
      return;
    if (object.socket.state == SocketState::kListening) {
      Wrong(act, "calls connect on a listening socket",
            "make a socket of its own for the connection");
    } else if (again && under_way_.erase(object.id) == 0) {
      // After EINPROGRESS, asking again is how one learns that it has worked.
      Wrong(act, "calls connect on a socket that is connected already",
            "make a new socket for each connection");
    }
  }

  void WroteAfterShutdown(const Act& act) {
    auto it = shut_.find(act.descriptor->object()->id);
    std::vector<Step> steps;
    if (it != shut_.end()) {
      steps.push_back(
          StepAt(absl::StrCat(CallName(it->second.call), " closed the connection for writing"),
                 it->second));
    }
    Wrong(act, "writes to a connection after shutdown(SHUT_WR) on it",
          "write everything before shutdown: it tells the peer that nothing more comes",
          std::move(steps));
  }

  void AfterFailedConnect(const Act& act, const Object& object) {
    auto it = failed_.find(object.id);
    if (it == failed_.end()) return;
    Wrong(act,
          absl::StrCat("goes on with a socket whose connect had failed (",
                       strerrorname_np(it->second.second), ")"),
          "check what connect returns, and stop or make a new socket where it is -1",
          {StepAt(absl::StrCat("connect failed with ", strerrorname_np(it->second.second)),
                  it->second.first)});
  }

  void Wrong(const Act& act, const std::string& what, std::string fix,
             std::vector<Step> steps = {}) {
    Finding finding;
    finding.site = act.site();
    finding.message = absl::StrCat(Named(*act.process), " ", what, " (", CallName(act.call),
                                   " on fd ", act.fd, ")");
    finding.fix = std::move(fix);
    finding.subjects = SubjectsOf(*act.descriptor);
    AddSteps(finding.story, LifeOf(model(), act.descriptor));
    AddSteps(finding.story, std::move(steps));
    AddSteps(finding.story,
             {StepAt(absl::StrCat(
                         CallOf(act),
                         act.failed() ? absl::StrCat(" and got ", strerrorname_np(act.err)) : ""),
                     act.site())});
    Report(std::move(finding));
  }

  absl::flat_hash_set<std::pair<uint32_t, uint64_t>> connected_before_;  // connects, by their acts
  absl::flat_hash_set<uint64_t> under_way_;   // sockets whose connect did not end at once
  absl::flat_hash_map<uint64_t, Site> shut_;  // by Object::id
  absl::flat_hash_map<uint64_t, std::pair<Site, int>> failed_;  // connect and its errno
};

REGISTER_RULE(SocketWrongState, "socket-wrong-state", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
