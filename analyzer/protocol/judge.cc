#include "analyzer/protocol/judge.h"

#include "absl/strings/str_cat.h"
#include "analyzer/model/story.h"
#include "analyzer/protocol/casting.h"

namespace ipctrace::protocol {
namespace {

constexpr size_t kMostHistory = 64;  // messages of a conversation
// So many messages or bytes are held against the protocols at once.
constexpr size_t kSentAtOnce = 64;
constexpr size_t kSentBytesAtOnce = size_t{64} << 10;

// "client connects, server accepts, port 6379".
std::string CastOf(const Protocol& protocol) {
  std::string words;
  int port = 0;
  for (const Role& role : protocol.roles) {
    absl::StrAppend(&words, words.empty() ? "" : ", ", role.name);
    if (role.plays != Role::kAny) absl::StrAppend(&words, " ", Role::Word(role.plays));
    if (!role.program.empty()) absl::StrAppend(&words, " program \"", role.program, "\"");
    if (role.port != 0) port = role.port;
  }
  if (port != 0) absl::StrAppend(&words, ", port ", port);
  return words;
}

}  // namespace

Judge::Judge(const Model* model) : model_(model), conversations_(LoadedProtocols().size()) {
  for (const auto& protocol : LoadedProtocols()) coverage_.emplace_back(*protocol);
}

// --- Which protocols are for a conversation

void Judge::Begin(Conversation& conversation) {
  const auto& protocols = LoadedProtocols();
  Flow* const flows[2] = {conversation.owned[0].get(), conversation.owned[1].get()};
  const Object* const objects[2] = {conversation.ends[0].get(), conversation.ends[1].get()};
  const bool pipes = objects[0]->IsPipe() && objects[1] != nullptr;
  for (size_t i = 0; i < protocols.size(); ++i) {
    if (!pipes || TwoWay(*protocols[i])) {
      const int role =
          RoleOfFirst(*model_, *protocols[i], {{flows[0], flows[1]}, {objects[0], objects[1]}});
      if (role >= 0) BeginCheck(i, conversation, role, flows[0], flows[1]);
      continue;
    }
    // A one-way protocol is spoken over each of two pipes.
    for (int k = 0; k < 2; ++k) {
      const int role =
          RoleOfFirst(*model_, *protocols[i], {{flows[k], nullptr}, {objects[k], nullptr}});
      if (role >= 0) BeginCheck(i, conversation, role, flows[k], nullptr);
    }
  }
}

void Judge::BeginCheck(size_t protocol, Conversation& conversation, int role_of_first, Flow* first,
                       Flow* second) {
  Check check;
  check.protocol = LoadedProtocols()[protocol];
  check.index = protocol;
  check.machine =
      std::make_unique<Machine>(check.protocol, conversation.began, &coverage_[protocol]);
  std::shared_ptr<HttpMemory> http;
  for (int role = 0; role < 2; ++role) {
    const Framing& framing = check.protocol->roles[static_cast<size_t>(role)].framing;
    if (framing.kind == Framing::kHttp && http == nullptr) http = std::make_shared<HttpMemory>();
    check.flows[role] = role == role_of_first ? first : second;
    check.framers[role] = std::make_unique<Framer>(framing, http);
  }
  conversation.checks.push_back(std::move(check));
  ++conversations_[protocol];
}

// --- What happens

// What is sent waits until it is some: where there are thousands of protocols, none of which is in
// the processor's cache when its turn comes, each then takes several messages. Not where a listener
// is to hear of them in their order; and what else happens is judged by how things stand.
void Judge::Happened(Conversation& conversation, Flow& flow, const Deed& deed) {
  if (!deed.close.has_value() && deed.known) {
    conversation.sent.emplace_back(&flow, deed);
    conversation.sent_bytes += deed.bytes.size();
    const bool is_enough =
        conversation.sent.size() >= kSentAtOnce || conversation.sent_bytes >= kSentBytesAtOnce;
    if (listener != nullptr || is_enough) CatchUp(conversation);
    return;
  }
  CatchUp(conversation);
  for (Check& check : conversation.checks) Hold(check, flow, deed);
}

void Judge::CatchUp(Conversation& conversation) {
  for (Check& check : conversation.checks) {
    for (const auto& [flow, deed] : conversation.sent) Hold(check, *flow, deed);
  }
  conversation.sent.clear();
  conversation.sent_bytes = 0;
}

void Judge::Hold(Check& check, const Flow& flow, const Deed& deed) {
  if (check.done || (check.flows[0] != &flow && check.flows[1] != &flow)) return;
  const int role = check.flows[0] == &flow ? 0 : 1;
  const Verdict tick = check.machine->Tick(deed.enter);
  if (!tick.ok())
    TimeIsUp(check, role, tick, deed);
  else if (deed.close.has_value())
    DidClose(check, role, flow, deed);
  else if (!deed.known)
    GiveUp(check, flow, deed);
  else
    DidSend(check, role, flow, deed);
}

void Judge::DidClose(Check& check, int role, const Flow& flow, const Deed& deed) {
  if (flow.half_closed && !check.protocol->mentions_half_close) return;
  Framer& framer = *check.framers[role];
  Frame frame;
  const Framer::Result result = framer.Close(&frame);
  if (result == Framer::Result::kMessage) Message(check, role, flow, frame, deed);
  if (check.done) return;
  // Who is left alone need not go on.
  const Flow* const other = check.flows[1 - role];
  if (result == Framer::Result::kError && other != nullptr && other->closed) {
    check.done = true;
    return;
  }
  if (result == Framer::Result::kError) {
    Verdict verdict;
    verdict.fault = Fault::kNotAllowed;
    verdict.state = check.machine->state().name;
    verdict.came =
        absl::StrCat(check.protocol->roles[static_cast<size_t>(role)].name,
                     " closed in the middle of a message, after ", Preview(framer.rest()));
    verdict.why = framer.Missing();
    Violated(check, role, verdict, deed);
    check.unfinished.clear();
    check.broken_framing = true;
    return;
  }
  const Verdict verdict = check.machine->Closes(role, *deed.close, deed.enter);
  if (!verdict.ok()) Violated(check, role, verdict, deed);
}

void Judge::DidSend(Check& check, int role, const Flow& flow, const Deed& deed) {
  Framer& framer = *check.framers[role];
  framer.Add(deed.bytes);
  Frame frame;
  while (!check.done) {
    switch (framer.Next(&frame)) {
      case Framer::Result::kNeedsMore:
        return;
      case Framer::Result::kOpaque:
        check.done = true;
        break;
      case Framer::Result::kError:
        NoMessage(check, role, deed);
        break;
      case Framer::Result::kMessage: {
        Frame request;
        if (check.framers[1 - role]->TakeEarly(&request))
          Message(check, 1 - role, *check.flows[1 - role], request, deed);
        if (!check.done) Message(check, role, flow, frame, deed);
        break;
      }
    }
  }
}

// The trace does not hold these bytes, so nobody knows what they said.
void Judge::GiveUp(Check& check, const Flow& flow, const Deed& deed) {
  check.done = true;
  // What a peer in the run left unread when it went is nobody's loss.
  const Flow* const other = check.flows[check.flows[0] == &flow ? 1 : 0];
  if (other != nullptr && !other->from_outside && !flow.from_outside && flow.taken < flow.sent)
    return;
  if (given_up_++ != 0) return;
  const Process* process = ProcessAt(*model_, deed.site);
  first_given_up_ = absl::StrCat(
      Describe(*flow.object), ": ", process == nullptr ? "somebody" : Named(*process),
      flow.from_outside ? " got " : " sent ", Bytes(deed.size), " by ", CallName(deed.site.call));
}

void Judge::Message(Check& check, int role, const Flow& flow, const Frame& frame,
                    const Deed& deed) {
  const Verdict verdict = check.machine->Sends(role, frame, deed.enter);
  const int kind = verdict.ok() ? check.machine->last_message() : verdict.message;
  const std::string name = kind < 0 ? "" : check.protocol->messages[static_cast<size_t>(kind)].name;
  Said said{role, frame.begin, frame.end, (name.empty() ? "" : name + " ") + Preview(frame.bytes),
            deed.enter};
  if (listener != nullptr && !flow.from_outside) {
    listener->DidSay(flow.object->id, frame.begin, frame.end, name,
                     verdict.ok() ? check.machine->state().name : "");
  }
  if (!verdict.ok()) {
    check.said = std::move(said);
    check.was_message = true;
    return Violated(check, role, verdict, deed);
  }
  check.history.push_back(std::move(said));
  if (check.history.size() > kMostHistory) check.history.pop_front();
}

void Judge::NoMessage(Check& check, int role, const Deed& deed) {
  const Framer& framer = *check.framers[role];
  Verdict verdict;
  verdict.fault = Fault::kNotAllowed;
  verdict.state = check.machine->state().name;
  verdict.allowed = check.machine->Allowed();
  verdict.came = absl::StrCat(check.protocol->roles[static_cast<size_t>(role)].name, " sent ",
                              Preview(framer.rest()), ", which is no message");
  verdict.why = framer.error();
  check.said = {role, framer.offset(), framer.offset() + framer.rest().size(), "", deed.enter};
  check.was_message = true;
  Violated(check, role, verdict, deed);
  check.unfinished.clear();
  check.broken_framing = true;
}

void Judge::TimeIsUp(Check& check, int role, const Verdict& verdict, const Deed& deed) {
  Violated(check, role, verdict, deed);
  check.unfinished.clear();
  Framer& framer = *check.framers[role];
  if (deed.close.has_value() || !deed.known) return;
  framer.Add(deed.bytes);
  check.verdict->came +=
      absl::StrCat(", and only then ", check.protocol->roles[static_cast<size_t>(role)].name,
                   " sent ", Preview(deed.bytes));
  check.was_message = true;
  check.said = {role, framer.offset(), framer.offset() + deed.bytes.size(), "", deed.enter};
}

void Judge::Violated(Check& check, int role, const Verdict& verdict, const Deed& deed) {
  check.done = true;
  check.verdict = verdict;
  check.role = role;
  check.site = deed.site;
  check.time = deed.enter;
  const Framer& other = *check.framers[1 - role];
  if (other.answered_early()) return;
  check.unfinished = std::string(other.rest());
  if (check.unfinished.empty()) return;
  check.missing = other.Missing();
  check.unfinished_end = other.offset() + other.rest().size();
}

// --- The end

void Judge::Conclude(Conversation& conversation) {
  CatchUp(conversation);
  for (Check& check : conversation.checks) {
    if (check.machine == nullptr) continue;
    if (!check.done) {
      // At the end of the run, time has gone on.
      const Verdict tick = check.machine->Tick(model_->now());
      if (!tick.ok()) {
        check.done = true;
        check.verdict = tick;
        check.role = check.machine->MaySend(0) ? 0 : 1;
        check.time = model_->now();
      }
    }
    if (check.verdict.has_value()) {
      Tell(check, Violation(*model_, conversation, check));
    } else if (!check.done && !check.machine->Final() && IsWorthIt(check)) {
      const Complaint complaint = Incomplete(*model_, conversation, check);
      Tell(check, complaint);
    }
    check.done = true;
    check.verdict.reset();
    check.machine = nullptr;
  }
}

bool Judge::IsWorthIt(const Check& check) const {
  // Nobody said anything: a connection that was only opened.
  if (check.history.empty() && check.framers[0]->rest().empty() && check.framers[1]->rest().empty())
    return false;
  if (!model_->finished()) return true;
  return model_->finish_reason() != FinishReason::kInterrupted &&
         model_->finish_reason() != FinishReason::kAnalyzerCut;
}

void Judge::Tell(const Check& check, const Complaint& complaint) {
  if (listener != nullptr) {
    const Flow* const own = check.flows[check.role];
    const Flow* const other = check.flows[1 - check.role];
    const Flow* const flow = own == nullptr || own->from_outside ? other : own;
    const uint64_t offset = check.was_message && !complaint.incomplete ? check.said.begin
                            : own == nullptr                           ? 0
                                                                       : own->sent;
    if (flow != nullptr) listener->DidComplain(flow->object->id, offset, complaint);
  }
  if (complain) complain(complaint);
}

std::vector<std::string> Judge::Unjudged() const {
  std::vector<std::string> phrases;
  for (size_t i = 0; i < conversations_.size(); ++i) {
    if (conversations_[i] != 0) continue;
    const Protocol& protocol = *LoadedProtocols()[i];
    phrases.push_back(absl::StrCat("nothing was held against protocol ", protocol.name,
                                   ": no conversation of the run is one between its roles (",
                                   CastOf(protocol), ")"));
  }
  if (given_up_ > 0) {
    phrases.push_back(absl::StrCat(
        given_up_, given_up_ == 1 ? " conversation was" : " conversations were",
        " held against a protocol only up to bytes that are not in the trace: ", first_given_up_));
  }
  return phrases;
}

}  // namespace ipctrace::protocol
