// Text that came from the traced program, made harmless for where it goes.
#ifndef IPCTRACE_ANALYZER_REPORT_ESCAPE_H_
#define IPCTRACE_ANALYZER_REPORT_ESCAPE_H_

#include <string>
#include <string_view>

namespace ipctrace {

// For a terminal, on one line: control characters (terminal escapes among them), marks that turn
// the direction of writing, and bytes that are not UTF-8 become \n, \x1b, \u202e. Printable
// UTF-8 stays. The result is valid UTF-8.
std::string EscapeTerminal(std::string_view text);

// For the text or an attribute of an XML document: EscapeTerminal, then &lt; and its kin.
std::string EscapeXml(std::string_view text);

// Columns that escaped text takes, each code point one.
size_t Columns(std::string_view text);
// Escaped text, cut to so many columns with an ellipsis at its end.
std::string Fit(std::string_view text, size_t columns);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_REPORT_ESCAPE_H_
