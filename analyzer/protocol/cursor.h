// A place in one line of a protocol's file: looks at the next word, takes it, or says what was
// expected instead. What is wrong is thrown as a Mistake; nothing but the parser sees one.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_CURSOR_H_
#define IPCTRACE_ANALYZER_PROTOCOL_CURSOR_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analyzer/protocol/lexer.h"
#include "analyzer/report/escape.h"

namespace ipctrace::protocol {

struct Mistake {
  Place place;
  std::string text;
};

// Where `name` stands among all; -1: nowhere.
template <typename T>
int Find(const std::vector<T>& all, const std::string& name) {
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

class Cursor {
 public:
  void Start(const std::vector<Token>* line) {
    line_ = line;
    at_ = 0;
  }

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
  [[noreturn]] void Fail(const std::string& text) const { throw Mistake{Here().place, text}; }
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

 protected:
  const std::vector<Token>* line_ = nullptr;
  size_t at_ = 0;
};

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_CURSOR_H_
