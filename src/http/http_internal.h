/*
 * http_internal.h
 *		What client.c, transfer.c, handle.c, receive.c, redirect.c, proxy.c, identity.c, reply.c,
 *		verdict.c, coding.c, cookies.c, buffer.c and socket.c share. No other file includes it.
 */
#ifndef WF_HTTP_INTERNAL_H
#define WF_HTTP_INTERNAL_H

#include "postgres.h"

#include <curl/curl.h>

#include "http/http.h"
#include "lib/ilist.h"

#if LIBCURL_VERSION_NUM < 0x075000
#error "workflow needs libcurl 7.80 or newer"
#endif

/*
 * A reply with more headers is refused, since repeated ones are found by comparing each with each.
 */
#define WF_MAX_REPLY_HEADERS 512
#define WF_MAX_HEAD_SIZE	 (256 * 1024)

/*
 * What the epoll descriptor watches for at one file descriptor, and what libcurl wants it to watch
 * for.
 */
typedef struct WfWatch
{
	uint32 registered; /* EPOLLIN, EPOLLOUT; 0: not in the epoll set */
	uint32 wanted;
	bool   ours;	/* opened by wf_socket_open */
	bool   counted; /* and reserved with fd.c, so fd.c has to be told when it closes */
} WfWatch;

struct WfHttp
{
	CURLM	  *multi;
	int		   epoll_fd;
	int64	   timer_at;   /* monotonic microseconds at which libcurl wants a call; -1: none */
	int64	   overdue_at; /* no running transfer is overdue before that; monotonic microseconds */
	WfWatch	  *watches;	   /* indexed by file descriptor; malloc'ed */
	int		   nwatches;
	int		   ncounted;
	dlist_head running;	   /* transfers that libcurl works on */
	dlist_head finished;   /* transfers whose reply nobody took yet */
	dlist_head taken;	   /* transfers whose reply is in the owner's hands */
	dlist_head pool;	   /* transfers that can be used again */
	int64	   body_bytes; /* of the transfers in running, finished and taken */
	int64	   max_body_bytes;
	int		   nrunning;
	int		   npool;
	int		   max_transfers;
};

/* A buffer that callbacks of libcurl can grow: it never throws. */
typedef struct WfBuffer
{
	char  *data; /* malloc'ed */
	size_t len;
	size_t size;
} WfBuffer;

/* What a redirect needs of the request; redirect.c takes care of it. Strings are in the block. */
typedef struct WfFollow
{
	int				   most;  /* redirects that may be followed; 0: nothing else is set, but `hops` */
	int				   hops;  /* that were */
	bool			   bound; /* the request stays at its origin */
	bool			   own_cookies;
	bool			   verify;
	const char		  *method;
	const char		  *ca;
	const char		  *secret_query;
	struct curl_slist *headers;
	const char		  *body;
	size_t			   body_len;
} WfFollow;

/* One request with its easy handle, and then its reply. Transfers are kept and used again. */
typedef struct WfTransfer
{
	dlist_node	node;
	WfHttp	   *http;
	CURL	   *easy; /* NULL until the transfer is first used */
	WfHttpReply reply;

	/* the request */
	int64	 started_at;
	WfBuffer block; /* strings, body and header list of the request */
	int64	 max_response;
	int		 timeout_ms;
	bool	 allow_private;
	bool	 from_mapping;
	WfFollow follow;

	/* what the easy handle is set to, so that an option is set again only if it changes */
	char *ca;
	bool  verify;
	bool  tls;
	bool  settings_valid;
	char *proxy; /* malloc'ed; NULL: none */
	/* a URL with a secret, certificate or signature is set, which the next request must not find */
	bool has_secrets;
	bool has_certificate;
	bool has_proxy_user; /* likewise, and perhaps a connection that it keeps to itself */

	/*
	 * The cookie jar, of which cookies.c takes care. Lines that are withheld until the answer
	 * begins stand one behind the other.
	 */
	bool  has_engine; /* the handle's is on */
	bool  has_jar;
	char *withheld; /* malloc'ed */
	int	  nwithheld;

	/* what libcurl's callbacks saw */
	WfBuffer	head; /* header lines of the last answer */
	WfBuffer	body;
	bool		head_done; /* the blank line after the head was seen: trailers follow */
	bool		interim;   /* the head was that of a 1xx status: another head follows */
	bool		too_large;
	bool		out_of_memory;
	int			addresses_tried;
	int			socket_errno;  /* errno of the last socket that could not be made */
	const char *refused_class; /* class of the last address that was refused */
	char		error[CURL_ERROR_SIZE];

	/* the reply */
	WfHttpHeader	  *headers; /* malloc'ed, WF_MAX_REPLY_HEADERS entries */
	char			  *joined;	/* values of repeated headers; malloc'ed, or NULL */
	struct curl_slist *jar;		/* libcurl's list, into which reply.cookies points */
	char			 **cookies; /* array of reply.cookies; malloc'ed, or NULL */
	char			   message[CURL_ERROR_SIZE + 128];
} WfTransfer;

