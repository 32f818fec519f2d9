#include "analyzer/events/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace ipctrace {
namespace {

// File: kMagic with the version in its last byte, kContractVersion, then blocks: two little-endian
// uint32 (compressed and plain size) and a zstd frame with checksum. A block with both sizes 0 ends
// the file. In a block's plain bytes each event is
//   kind, then varints, signed ones zigzag, times and numbers as differences to what the same
// thread's last event had. A block needs nothing from another: the state is reset at each.
constexpr char kMagic[16] = "ipctrace trace\n";
constexpr uint8_t kVersion = 1;
constexpr size_t kBlockBytes = 256 * 1024;
constexpr size_t kMostBlockBytes = 64 * 1024 * 1024;
constexpr int64_t kFlushPeriod = 100'000'000;  // ns
constexpr int kLevel = 1;

int64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

void PutVarint(std::string* out, uint64_t value) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}
uint64_t ZigZag(int64_t value) {
  return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
}
int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

// Reads what PutVarint wrote; after the end or on damage it gives 0 and `ok` is false.
struct Reader {
  std::string_view bytes;
  bool ok = true;
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (bytes.empty()) break;
      auto byte = static_cast<uint8_t>(bytes.front());
      bytes.remove_prefix(1);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    ok = false;
    return 0;
  }
  int64_t Signed() { return UnZigZag(Varint()); }
  std::string_view Bytes(uint64_t length) {
    if (length > bytes.size()) {
      ok = false;
      return {};
    }
    std::string_view result = bytes.substr(0, length);
    bytes.remove_prefix(length);
    return result;
  }
};

// What the next event of a thread is likely to be near to.
struct Last {
  uint32_t process = 0;
  int32_t pid = 0, tid = 0;
  uint64_t seq = 0;
  uint64_t a = 0, b = 0, c = 0;
  uint32_t stack = 0;
  int fd = -1;
};
struct Context {
  absl::flat_hash_map<uint32_t, Last> threads;
  Nanos time = 0;
};

void Encode(const Event& event, Context& context, std::string* out) {
  Last& last = context.threads[event.thread];
  bool same_owner =
      last.process == event.process && last.pid == event.pid && last.tid == event.tid;
  auto head = static_cast<uint8_t>(static_cast<uint8_t>(event.kind) | (same_owner ? 0x80 : 0) |
                                   (event.blobs.empty() ? 0 : 0x40));
  out->push_back(static_cast<char>(head));
  PutVarint(out, event.thread);
  if (!same_owner) {
    PutVarint(out, event.process);
    PutVarint(out, ZigZag(event.pid));
    PutVarint(out, ZigZag(event.tid));
  }
  PutVarint(out, static_cast<uint64_t>(event.call) << 8 | event.flags);
  PutVarint(out, ZigZag(static_cast<int64_t>(event.seq - last.seq)));
  PutVarint(out, ZigZag(event.time - context.time));
  PutVarint(out, ZigZag(static_cast<int64_t>(event.stack) - last.stack));
  PutVarint(out, ZigZag(int64_t{event.fd} - last.fd));
  PutVarint(out, ZigZag(event.result));
  PutVarint(out, ZigZag(event.err));
  PutVarint(out, event.a ^ last.a);
  PutVarint(out, event.b ^ last.b);
  PutVarint(out, event.c ^ last.c);
  if (!event.blobs.empty()) {
    PutVarint(out, event.blobs.size());
    for (const auto& [tag, bytes] : event.blobs) {
      PutVarint(out, static_cast<uint64_t>(tag));
      PutVarint(out, bytes.size());
      out->append(bytes);
    }
  }
  context.time = event.time;
  last = {event.process, event.pid, event.tid,   event.seq, event.a,
          event.b,       event.c,   event.stack, event.fd};
}

bool Decode(Reader& in, Context& context, Event* event) {
  auto head = static_cast<uint8_t>(in.Bytes(1).empty() ? 0 : in.bytes.data()[-1]);
  event->kind = static_cast<EventKind>(head & 0x3f);
  event->thread = static_cast<uint32_t>(in.Varint());
  Last& last = context.threads[event->thread];
  if ((head & 0x80) != 0) {
    event->process = last.process, event->pid = last.pid, event->tid = last.tid;
  } else {
    event->process = static_cast<uint32_t>(in.Varint());
    event->pid = static_cast<int32_t>(in.Signed());
    event->tid = static_cast<int32_t>(in.Signed());
  }
  uint64_t call = in.Varint();
  event->call = static_cast<Call>(call >> 8 < kCallCount ? call >> 8 : 0);
  event->flags = static_cast<uint8_t>(call);
  event->seq = last.seq + static_cast<uint64_t>(in.Signed());
  event->time = context.time + in.Signed();
  event->stack = static_cast<uint32_t>(last.stack + in.Signed());
  event->fd = static_cast<int>(last.fd + in.Signed());
  event->result = in.Signed();
  event->err = static_cast<int>(in.Signed());
  event->a = last.a ^ in.Varint();
  event->b = last.b ^ in.Varint();
  event->c = last.c ^ in.Varint();
  event->blobs.clear();
  if ((head & 0x40) != 0) {
    uint64_t count = in.Varint();
    for (uint64_t i = 0; i < count && in.ok; ++i) {
      auto tag = static_cast<BlobTag>(in.Varint());
      event->blobs.emplace_back(tag, std::string(in.Bytes(in.Varint())));
    }
  }
  context.time = event->time;
  last = {event->process, event->pid, event->tid,   event->seq, event->a,
          event->b,       event->c,   event->stack, event->fd};
  return in.ok;
}

}  // namespace

