// Two passes over the lines: the first learns the names of roles, messages, states and variables,
// so that they may be used before they stand; the second reads what they are.
#include "analyzer/protocol/parser.h"

#include <re2/re2.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "analyzer/protocol/lexer.h"
#include "analyzer/report/escape.h"

namespace ipctrace::protocol {
namespace {

constexpr size_t kMostBytes = size_t{1} << 20;
constexpr size_t kMostNames = 1000;
constexpr int kMostDepth = 64;

struct Error {
  Place place;
  std::string text;
};

class Parser {
 public:
  Parser(std::string_view text, const std::string& file) : text_(text) { p_->file = file; }

  Parsed Run() {
    if (text_.size() > kMostBytes) {
      result_.errors.push_back({{1, 1}, "this file is larger than a megabyte"});
      return std::move(result_);
    }
    const auto lines = Lex(text_);
    for (const auto& line : lines) {
      for (const Token& token : line) {
        if (token.kind != Token::kBad) continue;
        result_.errors.push_back({token.place, token.text});
        break;
      }
    }
    if (!result_.errors.empty()) return std::move(result_);
    for (const auto& line : lines) Guarded(line, &Parser::Declare);
    if (result_.errors.empty()) {
      for (const auto& line : lines) Guarded(line, &Parser::Statement);
    }
    if (result_.errors.empty()) Whole();
    if (result_.errors.empty()) {
      Warn();
      result_.protocol = p_;
    }
    std::stable_sort(result_.errors.begin(), result_.errors.end(), ByPlace);
    std::stable_sort(result_.warnings.begin(), result_.warnings.end(), ByPlace);
    return std::move(result_);
  }

 private:
  static bool ByPlace(const Remark& a, const Remark& b) {
    return a.place.line != b.place.line ? a.place.line < b.place.line
                                        : a.place.column < b.place.column;
  }

  void Guarded(const std::vector<Token>& line, void (Parser::*parse)()) {
    line_ = &line;
    at_ = 0;
    try {
      (this->*parse)();
    } catch (const Error& error) {
      result_.errors.push_back({error.place, error.text});
    }
  }

  // --- Tokens
  const Token& Here() const { return (*line_)[at_]; }
  const Token& Take() {
    const Token& token = Here();
    if (token.kind != Token::kEnd) ++at_;
    return token;
  }
  bool IsWord(std::string_view word) const {
    return Here().kind == Token::kWord && Here().text == word;
  }
  bool IsSymbol(std::string_view symbol) const {
    return Here().kind == Token::kSymbol && Here().text == symbol;
  }
  bool TakeWord(std::string_view word) { return IsWord(word) && (++at_, true); }
  bool TakeSymbol(std::string_view symbol) { return IsSymbol(symbol) && (++at_, true); }
  static std::string Shown(const Token& token) {
    switch (token.kind) {
      case Token::kEnd:
        return "the end of the line";
      case Token::kPattern:
        return "/" + EscapeTerminal(token.text) + "/";
      case Token::kString:
        return "the string \"" + EscapeTerminal(token.text) + "\"";
      default:
        return "\"" + EscapeTerminal(token.text) + "\"";
    }
  }
  [[noreturn]] void Fail(const std::string& text) const { throw Error{Here().place, text}; }
  [[noreturn]] void Expected(const std::string& what) const {
    Fail("expected " + what + ", and here is " + Shown(Here()));
  }
  std::string Name(const char* what) {
    if (Here().kind != Token::kWord) Expected(what);
    return Take().text;
  }
  int64_t Number(const char* what, int64_t least, int64_t most) {
    if (Here().kind != Token::kNumber) Expected(what);
    if (Here().number < least || Here().number > most)
      Fail(absl::StrCat("expected ", what, " from ", least, " to ", most));
    return Take().number;
  }
  void End() {
    if (Here().kind != Token::kEnd) Expected("the end of the line");
  }

