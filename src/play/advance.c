/*
 * advance.c
 *		workflow.advance: what workers would do until a time, done in the caller's transaction, one piece after the other.
 *
 * Each piece is what a dispatcher or an executor makes of the same row, by the same entry points of the engine. The
 * differences: time stands while a piece is done, and moves on to the next one; services answer what was made up; what fails
 * for want of something, and every cancel, ends the whole call.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/arguments.h"
#include "engine/user_sql.h"
#include "play/ask.h"
#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/broadcast.h"
#include "store/delivery.h"
#include "store/executor_work.h"
#include "store/match.h"
#include "store/played.h"
#include "store/privilege.h"
#include "store/query.h"
#include "store/row.h"
#include "store/version.h"
#include "worker/delivery_kinds.h"
#include "worker/failure.h"
#include "worker/message_start.h"
#include "worker/operation.h"
#include "worker/order.h"
#include "worker/rest.h"
#include "worker/write_back.h"

/* So many pieces are done in one call: a beat of ten milliseconds, and a year, are more than anybody waits for. */
#define MOST_PIECES 100000

WF_FUNCTION(workflow_advance);

static bool playing = false; /* a call is under way in this process */

/* One call. */
typedef struct Play
{
	ReturnSetInfo *rsinfo;
	TimestampTz	   until;
	WfAccess	   access;
	Oid			   caller;
	int			   member_of; /* process whose owner the caller is known to be; 0: none */
	List		  *idle;	  /* of WfPlayable: visits that are due, with nothing to be done; until time moves on */
	WfPlayable	  *found;	  /* what is due, in the order of time; in `turn` */
	int			   nfound;
	int			   at;	  /* so many of these were played, or are due no more */
	bool		   fresh; /* nothing was played since they were found */
	TimestampTz	   due;	  /* the first time at which something has come to be due since then */
	MemoryContext  turn;
	MemoryContext  context;
} Play;

/* A piece that is done. */
typedef struct Piece
{
	WfPlayable	what;
	WfBatch	   *batch;
	WfVisit	   *visit; /* NULL: it has ended, or there is none */
	const char *step;
	char	   *told; /* what has happened; NULL: nothing */
} Piece;

/* ---- who may ---- */

static void
require_member(Play *play, const WfInstance *instance)
{
	int process_id = instance->process->process_id;
	Oid owner;

	if (process_id == play->member_of)
		return;
	owner = wf_process_owner(process_id);
	if (OidIsValid(owner) ? !has_privs_of_role(play->caller, owner) : !superuser_arg(play->caller))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("only members of the owner of process \"%s\" may play its instances", instance->process->name),
				errdetail("This transaction has started instance " INT64_FORMAT " of it, in which something is due.",
						  instance->id));
	play->member_of = process_id;
}

/* ---- what a dispatcher does ---- */

/* Nobody wants the reply of a request any more whose visit has been moved on beside it. */
static void
give_up_request(const WfVisit *visit)
{
	WfMocked *request = wf_script_under_way(visit->id);
	bool	  awaits = !visit->ended && (visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING ||
									 visit->state == WF_STATE_CANCELLING);

	if (request != NULL && !awaits)
		wf_script_end(request);
}

/* Which of its clocks strikes? */
static const char *
name_of_alarm(const WfVisit *visit, TimestampTz now)
{
	const WfClocks *clocks = &visit->clocks;
	TimestampTz		end = wf_earlier(clocks->deadline, clocks->heartbeat_deadline);

	if (clocks->next_handler != 0 && clocks->next_handler <= now && (end == 0 || clocks->next_handler < end))
		return "handler";
	if (clocks->heartbeat_deadline != 0 && clocks->heartbeat_deadline <= now && clocks->heartbeat_deadline == end)
		return "heartbeat missed";
	return clocks->deadline != 0 && clocks->deadline <= now ? "timeout" : "warning";
}

static void
play_alarm(Piece *piece)
{
	piece->told = pstrdup(name_of_alarm(piece->visit, piece->batch->now));
	wf_engine_alarm(piece->batch, piece->visit);
	give_up_request(piece->visit);
}

static void
play_due(Piece *piece, const char *told)
{
	piece->told = pstrdup(told);
	wf_engine_due(piece->batch, piece->visit);
	give_up_request(piece->visit);
}

