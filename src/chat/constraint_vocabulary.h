/* constraint_vocabulary.h - the tokens of a model as a tree of bytes, in the order of a walk. */
#ifndef HEARTH_CHAT_CONSTRAINT_VOCABULARY_H
#define HEARTH_CHAT_CONSTRAINT_VOCABULARY_H

#include "chat/constraint.h"

enum {
    VOCABULARY_MAX_TOKENS = 1 << 22,
    VOCABULARY_MAX_TOKEN_BYTES = 256 /* longer tokens are never allowed */
};

/* A node is a text that tokens begin with; nodes stand in the order of their texts, each before
 * those it begins. */
struct vocabulary_node {
    uint32_t after; /* the next node that this one does not begin */
    uint32_t token; /* tokens of just this text: by_text[token … the next node's token) */
    uint8_t depth;  /* bytes before its last; its last byte is `byte` */
    uint8_t byte;
};

struct constraint_vocabulary {
    struct vocabulary_node *nodes; /* [n_nodes + 1], the last a sentinel */
    uint32_t *by_text;             /* ids, sorted by text */
    uint32_t *ends;                /* ids that end an answer */
    uint32_t *controls;            /* ids of control tokens that have a text */
    char *bytes;                   /* of all tokens */
    size_t *first_byte;            /* [n_tokens + 1] */
    uint32_t n_nodes, n_by_text, n_ends, n_controls, n_tokens;
};

#endif
