// Stacks: on a miss in the thread's cache, the registers and the addresses near the top of the
// stack go into the trace and the analyzer unwinds them.
//
// Why not unwind here: libunwind costs 120 ns warm and 4-5 us cold with eight rt_sigprocmask calls,
// takes the loader's lock (in signal handlers, in children forked from threads), and adds 160 us to
// every exec; a cached lookup here is about 3 ns, and a copy of a lecture program's stack, which is
// a few hundred bytes deep, some 100-300 ns, once for a call site.
#include <emmintrin.h>
#include <string.h>
#include <sys/uio.h>

#include "preload/hello.h"
#include "preload/raw.h"
#include "preload/recorder.h"
#include "preload/valgrind.h"

namespace ipctrace {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMixedWords = 64;
constexpr uint64_t kNear = uint64_t{64} << 20;  // no mapping is that near below the main stack

// How many bytes from `sp` upwards can be read without a fault. A stack that is neither the
// thread's own (an alternate signal stack, a coroutine's) nor known is trusted to the end of its
// page.
IPCTRACE_START_CODE uint64_t ReadableBytes(uint64_t sp) {
  const uint64_t to_page_end = kPage - sp % kPage;
  const uint64_t to_end = kept.stack_end - sp;
  const uint64_t near = kept.stack_end == session.stack_end ? kNear : kPage;
  if (to_end <= near) return to_end;
  return to_page_end;
}

}  // namespace

namespace {

// Which of the words from `sp` upwards are addresses in the executable's code. Bit 0: the first.
IPCTRACE_START_CODE uint64_t CodeWords(uint64_t sp) {
  uint64_t count = ReadableBytes(sp) / 8;
  if (count > kMixedWords) count = kMixedWords;
  const auto* const words = reinterpret_cast<const uint64_t*>(sp);
  uint64_t mask = 0;
  for (uint64_t i = 0; i < count; ++i) {
    mask |= uint64_t{words[i] - session.exe_start < session.exe_bytes} << i;
  }
  return mask;
}

IPCTRACE_INLINE uint64_t Mix(uint64_t key, uint64_t sp, uint64_t mask) {
  const auto* const words = reinterpret_cast<const uint64_t*>(sp);
  for (; mask != 0; mask &= mask - 1) {
    key = (key ^ words[__builtin_ctzll(mask)]) * 0xD6E8FEB86659FD93;
  }
  return key;
}

// To look at words that were never written is a mistake elsewhere, and Memcheck says so.
uint64_t MixUnderValgrind(uint64_t key, uint64_t sp) {
  AskValgrind(ValgrindRequest::kChangeErrorDisablement, 1);
  uint64_t mixed = Mix(key, sp, CodeWords(sp));
  AskValgrind(ValgrindRequest::kMakeDefined, reinterpret_cast<uint64_t>(&mixed), sizeof(mixed));
  AskValgrind(ValgrindRequest::kChangeErrorDisablement, ~uint64_t{0});
  return mixed;
}

}  // namespace

// The callers are told apart by the code addresses near the top of the stack. To look for those
// among all words costs as much as the rest of a record, so where they were is remembered by the
// innermost call. That is enough: the same call from the same function has its caller's address in
// the same place, and where that is another, the rest is not found and is looked for.
IPCTRACE_START_CODE uint32_t FindExactStack(ThreadState* thread, const Record* owner, uint64_t key,
                                            uint64_t return_address, uint64_t sp) {
  if (__builtin_expect(session.valgrind, 0)) {
    return FindStack(thread, owner, MixUnderValgrind(key, sp), return_address, sp);
  }
  const uint64_t hash = key * kSpread;
  const auto tag = static_cast<uint32_t>(hash >> 16);
  const uint64_t slot = hash >> 32 & (kCallerSlots - 1);
  StackCache* const cache = kept.stacks;
  if (__builtin_expect(cache->caller_tags[slot] == tag, 1)) {
    const uint32_t id = CachedStack(Mix(key, sp, cache->caller_masks[slot]));
    if (__builtin_expect(id != 0, 1)) return id;
  }
  const uint64_t mask = CodeWords(sp);
  cache->caller_tags[slot] = tag;
  cache->caller_masks[slot] = mask;
  return FindStack(thread, owner, Mix(key, sp, mask), return_address, sp);
}

IPCTRACE_START_CODE void RecordFailure(ThreadState* thread, Record* record, uint64_t sp) {
  record->err = errno;
  if (sp == 0) return;
  const uint64_t return_address = reinterpret_cast<uint64_t*>(sp)[-1];
  const auto call =
      static_cast<Call>(HeadCall(record->head.load(std::memory_order_relaxed)));
  const uint64_t key = StackKey(call, return_address, sp) + 1;
  record->stack = FindExactStack(thread, record, key, return_address, sp);
}

namespace {

// Where addresses on a stack lead that an unwinder can use: from `least`, some way below this
// library, to the end of the address space, where the libraries and the stack are; and to the
// executable's code.
struct Addresses {
  static constexpr uint64_t kEnd = uint64_t{1} << 47;
  uint64_t least, code, code_bytes;

