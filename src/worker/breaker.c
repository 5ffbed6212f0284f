/*
 * breaker.c
 *		The circuit breaker of a server, and the rate at which it is called.
 *
 *	  ok ──► tripped ──► probing ──► ok		it answers again: more and more is sent at once
 *			   ▲            │
 *			   └────────────┘				it does not
 *
 * Results are counted by visit, the latest one of each, so that one visit that fails again and again trips nothing. A
 * visit that has succeeded is done, so only those that have failed are remembered.
 */
#include "postgres.h"

#include <limits.h>

#include "common/hashfn.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/announce.h"
#include "worker/breaker.h"

/*
 * A server is dead when so many visits in a row have found nobody there, at least, however well it was in the rest of the
 * window: if it has answered hundreds a second, it would take as many failures to outweigh that.
 */
#define DEAD_IN_A_ROW 20
/* So many visits are remembered; further ones count with each failure. */
#define MAX_FAILING 100000

typedef struct Failing
{
	int64 visit;
	int64 part;
} Failing;

WfBreaker *
wf_breaker_create(const char *server, WfServerCounts *counts)
{
	HASHCTL	   ctl = {.keysize = sizeof(int64), .entrysize = sizeof(Failing)};
	WfBreaker *breaker = MemoryContextAllocZero(TopMemoryContext, sizeof(WfBreaker));

	breaker->server = server;
	breaker->counts = counts;
	breaker->options.mode = WF_BREAKER_OFF; /* until the first look */
	breaker->failing = hash_create("workflow failing visits", 16, &ctl, HASH_ELEM | HASH_BLOBS);
	if (counts != NULL)
		wf_server_show_state(counts, WF_SERVER_OK, 0, 0, "");
	return breaker;
}

/* ---- states ---- */

/* Trying whether it is well again is a part of not being well: nobody is told of each try. */
static void
set_state(WfBreaker *breaker, WfServerState state, TimestampTz now, TimestampTz until)
{
	if ((state == WF_SERVER_OK) != (breaker->state == WF_SERVER_OK))
	{
		breaker->untold = true;
		breaker->since = now;
	}
	breaker->state = state;
	breaker->until = until;
	breaker->answered = breaker->failed = 0;
	if (state == WF_SERVER_OK)
		breaker->error[0] = '\0';
	if (breaker->counts != NULL)
		wf_server_show_state(breaker->counts, state, breaker->since, until, breaker->error);
}

static void
forget_results(WfBreaker *breaker)
{
	HASH_SEQ_STATUS scan;
	Failing		   *entry;

	memset(breaker->parts, 0, sizeof(breaker->parts));
	breaker->in_a_row = 0;
	hash_seq_init(&scan, breaker->failing);
	while ((entry = hash_seq_search(&scan)) != NULL)
		(void) hash_search(breaker->failing, &entry->visit, HASH_REMOVE, NULL);
}

static void
trip(WfBreaker *breaker, TimestampTz now)
{
	set_state(breaker, WF_SERVER_TRIPPED, now, TimestampTzPlusMilliseconds(now, breaker->options.open_ms));
	forget_results(breaker);
}

/* The server answers: send as much as the probes were, and more with each answer, lest the whole backlog fall on it. */
static void
recover(WfBreaker *breaker, TimestampTz now)
{
	set_state(breaker, WF_SERVER_OK, now, 0);
	forget_results(breaker);
	breaker->allowed = breaker->options.probes;
	breaker->recovered++;
	breaker->in_flight = 0;
}

/* Somebody has altered the server since the last look: its URL, or when it is held to be dead. */
static bool
is_altered(WfBreaker *breaker, const WfServer *server)
{
	uint32 url = hash_bytes((const unsigned char *) server->url, (int) strlen(server->url));
	bool   altered = url != breaker->url || memcmp(&breaker->options, &server->breaker, sizeof(WfBreakerOptions)) != 0;

	breaker->url = url;
	return altered;
}

static void
obey_options(WfBreaker *breaker, const WfServer *server, TimestampTz now)
{
	WfBreakerMode before = breaker->options.mode;

	if (breaker->options.window_ms != server->breaker.window_ms)
		forget_results(breaker);
	/* what was found out before may be true no more */
	if (is_altered(breaker, server) && breaker->state == WF_SERVER_TRIPPED)
		breaker->until = Min(breaker->until, now);
	breaker->options = server->breaker;
	if (server->breaker.mode == WF_BREAKER_OPEN && breaker->until != DT_NOEND)
	{
		strlcpy(breaker->error, "the option breaker of the server says open", sizeof(breaker->error));
		set_state(breaker, WF_SERVER_TRIPPED, now, DT_NOEND);
	}
	else if (server->breaker.mode != WF_BREAKER_OPEN && before == WF_BREAKER_OPEN)
		recover(breaker, now);
	else if (server->breaker.mode == WF_BREAKER_OFF && breaker->state != WF_SERVER_OK)
		recover(breaker, now);
	/* answers are not counted, so it would never grow */
	if (server->breaker.mode == WF_BREAKER_OFF)
		breaker->allowed = 0;
}

