/*
 * attempt_log.c
 *		Attempts that have failed, in the log of the server.
 *
 * A line has names from definitions, numbers and codes. What comes from data, from the outside or from a user mapping
 * is in none of these, so no message of an error, no URL and no header is in it.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "model/template.h"
#include "shmem/settings.h"
#include "store/attempt_log.h"
#include "store/played.h"
#include "store/trace.h"

/* In quotes, as JSON has them: a name may contain anything. */
static void
append_name(StringInfo line, const char *what, const char *name)
{
	if (name == NULL)
		return;
	appendStringInfo(line, " %s=", what);
	escape_json(line, name);
}

static void
log_attempt(const WfBatch *batch, const WfAttempt *attempt, int level)
{
	const WfVisit *visit = attempt->visit;
	StringInfoData line;
	WfTraceIds	   ids;

	initStringInfo(&line);
	append_name(&line, "process", visit->instance->process->name);
	append_name(&line, "step", visit->step);
	appendStringInfo(&line, " instance=" INT64_FORMAT " visit=" INT64_FORMAT "_" INT64_FORMAT " attempt=%d",
					 visit->instance->id, visit->instance->id, visit->id, attempt->attempt);
	append_name(&line, "server", attempt->server);
	append_name(&line, "code", wf_jsonb_get_text(attempt->error, "code"));
	if (attempt->http_status != 0)
		appendStringInfo(&line, " status=%d", attempt->http_status);
	appendStringInfo(&line, " ms=" INT64_FORMAT, Max(batch->now - attempt->started_at, 0) / 1000);
	if (!visit->ended && visit->state == WF_STATE_RETRYING)
		append_name(&line, "next", timestamptz_to_str(visit->due_at));
	if (wf_trace_ids(visit, attempt->attempt, &ids))
		appendStringInfo(&line, " trace_id=%s span_id=%s", ids.trace, ids.span);
	ereport(level, errmsg("workflow: an attempt has failed:%s", line.data), errhidestmt(true), errhidecontext(true));
	pfree(line.data);
}

void
wf_attempts_log(const WfBatch *batch)
{
	int		  level = wf_setting_log_failed_attempts;
	ListCell *lc;

	if (level == 0 || wf_play_stands() || !message_level_is_interesting(level))
		return;
	foreach (lc, batch->attempts)
	{
		const WfAttempt *attempt = lfirst(lc);

		if (attempt->error != NULL && !attempt->incident)
			log_attempt(batch, attempt, level);
	}
}
