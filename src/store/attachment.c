/*
 * attachment.c
 *		Rows of workflow_data.attachment, and what attached rows show of their instances.
 *
 * Attachments change under ShareRowExclusiveLock on their table, which conflicts with every INSERT.
 * A table that was dropped leaves its attachments behind; whether an OID still means the attached
 * table is seen from our trigger on it, since no other table can have got that without being
 * attached.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/attachment.h"
#include "store/delivery.h"
#include "store/executor_work.h"
#include "store/history.h"
#include "store/owed.h"
#include "store/privilege.h"
#include "store/query.h"
#include "store/refused.h"
#include "store/row_result.h"

#define ATTACHMENT_COLUMNS \
	"a.attachment, a.relation, a.process_id, p.process, p.latest, a.serial_column::text, " \
	"a.serial_step, a.status_column::text, a.instance_column::text, a.condition, p.suspended, " \
	"a.search_path, a.trust, a.relation_name, a.result_columns, " \
	"a.on_update <> 'ignore', a.on_delete <> 'ignore', a.replicated, a.show_in"
#define ATTACHMENT_NCOLUMNS 19

static WfQuery q_of = {
	.sql = "SELECT " ATTACHMENT_COLUMNS " FROM workflow_data.attachment a "
		   "JOIN workflow_data.process p ON p.process_id = a.process_id "
		   "WHERE a.relation = $1 AND a.detached_at IS NULL ORDER BY a.attachment",
	.nargs = 1,
	.argtypes = {REGCLASSOID},
};
static WfQuery q_shown_there = {
	.sql = "SELECT relation FROM workflow_data.attachment "
		   "WHERE show_in = $1 AND relation <> $2 AND detached_at IS NULL LIMIT 1",
	.nargs = 2,
	.argtypes = {REGCLASSOID, REGCLASSOID},
};
/*
 * Find an earlier attachment of the same table and process. A restored table has another OID, and
 * brings our triggers with it; what its rows show may be of any age.
 */
static WfQuery q_former = {
	.sql =
		"SELECT attachment, CASE WHEN relation IS NULL THEN '-infinity' ELSE detached_at END FROM workflow_data.attachment WHERE detached_at IS NOT NULL AND process_id = $2 "
		"AND (relation = $1 OR relation IS NULL AND $3 AND relation_name = $4) "
		"ORDER BY relation IS NULL, attachment DESC LIMIT 1 FOR UPDATE",
	.nargs = 4,
	.argtypes = {REGCLASSOID, INT4OID, BOOLOID, TEXTOID},
};
static WfQuery q_add = {
	.sql = "INSERT INTO workflow_data.attachment (relation, process_id, relation_name, serial_column, serial_step, "
		   "status_column, instance_column, condition,search_path, trust, result_columns, on_update, "
		   "on_delete, replicated, show_in) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) "
		   "RETURNING attachment",
	.nargs = 15,
	.argtypes = {REGCLASSOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, JSONBOID,
				 TEXTOID, TEXTOID, BOOLOID, REGCLASSOID},
};
static WfQuery q_add_again = {
	.sql =
		"UPDATE workflow_data.attachment SET relation = $1, process_id = $2, relation_name = $3, serial_column = $4, "
		"serial_step = $5, status_column = $6, instance_column = $7, condition = $8, search_path = $9, trust = $10, "
		"result_columns = $11, on_update = $12, on_delete = $13, replicated = $14, show_in = $15, detached_at = NULL "
		"WHERE attachment = $16 RETURNING attachment",
	.nargs = 16,
	.argtypes = {REGCLASSOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, JSONBOID,
				 TEXTOID, TEXTOID, BOOLOID, REGCLASSOID, INT4OID},
};
static WfQuery q_detach = {
	.sql = "UPDATE workflow_data.attachment SET relation_name = $3, detached_at = least(clock_timestamp(), "
		   "(SELECT min(coalesce((d.payload ->> 'since')::timestamptz, d.due_at)) FROM workflow_data.delivery d "
		   "WHERE d.queue = $2 AND d.kind = 'write_back')) WHERE attachment = $1",
	.nargs = 3,
	.argtypes = {INT4OID, TEXTOID, TEXTOID},
};
static WfQuery q_forget = {
	.sql =
		"UPDATE workflow_data.attachment SET relation = NULL, detached_at = coalesce(detached_at, clock_timestamp()) "
		"WHERE attachment = $1",
	.nargs = 1,
	.argtypes = {INT4OID},
};
/* Find attachments whose table is gone. One session prunes them: others do not wait for it. */
static WfQuery q_prune = {
	.sql = "SELECT attachment FROM workflow_data.attachment a WHERE a.relation IS NOT NULL "
		   "AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = a.relation) FOR UPDATE SKIP LOCKED",
};
/* A write-back found its table detached: rows are stale since that write-back was due. */
static WfQuery q_missed = {
	.sql = "UPDATE workflow_data.attachment a SET detached_at = d.due_at FROM workflow_data.delivery d "
		   "WHERE d.delivery = $1 AND d.kind = 'write_back' AND a.detached_at > d.due_at "
		   "AND a.attachment = substring(d.queue FROM '^executor table ([0-9]+)$')::integer",
	.nargs = 1,
	.argtypes = {INT8OID},
};
/*
 * Owe a write-back to all living instances of the attachment, and to those that have ended since
 * $3: a minute earlier, since what they show was due a moment after it changed.
 */