  bool Has(uint64_t word) const {
    return (word - least < kEnd - least) | (word - code < code_bytes);
  }
};

// Of a block's words those that may be such addresses by their bits 16 to 47, four at a time: most
// words are not, and among the rest are hardly others.
IPCTRACE_START_CODE uint64_t LikeAddresses(const uint64_t* words, const Addresses& addresses) {
  const auto bits = [](uint64_t address) { return static_cast<int>(address >> 16); };
  const __m128i below_least = _mm_set1_epi32(bits(addresses.least) - 1);
  const __m128i below_code = _mm_set1_epi32(bits(addresses.code) - 1);
  const __m128i above_code = _mm_set1_epi32(bits(addresses.code + addresses.code_bytes) + 1);
  uint64_t mask = 0;
  for (size_t i = 0; i < kStackBlockWords; i += 4) {
    const auto* const four = reinterpret_cast<const __m128i*>(words + i);
    const auto two = [](const __m128i* from) {
      return _mm_castsi128_ps(_mm_srli_epi64(_mm_loadu_si128(from), 16));
    };
    // From 2^47 on the sign is set, and no word is above anything.
    const __m128i of_four = _mm_castps_si128(
        _mm_shuffle_ps(two(four), two(four + 1), _MM_SHUFFLE(2, 0, 2, 0)));
    const __m128i found = _mm_or_si128(_mm_cmpgt_epi32(of_four, below_least),
                                       _mm_and_si128(_mm_cmpgt_epi32(of_four, below_code),
                                                     _mm_cmplt_epi32(of_four, above_code)));
    mask |= static_cast<uint64_t>(_mm_movemask_ps(_mm_castsi128_ps(found))) << i;
  }
  return mask;
}

// What an unwinder can use of a stack: where the code is that called, and where on the stack its
// frames are. Of 4 KiB that is less than a tenth. `sp` may be on a stack that lies elsewhere: what
// is near it counts as well.
IPCTRACE_START_CODE void WriteWords(BlobWriter& writer, const uint64_t* words, size_t count,
                                    uint64_t sp) {
  constexpr uint64_t kBelow = uint64_t{1} << 39, kAround = 1 << 20;
  const Addresses addresses = {reinterpret_cast<uint64_t>(&session) - kBelow, session.exe_start,
                               session.exe_bytes};
  const bool all = session.valgrind;  // to compare what was never written would be a mistake
  const bool away = sp - addresses.least >= Addresses::kEnd - addresses.least;
  for (; count > 0; words += kStackBlockWords) {
    const size_t size = count < kStackBlockWords ? count : kStackBlockWords;
    count -= size;
    uint64_t likely = ~uint64_t{0} >> (kStackBlockWords - size);
    if (size == kStackBlockWords && !all && !away) likely = LikeAddresses(words, addresses);
    char block[8 + kStackBlockWords * kStackWordBytes + 8];  // whole words are written into it
    uint64_t mask = 0;
    size_t used = 8;
    for (; likely != 0; likely &= likely - 1) {
      const int i = __builtin_ctzll(likely);
      const uint64_t word = words[i];
      bool is_address = all || addresses.Has(word);
      if (__builtin_expect(away, 0)) is_address |= word - (sp - kAround) < 2 * kAround;
      memcpy(block + used, &word, 8);
      mask |= uint64_t{is_address} << i;
      used += is_address ? kStackWordBytes : 0;
    }
    memcpy(block, &mask, 8);
    writer.Write(block, used);
  }
}

}  // namespace

IPCTRACE_START_CODE uint32_t CopyNewStack(ThreadState* thread, const Record* owner, uint64_t key,
                      uint64_t return_address, uint64_t sp) {
  const uint32_t id = CopyStack(thread, owner, return_address, sp);
  key *= kSpread;
  kept.stacks->ids[StackSlot(key)] = ((key >> 16) & 0xFFFFFFFF) << 32 | id;
  return id;
}

IPCTRACE_START_CODE uint32_t CopyStack(ThreadState* thread, const Record* owner,
                                       uint64_t return_address, uint64_t sp) {
  if (__builtin_expect(session.loads_pending, 0)) SayModulesUnlocked(thread);
  StackCopy copy = {};
  __asm__ volatile("movq %%rbx, %0" : "=m"(copy.rbx));
  __asm__ volatile("movq %%rbp, %0" : "=m"(copy.rbp));
  __asm__ volatile("movq %%r12, %0" : "=m"(copy.r12));
  __asm__ volatile("movq %%r13, %0" : "=m"(copy.r13));
  __asm__ volatile("movq %%r14, %0" : "=m"(copy.r14));
  __asm__ volatile("movq %%r15, %0" : "=m"(copy.r15));
  copy.rip = return_address;
  copy.rsp = sp;
  copy.id = session.header->next_stack.fetch_add(1);
  uint64_t bytes = ReadableBytes(sp);
  const void* from = reinterpret_cast<const void*>(sp);
  bool scratch = false;
  if (bytes < kStackCopyBytes && kept.stack_end - sp > bytes && !thread->scratch_used) {
    // Further up may be unmapped: let the kernel read it.
    scratch = thread->scratch_used = true;
    iovec local = {kept.stacks->scratch, kStackCopyBytes};
    iovec remote[2] = {{reinterpret_cast<void*>(sp), bytes},
                       {reinterpret_cast<void*>(sp + bytes), kStackCopyBytes - bytes}};
    const long got = Raw(SYS_process_vm_readv, thread->id.pid, Address(&local), 1,
                         Address(remote), 2, 0);
    if (got >= static_cast<long>(bytes)) {
      bytes = static_cast<uint64_t>(got);
      from = kept.stacks->scratch;
    }
  }
  if (bytes > kStackCopyBytes) bytes = kStackCopyBytes;
  BlobWriter writer(thread, owner, BlobTag::kStack);
  writer.Write(&copy, sizeof(copy));
  WriteWords(writer, static_cast<const uint64_t*>(from), bytes / 8, sp);
  writer.Finish();
  if (scratch) thread->scratch_used = false;
  return copy.id;
}

}  // namespace ipctrace
