/*
 * lines.c
 *		The lines in which the rows of a server's queue wait for their turn: one for each process.
 *
 * Whose turn it is: of the owners that have rows, the one that had its turn longest ago, or never; of its lines
 * likewise. So the numbers of turns outlive the rows, else one that sends a single request again and again would be the
 * first each time.
 *
 * What is in memory of a line is complete up to the position to which the queue was read, or up to `end`, if it has
 * more. Rows may be found again, since others become visible before them.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "worker/lines.h"

#define FIRST_LENGTH 8
/* When there are so many lines, those in which nothing waits are dropped before one is made. */
#define MANY_LINES 1000

WfLines *
wf_lines_create(void)
{
	return MemoryContextAllocZero(TopMemoryContext, sizeof(WfLines));
}

/* ---- lines and their owners ---- */

/* Index of the first line whose process has this number, or a higher one. */
static int
index_of(const WfLines *lines, int process_id)
{
	int low = 0;
	int high = lines->n;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (lines->lines[middle]->process_id < process_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

WfLine *
wf_lines_find(const WfLines *lines, int process_id)
{
	int i = index_of(lines, process_id);

	return i < lines->n && lines->lines[i]->process_id == process_id ? lines->lines[i] : NULL;
}

/* An array with room for one more pointer than n. */
static void *
with_room(void *array, int n, int *allocated)
{
	int wanted = Max(16, *allocated * 2);

	if (n < *allocated)
		return array;
	array = array == NULL ? MemoryContextAlloc(TopMemoryContext, sizeof(void *) * wanted)
						  : repalloc(array, sizeof(void *) * wanted);
	*allocated = wanted;
	return array;
}

static WfLineOwner *
owner_of(WfLines *lines, Oid oid)
{
	WfLineOwner *owner;

	for (int i = 0; i < lines->nowners; i++)
		if (lines->owners[i]->owner == oid)
			return lines->owners[i];
	lines->owners = with_room(lines->owners, lines->nowners, &lines->owners_allocated);
	owner = MemoryContextAllocZero(TopMemoryContext, sizeof(WfLineOwner));
	owner->owner = oid;
	lines->owners[lines->nowners++] = owner;
	return owner;
}

static void
drop_idle_owners(WfLines *lines)
{
	int kept = 0;

	for (int i = 0; i < lines->nowners; i++)
	{
		if (lines->owners[i]->nlines > 0)
			lines->owners[kept++] = lines->owners[i];
		else
			pfree(lines->owners[i]);
	}
	lines->nowners = kept;
}

static bool
has_rows(const WfLine *line)
{
	return line->n > 0 || line->more;
}

static void
drop_idle(WfLines *lines)
{
	int kept = 0;

	for (int i = 0; i < lines->n; i++)
	{
		WfLine *line = lines->lines[i];

		if (has_rows(line))
		{
			lines->lines[kept++] = line;
			continue;
		}
		line->owner->nlines--;
		pfree(line->keys);
		pfree(line);
	}
	lines->n = kept;
	drop_idle_owners(lines);
}

WfLine *
wf_lines_make(WfLines *lines, int process_id, Oid oid)
{
	WfLineOwner *owner;
	WfLine		*line;
	int			 at;

	if (lines->n >= MANY_LINES)
		drop_idle(lines);
	lines->lines = with_room(lines->lines, lines->n, &lines->allocated);
	owner = owner_of(lines, oid);
	line = MemoryContextAllocZero(TopMemoryContext, sizeof(WfLine));
	line->process_id = process_id;
	line->keys = MemoryContextAlloc(TopMemoryContext, sizeof(WfDueKey) * FIRST_LENGTH);
	line->allocated = FIRST_LENGTH;
	line->owner = owner;
	owner->nlines++;
	at = index_of(lines, process_id);
	memmove(&lines->lines[at + 1], &lines->lines[at], sizeof(WfLine *) * (lines->n - at));
	lines->lines[at] = line;
	lines->n++;
	return line;
}

void
wf_line_set_owner(WfLines *lines, WfLine *line, Oid oid)
{
	WfLineOwner *owner;

	if (line->owner->owner == oid)
		return;
	owner = owner_of(lines, oid);
	line->owner->nlines--;
	owner->nlines++;
	line->owner = owner;
}

/* ---- rows ---- */

static WfDueKey *
keys_of(const WfLine *line)
{
	return &line->keys[line->first];
}

static void
set_more(WfLines *lines, WfLine *line, bool more)
{
	lines->nmore += more - line->more;
	line->more = more;
}

/* How many rows of the line come before this one. */
static int
count_before(const WfLine *line, const WfDueKey *key)
{
	const WfDueKey *keys = keys_of(line);
	int				low = 0;
	int				high = line->n;

	/* mostly it is behind all of them */
	if (high > 0 && wf_due_before(&keys[high - 1], key))
		return high;
	while (low < high)
	{
		int middle = (low + high) / 2;

		if (wf_due_before(&keys[middle], key))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Insert a row in a line that is not full. */
static void
insert(WfLines *lines, WfLine *line, int at, const WfDueKey *key)
{
	if (line->first + line->n == line->allocated && line->first > 0)
	{
		memmove(line->keys, keys_of(line), sizeof(WfDueKey) * line->n);
		line->first = 0;
	}
	if (line->n == line->allocated)
	{
		int wanted = Min(line->allocated * 2, WF_LINE_LENGTH);

		line->keys = repalloc(line->keys, sizeof(WfDueKey) * wanted);
		line->allocated = wanted;
	}
	memmove(&keys_of(line)[at + 1], &keys_of(line)[at], sizeof(WfDueKey) * (line->n - at));
	keys_of(line)[at] = *key;
	line->n++;
	lines->nkeys++;
}

void
wf_line_put(WfLines *lines, WfLine *line, const WfDueKey *key)
{
	bool full = line->n == WF_LINE_LENGTH;
	int	 at;

	if (line->more && wf_due_before(&line->end, key))
		return;
	at = count_before(line, key);
	if (at < line->n && keys_of(line)[at].visit == key->visit && keys_of(line)[at].due_at == key->due_at)
		return;
	if (full && at < line->n)
	{
		line->n--;
		lines->nkeys--;
	}
	if (line->n < WF_LINE_LENGTH)
		insert(lines, line, at, key);
	if (!full)
		return;
	set_more(lines, line, true);
	line->end = keys_of(line)[line->n - 1];
}

/* Has the line more, of which rows behind `start` are the next ones, and room for them? */
static bool
takes_from(const WfLine *line, const WfDueKey *start)
{
	return line->more && !wf_due_before(&line->end, start) && line->n < WF_LINE_LENGTH;
}

void
wf_line_add(WfLines *lines, WfLine *line, const WfDueKey *start, const WfDueKey *key)
{
	if (!takes_from(line, start) || !wf_due_before(&line->end, key))
		return;
	insert(lines, line, line->n, key);
	line->end = *key;
}

void
wf_lines_passed(WfLines *lines, const WfDueKey *start, const WfDueKey *last, bool all)
{
	for (int i = 0; i < lines->n; i++)
	{
		WfLine *line = lines->lines[i];

		if (!takes_from(line, start))
			continue;
		if (wf_due_before(&line->end, last))
			line->end = *last;
		if (all)
			set_more(lines, line, false);
	}
}

bool
wf_lines_first(const WfLines *lines, WfDueKey *key)
{
	bool found = false;

	for (int i = 0; i < lines->n; i++)
	{
		const WfLine   *line = lines->lines[i];
		const WfDueKey *first = line->n > 0 ? keys_of(line) : &line->end;

		if (!has_rows(line) || (found && !wf_due_before(first, key)))
			continue;
		*key = *first;
		found = true;
	}
	return found;
}

void
wf_lines_clear(WfLines *lines)
{
	for (int i = 0; i < lines->n; i++)
	{
		lines->lines[i]->n = lines->lines[i]->first = 0;
		set_more(lines, lines->lines[i], false);
	}
	lines->nkeys = 0;
	lines->behind = false;
}

/* ---- turns ---- */

void
wf_lines_begin_look(WfLines *lines)
{
	lines->look++;
}

/* Was the turn of line a before that of line b? */
static bool
comes_before(const WfLine *a, const WfLine *b)
{
	if (a->owner != b->owner)
		return a->owner->turn < b->owner->turn;
	return a->turn < b->turn;
}

WfLine *
wf_lines_next(const WfLines *lines)
{
	WfLine *next = NULL;

	for (int i = 0; i < lines->n; i++)
	{
		WfLine *line = lines->lines[i];

		if (has_rows(line) && line->passed != lines->look && line->owner->passed != lines->look &&
			(next == NULL || comes_before(line, next)))
			next = line;
	}
	return next;
}

void
wf_line_pass(const WfLines *lines, WfLine *line)
{
	line->passed = lines->look;
}

void
wf_line_pass_owner(const WfLines *lines, WfLine *line)
{
	line->owner->passed = lines->look;
}

WfDueKey
wf_line_take(WfLines *lines, WfLine *line)
{
	WfDueKey key = line->keys[line->first++];

	line->n--;
	lines->nkeys--;
	if (line->n == 0)
		line->first = 0;
	return key;
}

void
wf_line_served(WfLines *lines, WfLine *line)
{
	line->turn = line->owner->turn = ++lines->turn;
}
