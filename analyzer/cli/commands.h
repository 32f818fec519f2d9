// The commands. Each takes its parsed options and returns the exit status.
#ifndef IPCTRACE_ANALYZER_CLI_COMMANDS_H_
#define IPCTRACE_ANALYZER_CLI_COMMANDS_H_

#include <string>

#include "analyzer/cli/options.h"

namespace ipctrace {

int RunCommand(const Options& options);      // run: trace a program
int AttachCommand(const Options& options);   // attach: the analyzer of the bare LD_PRELOAD form
int ReportCommand(const Options& options);   // report: analyze a kept trace
int ShowCommand(const Options& options);     // show: the events of a kept trace
int DiagramCommand(const Options& options);  // diagram: of a kept trace, or of a protocol
int RulesCommand(const Options& options);    // rules: the table
int ExplainCommand(const Options& options);  // explain: a rule's page

// "ipctrace: <sentence>" on standard error; returns kExitFailure.
int Fail(const std::string& sentence);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_CLI_COMMANDS_H_
