#include "common/tlv.h"

#include <errno.h>
#include <string.h>

#include "common/text.h"

static const char magic[4] = { 'K', 'T', 'R', '1' };

static void put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void tlv_begin(struct tlv_writer *w, void *memory, size_t capacity)
{
    *w = (struct tlv_writer){ .bytes = memory, .capacity = capacity, .length = RECORD_HEADER };
    w->overflow = capacity < RECORD_HEADER;
}

void tlv_put(struct tlv_writer *w, const char *name, const void *value, size_t length)
{
    size_t name_length = strlen(name);

    if (w->overflow || name_length == 0 || name_length > 255 || length > RECORD_MAX ||
        w->capacity - w->length < 1 + name_length + 4 + length) {
        w->overflow = true;
        return;
    }
    uint8_t *p = w->bytes + w->length;
    *p++ = (uint8_t)name_length;
    memcpy(p, name, name_length);
    p += name_length;
    put_u32(p, (uint32_t)length);
    if (length > 0)
        memcpy(p + 4, value, length);
    w->length += 1 + name_length + 4 + length;
}

void tlv_put_text(struct tlv_writer *w, const char *name, const char *text)
{
    tlv_put(w, name, text, strlen(text));
}

void tlv_put_number(struct tlv_writer *w, const char *name, int64_t value)
{
    char digits[TEXT_DECIMAL_SIZE], text[TEXT_DECIMAL_SIZE + 1];
    uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    text_join(text, sizeof text, value < 0 ? "-" : "", text_decimal(digits, v), "");
    tlv_put_text(w, name, text);
}

size_t tlv_end(struct tlv_writer *w)
{
    if (w->overflow || w->length > RECORD_MAX)
        return 0;
    memcpy(w->bytes, magic, sizeof magic);
    put_u32(w->bytes + 4, (uint32_t)(w->length - RECORD_HEADER));
    return w->length;
}

static bool is_record(const uint8_t *p, size_t length)
{
    return memcmp(p, magic, length < sizeof magic ? length : sizeof magic) == 0;
}

size_t tlv_length(const void *bytes, size_t length)
{
    const uint8_t *p = bytes;

    return length >= RECORD_HEADER && is_record(p, length) ? RECORD_HEADER + (size_t)get_u32(p + 4)
                                                           : 0;
}

long tlv_open(struct tlv_reader *r, const void *bytes, size_t length)
{
    const uint8_t *p = bytes;

    if (!is_record(p, length))
        return -EBADMSG;
    size_t whole = tlv_length(bytes, length);
    if (whole > RECORD_MAX)
        return -EBADMSG;
    if (whole == 0 || length < whole)
        return 0;
    *r = (struct tlv_reader){ p + RECORD_HEADER, whole - RECORD_HEADER };
    return (long)whole;
}

int tlv_next(struct tlv_reader *r, struct tlv_field *f)
{
    if (r->left == 0)
        return 0;
    size_t name_length = r->at[0];
    if (name_length == 0 || r->left < 1 + name_length + 4)
        return -EBADMSG;
    size_t length = get_u32(r->at + 1 + name_length);
    if (r->left - 1 - name_length - 4 < length)
        return -EBADMSG;

    *f = (struct tlv_field){
        .name = (const char *)r->at + 1,
        .name_length = name_length,
        .value = (const char *)r->at + 1 + name_length + 4,
        .length = length,
    };
    size_t whole = 1 + name_length + 4 + length;
    r->at += whole;
    r->left -= whole;
    return 1;
}

bool tlv_is(const struct tlv_field *f, const char *name)
{
    return strlen(name) == f->name_length && memcmp(f->name, name, f->name_length) == 0;
}

int tlv_number(const struct tlv_field *f, int64_t *ret)
{
    bool negative = f->length > 0 && f->value[0] == '-';
    int64_t v = 0; /* counted downwards: the least number has no positive */

    if (f->length == (size_t)negative || f->length > 20)
        return -EBADMSG;
    for (size_t i = negative; i < f->length; i++) {
        int digit = f->value[i] - '0';
        if (digit < 0 || digit > 9 || v < (INT64_MIN + digit) / 10)
            return -EBADMSG;
        v = v * 10 - digit;
    }
    if (!negative && v == INT64_MIN)
        return -EBADMSG;
    *ret = negative ? v : -v;
    return 0;
}
