#include "preload/restraint.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/raw.h"
#include "preload/readable.h"
#include "preload/recorder.h"

namespace ipctrace {

IPCTRACE_START_DATA bool restrained;

namespace {

// What the library calls once a program runs, with the arguments that a filter may look at.
constexpr struct {
  int number;
  int argument;  // which of them; -1: none
  uint64_t value;
} kOwnCalls[] = {
    {SYS_madvise, 2, MADV_POPULATE_WRITE},
    {SYS_mmap, 2, PROT_READ | PROT_WRITE},
    {SYS_munmap, -1, 0},
    {SYS_futex, 1, FUTEX_WAIT},
    {SYS_rt_sigprocmask, -1, 0},
    {SYS_sigaltstack, -1, 0},
    {SYS_getpid, -1, 0},
    {SYS_gettid, -1, 0},
    {SYS_getppid, -1, 0},
    {SYS_fstat, -1, 0},
    {SYS_fcntl, 1, F_GETFL},
    {SYS_fcntl, 1, F_GETFD},
    {SYS_lseek, -1, 0},
    {SYS_ppoll, -1, 0},
    {SYS_kill, 1, 0},
};

// Runs a filter as bpf(4) and the kernel do. Whatever it cannot follow is taken as a refusal.
uint32_t Evaluate(const sock_fprog& filter, const seccomp_data& data) {
  uint32_t accumulator = 0, index = 0;
  uint32_t scratch[BPF_MEMWORDS] = {};
  for (uint32_t at = 0; at < filter.len; ++at) {
    const sock_filter& step = filter.filter[at];
    const uint32_t operand = BPF_SRC(step.code) == BPF_X ? index : step.k;
    switch (BPF_CLASS(step.code)) {
      case BPF_LD:
        switch (BPF_MODE(step.code)) {
          case BPF_ABS:
            if (step.k % 4 != 0 || step.k + 4 > sizeof(data)) return SECCOMP_RET_KILL_PROCESS;
            memcpy(&accumulator, reinterpret_cast<const char*>(&data) + step.k, 4);
            break;
          case BPF_IMM:
            accumulator = step.k;
            break;
          case BPF_LEN:
            accumulator = sizeof(data);
            break;
          case BPF_MEM:
            accumulator = scratch[step.k % BPF_MEMWORDS];
            break;
          default:
            return SECCOMP_RET_KILL_PROCESS;
        }
        break;
      case BPF_LDX:
        switch (BPF_MODE(step.code)) {
          case BPF_IMM:
            index = step.k;
            break;
          case BPF_LEN:
            index = sizeof(data);
            break;
          case BPF_MEM:
            index = scratch[step.k % BPF_MEMWORDS];
            break;
          default:
            return SECCOMP_RET_KILL_PROCESS;
        }
        break;
      case BPF_ST:
        scratch[step.k % BPF_MEMWORDS] = accumulator;
        break;
      case BPF_STX:
        scratch[step.k % BPF_MEMWORDS] = index;
        break;
      case BPF_ALU:
        switch (BPF_OP(step.code)) {
          case BPF_ADD:
            accumulator += operand;
            break;
          case BPF_SUB:
            accumulator -= operand;
            break;
          case BPF_MUL:
            accumulator *= operand;
            break;
          case BPF_DIV:
            if (operand == 0) return SECCOMP_RET_KILL_PROCESS;
            accumulator /= operand;
            break;
          case BPF_AND:
            accumulator &= operand;
            break;
          case BPF_OR:
            accumulator |= operand;
            break;
          case BPF_XOR:
            accumulator ^= operand;
            break;
          case BPF_LSH:
            accumulator <<= operand & 31;
            break;
          case BPF_RSH:
            accumulator >>= operand & 31;
            break;
          case BPF_NEG:
            accumulator = -accumulator;
            break;
          default:
            return SECCOMP_RET_KILL_PROCESS;
        }
        break;
      case BPF_JMP: {
        bool holds = false;
        switch (BPF_OP(step.code)) {
          case BPF_JA:
            at += step.k;
            continue;
          case BPF_JEQ:
            holds = accumulator == operand;
            break;
          case BPF_JGT:
            holds = accumulator > operand;
            break;
          case BPF_JGE:
            holds = accumulator >= operand;
            break;
          case BPF_JSET:
            holds = (accumulator & operand) != 0;
            break;
          default:
            return SECCOMP_RET_KILL_PROCESS;
        }
        at += holds ? step.jt : step.jf;
        break;
      }
      case BPF_RET:
        return BPF_RVAL(step.code) == BPF_A ? accumulator : step.k;
      case BPF_MISC:
        if (BPF_MISCOP(step.code) == BPF_TAX)
          index = accumulator;
        else
          accumulator = index;
        break;
    }
  }
  return SECCOMP_RET_KILL_PROCESS;
}

bool AllowsOurs(const sock_fprog* filter) {
  if (filter == nullptr) return false;
  if (!Readable(filter, sizeof(*filter)) ||
      !Readable(filter->filter, filter->len * sizeof(sock_filter))) {
    return true;  // the kernel will not take it either
  }
  for (const auto& call : kOwnCalls) {
    seccomp_data data = {};
    data.nr = call.number;
    data.arch = AUDIT_ARCH_X86_64;
    if (call.argument >= 0) data.args[call.argument] = call.value;
    const uint32_t action = Evaluate(*filter, data) & SECCOMP_RET_ACTION_FULL;
    if (action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG) return false;
  }
  return true;
}

}  // namespace

bool WillSetFilter(const sock_fprog* filter) {
  if (session.chunks == nullptr || restrained || AllowsOurs(filter)) return false;
  ThisThread();
  // Memory for the records of some time: what the analyzer has handed out at the start, and what it
  // gives back, is there.
  constexpr uint32_t kMost = 192;
  const uint32_t count = session.chunk_count < kMost ? session.chunk_count : kMost;
  char* const last = session.chunks + uint64_t{session.chunk_count - count} * kChunkSize;
  if (Raw(SYS_madvise, Address(last), long{count} * static_cast<long>(kChunkSize),
          MADV_POPULATE_WRITE) == 0) {
    session.populated = count;
  }
  restrained = true;
  return true;
}

void WillLoseClock() {
  if (session.chunks == nullptr) return;
  session.clock_end = Now();
  session.tsc = false;
  ThisThread()->id.cursor = kFullCursor;
}

void DidSetFilter(bool success) {
  if (!success) {
    restrained = false;
    return;
  }
  // What is exec'ed under the filter must not even try.
  constexpr size_t kName = sizeof(kSessionVariable) - 1;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    char* const value = *entry + kName + 1;
    if (strncmp(*entry, kSessionVariable, kName) == 0 && value[-1] == '=' && value[0] != 0) {
      value[0] = '-';
      if (value[1] != 0) value[1] = 0;
    }
  }
}

}  // namespace ipctrace