static WfQuery q_show_again = {
	.sql = "INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue) "
		   "SELECT i.instance, 0, clock_timestamp(), 'write_back', $2 FROM ("
		   "SELECT instance FROM workflow_data.instance WHERE attachment = $1 AND business_key IS NOT NULL UNION ALL "
		   "SELECT instance FROM " WF_ENDED("instance") " h WHERE attachment = $1 AND business_key IS NOT NULL "
														"AND stored_at >= $3 - interval '1 minute') i",
	.nargs = 3,
	.argtypes = {INT4OID, TEXTOID, TIMESTAMPTZOID},
};
static WfQuery q_lock_process = {
	.sql = "SELECT 1 FROM workflow_data.process WHERE process_id = $1 AND latest > 0 FOR KEY SHARE",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_living = {
	.sql = "SELECT business_key, instance FROM workflow_data.instance "
		   "WHERE process_id = $1 AND attachment = $2 AND business_key = ANY ($3) "
		   "AND business_key IS NOT NULL ORDER BY business_key COLLATE \"C\"",
	.nargs = 3,
	.argtypes = {INT4OID, INT4OID, TEXTARRAYOID},
};
static WfQuery q_living_after = {
	.sql = "SELECT business_key, instance FROM workflow_data.instance "
		   "WHERE process_id = $1 AND attachment = $2 AND business_key >= $3 AND business_key IS NOT NULL "
		   "AND instance <> $4 ORDER BY business_key, process_id, attachment LIMIT $5",
	.nargs = 5,
	.argtypes = {INT4OID, INT4OID, TEXTOID, INT8OID, INT4OID},
};
/* Those of the old keys, with the new one, and those of the new ones, which have no row. */
static WfQuery q_rekey_find = {
	.sql = "SELECT f.instance, max(f.key) FROM (SELECT i.instance, m.new AS key FROM unnest($3, $4) m (old, new) "
		   "JOIN workflow_data.instance i ON i.process_id = $1 AND i.attachment = $2 AND i.business_key = m.old "
		   "AND i.business_key IS NOT NULL UNION ALL "
		   "SELECT i.instance, NULL FROM unnest($4) m (new) "
		   "JOIN workflow_data.instance i ON i.process_id = $1 AND i.attachment = $2 AND i.business_key = m.new "
		   "AND i.business_key IS NOT NULL) f GROUP BY f.instance",
	.nargs = 4,
	.argtypes = {INT4OID, INT4OID, TEXTARRAYOID, TEXTARRAYOID},
};
static WfQuery q_rekey_lock = {
	.sql = "SELECT 1 FROM workflow_data.instance i WHERE i.instance = ANY ($1) ORDER BY i.instance FOR NO KEY UPDATE",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
/* In two steps, since keys may be exchanged. */
static WfQuery q_rekey_clear = {
	.sql = "UPDATE workflow_data.instance i SET business_key = NULL WHERE i.instance = ANY ($1)",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
static WfQuery q_rekey_set = {
	.sql = "UPDATE workflow_data.instance i SET business_key = m.key FROM unnest($1, $2) m (instance, key) "
		   "WHERE i.instance = m.instance",
	.nargs = 2,
	.argtypes = {INT8ARRAYOID, TEXTARRAYOID},
};
static WfQuery q_known = {
	.sql =
		"SELECT business_key, instance FROM ("
		"SELECT business_key, instance FROM workflow_data.instance "
		"WHERE process_id = $1 AND attachment = $2 AND business_key = ANY ($3) AND business_key IS NOT NULL UNION ALL "
		"SELECT business_key, instance FROM " WF_ENDED(
			"instance") " h "
						"WHERE process_id = $1 AND attachment = $2 AND business_key = ANY ($3) AND business_key IS NOT NULL) i "
						"ORDER BY business_key COLLATE \"C\"",
	.nargs = 3,
	.argtypes = {INT4OID, INT4OID, TEXTARRAYOID},
};
static WfQuery q_shown = {
	.sql =
		"SELECT " ATTACHMENT_COLUMNS ", i.business_key FROM ("
		"SELECT attachment, business_key FROM workflow_data.instance WHERE instance = $1 UNION ALL "
		"SELECT attachment, business_key FROM " WF_ENDED(
			"instance") " h WHERE instance = $1 UNION ALL "
						"SELECT (payload ->> 'attachment')::integer, payload ->> 'business_key' FROM workflow_data.delivery "
						"WHERE delivery = $2 AND payload IS NOT NULL) i "
						"JOIN workflow_data.attachment a ON a.attachment = i.attachment AND a.detached_at IS NULL "
						"JOIN workflow_data.process p ON p.process_id = a.process_id "
						"WHERE i.business_key IS NOT NULL LIMIT 1",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};
/*
 * What a living instance shows: the visit with the oldest open wait for a callback, which is not inside of a
 * sub-process, unless the process as a whole is one; or the one at the step that was asked for, wherever that is.
 */
static WfQuery q_look_living = {
	.sql = "SELECT i.instance, i.status, (SELECT v.visit FROM workflow_data.visit v "
		   "WHERE v.instance = i.instance AND CASE WHEN $4 IS NULL THEN v.waits_for LIKE 'callback%' "
		   "AND (v.scope IS NULL OR EXISTS (SELECT FROM workflow_data.visit s WHERE s.instance = v.instance "
		   "AND s.visit = v.scope AND s.step = '" WF_PROCESS_STEP "')) "
		   "ELSE v.step = $4 AND v.state <> 'incident' AND v.waits_for IS DISTINCT FROM 'join' AND v.item IS NULL END "
		   "ORDER BY v.visit LIMIT 1), CASE WHEN $5 THEN i.data END, i.version "
		   "FROM workflow_data.instance i WHERE i.process_id = $1 AND i.attachment = $2 "
		   "AND i.business_key = $3 AND i.business_key IS NOT NULL",
	.nargs = 5,
	.argtypes = {INT4OID, INT4OID, TEXTOID, TEXTOID, BOOLOID},
};
static WfQuery q_look_ended = {
	.sql = "SELECT instance, status, CASE WHEN $3 THEN data END, version, NULL FROM " WF_ENDED(
		"instance") " h WHERE instance = $1 UNION ALL "
					"SELECT instance, payload ->> 'status', NULL, 0, payload -> 'results' FROM workflow_data.delivery "
					"WHERE delivery = $2 AND payload ? 'status' LIMIT 1",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, BOOLOID},
};

const WfWriting *wf_attachment_writing = NULL;

/* ---- answers that need no row ---- */

const char *
wf_attachment_on_update(const WfAttachment *attachment)
{
	return attachment->on_update ? "set_data" : "ignore";
}

const char *
wf_attachment_on_delete(const WfAttachment *attachment)
{
	return attachment->on_delete ? "cancel" : "ignore";
}

static bool
has_columns(const WfAttachment *attachment)
{
	return attachment->serial_column != NULL || attachment->status_column != NULL ||
		   attachment->instance_column != NULL;
}

bool
wf_attachment_sets(const WfAttachment *attachment)
{
	return !attachment->replicated && has_columns(attachment);
}

bool
wf_attachment_shows(const WfAttachment *attachment)
{
	return has_columns(attachment) || attachment->nresults > 0;
}

Oid
wf_attachment_shows_in(const WfAttachment *attachment)
{
	return OidIsValid(attachment->show_in) ? attachment->show_in : attachment->relation;
}

bool
wf_attachment_shows_start(const WfAttachment *attachment, const WfDefinition *def)
{
	int			  start = def->start == def->process_step ? def->lists[def->steps[def->start].inner].start : def->start;
	const WfStep *first = &def->steps[start];
	int			  wait = wf_step_callback_entry(first);

	if (attachment->serial_column == NULL || wait < 0)
		return false;
	if (attachment->serial_step != NULL)
		return strcmp(attachment->serial_step, first->name) == 0;
	return first->action == WF_ACTION_NONE && first->entries[wait].event.when == NULL && !first->async;
}

/*
 * Does the trigger call this function of ours? The function's schema is looked up, not the schema
 * by name, since callers have no right on that.
 */
static bool
calls(const Trigger *trigger, const char *function)
{
	char *name = get_func_name(trigger->tgfoid);

	return name != NULL && strcmp(name, function) == 0 &&
		   get_func_namespace(trigger->tgfoid) == get_namespace_oid(WF_DATA_SCHEMA, true);
}

bool
wf_attachment_has_trigger(Relation rel, const char *function)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (calls(&triggers->triggers[i], function))
			return true;
	return false;
}

bool
wf_attachment_is_cut_off(Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;
	bool		 by_statement = false;
	bool		 by_row = false;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (!calls(&triggers->triggers[i], "after_insert"))
			continue;
		if (TRIGGER_FOR_ROW(triggers->triggers[i].tgtype))
			by_row = true;
		else
			by_statement = true;
	}
	return by_statement && !by_row && rel->rd_rel->relispartition;
}

