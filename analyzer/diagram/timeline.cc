#include "analyzer/diagram/timeline.h"

#include <errno.h>
#include <string.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "analyzer/events/log.h"
#include "analyzer/model/model.h"
#include "analyzer/model/story.h"
#include "analyzer/protocol/tracker.h"

namespace ipctrace::diagram {
namespace {

constexpr Nanos kBlockedFrom = 1'000'000;  // a shorter wait is no span
constexpr size_t kPreview = 40;

bool Followed(const Object& object) {
  return object.IsPipe() || (object.kind == ObjectKind::kSocket && object.socket.stream());
}

// Collects while the model replays; makes the diagram at the end.
class Recorder : public Rule, public protocol::Listener {
 public:
  explicit Recorder(const Cut& cut) : cut_(cut) {}

  bool Watches(Op op) const override { return op != Op::kModules && op != Op::kProbe; }

  void DidLeave(const Act& act) override {
    Blocked(act, act.leave);
    switch (act.op) {
      case Op::kWrite:
      case Op::kStreamWrite:
      case Op::kStreamClose:
      case Op::kPclose:
      case Op::kTransfer:
        return DidWrite(act);
      case Op::kRead:
      case Op::kStreamRead:
        return DidRead(act);
      case Op::kConnect:
        if (act.descriptor == nullptr) return;
        Event(act, absl::StrCat("connect to ", act.descriptor->object()->socket.peer,
                                act.failed() ? absl::StrCat(": ", strerrorname_np(act.err)) : ""),
              "connect", act.descriptor->object());
        return;
      case Op::kListen:
        if (act.descriptor != nullptr && !act.failed())
          Event(act, absl::StrCat("listens on ", act.descriptor->object()->socket.local), "listen",
                act.descriptor->object());
        return;
      case Op::kAccept: {
        if (act.failed()) return;
        const auto made = act.process->Find(static_cast<int>(act.result));
        if (made == nullptr) return;
        Item item;
        item.kind = Item::kConnect;
        item.time = act.leave;
        item.sort = "accept";
        item.text = absl::StrCat("connection accepted as fd ", act.result);
        Put(act, std::move(item), made->object());
        if (const auto client = made->object()->socket.other_end.lock();
            client != nullptr && client->born.process != 0) {
          Entry& entry = items_.back();
          entry.to_process = entry.process;
          entry.to_thread = entry.thread;
          entry.process = client->born.process;
          entry.thread = 0;
        }
        return;
      }
      case Op::kPipe:
        if (!act.failed()) {
          const auto end = act.process->Find(static_cast<int>(act.a));
          Event(act, absl::StrCat("pipe: fd ", act.a, " reads, fd ", act.b, " writes"), "pipe",
                end == nullptr ? nullptr : end->object());
        }
        return;
      case Op::kSocketpair:
        if (!act.failed()) {
          const auto end = act.process->Find(static_cast<int>(act.c & 0xffffffff));
          Event(act, absl::StrCat("socketpair: fd ", act.c & 0xffffffff, " and fd ", act.c >> 32),
                "socketpair", end == nullptr ? nullptr : end->object());
        }
        return;
      case Op::kShutdown:
        if (act.descriptor != nullptr && !act.failed())
          Event(act, absl::StrCat("shuts down fd ", act.fd, act.a == 0 ? " for reading" : " for writing"),
                "shutdown", act.descriptor->object());
        return;
      default:
        return;
    }
  }

  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how, const Act& act) override {
    if (!Followed(*descriptor->object())) return;
    Event(act, absl::StrCat("closes fd ", descriptor->number, ", ", Describe(*descriptor->description)),
          "close", descriptor->object(), act.enter);
  }

  void DidFork(const Process& parent, const Process& child, const Act* act) override {
    Item item;
    item.kind = Item::kFork;
    item.time = model().now();
    item.text = "fork";
    item.sort = "fork";
    forks_.push_back({items_.size(), child.id});
    PutOn(parent.id, act == nullptr || act->thread == nullptr || act->process != &parent ? 0 : act->thread->id,
          std::move(item), nullptr);
  }

  void DidExec(const Process& process, const Act* act) override {
    Item item;
    item.time = model().now();
    item.text = absl::StrCat("exec ", process.name);
    item.sort = "exec";
    PutOn(process.id, 0, std::move(item), nullptr);
  }

