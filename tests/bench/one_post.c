/*
 * The least that a first token can cost: a program with libcurl that sends one POST.
 *
 *   one_post URL CA FORM      CA: a file of certificates, or a folder of them that is hashed
 */
#include <curl/curl.h>
#include <stdio.h>
#include <sys/stat.h>

static size_t drop(char *bytes, size_t size, size_t number, void *to)
{
    (void)bytes;
    (void)to;
    return size * number;
}

int main(int argc, char **argv)
{
    struct stat st;

    if (argc != 4 || stat(argv[2], &st) < 0)
        return 2;
    CURL *c = curl_easy_init();
    if (!c)
        return 2;
    int folder = S_ISDIR(st.st_mode);
    curl_easy_setopt(c, CURLOPT_URL, argv[1]);
    curl_easy_setopt(c, CURLOPT_CAINFO, folder ? NULL : argv[2]);
    curl_easy_setopt(c, CURLOPT_CAPATH, folder ? argv[2] : NULL);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, argv[3]);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    CURLcode code = curl_easy_perform(c);
    if (code != CURLE_OK)
        fprintf(stderr, "one_post: %s\n", curl_easy_strerror(code));
    curl_easy_cleanup(c);
    return code != CURLE_OK;
}
