#include "analyzer/protocol/tracker.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/story.h"
#include "analyzer/report/escape.h"

namespace ipctrace::protocol {
namespace {

constexpr size_t kMostChunks = 512;   // that are remembered of a direction, for their sites
constexpr size_t kMostHistory = 64;   // messages of a conversation

size_t without_payload = 0;

struct Chunk {
  uint64_t begin = 0, end = 0;
  Site site;
  Nanos enter = 0, leave = 0;
};

const Chunk* ChunkAt(const std::deque<Chunk>& chunks, uint64_t offset) {
  for (auto it = chunks.rbegin(); it != chunks.rend(); ++it) {
    if (it->begin <= offset && offset < it->end) return &*it;
  }
  return nullptr;
}

// Something that one side does: bytes or the end of them.
struct Event {
  std::optional<Trigger> close;  // none: bytes
  bool complete = true;
  bool known = true;     // `bytes` are these bytes; false: `size` of them
  std::string bytes;
  uint64_t size = 0;
  Site site;
  Nanos enter = 0, leave = 0;
  uint32_t thread = 0;
  uint64_t seq = 0;
  uint64_t taken = 0;    // bytes that this end had taken from the other direction by then
};

struct Conversation;

// One direction: from the socket, or through the pipe.
struct Flow {
  std::shared_ptr<Object> object;
  bool from_outside = false;  // then `object` is the socket that receives
  Conversation* conversation = nullptr;
  Flow* back = nullptr;       // the other direction
  std::map<std::pair<Nanos, uint64_t>, Event> waiting;  // by entry
  uint64_t sent = 0;          // bytes handed on
  uint64_t taken = 0;         // bytes that the receiver has read
  std::deque<Chunk> sent_chunks, taken_chunks;
  std::string taken_bytes;    // what the receiver read, from `taken_from` on
  uint64_t taken_from = 0;
  bool closed = false, half_closed = false;
};

struct Said {
  int role = 0;
  uint64_t begin = 0, end = 0;
  std::string text;  // "request \"hello\""
  Nanos time = 0;
};

// One protocol's view of a conversation.
struct Check {
  std::shared_ptr<const Protocol> protocol;
  size_t index = 0;
  std::unique_ptr<Machine> machine;
  std::unique_ptr<Framer> framers[2];  // by role
  Flow* flows[2] = {nullptr, nullptr};
  std::deque<Said> history;
  bool done = false;    // nothing more is judged
  // The violation, until it is known who took what.
  std::optional<Verdict> verdict;
  int role = 0;           // who did it
  Said said;              // the message, if it was one
  bool was_message = false;
  Site site;
  Nanos time = 0;
  // Of the other side's message that had begun and was not whole then.
  std::string unfinished, missing;
  uint64_t unfinished_begin = 0, unfinished_end = 0;
  bool broken_framing = false;
};

struct Conversation {
  std::unique_ptr<Flow> owned[2];
  std::vector<Check> checks;
  std::shared_ptr<Object> ends[2];
  Nanos began = 0;
  bool decided = false;  // which protocols are for it
};

bool TwoWay(const Protocol& protocol) {
  bool sends[2] = {false, false};
  for (const State& state : protocol.states) {
    for (const Transition& t : state.transitions) {
      if (t.trigger == Trigger::kSends) sends[t.role] = true;
    }
  }
  return sends[0] && sends[1];
}

int PortOf(const std::string& address) {
  const size_t colon = address.rfind(':');
  return colon == std::string::npos ? 0 : atoi(address.c_str() + colon + 1);
}

bool IsStream(const Object& object) {
  return object.kind == ObjectKind::kSocket && object.socket.stream();
}

}  // namespace

struct Tracker::Impl {
  const Model* model = nullptr;
  Tracker* tracker = nullptr;
  std::map<uint64_t, std::unique_ptr<Flow>> flows;  // not yet in a conversation, by object
  std::map<uint64_t, Flow*> by_object;              // of all
  std::map<uint64_t, Flow*> outside;                // from outside to this object
  std::vector<std::unique_ptr<Conversation>> conversations;
  std::vector<Coverage> coverage;
  uint64_t order = 0;
  bool saw_payload = false;
  bool finishing = false;

  // --- Directions
  Flow* Out(const std::shared_ptr<Object>& object) {
    const auto it = by_object.find(object->id);
    if (it != by_object.end()) return it->second;
    auto flow = std::make_unique<Flow>();
    flow->object = object;
    Flow* const raw = flow.get();
    flows[object->id] = std::move(flow);
    by_object[object->id] = raw;
    return raw;
  }

  static bool Followed(const Object& object) { return object.IsPipe() || IsStream(object); }

  // The direction that is read at this object. Null: it is not known yet.
  Flow* In(const std::shared_ptr<Object>& object, bool reading) {
    if (object->IsPipe()) return Out(object);
    if (const auto it = outside.find(object->id); it != outside.end()) return it->second;
    if (auto other = object->socket.other_end.lock()) return Out(other);
    Flow* const out = Out(object);
    if (out->back != nullptr) return out->back;
    if (!reading) return nullptr;
    Pair(object, nullptr);
    return Out(object)->back;
  }

  std::unique_ptr<Flow> Release(const std::shared_ptr<Object>& object) {
    Out(object);
    const auto it = flows.find(object->id);
    if (it == flows.end()) return nullptr;
    auto flow = std::move(it->second);
    flows.erase(it);
    return flow;
  }

  void Pair(const std::shared_ptr<Object>& a, const std::shared_ptr<Object>& b) {
    auto conversation = std::make_unique<Conversation>();
    conversation->began = model->now();
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
      outside[a->id] = flow.get();
      conversation->owned[1] = std::move(flow);
    }
    for (int i = 0; i < 2; ++i) {
      if (conversation->owned[i] == nullptr) continue;
      conversation->owned[i]->conversation = conversation.get();
      conversation->owned[i]->back = conversation->owned[1 - i].get();
    }
    conversations.push_back(std::move(conversation));
  }

