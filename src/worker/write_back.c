/*
 * write_back.c
 *		What an attached row shows of its instance, written by an executor.
 *
 * The row is locked first and the state read after that, with a fresh snapshot: whoever comes second writes what is
 * true then, in whatever order deliveries are handled. No instance is locked. An UPDATE happens only if something differs.
 *
 * The table's triggers, constraints and policies are its owner's code: it runs in a subtransaction, as that owner, for whom
 * the session speaks too, in a security-restricted operation, with constraints immediate: at commit deferred triggers
 * would run as somebody else. Names in it are found as where the table was attached, with pg_temp last.
 *
 * What fails, whatever the reason, stays owed (store/owed.c), and is tried again after a growing pause, and whenever the
 * instance moves. It ends when it is done, and when there is no row of that key: that is looked for past row-level
 * security, which may only hide it.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/sequence.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "shmem/executors.h"
#include "shmem/news.h"
#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/attachment.h"
#include "store/due.h"
#include "store/owed.h"
#include "store/role_settings.h"
#include "store/row.h"
#include "store/session_user.h"
#include "store/trust.h"
#include "worker/row_writer.h"
#include "worker/write_back.h"

/* A row, or a table, that others hold for longer is left for later, since executors are few. */
#define LONGEST_LOCK_WAIT "1s"
/* The pause after a failure doubles from the one to the other. */
#define SHORTEST_PAUSE_MS INT64CONST(1000)
#define LONGEST_PAUSE_MS  INT64CONST(3600000)
#define DEADLY_PAUSE_MS	  (365 * INT64CONST(86400000))
/* A table that somebody has locked is waited for that seldom. */
#define BUSY_TABLE_MS	5000
#define REPORT_EVERY_MS 1000

/* ---- what goes wrong ---- */

/* Reasons of our own; of an error that was caught elevel is set. PostgreSQL says nothing when policies and triggers keep a row as it is. */
static const ErrorData untouched =
	{.sqlerrcode = ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION,
	 .message = "it was not updated",
	 .detail = "The table's policies for row-level security do not let its owner, or a trigger has returned NULL."};
static const ErrorData keyless = {.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
								  .message = "the table has no primary key any more"};
static const ErrorData overruled = {.sqlerrcode = ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION,
									.message = "something else was written",
									.detail =
										"A trigger that comes after \"" WF_TRIGGER_KEEP "\" has set these columns."};
/* Nothing to be told of: it has got another owner meanwhile. */
static const ErrorData not_ours = {.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE};
static const ErrorData uncancellable =
	{.sqlerrcode = ERRCODE_QUERY_CANCELED,
	 .message = "it took longer than workflow.sql_timeout allows, and could not be cancelled",
	 .detail = "One of the table's triggers catches query_canceled."};
static const ErrorData deadly = {.sqlerrcode = ERRCODE_SYSTEM_ERROR,
								 .message =
									 "the server has died of it several times, so it is not tried again by itself",
								 .detail = "Look at the triggers of the table, and call workflow.write_back."};

/* One of our own with a message that is made. */
static ErrorData *
make_error(int sqlerrcode, char *message)
{
	ErrorData *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = sqlerrcode;
	error->message = message;
	return error;
}

/* So many rows of a table may fail for the same reason that the log would be full of them. */
static bool
was_just_reported(const WfShown *shown, const ErrorData *error)
{
	static int		   attachment = 0;
	static uint32	   reason;
	static TimestampTz until;
	TimestampTz		   now = GetCurrentTimestamp();
	uint32			   hash = string_hash(error->message, strlen(error->message) + 1);

	if (attachment == shown->attachment.id && reason == hash && now < until)
		return true;
	attachment = shown->attachment.id;
	reason = hash;
	until = TimestampTzPlusMilliseconds(now, REPORT_EVERY_MS);
	return false;
}

