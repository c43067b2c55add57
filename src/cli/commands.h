/* commands.h - the commands of the program; argv[0] is the command's name. Each
 * returns the exit code: 0 done, 1 failed, 2 used wrongly. */
#ifndef HEARTH_CLI_COMMANDS_H
#define HEARTH_CLI_COMMANDS_H

int cmd_pull(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_cp(int argc, char **argv);

#endif
