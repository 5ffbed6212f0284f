/*
 * notice.c
 *		What instances tell each other of calls, on its way: deliveries.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "shmem/wakeups.h"
#include "store/executor_work.h"
#include "store/notice.h"
#include "store/query.h"

typedef struct WfNotice
{
	const char *kind;
	int64		instance; /* that gets it */
	int64		visit;	  /* 0: it is for the instance */
	Jsonb	   *payload;
	bool		is_cancel;
} WfNotice;

static const char *const orders[] = {"cancel", "suspend", "resume"};

static const WfColumn columns[] = {{"instance", INT8OID}, {"visit", INT8OID},  {"kind", TEXTOID},
								   {"payload", JSONBOID}, {"all_of", INT4OID}, {"all_to", INT8OID}};
static WfShape		  shape = {columns, lengthof(columns)};

/* As wf_delivery_append does it, for many at once. */
static WfQuery q_add_up = {
	.sql = "INSERT INTO workflow_data.delivery (instance, visit, kind, queue, due_at, payload) "
		   "SELECT m.instance, m.visit, m.kind, "
		   "CASE WHEN l.queue LIKE 'executor%' THEN l.queue ELSE '" WF_QUEUE_MOVE "' END, "
		   "greatest(clock_timestamp(), CASE WHEN l.queue <> 'suspended' THEN l.due_at END), m.payload "
		   "FROM moved m LEFT JOIN LATERAL (SELECT d.queue, d.due_at FROM workflow_data.delivery d "
		   "WHERE d.instance = m.instance AND " WF_DELIVERY_IN_LINE
		   " ORDER BY d.instance DESC, d.delivery DESC LIMIT 1) l ON true "
		   "RETURNING queue, due_at",
	.shape = &shape,
};
/*
 * An instance that has ended needs no orders, nor does one that is suspended or resumed for itself, unless it would obey
 * an earlier order after that.
 */
static WfQuery q_add_down = {
	.sql =
		"INSERT INTO workflow_data.delivery (instance, visit, kind, queue, due_at, payload) "
		"SELECT m.instance, 0, m.kind, 'executor ' || i.process_id, clock_timestamp(), m.payload "
		"FROM moved m JOIN workflow_data.instance i ON i.instance = m.instance "
		"WHERE (i.process_id = m.all_of AND i.instance <= m.all_to) IS NOT TRUE OR EXISTS (SELECT FROM workflow_data.delivery d "
		"WHERE d.instance = m.instance AND d.kind = '" WF_DELIVERY_CONTROL "' AND d.kind <> 'write_back')",
	.shape = &shape,
};
static WfQuery q_first_order = {
	.sql =
		"SELECT d.delivery, d.payload FROM workflow_data.delivery d WHERE d.instance = $1 AND d.kind = '" WF_DELIVERY_CONTROL
		"' AND d.kind <> 'write_back' ORDER BY d.instance, d.delivery LIMIT 1",
	.nargs = 1,
	.argtypes = {INT8OID},
};

/* ---- giving notice ---- */

static WfNotice *
add(WfBatch *batch, const char *kind, int64 instance, int64 visit, const WfField *fields, int n)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfNotice	 *notice = palloc(sizeof(WfNotice));

	*notice = (WfNotice){.kind = kind, .instance = instance, .visit = visit, .payload = wf_jsonb_object(fields, n)};
	batch->notices = lappend(batch->notices, notice);
	MemoryContextSwitchTo(old);
	return notice;
}

void
wf_notice_ended(WfBatch *batch, int64 instance, int64 visit, const WfEnded *ended)
{
	WfField fields[] = {{.key = "child", .kind = WF_FIELD_INT, .number = ended->child},
						{.key = "outcome", .kind = WF_FIELD_TEXT, .text = wf_outcome_name(ended->outcome)},
						{.key = "data", .jsonb = ended->data, .omit = ended->data == NULL},
						{.key = "error", .jsonb = ended->error, .omit = ended->error == NULL},
						{.key = "steps", .kind = WF_FIELD_INT, .number = ended->steps}};

	(void) add(batch, WF_DELIVERY_ENDED, instance, visit, fields, lengthof(fields));
}

void
wf_notice_escalation(WfBatch *batch, int64 instance, int64 visit, const WfEscalation *escalation)
{
	WfField fields[] = {{.key = "child", .kind = WF_FIELD_INT, .number = escalation->child},
						{.key = "code", .kind = WF_FIELD_TEXT, .text = escalation->code},
						{.key = "data", .jsonb = escalation->data, .omit = escalation->data == NULL},
						{.key = "steps", .kind = WF_FIELD_INT, .number = escalation->steps},
						{.key = "at", .kind = WF_FIELD_INT, .number = escalation->at}};

	(void) add(batch, WF_DELIVERY_ESCALATION, instance, visit, fields, lengthof(fields));
}

