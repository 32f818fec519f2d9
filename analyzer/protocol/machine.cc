#include "analyzer/protocol/machine.h"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "analyzer/report/escape.h"

namespace ipctrace::protocol {
namespace {

// Decimal text as a number; other text is 0, as in awk.
int64_t ToNumber(const Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  const auto& text = std::get<std::string>(value);
  size_t start = 0;
  while (start < text.size() && (text[start] == ' ' || text[start] == '\t' || text[start] == '+')) ++start;
  int64_t number = 0;
  std::from_chars(text.data() + start, text.data() + text.size(), number);
  return number;
}

bool IsTrue(const Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return *number != 0;
  return !std::get<std::string>(value).empty();
}

// Two texts as bytes; with a number on either side, as numbers.
int Compare(const Value& a, const Value& b) {
  if (std::holds_alternative<std::string>(a) && std::holds_alternative<std::string>(b)) {
    const int order = std::get<std::string>(a).compare(std::get<std::string>(b));
    return order < 0 ? -1 : order > 0;
  }
  const int64_t x = ToNumber(a), y = ToNumber(b);
  return x < y ? -1 : x > y;
}

// Wraps around, as the counters of real protocols do.
int64_t Arithmetic(Expression::Kind kind, int64_t a, int64_t b) {
  const auto x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
  return static_cast<int64_t>(kind == Expression::kPlus    ? x + y
                              : kind == Expression::kMinus ? x - y
                                                           : x * y);
}

std::string Shown(const Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return std::to_string(*number);
  return Preview(std::get<std::string>(value));
}

}  // namespace

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

// What names mean while a transition is tried.
struct Machine::Scope {
  int message = -1;                   // that came
  const Bindings* came = nullptr;     // what it binds
  int answered = -1;                  // the kind of message it answers
  const Bindings* request = nullptr;  // what that one bound
};

Machine::Machine(std::shared_ptr<const Protocol> protocol, Nanos now, Coverage* coverage)
    : protocol_(std::move(protocol)),
      coverage_(coverage),
      entered_(now),
      last_(protocol_->messages.size()),
      remembered_(protocol_->messages.size()) {
  if (coverage_ != nullptr) ++coverage_->states[0];
}

bool Machine::Match(const Message& message, const Frame& frame, Bindings* bindings) const {
  bindings->clear();
  if (message.expression != nullptr) {
    const re2::RE2& expression = *message.expression;
    const size_t count = message.groups.size();
    std::vector<re2::StringPiece> parts(count + 1);
    if (!expression.Match(frame.bytes, 0, frame.bytes.size(), re2::RE2::ANCHOR_BOTH, parts.data(),
                          static_cast<int>(parts.size())))
      return false;
    for (size_t i = 0; i < count; ++i) {
      if (!message.groups[i].empty() && parts[i + 1].data() != nullptr)
        (*bindings)[message.groups[i]] = std::string(parts[i + 1].data(), parts[i + 1].size());
    }
  }
  for (const Field& field : message.fields) {
    const std::string& bytes = frame.bytes;
    if (field.offset > bytes.size() || bytes.size() - field.offset < field.width) return false;
    if (!field.is_number) {
      (*bindings)[field.name] =
          bytes.substr(field.offset, field.width == 0 ? std::string::npos : field.width);
      continue;
    }
    uint64_t number = 0;
    for (size_t i = 0; i < field.width; ++i) {
      const size_t at = field.offset + (field.big ? i : field.width - 1 - i);
      number = number << 8 | static_cast<uint8_t>(bytes[at]);
    }
    if (field.is_signed && field.width < 8 && (number >> (field.width * 8 - 1) & 1) != 0)
      number |= ~uint64_t{0} << (field.width * 8);
    (*bindings)[field.name] = static_cast<int64_t>(number);
  }
  (*bindings)["bytes"] = frame.bytes;
  if (!frame.head.empty()) {
    (*bindings)["head"] = frame.head;
    (*bindings)["body"] = frame.body;
  }
  return true;
}

Value Machine::Evaluate(const Expression& e, const Scope& scope) const {
  const auto operand = [&](size_t i) { return Evaluate(e.operands[i], scope); };
  switch (e.kind) {
    case Expression::kNumber:
      return e.number;
    case Expression::kString:
      return e.text;
    case Expression::kVariable: {
      const auto it = variables_.find(e.text);
      return it == variables_.end() ? Value() : it->second;
    }
    case Expression::kBinding: {
      const int message = e.message < 0 ? scope.message : e.message;
      if (message < 0) return Value();
      const Bindings* bindings = &last_[static_cast<size_t>(message)];
      if (message == scope.message && scope.came != nullptr) bindings = scope.came;
      if (message == scope.answered && scope.request != nullptr) bindings = scope.request;
      const auto it = bindings->find(e.text);
      return it == bindings->end() ? Value() : it->second;
    }
    case Expression::kLength: {
      const Value value = operand(0);
      const auto* text = std::get_if<std::string>(&value);
      return static_cast<int64_t>(text == nullptr ? std::to_string(std::get<int64_t>(value)).size()
                                                  : text->size());
    }
    case Expression::kToNumber:
      return ToNumber(operand(0));
    case Expression::kLower: {
      const Value value = operand(0);
      const auto* text = std::get_if<std::string>(&value);
      return text == nullptr ? value : Value(absl::AsciiStrToLower(*text));
    }
    case Expression::kOutstanding:
      return static_cast<int64_t>(remembered_[static_cast<size_t>(e.message)].size());
    case Expression::kNot:
      return int64_t{!IsTrue(operand(0))};
    case Expression::kNegate:
      return Arithmetic(Expression::kMinus, 0, ToNumber(operand(0)));
    case Expression::kOr:
      return int64_t{IsTrue(operand(0)) || IsTrue(operand(1))};
    case Expression::kAnd:
      return int64_t{IsTrue(operand(0)) && IsTrue(operand(1))};
    case Expression::kEqual:
      return int64_t{Compare(operand(0), operand(1)) == 0};
    case Expression::kUnequal:
      return int64_t{Compare(operand(0), operand(1)) != 0};
    case Expression::kLess:
      return int64_t{Compare(operand(0), operand(1)) < 0};
    case Expression::kLessEqual:
      return int64_t{Compare(operand(0), operand(1)) <= 0};
    case Expression::kGreater:
      return int64_t{Compare(operand(0), operand(1)) > 0};
    case Expression::kGreaterEqual:
      return int64_t{Compare(operand(0), operand(1)) >= 0};
    case Expression::kPlus:
    case Expression::kMinus:
    case Expression::kTimes:
      return Arithmetic(e.kind, ToNumber(operand(0)), ToNumber(operand(1)));
  }
  return Value();
}

// "request.text is \"hello\", reply.text is \"hellp\"": every name in the guard with its value.
void Machine::Names(const Expression& e, const Scope& scope, std::vector<std::string>* seen,
                    std::string* text) const {
  if (e.kind == Expression::kVariable || e.kind == Expression::kBinding ||
      e.kind == Expression::kOutstanding) {
    std::string name = e.text;
    if (e.message >= 0) {
      const std::string& message = protocol_->messages[static_cast<size_t>(e.message)].name;
      name = e.kind == Expression::kBinding ? message + "." + e.text : "outstanding(" + message + ")";
    }
    if (std::find(seen->begin(), seen->end(), name) == seen->end()) {
      seen->push_back(name);
      absl::StrAppend(text, text->empty() ? "" : ", ", name, " is ", Shown(Evaluate(e, scope)));
    }
  }
  for (const Expression& each : e.operands) Names(each, scope, seen, text);
}

std::string Machine::Explain(const Guard& guard, const Scope& scope) const {
  std::vector<std::string> seen;
  std::string values;
  Names(guard.expression, scope, &seen, &values);
  return guard.source + " does not hold" + (values.empty() ? "" : ": " + values);
}

Verdict Machine::Judged(Fault fault, std::string came) const {
  Verdict verdict;
  verdict.fault = fault;
  verdict.state = state().name;
  verdict.came = std::move(came);
  verdict.allowed = Allowed();
  return verdict;
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
  const std::string shown = Preview(frame.bytes);
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
    const bool holds = std::all_of(t.when.begin(), t.when.end(), [&](const Guard& guard) {
      return IsTrue(Evaluate(guard.expression, scope));
    });
    if (!holds) {
      refused = Explain(t.when[0], scope);
      refused_message = t.message;
      continue;
    }
    std::vector<std::pair<std::string, Value>> values;
    for (const auto& assignment : t.set)
      values.emplace_back(assignment.name, Evaluate(assignment.value, scope));
    Verdict verdict = Judged(Fault::kNone, sender + " sent " + message.name + " " + shown);
    verdict.message = t.message;
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
    Verdict verdict =
        Judged(Fault::kGuard,
               absl::StrCat(sender, " sent ",
                            protocol_->messages[static_cast<size_t>(refused_message)].name, " ", shown));
    verdict.why = refused;
    verdict.message = refused_message;
    return verdict;
  }
  // Which message it would be elsewhere.
  for (size_t i = 0; i < protocol_->messages.size(); ++i) {
    const Message& message = protocol_->messages[i];
    if ((message.role >= 0 && message.role != role) || !Match(message, frame, &bindings)) continue;
    Verdict verdict = Judged(Fault::kNotAllowed, absl::StrCat(sender, " sent ", message.name, " ", shown));
    verdict.message = static_cast<int>(i);
    return verdict;
  }
  Verdict verdict = Judged(Fault::kNotAllowed, absl::StrCat(sender, " sent ", shown));
  verdict.why = "none of the protocol's messages is like that";
  return verdict;
}

Verdict Machine::Closes(int role, Trigger how, Nanos time) {
  const std::string& name = protocol_->roles[static_cast<size_t>(role)].name;
  const auto try_as = [&](Trigger trigger, std::string* refused) -> const Transition* {
    for (const Transition& t : state().transitions) {
      if (t.trigger != trigger || t.role != role) continue;
      const Scope scope;
      if (t.when.empty() || IsTrue(Evaluate(t.when[0].expression, scope))) return &t;
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
  const std::string came = name + (reset                              ? " reset the connection"
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
  return state().final && (state().final_when.empty() ||
                           IsTrue(Evaluate(state().final_when[0].expression, Scope())));
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
  return std::any_of(state().transitions.begin(), state().transitions.end(), [&](const Transition& t) {
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
