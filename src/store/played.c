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
#include "nodes/pg_list.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/delivery.h"
#include "store/played.h"
#include "store/query.h"

/* Instances of one transaction, counted in ranges of numbers without a gap: a test starts few. */
#define MOST_RANGES 10000

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

static State  state;
static Kept	 *kept = NULL; /* by level */
static int	  nkept = 0;
static int64 *first = NULL; /* of each range, in TopTransactionContext */
static int64 *last = NULL;
static int	  nranges = 0;
static List	 *broadcasts = NIL; /* of int64 *, in TopTransactionContext */

static WfQuery q_next = {
	.sql =
		"SELECT c.* FROM (SELECT greatest(v.due_at, $4), CASE WHEN v.queue = 'timer' THEN 3 WHEN v.queue = 'move' THEN 4 "
		"WHEN starts_with(v.queue, 'http ') THEN 5 ELSE 6 END, v.instance, v.visit, 0::bigint, false, NULL::text "
		"FROM ROWS FROM (unnest($1), unnest($2)) AS r (first, last) "
		"JOIN workflow_data.visit v ON v.instance BETWEEN r.first AND r.last "
		"WHERE v.due_at <= $3 AND NOT v.suspended AND v.visit <> ALL ($5) AND v.visit <> ALL ($6) "
		"UNION ALL "
		"SELECT greatest(v.next_timer, $4), 2, v.instance, v.visit, 0, false, NULL "
		"FROM ROWS FROM (unnest($1), unnest($2)) AS r (first, last) "
		"JOIN workflow_data.visit v ON v.instance BETWEEN r.first AND r.last "
		"WHERE v.next_timer <= $3 AND NOT v.suspended AND v.visit <> ALL ($7) "
		"UNION ALL "
		"SELECT $4, 1, d.instance, d.visit, d.delivery, " WF_DELIVERY_IN_LINE ", NULL "
		"FROM ROWS FROM (unnest($1), unnest($2)) AS r (first, last) "
		"JOIN workflow_data.delivery d ON d.instance BETWEEN r.first AND r.last "
		"WHERE d.kind <> 'write_back' AND d.kind = ANY ($8) AND d.queue <> 'suspended' "
		"UNION ALL "
		"SELECT $4, 7, d.instance, 0, d.delivery, false, d.queue "
		"FROM workflow_data.delivery d JOIN ROWS FROM (unnest($1), unnest($2)) AS r (first, last) "
		"ON d.instance BETWEEN r.first AND r.last "
		"WHERE d.queue >= 'executor table ' AND d.queue < 'executor table!' AND d.kind = 'write_back' AND d.payload IS NULL AND d.attempt = 0) "
		"c (at, kind, instance, visit, delivery, in_line, queue) "
		"ORDER BY at, kind, delivery, instance, visit LIMIT 1",
	.nargs = 8,
	.argtypes = {INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID,
				 TEXTARRAYOID},
};

static WfQuery q_starts = {
	.sql =
		"SELECT d.delivery, d.xmin FROM workflow_data.delivery d WHERE d.instance = 0 AND d.kind <> 'write_back' AND "
		"d.kind = 'start' AND d.attempt = 0 ORDER BY d.instance, d.delivery",
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
	broadcasts = NIL;
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

void
wf_play_begin(void)
{
	if (state.begun)
		return;
	refuse_workers();
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

/* ---- what was sent ---- */

void
wf_play_broadcast(int64 broadcast)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	int64		 *copy = palloc(sizeof(int64));

	register_once();
	*copy = broadcast;
	broadcasts = lappend(broadcasts, copy);
	MemoryContextSwitchTo(old);
}

int
wf_play_broadcasts(int64 **numbers)
{
	ListCell *lc;

	*numbers = palloc(sizeof(int64) * Max(list_length(broadcasts), 1));
	foreach (lc, broadcasts)
		(*numbers)[foreach_current_index(lc)] = *(int64 *) lfirst(lc);
	return list_length(broadcasts);
}

/* One that could not start, and was put off, is not tried again. */
int64
wf_play_start(void)
{
	uint64 n = wf_query_run(&q_starts, NULL, NULL);
	int64  found = 0;
	bool   isnull;

	for (uint64 i = 0; i < n && found == 0; i++)
		if (TransactionIdIsCurrentTransactionId(DatumGetTransactionId(wf_result(i, 2, &isnull))))
			found = wf_result_int64(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return found;
}

/* ---- what is due ---- */

/* Kinds of deliveries that are played. */
static const char *const played_kinds[] = {"reply", "alarm",	  "callback", "event", "fetched",
										   "ended", "escalation", "control",  "row"};

bool
wf_play_next(TimestampTz until, const WfPlayPassed *passed, WfPlayable *next)
{
	Datum values[8] = {wf_int64_array(first, nranges),
					   wf_int64_array(last, nranges),
					   TimestampTzGetDatum(until),
					   TimestampTzGetDatum(wf_now()),
					   passed->in_flight,
					   passed->due,
					   passed->alarms,
					   wf_text_array(played_kinds, lengthof(played_kinds))};
	bool  isnull;

	if (nranges == MOST_RANGES)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("this transaction has started too many instances for workflow.advance"),
				errhint("Start fewer in a test."));
	if (nranges == 0 || wf_query_run(&q_next, values, NULL) == 0)
		return false;
	*next = (WfPlayable){.at = wf_result_int64(0, 1),
						 .kind = (WfPlayKind) DatumGetInt32(wf_result(0, 2, &isnull)),
						 .instance = wf_result_int64(0, 3),
						 .visit = wf_result_int64(0, 4),
						 .delivery = wf_result_int64(0, 5),
						 .in_line = DatumGetBool(wf_result(0, 6, &isnull)),
						 .queue = wf_result_text(0, 7)};
	SPI_freetuptable(SPI_tuptable);
	return true;
}
