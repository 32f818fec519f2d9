// Prints where the known call returns to and the sum of the registers it must find unchanged.
#include <stdio.h>

extern "C" unsigned long call_close_with_known_registers();
extern "C" char known_return_address[];

int main() {
  printf("%lx\n", call_close_with_known_registers());
  printf("%p\n", static_cast<void*>(known_return_address));
}
