// Follows the bytes of every connection and pipe of the run, and hands them on in their order.
//
// The sender's side is what counts: bytes are in the stream when a write has put them there, read
// or not. Their order between the two directions follows causality: a write counts from its entry
// (a reply cannot have been sent before the request was begun), and never before the bytes that its
// end had taken by then. What a sender's record does not tell (sendfile) is taken from the reader,
// and so is all that comes from outside the run.
//
// Two pipes are one conversation where one process writes the first and reads the second, and
// another reads the first and writes the second. Which two those are is sure only at the end of the
// run (a third pipe may go between the same two processes), so their bytes wait until then.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_FLOWS_H_
#define IPCTRACE_ANALYZER_PROTOCOL_FLOWS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "analyzer/model/model.h"
#include "analyzer/protocol/conversation.h"

namespace ipctrace::protocol {

// Whom the conversations are told to.
class FlowSink {
 public:
  virtual ~FlowSink() = default;
  // Before anything else is told of a conversation. Its first deeds wait in its flows.
  virtual void Begin(Conversation& conversation) = 0;
  // Bytes are counted in `flow.sent` already, a close is not yet marked in the flow.
  virtual void Happened(Conversation& conversation, Flow& flow, const Deed& deed) = 0;
  // Both sides have closed, or the run is over. May come again.
  virtual void Conclude(Conversation& conversation) = 0;
};

class Flows {
 public:
  Flows(const Model* model, FlowSink* sink) : model_(model), sink_(sink) {}

  // Whether pipes are to be looked at in pairs.
  void PairPipes() { pairs_ = true; }

  // Whether the trace holds more than the first bytes of anything.
  bool payload_seen() const { return payload_seen_; }

  // Whether there were pipes of which nobody can tell which two belong together.
  bool ambiguous() const { return ambiguous_; }

  // What the model tells.
  void DidEnter(const Act& act);
  void DidLeave(const Act& act);
  void WillClose(const std::shared_ptr<Descriptor>& descriptor, const Act& act);
  void WillEnd(const Process& process);
  void DidFinish();

 private:
  using Key = std::pair<Nanos, uint64_t>;

  // Directions and conversations (flows.cc).
  Flow* Out(const std::shared_ptr<Object>& object);
  Flow* In(const std::shared_ptr<Object>& object);
  const Flow* Back(const Flow& flow) const;
  std::unique_ptr<Flow> Release(const std::shared_ptr<Object>& object);
  void Join(const std::shared_ptr<Object>& a, const std::shared_ptr<Object>& b);
  void Meet(const std::shared_ptr<Object>& object);
  void MeetAll();
  Flow* OtherHalf(const Flow& flow);
  template <typename Fits>
  Flow* OnlyHalf(const Flow& flow, const Fits& fits, bool* several) const;
  void Tried(const std::shared_ptr<Object>& object, bool writing, const Act& act);
  // In their order (flows.cc).
  void Go(const std::shared_ptr<Object>& object);
  void Start(Conversation& conversation);
  void Pump(Conversation& conversation);
  bool StillOpen(const Deed& deed) const;

  // What calls do (deeds.cc).
  Deed* Add(Flow* flow, const Act& act);
  std::map<Key, Deed>::iterator Entered(const Act& act, Flow** found);
  void DidSend(const Act& act);
  void DidRead(const Act& act);
  void DidReadFromOutside(Flow* flow, const Act& act, uint64_t size);
  void ExitFlushes(const Act& act);
  void Closed(const std::shared_ptr<Object>& object, const Site& site, Nanos time);

  const Model* const model_;
  FlowSink* const sink_;
  bool pairs_ = false;
  std::map<uint64_t, std::unique_ptr<Flow>> alone_;  // not yet in a conversation, by object
  std::map<uint64_t, Flow*> by_object_;              // of all
  std::map<uint64_t, Flow*> outside_;                // from outside to this object
  std::vector<std::unique_ptr<Conversation>> conversations_;
  // Output that a process's stream holds, by process and FILE*, as last seen.
  std::map<std::pair<uint32_t, uint64_t>, std::string> pending_;
  uint64_t order_ = 0;
  bool finishing_ = false;
  bool payload_seen_ = false;
  bool ambiguous_ = false;
};

// Throws away bytes that were taken and are known from the sender's side already.
void TrimTaken(Flow* flow);

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_FLOWS_H_