/* Once for each reason: every try is in the view. */
static void
report_write_back(int64 instance, const WfShown *shown, const ErrorData *error)
{
	char *table = get_rel_name(shown->attachment.relation);

	if (was_just_reported(shown, error))
		return;
	ereport(WARNING, errcode(error->sqlerrcode),
			errmsg("workflow could not write to the row with key %s of table \"%s\": %s", shown->business_key,
				   table != NULL ? table : "?", error->message),
			error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
			errhint("It is tried again later: see the view workflow.write_backs."),
			errcontext("instance " INT64_FORMAT " of process \"%s\"", instance, shown->attachment.process));
}

/* ---- one row ---- */

/* What the statement has given of the row. */
static void
read_columns(WfRowWriter *writer, char **current)
{
	int n = 0;

	for (int i = 0; i < WF_NSHOWS; i++)
		if (writer->columns[i].attno != 0)
		{
			WfRowColumn column = writer->columns[i];

			column.attno = ++n;
			current[i] = wf_row_text(&column, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
		}
}

/* Its columns as they are, with the row locked. False if there is no such row. */
static bool
lock_row(WfRowWriter *writer, Datum *key, char **current)
{
	int rc = SPI_execute_plan(writer->lock, key, NULL, false, 1);

	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
	if (SPI_processed == 0)
		return false;
	read_columns(writer, current);
	return true;
}

/*
 * A row that could not be locked may be hidden by policies, those for UPDATE as well. Its owner sees it without them in the
 * way that foreign keys do, though they are forced on him.
 */
static bool
is_hidden(WfRowWriter *writer, Relation rel, Datum *key)
{
	Oid user;
	int sec_context;
	int rc;

	if (!rel->rd_rel->relrowsecurity)
		return false;
	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(user, sec_context | SECURITY_NOFORCE_RLS);
	wf_row_writer_see(writer, rel);
	rc = SPI_execute_plan(writer->see, key, NULL, false, 1);
	SetUserIdAndSecContext(user, sec_context);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
	return SPI_processed > 0;
}

static void
what_to_show(const WfShown *shown, char **wanted)
{
	wanted[WF_SHOWS_STATUS] = shown->status;
	wanted[WF_SHOWS_INSTANCE] = psprintf(INT64_FORMAT, shown->instance);
	wanted[WF_SHOWS_SERIAL_NUMBER] =
		shown->visit != 0 ? psprintf(INT64_FORMAT "_" INT64_FORMAT, shown->instance, shown->visit) : NULL;
}

static bool
differs(const WfRowWriter *writer, char **current, char **wanted)
{
	for (int i = 0; i < WF_NSHOWS; i++)
	{
		if (writer->columns[i].attno == 0)
			continue;
		if ((current[i] == NULL) != (wanted[i] == NULL) || (current[i] != NULL && strcmp(current[i], wanted[i]) != 0))
			return true;
	}
	return false;
}

/* NULL: the row shows it now. */
static const ErrorData *
update_row(WfRowWriter *writer, Datum *key, char **wanted)
{
	Datum		 values[INDEX_MAX_KEYS + WF_NSHOWS];
	char		 nulls[INDEX_MAX_KEYS + WF_NSHOWS];
	char		*current[WF_NSHOWS] = {NULL};
	WfWriting	 writing = {.relation = writer->relid};
	volatile int rc = 0;

	memcpy(values, key, sizeof(Datum) * writer->key.n);
	memset(nulls, ' ', writer->key.n);
	for (int i = 0; i < WF_NSHOWS; i++)
		if (writer->columns[i].attno != 0)
		{
			int n = writing.n++;

			writing.names[n] = writer->columns[i].name;
			writing.values[n] = values[writer->key.n + n] = wf_row_input(&writer->columns[i], wanted[i]);
			writing.nulls[n] = wanted[i] == NULL;
			nulls[writer->key.n + n] = wanted[i] != NULL ? ' ' : 'n';
		}
	wf_attachment_writing = &writing;
	PG_TRY();
	{
		rc = SPI_execute_plan(writer->update, values, nulls, false, 0);
	}
	PG_FINALLY();
	{
		wf_attachment_writing = NULL;
	}
	PG_END_TRY();
	if (rc != SPI_OK_UPDATE_RETURNING)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
	if (SPI_processed == 0)
		return &untouched;
	read_columns(writer, current);
	return differs(writer, current, wanted) ? &overruled : NULL;
}

/* The row belongs to an instance that was started later. */
static bool
belongs_to_a_later_one(const WfShown *shown, const char *current)
{
	return !shown->living && current != NULL && strtoll(current, NULL, 10) > shown->instance;
}

static void
look_at_instance(int64 instance, WfShown *shown)
{
	MemoryContext context = CurrentMemoryContext;
	WfAccess	  access;

	wf_store_enter(&access);
	MemoryContextSwitchTo(context);
	wf_attachment_look(instance, shown);
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
}

/*
 * What attach refuses can come later: triggers of whoever has the privilege, constraints of domains. The table is locked, so
 * that it changes no more. NULL: it is trusted.
 */
static const ErrorData *
distrust(Relation rel, const WfShown *shown)
{
	MemoryContext context = CurrentMemoryContext;
	WfRowWriter	 *writer = wf_row_writer_find(shown->attachment.id);
	WfAccess	  access;
	char		 *code;
	bool		  wide;

	if (shown->attachment.trust)
		return NULL;
	wide = wf_trust_lock_followers(rel) || rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	if (writer->trusted && writer->unchanged && writer->generation == wf_trust_generation())
		return NULL;
	writer->relid = RelationGetRelid(rel);
	writer->wide = wide;
	writer->trusted = false; /* and so it stays, should the look fail */
	writer->unchanged = true;
	writer->generation = wf_trust_generation();
	wf_store_enter(&access);
	code = wf_trust_foreign_code(&shown->attachment);
	if (code != NULL)
		code = MemoryContextStrdup(context, code);
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
	writer->trusted = code == NULL;
	if (writer->trusted)
		return NULL;
	return make_error(ERRCODE_INSUFFICIENT_PRIVILEGE,
					  psprintf("it would run %s with the rights of the owner of the table", code));
}

/*
 * Who has had the row, or its partition, locked until now could have brought more meanwhile; from now on he cannot. The row has
 * been locked by the statement before.
 */
static const ErrorData *
distrust_again(Relation rel, const WfShown *shown)
{
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
	{
		bool isnull;
		Oid	 leaf = DatumGetObjectId(
			 SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, SPI_tuptable->tupdesc->natts, &isnull));
		Relation partition = try_relation_open(leaf, RowExclusiveLock);

		if (partition != NULL)
		{
			(void) wf_trust_lock_followers(partition);
			relation_close(partition, NoLock);
		}
	}
	AcceptInvalidationMessages();
	return distrust(rel, shown);
}

