#define _GNU_SOURCE
#include "client/admin/cel_parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The API server's own limits are 250 levels and 100 000 characters. */
enum { DEPTH_MAX = 60, NODES_MAX = 4000, TEXT_MAX = 65536 };

enum token { END, NUMBER, STRING, BYTES, NAME, KEYWORD, OPERATOR };

struct parser {
    const char *text, *at; /* at: behind the token */
    enum token token;
    const char *start; /* of the token */
    size_t length;
    struct cel_tree *tree;
    unsigned nodes, depth;
    bool failed;
    char *why;
    size_t size;
};

static struct cel_node *parse_expression(struct parser *p);

/* ---- errors and nodes ------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void fail(struct parser *p, const char *format, ...)
{
    va_list ap;

    if (p->failed)
        return;
    p->failed = true;
    int n = snprintf(p->why, p->size, "syntax error at character %td: ", p->start - p->text + 1);
    va_start(ap, format);
    if (n > 0 && (size_t)n < p->size)
        vsnprintf(p->why + n, p->size - (size_t)n, format, ap);
    va_end(ap);
    p->token = END;
}

static void give_up(struct parser *p)
{
    p->tree->too_large = true;
    p->failed = true;
    p->token = END;
}

/* Never NULL, so that nothing has to be looked at twice: a failed parse keeps its one spare node.
 */
static struct cel_node *new_node(struct parser *p, enum cel_kind kind)
{
    static struct cel_node spare;
    struct cel_node *node = p->nodes++ < NODES_MAX ? calloc(1, sizeof *node) : NULL;

    if (!node) {
        give_up(p);
        spare = (struct cel_node){ .kind = CEL_MESSAGE };
        return &spare;
    }
    node->kind = kind;
    node->allocated = p->tree->allocated;
    p->tree->allocated = node;
    return node;
}

/* Nothing of a tree that is given up: the spare node stands at many places in it. */
static void add_child(const struct parser *p, struct cel_node *parent, struct cel_node *child)
{
    struct cel_node **end = &parent->children;

    if (p->failed)
        return;
    while (*end)
        end = &(*end)->next;
    *end = child;
    parent->n++;
}

static struct cel_node *new_parent(struct parser *p, enum cel_kind kind, const char *name,
                                   struct cel_node *first)
{
    struct cel_node *node = new_node(p, kind);

    if (p->failed)
        return node;
    node->name = strdup(name);
    add_child(p, node, first);
    return node;
}

void cel_tree_free(struct cel_tree *tree)
{
    for (struct cel_node *node = tree->allocated, *next; node; node = next) {
        next = node->allocated;
        free(node->name);
        cJSON_Delete(node->value);
        free(node);
    }
    *tree = (struct cel_tree){ .root = NULL };
}

/* ---- the words ------------------------------------------------------------------------------- */

static void skip_blanks(struct parser *p)
{
    for (;;) {
        p->at += strspn(p->at, " \t\r\n\f");
        if (strncmp(p->at, "//", 2) != 0)
            return;
        p->at += strcspn(p->at, "\n");
    }
}

static bool is_letter(char c)
{
    return isalpha((unsigned char)c) || c == '_';
}

/* A quoted text begins here; prefixes r, b, br are allowed. */
static bool begins_string(const char *at)
{
    if (*at == 'b' || *at == 'B')
        at++;
    if (*at == 'r' || *at == 'R')
        at++;
    return *at == '"' || *at == '\'';
}

static size_t digits(const char *at, const char *set)
{
    return strspn(at, set);
}

/* How long an escape is, from its backslash on; 0: there is none like it. */
static size_t escape_length(const char *at)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    char c = at[1];

    if (c && strchr("abfnrtv\"'\\?`", c))
        return 2;
    if (c == 'x' || c == 'X')
        return digits(at + 2, hex) >= 2 ? 4 : 0;
    if (c == 'u')
        return digits(at + 2, hex) >= 4 ? 6 : 0;
    if (c == 'U')
        return digits(at + 2, hex) >= 8 ? 10 : 0;
    if (c >= '0' && c <= '3')
        return digits(at + 2, "01234567") >= 2 ? 4 : 0;
    return 0;
}