static void
play_request(Piece *piece)
{
	WfVisit	 *visit = piece->visit;
	WfFault	  fault = {0};
	WfMocked *request;

	if (!wf_state_wants_request(visit, piece->batch->now))
		return;
	request = wf_ask(piece->batch, visit, &fault);
	if (request == NULL)
		piece->told = psprintf("no request could be made: %s", fault.code);
	else if (request->arrives > piece->batch->now)
		piece->told = psprintf("%s %s", request->method, request->path);
	else
	{
		piece->told = psprintf("%s %s: %s", request->method, request->path, wf_ask_tell(request));
		wf_script_end(request);
		wf_ask_answer(piece->batch, visit, request);
	}
}

static void
play_reply(Piece *piece)
{
	WfMocked *request = wf_script_under_way(piece->what.visit);

	piece->told = psprintf("reply: %s", wf_ask_tell(request));
	wf_script_end(request);
	if (piece->visit != NULL)
		wf_ask_answer(piece->batch, piece->visit, request);
}

static void
play_call(Piece *piece)
{
	piece->told = wf_operation_play(&(WfDelivery){.id = piece->what.delivery, .instance = piece->what.instance});
}

static void
play_start(Piece *piece)
{
	wf_start_deliver(&(WfDelivery){.id = piece->what.delivery, .attempt = piece->what.attempt}, 0);
}

/* What is posted is told by its request. */
static void
play_rest(Piece *piece)
{
	wf_rest_carry_out(&(WfDelivery){.id = piece->what.delivery,
									.instance = piece->what.instance,
									.attempt = piece->what.attempt},
					  0);
}

static void
play_order(Piece *piece)
{
	piece->told = pstrdup("order");
	wf_order_carry_out(&(WfDelivery){.id = piece->what.delivery, .instance = piece->what.instance}, 0);
}

/* The first of those that stand in line; it is so no more if an instance was suspended since it was found. */
static void
play_delivery(const Play *play, Piece *piece)
{
	WfDelivery *waiting;
	int			n = wf_deliveries_waiting(&piece->what.instance, 1, 1, MaxAllocSize, &waiting);
	WfInstance *instance = wf_batch_instance(piece->batch, piece->what.instance);

	if (n == 1 && waiting[0].id != piece->what.delivery && !play->fresh)
		return;
	if (n != 1 || waiting[0].id != piece->what.delivery)
		elog(ERROR, "delivery " INT64_FORMAT " is not the first one of instance " INT64_FORMAT, piece->what.delivery,
			 piece->what.instance);
	if (instance != NULL && instance->status == WF_STATUS_SUSPENDED)
	{
		wf_deliveries_hold(&piece->what.instance, 1);
		return;
	}
	piece->told = psprintf("delivery: %s", waiting[0].kind);
	wf_delivery_apply(piece->batch, &waiting[0]);
	(void) wf_deliveries_delete(&waiting[0].id, 1);
	if (piece->visit != NULL)
		give_up_request(piece->visit);
}

/* ---- what an executor does ---- */

/* The error that the statement ended with; NULL: it is the outcome of the statement. */
static ErrorData *lacking = NULL;

static void
judge(const ErrorData *error, WfAnswer *answer)
{
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(unconstify(ErrorData *, error));
	answer->lack = wf_failure_lack(error);
	if (answer->lack != WF_LACK_NONE)
		lacking = unconstify(ErrorData *, error);
}

static WfVisit *
load(WfBatch *batch, int64 instance, int64 visit)
{
	(void) wf_batch_lock(batch, &instance, 1, WF_LOCK_WAIT);
	wf_batch_load_visits(batch, &instance, &visit, 1);
	return wf_batch_visit(batch, instance, visit);
}

