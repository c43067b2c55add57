/* ember_solver.h - solves Ember's problems from their wording and canonical form alone, by
 * other means than their makers, and checks what steps claim. */
#ifndef HEARTH_TESTS_EMBER_SOLVER_H
#define HEARTH_TESTS_EMBER_SOLVER_H

#include <stdbool.h>
#include <stddef.h>

/* The answer to a problem of a task by steps; false when the task is none. */
bool solver_answer(const char *task, const char *problem, const char *question, char *answer,
                   size_t size);

/* Every statement "2+3=5", "17/3=5 rest 2", "4<7", "b3=B3", "47+85:12 13=132" in a text holds;
 * the first that does not is copied to `wrong`. `count` is increased by how many there are. */
bool solver_steps_hold(const char *steps, size_t *count, char *wrong, size_t size);

/* The same of the lines of arithmetic in columns (ember/columns.c): each line's digits are in a
 * row above it, and what stands behind its "=" is the result of the columns up to there. */
bool solver_columns_hold(const char *steps, size_t *count, char *wrong, size_t size);

/* The lines of sorting (ember/ordering.c): the signs say how the items compare with the one that is
 * put into the list, and only the last is of an item that it stands before. */
bool solver_insertions_hold(const char *steps);

/* The number behind the "=" of a line of columns, without leading zeros. */
void solver_result(const char *line, char *number, size_t size);

#endif
