/*
 * bare_http.c
 *		The baseline of the HTTP case: libcurl's multi interface on one epoll descriptor and nothing else.
 *
 * Sends `count` requests of the shape that a process step sends, `concurrency` at a time over kept connections, and
 * prints requests per second and its CPU time for each, in us. Every request has a body, an idempotency key and a header list of its own, as the
 * extension's have, and its answer is collected, headers and body. Easy handles are made once and used again. One thread.
 *
 * usage: bare_http URL COUNT CONCURRENCY
 */
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_ANSWER 4096
#define MAX_FD 4096

typedef struct Slot
{
	CURL	   *easy;
	struct curl_slist *headers;
	char		body[256];
	char		answer[MAX_ANSWER];
	size_t		answer_len;
	char		answer_headers[MAX_ANSWER];
	size_t		answer_headers_len;
} Slot;

/* What is known of a descriptor, by its number. */
typedef struct Watch
{
	uint32_t	wanted;
	uint32_t	registered;
} Watch;

static Watch watches[MAX_FD];
static const char *url;
static CURLM *multi;
static int	epoll_fd;
static long timeout_ms = -1;
static long sent;
static long count;
static long failed;

static void
die(const char *what)
{
	fprintf(stderr, "bare_http: %s\n", what);
	exit(1);
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double
cpu(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static size_t
append(char *buffer, size_t *len, const char *data, size_t size)
{
	if (*len + size > MAX_ANSWER)
		return 0;
	memcpy(buffer + *len, data, size);
	*len += size;
	return size;
}

static size_t
on_body(char *data, size_t size, size_t nmemb, void *arg)
{
	Slot	   *slot = arg;

	return append(slot->answer, &slot->answer_len, data, size * nmemb);
}

static size_t
on_header(char *data, size_t size, size_t nmemb, void *arg)
{
	Slot	   *slot = arg;

	return append(slot->answer_headers, &slot->answer_headers_len, data, size * nmemb);
}

/*
 * A kept connection stays in the epoll set between two requests, which spares two system calls for each; it is taken
 * out when it becomes readable while nobody uses it.
 */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct epoll_event event = {0};
	Watch	   *watch = &watches[fd];

	(void) easy;
	(void) arg;
	(void) known;
	watch->wanted = 0;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		watch->wanted |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		watch->wanted |= EPOLLOUT;
	if (watch->wanted == 0 || watch->wanted == watch->registered)
		return 0;
	event.data.fd = fd;
	event.events = watch->wanted;
	if (epoll_ctl(epoll_fd, watch->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0)
		return -1;
	watch->registered = watch->wanted;
	return 0;
}

static int
on_close(void *arg, curl_socket_t fd)
{
	(void) arg;
	watches[fd] = (Watch) {0};
	return close(fd);
}

static int
on_timer(CURLM *m, long ms, void *arg)
{
	(void) m;
	(void) arg;
	timeout_ms = ms;
	return 0;
}

/* A random version 4 UUID; quality does not matter here, length does. */
static void
make_key(char *out, size_t size)
{
	snprintf(out, size, "Idempotency-Key: %08lx-%04lx-4%03lx-8%03lx-%06lx%06lx", random() & 0xffffffffL,
			 random() & 0xffffL, random() & 0xfffL, random() & 0xfffL, random() & 0xffffffL, random() & 0xffffffL);
}

static void
send_next(Slot *slot)
{
	char		key[80];
	long		n = ++sent;
	int			len;

	len = snprintf(slot->body, sizeof(slot->body), "{\"id\": %ld, \"sn\": \"%ld_%ld\", \"amount\": %ld}", n, n, n, n % 1000);
	make_key(key, sizeof(key));
	curl_slist_free_all(slot->headers);
	slot->headers = curl_slist_append(NULL, key);
	slot->headers = curl_slist_append(slot->headers, "Content-Type: application/json");
	slot->headers = curl_slist_append(slot->headers, "Accept: application/json, */*;q=0.5");
	slot->headers = curl_slist_append(slot->headers, "Expect:");
	slot->answer_len = 0;
	slot->answer_headers_len = 0;
	curl_easy_setopt(slot->easy, CURLOPT_URL, url);
	curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, slot->headers);
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, slot->body);
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE, (long) len);
	if (curl_multi_add_handle(multi, slot->easy) != CURLM_OK)
		die("cannot add a request");
}

