#include "analyzer/protocol/framer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "analyzer/report/escape.h"

namespace ipctrace::protocol {

Framer::Framer(const Framing& framing, std::shared_ptr<HttpMemory> http)
    : framing_(framing),
      http_(http == nullptr && framing.kind == Framing::kHttp ? std::make_shared<HttpMemory>()
                                                              : std::move(http)) {}

void Framer::Add(std::string_view bytes) {
  if (failed_ || opaque_) return;
  // What was taken is thrown away when it is the larger part.
  if (begin_ > 4096 && begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  buffer_.append(bytes);
}

Framer::Result Framer::Error(std::string why) {
  failed_ = true;
  error_ = std::move(why);
  return Result::kError;
}

Framer::Result Framer::Take(Frame* frame, size_t skip, size_t length, size_t total) {
  frame->begin = offset_;
  frame->end = offset_ + total;
  frame->bytes = buffer_.substr(begin_ + skip, length);
  frame->head.clear();
  frame->body.clear();
  begin_ += total;
  offset_ += total;
  scanned_ = needed_ = 0;
  return Result::kMessage;
}

Framer::Result Framer::Next(Frame* frame) {
  if (failed_) return Result::kError;
  if (opaque_) return Result::kOpaque;
  if (rest().empty()) return Result::kNeedsMore;
  switch (framing_.kind) {
    case Framing::kLine:
    case Framing::kNul:
    case Framing::kDelimiter:
      return Delimited(frame);
    case Framing::kFixed:
      if (rest().size() < framing_.size) return Result::kNeedsMore;
      return Take(frame, 0, framing_.size, framing_.size);
    case Framing::kLength:
      return Counted(frame);
    case Framing::kHttp:
      return Http(frame);
    case Framing::kResp:
      return Resp(frame);
    case Framing::kUntilClose:
      if (rest().size() > framing_.most)
        return Error("the message is longer than the protocol allows");
      return Result::kNeedsMore;
  }
  return Result::kNeedsMore;
}

Framer::Result Framer::Delimited(Frame* frame) {
  const std::string& delimiter = framing_.delimiter;
  const size_t from = scanned_ < delimiter.size() ? 0 : scanned_ - delimiter.size();
  const size_t end = rest().find(delimiter, from);
  if (std::min(end, rest().size()) > framing_.most) {
    return Error(absl::StrCat("no end of the message in ", framing_.most, " bytes"));
  }
  if (end == std::string_view::npos) {
    scanned_ = rest().size();
    return Result::kNeedsMore;
  }
  return Take(frame, 0, end, end + delimiter.size());
}

uint64_t Framer::Length(bool big) const {
  uint64_t length = 0;
  for (size_t i = 0; i < framing_.size; ++i) {
    const auto byte = static_cast<uint8_t>(rest()[big ? i : framing_.size - 1 - i]);
    length = length << 8 | byte;
  }
  return length;
}

Framer::Result Framer::Counted(Frame* frame) {
  if (rest().size() < framing_.size) return Result::kNeedsMore;
  const auto whole = [&](bool big) {
    const uint64_t length = Length(big);
    if (framing_.includes_itself) return length;
    return length > framing_.most ? length : length + framing_.size;
  };
  const uint64_t total = whole(framing_.big);
  const auto swapped = [&]() -> std::string {
    if (framing_.size == 1 || whole(!framing_.big) > framing_.most) return "";
    return absl::StrCat("; as a ", framing_.big ? "little" : "big", "-endian number it is ",
                        Length(!framing_.big), ", so its byte order is wrong");
  };
  if (framing_.includes_itself && total < framing_.size) {
    return Error(absl::StrCat("the length field says ", total, ", and should count its own ",
                              framing_.size, " bytes too"));
  }
  if (total > framing_.most + framing_.size) {
    return Error(absl::StrCat("the length field says ", Length(framing_.big),
                              " bytes, more than the protocol allows (", framing_.most, ")",
                              swapped()));
  }
  if (rest().size() < total) return Result::kNeedsMore;
  return Take(frame, framing_.size, total - framing_.size, total);
}

Framer::Result Framer::Close(Frame* frame) {
  if (failed_) return Result::kError;
  if (opaque_) return Result::kOpaque;
  if (framing_.kind == Framing::kUntilClose) return Take(frame, 0, rest().size(), rest().size());
  // A request that was answered may be broken off.
  if (rest().empty() || early_) return Result::kNeedsMore;
  if (framing_.kind == Framing::kHttp && head_bytes_ != 0 && body_ == kUntilClose) {
    body_bytes_ = rest().size() - head_bytes_;
    body_ = kCounted;
    return Http(frame);
  }
  error_ = Missing();
  return Result::kError;
}

std::string Framer::Missing() const {
  const size_t have = rest().size();
  switch (framing_.kind) {
    case Framing::kLine:
      return "no newline has come";
    case Framing::kNul:
      return "no NUL byte has come";
    case Framing::kDelimiter:
      return absl::StrCat("no \"", EscapeTerminal(framing_.delimiter), "\" has come");
    case Framing::kFixed:
      return absl::StrCat(have, " of ", framing_.size, " bytes have come");
    case Framing::kLength: {
      if (have < framing_.size)
        return absl::StrCat(have, " of the ", framing_.size, " bytes of its length have come");
      const uint64_t total = Length(framing_.big) + (framing_.includes_itself ? 0 : framing_.size);
      std::string text = absl::StrCat("its length field says ", Length(framing_.big), ", and ",
                                      framing_.includes_itself ? have : have - framing_.size, " ",
                                      "bytes have come");
      const uint64_t swapped = framing_.size == 1 ? 0 : Length(!framing_.big);
      if (framing_.size > 1 && swapped + (framing_.includes_itself ? 0 : framing_.size) == have &&
          total != have)
        text += "; in the other byte order it says just that";
      return text;
    }
    case Framing::kHttp:
      if (head_bytes_ == 0) return "the empty line that ends the head has not come";
      if (body_ == kCounted)
        return absl::StrCat("Content-Length is ", body_bytes_, ", and ", have - head_bytes_,
                            " bytes of the body have come");
      return "the last chunk has not come";
    case Framing::kResp:
      return "the value is not whole";
    case Framing::kUntilClose:
      return "it ends with the close";
  }
  return "";
}

}  // namespace ipctrace::protocol
