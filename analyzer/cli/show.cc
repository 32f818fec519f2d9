#include "analyzer/cli/commands.h"
namespace ipctrace { int ShowCommand(const Options&) { return Fail("not yet"); } }
