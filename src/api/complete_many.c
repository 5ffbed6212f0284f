/*
 * complete_many.c
 *		workflow.complete_many: thousands of callbacks in one call, each with a result of its own.
 *
 * All instances on which the caller has the privilege are locked before anything is moved, in
 * ascending order, so that two such calls wait for each other instead of deadlocking. Then
 * everything is moved in one batch, within a subtransaction. If that fails, for a reason that could
 * not be foreseen, each entry is tried again in a subtransaction of its own, while all locks are
 * held.
 *
 * Entries are read from their text, not as jsonb, which would silently drop duplicate keys.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "api/completion.h"
#include "api/meant.h"
#include "engine/engine.h"
#include "model/guard.h"
#include "model/issue.h"
#include "model/json.h"
#include "store/access.h"
#include "store/durable.h"
#include "store/late.h"
#include "store/privilege.h"
#include "store/query.h"
#include "store/subtransaction.h"
#include "store/task.h"
#include "store/version.h"

/* Why something is not accepted that is no error. */
#define LATE "came too late: the visit had already ended"
#define LOST "came too late: its lock has run out, and somebody else has the work"
#define OVER "came too late: the task is over"

static WfQuery q_elements = {
	.sql = "SELECT e.value::text FROM pg_catalog.json_array_elements($1) e",
	.nargs = 1,
	.argtypes = {JSONOID},
};

WF_FUNCTION(workflow_complete_many);

typedef struct Entry
{
	const char	*text; /* the serial number as it was given; NULL: the entry has none */
	WfSerial	 serial;
	WfCompletion completion;
	bool		 lives;	   /* the instance lives, and the caller may complete the visit */
	bool		 admitted; /* since he may have its task, without any privilege */

	/* the result */
	int			code; /* 0: no error */
	const char *error;
	bool		accepted; /* without an error: false means that the callback came too late, */
	const char *late;	  /* for this reason; NULL: the visit has ended */
} Entry;

/* Whether the caller has the privilege complete, by process and step. */
typedef struct RightKey
{
	int			process_id;
	const char *step; /* "": the process as a whole */
} RightKey;

typedef struct Right
{
	RightKey key;
	bool	 allowed;
	char	 status; /* simplehash's */
} Right;

static inline uint32
hash_right(RightKey key)
{
	return hash_combine(murmurhash32((uint32) key.process_id),
						hash_bytes((const unsigned char *) key.step, strlen(key.step)));
}

#define SH_PREFIX		   right
#define SH_ELEMENT_TYPE	   Right
#define SH_KEY_TYPE		   RightKey
#define SH_KEY			   key
#define SH_HASH_KEY(tb, k) hash_right(k)
#define SH_EQUAL(tb, a, b) ((a).process_id == (b).process_id && strcmp((a).step, (b).step) == 0)
#define SH_SCOPE		   static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct Work
{
	Entry	   *entries;
	int			n;
	Oid			caller;
	right_hash *rights; /* the answers that were looked up */
} Work;

/* ---- reading ---- */

static void
refuse(Entry *entry, int code, const char *fmt, const char *what)
{
	entry->code = code;
	entry->error = psprintf(fmt, what);
}

/* Read a member that must be a string or null. Returns false if the entry is refused. */
static bool
read_entry_text(Entry *entry, const WfJson *node, const char **text)
{
	if (node->type != WF_JSON_STRING && node->type != WF_JSON_NULL)
	{
		refuse(entry, ERRCODE_INVALID_PARAMETER_VALUE, "%s must be a string", wf_json_path(node));
		return false;
	}
	*text = node->type == WF_JSON_STRING ? pstrdup(node->text) : NULL;
	return true;
}

static bool
read_failure_member(Entry *entry, const WfJson *member)
{
	WfCompletion *completion = &entry->completion;

	if (strcmp(member->key, "code") == 0)
		return read_entry_text(entry, member, &completion->code);
	if (strcmp(member->key, "message") == 0)
		return read_entry_text(entry, member, &completion->message);
	if (strcmp(member->key, "retry") != 0)
		refuse(entry, ERRCODE_INVALID_PARAMETER_VALUE,
			   "%s is not known: \"fail\" has \"code\", \"message\" and \"retry\"", wf_json_path(member));
	else if (member->type != WF_JSON_BOOL)
		refuse(entry, ERRCODE_INVALID_PARAMETER_VALUE, "%s must be true or false", wf_json_path(member));
	else
		completion->no_retry = !member->truth;
	return entry->code == 0;
}

