/*
 * memory - whether there was enough of it for an answer. Half a table, or JSON without a member
 * that its schema promises, is no answer: server.c says so in its place.
 */
#ifndef KUBETOKEN_MEMORY_H
#define KUBETOKEN_MEMORY_H

#include <stdbool.h>
#include <stdio.h>

/* From now on what cJSON lacks is noted as well. */
void memory_watch_json(void);

/* Once, before there is any: a large block goes back to the system when it is freed, however many
 * large ones there were. */
void memory_map_large(void);

/* What lies free below anything that is in use goes back to the system too. Much was freed. */
void memory_give_back(void);

/* Something that belongs into an answer could not be had. */
void memory_note_lack(void);

/* Whether that was so since it was asked last. */
bool memory_lacked(void);

/* open_memstream(3); what is lacking is noted. */
FILE *memory_stream(char **text, size_t *size);

/* Closes it. *text, which the caller frees, is all that was written, or NULL. NULL is no stream. */
void memory_close(FILE *f, char **text);

#endif
