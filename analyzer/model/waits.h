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
// What is not counted as a waker: kill(2) by a running process. A supervisor that ends a hung child
// does not make the child's wait come true.
#ifndef IPCTRACE_ANALYZER_MODEL_WAITS_H_
#define IPCTRACE_ANALYZER_MODEL_WAITS_H_

#include <cstdint>
#include <vector>

#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"

namespace ipctrace {

// Threads that wait for an act of others and can be woken by nobody but each other. Ordered by
// thread id; empty when there are none. `now` is compared with pending alarms.
std::vector<const Thread*> FindDeadlocked(const Model& model, Nanos now);

// What these threads wait for, and by which ends the others could wake them. Threads that are not
// in a waiting call (any more) are left out.
Deadlock DeadlockOf(const Model& model, const std::vector<uint32_t>& threads);

// True when neither the process nor anything it waits for can go on: all its threads are among
// `deadlocked` (which is ordered as FindDeadlocked's).
bool Stuck(const Process& process, const std::vector<const Thread*>& deadlocked);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_MODEL_WAITS_H_
