/*
 * client.c
 *		Many HTTP requests at once: libcurl's multi handle on one epoll descriptor and one timer.
 *
 * Owns the WfHttp and the life of its transfers: pool → running → finished → taken → pool. A WfHttp belongs to one
 * process and is made after the fork. Its transfers are malloc'ed and live until wf_http_destroy.
 *
 * libcurl resolves names in threads of its own. They must never run one of PostgreSQL's signal handlers, so signals
 * are blocked wherever such a thread can be started, which is only in wf_http_run; threads inherit the mask.
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "http/http_internal.h"
#include "storage/fd.h"

/* wf_http_run returns after so many rounds, so that its caller can look at other things. */
#define MAX_ROUNDS 16
/* A transfer that is still there so long after its timeout is ended without libcurl. */
#define GRACE_US 1000000
/*
 * All bodies in memory, complete or not, may take so many bytes; beyond that the largest incomplete
 * one is given up. This is twice the largest that a server may be allowed, so that one such body
 * has its chance. Beyond half of it hardly any new request is sent.
 */
#define MAX_BODY_BYTES (INT64CONST(512) * 1024 * 1024)
/*
 * Bodies get a quarter of the memory of this process, since handling a body takes more memory than
 * its bytes.
 */
#define PART_FOR_BODIES 4

/*
 * Block all signals but those that report a fault of the running thread itself, which must not be
 * blocked.
 */
static void
block_signals(sigset_t *saved)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
	sigset_t		 mask;

	sigfillset(&mask);
	for (int i = 0; i < lengthof(faults); i++)
		sigdelset(&mask, faults[i]);
	pthread_sigmask(SIG_BLOCK, &mask, saved);
}

/* CURLMOPT_TIMERFUNCTION: libcurl wants to be called in timeout_ms. */
static int
set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	WfHttp *http = arg;

	http->timer_at = timeout_ms < 0 ? -1 : wf_http_clock() + (int64) timeout_ms * 1000;
	return 0;
}

static bool
set_multi_options(WfHttp *http, int max_connections)
{
	CURLM *multi = http->multi;
	int	   failed = 0;

	failed |= curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, wf_socket_watch);
	failed |= curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http);
	failed |= curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
	failed |= curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http);
	failed |= curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long) CURLPIPE_MULTIPLEX);
	/*
	 * Each server limits its streams itself. At libcurl's limit of 100 each further request would
	 * open a connection of its own.
	 */
	failed |= curl_multi_setopt(multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long) max_connections);
	failed |= curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long) max_connections);
	failed |= curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) max_connections);
	return failed == 0;
}

/*
 * Raise the limit of descriptors by max_connections, so that fd.c keeps those it counts on. The
 * hard limit may allow less.
 */
static void
raise_descriptor_limit(int max_connections)
{
	struct rlimit limit;
	rlim_t		  wanted = max_safe_fds + max_connections + 128;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? wanted : Min(wanted, limit.rlim_max);
	(void) setrlimit(RLIMIT_NOFILE, &limit);
}

