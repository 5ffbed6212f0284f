/*
 * pick_up.c
 *		Which rows of a server's queue the dispatcher picks up: as many as the client and the server have places for, of
 *		owners and processes by turns.
 *
 * The queue is read in pages. If a page is not more than may be sent, that is all; else its rows wait in lines (lines.c),
 * and the queue is read on beside that, so that one who comes behind a long line of another is found. Owners that may send
 * no more, since places of the client are few, are passed over.
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

/* While enough rows wait, the queue is read on so seldom that it takes at most 1/AHEAD_PART of the time. */
#define AHEAD_PART 4
/* In one look, lines that are short of rows read so many pages of the queue. */
#define MOST_PAGES 8

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

/* Are places of the client so few, or tokens awaited, that owners have to be asked for? */
bool
wf_pick_up_asks_owners(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	return wf_places_free_for_all(dispatcher->http) == 0 || wf_tokens_hold_any(cursor);
}

/* Does a row wait in a line whose owner may send more? */
static bool
someone_may_send(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	WfLine *line;

	if (!wf_lines_wait(cursor->lines))
		return false;
	if (!wf_pick_up_asks_owners(dispatcher, cursor))
		return true;
	wf_lines_begin_look(cursor->lines);
	while ((line = wf_lines_next(cursor->lines)) != NULL)
	{
		if (may_send(dispatcher, cursor, line->owner->owner, 0))
			return true;
		wf_line_pass_owner(cursor->lines, line);
	}
	return false;
}

/* When has the queue to be looked at? At once, if something waits that may be sent. */
TimestampTz
wf_pick_up_next(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	if (cursor->slots > 0 && someone_may_send(dispatcher, cursor))
		return cursor->held_until;
	return Max(cursor->next, cursor->held_until);
}

TimestampTz
wf_pick_up_reads_ahead(const WfQueueCursor *cursor)
{
	return cursor->lines->behind ? cursor->lines->ahead_at : WF_NEVER;
}

bool
wf_pick_up_is_held_up(WfDispatcher *dispatcher, const WfQueueCursor *cursor, TimestampTz now)
{
	if (!wf_pick_up_may(dispatcher, cursor))
		return cursor->next <= now || wf_lines_wait(cursor->lines);
	return wf_lines_wait(cursor->lines) && !someone_may_send(dispatcher, cursor);
}

/* While rows wait for places, the dispatcher also wakes to look whether requests in flight are still wanted. */
TimestampTz
wf_requests_next(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	bool		waits = wf_lines_wait(cursor->lines);
	TimestampTz due = waits ? DT_NOBEGIN : cursor->next;
	TimestampTz next =
		wf_pick_up_may(dispatcher, cursor) ? wf_pick_up_next(dispatcher, cursor) : Max(due, dispatcher->abandoned_at);

	/* what is due is held back, but not what asks a service to stop */
	if (cursor->held_until > due)
		next = Min(next, Max(due, cursor->cancels_at));
	if (waits && !someone_may_send(dispatcher, cursor))
		next = Min(next, dispatcher->abandoned_at);
	return wf_shortage_holds_back(dispatcher) ? next : Min(next, wf_pick_up_reads_ahead(cursor));
}

/* ---- reading the queue ---- */

static WfLine *
line_of(WfOutgoing *out, int process_id)
{
	WfLine *line = wf_lines_find(out->cursor->lines, process_id);

	return line != NULL ? line : wf_lines_make(out->cursor->lines, process_id, wf_pick_up_owner(out, process_id));
}

/* Read the next page of the queue into the lines. */
void
wf_pick_up_read_ahead(WfOutgoing *out)
{
	WfQueueCursor *cursor = out->cursor;
	WfLines		  *lines = cursor->lines;
	TimestampTz	   now = GetCurrentTimestamp();
	TimestampTz	   end;
	WfDueKey	  *keys = palloc(sizeof(WfDueKey) * DUE_PER_TRANSACTION);
	int			   n = wf_due_scan_processes(cursor->queue, &cursor->position, now, DUE_PER_TRANSACTION, keys);

	for (int i = 0; i < n; i++)
		if (wf_in_flight_find(keys[i].visit) == NULL)
			wf_line_put(lines, line_of(out, keys[i].process_id), &keys[i]);
	if (n > 0)
		cursor->position = keys[n - 1];
	lines->behind = n == DUE_PER_TRANSACTION;
	if (lines->behind)
		cursor->next = now;
	else
		wf_queue_cursor_sleep(cursor, now);
	end = GetCurrentTimestamp();
	lines->ahead_at = end + (end - now) * (AHEAD_PART - 1);
}

