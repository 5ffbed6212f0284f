/*
 * row_delivery.c
 *		What has become of an attached row, on its way to the instance: deliveries of the kind `row`.
 *
 * The payload is {changes} or {deleted}.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "model/template.h"
#include "shmem/wakeups.h"
#include "store/delivery.h"
#include "store/executor_work.h"
#include "store/query.h"
#include "store/row_delivery.h"

static const WfColumn columns[] = {{"instance", INT8OID}, {"payload", JSONBOID}};
static WfShape		  shape = {columns, lengthof(columns)};

/* As wf_delivery_append does it, for many at once. */
static WfQuery q_add = {
	.sql = "INSERT INTO workflow_data.delivery (instance, visit, kind, queue, due_at, payload) "
		   "SELECT m.instance, 0, '" WF_DELIVERY_ROW "', "
		   "CASE WHEN l.queue LIKE 'executor%' THEN l.queue ELSE '" WF_QUEUE_MOVE "' END, "
		   "greatest(clock_timestamp(), CASE WHEN l.queue <> 'suspended' THEN l.due_at END), m.payload "
		   "FROM moved m JOIN workflow_data.instance i ON i.instance = m.instance "
		   "LEFT JOIN LATERAL (SELECT d.queue, d.due_at FROM workflow_data.delivery d "
		   "WHERE d.instance = m.instance AND " WF_DELIVERY_IN_LINE
		   " ORDER BY d.instance DESC, d.delivery DESC LIMIT 1) l ON true "
		   "RETURNING queue, due_at",
	.shape = &shape,
};
static WfQuery q_withdraw = {
	.sql = "DELETE FROM workflow_data.delivery d WHERE d.instance = ANY ($1) AND d.kind <> 'write_back' "
		   "AND d.kind = '" WF_DELIVERY_ROW "' AND d.payload ? 'deleted'",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};

static Jsonb *
payload_of(const WfRowEffect *effect)
{
	WfField field = {.key = "deleted", .kind = WF_FIELD_TRUE};

	if (effect->changes != NULL)
		field = (WfField){.key = "changes", .jsonb = effect->changes};
	return wf_jsonb_object(&field, 1);
}

void
wf_row_deliveries_add(const WfRowEffect *effects, int n)
{
	WfRows rows;
	uint64 added;

	if (n == 0)
		return;
	wf_rows_begin(&rows, &shape);
	for (int i = 0; i < n; i++)
	{
		Jsonb *payload = payload_of(&effects[i]);
		Datum  values[] = {Int64GetDatum(effects[i].instance), JsonbPGetDatum(payload)};
		bool   nulls[lengthof(values)] = {0};

		wf_rows_put(&rows, values, nulls);
		pfree(payload);
	}
	added = wf_query_run_rows(&q_add, &rows);
	wf_rows_end(&rows);
	for (uint64 i = 0; i < added; i++)
	{
		char *queue = wf_result_text(i, 1);

		wf_wakeup_due(wf_is_executor_queue(queue) ? WF_QUEUE_EXECUTOR : queue, wf_result_int64(i, 2));
	}
	SPI_freetuptable(SPI_tuptable);
}

void
wf_row_deliveries_withdraw(const int64 *instances, int n)
{
	Datum values[1] = {wf_int64_array(instances, n)};

	if (n > 0)
		wf_query_run(&q_withdraw, values, NULL);
}

Jsonb *
wf_row_delivery_changes(Jsonb *payload)
{
	return wf_jsonb_get(payload, "changes");
}
