/* A command line of the configuration. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/specifiers.h"
#include "daemon/secret_command.h"

/* As many words with what specifiers stand for, whatever that is. */
static void check_words(const char *line, size_t n)
{
    struct error why;
    char **words = secret_command_words(line, &why);
    size_t i = 0;

    PROMISE(words || strstr(line, "%"));
    while (words && words[i])
        i++;
    PROMISE(!words || i == n);
    secret_command_words_free(words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = fuzz_text(data, size), **argv = secret_command_split(line);
    size_t whole = 0, n = 0;

    setenv("HOME", "/a b'\"%u", 1);
    if (argv) {
        PROMISE(argv[0] && *argv[0]);
        for (; argv[n]; n++) {
            PROMISE(argv[n] == argv[0] + whole); /* one behind the other */
            whole += strlen(argv[n]) + 1;
        }
        check_words(line, n);
        PROMISE(whole <= strlen(line) + 1);
        free(argv[0]);
        free(argv);
    } else if (!strpbrk(line, "'\"")) {
        PROMISE(line[strspn(line, " \t")] == '\0');
    }
    free(line);
    return 0;
}
