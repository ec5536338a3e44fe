#define _GNU_SOURCE
#include "client/own_config.h"

#include <string.h>
#include <unistd.h>

#include "client/autostart.h"
#include "client/output.h"
#include "common/paths.h"

static bool holds(const char *bytes, size_t length, const char *text)
{
    return memmem(bytes, length, text, strlen(text)) != NULL;
}

size_t own_config_look(struct own_config *own, const char *bytes, size_t length)
{
    char ours[PATHS_MAX];

    if (paths_user_config(ours) < 0 || holds(bytes, length, ours) ||
        holds(bytes, length, PATHS_SYSTEM_FOLDER))
        own->named = true;
    own->held = length > 0 && bytes[length - 1] == '\n';
    return own->held ? length - 1 : length;
}

static void say(const char *text)
{
    output_write(STDERR_FILENO, text, strlen(text));
}

/* Apart, since its path is a page of the stack. */
static __attribute__((noinline)) void end_line(const struct own_config *own)
{
    char ours[PATHS_MAX];

    if (!own->named && paths_user_config(ours) == 0) {
        say("; yours is ");
        say(ours);
        say(autostart_is_systemds()
                ? ", but the service has what systemctl --user show-environment prints"
                : ", which is read after kubetoken restart");
    }
    say("\n");
}

void own_config_end(const struct own_config *own)
{
    if (own->held)
        end_line(own);
}
