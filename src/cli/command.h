/* command.h - the commands of the program. Each takes its own argv (argv[0] is the
 * command's word) and returns the process's exit code: 0 ok, 1 failure, 2 usage. */
#ifndef HEARTH_CLI_COMMAND_H
#define HEARTH_CLI_COMMAND_H

#include "base/status.h"

int cmd_bench(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_cp(int argc, char **argv);
int cmd_data(int argc, char **argv);
int cmd_dequant(int argc, char **argv);
int cmd_detokenize(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_imatrix(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_keys(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_logits(int argc, char **argv);
int cmd_perplexity(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_pull(int argc, char **argv);
int cmd_quantize(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_synth(int argc, char **argv);
int cmd_template(int argc, char **argv);
int cmd_tune(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_tokenizer(int argc, char **argv);

/* Prints "hearth: message" to stderr and returns EXIT_FAILED. */
int command_fail(const hearth_error *err);

#endif
