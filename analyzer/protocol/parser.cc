// Two passes over the lines: the first learns the names of roles, messages, states and variables,
// so that they may be used before they stand; the second reads what they are.
#include "analyzer/protocol/parser.h"

#include <re2/re2.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "absl/strings/str_cat.h"
#include "analyzer/protocol/doubts.h"
#include "analyzer/protocol/expressions.h"
#include "analyzer/protocol/lexer.h"
#include "analyzer/report/escape.h"

namespace ipctrace::protocol {
namespace {

constexpr size_t kMostNames = 1000;

class Parser : private ExpressionReader {
 public:
  Parser(std::string_view text, const std::string& file) : text_(text) { protocol_->file = file; }

  Parsed Run() {
    if (text_.size() > kMostProtocolBytes) {
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
      result_.warnings = Doubts(*protocol_);
      result_.protocol = protocol_;
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
    Start(&line);
    try {
      (this->*parse)();
    } catch (const Mistake& error) {
      result_.errors.push_back({error.place, error.text});
    }
  }

  // --- The first pass: names
  void Declare() {
    if (IsWord("role")) {
      ++at_;
      Role role;
      role.place = Here().place;
      role.name = Name("a name for the role");
      static const std::set<std::string> kKeywords = {"protocol", "role",  "port",  "framing",
                                                      "message",  "state", "field", "within"};
      if (kKeywords.count(role.name) != 0)
        throw Mistake{role.place, "a role cannot be called \"" + role.name + "\""};
      if (Find(protocol_->roles, role.name) >= 0)
        throw Mistake{role.place, "there is a role " + role.name + " already"};
      if (protocol_->roles.size() == 2)
        throw Mistake{role.place, "a protocol has two roles, and this is a third"};
      protocol_->roles.push_back(role);
    } else if (IsWord("message")) {
      ++at_;
      Message message;
      message.place = Here().place;
      message.name = Name("a name for the message");
      if (Find(protocol_->messages, message.name) >= 0)
        throw Mistake{message.place, "there is a message " + message.name + " already"};
      if (protocol_->messages.size() == kMostNames)
        throw Mistake{message.place, "these are too many messages"};
      // What its pattern binds must be known before any guard is read.
      for (size_t i = at_; i < line_->size(); ++i) {
        if ((*line_)[i].kind == Token::kPattern) Compile((*line_)[i], &message);
      }
      protocol_->messages.push_back(std::move(message));
    } else if (IsWord("field")) {
      if (protocol_->messages.empty()) Fail("a field belongs to a message, and none stands above");
      protocol_->messages.back().fields.push_back({(*line_)[1].text});
    } else if (IsWord("state")) {
      ++at_;
      State state;
      state.place = Here().place;
      state.name = Name("a name for the state");
      if (Find(protocol_->states, state.name) >= 0)
        throw Mistake{state.place, "there is a state " + state.name + " already"};
      if (protocol_->states.size() == kMostNames)
        throw Mistake{state.place, "these are too many states"};
      protocol_->states.push_back(state);
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
      throw Mistake{token.place, "this pattern is not a regular expression: " +
                                     EscapeTerminal(expression->error())};
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
      if (!protocol_->name.empty()) Fail("a file holds one protocol, and this is a second");
      protocol_->name = Name("a name for the protocol");
      End();
    } else if (TakeWord("role")) {
      RoleStatement();
    } else if (TakeWord("port")) {
      const auto port = static_cast<int>(Number("a port", 1, 65535));
      for (Role& role : protocol_->roles) role.port = port;
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
    Role& role = protocol_->roles[static_cast<size_t>(Index(protocol_->roles, "role"))];
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
    if (Here().kind == Token::kWord && Find(protocol_->roles, Here().text) >= 0)
      role = Index(protocol_->roles, "role");
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
      Expected(absl::StrCat(role < 0 && !protocol_->roles.empty() && kind.kind == Token::kWord
                                ? "the name of a role, or "
                                : "",
                            "line, nul, fixed, length, delimiter, http, resp or until-close"));
    }
    if (TakeWord("max"))
      framing.most = static_cast<size_t>(Number("a number of bytes", 1, 1 << 30));
    End();
    for (size_t i = 0; i < protocol_->roles.size(); ++i) {
      if (role >= 0 && static_cast<size_t>(role) != i) continue;
      if (role < 0 && framed_[i]) continue;
      protocol_->roles[i].framing = framing;
      framed_[i] = role >= 0;
    }
    any_framing_ |= role < 0;
  }

  void MessageStatement() {
    Message& message =
        protocol_->messages[static_cast<size_t>(Index(protocol_->messages, "message"))];
    message_ = &message;
    field_ = 0;
    if (TakeWord("from")) message.role = Index(protocol_->roles, "role");
    if (TakeSymbol("=")) {
      if (Here().kind != Token::kPattern) Expected("a pattern between slashes");
      ++at_;
    }
    End();
  }

  void FieldStatement() {
    if (message_ == nullptr || field_ >= message_->fields.size())
      Fail("a field belongs to a message");
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
          {"u8", 1}, {"u16", 2}, {"u32", 4}, {"u64", 8},
          {"i8", 1}, {"i16", 2}, {"i32", 4}, {"i64", 8}};
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
    State& state = protocol_->states[static_cast<size_t>(Index(protocol_->states, "state"))];
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
    guard.expression = ReadExpression();
    guard.source = std::string(text_.substr(begin, (*line_)[at_ - 1].end - begin));
    return guard;
  }

