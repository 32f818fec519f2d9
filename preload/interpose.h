// How a libc function is interposed: one row in trace/calls.def and
//
//   INTERPOSE(dup2)(int from, int to) {
//     Act act(Call::dup2, from);
//     ...
//     return act.Leave(REAL(dup2)(from, to));
//   }
//
// The signature is checked against libc's own declaration; the assembler name makes it the symbol
// that programs bind to, without the attributes and redirections of libc's headers.
#ifndef IPCTRACE_PRELOAD_INTERPOSE_H_
#define IPCTRACE_PRELOAD_INTERPOSE_H_

#include "preload/recorder.h"

namespace ipctrace {

template <typename T>
struct Signature;
template <typename R, typename... A>
struct Signature<R(A...)> {
  using Result = R;
  using Type = R(A...);
};
template <typename R, typename... A>
struct Signature<R(A...) noexcept> : Signature<R(A...)> {};
template <typename R, typename... A>
struct Signature<R(A..., ...)> {
  using Result = R;
  using Type = R(A..., ...);
};
template <typename R, typename... A>
struct Signature<R(A..., ...) noexcept> : Signature<R(A..., ...)> {};

// Addresses of the next definitions after this library in the search order, found on first use.
extern void* real_functions[kCallCount] __attribute__((visibility("hidden")));

// Finds it without a lock, in any context. Where there is none, returns a function that fails with
// ENOSYS.
void* FindReal(Call call) IPCTRACE_COLD;
// The same by name, for what has no row in the table of calls.
void* FindReal(const char* name) IPCTRACE_COLD;

// A variable of libc's, the program's copy of it where it has one.
void* FindData(const char* name) IPCTRACE_COLD;

// Tells that a function of libc was called which reads files of libc's own, or writes too, or keeps
// one open (calls_inside.cc).
void NoteInside(const char* name, bool writes);

template <typename T>
IPCTRACE_INLINE T* Real(Call call) {
  void* function = real_functions[static_cast<size_t>(call)];
  if (__builtin_expect(function == nullptr, 0)) function = FindReal(call);
  return reinterpret_cast<T*>(function);
}

}  // namespace ipctrace

#define REAL(name) \
  (::ipctrace::Real<::ipctrace::Signature<decltype(::name)>::Type>(::ipctrace::Call::name))

// What is seldom used of libc: found when it is, and not by the loader in every process.
#define LIBC(name) (reinterpret_cast<decltype(&::name)>(::ipctrace::FindReal(#name)))
#define LIBC_DATA(name) (*static_cast<decltype(&::name)>(::ipctrace::FindData(#name)))

#define INTERPOSE(name)                                                    \
  extern "C" __attribute__((visibility("default")))                        \
  ::ipctrace::Signature<decltype(::name)>::Type interposed_##name __asm__(#name); \
  extern "C" ::ipctrace::Signature<decltype(::name)>::Result interposed_##name

// For what short-lived processes call: beside the code that runs in all of them.
#define INTERPOSE_AT_START(name)                                           \
  extern "C" __attribute__((visibility("default"))) IPCTRACE_START_CODE    \
  ::ipctrace::Signature<decltype(::name)>::Type interposed_##name __asm__(#name); \
  extern "C" ::ipctrace::Signature<decltype(::name)>::Result interposed_##name

// Another of libc's names for a function that is interposed in the same file.
#define ALSO(alias, name) \
  __asm__(".globl " #alias "\n.type " #alias ", @function\n.set " #alias ", " #name)

#endif  // IPCTRACE_PRELOAD_INTERPOSE_H_
