// The words that rules share: how a descriptor came to be where it is, and who still has it.
//
// Every function returns new values; nothing here changes the model. Messages are in the past
// tense, without a full stop, and name the process, so that a line can stand alone.
#ifndef IPCTRACE_ANALYZER_MODEL_STORY_H_
#define IPCTRACE_ANALYZER_MODEL_STORY_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "analyzer/findings/finding.h"
#include "analyzer/model/entities.h"
#include "analyzer/model/model.h"

namespace ipctrace {

// "fd 4".
std::string FdName(const Descriptor& descriptor);
// "fd 4, the write end of the pipe".
std::string FdAndEnd(const Descriptor& descriptor);
// What a student calls it without saying which: "write end", "read end", "socket", "listening
// socket", "connection", "file" ...
std::string EndWord(const Description& description);
// "child server[13]" for a forked child that runs its parent's program, else "server[13]".
std::string Named(const Process& process);
// "the child", "the parent" (where its children matter), or its name: for a fix.
std::string InWhom(const Process& process);

// The call's usual name, as the user wrote it: "read" for __read_chk, "open" for open64, "fcntl"
// for each of its commands.
std::string CallName(Call call);
// With the descriptor it was called on: "read(4)", "fcntl(4, F_SETFL)", "fgets on fd 4".
std::string CallOn(Call call, int fd);

// The site's process, if it is known.
const Process* ProcessAt(const Model& model, const Site& site);
// A step at a site.
Step StepAt(std::string message, const Site& site);
// "main[12] called <call>" and what follows: "main[12] called write(4)" for "(4)".
std::string CallOf(const Process& process, Call call, const std::string& rest);
std::string CallOf(const Process& process, Call call, int fd);
std::string CallOf(const Act& act);  // "main[12] called write(4)", "main[12] called fgets on fd 4"

// How this descriptor came into being, as one step: by a call, by fork, dup or SCM_RIGHTS, or from
// outside the run. The site is the line that did it: for a fork, the parent's.
Step BirthStep(const Model& model, const Descriptor& descriptor);
// How it went; the message is empty while it is alive.
Step DeathStep(const Model& model, const Descriptor& descriptor);
// From the first call that made it, over all forks, dups and execs, to where it is or went.
std::vector<Step> LifeOf(const Model& model, const std::shared_ptr<Descriptor>& descriptor);
// Adds steps to a story; those with the same site and message are there only once. Keeps the
// order of time.
void AddSteps(std::vector<Step>& story, std::vector<Step> steps);

// The first of a descriptor's ancestors by fork and dup: what some call made or outside left.
const Descriptor& OriginOf(const Descriptor& descriptor);
// True where it came from outside the run, by however many forks and dups.
bool FromOutside(const Descriptor& descriptor);
// True where `descriptor` is `ancestor`, or came from it by fork or dup.
bool DescendsFrom(const Descriptor& descriptor, const Descriptor& ancestor);

// Live descriptors of an object that can read it or write it (for a socket: any).
std::vector<std::shared_ptr<Descriptor>> Readers(const Object& object);
std::vector<std::shared_ptr<Descriptor>> Writers(const Object& object);
std::vector<std::shared_ptr<Descriptor>> Holders(const Object& object);
// One step for each: "child main[13] still has fd 4, the write end of the pipe". The site is where
// it got it.
std::vector<Step> StillHeld(const Model& model,
                            const std::vector<std::shared_ptr<Descriptor>>& holders);

// Where it should have been closed, if it is not needed: in a child the fork that gave it to the
// child; else where it was made.
Site WhereToClose(const Descriptor& descriptor);
// "close fd 4 in the child, right after fork" and the like; a full clause without a full stop.
std::string HowToClose(const Descriptor& descriptor);

// Ids for Finding::subjects: the descriptor and what it refers to.
std::vector<uint64_t> SubjectsOf(const Descriptor& descriptor);
void AddSubject(std::vector<uint64_t>& subjects, uint64_t id);
// The id of a process, for the same.
uint64_t SubjectOf(const Process& process);
// Adds the process and those that it came from by fork alone: what it does may follow from where
// one of them went wrong.
void AddLineage(std::vector<uint64_t>& subjects, const Process& process);

// Whether the program that the process ran at that time came with the system (/usr/bin and the
// like): nobody who reads the report will mend it, and what does no harm there is worth a note
// only.
bool IsInstalled(const Process& process, Nanos when);

// "3 bytes", "1 byte".
std::string Bytes(uint64_t count);
// "stdout" for the three that every program has, else "the stream on fd 5".
std::string StreamName(const Stream& stream);
// "1.25 s", "600 ms", "0.2 ms".
std::string Duration(Nanos time);
// True where ipctrace ended the run, or the trace is cut: then what processes left undone is not
// their own doing.
bool CutShort(const Model& model);
// "main[12] and child main[13]", "a, b and c".
std::string Enumerate(const std::vector<std::string>& names);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_MODEL_STORY_H_