int
wf_breaker_places(WfBreaker *breaker, const WfServer *server, int probes, TimestampTz now)
{
	obey_options(breaker, server, now);
	if (breaker->state == WF_SERVER_TRIPPED && breaker->until <= now)
		set_state(breaker, WF_SERVER_PROBING, now, 0);
	if (breaker->allowed >= server->max_in_flight)
		breaker->allowed = 0;
	switch (breaker->state)
	{
		case WF_SERVER_TRIPPED:
			return 0;
		case WF_SERVER_PROBING:
			return breaker->options.probes - breaker->answered - breaker->failed - probes;
		case WF_SERVER_OK:
			break;
	}
	return breaker->allowed > 0 ? breaker->allowed - breaker->in_flight : INT_MAX;
}

uint64
wf_breaker_sent(WfBreaker *breaker)
{
	breaker->in_flight++;
	return breaker->recovered;
}

void
wf_breaker_ended(WfBreaker *breaker, uint64 sent)
{
	breaker->in_flight -= sent == breaker->recovered;
}

/* ---- results ---- */

/* The part of the window that it is now; those that it has left behind are empty. */
static WfBreakerPart *
current_part(WfBreaker *breaker, TimestampTz now)
{
	int64 length = Max(INT64CONST(1), (int64) breaker->options.window_ms * 1000 / WF_BREAKER_PARTS);
	int64 part = now / length;

	if (part < breaker->part || part - breaker->part >= WF_BREAKER_PARTS)
		memset(breaker->parts, 0, sizeof(breaker->parts));
	else
		for (int64 i = breaker->part + 1; i <= part; i++)
			breaker->parts[i % WF_BREAKER_PARTS] = (WfBreakerPart){0};
	breaker->part = part;
	return &breaker->parts[part % WF_BREAKER_PARTS];
}

static bool
is_in_window(const WfBreaker *breaker, int64 part)
{
	return part <= breaker->part && breaker->part - part < WF_BREAKER_PARTS;
}

/* Forget visits whose failures the window has left behind. */
static void
clean_failing(WfBreaker *breaker)
{
	HASH_SEQ_STATUS scan;
	Failing		   *entry;

	hash_seq_init(&scan, breaker->failing);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (!is_in_window(breaker, entry->part))
			(void) hash_search(breaker->failing, &entry->visit, HASH_REMOVE, NULL);
}

/* The failure of a visit counts no more, since it has another result. Returns false if its last one was none. */
static bool
take_back(WfBreaker *breaker, int64 visit)
{
	Failing *entry = hash_search(breaker->failing, &visit, HASH_FIND, NULL);

	if (entry == NULL)
		return false;
	if (is_in_window(breaker, entry->part))
	{
		breaker->parts[entry->part % WF_BREAKER_PARTS].calls--;
		breaker->parts[entry->part % WF_BREAKER_PARTS].failures--;
	}
	(void) hash_search(breaker->failing, &visit, HASH_REMOVE, NULL);
	return true;
}

static void
remember(WfBreaker *breaker, int64 visit)
{
	Failing *entry;
	bool	 found;
	long	 n = hash_get_num_entries(breaker->failing);
	int		 counted = 0;

	for (int i = 0; i < WF_BREAKER_PARTS; i++)
		counted += breaker->parts[i].failures;
	if (n > 2 * (counted + 100))
		clean_failing(breaker);
	if (n >= MAX_FAILING)
		return;
	entry = hash_search(breaker->failing, &visit, HASH_ENTER_NULL, &found);
	if (entry != NULL)
		entry->part = breaker->part;
}

static bool
is_failure(const WfBreaker *breaker, const WfHttpReply *reply)
{
	switch (reply->verdict)
	{
		case WF_HTTP_CONNECT:
		case WF_HTTP_TIMEOUT:
			return true;
		case WF_HTTP_ANSWERED:
			if (reply->status >= 500 || reply->status == 429)
				return true;
			break;
		case WF_HTTP_TOO_LARGE:
		case WF_HTTP_CROWDED_OUT:
		case WF_HTTP_NO_MEMORY:
		case WF_HTTP_REFUSED:
			break;
	}
	return breaker->options.slow_ms > 0 && reply->elapsed_us >= (int64) breaker->options.slow_ms * 1000;
}

/* Was nobody there who could have answered? A status of 500 may be about the request. */
static bool
found_nobody(const WfHttpReply *reply)
{
	return reply->verdict != WF_HTTP_ANSWERED || (reply->status >= 502 && reply->status <= 504);
}