WfHttp *
wf_http_create(MemoryContext context, int max_connections)
{
	static bool initialized = false; /* per process: no code of this file runs before the fork */
	WfHttp	   *http;

	if (!initialized && curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
		ereport(ERROR, (errcode(ERRCODE_SYSTEM_ERROR), errmsg("could not initialize libcurl")));
	initialized = true;
	raise_descriptor_limit(max_connections);

	http = MemoryContextAllocZero(context, sizeof(WfHttp));
	http->timer_at = -1;
	http->overdue_at = PG_INT64_MAX;
	http->max_transfers = max_connections;
	http->max_body_bytes = MAX_BODY_BYTES;
	dlist_init(&http->running);
	dlist_init(&http->finished);
	dlist_init(&http->taken);
	dlist_init(&http->pool);

	http->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (http->epoll_fd < 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not create an epoll descriptor: %m")));
	ReserveExternalFD();

	http->multi = curl_multi_init();
	if (http->multi == NULL || !set_multi_options(http, max_connections))
	{
		wf_http_destroy(http);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not create a libcurl multi handle")));
	}
	return http;
}

void
wf_http_memory(WfHttp *http, int64 memory)
{
	http->max_body_bytes = memory > 0 ? Min(MAX_BODY_BYTES, memory / PART_FOR_BODIES) : MAX_BODY_BYTES;
}

int
wf_http_fd(WfHttp *http)
{
	return http->epoll_fd;
}

int
wf_http_in_flight(WfHttp *http)
{
	return http->nrunning;
}

int
wf_http_places(WfHttp *http)
{
	return http->max_transfers;
}

bool
wf_http_is_crowded(WfHttp *http)
{
	return http->body_bytes > http->max_body_bytes / 2;
}

int
wf_http_older(WfHttp *http, int milliseconds, uint64 *tags)
{
	int64	   before = wf_http_clock() - (int64) milliseconds * 1000;
	int		   n = 0;
	dlist_iter iter;

	dlist_foreach(iter, &http->running)
	{
		WfTransfer *transfer = dlist_container(WfTransfer, node, iter.cur);

		if (transfer->started_at > before)
			break;
		tags[n++] = transfer->reply.tag;
	}
	return n;
}

/* ---- life of a transfer ---- */

/* A transfer from the pool, or a new one. NULL if there is no memory. */
static WfTransfer *
get_transfer(WfHttp *http)
{
	if (!dlist_is_empty(&http->pool))
	{
		http->npool--;
		return dlist_container(WfTransfer, node, dlist_pop_head_node(&http->pool));
	}
	return wf_transfer_create(http);
}

/* Put a transfer, which must not be in any list, into the pool, or free it if the pool is full. */
static void
put_transfer(WfHttp *http, WfTransfer *transfer)
{
	if (http->npool >= http->max_transfers)
	{
		wf_transfer_destroy(transfer);
		return;
	}
	wf_transfer_recycle(transfer);
	dlist_push_head(&http->pool, &transfer->node);
	http->npool++;
}

static void
unlist_running(WfHttp *http, WfTransfer *transfer)
{
	dlist_delete(&transfer->node);
	http->nrunning--;
}

/* Take a running transfer out of libcurl's hands and out of the list. */
static void
stop_transfer(WfHttp *http, WfTransfer *transfer)
{
	curl_multi_remove_handle(http->multi, transfer->easy);
	unlist_running(http, transfer);
}

static int64
overdue_at(const WfTransfer *transfer)
{
	if (transfer->timeout_ms == 0)
		return PG_INT64_MAX;
	return transfer->started_at + (int64) transfer->timeout_ms * 1000 + GRACE_US;
}

bool
wf_http_send(WfHttp *http, const WfHttpRequest *request)
{
	WfTransfer *transfer = get_transfer(http);

	if (transfer == NULL)
		return false;
	if (wf_transfer_prepare(transfer, request))
	{
		CURLMcode code = curl_multi_add_handle(http->multi, transfer->easy);

		if (code == CURLM_OK)
		{
			dlist_push_tail(&http->running, &transfer->node);
			http->nrunning++;
			http->overdue_at = Min(http->overdue_at, overdue_at(transfer));
			return true;
		}
		wf_transfer_fail(transfer, code == CURLM_OUT_OF_MEMORY ? WF_HTTP_NO_MEMORY : WF_HTTP_CONNECT, "%s",
						 curl_multi_strerror(code));
	}
	dlist_push_tail(&http->finished, &transfer->node);
	return true;
}

bool
wf_http_abort(WfHttp *http, uint64 tag)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &http->running)
	{
		WfTransfer *transfer = dlist_container(WfTransfer, node, iter.cur);

		if (transfer->reply.tag == tag)
		{
			stop_transfer(http, transfer);
			put_transfer(http, transfer);
			return true;
		}
	}
	dlist_foreach_modify(iter, &http->finished)
	{
		WfTransfer *transfer = dlist_container(WfTransfer, node, iter.cur);

		if (transfer->reply.tag == tag)
		{
			dlist_delete(&transfer->node);
			put_transfer(http, transfer);
			return true;
		}
	}
	return false;
}

/* ---- running ---- */

/*
 * Follow a redirect, if the answer is one that is followed. It is the same request to all others, so
 * it keeps its place among those that run.
 */
static bool
goes_on(WfHttp *http, WfTransfer *transfer, CURLcode *code)
{
	if (transfer->follow.most == 0 || *code != CURLE_OK || !wf_redirect_follow(transfer, code))
		return false;
	if (curl_multi_add_handle(http->multi, transfer->easy) == CURLM_OK)
		return true;
	*code = CURLE_OUT_OF_MEMORY;
	return false;
}

static void
collect_finished(WfHttp *http)
{
	CURLMsg *msg;
	int		 left;

	while ((msg = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		CURLcode	code = msg->data.result;
		char	   *arg = NULL;
		WfTransfer *transfer;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &arg);
		transfer = (WfTransfer *) arg;
		curl_multi_remove_handle(http->multi, transfer->easy);
		if (goes_on(http, transfer, &code))
			continue;
		unlist_running(http, transfer);
		wf_transfer_finish(transfer, code);
		dlist_push_tail(&http->finished, &transfer->node);
	}
}

