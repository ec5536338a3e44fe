#include "daemon/config_change.h"

#include <stdlib.h>
#include <string.h>

void config_change_note(struct config_change *c, const char *name)
{
    char **names = reallocarray(c->names, c->n + 1, sizeof *names), *copy = strdup(name);

    if (!names || !copy)
        abort(); /* names */
    c->names = names;
    c->names[c->n++] = copy;
}

void config_change_clear(struct config_change *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->names[i]);
    free(c->names);
    *c = (struct config_change){ 0 };
}

bool config_change_any(const struct config_change *c)
{
    return c->unread || c->broken || c->gone || c->default_profile || c->n > 0;
}

static int by_name(const void *key, const void *entry)
{
    return strcmp(key, *(char *const *)entry);
}

bool config_change_concerns(const struct config_change *c, const char *profile)
{
    if (!profile || !*profile || c->unread || c->broken || c->gone)
        return config_change_any(c);
    return c->n > 0 && bsearch(profile, c->names, c->n, sizeof *c->names, by_name);
}

const char *config_change_words(const struct config_change *c, const char *profile)
{
    if (!config_change_concerns(c, profile))
        return "";
    if (c->gone && !c->unread)
        return "the configuration file is gone since; what stood in it is in force";
    return c->broken && !c->unread
               ? "the configuration file has changed since, and has errors: kubetokend "
                 "--check-config"
               : "the configuration file has changed since: kubetoken reload";
}