  // Makes the conversation of a socket or pipe as soon as it is known who is in it.
  void Meet(const std::shared_ptr<Object>& object, bool now = false) {
    Flow* const flow = Out(object);
    if (flow->conversation != nullptr) return;
    if (object->IsPipe()) return Pair(object, nullptr);
    auto other = object->socket.other_end.lock();
    if (other != nullptr) return Pair(object, other);
    if (now) Pair(object, nullptr);
  }

  // --- What is sent
  Event* Add(Flow* flow, const Act& act) {
    Event event;
    event.enter = act.enter;
    event.leave = act.enter;
    event.site = act.site();
    event.thread = act.thread->id;
    event.seq = act.seq;
    Flow* const in = flow->object->IsPipe() || flow->from_outside ? nullptr : In(flow->object, false);
    event.taken = in == nullptr ? 0 : in->taken;
    return &flow->waiting.emplace(std::make_pair(act.enter, ++order), std::move(event)).first->second;
  }

  static std::shared_ptr<Descriptor> Target(const Act& act) {
    if (act.op == Op::kTransfer) return act.process->Find(static_cast<int>(act.a));
    return act.descriptor;
  }

  static bool Sends(Op op) {
    return op == Op::kWrite || op == Op::kStreamWrite || op == Op::kStreamSeek ||
           op == Op::kStreamClose || op == Op::kPclose || op == Op::kTransfer;
  }

  void DidEnter(const Act& act) {
    if (act.op == Op::kStreamState) return;
    if (act.op == Op::kExit) return ExitFlushes(act);
    if (!Sends(act.op)) return;
    const auto descriptor = Target(act);
    if (descriptor == nullptr || !Followed(*descriptor->object())) return;
    Event* const event = Add(Out(descriptor->object()), act);
    event->complete = false;
  }

  // exit writes out what the streams hold. The facts just before say what that is.
  void ExitFlushes(const Act& act) {
    for (const auto& [address, stream] : act.process->streams) {
      const auto descriptor = act.process->Find(stream->number);
      const auto it = pending.find({act.process->id, address});
      if (it == pending.end() || descriptor == nullptr || stream->pending == 0) continue;
      if (!Followed(*descriptor->object())) continue;
      Event* const event = Add(Out(descriptor->object()), act);
      event->size = stream->pending;
      event->known = it->second.size() == stream->pending;
      event->bytes = it->second;
      event->taken = 0;
      Go(descriptor->object());
    }
  }
  std::map<std::pair<uint32_t, uint64_t>, std::string> pending;  // of a process's streams

  // The bytes of an act that moved `size`; false where they are not recorded.
  bool BytesOf(const Act& act, uint64_t size, std::string* bytes) {
    bool recorded = false;
    bytes->clear();
    // A stream's call has two: what the stream held at entry, and what the call put out.
    for (const auto& [tag, payload] : act.blobs) {
      if (tag != BlobTag::kPayload) continue;
      recorded = saw_payload = true;
      *bytes += payload;
    }
    if (recorded) {
      if (bytes->size() > size) bytes->resize(size);
      return bytes->size() == size;
    }
    if ((act.op == Op::kRead || act.op == Op::kWrite) && size <= 16) {
      char first[16];
      std::memcpy(first, &act.b, 8);
      std::memcpy(first + 8, &act.c, 8);
      bytes->assign(first, size);
      // dprintf leaves no preview.
      return size == 0 || act.b != 0 || act.c != 0 || act.call == Call::write;
    }
    return false;
  }

  void DidLeave(const Act& act) {
    switch (act.op) {
      case Op::kStreamState:
        if (act.c != 0) {
          const std::string* payload = act.Blob(BlobTag::kPayload);
          pending[{act.process->id, act.a}] = payload == nullptr ? "" : *payload;
        }
        return;
      case Op::kShutdown:
        if (!act.failed() && act.descriptor != nullptr && act.a != 0 &&
            IsStream(*act.descriptor->object())) {
          Event* const event = Add(Out(act.descriptor->object()), act);
          event->close = act.a == 1 ? Trigger::kHalfCloses : Trigger::kCloses;
          Go(act.descriptor->object());
        }
        return;
      case Op::kRead:
      case Op::kStreamRead:
        return DidRead(act);
      default:
        break;
    }
    if (!Sends(act.op)) return;
    // Where the entry put it: the descriptor may be gone by now.
    Flow* flow = nullptr;
    auto it = Entered(act, &flow);
    if (flow == nullptr) return;
    uint64_t size = 0;
    if (act.op == Op::kWrite || act.op == Op::kTransfer)
      size = act.failed() || act.result < 0 ? 0 : static_cast<uint64_t>(act.result);
    else
      size = act.b;
    const auto object = flow->object;
    if (size == 0) {
      flow->waiting.erase(it);
    } else {
      Event& event = it->second;
      event.complete = true;
      event.size = size;
      event.leave = act.leave;
      if (act.stack != 0) event.site = act.site();
      event.known = act.op != Op::kTransfer && BytesOf(act, size, &event.bytes);
    }
    if (act.op == Op::kTransfer) DidRead(act);
    Go(object);
  }

