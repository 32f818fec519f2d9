// What happens on signals, and who sends them; alarms; jumps out of calls.
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "preload/interpose.h"
#include "preload/readable.h"
#include "preload/undeclared.h"

namespace ipctrace {
namespace {

uint64_t DispositionOf(__sighandler_t handler) {
  return static_cast<uint64_t>(handler == SIG_DFL   ? Disposition::kDefault
                               : handler == SIG_IGN ? Disposition::kIgnore
                                                    : Disposition::kHandler);
}

}  // namespace

#define SIGNAL(name)                                                     \
  INTERPOSE(name)(int signal, __sighandler_t handler) {                  \
    Act act(Call::name, -1);                                             \
    act->a = static_cast<uint32_t>(signal);                              \
    act->b = DispositionOf(handler);                                     \
    act.Enter();                                                         \
    const __sighandler_t old = REAL(name)(signal, handler);              \
    act.Leave(old == SIG_ERR ? -1 : 0);                                  \
    return old;                                                          \
  }
SIGNAL(signal)
SIGNAL(bsd_signal)
SIGNAL(sysv_signal)
SIGNAL(__sysv_signal)
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
SIGNAL(sigset)

INTERPOSE(sigaction)(int signal, const struct sigaction* action, struct sigaction* old) {
  if (action == nullptr || !Readable(action, sizeof(*action))) {
    return REAL(sigaction)(signal, action, old);
  }
  Act act(Call::sigaction, -1);
  act->a = static_cast<uint32_t>(signal);
  act->b = DispositionOf(action->sa_handler);
  act->c = static_cast<uint32_t>(action->sa_flags);
  act.Enter();
  return act.Leave(REAL(sigaction)(signal, action, old));
}

INTERPOSE(kill)(pid_t pid, int signal) {
  Act act(Call::kill, -1);
  act->a = static_cast<uint64_t>(int64_t{pid});
  act->b = static_cast<uint32_t>(signal);
  act.Enter();
  return act.Leave(REAL(kill)(pid, signal));
}

INTERPOSE(killpg)(pid_t group, int signal) {
  Act act(Call::killpg, -1);
  act->a = static_cast<uint64_t>(-int64_t{group});
  act->b = static_cast<uint32_t>(signal);
  act.Enter();
  return act.Leave(REAL(killpg)(group, signal));
}

INTERPOSE(raise)(int signal) {
  Act act(Call::raise, -1);
  act->a = static_cast<uint64_t>(Raw(SYS_getpid));
  act->b = static_cast<uint32_t>(signal);
  act.Enter();
  return act.Leave(REAL(raise)(signal));
}

INTERPOSE(sigqueue)(pid_t pid, int signal, const sigval value) {
  Act act(Call::sigqueue, -1);
  act->a = static_cast<uint64_t>(int64_t{pid});
  act->b = static_cast<uint32_t>(signal);
  act.Enter();
  return act.Leave(REAL(sigqueue)(pid, signal, value));
}

// To a thread of its own process.
INTERPOSE(pthread_kill)(pthread_t thread, int signal) {
  Act act(Call::pthread_kill, -1);
  act->a = static_cast<uint64_t>(Raw(SYS_getpid));
  act->b = static_cast<uint32_t>(signal);
  act.Enter();
  return act.LeaveError(REAL(pthread_kill)(thread, signal));
}

INTERPOSE(pthread_sigqueue)(pthread_t thread, int signal, const sigval value) {
  Act act(Call::pthread_sigqueue, -1);
  act->a = static_cast<uint64_t>(Raw(SYS_getpid));
  act->b = static_cast<uint32_t>(signal);
  act.Enter();
  return act.LeaveError(REAL(pthread_sigqueue)(thread, signal, value));
}

INTERPOSE(tgkill)(pid_t pid, pid_t thread, int signal) {
  Act act(Call::tgkill, -1);
  act->a = static_cast<uint64_t>(int64_t{pid});
  act->b = static_cast<uint32_t>(signal);
  act.Enter();
  return act.Leave(REAL(tgkill)(pid, thread, signal));
}

INTERPOSE(alarm)(unsigned seconds) {
  Act act(Call::alarm, -1);
  act->a = uint64_t{seconds} * 1000000000;
  act.Enter();
  const unsigned left = REAL(alarm)(seconds);
  act.Leave(static_cast<long>(left));
  return left;
}

INTERPOSE(ualarm)(useconds_t first, useconds_t interval) {
  Act act(Call::ualarm, -1);
  act->a = uint64_t{first} * 1000;
  act->b = uint64_t{interval} * 1000;
  act.Enter();
  const useconds_t left = REAL(ualarm)(first, interval);
  act.Leave(static_cast<long>(left));
  return left;
}

INTERPOSE(setitimer)(__itimer_which_t which, const itimerval* value, itimerval* old) {
  Act act(Call::setitimer, -1);
  if (Readable(value, sizeof(*value))) {
    act->a = static_cast<uint64_t>(value->it_value.tv_sec) * 1000000000 +
             static_cast<uint64_t>(value->it_value.tv_usec) * 1000;
    act->b = static_cast<uint64_t>(value->it_interval.tv_sec) * 1000000000 +
             static_cast<uint64_t>(value->it_interval.tv_usec) * 1000;
  }
  act.Enter();
  return act.Leave(REAL(setitimer)(which, value, old));
}

INTERPOSE(timer_settime)(timer_t timer, int flags, const itimerspec* value, itimerspec* old) {
  Act act(Call::timer_settime, -1);
  if (Readable(value, sizeof(*value))) {
    act->a = static_cast<uint64_t>(value->it_value.tv_sec) * 1000000000 +
             static_cast<uint64_t>(value->it_value.tv_nsec);
    act->b = static_cast<uint64_t>(value->it_interval.tv_sec) * 1000000000 +
             static_cast<uint64_t>(value->it_interval.tv_nsec);
  }
  act.Enter();
  return act.Leave(REAL(timer_settime)(timer, flags, value, old));
}

// --- Jumps ---------------------------------------------------------------------------------------

namespace {

// Marks the calls that the jump leaves. glibc keeps the target's stack pointer in the buffer,
// mangled with the thread's pointer guard.
void LeaveCalls(const __jmp_buf_tag* target) {
  ThreadState* const thread = thread_state;
  if (thread == nullptr || thread->id.depth == 0) return;
  uint64_t sp = static_cast<uint64_t>(target->__jmpbuf[6]);
  __asm__("rorq $17, %0\n\txorq %%fs:0x30, %0" : "+r"(sp) : : "cc");
  AbandonDeeper(thread, sp);
}

}  // namespace

#define JUMP(name)                                                  \
  INTERPOSE(name)(__jmp_buf_tag* target, int value) {               \
    LeaveCalls(target);                                             \
    REAL(name)(target, value);                                      \
    __builtin_unreachable();                                        \
  }
JUMP(longjmp)
JUMP(_longjmp)
JUMP(siglongjmp)
JUMP(__longjmp_chk)

ALSO(__sigaction, sigaction);

}  // namespace ipctrace