/* NULL: it shows what it should, or there is none. What there are columns for is written, though others are missing. */
static const ErrorData *
write_row(Relation rel, int64 instance, WfShown *shown)
{
	WfRowWriter		*writer = wf_row_writer_find(shown->attachment.id);
	Datum			 key[INDEX_MAX_KEYS];
	char			*current[WF_NSHOWS] = {NULL};
	char			*wanted[WF_NSHOWS] = {NULL};
	MemoryContext	 context = CurrentMemoryContext;
	const ErrorData *error;

	wf_row_writer_set_up(writer, rel, &shown->attachment);
	if (writer->key.n == 0)
		return &keyless;
	if (!wf_row_key_parse(&writer->key, shown->business_key, key))
		return NULL;
	if (!lock_row(writer, key, current))
		return is_hidden(writer, rel, key) ? &untouched : NULL;
	if (!wf_row_writer_shows(writer))
		return writer->lost;
	MemoryContextSwitchTo(context); /* an error lives longer than SPI's */
	error = distrust_again(rel, shown);
	if (error != NULL)
		return error;
	look_at_instance(instance, shown);
	if (shown->status == NULL || belongs_to_a_later_one(shown, current[WF_SHOWS_INSTANCE]))
		return NULL;
	what_to_show(shown, wanted);
	error = differs(writer, current, wanted) ? update_row(writer, key, wanted) : NULL;
	return error != NULL ? error : writer->lost;
}

