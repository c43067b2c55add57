/* tune_commands.h - the commands below hearth tune that look after runs. Each takes its own argv
 * (argv[0] is its word) and returns an exit code, as those of command.h do. */
#ifndef HEARTH_CLI_TUNE_COMMANDS_H
#define HEARTH_CLI_TUNE_COMMANDS_H

int tune_list(int argc, char **argv);
int tune_show(int argc, char **argv);
int tune_compare(int argc, char **argv);
int tune_export(int argc, char **argv);

#endif
