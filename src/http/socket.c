/*
 * socket.c
 *		The sockets of a WfHttp: opened only to allowed addresses, watched by one epoll descriptor.
 *
 * This file owns the table WfHttp.watches, indexed by file descriptor. All functions but
 * wf_socket_events and wf_socket_forget_all are called by libcurl and must not throw: failures are
 * returned, or recorded in the transfer.
 *
 * A connection that is kept for the next request stays in the epoll set, since removing and adding
 * it again would be two system calls for each request. If it becomes readable while no request uses
 * it (its peer has closed it), it is removed then.
 *
 * libcurl 7.88 closes some sockets without calling back, those whose connect did not succeed. So
 * nothing here relies on hearing of every close: what was known of a descriptor is void as soon as
 * its number is opened again.
 */
#include "postgres.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/address.h"
#include "http/http_internal.h"
#include "storage/fd.h"

#define EVENTS_AT_ONCE 256

/*
 * So many sockets are counted with PostgreSQL (AcquireExternalFD), half of what it allows for all
 * external descriptors. More are opened uncounted; wf_http_create has raised the limit of
 * descriptors for them.
 */
#define MAX_COUNTED (max_safe_fds / 6)

static WfWatch *
get_watch(WfHttp *http, int fd)
{
	if (fd >= http->nwatches)
	{
		int		 n = Max(64, http->nwatches);
		WfWatch *watches;

		while (n <= fd)
			n *= 2;
		watches = realloc(http->watches, n * sizeof(WfWatch));
		if (watches == NULL)
			return NULL;
		memset(watches + http->nwatches, 0, (n - http->nwatches) * sizeof(WfWatch));
		http->watches = watches;
		http->nwatches = n;
	}
	return &http->watches[fd];
}

/* Make the epoll set watch a descriptor for what is wanted of it. */
static bool
register_watch(WfHttp *http, int fd, WfWatch *watch)
{
	struct epoll_event event = {.events = watch->wanted, .data.fd = fd};
	int				   op = watch->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (epoll_ctl(http->epoll_fd, op, fd, &event) < 0)
	{
		if (errno == ENOENT)
			op = EPOLL_CTL_ADD;
		else if (errno == EEXIST)
			op = EPOLL_CTL_MOD;
		else
			return false;
		if (epoll_ctl(http->epoll_fd, op, fd, &event) < 0)
			return false;
	}
	watch->registered = watch->wanted;
	return true;
}

static void
unregister_watch(WfHttp *http, int fd, WfWatch *watch)
{
	if (watch->registered != 0)
	{
		/* epoll_ctl fails if the descriptor is closed already, which is as good */
		(void) epoll_ctl(http->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		watch->registered = 0;
	}
}

/* CURLMOPT_SOCKETFUNCTION: libcurl wants a socket watched for other events than before. */
int
wf_socket_watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	WfHttp	*http = arg;
	WfWatch *watch = get_watch(http, fd);

	if (watch == NULL)
		return -1;

	watch->wanted = 0;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		watch->wanted |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		watch->wanted |= EPOLLOUT;

	if (watch->wanted == 0)
	{
		/*
		 * a connected socket that is only read from is likely to be used again soon, so it stays in
		 * the set
		 */
		if (!watch->ours || watch->registered != EPOLLIN)
			unregister_watch(http, fd, watch);
		return 0;
	}
	if (watch->registered == watch->wanted)
		return 0;
	return register_watch(http, fd, watch) ? 0 : -1;
}

/* CURLOPT_OPENSOCKETFUNCTION: called after name resolution, for each address that is tried. */
curl_socket_t
wf_socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	WfTransfer *transfer = arg;
	WfHttp	   *http = transfer->http;
	WfWatch	   *watch;
	int			fd;

	if (!transfer->allow_private)
	{
		const char *class = wf_address_class(&address->addr);

		if (class != NULL)
		{
			transfer->refused_class = class;
			return CURL_SOCKET_BAD;
		}
	}

	transfer->addresses_tried++;
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0)
	{
		transfer->socket_errno = errno;
		return CURL_SOCKET_BAD;
	}
	watch = get_watch(http, fd);
	if (watch == NULL)
	{
		close(fd);
		return CURL_SOCKET_BAD;
	}

	if (!watch->counted && http->ncounted < MAX_COUNTED)
	{
		ReserveExternalFD();
		watch->counted = true;
		http->ncounted++;
	}
	watch->ours = true;
	watch->registered = 0;
	/*
	 * libcurl may take this for the former socket of that number, and then does not ask again to
	 * have it watched
	 */
	if (watch->wanted != 0)
		(void) register_watch(http, fd, watch);
	return fd;
}

/* CURLOPT_CLOSESOCKETFUNCTION: forget the descriptor and close it. */
int
wf_socket_close(void *arg, curl_socket_t fd)
{
	WfHttp *http = arg;

	if (fd < http->nwatches)
	{
		WfWatch *watch = &http->watches[fd];

		if (watch->counted)
		{
			ReleaseExternalFD();
			http->ncounted--;
		}
		memset(watch, 0, sizeof(WfWatch));
	}
	return close(fd);
}

/*
 * CURLOPT_PREREQFUNCTION: check the peer once more, since a kept connection may have been opened by
 * a request that was allowed more.
 *
 * A kept connection may also be dead. Then libcurl sends the request again, up to five times while
 * it finds further kept connections; so a fresh connection is demanded for a
 * repetition: a request is repeated once at most.
 */
int
wf_socket_check_peer(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	WfTransfer *transfer = arg;
	const char *class;

	(void) curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
	if (transfer->allow_private)
		return CURL_PREREQFUNC_OK;
	class = wf_address_class_of_text(peer);
	if (class == NULL)
		return CURL_PREREQFUNC_OK;
	transfer->refused_class = class;
	transfer->addresses_tried = 0;
	return CURL_PREREQFUNC_ABORT;
}

/* Hand the events of sockets to libcurl, without waiting. True if there may be more. */
bool
wf_socket_events(WfHttp *http)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int				   n = epoll_wait(http->epoll_fd, events, lengthof(events), 0);

	for (int i = 0; i < n; i++)
	{
		int		 fd = events[i].data.fd;
		WfWatch *watch = &http->watches[fd];
		int		 mask = 0;
		int		 running;

		if (watch->wanted == 0)
		{
			unregister_watch(http, fd, watch);
			continue;
		}
		if (events[i].events & EPOLLIN)
			mask |= CURL_CSELECT_IN;
		if (events[i].events & EPOLLOUT)
			mask |= CURL_CSELECT_OUT;
		if (events[i].events & (EPOLLERR | EPOLLHUP))
			mask |= CURL_CSELECT_ERR;
		(void) curl_multi_socket_action(http->multi, fd, mask, &running);
	}
	return n == lengthof(events);
}

/* Free the table of watches, after libcurl has closed everything. */
void
wf_socket_forget_all(WfHttp *http)
{
	for (int fd = 0; fd < http->nwatches; fd++)
	{
		if (http->watches[fd].counted)
			ReleaseExternalFD();
	}
	free(http->watches);
	http->watches = NULL;
	http->nwatches = 0;
}
