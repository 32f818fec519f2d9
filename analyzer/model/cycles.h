// What kind of mistake a deadlock is. The proof that its threads wait only for each other is made
// elsewhere (waits.h); here the set is taken apart, and each part has one rule that speaks of it.
//
// The threads are the nodes of a graph with an edge to each thread that could wake them. A part
// from which no edge leads out is the root of the trouble; whoever waits for it from outside merely
// follows. Within a root:
//
//   - A reader all of whose wakers hold the write end without a use for it lacks an end-of-file:
//     pipe-no-eof. A holder has no use for its copy when it is the reader itself, when it does
//     nothing but wait for others to end, when it reads from the same pipe, when it never wrote and
//     somebody else did (a stray copy), or when it had written all it had before it began to read
//     the answer. A process that writes into and reads from a pipe which others use alike passes
//     tokens: its copy is in use. So is that of one who waits for its first token.
//   - A writer before a full pipe whose readers wait, and not for room in another pipe:
//     pipe-full-deadlock.
//   - Everything else: ipc-deadlock.
#ifndef IPCTRACE_ANALYZER_MODEL_CYCLES_H_
#define IPCTRACE_ANALYZER_MODEL_CYCLES_H_

#include <memory>
#include <string>
#include <vector>

#include "analyzer/model/entities.h"
#include "analyzer/model/rule.h"

namespace ipctrace {

enum class CycleKind { kNoEof, kFullPipe, kOther };

struct Cycle {
  CycleKind kind = CycleKind::kOther;
  std::vector<Wait> waits;  // of the root's threads, ordered as the deadlock's
  Wait at;                  // kNoEof: the reader's; kFullPipe: the writer's; else the first
};

// One for each cause. References are valid as long as the deadlock's.
std::vector<Cycle> CyclesOf(const Deadlock& deadlock);

// Who waits in what for what, held by whom: one row for each wait.
std::vector<std::string> Picture(const std::vector<Wait>& waits);
// "read(3)", "waitpid", "pthread_join".
std::string CallText(const Wait& wait);
// "child main[13] waits in read(3) for data in the pipe".
std::string WaitText(const Wait& wait);

// The line to point at: the wait itself, where it is in the program that made the plumbing. A
// program that was started by exec has no lines of the user's: then that of another wait of the
// cycle, or of the exec.
Site SiteOf(const Cycle& cycle);

// What a finding about the cycle is about: objects and the descriptors by which they are held.
std::vector<uint64_t> SubjectsOf(const Cycle& cycle);
// Births of all ends concerned, and the waits.
std::vector<Step> StoryOf(const Model& model, const Cycle& cycle);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_MODEL_CYCLES_H_
