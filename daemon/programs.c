#include "daemon/programs.h"

bool programs_find_fetcher(struct context *shared, struct error *why)
{
    bool missing = shared->fetcher.fd < 0, found = fetcher_find(&shared->fetcher, why) >= 0;

    if (missing && found)
        notify_changed(shared->notify);
    return found;
}

bool programs_daemon_current(const struct context *shared)
{
    return shared->program < 0 || fetcher_is_current(shared->program, shared->program_path);
}

bool programs_fetcher_current(const struct context *shared)
{
    return fetcher_is_current(shared->fetcher.fd, shared->fetcher.path);
}
