#include "analyzer/model/cycles.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/story.h"
#include "analyzer/model/waits.h"

namespace ipctrace {
namespace {

// Waits for others to end, and does nothing else.
bool WaitsForAnEnd(const Act& act) {
  return act.op == Op::kWait || act.op == Op::kThreadJoin || act.op == Op::kPclose ||
         act.op == Op::kSystem;
}

bool IsSocketpair(const Object& object) {
  return object.kind == ObjectKind::kSocket && object.socket.domain == AF_UNIX &&
         !object.socket.accepted && object.socket.local.empty() && object.socket.peer.empty();
}

bool HasEnds(const Object& object) { return object.IsPipe() || IsSocketpair(object); }

bool Wrote(const Descriptor& descriptor) {
  return descriptor.usage.writes > 0 || descriptor.usage.write_bytes > 0;
}

bool HasUnwrittenOutput(const Descriptor& descriptor) {
  auto stream = descriptor.stream.lock();
  return stream != nullptr && stream->pending > 0;
}

// The deadlock as a graph.
class Graph {
 public:
  explicit Graph(const Deadlock& deadlock) : deadlock_(deadlock) {
    for (const Wait& wait : deadlock.waits) {
      if (node_.try_emplace(wait.thread, static_cast<int>(threads_.size())).second) {
        threads_.push_back(wait.thread);
      }
      waits_of_[wait.thread].push_back(&wait);
    }
    edges_.resize(threads_.size());
    for (const Wait& wait : deadlock.waits) {
      auto& edges = edges_[node_[wait.thread]];
      if (wait.joins != nullptr) {
        if (auto it = node_.find(wait.joins); it != node_.end()) edges.push_back(it->second);
      }
      for (const Process* holder : wait.holders) {
        for (const Thread* thread : holder->threads) {
          if (auto it = node_.find(thread); it != node_.end()) edges.push_back(it->second);
        }
      }
    }
  }

  // Strongly connected parts without an edge that leads out (Tarjan).
  std::vector<std::vector<const Thread*>> Roots() {
    size_t n = threads_.size();
    index_.assign(n, -1);
    low_.assign(n, 0);
    part_.assign(n, -1);
    for (size_t i = 0; i < n; ++i) {
      if (index_[i] < 0) Visit(static_cast<int>(i));
    }
    std::vector<bool> leads_out(parts_, false);
    std::vector<std::vector<const Thread*>> roots(parts_);
    for (size_t i = 0; i < n; ++i) {
      roots[part_[i]].push_back(threads_[i]);
      for (int to : edges_[i]) {
        if (part_[to] != part_[i]) leads_out[part_[i]] = true;
      }
    }
    std::vector<std::vector<const Thread*>> kept;
    for (size_t part = 0; part < roots.size(); ++part) {
      if (!leads_out[part]) kept.push_back(std::move(roots[part]));
    }
    auto place = [&](const auto& part) {
      return std::find(threads_.begin(), threads_.end(), part[0]) - threads_.begin();
    };
    std::sort(kept.begin(), kept.end(),
              [&](const auto& a, const auto& b) { return place(a) < place(b); });
    return kept;
  }

  const std::vector<const Wait*>& WaitsOf(const Thread* thread) const {
    static const std::vector<const Wait*> none;
    auto it = waits_of_.find(thread);
    return it == waits_of_.end() ? none : it->second;
  }

 private:
  void Visit(int from) {
    index_[from] = low_[from] = next_++;
    stack_.push_back(from);
    for (int to : edges_[from]) {
      if (index_[to] < 0) {
        Visit(to);
        low_[from] = std::min(low_[from], low_[to]);
      } else if (part_[to] < 0) {
        low_[from] = std::min(low_[from], index_[to]);
      }
    }
    if (low_[from] != index_[from]) return;
    for (int member = -1; member != from;) {
      member = stack_.back();
      stack_.pop_back();
      part_[member] = parts_;
    }
    ++parts_;
  }

