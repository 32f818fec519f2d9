// For tests: stacks of real programs, captured as the preload library captures them.
#ifndef IPCTRACE_ANALYZER_SYMBOLS_TESTING_H_
#define IPCTRACE_ANALYZER_SYMBOLS_TESTING_H_

#include <string>
#include <vector>

namespace ipctrace {

struct Capture {
  std::string program;              // path of the executable
  std::string source;               // path of the source file
  std::string modules;              // text of a [Modules] blob
  std::vector<std::string> stacks;  // one blob for each call of capture(), in order
};

// Compiles `code`, which calls `void capture(void)`, with `compiler` (command and flags), in a
// directory of its own as `file` (its ending tells the language), runs it and returns what it
// captured: of every stack at most `stack_bytes`. With `strip` the program is stripped first.
// Nothing is captured (and the test should fail) where one of these steps fails.
Capture CaptureStacks(const std::string& code, const std::string& compiler = "gcc -O0 -g",
                      const std::string& file = "prog.c", size_t stack_bytes = 4096,
                      bool strip = false);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_SYMBOLS_TESTING_H_
