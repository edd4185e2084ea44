// Commands that are both a program of /bin and built into the shell. Each takes main's arguments and returns its
// exit status; output goes to stdout, messages to stderr.
#ifndef COMMAND_H
#define COMMAND_H
int command_test(int argc, char **argv);      // test EXPRESSION; as `[' wants a closing `]'
int command_echo(int argc, char **argv);
int command_printf(int argc, char **argv);
int command_kill(int argc, char **argv);
// The number of a signal named "9", "KILL" or "SIGKILL"; -1 when there is none.
int signal_number(const char *name);
const char *signal_name(int number);          // "KILL", or null
#endif
