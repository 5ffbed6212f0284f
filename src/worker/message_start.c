/*
 * message_start.c
 *		Instances that an executor starts for messages: those that a step has sent, that were kept, or that go to all.
 *
 * What is true when it starts counts: the latest version, the sender's rights, and who waits by then. If the process does
 * not start on the message any more, it is kept for the rest of its time, as one whose wait is over. If its business
 * key cannot be made or belongs to a living instance, or the start fails for a reason of its own, it is tried again after a
 * pause that grows, until its time is over: then there may be another version, or somebody waits.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/start_on.h"
#include "model/issue.h"
#include "shmem/careful.h"
#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/event_delivery.h"
#include "store/message.h"
#include "store/played.h"
#include "store/privilege.h"
#include "store/subtransaction.h"
#include "worker/failure.h"
#include "worker/message_start.h"

/* The pause between two tries doubles, from the shortest to the longest. */
#define SHORTEST_PAUSE_MS INT64CONST(1000)
#define LONGEST_PAUSE_MS  INT64CONST(60000)
/* A message without a ttl is tried for so long. */
#define LONGEST_MS (INT64CONST(24) * 60 * 60 * 1000)

/* The message goes to nobody, and its sender was told that it is on its way. */
static void
give_up(const WfDelivery *taken, const WfMessage *message, const char *process, const char *reason)
{
	ereport(WARNING, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("workflow gives up message \"%s\", which was to start an instance of process \"%s\": %s",
				   wf_issue_clip(message->name), process, reason));
	wf_kept_forget(message);
	wf_delivery_delete(taken->id);
}

static void
put_off(const WfDelivery *taken, const WfMessage *message, const char *process, const char *reason)
{
	TimestampTz now = wf_now();
	int64		pause_ms = Min(SHORTEST_PAUSE_MS << Min(taken->attempt, 10), LONGEST_PAUSE_MS);
	TimestampTz until = TimestampTzPlusMilliseconds(now, pause_ms);
	TimestampTz end =
		message->expires_at != 0 ? message->expires_at : TimestampTzPlusMilliseconds(message->sent_at, LONGEST_MS);

	if (end <= now)
	{
		give_up(taken, message, process, reason);
		return;
	}
	if (taken->attempt == 0)
		ereport(LOG, errmsg("workflow: message \"%s\" has to wait before it starts an instance of process \"%s\": %s",
							wf_issue_clip(message->name), process, reason));
	until = Min(until, end);
	wf_delivery_postpone(taken->id, until);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, until);
}

/* The process does not start on it any more. It is kept for the rest of its time, if it has some. */
static void
refuse(const WfDelivery *taken, const WfMessage *message, const char *process, const char *reason)
{
	TimestampTz now = wf_now();

	if (message->expires_at <= now)
	{
		give_up(taken, message, process, reason);
		return;
	}
	wf_kept_refused(message, now);
	wf_delivery_delete(taken->id);
}

typedef struct Try
{
	const WfMessage		 *message;
	const WfMessageStart *start;
} Try;

static bool
run_start(void *arg)
{
	Try			 *try = arg;
	MemoryContext context = CurrentMemoryContext;
	WfAccess	  access;

	wf_store_enter(&access);
	MemoryContextSwitchTo(context);
	(void) wf_engine_start_on(try->start, try->message, false);
	wf_store_leave(&access);
	return true;
}

/* Start it in a subtransaction. What is lacking, or stops this session, fails the transaction: it is tried again. */
static void
try_to_start(const WfDelivery *taken, const WfMessage *message, const WfMessageStart *start)
{
	Try		   try = {message, start};
	ErrorData *error = wf_subtransaction_run(run_start, &try);

	if (error == NULL)
	{
		wf_kept_delivered(message);
		wf_delivery_delete(taken->id);
	}
	else if (wf_error_is_of_server(error->sqlerrcode) || wf_failure_lack(error) != WF_LACK_NONE)
		ReThrowError(error);
	else
		put_off(taken, message, start->process->name, error->message);
}

void
wf_start_deliver(const WfDelivery *taken, int deaths)
{
	WfEventDelivery delivery;
	WfMessage	   *message = &delivery.message;
	WfMessageStart *start;
	WfFault			fault = {0};
	Oid				role;
	const char	   *process;

	wf_event_delivery_read(wf_delivery_payload(taken->id), &delivery);
	role = wf_role_resolve(message->role, message->role_name);
	process = wf_process_name(delivery.process_id);
	if (deaths >= WF_MOST_DEATHS)
	{
		wf_failure_died(&fault);
		give_up(taken, message, process, fault.message);
	}
	else if (!message->to_all && wf_message_redirect(message, role))
		wf_delivery_delete(taken->id);
	else if (wf_message_starts(message, role, delivery.process_id, &start) == 0)
		refuse(taken, message, process, "its latest version does not start on it, or its sender may not start it");
	else if (!wf_message_start_takes(start, message, &fault))
		refuse(taken, message, process, fault.message);
	else if (!wf_message_start_prepare(start, message, &fault) || !wf_message_start_is_free(start, &fault))
		put_off(taken, message, process, fault.message);
	else
		try_to_start(taken, message, start);
}