/* verdict.c: the clock, in monotonic microseconds */
extern int64 wf_http_clock(void);
/* verdict.c: set the message of the reply */
extern void wf_transfer_say(WfTransfer *transfer, const char *fmt, ...) pg_attribute_printf(2, 3);

/* transfer.c */
extern WfTransfer *wf_transfer_create(WfHttp *http);
extern bool		   wf_transfer_prepare(WfTransfer *transfer, const WfHttpRequest *request);
extern void		   wf_transfer_give_up(WfTransfer *transfer, int64 most);
extern void		   wf_transfer_recycle(WfTransfer *transfer);
extern void		   wf_transfer_destroy(WfTransfer *transfer);

/* receive.c */
extern size_t wf_receive_head(char *data, size_t size, size_t nmemb, void *arg);
extern size_t wf_receive_body(char *data, size_t size, size_t nmemb, void *arg);
extern void	  wf_receive_drop(WfTransfer *transfer);
extern void	  wf_receive_begin(WfTransfer *transfer);

/* handle.c. These return false if there is no memory. */
extern bool wf_handle_open(WfTransfer *transfer);
extern bool wf_handle_set_ca(WfTransfer *transfer, const char *ca);
extern bool wf_handle_set_transport(WfTransfer *transfer, bool tls, bool verify, const char *ca);
extern bool wf_handle_set_method(WfTransfer *transfer, const char *method, const char *body, size_t body_len);

/* identity.c. All of these are for requests that have such secrets. */
extern size_t	wf_identity_size(const WfHttpRequest *request);
extern CURLcode wf_identity_set(WfTransfer *transfer, const WfHttpRequest *request, bool tls);
extern void		wf_identity_forget(WfTransfer *transfer);
/* Write the URL with this parameter in its query to `out`, which has room for both and two bytes more. */
extern void wf_identity_put_url(char *out, const char *url, const char *secret_query);

/* redirect.c */
extern size_t wf_redirect_size(const WfHttpRequest *request);
extern void	  wf_redirect_keep(WfTransfer *transfer, const WfHttpRequest *request, struct curl_slist *headers,
							   const char *body);
extern bool	  wf_redirect_follow(WfTransfer *transfer, CURLcode *code);

/* proxy.c. The first two return false if there is no memory. */
extern bool wf_proxy_choose(WfTransfer *transfer, const WfHttpRequest *request);
extern bool wf_proxy_set(WfTransfer *transfer, bool tls);
extern void wf_proxy_forget(WfTransfer *transfer);
extern bool wf_proxy_answered(WfTransfer *transfer, long status);
extern bool wf_proxy_failed(WfTransfer *transfer, CURLcode code, const char *text);

/* buffer.c. These return false if there is no memory. */
extern bool wf_buffer_reserve(WfBuffer *buffer, size_t more);
extern bool wf_buffer_append(WfBuffer *buffer, const char *data, size_t len);
/* Append data and a 0 byte, for which there is room already. Returns where they are. */
extern char *wf_buffer_put(WfBuffer *buffer, const char *data, size_t len);
extern void	 wf_buffer_reset(WfBuffer *buffer);
extern void	 wf_buffer_free(WfBuffer *buffer);

/* coding.c */
extern void wf_coding_undo(WfTransfer *transfer, const char *content_encoding);

/* reply.c */
extern void wf_transfer_unpack(WfTransfer *transfer);
extern void wf_transfer_finish(WfTransfer *transfer, CURLcode code);
extern void wf_transfer_fail(WfTransfer *transfer, WfHttpVerdict verdict, const char *fmt, ...)
	pg_attribute_printf(3, 4);

/* cookies.c. All that return a bool, but for the first, return false if there is no memory. */
extern bool wf_cookies_are_there(const WfTransfer *transfer);
extern bool wf_cookies_prepare(WfTransfer *transfer, const WfHttpRequest *request);
extern bool wf_cookies_are_complete(WfTransfer *transfer, const WfHttpRequest *request);
extern bool wf_cookies_release_withheld(WfTransfer *transfer);
extern bool wf_cookies_withhold_again(WfTransfer *transfer);
extern bool wf_cookies_collect(WfTransfer *transfer);
extern void wf_cookies_forget(WfTransfer *transfer);

/* socket.c: callbacks of libcurl, and the events of the epoll descriptor */
extern int			 wf_socket_watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused);
extern curl_socket_t wf_socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address);
extern int			 wf_socket_close(void *arg, curl_socket_t fd);
extern int			 wf_socket_check_peer(void *arg, char *peer, char *local, int peer_port, int local_port);
extern bool			 wf_socket_events(WfHttp *http);
extern void			 wf_socket_forget_all(WfHttp *http);

#endif
