#include "daemon/share_record.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/time.h"
#include "common/tlv.h"

/* All of 64 bits: a number of a record has a sign. */
static void put_bits(struct tlv_writer *w, const char *name, const uint64_t *bits)
{
    tlv_put(w, name, bits, sizeof *bits);
}

size_t share_record_encode(const struct share_record *r, void *memory, size_t capacity)
{
    struct tlv_writer w;

    tlv_begin(&w, memory, capacity);
    tlv_put_text(&w, "name", r->name);
    tlv_put_text(&w, "profile", r->profile);
    put_bits(&w, "identity", &r->identity);
    put_bits(&w, "ends", &r->ends);
    put_bits(&w, "handouts", &r->handouts);
    put_bits(&w, "device", &r->device);
    put_bits(&w, "inode", &r->inode);
    return tlv_end(&w);
}

static void take_name(const struct tlv_field *f, char *out, size_t size,
                      bool (*valid)(const char *name, size_t length))
{
    if (f->length >= size || !valid(f->value, f->length))
        return;
    memcpy(out, f->value, f->length);
    out[f->length] = '\0';
}

static void take_bits(const struct tlv_field *f, const char *name, uint64_t *out)
{
    if (tlv_is(f, name) && f->length == sizeof *out)
        memcpy(out, f->value, sizeof *out);
}

static void take(struct share_record *r, const struct tlv_field *f)
{
    if (tlv_is(f, "name"))
        take_name(f, r->name, sizeof r->name, protocol_share_valid);
    if (tlv_is(f, "profile"))
        take_name(f, r->profile, sizeof r->profile, protocol_name_valid);
    take_bits(f, "identity", &r->identity);
    take_bits(f, "ends", &r->ends);
    take_bits(f, "handouts", &r->handouts);
    take_bits(f, "device", &r->device);
    take_bits(f, "inode", &r->inode);
}

int share_record_decode(const void *bytes, size_t length, uint64_t now, struct share_record *ret)
{
    struct share_record r = { .ends = 0 };
    struct tlv_reader reader;
    struct tlv_field f;
    int more;

    if (tlv_open(&reader, bytes, length) <= 0)
        return -EBADMSG;
    while ((more = tlv_next(&reader, &f)) > 0)
        take(&r, &f);
    if (more < 0 || !*r.name || !*r.profile || r.ends > now + PROTOCOL_SHARE_TIME_MAX)
        return -EBADMSG;
    *ret = r;
    return 0;
}
