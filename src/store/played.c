/*
 * played.c
 *		What a transaction plays by itself: the time to which it was advanced, and the instances that it has started.
 *
 * All of that is in the memory of the process, and is gone with the transaction. What a subtransaction has changed goes with
 * that: before the first change in one, what was so before is kept.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/pg_list.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/delivery.h"
#include "store/played.h"
#include "store/query.h"

/* Instances of one transaction, counted in ranges of numbers without a gap: a test starts few. */
#define MOST_RANGES 10000
/* The same of messages, asynchronous calls and the like. */
#define MOST_NUMBERS 100000
/* So much is found at once. */
#define FOUND_TOGETHER 256

typedef struct State
{
	bool		begun;
	bool		stands;
	TimestampTz now; /* if it stands */
} State;

/* The state before a subtransaction of that level changed it. */
typedef struct Kept
{
	int	  level;
	State state;
} Kept;

/* What this transaction has had, in TopTransactionContext. */
typedef struct Numbers
{
	int64 *numbers;
	int	   n;
} Numbers;

static State   state;
static Kept	  *kept = NULL; /* by level */
static int	   nkept = 0;
static int64  *first = NULL; /* of each range, in TopTransactionContext */
static int64  *last = NULL;
static int	   nranges = 0;
static Numbers broadcasts;
static Numbers messages;
static Numbers deliveries;

static bool					 hooked = false;
static ExecutorEnd_hook_type previous_hook = NULL;

/* What a commit would make due at once is due, whatever its row says: the clock has gone on while the time stands. */
#define OURS "ROWS FROM (unnest($1), unnest($2)) AS r (first, last)"
static WfQuery q_next = {
	.sql =
		"SELECT c.* FROM (SELECT greatest(v.due_at, $4), CASE WHEN v.queue = 'timer' THEN 5 WHEN v.queue = 'move' THEN 6 "
		"WHEN starts_with(v.queue, 'http ') THEN 7 ELSE 8 END, v.instance, v.visit, 0::bigint, false, NULL::text, 0 "
		"FROM " OURS " JOIN workflow_data.visit v ON v.instance BETWEEN r.first AND r.last "
		"WHERE v.due_at <= $3 AND NOT v.suspended AND v.visit <> ALL ($5) AND v.visit <> ALL ($6) "
		"UNION ALL "
		"SELECT greatest(v.next_timer, $4), 4, v.instance, v.visit, 0, false, NULL, 0 "
		"FROM " OURS " JOIN workflow_data.visit v ON v.instance BETWEEN r.first AND r.last "
		"WHERE v.next_timer <= $3 AND NOT v.suspended AND v.visit <> ALL ($7) "
		"UNION ALL "
		"SELECT CASE WHEN d.kind = 'rest' THEN greatest(d.due_at, $4) ELSE $4 END, CASE WHEN d.kind = 'rest' THEN 10 ELSE 3 END, "
		"d.instance, d.visit, d.delivery, " WF_DELIVERY_IN_LINE ", NULL, d.attempt "
		"FROM " OURS " JOIN workflow_data.delivery d ON d.instance BETWEEN r.first AND r.last "
		"WHERE d.kind <> 'write_back' AND d.kind = ANY ($8) AND d.queue <> 'suspended' AND (d.kind <> 'rest' OR d.due_at <= $3) "
		"UNION ALL "
		"SELECT CASE WHEN d.attempt = 0 THEN $4 ELSE greatest(d.due_at, $4) END, 9, d.instance, 0, d.delivery, false, d.queue, d.attempt "
		"FROM workflow_data.delivery d JOIN " OURS " ON d.instance BETWEEN r.first AND r.last "
		"WHERE d.queue >= 'executor table ' AND d.queue < 'executor table!' AND (d.attempt = 0 OR d.due_at <= $3) AND d.kind = 'write_back' "
		"UNION ALL "
		"SELECT greatest(d.due_at, $4), CASE WHEN d.kind = 'start' THEN 2 ELSE 1 END, d.instance, 0, d.delivery, false, NULL, d.attempt "
		"FROM workflow_data.delivery d WHERE d.delivery = ANY ($9) AND d.due_at <= $3) "
		"c (at, kind, instance, visit, delivery, in_line, queue, attempt) "
		"ORDER BY at, kind, delivery, instance, visit LIMIT $10",
	.nargs = 10,
	.argtypes = {INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID,
				 TEXTARRAYOID, INT8ARRAYOID, INT4OID},
};
static WfQuery q_is_there = {
	.sql = "SELECT FROM workflow_data.delivery WHERE delivery = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};

/* ---- with the transaction ---- */

pg_noreturn static void
refuse_end(const char *end)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_TRANSACTION_STATE),
			errmsg("a transaction that has called workflow.mock or workflow.advance cannot be %s", end),
			errdetail("Replies in it are made up, and its time is not that of the clock."),
			errhint("Use ROLLBACK, as tests do."));
}

