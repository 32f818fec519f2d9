// What a message binds, and what expressions make of it.
#include <re2/re2.h>

#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "analyzer/protocol/machine.h"

namespace ipctrace::protocol {
namespace {

// Decimal text as a number; other text is 0, as in awk.
int64_t ToNumber(const Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  const auto& text = std::get<std::string>(value);
  size_t start = 0;
  while (start < text.size() && (text[start] == ' ' || text[start] == '\t' || text[start] == '+'))
    ++start;
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

bool Machine::Holds(const Guard& guard, const Scope& scope) const {
  return IsTrue(Evaluate(guard.expression, scope));
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
      name =
          e.kind == Expression::kBinding ? message + "." + e.text : "outstanding(" + message + ")";
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

}  // namespace ipctrace::protocol
