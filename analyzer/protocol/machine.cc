#include "analyzer/protocol/machine.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "analyzer/report/escape.h"

namespace ipctrace::protocol {

std::string Preview(std::string_view bytes, size_t most) {
  if (bytes.size() <= most) return "\"" + EscapeTerminal(bytes) + "\"";
  // Not in the middle of a character.
  size_t cut = most;
  while (cut > most - 4 && (static_cast<uint8_t>(bytes[cut]) & 0xc0) == 0x80) --cut;
  return absl::StrCat("\"", EscapeTerminal(bytes.substr(0, cut)), "…\" (", bytes.size(), " bytes)");
}

Coverage::Coverage(const Protocol& protocol) : states(protocol.states.size()) {
  for (const State& state : protocol.states) transitions.emplace_back(state.transitions.size());
}

Machine::Machine(std::shared_ptr<const Protocol> protocol, Nanos now, Coverage* coverage)
    : protocol_(std::move(protocol)),
      coverage_(coverage),
      entered_(now),
      last_(protocol_->messages.size()),
      remembered_(protocol_->messages.size()) {
  if (coverage_ != nullptr) ++coverage_->states[0];
}

Verdict Machine::Judged(Fault fault, std::string came) const {
  Verdict verdict;
  verdict.fault = fault;
  verdict.state = state().name;
  verdict.came = std::move(came);
  verdict.allowed = Allowed();
  return verdict;
}

bool Machine::Fails(const Transition& transition) const {
  return transition.target >= 0 && protocol_->states[static_cast<size_t>(transition.target)].failed;
}

Verdict Machine::Enter(const Transition& transition, Nanos time, Verdict otherwise) {
  if (coverage_ != nullptr) {
    const auto index = static_cast<size_t>(&transition - state().transitions.data());
    ++coverage_->transitions[state_][index];
    if (transition.target >= 0) ++coverage_->states[static_cast<size_t>(transition.target)];
  }
  state_ = static_cast<size_t>(transition.target);
  entered_ = time;
  if (!state().failed) return Verdict();
  otherwise.fault = otherwise.fault == Fault::kTimer ? Fault::kTimer : Fault::kFailedState;
  if (!state().failure.empty())
    otherwise.why = state().failure;
  else if (otherwise.why.empty())
    otherwise.why = "it leads to the state " + state().name;
  return otherwise;
}

Verdict Machine::Sends(int role, const Frame& frame, Nanos time) {
  const std::string& sender = protocol_->roles[static_cast<size_t>(role)].name;
  const auto shown = [&] { return Preview(frame.bytes); };
  Bindings bindings;
  std::string refused;  // why a transition was not taken though its message is the one that came
  int refused_message = -1;
  for (const Transition& t : state().transitions) {
    if (t.trigger != Trigger::kSends || t.role != role) continue;
    const auto index = static_cast<size_t>(t.message);
    const Message& message = protocol_->messages[index];
    if (!Match(message, frame, &bindings)) continue;
    Scope scope{t.message, &bindings};
    if (t.answers >= 0) {
      const auto& queue = remembered_[static_cast<size_t>(t.answers)];
      if (queue.empty()) {
        refused = "no " + protocol_->messages[static_cast<size_t>(t.answers)].name +
                  " is waiting for an answer";
        refused_message = t.message;
        continue;
      }
      scope.answered = t.answers;
      scope.request = &queue.front().bindings;
    }
    const bool holds = std::all_of(t.when.begin(), t.when.end(),
                                   [&](const Guard& guard) { return Holds(guard, scope); });
    if (!holds) {
      refused = Explain(t.when[0], scope);
      refused_message = t.message;
      continue;
    }
    std::vector<std::pair<std::string, Value>> values;
    for (const auto& assignment : t.set)
      values.emplace_back(assignment.name, Evaluate(assignment.value, scope));
    Verdict verdict;
    if (Fails(t)) {  // else nobody reads it
      verdict = Judged(Fault::kNone, sender + " sent " + message.name + " " + shown());
      verdict.message = t.message;
    }
    if (t.answers >= 0) {
      auto& queue = remembered_[static_cast<size_t>(t.answers)];
      last_[static_cast<size_t>(t.answers)] = std::move(queue.front().bindings);
      queue.pop_front();
    }
    for (auto& [name, value] : values) variables_[name] = std::move(value);
    if (t.remember) remembered_[index].push_back({bindings, time});
    last_[index] = std::move(bindings);
    last_message_ = t.message;
    return Enter(t, time, std::move(verdict));
  }
  if (refused_message >= 0) {
    Verdict verdict = Judged(
        Fault::kGuard,
        absl::StrCat(sender, " sent ",
                     protocol_->messages[static_cast<size_t>(refused_message)].name, " ", shown()));
    verdict.why = refused;
    verdict.message = refused_message;
    return verdict;
  }
  // Which message it would be elsewhere.
  for (size_t i = 0; i < protocol_->messages.size(); ++i) {
    const Message& message = protocol_->messages[i];
    if ((message.role >= 0 && message.role != role) || !Match(message, frame, &bindings)) continue;
    Verdict verdict =
        Judged(Fault::kNotAllowed, absl::StrCat(sender, " sent ", message.name, " ", shown()));
    verdict.message = static_cast<int>(i);
    return verdict;
  }
  Verdict verdict = Judged(Fault::kNotAllowed, absl::StrCat(sender, " sent ", shown()));
  verdict.why = "none of the protocol's messages is like that";
  return verdict;
}

Verdict Machine::Closes(int role, Trigger how, Nanos time) {
  const std::string& name = protocol_->roles[static_cast<size_t>(role)].name;
  const auto try_as = [&](Trigger trigger, std::string* refused) -> const Transition* {
    for (const Transition& t : state().transitions) {
      if (t.trigger != trigger || t.role != role) continue;
      const Scope scope;
      if (t.when.empty() || Holds(t.when[0], scope)) return &t;
      *refused = Explain(t.when[0], scope);
    }
    return nullptr;
  };
  const bool reset = how == Trigger::kResets;
  std::string refused;
  const Transition* taken = try_as(how, &refused);
  // A close is a half-close too, and a reset is a close, where nothing is said of it.
  if (taken == nullptr && how == Trigger::kResets) taken = try_as(Trigger::kCloses, &refused);
  if (taken == nullptr && how == Trigger::kHalfCloses && !protocol_->mentions_half_close)
    taken = try_as(Trigger::kCloses, &refused);
  const std::string came = name + (reset                         ? " reset the connection"
                                   : how == Trigger::kHalfCloses ? " shut down its sending side"
                                                                 : " closed");
  if (taken != nullptr) {
    std::vector<std::pair<std::string, Value>> values;
    for (const auto& assignment : taken->set)
      values.emplace_back(assignment.name, Evaluate(assignment.value, Scope()));
    for (auto& [variable, value] : values) variables_[variable] = std::move(value);
    return Enter(*taken, time, Judged(Fault::kNone, came));
  }
  if (Final() || !protocol_->mentions_close[role] || abandoned_) return Verdict();
  // Who leaves without what only he can send owes it: that is a conversation not finished.
  const bool others_turn = MaySend(1 - role) || !MaySend(role);
  if (!others_turn && refused.empty()) {
    abandoned_ = true;  // and the other side may go then too
    return Verdict();
  }
  Verdict verdict = Judged(refused.empty() ? Fault::kNotAllowed : Fault::kGuard, came);
  verdict.why = refused;
  return verdict;
}

Verdict Machine::Tick(Nanos time) {
  // A timer may lead to a state whose timer is up too; but not for ever.
  for (int i = 0; i < 100; ++i) {
    const Transition* due = nullptr;
    Nanos when = 0;
    for (const Transition& t : state().transitions) {
      if (t.trigger != Trigger::kTimer) continue;
      Nanos from = entered_;
      if (t.since >= 0) {
        const auto& queue = remembered_[static_cast<size_t>(t.since)];
        if (queue.empty()) continue;
        from = queue.front().time;
      }
      if (time - from <= t.within || (due != nullptr && from + t.within >= when)) continue;
      due = &t;
      when = from + t.within;
    }
    if (due == nullptr) return Verdict();
    Verdict verdict = Judged(Fault::kTimer, protocol_->Words(*due));
    if (due->target < 0) return verdict;
    verdict = Enter(*due, when, std::move(verdict));
    if (!verdict.ok()) return verdict;
  }
  return Verdict();
}

bool Machine::Final() const {
  return state().final && (state().final_when.empty() || Holds(state().final_when[0], Scope()));
}

std::string Machine::Allowed() const {
  std::string text;
  for (const Transition& t : state().transitions) {
    if (t.trigger == Trigger::kTimer) continue;
    absl::StrAppend(&text, text.empty() ? "" : ", or ", protocol_->Words(t));
  }
  return text.empty() ? "nothing more" : text;
}

std::string Machine::Owed() const {
  std::string text;
  for (const Transition& t : state().transitions) {
    if (t.trigger == Trigger::kTimer || t.target < 0) continue;
    // What only goes on where it is owes nothing.
    if (static_cast<size_t>(t.target) == state_ && t.answers < 0 && !state().final) continue;
    if (state().final && t.answers < 0) continue;
    absl::StrAppend(&text, text.empty() ? "" : ", or ", protocol_->Words(t));
  }
  return text.empty() ? Allowed() : text;
}

bool Machine::MaySend(int role) const {
  return std::any_of(
      state().transitions.begin(), state().transitions.end(), [&](const Transition& t) {
        return t.trigger == Trigger::kSends && t.role == role &&
               (t.answers < 0 || !remembered_[static_cast<size_t>(t.answers)].empty());
      });
}

size_t Machine::Outstanding() const {
  size_t count = 0;
  for (const auto& queue : remembered_) count += queue.size();
  return count;
}

}  // namespace ipctrace::protocol