static void take_string(struct parser *p)
{
    bool bytes = false, raw = false;

    if (*p->at == 'b' || *p->at == 'B')
        bytes = p->at++;
    if (*p->at == 'r' || *p->at == 'R')
        raw = p->at++;
    char quote = *p->at;
    bool triple = p->at[1] == quote && p->at[2] == quote;
    p->at += triple ? 3 : 1;
    while (*p->at) {
        if (*p->at == quote && (!triple || (p->at[1] == quote && p->at[2] == quote))) {
            p->at += triple ? 3 : 1;
            p->token = bytes ? BYTES : STRING;
            return;
        }
        if (!triple && (*p->at == '\n' || *p->at == '\r'))
            break;
        size_t step = *p->at == '\\' && !raw ? escape_length(p->at) : 1;
        if (step == 0) {
            fail(p, "an escape that there is not in a quoted text");
            return;
        }
        p->at += step;
    }
    fail(p, "a quoted text that does not end");
}

static void take_number(struct parser *p)
{
    static const char decimal[] = "0123456789";

    p->token = NUMBER;
    if (strncmp(p->at, "0x", 2) == 0 && isxdigit((unsigned char)p->at[2])) {
        p->at += 2;
        while (isxdigit((unsigned char)*p->at))
            p->at++;
    } else {
        p->at += strspn(p->at, decimal);
        bool fraction = *p->at == '.' && isdigit((unsigned char)p->at[1]);
        if (fraction)
            p->at += 1 + strspn(p->at + 1, decimal);
        const char *e = p->at;
        if (*e == 'e' || *e == 'E') {
            e += e[1] == '+' || e[1] == '-' ? 2 : 1;
            if (isdigit((unsigned char)*e)) {
                p->at = e + strspn(e, decimal);
                return;
            }
        }
        if (fraction)
            return;
    }
    if (*p->at == 'u' || *p->at == 'U')
        p->at++;
}

static void take_operator(struct parser *p)
{
    static const char *const operators[] = { "==", "!=", "<=", ">=", "&&", "||", NULL };

    p->token = OPERATOR;
    for (size_t i = 0; operators[i]; i++)
        if (strncmp(p->at, operators[i], 2) == 0) {
            p->at += 2;
            return;
        }
    if (strchr("<>[]{}().,-!?:+*/%", *p->at))
        p->at++;
    else if ((unsigned char)*p->at < 0x80 && isprint((unsigned char)*p->at))
        fail(p, "no '%c' is known", *p->at);
    else
        fail(p, "a character that stands only in quoted texts");
}

static bool is_token(const struct parser *p, const char *text)
{
    return (p->token == OPERATOR || p->token == KEYWORD) && strlen(text) == p->length &&
           memcmp(p->start, text, p->length) == 0;
}

static void advance(struct parser *p)
{
    static const char *const keywords[] = { "in", "true", "false", "null", NULL };

    if (p->failed)
        return;
    skip_blanks(p);
    p->start = p->at;
    if (!*p->at) {
        p->token = END;
    } else if (begins_string(p->at)) {
        take_string(p);
    } else if (is_letter(*p->at)) {
        p->token = NAME;
        while (is_letter(*p->at) || isdigit((unsigned char)*p->at))
            p->at++;
    } else if (isdigit((unsigned char)*p->at) ||
               (*p->at == '.' && isdigit((unsigned char)p->at[1]))) {
        take_number(p);
    } else {
        take_operator(p);
    }
    p->length = (size_t)(p->at - p->start);
    for (size_t i = 0; p->token == NAME && keywords[i]; i++)
        if (strlen(keywords[i]) == p->length && memcmp(p->start, keywords[i], p->length) == 0)
            p->token = KEYWORD;
}

