#include "analyzer/protocol/flows.h"

#include <algorithm>

namespace ipctrace::protocol {
namespace {

// A pipe whose other half has not shown itself by then is taken for one that stands alone.
constexpr uint64_t kMostWaiting = uint64_t{16} << 20;  // bytes

// A write that never returned (its thread was killed in it) has still sent what was read.
bool TakenInstead(const Flow& flow, Deed* deed) {
  if (flow.taken <= flow.sent || flow.from_outside || deed->close.has_value()) return false;
  deed->complete = true;
  deed->known = false;
  deed->size = flow.taken - flow.sent;
  return true;
}

// Which bytes of the other direction each waiting deed came after: for a pipe that has just got its
// other half.
void NoteTaken(Flow* flow) {
  for (auto& [key, deed] : flow->waiting) {
    for (const Chunk& chunk : flow->back->taken_chunks) {
      if (chunk.leave <= deed.enter && chunk.end > deed.taken) deed.taken = chunk.end;
    }
  }
}

}  // namespace

void TrimTaken(Flow* flow) {
  const uint64_t end = flow->taken_from + flow->taken_bytes.size();
  if (flow->sent >= end) {
    flow->taken_bytes.clear();
    flow->taken_from = end;
  } else if (flow->sent > flow->taken_from + 65536) {
    flow->taken_bytes.erase(0, flow->sent - flow->taken_from);
    flow->taken_from = flow->sent;
  }
}

// --- Directions and conversations --------------------------------------------------------------

// The direction that is written at this object.
Flow* Flows::Out(const std::shared_ptr<Object>& object) {
  const auto it = by_object_.find(object->id);
  if (it != by_object_.end()) return it->second;
  auto flow = std::make_unique<Flow>();
  flow->object = object;
  Flow* const raw = flow.get();
  alone_[object->id] = std::move(flow);
  by_object_[object->id] = raw;
  return raw;
}

// The direction that is read at this object.
Flow* Flows::In(const std::shared_ptr<Object>& object) {
  if (object->IsPipe()) return Out(object);
  if (const auto it = outside_.find(object->id); it != outside_.end()) return it->second;
  if (auto other = object->socket.other_end.lock()) return Out(other);
  Flow* const out = Out(object);
  if (out->back == nullptr) Join(object, nullptr);
  return Out(object)->back;
}

// The other direction, as far as it is known.
const Flow* Flows::Back(const Flow& flow) const {
  if (flow.back != nullptr || flow.from_outside || flow.object->IsPipe()) return flow.back;
  const auto other = flow.object->socket.other_end.lock();
  const auto it = other == nullptr ? by_object_.end() : by_object_.find(other->id);
  return it == by_object_.end() ? nullptr : it->second;
}

std::unique_ptr<Flow> Flows::Release(const std::shared_ptr<Object>& object) {
  Out(object);
  const auto it = alone_.find(object->id);
  if (it == alone_.end()) return nullptr;
  auto flow = std::move(it->second);
  alone_.erase(it);
  return flow;
}

// Makes a conversation of two sockets or pipes, or of one whose other side is outside the run or,
// for a pipe, is not there.
void Flows::Join(const std::shared_ptr<Object>& a, const std::shared_ptr<Object>& b) {
  auto conversation = std::make_unique<Conversation>();
  conversation->began = model_->now();
  conversation->ends[0] = a;
  conversation->ends[1] = b;
  conversation->owned[0] = Release(a);
  if (conversation->owned[0] == nullptr) return;
  if (b != nullptr) {
    conversation->owned[1] = Release(b);
    if (conversation->owned[1] == nullptr) return;
  } else if (!a->IsPipe()) {
    auto flow = std::make_unique<Flow>();
    flow->object = a;
    flow->from_outside = true;
    outside_[a->id] = flow.get();
    conversation->owned[1] = std::move(flow);
  }
  for (int i = 0; i < 2; ++i) {
    if (conversation->owned[i] == nullptr) continue;
    conversation->owned[i]->conversation = conversation.get();
    conversation->owned[i]->back = conversation->owned[1 - i].get();
  }
  if (a->IsPipe() && b != nullptr) {
    for (const auto& flow : conversation->owned) {
      NoteTaken(flow.get());
      if (!flow->waiting.empty())
        conversation->began = std::min(conversation->began, flow->waiting.begin()->first.first);
    }
  }
  conversations_.push_back(std::move(conversation));
}

// Makes the conversation of a socket or pipe as soon as it is known who is in it.
void Flows::Meet(const std::shared_ptr<Object>& object) {
  Flow* const flow = Out(object);
  if (flow->conversation != nullptr) return;
  if (object->IsPipe()) {
    if (!pairs_ || flow->waiting_bytes > kMostWaiting) Join(object, nullptr);
    return;
  }
  if (auto other = object->socket.other_end.lock()) Join(object, other);
}

// Who has tried to write or read a pipe, and by which number; the last one counts.
void Flows::Tried(const std::shared_ptr<Object>& object, bool writing, const Act& act) {
  if (!object->IsPipe()) return;
  Flow* const flow = Out(object);
  (writing ? flow->writer : flow->reader) = act.process->id;
  (writing ? flow->writer_fd : flow->reader_fd) = act.fd;
}

// The pipe that is this one's other half, as far as `Fits` can tell; null where there is none, or
// more than one.
template <typename Fits>
Flow* Flows::OnlyHalf(const Flow& flow, const Fits& fits, bool* several) const {
  Flow* found = nullptr;
  for (const auto& [id, other] : alone_) {
    if (other.get() == &flow || !other->object->IsPipe() || !fits(flow, *other)) continue;
    if (found != nullptr) {
      *several = true;
      return nullptr;
    }
    found = other.get();
  }
  return found;
}

// The other half of a pipe, at the end of the run, when all is known that ever will be.
Flow* Flows::OtherHalf(const Flow& flow) {
  // Each side was seen at both.
  const auto both = [](const Flow& a, const Flow& b) {
    return a.writer != 0 && a.reader != 0 && a.writer != a.reader && a.writer == b.reader &&
           a.reader == b.writer;
  };
  // Of several: one side has them as standard input and output.
  const auto standard = [&](const Flow& a, const Flow& b) {
    return both(a, b) &&
           ((a.reader_fd == 0 && b.writer_fd == 1) || (a.writer_fd == 1 && b.reader_fd == 0));
  };
  // Nobody else was seen: one end at least was tried by the right process, or the pipe not at all.
  const auto may = [](const Flow& a, const Flow& b) {
    const auto same = [](uint32_t x, uint32_t y) { return x == 0 || y == 0 || x == y; };
    return a.object->born.process == b.object->born.process && a.object->born.process != 0 &&
           same(a.writer, b.reader) && same(a.reader, b.writer) &&
           (b.writer == 0 || b.writer != a.writer) && (b.reader == 0 || b.reader != a.reader);
  };
  bool several = false;
  if (Flow* half = OnlyHalf(flow, both, &several); half != nullptr) {
    OnlyHalf(*half, both, &several);
    if (!several) return half;
  }
  if (several) {
    several = false;
    Flow* const half = OnlyHalf(flow, standard, &several);
    if (half == nullptr) ambiguous_ = true;
    return half;
  }
  return OnlyHalf(flow, may, &several);
}

// At the end of the run: those that say something, and whose other side is now known or never will
// be.
void Flows::MeetAll() {
  std::vector<std::shared_ptr<Object>> said;
  for (const auto& [id, flow] : alone_) {
    if (!flow->waiting.empty()) said.push_back(flow->object);
  }
  for (const auto& object : said) {
    Flow* const flow = Out(object);
    if (flow->conversation != nullptr) continue;
    const Flow* const other = object->IsPipe() && pairs_ ? OtherHalf(*flow) : nullptr;
    Join(object, other == nullptr ? nullptr : other->object);
  }
}

// --- Order ---------------------------------------------------------------------------------------

void Flows::Start(Conversation& conversation) {
  if (!conversation.decided) sink_->Begin(conversation);
  conversation.decided = true;
}

void Flows::Go(const std::shared_ptr<Object>& object) {
  Meet(object);
  const Flow* const flow = Out(object);
  if (flow->conversation == nullptr) return;
  Conversation& conversation = *flow->conversation;
  Start(conversation);
  Pump(conversation);
  const bool over = std::all_of(
      std::begin(conversation.owned), std::end(conversation.owned),
      [](const auto& each) { return each == nullptr || each->closed || each->from_outside; });
  if (over) sink_->Conclude(conversation);
}

void Flows::DidFinish() {
  finishing_ = true;
  MeetAll();
  for (const auto& conversation : conversations_) {
    Start(*conversation);
    Pump(*conversation);
    sink_->Conclude(*conversation);
  }
}

bool Flows::StillOpen(const Deed& deed) const {
  const Thread* thread = model_->FindThread(deed.thread);
  if (thread == nullptr || thread->ended || !thread->process->alive()) return false;
  return std::any_of(thread->open.begin(), thread->open.end(),
                     [&](const auto& act) { return act->seq == deed.seq; });
}

// Hands on all that can have come before nothing else.
void Flows::Pump(Conversation& conversation) {
  while (true) {
    // The earliest of both directions.
    Flow* flow = nullptr;
    for (const auto& each : conversation.owned) {
      if (each == nullptr || each->waiting.empty()) continue;
      if (flow == nullptr || each->waiting.begin()->first < flow->waiting.begin()->first)
        flow = each.get();
    }
    if (flow == nullptr) return;
    // What its end had taken by then came first.
    Flow* const back = flow->back;
    if (back != nullptr && flow->waiting.begin()->second.taken > back->sent) {
      if (!back->waiting.empty())
        flow = back;
      else if (!finishing_ && !back->closed)
        return;
    }
    Deed& deed = flow->waiting.begin()->second;
    if (!deed.complete) {
      if (StillOpen(deed) && !finishing_) return;
      if (!TakenInstead(*flow, &deed)) {
        flow->waiting.erase(flow->waiting.begin());
        continue;
      }
    }
    if (!deed.known && !deed.close.has_value()) {
      const uint64_t end = flow->sent + deed.size;
      if (flow->taken_from <= flow->sent && flow->taken_from + flow->taken_bytes.size() >= end) {
        deed.bytes = flow->taken_bytes.substr(flow->sent - flow->taken_from, deed.size);
        deed.known = true;
      } else if (!finishing_ && flow->taken < end && !flow->from_outside) {
        return;  // the reader will tell
      }
    }
    constexpr size_t kMostChunks = 512;  // that are remembered of a direction, for their sites
    if (!deed.close.has_value()) {
      flow->sent_chunks.push_back(
          {flow->sent, flow->sent + deed.size, deed.site, deed.enter, deed.leave});
      if (flow->sent_chunks.size() > kMostChunks) flow->sent_chunks.pop_front();
      flow->sent += deed.size;
    }
    sink_->Happened(conversation, *flow, deed);
    if (deed.close.has_value()) {
      flow->half_closed = true;
      flow->closed |= *deed.close != Trigger::kHalfCloses;
    }
    flow->waiting.erase(flow->waiting.begin());
    TrimTaken(flow);
  }
}

}  // namespace ipctrace::protocol
