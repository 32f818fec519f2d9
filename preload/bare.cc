#include "preload/bare.h"

#include "preload/session.h"

namespace ipctrace {

bool StartAnalyzer(char**) { return false; }
void WaitForReport() {}

}  // namespace ipctrace
