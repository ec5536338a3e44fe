/*
 * text - small things done with strings, without stdio: some are on the way of every `get`.
 */
#ifndef KUBETOKEN_TEXT_H
#define KUBETOKEN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT_DECIMAL_SIZE = 21 };

/* Whether they are the same. */
bool text_equal(const char *a, const char *b);

/* Writes a, b and c one behind the other. Returns whether they fit into size bytes with the NUL;
 * else out is as it was. */
bool text_join(char *out, size_t size, const char *a, const char *b, const char *c);

/* The number in digits; returns where they begin within out. */
const char *text_decimal(char out[TEXT_DECIMAL_SIZE], uint64_t number);

/* How many letters have to be put in, taken out, changed, or exchanged with the one beside them, to
 * make one of the other, whatever their case; SIZE_MAX where one is longer than 40. */
size_t text_distance(const char *a, const char *b);

struct text_nearest {
    const char *word;
    size_t distance;
};

/* What a word was meant to be: of those that are tried the nearest, if it is near enough for that.
 * The word has to live as long. */
struct text_nearest text_nearest_to(const char *word);

/* Whether this one is nearer than those before, and near: a letter in three, and three at most. */
bool text_nearest_try(struct text_nearest *nearest, const char *candidate);

#endif
