/*
 * in_flight.c
 *		The visits that are in flight: those whose rows the dispatcher has picked up, and must not pick up again.
 *
 * They are a hash table in this process's memory, so that picking up a row writes nothing. The request of a visit that
 * is in the table is never sent again, even if the queue's cursor goes back and finds its row once more: whoever takes
 * rows skips those in flight. A new dispatcher begins with the replies that wait as deliveries.
 *
 * A process has one dispatcher, so what is static here, and in queue_cursor.c and places.c, belongs to that.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/shown.h"
#include "worker/in_flight.h"
#include "worker/places.h"
#include "worker/sent.h"

/* An error while the table grows would leave it broken: without memory for it, this process ends. */
struct in_flight_hash;
static void *in_flight_allocate(struct in_flight_hash *table, Size size);
static void	 in_flight_free(struct in_flight_hash *table, void *pointer);

#define SH_PREFIX			 in_flight
#define SH_ELEMENT_TYPE		 WfInFlight
#define SH_KEY_TYPE			 int64
#define SH_KEY				 visit
#define SH_HASH_KEY(tb, key) murmurhash32((uint32) (key))
#define SH_EQUAL(tb, a, b)	 ((a) == (b))
#define SH_USE_NONDEFAULT_ALLOCATOR
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static in_flight_hash *entries;
static int			   nhanded_over = 0; /* entries that are handed_over */
static int			   nkept = 0;		 /* entries with a reply that is kept */
static int			   nblocking = 0;	 /* those of them that block */
static int			   npostponed = 0;	 /* entries that are looked at later */

static void *
in_flight_allocate(struct in_flight_hash *table, Size size)
{
	void *memory =
		MemoryContextAllocExtended(TopMemoryContext, size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO | MCXT_ALLOC_NO_OOM);

	if (memory == NULL)
		ereport(FATAL, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
				errdetail("The workflow dispatcher ends, and another one goes on from the rows."));
	return memory;
}

static void
in_flight_free(struct in_flight_hash *table, void *pointer)
{
	pfree(pointer);
}

void
wf_in_flight_init(void)
{
	entries = in_flight_create(TopMemoryContext, 1024, NULL);
	wf_requests_show_none();
}

WfInFlight *
wf_in_flight_find(int64 visit)
{
	return in_flight_lookup(entries, visit);
}

static void
count_in_flight(WfQueueCursor *cursor, int change)
{
	cursor->in_flight += change;
	if (cursor->counts != NULL)
		cursor->counts->in_flight = cursor->in_flight;
}

/* The request of an entry is in flight no longer: give back its places. */
static void
leave_cursor(WfInFlight *entry)
{
	WfQueueCursor *cursor = entry->cursor;

	entry->cursor = NULL;
	if (cursor == NULL)
		return;
	if (OidIsValid(entry->owner))
		wf_places_count(cursor, entry->owner, -1);
	entry->owner = InvalidOid;
	wf_request_hide(entry->place);
	wf_sent_forget(entry->place);
	cursor->probes -= entry->probe;
	entry->probe = false;
	if (cursor->breaker != NULL)
		wf_breaker_ended(cursor->breaker, entry->sent);
	count_in_flight(cursor, -1);
	if (cursor->slots <= 0)
		cursor->slots = 1; /* so that the cursor looks whether there is a row for this place */
}

static void
set_kept(WfInFlight *entry, WfHttpReply *reply)
{
	nkept += (reply != NULL) - (entry->kept != NULL);
	nblocking += (reply != NULL) - entry->blocks;
	entry->kept = reply;
	entry->blocks = reply != NULL;
}

bool
wf_in_flight_add(int64 instance, int64 visit, WfQueueCursor *cursor)
{
	bool		found;
	WfInFlight *entry = in_flight_insert(entries, visit, &found);

	if (found)
		return false;
	entry->instance = instance;
	entry->token = 0;
	entry->cursor = cursor;
	entry->owner = InvalidOid;
	entry->probe = entry->cancel = entry->held = false;
	entry->home = cursor;
	entry->later = false;
	entry->kept = NULL;
	entry->blocks = false;
	entry->handed_over = false;
	if (cursor == NULL)
		return true;
	entry->place = wf_request_show(visit);
	if (cursor->breaker != NULL)
		entry->sent = wf_breaker_sent(cursor->breaker);
	count_in_flight(cursor, 1);
	return true;
}