  void WillEnd(const Process& process) override {
    for (const Thread* thread : process.threads) {
      for (const auto& act : thread->open) Blocked(*act, model().now());
    }
    Item item;
    item.time = model().now();
    item.sort = "end";
    item.text = process.end == EndKind::kKilled
                    ? absl::StrCat("killed by SIG", sigabbrev_np(process.status) == nullptr
                                                        ? "?"
                                                        : sigabbrev_np(process.status))
                    : absl::StrCat("exits with ", process.status);
    PutOn(process.id, 0, std::move(item), nullptr);
  }

  void DidFinish() override {
    for (const Process* process : model().processes()) {
      for (const Thread* thread : process->threads) {
        for (const auto& act : thread->open) {
          if (!process->alive() || !Waits(*act)) continue;
          Item item;
          item.kind = Item::kBlocked;
          item.time = act->enter;
          item.sort = "hang";
          item.text = absl::StrCat(CallName(act->call), act->fd >= 0 ? absl::StrCat("(", act->fd, ")") : "",
                                   " never returned: it waited for ", Duration(model().now() - act->enter));
          PutOn(process->id, thread->id, std::move(item),
                act->descriptor == nullptr ? nullptr : act->descriptor->object());
        }
      }
    }
  }

  // --- protocol::Listener
  void DidSay(uint64_t object, uint64_t begin, uint64_t end, const std::string& message,
              const std::string& state) override {
    if (said_[object].size() < (1 << 20)) said_[object].push_back({begin, end, message, state});
  }
  void DidComplain(uint64_t object, uint64_t offset, const protocol::Complaint& complaint) override {
    complaints_.push_back({object, offset, complaint.message, complaint.site, complaint.incomplete});
  }

  // --- At the end
  void Draw(Diagram* diagram) {
    // 1. Who read what was sent, and what the protocols call it.
    for (Sent& sent : sent_) {
      Item& item = items_[sent.item].item;
      const auto& taken = taken_[sent.object];
      const auto it = std::lower_bound(taken.begin(), taken.end(), sent.begin,
                                       [](const Taken& t, uint64_t offset) { return t.end <= offset; });
      item.unread = it == taken.end();
      if (it != taken.end()) {
        items_[sent.item].to_process = it->process;
        items_[sent.item].to_thread = it->thread;
        const Nanos later = it->time - item.time;
        if (later >= kBlockedFrom) item.text += ", read " + Duration(later) + " later";
      } else {
        item.text += ", never read";
        // To whoever reads the rest of it.
        const auto reader = readers_.find(sent.object);
        if (reader != readers_.end() && reader->second != items_[sent.item].process)
          items_[sent.item].to_process = reader->second;
      }
      std::string names, state;
      const auto& said = said_[sent.object];
      auto first = std::upper_bound(said.begin(), said.end(), sent.begin,
                                    [](uint64_t offset, const Said& s) { return offset < s.end; });
      for (; first != said.end() && first->end <= sent.end; ++first) {
        if (names.size() < 60) absl::StrAppend(&names, names.empty() ? "" : ", ", first->message);
        state = first->state;
      }
      if (!names.empty()) {
        item.text = names + " " + item.text;
        item.sort = names;
      }
      if (!state.empty()) item.text += " → " + state;
    }
    // 2. Both sides of a fork.
    for (const auto& [index, child] : forks_) items_[index].to_process = child;
    // 3. Violations.
    for (const Complained& each : complaints_) {
      Entry entry;
      entry.item.kind = Item::kViolation;
      entry.item.text = (each.incomplete ? "protocol-incomplete: " : "protocol-violation: ") + each.text;
      entry.item.sort = each.text;
      entry.item.time = each.site.time;
      entry.process = each.site.process;
      entry.about = connection_of_[each.object];
      for (const Sent& sent : sent_) {
        if (sent.object != each.object || each.offset < sent.begin || each.offset >= sent.end) continue;
        entry.item.time = items_[sent.item].item.time + 1;
        entry.process = items_[sent.item].process;
      }
      items_.push_back(std::move(entry));
    }
    // 4. In order, cut, with a lifeline for each who has a part in it.
    std::stable_sort(items_.begin(), items_.end(),
                     [](const Entry& a, const Entry& b) { return a.item.time < b.item.time; });
    std::map<std::pair<uint32_t, uint32_t>, int> lines;
    std::map<uint32_t, std::vector<uint32_t>> threads;
    for (const Entry& entry : items_) {
      if (!Kept(entry)) continue;
      Note(entry.process, entry.thread, &threads);
      if (entry.to_process != 0) Note(entry.to_process, entry.to_thread, &threads);
    }
    const auto line_of = [&](uint32_t process, uint32_t thread) {
      if (process == 0) return -1;
      const auto& all = threads[process];
      if (all.size() < 2) thread = 0;
      if (thread == 0 && all.size() > 1) thread = all.front();
      const auto [it, added] = lines.emplace(std::make_pair(process, thread), static_cast<int>(lines.size()));
      if (added) {
        const Process* who = model().Find(process);
        const Thread* part = thread == 0 ? nullptr : model().FindThread(thread);
        std::string name = who == nullptr ? "?" : Describe(*who);
        if (part != nullptr && who != nullptr && part->tid != who->pid) absl::StrAppend(&name, " thread ", part->tid);
        diagram->lifelines.push_back(name);
      }
      return it->second;
    };
    for (Entry& entry : items_) {
      if (!Kept(entry)) continue;
      entry.item.from = line_of(entry.process, entry.thread);
      entry.item.to = line_of(entry.to_process, entry.to_thread);
      if (entry.item.from < 0) continue;
      diagram->items.push_back(std::move(entry.item));
    }
  }