/* ---- rows ---- */

static void
read_attachment(uint64 row, WfAttachment *attachment)
{
	Datum columns;
	bool  isnull;

	attachment->id = DatumGetInt32(wf_result(row, 1, &isnull));
	attachment->relation = DatumGetObjectId(wf_result(row, 2, &isnull));
	attachment->process_id = DatumGetInt32(wf_result(row, 3, &isnull));
	attachment->process = wf_result_text(row, 4);
	attachment->latest = DatumGetInt32(wf_result(row, 5, &isnull));
	attachment->serial_column = wf_result_text(row, 6);
	attachment->serial_step = wf_result_text(row, 7);
	attachment->status_column = wf_result_text(row, 8);
	attachment->instance_column = wf_result_text(row, 9);
	attachment->condition = wf_result_text(row, 10);
	attachment->suspended = DatumGetBool(wf_result(row, 11, &isnull));
	attachment->search_path = wf_result_text(row, 12);
	attachment->trust = DatumGetBool(wf_result(row, 13, &isnull));
	attachment->relation_name = wf_result_text(row, 14);
	columns = wf_result(row, 15, &isnull);
	attachment->nresults = wf_row_results_read(isnull ? NULL : DatumGetJsonbP(columns), &attachment->results);
	attachment->on_update = DatumGetBool(wf_result(row, 16, &isnull));
	attachment->on_delete = DatumGetBool(wf_result(row, 17, &isnull));
	attachment->replicated = DatumGetBool(wf_result(row, 18, &isnull));
	attachment->show_in = DatumGetObjectId(wf_result(row, 19, &isnull));
}

