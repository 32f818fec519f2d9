#include "analyzer/protocol/complaint.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/story.h"

namespace ipctrace::protocol {
namespace {

// The last read by one side that did not end where a message ends.
struct Boundary {
  const Chunk* chunk = nullptr;  // the read
  size_t messages = 0;           // whole ones in it
  const Said* split = nullptr;   // inside of which it ended
  bool Assumed() const { return chunk != nullptr && (split != nullptr || messages > 1); }
};

class Complainer {
 public:
  Complainer(const Model& model, const Conversation& conversation, const Check& check)
      : model_(model), check_(check), protocol_(*check.protocol) {
    const size_t first = check.history.size() > 4 ? check.history.size() - 4 : 0;
    for (size_t i = first; i < check.history.size(); ++i) Tell(check.history[i]);
    for (const auto& end : conversation.ends) {
      if (end != nullptr) AddSubject(complaint_.subjects, end->id);
    }
  }

  Complaint Violation() {
    Locate();
    if (!LeftUnfinished() && !OneReadOneMessage()) NotAllowed();
    return Finished();
  }

  Complaint Incomplete() {
    complaint_.incomplete = true;
    const int debtor = check_.role;
    LocateLastOf(debtor);
    if (!EndedInside(1 - debtor) && !EndedInside(debtor) && !AnsweredOneOfSeveral(debtor))
      Owed(debtor);
    return Finished();
  }

 private:
  // --- Who and what
  const Flow* FlowOf(int role) const { return check_.flows[role]; }
  bool Inside(int role) const { return FlowOf(role) != nullptr && !FlowOf(role)->from_outside; }
  const std::string& RoleName(int role) const {
    return protocol_.roles[static_cast<size_t>(role)].name;
  }
  std::string Framing(int sender) const {
    return protocol_.roles[static_cast<size_t>(sender)].framing.Words();
  }
  std::string UnderProtocol(int sender) const {
    return absl::StrCat(" (protocol ", protocol_.name, ": ", Framing(sender), ")");
  }

  std::string WhoIs(int role) const {
    const Process* process = nullptr;
    const bool outside = FlowOf(role) != nullptr && FlowOf(role)->from_outside;
    if (Inside(role) && !FlowOf(role)->sent_chunks.empty())
      process = ProcessAt(model_, FlowOf(role)->sent_chunks.back().site);
    const Flow* in = FlowOf(1 - role);
    if (process == nullptr && in != nullptr && !in->taken_chunks.empty() && !outside)
      process = ProcessAt(model_, in->taken_chunks.back().site);
    if (process == nullptr)
      return absl::StrCat("the ", RoleName(role), outside ? " outside the run" : "");
    return absl::StrCat("the ", RoleName(role), " ", Named(*process));
  }

  std::string ProcessName(const Site& site, const char* otherwise) const {
    const Process* process = ProcessAt(model_, site);
    return process == nullptr ? otherwise : Named(*process);
  }

  void Add(std::string message, const Site& site) {
    complaint_.story.push_back(StepAt(std::move(message), site));
  }

  // Who said it, and who took it.
  void Tell(const Said& said) {
    const Flow* flow = FlowOf(said.role);
    if (flow == nullptr) return;
    const std::string what = said.text.empty() ? Bytes(said.end - said.begin) : said.text;
    const Chunk* sent = ChunkAt(flow->sent_chunks, said.begin);
    const Chunk* sent_last = ChunkAt(flow->sent_chunks, said.end - 1);
    if (sent != nullptr && !flow->from_outside) {
      const bool pieces = sent_last != nullptr && sent_last != sent;
      Add(absl::StrCat(ProcessName(sent->site, "the sender"), " sent ", what,
                       pieces ? ", in pieces" : ""),
          sent->site);
    }
    const Chunk* taken = ChunkAt(flow->taken_chunks, said.end - 1);
    if (taken == nullptr) return;
    Add(absl::StrCat(ProcessName(taken->site, "the receiver"), " took ", what,
                     taken->begin > said.begin ? ", the rest of it" : "", ": the read gave ",
                     Bytes(taken->end - taken->begin)),
        taken->site);
  }

  // The last read by this role before `time`.
  Boundary LastRead(int role, Nanos time) const {
    Boundary boundary;
    const Flow* in = FlowOf(1 - role);
    if (in == nullptr) return boundary;
    const auto read = std::find_if(in->taken_chunks.rbegin(), in->taken_chunks.rend(),
                                   [&](const Chunk& chunk) { return chunk.leave <= time; });
    // A stream's buffer takes what comes; where it cuts is its own affair.
    if (read == in->taken_chunks.rend() || OpOf(read->site.call) != Op::kRead) return boundary;
    boundary.chunk = &*read;
    for (const Said& said : check_.history) {
      if (said.role == role) continue;
      boundary.messages += said.begin >= read->begin && said.end <= read->end;
      if (said.begin < read->end && read->end < said.end) boundary.split = &said;
    }
    return boundary;
  }