static bool take(struct parser *p, const char *text)
{
    if (!is_token(p, text))
        return false;
    advance(p);
    return true;
}

/* "what is there": the token for an error. */
static void unexpected(struct parser *p, const char *wanted)
{
    int shown = p->length > 40 ? 40 : (int)p->length;

    if (p->failed)
        return;
    if (p->token == END)
        fail(p, "it ends where %s is expected", wanted);
    else
        fail(p, "%.*s stands where %s is expected", shown, p->start, wanted);
}

static void expect(struct parser *p, const char *text, const char *wanted)
{
    if (!take(p, text))
        unexpected(p, wanted);
}

/* ---- literals -------------------------------------------------------------------------------- */

static size_t put_utf8(char *out, unsigned long c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | (c >> 18 & 7));
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

static size_t put_escape(char *out, const char *at)
{
    static const char letters[] = "abfnrtv", meant[] = "\a\b\f\n\r\t\v";
    char digits_only[9] = "";
    const char *found = strchr(letters, at[1]);
    size_t length = escape_length(at);

    if (length == 2) {
        out[0] = found ? meant[found - letters] : at[1];
        return 1;
    }
    bool octal = at[1] >= '0' && at[1] <= '3';
    size_t skip = octal ? 1 : 2;
    memcpy(digits_only, at + skip, length - skip);
    return put_utf8(out, strtoul(digits_only, NULL, octal ? 8 : 16));
}

static struct cel_node *string_literal(struct parser *p)
{
    const char *at = p->start, *end = p->start + p->length;
    char *text = malloc(p->length + 1);
    size_t used = 0;

    struct cel_node *node = new_node(p, p->token == BYTES ? CEL_BYTES : CEL_LITERAL);
    bool raw = false;
    for (; *at != '"' && *at != '\''; at++)
        raw |= *at == 'r' || *at == 'R';
    size_t quotes = end - at >= 6 && at[0] == at[1] && at[1] == at[2] ? 3 : 1;
    for (at += quotes, end -= quotes; text && at < end;) {
        if (*at == '\\' && !raw) {
            used += put_escape(text + used, at);
            at += escape_length(at);
        } else {
            text[used++] = *at++;
        }
    }
    if (text && !p->failed && node->kind == CEL_LITERAL) {
        text[used] = '\0';
        node->value = cJSON_CreateString(text);
    }
    free(text);
    advance(p);
    return node;
}

static struct cel_node *number_literal(struct parser *p, bool negative)
{
    char text[80];
    struct cel_node *node = new_node(p, CEL_LITERAL);
    char last = p->start[p->length - 1];
    bool hex = p->length > 1 && p->start[1] == 'x';

    snprintf(text, sizeof text, "%s%.*s", negative ? "-" : "", (int)p->length, p->start);
    errno = 0;
    if (p->failed) {
        return node;
    } else if (last == 'u' || last == 'U') {
        node->number = CEL_UINT;
        (void)strtoull(text, NULL, hex ? 16 : 10);
    } else if (!hex && memchr(p->start, '.', p->length) == NULL &&
               !memchr(p->start, 'e', p->length) && !memchr(p->start, 'E', p->length)) {
        node->number = CEL_INT;
        (void)strtoll(text, NULL, 10);
    } else if (hex) {
        node->number = CEL_INT;
        (void)strtoll(text, NULL, 16);
    } else {
        node->number = CEL_DOUBLE;
    }
    if (errno == ERANGE || p->length >= sizeof text - 1)
        fail(p, "a number that is too large");
    node->value = cJSON_CreateNumber(hex ? (double)strtoll(text, NULL, 16) : strtod(text, NULL));
    advance(p);
    return node;
}

static struct cel_node *keyword_literal(struct parser *p)
{
    struct cel_node *node = new_node(p, CEL_LITERAL);

    if (p->failed)
        return node;
    node->value = is_token(p, "null") ? cJSON_CreateNull() : cJSON_CreateBool(is_token(p, "true"));
    advance(p);
    return node;
}

