/*
 * write_back.c
 *		Write-backs: an executor writes to an attached row what it shows of its instance.
 *
 * The row is locked first, and the state of the instance read after that with a fresh snapshot. So of two write-backs
 * the second one writes what is true by then, in whatever order they come. No instance is locked. The row is updated
 * only if a column differs.
 *
 * The table's triggers, constraints and policies are code of its owner. They run in a subtransaction, as that owner
 * (session_user, too), in a security-restricted operation. Constraints are immediate, since deferred triggers would run
 * at commit as another role. Names are looked up by the search_path with which the table was attached, pg_temp last.
 *
 * A write-back that fails, for whatever reason, is owed (store/owed.c): it is tried again after a pause that grows,
 * and whenever the instance moves. It ends when it has worked, or when there is no row with that key. Row-level
 * security may hide a row, so that is found out past its policies.
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
#include "utils/portal.h"
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
#include "store/played.h"
#include "store/role_settings.h"
#include "store/row.h"
#include "store/row_result.h"
#include "store/session_user.h"
#include "store/subtransaction.h"
#include "store/trust.h"
#include "worker/limit.h"
#include "worker/row_writer.h"
#include "worker/write_back.h"

/* Longest wait for a row or a table that another transaction has locked, since executors are few. */
#define LONGEST_LOCK_WAIT "1s"
/* The pause after a failure doubles, from the shortest to the longest. */
#define SHORTEST_PAUSE_MS INT64CONST(1000)
#define LONGEST_PAUSE_MS  INT64CONST(3600000)
/* Those for a row that cannot be seen yet, which may be at any moment. */
#define UNSEEN_PAUSE_MS			INT64CONST(20)
#define LONGEST_UNSEEN_PAUSE_MS INT64CONST(30000)
/* Pause after the server has died of a write-back: in fact, until somebody asks for it. */
#define DEADLY_PAUSE_MS (365 * INT64CONST(86400000))
/* While another transaction has locked a table, only one write-back in so long a time waits for it. */
#define BUSY_TABLE_MS 5000
/* Failures of an attachment for the same reason are logged so often at most. */
#define REPORT_EVERY_MS 1000

static bool played = false; /* this transaction plays write-backs by itself; else an executor carries them out */
static Oid	played_for = InvalidOid; /* then for this role */
static int	played_error;			 /* SQLSTATE of its failure; 0: none */

/* ---- failures ---- */

/*
 * Failures that PostgreSQL does not report as errors, such as policies or triggers that leave the row as it is.
 * Unlike in an error that was caught, elevel is 0.
 */
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
static const ErrorData lost_table = {.sqlerrcode = ERRCODE_UNDEFINED_TABLE,
									 .message = "the table that is to show it is not there any more",
									 .detail =
										 "Detach the attached table, and attach it with the one that shows it now."};
static const ErrorData not_of_owner =
	{.sqlerrcode = ERRCODE_INSUFFICIENT_PRIVILEGE,
	 .message = "the table that is to show it belongs to another role than the attached one"};
/* Who has committed a row sees to it a moment after its replication may have begun. This is told if it lasts. */
static const ErrorData unseen = {.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
								 .message = "the row cannot be seen where it comes from",
								 .detail = "It was replicated, and its deletion was not."};
/* The table has got another owner, for whom another executor works. This is not told. */
static const ErrorData not_ours = {.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE};
static const ErrorData uncancellable =
	{.sqlerrcode = ERRCODE_QUERY_CANCELED,
	 .message = "it took longer than workflow.sql_timeout allows, and could not be cancelled",
	 .detail = "One of the table's triggers catches query_canceled."};
static const ErrorData deadly = {.sqlerrcode = ERRCODE_SYSTEM_ERROR,
								 .message =
									 "the server has died of it several times, so it is not tried again by itself",
								 .detail = "Look at the triggers of the table, and call workflow.write_back."};