  const Deadlock& deadlock_;
  std::vector<const Thread*> threads_;
  absl::flat_hash_map<const Thread*, int> node_;
  absl::flat_hash_map<const Thread*, std::vector<const Wait*>> waits_of_;
  std::vector<std::vector<int>> edges_;
  std::vector<int> index_, low_, part_, stack_;
  int next_ = 0;
  int parts_ = 0;
};

bool Reads(const Graph& graph, const Thread* thread, const Object* object) {
  for (const Wait* wait : graph.WaitsOf(thread)) {
    if (wait->goal == Goal::kData && wait->object.get() == object) return true;
  }
  return false;
}

bool WantsSpace(const Graph& graph, const Thread* thread) {
  for (const Wait* wait : graph.WaitsOf(thread)) {
    if (wait->goal == Goal::kSpace) return true;
  }
  return false;
}

// Whether the process has written all it had before it began to read what it now waits for.
bool HasWrittenAll(const Graph& graph, const Process& process, const Descriptor& copy) {
  if (HasUnwrittenOutput(copy) || !copy.usage.last) return false;
  for (const Thread* thread : process.threads) {
    for (const Wait* wait : graph.WaitsOf(thread)) {
      if (WaitsForAnEnd(*wait->act)) continue;
      const auto& reading = wait->act->descriptor;
      if (wait->goal != Goal::kData || reading == nullptr || !HasEnds(*reading->object()))
        return false;
      if (reading->usage.first && reading->usage.first->time < copy.usage.last->time) return false;
      if (wait->act->enter < copy.usage.last->time) return false;
    }
  }
  return true;
}

// Whether the holder of this copy of a write end has no use for it while `wait` waits.
bool IsUseless(const Graph& graph, const Wait& wait, const Descriptor& copy) {
  const Object* object = wait.object.get();
  const Process& holder = *copy.process;
  const Process* reader = wait.thread->process;
  bool wrote = false, others_hold = false, wrote_at_all = false;
  bool is_passed_round = object->passes_round;
  for (const auto& each : wait.copies) {
    if (each == nullptr) continue;
    is_passed_round |= each->process != &holder && UsesBothWays(*each->process, *object);
    (each->process == &holder ? wrote : wrote_at_all) |= Wrote(*each);
    others_hold |= each->process != &holder;
  }
  const Queue& queue = object->IsPipe() ? object->queue : object->socket.incoming;
  wrote_at_all |= wrote || queue.written > 0;
  const bool waits_for_end = absl::c_any_of(holder.threads, [&](const Thread* thread) {
    return thread->current() != nullptr && WaitsForAnEnd(*thread->current());
  });
  bool only_waits = true, reads_it_too = false, does_else = false, writes = false;
  for (const Thread* thread : holder.threads) {
    if (thread == wait.thread) continue;
    const Act* act = thread->current();
    if (act != nullptr && WaitsForAnEnd(*act)) continue;
    // At a lock: an idle worker beside one that waits for an end, or beside other writers; or one
    // that waits for the reader to say that it is done.
    if (act == nullptr && (waits_for_end || (wrote_at_all && (!wrote || &holder == reader))))
      continue;
    only_waits = false;
    if (Reads(graph, thread, object)) {
      reads_it_too = true;
    } else {
      does_else = true;
      writes |= WantsSpace(graph, thread);
    }
  }
  if (HasUnwrittenOutput(copy) && !only_waits) return false;
  if (&holder == reader) {
    if (does_else) return false;
    if (!object->IsPipe()) return !copy.usage.Used() || (only_waits && holder.threads.size() > 1);
    // Alone with its pipe, or it never wrote: else it passes tokens.
    if (is_passed_round) return false;
    if (!others_hold) return true;
    if (wrote) return false;
    if (wrote_at_all) return true;
    // Nothing was ever written, and all who could write read instead: tokens without a token.
    return std::any_of(wait.copies.begin(), wait.copies.end(), [&](const auto& each) {
      return each != nullptr &&
             std::none_of(each->process->threads.begin(), each->process->threads.end(),
                          [&](const Thread* thread) { return Reads(graph, thread, object); });
    });
  }
  if (only_waits) return true;
  if (!object->IsPipe() && copy.usage.Used()) return false;
  if (reads_it_too && !does_else) return !wrote && wrote_at_all && !is_passed_round;
  if (writes) return false;
  if (!wrote) return wrote_at_all;
  return (ReadsOn(*wait.act) || queue.inexact || queue.Unread() == 0) &&
         HasWrittenAll(graph, holder, copy);
}

bool LacksEof(const Graph& graph, const Wait& wait) {
  if (wait.goal != Goal::kData || wait.object == nullptr || !HasEnds(*wait.object)) return false;
  if (wait.copies.empty()) return false;
  return std::all_of(wait.copies.begin(), wait.copies.end(), [&](const auto& copy) {
    return copy != nullptr && IsUseless(graph, wait, *copy);
  });
}

// Adds the processes whose ends `process` waits for, and those that these in turn wait for.
void AddAwaited(const Graph& graph, const Process& process,
                absl::flat_hash_set<const Process*>& awaited) {
  for (const Thread* thread : process.threads) {
    for (const Wait* wait : graph.WaitsOf(thread)) {
      if (!WaitsForAnEnd(*wait->act) || wait->joins != nullptr) continue;
      for (const Process* each : wait->holders) {
        if (awaited.insert(each).second) AddAwaited(graph, *each, awaited);
      }
    }
  }
}

// The waits for an end-of-file that cannot come. A holder that waits for the end of another such
// reader, and not of this one, may yet write or close when that one goes on: then this one's wait
// follows from the other's.
std::vector<Wait> WaitsWithoutEof(const Graph& graph, const std::vector<Wait>& waits) {
  std::vector<Wait> lacking;
  absl::c_copy_if(waits, std::back_inserter(lacking),
                  [&](const Wait& wait) { return LacksEof(graph, wait); });
  auto follows = [&](const Wait& wait) {
    return absl::c_any_of(wait.copies, [&](const auto& copy) {
      absl::flat_hash_set<const Process*> awaited;
      AddAwaited(graph, *copy->process, awaited);
      return !awaited.contains(wait.thread->process) &&
             absl::c_any_of(lacking, [&](const Wait& other) {
               return other.object != wait.object && awaited.contains(other.thread->process);
             });
    });
  };
  std::vector<Wait> first;
  absl::c_copy_if(lacking, std::back_inserter(first),
                  [&](const Wait& wait) { return !follows(wait); });
  return first.empty() ? lacking : first;
}

// Whether a reader of the full pipe is itself stuck before another full one.
bool ReaderIsStuckToo(const Graph& graph, const Wait& wait) {
  for (const auto& copy : wait.copies) {
    if (copy == nullptr) continue;
    for (const Thread* thread : copy->process->threads) {
      for (const Wait* other : graph.WaitsOf(thread)) {
        if (other->goal == Goal::kSpace && other->object != wait.object) return true;
      }
    }
  }
  return false;
}

bool BlocksOnFullPipe(const Graph& graph, const Wait& wait) {
  return wait.goal == Goal::kSpace && wait.object != nullptr && HasEnds(*wait.object) &&
         !ReaderIsStuckToo(graph, wait);
}

std::string ThreadName(const Wait& wait) {
  std::string name = Named(*wait.thread->process);
  if (wait.thread->process->threads.size() > 1) {
    absl::StrAppend(&name, wait.thread->tid == wait.thread->process->pid
                               ? " main thread"
                               : absl::StrCat(" thread ", wait.thread->tid));
  }
  return name;
}

std::string GoalText(const Wait& wait) {
  if (wait.goal == Goal::kOtherSide) {
    const std::string* path = wait.act->Blob(BlobTag::kPath);
    bool reads = (OpenFlags(*wait.act) & O_ACCMODE) == O_RDONLY;
    return absl::StrCat("for somebody to open the FIFO \"", path != nullptr ? path->c_str() : "",
                        "\" for ", reads ? "writing" : "reading");
  }
  if (wait.goal == Goal::kWakeUp) {
    const bool own = wait.thread->process->threads.size() > 1;
    return own ? "for another of its threads" : "for whoever shares its memory";
  }
  if (wait.goal == Goal::kNever) return "for a mutex whose owner was not forked with it";
  if (wait.goal == Goal::kClient) {
    return absl::StrCat(wait.object->socket.stream() ? "for a client of " : "for a message to ",
                        Describe(*wait.object));
  }
  if (wait.goal == Goal::kAccepted) {
    return absl::StrCat("for ", Describe(*wait.object), " to accept the connection");
  }
  if (wait.joins != nullptr) return absl::StrCat("for thread ", wait.joins->tid, " to end");
  if (wait.object == nullptr) {
    std::vector<std::string> children;
    for (const Process* child : wait.holders) children.push_back(Named(*child));
    return absl::StrCat("for ", Enumerate(children), " to end");
  }
  if (wait.act->op == Op::kLockFile)
    return absl::StrCat("for the lock on ", Describe(*wait.object));
  if (wait.goal == Goal::kSpace) return absl::StrCat("for room in ", Describe(*wait.object));
  return absl::StrCat("for data in ", Describe(*wait.object));
}

std::string HeldBy(const Wait& wait) {
  // Whoever there is could: nobody holds anything.
  if (wait.object == nullptr || wait.goal == Goal::kClient) return "";
  std::vector<std::string> holders;
  for (const auto& copy : wait.copies) {
    if (copy == nullptr || wait.act->op == Op::kLockFile) continue;
    holders.push_back(absl::StrCat(Describe(*copy->process), " (fd ", copy->number, ")"));
  }
  if (holders.empty()) {
    for (const Process* process : wait.holders) holders.push_back(Describe(*process));
  }
  const char* end = wait.goal == Goal::kAccepted ? "listening socket "
                    : !wait.object->IsPipe()     ? wait.act->op == Op::kLockFile ? "" : "other end "
                    : wait.goal == Goal::kSpace  ? "read end "
                                                 : "write end ";
  return absl::StrCat("← ", end, "held by ", Enumerate(holders));
}

std::string WaitsIn(const Wait& wait) {
  return absl::StrCat(wait.goal == Goal::kWakeUp ? "waits at " : "waits in ", CallText(wait));
}

// Columns count characters, not bytes.
size_t Width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string CallText(const Wait& wait) {
  if (wait.goal == Goal::kWakeUp) return "a mutex, condition variable or semaphore";
  if (wait.act->op == Op::kExit) return "exit";
  const Act& act = *wait.act;
  return act.fd >= 0 ? CallOn(act.call, act.fd) : CallName(act.call);
}

std::string WaitText(const Wait& wait) {
  return absl::StrCat(ThreadName(wait), " ", WaitsIn(wait), " ", GoalText(wait));
}

std::vector<std::string> Picture(const std::vector<Wait>& waits) {
  constexpr size_t kMostRows = 16;
  std::vector<std::vector<std::string>> rows;
  for (const Wait& wait : waits) {
    if (rows.size() == kMostRows) break;
    rows.push_back({ThreadName(wait), WaitsIn(wait), GoalText(wait), HeldBy(wait)});
  }
  size_t width[4] = {};
  for (const auto& row : rows) {
    for (int i = 0; i < 4; ++i) width[i] = std::max(width[i], Width(row[i]));
  }
  std::vector<std::string> picture;
  for (const auto& row : rows) {
    std::string line;
    for (int i = 0; i < 4; ++i) {
      if (row[i].empty()) continue;
      absl::StrAppend(&line, row[i]);
      if (i < 3) line.append(width[i] - Width(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    picture.push_back(std::move(line));
  }
  if (waits.size() > kMostRows) {
    picture.push_back(absl::StrCat("… and ", waits.size() - kMostRows, " more waits"));
  }
  return picture;
}

std::vector<Cycle> CyclesOf(const Deadlock& deadlock) {
  Graph graph(deadlock);
  std::vector<Cycle> cycles;
  for (const auto& root : graph.Roots()) {
    std::vector<Wait> waits;
    for (const Wait& wait : deadlock.waits) {
      if (std::find(root.begin(), root.end(), wait.thread) != root.end()) waits.push_back(wait);
    }
    if (waits.empty()) continue;
    bool explained = false;
    std::vector<const Object*> seen;
    auto add = [&](CycleKind kind, const Wait& wait) {
      explained = true;
      if (wait.object != nullptr &&
          std::find(seen.begin(), seen.end(), wait.object.get()) != seen.end()) {
        return;
      }
      seen.push_back(wait.object.get());
      cycles.push_back({kind, waits, wait});
    };
    for (const Wait& wait : WaitsWithoutEof(graph, waits)) add(CycleKind::kNoEof, wait);
    for (const Wait& wait : waits) {
      if (BlocksOnFullPipe(graph, wait)) add(CycleKind::kFullPipe, wait);
    }
    if (explained) continue;
    // Point at a wait for bytes rather than at one for an end.
    auto is_at = [](const Wait& wait) { return wait.object != nullptr; };
    auto is_recorded = [](const Wait& wait) { return wait.goal != Goal::kWakeUp; };
    auto at = std::find_if(waits.begin(), waits.end(), is_at);
    if (at == waits.end()) at = std::find_if(waits.begin(), waits.end(), is_recorded);
    if (at == waits.end()) continue;
    cycles.push_back({CycleKind::kOther, waits, *at});
  }
  return cycles;
}

namespace {

// Where the program waits. What exit writes out has no line of its own: that is where exit was
// called or, at the end of main, where the stream was last used.
Site PlaceOf(const Wait& wait) {
  if (wait.act->op != Op::kExit) return wait.act->site();
  for (const auto& act : wait.thread->open) {
    if (act->op == Op::kExitBegin && act->stack != 0) return act->site();
  }
  for (const auto& [address, stream] : wait.act->process->streams) {
    auto descriptor = stream->descriptor.lock();
    if (stream->pending > 0 && descriptor != nullptr && descriptor->object() == wait.object) {
      return stream->last_use;
    }
  }
  return wait.act->site();
}

}  // namespace

Site SiteOf(const Cycle& cycle) {
  auto foreign = [](const Wait& wait) {
    if (IsInstalled(*wait.thread->process, wait.act->enter)) return true;
    return wait.act->descriptor != nullptr ? wait.act->descriptor->survived_exec
                                           : wait.thread->process->execed && wait.object != nullptr;
  };
  if (!foreign(cycle.at)) return PlaceOf(cycle.at);
  for (const Wait& wait : cycle.waits) {
    if (wait.thread->process != cycle.at.thread->process && !foreign(wait)) return PlaceOf(wait);
  }
  const auto& descriptor = cycle.at.act->descriptor;
  if (descriptor != nullptr && descriptor->exec_site.stack != 0) return descriptor->exec_site;
  const Process& process = *cycle.at.thread->process;
  return process.born.stack != 0 ? process.born : cycle.at.act->site();
}

std::vector<uint64_t> SubjectsOf(const Cycle& cycle) {
  std::vector<uint64_t> subjects;
  auto add = [&](const Wait& wait) {
    if (wait.object != nullptr) AddSubject(subjects, wait.object->id);
    if (wait.act->descriptor != nullptr) AddSubject(subjects, wait.act->descriptor->id);
    for (const auto& copy : wait.copies) {
      if (copy == nullptr) continue;
      AddSubject(subjects, copy->id);
      AddSubject(subjects, copy->object()->id);
    }
  };
  if (cycle.kind == CycleKind::kOther) {
    for (const Wait& wait : cycle.waits) add(wait);
  } else {
    add(cycle.at);
  }
  return subjects;
}

std::vector<Step> StoryOf(const Model& model, const Cycle& cycle) {
  constexpr size_t kMostWaits = 8;
  std::vector<Step> story;
  size_t told = 0;
  for (const Wait& wait : cycle.waits) {
    bool main = wait.act == cycle.at.act && wait.object == cycle.at.object;
    if (!main && ++told > kMostWaits) continue;
    if (main || cycle.kind == CycleKind::kOther) {
      if (wait.act->descriptor != nullptr) AddSteps(story, LifeOf(model, wait.act->descriptor));
      for (const auto& copy : wait.copies) {
        if (copy != nullptr) AddSteps(story, LifeOf(model, copy));
      }
    }
    AddSteps(story, {StepAt(WaitText(wait), PlaceOf(wait))});
  }
  return story;
}

}  // namespace ipctrace