  void TransitionStatement() {
    Transition transition;
    transition.place = Here().place;
    if (state_ == nullptr && Find(protocol_->roles, Here().text) < 0) {
      Expected("protocol, role, port, framing, message, field or state");
    }
    if (state_ == nullptr) Fail("this belongs to a state, and none stands above");
    if (TakeWord("within")) return Within(transition);
    if (Find(protocol_->roles, Here().text) < 0) {
      Expected("a role's name, within, or protocol, role, port, framing, message, field or state");
    }
    transition.role = Index(protocol_->roles, "role");
    std::vector<int> messages;
    if (TakeWord("sends")) {
      do {
        const Place place = Here().place;
        messages.push_back(Index(protocol_->messages, "message"));
        const Message& message = protocol_->messages[static_cast<size_t>(messages.back())];
        if (message.role >= 0 && message.role != transition.role) {
          throw Mistake{place, message.name + " is a message from " +
                                   protocol_->roles[static_cast<size_t>(message.role)].name};
        }
      } while (TakeWord("or"));
    } else if (TakeWord("closes")) {
      transition.trigger = Trigger::kCloses;
      protocol_->mentions_close[transition.role] = true;
    } else if (TakeWord("half-closes")) {
      transition.trigger = Trigger::kHalfCloses;
      protocol_->mentions_half_close = true;
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
        assignment.value = ReadExpression();
        transition.set.push_back(std::move(assignment));
      } else if (!messages.empty() && IsWord("remember")) {
        ++at_;
        transition.remember = true;
      } else if (!messages.empty() && IsWord("answers")) {
        ++at_;
        transition.answers = Index(protocol_->messages, "message");
      } else {
        Expected(messages.empty() ? "when, set or ->" : "when, remember, answers, set, or or ->");
      }
    }
    ++at_;
    transition.target = Index(protocol_->states, "state");
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
    if (TakeWord("of")) transition.since = Index(protocol_->messages, "message");
    if (TakeWord("else")) {
      if (!TakeSymbol("->")) Expected("->");
      transition.target = Index(protocol_->states, "state");
    }
    End();
    state_->transitions.push_back(transition);
  }

  // --- The whole
  void Whole() {
    const auto wrong = [&](Place place, const std::string& text) {
      result_.errors.push_back({place, text});
    };
    if (protocol_->name.empty()) wrong({1, 1}, "expected protocol and its name");
    if (protocol_->roles.size() != 2)
      wrong({1, 1}, absl::StrCat("expected two roles, and here are ", protocol_->roles.size()));
    if (protocol_->states.empty()) wrong({1, 1}, "expected a state, and there is none");
    if (protocol_->roles.size() == 2) {
      for (size_t i = 0; i < 2; ++i) {
        if (!any_framing_ && !framed_[i])
          wrong(protocol_->roles[i].place, "expected a framing for " + protocol_->roles[i].name);
      }
      const auto a = protocol_->roles[0].plays, b = protocol_->roles[1].plays;
      const auto fits = [](Role::Plays x, Role::Plays y) {
        return x == Role::kAny || y == Role::kAny || (x != y && (x - 1) / 2 == (y - 1) / 2);
      };
      if (!fits(a, b))
        wrong(protocol_->roles[1].place, "these two roles are not the two ends of one thing");
    }
  }

  std::string_view text_;
  Parsed result_;
  bool framed_[2] = {false, false};
  bool any_framing_ = false;
  Message* message_ = nullptr;
  size_t field_ = 0;
  State* state_ = nullptr;
};

}  // namespace

Parsed Parse(std::string_view text, const std::string& file) { return Parser(text, file).Run(); }

}  // namespace ipctrace::protocol