/* Make such a failure, with a message. */
static ErrorData *
make_error(int sqlerrcode, char *message)
{
	ErrorData *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = sqlerrcode;
	error->message = message;
	return error;
}

/* Was the same failure of another row logged a moment ago? Thousands of rows may fail for the same reason. */
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

/* Log a failure. The caller does so once for each reason of a write-back; the view write_backs shows every try. */
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

/* Read the columns from the result of the statement, as text. */
static void
read_columns(WfRowWriter *writer, char **current)
{
	int n = 0;

	for (int i = 0; i < writer->ncolumns; i++)
		if (writer->columns[i].attno != 0)
		{
			WfRowColumn column = writer->columns[i];

			column.attno = ++n;
			current[i] = wf_row_text(&column, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
		}
}

/* Lock the row and read its columns. Returns false if no such row can be seen. */
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
 * Is there a row that could not be locked? Policies may hide it, those for UPDATE, too; and one that was replicated may not yet be
 * seen where it comes from. The row is looked for as the owner, without policies even if they are forced on the owner, as
 * foreign keys do it.
 */
static bool
is_there(WfRowWriter *writer, Relation keyed, Datum *key)
{
	Oid user;
	int sec_context;
	int rc;

	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(user, sec_context | SECURITY_NOFORCE_RLS);
	wf_row_writer_see(writer, keyed);
	rc = SPI_execute_plan(writer->see, key, NULL, false, 1);
	SetUserIdAndSecContext(user, sec_context);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
	return SPI_processed > 0;
}

/* Why could the row not be locked? NULL: there is none. */
static const ErrorData *
why_not_locked(WfRowWriter *writer, Relation keyed, Relation rel, Datum *key)
{
	if ((rel == keyed && !rel->rd_rel->relrowsecurity) || !is_there(writer, keyed, key))
		return NULL;
	return rel == keyed ? &untouched : &unseen;
}

/* A result on its way into its column. */
typedef struct Reading
{
	WfRowColumn *column;
	char		*text; /* as it is given, and then as the column's type has it */
} Reading;

static bool
read_as_type(void *arg)
{
	Reading *reading = arg;
	Datum	 value = wf_row_input(reading->column, reading->text);

	reading->text = OutputFunctionCall(&reading->column->output, value);
	return true;
}

/*
 * What the column shows if this result is written to it; what it shows already if that cannot be, with the failure in *error. A
 * result that the column's type does not take is caught here, so that the other columns are written all the same.
 */
static char *
what_result_shows(WfRowColumn *column, const WfRowResult *result, char *current, const ErrorData **error)
{
	Reading	   reading = {column, wf_row_result_text(result, column->type)};
	ErrorData *refused;

	if (!result->worked)
		return current;
	if (reading.text == NULL || (current != NULL && strcmp(reading.text, current) == 0))
		return reading.text;
	refused = wf_subtransaction_run(read_as_type, &reading);
	if (refused == NULL)
		return wf_row_strip(column, reading.text);
	if (wf_error_is_of_server(refused->sqlerrcode))
		ReThrowError(refused);
	if (*error == NULL)
		*error = make_error(refused->sqlerrcode, psprintf("column \"%s\": %s", column->name, refused->message));
	return current;
}

/* Returns the failure of the first result that cannot be written; NULL: all can. */
static const ErrorData *
what_to_show(WfRowWriter *writer, const WfShown *shown, char **current, char **wanted)
{
	const ErrorData *error = NULL;

	if (shown->unworked != NULL)
		error = make_error(ERRCODE_INVALID_PARAMETER_VALUE, pstrdup(shown->unworked));
	wanted[WF_SHOWS_STATUS] = shown->status;
	wanted[WF_SHOWS_INSTANCE] = psprintf(INT64_FORMAT, shown->instance);
	wanted[WF_SHOWS_SERIAL_NUMBER] =
		shown->visit != 0 ? psprintf(INT64_FORMAT "_" INT64_FORMAT, shown->instance, shown->visit) : NULL;
	for (int i = WF_SHOWS_RESULTS; i < writer->ncolumns; i++)
		if (writer->columns[i].attno != 0)
			wanted[i] =
				what_result_shows(&writer->columns[i], &shown->results[i - WF_SHOWS_RESULTS], current[i], &error);
	return error;
}

static bool
differs(const WfRowWriter *writer, char **current, char **wanted)
{
	for (int i = 0; i < writer->ncolumns; i++)
	{
		if (writer->columns[i].attno == 0)
			continue;
		if ((current[i] == NULL) != (wanted[i] == NULL) || (current[i] != NULL && strcmp(current[i], wanted[i]) != 0))
			return true;
	}
	return false;
}

/* Update the row. Returns NULL if it shows what it should, or the failure. */
static const ErrorData *
update_row(WfRowWriter *writer, Datum *key, char **wanted)
{
	Datum		 values[INDEX_MAX_KEYS + WF_MAX_SHOWS];
	char		 nulls[INDEX_MAX_KEYS + WF_MAX_SHOWS];
	const char	*names[WF_MAX_SHOWS];
	bool		 writes_null[WF_MAX_SHOWS];
	char		*current[WF_MAX_SHOWS] = {NULL};
	WfWriting	 writing = {writer->relid, 0, names, values + writer->key.n, writes_null};
	volatile int rc = 0;

	memcpy(values, key, sizeof(Datum) * writer->key.n);
	memset(nulls, ' ', writer->key.n);
	for (int i = 0; i < writer->ncolumns; i++)
		if (writer->columns[i].attno != 0)
		{
			int n = writing.n++;

			writing.names[n] = writer->columns[i].name;
			writing.values[n] = wf_row_input(&writer->columns[i], wanted[i]);
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

/* Does the row show an instance that was started later, so that it is not ours any more? */
static bool
belongs_to_a_later_one(const WfShown *shown, const char *current)
{
	return !shown->living && current != NULL && strtoll(current, NULL, 10) > shown->instance;
}

/* Find out what the row should show by now. */
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
 * Would the write-back run code of other roles as the table's owner? Attaching such a table is refused, but code can
 * come later, by triggers of a role with that privilege, or by constraints of domains. The table is locked, so that
 * it does not change any more. Returns NULL if there is no such code, or the failure.
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
	writer->trusted = false; /* it stays so if an error is thrown below */
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
 * Look for code of other roles again, now that the row is locked: a transaction for which that lock has waited may have
 * brought some. Locking the row's partition, too, keeps others from doing so from now on.
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

/*
 * Write to the row. Returns NULL if it shows what it should, or there is no such row; else the failure. If columns were
 * lost, or do not take their results, the others are written, and that is the failure.
 */
static const ErrorData *
write_row(Relation keyed, Relation rel, int64 instance, WfShown *shown)
{
	WfRowWriter		*writer = wf_row_writer_find(shown->attachment.id);
	Datum			 key[INDEX_MAX_KEYS];
	char			*current[WF_MAX_SHOWS] = {NULL};
	char			*wanted[WF_MAX_SHOWS] = {NULL};
	MemoryContext	 context = CurrentMemoryContext;
	const ErrorData *error;
	const ErrorData *unfit;

	wf_row_writer_set_up(writer, keyed, rel, &shown->attachment);
	if (writer->key.n == 0)
		return &keyless;
	if (!wf_row_key_parse(&writer->key, shown->business_key, key))
		return NULL;
	if (!lock_row(writer, key, current))
		return why_not_locked(writer, keyed, rel, key);
	if (!wf_row_writer_shows(writer))
		return writer->lost;
	MemoryContextSwitchTo(context); /* an error lives longer than SPI's */
	error = distrust_again(rel, shown);
	if (error != NULL)
		return error;
	look_at_instance(instance, shown);
	if (shown->status == NULL || belongs_to_a_later_one(shown, current[WF_SHOWS_INSTANCE]))
		return NULL;
	unfit = what_to_show(writer, shown, current, wanted);
	error = differs(writer, current, wanted) ? update_row(writer, key, wanted) : NULL;
	return error != NULL ? error : unfit != NULL ? unfit : writer->lost;
}

/* ---- as the owner ---- */

/*
 * Write to the row as the table's owner. If a trigger defers constraints again, PostgreSQL itself refuses to queue
 * their triggers in a security-restricted operation.
 */
static const ErrorData *
write_as_owner(Relation keyed, Relation rel, int64 instance, WfShown *shown)
{
	MemoryContext	 context = CurrentMemoryContext;
	const ErrorData *error;
	WfAsOwner		 owner;
	int				 level;

	PushActiveSnapshot(GetTransactionSnapshot());
	level = NewGUCNestLevel();
	wf_role_settings_apply(rel->rd_rel->relowner);
	if (!played)
		wf_session_user_set(rel->rd_rel->relowner);
	wf_as_owner_begin(&owner, rel->rd_rel->relowner, shown->attachment.search_path);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context);
	wf_constraints_immediate();
	error = write_row(keyed, rel, instance, shown);
	if (!played)
		PortalHashTableDeleteAll(); /* cursors of triggers: the next one may run in the same transaction */
	SPI_finish();
	wf_as_owner_end(&owner);
	AtEOXact_GUC(false, level);
	PopActiveSnapshot();
	MemoryContextSwitchTo(context);
	return error;
}

/*
 * Is this table still attached? Reads the attachment again, since it may have changed before the table was locked, and
 * its columns with it.
 */
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
 * Lock and open the table. If another transaction has locked all of it, one write-back waits for a short time; those
 * that come after it, perhaps thousands, fail at once. Returns NULL if there is no such table any more.
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
write_shown(Relation keyed, Relation rel, int64 instance, WfShown *shown)
{
	WfRowWriter		*writer = wf_row_writer_find(shown->attachment.id);
	const ErrorData *error;

	if (rel->rd_rel->relowner != keyed->rd_rel->relowner)
		return &not_of_owner;
	if (writer->relid != RelationGetRelid(rel))
		writer->valid = writer->unchanged = false;
	error = distrust(rel, shown);
	return error != NULL ? error : write_as_owner(keyed, rel, instance, shown);
}

static const ErrorData *
write_attached(Relation rel, int64 instance, WfShown *shown)
{
	const ErrorData *error = &lost_table;
	Relation		 shows;

	if (!is_attached(rel, instance, shown))
		return NULL;
	if (rel->rd_rel->relowner != (played ? played_for : wf_executor_role()))
		return &not_ours;
	if (!OidIsValid(shown->attachment.show_in))
		return write_shown(rel, rel, instance, shown);
	shows = try_relation_open(shown->attachment.show_in, RowExclusiveLock);
	if (shows != NULL)
	{
		error = write_shown(rel, shows, instance, shown);
		relation_close(shows, NoLock);
	}
	return error;
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

typedef struct TableWrite
{
	int64			 instance;
	WfShown			*shown;
	const ErrorData *refused; /* why it was not written, though nothing was thrown; or NULL */
} TableWrite;

static bool
run_table_write(void *arg)
{
	TableWrite *write = arg;

	write->refused = write_table(write->instance, write->shown);
	return true;
}

/*
 * Write to the table in a subtransaction, and return the failure, or NULL. A cancel is caught like any other error,
 * since a trigger may have raised it; a termination is not caught.
 */
static const ErrorData *
write_guarded(int64 instance, WfShown *shown)
{
	TableWrite		 write = {instance, shown, NULL};
	const ErrorData *error = wf_subtransaction_run(run_table_write, &write);

	if (played && error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(unconstify(ErrorData *, error));
	if (error == NULL)
		error = write.refused;
	if (played)
	{
		played_error = error != NULL ? error->sqlerrcode : 0;
		return error;
	}
	QueryCancelPending = false;
	LockReleaseSession(USER_LOCKMETHOD);
	ResetSequenceCaches();
	return error;
}

/*
 * The text of a failure for the view write_backs. The details of errors that were caught are left out: they contain
 * values of the row, and not everybody who may see the process may see those.
 */
static const char *
describe(const ErrorData *error)
{
	return error->elevel == 0 && error->detail != NULL ? psprintf("%s: %s", error->message, error->detail)
													   : error->message;
}

/* For what comes of itself in a moment it is not told of. */
static bool
is_told(const WfDelivery *delivery, const ErrorData *error)
{
	return error != &unseen || UNSEEN_PAUSE_MS << Min(delivery->attempt, 20) >= SHORTEST_PAUSE_MS;
}

/* Postpone a write-back that has failed. What it shows is read again, since it may have failed before that was read. */
static void
owe(const WfDelivery *delivery, WfShown *shown, const ErrorData *error, TimestampTz since)
{
	int64		shortest_ms = error == &unseen ? UNSEEN_PAUSE_MS : SHORTEST_PAUSE_MS;
	int64		longest_ms = error == &unseen ? LONGEST_UNSEEN_PAUSE_MS : LONGEST_PAUSE_MS;
	int64		pause_ms = error == &deadly			 ? DEADLY_PAUSE_MS
						   : error == &uncancellable ? LONGEST_PAUSE_MS
													 : Min(shortest_ms << Min(delivery->attempt, 20), longest_ms);
	TimestampTz again = TimestampTzPlusMilliseconds(wf_now(), pause_ms);

	wf_attachment_look(delivery->instance, shown);
	if (!wf_owed_keep(delivery->id, shown, describe(error), again, since) || !is_told(delivery, error))
		return;
	report_write_back(delivery->instance, shown, error);
	wf_news_add(WF_NEWS_WRITE_BACK, shown->attachment.process, NULL, delivery->instance, 0,
				since != 0 ? since : delivery->due_at);
}

/*
 * Find what is to be shown where, and end older write-backs that are owed to the same row. Returns false if there is
 * nothing to be shown. *alone: no other worker is trying one of these at this moment.
 */
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
 * Delete or postpone the delivery. If another worker is trying an older write-back of this row, it may write an older
 * state after this one, so this one is made due once more. Both wait for the same row, but nobody waits for the other's
 * delivery.
 */
static void
end_write_back(const WfDelivery *delivery, WfShown *shown, const ErrorData *error, TimestampTz since, bool alone)
{
	WfAccess	access;
	TimestampTz again = TimestampTzPlusMilliseconds(wf_now(), SHORTEST_PAUSE_MS);

	wf_store_enter(&access);
	if (error == &not_ours)
		wf_wakeup_due(WF_QUEUE_EXECUTOR, delivery->due_at); /* the delivery stays as it is, for another executor */
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

bool
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
	/* another server takes longer than what is done beside others may, and a cancel may cost the connection */
	return error == NULL && !OidIsValid(shown.attachment.show_in);
}

bool
wf_write_back_beside(const WfDelivery *delivery)
{
	MemoryContext context = CurrentMemoryContext;
	WfShown		  shown;
	TimestampTz	  since = 0;
	bool		  alone = true;

	if (begin_write_back(delivery, &shown, &since, &alone) &&
		(write_guarded(delivery->instance, &shown) != NULL || wf_limit_was_hit()))
		return false;
	end_write_back(delivery, &shown, NULL, since, alone);
	MemoryContextSwitchTo(context);
	return true;
}

int
wf_write_back_play(const WfDelivery *delivery, Oid owner)
{
	played = true;
	played_for = owner;
	played_error = 0;
	PG_TRY();
	{
		wf_write_back(delivery, WF_SPARED_NOT);
	}
	PG_FINALLY();
	{
		played = false;
	}
	PG_END_TRY();
	return played_error;
}
