// What a call does, as far as the model is concerned: many libc names, few acts.
//
// Each comment is the contract of a record's fields for that act, written by the preload library
// and read by the model. `fd`, `result`, `err` and `a`, `b`, `c` are the fields of Record
// (format.h). Fields that are not named are 0 (`fd`: -1). `result` is what the libc call returned
// unless stated otherwise, `err` is errno after a failure and 0 after a success. "At entry" fields
// are valid as soon as the record is kEntered, "at return" ones when it is kReturned. Blobs are
// written [Path] for the one tagged BlobTag::kPath.
#ifndef IPCTRACE_PRELOAD_TRACE_OPS_H_
#define IPCTRACE_PRELOAD_TRACE_OPS_H_

#include <cstdint>

namespace ipctrace {

enum class Op : uint8_t {
  kNone,
  kBlob,  // not an act: a piece of data that belongs to another record (BlobRecord)

  // --- Facts about the process itself, which no libc call reports -----------------------------
  kHello,    // first record of a program image (start or after exec). a=parent pid, b=HelloFlags,
             // c=bytes that it had read so far (the run's first process; 0: not known),
             // [Argv], [Exe], [Cwd], [Modules], [Fds] (what is open),
             // [Dispositions] (ignored and handled signals)
  kModules,  // the set of loaded modules changed: [Modules] holds all of them
  kChildStart,   // first record of a forked child. a=parent's process id in the trace (not pid),
                 // b=parent's thread id in the trace, c=seq of the parent's kFork/kVfork record.
                 // result=parent's pid
  kThreadStart,  // first record of a new thread. a=pthread_t, b=creator's thread id in the trace
  kThreadEnd,    // a thread ran to its end, exited or was cancelled. a=pthread_t
  kOpenNumbers,  // at the end of a process: which of the first 128 descriptor numbers
                 // are open. a, b=bit n%64 of word n/64 for number n
  kDescribed,  // what an open gave that did not tell itself: fd, [Fds]. Comes before the first use
               // of the descriptor that is not a close, a question, or a call which fails on what
               // has no position; before a fork and an exec; and at the end
  kStreamState,  // what a FILE* holds while its descriptor is used past it, or at fork, exec, exit.
                 // fd, a=FILE*, b=read-ahead bytes, c=pending output bytes. __fpurge: it threw away
                 // what there was

  // --- Bytes -----------------------------------------------------------------------------------
  // At entry: fd, a=bytes asked (all vectors together). At return: result=bytes moved,
  // b,c=the first 16 bytes of them. Flags: kRecordPeek, kRecordDontWait,
  // kRecordWaitAll.
  // Optional: [Payload] (all bytes, where a protocol watches), [Peer] (datagrams),
  // [Fds] (descriptors received by SCM_RIGHTS), [SentFds].
  kRead,
  kWrite,
  kReadAt,    // pread and kin: a=bytes, b=offset
  kWriteAt,   // pwrite and kin: a=bytes, b=offset
  kSeek,      // a=offset, b=whence
  kTransfer,  // sendfile, splice, tee, copy_file_range: fd=from, a=to (fd), b=bytes,
              // c=TransferFlags
  kTruncate,  // a=length
  kFile,      // fsync, fchmod...: fd, something else with the file as a whole

  // --- Streams. fd=descriptor under the FILE*, a=FILE* ------------------------------------------
  // Those that move bytes, and kStreamState, have them as [Payload] where a protocol watches, else
  // their beginning as [Preview]. A [Payload] may be in two parts (what the buffer held at entry,
  // what the call put out), and longer than what was moved: the first bytes are meant.
  kStreamOpen,    // fopen, fdopen, tmpfile. result=1 or 0 (NULL); at return fd, a. b=1 when the
                  // descriptor is new, 0 for fdopen (fd at entry). c=open flags. [Path], [Fds]
  kStreamReopen,  // freopen. fd at entry=old one (released), b=new fd at return, c=bytes it wrote
                  // out. [Path], [Fds]
  kStreamClose,   // fclose: releases fd. At return b=bytes it wrote out, c=read-ahead thrown away
  kStreamRead,    // at return b=bytes read from the descriptor, c=read-ahead left in the buffer,
                  // result=1 when the caller got something, 0 at EOF or error (then err or 0)
  kStreamWrite,  // also fflush. At return b=bytes written to the descriptor, c=pending output left.
                 // result=1 success, 0 failure
  kStreamSeek,   // fseek, rewind, fsetpos. At return b=bytes written out. result=0 or -1. c=whence
  kStreamSetbuf,  // b=mode (_IOFBF...)

  // --- Births and deaths of descriptors
  // -----------------------------------------------------------
  kOpen,        // open and kin, mkstemp. a=flags, b=mode, result=fd, [Path], [Fds] (kDescribed)
  kPipe,        // at return a=read fd, b=write fd, c=inode; at entry fd=flags of pipe2
  kSocket,      // a=domain, b=type with flags, c=protocol; result=fd, [Fds]
  kSocketpair,  // a=domain, b=type with flags; c=fd0 | fd1 << 32 at return, [Fds] (both)
  kAnonymous,  // eventfd, timerfd, signalfd, epoll_create, inotify, memfd, pidfd_open, userfaultfd:
               // a=AnonymousKind, b=flags; result=fd, [Fds]
  kDirOpen,    // opendir (b=1), fdopendir (b=0, fd at entry): result=1 or 0, fd at return, a=DIR*,
               // [Path]
  kDirClose,   // fd, a=DIR*: releases fd
  kClose,      // fd
  kCloseRange,   // a=first, b=last (inclusive, unsigned), c=flags of close_range(2)
  kDup,          // dup, F_DUPFD. fd=old, result=new, a=1 for close-on-exec, b=lowest wanted
  kDup2,         // dup2, dup3. fd=old, a=new, b=flags; result=new
  kFdFlags,      // F_SETFD, FIOCLEX. fd, a=1 for close-on-exec
  kStatusFlags,  // F_SETFL, FIONBIO. fd, a=O_* flags now in force
  kProbe,        // F_GETFD, F_GETFL, fstat, isatty...: fd, asks and changes nothing
  kMap,          // mmap of fd (the mapping outlives the descriptor)