/* Read a page of the rows that were left out, from the end of a line on. */
static void
read_behind(WfOutgoing *out, const WfLine *short_line)
{
	WfQueueCursor *cursor = out->cursor;
	WfDueKey	   start = short_line->end;
	WfDueKey	   last = start;
	WfDueKey	  *keys = palloc(sizeof(WfDueKey) * DUE_PER_TRANSACTION);
	int			   n = 0;
	int			   i;

	/* rows behind the position come with the next pages */
	if (wf_due_before(&start, &cursor->position))
		n = wf_due_scan_processes(cursor->queue, &start, GetCurrentTimestamp(), DUE_PER_TRANSACTION, keys);
	for (i = 0; i < n && !wf_due_before(&cursor->position, &keys[i]); i++)
	{
		WfLine *line = wf_lines_find(cursor->lines, keys[i].process_id);

		last = keys[i];
		if (line != NULL && wf_in_flight_find(keys[i].visit) == NULL)
			wf_line_add(cursor->lines, line, &start, &keys[i]);
	}
	wf_lines_passed(cursor->lines, &start, &last, i < n || n < DUE_PER_TRANSACTION);
	pfree(keys);
}

/* ---- turns ---- */

/* Has the line a row? If it has only some behind its end, these are read, as far as one look may. */
static bool
has_row(WfOutgoing *out, WfLine *line)
{
	while (line->n == 0 && line->more && out->npages < MOST_PAGES)
	{
		read_behind(out, line);
		out->npages++;
	}
	return line->n > 0;
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

/* Put the first visit of a line in flight, unless it is. */
static void
take_first(WfOutgoing *out, WfLine *line)
{
	WfDueKey key = wf_line_take(out->cursor->lines, line);

	if (wf_in_flight_find(key.visit) != NULL)
		return;
	out->keys[out->nkeys++] = key;
	add_one(out, &key, line->owner->owner, out->instances);
	wf_line_served(out->cursor->lines, line);
}

/* Put at most `limit` visits in flight, by turns. */
static void
take_turns(WfOutgoing *out, bool by_owner, int limit)
{
	WfLines *lines = out->cursor->lines;
	WfLine	*line;

	while (out->ntaken < limit && (line = wf_lines_next(lines)) != NULL)
	{
		Oid owner = wf_pick_up_owner(out, line->process_id);

		if (owner != line->owner->owner)
			wf_line_set_owner(lines, line, owner);
		else if (by_owner && !may_send(out->dispatcher, out->cursor, owner, out->ntaken))
			wf_line_pass_owner(lines, line);
		else if (has_row(out, line))
			take_first(out, line);
		else
			wf_line_pass(lines, line);
	}
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
	WfQueueCursor *cursor = out->cursor;
	TimestampTz	   now = GetCurrentTimestamp();
	bool		   reads = cursor->next <= now && cursor->lines->ahead_at <= now;

	wf_lines_begin_look(cursor->lines);
	if (reads)
		wf_pick_up_read_ahead(out);
	take_turns(out, by_owner, limit);
	if (reads || out->ntaken == limit || cursor->next > now)
		return;
	wf_pick_up_read_ahead(out);
	take_turns(out, by_owner, limit);
}

/* ---- whether anything waits ---- */

/*
 * A row in a line may be due no more, so the queue is asked, from the first of them on: for one that is not in flight. If
 * there is none, the lines are forgotten.
 */
bool
wf_pick_up_has_due(WfQueueCursor *cursor, TimestampTz now)
{
	WfDueKey  from = cursor->position;
	WfDueKey  first;
	WfDueKey *keys = palloc(sizeof(WfDueKey) * DUE_PER_TRANSACTION);
	int		  n;

	if (wf_lines_first(cursor->lines, &first) && !wf_due_before(&from, &first))
	{
		from = first;
		from.visit--;
	}
	do
	{
		n = wf_due_scan(cursor->queue, &from, now, DUE_PER_TRANSACTION, keys);
		for (int i = 0; i < n; i++)
			if (wf_in_flight_find(keys[i].visit) == NULL)
				return true;
		if (n > 0)
			from = keys[n - 1];
	} while (n == DUE_PER_TRANSACTION);
	wf_lines_clear(cursor->lines);
	wf_queue_cursor_sleep(cursor, now);
	return false;
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