static void
forget(void)
{
	memset(&state, 0, sizeof(state));
	kept = NULL;
	first = last = NULL;
	nkept = nranges = 0;
	broadcasts = messages = deliveries = (Numbers){0};
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (state.begun)
				refuse_end("committed");
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (state.begun)
				refuse_end("prepared");
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			forget();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int level = GetCurrentTransactionNestLevel();

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	for (; nkept > 0 && kept[nkept - 1].level >= level; nkept--)
	{
		if (event == SUBXACT_EVENT_ABORT_SUB)
			state = kept[nkept - 1].state;
		else if (level > 2 && (nkept == 1 || kept[nkept - 2].level < level - 1))
		{
			/* it has become a change of the parent */
			kept[nkept - 1].level = level - 1;
			break;
		}
	}
}

static void
register_once(void)
{
	static bool registered = false;

	if (likely(registered))
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	registered = true;
}

/* To be called before the state is changed. */
static void
keep_state(void)
{
	int level = GetCurrentTransactionNestLevel();

	register_once();
	if (level == 1 || (nkept > 0 && kept[nkept - 1].level >= level))
		return;
	if (kept == NULL)
		kept = MemoryContextAlloc(TopTransactionContext, sizeof(Kept) * 8);
	else if (nkept >= 8 && (nkept & (nkept - 1)) == 0)
		kept = repalloc(kept, sizeof(Kept) * nkept * 2);
	kept[nkept++] = (Kept){level, state};
}

/* ---- the time ---- */

TimestampTz
wf_now(void)
{
	return unlikely(state.stands) ? state.now : GetCurrentTimestamp();
}

bool
wf_play_stands(void)
{
	return state.stands;
}

/*
 * Of those who act before a commit, PostgreSQL asks last who came first. A foreign data wrapper commits in another server then,
 * so we refuse before that.
 */
static void
be_asked_first(void)
{
	UnregisterXactCallback(at_transaction_end, NULL);
	RegisterXactCallback(at_transaction_end, NULL);
}

/* What a worker does is real, and others may share its transaction, which would fail with it. */
static void
refuse_workers(void)
{
	if (MyBgworkerEntry != NULL && strcmp(MyBgworkerEntry->bgw_library_name, "workflow") == 0)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("workers of workflow cannot call workflow.mock or workflow.advance"),
				errdetail("What they do is committed."));
}

/* A wrapper registers itself when the session uses it first: in any statement, also in one of a procedure that commits. */
static void
on_executor_end(QueryDesc *query)
{
	if (previous_hook)
		previous_hook(query);
	else
		standard_ExecutorEnd(query);
	wf_play_before_commit();
}

static void
hook_once(void)
{
	if (hooked)
		return;
	previous_hook = ExecutorEnd_hook;
	ExecutorEnd_hook = on_executor_end;
	hooked = true;
}

void
wf_play_begin(void)
{
	if (state.begun)
		return;
	refuse_workers();
	hook_once();
	keep_state();
	state.begun = true;
	be_asked_first();
}

void
wf_play_before_commit(void)
{
	if (state.begun)
		be_asked_first();
}

void
wf_play_stop_clock(void)
{
	if (state.stands)
		return;
	wf_play_begin();
	keep_state();
	state.stands = true;
	state.now = GetCurrentTimestamp();
}

void
wf_play_advance(TimestampTz to)
{
	if (to <= state.now)
		return;
	keep_state();
	state.now = to;
}

/* ---- instances ---- */

