// Finds the program that is to be traced, and says beforehand why it cannot be.
#ifndef IPCTRACE_ANALYZER_CLI_PROGRAM_H_
#define IPCTRACE_ANALYZER_CLI_PROGRAM_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ipctrace {

struct Program {
  std::string path;                   // what execve gets
  std::vector<std::string> preloads;  // libraries that must stand before ours in LD_PRELOAD
  // The file is neither ELF nor a script with "#!": /bin/sh reads it, as execvp(3) has it.
  bool shell_script = false;
};

// Finds `name` as a shell does (`search` is the value of PATH, null for none) and looks into it.
// Errors are whole sentences: no such program, not executable, or one that cannot be traced:
// statically linked, set-user-ID, 32-bit, or a script whose interpreter is such a one.
absl::StatusOr<Program> FindProgram(const std::string& name, const char* search);

// LD_PRELOAD for the program: what must be first, then `library`, then `before` (may be null).
std::string PreloadValue(const Program& program, const std::string& library, const char* before);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_CLI_PROGRAM_H_
