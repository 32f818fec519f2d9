#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "analyzer/protocol/framer.h"
#include "analyzer/protocol/machine.h"
#include "analyzer/protocol/parser.h"

namespace ipctrace::protocol {
namespace {

constexpr char kHead[] = "protocol p\nrole a connects\nrole b accepts\nframing line\n";

std::string FirstError(const std::string& text) {
  const Parsed parsed = Parse(text, "f");
  if (parsed.errors.empty()) return "";
  const Remark& error = parsed.errors[0];
  return absl::StrCat(error.place.line, ":", error.place.column, ": ", error.text);
}

bool Warns(const std::string& text, const std::string& part) {
  const Parsed parsed = Parse(text, "f");
  EXPECT_TRUE(parsed.errors.empty()) << parsed.errors[0].text;
  for (const Remark& warning : parsed.warnings) {
    if (absl::StrContains(warning.text, part)) return true;
  }
  return false;
}

TEST(ParserTest, TheLibraryHasNoMistakesAndNoWarnings) {
  int count = 0;
  for (const LibraryProtocol* each = kLibrary; each->name != nullptr; ++each, ++count) {
    const Parsed parsed = Parse(each->text, each->name);
    for (const Remark& e : parsed.errors)
      ADD_FAILURE() << each->name << ":" << e.place.line << ": " << e.text;
    for (const Remark& w : parsed.warnings)
      ADD_FAILURE() << each->name << ":" << w.place.line << ": " << w.text;
  }
  EXPECT_GE(count, 9);
}

TEST(ParserTest, AMistakeIsToldWithLineColumnAndWhatWasExpected) {
  EXPECT_EQ(
      FirstError("protocol p\nrole a connect\n"),
      "2:8: expected connects, accepts, writes, reads, parent, child, port or program, and here is "
      "\"connect\"");
  EXPECT_EQ(FirstError(absl::StrCat(kHead, "message m = /(/\n")).substr(0, 5), "5:13:");
  EXPECT_TRUE(
      absl::StrContains(FirstError(absl::StrCat(kHead, "message m\nstate s\n  a sends n -> s\n")),
                        "7:11: there is no message \"n\" (there are: m)"));
  EXPECT_TRUE(absl::StrContains(
      FirstError(absl::StrCat(kHead, "message m\nstate s\n  a sends m when x == 1 -> s\n")),
      "7:18: nothing is called \"x\""));
  EXPECT_TRUE(
      absl::StrContains(FirstError(absl::StrCat(kHead, "framing length 4\nstate s\n")),
                        "expected the byte order, big or little, and here is the end of the line"));
}

TEST(ParserTest, WarnsOfWhatCanNeverBe) {
  const std::string head = kHead;
  EXPECT_TRUE(Warns(head + "message m\nstate s final\n  a sends m -> s\nstate t final\n",
                    "the state t can never be reached"));
  EXPECT_TRUE(
      Warns(head + "message m\nstate s\n  a sends m -> s\n", "no final state can be reached"));
  EXPECT_TRUE(
      Warns(head + "message m = /x\\n/\nstate s final\n  a sends m -> s\n", "can never match"));
  EXPECT_TRUE(Warns(
      head + "message m\nmessage n = /x/\nstate s final\n  a sends m -> s\n  a sends n -> s\n",
      "this can never happen"));
  EXPECT_TRUE(Warns(head + "message m\nmessage n\nstate s final\n  a sends m -> s\n",
                    "in no state allowed"));
  EXPECT_TRUE(
      Warns(head + "message m\nstate s final\n  a sends m -> t\nstate t failed\n  b sends m -> s\n",
            "is a violation already"));
  EXPECT_TRUE(
      Warns("protocol p\nrole a writes\nrole b reads\nframing line\nmessage m\nstate s final\n"
            "  a sends m -> s\n  b sends m -> s\n",
            "reads a pipe, which sends nothing"));
}

TEST(ParserTest, HostileFilesDoNoHarm) {
  std::mt19937 random(7);
  const std::string seed = kLibrary[0].text;
  for (int i = 0; i < 3000; ++i) {
    std::string text = kLibrary[i % 5].text;
    for (int k = 0; k < 8; ++k) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 20);
          break;
        default:
          text.insert(at, seed.substr(random() % seed.size(), random() % 20));
      }
      if (text.empty()) text = " ";
    }
    Parse(text, "f");
  }
  Parse(std::string(2 << 20, 'a'), "f");
  Parse(absl::StrCat(kHead, "message m\nstate s final when ", std::string(100000, '('), "\n"), "f");
  std::string negations;
  for (int i = 0; i < 100000; ++i) negations += "- ";
  Parse(absl::StrCat(kHead, "message m\nstate s final when ", negations, "1\n"), "f");
  for (int i = 0; i < 100000; ++i) negations += "not ";
  Parse(absl::StrCat(kHead, "message m\nstate s final when ", negations, "1\n"), "f");
}

