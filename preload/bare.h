// The bare form: LD_PRELOAD alone, without `ipctrace run` around it.
#ifndef IPCTRACE_PRELOAD_BARE_H_
#define IPCTRACE_PRELOAD_BARE_H_

namespace ipctrace {

// Starts the analyzer out of the program's sight (no child, no descriptor, no signal of the
// program's) and maps the session it makes. False, after a sentence on stderr, when that fails.
bool StartAnalyzer(char** environment);

// In the process that started the session, at its end: waits until the report has been printed, so
// that it comes before the shell's prompt. Elsewhere returns at once.
void WaitForReport();

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_BARE_H_