static bool
read_failure(Entry *entry, const WfJson *node)
{
	WfCompletion *completion = &entry->completion;

	if (node->type == WF_JSON_NULL)
		return true;
	if (node->type != WF_JSON_OBJECT)
	{
		refuse(entry, ERRCODE_INVALID_PARAMETER_VALUE, "%s must be an object", wf_json_path(node));
		return false;
	}
	completion->failed = true;
	for (int i = 0; i < node->n; i++)
		if (!read_failure_member(entry, node->items[i]))
			return false;
	if (completion->code == NULL)
		completion->code = WF_COMPLETION_DEFAULT_CODE;
	if (!wf_completion_code_fits(completion->code))
		refuse(entry, ERRCODE_INVALID_PARAMETER_VALUE, "%s is empty or too long", "$.fail.code");
	return entry->code == 0;
}

/* What is no uuid throws, as any entry may that cannot be read. */
static bool
read_token(Entry *entry, const WfJson *node)
{
	const char *text;

	if (!read_entry_text(entry, node, &text))
		return false;
	if (text != NULL)
		entry->completion.lock_token = DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(text)));
	return true;
}

static bool
read_entry_member(Entry *entry, const WfJson *node)
{
	if (strcmp(node->key, "serial_number") == 0)
		return read_entry_text(entry, node, &entry->text);
	if (strcmp(node->key, "fail") == 0)
		return read_failure(entry, node);
	if (strcmp(node->key, "lock_token") == 0)
		return read_token(entry, node);
	if (strcmp(node->key, "data") != 0)
	{
		refuse(entry, ERRCODE_INVALID_PARAMETER_VALUE,
			   "%s is not known: an entry has \"serial_number\", \"data\", \"fail\" and \"lock_token\"",
			   wf_json_path(node));
		return false;
	}
	if (node->type != WF_JSON_NULL)
		entry->completion.data = wf_json_to_jsonb(node);
	return true;
}

static void
read_members(Entry *entry, const WfJson *root)
{
	for (int i = 0; i < root->n; i++)
		if (!read_entry_member(entry, root->items[i]))
			return;
	if (entry->text == NULL)
		refuse(entry, ERRCODE_INVALID_PARAMETER_VALUE, "%s is missing", "$.serial_number");
	else if (!wf_serial_parse(entry->text, strlen(entry->text), &entry->serial))
		refuse(entry, ERRCODE_INVALID_TEXT_REPRESENTATION, WF_SERIAL_MALFORMED, wf_issue_clip(entry->text));
}

typedef struct Reading
{
	Entry		 *entry;
	const char	 *json;
	MemoryContext scratch; /* for the tree of one entry */
} Reading;