  // --- Sockets
  // -------------------------------------------------------------------------------------
  kBind,      // fd, [Peer]=address asked for (at entry); at return [Local]=address in force
  kListen,    // fd, a=backlog; [Local]=address in force
  kAccept,    // fd=listener, a=flags; result=fd, [Fds], [Local], [Peer]
  kConnect,   // fd, [Peer]=address asked for (at entry); at return [Local]
  kShutdown,  // fd, a=how
  kSockopt,   // setsockopt: fd, a=level, b=name, c=first 8 bytes of the value (a time: in µs).
              // getsockopt is kProbe

  // --- Waiting for several
  // ---------------------------------------------------------------------------
  kPoll,       // poll, select and kin. a=number of entries, b=timeout in ns (-1: none),
               // [Poll] at entry (PollEntry[], revents 0), [PollReady] at return (those ready)
  kEpollCtl,   // fd=epoll, a=EPOLL_CTL_*, b=target fd, c=events
  kEpollWait,  // fd=epoll, a=maxevents, b=timeout in ns (-1: none); [PollReady] (fd field is the
               // low 32 bits of the user's data)
  kLockFile,   // flock, F_SETLK(W), lockf. fd, a=1 shared, 2 exclusive, 0 unlock; b=1 if it may
              // wait; c=start of the range (flock: -1)

  // --- Processes
  // ---------------------------------------------------------------------------------------
  kFork,       // result=child's pid, in the parent only (the child writes kChildStart)
  kVfork,      // the same; returns after the child's exec or end
  kExec,       // [Path], [Argv] at entry; returns only on failure
  kSpawn,      // posix_spawn(p): a=child's pid at return, result=0 or an errno; [Path], [Argv]
  kSystem,     // system: [Path]=command; result=status
  kPopen,      // result=1 or 0, at return fd, a=FILE*; b=1 when it writes; c=child's pid or 0;
               // [Path]=command, [Fds]
  kPclose,     // fd, a=FILE*; at return b=bytes written out, result=status
  kExit,       // process ends, its libc clean-up done but for flushing the streams. a=status.
               // Never returns. kStreamState records of all streams with content come just before.
  kExitNow,    // _exit, _Exit, quick_exit, exit_group, abort (a=-SIGABRT): ends without flushing.
               // a=status
  kExitBegin,  // exit() was called (atexit handlers are to run): a=status. Never returns.
  kWait,    // wait and kin. a=pid asked (-1: any, < -1: group, 0: own group), b=options (WNOHANG,
            // WNOWAIT), result=pid or 0 or -1; at return c=wait status as of waitpid(2)
  kKill,    // a=pid, b=signal
  kSignal,  // signal, sigaction. a=signal, b=Disposition, c=sa_flags. Only when it sets one
  kAlarm,   // alarm, setitimer, timer_settime: a=first expiry in ns (0: disarmed), b=interval in ns
  kPause,   // pause, sigsuspend, sigwait and kin: waits for a signal; a=1 if it has a timeout
  kSleep,   // sleep and kin: a=ns

  // --- Threads
  // ------------------------------------------------------------------------------------------
  kThreadCreate,  // at return a=pthread_t of the new thread
  kThreadJoin,    // a=pthread_t; b=1 if it may not wait (tryjoin, timedjoin)
  kThreadDetach,  // a=pthread_t
  kMutexLock,     // recorded only where it would block: a=mutex address, b=owner's tid if known,
                  // c=1 if processes may share it
  kUnsafe,        // malloc, stdio... reached in a forked child of a threaded process before exec

  // --- Names
  // ----------------------------------------------------------------------------------------------
  kUnlink,   // [Path]
  kMkfifo,   // [Path]
  kLibrary,  // a library call that does I/O inside libc past our hooks (getaddrinfo, syslog...).
             // b=bytes that it may have written to a file, c=1 if it may have written more.
             // fact_inside: such a function was called for the first time: [Path]=its name
};

// Flags of kHello.
enum HelloFlags : uint64_t {
  kHelloFirst = 1,      // first process of the session
  kHelloNoProc = 2,     // /proc could not be read: [Fds] is incomplete
  kHelloOwnCalls = 4,   // Valgrind or a sanitizer's runtime makes system calls of its own
};

// Flags of kTransfer.
enum TransferFlags : uint64_t {
  kTransferTee = 1,      // leaves the bytes where they were
  kTransferOwnFrom = 2,  // reads at an offset of the caller's, not at the description's
  kTransferOwnTo = 4,    // and writes so
};

enum class AnonymousKind : uint64_t {
  kEventfd = 1, kTimerfd, kSignalfd, kEpoll, kInotify, kMemfd, kPidfd, kPty, kOther,
};

enum class Disposition : uint64_t { kDefault = 0, kIgnore = 1, kHandler = 2 };

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_TRACE_OPS_H_