/*
 * End transfers that have outlived their timeout and the grace. libcurl's own timeouts do not run
 * while a transfer waits for a connection that another one is making. `overdue_at` is a lower
 * bound, so that it costs nothing per request: nearly all transfers end before their grace, and all
 * are looked at once per grace at most.
 */
static void
end_overdue(WfHttp *http)
{
	int64			   now = wf_http_clock();
	dlist_mutable_iter iter;

	if (http->overdue_at > now)
		return;
	http->overdue_at = PG_INT64_MAX;
	dlist_foreach_modify(iter, &http->running)
	{
		WfTransfer *transfer = dlist_container(WfTransfer, node, iter.cur);

		if (overdue_at(transfer) > now)
		{
			http->overdue_at = Min(http->overdue_at, overdue_at(transfer));
			continue;
		}
		stop_transfer(http, transfer);
		wf_transfer_finish(transfer, CURLE_OPERATION_TIMEDOUT);
		dlist_push_tail(&http->finished, &transfer->node);
	}
}

static WfTransfer *
largest_running(WfHttp *http)
{
	WfTransfer *largest = NULL;
	dlist_iter	iter;

	dlist_foreach(iter, &http->running)
	{
		WfTransfer *transfer = dlist_container(WfTransfer, node, iter.cur);

		if (transfer->body.len > (largest != NULL ? largest->body.len : 0))
			largest = transfer;
	}
	return largest;
}

/*
 * Give up the largest incomplete body while all together take too much. Otherwise each body could
 * grow to its max_response while the owner is busy, until the kernel kills this process.
 */
static void
end_largest(WfHttp *http)
{
	WfTransfer *transfer;

	if (http->body_bytes <= http->max_body_bytes)
		return;
	collect_finished(http); /* a complete body is not given up */
	while (http->body_bytes > http->max_body_bytes && (transfer = largest_running(http)) != NULL)
	{
		stop_transfer(http, transfer);
		wf_transfer_give_up(transfer, http->max_body_bytes);
		dlist_push_tail(&http->finished, &transfer->node);
	}
}

static bool
timer_is_due(WfHttp *http)
{
	return http->timer_at >= 0 && wf_http_clock() >= http->timer_at;
}

void
wf_http_run(WfHttp *http)
{
	sigset_t saved;

	block_signals(&saved);
	for (int round = 0; round < MAX_ROUNDS; round++)
	{
		bool more;

		if (timer_is_due(http))
		{
			int running;

			http->timer_at = -1;
			(void) curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
		}
		more = wf_socket_events(http);
		end_largest(http);
		if (!more && !timer_is_due(http))
			break;
	}
	collect_finished(http);
	end_overdue(http);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
}

long
wf_http_timeout(WfHttp *http)
{
	int64 at = http->timer_at >= 0 ? http->timer_at : PG_INT64_MAX;
	int64 left;

	if (!dlist_is_empty(&http->finished))
		return 0;
	if (http->nrunning > 0)
		at = Min(at, http->overdue_at);
	if (at == PG_INT64_MAX)
		return -1;
	left = at - wf_http_clock();
	return left <= 0 ? 0 : (left + 999) / 1000;
}

WfHttpReply *
wf_http_next(WfHttp *http)
{
	WfTransfer *transfer;

	if (dlist_is_empty(&http->finished))
		return NULL;
	transfer = dlist_container(WfTransfer, node, dlist_pop_head_node(&http->finished));
	dlist_push_tail(&http->taken, &transfer->node);
	wf_transfer_unpack(transfer);
	return &transfer->reply;
}

void
wf_http_release(WfHttp *http, WfHttpReply *reply)
{
	WfTransfer *transfer = (WfTransfer *) ((char *) reply - offsetof(WfTransfer, reply));

	dlist_delete(&transfer->node);
	put_transfer(http, transfer);
}

/* ---- the end ---- */

static void
destroy_list(WfHttp *http, dlist_head *list, bool running)
{
	while (!dlist_is_empty(list))
	{
		WfTransfer *transfer = dlist_container(WfTransfer, node, dlist_head_node(list));

		if (running)
			stop_transfer(http, transfer);
		else
			dlist_delete(&transfer->node);
		wf_transfer_destroy(transfer);
	}
}

void
wf_http_destroy(WfHttp *http)
{
	sigset_t saved;

	block_signals(&saved);
	destroy_list(http, &http->running, true);
	destroy_list(http, &http->finished, false);
	destroy_list(http, &http->taken, false);
	destroy_list(http, &http->pool, false);
	if (http->multi != NULL)
		curl_multi_cleanup(http->multi);
	wf_socket_forget_all(http);
	close(http->epoll_fd);
	ReleaseExternalFD();
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	pfree(http);
}
