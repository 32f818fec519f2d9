// What the byte-moving calls record of the bytes themselves.
#ifndef IPCTRACE_PRELOAD_PAYLOAD_H_
#define IPCTRACE_PRELOAD_PAYLOAD_H_

#include <stdarg.h>
#include <string.h>
#include <sys/uio.h>

#include "preload/readable.h"
#include "preload/recorder.h"

namespace ipctrace {

// Whether all bytes that go through this descriptor are to be recorded: a protocol watches pipes,
// sockets, or the sockets of some ports. Asks the kernel.
bool Watched(int fd) IPCTRACE_COLD;

// The first 16 bytes of `size` at `data` into b and c. Only for bytes that the kernel has just read
// or written, which are known to be there.
template <typename AnyAct>
IPCTRACE_INLINE void RecordPreview(AnyAct& act, const void* data, size_t size) {
  if (__builtin_expect(size >= 16, 1)) {
    memcpy(&act->b, data, 16);
    return;
  }
  // Two words that overlap are cheaper here than a call of memcpy.
  const auto* from = static_cast<const unsigned char*>(data);
  uint64_t first = 0, second = 0;
  if (size >= 8) {
    memcpy(&first, from, 8);
    memcpy(&second, from + size - 8, 8);
    second = second >> 8 >> (15 - size) * 8;
  } else if (size >= 4) {
    uint32_t head, tail;
    memcpy(&head, from, 4);
    memcpy(&tail, from + size - 4, 4);
    first = head | uint64_t{tail} << (size - 4) * 8;
  } else {
    for (size_t i = 0; i < size; ++i) first |= uint64_t{from[i]} << i * 8;
  }
  act->b = first;
  act->c = second;
}

// The same, and all of them where a protocol watches.
template <typename AnyAct>
IPCTRACE_INLINE void RecordPayload(AnyAct& act, const void* data, size_t size) {
  RecordPreview(act, data, size);
  if (__builtin_expect(session.payload, 0) && Watched(act->fd))
    act.Blob(BlobTag::kPayload, data, size);
}

// What printf puts out, formatted once more: for where it was written and nothing is left of it.
// `list` is a copy of the one that was printed, `error` errno as it was then.
class FormattedAgain {
 public:
  FormattedAgain(int length, const char* format, va_list list, int error);
  ~FormattedAgain();
  FormattedAgain(const FormattedAgain&) = delete;
  FormattedAgain& operator=(const FormattedAgain&) = delete;
  const char* text() const { return text_; }  // nullptr: it came out differently

 private:
  char* memory_ = nullptr;
  size_t size_;
  const char* text_ = nullptr;
};

// Length of all vectors together; 0 where they cannot be read.
inline uint64_t VectorBytes(const iovec* vectors, uint64_t count) {
  if (count > 1024 || !Readable(vectors, count * sizeof(iovec))) return 0;
  uint64_t bytes = 0;
  for (uint64_t i = 0; i < count; ++i) bytes += vectors[i].iov_len;
  return bytes;
}

// RecordPayload for the first `moved` bytes of vectors: the preview is of the first that is not
// empty.
inline void RecordVectorPayload(Act& act, const iovec* vectors, uint64_t count, size_t moved) {
  uint64_t i = 0;
  while (i < count && vectors[i].iov_len == 0) ++i;
  if (i == count) return;
  const size_t first = moved < vectors[i].iov_len ? moved : vectors[i].iov_len;
  if (!session.payload || !Watched(act->fd)) return RecordPreview(act, vectors[i].iov_base, first);
  memcpy(&act->b, vectors[i].iov_base, first < 16 ? first : 16);
  if (act.lost()) return;
  BlobWriter writer(act.thread(), act.record(), BlobTag::kPayload);
  for (; i < count && moved != 0; ++i) {
    const size_t part = moved < vectors[i].iov_len ? moved : vectors[i].iov_len;
    writer.Write(vectors[i].iov_base, part);
    moved -= part;
  }
  writer.Finish();
}

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_PAYLOAD_H_
