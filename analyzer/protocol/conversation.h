// A conversation: what two sides send each other over a connection, a pipe, or a pair of pipes. The
// plain data that flows.h fills, and judge.h and complaint.h read.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_CONVERSATION_H_
#define IPCTRACE_ANALYZER_PROTOCOL_CONVERSATION_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "analyzer/model/entities.h"
#include "analyzer/protocol/framer.h"
#include "analyzer/protocol/machine.h"
#include "analyzer/protocol/protocol.h"

namespace ipctrace::protocol {

// The bytes that one call sent or took; offsets count the direction's bytes from 0.
struct Chunk {
  uint64_t begin = 0, end = 0;
  Site site;
  Nanos enter = 0, leave = 0;
};

// The chunk that holds this byte; null: it is not remembered.
const Chunk* ChunkAt(const std::deque<Chunk>& chunks, uint64_t offset);

// Something that one side does: bytes, or the end of them.
struct Deed {
  std::optional<Trigger> close;  // none: bytes
  bool complete = true;          // the call has returned
  bool known = true;             // `bytes` are these bytes; false: `size` of them
  std::string bytes;
  uint64_t size = 0;
  Site site;
  Nanos enter = 0, leave = 0;
  uint32_t thread = 0;
  uint64_t seq = 0;
  uint64_t taken = 0;  // bytes that this end had taken from the other direction by then
};

struct Conversation;

// One direction: from the socket, or through the pipe.
struct Flow {
  std::shared_ptr<Object> object;
  bool from_outside = false;  // then `object` is the socket that receives
  Conversation* conversation = nullptr;
  Flow* back = nullptr;                                // the other direction
  std::map<std::pair<Nanos, uint64_t>, Deed> waiting;  // by entry
  uint64_t sent = 0;                                   // bytes handed on
  uint64_t taken = 0;                                  // bytes that the receiver has read
  std::deque<Chunk> sent_chunks, taken_chunks;
  std::string taken_bytes;  // what the receiver read, from `taken_from` on
  uint64_t taken_from = 0;
  bool closed = false, half_closed = false;
  // A pipe that is not yet in a conversation: who has written and read, as far as they tried to.
  uint32_t writer = 0, reader = 0;  // process ids
  int writer_fd = -1, reader_fd = -1;
  uint64_t waiting_bytes = 0;
};

struct Said {
  int role = 0;
  uint64_t begin = 0, end = 0;
  std::string text;  // "request \"hello\""
  Nanos time = 0;
};

// One protocol's view of a conversation.
struct Check {
  std::shared_ptr<const Protocol> protocol;
  size_t index = 0;                     // of LoadedProtocols()
  std::unique_ptr<Machine> machine;     // null: concluded
  std::unique_ptr<Framer> framers[2];   // by role
  Flow* flows[2] = {nullptr, nullptr};  // by role; null: nothing goes that way
  std::deque<Said> history;
  bool done = false;  // nothing more is judged
  // The violation, until it is known who took what.
  std::optional<Verdict> verdict;
  int role = 0;  // who did it
  Said said;     // the message, if it was one
  bool was_message = false;
  bool broken_framing = false;  // what was sent can be no message
  Site site;
  Nanos time = 0;
  // Of the other side's message that had begun and was not whole then.
  std::string unfinished, missing;
  uint64_t unfinished_end = 0;
};

struct Conversation {
  std::unique_ptr<Flow> owned[2];   // the second is null for one pipe alone
  std::shared_ptr<Object> ends[2];  // sockets, or pipes; the second may be null
  std::vector<Check> checks;
  std::vector<std::pair<const Flow*, Deed>> sent;  // not yet held against the checks
  size_t sent_bytes = 0;                           // in it
  Nanos began = 0;
  bool decided = false;  // which protocols are for it
};

// Whether both roles send.
bool TwoWay(const Protocol& protocol);
// Whether the protocol may be spoken over two pipes, one for each way.
bool NeedsPipePair(const Protocol& protocol);

// The place of the first bytes that were sent this way; of process 0: none yet.
Site FirstSite(const Flow& flow);

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_CONVERSATION_H_