void
wf_in_flight_set_owner(int64 visit, Oid owner)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	if (entry == NULL || entry->cursor == NULL || OidIsValid(entry->owner) || !OidIsValid(owner))
		return;
	entry->owner = owner;
	wf_places_count(entry->cursor, owner, 1);
}

void
wf_in_flight_set_kind(int64 visit, bool probe, bool cancel)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	if (entry == NULL || entry->cursor == NULL)
		return;
	entry->cursor->probes += probe - entry->probe;
	entry->probe = probe;
	entry->cancel = cancel;
}

void
wf_in_flight_note_sent(int64 visit, int attempt)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	if (entry != NULL && entry->cursor != NULL && !entry->cancel)
		wf_sent_note(entry->place, entry->instance, visit, attempt);
}

void
wf_in_flight_remove(int64 visit)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	if (entry == NULL)
		return;
	leave_cursor(entry);
	nhanded_over -= entry->handed_over;
	nkept -= entry->kept != NULL;
	nblocking -= entry->blocks;
	npostponed -= entry->later;
	in_flight_delete(entries, visit);
}

void
wf_in_flight_park(int64 visit)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	if (entry == NULL)
		return;
	leave_cursor(entry);
	set_kept(entry, NULL);
}

void
wf_in_flight_hand_over(int64 visit)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	if (entry == NULL || entry->handed_over)
		return;
	leave_cursor(entry);
	set_kept(entry, NULL);
	entry->handed_over = true;
	nhanded_over++;
}

int
wf_in_flight_handed_over(int64 **instances)
{
	in_flight_iterator iterator;
	WfInFlight		  *entry;
	int				   n = 0;

	if (nhanded_over == 0)
		return 0;
	*instances = palloc(sizeof(int64) * nhanded_over);
	in_flight_start_iterate(entries, &iterator);
	while ((entry = in_flight_iterate(entries, &iterator)) != NULL)
		if (entry->handed_over)
			(*instances)[n++] = entry->instance;
	return n;
}

static int
compare_visits(const void *a, const void *b)
{
	int64 x = ((const WfReplyKey *) a)->visit;
	int64 y = ((const WfReplyKey *) b)->visit;

	return x < y ? -1 : x > y;
}

int
wf_in_flight_settle(WfReplyKey *waiting, int n)
{
	in_flight_iterator iterator;
	WfInFlight		  *entry;
	int				   removed = 0;

	qsort(waiting, n, sizeof(WfReplyKey), compare_visits);
	in_flight_start_iterate(entries, &iterator);
	while ((entry = in_flight_iterate(entries, &iterator)) != NULL)
	{
		WfReplyKey	key = {.visit = entry->visit};
		WfReplyKey *reply;

		if (!entry->handed_over)
			continue;
		reply = bsearch(&key, waiting, n, sizeof(WfReplyKey), compare_visits);
		if (reply != NULL && reply->with_executor)
			continue;
		nhanded_over--;
		entry->handed_over = false;
		if (reply != NULL)
			continue;
		removed++;
		in_flight_delete_item(entries, entry);
	}
	return removed;
}

bool
wf_in_flight_awaits_delivery(int64 visit)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	return entry != NULL && entry->cursor == NULL && !entry->later;
}

/* ---- replies that could not be stored ---- */

void
wf_in_flight_keep(int64 visit, WfHttpReply *reply, TimestampTz again_at)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	leave_cursor(entry);
	if (entry->kept == NULL)
		set_kept(entry, reply);
	entry->again_at = again_at;
}

