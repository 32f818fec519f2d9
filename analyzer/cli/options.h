// The command's options: one table that the command line, IPCTRACE_OPTIONS and the help are read
// from.
#ifndef IPCTRACE_ANALYZER_CLI_OPTIONS_H_
#define IPCTRACE_ANALYZER_CLI_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "analyzer/findings/finding.h"

namespace ipctrace {

// Exit statuses of the command that are not the program's.
inline constexpr int kExitTimeout = 124;  // --timeout, or a hang, ended the run
inline constexpr int kExitFailure = 125;  // ipctrace failed, or the program could not be traced

enum class ColorMode { kAuto, kAlways, kNever };
enum class OnDeadlock { kDefault, kEnd, kWait };

struct Options {
  std::string checks;
  std::string format;  // empty: the command's own default
  std::string output;  // empty: standard error; "-": standard output
  std::string trace;   // empty: none is kept
  absl::Duration timeout = absl::InfiniteDuration();
  absl::Duration linger = absl::Seconds(2);
  std::optional<Severity> fail_on;
  std::optional<int> error_exitcode;
  ColorMode color = ColorMode::kAuto;
  OnDeadlock on_deadlock = OnDeadlock::kDefault;
  std::vector<std::string> protocols;  // files, or names of the library's
  // Of diagram: what of the run is shown.
  std::string connection, process;
  absl::Duration from, until = absl::InfiniteDuration();
  bool states = false;
  bool payload = false;                // record all bytes even where no protocol watches
  // Of attach: what the preload library says.
  std::string session;
  int32_t pid = 0;

  std::vector<std::string> arguments;  // what is not an option: the program, the trace, the rule
};

// Which commands an option is for.
enum CommandSet : unsigned {
  kRun = 1,
  kReport = 2,
  kShow = 4,
  kAttach = 8,
  kBare = 16,
  kRules = 32,
  kExplain = 64,
  kDiagram = 128,
};

// Reads the arguments that follow the command's name, up to "--" or the first one that is not an
// option: that and the rest are `arguments`. Errors are whole sentences.
absl::Status ParseArguments(CommandSet command, const std::vector<std::string>& arguments,
                            Options* options);

// Reads IPCTRACE_OPTIONS: "k=v:k=v". What is wrong with one does not keep the others from being
// read; the first error is returned.
absl::Status ParseEnvironment(std::string_view text, Options* options);

// The options of a command, one a line, for the help.
std::string OptionsHelp(CommandSet command);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_CLI_OPTIONS_H_
