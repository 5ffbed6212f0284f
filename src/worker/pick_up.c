/*
 * pick_up.c
 *		Which rows of a server's queue the dispatcher picks up: as many as the client and the server have places for, and
 *		those of owners that may send more first, while places are few.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/careful.h"
#include "store/due.h"
#include "store/privilege.h"
#include "worker/in_flight.h"
#include "worker/pick_up.h"
#include "worker/places.h"
#include "worker/token.h"

/*
 * Rows of owners that may send no more are looked through again so seldom that it takes at most 1/PASSED_CHECK_PART of
 * the time.
 */
#define PASSED_CHECK_PART 20

typedef struct ProcessOwner
{
	int process_id;
	Oid owner;
} ProcessOwner;

/* The owner of a process, which is looked up once in each look at a queue. */
Oid
wf_pick_up_owner(WfOutgoing *out, int process_id)
{
	HASHCTL ctl = {.keysize = sizeof(int), .entrysize = sizeof(ProcessOwner), .hcxt = out->dispatcher->turn_context};
	ProcessOwner *entry;
	bool		  found;

	if (out->owners == NULL)
		out->owners = hash_create("workflow owners of processes", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	entry = hash_search(out->owners, &process_id, HASH_FIND, &found);
	if (!found)
	{
		Oid owner = wf_process_owner(process_id);

		entry = hash_search(out->owners, &process_id, HASH_ENTER, &found);
		entry->owner = owner;
	}
	return entry->owner;
}

/* ---- whether there is anything to look for ---- */

/* Is there a place for a request, at the server as of the last look, and in the client as of now? */
bool
wf_pick_up_has_place(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	return cursor->slots > 0 && wf_places_free(dispatcher->http, 0) > 0 &&
		   (cursor->in_flight == 0 || !wf_http_is_crowded(dispatcher->http));
}

bool
wf_pick_up_may(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	return !wf_shortage_holds_back(dispatcher) && wf_pick_up_has_place(dispatcher, cursor);
}

/* May the owner send more: is there a place, and is no token awaited? */
static bool
may_send(WfDispatcher *dispatcher, const WfQueueCursor *cursor, Oid owner, int taken)
{
	return wf_places_allow(dispatcher->http, cursor, owner, false, taken) && !wf_tokens_hold(cursor, owner);
}

/* May an owner whose rows were passed over send more now? */
static bool
passed_may_go(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	for (int i = 0; i < cursor->npassed; i++)
		if (may_send(dispatcher, cursor, cursor->passed[i], 0))
			return true;
	return false;
}

/* When has the queue to be looked at? At once, if an owner that had to wait may send more. */
TimestampTz
wf_pick_up_next(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	if (!OidIsValid(cursor->blocked_by) || cursor->slots <= 0)
		return Max(cursor->next, cursor->held_until);
	if (cursor->held_until > GetCurrentTimestamp())
		return cursor->held_until;
	if (may_send(dispatcher, cursor, cursor->blocked_by, 0))
		return DT_NOBEGIN;
	return passed_may_go(dispatcher, cursor) ? Min(cursor->next, cursor->passed_at) : cursor->next;
}

/* While rows wait for places, the dispatcher also wakes to look whether requests in flight are still wanted. */
TimestampTz
wf_requests_next(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	TimestampTz next = wf_pick_up_may(dispatcher, cursor) ? wf_pick_up_next(dispatcher, cursor)
														  : Max(cursor->next, dispatcher->abandoned_at);

	/* what is due is held back, but not what asks a service to stop */
	if (cursor->held_until > cursor->next)
		next = Min(next, Max(cursor->next, cursor->cancels_at));
	return OidIsValid(cursor->blocked_by) ? Min(next, dispatcher->abandoned_at) : next;
}

/* ---- rows ---- */

/*
 * Put at most `limit` of the visits that were read in flight, skipping those that are already. If rows are left over,
 * the cursor goes back to them.
 */
static void
add_all(WfOutgoing *out, int limit)
{
	WfQueueCursor *cursor = out->cursor;
	int			   looked;

	for (looked = 0; looked < out->nkeys && out->ntaken < limit; looked++)
		if (wf_in_flight_add(out->keys[looked].instance, out->keys[looked].visit, cursor))
		{
			out->instances[out->ntaken] = out->keys[looked].instance;
			out->taken[out->ntaken++] = out->keys[looked].visit;
		}
	cursor->skipped = out->ntaken == 0 ? cursor->skipped + looked : 0;
	if (looked == out->nkeys)
		return;
	cursor->position = out->keys[looked - 1];
	cursor->next = DT_NOBEGIN;
	out->nkeys = looked;
}

/*
 * How many rows to read: as many as there are places. If all rows before were in flight, there are probably more of
 * those, as after a restart of the cursor, so the number grows.
 */
static int
rows_to_look_at(const WfQueueCursor *cursor, int limit)
{
	return cursor->cautious > 0 ? 1 : Min(Max(limit, cursor->skipped), DUE_PER_TRANSACTION);
}

/* Pick up the next rows without asking for their owners. */
static void
pick_up_any(WfOutgoing *out, int limit)
{
	int look = rows_to_look_at(out->cursor, limit);

	out->nkeys = wf_queue_cursor_take(out->cursor, GetCurrentTimestamp(), look, out->keys);
	if (out->nkeys > 0)
		add_all(out, limit);
}

/* ---- while places are few: the rows of owners that may send more ---- */

static bool
is_before(const WfDueKey *a, const WfDueKey *b)
{
	if (a->due_at != b->due_at)
		return a->due_at < b->due_at;
	return a->instance != b->instance ? a->instance < b->instance : a->visit < b->visit;
}

/* Put one visit in flight. It is listed before that, so that undo_look removes it if anything fails. */
static void
add_one(WfOutgoing *out, const WfDueKey *key, Oid owner, int64 *instances)
{
	instances[out->ntaken] = key->instance;
	out->taken[out->ntaken++] = key->visit;
	(void) wf_in_flight_add(key->instance, key->visit, out->cursor);
	wf_in_flight_set_owner(key->visit, owner);
}

/* Put the visit of a row in flight, if it is not. Returns its owner if that may send no more, or InvalidOid. */
static Oid
take_owned(WfOutgoing *out, const WfDueKey *key)
{
	Oid	 owner = InvalidOid;
	bool in_flight = wf_in_flight_find(key->visit) != NULL;

	if (!in_flight)
	{
		owner = wf_pick_up_owner(out, key->process_id);
		if (!may_send(out->dispatcher, out->cursor, owner, out->ntaken))
			return owner;
	}
	out->keys[out->nkeys++] = *key;
	if (!in_flight)
		add_one(out, key, owner, out->instances);
	return InvalidOid;
}

/*
 * Pick up rows in order, up to the first one whose owner may send no more (blocked_by). Returns true if there may be
 * rows behind the last one that was read.
 */
static bool
take_in_order(WfOutgoing *out, int limit, WfDueKey *keys)
{
	WfQueueCursor *cursor = out->cursor;
	int			   look = rows_to_look_at(cursor, limit);
	int			   n = wf_due_scan_processes(cursor->queue, &cursor->position, GetCurrentTimestamp(), look, keys);

	cursor->blocked_by = InvalidOid;
	for (int i = 0; i < n; i++)
	{
		if (out->ntaken == limit)
			return true;
		cursor->blocked_by = take_owned(out, &keys[i]);
		if (OidIsValid(cursor->blocked_by))
			return false;
		cursor->position = keys[i];
	}
	cursor->skipped = out->ntaken == 0 ? cursor->skipped + n : 0;
	return n == look;
}

static void
remember_passed(WfQueueCursor *cursor, Oid owner)
{
	for (int i = 0; i < cursor->npassed; i++)
		if (cursor->passed[i] == owner)
			return;
	if (owner != cursor->blocked_by && cursor->npassed < WF_MAX_PASSED)
		cursor->passed[cursor->npassed++] = owner;
}

/*
 * Set `beyond` back to `position`, if that has passed it, or if passed_at has come and an owner whose rows were passed
 * over may send more.
 */
static void
begin_passing(WfDispatcher *dispatcher, WfQueueCursor *cursor, TimestampTz now)
{
	if (!is_before(&cursor->beyond, &cursor->position) &&
		(now < cursor->passed_at || !passed_may_go(dispatcher, cursor)))
		return;
	cursor->beyond = cursor->position;
	cursor->npassed = 0;
	cursor->passed_at = TimestampTzPlusMilliseconds(now, cursor->passing_us * PASSED_CHECK_PART / 1000);
	cursor->passing_us = 0;
}

/*
 * Pick up rows behind that of blocked_by, passing over those of owners that may send no more. Returns true if there may be
 * rows behind the last one that was read.
 */
static bool
take_beyond(WfOutgoing *out, int limit, WfDueKey *keys)
{
	WfQueueCursor *cursor = out->cursor;
	TimestampTz	   now = GetCurrentTimestamp();
	int			   n;

	begin_passing(out->dispatcher, cursor, now);
	n = wf_due_scan_processes(cursor->queue, &cursor->beyond, now, DUE_PER_TRANSACTION, keys);
	for (int i = 0; i < n; i++)
	{
		Oid owner;

		if (out->ntaken == limit)
			return true;
		owner = take_owned(out, &keys[i]);
		if (OidIsValid(owner))
			remember_passed(cursor, owner);
		cursor->beyond = keys[i];
	}
	cursor->passing_us += GetCurrentTimestamp() - now;
	return n == DUE_PER_TRANSACTION;
}

/* Pick up the next rows of owners that may send more. */
static void
pick_up_owned(WfOutgoing *out, int limit)
{
	WfQueueCursor *cursor = out->cursor;
	TimestampTz	   now = GetCurrentTimestamp();
	WfDueKey	  *keys = palloc(sizeof(WfDueKey) * DUE_PER_TRANSACTION);
	bool		   more;

	more = take_in_order(out, limit, keys);
	if (OidIsValid(cursor->blocked_by))
		more = take_beyond(out, limit, keys);
	if (more)
		cursor->next = now;
	else
		wf_queue_cursor_sleep(cursor, now);
}

/* May only one row be picked up in this look? */
bool
wf_pick_up_takes_one(const WfQueueCursor *cursor)
{
	return cursor->cautious > 0 || wf_careful();
}

void
wf_pick_up(WfOutgoing *out, bool by_owner, int limit)
{
	if (by_owner)
		pick_up_owned(out, limit);
	else
		pick_up_any(out, limit);
}

/* ---- cancel requests ---- */

/* A job that makes a visit fail whose cancel request has waited for a place for too long. */
static WfJob
fail_crowded_out(const WfDueKey *key)
{
	return (WfJob){.kind = WF_JOB_FAIL,
				   .instance = key->instance,
				   .visit = key->visit,
				   .fault = {.code = WF_CODE_TIMEOUT,
							 .message = "the server was busy with other requests for " CppAsString2(
								 CANCEL_PATIENCE_MS) " ms"}};
}

/*
 * Put the visits of the oldest cancel requests in flight. Of the others, those fail that have waited for long enough,
 * if this dispatcher has seen cancel requests wait for so long: a dispatcher that was not there is not the server's
 * fault.
 */
void
wf_pick_up_cancels(WfOutgoing *out, const WfDueKey *keys, int n, int places, int64 *instances)
{
	WfQueueCursor *cursor = out->cursor;
	TimestampTz	   now = GetCurrentTimestamp();
	TimestampTz	   long_ago = TimestampTzPlusMilliseconds(now, -CANCEL_PATIENCE_MS);
	bool		   waits = false;

	for (int i = 0; i < n; i++)
	{
		Oid owner;

		if (wf_in_flight_find(keys[i].visit) != NULL)
			continue;
		owner = wf_pick_up_owner(out, keys[i].process_id);
		if (out->ntaken < places && wf_places_allow(out->dispatcher->http, cursor, owner, true, out->ntaken))
		{
			out->keys[out->nkeys++] = keys[i];
			add_one(out, &keys[i], owner, instances);
			continue;
		}
		waits = true;
		if (keys[i].due_at <= long_ago && cursor->cancels_wait_since != 0 && cursor->cancels_wait_since <= long_ago)
			out->failing[out->nfailing++] = fail_crowded_out(&keys[i]);
	}
	if (!waits)
		cursor->cancels_wait_since = 0;
	else if (cursor->cancels_wait_since == 0)
		cursor->cancels_wait_since = now;
}