/* ---- as the owner ---- */

/* Should a trigger defer constraints again, PostgreSQL refuses to queue anything in a security-restricted operation. */
static const ErrorData *
write_as_owner(Relation rel, int64 instance, WfShown *shown)
{
	MemoryContext	 context = CurrentMemoryContext;
	const ErrorData *error;
	WfAsOwner		 owner;
	int				 level;

	PushActiveSnapshot(GetTransactionSnapshot());
	level = NewGUCNestLevel();
	wf_role_settings_apply(rel->rd_rel->relowner);
	wf_session_user_set(rel->rd_rel->relowner);
	wf_as_owner_begin(&owner, rel->rd_rel->relowner, shown->attachment.search_path);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context);
	wf_constraints_immediate();
	error = write_row(rel, instance, shown);
	SPI_finish();
	wf_as_owner_end(&owner);
	AtEOXact_GUC(false, level);
	PopActiveSnapshot();
	MemoryContextSwitchTo(context);
	return error;
}

/* Is this still the table that was attached, and with which columns? Both may have changed before it was locked. */
static bool
is_attached(Relation rel, int64 instance, WfShown *shown)
{
	MemoryContext context = CurrentMemoryContext;
	WfAccess	  access;
	WfShown		  now;
	bool		  answer;

	wf_store_enter(&access);
	MemoryContextSwitchTo(context);
	answer = wf_attachment_has_trigger(rel, "after_insert") && wf_attachment_shown(instance, shown->delivery, &now) &&
			 now.attachment.relation == RelationGetRelid(rel);
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
	if (answer)
		*shown = now;
	return answer;
}

/*
 * Whoever has locked the whole table is waited for as shortly as for a row, and by one write-back for all that come after
 * it: there may be thousands. NULL if there is no such table any more.
 */
static Relation
open_table(Oid relid)
{
	static Oid		   busy = InvalidOid;
	static TimestampTz busy_until = 0;
	TimestampTz		   now = GetCurrentTimestamp();

	if (!ConditionalLockRelationOid(relid, RowExclusiveLock))
	{
		if (busy == relid && busy_until > now)
			ereport(ERROR, errcode(ERRCODE_LOCK_NOT_AVAILABLE), errmsg("the table is locked by somebody else"));
		busy = relid;
		busy_until = TimestampTzPlusMilliseconds(now, BUSY_TABLE_MS);
		LockRelationOid(relid, RowExclusiveLock);
	}
	if (busy == relid)
		busy = InvalidOid;
	return try_relation_open(relid, NoLock);
}

static const ErrorData *
write_attached(Relation rel, int64 instance, WfShown *shown)
{
	WfRowWriter		*writer = wf_row_writer_find(shown->attachment.id);
	const ErrorData *error;

	if (!is_attached(rel, instance, shown))
		return NULL;
	if (rel->rd_rel->relowner != wf_executor_role())
		return &not_ours;
	if (writer->relid != RelationGetRelid(rel))
		writer->valid = writer->unchanged = false;
	error = distrust(rel, shown);
	return error != NULL ? error : write_as_owner(rel, instance, shown);
}