/* Is it known whether the server is well? What was not heard of it says nothing. */
static bool
says_something(const WfHttpReply *reply)
{
	return reply->verdict != WF_HTTP_NO_MEMORY && reply->verdict != WF_HTTP_REFUSED &&
		   reply->verdict != WF_HTTP_CROWDED_OUT;
}

static void
note_error(WfBreaker *breaker, const WfHttpReply *reply)
{
	if (reply->verdict != WF_HTTP_ANSWERED)
		strlcpy(breaker->error, reply->message, sizeof(breaker->error));
	else if (reply->status >= 500 || reply->status == 429)
		snprintf(breaker->error, sizeof(breaker->error), "the service answered %d", reply->status);
	else
		snprintf(breaker->error, sizeof(breaker->error), "the service answered after " INT64_FORMAT " ms",
				 reply->elapsed_us / 1000);
}

/* Trip if too many visits of the window have failed, or the last ones have found nobody. */
static void
judge_window(WfBreaker *breaker, TimestampTz now)
{
	int64 calls = 0;
	int64 failures = 0;
	int	  dead = Max(breaker->options.min_calls, DEAD_IN_A_ROW);

	for (int i = 0; i < WF_BREAKER_PARTS; i++)
	{
		calls += breaker->parts[i].calls;
		failures += breaker->parts[i].failures;
	}
	if ((calls >= breaker->options.min_calls && failures * 100 >= calls * breaker->options.failure_rate) ||
		(breaker->in_a_row >= dead && failures >= dead))
		trip(breaker, now);
}

/* As soon as the other probes cannot change it, the server is well or not; one that is alone and fails says it, too. */
static void
judge_probes(WfBreaker *breaker, TimestampTz now)
{
	int	 probes = breaker->options.probes;
	bool is_bad = breaker->failed * 100 >= probes * breaker->options.failure_rate;

	if (is_bad || (breaker->failed > 0 && breaker->answered == 0))
		trip(breaker, now);
	else if ((probes - breaker->answered) * 100 < probes * breaker->options.failure_rate)
		recover(breaker, now);
}

static void
count_probe(WfBreaker *breaker, bool failed, TimestampTz now)
{
	if (failed)
		breaker->failed++;
	else
		breaker->answered++;
	judge_probes(breaker, now);
}

static void
count_result(WfBreaker *breaker, int64 visit, const WfHttpReply *reply, bool failed, TimestampTz now)
{
	WfBreakerPart *part = current_part(breaker, now);
	bool		   failed_before = take_back(breaker, visit);

	part->calls++;
	if (!failed)
	{
		breaker->in_a_row = 0;
		breaker->allowed += breaker->allowed > 0;
		return;
	}
	part->failures++;
	breaker->in_a_row += found_nobody(reply) && !failed_before;
	remember(breaker, visit);
	judge_window(breaker, now);
}

bool
wf_breaker_count(WfBreaker *breaker, int64 visit, uint64 sent, bool probe, const WfHttpReply *reply, TimestampTz now)
{
	bool failed;

	if (breaker->options.mode != WF_BREAKER_ON || !says_something(reply))
		return false;
	/* it was on its way while the server was not well, which is known */
	if (breaker->state == WF_SERVER_OK && sent != breaker->recovered)
		return false;
	failed = is_failure(breaker, reply);
	if (failed)
		note_error(breaker, reply);
	if (probe && breaker->state == WF_SERVER_PROBING)
		count_probe(breaker, failed, now);
	else if (breaker->state == WF_SERVER_OK)
		count_result(breaker, visit, reply, failed, now);
	return probe && failed;
}

void
wf_breaker_tell(WfBreaker *breaker)
{
	bool tripped = breaker->state != WF_SERVER_OK;

	if (!breaker->untold)
		return;
	breaker->untold = false;
	if (tripped)
		ereport(LOG, errmsg("workflow sends nothing to server \"%s\": its breaker has tripped", breaker->server),
				errdetail("The last failure: %s.", breaker->error),
				errhint("Requests are held back and lose no attempt. See the view workflow.servers."));
	else
		ereport(LOG, errmsg("workflow sends requests to server \"%s\" again: it answers", breaker->server));
	wf_announce_server(breaker->server, tripped ? "tripped" : "ok", breaker->since);
}

/* ---- rate ---- */

int
wf_rate_places(WfRate *rate, const WfServer *server, TimestampTz now, TimestampTz *next)
{
	if (server->rate <= 0)
		return INT_MAX;
	if (rate->at == 0)
		rate->left = 1;
	else if (now > rate->at)
		rate->left = Min(server->burst, rate->left + (now - rate->at) * server->rate / USECS_PER_SEC);
	rate->at = now;
	if (rate->left >= 1)
		return (int) rate->left;
	*next = now + (int64) ((1 - rate->left) * USECS_PER_SEC / server->rate) + 1;
	return 0;
}

void
wf_rate_take(WfRate *rate, int n)
{
	rate->left -= n;
}