int
wf_attachments_of(Oid relation, WfAttachment **attachments)
{
	Datum values[1] = {ObjectIdGetDatum(relation)};
	int	  n = (int) wf_query_run(&q_of, values, NULL);

	*attachments = palloc0(sizeof(WfAttachment) * Max(n, 1));
	for (int i = 0; i < n; i++)
		read_attachment(i, &(*attachments)[i]);
	SPI_freetuptable(SPI_tuptable);
	return n;
}

Oid
wf_attachment_shown_there(Oid show_in, Oid relation)
{
	Datum values[2] = {ObjectIdGetDatum(show_in), ObjectIdGetDatum(relation)};
	bool  isnull;

	if (wf_query_run(&q_shown_there, values, NULL) == 0)
		return InvalidOid;
	return DatumGetObjectId(wf_result(0, 1, &isnull));
}

static void
set_text_column(Datum *value, char *null, const char *text)
{
	*null = text != NULL ? ' ' : 'n';
	*value = text != NULL ? CStringGetTextDatum(text) : (Datum) 0;
}

/*
 * Find an earlier attachment to take over. Returns its number or 0; *stale_since is since when its
 * rows may be out of date.
 */
static int
former_attachment(const WfAttachment *attachment, bool restored, TimestampTz *stale_since)
{
	Datum values[4] = {ObjectIdGetDatum(attachment->relation), Int32GetDatum(attachment->process_id),
					   BoolGetDatum(restored), CStringGetTextDatum(attachment->relation_name)};
	bool  isnull;

	if (wf_query_run(&q_former, values, NULL) == 0)
		return 0;
	*stale_since = wf_result_int64(0, 2);
	return DatumGetInt32(wf_result(0, 1, &isnull));
}