static const ErrorData *
write_table(int64 instance, WfShown *shown)
{
	int				 level = NewGUCNestLevel();
	const ErrorData *error = NULL;
	Relation		 rel;

	(void) set_config_option("lock_timeout", LONGEST_LOCK_WAIT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	rel = open_table(shown->attachment.relation);
	if (rel != NULL)
	{
		error = write_attached(rel, instance, shown);
		relation_close(rel, NoLock);
	}
	AtEOXact_GUC(false, level);
	return error;
}

/* ---- done or owed ---- */

/* A cancel ends the statement as any other error does, a trigger may have raised it; a termination is no error. */
static const ErrorData *
write_guarded(int64 instance, WfShown *shown)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner resources = CurrentResourceOwner;
	const ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		error = write_table(instance, shown);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	QueryCancelPending = false;
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = resources;
	LockReleaseSession(USER_LOCKMETHOD);
	ResetSequenceCaches();
	return error;
}

/* The details of PostgreSQL's own messages hold what is in the row: not for everybody who may view the process. */
static const char *
describe(const ErrorData *error)
{
	return error->elevel == 0 && error->detail != NULL ? psprintf("%s: %s", error->message, error->detail)
													   : error->message;
}

/* The state is read again, since a failure may have come before that. */
static void
owe(const WfDelivery *delivery, WfShown *shown, const ErrorData *error, TimestampTz since)
{
	int64		pause_ms = error == &deadly			 ? DEADLY_PAUSE_MS
						   : error == &uncancellable ? LONGEST_PAUSE_MS
													 : Min(SHORTEST_PAUSE_MS << Min(delivery->attempt, 20), LONGEST_PAUSE_MS);
	TimestampTz again = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);

	wf_attachment_look(delivery->instance, shown);
	if (!wf_owed_keep(delivery->id, shown, describe(error), again, since))
		return;
	report_write_back(delivery->instance, shown, error);
	wf_news_add(WF_NEWS_WRITE_BACK, shown->attachment.process, NULL, delivery->instance, 0,
				since != 0 ? since : delivery->due_at);
}

static bool
begin_write_back(const WfDelivery *delivery, WfShown *shown, TimestampTz *since, bool *alone)
{
	MemoryContext context = CurrentMemoryContext;
	WfAccess	  access;
	bool		  found;

	wf_store_enter(&access);
	MemoryContextSwitchTo(context);
	found = wf_attachment_shown(delivery->instance, delivery->id, shown) && wf_attachment_shows(&shown->attachment);
	if (found)
		*alone = wf_owed_supersede(delivery->id, delivery->instance, shown, since);
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
	return found;
}

/*
 * Somebody who is trying an older one may yet write, after us, what was true before: then this one comes once more. Both would wait
 * for the same row, but for the other's delivery nobody does.
 */
static void
end_write_back(const WfDelivery *delivery, WfShown *shown, const ErrorData *error, TimestampTz since, bool alone)
{
	WfAccess	access;
	TimestampTz again = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SHORTEST_PAUSE_MS);

	wf_store_enter(&access);
	if (error == &not_ours)
		wf_wakeup_due(WF_QUEUE_EXECUTOR, delivery->due_at); /* it stays as it is, and is another executor's */
	else if (error != NULL)
		owe(delivery, shown, error, since);
	else if (alone)
		wf_delivery_delete(delivery->id);
	else
	{
		wf_delivery_postpone(delivery->id, again);
		wf_wakeup_due(WF_QUEUE_EXECUTOR, again);
	}
	wf_store_leave(&access);
}

void
wf_write_back(const WfDelivery *delivery, WfSpared spared)
{
	MemoryContext	 context = CurrentMemoryContext;
	WfShown			 shown;
	const ErrorData *error = spared == WF_SPARED_UNCANCELLABLE ? &uncancellable
							 : spared == WF_SPARED_DEADLY	   ? &deadly
															   : NULL;
	TimestampTz		 since = 0;
	bool			 alone = true;

	if (!begin_write_back(delivery, &shown, &since, &alone))
		error = NULL;
	else if (spared == WF_SPARED_NOT)
		error = write_guarded(delivery->instance, &shown);
	end_write_back(delivery, &shown, error, since, alone);
	MemoryContextSwitchTo(context);
}
