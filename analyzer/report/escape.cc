#include "analyzer/report/escape.h"

#include <cstdint>
#include <cstdio>

namespace ipctrace {
namespace {

// Length of the well-formed UTF-8 sequence at `at`, and its code point; 0 if there is none.
size_t Decode(std::string_view text, size_t at, uint32_t* point) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) {
    *point = first;
    return 1;
  }
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() - at < length) return 0;
  uint32_t value = first & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    value = value << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
    return 0;
  *point = value;
  return length;
}

bool Printable(uint32_t point) {
  if (point < 0x20 || (point >= 0x7f && point < 0xa0)) return false;
  if (point == 0x2028 || point == 0x2029 || point == 0xfeff) return false;
  return !(point >= 0x202a && point <= 0x202e) && !(point >= 0x2066 && point <= 0x2069) &&
         point != 0x200e && point != 0x200f && point != 0x61c && (point & 0xfffe) != 0xfffe;
}

}  // namespace

std::string EscapeTerminal(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    uint32_t point = 0;
    const size_t length = Decode(text, at, &point);
    if (length > 0 && Printable(point)) {
      result.append(text, at, length);
    } else if (point == '\n' || point == '\t' || point == '\r') {
      result += point == '\n' ? "\\n" : point == '\t' ? "\\t" : "\\r";
    } else {
      char code[16];
      if (length > 1) {
        snprintf(code, sizeof(code), "\\u%04x", point);
      } else {
        snprintf(code, sizeof(code), "\\x%02x", static_cast<uint8_t>(text[at]));
      }
      result += code;
    }
    at += length > 0 ? length : 1;
  }
  return result;
}

std::string EscapeXml(std::string_view text) {
  std::string result;
  for (const char c : EscapeTerminal(text)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&apos;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

size_t Columns(std::string_view text) {
  size_t columns = 0;
  for (const char c : text) columns += (static_cast<uint8_t>(c) & 0xc0) != 0x80;
  return columns;
}

std::string Fit(std::string_view text, size_t columns) {
  if (Columns(text) <= columns) return std::string(text);
  size_t end = 0;
  for (size_t seen = 0; end < text.size(); ++end) {
    if ((static_cast<uint8_t>(text[end]) & 0xc0) != 0x80 && ++seen == columns) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace ipctrace
