#include "daemon/profile_index.h"

#include <stdlib.h>
#include <string.h>

/* At most half of the slots are taken, so that the first or second look finds it, or that there is
 * none. */
struct profile_index {
    size_t n_slots; /* a power of two */
    struct slot {
        uint32_t hash;
        uint32_t place; /* in the list, from 1; 0: nothing is here */
    } slots[];
};

/* FNV-1a. Whoever makes many names that collide writes our configuration. */
static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261;

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619;
    return hash;
}

struct profile_index *profile_index_new(size_t n)
{
    struct profile_index *index;
    size_t n_slots = 2;

    while (n_slots < 2 * n)
        n_slots *= 2;
    index = malloc(sizeof *index + n_slots * sizeof *index->slots);
    if (!index)
        return NULL;
    index->n_slots = n_slots;
    profile_index_fill(index, NULL, 0);
    return index;
}

void profile_index_fill(struct profile_index *index, struct profile *const *list, size_t n)
{
    memset(index->slots, 0, index->n_slots * sizeof *index->slots);
    for (size_t i = 0; i < n; i++) {
        uint32_t hash = hash_of(profile_config(list[i])->name);
        size_t at = hash & (index->n_slots - 1);
        while (index->slots[at].place > 0)
            at = (at + 1) & (index->n_slots - 1);
        index->slots[at] = (struct slot){ hash, (uint32_t)i + 1 };
    }
}

struct profile *profile_index_find(const struct profile_index *index, struct profile *const *list,
                                   const char *name)
{
    uint32_t hash = hash_of(name);

    for (size_t at = hash & (index->n_slots - 1);; at = (at + 1) & (index->n_slots - 1)) {
        const struct slot *slot = &index->slots[at];
        if (slot->place == 0)
            return NULL;
        if (slot->hash == hash && strcmp(profile_config(list[slot->place - 1])->name, name) == 0)
            return list[slot->place - 1];
    }
}
