// How each act changes the model. One function for a group of acts; the .cc files go by subject.
#ifndef IPCTRACE_ANALYZER_MODEL_REPLAY_H_
#define IPCTRACE_ANALYZER_MODEL_REPLAY_H_

#include <memory>
#include <string>
#include <vector>

#include "analyzer/model/model.h"

namespace ipctrace {

// A view of the model with the right to change it, made for each event.
class Replay {
 public:
  explicit Replay(Model& model) : m(model) {}

  // What an act does when it is entered: what it releases. And when it has returned: the rest.
  void Enter(Act& act);
  void Leave(Act& act);

  // --- replay_processes.cc
  void Hello(Act& act, uint32_t trace_id);
  void ChildStart(Act& act);
  void EndProcess(Process& process, EndKind end, int status);
  void EndThread(Thread& thread);
  void ForkEntered(const Act& act);
  void StandIn(const Act& act, int32_t pid, const Model::ForkPoint& point);
  void Dispositions(Process& process, const Act& act);
  void Found(Process& process, const FdFact& fact, const Act& act,
             const std::map<int, std::shared_ptr<Descriptor>>* before = nullptr);
  static Act AsProcess(const Act& act, Process& process);
  void ForkReturned(const Act& act);
  void Spawned(const Act& act);
  void Waited(const Act& act);
  void Adopt(Process& parent, Process& child);
  Process* Unreaped(const Process& parent, int32_t pid);  // a child by its pid; null: none
  void Reap(Process& child, const Act& act);
  void WaitedInside(const Act& act, int32_t pid);  // by pclose or system

  // --- replay_descriptors.cc
  // A descriptor comes into being; tells the rules. One that still stands at the number was closed
  // unseen.
  std::shared_ptr<Descriptor> Add(Process& process, int fd,
                                  std::shared_ptr<Description> description, Birth birth,
                                  const Act& act, std::shared_ptr<Descriptor> from = nullptr);
  void Remove(const std::shared_ptr<Descriptor>& descriptor, Death how, const Act& act);
  // Removes without telling the rules (end of a process).
  void Vanish(const std::shared_ptr<Descriptor>& descriptor, Death how, const Site& site);
  std::shared_ptr<Description> NewDescription(std::shared_ptr<Object> object, int status_flags,
                                              const Site& site);
  // The object a fact is about: a known one, or a new one.
  std::shared_ptr<Object> ObjectOf(const FdFact& fact, const Site& site);
  void NameObject(Object& object, const std::string& path);
  // What the descriptor is that was opened and not described.
  void WasDescribed(const Act& act, const FdFact& fact);
  std::shared_ptr<Object> NewObject(ObjectKind kind, const Site& site);
  void Opened(Act& act);
  void Piped(Act& act);
  void CloseEntered(Act& act);
  void Duplicated(Act& act);
  // Descriptors that go along with a message (SCM_RIGHTS): entered, failed, and come out of one.
  void Sent(const Act& act);
  void NotSent(const Act& act);
  void Received(Act& act);
  std::shared_ptr<Description> TakeInFlight(const Object* object, int access);
  // Bytes came out of, or went into, what a descriptor refers to.
  void MovedIn(const Act& act, const std::shared_ptr<Descriptor>& from, uint64_t bytes);
  void MetEnd(const std::shared_ptr<Descriptor>& from);  // end-of-file: nothing is left
  void MovedOut(const Act& act, const std::shared_ptr<Descriptor>& to, uint64_t bytes);
  bool LeavesTheRun(const Act& act, const Object& object) const;
  void ToldUnmet(const std::shared_ptr<Object>& connection);
  void FileLocked(const Act& act);
  // Calls that failed because the number is closed (and poll's POLLNVAL): Descriptor::late.
  void NoteLate(const Act& act);
  void NoteClose(const Act& act);
  void Use(const Act& act, const std::shared_ptr<Descriptor>& descriptor);

  // --- replay_coverage.cc: what was seen, beside what the kernel says
  // Adds up the bytes of an act that has returned.
  void Count(const Act& act);
  // A new program image: the kernel and the loader have read what it consists of.
  void CountImage(const Act& hello, bool first);
  // An act that will not return (its process has ended, or a longjmp left it) may have written too.
  void Unfinished(const Act& act);
  // kOpenNumbers: which descriptors the kernel has, at the end of a process.
  void CompareNumbers(const Act& act);
  void Missed(const Process& process, int fd, uint64_t* count);

  // --- replay_sockets.cc
  void SocketMade(Act& act);
  void SocketpairMade(Act& act);
  void Bound(Act& act);
  void Listened(Act& act);
  void Accepted(Act& act);
  void ConnectEntered(Act& act);
  void Connected(Act& act);
  void WasShutDown(const Act& act);
  void OptionWasSet(const Act& act);
  void Meet(const std::shared_ptr<Object>& end);  // finds the other end by its addresses

  void Pair(const std::shared_ptr<Object>& a, const std::shared_ptr<Object>& b);

  // --- replay_streams.cc
  Stream& StreamOf(const Act& act);
  void WrittenAtReopen(const Act& act);
  void Flushed(Stream& stream, const Act& act);
  void StreamOpened(Act& act);
  void StreamUsed(Act& act);
  void StreamState(const Act& act);
  void StreamClosed(Act& act);

  uint64_t NewId() { return m.next_id_++; }
  template <typename F>
  void Rules(F f) {
    if (m.rules_ != nullptr) m.rules_->Each(f);
  }

  Model& m;
};

// What a socket address says: "127.0.0.1:80", "[::1]:80", a path, "@abstract"; empty: nothing.
std::string AddressOf(const std::string* bytes);
// The FdFacts of an act.
std::vector<FdFact> Facts(const Act& act);
ObjectKind KindOf(uint32_t mode);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_MODEL_REPLAY_H_
