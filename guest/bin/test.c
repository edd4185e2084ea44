// test: see lib/command.h.
#include "command.h"
int main(int argc, char **argv) { return command_test(argc, argv); }