  std::map<std::pair<Nanos, uint64_t>, Event>::iterator Entered(const Act& act, Flow** found) {
    std::vector<Flow*> candidates;
    if (const auto descriptor = Target(act); descriptor != nullptr) {
      const auto it = by_object.find(descriptor->object()->id);
      if (it != by_object.end()) candidates.push_back(it->second);
    }
    if (candidates.empty()) {
      for (const auto& [id, flow] : by_object) candidates.push_back(flow);
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

  void DidRead(const Act& act) {
    if (act.descriptor == nullptr || (act.flags & kRecordPeek) != 0) return;
    const auto object = act.descriptor->object();
    if (!Followed(*object)) return;
    uint64_t size = act.op == Op::kStreamRead ? act.b
                    : act.failed() || act.result < 0 || (act.op == Op::kTransfer && act.c != 0)
                        ? 0
                        : static_cast<uint64_t>(act.result);
    if (act.failed()) return;
    Flow* const flow = In(object, /*reading=*/true);
    if (flow == nullptr) return;
    if (flow->from_outside) {
      Event* const event = Add(flow, act);
      event->leave = act.leave;
      event->size = size;
      if (size == 0) {
        // End-of-file, unless a stream was served from its buffer.
        if (act.op == Op::kStreamRead ? act.result != 0 : act.a == 0) {
          flow->waiting.erase(std::prev(flow->waiting.end()));
        } else if (!flow->closed) {
          event->close = Trigger::kCloses;
        }
      } else {
        event->known = BytesOf(act, size, &event->bytes);
      }
    }
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
      site.time = act.leave;  // when the bytes were there
      flow->taken_chunks.push_back({flow->taken, flow->taken + size, site, act.enter, act.leave});
      if (flow->taken_chunks.size() > kMostChunks) flow->taken_chunks.pop_front();
      flow->taken += size;
      TrimTaken(flow);
    }
    Go(object);
  }

  // Bytes that were handed on from the sender's side need not be kept.
  static void TrimTaken(Flow* flow) {
    const uint64_t end = flow->taken_from + flow->taken_bytes.size();
    if (flow->sent >= end) {
      flow->taken_bytes.clear();
      flow->taken_from = end;
    } else if (flow->sent > flow->taken_from + 65536) {
      flow->taken_bytes.erase(0, flow->sent - flow->taken_from);
      flow->taken_from = flow->sent;
    }
  }

  // --- Ends
  // Whether this process's copies are all there are of the ends that write to the object.
  static bool LastHolders(const Object& object, const std::function<bool(const Descriptor&)>& goes) {
    for (const Description* description : object.descriptions) {
      if (object.IsPipe() && !description->writable()) continue;
      if (description->outside) return false;
      for (const Descriptor* holder : description->holders) {
        if (!goes(*holder)) return false;
      }
    }
    return true;
  }

  void Closed(const std::shared_ptr<Object>& object, const Site& site, Nanos time) {
    const auto it = by_object.find(object->id);
    if (it == by_object.end()) {
      // Nobody has said anything; but the other side may have, or may yet.
      if (!IsStream(*object) || object->socket.state != SocketState::kConnected) return;
    }
    Flow* const flow = Out(object);
    Event event;
    event.close = IsStream(*object) && object->socket.incoming.Unread() > 0 ? Trigger::kResets
                                                                            : Trigger::kCloses;
    event.enter = event.leave = time;
    event.site = site;
    flow->waiting.emplace(std::make_pair(time, ++order), std::move(event));
    Go(object);
  }

  void WillClose(const std::shared_ptr<Descriptor>& descriptor, const Act& act) {
    const auto object = descriptor->object();
    if (!Followed(*object)) return;
    if (object->IsPipe() && !descriptor->description->writable()) return;
    if (LastHolders(*object, [&](const Descriptor& d) { return d.id == descriptor->id; })) {
      // fclose writes before it closes.
      Closed(object, act.site(), act.enter);
    }
  }

  void WillEnd(const Process& process) {
    std::vector<std::shared_ptr<Object>> gone;
    for (const auto& [number, descriptor] : process.table) {
      const auto object = descriptor->object();
      if (!Followed(*object) || std::find(gone.begin(), gone.end(), object) != gone.end()) continue;
      if (object->IsPipe() && !descriptor->description->writable()) continue;
      if (LastHolders(*object, [&](const Descriptor& d) { return d.process_id == process.id; }))
        gone.push_back(object);
    }
    Site site;
    site.process = process.id;
    site.pid = process.pid;
    site.time = model->now();
    for (const Thread* thread : process.threads) {
      if (thread->current() != nullptr) site = thread->current()->site();
    }
    for (const auto& object : gone) Closed(object, site, model->now());
  }

  void DidFinish() {
    finishing = true;
    std::vector<std::shared_ptr<Object>> alone;
    for (const auto& [id, flow] : flows) {
      if (!flow->waiting.empty()) alone.push_back(flow->object);
    }
    for (const auto& object : alone) Meet(object, /*now=*/true);
    for (const auto& conversation : conversations) {
      Decide(*conversation);
      Pump(*conversation);
      Conclude(*conversation);
    }
  }

  // --- Order
  void Go(const std::shared_ptr<Object>& object) {
    Meet(object);
    Flow* flow = Out(object);
    if (flow->conversation == nullptr) return;
    Decide(*flow->conversation);
    Pump(*flow->conversation);
    Conversation& conversation = *flow->conversation;
    bool over = true;
    for (const auto& each : conversation.owned) {
      over = over && (each == nullptr || each->closed || each->from_outside);
    }
    if (over) Conclude(conversation);
  }

  bool StillOpen(const Event& event) const {
    const Thread* thread = model->FindThread(event.thread);
    if (thread == nullptr || thread->ended || !thread->process->alive()) return false;
    return std::any_of(thread->open.begin(), thread->open.end(),
                       [&](const auto& act) { return act->seq == event.seq; });
  }

  void Pump(Conversation& conversation) {
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
      if (back != nullptr && flow->waiting.begin()->second.taken > back->sent &&
          !back->waiting.empty()) {
        flow = back;
      } else if (back != nullptr && flow->waiting.begin()->second.taken > back->sent && !finishing &&
                 !back->closed) {
        return;
      }
      Event& event = flow->waiting.begin()->second;
      if (!event.complete) {
        if (StillOpen(event) && !finishing) return;
        if (!TakenInstead(flow, &event)) {
          flow->waiting.erase(flow->waiting.begin());
          continue;
        }
      }
      if (!event.known && !event.close.has_value()) {
        const uint64_t end = flow->sent + event.size;
        if (flow->taken_from <= flow->sent && flow->taken_from + flow->taken_bytes.size() >= end) {
          event.bytes = flow->taken_bytes.substr(flow->sent - flow->taken_from, event.size);
          event.known = true;
        } else if (!finishing && flow->taken < end && !flow->from_outside) {
          return;  // the reader will tell
        }
      }
      Happened(conversation, *flow, event);
      flow->waiting.erase(flow->waiting.begin());
      TrimTaken(flow);
    }
  }