/* ---- the grammar ----------------------------------------------------------------------------- */

/* Expressions up to what closes; a comma may end them where a list or a map is made. */
static void parse_items(struct parser *p, struct cel_node *parent, const char *close, bool made)
{
    if (made && take(p, ",")) { /* [,] is an empty list */
        expect(p, close, "what closes it");
        return;
    }
    while (!p->failed && !is_token(p, close)) {
        if (made && take(p, "?"))
            parent->optional = true;
        add_child(p, parent, parse_expression(p));
        if (parent->kind == CEL_MAP) {
            expect(p, ":", "':'");
            add_child(p, parent, parse_expression(p));
        }
        if (!take(p, ","))
            break;
        if (!made && is_token(p, close))
            unexpected(p, "an expression");
    }
    expect(p, close, close[0] == ')' ? "')'" : close[0] == ']' ? "']'" : "'}'");
}

static struct cel_node *parse_message(struct parser *p, const char *name)
{
    struct cel_node *node = new_node(p, CEL_MESSAGE);

    if (p->failed)
        return node;
    node->name = strdup(name);
    while (!p->failed && !is_token(p, "}")) {
        take(p, "?");
        if (p->token != NAME)
            unexpected(p, "a field");
        advance(p);
        expect(p, ":", "':'");
        add_child(p, node, parse_expression(p));
        if (!take(p, ","))
            break;
    }
    expect(p, "}", "'}'");
    return node;
}

static struct cel_node *parse_name(struct parser *p)
{
    static const char *const reserved[] = { "as",   "break",    "const",     "continue", "else",
                                            "for",  "function", "if",        "import",   "let",
                                            "loop", "package",  "namespace", "return",   "var",
                                            "void", "while",    NULL };
    char name[128];

    snprintf(name, sizeof name, "%.*s", (int)p->length, p->start);
    if (p->length >= sizeof name)
        give_up(p);
    for (size_t i = 0; reserved[i]; i++)
        if (strcmp(name, reserved[i]) == 0)
            fail(p, "%s is a reserved word", name);
    struct cel_node *node = new_node(p, CEL_IDENT);
    if (p->failed)
        return node;
    node->name = strdup(name);
    advance(p);
    if (take(p, "(")) {
        node->kind = CEL_CALL;
        parse_items(p, node, ")", false);
    } else if (take(p, "{")) {
        return parse_message(p, name);
    }
    return node;
}

static struct cel_node *parse_primary(struct parser *p)
{
    struct cel_node *node;

    if (p->token == NUMBER)
        return number_literal(p, false);
    if (p->token == STRING || p->token == BYTES)
        return string_literal(p);
    if (is_token(p, "true") || is_token(p, "false") || is_token(p, "null"))
        return keyword_literal(p);
    if (is_token(p, ".")) {
        advance(p);
        if (p->token != NAME)
            unexpected(p, "a name");
    }
    if (p->token == NAME)
        return parse_name(p);
    if (take(p, "(")) {
        node = parse_expression(p);
        expect(p, ")", "')'");
        return node;
    }
    if (is_token(p, "[") || is_token(p, "{")) {
        node = new_node(p, is_token(p, "[") ? CEL_LIST : CEL_MAP);
        advance(p);
        parse_items(p, node, node->kind == CEL_LIST ? "]" : "}", true);
        return node;
    }
    unexpected(p, "a value");
    return new_node(p, CEL_MESSAGE);
}

/* Behind a dot. */
static struct cel_node *parse_selection(struct parser *p, struct cel_node *target)
{
    bool optional = take(p, "?");
    char name[128];

    if (p->token != NAME) {
        unexpected(p, "a name");
        return target;
    }
    snprintf(name, sizeof name, "%.*s", (int)p->length, p->start);
    if (p->length >= sizeof name)
        give_up(p);
    advance(p);
    bool call = !optional && take(p, "(");
    struct cel_node *node = new_parent(p, call ? CEL_CALL : CEL_SELECT, name, target);
    node->optional = optional;
    node->has_target = true;
    if (call)
        parse_items(p, node, ")", false);
    else if (is_token(p, "{")) /* a.b.C{}: only where all are plain names, which is not looked at */
        give_up(p);
    return node;
}