/*
 * Owe write-backs to the instances of an attachment that was taken over. Workers try them, as after
 * any move.
 */
static void
show_again(int id, TimestampTz stale_since)
{
	Datum values[3] = {Int32GetDatum(id), CStringGetTextDatum(wf_executor_queue_of_table(id)),
					   TimestampTzGetDatum(stale_since)};

	if (wf_query_run(&q_show_again, values, NULL) > 0)
		wf_wakeup_due(WF_QUEUE_EXECUTOR, GetCurrentTimestamp());
}

bool
wf_attachment_add(WfAttachment *attachment, bool restored)
{
	TimestampTz stale_since;
	int			former = former_attachment(attachment, restored, &stale_since);
	Jsonb	   *results = wf_row_results_store(attachment);
	Datum		values[16] = {ObjectIdGetDatum(attachment->relation), Int32GetDatum(attachment->process_id)};
	char		nulls[16] = {' ', ' '};
	bool		isnull;

	set_text_column(&values[2], &nulls[2], attachment->relation_name);
	set_text_column(&values[3], &nulls[3], attachment->serial_column);
	set_text_column(&values[4], &nulls[4], attachment->serial_step);
	set_text_column(&values[5], &nulls[5], attachment->status_column);
	set_text_column(&values[6], &nulls[6], attachment->instance_column);
	set_text_column(&values[7], &nulls[7], attachment->condition);
	set_text_column(&values[8], &nulls[8], attachment->search_path);
	values[9] = BoolGetDatum(attachment->trust);
	values[10] = JsonbPGetDatum(results);
	set_text_column(&values[11], &nulls[11], wf_attachment_on_update(attachment));
	set_text_column(&values[12], &nulls[12], wf_attachment_on_delete(attachment));
	values[13] = BoolGetDatum(attachment->replicated);
	values[14] = ObjectIdGetDatum(attachment->show_in);
	values[15] = Int32GetDatum(former);
	nulls[9] = nulls[13] = nulls[15] = ' ';
	nulls[14] = OidIsValid(attachment->show_in) ? ' ' : 'n';
	nulls[10] = results != NULL ? ' ' : 'n';
	wf_query_run(former != 0 ? &q_add_again : &q_add, values, nulls);
	attachment->id = DatumGetInt32(wf_result(0, 1, &isnull));
	if (former != 0 && wf_attachment_shows(attachment))
		show_again(former, stale_since);
	return former != 0;
}

