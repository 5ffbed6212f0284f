/*
 * address.h
 *		Classes of network addresses: which of them belong to the inside of a network.
 */
#ifndef WF_ADDRESS_H
#define WF_ADDRESS_H

#include "postgres.h"

#include <sys/socket.h>

/*
 * The class of a socket address: NULL for one of the public internet, else the name of the class
 * ("loopback", "private", …).
 */
extern const char *wf_address_class(const struct sockaddr *address);

/*
 * The class of an address written as text. A text that is no address has the class "unreadable",
 * which is refused.
 */
extern const char *wf_address_class_of_text(const char *address);

#endif