 private:
  struct Entry {
    Item item;
    uint32_t process = 0, thread = 0, to_process = 0, to_thread = 0;
    std::string about;  // the connection or pipe; empty: none
  };
  struct Sent {
    size_t item;
    uint64_t object, begin, end;
  };
  struct Taken {
    uint64_t begin, end;
    uint32_t process, thread;
    Nanos time;
  };
  struct Said {
    uint64_t begin, end;
    std::string message, state;
  };
  struct Complained {
    uint64_t object, offset;
    std::string text;
    Site site;
    bool incomplete;
  };

  static void Note(uint32_t process, uint32_t thread, std::map<uint32_t, std::vector<uint32_t>>* threads) {
    auto& all = (*threads)[process];
    if (thread != 0 && std::find(all.begin(), all.end(), thread) == all.end()) all.push_back(thread);
  }

  bool Kept(const Entry& entry) const {
    if (entry.item.time < cut_.from || entry.item.time > cut_.until) return false;
    if (!cut_.connection.empty() && !absl::StrContains(entry.about, cut_.connection)) return false;
    if (cut_.process.empty()) return true;
    for (const uint32_t id : {entry.process, entry.to_process}) {
      const Process* process = id == 0 ? nullptr : model().Find(id);
      if (process != nullptr && (process->name == cut_.process || std::to_string(process->pid) == cut_.process))
        return true;
    }
    return false;
  }

  static bool Waits(const Act& act) {
    switch (act.op) {
      case Op::kRead:
      case Op::kWrite:
      case Op::kStreamRead:
      case Op::kStreamWrite:
      case Op::kAccept:
      case Op::kConnect:
      case Op::kWait:
      case Op::kPoll:
      case Op::kEpollWait:
      case Op::kSleep:
      case Op::kThreadJoin:
      case Op::kTransfer:
        return true;
      default:
        return false;
    }
  }

  void Blocked(const Act& act, Nanos until) {
    if (!Waits(act) || until - act.enter < kBlockedFrom) return;
    Item item;
    item.kind = Item::kBlocked;
    item.time = act.enter;
    item.sort = absl::StrCat("blocked ", CallName(act.call));
    item.text = absl::StrCat(act.op == Op::kSleep ? "" : "waits in ", CallName(act.call),
                             act.fd >= 0 ? absl::StrCat("(", act.fd, ")") : "", " for ",
                             Duration(until - act.enter));
    Put(act, std::move(item), act.descriptor == nullptr ? nullptr : act.descriptor->object());
  }

  void Put(const Act& act, Item item, const std::shared_ptr<Object>& about) {
    PutOn(act.process->id, act.thread->id, std::move(item), about);
  }

  void PutOn(uint32_t process, uint32_t thread, Item item, const std::shared_ptr<Object>& about) {
    Entry entry;
    entry.item = std::move(item);
    entry.process = process;
    entry.thread = thread;
    if (about != nullptr) {
      entry.about = Describe(*about);
      std::string& known = connection_of_[about->id];
      if (known.empty()) known = entry.about;
    }
    items_.push_back(std::move(entry));
  }

