// What the preload library records, and that programs cannot tell that it is there.
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "preload/trace/stack_copy.h"
#include "tests/preload/traced_run.h"

namespace ipctrace {
namespace {

std::string Subject(const char* name) {
  const char* const directory = getenv("IPCTRACE_TEST_BINARIES");
  return std::string(directory != nullptr ? directory : "tests/preload") + "/" + name;
}

std::vector<std::string> Mode(const char* mode) { return {Subject("subject"), mode}; }

// --- Changes nothing ----------------------------------------------------------------------------------

class SameAsWithout : public ::testing::TestWithParam<const char*> {};

TEST_P(SameAsWithout, OutputAndStatus) {
  const TracedRun plain = RunPlain(Mode(GetParam()));
  TraceOptions options;
  options.session_bytes = size_t{64} << 20;
  const TracedRun traced = RunTraced(Mode(GetParam()), options);
  EXPECT_EQ(traced.status, plain.status);
  EXPECT_EQ(traced.out, plain.out);
  EXPECT_EQ(traced.err, plain.err);
  EXPECT_EQ(traced.lost, 0u);
  EXPECT_FALSE(traced.records.empty());
}

TEST_P(SameAsWithout, WhenTheAnalyzerIsGone) {
  const TracedRun plain = RunPlain(Mode(GetParam()));
  TraceOptions options;
  options.analyzer_gone = true;
  const TracedRun traced = RunTraced(Mode(GetParam()), options);
  EXPECT_EQ(traced.status, plain.status);
  EXPECT_EQ(traced.out, plain.out);
  EXPECT_EQ(traced.err, plain.err);
  EXPECT_GT(traced.lost, 0u);
}

INSTANTIATE_TEST_SUITE_P(Programs, SameAsWithout,
                         ::testing::Values("basics", "bad", "alarm", "handler", "cancel", "small",
                                           "threads", "vfork", "spawn", "streams", "limits",
                                           "closeall", "throw", "altstack", "raw", "waits",
                                           "rights", "many"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Changes, AnExecChainEndsTheSameAndEveryImageSaysHello) {
  TraceOptions options;
  options.session_bytes = size_t{32} << 20;
  const TracedRun run = RunTraced({Subject("subject"), "chain", "200"}, options);
  EXPECT_EQ(run.out, "end of chain\n");
  EXPECT_EQ(run.Of(Op::kHello).size(), 201u);
  EXPECT_EQ(run.processes, 201u);
}

TEST(Changes, ASessionThatIsNotOneLeavesTheProgramUntraced) {
  TraceOptions options;
  options.environment = {"IPCTRACE_SESSION=/etc/passwd"};
  const TracedRun run = RunTraced(Mode("basics"), options);
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.err, "");
  EXPECT_TRUE(run.records.empty());
}

// --- Stacks -------------------------------------------------------------------------------------------

TEST(Stacks, AreTheCallersRegistersAndTheAddressesOnItsStack) {
  const TracedRun run = RunTraced({Subject("stack_subject")});
  const std::vector<SeenRecord> closes = run.Of(Call::close);
  ASSERT_EQ(closes.size(), 1u) << Describe(run.records);
  const std::string& blob = closes[0].blobs.at(BlobTag::kStack);
  StackCopy copy;
  ASSERT_GE(blob.size(), sizeof(copy));
  memcpy(&copy, blob.data(), sizeof(copy));
  EXPECT_EQ(copy.rbx, 0x1b1b1b1b1b1b1b1bu);
  EXPECT_EQ(copy.rbp, 0x2b2b2b2b2b2b2b2bu);
  EXPECT_EQ(copy.r12, 0x3c3c3c3c3c3c3c3cu);
  EXPECT_EQ(copy.r13, 0x4d4d4d4d4d4d4d4du);
  EXPECT_EQ(copy.r14, 0x5e5e5e5e5e5e5e5eu);
  EXPECT_EQ(copy.r15, 0x6f6f6f6f6f6f6f6fu);
  // On top a number that is no address, then six registers, then where main goes on.
  const std::string stack = UnpackStack(blob);
  uint64_t words[8];
  ASSERT_GE(stack.size(), sizeof(words));
  memcpy(words, stack.data(), sizeof(words));
  EXPECT_EQ(words[0], 0u);
  EXPECT_LT(words[7] - (copy.rip - 0x10000), 0x20000u);
  const std::string address = run.out.substr(run.out.find('\n') + 1);
  EXPECT_EQ(copy.rip, strtoull(address.c_str(), nullptr, 16));
  EXPECT_EQ(copy.id, closes[0].stack);
}

// --- Records ------------------------------------------------------------------------------------------

TEST(Records, AHelloTellsWhatIsOpen) {
  const TracedRun run = RunTraced({"/bin/true", "an argument"});
  ASSERT_FALSE(run.records.empty());
  const SeenRecord& hello = run.records[0];
  EXPECT_EQ(hello.op(), Op::kHello);
  EXPECT_EQ(hello.b & kHelloFirst, kHelloFirst);
  EXPECT_EQ(hello.blobs.at(BlobTag::kArgv), std::string("/bin/true\0an argument\0", 22));
  std::set<int> numbers;
  for (const FdFact& fact : hello.Blob<FdFact>(BlobTag::kFds)) numbers.insert(fact.fd);
  EXPECT_EQ(numbers, (std::set<int>{0, 1, 2}));
  EXPECT_NE(hello.blobs.at(BlobTag::kModules).find("libc.so.6"), std::string::npos);
}

TEST(Records, DescriptorsAreBornCopiedAndClosed) {
  const TracedRun run = RunTraced(Mode("basics"));
  const auto pipes = run.Of(Op::kPipe);
  ASSERT_EQ(pipes.size(), 1u);
  EXPECT_EQ(pipes[0].a, 3u);
  EXPECT_EQ(pipes[0].b, 4u);
  EXPECT_NE(pipes[0].c, 0u);
  ASSERT_EQ(run.Of(Call::dup).size(), 1u);
  EXPECT_EQ(run.Of(Call::dup)[0].result, 5);
  ASSERT_EQ(run.Of(Call::dup2).size(), 1u);
  EXPECT_EQ(run.Of(Call::dup2)[0].a, 20u);
  ASSERT_EQ(run.Of(Op::kFdFlags).size(), 1u);
  EXPECT_EQ(run.Of(Op::kFdFlags)[0].a, 1u);
  EXPECT_EQ(run.Of(Op::kStatusFlags).size(), 1u);
  const auto closes = run.OfProcess(1);
  EXPECT_EQ(std::count_if(closes.begin(), closes.end(),
                          [](const SeenRecord& r) { return r.op() == Op::kClose && r.err == 9; }),
            1);
}

TEST(Records, BytesCarryCountAndPreview) {
  const TracedRun run = RunTraced(Mode("basics"));
  const auto writes = run.Of(Call::write);
  ASSERT_FALSE(writes.empty());
  EXPECT_EQ(writes[0].result, 5);
  EXPECT_EQ(memcmp(&writes[0].b, "hello", 5), 0);
  const auto reads = run.Of(Call::read);
  ASSERT_FALSE(reads.empty());
  EXPECT_EQ(reads[0].a, 8u);
  EXPECT_EQ(reads[0].result, 5);
}

TEST(Records, AForkedChildNamesItsParentsRecord) {
  const TracedRun run = RunTraced(Mode("basics"));
  const auto forks = run.Of(Op::kFork);
  const auto starts = run.Of(Op::kChildStart);
  ASSERT_EQ(forks.size(), 1u);
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(starts[0].a, forks[0].process);
  EXPECT_EQ(starts[0].b, forks[0].thread);
  EXPECT_EQ(starts[0].c, forks[0].seq);
  EXPECT_EQ(starts[0].pid, forks[0].result);
  EXPECT_LT(forks[0].enter, starts[0].enter);
  const auto ends = run.Of(Op::kExitNow);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].a, 3u);
  ASSERT_EQ(run.Of(Op::kWait).size(), 1u);
  EXPECT_EQ(run.Of(Op::kWait)[0].c, 0x300u);
}

