// The calls that syscall(2) makes by numbers which few programs use: each goes through the function
// of the same name, as if the program had called that. syscall is no cancellation point, so neither
// are they here.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <type_traits>
#include <utility>

#include "preload/interpose.h"
#include "preload/syscall_rest.h"

namespace ipctrace {
namespace {

template <typename T>
T As(long value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<T>(value);
  } else {
    return static_cast<T>(value);
  }
}

template <typename Type>
struct Through;
template <typename R, typename... A>
struct Through<R(A...)> {
  template <size_t... kIndex>
  static long Call(R (*function)(A...), const long* given, std::index_sequence<kIndex...>) {
    int state;
    LIBC(pthread_setcancelstate)(PTHREAD_CANCEL_DISABLE, &state);
    const long result = static_cast<long>(function(As<A>(given[kIndex])...));
    const int saved = errno;
    LIBC(pthread_setcancelstate)(state, nullptr);
    errno = saved;
    return result;
  }
  static long Call(R (*function)(A...), const long* given) {
    return Call(function, given, std::index_sequence_for<A...>());
  }
};

int FcntlLong(int fd, int command, long argument) { return fcntl(fd, command, argument); }

// The kernel is told the size of the set.
int SignalfdSized(int fd, const sigset_t* set, size_t size, int flags) {
  if (size == 8) return signalfd(fd, set, flags);
  errno = EINVAL;
  return -1;
}

}  // namespace

#define GOES_THROUGH(name, function)                                                        \
  case SYS_##name:                                                                          \
    return [](long a, long b, long c, long d, long e, long f) {                             \
      const long given[] = {a, b, c, d, e, f};                                              \
      return Through<Signature<decltype(function)>::Type>::Call(function, given);           \
    }

// Left out is what libc's function of the name does otherwise than the kernel: ppoll and pselect6
// change their time-out, waitid has a rusage, clock_nanosleep returns its error.
SyscallRest* FindSyscallRest(long number) {
  switch (number) {
    GOES_THROUGH(accept, accept);
    GOES_THROUGH(accept4, accept4);
    GOES_THROUGH(bind, bind);
    GOES_THROUGH(connect, connect);
    GOES_THROUGH(copy_file_range, copy_file_range);
    GOES_THROUGH(creat, creat);
    GOES_THROUGH(epoll_create, epoll_create);
    GOES_THROUGH(epoll_ctl, epoll_ctl);
    GOES_THROUGH(epoll_pwait, epoll_pwait);
    GOES_THROUGH(epoll_wait, epoll_wait);
    GOES_THROUGH(fcntl, FcntlLong);
    GOES_THROUGH(flock, flock);
    GOES_THROUGH(inotify_init, inotify_init);
    GOES_THROUGH(inotify_init1, inotify_init1);
    GOES_THROUGH(kill, kill);
    GOES_THROUGH(listen, listen);
    GOES_THROUGH(lseek, lseek);
    GOES_THROUGH(mknod, mknod);
    GOES_THROUGH(mknodat, mknodat);
    GOES_THROUGH(nanosleep, nanosleep);
    GOES_THROUGH(pause, pause);
    GOES_THROUGH(poll, poll);
    GOES_THROUGH(pread64, pread64);
    GOES_THROUGH(preadv, preadv);
    GOES_THROUGH(pwrite64, pwrite64);
    GOES_THROUGH(pwritev, pwritev);
    GOES_THROUGH(readv, readv);
    GOES_THROUGH(recvfrom, recvfrom);
    GOES_THROUGH(recvmsg, recvmsg);
    GOES_THROUGH(select, select);
    GOES_THROUGH(sendfile, sendfile);
    GOES_THROUGH(sendmsg, sendmsg);
    GOES_THROUGH(sendto, sendto);
    GOES_THROUGH(setsockopt, setsockopt);
    GOES_THROUGH(shutdown, shutdown);
    GOES_THROUGH(signalfd4, SignalfdSized);
    GOES_THROUGH(socketpair, socketpair);
    GOES_THROUGH(splice, splice);
    GOES_THROUGH(tee, tee);
    GOES_THROUGH(timerfd_create, timerfd_create);
    GOES_THROUGH(vmsplice, vmsplice);
    GOES_THROUGH(wait4, wait4);
    GOES_THROUGH(writev, writev);
  }
  return nullptr;
}

}  // namespace ipctrace
