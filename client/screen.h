/*
 * screen - what the terminal at stdout takes, and a picture on it that is drawn again and again.
 *
 * The picture is on the terminal's other screen, so that it may be of any size and is gone in the
 * end without a trace in what was scrolled; the last one is left behind there.
 */
#ifndef KUBETOKEN_CLIENT_SCREEN_H
#define KUBETOKEN_CLIENT_SCREEN_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/conversation.h"

/* Whether stdout is a terminal, and one that takes escape sequences (by TERM). */
bool screen_is_terminal(void);
bool screen_takes_escapes(void);
/* Whether what is printed is taken as UTF-8 (locale(7)). */
bool screen_takes_utf8(void);

/* Adds to a request for a table how it may look: columns and, on a terminal, the bar and colour, if
 * NO_COLOR does not forbid it (no-color.org: set, and not empty). */
void screen_add_look(struct line *line);

/* Takes the screen. SIGINT, SIGTERM, SIGHUP and SIGQUIT give it back before they end the program,
 * and SIGTSTP before it stops; when it goes on, or the size has changed, screen_poll() says so. */
void screen_begin(void);

/* Takes a copy of the picture, whole lines, for the next draw. False: there is no memory, and the
 * one before stays. */
bool screen_set(const char *picture, size_t length);

/* Draws it, and below it a line of a note, if that is not empty. What is higher than the terminal
 * is cut, and the last line says so. From the background nothing is drawn: the program stops, as
 * one that reads does, until it is in front. */
void screen_draw(const char *note);

/* As poll(2), and the only moment at which the signals above arrive. Returns what poll() does, or
 * -2 when the picture has to be asked for anew. */
int screen_poll(struct pollfd *fds, size_t n, int timeout);

/* Gives the screen back. */
void screen_end(void);

#endif
