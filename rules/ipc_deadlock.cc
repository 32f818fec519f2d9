// ipc-deadlock: threads and processes that only wait for each other.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "analyzer/model/cycles.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class IpcDeadlock : public Rule {
 public:
  bool Watches(Op op) const override { return false; }

  void DidDeadlock(const Deadlock& deadlock) override {
    for (const Cycle& cycle : CyclesOf(deadlock)) {
      // A mutex is process-fork-threads' affair.
      if (cycle.at.goal == Goal::kNever) continue;
      if (cycle.kind == CycleKind::kOther && reported_.insert(cycle.waits[0].thread->id).second) {
        Tell(cycle);
      }
    }
  }

 private:
  static std::string Fix(const Cycle& cycle) {
    size_t reads = 0, writes = 0, ends = 0;
    const Wait* lock = nullptr;  // the first
    bool several_locks = false;
    bool wrote_before = false, socket = false, opens = false, sleeps = false;
    const Wait *accepts = nullptr, *client = nullptr;
    for (const Wait& wait : cycle.waits) {
      if (wait.act->op == Op::kLockFile) {
        several_locks |= lock != nullptr;
        if (lock == nullptr) lock = &wait;
        continue;
      }
      switch (wait.goal) {
        case Goal::kWakeUp:
          sleeps = true;
          break;
        case Goal::kEnd:
        case Goal::kNever:
          ++ends;
          break;
        case Goal::kSpace:
          ++writes;
          break;
        case Goal::kAccepted:
          accepts = &wait;
          break;
        case Goal::kClient:
          client = &wait;
          break;
        case Goal::kOtherSide:
          opens = true;
          break;
        case Goal::kData:
          ++reads;
          socket |= wait.object->kind == ObjectKind::kSocket;
          if (wait.act->descriptor != nullptr) {
            wrote_before |= wait.act->descriptor->usage.writes > 0;
          }
      }
    }
    std::string at = absl::StrCat(CallText(cycle.at), " of ", Named(*cycle.at.thread->process));
    if (opens) {
      return "Open the FIFOs in the same order in both processes: each open waits until the other "
             "side of that FIFO is opened";
    }
    if (accepts != nullptr) {
      return absl::StrCat(
          "Accept the connection before waiting for anything that its client does "
          "after ",
          CallText(*accepts));
    }
    if (const Descriptor* kept = KeptConnection(cycle)) {
      return absl::StrCat("Close fd ", kept->number, " in ", Named(*kept->process),
                          " when its client is served, or send what the client still waits for, "
                          "before the next accept");
    }
    if (client != nullptr && client->object->socket.stream()) {
      return absl::StrCat("Let the client go on and connect before ", CallText(*client), " of ",
                          Named(*client->thread->process));
    }
    if (client != nullptr) {
      return absl::StrCat("Send what ", CallText(*client), " of ", Named(*client->thread->process),
                          " waits for, or give it a timeout (poll, SO_RCVTIMEO): a datagram may "
                          "be lost");
    }
    if (sleeps) {
      return absl::StrCat(
          "Before ", at,
          ", unlock the mutex, signal the condition or post the semaphore that the others wait at, "
          "or let another thread do it");
    }
    if (lock != nullptr && !several_locks && !lock->holders.empty()) {
      const Process& holder = *lock->holders[0];
      return absl::StrCat("Let go of the lock on ", Describe(*lock->object), " in ", Named(holder),
                          " before it calls ", CallOfOne(cycle, holder));
    }
    if (lock != nullptr) {
      return "Take the locks in the same order everywhere, or let go of one before asking for the "
             "next";
    }
    if (writes > 1 || (writes > 0 && reads == 0)) {
      return absl::StrCat(
          "Read what the other side sends while there is still something to write "
          "(poll, or a thread that reads): before ",
          at);
    }
    if (reads == 1 && cycle.waits.size() == 1) {
      return absl::StrCat("Nobody else will ever write what ", at,
                          " waits for: write it before, or do not read it");
    }
    if (reads > 0 && ends + reads == cycle.waits.size()) {
      return absl::StrCat("One side must send first: before ", at,
                          ", send what the other side waits for",
                          wrote_before && socket ? ", flush it (fflush), or call shutdown(SHUT_WR) "
                                                   "if the other side reads to end-of-file"
                                                 : " (and fflush it, if it went through a FILE*)");
    }
    return absl::StrCat("Break the circle at ", at, ": let one side go on before it waits");
  }

  // What one of the process's threads waits in.
  static std::string CallOfOne(const Cycle& cycle, const Process& process) {
    for (const Wait& wait : cycle.waits) {
      if (wait.thread->process == &process) return CallText(wait);
    }
    return "anything that waits";
  }

  // A connection whose client waits for more, or for its end, while a process that holds it is back
  // in accept.
  static const Descriptor* KeptConnection(const Cycle& cycle) {
    for (const Wait& wait : cycle.waits) {
      if (wait.goal != Goal::kData || wait.object->kind != ObjectKind::kSocket) continue;
      for (const auto& copy : wait.copies) {
        if (copy == nullptr || !copy->object()->socket.accepted) continue;
        for (const Wait& other : cycle.waits) {
          if (other.goal == Goal::kClient && other.thread->process == copy->process) {
            return copy.get();
          }
        }
      }
    }
    return nullptr;
  }

  void Tell(const Cycle& cycle) {
    std::vector<std::string> parts;
    std::set<const Thread*> threads;
    std::set<const Process*> processes;
    for (const Wait& wait : cycle.waits) {
      if (!threads.insert(wait.thread).second) continue;
      processes.insert(wait.thread->process);
      if (parts.size() < 3) parts.push_back(WaitText(wait));
    }
    Finding finding;
    std::string who =
        processes.size() > 1 ? absl::StrCat(processes.size(), " processes wait for each other")
        : threads.size() > 1 ? absl::StrCat(threads.size(), " threads wait for each other")
                             : std::string("a process waits for itself");
    // A FIFO has a name, by which somebody who is not traced might still come and open it.
    bool named = std::any_of(cycle.waits.begin(), cycle.waits.end(),
                             [](const Wait& wait) { return wait.goal == Goal::kOtherSide; });
    finding.message =
        absl::StrCat(who, " and nobody else ", named ? "in this run " : "", "can wake ",
                     threads.size() > 1 ? "them" : "it", ": ", Enumerate(parts));
    if (threads.size() > 3) absl::StrAppend(&finding.message, ", …");
    finding.fix = Fix(cycle);
    finding.site = SiteOf(cycle);
    finding.story = StoryOf(model(), cycle);
    finding.picture = Picture(cycle.waits);
    finding.subjects = SubjectsOf(cycle);
    Report(std::move(finding));
  }

  std::set<uint32_t> reported_;  // by first thread
};

// A listener's or connection's copy that a server forgot is the cause, where that was found.
REGISTER_RULE(IpcDeadlock, "ipc-deadlock", Severity::kError, {"socket-conn-leak"});

}  // namespace
}  // namespace ipctrace
