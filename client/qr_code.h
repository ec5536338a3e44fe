/*
 * qr_code - a page's address for the camera of a telephone, where that can be drawn.
 */
#ifndef KUBETOKEN_CLIENT_QR_CODE_H
#define KUBETOKEN_CLIENT_QR_CODE_H

/* Draws it on stderr, by qrencode(1): where that is installed, and stderr is a terminal that takes
 * UTF-8 and is large enough. Else nothing is said: the address stands there in letters. */
void qr_code_show(const char *address);

#endif
