/*
 * message_id - the MESSAGE_ID= of a line in the journal (systemd.journal-fields(7)), by which
 * `journalctl -x` finds what the catalogue has to say of it. It is made of the event's name, so
 * that it is the same in all versions: a UUID of version 8 (RFC 9562 section 5.8).
 */
#ifndef KUBETOKEN_MESSAGE_ID_H
#define KUBETOKEN_MESSAGE_ID_H

enum { MESSAGE_ID_SIZE = 33 };

/* Of an event, or of a code's name: 32 hexadecimal digits. */
void message_id(const char *event, char ret[MESSAGE_ID_SIZE]);

#endif