/* The visit may have been moved on by its own statement: so it is read again. */
static void
play_statement(Play *play, Piece *piece)
{
	static const WfStatementJudge by_failure = {.failed = judge};
	WfVisit						 *before = piece->visit;
	Oid							  owner = wf_process_owner(before->instance->process->process_id);
	WfAnswer					  answer;

	lacking = NULL;
	wf_store_leave(&play->access);
	MemoryContextSwitchTo(piece->batch->context);
	wf_user_sql_play(before, owner, &by_failure, &answer);
	wf_store_enter(&play->access);
	piece->batch = wf_batch_begin();
	MemoryContextSwitchTo(piece->batch->context);
	piece->visit = load(piece->batch, piece->what.instance, piece->what.visit);
	piece->told = answer.fault.code != NULL ? psprintf("statement: %s", answer.fault.code) : pstrdup("statement");
	if (piece->visit == NULL)
		return;
	if (answer.lack != WF_LACK_NONE && !wf_engine_names(piece->visit, &answer.fault))
		ReThrowError(lacking);
	wf_engine_answer(piece->batch, piece->visit, &answer);
}

static void
play_work(Play *play, Piece *piece)
{
	if (wf_state_wants_statement(piece->visit, piece->batch->now, false))
		play_statement(play, piece);
	else
		play_due(piece, "move");
}

static void
play_write_back(Play *play, Piece *piece)
{
	Oid owner = wf_executor_queue_role(piece->what.queue);
	int error;

	if (OidIsValid(owner) && !has_privs_of_role(play->caller, owner))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("only members of the owner of an attached table may play what is written to it"),
				errdetail("Its row is that of instance " INT64_FORMAT ", which this transaction has started.",
						  piece->what.instance));
	wf_store_leave(&play->access);
	MemoryContextSwitchTo(piece->batch->context);
	error = wf_write_back_play(&(WfDelivery){.id = piece->what.delivery,
											 .instance = piece->what.instance,
											 .attempt = piece->what.attempt,
											 .due_at = piece->what.at},
							   owner);
	wf_store_enter(&play->access);
	MemoryContextSwitchTo(piece->batch->context);
	piece->told = error != 0 ? psprintf("write-back: %s", unpack_sql_state(error)) : pstrdup("write-back");
}

/* ---- a piece ---- */

static void
do_delivery(Play *play, Piece *piece)
{
	switch (piece->what.kind)
	{
		case WF_PLAY_CALL:
			play_call(piece);
			break;
		case WF_PLAY_START:
			play_start(piece);
			break;
		case WF_PLAY_REST:
			play_rest(piece);
			break;
		case WF_PLAY_WRITE_BACK:
			play_write_back(play, piece);
			break;
		default:
			if (piece->what.in_line)
				play_delivery(play, piece);
			else
				play_order(piece);
			break;
	}
}

static void
do_visit(Play *play, Piece *piece)
{
	switch (piece->what.kind)
	{
		case WF_PLAY_ALARM:
			play_alarm(piece);
			break;
		case WF_PLAY_CLOCK:
			play_due(piece, "clock");
			break;
		case WF_PLAY_MOVE:
			play_due(piece, "move");
			break;
		case WF_PLAY_REQUEST:
			play_request(piece);
			break;
		default:
			play_work(play, piece);
			break;
	}
}

static void
do_piece(Play *play, Piece *piece)
{
	if (piece->what.kind == WF_PLAY_REPLY)
		play_reply(piece);
	else if (piece->what.delivery != 0)
		do_delivery(play, piece);
	else if (piece->visit != NULL)
		do_visit(play, piece);
}

static void
describe_piece(void *arg)
{
	const WfPlayable *what = arg;

	errcontext("visit " INT64_FORMAT "_" INT64_FORMAT ", played at %s", what->instance, what->visit,
			   timestamptz_to_str(what->at));
}

static void
put_piece(Play *play, const Piece *piece)
{
	Datum values[4] = {TimestampTzGetDatum(piece->what.at)};
	bool  nulls[4] = {false, piece->what.visit == 0, piece->step == NULL, false};

	if (!nulls[1])
		values[1] =
			CStringGetTextDatum(psprintf(INT64_FORMAT "_" INT64_FORMAT, piece->what.instance, piece->what.visit));
	if (!nulls[2])
		values[2] = CStringGetTextDatum(piece->step);
	values[3] = CStringGetTextDatum(piece->told);
	tuplestore_putvalues(play->rsinfo->setResult, play->rsinfo->setDesc, values, nulls);
}

/* It is not looked at again until time moves on, else it would be for ever. */
static void
note_idle(Play *play, const WfPlayable *what)
{
	MemoryContext old = MemoryContextSwitchTo(play->context);
	WfPlayable	 *copy = palloc(sizeof(WfPlayable));

	*copy = *what;
	play->idle = lappend(play->idle, copy);
	MemoryContextSwitchTo(old);
}