static struct cel_node *parse_member(struct parser *p)
{
    struct cel_node *node = parse_primary(p);
    unsigned steps = 0;

    while (!p->failed) {
        if (++steps > DEPTH_MAX)
            give_up(p);
        else if (take(p, "."))
            node = parse_selection(p, node);
        else if (take(p, "[")) {
            bool optional = take(p, "?");
            node = new_parent(p, CEL_INDEX, "", node);
            node->optional = optional;
            add_child(p, node, parse_expression(p));
            expect(p, "]", "']'");
        } else
            break;
    }
    return node;
}

/* Minus signs in a row, or exclamation marks, never both. A number may have its own sign. */
static struct cel_node *parse_unary(struct parser *p)
{
    const char *name = is_token(p, "!") ? "!" : "-";
    unsigned n = 0;

    while (take(p, name))
        n++;
    if (*name == '!' && is_token(p, "-")) {
        advance(p);
        if (p->token != NUMBER)
            unexpected(p, "a number");
        return new_parent(p, CEL_UNARY, "!", parse_member(p));
    }
    if (n == 1 && *name == '-' && p->token == NUMBER) {
        struct cel_node *number = number_literal(p, true);
        return is_token(p, ".") || is_token(p, "[") ? new_parent(p, CEL_UNARY, "-", number)
                                                    : number;
    }
    struct cel_node *node = parse_member(p);
    for (; n > 0 && !p->failed; n--)
        node = new_parent(p, CEL_UNARY, name, node);
    return node;
}

static const char *operator_at(const struct parser *p, int level)
{
    static const char *const levels[][9] = {
        { "||", NULL },
        { "&&", NULL },
        { "<", "<=", ">=", ">", "==", "!=", "in", NULL },
        { "+", "-", NULL },
        { "*", "/", "%", NULL },
    };

    for (size_t i = 0; levels[level][i]; i++)
        if (is_token(p, levels[level][i]))
            return levels[level][i];
    return NULL;
}

static struct cel_node *parse_binary(struct parser *p, int level)
{
    const char *operator;

    if (level > 4)
        return parse_unary(p);
    struct cel_node *node = parse_binary(p, level + 1);
    while (!p->failed && (operator= operator_at(p, level))) {
        advance(p);
        struct cel_node *both = new_parent(p, CEL_BINARY, operator, node);
        struct cel_node *right = parse_binary(p, level + 1);
        add_child(p, both, right);
        node = both;
    }
    return node;
}

static struct cel_node *parse_expression(struct parser *p)
{
    if (p->failed || ++p->depth > DEPTH_MAX) {
        if (!p->failed)
            give_up(p);
        return new_node(p, CEL_MESSAGE);
    }
    struct cel_node *node = parse_binary(p, 0);
    if (take(p, "?")) {
        node = new_parent(p, CEL_CHOICE, "", node);
        struct cel_node *yes = parse_binary(p, 0);
        expect(p, ":", "':'");
        struct cel_node *no = parse_expression(p);
        add_child(p, node, yes);
        add_child(p, node, no);
    }
    p->depth--;
    return node;
}

int cel_parse(const char *text, struct cel_tree *ret, char *why, size_t size)
{
    struct parser p = {
        .text = text, .at = text, .start = text, .tree = ret, .why = why, .size = size
    };

    *ret = (struct cel_tree){ .root = NULL };
    if (strlen(text) > TEXT_MAX) {
        ret->too_large = true;
        return 0;
    }
    advance(&p);
    ret->root = parse_expression(&p);
    if (!p.failed && p.token != END)
        unexpected(&p, "the end");
    if (ret->too_large)
        return 0;
    return p.failed ? -1 : 0;
}