  void Event(const Act& act, std::string text, std::string sort, const std::shared_ptr<Object>& about,
             Nanos time = -1) {
    Item item;
    item.time = time >= 0 ? time : act.leave;
    item.text = std::move(text);
    item.sort = std::move(sort);
    Put(act, std::move(item), about);
  }

  static std::string First(const Act& act, uint64_t size) {
    std::string bytes;
    for (const auto& [tag, payload] : act.blobs) {
      if (tag == BlobTag::kPayload && bytes.size() < kPreview * 2) bytes += payload.substr(0, kPreview * 2);
    }
    if (bytes.empty() && (act.op == Op::kRead || act.op == Op::kWrite)) {
      bytes.resize(16);
      memcpy(bytes.data(), &act.b, 8);
      memcpy(bytes.data() + 8, &act.c, 8);
    }
    if (bytes.empty()) return Bytes(size);
    bytes.resize(std::min<uint64_t>({bytes.size(), size, kPreview}));
    return absl::StrCat("\"", bytes, "\"", bytes.size() < size ? "… " : " ", Bytes(size));
  }

  void DidWrite(const Act& act) {
    const auto descriptor =
        act.op == Op::kTransfer ? act.process->Find(static_cast<int>(act.a)) : act.descriptor;
    if (descriptor == nullptr || !Followed(*descriptor->object())) return;
    const auto object = descriptor->object();
    if (act.failed()) {
      if (act.err == EPIPE || act.err == ECONNRESET)
        Event(act, absl::StrCat(CallName(act.call), " meets ", strerrorname_np(act.err)), "broken", object);
      return;
    }
    const bool raw = act.op == Op::kWrite || act.op == Op::kTransfer;
    const uint64_t size = raw ? static_cast<uint64_t>(std::max<int64_t>(act.result, 0)) : act.b;
    if (size == 0) return;
    Item item;
    item.kind = Item::kMessage;
    item.time = act.enter;
    item.sort = "message";
    item.text = First(act, size);
    uint64_t& offset = written_[object->id];
    sent_.push_back({items_.size(), object->id, offset, offset + size});
    offset += size;
    Put(act, std::move(item), object);
  }

  void DidRead(const Act& act) {
    if (act.descriptor == nullptr || (act.flags & kRecordPeek) != 0) return;
    const auto object = act.descriptor->object();
    if (!Followed(*object)) return;
    if (act.failed()) {
      if (act.err == ECONNRESET) Event(act, "meets a reset (RST)", "reset", object);
      return;
    }
    const uint64_t size = act.op == Op::kRead ? static_cast<uint64_t>(std::max<int64_t>(act.result, 0)) : act.b;
    if (size == 0) {
      if (act.result == 0 && (act.op == Op::kStreamRead || act.a != 0)) Event(act, absl::StrCat("end-of-file on fd ", act.fd), "eof", object);
      return;
    }
    uint64_t from = object->id;
    if (!object->IsPipe()) {
      const auto other = object->socket.other_end.lock();
      if (other != nullptr) peer_[object->id] = other->id;
      const auto it = peer_.find(object->id);
      if (it == peer_.end()) {
        Item item;
        item.kind = Item::kEvent;
        item.time = act.leave;
        item.sort = "from outside";
        item.text = "gets from outside the run " + First(act, size);
        return Put(act, std::move(item), object);
      }
      from = it->second;
    }
    uint64_t& offset = read_[from];
    taken_[from].push_back({offset, offset + size, act.process->id, act.thread->id, act.leave});
    offset += size;
    readers_[from] = act.process->id;
  }

  const Cut cut_;
  std::vector<Entry> items_;
  std::vector<Sent> sent_;
  std::map<uint64_t, std::vector<Taken>> taken_;
  std::map<uint64_t, std::vector<Said>> said_;
  std::map<uint64_t, uint64_t> written_, read_, peer_;
  std::map<uint64_t, uint32_t> readers_;  // processes
  std::map<uint64_t, std::string> connection_of_;
  std::vector<std::pair<size_t, uint32_t>> forks_;
  std::vector<Complained> complaints_;
};

class NoSink : public FindingSink {
 public:
  void Add(Finding) override {}
  bool CountRepetition(std::string_view, uint32_t, uint32_t) override { return false; }
  bool SamePlace(uint32_t a, uint32_t b) override { return a == b; }
};

class Feed : public EventSink {
 public:
  explicit Feed(Model* model) : model_(model) {}
  void Take(const Event& event) override { model_->Take(event); }

