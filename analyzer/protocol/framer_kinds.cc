// The framings that have a grammar of their own: HTTP/1.x and RESP.
#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "analyzer/protocol/framer.h"
#include "analyzer/report/escape.h"

namespace ipctrace::protocol {
namespace {

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

std::string Shown(std::string_view bytes) {
  std::string text = "\"" + EscapeTerminal(bytes.substr(0, 40)) + "\"";
  if (bytes.size() > 40) text += " …";
  return text;
}

// All of `text` as a number.
bool ToSize(std::string_view text, size_t* size, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *size, base);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace

// --- HTTP ----------------------------------------------------------------------------------------

Framer::Result Framer::HttpHead() {
  const std::string_view text = rest();
  // Empty lines before a request are to be ignored (RFC 9112, 2.2).
  size_t start = 0;
  while (start + 1 < text.size() && text[start] == '\r' && text[start + 1] == '\n') start += 2;
  if (start > 0) {
    begin_ += start;
    offset_ += start;
    scanned_ = 0;
    return rest().empty() ? Result::kNeedsMore : HttpHead();
  }
  const size_t from = scanned_ < 4 ? 0 : scanned_ - 4;
  const size_t crlf = text.find("\r\n\r\n", from);
  const size_t lf = text.find("\n\n", from);
  if (std::min({crlf, lf, text.size()}) > (size_t{1} << 16))
    return Error("a head of more than 64 KiB");
  if (crlf == std::string_view::npos && lf == std::string_view::npos) {
    scanned_ = text.size();
    // What no head begins with need not be waited for.
    for (size_t i = 0; i < std::min<size_t>(text.size(), 4); ++i) {
      const char c = text[i];
      if (!((c >= 'A' && c <= 'Z') || c == '/' || c == '-' || c == ' '))
        return Error(absl::StrCat("no HTTP message begins with ", Shown(text)));
    }
    return Result::kNeedsMore;
  }
  head_bytes_ = crlf < lf ? crlf + 4 : lf + 2;
  const std::string_view head = text.substr(0, head_bytes_);
  const std::string_view first = head.substr(0, head.find_first_of("\r\n"));
  is_answer_ = first.substr(0, 5) == "HTTP/";
  body_ = kNone;
  body_bytes_ = 0;
  bool chunked = false, has_length = false;
  for (absl::string_view line : absl::StrSplit(Absl(head), '\n')) {
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos) continue;
    const absl::string_view name = line.substr(0, colon);
    const absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
    if (absl::EqualsIgnoreCase(name, "content-length")) {
      if (!ToSize({value.data(), value.size()}, &body_bytes_))
        return Error(absl::StrCat("Content-Length is ", Shown({value.data(), value.size()}),
                                  ", which is no number"));
      has_length = true;
    } else if (absl::EqualsIgnoreCase(name, "transfer-encoding")) {
      chunked = absl::EndsWithIgnoreCase(value, "chunked");
    }
  }
  if (body_bytes_ > framing_.most)
    return Error(absl::StrCat("Content-Length is ", body_bytes_, ", more than is looked at (",
                              framing_.most, ")"));
  int status = 0;
  interim_ = switches_ = false;
  std::string method;
  if (is_answer_) {
    const size_t space = first.find(' ');
    size_t code = 0;
    if (space == std::string_view::npos || !ToSize(first.substr(space + 1, 3), &code))
      return Error(absl::StrCat("a status line without a status: ", Shown(first)));
    status = static_cast<int>(code);
    interim_ = status >= 100 && status < 200;
    if (!http_->methods.empty()) {
      method = http_->methods.front();
      if (!interim_) http_->methods.pop_front();
    }
    switches_ = status == 101 || (method == "CONNECT" && status >= 200 && status < 300);
  } else {
    http_->methods.emplace_back(first.substr(0, first.find(' ')));
  }
  if (interim_ || status == 204 || status == 304 || method == "HEAD") {
    body_bytes_ = 0;
  } else if (chunked) {
    body_ = kChunked;
    chunk_at_ = head_bytes_;
    body_text_.clear();
  } else if (has_length) {
    body_ = kCounted;
  } else if (is_answer_ && !switches_) {
    body_ = kUntilClose;
  }
  return Result::kMessage;
}

// RFC 9112, 7.1.
Framer::Result Framer::HttpChunks() {
  const std::string_view text = rest();
  while (true) {
    const size_t line = text.find('\n', chunk_at_);
    if (line == std::string_view::npos)
      return text.size() - chunk_at_ > 4096 ? Error("a chunk without a length")
                                            : Result::kNeedsMore;
    std::string_view digits = text.substr(chunk_at_, line - chunk_at_);
    digits = digits.substr(0, digits.find_first_of(";\r "));
    size_t bytes = 0;
    if (!ToSize(digits, &bytes, 16))
      return Error(
          absl::StrCat("a chunk's length is ", Shown(digits), ", which is no hexadecimal number"));
    if (bytes > framing_.most || body_text_.size() + bytes > framing_.most)
      return Error("a body larger than is looked at");
    if (bytes == 0) {
      // The trailer: lines up to an empty one.
      size_t at = line + 1;
      while (true) {
        const size_t end = text.find('\n', at);
        if (end == std::string_view::npos)
          return text.size() - at > (1 << 16) ? Error("a trailer of more than 64 KiB")
                                              : Result::kNeedsMore;
        const bool empty = end == at || (end == at + 1 && text[at] == '\r');
        at = end + 1;
        if (empty) break;
      }
      chunk_at_ = at;
      return Result::kMessage;
    }
    const size_t data = line + 1;
    if (text.size() < data + bytes + 1) return Result::kNeedsMore;
    size_t next = data + bytes;
    if (text[next] == '\r') {
      if (text.size() < next + 2) return Result::kNeedsMore;
      ++next;
    }
    if (text[next] != '\n')
      return Error(absl::StrCat("a chunk is longer than the ", bytes, " bytes it says"));
    body_text_.append(text.substr(data, bytes));
    chunk_at_ = next + 1;
  }
}

bool Framer::TakeEarly(Frame* frame) {
  if (framing_.kind != Framing::kHttp || head_bytes_ == 0 || is_answer_ || early_) return false;
  *frame = Frame();
  frame->begin = offset_;
  frame->end = offset_ + head_bytes_;
  frame->head = std::string(rest().substr(0, head_bytes_));
  frame->bytes = frame->head.substr(0, frame->head.find_first_of("\r\n"));
  early_ = true;
  return true;
}

Framer::Result Framer::Http(Frame* frame) {
  if (head_bytes_ == 0) {
    const Result result = HttpHead();
    if (result != Result::kMessage) return result;
  }
  const auto finish = [&](size_t total) {
    const std::string head = buffer_.substr(begin_, head_bytes_);
    std::string body = body_ == kChunked
                           ? std::move(body_text_)
                           : buffer_.substr(begin_ + head_bytes_, total - head_bytes_);
    opaque_ = switches_;
    Take(frame, 0, std::min(head.find_first_of("\r\n"), head.size()), total);
    frame->head = head;
    frame->body = std::move(body);
    body_text_.clear();
    head_bytes_ = 0;
    if (!early_) return Result::kMessage;
    early_ = false;
    return Next(frame);
  };
  switch (body_) {
    case kNone:
      return finish(head_bytes_);
    case kCounted:
      if (rest().size() - head_bytes_ < body_bytes_) return Result::kNeedsMore;
      return finish(head_bytes_ + body_bytes_);
    case kChunked: {
      const Result result = HttpChunks();
      return result == Result::kMessage ? finish(chunk_at_) : result;
    }
    case kUntilClose:
      if (rest().size() > framing_.most) opaque_ = true;
      return opaque_ ? Result::kOpaque : Result::kNeedsMore;
  }
  return Result::kNeedsMore;
}

// --- RESP ----------------------------------------------------------------------------------------

// The end of the value at `at` of rest(); 0: not whole yet, and needed_ says how many bytes at
// least are missing.
size_t Framer::RespEnd(size_t at, int depth, bool* bad) {
  const std::string_view text = rest();
  if (depth > 32) return *bad = true, 0;
  if (at >= text.size()) return 0;
  const size_t line = text.find("\r\n", at);
  if (line == std::string_view::npos) {
    *bad |= text.size() - at > (1 << 16);
    return 0;
  }
  const char kind = text[at];
  const std::string_view count = text.substr(at + 1, line - at - 1);
  switch (kind) {
    case '+':
    case '-':
    case ':':
    case '_':
    case ',':
    case '#':
    case '(':
      return line + 2;
    case '$':
    case '=':
    case '!': {
      if (count == "-1") return line + 2;
      size_t bytes = 0;
      if (!ToSize(count, &bytes) || bytes > framing_.most) return *bad = true, 0;
      if (text.size() < line + 2 + bytes + 2) {
        needed_ = line + 2 + bytes + 2;
        return 0;
      }
      if (text.substr(line + 2 + bytes, 2) != "\r\n") return *bad = true, 0;
      return line + 2 + bytes + 2;
    }
    case '*':
    case '%':
    case '~':
    case '>': {
      if (count == "-1") return line + 2;
      size_t items = 0;
      if (!ToSize(count, &items) || items > (1 << 20)) return *bad = true, 0;
      if (kind == '%') items *= 2;
      size_t end = line + 2;
      for (size_t i = 0; i < items; ++i) {
        end = RespEnd(end, depth + 1, bad);
        if (end == 0) return 0;
      }
      return end;
    }
    default:
      // A command as plain words, in a line.
      if (depth == 0 && ((kind >= 'a' && kind <= 'z') || (kind >= 'A' && kind <= 'Z')))
        return line + 2;
      return *bad = true, 0;
  }
}

Framer::Result Framer::Resp(Frame* frame) {
  if (rest().size() < needed_) return Result::kNeedsMore;
  bool bad = false;
  const size_t end = RespEnd(0, 0, &bad);
  if (bad) return Error(absl::StrCat("no RESP value begins with ", Shown(rest())));
  if (end == 0) {
    if (rest().size() > framing_.most) return Error("a value longer than the protocol allows");
    return Result::kNeedsMore;
  }
  return Take(frame, 0, end, end);
}

}  // namespace ipctrace::protocol
