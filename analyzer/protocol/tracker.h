// Follows the bytes of every connection and pipe of the run, and holds the conversations against
// the loaded protocols.
//
// The sender's side is what counts: bytes are in the stream when a write has put them there, read
// or not. Their order between the two directions follows causality: a write counts from its entry
// (a reply cannot have been sent before the request was begun), and never before the bytes that its
// end had taken by then. What a sender's record does not tell (sendfile) is taken from the reader,
// and so is all that comes from outside the run.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_TRACKER_H_
#define IPCTRACE_ANALYZER_PROTOCOL_TRACKER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "analyzer/model/model.h"
#include "analyzer/protocol/machine.h"
#include "analyzer/protocol/protocol.h"

namespace ipctrace::protocol {

// A conversation that broke its protocol, or did not come to its end. The rule makes a Finding of it.
struct Complaint {
  bool incomplete = false;
  std::string message, fix;
  Site site;
  uint32_t cause_stack = 0;
  std::vector<Step> story;
  std::vector<std::string> picture;
  std::vector<uint64_t> subjects;
};

// What a diagram is told. `object` is the id of the socket that sent, or of the pipe; offsets count
// the bytes of that direction.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void DidSay(uint64_t object, uint64_t begin, uint64_t end, const std::string& message,
                      const std::string& state) {}
  virtual void DidComplain(uint64_t object, uint64_t offset, const Complaint& complaint) {}
};

class Tracker {
 public:
  // The one of this model; made when first asked for.
  static std::shared_ptr<Tracker> Of(const Model* model);
  ~Tracker();

  // Who hands on what the model tells: the first to ask. Both rules ask for each event.
  bool DrivenBy(const void* who);
  static bool Watches(Op op);
  void DidEnter(const Act& act);
  void DidLeave(const Act& act);
  void WillClose(const std::shared_ptr<Descriptor>& descriptor, const Act& act);
  void WillEnd(const Process& process);
  void DidFinish();

  std::function<void(const Complaint&)> on_violation, on_incomplete;
  Listener* listener = nullptr;

  // By index of LoadedProtocols().
  const std::vector<Coverage>& coverage() const;
  // Conversations whose bytes the trace does not hold: it has previews only.
  static size_t WithoutPayload();

  struct Impl;

 private:
  explicit Tracker(const Model* model);
  std::unique_ptr<Impl> impl_;
  const void* driver_ = nullptr;
};

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_TRACKER_H_