 private:
  Model* model_;
};

}  // namespace

absl::Status ReadDiagram(const std::string& trace, const Cut& cut, Diagram* diagram,
                         std::vector<protocol::Coverage>* coverage) {
  Model model(nullptr);
  NoSink sink;
  RuleSet rules(&model, &sink, [](std::string_view id) { return absl::StartsWith({id.data(), id.size()}, "protocol-"); });
  auto owned = std::make_unique<Recorder>(cut);
  Recorder* const recorder = owned.get();
  rules.Add(std::move(owned), &model);
  model.SetRules(&rules);
  const auto tracker = protocol::Tracker::Of(&model);
  tracker->SetListener(recorder);
  Feed feed(&model);
  const absl::Status status = ReadEventLog(trace, &feed);
  if (!status.ok() && status.code() != absl::StatusCode::kDataLoss) return status;
  recorder->Draw(diagram);
  if (coverage != nullptr) *coverage = tracker->coverage();
  tracker->SetListener(nullptr);
  return status;
}

namespace {

// Several conversations at once make no cycle. Of a long diagram's rows of one sort, between the same
// lifelines, the first and the last few stay.
void FoldInterleaved(Diagram* diagram) {
  constexpr size_t kLong = 400, kFirst = 6, kLast = 2;
  if (diagram->items.size() < kLong) return;
  using Sort = std::tuple<Item::Kind, int, int, std::string, bool>;
  const auto sort_of = [](const Item& item) {
    return Sort(item.kind, item.from, item.to, item.kind == Item::kFold ? "" : item.sort, item.unread);
  };
  std::map<Sort, size_t> all, seen;
  for (const Item& item : diagram->items) ++all[sort_of(item)];
  std::vector<Item> kept;
  for (Item& item : diagram->items) {
    const Sort sort = sort_of(item);
    const size_t number = seen[sort]++, count = all[sort];
    const bool stays = item.kind == Item::kViolation || count <= 2 * (kFirst + kLast) || number < kFirst ||
                       number + kLast >= count;
    if (stays) {
      kept.push_back(std::move(item));
    } else if (!kept.empty() && kept.back().kind == Item::kFold && kept.back().sort == "interleaved") {
      kept.back().more += item.kind == Item::kFold ? item.more : 1;
    } else {
      Item fold;
      fold.kind = Item::kFold;
      fold.time = item.time;
      fold.from = item.from;
      fold.to = item.to;
      fold.sort = "interleaved";
      fold.text = "rows like these ";
      fold.more = item.kind == Item::kFold ? item.more : 1;
      kept.push_back(std::move(fold));
    }
  }
  diagram->items = std::move(kept);
}

}  // namespace

void Fold(Diagram* diagram) {
  constexpr size_t kLongest = 8;  // items of a cycle
  constexpr size_t kShown = 2, kLeast = 4;
  const auto& items = diagram->items;
  const auto same = [&](size_t a, size_t b) {
    return items[a].kind == items[b].kind && items[a].from == items[b].from && items[a].to == items[b].to &&
           items[a].sort == items[b].sort && items[a].unread == items[b].unread &&
           items[a].kind != Item::kViolation;
  };
  std::vector<Item> folded;
  for (size_t i = 0; i < items.size();) {
    size_t period = 0, rounds = 0;
    for (size_t p = 1; p <= kLongest && i + p * kLeast <= items.size(); ++p) {
      size_t end = i + p;
      while (end < items.size() && same(end, end - p)) ++end;
      const size_t r = (end - i) / p;
      if (r >= kLeast && r * p > rounds * period) {
        period = p;
        rounds = r;
      }
    }
    if (period == 0) {
      folded.push_back(items[i++]);
      continue;
    }
    for (size_t k = 0; k < kShown * period; ++k) folded.push_back(items[i + k]);
    Item fold;
    fold.kind = Item::kFold;
    fold.time = items[i + kShown * period].time;
    fold.more = static_cast<int64_t>(rounds - kShown);
    fold.from = items[i].from;
    fold.to = items[i].to;
    fold.text = period == 1 ? "" : absl::StrCat("the last ", period, " rows ");
    folded.push_back(std::move(fold));
    i += rounds * period;
  }
  diagram->items = std::move(folded);
  FoldInterleaved(diagram);
}

}  // namespace ipctrace::diagram