TEST(Records, AForkByInstructionIsAProcessOfItsOwn) {
  const TracedRun run = RunTraced(Mode("raw"));
  const auto starts = run.Of(Op::kChildStart);
  ASSERT_EQ(starts.size(), 2u) << Describe(run.records);
  EXPECT_EQ(starts[1].c, ~uint64_t{0});
  EXPECT_EQ(run.Of(Op::kPipe).size(), 1u);
}

TEST(Records, AVforkedChildHasItsOwnProcessAndTheParentGoesOn) {
  const TracedRun run = RunTraced(Mode("vfork"));
  EXPECT_EQ(run.Of(Op::kVfork).size(), 2u);
  ASSERT_EQ(run.Of(Op::kChildStart).size(), 2u);
  const auto child = run.OfProcess(2);
  ASSERT_FALSE(child.empty());
  EXPECT_EQ(child[0].op(), Op::kChildStart);
  EXPECT_EQ(child.back().op(), Op::kExitNow);
  for (const SeenRecord& wait : run.Of(Op::kWait)) EXPECT_EQ(wait.process, 1u);
}

TEST(Records, AProgramStartedWithAnEmptyEnvironmentIsTraced) {
  const TracedRun run = RunTraced({"env", "-i", "/bin/sh", "-c", "exec /bin/echo x"});
  EXPECT_EQ(run.Of(Op::kHello).size(), 3u) << Describe(run.records);
}

TEST(Records, AJumpOutOfAReadAbandonsIt) {
  const TracedRun run = RunTraced(Mode("alarm"));
  const auto reads = run.Of(Call::read);
  ASSERT_EQ(reads.size(), 1u);
  EXPECT_EQ(reads[0].state, RecordState::kAbandoned);
}

TEST(Records, ACancelledReadIsAbandonedAndItsThreadEnds) {
  const TracedRun run = RunTraced(Mode("cancel"));
  const auto reads = run.Of(Call::read);
  ASSERT_EQ(reads.size(), 1u);
  EXPECT_EQ(reads[0].state, RecordState::kAbandoned);
  EXPECT_EQ(run.Of(Op::kThreadStart).size(), 1u);
  EXPECT_EQ(run.Of(Op::kThreadEnd).size(), 1u);
}

