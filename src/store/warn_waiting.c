/*
 * warn_waiting.c
 *		After how long a wait for a callback is warned of; and what happens to present waits when
 *		the setting changes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "shmem/wakeups.h"
#include "shmem/settings.h"
#include "store/batch.h"
#include "store/process.h"
#include "store/query.h"
#include "store/warn_waiting.h"

#define WAITS			 "v.state = 'waiting' AND v.waits_for LIKE 'callback%'"
#define AND_CLOCK(clock) ", v." #clock
#define WARN_AT			 "CASE WHEN $3 > 0 THEN v.waiting_since + make_interval(secs => $3) END"

static WfQuery q_next = {
	.sql = "SELECT v.instance, v.visit, v.step, i.process_id, i.version FROM workflow_data.visit v "
		   "JOIN workflow_data.instance i ON i.instance = v.instance "
		   "WHERE (v.instance, v.visit) > ($1, $2) AND " WAITS " "
		   "ORDER BY v.instance, v.visit LIMIT $3 FOR NO KEY UPDATE OF i SKIP LOCKED",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, INT4OID},
};
static WfQuery q_set = {
	.sql =
		"UPDATE workflow_data.visit v SET warn_at = " WARN_AT ", "
		"next_timer = least(" WARN_AT WF_ALARM_CLOCKS(
			AND_CLOCK) ") "
					   "FROM unnest($1, $2) w (instance, visit) WHERE v.instance = w.instance AND v.visit = w.visit AND " WAITS
					   " "
					   "AND v.accepted IS NULL AND v.warn_at IS DISTINCT FROM " WARN_AT " RETURNING v.next_timer",
	.nargs = 3,
	.argtypes = {INT8ARRAYOID, INT8ARRAYOID, INT4OID},
};

int64
wf_warn_after(const WfStep *step)
{
	if (step != NULL && step->warn_waiting.given)
		return step->warn_waiting.after_ms;
	return wf_setting_warn_waiting * INT64CONST(1000);
}

static bool
goes_by_setting(uint64 row)
{
	bool  isnull;
	int	  process_id = DatumGetInt32(wf_result(row, 4, &isnull));
	int	  version = DatumGetInt32(wf_result(row, 5, &isnull));
	char *name = wf_result_text(row, 3);
	/* wf_process_get may run queries, which replace the result */
	SPITupleTable	   *rows = SPI_tuptable;
	const WfDefinition *def = wf_process_get(process_id, version)->def;
	int					step = wf_definition_step(def, name);

	SPI_tuptable = rows;
	/* of a step with `each` it is the items that wait */
	if (step >= 0 && def->steps[step].each != NULL)
		step = wf_step_of_item(def, &def->steps[step])->index;
	return step < 0 || !def->steps[step].warn_waiting.given;
}

static void
set_warnings(const int64 *instances, const int64 *visits, int n, int seconds)
{
	Datum  values[3] = {wf_int64_array(instances, n), wf_int64_array(visits, n), Int32GetDatum(seconds)};
	uint64 changed = wf_query_run(&q_set, values, NULL);

	for (uint64 i = 0; i < changed; i++)
		if (wf_result_int64(i, 1) != 0)
			wf_wakeup_due(WF_QUEUE_ALARM, wf_result_int64(i, 1));
}

bool
wf_warn_anew(WfDueKey *cursor, int seconds, int limit)
{
	Datum  values[3] = {Int64GetDatum(cursor->instance), Int64GetDatum(cursor->visit), Int32GetDatum(limit)};
	int	   n = (int) wf_query_run(&q_next, values, NULL);
	int64 *instances = palloc(sizeof(int64) * Max(n, 1));
	int64 *visits = palloc(sizeof(int64) * Max(n, 1));
	int	   nset = 0;

	for (int i = 0; i < n; i++)
	{
		cursor->instance = wf_result_int64(i, 1);
		cursor->visit = wf_result_int64(i, 2);
		if (!goes_by_setting(i))
			continue;
		instances[nset] = cursor->instance;
		visits[nset++] = cursor->visit;
	}
	if (nset > 0)
		set_warnings(instances, visits, nset, seconds);
	return n == limit;
}
