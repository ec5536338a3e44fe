/*
 * tlv - named, counted fields: the one binary format, for the fetcher's job and its
 * result.
 *
 *   record  = magic "KTR1", u32 length of what follows, field*
 *   field   = u8 length of the name, name, u32 length of the value, value
 *
 * Numbers are little-endian. A name may come more than once (parameters, findings); order
 * is kept. Readers skip names that they do not know, so old and new versions meet.
 * Neither side allocates: a writer fills memory that the caller owns (a secret's, where
 * secrets go in), a reader points into the bytes it was given.
 */
#ifndef KUBETOKEN_TLV_H
#define KUBETOKEN_TLV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RECORD_HEADER = 8, RECORD_MAX = 256 * 1024 };

struct tlv_writer {
    uint8_t *bytes;
    size_t capacity;
    size_t length;
    bool overflow; /* a field did not fit: the record is void */
};

/* Starts a record in the caller's memory. */
void tlv_begin(struct tlv_writer *w, void *memory, size_t capacity);

/* Appends a field. The name has 1 to 255 bytes. A failure is kept until tlv_end. */
void tlv_put(struct tlv_writer *w, const char *name, const void *value, size_t length);
void tlv_put_text(struct tlv_writer *w, const char *name, const char *text);
void tlv_put_number(struct tlv_writer *w, const char *name, int64_t value);

/* Completes the record. Returns its length, or 0 when it did not fit. */
size_t tlv_end(struct tlv_writer *w);

struct tlv_reader {
    const uint8_t *at;
    size_t left;
};

struct tlv_field {
    const char *name; /* not NUL-terminated */
    size_t name_length;
    const char *value; /* not NUL-terminated */
    size_t length;
};

/* How long the record at the head of the bytes is, header included; 0 where too few have come to
 * tell, or they are none. */
size_t tlv_length(const void *bytes, size_t length);

/* Looks for a whole record at the head of the bytes. Returns its length (header included)
 * and sets up *r; 0 when more bytes are needed; -EBADMSG when these can never be one. */
long tlv_open(struct tlv_reader *r, const void *bytes, size_t length);

/* Reads the next field. Returns 1, 0 at the end, -EBADMSG when the fields are broken. */
int tlv_next(struct tlv_reader *r, struct tlv_field *f);

/* Whether the field has that name. */
bool tlv_is(const struct tlv_field *f, const char *name);

/* The value as a decimal number. Returns 0, or -EBADMSG. */
int tlv_number(const struct tlv_field *f, int64_t *ret);

#endif
