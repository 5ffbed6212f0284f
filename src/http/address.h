/*
 * address.h
 *		Classes of network addresses: which of them belong to the inside of a network.
 */
#ifndef WF_ADDRESS_H
#define WF_ADDRESS_H

#include "postgres.h"

#include <sys/socket.h>

/* NULL for an address of the public internet, else the name of its class ("loopback", "private", …). */
extern const char *wf_address_class(const struct sockaddr *address);

/* The same for an address written as text, which is refused ("unreadable") if it is none. */
extern const char *wf_address_class_of_text(const char *address);

#endif
