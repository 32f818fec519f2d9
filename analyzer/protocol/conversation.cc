#include "analyzer/protocol/conversation.h"

#include <algorithm>

namespace ipctrace::protocol {

const Chunk* ChunkAt(const std::deque<Chunk>& chunks, uint64_t offset) {
  for (auto it = chunks.rbegin(); it != chunks.rend(); ++it) {
    if (it->begin <= offset && offset < it->end) return &*it;
  }
  return nullptr;
}

bool TwoWay(const Protocol& protocol) {
  bool sends[2] = {false, false};
  for (const State& state : protocol.states) {
    for (const Transition& t : state.transitions) {
      if (t.trigger == Trigger::kSends) sends[t.role] = true;
    }
  }
  return sends[0] && sends[1];
}

bool NeedsPipePair(const Protocol& protocol) {
  return TwoWay(protocol) && protocol.Watches().pipes;
}

Site FirstSite(const Flow& flow) {
  if (flow.from_outside) return Site();
  if (!flow.sent_chunks.empty()) return flow.sent_chunks.front().site;
  return flow.waiting.empty() ? Site() : flow.waiting.begin()->second.site;
}

}  // namespace ipctrace::protocol
