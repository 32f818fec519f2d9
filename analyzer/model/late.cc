#include "analyzer/model/late.h"

#include <errno.h>
#include <poll.h>

#include <algorithm>

namespace ipctrace {
namespace {

constexpr size_t kManySuspects = 1024;

LateVerdict JudgeLate(const Descriptor& closed, const LateSuspects::SamePlace& same_place) {
  LateVerdict verdict;
  for (const LateCall& call : closed.late) {
    // Who closes every number there is does not mean this one.
    if (call.run != nullptr && call.run->blanks >= 2) continue;
    verdict.calls.push_back(call);
  }
  if (verdict.calls.empty()) return verdict;
  auto is_close = [](const LateCall& call) {
    return call.op == Op::kClose || call.op == Op::kDirClose;
  };
  const LateCall& first = verdict.calls.front();
  verdict.kind = is_close(first) ? LateKind::kDoubleClose : LateKind::kUse;

  // Was it closed by its owner? Not, it seems, where the number had belonged to something from
  // elsewhere before, and the close fits that one better.
  const Descriptor* before = closed.predecessor.get();
  if (before == nullptr || closed.death != Death::kClosed || before->death != Death::kClosed) {
    return verdict;
  }
  const bool closer_knew_the_other =
      closed.died.tid != closed.born.tid && first.site.tid == closed.born.tid &&
      (before->born.tid == closed.died.tid ||
       (before->usage.last && before->usage.last->tid == closed.died.tid));
  // Stacks are compared last, and only where it matters: to unwind and name one takes longer than
  // all the rest.
  if (is_close(first) && !closer_knew_the_other) return verdict;
  auto same = [&](const Site& a, const Site& b) {
    return a.stack == b.stack || (a.stack != 0 && b.stack != 0 && same_place(a.stack, b.stack));
  };
  // What one line opens, again and again, as a server its connections, one line may also close too
  // early, again and again.
  const bool of_one_line = same(before->born, closed.born);
  if (of_one_line && (is_close(first) || same(before->died, closed.died))) return verdict;
  // Opened and closed without a use between, though it was used afterwards: not by one's own will.
  // But an end that a child got is closed unused by right.
  const bool unused = !closed.usage.Used() && closed.usage.write_bytes == 0 &&
                      closed.usage.passed == 0 && !closed.object()->IsPipe() &&
                      std::none_of(closed.process->children.begin(), closed.process->children.end(),
                                   [&](const Process* child) {
                                     return child->born.time > closed.born.time &&
                                            child->born.time < closed.died.time;
                                   });
  auto owner_closes_later = [&] {
    return std::any_of(verdict.calls.begin(), verdict.calls.end(), [&](const LateCall& call) {
      return is_close(call) && !same(call.site, closed.died);
    });
  };
  const bool is_stale = of_one_line ? unused && owner_closes_later()
                                    : closer_knew_the_other || unused || owner_closes_later();
  if (is_stale) verdict.kind = LateKind::kStaleClose;
  return verdict;
}

}  // namespace

void LateSuspects::Take(const Act& act) {
  if (act.op == Op::kPoll) {
    if (act.b == 0) return;  // asks, and does not wait
    const std::string* set = act.Blob(act.err == EBADF ? BlobTag::kPoll : BlobTag::kPollReady);
    if (set == nullptr) return;
    for (const PollEntry& entry : EntriesOf<PollEntry>(*set)) {
      if (act.err == EBADF || (entry.revents & POLLNVAL) != 0) Note(*act.process, entry.fd);
    }
    return;
  }
  if (act.err != EBADF) return;
  Note(*act.process, act.fd);
  if (act.op == Op::kTransfer) Note(*act.process, static_cast<int>(act.a));
  if (act.op == Op::kEpollCtl) Note(*act.process, static_cast<int>(act.b));
}

void LateSuspects::Judge() {
  for (const auto& [id, closed] : suspects_) tell_(closed, JudgeLate(*closed, same_place_));
  suspects_.clear();
}

void LateSuspects::Note(const Process& process, int fd) {
  if (fd < 0) return;
  auto it = process.gone.find(fd);
  if (it == process.gone.end() || it->second->late.empty() || process.table.contains(fd)) return;
  suspects_[it->second->id] = it->second;
  if (suspects_.size() > kManySuspects) Judge();
}

}  // namespace ipctrace