/* The position behind the string that begins at `p`. */
static const char *
skip_string(const char *p)
{
	for (p++; *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p + 1;
}

/*
 * Find the serial number of an entry that cannot be read otherwise, so that its error can name it.
 * The text is at least grammatical JSON: a member of the entry itself is looked for whose name and
 * value are written without escapes. NULL if there is none.
 */
static const char *
find_serial_number(const char *p)
{
	static const char name[] = "\"serial_number\"";
	int				  depth = 0;
	WfSerial		  serial;

	while (*p != '\0')
	{
		const char *begin = p;

		if (*p == '"')
			p = skip_string(p);
		else
		{
			depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
			p++;
		}
		if (depth != 1 || p - begin != sizeof(name) - 1 || strncmp(begin, name, sizeof(name) - 1) != 0)
			continue;
		p += strspn(p, " \t\r\n:");
		if (*p == '"' && wf_serial_parse(p + 1, skip_string(p) - p - 2, &serial))
			return pnstrdup(p + 1, skip_string(p) - p - 2);
	}
	return NULL;
}

static void
read_entry(void *arg)
{
	Reading		 *reading = arg;
	MemoryContext old = MemoryContextSwitchTo(reading->scratch);
	WfIssues	  issues = {0};
	const WfJson *root = wf_json_parse(reading->json, &issues);

	MemoryContextSwitchTo(old);
	if (root == NULL)
		reading->entry->text = find_serial_number(reading->json);
	if (root != NULL && root->type != WF_JSON_OBJECT)
		refuse(reading->entry, ERRCODE_INVALID_PARAMETER_VALUE, "an entry must be an object, not %s",
			   wf_json_type_name(root->type));
	else if (root != NULL)
		read_members(reading->entry, root);
	if (issues.n > 0)
	{
		reading->entry->code = ERRCODE_INVALID_PARAMETER_VALUE;
		reading->entry->error = psprintf("%s: %s", issues.items[0].path, issues.items[0].message);
	}
}

static void
read_entries(Work *work, Datum json)
{
	SPITupleTable *table;
	Reading		   reading;
	const char	  *message;

	work->n = (int) wf_query_run(&q_elements, &json, NULL);
	work->entries = palloc0(sizeof(Entry) * Max(work->n, 1));
	table = SPI_tuptable;
	reading.scratch = AllocSetContextCreate(CurrentMemoryContext, "workflow entry", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < work->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		reading.entry = &work->entries[i];
		reading.json = wf_result_text(i, 1);
		if (!wf_guard_run(read_entry, &reading, &message))
			refuse(reading.entry, ERRCODE_INVALID_PARAMETER_VALUE, "%s", message);
		MemoryContextReset(reading.scratch);
	}
	SPI_freetuptable(table);
}

/* ---- applying ---- */

static bool
has_right(Work *work, int process_id, const char *step)
{
	Right *right = right_lookup(work->rights, (RightKey){process_id, step});
	bool   allowed;
	bool   found;

	if (right != NULL)
		return right->allowed;
	allowed = step[0] == '\0' ? wf_privilege_has(process_id, work->caller, WF_PRIVILEGE_COMPLETE)
							  : wf_privilege_has_step(process_id, work->caller, step);
	right_insert(work->rights, (RightKey){process_id, MemoryContextStrdup(work->rights->ctx, step)}, &found)->allowed =
		allowed;
	return allowed;
}

static bool
may_complete(Work *work, int process_id)
{
	return has_right(work, process_id, "");
}

/* May the caller complete visits of this step? `step` is NULL if there is no such visit. */
static bool
may_complete_step(Work *work, int process_id, const char *step)
{
	return step != NULL && has_right(work, process_id, step);
}

/* May the caller have the task of the visit, or has he that? */
static bool
has_task(const Work *work, const WfSerial *serial)
{
	return wf_task_admits(serial->instance, serial->visit, work->caller);
}

/* May the caller complete the visit? This is asked before its instance is locked. */
static bool
may_lock(Work *work, int process_id, const WfSerial *serial)
{
	return may_complete(work, process_id) ||
		   (wf_privilege_by_step(process_id) &&
			may_complete_step(work, process_id, wf_late_step(serial->instance, serial->visit)));
}

static void
refuse_unknown(Entry *entry)
{
	refuse(entry, ERRCODE_UNDEFINED_OBJECT, "serial number %s does not exist", entry->text);
}

/*
 * Refuse an entry for want of the privilege. A role without any privilege on the process is told
 * that the number does not exist; so is one that may complete some steps, if the number really does
 * not exist.
 */
static void
deny(Work *work, Entry *entry, int process_id)
{
	if (!wf_privilege_has_any(process_id, work->caller) ||
		(wf_privilege_by_step(process_id) && wf_late_step(entry->serial.instance, entry->serial.visit) == NULL))
		refuse_unknown(entry);
	else
		refuse(entry, ERRCODE_INSUFFICIENT_PRIVILEGE, "permission denied for the process of %s", entry->text);
}

static int
compare_instances(const void *a, const void *b)
{
	int64 left = ((const WfLiving *) a)->instance;
	int64 right = ((const WfLiving *) b)->instance;

	return (left > right) - (left < right);
}

/*
 * Find out which entries name living instances that may be locked. `apply_entry` handles those whose
 * instance has ended.
 */
static void
check_rights(Work *work)
{
	int64	 *ids = palloc(sizeof(int64) * Max(work->n, 1));
	WfLiving *living;
	int		  n = 0;

	for (int i = 0; i < work->n; i++)
		if (work->entries[i].code == 0)
			ids[n++] = work->entries[i].serial.instance;
	n = wf_batch_living(ids, n, &living);
	for (int i = 0; i < work->n; i++)
	{
		Entry		   *entry = &work->entries[i];
		WfLiving		key = {.instance = entry->serial.instance};
		const WfLiving *found = entry->code != 0 ? NULL : bsearch(&key, living, n, sizeof(WfLiving), compare_instances);

		entry->lives = found != NULL && may_lock(work, found->process_id, &entry->serial);
		entry->admitted = found != NULL && !entry->lives && has_task(work, &entry->serial);
		entry->lives |= entry->admitted;
		if (found != NULL && !entry->lives)
			deny(work, entry, found->process_id);
	}
	pfree(living);
	pfree(ids);
}

static int
compare_serials(const void *a, const void *b)
{
	const WfSerial *left = a;
	const WfSerial *right = b;

	if (left->instance != right->instance)
		return left->instance < right->instance ? -1 : 1;
	return (left->visit > right->visit) - (left->visit < right->visit);
}

/*
 * Put the serial numbers of entries that may be locked into `serials`, in ascending order and each once, however often the call
 * names it. Returns their number.
 */
static int
sort_serials(const Entry *entries, int n, WfSerial *serials)
{
	int readable = 0;
	int distinct = 0;

	for (int i = 0; i < n; i++)
		if (entries[i].code == 0 && entries[i].lives)
			serials[readable++] = entries[i].serial;
	qsort(serials, readable, sizeof(WfSerial), compare_serials);
	for (int i = 0; i < readable; i++)
		if (i == 0 || compare_serials(&serials[i], &serials[i - 1]) != 0)
			serials[distinct++] = serials[i];
	return distinct;
}

/* Lock the instances of these entries, and load their visits. */
static WfBatch *
load_entries(const Entry *entries, int n)
{
	WfBatch	 *batch = wf_batch_begin();
	WfSerial *serials = MemoryContextAllocHuge(batch->context, sizeof(WfSerial) * Max(n, 1));
	int64	 *instances = MemoryContextAllocHuge(batch->context, sizeof(int64) * Max(n, 1));
	int64	 *visits = MemoryContextAllocHuge(batch->context, sizeof(int64) * Max(n, 1));

	batch->by_call = true;
	n = sort_serials(entries, n, serials);
	if (n == 0)
		return batch;
	for (int i = 0; i < n; i++)
	{
		instances[i] = serials[i].instance;
		visits[i] = serials[i].visit;
	}
	wf_batch_lock(batch, instances, n, WF_LOCK_WAIT);
	wf_batch_load_visits(batch, instances, visits, n);
	return batch;
}

static void
apply_entry(Work *work, WfBatch *batch, Entry *entry)
{
	const WfSerial *serial = &entry->serial;
	WfTarget		target = {.batch = batch, .by_task = entry->admitted};
	WfMeant			meant = {WF_MEANT_CALLBACK};
	WfVisit		   *visit;
	char		   *step = NULL;

	if (entry->code != 0)
		return;
	target.instance = wf_batch_instance(batch, serial->instance);
	visit = target.visit = wf_batch_visit(batch, serial->instance, serial->visit);
	if (visit != NULL)
		target.process_id = target.instance->process->process_id;
	else if (!wf_late_visit(serial->instance, serial->visit, &target.process_id, &step))
	{
		refuse_unknown(entry);
		return;
	}
	if (!may_complete(work, target.process_id) && !entry->admitted && !(visit == NULL && has_task(work, serial)) &&
		!may_complete_step(work, target.process_id, visit != NULL ? visit->step : step))
	{
		deny(work, entry, target.process_id);
		return;
	}
	if (visit != NULL && !visit->ended && !wf_has_accepted(visit))
		meant = wf_meant(&target, serial, &entry->completion, work->caller);
	if (meant.what == WF_MEANT_LOST && visit->state != WF_STATE_INCIDENT)
		entry->late = entry->completion.lock_token != NULL ? LOST : OVER;
	if (meant.what == WF_MEANT_LOCKED)
		refuse(entry, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the work of %s is locked", entry->text);
	else if (meant.what == WF_MEANT_BY_HAND)
		refuse(entry, ERRCODE_INSUFFICIENT_PRIVILEGE, "permission denied for the incident %s", entry->text);
	else if (meant.what == WF_MEANT_NOTHING)
		refuse(entry, ERRCODE_INSUFFICIENT_PRIVILEGE, "permission denied for the task of %s", entry->text);
	else if (meant.what == WF_MEANT_CALLBACK && visit != NULL && !visit->ended && !wf_has_accepted(visit) &&
			 !wf_engine_takes_callback(visit))
		refuse(entry, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "visit %s does not wait for a callback", entry->text);
	else if (!wf_completion_fits(&entry->completion))
		refuse(entry, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "what ends visit %s is too large", entry->text);
	else
		entry->accepted = wf_completion_apply(&target, serial, &entry->completion, work->caller);
}

static void
apply_entries(Work *work, WfBatch *batch, Entry *entries, int n)
{
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		apply_entry(work, batch, &entries[i]);
	}
	wf_batch_flush(batch);
}

/*
 * Can one entry alone be the reason of this error? Errors of the transaction or the
 * server are none of an entry.
 */
static bool
is_of_an_entry(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) != ERRCODE_TRANSACTION_ROLLBACK && !wf_error_is_of_server(sqlerrcode);
}

