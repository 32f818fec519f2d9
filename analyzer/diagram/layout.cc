// From all that happened to a diagram: who read what was sent, what the protocols call it, and a
// lifeline for each process and thread that has a part in it.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "analyzer/diagram/recorder.h"
#include "analyzer/model/story.h"

namespace ipctrace::diagram {
namespace {

constexpr Nanos kLate = 1'000'000;  // what is read so much later is said to be

// Gives out the lifelines, in the order in which they are asked for. A process with one thread has
// one line.
class Lifelines {
 public:
  explicit Lifelines(const Model& model) : model_(model) {}

  void Note(uint32_t process, uint32_t thread_id) {
    const int32_t thread = TidOf(thread_id);
    auto& all = threads_[process];
    if (thread != 0 && std::find(all.begin(), all.end(), thread) == all.end())
      all.push_back(thread);
  }

  int Of(uint32_t process, uint32_t thread_id, std::vector<std::string>* names) {
    if (process == 0) return -1;
    int32_t thread = TidOf(thread_id);
    const auto& all = threads_[process];
    if (all.size() < 2) thread = 0;
    if (thread == 0 && all.size() > 1) thread = all.front();
    const auto [it, added] =
        lines_.emplace(std::make_pair(process, thread), static_cast<int>(lines_.size()));
    if (added) names->push_back(NameOf(process, thread));
    return it->second;
  }

 private:
  // After an exec, the main thread has another id in the trace and the same tid.
  int32_t TidOf(uint32_t thread_id) const {
    const Thread* thread = thread_id == 0 ? nullptr : model_.FindThread(thread_id);
    return thread == nullptr ? 0 : thread->tid;
  }

  std::string NameOf(uint32_t process, int32_t thread) const {
    const Process* who = model_.Find(process);
    if (who == nullptr) return "?";
    std::string name = Describe(*who);
    if (thread != 0 && thread != who->pid) absl::StrAppend(&name, " thread ", thread);
    return name;
  }

  const Model& model_;
  std::map<uint32_t, std::vector<int32_t>> threads_;  // of a process: tids
  std::map<std::pair<uint32_t, int32_t>, int> lines_;
};

}  // namespace

void Recorder::JoinBothSides() {
  for (Sent& sent : sent_) {
    Entry& entry = items_[sent.item];
    Item& item = entry.item;
    const auto& taken = taken_[sent.object];
    const auto it =
        std::lower_bound(taken.begin(), taken.end(), sent.begin,
                         [](const Taken& t, uint64_t offset) { return t.end <= offset; });
    item.unread = it == taken.end();
    if (it != taken.end()) {
      entry.to_process = it->process;
      entry.to_thread = it->thread;
      const Nanos later = it->time - item.time;
      if (later >= kLate) item.text += ", read " + Duration(later) + " later";
    } else {
      const bool outside = !sent.pipe && peer_.count(sent.object) == 0;
      item.unread = !outside;
      item.text += outside ? ", to outside the run" : ", never read";
      // To whoever reads the rest of it.
      const auto reader = readers_.find(sent.object);
      if (reader != readers_.end() && reader->second != entry.process)
        entry.to_process = reader->second;
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
  const auto user_of_peer = [&](uint64_t object) {
    const auto peer = peer_.find(object);
    const auto user = peer == peer_.end() ? user_.end() : user_.find(peer->second);
    return user == user_.end() ? 0 : user->second;
  };
  for (Entry& entry : items_) {
    if (entry.child != nullptr) entry.to_process = entry.child->id;
    if (entry.to_peer_of != 0) entry.to_process = user_of_peer(entry.to_peer_of);
    if (entry.from_peer_of == 0) continue;
    if (const uint32_t client = user_of_peer(entry.from_peer_of); client != 0) {
      entry.process = client;
      entry.thread = 0;
    }
  }
}

void Recorder::AddViolations() {
  for (const Complained& each : complaints_) {
    Entry entry;
    entry.item.kind = Item::kViolation;
    entry.item.text =
        (each.incomplete ? "protocol-incomplete: " : "protocol-violation: ") + each.text;
    entry.item.sort = each.text;
    entry.item.time = each.site.time;
    entry.process = each.site.process;
    entry.about = connection_of_[each.object];
    for (const Sent& sent : sent_) {
      if (sent.object != each.object || each.offset < sent.begin || each.offset >= sent.end)
        continue;
      entry.item.time = items_[sent.item].item.time + 1;
      entry.process = items_[sent.item].process;
    }
    items_.push_back(std::move(entry));
  }
}

void Recorder::Draw(Diagram* diagram) {
  JoinBothSides();
  AddViolations();
  std::stable_sort(items_.begin(), items_.end(),
                   [](const Entry& a, const Entry& b) { return a.item.time < b.item.time; });
  Lifelines lifelines(model());
  for (const Entry& entry : items_) {
    if (!Kept(entry)) continue;
    lifelines.Note(entry.process, entry.thread);
    if (entry.to_process != 0) lifelines.Note(entry.to_process, entry.to_thread);
  }
  for (Entry& entry : items_) {
    if (!Kept(entry)) continue;
    entry.item.from = lifelines.Of(entry.process, entry.thread, &diagram->lifelines);
    entry.item.to = lifelines.Of(entry.to_process, entry.to_thread, &diagram->lifelines);
    if (entry.item.from >= 0) diagram->items.push_back(std::move(entry.item));
  }
}

bool Recorder::Kept(const Entry& entry) const {
  if (entry.item.time < cut_.from || entry.item.time > cut_.until) return false;
  if (!cut_.connection.empty() && !absl::StrContains(entry.about, cut_.connection)) return false;
  if (cut_.process.empty()) return true;
  for (const uint32_t id : {entry.process, entry.to_process}) {
    const Process* process = id == 0 ? nullptr : model().Find(id);
    if (process != nullptr &&
        (process->name == cut_.process || std::to_string(process->pid) == cut_.process))
      return true;
  }
  return false;
}

}  // namespace ipctrace::diagram
