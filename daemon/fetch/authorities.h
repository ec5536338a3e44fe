/*
 * authorities - the system's, without reading all of them: where libcurl knows a folder beside the
 * one large file, an authority is found in there by the hash of its name. Reading the file takes
 * longer than all the rest of a request; it is read when the folder was not enough, so that the two
 * together are trusted as ever. Where there is no folder (Fedora, say) libcurl reads the file.
 */
#ifndef KUBETOKEN_FETCH_AUTHORITIES_H
#define KUBETOKEN_FETCH_AUTHORITIES_H

#include <openssl/ssl.h>

/* The file that can wait. NULL: libcurl has to read it itself, or to say why it cannot. */
const char *authorities_file(void);

/* For connections of that context: what does not verify by the folder is verified once more, with
 * the file, which has to live as long as the context. */
void authorities_read_late(SSL_CTX *context, const char *file);

#endif