  template <typename T>
  static int Find(const std::vector<T>& all, const std::string& name) {
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].name == name) return static_cast<int>(i);
    }
    return -1;
  }
  template <typename T>
  int Index(const std::vector<T>& all, const char* what) {
    const std::string wanted = absl::StrCat("the name of a ", what);
    if (Here().kind != Token::kWord) Expected(wanted);
    const int index = Find(all, Here().text);
    if (index < 0) {
      std::string known;
      for (const T& each : all) {
        if (known.size() > 200) break;
        known += (known.empty() ? "" : ", ") + each.name;
      }
      Fail("there is no " + std::string(what) + " " + Shown(Here()) +
           (known.empty() ? "" : " (there are: " + known + ")"));
    }
    ++at_;
    return index;
  }

  // --- The first pass: names
  void Declare() {
    if (IsWord("role")) {
      ++at_;
      Role role;
      role.place = Here().place;
      role.name = Name("a name for the role");
      static const std::set<std::string> kKeywords = {"protocol", "role",    "port",  "framing",
                                                      "message",  "state",   "field", "within"};
      if (kKeywords.count(role.name) != 0)
        throw Error{role.place, "a role cannot be called \"" + role.name + "\""};
      if (Find(p_->roles, role.name) >= 0)
        throw Error{role.place, "there is a role " + role.name + " already"};
      if (p_->roles.size() == 2) throw Error{role.place, "a protocol has two roles, and this is a third"};
      p_->roles.push_back(role);
    } else if (IsWord("message")) {
      ++at_;
      Message message;
      message.place = Here().place;
      message.name = Name("a name for the message");
      if (Find(p_->messages, message.name) >= 0)
        throw Error{message.place, "there is a message " + message.name + " already"};
      if (p_->messages.size() == kMostNames) throw Error{message.place, "these are too many messages"};
      // What its pattern binds must be known before any guard is read.
      for (size_t i = at_; i < line_->size(); ++i) {
        if ((*line_)[i].kind == Token::kPattern) Compile((*line_)[i], &message);
      }
      p_->messages.push_back(std::move(message));
    } else if (IsWord("field")) {
      if (p_->messages.empty()) Fail("a field belongs to a message, and none stands above");
      p_->messages.back().fields.push_back({(*line_)[1].text});
    } else if (IsWord("state")) {
      ++at_;
      State state;
      state.place = Here().place;
      state.name = Name("a name for the state");
      if (Find(p_->states, state.name) >= 0)
        throw Error{state.place, "there is a state " + state.name + " already"};
      if (p_->states.size() == kMostNames) throw Error{state.place, "these are too many states"};
      p_->states.push_back(state);
    }
    for (size_t i = 0; i + 1 < line_->size(); ++i) {
      if ((*line_)[i].kind == Token::kWord && (*line_)[i].text == "set" &&
          (*line_)[i + 1].kind == Token::kWord && variables_.size() < kMostNames) {
        variables_.insert((*line_)[i + 1].text);
      }
    }
  }

  static void Compile(const Token& token, Message* message) {
    re2::RE2::Options options;
    options.set_encoding(re2::RE2::Options::EncodingLatin1);  // bytes
    options.set_dot_nl(true);
    options.set_log_errors(false);
    options.set_max_mem(int64_t{8} << 20);
    auto expression = std::make_shared<re2::RE2>(token.text, options);
    if (!expression->ok())
      throw Error{token.place, "this pattern is not a regular expression: " + EscapeTerminal(expression->error())};
    message->pattern = token.text;
    message->groups.resize(static_cast<size_t>(expression->NumberOfCapturingGroups()));
    for (const auto& [number, name] : expression->CapturingGroupNames())
      message->groups[static_cast<size_t>(number) - 1] = name;
    message->expression = std::move(expression);
  }

  // --- The second pass
  void Statement() {
    if (Here().kind != Token::kWord) Expected("a statement");
    if (TakeWord("protocol")) {
      if (!p_->name.empty()) Fail("a file holds one protocol, and this is a second");
      p_->name = Name("a name for the protocol");
      End();
    } else if (TakeWord("role")) {
      RoleStatement();
    } else if (TakeWord("port")) {
      const auto port = static_cast<int>(Number("a port", 1, 65535));
      for (Role& role : p_->roles) role.port = port;
      End();
    } else if (TakeWord("framing")) {
      FramingStatement();
    } else if (TakeWord("message")) {
      MessageStatement();
    } else if (TakeWord("field")) {
      FieldStatement();
    } else if (TakeWord("state")) {
      StateStatement();
    } else {
      TransitionStatement();
    }
  }

  void RoleStatement() {
    Role& role = p_->roles[static_cast<size_t>(Index(p_->roles, "role"))];
    static constexpr std::pair<const char*, Role::Plays> kPlays[] = {
        {"connects", Role::kConnects}, {"accepts", Role::kAccepts}, {"writes", Role::kWrites},
        {"reads", Role::kReads},       {"parent", Role::kParent},   {"child", Role::kChild}};
    while (Here().kind != Token::kEnd) {
      if (TakeWord("port")) {
        role.port = static_cast<int>(Number("a port", 1, 65535));
        continue;
      }
      if (TakeWord("program")) {
        if (Here().kind != Token::kString) Expected("a program's name in quotes");
        role.program = Take().text;
        continue;
      }
      const auto plays = std::find_if(std::begin(kPlays), std::end(kPlays),
                                      [&](const auto& each) { return IsWord(each.first); });
      if (plays == std::end(kPlays) || role.plays != Role::kAny)
        Expected(role.plays != Role::kAny
                     ? "port, program or the end of the line"
                     : "connects, accepts, writes, reads, parent, child, port or program");
      role.plays = plays->second;
      ++at_;
    }
  }

  void FramingStatement() {
    int role = -1;
    if (Here().kind == Token::kWord && Find(p_->roles, Here().text) >= 0)
      role = Index(p_->roles, "role");
    Framing framing;
    const Token& kind = Here();
    if (TakeWord("line")) {
      framing.kind = Framing::kLine;
      framing.delimiter = "\n";
    } else if (TakeWord("nul")) {
      framing.kind = Framing::kNul;
      framing.delimiter = std::string(1, '\0');
    } else if (TakeWord("delimiter")) {
      framing.kind = Framing::kDelimiter;
      if (Here().kind != Token::kString || Here().text.empty()) Expected("the delimiter in quotes");
      framing.delimiter = Take().text;
    } else if (TakeWord("fixed")) {
      framing.kind = Framing::kFixed;
      framing.size = static_cast<size_t>(Number("the number of bytes", 1, 1 << 30));
      framing.most = framing.size;
    } else if (TakeWord("length")) {
      framing.kind = Framing::kLength;
      framing.size = static_cast<size_t>(Number("the width of the length field", 1, 8));
      if (framing.size != 1 && framing.size != 2 && framing.size != 4 && framing.size != 8) {
        --at_;
        Fail("expected a width of 1, 2, 4 or 8 bytes");
      }
      if (framing.size > 1 || IsWord("big") || IsWord("little")) {
        if (!IsWord("big") && !IsWord("little")) Expected("the byte order, big or little");
        framing.big = Take().text == "big";
      }
      framing.includes_itself = TakeWord("includes-itself");
    } else if (TakeWord("http")) {
      framing.kind = Framing::kHttp;
    } else if (TakeWord("resp")) {
      framing.kind = Framing::kResp;
    } else if (TakeWord("until-close")) {
      framing.kind = Framing::kUntilClose;
    } else {
      Expected(absl::StrCat(
          role < 0 && !p_->roles.empty() && kind.kind == Token::kWord ? "the name of a role, or " : "",
          "line, nul, fixed, length, delimiter, http, resp or until-close"));
    }
    if (TakeWord("max")) framing.most = static_cast<size_t>(Number("a number of bytes", 1, 1 << 30));
    End();
    for (size_t i = 0; i < p_->roles.size(); ++i) {
      if (role >= 0 && static_cast<size_t>(role) != i) continue;
      if (role < 0 && framed_[i]) continue;
      p_->roles[i].framing = framing;
      framed_[i] = role >= 0;
    }
    any_framing_ |= role < 0;
  }

  void MessageStatement() {
    Message& message = p_->messages[static_cast<size_t>(Index(p_->messages, "message"))];
    message_ = &message;
    field_ = 0;
    if (TakeWord("from")) message.role = Index(p_->roles, "role");
    if (TakeSymbol("=")) {
      if (Here().kind != Token::kPattern) Expected("a pattern between slashes");
      ++at_;
    }
    End();
  }

  void FieldStatement() {
    if (message_ == nullptr || field_ >= message_->fields.size()) Fail("a field belongs to a message");
    Field& field = message_->fields[field_++];
    field.name = Name("a name for the field");
    if (!TakeWord("at")) Expected("at and the field's offset in the message");
    field.offset = static_cast<size_t>(Number("an offset in bytes", 0, 1 << 30));
    if (TakeWord("rest")) {
      field.width = 0;
    } else if (TakeWord("bytes")) {
      field.width = static_cast<size_t>(Number("a number of bytes", 1, 1 << 30));
    } else {
      static constexpr std::pair<const char*, size_t> kTypes[] = {
          {"u8", 1}, {"u16", 2}, {"u32", 4}, {"u64", 8}, {"i8", 1}, {"i16", 2}, {"i32", 4}, {"i64", 8}};
      const auto type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                     [&](const auto& each) { return IsWord(each.first); });
      if (type == std::end(kTypes)) Expected("u8, u16, u32, u64, i8, i16, i32, i64, bytes or rest");
      field.is_number = true;
      field.is_signed = Take().text[0] == 'i';
      field.width = type->second;
      if (field.width > 1 || IsWord("big") || IsWord("little")) {
        if (!IsWord("big") && !IsWord("little")) Expected("the byte order, big or little");
        field.big = Take().text == "big";
      }
    }
    End();
  }

  void StateStatement() {
    State& state = p_->states[static_cast<size_t>(Index(p_->states, "state"))];
    state_ = &state;
    TakeSymbol(":");
    if (TakeWord("final")) {
      state.final = true;
      if (IsWord("when")) state.final_when.push_back(When());
    } else if (TakeWord("failed")) {
      state.failed = true;
      if (Here().kind == Token::kString) state.failure = Take().text;
    }
    TakeSymbol(":");
    End();
  }

  Guard When() {
    ++at_;  // when
    Guard guard;
    const size_t begin = Here().begin;
    guard.expression = Or(0);
    guard.source = std::string(text_.substr(begin, (*line_)[at_ - 1].end - begin));
    return guard;
  }

  void TransitionStatement() {
    Transition transition;
    transition.place = Here().place;
    if (state_ == nullptr && Find(p_->roles, Here().text) < 0) {
      Expected("protocol, role, port, framing, message, field or state");
    }
    if (state_ == nullptr) Fail("this belongs to a state, and none stands above");
    if (TakeWord("within")) return Within(transition);
    if (Find(p_->roles, Here().text) < 0) {
      Expected("a role's name, within, or protocol, role, port, framing, message, field or state");
    }
    transition.role = Index(p_->roles, "role");
    std::vector<int> messages;
    if (TakeWord("sends")) {
      do {
        const Place place = Here().place;
        messages.push_back(Index(p_->messages, "message"));
        const Message& message = p_->messages[static_cast<size_t>(messages.back())];
        if (message.role >= 0 && message.role != transition.role) {
          throw Error{place, message.name + " is a message from " +
                                 p_->roles[static_cast<size_t>(message.role)].name};
        }
      } while (TakeWord("or"));
    } else if (TakeWord("closes")) {
      transition.trigger = Trigger::kCloses;
      p_->mentions_close[transition.role] = true;
    } else if (TakeWord("half-closes")) {
      transition.trigger = Trigger::kHalfCloses;
      p_->mentions_half_close = true;
    } else if (TakeWord("resets")) {
      transition.trigger = Trigger::kResets;
    } else {
      Expected("sends, closes, half-closes or resets");
    }
    current_ = messages;
    while (!IsSymbol("->")) {
      if (IsWord("when")) {
        if (!transition.when.empty()) Fail("there is a guard already: join the two with and");
        transition.when.push_back(When());
      } else if (TakeWord("set")) {
        Transition::Assignment assignment;
        assignment.name = Name("a variable's name");
        if (!TakeSymbol("=")) Expected("=");
        assignment.value = Or(0);
        transition.set.push_back(std::move(assignment));
      } else if (!messages.empty() && IsWord("remember")) {
        ++at_;
        transition.remember = true;
      } else if (!messages.empty() && IsWord("answers")) {
        ++at_;
        transition.answers = Index(p_->messages, "message");
      } else {
        Expected(messages.empty() ? "when, set or ->" : "when, remember, answers, set, or or ->");
      }
    }
    ++at_;
    transition.target = Index(p_->states, "state");
    End();
    current_.clear();
    if (messages.empty()) state_->transitions.push_back(transition);
    for (const int message : messages) {
      transition.message = message;
      state_->transitions.push_back(transition);
    }
  }

  void Within(Transition& transition) {
    transition.trigger = Trigger::kTimer;
    const int64_t count = Number("a time", 1, 1'000'000'000);
    if (TakeWord("ms")) {
      transition.within = count * 1'000'000;
    } else if (TakeWord("s")) {
      transition.within = count * 1'000'000'000;
    } else {
      Expected("s or ms");
    }
    if (TakeWord("of")) transition.since = Index(p_->messages, "message");
    if (TakeWord("else")) {
      if (!TakeSymbol("->")) Expected("->");
      transition.target = Index(p_->states, "state");
    }
    End();
    state_->transitions.push_back(transition);
  }

  // --- Expressions: or, and, not, comparison, + -, *, unary -
  Expression Binary(Expression::Kind kind, Expression left, Expression right) const {
    Expression result;
    result.kind = kind;
    result.place = left.place;
    result.operands.push_back(std::move(left));
    result.operands.push_back(std::move(right));
    return result;
  }
  void Deeper(int depth) const {
    if (depth > kMostDepth) Fail("this expression is too deep");
  }
  Expression Or(int depth) {
    Deeper(depth);
    Expression left = And(depth);
    int count = 0;
    while (TakeWord("or")) {
      Deeper(++count);
      left = Binary(Expression::kOr, std::move(left), And(depth + 1));
    }
    return left;
  }
  Expression And(int depth) {
    Expression left = Not(depth);
    int count = 0;
    while (TakeWord("and")) {
      Deeper(++count);
      left = Binary(Expression::kAnd, std::move(left), Not(depth + 1));
    }
    return left;
  }
  Expression Not(int depth) {
    Deeper(depth);
    if (!IsWord("not")) return Comparison(depth);
    Expression result;
    result.kind = Expression::kNot;
    result.place = Take().place;
    result.operands.push_back(Not(depth + 1));
    return result;
  }
  Expression Comparison(int depth) {
    Expression left = Sum(depth);
    static constexpr std::pair<const char*, Expression::Kind> kOperators[] = {
        {"==", Expression::kEqual},        {"!=", Expression::kUnequal},
        {"<", Expression::kLess},          {"<=", Expression::kLessEqual},
        {">", Expression::kGreater},       {">=", Expression::kGreaterEqual}};
    for (const auto& [symbol, kind] : kOperators) {
      if (TakeSymbol(symbol)) return Binary(kind, std::move(left), Sum(depth + 1));
    }
    if (IsSymbol("=")) Fail("expected == to compare, and here is =");
    return left;
  }
  Expression Sum(int depth) {
    Expression left = Product(depth);
    int count = 0;
    while (IsSymbol("+") || IsSymbol("-")) {
      Deeper(++count);
      const auto kind = Take().text == "+" ? Expression::kPlus : Expression::kMinus;
      left = Binary(kind, std::move(left), Product(depth + 1));
    }
    return left;
  }
  Expression Product(int depth) {
    Expression left = Atom(depth);
    int count = 0;
    while (TakeSymbol("*")) {
      Deeper(++count);
      left = Binary(Expression::kTimes, std::move(left), Atom(depth + 1));
    }
    return left;
  }
  Expression Atom(int depth) {
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
  bool Binds(int message, const std::string& name) const {
    const Message& m = p_->messages[static_cast<size_t>(message)];
    if (name == "bytes") return true;
    const int role = m.role;
    for (size_t i = 0; i < p_->roles.size(); ++i) {
      if ((role < 0 || static_cast<size_t>(role) == i) &&
          p_->roles[i].framing.kind == Framing::kHttp &&
          (name == "body" || name == "head"))
        return true;
    }
    return std::find(m.groups.begin(), m.groups.end(), name) != m.groups.end() ||
           std::any_of(m.fields.begin(), m.fields.end(),
                       [&](const Field& field) { return field.name == name; });
  }
  Expression NameOrCall(int depth) {
    Expression result;
    result.place = Here().place;
    const std::string name = Take().text;
    if (TakeSymbol("(")) {
      if (name == "outstanding") {
        result.kind = Expression::kOutstanding;
        result.message = Index(p_->messages, "message");
      } else if (name == "length" || name == "number" || name == "lower") {
        result.kind = name == "length"   ? Expression::kLength
                      : name == "number" ? Expression::kToNumber
                                         : Expression::kLower;
        result.operands.push_back(Or(depth + 1));
      } else {
        throw Error{result.place, "there is no function \"" + name +
                                      "\" (there are: length, number, lower, outstanding)"};
      }
      if (!TakeSymbol(")")) Expected(")");
      return result;
    }
    if (TakeSymbol(".")) {
      result.kind = Expression::kBinding;
      result.message = Find(p_->messages, name);
      if (result.message < 0) throw Error{result.place, "there is no message \"" + name + "\""};
      const Place place = Here().place;
      result.text = Name("what the message binds");
      if (!Binds(result.message, result.text))
        throw Error{place, name + " binds nothing that is called \"" + result.text + "\""};
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
    throw Error{result.place, "nothing is called \"" + name +
                                  "\": no message binds it here, and no transition sets it"};
  }

  // --- The whole
  void Whole() {
    const auto wrong = [&](Place place, const std::string& text) {
      result_.errors.push_back({place, text});
    };
    if (p_->name.empty()) wrong({1, 1}, "expected protocol and its name");
    if (p_->roles.size() != 2)
      wrong({1, 1}, absl::StrCat("expected two roles, and here are ", p_->roles.size()));
    if (p_->states.empty()) wrong({1, 1}, "expected a state, and there is none");
    if (p_->roles.size() == 2) {
      for (size_t i = 0; i < 2; ++i) {
        if (!any_framing_ && !framed_[i])
          wrong(p_->roles[i].place, "expected a framing for " + p_->roles[i].name);
      }
      const auto a = p_->roles[0].plays, b = p_->roles[1].plays;
      const auto fits = [](Role::Plays x, Role::Plays y) {
        return x == Role::kAny || y == Role::kAny || (x != y && (x - 1) / 2 == (y - 1) / 2);
      };
      if (!fits(a, b)) wrong(p_->roles[1].place, "these two roles are not the two ends of one thing");
    }
  }

  // --- What it can never mean
  void Warn() {
    const auto warn = [&](Place place, const std::string& text) {
      result_.warnings.push_back({place, text});
    };
    const auto& states = p_->states;
    std::vector<bool> reached(states.size());
    std::vector<size_t> todo = {0};
    reached[0] = true;
    while (!todo.empty()) {
      const State& state = states[todo.back()];
      todo.pop_back();
      for (const Transition& t : state.transitions) {
        if (t.target < 0 || reached[static_cast<size_t>(t.target)]) continue;
        reached[static_cast<size_t>(t.target)] = true;
        todo.push_back(static_cast<size_t>(t.target));
      }
    }
    std::vector<bool> out(states.size());
    for (size_t i = 0; i < states.size(); ++i) out[i] = states[i].final || states[i].failed;
    for (bool grew = true; grew;) {
      grew = false;
      for (size_t i = 0; i < states.size(); ++i) {
        if (out[i]) continue;
        for (const Transition& t : states[i].transitions) {
          if (t.target >= 0 && out[static_cast<size_t>(t.target)]) out[i] = grew = true;
        }
      }
    }
    std::vector<bool> used(p_->messages.size());
    for (size_t i = 0; i < states.size(); ++i) {
      const State& state = states[i];
      if (!reached[i]) warn(state.place, "the state " + state.name + " can never be reached");
      if (!out[i])
        warn(state.place, "from the state " + state.name + " no final state can be reached");
      for (size_t k = 0; k < state.transitions.size(); ++k) {
        const Transition& t = state.transitions[k];
        if (t.message >= 0) used[static_cast<size_t>(t.message)] = true;
        for (size_t j = 0; j < k; ++j) {
          if (!Shadows(state.transitions[j], t)) continue;
          warn(t.place, absl::StrCat("this can never happen: the transition of line ",
                                     state.transitions[j].place.line, " takes all of it"));
          break;
        }
      }
    }
    for (size_t i = 0; i < p_->messages.size(); ++i) {
      const Message& message = p_->messages[i];
      if (!used[i]) warn(message.place, "the message " + message.name + " is in no state allowed");
      for (size_t r = 0; r < 2; ++r) {
        if (message.role >= 0 && static_cast<size_t>(message.role) != r) continue;
        const std::string reason = NeverMatches(message, p_->roles[r].framing);
        if (reason.empty()) continue;
        warn(message.place, "the message " + message.name + " can never match: " + reason);
        break;
      }
    }
  }

  bool Shadows(const Transition& a, const Transition& b) const {
    if (a.trigger != b.trigger || a.role != b.role || !a.when.empty() || a.answers >= 0 ||
        a.trigger == Trigger::kTimer)
      return false;
    if (a.trigger != Trigger::kSends || a.message == b.message) return true;
    const Message& first = p_->messages[static_cast<size_t>(a.message)];
    const Message& second = p_->messages[static_cast<size_t>(b.message)];
    if (!first.fields.empty()) return false;
    return first.expression == nullptr || first.pattern == ".*" || first.pattern == second.pattern;
  }

  std::string NeverMatches(const Message& message, const Framing& framing) const {
    for (const Field& field : message.fields) {
      if (framing.kind == Framing::kFixed && field.offset + std::max<size_t>(field.width, 1) > framing.size)
        return absl::StrCat("its field ", field.name, " lies behind the end of a message of ",
                            framing.size, " bytes");
      if (framing.kind != Framing::kFixed && field.offset + field.width > framing.most)
        return absl::StrCat("its field ", field.name, " lies behind the longest message");
    }
    if (message.expression == nullptr) return "";
    // The shortest and the longest that could match are not known; but whether one byte must be in
    // it that the framing takes away is, where the pattern is plain.
    const bool line = framing.kind == Framing::kLine || framing.kind == Framing::kNul;
    if (line && message.pattern.find('|') == std::string::npos) {
      const std::string needle = framing.kind == Framing::kLine ? "\\n" : "\\0";
      int depth = 0;
      bool set = false;
      for (size_t i = 0; i + 1 < message.pattern.size(); ++i) {
        const char c = message.pattern[i];
        if (c == '\\') {
          const char after = i + 2 < message.pattern.size() ? message.pattern[i + 2] : ' ';
          if (!set && depth == 0 && message.pattern.compare(i, 2, needle) == 0 && after != '?' &&
              after != '*' && after != '{')
            return "it asks for the byte that ends a message, which is not part of one";
          ++i;
          continue;
        }
        if (c == '[') set = true;
        if (c == ']') set = false;
        if (!set && c == '(') ++depth;
        if (!set && c == ')') --depth;
      }
    }
    // An anchor inside: a^b, a$b.
    std::string least, most;
    re2::RE2::Options options;
    options.set_encoding(re2::RE2::Options::EncodingLatin1);
    options.set_log_errors(false);
    static const re2::RE2 inner_anchor("[a-zA-Z0-9]\\^|(^|[^\\\\])\\$[a-zA-Z0-9]", options);
    static const re2::RE2 sets("\\\\.|\\[[^\\]]*\\]", options);
    std::string plain = message.pattern;
    re2::RE2::GlobalReplace(&plain, sets, "");
    if (plain.find('|') == std::string::npos && re2::RE2::PartialMatch(plain, inner_anchor))
      return "it asks for a beginning or an end in the middle";
    if (framing.kind == Framing::kFixed) {
      // As many bytes of each kind as a message has: a pattern without a star is of one length.
      if (plain == message.pattern && plain.find_first_of("*+?{}().|^$\\[]") == std::string::npos &&
          plain.size() != framing.size)
        return absl::StrCat("it has ", plain.size(), " bytes, and a message ", framing.size);
    }
    return "";
  }

  std::string_view text_;
  std::shared_ptr<Protocol> p_ = std::make_shared<Protocol>();
  Parsed result_;
  const std::vector<Token>* line_ = nullptr;
  size_t at_ = 0;
  std::set<std::string> variables_;
  bool framed_[2] = {false, false};
  bool any_framing_ = false;
  Message* message_ = nullptr;
  size_t field_ = 0;
  State* state_ = nullptr;
  std::vector<int> current_;  // messages of the transition that is being read
};

}  // namespace

Parsed Parse(std::string_view text, const std::string& file) { return Parser(text, file).Run(); }

absl::StatusOr<std::shared_ptr<const Protocol>> Load(const std::string& name,
                                                     std::vector<std::string>* warnings) {
  std::string text;
  bool found = false;
  for (const LibraryProtocol* each = kLibrary; each->name != nullptr && !found; ++each) {
    if (name == each->name) {
      text = each->text;
      found = true;
    }
  }
  if (!found) {
    std::ifstream file(name, std::ios::binary);
    if (file) {
      text.resize(kMostBytes + 1);
      file.read(text.data(), static_cast<std::streamsize>(text.size()));
      text.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
    }
    if (!file.eof() && (!file || text.empty())) {
      std::string known;
      for (const LibraryProtocol* each = kLibrary; each->name != nullptr; ++each)
        known += (known.empty() ? "" : ", ") + std::string(each->name);
      return absl::NotFoundError(
          absl::StrCat("cannot read the protocol ", name, ": ", strerror(errno),
                       " (ipctrace comes with: ", known, ")"));
    }
  }
  const Parsed parsed = Parse(text, name);
  const auto line = [&](const Remark& remark, const char* what) {
    return absl::StrCat(name, ":", remark.place.line, ":", remark.place.column, ": ", what,
                        remark.text);
  };
  for (const Remark& warning : parsed.warnings) warnings->push_back(line(warning, "warning: "));
  if (parsed.protocol != nullptr) return parsed.protocol;
  std::string all;
  for (size_t i = 0; i < parsed.errors.size() && i < 10; ++i)
    all += (i == 0 ? "" : "\n") + line(parsed.errors[i], "");
  return absl::InvalidArgumentError(all);
}

}  // namespace ipctrace::protocol