void
wf_notice_order(WfBatch *batch, int64 child, WfOrder order, const char *reason)
{
	WfField fields[] = {{.key = "order", .kind = WF_FIELD_TEXT, .text = orders[order]},
						{.key = "reason", .kind = WF_FIELD_TEXT, .text = reason, .omit = reason == NULL}};

	add(batch, WF_DELIVERY_CONTROL, child, 0, fields, lengthof(fields))->is_cancel = order == WF_ORDER_CANCEL;
}

/* ---- on the way ---- */

static void
put(WfRows *rows, const WfNotice *notice, const WfBatch *batch)
{
	bool  with_all = batch->all_of != 0 && !notice->is_cancel;
	Datum values[] = {Int64GetDatum(notice->instance), Int64GetDatum(notice->visit), CStringGetTextDatum(notice->kind),
					  JsonbPGetDatum(notice->payload), Int32GetDatum(batch->all_of), Int64GetDatum(batch->all_to)};
	bool  nulls[lengthof(values)] = {[4] = !with_all, [5] = !with_all};

	if (rows->store == NULL)
		wf_rows_begin(rows, &shape);
	wf_rows_put(rows, values, nulls);
}

/* Leave a wake-up for each queue to which notices went. */
static void
wake_workers(uint64 rows)
{
	for (uint64 i = 0; i < rows; i++)
	{
		char *queue = wf_result_text(i, 1);

		wf_wakeup_due(wf_is_executor_queue(queue) ? WF_QUEUE_EXECUTOR : queue, wf_result_int64(i, 2));
	}
	SPI_freetuptable(SPI_tuptable);
}

void
wf_notices_flush(WfBatch *batch)
{
	WfRows	  up = {0};
	WfRows	  down = {0};
	ListCell *lc;

	foreach (lc, batch->notices)
	{
		const WfNotice *notice = lfirst(lc);

		put(notice->visit != 0 ? &up : &down, notice, batch);
	}
	batch->notices = NIL;
	if (up.store != NULL)
	{
		wake_workers(wf_query_run_rows(&q_add_up, &up));
		wf_rows_end(&up);
	}
	if (down.store != NULL)
	{
		if (wf_query_run_rows(&q_add_down, &down) > 0)
			wf_wakeup_due(WF_QUEUE_EXECUTOR, batch->now);
		wf_rows_end(&down);
	}
}

/* ---- reading ---- */

void
wf_notice_read_ended(Jsonb *payload, WfEnded *ended)
{
	char *outcome = wf_jsonb_get_text(payload, "outcome");

	*ended = (WfEnded){.child = wf_jsonb_get_int64(payload, "child"),
					   .outcome = outcome != NULL ? wf_outcome_from_name(outcome) : WF_OUTCOME_NONE,
					   .data = wf_jsonb_get(payload, "data"),
					   .error = wf_jsonb_get(payload, "error"),
					   .steps = (int) wf_jsonb_get_int64(payload, "steps")};
}

void
wf_notice_read_escalation(Jsonb *payload, WfEscalation *escalation)
{
	*escalation = (WfEscalation){.child = wf_jsonb_get_int64(payload, "child"),
								 .code = wf_jsonb_get_text(payload, "code"),
								 .data = wf_jsonb_get(payload, "data"),
								 .steps = (int) wf_jsonb_get_int64(payload, "steps"),
								 .at = wf_jsonb_get_int64(payload, "at")};
}

int64
wf_notice_first_order(int64 child, WfOrder *order, char **reason)
{
	Datum  values[1] = {Int64GetDatum(child)};
	Jsonb *payload;
	char  *name;
	int64  number;
	bool   isnull;

	if (wf_query_run(&q_first_order, values, NULL) == 0)
		return 0;
	number = wf_result_int64(0, 1);
	payload = DatumGetJsonbPCopy(wf_result(0, 2, &isnull));
	SPI_freetuptable(SPI_tuptable);
	*reason = wf_jsonb_get_text(payload, "reason");
	name = wf_jsonb_get_text(payload, "order");
	for (int i = 0; i < lengthof(orders); i++)
		if (name != NULL && strcmp(name, orders[i]) == 0)
		{
			*order = (WfOrder) i;
			return number;
		}
	ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED), errmsg("unknown order in delivery " INT64_FORMAT, number));
}
