// Follows every conversation of the run, and holds it against the loaded protocols: what the rules
// and the diagram ask. Bytes become conversations in flows.h, conversations are judged in judge.h.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_TRACKER_H_
#define IPCTRACE_ANALYZER_PROTOCOL_TRACKER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "analyzer/model/model.h"
#include "analyzer/protocol/flows.h"
#include "analyzer/protocol/judge.h"

namespace ipctrace::protocol {

class Tracker {
 public:
  // The one of this model; made when first asked for.
  static std::shared_ptr<Tracker> Of(const Model* model);

  // Who hands on what the model tells: the first to ask. Both rules ask for each event.
  bool DrivenBy(const void* who);
  static bool Watches(Op op);
  Flows& flows() { return flows_; }

  std::function<void(const Complaint&)> on_violation, on_incomplete;
  void SetListener(Listener* listener) { judge_.listener = listener; }

  // By index of LoadedProtocols().
  const std::vector<Coverage>& coverage() const { return judge_.coverage(); }
  // Conversations that could not be judged since the trace was recorded with previews only.
  size_t WithoutPayload() const { return flows_.payload_seen() ? 0 : judge_.given_up(); }
  // What could not be judged, a phrase each.
  std::vector<std::string> Unjudged() const;

 private:
  explicit Tracker(const Model* model);
  Judge judge_;
  Flows flows_;
  const void* driver_ = nullptr;
};

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_TRACKER_H_