  // A write that never returned (its thread was killed in it) has still sent what was read.
  bool TakenInstead(Flow* flow, Event* event) const {
    if (flow->taken <= flow->sent || flow->from_outside) return false;
    event->complete = true;
    event->known = false;
    event->size = flow->taken - flow->sent;
    return true;
  }

  // --- Which protocols are for a conversation
  void Decide(Conversation& conversation) {
    if (conversation.decided) return;
    conversation.decided = true;
    const auto& protocols = LoadedProtocols();
    for (size_t i = 0; i < protocols.size(); ++i) {
      const Protocol& protocol = *protocols[i];
      const int first = RoleOfFirst(protocol, conversation);  // of owned[0]
      if (first < 0) continue;
      Check check;
      check.protocol = protocols[i];
      check.index = i;
      check.machine = std::make_unique<Machine>(protocols[i], conversation.began, &coverage[i]);
      auto http = std::make_shared<HttpMemory>();
      for (int role = 0; role < 2; ++role) {
        check.flows[role] = conversation.owned[role == first ? 0 : 1].get();
        check.framers[role] =
            std::make_unique<Framer>(protocol.roles[static_cast<size_t>(role)].framing, http);
      }
      conversation.checks.push_back(std::move(check));
    }
  }

  // The role that the sender of owned[0] plays; -1: the protocol is not for this conversation.
  int RoleOfFirst(const Protocol& protocol, const Conversation& conversation) const {
    const Object& object = *conversation.ends[0];
    const Object* const other = conversation.ends[1].get();
    int role = -1;
    const Role::Plays plays = protocol.roles[0].plays != Role::kAny ? protocol.roles[0].plays
                              : Opposite(protocol.roles[1].plays);
    const auto when = [&](bool plays_it) { return plays_it ? 0 : 1; };
    if (object.IsPipe()) {
      if (object.born.process == 0 && object.kind == ObjectKind::kPipe) return -1;
      if (TwoWay(protocol)) return -1;
      const Site first = FirstSite(*conversation.owned[0]);
      switch (plays) {
        case Role::kAny: {
          // The one who sends.
          role = 0;
          for (const State& state : protocol.states) {
            for (const Transition& t : state.transitions) {
              if (t.trigger == Trigger::kSends) role = t.role;
            }
          }
          break;
        }
        case Role::kWrites:
        case Role::kReads:
          role = when(plays == Role::kWrites);
          break;
        case Role::kParent:
        case Role::kChild:
          role = when((first.process == object.born.process) == (plays == Role::kParent));
          break;
        default:
          return -1;
      }
    } else {
      const bool accepted = object.socket.accepted;
      const bool pair = !accepted && other != nullptr && !other->socket.accepted;
      switch (plays) {
        case Role::kConnects:
        case Role::kAccepts:
          if (pair || (other == nullptr && !accepted && object.born.process == 0)) return -1;
          role = when(accepted == (plays == Role::kAccepts));
          break;
        case Role::kParent:
        case Role::kChild: {
          const Site first = FirstSite(*conversation.owned[0]);
          const Site back = conversation.owned[1] == nullptr ? Site() : FirstSite(*conversation.owned[1]);
          const uint32_t maker = object.born.process;
          const bool parent = first.process != 0 ? first.process == maker : back.process != maker;
          role = when(parent == (plays == Role::kParent));
          break;
        }
        case Role::kAny: {
          // Role 0 is who speaks first.
          const Flow *a = conversation.owned[0].get(), *b = conversation.owned[1].get();
          const bool b_first = a->waiting.empty() ||
                               (b != nullptr && !b->waiting.empty() &&
                                b->waiting.begin()->first < a->waiting.begin()->first);
          role = b_first ? 1 : 0;
          break;
        }
        default:
          return -1;
      }
    }
    const int port = std::max(protocol.roles[0].port, protocol.roles[1].port);
    if (port != 0) {
      const bool accepted = object.socket.accepted;
      const bool matches = object.kind == ObjectKind::kSocket &&
                           PortOf(accepted ? object.socket.local : object.socket.peer) == port;
      if (!matches) return -1;
    }
    for (int i = 0; i < 2; ++i) {
      const std::string& program = protocol.roles[static_cast<size_t>(i)].program;
      const Flow* flow = conversation.owned[i == role ? 0 : 1].get();
      if (program.empty() || flow == nullptr) continue;
      const Process* process = ProcessAt(*model, FirstSite(*flow));
      if (process == nullptr && !flow->from_outside) process = HolderOf(*flow->object);
      if (process == nullptr || process->name != program) return -1;
    }
    return role;
  }

  static const Process* HolderOf(const Object& object) {
    for (const Description* description : object.descriptions) {
      for (const Descriptor* holder : description->holders) return holder->process;
    }
    return nullptr;
  }

  static Role::Plays Opposite(Role::Plays plays) {
    switch (plays) {
      case Role::kConnects:
        return Role::kAccepts;
      case Role::kAccepts:
        return Role::kConnects;
      case Role::kWrites:
        return Role::kReads;
      case Role::kReads:
        return Role::kWrites;
      case Role::kParent:
        return Role::kChild;
      case Role::kChild:
        return Role::kParent;
      case Role::kAny:
        break;
    }
    return Role::kAny;
  }

