#define _GNU_SOURCE
#include "daemon/fetch/tls_files.h"

#include "common/trusted_path.h"

int tls_files_judge(const struct job *job, struct error *why)
{
    const struct {
        const char *key, *path;
    } files[] = { { "ca-file", job->ca_file },
                  { "tls-client-cert", job->tls_client_cert },
                  { "tls-client-key", job->tls_client_key } };
    char words[ERROR_DETAIL_MAX + 1];
    struct trusted_fault fault;

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!files[i].path || trusted_path_check(files[i].path, TRUSTED_SYSTEM, &fault) == 0 ||
            fault.number != 0)
            continue;
        trusted_path_tell(&fault, words, sizeof words);
        error_set(why, ERROR_TLS_FILE, "%s: %s", files[i].key, words);
        return -1;
    }
    return 0;
}
