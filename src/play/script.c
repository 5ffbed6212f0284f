/*
 * script.c
 *		What services answer while a transaction plays: replies that were made up, and who has asked for them.
 *
 * Lists grow at their end alone, so what a subtransaction has added stands behind what was there before it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "play/script.h"
#include "store/query.h"

static List *mocks = NIL;	  /* of WfMock */
static List *requests = NIL;  /* of WfMocked */
static List *under_way = NIL; /* of WfMocked: those that were not answered at once */

/* ---- with the transaction ---- */

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		mocks = requests = under_way = NIL; /* their memory goes with the transaction */
}

static void
undo_requests(int level)
{
	while (requests != NIL)
	{
		WfMocked *request = llast(requests);

		if (request->level < level)
			break;
		request->mock->used--;
		requests = list_delete_last(requests);
	}
	while (mocks != NIL && ((WfMock *) llast(mocks))->level >= level)
		mocks = list_delete_last(mocks);
}

static void
undo_under_way(int level)
{
	ListCell *lc;

	foreach (lc, under_way)
	{
		WfMocked *request = lfirst(lc);

		if (request->level >= level)
			under_way = foreach_delete_current(under_way, lc);
		else if (request->ended >= level)
			request->ended = 0;
	}
}

/* What the subtransaction has done, its parent has. */
static void
inherit(int level)
{
	for (int i = list_length(requests) - 1; i >= 0 && ((WfMocked *) list_nth(requests, i))->level >= level; i--)
		((WfMocked *) list_nth(requests, i))->level = level - 1;
	for (int i = list_length(mocks) - 1; i >= 0 && ((WfMock *) list_nth(mocks, i))->level >= level; i--)
		((WfMock *) list_nth(mocks, i))->level = level - 1;
	for (int i = 0; i < list_length(under_way); i++)
	{
		WfMocked *request = list_nth(under_way, i);

		request->ended = Min(request->ended, level - 1);
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		undo_under_way(level);
		undo_requests(level);
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		inherit(level);
}

static void
register_once(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	registered = true;
}

static List *
append(List *list, void *one)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	list = lappend(list, one);
	MemoryContextSwitchTo(old);
	return list;
}

/* ---- replies ---- */

static const char *
copy_text(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

void
wf_script_mock(const WfMock *mock)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	WfMock		 *copy = palloc(sizeof(WfMock));

	register_once();
	*copy = *mock;
	copy->level = GetCurrentTransactionNestLevel();
	copy->server = copy_text(mock->server);
	copy->method = copy_text(mock->method);
	copy->path = copy_text(mock->path);
	copy->headers = palloc(sizeof(WfHttpHeader) * Max(mock->nheaders, 1));
	for (int i = 0; i < mock->nheaders; i++)
		copy->headers[i] = (WfHttpHeader){copy_text(mock->headers[i].name), copy_text(mock->headers[i].value)};
	if (mock->body != NULL)
		copy->body = pnstrdup(mock->body, mock->body_len);
	if (mock->after != NULL)
	{
		copy->after = palloc(sizeof(Interval));
		*copy->after = *mock->after;
	}
	MemoryContextSwitchTo(old);
	mocks = append(mocks, copy);
}

/* Without a query in the pattern, that of the request does not count. */
static bool
path_fits(const char *pattern, const char *path)
{
	size_t len = strlen(pattern);
	size_t path_len = strchr(pattern, '?') == NULL ? strcspn(path, "?") : strlen(path);

	if (len > 0 && pattern[len - 1] == '*')
		return path_len >= len - 1 && strncmp(pattern, path, len - 1) == 0;
	return path_len == len && strncmp(pattern, path, len) == 0;
}

WfMock *
wf_script_find(const char *server, const char *method, const char *path)
{
	ListCell *lc;

	foreach (lc, mocks)
	{
		WfMock *mock = lfirst(lc);

		if ((mock->times == 0 || mock->used < mock->times) && strcmp(mock->server, server) == 0 &&
			(mock->method == NULL || strcmp(mock->method, method) == 0) && path_fits(mock->path, path))
		{
			mock->used++;
			return mock;
		}
	}
	return NULL;
}

char *
wf_script_tell(const char *server)
{
	StringInfoData told;
	ListCell	  *lc;

	initStringInfo(&told);
	foreach (lc, mocks)
	{
		const WfMock *mock = lfirst(lc);

		if (strcmp(mock->server, server) != 0)
			continue;
		appendStringInfo(&told, "%s%s %s: used %d", told.len > 0 ? "\n" : "",
						 mock->method != NULL ? mock->method : "any method", mock->path, mock->used);
		if (mock->times > 0)
			appendStringInfo(&told, " of %d", mock->times);
		appendStringInfoString(&told, mock->times == 1 || (mock->times == 0 && mock->used == 1) ? " time" : " times");
	}
	return told.len > 0 ? told.data : NULL;
}

/* ---- requests ---- */

WfMocked *
wf_script_note(const WfMocked *request)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	WfMocked	 *copy = palloc(sizeof(WfMocked));

	*copy = *request;
	copy->level = GetCurrentTransactionNestLevel();
	copy->step = pstrdup(request->step);
	copy->server = request->mock->server;
	copy->method = pstrdup(request->method);
	copy->path = pstrdup(request->path);
	copy->request = palloc(VARSIZE(request->request));
	memcpy(copy->request, request->request, VARSIZE(request->request));
	copy->ended = 0;
	MemoryContextSwitchTo(old);
	requests = append(requests, copy);
	under_way = append(under_way, copy);
	return copy;
}

List *
wf_script_requests(void)
{
	return requests;
}

WfMocked *
wf_script_under_way(int64 visit)
{
	ListCell *lc;

	foreach (lc, under_way)
	{
		WfMocked *request = lfirst(lc);

		if (request->visit == visit && request->ended == 0)
			return request;
	}
	return NULL;
}

WfMocked *
wf_script_next_reply(void)
{
	WfMocked *first = NULL;
	ListCell *lc;

	foreach (lc, under_way)
	{
		WfMocked *request = lfirst(lc);

		if (request->ended == 0 && (first == NULL || request->arrives < first->arrives))
			first = request;
	}
	return first;
}

Datum
wf_script_in_flight(void)
{
	int64	 *visits = palloc(sizeof(int64) * Max(list_length(under_way), 1));
	int		  n = 0;
	ListCell *lc;

	foreach (lc, under_way)
	{
		const WfMocked *request = lfirst(lc);

		if (request->ended == 0)
			visits[n++] = request->visit;
	}
	return wf_int64_array(visits, n);
}

/* What ends in the subtransaction in which it began, or outside of all, can be forgotten. */
void
wf_script_end(WfMocked *request)
{
	request->ended = GetCurrentTransactionNestLevel();
	if (request->level >= request->ended)
		under_way = list_delete_ptr(under_way, request);
}