  // --- A violation
  void Locate() {
    complaint_.site = check_.site;
    if (!check_.was_message) return;
    Tell(check_.said);
    const Flow* flow = FlowOf(check_.role);
    // From outside: the line that took it is the one there is.
    const Chunk* chunk =
        ChunkAt(flow->from_outside ? flow->taken_chunks : flow->sent_chunks, check_.said.begin);
    if (chunk != nullptr) complaint_.site = chunk->site;
  }

  // The other side's message was not whole. Whose fault that is, what came next tells: a sender
  // that went on without having read this had more to say, and the receiver did not wait for it.
  bool LeftUnfinished() {
    const Verdict& verdict = *check_.verdict;
    const int role = check_.role, other = 1 - role;
    if (check_.unfinished.empty() || verdict.fault == Fault::kTimer) return false;
    const Flow* flow = FlowOf(other);
    const Chunk* next = ChunkAt(flow->sent_chunks, check_.unfinished_end);
    const Chunk* heard =
        check_.was_message ? ChunkAt(FlowOf(role)->taken_chunks, check_.said.begin) : nullptr;
    const std::string unfinished = Preview(check_.unfinished);
    if (next == nullptr || (heard != nullptr && heard->leave <= next->enter)) {
      complaint_.message = absl::StrCat(WhoIs(other), " sent ", unfinished,
                                        " and not the end of its message: ", check_.missing,
                                        UnderProtocol(other), ", while ", verdict.came);
      complaint_.fix = absl::StrCat("Send the whole message: ", Framing(other));
      const Chunk* piece = ChunkAt(flow->sent_chunks, check_.unfinished_end - 1);
      if (piece != nullptr && !flow->from_outside) {
        complaint_.site = piece->site;
        Add(absl::StrCat(WhoIs(other), " sent ", unfinished), piece->site);
      }
      return true;
    }
    const Chunk* took = ChunkAt(flow->taken_chunks, check_.unfinished_end - 1);
    if (took == nullptr) return false;
    complaint_.message =
        absl::StrCat(WhoIs(role), " takes one read for one message: the read gave ",
                     Bytes(took->end - took->begin), ", ", unfinished,
                     ", the beginning of a message", UnderProtocol(other), ", and ", verdict.came);
    complaint_.site = took->site;
    Add(absl::StrCat(WhoIs(role), " took ", unfinished, " for a message"), took->site);
    complaint_.fix = absl::StrCat("Read on until the message is whole, for ", Framing(other),
                                  "; one read may give less or more than one write sent");
    return true;
  }

  // It was whole, but not for its receiver.
  bool OneReadOneMessage() {
    const Verdict& verdict = *check_.verdict;
    if (!check_.was_message || check_.broken_framing || verdict.fault == Fault::kTimer)
      return false;
    const Boundary read = LastRead(check_.role, check_.time);
    if (!read.Assumed()) return false;
    const int other = 1 - check_.role;
    complaint_.message =
        absl::StrCat(WhoIs(check_.role), " takes one read for one message: the read gave ",
                     Bytes(read.chunk->end - read.chunk->begin), ", ",
                     read.split != nullptr ? absl::StrCat("which end inside ", read.split->text)
                                           : absl::StrCat("which are ", read.messages, " messages"),
                     UnderProtocol(other), ", and ", verdict.came);
    complaint_.site = read.chunk->site;
    complaint_.fix =
        absl::StrCat("Read on until the message is whole, and keep what follows it, for ",
                     Framing(other), "; one read may give less or more than one write sent");
    return true;
  }

  void NotAllowed() {
    const Verdict& verdict = *check_.verdict;
    const bool late = verdict.fault == Fault::kTimer;
    complaint_.message = late ? absl::StrCat("In state ", verdict.state, " of protocol ",
                                             protocol_.name, ", ", verdict.came)
                              : absl::StrCat(verdict.came, " in state ", verdict.state,
                                             " of protocol ", protocol_.name);
    if (!verdict.why.empty()) absl::StrAppend(&complaint_.message, ": ", verdict.why);
    if (!verdict.allowed.empty() && verdict.fault != Fault::kGuard)
      absl::StrAppend(&complaint_.message, "; allowed was: ", verdict.allowed);
    const std::string& name = RoleName(check_.role);
    const size_t guard =
        verdict.fault == Fault::kGuard ? verdict.why.find(" does not hold") : std::string::npos;
    if (late)
      complaint_.fix = absl::StrCat("Let the ", name, " answer in time");
    else if (check_.broken_framing)
      complaint_.fix = absl::StrCat("Send whole messages: ", Framing(check_.role));
    else if (guard != std::string::npos)
      complaint_.fix =
          absl::StrCat("Let the ", name, " see to it that ", verdict.why.substr(0, guard));
    else
      complaint_.fix = absl::StrCat("Let the ", name, " do in state ", verdict.state,
                                    " what the protocol allows there: ", verdict.allowed);
    if (check_.was_message || check_.site.process == 0) return;
    Add(ProcessName(check_.site, "it") + (late ? " came too late" : " ended its side here"),
        check_.site);
  }

