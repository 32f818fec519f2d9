// Threads: who made them, and when they begin and end.
//
// A new thread's state (recorder.h) is made by its creator and carries what pthread_create was
// given; so nothing is allocated in the thread itself. Its end is told by the destructor of a
// thread-specific key, which asks for further rounds to be among the last.
#include <limits.h>
#include <pthread.h>
#include <threads.h>
#include <time.h>

#include "preload/interpose.h"
#include "preload/raw.h"

namespace ipctrace {
namespace {

pthread_key_t end_key;
bool has_key;

void AtThreadEnd(void* argument) {
  auto* const thread = static_cast<ThreadState*>(argument);
  if (thread != thread_state) return;
  if (++thread->end_calls < PTHREAD_DESTRUCTOR_ITERATIONS) {
    LIBC(pthread_setspecific)(end_key, thread);
    return;
  }
  // Calls that cancellation or pthread_exit unwound.
  AbandonDeeper(thread, ~uint64_t{0});
  Fact end(thread, Call::fact_thread_end, -1);
  end->a = reinterpret_cast<uint64_t>(__builtin_thread_pointer());
  end.Done();
  thread_state = nullptr;
  if (thread->id.tid != thread->id.pid) FreeThreadState(thread);
}

// The first function of a traced thread. Its frame is where stack copies end.
void Begin(ThreadState* thread) {
  Adopt(thread);
  TakeIdentity(thread, ProcessId(), static_cast<int32_t>(Raw(SYS_getpid)),
               static_cast<int32_t>(Raw(SYS_gettid)));
  if (has_key) LIBC(pthread_setspecific)(end_key, thread);
  Fact start(thread, Call::fact_thread_start, -1);
  start->a = reinterpret_cast<uint64_t>(__builtin_thread_pointer());
  start->b = thread->creator;
  start.Done();
}

void* RunThread(void* argument) {
  auto* const thread = static_cast<ThreadState*>(argument);
  kept.stack_end = reinterpret_cast<uint64_t>(__builtin_dwarf_cfa());
  void* (*const start)(void*) = thread->start;
  void* const start_argument = thread->start_argument;
  Begin(thread);
  return start(start_argument);
}

int RunThreadC11(void* argument) {
  auto* const thread = static_cast<ThreadState*>(argument);
  kept.stack_end = reinterpret_cast<uint64_t>(__builtin_dwarf_cfa());
  int (*const start)(void*) = thread->start_c11;
  void* const start_argument = thread->start_argument;
  Begin(thread);
  return start(start_argument);
}

ThreadState* Prepare(Act& act, void* start_argument) {
  session.threaded = true;
  if (session.chunks == nullptr) return nullptr;
  // Not before: most processes have one thread and need no key.
  if (!has_key) has_key = LIBC(pthread_key_create)(&end_key, AtThreadEnd) == 0;
  if (has_key) LIBC(pthread_setspecific)(end_key, act.thread());
  ThreadState* const state = NewThreadState();
  if (state == nullptr) return nullptr;
  state->start_argument = start_argument;
  state->creator = act.thread()->id.thread;
  return state;
}

}  // namespace

INTERPOSE(pthread_create)(pthread_t* thread, const pthread_attr_t* attributes,
                          void* (*start)(void*), void* argument) {
  Act act(Call::pthread_create, -1);
  ThreadState* const state = Prepare(act, argument);
  act.Enter();
  int error;
  if (state == nullptr) {
    error = REAL(pthread_create)(thread, attributes, start, argument);
  } else {
    state->start = start;
    error = REAL(pthread_create)(thread, attributes, RunThread, state);
    if (error != 0) FreeThreadState(state);
  }
  if (act.Return(error)) {
    act->err = error;
    if (error == 0) act->a = static_cast<uint64_t>(*thread);
  }
  act.Done();
  return error;
}

INTERPOSE(thrd_create)(thrd_t* thread, thrd_start_t start, void* argument) {
  Act act(Call::thrd_create, -1);
  ThreadState* const state = Prepare(act, argument);
  act.Enter();
  int result;
  if (state == nullptr) {
    result = REAL(thrd_create)(thread, start, argument);
  } else {
    state->start_c11 = start;
    result = REAL(thrd_create)(thread, RunThreadC11, state);
    if (result != thrd_success) FreeThreadState(state);
  }
  if (act.Return(result) && result == thrd_success) act->a = static_cast<uint64_t>(*thread);
  act.Done();
  return result;
}

// A lock that another thread held at fork is never released in the child. Elsewhere this is a jump.
INTERPOSE(pthread_mutex_lock)(pthread_mutex_t* mutex) {
  if (__builtin_expect(!session.child_of_threads, 1)) return REAL(pthread_mutex_lock)(mutex);
  const int error = LIBC(pthread_mutex_trylock)(mutex);
  if (error != EBUSY) return error;
  Act act(Call::pthread_mutex_lock, -1);
  act->a = reinterpret_cast<uint64_t>(mutex);
  act->b = static_cast<uint32_t>(mutex->__data.__owner);
  // glibc's own bit for PTHREAD_PROCESS_SHARED: then the memory may be the owner's too.
  constexpr int kShared = 128;
  act->c = (mutex->__data.__kind & kShared) != 0;
  act.Enter();
  return act.LeaveError(REAL(pthread_mutex_lock)(mutex));
}

#define JOIN(name, parameters, arguments, may_not_wait)      \
  INTERPOSE(name) parameters {                               \
    Act act(Call::name, -1);                                 \
    act->a = static_cast<uint64_t>(thread);                  \
    act->b = may_not_wait;                                   \
    act.Enter();                                             \
    return act.LeaveError(REAL(name) arguments);             \
  }
JOIN(pthread_join, (pthread_t thread, void** result), (thread, result), 0)
JOIN(pthread_tryjoin_np, (pthread_t thread, void** result), (thread, result), 1)
JOIN(pthread_timedjoin_np, (pthread_t thread, void** result, const timespec* time),
     (thread, result, time), 1)
JOIN(pthread_clockjoin_np,
     (pthread_t thread, void** result, clockid_t clock, const timespec* time),
     (thread, result, clock, time), 1)

INTERPOSE(thrd_join)(thrd_t thread, int* result) {
  Act act(Call::thrd_join, -1);
  act->a = static_cast<uint64_t>(thread);
  act.Enter();
  return act.Leave(REAL(thrd_join)(thread, result));
}

INTERPOSE(pthread_detach)(pthread_t thread) {
  Act act(Call::pthread_detach, -1);
  act->a = static_cast<uint64_t>(thread);
  act.Enter();
  return act.LeaveError(REAL(pthread_detach)(thread));
}

INTERPOSE(thrd_detach)(thrd_t thread) {
  Act act(Call::thrd_detach, -1);
  act->a = static_cast<uint64_t>(thread);
  act.Enter();
  return act.Leave(REAL(thrd_detach)(thread));
}

}  // namespace ipctrace