/* Has nothing become of the piece? A request that is under way has no row. */
static bool
was_idle(const Piece *piece)
{
	return piece->visit != NULL && piece->what.kind != WF_PLAY_REPLY && piece->what.delivery == 0 &&
		   !piece->visit->ended && !piece->visit->changed &&
		   !(piece->what.kind == WF_PLAY_REQUEST && wf_script_under_way(piece->what.visit) != NULL);
}

static WfPlayKind
kind_of_queue(const char *queue)
{
	if (strcmp(queue, WF_QUEUE_TIMER) == 0)
		return WF_PLAY_CLOCK;
	if (strcmp(queue, WF_QUEUE_MOVE) == 0)
		return WF_PLAY_MOVE;
	return strncmp(queue, WF_QUEUE_HTTP, strlen(WF_QUEUE_HTTP)) == 0 ? WF_PLAY_REQUEST : WF_PLAY_WORK;
}

/* What was found before others were played may have come about by them, or have ended. */
static bool
is_still_due(const Play *play, const Piece *piece)
{
	const WfVisit *visit = piece->visit;
	TimestampTz	   now = piece->batch->now;

	if (play->fresh || piece->what.kind == WF_PLAY_REPLY)
		return true;
	if (piece->what.delivery != 0)
		return wf_play_is_there(piece->what.delivery);
	if (visit == NULL || visit->ended || visit->suspended)
		return false;
	if (piece->what.kind == WF_PLAY_ALARM)
		return wf_batch_next_timer(visit) != 0 && wf_batch_next_timer(visit) <= now;
	return visit->queue != NULL && visit->due_at != 0 && visit->due_at <= now &&
		   kind_of_queue(visit->queue) == piece->what.kind && wf_script_under_way(visit->id) == NULL;
}

/* Inside wf_store_enter. */
static void
play_piece(Play *play, const WfPlayable *what)
{
	Piece	 piece = {.what = *what, .batch = wf_batch_begin()};
	WfBatch *first = piece.batch;

	MemoryContextSwitchTo(first->context);
	piece.visit = load(first, what->instance, what->visit);
	if (wf_batch_instance(first, what->instance) != NULL)
		require_member(play, wf_batch_instance(first, what->instance));
	piece.step = piece.visit != NULL ? pstrdup(piece.visit->step) : NULL;
	if (is_still_due(play, &piece))
	{
		do_piece(play, &piece);
		if (was_idle(&piece))
			note_idle(play, what);
		else if (piece.told != NULL)
			put_piece(play, &piece);
	}
	wf_batch_flush(piece.batch);
	if (piece.batch != first)
		wf_batch_end(piece.batch);
	wf_batch_end(first);
}

/* ---- all of them ---- */

static Datum
idle_visits(const Play *play, bool alarms)
{
	int64	 *visits = palloc(sizeof(int64) * Max(list_length(play->idle), 1));
	int		  n = 0;
	ListCell *lc;

	foreach (lc, play->idle)
	{
		const WfPlayable *one = lfirst(lc);

		if ((one->kind == WF_PLAY_ALARM) == alarms)
			visits[n++] = one->visit;
	}
	return wf_int64_array(visits, n);
}

/* Those that are played next; what was found before is forgotten. */
static bool
find_more(Play *play)
{
	MemoryContext old;

	MemoryContextReset(play->turn);
	old = MemoryContextSwitchTo(play->turn);
	play->at = 0;
	(void) wf_wakeups_first();
	play->due = DT_NOEND;
	play->nfound = wf_play_next(play->until,
								&(WfPlayPassed){.in_flight = wf_script_in_flight(),
												.due = idle_visits(play, false),
												.alarms = idle_visits(play, true)},
								&play->found);
	MemoryContextSwitchTo(old);
	return play->nfound > 0;
}

/* Is what was found next still what comes next? Of what is due now, the order does not matter. */
static bool
still_leads(Play *play)
{
	TimestampTz first = wf_wakeups_first();

	if (play->at >= play->nfound)
		return false;
	play->due = Min(play->due, first);
	return play->found[play->at].at <= wf_now() || (play->found[play->at].at < play->due && play->idle == NIL);
}

