#include "tests/preload/traced_run.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "preload/trace/session_file.h"

namespace ipctrace {
namespace {

// Under Bazel the library is among the test's data; by hand, IPCTRACE_LIBRARY names it.
std::string LibraryPath() {
  const char* const given = getenv("IPCTRACE_LIBRARY");
  char* const path = realpath(given != nullptr ? given : "preload/libipctrace.so", nullptr);
  if (path == nullptr) {
    fprintf(stderr, "no libipctrace.so: set IPCTRACE_LIBRARY\n");
    exit(1);
  }
  std::string result = path;
  free(path);
  return result;
}

std::string Slurp(int fd) {
  std::string all;
  char part[4096];
  lseek(fd, 0, SEEK_SET);
  for (ssize_t got; (got = read(fd, part, sizeof(part))) > 0;) {
    all.append(part, static_cast<size_t>(got));
  }
  close(fd);
  return all;
}

void Run(const std::vector<std::string>& argv, const TraceOptions& options,
         std::vector<std::string> environment, TracedRun* run) {
  environment.insert(environment.end(), options.environment.begin(), options.environment.end());
  const int in = memfd_create("in", MFD_CLOEXEC);
  const int out = memfd_create("out", MFD_CLOEXEC);
  const int err = memfd_create("err", MFD_CLOEXEC);
  if (write(in, options.input.data(), options.input.size()) < 0) abort();
  lseek(in, 0, SEEK_SET);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    closefrom(3);
    for (const std::string& entry : environment) putenv(strdup(entry.c_str()));
    std::vector<char*> arguments;
    for (const std::string& argument : argv) arguments.push_back(strdup(argument.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  waitpid(pid, &run->status, 0);
  close(in);
  run->out = Slurp(out);
  run->err = Slurp(err);
}

void Decode(SessionHeader* header, TracedRun* run) {
  const uint64_t claimed = std::min<uint64_t>(header->claimed.load(), header->chunk_count);
  std::vector<ChunkHeader*> chunks;
  for (uint64_t i = 0; i < claimed; ++i) {
    ChunkHeader* const chunk = SessionChunk(header, SlotChunk(SlotFor(header, i, header->chunk_count).load()));
    if (chunk->lap.load() != 0) chunks.push_back(chunk);
  }
  std::map<std::pair<uint32_t, uint64_t>, SeenRecord> all;  // by thread and number
  for (int blobs = 0; blobs < 2; ++blobs) {
    for (ChunkHeader* chunk : chunks) {
      for (size_t i = 0; i < kRecordsPerChunk; ++i) {
        const Record& record = ChunkRecords(chunk)[i];
        const uint32_t head = record.head.load();
        if (HeadState(head) == RecordState::kEmpty) continue;
        const auto call = static_cast<Call>(HeadCall(head));
        const uint64_t seq = chunk->first_seq + i;
        if (call == Call::fact_blob) {
          if (blobs == 0) continue;
          const auto& piece = reinterpret_cast<const BlobRecord&>(record);
          std::string& whole = all[{chunk->thread, piece.owner}].blobs[piece.tag];
          whole.resize(std::max<size_t>(whole.size(), piece.offset + piece.length));
          memcpy(whole.data() + piece.offset, piece.data, piece.length);
        } else if (blobs == 0) {
          all[{chunk->thread, seq}] = {chunk->process, chunk->thread, chunk->pid,   chunk->tid,
                                       seq,            call,          HeadFlags(head),
                                       HeadState(head), record.stack, record.enter, record.leave,
                                       record.fd,      record.err,    record.result,
                                       record.a,       record.b,      record.c,     {}};
        }
      }
    }
  }
  for (auto& [key, record] : all) run->records.push_back(std::move(record));
  std::stable_sort(run->records.begin(), run->records.end(),
                   [](const SeenRecord& x, const SeenRecord& y) { return x.enter < y.enter; });
  run->lost = header->lost.load();
  run->untraced_execs = header->untraced_execs.load();
  run->processes = header->next_process.load() - 1;
}

}  // namespace

TracedRun RunTraced(const std::vector<std::string>& argv, const TraceOptions& options) {
  static int count = 0;
  const std::string path =
      "/dev/shm/ipctrace-test-" + std::to_string(getpid()) + "-" + std::to_string(count++);
  std::string error;
  SessionHeader* const header =
      CreateSession(path, options.session_bytes, ChooseClock(), &error);
  if (header == nullptr) {
    fprintf(stderr, "%s\n", error.c_str());
    exit(1);
  }
  header->options = options.options;
  header->analyzer_state.store(static_cast<uint32_t>(
      options.analyzer_gone ? AnalyzerState::kGone : AnalyzerState::kFollowing));
  TracedRun run;
  Run(argv, options, {"LD_PRELOAD=" + LibraryPath(), "IPCTRACE_SESSION=" + path}, &run);
  Decode(header, &run);
  UnmapSession(header);
  unlink(path.c_str());
  return run;
}

TracedRun RunPlain(const std::vector<std::string>& argv, const TraceOptions& options) {
  TracedRun run;
  Run(argv, options, {}, &run);
  return run;
}

std::vector<SeenRecord> TracedRun::Of(Op op) const {
  std::vector<SeenRecord> found;
  for (const SeenRecord& record : records) {
    if (record.op() == op) found.push_back(record);
  }
  return found;
}

std::vector<SeenRecord> TracedRun::Of(Call call) const {
  std::vector<SeenRecord> found;
  for (const SeenRecord& record : records) {
    if (record.call == call) found.push_back(record);
  }
  return found;
}

std::vector<SeenRecord> TracedRun::OfProcess(uint32_t process) const {
  std::vector<SeenRecord> found;
  for (const SeenRecord& record : records) {
    if (record.process == process) found.push_back(record);
  }
  return found;
}

std::string Describe(const SeenRecord& record) {
  char line[512];
  snprintf(line, sizeof(line),
           "p%u t%u #%llu %s%s fd=%d result=%lld err=%d a=%llx b=%llx c=%llx stack=%u", record.process,
           record.thread, static_cast<unsigned long long>(record.seq), NameOf(record.call),
           record.state == RecordState::kReturned    ? ""
           : record.state == RecordState::kAbandoned ? " (abandoned)"
           : record.state == RecordState::kEntered   ? " (entered)"
                                                     : " (incomplete)",
           record.fd, static_cast<long long>(record.result), record.err,
           static_cast<unsigned long long>(record.a), static_cast<unsigned long long>(record.b),
           static_cast<unsigned long long>(record.c), record.stack);
  std::string text = line;
  for (const auto& [tag, blob] : record.blobs) {
    text += " [" + std::to_string(static_cast<int>(tag)) + ":";
    if (tag == BlobTag::kPath || tag == BlobTag::kArgv || tag == BlobTag::kExe ||
        tag == BlobTag::kCwd) {
      for (char c : blob) text += c == 0 ? '|' : c;
    } else {
      text += std::to_string(blob.size());
    }
    text += "]";
  }
  return text + "\n";
}

std::string Describe(const std::vector<SeenRecord>& records) {
  std::string text;
  for (const SeenRecord& record : records) text += Describe(record);
  return text;
}

}  // namespace ipctrace
