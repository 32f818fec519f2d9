// How the forms for people put things. None of this text is escaped.
#ifndef IPCTRACE_ANALYZER_REPORT_WORDS_H_
#define IPCTRACE_ANALYZER_REPORT_WORDS_H_

#include <string>
#include <string_view>
#include <vector>

#include "analyzer/report/report.h"

namespace ipctrace {

// "prog.c:31", or "prog+0x1139" where there is no debug information, or "".
std::string PlaceText(const Frame* place);
// A function's name without its parameters.
std::string ShortFunction(std::string_view function);
// "prog.c:31 in main".
std::string PlaceAndFunction(const Frame* place);
// "1.234 ms", from the beginning of the run.
std::string TimeText(Nanos time);
// "prog[12]", with its thread where it is not the first one; "" for a site nowhere in particular.
std::string ProcessText(const ReportSite& site);
// What happened in a step, with its process in front where the message does not name it.
std::string StepText(const ReportStep& step);
// "1 error, 2 warnings, 0 notes".
std::string CountsText(const Report& report);
// "2 processes, 24 calls".
std::string ExtentText(const Report& report);
// How the run ended where that was not of itself: a sentence; else "".
std::string OutcomeText(const Report& report);
// What is to be thought of the program as a whole: the findings' number, or that there are none.
std::string VerdictText(const Report& report);
// What the list of `standing` is of: "When the time was up". Empty where a finding says it better.
std::string StandingTitle(const Report& report);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_REPORT_WORDS_H_