  // --- A conversation that came to no end
  // The last thing that this side did on the conversation, or if there is none, the other's.
  void LocateLastOf(int role) {
    const Flow *in = FlowOf(1 - role), *out = FlowOf(role);
    const bool outside = out != nullptr && out->from_outside;
    if (in != nullptr && !in->taken_chunks.empty() && !outside)
      complaint_.site = in->taken_chunks.back().site;
    else if (out != nullptr && !out->sent_chunks.empty() && !outside)
      complaint_.site = out->sent_chunks.back().site;
    else if (in != nullptr && !in->sent_chunks.empty())
      complaint_.site = in->sent_chunks.back().site;
  }

  bool EndedInside(int role) {
    const Framer& framer = *check_.framers[role];
    if (framer.rest().empty() || framer.answered_early()) return false;
    complaint_.message =
        absl::StrCat("The conversation ended in the middle of a message: ", WhoIs(role), " sent ",
                     Preview(framer.rest()), ", and ", framer.Missing(), UnderProtocol(role));
    complaint_.fix = absl::StrCat("Send the whole message: ", Framing(role));
    if (!Inside(role)) return true;
    const Chunk* piece =
        ChunkAt(FlowOf(role)->sent_chunks, framer.offset() + framer.rest().size() - 1);
    if (piece == nullptr) return true;
    complaint_.site = piece->site;
    Add(absl::StrCat(WhoIs(role), " sent ", Preview(framer.rest())), piece->site);
    return true;
  }

  bool AnsweredOneOfSeveral(int debtor) {
    const Boundary read = LastRead(debtor, model_.now());
    if (read.chunk == nullptr || read.messages < 2) return false;
    complaint_.message = absl::StrCat(
        WhoIs(debtor), " takes one read for one message: the read gave ",
        Bytes(read.chunk->end - read.chunk->begin), ", which are ", read.messages, " messages",
        UnderProtocol(1 - debtor), "; it still owed: ", check_.machine->Owed());
    complaint_.site = read.chunk->site;
    complaint_.fix =
        absl::StrCat("Keep what follows the first message, and take the next one from it, for ",
                     Framing(1 - debtor), "; one read may give less or more than one write sent");
    return true;
  }

  void Owed(int debtor) {
    const Machine& machine = *check_.machine;
    complaint_.message =
        absl::StrCat("The conversation ended in state ", machine.state().name, " of protocol ",
                     protocol_.name, ", which is no final one; still owed was: ", machine.Owed());
    if (machine.Outstanding() > 0)
      absl::StrAppend(&complaint_.message, " (", machine.Outstanding(), " not answered)");
    complaint_.fix =
        absl::StrCat("Let the ", RoleName(debtor),
                     " do what is owed before the conversation ends: ", machine.Owed());
  }

  Complaint Finished() {
    std::string& message = complaint_.message;
    if (!message.empty()) message[0] = absl::ascii_toupper(static_cast<unsigned char>(message[0]));
    std::stable_sort(complaint_.story.begin(), complaint_.story.end(),
                     [](const Step& a, const Step& b) { return a.site.time < b.site.time; });
    if (complaint_.site.stack == 0) {
      // A close at the end of a process has no line: the last thing it did has.
      const auto last = std::find_if(complaint_.story.rbegin(), complaint_.story.rend(),
                                     [](const Step& step) { return step.site.stack != 0; });
      if (last != complaint_.story.rend()) complaint_.site = last->site;
    }
    return std::move(complaint_);
  }

  const Model& model_;
  const Check& check_;
  const Protocol& protocol_;
  Complaint complaint_;
};

}  // namespace

Complaint Violation(const Model& model, const Conversation& conversation, const Check& check) {
  return Complainer(model, conversation, check).Violation();
}

Complaint Incomplete(const Model& model, const Conversation& conversation, Check& check) {
  const Machine& machine = *check.machine;
  check.role = machine.MaySend(0) == machine.MaySend(1) ? (machine.MaySend(1) ? 1 : 0)
                                                        : (machine.MaySend(0) ? 0 : 1);
  return Complainer(model, conversation, check).Incomplete();
}

}  // namespace ipctrace::protocol
