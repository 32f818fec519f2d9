#include "analyzer/protocol/lexer.h"

namespace ipctrace::protocol {
namespace {

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<std::vector<Token>> Run() {
    std::vector<std::vector<Token>> lines;
    std::vector<Token> line;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        EndLine(line, lines);
        Step();
      } else if (c == ' ' || c == '\t' || c == '\r') {
        Step();
      } else if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') Step();
      } else if (c == '\\' && Continues()) {
        while (text_[at_] != '\n') Step();
        Step();
      } else {
        line.push_back(Next());
      }
    }
    EndLine(line, lines);
    return lines;
  }

 private:
  void Step() {
    if (text_[at_] == '\n') {
      ++place_.line;
      place_.column = 1;
    } else if ((static_cast<unsigned char>(text_[at_]) & 0xc0) != 0x80) {
      ++place_.column;
    }
    ++at_;
  }

  bool Continues() const {
    size_t next = at_ + 1;
    while (next < text_.size() && (text_[next] == ' ' || text_[next] == '\r')) ++next;
    return next < text_.size() && text_[next] == '\n';
  }

  void EndLine(std::vector<Token>& line, std::vector<std::vector<Token>>& lines) {
    if (line.empty()) return;
    Token end;
    end.place = place_;
    end.begin = end.end = at_;
    line.push_back(end);
    lines.push_back(std::move(line));
    line.clear();
  }

  Token Next() {
    Token token;
    token.place = place_;
    token.begin = at_;
    const char c = text_[at_];
    if (IsLetter(c)) {
      Word(token);
    } else if (IsDigit(c)) {
      Number(token);
    } else if (c == '"') {
      String(token);
    } else if (c == '/') {
      Pattern(token);
    } else {
      Symbol(token);
    }
    token.end = at_;
    return token;
  }

  // Letters, digits, _ and single hyphens between letters: half-closes.
  void Word(Token& token) {
    token.kind = Token::kWord;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool hyphen = c == '-' && at_ + 1 < text_.size() && IsLetter(text_[at_ + 1]);
      if (!IsLetter(c) && !IsDigit(c) && !hyphen) break;
      token.text += c;
      Step();
    }
  }

  void Number(Token& token) {
    token.kind = Token::kNumber;
    while (at_ < text_.size() && IsDigit(text_[at_])) {
      if (token.number > (INT64_MAX - 9) / 10) {
        token.kind = Token::kBad;
        token.text = "this number is too large";
      } else {
        token.number = token.number * 10 + (text_[at_] - '0');
      }
      if (token.kind == Token::kNumber) token.text += text_[at_];
      Step();
    }
  }

  void String(Token& token) {
    token.kind = Token::kString;
    Step();
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n') {
      char c = text_[at_];
      Step();
      if (c == '\\' && at_ < text_.size() && text_[at_] != '\n') {
        const char escape = text_[at_];
        Step();
        switch (escape) {
          case 'n':
            c = '\n';
            break;
          case 'r':
            c = '\r';
            break;
          case 't':
            c = '\t';
            break;
          case '0':
            c = '\0';
            break;
          case '\\':
          case '"':
            c = escape;
            break;
          case 'x':
            if (at_ + 1 < text_.size() && HexDigit(text_[at_]) >= 0 &&
                HexDigit(text_[at_ + 1]) >= 0) {
              c = static_cast<char>(HexDigit(text_[at_]) * 16 + HexDigit(text_[at_ + 1]));
              Step();
              Step();
              break;
            }
            [[fallthrough]];
          default:
            if (token.kind != Token::kBad) {
              token.kind = Token::kBad;
              token.text =
                  "a string knows the escapes \\n \\r \\t \\0 \\\\ \\\" \\xHH, and no other";
            }
        }
      }
      if (token.kind == Token::kString) token.text += c;
    }
    if (at_ < text_.size() && text_[at_] == '"') {
      Step();
    } else if (token.kind == Token::kString) {
      token.kind = Token::kBad;
      token.text = "this string has no closing \"";
    }
  }

  void Pattern(Token& token) {
    token.kind = Token::kPattern;
    Step();
    while (at_ < text_.size() && text_[at_] != '/' && text_[at_] != '\n') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n') {
        if (text_[at_ + 1] != '/') token.text += '\\';
        Step();
      }
      token.text += text_[at_];
      Step();
    }
    if (at_ < text_.size() && text_[at_] == '/') {
      Step();
    } else {
      token.kind = Token::kBad;
      token.text = "this pattern has no closing /";
    }
  }

  void Symbol(Token& token) {
    static constexpr std::string_view kSymbols[] = {"->", "==", "!=", "<=", ">=", "<", ">", "=",
                                                    "(",  ")",  ",",  ".",  "+",  "-", "*", ":"};
    token.kind = Token::kSymbol;
    for (const std::string_view symbol : kSymbols) {
      if (text_.substr(at_, symbol.size()) != symbol) continue;
      token.text = symbol;
      for (size_t i = 0; i < symbol.size(); ++i) Step();
      return;
    }
    token.kind = Token::kBad;
    token.text = "this character has no meaning here";
    Step();
  }

  std::string_view text_;
  size_t at_ = 0;
  Place place_{1, 1};
};

}  // namespace

std::vector<std::vector<Token>> Lex(std::string_view text) { return Lexer(text).Run(); }

}  // namespace ipctrace::protocol