TEST(Records, ASignalToAThreadIsOneToItsProcess) {
  const TracedRun run = RunTraced(Mode("cancel"));
  const auto kills = run.Of(Call::pthread_kill);
  ASSERT_EQ(kills.size(), 1u);
  EXPECT_EQ(static_cast<int32_t>(kills[0].a), kills[0].pid);
  EXPECT_EQ(kills[0].b, 0u);
}

TEST(Records, AHandlersCallsAreMarked) {
  TraceOptions options;
  options.session_bytes = size_t{64} << 20;
  const TracedRun run = RunTraced(Mode("handler"), options);
  const auto writes = run.Of(Call::write);
  EXPECT_TRUE(std::any_of(writes.begin(), writes.end(), [](const SeenRecord& record) {
    return (record.flags & kRecordInSignal) != 0;
  }));
  for (const SeenRecord& record : run.records) {
    EXPECT_EQ(record.state, RecordState::kReturned) << Describe(record);
  }
}

TEST(Records, ThreadsOf64AndForksBetweenLoseNothing) {
  TraceOptions options;
  options.session_bytes = size_t{64} << 20;
  const TracedRun run = RunTraced(Mode("threads"), options);
  EXPECT_EQ(run.Of(Call::read).size(), 64u * 200);
  EXPECT_EQ(run.Of(Op::kChildStart).size(), 10u);
  EXPECT_EQ(run.Of(Op::kThreadStart).size(), 64u);
}

TEST(Records, DescriptorsThatTravelAreNamed) {
  const TracedRun run = RunTraced(Mode("rights"));
  ASSERT_EQ(run.Of(Call::sendmsg).size(), 1u);
  EXPECT_EQ(run.Of(Call::sendmsg)[0].Blob<int32_t>(BlobTag::kSentFds), std::vector<int32_t>{6});
  ASSERT_EQ(run.Of(Call::recvmsg).size(), 1u);
  const auto facts = run.Of(Call::recvmsg)[0].Blob<FdFact>(BlobTag::kFds);
  ASSERT_EQ(facts.size(), 1u);
  EXPECT_EQ(facts[0].fd, 7);
}

TEST(Records, WaitsTellForWhatAndWhatCame) {
  const TracedRun run = RunTraced(Mode("waits"));
  const auto polls = run.Of(Op::kPoll);
  ASSERT_EQ(polls.size(), 3u);
  EXPECT_EQ(polls[0].Blob<PollEntry>(BlobTag::kPoll).at(0).fd, 3);
  EXPECT_TRUE(polls[0].Blob<PollEntry>(BlobTag::kPollReady).empty());
  EXPECT_EQ(polls[1].Blob<PollEntry>(BlobTag::kPollReady).at(0).revents, 1);
  EXPECT_EQ(polls[1].b, 1000000000u);
  EXPECT_EQ(polls[2].Blob<PollEntry>(BlobTag::kPollReady).at(0).fd, 3);
  EXPECT_EQ(run.Of(Op::kEpollWait).size(), 1u);
  EXPECT_EQ(run.Of(Op::kAnonymous).size(), 2u);
}

// --- Streams ------------------------------------------------------------------------------------------

TEST(Streams, CountWhatReachesTheDescriptor) {
  const TracedRun run = RunTraced(Mode("streams"));
  const auto gets = run.Of(Call::fgets);
  ASSERT_EQ(gets.size(), 1u);
  EXPECT_EQ(gets[0].b, 14u);  // read from the pipe
  EXPECT_EQ(gets[0].c, 7u);   // left in the buffer
  EXPECT_TRUE(run.Of(Call::fgetc).empty()) << "served from the buffer";
  const auto flushes = run.Of(Call::fflush);
  ASSERT_EQ(flushes.size(), 2u);
  EXPECT_EQ(flushes[0].b, 14u);
}

TEST(Streams, AReadPastAStreamShowsWhatItHolds) {
  const TracedRun run = RunTraced(Mode("streams"));
  const auto states = run.Of(Op::kStreamState);
  const auto read_ahead =
      std::find_if(states.begin(), states.end(), [](const SeenRecord& r) { return r.fd == 3; });
  ASSERT_NE(read_ahead, states.end());
  EXPECT_EQ(read_ahead->b, 6u);
  const auto pending =
      std::find_if(states.begin(), states.end(), [](const SeenRecord& r) { return r.fd == 1; });
  ASSERT_NE(pending, states.end());
  EXPECT_GE(pending->c, 7u);
}

// --- Names --------------------------------------------------------------------------------------------

TEST(Programs, AreHeardThroughPipelines) {
  const TracedRun run = RunTraced({"bash", "-c", "seq 1000 | sort -rn | head -1"});
  EXPECT_EQ(run.out, "1000\n");
  EXPECT_EQ(run.Of(Op::kHello).size(), 4u);
  EXPECT_EQ(run.untraced_execs, 0u);
}

}  // namespace
}  // namespace ipctrace
