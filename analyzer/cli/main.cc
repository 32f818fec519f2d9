// The command. What each part does stands where it is done; this is the order.
#include <stdio.h>

#include <string>
#include <string_view>
#include <vector>

#include "analyzer/cli/commands.h"
#include "analyzer/cli/options.h"

namespace {

using ipctrace::Options;

constexpr char kVersion[] = "1.0";

struct Command {
  std::string_view name;
  ipctrace::CommandSet set;
  int (*run)(const Options&);
  std::string_view arguments;
  std::string_view help;  // empty: not for people
};

const Command kCommands[] = {
    {"run", ipctrace::kRun, ipctrace::RunCommand, "[OPTIONS] -- PROGRAM [ARGS]",
     "trace a program, analyze while it runs, report"},
    {"report", ipctrace::kReport, ipctrace::ReportCommand, "[OPTIONS] TRACE",
     "analyze a kept trace again"},
    {"show", ipctrace::kShow, ipctrace::ShowCommand, "[--format=text|jsonl] TRACE",
     "the events of a trace, one a line"},
    {"diagram", ipctrace::kDiagram, ipctrace::DiagramCommand, "[OPTIONS] [TRACE]",
     "who said what to whom; or a protocol's states"},
    {"explain", ipctrace::kExplain, ipctrace::ExplainCommand, "RULE",
     "what a rule finds, why it hurts, how to mend it"},
    {"rules", ipctrace::kRules, ipctrace::RulesCommand, "", "all rules, one a line"},
    {"attach", ipctrace::kAttach, ipctrace::AttachCommand, "", ""},
};

std::string Help() {
  std::string help =
      "ipctrace finds mistakes in programs that use pipes, sockets, fork and stdio.\n\n"
      "  LD_PRELOAD=libipctrace.so ./program    a report when it ends, or as soon as it hangs\n";
  for (const Command& command : kCommands) {
    if (command.help.empty()) continue;
    std::string line =
        "  ipctrace " + std::string(command.name) + " " + std::string(command.arguments);
    line.resize(line.size() < 41 ? 41 : line.size() + 2, ' ');
    help += line + std::string(command.help) + "\n";
  }
  help += "\nOptions of run:\n" + ipctrace::OptionsHelp(ipctrace::kRun);
  help +=
      "\nreport takes those that fit; IPCTRACE_OPTIONS=name=value:name=value gives them to the "
      "bare form.\n"
      "\nThe exit status is the program's own (128 + N after signal N), or what --error-exitcode "
      "says;\n"
      "124: a timeout or a hang was ended; 125: ipctrace failed, or the program cannot be "
      "traced.\n";
  return help;
}

}  // namespace

int main(int argc, char** argv) {
  // 1. Which command.
  std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const std::string name = arguments.empty() ? "--help" : arguments[0];
  if (!arguments.empty()) arguments.erase(arguments.begin());
  if (name == "help" || name == "--help" || name == "-h") return fputs(Help().c_str(), stdout) < 0;
  if (name == "--version") return printf("ipctrace %s\n", kVersion) < 0;
  const Command* command = nullptr;
  for (const Command& candidate : kCommands) {
    if (candidate.name == name) command = &candidate;
  }
  if (command == nullptr)
    return ipctrace::Fail("there is no command " + name + " (ipctrace help lists them)");
  if (!arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h"))
    return fputs(Help().c_str(), stdout) < 0;

  // 2. Its options.
  Options options;
  const absl::Status parsed = ipctrace::ParseArguments(command->set, arguments, &options);
  if (!parsed.ok())
    return ipctrace::Fail(std::string(parsed.message()) + " (ipctrace help lists the options)");

  // 3. Do it.
  return command->run(options);
}
