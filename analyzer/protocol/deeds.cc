// What calls do: which of them send, take and close, and what bytes their records hold.
#include <algorithm>
#include <cstring>

#include "analyzer/protocol/flows.h"

namespace ipctrace::protocol {
namespace {

bool IsStream(const Object& object) {
  return object.kind == ObjectKind::kSocket && object.socket.stream();
}
bool Followed(const Object& object) { return object.IsPipe() || IsStream(object); }

bool Sends(Op op) {
  return op == Op::kWrite || op == Op::kStreamWrite || op == Op::kStreamSeek ||
         op == Op::kStreamClose || op == Op::kPclose || op == Op::kTransfer;
}

// What the call writes to.
std::shared_ptr<Descriptor> Target(const Act& act) {
  if (act.op == Op::kTransfer) return act.process->Find(static_cast<int>(act.a));
  return act.descriptor;
}

// The bytes of an act that moved `size`; false where they are not recorded.
bool BytesOf(const Act& act, uint64_t size, std::string* bytes) {
  std::string payload, preview;
  // A stream's call has two: what the stream held at entry, and what the call put out.
  for (const auto& [tag, data] : act.blobs) {
    if (tag == BlobTag::kPayload) payload += data;
    if (tag == BlobTag::kPreview) preview += data;
  }
  if (payload.empty() && size <= kPreviewBytes) payload = std::move(preview);
  if (payload.empty() && (act.op == Op::kRead || act.op == Op::kWrite) && size <= 16) {
    char first[16];
    std::memcpy(first, &act.b, 8);
    std::memcpy(first + 8, &act.c, 8);
    // dprintf leaves no preview.
    if (act.b == 0 && act.c == 0 && act.call != Call::write && size != 0) return false;
    bytes->assign(first, size);
    return true;
  }
  if (payload.size() < size) return false;
  payload.resize(size);
  *bytes = std::move(payload);
  return true;
}

// Whether the descriptors that `goes` names are all there are of the ends that write to the object.
template <typename Goes>
bool LastHolders(const Object& object, const Goes& goes) {
  for (const Description* description : object.descriptions) {
    if (object.IsPipe() && !description->writable()) continue;
    if (description->outside) return false;
    if (!std::all_of(description->holders.begin(), description->holders.end(), goes)) return false;
  }
  return true;
}

}  // namespace

Deed* Flows::Add(Flow* flow, const Act& act) {
  Deed deed;
  deed.enter = deed.leave = act.enter;
  deed.site = act.site();
  deed.thread = act.thread->id;
  deed.seq = act.seq;
  const Flow* const back = Back(*flow);
  deed.taken = back == nullptr ? 0 : back->taken;
  return &flow->waiting.emplace(Key(act.enter, ++order_), std::move(deed)).first->second;
}

void Flows::DidEnter(const Act& act) {
  if (act.op == Op::kStreamState) return;
  if (act.op == Op::kExit) return ExitFlushes(act);
  if (act.op == Op::kShutdown) {
    // From its entry on: the other side may close in answer before it has returned.
    if (act.descriptor == nullptr || act.a == 0 || !IsStream(*act.descriptor->object())) return;
    Deed* const deed = Add(Out(act.descriptor->object()), act);
    deed->close = act.a == 1 ? Trigger::kHalfCloses : Trigger::kCloses;
    deed->complete = false;
    return;
  }
  const bool reads = act.op == Op::kRead || act.op == Op::kStreamRead;
  if (!Sends(act.op) && !reads) return;
  const auto descriptor = Target(act);
  if (descriptor == nullptr || !Followed(*descriptor->object())) return;
  // Closing a stream, or moving in it, writes only where it was written.
  if (!reads && !descriptor->description->writable()) return;
  const auto object = descriptor->object();
  Tried(object, !reads, act);
  if (!reads) Add(Out(object), act)->complete = false;
}

// exit writes out what the streams hold. The facts just before say what that is.
void Flows::ExitFlushes(const Act& act) {
  for (const auto& [address, stream] : act.process->streams) {
    const auto descriptor = act.process->Find(stream->number);
    const auto it = pending_.find({act.process->id, address});
    if (it == pending_.end() || descriptor == nullptr || stream->pending == 0) continue;
    if (!Followed(*descriptor->object())) continue;
    Tried(descriptor->object(), /*writing=*/true, act);
    Deed* const deed = Add(Out(descriptor->object()), act);
    deed->size = stream->pending;
    deed->known = it->second.size() == stream->pending;
    deed->bytes = it->second;
    deed->taken = 0;
    Go(descriptor->object());
  }
}

void Flows::DidLeave(const Act& act) {
  payload_seen_ |= act.Blob(BlobTag::kPayload) != nullptr;
  switch (act.op) {
    case Op::kStreamState:
      if (act.c != 0) {
        const std::string* bytes = act.Blob(BlobTag::kPayload);
        if (bytes == nullptr) bytes = act.Blob(BlobTag::kPreview);
        pending_[{act.process->id, act.a}] = bytes == nullptr ? "" : *bytes;
      }
      return;
    case Op::kShutdown: {
      Flow* flow = nullptr;
      const auto it = Entered(act, &flow);
      if (flow == nullptr) return;
      it->second.complete = true;
      const auto object = flow->object;
      if (act.failed()) flow->waiting.erase(it);
      return Go(object);
    }
    case Op::kTransfer:
      DidSend(act);
      return DidRead(act);
    case Op::kRead:
    case Op::kStreamRead:
      return DidRead(act);
    default:
      if (Sends(act.op)) DidSend(act);
  }
}

// Where its entry put it: the descriptor may be gone by now.
std::map<Flows::Key, Deed>::iterator Flows::Entered(const Act& act, Flow** found) {
  std::vector<Flow*> candidates;
  if (const auto descriptor = Target(act); descriptor != nullptr) {
    const auto it = by_object_.find(descriptor->object()->id);
    if (it != by_object_.end()) candidates.push_back(it->second);
  }
  if (candidates.empty()) {
    for (const auto& [id, flow] : by_object_) candidates.push_back(flow);
  }
  for (Flow* flow : candidates) {
    for (auto it = flow->waiting.lower_bound({act.enter, 0});
         it != flow->waiting.end() && it->first.first == act.enter; ++it) {
      if (it->second.complete || it->second.thread != act.thread->id || it->second.seq != act.seq)
        continue;
      *found = flow;
      return it;
    }
  }
  return {};
}

void Flows::DidSend(const Act& act) {
  Flow* flow = nullptr;
  const auto it = Entered(act, &flow);
  if (flow == nullptr) return;
  const bool raw = act.op == Op::kWrite || act.op == Op::kTransfer;
  const uint64_t size = !raw                             ? act.b
                        : act.failed() || act.result < 0 ? 0
                                                         : static_cast<uint64_t>(act.result);
  const auto object = flow->object;
  if (size == 0) {
    flow->waiting.erase(it);
  } else {
    Deed& deed = it->second;
    deed.complete = true;
    deed.size = size;
    deed.leave = act.leave;
    if (act.stack != 0) deed.site = act.site();
    deed.known = act.op != Op::kTransfer && BytesOf(act, size, &deed.bytes);
    flow->waiting_bytes += size;
  }
  Go(object);
}

void Flows::DidRead(const Act& act) {
  if (act.descriptor == nullptr || act.failed() || (act.flags & kRecordPeek) != 0) return;
  const auto object = act.descriptor->object();
  if (!Followed(*object)) return;
  const bool nothing = act.result < 0 || (act.op == Op::kTransfer && (act.c & kTransferTee) != 0);
  const uint64_t size = act.op == Op::kStreamRead ? act.b
                        : nothing                 ? 0
                                                  : static_cast<uint64_t>(act.result);
  Flow* const flow = In(object);
  if (flow == nullptr) return;
  if (flow->from_outside) DidReadFromOutside(flow, act, size);
  if (size > 0) {
    std::string bytes;
    const bool known = !flow->from_outside && BytesOf(act, size, &bytes);
    if (known && flow->taken_from + flow->taken_bytes.size() == flow->taken) {
      flow->taken_bytes += bytes;
    } else {
      flow->taken_bytes.clear();
      flow->taken_from = flow->taken + size;
    }
    Site site = act.site();
    site.time = act.leave;               // when the bytes were there
    constexpr size_t kMostChunks = 512;  // that are remembered of a direction, for their sites
    flow->taken_chunks.push_back({flow->taken, flow->taken + size, site, act.enter, act.leave});
    if (flow->taken_chunks.size() > kMostChunks) flow->taken_chunks.pop_front();
    flow->taken += size;
    TrimTaken(flow);
  }
  Go(object);
}

// Who reads tells what was sent, and that it ended.
void Flows::DidReadFromOutside(Flow* flow, const Act& act, uint64_t size) {
  if (size == 0) {
    // End-of-file, unless a stream was served from its buffer.
    const bool served = act.op == Op::kStreamRead ? act.result != 0 : act.a == 0;
    if (served || flow->closed) return;
    Add(flow, act)->close = Trigger::kCloses;
    return;
  }
  Deed* const deed = Add(flow, act);
  deed->leave = act.leave;
  deed->size = size;
  deed->known = BytesOf(act, size, &deed->bytes);
}

// --- Ends ----------------------------------------------------------------------------------------

void Flows::Closed(const std::shared_ptr<Object>& object, const Site& site, Nanos time) {
  if (by_object_.count(object->id) == 0) {
    // Nobody has said anything; but the other side may have, or may yet.
    if (IsStream(*object) ? object->socket.state != SocketState::kConnected : !pairs_) return;
  }
  Deed deed;
  deed.close = IsStream(*object) && object->socket.incoming.Unread() > 0 ? Trigger::kResets
                                                                         : Trigger::kCloses;
  deed.enter = deed.leave = time;
  deed.site = site;
  Out(object)->waiting.emplace(Key(time, ++order_), std::move(deed));
  Go(object);
}

void Flows::WillClose(const std::shared_ptr<Descriptor>& descriptor, const Act& act) {
  const auto object = descriptor->object();
  if (!Followed(*object)) return;
  if (object->IsPipe() && !descriptor->description->writable()) return;
  // fclose writes before it closes: its bytes wait under the same time, and before.
  if (LastHolders(*object, [&](const Descriptor* d) { return d->id == descriptor->id; }))
    Closed(object, act.site(), act.enter);
}

void Flows::WillEnd(const Process& process) {
  std::vector<std::shared_ptr<Object>> gone;
  for (const auto& [number, descriptor] : process.table) {
    const auto object = descriptor->object();
    if (!Followed(*object) || std::find(gone.begin(), gone.end(), object) != gone.end()) continue;
    if (object->IsPipe() && !descriptor->description->writable()) continue;
    if (LastHolders(*object, [&](const Descriptor* d) { return d->process_id == process.id; }))
      gone.push_back(object);
  }
  Site site;
  site.process = process.id;
  site.pid = process.pid;
  site.time = model_->now();
  for (const Thread* thread : process.threads) {
    if (thread->current() != nullptr) site = thread->current()->site();
  }
  for (const auto& object : gone) Closed(object, site, model_->now());
}

}  // namespace ipctrace::protocol