int
wf_in_flight_kept(TimestampTz now, int limit, size_t bytes, WfInFlight *due)
{
	in_flight_iterator iterator;
	WfInFlight		  *entry;
	size_t			   sum = 0;
	int				   n = 0;

	if (nkept == 0)
		return 0;
	in_flight_start_iterate(entries, &iterator);
	while (n < limit && sum < bytes && (entry = in_flight_iterate(entries, &iterator)) != NULL)
	{
		if (entry->kept == NULL || entry->again_at > now)
			continue;
		due[n++] = *entry;
		sum += entry->kept->body_len;
	}
	return n;
}

TimestampTz
wf_in_flight_kept_next(void)
{
	in_flight_iterator iterator;
	WfInFlight		  *entry;
	TimestampTz		   next = WF_NEVER;

	if (nkept == 0)
		return next;
	in_flight_start_iterate(entries, &iterator);
	while ((entry = in_flight_iterate(entries, &iterator)) != NULL)
		if (entry->kept != NULL)
			next = Min(next, entry->again_at);
	return next;
}

void
wf_in_flight_stored(void)
{
	in_flight_iterator iterator;
	WfInFlight		  *entry;

	if (nblocking == 0)
		return;
	nblocking = 0;
	in_flight_start_iterate(entries, &iterator);
	while ((entry = in_flight_iterate(entries, &iterator)) != NULL)
		entry->blocks = false;
}

bool
wf_in_flight_blocked(void)
{
	return nblocking > 0;
}

/* ---- visits whose rows are looked at again ---- */

void
wf_in_flight_postpone(int64 visit, int pause_ms)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	if (entry == NULL || entry->home == NULL || entry->later)
		return;
	leave_cursor(entry);
	set_kept(entry, NULL);
	entry->later = true;
	entry->again_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);
	npostponed++;
}

static bool
awaits_token(const WfInFlight *entry)
{
	return entry != NULL && entry->later && entry->again_at == WF_NEVER;
}

void
wf_in_flight_await(int64 visit)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	wf_in_flight_postpone(visit, 0);
	if (entry != NULL && entry->later)
		entry->again_at = WF_NEVER;
}

void
wf_in_flight_go_on(int64 visit)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	if (awaits_token(entry))
		entry->again_at = DT_NOBEGIN;
}

int64
wf_in_flight_take_back(int64 visit)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	if (!awaits_token(entry))
		return 0;
	entry->later = false;
	npostponed--;
	return entry->instance;
}

void
wf_in_flight_set_token(int64 visit, uint64 token)
{
	WfInFlight *entry = in_flight_lookup(entries, visit);

	if (entry != NULL)
		entry->token = token;
}

/* Their cursors start again, since they have passed these rows. */
void
wf_in_flight_resume(TimestampTz now)
{
	in_flight_iterator iterator;
	WfInFlight		  *entry;

	if (npostponed == 0)
		return;
	in_flight_start_iterate(entries, &iterator);
	while ((entry = in_flight_iterate(entries, &iterator)) != NULL)
	{
		if (!entry->later || entry->again_at > now)
			continue;
		wf_queue_cursor_restart(entry->home);
		npostponed--;
		in_flight_delete_item(entries, entry);
	}
}

TimestampTz
wf_in_flight_resume_next(void)
{
	in_flight_iterator iterator;
	WfInFlight		  *entry;
	TimestampTz		   next = WF_NEVER;

	if (npostponed == 0)
		return next;
	in_flight_start_iterate(entries, &iterator);
	while ((entry = in_flight_iterate(entries, &iterator)) != NULL)
		if (entry->later)
			next = Min(next, entry->again_at);
	return next;
}

void
wf_in_flight_see_again(int64 visit, int longest_pause_ms)
{
	WfInFlight	  *entry = in_flight_lookup(entries, visit);
	WfQueueCursor *cursor = entry == NULL ? NULL : entry->cursor != NULL ? entry->cursor : entry->home;

	wf_in_flight_remove(visit);
	if (cursor != NULL)
		wf_queue_cursor_pause(cursor, DT_NOBEGIN, longest_pause_ms);
}