typedef struct Try
{
	Work	*work;
	WfBatch *batch;
	Entry	*entries;
	int		 n;
} Try;

static bool
apply_try(void *arg)
{
	Try			 *try = arg;
	MemoryContext context = CurrentMemoryContext;
	WfAccess	  access; /* entered anew here, so that an abort leaves nothing of it behind */

	wf_store_enter(&access);
	MemoryContextSwitchTo(context);
	apply_entries(try->work, try->batch, try->entries, try->n);
	wf_store_leave(&access);
	return true;
}

/*
 * Apply the entries in a subtransaction. Returns NULL on success; else the error, and everything is
 * undone.
 */
static ErrorData *
try_entries(Work *work, WfBatch *batch, Entry *entries, int n)
{
	Try		   try = {work, batch, entries, n};
	ErrorData *error = wf_subtransaction_run(apply_try, &try);

	if (error != NULL && !is_of_an_entry(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

static void
work_on(Work *work)
{
	WfBatch	  *batch = load_entries(work->entries, work->n);
	ErrorData *error = try_entries(work, batch, work->entries, work->n);

	wf_batch_end(batch);
	for (int i = 0; error != NULL && i < work->n; i++)
	{
		Entry	  *entry = &work->entries[i];
		ErrorData *own;

		entry->accepted = false;
		entry->late = NULL;
		batch = load_entries(entry, 1);
		own = try_entries(work, batch, entry, 1);
		wf_batch_end(batch);
		if (own != NULL)
			refuse(entry, own->sqlerrcode, "%s", own->message);
	}
}

/* ---- the function ---- */

static void
put_result(ReturnSetInfo *rsinfo, const Entry *entry)
{
	Datum values[4] = {0};
	bool  nulls[4] = {false};

	nulls[0] = entry->text == NULL;
	if (entry->text != NULL)
		values[0] = CStringGetTextDatum(entry->text);
	nulls[1] = entry->code != 0;
	values[1] = BoolGetDatum(entry->accepted);
	nulls[2] = entry->code == 0;
	nulls[3] = entry->code == 0 && entry->accepted;
	if (entry->code != 0)
	{
		values[2] = CStringGetTextDatum(unpack_sql_state(entry->code));
		values[3] = CStringGetTextDatum(entry->error);
	}
	else if (!entry->accepted)
		values[3] = CStringGetTextDatum(entry->late != NULL ? entry->late : LATE);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
require_array(text *json)
{
	const char *p = VARDATA_ANY(json);
	const char *end = p + VARSIZE_ANY_EXHDR(json);

	while (p < end && strchr(" \t\r\n", *p) != NULL)
		p++;
	if (p == end || *p != '[')
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("argument \"callbacks\" must be a JSON array"),
				errhint("An entry is written {\"serial_number\": \"5_31\", \"data\": {}}."));
}

/*
 * workflow.complete_many(callbacks json) → setof (serial_number, accepted, error_code, error), in
 * the order of the entries
 *
 * NULL gives no rows. A callback that came too late is not accepted; its row has an error without
 * an error_code. Errors of single entries are rows. Errors of the call: 22023 if it is no array,
 * 40001 for a conflict in a serializable transaction.
 */
Datum
workflow_complete_many(PG_FUNCTION_ARGS)
{
	Work	 work = {0};
	WfAccess access;
	bool	 late = false;

	if (PG_ARGISNULL(0)) /* what json_agg gives for no rows */
	{
		InitMaterializedSRF(fcinfo, 0);
		return (Datum) 0;
	}
	require_array(PG_GETARG_TEXT_PP(0));
	PreventCommandIfReadOnly("workflow.complete_many()");
	InitMaterializedSRF(fcinfo, 0);
	wf_store_enter(&access);
	work.caller = access.caller;
	work.rights = right_create(CurrentMemoryContext, 16, NULL);
	read_entries(&work, PG_GETARG_DATUM(0));
	check_rights(&work);
	work_on(&work);
	for (int i = 0; i < work.n; i++)
	{
		late |= work.entries[i].code == 0 && !work.entries[i].accepted;
		put_result((ReturnSetInfo *) fcinfo->resultinfo, &work.entries[i]);
	}
	wf_store_leave(&access);
	if (late)
		wf_durable_require();
	return (Datum) 0;
}
