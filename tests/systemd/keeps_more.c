/*
 * Linked with the objects of kubetokend it is another version: one that keeps more. A record of a
 * kind that is known to it alone, and in each record of a profile a field that is.
 */
#include <string.h>

#include "common/tlv.h"
#include "daemon/profile_record.h"
#include "daemon/store.h"

#define STORE_NEWS ((enum store_kind)200)

struct store *__real_store_new(const int *descriptors, size_t n);
struct store *__wrap_store_new(const int *descriptors, size_t n);
size_t __real_profile_record_encode(const struct profile_record *record, void *memory,
                                    size_t capacity);
size_t __wrap_profile_record_encode(const struct profile_record *record, void *memory,
                                    size_t capacity);

struct store *__wrap_store_new(const int *descriptors, size_t n)
{
    struct store *store = __real_store_new(descriptors, n);
    struct secret *news = secret_new(5);

    memcpy(secret_bytes(news), "news", 5);
    store_put(store, STORE_NEWS, 1, news, "rest", 5);
    secret_free(news);
    return store;
}

size_t __wrap_profile_record_encode(const struct profile_record *record, void *memory,
                                    size_t capacity)
{
    size_t length = __real_profile_record_encode(record, memory, capacity);
    struct tlv_writer w = { memory, capacity, length, false };

    tlv_put_text(&w, "news-of-a-later-version", "1");
    return length == 0 ? 0 : tlv_end(&w);
}
