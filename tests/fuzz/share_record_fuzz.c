/* A share of another life. The input is a record, or its lines. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/share_record.h"

static const uint64_t now = 1ULL << 42;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct share_record r, again;
    char written[SHARE_RECORD_MAX];
    size_t length;
    void *bytes = fuzz_record(data, size, &length);

    if (share_record_decode(bytes, length, now, &r) == 0) {
        PROMISE(protocol_share_valid(r.name, strlen(r.name)) && !strchr(r.name, '/'));
        PROMISE(r.name[0] != '.' && protocol_name_valid(r.profile, strlen(r.profile)));
        PROMISE(r.ends <= now + PROTOCOL_SHARE_TIME_MAX);
        fuzz_wipe_tail(r.name, sizeof r.name);
        fuzz_wipe_tail(r.profile, sizeof r.profile);
        length = share_record_encode(&r, written, sizeof written);
        PROMISE(length > 0 && share_record_decode(written, length, now, &again) == 0);
        PROMISE(memcmp(&again, &r, sizeof r) == 0);
    }
    free(bytes);
    return 0;
}