  static Site FirstSite(const Flow& flow) {
    if (flow.from_outside) return Site();
    if (!flow.sent_chunks.empty()) return flow.sent_chunks.front().site;
    return flow.waiting.empty() ? Site() : flow.waiting.begin()->second.site;
  }

  // --- What happens
  void Happened(Conversation& conversation, Flow& flow, Event& event) {
    if (!event.close.has_value()) {
      const uint64_t begin = flow.sent;
      flow.sent += event.size;
      flow.sent_chunks.push_back({begin, flow.sent, event.site, event.enter, event.leave});
      if (flow.sent_chunks.size() > kMostChunks) flow.sent_chunks.pop_front();
    }
    const bool again = event.close.has_value() && flow.half_closed;
    if (event.close.has_value()) {
      flow.half_closed = true;
      if (*event.close != Trigger::kHalfCloses) flow.closed = true;
    }
    for (Check& check : conversation.checks) {
      if (check.done) continue;
      const int role = check.flows[0] == &flow ? 0 : 1;
      Framer& framer = *check.framers[role];
      const Verdict tick = check.machine->Tick(event.enter);
      if (!tick.ok()) {
        TimeIsUp(check, role, tick, event);
        continue;
      }
      Frame frame;
      if (event.close.has_value()) {
        if (again && !check.protocol->mentions_half_close) continue;
        const Framer::Result result = framer.Close(&frame);
        if (result == Framer::Result::kMessage) Message(check, role, flow, frame, event);
        if (check.done) continue;
        if (result == Framer::Result::kError) {
          Verdict verdict;
          verdict.fault = Fault::kNotAllowed;
          verdict.state = check.machine->state().name;
          verdict.came = absl::StrCat(check.protocol->roles[static_cast<size_t>(role)].name,
                                      " closed in the middle of a message, after ",
                                      Preview(framer.rest()));
          verdict.why = framer.Missing();
          Violated(check, role, verdict, event);
          check.unfinished.clear();
          check.broken_framing = true;
          continue;
        }
        const Verdict verdict = check.machine->Closes(role, *event.close, event.enter);
        if (!verdict.ok()) Violated(check, role, verdict, event);
        continue;
      }
      if (!event.known) {
        check.done = true;
        if (!saw_payload) ++without_payload;
        continue;
      }
      framer.Add(event.bytes);
      while (!check.done) {
        const Framer::Result result = framer.Next(&frame);
        if (result == Framer::Result::kNeedsMore) break;
        if (result == Framer::Result::kOpaque) {
          check.done = true;
        } else if (result == Framer::Result::kError) {
          Verdict verdict;
          verdict.fault = Fault::kNotAllowed;
          verdict.state = check.machine->state().name;
          verdict.allowed = check.machine->Allowed();
          verdict.came = absl::StrCat(check.protocol->roles[static_cast<size_t>(role)].name, " sent ",
                                      Preview(framer.rest()), ", which is no message");
          verdict.why = framer.error();
          const uint64_t at = framer.offset();
          check.said = {role, at, at + framer.rest().size(), "", event.enter};
          Violated(check, role, verdict, event, /*was_message=*/true);
          check.unfinished.clear();
          check.broken_framing = true;
        } else {
          Message(check, role, flow, frame, event);
        }
      }
    }
  }

  void Message(Check& check, int role, Flow& flow, const Frame& frame, const Event& event) {
    const Verdict verdict = check.machine->Sends(role, frame, event.enter);
    Said said;
    said.role = role;
    said.begin = frame.begin;
    said.end = frame.end;
    said.time = event.enter;
    const int kind = verdict.ok() ? check.machine->last_message() : verdict.message;
    const std::string name = kind < 0 ? "" : check.protocol->messages[static_cast<size_t>(kind)].name;
    said.text = (name.empty() ? "" : name + " ") + Preview(frame.bytes);
    if (tracker->listener != nullptr && !flow.from_outside) {
      tracker->listener->DidSay(flow.object->id, frame.begin, frame.end, name,
                                verdict.ok() ? check.machine->state().name : "");
    }
    if (!verdict.ok()) {
      check.said = said;
      Violated(check, role, verdict, event, /*was_message=*/true);
      return;
    }
    check.history.push_back(std::move(said));
    if (check.history.size() > kMostHistory) check.history.pop_front();
  }

  void TimeIsUp(Check& check, int role, const Verdict& verdict, const Event& event) {
    Violated(check, role, verdict, event);
    check.unfinished.clear();
    Framer& framer = *check.framers[role];
    if (event.close.has_value() || !event.known) return;
    framer.Add(event.bytes);
    check.verdict->came += absl::StrCat(", and only then ",
                                        check.protocol->roles[static_cast<size_t>(role)].name, " sent ",
                                        Preview(event.bytes));
    check.was_message = true;
    check.said = {role, framer.offset(), framer.offset() + event.bytes.size(), "", event.enter};
  }

  void Violated(Check& check, int role, const Verdict& verdict, const Event& event,
                bool was_message = false) {
    check.done = true;
    check.verdict = verdict;
    check.role = role;
    check.was_message = was_message;
    check.site = event.site;
    check.time = event.enter;
    const Framer& other = *check.framers[1 - role];
    check.unfinished = std::string(other.rest());
    if (!check.unfinished.empty()) {
      check.missing = other.Missing();
      check.unfinished_begin = other.offset();
      check.unfinished_end = other.offset() + other.rest().size();
    }
  }

  // --- The complaint
  void Conclude(Conversation& conversation) {
    for (Check& check : conversation.checks) {
      if (!check.done && check.machine != nullptr) {
        // At the end of the run, time has gone on.
        const Verdict tick = check.machine->Tick(model->now());
        if (!tick.ok()) {
          check.done = true;
          check.verdict = tick;
          check.role = check.machine->MaySend(0) ? 0 : 1;
          check.time = model->now();
        }
      }
      if (check.verdict.has_value()) {
        Complain(conversation, check);
      } else if (!check.done && check.machine != nullptr && !check.machine->Final() && Worth(conversation, check)) {
        Incomplete(conversation, check);
      }
      check.done = true;
      check.verdict.reset();
      check.machine = nullptr;
    }
    for (const auto& flow : conversation.owned) {
      if (flow != nullptr) {
        flow->taken_bytes.clear();
        flow->taken_bytes.shrink_to_fit();
      }
    }
  }

