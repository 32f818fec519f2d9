// Cuts one direction's stream of bytes into messages, however the bytes come.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_FRAMER_H_
#define IPCTRACE_ANALYZER_PROTOCOL_FRAMER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "analyzer/protocol/protocol.h"

namespace ipctrace::protocol {

// One message. Offsets count the direction's bytes from 0 and include the framing.
struct Frame {
  uint64_t begin = 0, end = 0;
  std::string bytes;  // without its framing: no delimiter, no length field. http: the first line
  std::string head;   // http: from the first line to the empty line
  std::string body;   // http: decoded
};

// What the two directions of one HTTP conversation must know of each other: whether the answer to
// a request has a body depends on its method.
struct HttpMemory {
  std::deque<std::string> methods;  // of the requests that are not answered yet
};

class Framer {
 public:
  // `http` is shared by both directions; null is taken for one of its own.
  explicit Framer(const Framing& framing, std::shared_ptr<HttpMemory> http = nullptr);

  enum class Result : uint8_t {
    kMessage,
    kNeedsMore,
    kError,   // these bytes can be no message; error() says why
    kOpaque,  // what follows is another protocol (an HTTP upgrade): it is not looked at
  };
  void Add(std::string_view bytes);
  Result Next(Frame* frame);
  // No more will come. kMessage where the close ends one, kError in the middle of one, else
  // kNeedsMore.
  Result Close(Frame* frame);

  // http: a request whose head is whole and whose body is not. A server may answer it before it has
  // all of it (RFC 9112, 9.3 and 9.5), so it counts as sent when the answer begins. The rest of the
  // body is taken without a word.
  bool TakeEarly(Frame* frame);

  // The bytes that are no whole message yet, and where they begin.
  std::string_view rest() const { return std::string_view(buffer_).substr(begin_); }
  uint64_t offset() const { return offset_; }
  bool answered_early() const { return early_; }
  const std::string& error() const { return error_; }
  // What is missing of the message that has begun: "no newline has come", "3 of 12 bytes".
  std::string Missing() const;
  const Framing& framing() const { return framing_; }

 private:
  Result Delimited(Frame* frame);
  Result Counted(Frame* frame);
  Result Http(Frame* frame);
  Result HttpHead();
  Result HttpChunks();
  Result Resp(Frame* frame);
  size_t RespEnd(size_t at, int depth, bool* bad);
  Result Take(Frame* frame, size_t skip, size_t length, size_t total);
  Result Error(std::string why);
  uint64_t Length(bool big) const;

  const Framing framing_;
  std::shared_ptr<HttpMemory> http_;
  std::string buffer_;
  size_t begin_ = 0;     // of what is not taken yet, in buffer_
  uint64_t offset_ = 0;  // of begin_ in the direction
  size_t scanned_ = 0;   // of rest(): known to hold no delimiter
  size_t needed_ = 0;    // of rest(): less than this is no message (resp)
  std::string error_;
  bool failed_ = false, opaque_ = false;

  // http: of the message that has begun.
  size_t head_bytes_ = 0;  // 0: its head is not whole yet
  enum Body : uint8_t { kNone, kCounted, kChunked, kUntilClose } body_ = kNone;
  size_t body_bytes_ = 0;
  std::string body_text_;
  size_t chunk_at_ = 0;    // of rest(): where the next chunk begins
  bool interim_ = false;   // a 1xx answer: the request stays unanswered
  bool switches_ = false;  // 101, or 2xx to CONNECT
  bool is_answer_ = false;
  bool early_ = false;  // TakeEarly has given it out
};

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_FRAMER_H_