struct EventLogWriter::Impl {
  std::string path;
  int fd = -1;
  ZSTD_CCtx* compressor = ZSTD_createCCtx();
  Context context;
  std::string plain;
  std::string packed;
  int64_t flushed_at = MonotonicNs();
  absl::Status status;

  ~Impl() {
    ZSTD_freeCCtx(compressor);
    if (fd >= 0) close(fd);
  }

  void Write(std::string_view bytes) {
    while (!bytes.empty() && status.ok()) {
      ssize_t written = write(fd, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        status = absl::ResourceExhaustedError(absl::StrCat(
            "The trace \"", path, "\" could not be written to its end: ", strerror(errno), "."));
        return;
      }
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }

  void WriteBlock() {
    flushed_at = MonotonicNs();
    if (plain.empty() || !status.ok()) return;
    uint32_t sizes[2];
    packed.resize(sizeof(sizes) + ZSTD_compressBound(plain.size()));
    size_t size = ZSTD_compress2(compressor, packed.data() + sizeof(sizes),
                                 packed.size() - sizeof(sizes), plain.data(), plain.size());
    sizes[0] = static_cast<uint32_t>(size);
    sizes[1] = static_cast<uint32_t>(plain.size());
    memcpy(packed.data(), sizes, sizeof(sizes));
    Write(std::string_view(packed).substr(0, sizeof(sizes) + size));
    plain.clear();
    context = Context();
  }
};

EventLogWriter::EventLogWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventLogWriter::~EventLogWriter() = default;

absl::StatusOr<std::unique_ptr<EventLogWriter>> EventLogWriter::Create(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (impl->fd < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("The trace \"", path, "\" cannot be created: ", strerror(errno), "."));
  }
  ZSTD_CCtx_setParameter(impl->compressor, ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(impl->compressor, ZSTD_c_checksumFlag, 1);
  std::string magic(kMagic, sizeof(kMagic));
  magic.back() = static_cast<char>(kVersion);
  impl->Write(magic);
  uint32_t contract = kContractVersion;
  impl->Write(std::string_view(reinterpret_cast<const char*>(&contract), sizeof(contract)));
  return std::unique_ptr<EventLogWriter>(new EventLogWriter(std::move(impl)));
}

void EventLogWriter::Take(const Event& event) {
  if (!impl_->status.ok()) return;
  Encode(event, impl_->context, &impl_->plain);
  if (impl_->plain.size() >= kBlockBytes || MonotonicNs() - impl_->flushed_at > kFlushPeriod) {
    impl_->WriteBlock();
  }
}

absl::Status EventLogWriter::Flush(bool finish) {
  impl_->WriteBlock();
  if (finish) impl_->Write(std::string_view("\0\0\0\0\0\0\0\0", 8));
  return impl_->status;
}

namespace {

// Reads exactly `size` bytes. 1: done, 0: the file ends before, -1: error.
int ReadFully(int fd, char* out, size_t size) {
  while (size > 0) {
    ssize_t got = read(fd, out, size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) return 0;
    out += got;
    size -= static_cast<size_t>(got);
  }
  return 1;
}

struct File {
  int fd;
  ~File() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace

absl::Status ReadEventLog(const std::string& path, EventSink* sink) {
  File file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) {
    return absl::NotFoundError(absl::StrCat("The trace \"", path, "\" cannot be read: ",
                                            strerror(errno), "."));
  }
  char magic[sizeof(kMagic)];
  if (ReadFully(file.fd, magic, sizeof(magic)) != 1 ||
      memcmp(magic, kMagic, sizeof(kMagic) - 1) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("\"", path, "\" is not a trace of ipctrace."));
  }
  auto cut = [&] {
    return absl::DataLossError(absl::StrCat(
        "The trace \"", path,
        "\" is cut short or damaged; what stands before that place has been read."));
  };
  uint32_t contract;
  int version = static_cast<uint8_t>(magic[sizeof(magic) - 1]);
  if (version == kVersion &&
      ReadFully(file.fd, reinterpret_cast<char*>(&contract), sizeof(contract)) != 1) {
    return cut();
  }
  if (version != kVersion || contract != kContractVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "The trace \"", path, "\" was written by another version of ipctrace, which this one does "
        "not read; use the version that wrote it."));
  }
  std::string packed, plain;
  Event event;
  for (;;) {
    uint32_t sizes[2];
    if (ReadFully(file.fd, reinterpret_cast<char*>(sizes), sizeof(sizes)) != 1) return cut();
    if (sizes[0] == 0 && sizes[1] == 0) return absl::OkStatus();
    if (sizes[0] > kMostBlockBytes || sizes[1] > kMostBlockBytes) return cut();
    packed.resize(sizes[0]);
    plain.resize(sizes[1]);
    if (ReadFully(file.fd, packed.data(), packed.size()) != 1) return cut();
    size_t size = ZSTD_decompress(plain.data(), plain.size(), packed.data(), packed.size());
    if (size != plain.size()) return cut();
    Reader in{plain};
    Context context;
    while (!in.bytes.empty()) {
      if (!Decode(in, context, &event)) return cut();
      sink->Take(event);
    }
  }
}

}  // namespace ipctrace
