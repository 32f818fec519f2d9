#include "analyzer/protocol/expressions.h"

#include <algorithm>

namespace ipctrace::protocol {
namespace {

constexpr int kMostDepth = 64;

Expression Binary(Expression::Kind kind, Expression left, Expression right) {
  Expression result;
  result.kind = kind;
  result.place = left.place;
  result.operands.push_back(std::move(left));
  result.operands.push_back(std::move(right));
  return result;
}

}  // namespace

void ExpressionReader::Deeper(int depth) const {
  if (depth > kMostDepth) Fail("this expression is too deep");
}

Expression ExpressionReader::Or(int depth) {
  Deeper(depth);
  Expression left = And(depth);
  int count = 0;
  while (TakeWord("or")) {
    Deeper(++count);
    left = Binary(Expression::kOr, std::move(left), And(depth + 1));
  }
  return left;
}

Expression ExpressionReader::And(int depth) {
  Expression left = Not(depth);
  int count = 0;
  while (TakeWord("and")) {
    Deeper(++count);
    left = Binary(Expression::kAnd, std::move(left), Not(depth + 1));
  }
  return left;
}

Expression ExpressionReader::Not(int depth) {
  Deeper(depth);
  if (!IsWord("not")) return Comparison(depth);
  Expression result;
  result.kind = Expression::kNot;
  result.place = Take().place;
  result.operands.push_back(Not(depth + 1));
  return result;
}

Expression ExpressionReader::Comparison(int depth) {
  Expression left = Sum(depth);
  static constexpr std::pair<const char*, Expression::Kind> kOperators[] = {
      {"==", Expression::kEqual},  {"!=", Expression::kUnequal},
      {"<", Expression::kLess},    {"<=", Expression::kLessEqual},
      {">", Expression::kGreater}, {">=", Expression::kGreaterEqual}};
  for (const auto& [symbol, kind] : kOperators) {
    if (TakeSymbol(symbol)) return Binary(kind, std::move(left), Sum(depth + 1));
  }
  if (IsSymbol("=")) Fail("expected == to compare, and here is =");
  return left;
}

Expression ExpressionReader::Sum(int depth) {
  Expression left = Product(depth);
  int count = 0;
  while (IsSymbol("+") || IsSymbol("-")) {
    Deeper(++count);
    const auto kind = Take().text == "+" ? Expression::kPlus : Expression::kMinus;
    left = Binary(kind, std::move(left), Product(depth + 1));
  }
  return left;
}

Expression ExpressionReader::Product(int depth) {
  Expression left = Atom(depth);
  int count = 0;
  while (TakeSymbol("*")) {
    Deeper(++count);
    left = Binary(Expression::kTimes, std::move(left), Atom(depth + 1));
  }
  return left;
}

Expression ExpressionReader::Atom(int depth) {
  Deeper(depth);
  Expression result;
  result.place = Here().place;
  switch (Here().kind) {
    case Token::kNumber:
      result.number = Take().number;
      return result;
    case Token::kString:
      result.kind = Expression::kString;
      result.text = Take().text;
      return result;
    case Token::kSymbol:
      if (TakeSymbol("(")) {
        result = Or(depth + 1);
        if (!TakeSymbol(")")) Expected(")");
        return result;
      }
      if (TakeSymbol("-")) {
        result.kind = Expression::kNegate;
        result.operands.push_back(Atom(depth + 1));
        return result;
      }
      Expected("a value");
    case Token::kWord:
      return NameOrCall(depth);
    default:
      Expected("a value");
  }
}

bool ExpressionReader::Binds(int message, const std::string& name) const {
  const Message& m = protocol_->messages[static_cast<size_t>(message)];
  if (name == "bytes") return true;
  const int role = m.role;
  for (size_t i = 0; i < protocol_->roles.size(); ++i) {
    if ((role < 0 || static_cast<size_t>(role) == i) &&
        protocol_->roles[i].framing.kind == Framing::kHttp && (name == "body" || name == "head"))
      return true;
  }
  return std::find(m.groups.begin(), m.groups.end(), name) != m.groups.end() ||
         std::any_of(m.fields.begin(), m.fields.end(),
                     [&](const Field& field) { return field.name == name; });
}

Expression ExpressionReader::NameOrCall(int depth) {
  Expression result;
  result.place = Here().place;
  const std::string name = Take().text;
  if (TakeSymbol("(")) {
    if (name == "outstanding") {
      result.kind = Expression::kOutstanding;
      result.message = Index(protocol_->messages, "message");
    } else if (name == "length" || name == "number" || name == "lower") {
      result.kind = name == "length"   ? Expression::kLength
                    : name == "number" ? Expression::kToNumber
                                       : Expression::kLower;
      result.operands.push_back(Or(depth + 1));
    } else {
      throw Mistake{result.place, "there is no function \"" + name +
                                      "\" (there are: length, number, lower, outstanding)"};
    }
    if (!TakeSymbol(")")) Expected(")");
    return result;
  }
  if (TakeSymbol(".")) {
    result.kind = Expression::kBinding;
    result.message = Find(protocol_->messages, name);
    if (result.message < 0) throw Mistake{result.place, "there is no message \"" + name + "\""};
    const Place place = Here().place;
    result.text = Name("what the message binds");
    if (!Binds(result.message, result.text))
      throw Mistake{place, name + " binds nothing that is called \"" + result.text + "\""};
    return result;
  }
  if (variables_.count(name) != 0) {
    result.kind = Expression::kVariable;
    result.text = name;
    return result;
  }
  // A name that the message of this very transition binds.
  for (const int message : current_) {
    if (!Binds(message, name)) continue;
    result.kind = Expression::kBinding;
    result.message = current_.size() == 1 ? message : -1;  // -1: whichever came
    result.text = name;
    return result;
  }
  throw Mistake{result.place, "nothing is called \"" + name +
                                  "\": no message binds it here, and no transition sets it"};
}

}  // namespace ipctrace::protocol