  bool Worth(const Conversation& conversation, const Check& check) const {
    if (check.history.empty() && check.framers[0]->rest().empty() && check.framers[1]->rest().empty()) {
      // Nobody said anything: a connection that was only opened.
      return false;
    }
    if (!model->finished()) return true;
    return model->finish_reason() != FinishReason::kInterrupted &&
           model->finish_reason() != FinishReason::kAnalyzerCut;
  }

  std::string WhoIs(const Check& check, int role, Site* site = nullptr) const {
    const Flow* flow = check.flows[role];
    const std::string& name = check.protocol->roles[static_cast<size_t>(role)].name;
    const Process* process = nullptr;
    if (flow != nullptr && !flow->from_outside) {
      if (!flow->sent_chunks.empty()) process = ProcessAt(*model, flow->sent_chunks.back().site);
    }
    const Flow* in = check.flows[1 - role];
    if (process == nullptr && in != nullptr && !in->taken_chunks.empty() &&
        !(flow != nullptr && flow->from_outside))
      process = ProcessAt(*model, in->taken_chunks.back().site);
    if (process == nullptr) return "the " + name;
    return absl::StrCat("the ", name, " ", Named(*process));
  }

  // Who said it, and who took it.
  void Tell(const Check& check, const Said& said, std::vector<Step>* story) const {
    const Flow* flow = check.flows[said.role];
    if (flow == nullptr) return;
    const Chunk* sent = ChunkAt(flow->sent_chunks, said.begin);
    const Chunk* sent_last = ChunkAt(flow->sent_chunks, said.end - 1);
    if (sent != nullptr && !flow->from_outside) {
      const Process* process = ProcessAt(*model, sent->site);
      story->push_back(StepAt(
          absl::StrCat(process == nullptr ? "the sender" : Named(*process), " sent ",
                       said.text.empty() ? Bytes(said.end - said.begin) : said.text,
                       sent_last != nullptr && sent_last != sent ? ", in pieces" : ""),
          sent->site));
    }
    const Chunk* taken = ChunkAt(flow->taken_chunks, said.end - 1);
    if (taken != nullptr) {
      const Process* process = ProcessAt(*model, taken->site);
      story->push_back(StepAt(
          absl::StrCat(process == nullptr ? "the receiver" : Named(*process), " took ",
                       said.text.empty() ? Bytes(said.end - said.begin) : said.text.substr(0, 40).c_str(),
                       taken->begin > said.begin ? ", the rest of it" : "",
                       ": the read gave ", Bytes(taken->end - taken->begin)),
          taken->site));
    }
  }

  // The last read by this role before `time`, where it did not end where a message ends.
  struct Boundary {
    const Chunk* chunk = nullptr;
    bool inside = false;   // it ended inside a message
    size_t messages = 0;   // whole ones in it
    const Said* said = nullptr;
  };
  Boundary OneRead(const Check& check, int role, Nanos time) const {
    Boundary boundary;
    const Flow* in = check.flows[1 - role];
    if (in == nullptr) return boundary;
    for (auto it = in->taken_chunks.rbegin(); it != in->taken_chunks.rend(); ++it) {
      if (it->leave > time) continue;
      boundary.chunk = &*it;
      break;
    }
    // A stream's buffer takes what comes; where it cuts is its own affair.
    if (boundary.chunk == nullptr || OpOf(boundary.chunk->site.call) != Op::kRead) return Boundary();
    for (const Said& said : check.history) {
      if (said.role == role) continue;
      if (said.begin >= boundary.chunk->begin && said.end <= boundary.chunk->end) {
        ++boundary.messages;
        boundary.said = &said;
      }
      if (said.begin < boundary.chunk->end && boundary.chunk->end < said.end) {
        boundary.inside = true;
        boundary.said = &said;
      }
    }
    return boundary;
  }

  std::string HowMessagesEnd(const Check& check, int sender) const {
    return check.protocol->roles[static_cast<size_t>(sender)].framing.Words();
  }

  Complaint Begin(const Conversation& conversation, const Check& check) const {
    Complaint complaint;
    const Said* last = nullptr;
    size_t first = check.history.size() > 4 ? check.history.size() - 4 : 0;
    for (size_t i = first; i < check.history.size(); ++i) {
      Tell(check, check.history[i], &complaint.story);
      last = &check.history[i];
    }
    (void)last;
    for (const auto& end : conversation.ends) {
      if (end != nullptr) AddSubject(complaint.subjects, end->id);
    }
    return complaint;
  }

  static void Sort(Complaint* complaint) {
    std::stable_sort(complaint->story.begin(), complaint->story.end(),
                     [](const Step& a, const Step& b) { return a.site.time < b.site.time; });
  }

  void Emit(const Check& check, Complaint complaint, uint64_t offset) {
    Sort(&complaint);
    if (complaint.site.stack == 0) {
      // A close at the end of a process has no line: the last thing it did has.
      for (auto step = complaint.story.rbegin(); step != complaint.story.rend(); ++step) {
        if (step->site.stack == 0) continue;
        complaint.site = step->site;
        break;
      }
    }
    if (tracker->listener != nullptr) {
      const Flow* flow = check.flows[check.role];
      if (flow == nullptr || flow->from_outside) flow = check.flows[1 - check.role];
      if (flow != nullptr) tracker->listener->DidComplain(flow->object->id, offset, complaint);
    }
    const auto& to = complaint.incomplete ? tracker->on_incomplete : tracker->on_violation;
    if (to) to(complaint);
  }