void
wf_play_started(int64 instance)
{
	register_once();
	if (state.begun && wf_play_has_started(instance))
		return; /* its number was reserved by an asynchronous call */
	if (nranges > 0 && last[nranges - 1] + 1 == instance)
	{
		last[nranges - 1]++;
		return;
	}
	if (nranges == MOST_RANGES)
		return;
	if (first == NULL)
	{
		first = MemoryContextAlloc(TopTransactionContext, sizeof(int64) * 8);
		last = MemoryContextAlloc(TopTransactionContext, sizeof(int64) * 8);
	}
	else if (nranges >= 8 && (nranges & (nranges - 1)) == 0)
	{
		first = repalloc(first, sizeof(int64) * nranges * 2);
		last = repalloc(last, sizeof(int64) * nranges * 2);
	}
	first[nranges] = last[nranges] = instance;
	nranges++;
}

bool
wf_play_has_started(int64 instance)
{
	for (int i = 0; i < nranges; i++)
		if (first[i] <= instance && instance <= last[i])
			return true;
	return false;
}

/* ---- what was sent, and called ---- */

static void
add_number(Numbers *list, int64 number)
{
	register_once();
	if (list->n == MOST_NUMBERS)
		return;
	if (list->numbers == NULL)
		list->numbers = MemoryContextAlloc(TopTransactionContext, sizeof(int64) * 8);
	else if (list->n >= 8 && (list->n & (list->n - 1)) == 0)
		list->numbers = repalloc(list->numbers, sizeof(int64) * list->n * 2);
	list->numbers[list->n++] = number;
}

static int
copy_numbers(const Numbers *list, int64 **numbers)
{
	*numbers = palloc(sizeof(int64) * Max(list->n, 1));
	if (list->n > 0)
		memcpy(*numbers, list->numbers, sizeof(int64) * list->n);
	return list->n;
}

void
wf_play_broadcast(int64 broadcast)
{
	add_number(&broadcasts, broadcast);
}

void
wf_play_message(int64 message)
{
	add_number(&messages, message);
}

void
wf_play_delivery(int64 delivery)
{
	add_number(&deliveries, delivery);
}

int
wf_play_broadcasts(int64 **numbers)
{
	return copy_numbers(&broadcasts, numbers);
}

int
wf_play_messages(int64 **numbers)
{
	return copy_numbers(&messages, numbers);
}

/* ---- what is due ---- */

/* Kinds of deliveries to instances that are played. */
static const char *const played_kinds[] = {"reply", "alarm",	  "callback", "event", "fetched",
										   "ended", "escalation", "control",  "row",   WF_DELIVERY_REST};

static void
require_few(void)
{
	if (nranges == MOST_RANGES)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("this transaction has started too many instances for workflow.advance"),
				errhint("Start fewer in a test."));
	if (broadcasts.n == MOST_NUMBERS || messages.n == MOST_NUMBERS || deliveries.n == MOST_NUMBERS)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("this transaction has sent, or called asynchronously, too often for workflow.advance"),
				errhint("Send less in a test."));
}

static void
read_found(uint64 rows, WfPlayable *found)
{
	bool isnull;

	for (uint64 n = 0; n < rows; n++)
		found[n] = (WfPlayable){.at = wf_result_int64(n, 1),
								.kind = (WfPlayKind) DatumGetInt32(wf_result(n, 2, &isnull)),
								.instance = wf_result_int64(n, 3),
								.visit = wf_result_int64(n, 4),
								.delivery = wf_result_int64(n, 5),
								.in_line = DatumGetBool(wf_result(n, 6, &isnull)),
								.queue = wf_result_text(n, 7),
								.attempt = DatumGetInt32(wf_result(n, 8, &isnull))};
}

int
wf_play_next(TimestampTz until, const WfPlayPassed *passed, WfPlayable **next)
{
	Datum  values[10] = {wf_int64_array(first, nranges),
						 wf_int64_array(last, nranges),
						 TimestampTzGetDatum(until),
						 TimestampTzGetDatum(wf_now()),
						 passed->in_flight,
						 passed->due,
						 passed->alarms,
						 wf_text_array(played_kinds, lengthof(played_kinds)),
						 wf_int64_array(deliveries.numbers, deliveries.n),
						 Int32GetDatum(FOUND_TOGETHER)};
	uint64 rows;

	require_few();
	if (nranges == 0 && deliveries.n == 0)
		return 0;
	rows = wf_query_run(&q_next, values, NULL);
	*next = palloc(sizeof(WfPlayable) * Max(rows, 1));
	read_found(rows, *next);
	SPI_freetuptable(SPI_tuptable);
	return (int) rows;
}

bool
wf_play_is_there(int64 delivery)
{
	Datum values[1] = {Int64GetDatum(delivery)};

	return wf_query_run(&q_is_there, values, NULL) > 0;
}
