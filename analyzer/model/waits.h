// Who waits for whom: the proof that a set of threads can never go on.
//
// A blocked thread waits for any one of a set of acts by others: a read of an empty pipe for a
// write, or for the last close of a write end; a write to a full one for a read; waitpid for the
// end of a child; a join for the end of a thread. All blocked threads start as suspects. Again and
// again each one is struck out that somebody who is not a suspect could wake: a process that holds
// what could wake it and has a thread that still runs; a wait with a timeout; a pending alarm; a
// terminal; an object that somebody outside the run may hold. Striking one out frees what it could
// do in turn. Those that are left wait only for each other: nothing that any of them will ever do
// can wake one of them, and nobody else can. That is a deadlock proved, not a time-out guessed.
//
// Names make it harder. Whoever knows the address of a listener may connect to it, and whoever
// knows the path of a FIFO may open it, be he of the run or not. So:
//
//   - accept, or a read of a datagram from anybody, is a wait for others of the run only where
//     nobody outside can know the address: the kernel chose it (port 0, no bind at all) and nothing
//     was written outside since, or its path was unlinked. Any process of the run might come then.
//   - Before a connection is accepted, only those who hold the listener can do anything about it:
//     they are whom its client waits for, in read, write, or in connect to a full AF_UNIX queue.
//   - A FIFO that a process of the run made, with another one at its other side, now or earlier, is
//     the run's own affair; but any process of the run might open it again.
//   - An open of a FIFO waits for the other side to be opened. One process that does may well wait
//     for somebody outside, and so may several at one FIFO. Where two do at different FIFOs that
//     the run made, and nobody else goes on, they have taken the FIFOs in different orders.
//
// Locks between threads are not recorded. A thread that is in no recorded call may sleep at one, as
// the idle workers of a thread pool do: then the kernel says so, and whoever has the memory that
// the lock lies in could wake it: the threads of its process, or of all that share the memory.
// So could a signal's handler, be it by sem_post: where the process has one, it counts as running.
//
// A process with a handler of its own for some signal may be woken by whoever still runs: kill(2)
// then interrupts its wait, or the handler does what ends it. Without a handler kill(2) is not
// counted as a waker: a supervisor that ends a hung child does not make the child's wait come true.
#ifndef IPCTRACE_ANALYZER_MODEL_WAITS_H_
#define IPCTRACE_ANALYZER_MODEL_WAITS_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"

namespace ipctrace {

// Threads outside of all recorded calls that sleep at a mutex, a condition variable or a semaphore
// (the kernel says so: analyzer/live/kernel.h), and the processes with a thread that could wake it.
using ParkedThreads = absl::flat_hash_map<const Thread*, std::vector<const Process*>>;

// Threads that wait for an act of others and can be woken by nobody but each other. Ordered by
// thread id; empty when there are none. `now` is compared with pending alarms.
std::vector<const Thread*> FindDeadlocked(const Model& model, Nanos now,
                                          const ParkedThreads& parked = {});
// Those that would be such if each thread in none of the recorded calls were parked, and could be
// woken by nobody. None where no thread but these waits for anything of the model's.
std::vector<const Thread*> MayBeDeadlocked(const Model& model, Nanos now);

// What these threads wait for, and by which ends the others could wake them: those in no call, for
// a wake-up. Threads that are in a call that is no wait (any more) are left out.
Deadlock DeadlockOf(const Model& model, const std::vector<uint32_t>& threads);

// The O_* flags that an open or fopen asked for.
int OpenFlags(const Act& act);

// Whether the call may have taken bytes that are not counted yet, because it reads again and again
// before it returns: stdio's, and MSG_WAITALL where less has come than was asked for.
bool ReadsOn(const Act& act);

// True when neither the process nor anything it waits for can go on: all its threads are among
// `deadlocked` (which is ordered as FindDeadlocked's).
bool Stuck(const Process& process, const std::vector<const Thread*>& deadlocked);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_MODEL_WAITS_H_