// One conversation: who sends what, in order.
using Talk = std::vector<std::pair<int, std::string>>;

// Hands the bytes on in pieces; returns the verdict and the state, as text.
std::string Judge(const char* name, const Talk& talk, const std::function<size_t(size_t)>& piece) {
  std::vector<std::string> warnings;
  const auto protocol = *Load(name, &warnings);
  Machine machine(protocol, 0, nullptr);
  auto http = std::make_shared<HttpMemory>();
  Framer framers[2] = {Framer(protocol->roles[0].framing, http),
                       Framer(protocol->roles[1].framing, http)};
  for (const auto& [role, bytes] : talk) {
    for (size_t at = 0; at < bytes.size();) {
      const size_t size =
          std::min(std::max<size_t>(piece(bytes.size() - at), 1), bytes.size() - at);
      framers[role].Add(std::string_view(bytes).substr(at, size));
      at += size;
      Frame frame;
      while (true) {
        const Framer::Result result = framers[role].Next(&frame);
        if (result == Framer::Result::kError) return "framing";
        if (result != Framer::Result::kMessage) break;
        const Verdict verdict = machine.Sends(role, frame, 1);
        if (!verdict.ok())
          return absl::StrCat(verdict.came, " in ", verdict.state, ": ", verdict.why);
      }
    }
  }
  return absl::StrCat(machine.state().name, machine.Final() ? " final " : " ",
                      framers[0].rest().size(), " ", framers[1].rest().size());
}

std::string Z(const std::string& text) { return text + '\0'; }