  void Complain(const Conversation& conversation, Check& check) {
    const Verdict& verdict = *check.verdict;
    const int role = check.role, other = 1 - role;
    Complaint complaint = Begin(conversation, check);
    const std::string& protocol = check.protocol->name;
    if (check.was_message) Tell(check, check.said, &complaint.story);
    complaint.site = check.site;
    if (check.was_message) {
      const Flow* flow = check.flows[role];
      const Chunk* chunk = ChunkAt(flow->sent_chunks, check.said.begin);
      if (chunk != nullptr && !flow->from_outside) complaint.site = chunk->site;
      // From outside: the line that took it is the one there is.
      const Chunk* taken = ChunkAt(flow->taken_chunks, check.said.begin);
      if (flow->from_outside && taken != nullptr) complaint.site = taken->site;
    }

    // The other side's message was not whole. Whose fault that is, what came next tells: a sender
    // that went on without having read this had more to say, and the receiver did not wait for it.
    if (!check.unfinished.empty() && verdict.fault != Fault::kTimer) {
      const Flow* flow = check.flows[other];
      const Chunk* next = ChunkAt(flow->sent_chunks, check.unfinished_end);
      const Flow* mine = check.flows[role];
      const Chunk* heard = check.was_message ? ChunkAt(mine->taken_chunks, check.said.begin) : nullptr;
      const bool sender_went_on = next != nullptr && (heard == nullptr || heard->leave > next->enter);
      const Chunk* piece = ChunkAt(flow->sent_chunks, check.unfinished_end - 1);
      if (!sender_went_on) {
        complaint.message = absl::StrCat(
            WhoIs(check, other), " sent ", Preview(check.unfinished), " and not the end of its message: ",
            check.missing, " (protocol ", protocol, ": ", HowMessagesEnd(check, other), "), while ",
            verdict.came);
        complaint.fix = absl::StrCat("Send the whole message: ", HowMessagesEnd(check, other));
        if (piece != nullptr && !flow->from_outside) {
          complaint.site = piece->site;
          complaint.story.push_back(StepAt(
              absl::StrCat(WhoIs(check, other), " sent ", Preview(check.unfinished)), piece->site));
        }
        return Finish(check, std::move(complaint));
      }
      const Chunk* took = ChunkAt(flow->taken_chunks, check.unfinished_end - 1);
      if (took != nullptr) {
        complaint.message = absl::StrCat(
            WhoIs(check, role), " takes one read for one message: the read gave ", Bytes(took->end - took->begin),
            ", ", Preview(check.unfinished), ", the beginning of a message (protocol ", protocol, ": ",
            HowMessagesEnd(check, other), "), and ", verdict.came);
        complaint.site = took->site;
        complaint.story.push_back(
            StepAt(absl::StrCat(WhoIs(check, role), " took ", Preview(check.unfinished), " for a message"),
                   took->site));
        complaint.fix = absl::StrCat("Read on until the message is whole, for ",
                                     HowMessagesEnd(check, other),
                                     "; one read may give less or more than one write sent");
        return Finish(check, std::move(complaint));
      }
    }

    // It was whole, but not for its receiver.
    if (check.was_message && !check.broken_framing && verdict.fault != Fault::kTimer) {
      const Boundary boundary = OneRead(check, role, check.time);
      const bool glued = boundary.messages > 1;
      if (boundary.chunk != nullptr && (boundary.inside || glued)) {
        complaint.message = absl::StrCat(
            WhoIs(check, role), " takes one read for one message: the read gave ",
            Bytes(boundary.chunk->end - boundary.chunk->begin), ", ",
            boundary.inside ? absl::StrCat("which end inside ", boundary.said->text)
                            : absl::StrCat("which are ", boundary.messages, " messages"),
            " (protocol ", protocol, ": ", HowMessagesEnd(check, other), "), and ", verdict.came);
        complaint.site = boundary.chunk->site;
        complaint.fix = absl::StrCat("Read on until the message is whole, and keep what follows it, for ",
                                     HowMessagesEnd(check, other),
                                     "; one read may give less or more than one write sent");
        return Finish(check, std::move(complaint));
      }
    }

    complaint.message = absl::StrCat(verdict.came, " in state ", verdict.state, " of protocol ", protocol);
    if (verdict.fault == Fault::kTimer) {
      complaint.message = absl::StrCat("In state ", verdict.state, " of protocol ", protocol, ", ",
                                       verdict.came);
    }
    if (!verdict.why.empty()) absl::StrAppend(&complaint.message, ": ", verdict.why);
    if (!verdict.allowed.empty() && verdict.fault != Fault::kGuard)
      absl::StrAppend(&complaint.message, "; allowed was: ", verdict.allowed);
    const std::string& name = check.protocol->roles[static_cast<size_t>(role)].name;
    complaint.fix =
        verdict.fault == Fault::kTimer ? absl::StrCat("Let the ", name, " answer in time")
        : check.broken_framing
            ? absl::StrCat("Send whole messages: ", HowMessagesEnd(check, role))
            : absl::StrCat("Let the ", name, " do in state ", verdict.state,
                           " what the protocol allows there: ", verdict.allowed);
    if (!check.was_message && check.site.process != 0) {
      const Process* process = ProcessAt(*model, check.site);
      complaint.story.push_back(StepAt(
          absl::StrCat(process == nullptr ? "it" : Named(*process), verdict.fault == Fault::kTimer
                                                                        ? " came too late"
                                                                        : " ended its side here"),
          check.site));
    }
    Finish(check, std::move(complaint));
  }

  void Finish(const Check& check, Complaint complaint) {
    if (!complaint.message.empty()) complaint.message[0] = absl::ascii_toupper(static_cast<unsigned char>(complaint.message[0]));
    const uint64_t offset =
        check.was_message ? check.said.begin
                          : (check.flows[check.role] == nullptr ? 0 : check.flows[check.role]->sent);
    Emit(check, std::move(complaint), offset);
  }