static bool
find_next(Play *play, WfPlayable *next)
{
	const WfMocked *reply = wf_script_next_reply();
	bool			found;

	play->fresh = !still_leads(play);
	found = !play->fresh || find_more(play);
	if (reply == NULL || reply->arrives > play->until || (found && play->found[play->at].at < reply->arrives))
	{
		if (found)
			*next = play->found[play->at++];
		return found;
	}
	*next = (WfPlayable){.kind = WF_PLAY_REPLY,
						 .at = Max(reply->arrives, wf_now()),
						 .instance = reply->instance,
						 .visit = reply->visit};
	return true;
}

/* Inside wf_store_enter. What was sent, and is nobody's yet: signals, messages to many, and those that are kept. */
static bool
play_sent(const Play *play)
{
	bool moves_on = play->at >= play->nfound || play->found[play->at].at > wf_now();

	return wf_broadcast_play() || (moves_on && wf_match_play());
}

static void
move_on(Play *play, TimestampTz to)
{
	if (to <= wf_now())
		return;
	wf_play_advance(to);
	list_free_deep(play->idle);
	play->idle = NIL;
}

static bool
play_next(Play *play)
{
	WfPlayable			 next;
	ErrorContextCallback context = {.callback = describe_piece, .arg = &next, .previous = error_context_stack};
	bool				 more;

	CHECK_FOR_INTERRUPTS();
	wf_store_enter(&play->access);
	more = play_sent(play);
	if (!more && find_next(play, &next))
	{
		move_on(play, next.at);
		error_context_stack = &context;
		play_piece(play, &next);
		error_context_stack = context.previous;
		more = true;
	}
	wf_store_leave(&play->access);
	return more;
}

static void
play_all(Play *play)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "workflow piece", ALLOCSET_DEFAULT_SIZES);
	int			  n = 0;
	bool		  more = true;

	while (more)
	{
		MemoryContextSwitchTo(context);
		more = play_next(play);
		MemoryContextSwitchTo(play->context);
		MemoryContextReset(context);
		if (n++ == MOST_PIECES)
			ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("workflow.advance stops after %d steps", MOST_PIECES),
					errdetail("It has come to %s.", timestamptz_to_str(wf_now())),
					errhint("Does a token go in circles? Else advance by less."));
	}
	wf_play_advance(play->until);
	MemoryContextDelete(context);
}

static TimestampTz
end_of_play(FunctionCallInfo fcinfo)
{
	TimestampTz until;

	wf_argument_require(fcinfo, 0, "by");
	until = DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(wf_now()), PG_GETARG_DATUM(0)));
	if (TIMESTAMP_NOT_FINITE(until) || until < wf_now())
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("time goes forward, and not for ever"));
	return until;
}

static void
require_outermost(void)
{
	if (playing)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("workflow.advance is under way"),
				errdetail("What it plays cannot call it."));
}

/*
 * workflow.advance(by interval) → setof (at, serial_number, step, event)
 *
 * Errors: 22004 for NULL, 22023 for what is negative, 42501 for instances of a process of whose owner the caller is no
 * member, 42704 for a request to which no reply was made up, 54000 if it does not come to an end, 55000 if what it plays calls
 * it; those of what it plays.
 */
Datum
workflow_advance(PG_FUNCTION_ARGS)
{
	Play play = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo, .caller = GetUserId()};

	PreventCommandIfReadOnly("workflow.advance()");
	require_outermost();
	InitMaterializedSRF(fcinfo, 0);
	wf_store_enter(&play.access); /* for its errors */
	wf_store_leave(&play.access);
	wf_play_stop_clock();
	play.until = end_of_play(fcinfo);
	play.context = CurrentMemoryContext;
	play.turn = AllocSetContextCreate(play.context, "workflow turn", ALLOCSET_DEFAULT_SIZES);
	wf_constraints_immediate(); /* what is deferred happens, as at a commit, before anything that follows from that */
	playing = true;
	PG_TRY();
	{
		play_all(&play);
	}
	PG_FINALLY();
	{
		playing = false;
	}
	PG_END_TRY();
	wf_play_before_commit(); /* of a single statement, or a procedure */
	return (Datum) 0;
}