static void
open_slot(Slot *slot)
{
	slot->easy = curl_easy_init();
	if (slot->easy == NULL)
		die("out of memory");
	curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
	curl_easy_setopt(slot->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(slot->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(slot->easy, CURLOPT_USERAGENT, "workflow/bench");
	curl_easy_setopt(slot->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS, 30000L);
	curl_easy_setopt(slot->easy, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
	curl_easy_setopt(slot->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(slot->easy, CURLOPT_WRITEDATA, slot);
	curl_easy_setopt(slot->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(slot->easy, CURLOPT_HEADERDATA, slot);
}

/* Count what has ended, and send the next request in its place. Returns how many ended. */
static long
reap(void)
{
	CURLMsg    *message;
	int			left;
	long		ended = 0;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		CURL	   *easy = message->easy_handle;
		CURLcode	code = message->data.result;
		long		status = 0;
		Slot	   *slot;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &slot);
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		curl_multi_remove_handle(multi, easy);
		if (code != CURLE_OK || status != 200)
			failed++;
		ended++;
		if (sent < count)
			send_next(slot);
	}
	return ended;
}

static void
run_all(void)
{
	struct epoll_event events[64];
	long		ended = 0;
	int			running;

	while (ended < count)
	{
		int			n = epoll_wait(epoll_fd, events, 64, timeout_ms < 0 ? 1000 : (int) timeout_ms);

		if (n < 0 && errno != EINTR)
			die("epoll_wait failed");
		for (int i = 0; i < n; i++)
		{
			int			fd = events[i].data.fd;
			int			flags = 0;

			if (watches[fd].wanted == 0)
			{
				epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
				watches[fd].registered = 0;
				continue;
			}
			if (events[i].events & EPOLLIN)
				flags |= CURL_CSELECT_IN;
			if (events[i].events & EPOLLOUT)
				flags |= CURL_CSELECT_OUT;
			if (events[i].events & (EPOLLERR | EPOLLHUP))
				flags |= CURL_CSELECT_ERR;
			curl_multi_socket_action(multi, fd, flags, &running);
		}
		if (n <= 0 || timeout_ms == 0)
			curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
		ended += reap();
	}
}

int
main(int argc, char **argv)
{
	Slot	   *slots;
	long		concurrency;
	double		start;
	double		seconds;
	double		used;

	if (argc != 4 || (count = atol(argv[2])) <= 0 || (concurrency = atol(argv[3])) <= 0)
		die("usage: bare_http URL COUNT CONCURRENCY");
	url = argv[1];
	if (concurrency > count)
		concurrency = count;
	if (concurrency > MAX_FD / 2)
		die("too many at once");

	curl_global_init(CURL_GLOBAL_DEFAULT);
	srandom(getpid());
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	multi = curl_multi_init();
	slots = calloc(concurrency, sizeof(Slot));
	if (epoll_fd < 0 || multi == NULL || slots == NULL)
		die("out of resources");
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, concurrency);
	for (long i = 0; i < concurrency; i++)
		open_slot(&slots[i]);

	start = now();
	used = cpu();
	for (long i = 0; i < concurrency; i++)
		send_next(&slots[i]);
	run_all();
	seconds = now() - start;
	used = cpu() - used;

	printf("requests %ld failed %ld seconds %.3f rate %.0f cpu %.2f\n", count, failed, seconds, count / seconds,
		   used * 1e6 / count);
	for (long i = 0; i < concurrency; i++)
	{
		curl_easy_cleanup(slots[i].easy);
		curl_slist_free_all(slots[i].headers);
	}
	curl_multi_cleanup(multi);
	return failed == 0 ? 0 : 1;
}
