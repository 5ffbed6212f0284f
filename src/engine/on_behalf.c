/*
 * on_behalf.c
 *		On whose behalf something is due: what is kept of the headers of calls, and with which visit.
 */
#include "postgres.h"

#include "utils/formatting.h"
#include "utils/memutils.h"

#include "debug.h"
#include "engine/on_behalf.h"
#include "http/server.h"
#include "model/template.h"
#include "shmem/wakeups.h"
#include "store/call_headers.h"
#include "store/kept_headers.h"
#include "store/privilege.h"

/* ---- where they come from ---- */

void
wf_on_behalf_follow(WfBatch *batch, WfVisit *visit)
{
	/* nothing of what came before in this batch */
	WF_ASSERT(batch->headers == NULL);
	(void) wf_kept_headers_read(batch, visit);
	batch->headers = visit->kept.onwards;
}

void
wf_on_behalf_end(WfBatch *batch)
{
	batch->headers = NULL;
}

/*
 * The list for an item of which the visit has just come to be; NULL: for none. Items that wait for their turn are due on
 * behalf of who began the list, whatever it is that lets them begin.
 */
static WfVisit *
list_around(const WfVisit *visit)
{
	for (; visit->scope != NULL; visit = visit->scope)
		if (visit->is_new && wf_is_item(visit))
			return visit->scope;
	return NULL;
}

static Jsonb *
headers_of_list(WfBatch *batch, WfVisit *list)
{
	(void) wf_kept_headers_read(batch, list);
	if (list->kept.had_row)
		wf_kept_headers_list(batch, list); /* it may have begun the last of its items */
	return list->kept.onwards;
}

static Jsonb *
headers_of_call(WfBatch *batch)
{
	MemoryContext old;

	if (batch->has_call_headers)
		return batch->call_headers;
	old = MemoryContextSwitchTo(batch->context);
	batch->call_headers = wf_call_headers();
	batch->has_call_headers = true;
	MemoryContextSwitchTo(old);
	return batch->call_headers;
}

static Jsonb *
headers_of_move(WfBatch *batch, const WfVisit *visit)
{
	WfVisit *list;

	if (!wf_server_passes_on())
		return NULL;
	list = list_around(visit);
	if (list != NULL)
		return headers_of_list(batch, list);
	return batch->by_call ? headers_of_call(batch) : batch->headers;
}

/* ---- which of them are kept ---- */

/* Those of these names, in the batch's memory; NULL: there are none. */
static Jsonb *
only(WfBatch *batch, Jsonb *headers, List *names)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfField		 *fields = palloc0(sizeof(WfField) * Max(list_length(names), 1));
	int			  n = 0;
	ListCell	 *lc;

	foreach (lc, names)
	{
		char *value = wf_jsonb_get_text(headers, lfirst(lc));

		if (value != NULL)
			fields[n++] = (WfField){.key = lfirst(lc), .kind = WF_FIELD_TEXT, .text = value};
	}
	headers = n > 0 ? wf_jsonb_object(fields, n) : NULL;
	MemoryContextSwitchTo(old);
	return headers;
}

/*
 * Those that user mappings of the owner of the process want, whatever their server: where what follows leads is not
 * known yet. A process that was called by another gets none that the owner of that does not want himself.
 */
static Jsonb *
wanted(WfBatch *batch, const WfVisit *visit)
{
	const WfInstance *instance = visit->instance;
	Jsonb			 *headers = headers_of_move(batch, visit);

	while (headers != NULL && instance != NULL)
	{
		headers = only(batch, headers, wf_server_headers_passed_on(wf_process_owner(instance->process->process_id)));
		instance = instance->is_new && instance->parent != 0 ? wf_batch_instance(batch, instance->parent) : NULL;
	}
	return headers;
}

static bool
calls_server(const WfVisit *visit)
{
	return visit->queue != NULL && strncmp(visit->queue, WF_QUEUE_HTTP, strlen(WF_QUEUE_HTTP)) == 0;
}

/* Those that the request wants which is due by the visit's queue; if the server is not there, it may be one day. */
static Jsonb *
wanted_by_server(WfBatch *batch, const WfVisit *visit)
{
	Jsonb		   *headers = wanted(batch, visit);
	const WfServer *server = headers != NULL ? wf_server_by_name(visit->queue + strlen(WF_QUEUE_HTTP)) : NULL;
	const char	   *name;

	if (server == NULL)
		return headers;
	name = wf_server_header_passed_on(server, wf_process_owner(visit->instance->process->process_id));
	return name != NULL ? only(batch, headers, list_make1(asc_tolower(name, strlen(name)))) : NULL;
}

/* ---- with which visit ---- */

static void
keep(WfBatch *batch, WfVisit *visit, Jsonb *request, Jsonb *onwards)
{
	WfKeptHeaders *kept = &visit->kept;

	if (request == kept->request && onwards == kept->onwards && !(kept->had_row && !kept->was_read && !kept->changed))
		return;
	kept->request = request;
	kept->onwards = onwards;
	kept->changed = true;
	wf_kept_headers_list(batch, visit);
}

/* An event that was accepted before the action lets the visit go on, and not what began that. */
void
wf_on_behalf_due(WfBatch *batch, WfVisit *visit)
{
	if (calls_server(visit))
		keep(batch, visit, wanted_by_server(batch, visit), NULL);
	else
		keep(batch, visit, NULL,
			 visit->state == WF_STATE_CALLING && wf_has_accepted(visit) ? NULL : wanted(batch, visit));
}

void
wf_on_behalf_onwards(WfBatch *batch, WfVisit *visit)
{
	(void) wf_kept_headers_read(batch, visit);
	keep(batch, visit, visit->kept.request, wanted(batch, visit));
}

void
wf_on_behalf_cancel(WfBatch *batch, WfVisit *visit)
{
	(void) wf_kept_headers_read(batch, visit);
	keep(batch, visit, calls_server(visit) ? wanted_by_server(batch, visit) : wanted(batch, visit),
		 visit->kept.onwards);
}

void
wf_on_behalf_sent(WfBatch *batch, WfVisit *visit)
{
	(void) wf_kept_headers_read(batch, visit);
	keep(batch, visit, NULL, visit->kept.onwards);
}

void
wf_on_behalf_drop(WfBatch *batch, WfVisit *visit)
{
	keep(batch, visit, NULL, NULL);
}