  void Incomplete(const Conversation& conversation, Check& check) {
    Complaint complaint = Begin(conversation, check);
    complaint.incomplete = true;
    const Machine& machine = *check.machine;
    const int debtor = machine.MaySend(0) == machine.MaySend(1) ? (machine.MaySend(1) ? 1 : 0)
                                                                : (machine.MaySend(0) ? 0 : 1);
    check.role = debtor;
    const std::string& protocol = check.protocol->name;
    // The side that owes: the last thing it did on the conversation.
    const Flow *in = check.flows[1 - debtor], *out = check.flows[debtor];
    const Chunk* last = in != nullptr && !in->taken_chunks.empty() && !(out != nullptr && out->from_outside)
                            ? &in->taken_chunks.back()
                            : nullptr;
    if (last == nullptr && out != nullptr && !out->sent_chunks.empty() && !out->from_outside)
      last = &out->sent_chunks.back();
    if (last == nullptr && in != nullptr && !in->sent_chunks.empty()) last = &in->sent_chunks.back();
    if (last != nullptr) complaint.site = last->site;
    const Framer& partial = *check.framers[1 - debtor];
    const Boundary boundary = OneRead(check, debtor, model->now());
    for (const int role : {1 - debtor, debtor}) {
      const Framer& framer = *check.framers[role];
      if (framer.rest().empty()) continue;
      complaint.message =
          absl::StrCat("The conversation ended in the middle of a message: ", WhoIs(check, role), " sent ",
                       Preview(framer.rest()), ", and ", framer.Missing(), " (protocol ", protocol, ": ",
                       HowMessagesEnd(check, role), ")");
      complaint.fix = absl::StrCat("Send the whole message: ", HowMessagesEnd(check, role));
      const Flow* flow = check.flows[role];
      const Chunk* piece = flow == nullptr ? nullptr
                                           : ChunkAt(flow->sent_chunks, framer.offset() + framer.rest().size() - 1);
      if (piece != nullptr && !flow->from_outside) {
        complaint.site = piece->site;
        complaint.story.push_back(
            StepAt(absl::StrCat(WhoIs(check, role), " sent ", Preview(framer.rest())), piece->site));
      }
      return FinishIncomplete(check, std::move(complaint));
    }
    (void)partial;
    if (boundary.chunk != nullptr && boundary.messages > 1) {
      complaint.message = absl::StrCat(
          WhoIs(check, debtor), " takes one read for one message: the read gave ",
          Bytes(boundary.chunk->end - boundary.chunk->begin), ", which are ", boundary.messages,
          " messages (protocol ", protocol, ": ", HowMessagesEnd(check, 1 - debtor),
          "); it still owed: ", machine.Owed());
      complaint.site = boundary.chunk->site;
      complaint.fix = absl::StrCat("Keep what follows the first message, and take the next one from it, for ",
                                   HowMessagesEnd(check, 1 - debtor),
                                   "; one read may give less or more than one write sent");
      return FinishIncomplete(check, std::move(complaint));
    }
    complaint.message = absl::StrCat("The conversation ended in state ", machine.state().name, " of protocol ",
                                     protocol, ", which is no final one; still owed was: ", machine.Owed());
    if (machine.Outstanding() > 0)
      absl::StrAppend(&complaint.message, " (", machine.Outstanding(), " not answered)");
    complaint.fix = absl::StrCat("Let the ", check.protocol->roles[static_cast<size_t>(debtor)].name,
                                 " do what is owed before the conversation ends: ", machine.Owed());
    FinishIncomplete(check, std::move(complaint));
  }

  void FinishIncomplete(const Check& check, Complaint complaint) {
    if (!complaint.message.empty()) complaint.message[0] = absl::ascii_toupper(static_cast<unsigned char>(complaint.message[0]));
    const Flow* flow = check.flows[check.role];
    Emit(check, std::move(complaint), flow == nullptr ? 0 : flow->sent);
  }
};

Tracker::Tracker(const Model* model) : impl_(std::make_unique<Impl>()) {
  impl_->model = model;
  impl_->tracker = this;
  for (const auto& protocol : LoadedProtocols()) impl_->coverage.emplace_back(*protocol);
}

Tracker::~Tracker() = default;

std::shared_ptr<Tracker> Tracker::Of(const Model* model) {
  static auto* const trackers = new std::map<const Model*, std::weak_ptr<Tracker>>;
  std::weak_ptr<Tracker>& slot = (*trackers)[model];
  std::shared_ptr<Tracker> tracker = slot.lock();
  if (tracker == nullptr) {
    tracker.reset(new Tracker(model));
    slot = tracker;
  }
  return tracker;
}

bool Tracker::DrivenBy(const void* who) {
  if (driver_ == nullptr) driver_ = who;
  return driver_ == who;
}

bool Tracker::Watches(Op op) {
  if (LoadedProtocols().empty()) return false;
  switch (op) {
    case Op::kRead:
    case Op::kWrite:
    case Op::kTransfer:
    case Op::kStreamRead:
    case Op::kStreamWrite:
    case Op::kStreamSeek:
    case Op::kStreamClose:
    case Op::kStreamState:
    case Op::kPclose:
    case Op::kShutdown:
    case Op::kExit:
      return true;
    default:
      return false;
  }
}

void Tracker::DidEnter(const Act& act) { impl_->DidEnter(act); }
void Tracker::DidLeave(const Act& act) { impl_->DidLeave(act); }
void Tracker::WillClose(const std::shared_ptr<Descriptor>& descriptor, const Act& act) {
  impl_->WillClose(descriptor, act);
}
void Tracker::WillEnd(const Process& process) { impl_->WillEnd(process); }
void Tracker::DidFinish() { impl_->DidFinish(); }
const std::vector<Coverage>& Tracker::coverage() const { return impl_->coverage; }
size_t Tracker::WithoutPayload() { return without_payload; }

}  // namespace ipctrace::protocol