TEST(PropertyTest, HowBytesAreCutMakesNoDifference) {
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
      "chunked\r\n\r\n5;x=1\r\nhello\r\n3\r\n\r\nx\r\n0\r\nT: 1\r\n\r\n";
  const std::vector<std::pair<const char*, Talk>> talks = {
      {"echo", {{0, Z("hello")}, {1, Z("hello")}, {0, Z("")}, {1, Z("")}}},
      {"echo", {{0, Z("hello")}, {1, Z("hellp")}}},
      {"echo", {{0, Z("a") + Z("b")}, {1, Z("a") + Z("b")}}},
      {"echo-lines", {{0, "a\nb\nc\n"}, {1, "a\nb\n"}, {1, "c\n"}}},
      {"rpc",
       {{0, std::string("\0\0\0\6\0\0\0\1ab", 10)}, {1, std::string("\0\0\0\4\0\0\0\1", 8)}}},
      {"rpc", {{0, std::string("\6\0\0\0\0\0\0\1ab", 10)}}},
      {"http11",
       {{0, "GET / HTTP/1.1\r\nHost: x\r\n\r\nHEAD /y HTTP/1.1\r\n\r\n"},
        {1, chunked + "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"},
        {0, "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"},
        {1, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"}}},
      {"smtp",
       {{1, "220-x\r\n220 y\r\n"},
        {0, "EHLO me\r\n"},
        {1, "250-a\r\n250 b\r\n"},
        {0, "MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\n"},
        {1, "250 ok\r\n250 ok\r\n354 go\r\n"},
        {0, "Subject: x\r\n\r\n..\r\n.\r\nQUIT\r\n"},
        {1, "250 ok\r\n"},
        {1, "221 bye\r\n"}}},
      {"resp",
       {{0, "*2\r\n$3\r\nGET\r\n$1\r\nx\r\nPING\r\n"},
        {1, "$-1\r\n+PONG\r\n"},
        {0, "*1\r\n$4\r\nKEYS\r\n"},
        {1, "*2\r\n$1\r\na\r\n*1\r\n:5\r\n"}}},
      {"counted-records", {{0, "2\na\nb\n"}}},
      {"counted-records", {{0, "2\na\nb\nc\n"}}},
  };
  const char* given = getenv("SEED");
  const unsigned seed =
      given != nullptr ? static_cast<unsigned>(atoi(given)) : std::random_device()();
  printf("SEED=%u\n", seed);
  std::mt19937 random(seed);
  for (const auto& [name, talk] : talks) {
    const std::string whole = Judge(name, talk, [](size_t rest) { return rest; });
    EXPECT_EQ(whole, Judge(name, talk, [](size_t) { return size_t{1}; })) << name;
    for (int i = 0; i < 200; ++i) {
      EXPECT_EQ(whole, Judge(name, talk, [&](size_t rest) { return size_t{1} + random() % rest; }))
          << name << " SEED=" << seed;
    }
  }
}

TEST(MachineTest, ConversationsOfTheLibraryEndInFinalStates) {
  const auto whole = [](size_t rest) { return rest; };
  EXPECT_EQ(Judge("counted-records", {{0, "2\na\nb\n"}}, whole), "done final 0 0");
  EXPECT_EQ(Judge("resp", {{0, "PING\r\n"}, {1, "+PONG\r\n"}}, whole), "open final 0 0");
  EXPECT_EQ(Judge("resp", {{0, "PING\r\n"}}, whole), "open 0 0");
  EXPECT_EQ(Judge("line-chat", {{1, "hi\n"}, {0, "hi\nbye\n"}, {1, "bye\n"}}, whole),
            "over final 0 0");
  EXPECT_EQ(Judge("echo", {{1, Z("x")}}, whole), "server sent reply \"x\" in idle: ");
  EXPECT_EQ(Judge("echo", {{0, Z("ab")}, {1, Z("ac")}}, whole),
            "server sent reply \"ac\" in waiting: reply.text == request.text does not hold: "
            "reply.text is "
            "\"ac\", request.text is \"ab\"");
}

TEST(FramerTest, ARequestMayBeAnsweredBeforeItsBodyIsThere) {
  Framing framing;
  framing.kind = Framing::kHttp;
  Framer framer(framing);
  Frame frame;
  framer.Add("POST /x HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc");
  EXPECT_EQ(framer.Next(&frame), Framer::Result::kNeedsMore);
  ASSERT_TRUE(framer.TakeEarly(&frame));
  EXPECT_EQ(frame.bytes, "POST /x HTTP/1.1");
  EXPECT_FALSE(framer.TakeEarly(&frame)) << "once";
  framer.Add("defGET /y HTTP/1.1\r\n\r\n");
  ASSERT_EQ(framer.Next(&frame), Framer::Result::kMessage);
  EXPECT_EQ(frame.bytes, "GET /y HTTP/1.1") << "the rest of the body is no message";
  EXPECT_EQ(framer.Next(&frame), Framer::Result::kNeedsMore);
}

TEST(MachineTest, AWrongByteOrderIsNamed) {
  Framing framing;
  framing.kind = Framing::kLength;
  framing.size = 4;
  framing.most = 1000;
  Framer framer(framing);
  framer.Add(std::string("\5\0\0\0hello", 9));
  Frame frame;
  EXPECT_EQ(framer.Next(&frame), Framer::Result::kError);
  EXPECT_TRUE(absl::StrContains(framer.error(),
                                "as a little-endian number it is 5, so its byte order is wrong"));
}

TEST(MachineTest, RandomBytesDoNoHarm) {
  std::mt19937 random(11);
  for (const LibraryProtocol* each = kLibrary; each->name != nullptr; ++each) {
    for (int i = 0; i < 300; ++i) {
      Talk talk;
      for (int k = 0; k < 4; ++k) {
        std::string bytes;
        static constexpr std::string_view kBits[] = {
            "HTTP/1.1 ",           "\r\n",   "*3\r\n",   "$-5\r\n", "GET / HTTP/1.1\r\n\r\n", "\n",
            "9999999999999999999", "%1\r\n", "220 x\r\n"};
        for (int n = 0; n < 6; ++n) {
          if (random() % 2)
            bytes += kBits[random() % std::size(kBits)];
          else
            bytes += static_cast<char>(random());
        }
        talk.emplace_back(random() % 2, bytes);
      }
      Judge(each->name, talk, [](size_t rest) { return rest; });
    }
  }
}

}  // namespace
}  // namespace ipctrace::protocol