void
wf_attachment_detach(int id, const char *relation_name)
{
	Datum values[3] = {Int32GetDatum(id), CStringGetTextDatum(wf_executor_queue_of_table(id)),
					   CStringGetTextDatum(relation_name)};

	wf_query_run(&q_detach, values, NULL);
	wf_owed_delete(id);
	wf_refused_delete_all(id);
}

void
wf_attachment_forget(int id)
{
	Datum values[1] = {Int32GetDatum(id)};

	wf_query_run(&q_forget, values, NULL);
	wf_owed_delete(id);
	wf_refused_delete_all(id);
}

void
wf_attachment_prune(void)
{
	int	 n = (int) wf_query_run(&q_prune, NULL, NULL);
	int *gone = palloc(sizeof(int) * Max(n, 1));
	bool isnull;

	for (int i = 0; i < n; i++)
		gone[i] = DatumGetInt32(wf_result(i, 1, &isnull));
	for (int i = 0; i < n; i++)
		wf_attachment_forget(gone[i]);
}

void
wf_attachment_require_start(int process_id, const char *process, Oid owner, bool changes)
{
	char *name = GetUserNameFromId(owner, true);

	if (wf_privilege_has(process_id, owner, WF_PRIVILEGE_START))
		return;
	ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for process \"%s\"", process),
			errdetail("%s needs the privilege \"start\" of the owner of the table, role \"%s\".",
					  changes ? "Changing an instance by its row" : "Starting it by INSERT", name != NULL ? name : "?"),
			errhint("The owner of the process can give it with workflow.grant_process."));
}

void
wf_attachment_lock_process(int process_id)
{
	Datum values[1] = {Int32GetDatum(process_id)};

	if (wf_query_run(&q_lock_process, values, NULL) == 0)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("the process was undefined meanwhile"),
				errhint("Define it again with workflow.define."));
}

static int
read_keys(uint64 rows, WfLivingKey **found)
{
	*found = palloc(sizeof(WfLivingKey) * Max(rows, 1));
	for (uint64 i = 0; i < rows; i++)
		(*found)[i] = (WfLivingKey){wf_result_text(i, 1), wf_result_int64(i, 2)};
	SPI_freetuptable(SPI_tuptable);
	return (int) rows;
}

static int
find_keys(WfQuery *query, int process_id, int attachment, char **keys, int n, WfLivingKey **found)
{
	Datum *datums = palloc(sizeof(Datum) * Max(n, 1));
	Datum  values[3] = {Int32GetDatum(process_id), Int32GetDatum(attachment)};

	for (int i = 0; i < n; i++)
		datums[i] = CStringGetTextDatum(keys[i]);
	values[2] = PointerGetDatum(construct_array(datums, n, TEXTOID, -1, false, TYPALIGN_INT));
	return read_keys(wf_query_run(query, values, NULL), found);
}

int
wf_attachment_living(int process_id, int attachment, char **keys, int n, WfLivingKey **living)
{
	return find_keys(&q_living, process_id, attachment, keys, n, living);
}

int
wf_attachment_living_after(int process_id, int attachment, const WfLivingKey *last, int limit, WfLivingKey **living)
{
	Datum values[5] = {Int32GetDatum(process_id), Int32GetDatum(attachment), CStringGetTextDatum(last->business_key),
					   Int64GetDatum(last->instance), Int32GetDatum(limit)};

	return read_keys(wf_query_run(&q_living_after, values, NULL), living);
}

int
wf_attachment_known(int process_id, int attachment, char **keys, int n, WfLivingKey **known)
{
	return find_keys(&q_known, process_id, attachment, keys, n, known);
}

