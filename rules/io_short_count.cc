// io-short-count: a write that took less than it was given, and nobody wrote the rest; or a reader
// of records that took a piece of one for the whole.
//
// The rest of a write is lost for certain only where no later write on the description succeeds and
// the program does not wait for room either. It does not count where the peer was gone, or where
// nobody in the run could have read it.
//
// A reader of records is known by asking for the same number of bytes each time. That it reads
// records, and not just whatever comes, is shown by the other side: all that was written falls into
// records of that size, and some of them were written by a call each, or all in the same unequal
// pieces, as a header and a body. Who hands on as many bytes as a short read gave is a copier.
#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

constexpr size_t kMostWrites = 4096;  // kept of a stream; past them nothing is said of its records
constexpr uint64_t kAtomic = 4096;    // PIPE_BUF: what is larger, the kernel itself may split

class IoShortCount : public Rule {
 public:
  bool Watches(Op op) const override {
    switch (op) {
      case Op::kRead:
      case Op::kWrite:
      case Op::kStreamRead:
      case Op::kStreamWrite:
      case Op::kTransfer:
      case Op::kPoll:
      case Op::kEpollCtl:
        return true;
      default:
        return false;
    }
  }

  void DidLeave(const Act& act) override {
    switch (act.op) {
      case Op::kWrite:
        if (!at_short_.empty()) HandsOn(*act.process, act.a);
        return Wrote(act);
      case Op::kRead:
        return Read(act);
      case Op::kStreamWrite:
        if (!at_short_.empty()) HandsOn(*act.process, act.b + act.c);
        if (act.b > 0 && act.descriptor != nullptr) {
          short_writes_.erase(act.descriptor->description->id);
          Sent(*act.descriptor, act.b);
        }
        return;
      case Op::kStreamRead:
      case Op::kTransfer:
        // Not a reader of records, or not to be followed.
        if (act.descriptor != nullptr) Spoil(act.descriptor->object()->id);
        if (act.op == Op::kTransfer) {
          if (auto to = act.process->Find(static_cast<int>(act.a))) {
            Spoil(QueueId(*to));
            short_writes_.erase(to->description->id);
          }
        }
        return;
      case Op::kEpollCtl:
        if ((act.c & EPOLLOUT) != 0) WaitsForRoom(act.process->Find(static_cast<int>(act.b)));
        return;
      default:
        if (short_writes_.empty()) return;
        if (const std::string* set = act.Blob(BlobTag::kPoll)) {
          for (const PollEntry& entry : EntriesOf<PollEntry>(*set)) {
            if (entry.fd >= 0 && (entry.events & POLLOUT) != 0)
              WaitsForRoom(act.process->Find(entry.fd));
          }
        }
    }
  }

  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how,
                 const Act& act) override {
    Going(*descriptor);
    ReaderGoing(*descriptor);
  }

  void WillEnd(const Process& process) override {
    if (process.end != EndKind::kExited && !short_writes_.empty()) {
      for (const auto& [fd, descriptor] : process.table)
        short_writes_.erase(descriptor->description->id);
    }
    for (const auto& [fd, descriptor] : process.table) {
      Going(*descriptor);
      ReaderGoing(*descriptor);
    }
  }

  void DidFinish() override {
    std::vector<uint64_t> ids;
    for (const auto& [id, records] : records_) ids.push_back(id);
    std::sort(ids.begin(), ids.end());
    for (uint64_t id : ids) Judge(Of(id));
  }

 private:
  struct ShortWrite {
    Site site;
    uint64_t asked = 0, missing = 0;
    std::shared_ptr<Descriptor> descriptor;
  };
  // One direction of a stream.
  struct Records {
    std::vector<uint64_t> writes;  // where each ended
    uint64_t written = 0, read = 0;
    uint64_t size = 0;       // every read has asked for so many bytes
    bool spoiled = false;    // not all reads did
    uint64_t short_got = 0;  // by the first short read
    bool was_short = false, went_on = false;
    Site short_site, next_site;
    std::shared_ptr<Descriptor> reader;
  };

  static bool IsStream(const Descriptor& descriptor) {
    const Object& object = *descriptor.object();
    return object.IsPipe() || (object.kind == ObjectKind::kSocket && object.socket.stream());
  }
  // The object whose queue a write on this goes to; 0 where it is not in the run.
  static uint64_t QueueId(const Descriptor& descriptor) {
    const Object& object = *descriptor.object();
    if (object.IsPipe()) return object.id;
    auto other = object.socket.other_end.lock();
    return other != nullptr ? other->id : 0;
  }

  void Spoil(uint64_t id) {
    if (id == 0) return;
    Records& records = Of(id);
    records.spoiled = true;
    std::vector<uint64_t>().swap(records.writes);
  }

  // A run may have a thousand million reads and writes, one after another on the same stream.
  Records& Of(uint64_t id) {
    if (id != recent_id_) {
      auto [it, is_new] = records_.try_emplace(id);
      if (is_new) it->second = std::make_unique<Records>();
      recent_id_ = id;
      recent_ = it->second == nullptr ? &done_with_ : it->second.get();
    }
    return *recent_;
  }

  // With the last reading end goes all that could still be found out about a stream's records, and
  // with it what was kept to find it out. Others may yet open a FIFO.
  void ReaderGoing(const Descriptor& descriptor) {
    if (!descriptor.description->readable() || descriptor.description->holders.size() > 1) return;
    const Object& object = *descriptor.object();
    if (object.kind == ObjectKind::kFifo) return;
    auto it = records_.find(object.id);
    if (it == records_.end() || it->second == nullptr) return;
    if (!it->second->spoiled && it->second->went_on) return;
    for (const Description* other : object.descriptions) {
      if (other != descriptor.description.get() && other->readable() && !other->holders.empty()) {
        return;
      }
    }
    if (recent_id_ == object.id) recent_id_ = 0;
    it->second = nullptr;
  }

  // --- Writes

  void Wrote(const Act& act) {
    if (act.descriptor == nullptr || act.failed() || act.result < 0) return;
    auto result = static_cast<uint64_t>(act.result);
    uint64_t id = act.descriptor->description->id;
    if (result > 0 && !short_writes_.empty()) short_writes_.erase(id);
    if (result < act.a && result > 0 && Counts(*act.descriptor)) {
      short_writes_[id] = {act.site(), act.a, act.a - result, act.descriptor};
    }
    Sent(*act.descriptor, result);
  }

  static bool Counts(const Descriptor& descriptor) {
    return IsStream(descriptor) || descriptor.object()->kind == ObjectKind::kFile;
  }

  void WaitsForRoom(const std::shared_ptr<Descriptor>& descriptor) {
    if (descriptor != nullptr) short_writes_.erase(descriptor->description->id);
  }

  // Whether somebody of the run could have read the rest.
  static bool HasReader(const Descriptor& descriptor) {
    const auto& object = descriptor.object();
    if (object->kind == ObjectKind::kFile) return true;
    if (object->outside) return false;
    if (object->IsPipe()) return !Readers(*object).empty();
    auto other = object->socket.other_end.lock();
    return other != nullptr && !other->outside && !other->descriptions.empty() &&
           !Holders(*other).empty() && !other->socket.shut_read;
  }

  // With its last descriptor goes what could still have been written.
  void Going(const Descriptor& descriptor) {
    if (short_writes_.empty()) return;
    auto it = short_writes_.find(descriptor.description->id);
    if (it == short_writes_.end() || descriptor.description->holders.size() > 1) return;
    ShortWrite lost = std::move(it->second);
    short_writes_.erase(it);
    if (!HasReader(descriptor)) return;
    Finding finding;
    finding.site = lost.site;
    const Process& process = *lost.descriptor->process;
    uint64_t took = lost.asked - lost.missing;
    finding.message =
        absl::StrCat(CallName(lost.site.call), " on fd ", lost.descriptor->number, " in ",
                     Named(process), " took ", took, " of ", Bytes(lost.asked), ", and the other ",
                     lost.missing, " were never written");
    finding.fix =
        absl::StrCat("call ", CallName(lost.site.call),
                     " in a loop that goes on behind the bytes it took until all are written "
                     "(where it returns EAGAIN, after poll for POLLOUT)");
    finding.subjects = SubjectsOf(*lost.descriptor);
    AddSteps(finding.story, LifeOf(model(), lost.descriptor));
    AddSteps(
        finding.story,
        {StepAt(absl::StrCat(CallName(lost.site.call), " took ", took, " of ", Bytes(lost.asked)),
                lost.site)});
    Report(std::move(finding));
  }

  // --- Records

  void Sent(const Descriptor& descriptor, uint64_t bytes) {
    if (bytes == 0 || !IsStream(descriptor)) return;
    uint64_t id = QueueId(descriptor);
    const uint64_t sender = descriptor.object()->id;
    if (id == 0) {
      // A client may write before it is accepted.
      if (descriptor.object()->socket.queued_on.expired()) return;
      std::vector<uint64_t>& writes = early_[sender];
      if (writes.size() < kMostWrites) writes.push_back(bytes);
      return;
    }
    CountEarly(sender, id);
    Count(id, bytes);
  }

  // The sender has met its reader, whose queue is `id`.
  void CountEarly(uint64_t sender, uint64_t id) {
    if (early_.empty()) return;
    const auto early = early_.extract(sender);
    if (early.empty()) return;
    for (const uint64_t bytes : early.mapped()) Count(id, bytes);
  }

  void Count(uint64_t id, uint64_t bytes) {
    Records& records = Of(id);
    records.written += bytes;
    if (records.spoiled) return;
    if (records.writes.size() >= kMostWrites) return Spoil(id);
    records.writes.push_back(records.written);
  }

  void Read(const Act& act) {
    if (act.descriptor == nullptr || act.failed() || (act.flags & kRecordPeek) != 0) return;
    if (act.result <= 0 || act.a < 2) return;
    if (!IsStream(*act.descriptor)) return;
    const Object& object = *act.descriptor->object();
    if (auto sender = early_.empty() ? nullptr : object.socket.other_end.lock())
      CountEarly(sender->id, object.id);
    Records& records = Of(object.id);
    if (records.spoiled) return;
    auto got = static_cast<uint64_t>(act.result);
    if (records.size == 0) {
      records.size = act.a;
      // A copier's buffer is not a record.
      bool power_of_two = (act.a & (act.a - 1)) == 0;
      if (act.a > kAtomic && power_of_two) records.spoiled = true;
    }
    if (records.size != act.a) records.spoiled = true;
    if (records.spoiled) {
      std::vector<uint64_t>().swap(records.writes);
      return;
    }
    if (records.was_short && !records.went_on) {
      records.went_on = true;
      records.next_site = act.site();
      std::erase(at_short_, act.descriptor->object()->id);
    }
    if (got < act.a && !records.was_short && records.read % act.a == 0) {
      records.was_short = true;
      records.short_got = got;
      records.short_site = act.site();
      records.reader = act.descriptor;
      at_short_.push_back(act.descriptor->object()->id);
    }
    records.read += got;
  }

  // A write of `bytes`, or what a stream then holds and has written.
  void HandsOn(const Process& process, uint64_t bytes) {
    std::erase_if(at_short_, [&](uint64_t id) {
      const auto it = records_.find(id);
      if (it == records_.end() || it->second == nullptr || it->second->spoiled) return true;
      if (it->second->reader->process != &process || it->second->short_got != bytes) return false;
      Spoil(id);
      return true;
    });
  }

  // Whether it is seen from the writes that they are of records of this size. What is written by
  // the thousand bytes, or one by one, may be read by any number.
  static bool AreRecords(const std::vector<uint64_t>& writes, uint64_t size) {
    bool some_whole = false, all_alike = true;
    uint64_t begin = 0;
    std::vector<uint64_t> pieces, first_pieces;  // of a record
    for (const uint64_t end : writes) {
      const uint64_t bytes = end - begin;
      if (bytes % size == 0 && begin % size == 0) {
        some_whole |= bytes == size;
        all_alike = false;
      } else if (begin / size != (end - 1) / size) {
        return false;
      } else {
        pieces.push_back(bytes);
      }
      begin = end;
      if (begin % size != 0) continue;
      if (first_pieces.empty()) first_pieces = pieces;
      all_alike &= pieces == first_pieces;
      pieces.clear();
    }
    const bool unequal = std::any_of(first_pieces.begin(), first_pieces.end(),
                                     [&](uint64_t each) { return each != first_pieces[0]; });
    return begin % size == 0 && (some_whole || (all_alike && unequal));
  }

  void Judge(const Records& records) {
    if (records.spoiled || !records.went_on || records.written < 2 * records.size) return;
    if (!AreRecords(records.writes, records.size)) return;
    const Descriptor& reader = *records.reader;
    Finding finding;
    finding.site = records.short_site;
    finding.message = absl::StrCat(
        CallName(records.short_site.call), " on fd ", reader.number, " in ", Named(*reader.process),
        " got ", records.short_got, " of the ", Bytes(records.size), " of a record, and the next ",
        CallName(records.next_site.call),
        " asked for a whole record again: from there on the reader is out of step");
    finding.fix =
        "read each record in a loop until all of its bytes have come, and look at what read "
        "returns";
    finding.subjects = SubjectsOf(reader);
    AddSteps(finding.story, LifeOf(model(), records.reader));
    AddSteps(finding.story,
             {StepAt(absl::StrCat(CallName(records.short_site.call), " got ", records.short_got,
                                  " of ", Bytes(records.size)),
                     records.short_site),
              StepAt(absl::StrCat("the next one asked for ", Bytes(records.size), " again"),
                     records.next_site)});
    Report(std::move(finding));
  }

  absl::flat_hash_map<uint64_t, ShortWrite>
      short_writes_;  // the last write on a description, by its id
  // By Object::id of the reading end; null: done with, nothing can be said of it any more.
  absl::flat_hash_map<uint64_t, std::unique_ptr<Records>> records_;
  // What was written on sockets in a listener's queue, by Object::id.
  absl::flat_hash_map<uint64_t, std::vector<uint64_t>> early_;
  uint64_t recent_id_ = 0;  // the one that Of gave last
  Records* recent_ = nullptr;
  Records done_with_ = {.spoiled = true};
  std::vector<uint64_t> at_short_;  // streams whose reader has got a piece and not read again
};

REGISTER_RULE(IoShortCount, "io-short-count", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