bool
wf_attachment_rekey(int process_id, int attachment, char **olds, char **news, int n)
{
	Datum  found[4] = {Int32GetDatum(process_id), Int32GetDatum(attachment), wf_text_array((const char **) olds, n),
					   wf_text_array((const char **) news, n)};
	int	   rows = (int) wf_query_run(&q_rekey_find, found, NULL);
	int64 *all = palloc(sizeof(int64) * Max(rows, 1));
	int64 *moved = palloc(sizeof(int64) * Max(rows, 1));
	const char **keys = palloc(sizeof(char *) * Max(rows, 1));
	int			 nmoved = 0;
	Datum		 values[2];

	for (int i = 0; i < rows; i++)
	{
		all[i] = moved[nmoved] = wf_result_int64(i, 1);
		keys[nmoved] = wf_result_text(i, 2);
		if (keys[nmoved] != NULL)
			nmoved++;
	}
	SPI_freetuptable(SPI_tuptable);
	if (nmoved == 0)
		return false;
	values[0] = wf_int64_array(all, rows);
	(void) wf_query_run(&q_rekey_lock, values, NULL);
	SPI_freetuptable(SPI_tuptable);
	(void) wf_query_run(&q_rekey_clear, values, NULL);
	values[0] = wf_int64_array(moved, nmoved);
	values[1] = wf_text_array(keys, nmoved);
	(void) wf_query_run(&q_rekey_set, values, NULL);
	return true;
}

/* ---- what rows show ---- */

bool
wf_attachment_shown(int64 instance, int64 delivery, WfShown *shown)
{
	Datum values[2] = {Int64GetDatum(instance), Int64GetDatum(delivery)};

	memset(shown, 0, sizeof(*shown));
	shown->delivery = delivery;
	if (wf_query_run(&q_shown, values, NULL) == 0)
	{
		wf_query_run(&q_missed, &values[1], NULL);
		return false;
	}
	read_attachment(0, &shown->attachment);
	shown->business_key = wf_result_text(0, ATTACHMENT_NCOLUMNS + 1);
	return true;
}

/*
 * What the columns for results show, of the row that was found: over its data, the version of which is in the next column,
 * or as they were kept.
 */
static void
look_at_results(WfShown *shown, int data_column, int kept_column)
{
	bool	   no_data;
	bool	   nothing_kept = true;
	Datum	   data = wf_result(0, data_column, &no_data);
	Datum	   kept = kept_column != 0 ? wf_result(0, kept_column, &nothing_kept) : (Datum) 0;
	Jsonb	  *copy = no_data ? NULL : DatumGetJsonbPCopy(data);
	WfProcess *process;
	bool	   isnull;

	if (no_data)
	{
		shown->results =
			wf_row_results_kept(&shown->attachment, nothing_kept ? wf_jsonb_empty_object() : DatumGetJsonbPCopy(kept));
		return;
	}
	process = wf_process_get(shown->attachment.process_id, DatumGetInt32(wf_result(0, data_column + 1, &isnull)));
	wf_row_results_compile(&shown->attachment);
	shown->results = wf_row_results_work_out(&shown->attachment, copy, process->timezone, &shown->unworked);
}

void
wf_attachment_look(int64 instance, WfShown *shown)
{
	bool  has_results = shown->attachment.nresults > 0;
	Datum values[5] = {Int32GetDatum(shown->attachment.process_id), Int32GetDatum(shown->attachment.id),
					   CStringGetTextDatum(shown->business_key)};
	char  nulls[5] = {' ', ' ', ' ', ' ', ' '};

	set_text_column(&values[3], &nulls[3], shown->attachment.serial_step);
	values[4] = BoolGetDatum(has_results);
	shown->status = NULL;
	shown->visit = 0;
	shown->results = NULL;
	shown->unworked = NULL;
	shown->living = wf_query_run(&q_look_living, values, nulls) > 0;
	if (shown->living)
		shown->visit = wf_result_int64(0, 3);
	else
	{
		values[0] = Int64GetDatum(instance);
		values[1] = Int64GetDatum(shown->delivery);
		values[2] = BoolGetDatum(has_results);
		if (wf_query_run(&q_look_ended, values, NULL) == 0)
			return;
	}
	shown->instance = wf_result_int64(0, 1);
	shown->status = wf_result_text(0, 2);
	if (has_results)
		look_at_results(shown, shown->living ? 4 : 3, shown->living ? 0 : 5);
}

void
wf_attachment_write_back(int64 instance, int attachment, TimestampTz at)
{
	wf_delivery_add(instance, 0, WF_DELIVERY_WRITE_BACK, wf_executor_queue_of_table(attachment), at, NULL);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, at);
}
