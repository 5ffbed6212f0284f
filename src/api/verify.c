/*
 * verify.c
 *		workflow.verify: are the rows of all living instances in keeping with each other and with
 *		their definitions?
 *
 * Everything is read with one snapshot and without a lock, so the function can be called while
 * workers and clients move tokens, and on a standby. What it finds is a fault of the extension, or
 * somebody has written to its tables by hand.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "api/verify_internal.h"
#include "store/access.h"
#include "store/delivery.h"
#include "store/query.h"
#include "store/version.h"

/* What waits for the end of a suspension that is over, or whose instance has ended. */
static WfQuery q_deliveries = {
	.sql = "SELECT d.instance, d.visit, 'delivery ' || d.delivery || ' (' || d.kind || ') is held for ever: ' || "
		   "CASE WHEN i.status IS NULL THEN 'its instance does not live' ELSE 'its instance is not suspended' END "
		   "FROM workflow_data.delivery d LEFT JOIN workflow_data.instance i ON i.instance = d.instance "
		   "WHERE d.queue = 'suspended' AND i.status IS DISTINCT FROM 'suspended' ORDER BY d.instance, d.delivery",
};

/* Messages of which a delivery should be on its way, and deliveries whose message is not. */
static WfQuery q_messages = {
	.sql =
		"SELECT s.instance, s.visit, 'message ' || m.message || ' is offered, but no delivery brings it' "
		"FROM workflow_data.message m LEFT JOIN workflow_data.subscription s ON s.subscription = m.offered "
		"WHERE m.offered IS NOT NULL AND NOT EXISTS (SELECT FROM workflow_data.delivery d WHERE d.kind IN ('event', 'start') "
		"AND d.subscription = m.offered AND d.payload ->> 'message' = m.message::text) UNION ALL "
		"SELECT d.instance, d.visit, 'delivery ' || d.delivery || ' brings message ' || m.message || ', which is not offered to it' "
		"FROM workflow_data.delivery d JOIN workflow_data.message m ON m.message = (d.payload ->> 'message')::bigint "
		"WHERE d.kind IN ('event', 'start') AND m.offered IS DISTINCT FROM d.subscription ORDER BY 1, 2, 3",
};

/*
 * Waits of which senders and the dispatcher do not know that a message is held for them, and those that get none though
 * nothing is held for them, nor does their scope end.
 */
static WfQuery q_closed = {
	.sql =
		"SELECT s.instance, s.visit, 'subscription ' || s.subscription || ' is not closed, though a message is held for it' "
		"FROM workflow_data.subscription s WHERE s.kind = 'message' AND s.interrupt IS NOT FALSE AND NOT s.closed "
		"AND EXISTS (SELECT FROM workflow_data.delivery d WHERE d.subscription = s.subscription AND d.queue = 'suspended') "
		"UNION ALL "
		"SELECT s.instance, s.visit, 'subscription ' || s.subscription || ' is closed, though nothing is held for it' "
		"FROM workflow_data.subscription s WHERE s.closed AND NOT EXISTS ("
		"SELECT FROM workflow_data.delivery d WHERE d.subscription = s.subscription AND d.queue = 'suspended') "
		"AND NOT EXISTS (SELECT FROM workflow_data.visit v WHERE v.instance = s.instance AND v.state = 'cancelling') "
		"AND NOT EXISTS (SELECT FROM workflow_data.instance i WHERE i.instance = s.instance AND i.ending IS NOT NULL) "
		"ORDER BY 1, 2, 3",
};

/* Items that nobody goes through, and lists of which some are missing. */
static WfQuery q_items = {
	.sql =
		"SELECT i.instance, i.visit, 'there are items of it, but it does not live' FROM workflow_data.item i "
		"WHERE NOT EXISTS (SELECT FROM workflow_data.visit v WHERE v.instance = i.instance AND v.visit = i.visit) "
		"GROUP BY i.instance, i.visit UNION ALL "
		"SELECT v.instance, v.visit, 'goes through ' || coalesce(v.item_counts[1], 0) || ' items, of which ' || i.n || ' are there' "
		"FROM workflow_data.visit v, LATERAL (SELECT count(*) AS n FROM workflow_data.item i "
		"WHERE i.instance = v.instance AND i.visit = v.visit) i WHERE v.waits_for = 'each' "
		"AND i.n <> coalesce(v.item_counts[1], 0) ORDER BY 1, 2, 3",
};

/* Work that nobody waits for, or that is held or not when it should not be; visits that wait for work that is not there. */
static WfQuery q_works = {
	.sql =
		"SELECT w.instance, w.visit, 'has work of topic \"' || w.topic || '\", ' || CASE "
		"WHEN v.visit IS NULL THEN 'but does not live' "
		"WHEN v.accepted IS NOT NULL OR v.state IN ('incident', 'cancelling') OR w.interrupt IS NULL "
		"AND (v.state <> 'waiting' OR v.waits_for !~ '\\mtopic\\M') THEN 'for which it does not wait' "
		"WHEN v.process_id <> w.process_id OR v.step <> w.step THEN 'of another step' "
		"WHEN w.held THEN 'which is held' ELSE 'which is not held' END "
		"FROM workflow_data.work w LEFT JOIN workflow_data.visit v ON v.instance = w.instance AND v.visit = w.visit "
		"LEFT JOIN workflow_data.work_note n ON n.work = w.work WHERE n.gone IS NOT TRUE "
		"AND (v.visit IS NULL OR v.accepted IS NOT NULL OR v.state IN ('incident', 'cancelling') OR w.interrupt IS NULL "
		"AND (v.state <> 'waiting' OR v.waits_for !~ '\\mtopic\\M') OR v.process_id <> w.process_id "
		"OR v.step <> w.step AND w.fetched_at IS NULL OR v.suspended AND NOT w.held AND n.work IS NULL "
		"OR NOT v.suspended AND (w.held OR n.work IS NOT NULL) AND NOT EXISTS (SELECT FROM workflow_data.visit c "
		"WHERE c.instance = w.instance AND c.cancel_phase = 'inside')) UNION ALL "
		"SELECT v.instance, v.visit, 'waits for a worker, and has ' || w.n || ' pieces of work' FROM workflow_data.visit v, LATERAL ("
		"SELECT count(*) AS n FROM workflow_data.work w WHERE w.instance = v.instance AND w.visit = v.visit "
		"AND NOT EXISTS (SELECT FROM workflow_data.work_note n WHERE n.work = w.work AND n.gone)) w "
		"WHERE v.state = 'waiting' AND v.waits_for ~ '\\mtopic\\M' AND v.accepted IS NULL AND w.n <> 1 ORDER BY 1, 2",
};

/* Visits that wait for an instance which cannot tell them of its end, and instances that could tell nobody. */
static WfQuery q_calls = {
	.sql =
		"SELECT v.instance, v.visit, CASE WHEN i.instance IS NULL "
		"THEN 'waits for instance ' || coalesce(v.child::text, 'none') || ', which does not live, and no delivery tells of its end' "
		"ELSE 'has called instance ' || v.child || ', which was called by ' || "
		"coalesce(i.parent || '_' || i.parent_visit, 'nobody') END "
		"FROM workflow_data.visit v LEFT JOIN workflow_data.instance i ON i.instance = v.child "
		"WHERE (v.waits_for = 'call' OR v.cancel_phase = 'child') "
		"AND (i.parent, i.parent_visit) IS DISTINCT FROM (v.instance, v.visit) "
		"AND NOT EXISTS (SELECT FROM workflow_data.delivery d WHERE d.instance = v.instance AND d.visit = v.visit "
		"AND d.kind = '" WF_DELIVERY_ENDED
		"' AND d.kind <> 'write_back' AND d.payload ->> 'child' = v.child::text) UNION ALL "
		"SELECT i.instance, 0, 'was called by ' || i.parent || '_' || i.parent_visit || ', which does not wait for it' "
		"FROM workflow_data.instance i LEFT JOIN workflow_data.visit v ON v.instance = i.parent AND v.visit = i.parent_visit "
		"WHERE i.parent IS NOT NULL AND (v.child IS DISTINCT FROM i.instance "
		"OR (v.waits_for = 'call' OR v.cancel_phase = 'child') IS NOT TRUE) UNION ALL "
		"SELECT i.instance, 0, 'has root ' || coalesce(i.root::text, 'none') || ' and depth ' || coalesce(i.depth::text, 'none') || "
		"', and was called by one with ' || coalesce(p.root, p.instance) || ' and ' || coalesce(p.depth, 0) "
		"FROM workflow_data.instance i JOIN workflow_data.instance p ON p.instance = i.parent "
		"WHERE (i.root, i.depth) IS DISTINCT FROM (coalesce(p.root, p.instance), coalesce(p.depth, 0) + 1) UNION ALL "
		"SELECT instance, 0, 'is to be resumed with its caller' FROM workflow_data.instance "
		"WHERE with_caller AND (parent IS NULL OR status <> 'suspended') ORDER BY 1, 2",
};

/* Headers of calls that nobody needs any more: they are secrets. Those that are not there were lost with a dump. */
static WfQuery q_on_behalf = {
	.sql =
		"SELECT o.instance, o.visit, 'headers of a call are kept for it, though it ' || "
		"CASE WHEN v.visit IS NULL THEN 'does not live' ELSE 'needs none' END "
		"FROM workflow_data.on_behalf o LEFT JOIN workflow_data.visit v ON v.instance = o.instance AND v.visit = o.visit "
		"WHERE v.on_behalf IS NOT TRUE ORDER BY 1, 2",
};

/* Calls that nobody would carry out, deliveries of calls that were, and secrets of those. */
static WfQuery q_operations = {
	.sql =
		"SELECT o.instance, o.visit, 'operation ' || o.operation || ' is pending, but no delivery carries it out' "
		"FROM workflow_data.operation o WHERE o.done_at IS NULL AND NOT EXISTS (SELECT FROM workflow_data.delivery d "
		"WHERE d.kind = '" WF_DELIVERY_OPERATION "' AND (d.payload ->> 'operation')::bigint = o.operation) UNION ALL "
		"SELECT d.instance, d.visit, 'delivery ' || d.delivery || ' carries out operation ' || (d.payload ->> 'operation') || "
		"', which is not pending' FROM workflow_data.delivery d "
		"WHERE d.kind = '" WF_DELIVERY_OPERATION "' AND NOT EXISTS (SELECT FROM workflow_data.operation o "
		"WHERE o.operation = (d.payload ->> 'operation')::bigint AND o.done_at IS NULL) UNION ALL "
		"SELECT o.instance, o.visit, 'headers are kept for operation ' || h.operation || ', which is not pending' "
		"FROM workflow_data.operation_headers h LEFT JOIN workflow_data.operation o ON o.operation = h.operation "
		"WHERE o.done_at IS NOT NULL AND o.callback_due IS NOT TRUE OR o.operation IS NULL UNION ALL "
		"SELECT o.instance, o.visit, 'the callback of operation ' || o.operation || ' is due, but nobody looks whether its instance rests' "
		"FROM workflow_data.operation o LEFT JOIN workflow_data.instance i ON i.instance = o.instance "
		"WHERE o.callback_due AND i.asked IS NOT TRUE AND NOT EXISTS (SELECT FROM workflow_data.delivery d "
		"WHERE d.instance = o.instance AND d.kind = '" WF_DELIVERY_REST "') ORDER BY 1, 2, 3",
};

WF_FUNCTION(workflow_verify);

static bool
is_status(const WfVerifiedInstance *instance, const char *status)
{
	return strcmp(instance->status, status) == 0;
}

static int
count_incidents(const WfVerify *verify)
{
	int incidents = 0;

	for (int i = 0; i < verify->n; i++)
		if (strcmp(verify->visits[i].state, "incident") == 0)
			incidents++;
	return incidents;
}

static void
verify_instance_row(WfVerify *verify)
{
	const WfVerifiedInstance *instance = &verify->instance;
	int						  incidents = count_incidents(verify);

	if (instance->def == NULL)
		wf_verify_report(verify, NULL, "there is no version %d of process %d", instance->version, instance->process_id);
	if (instance->incidents != incidents)
		wf_verify_report(verify, NULL, "counts %d incidents, but %d of its visits are incidents", instance->incidents,
						 incidents);
	if (!is_status(instance, "suspended") && !is_status(instance, instance->incidents > 0 ? "failed" : "active"))
		wf_verify_report(verify, NULL, "its status is %s, with %d incidents", instance->status, instance->incidents);
	if (verify->n == 0)
		wf_verify_report(verify, NULL, "lives, but has no visit");
}

static void
verify_instance(WfVerify *verify)
{
	MemoryContext old = MemoryContextSwitchTo(verify->context);

	CHECK_FOR_INTERRUPTS();
	if (verify->instance.living)
		verify_instance_row(verify);
	for (int i = 0; i < verify->n; i++)
		wf_verify_visit(verify, &verify->visits[i]);
	wf_verify_subscriptions(verify);
	wf_verify_items(verify);
	if (verify->instance.living)
		wf_verify_tokens(verify);
	MemoryContextSwitchTo(old);
}

/* Report what a query finds: instances, visits and problems. */
static void
verify_by(WfQuery *query, WfVerify *verify, Snapshot snapshot)
{
	uint64 n = wf_query_run_at(query, NULL, snapshot);

	for (uint64 i = 0; i < n; i++)
	{
		verify->instance.id = wf_result_int64(i, 1);
		wf_verify_report_number(verify, wf_result_int64(i, 2), wf_result_text(i, 3));
	}
}

/*
 * workflow.verify() → setof (instance bigint, serial_number text, problem text)
 *
 * serial_number is NULL where the problem is one of the instance as a whole.
 */
Datum
workflow_verify(PG_FUNCTION_ARGS)
{
	WfVerify		verify = {.problems = (ReturnSetInfo *) fcinfo->resultinfo};
	WfVerifyReader *reader;
	Snapshot		snapshot;
	WfAccess		access;

	InitMaterializedSRF(fcinfo, 0);
	wf_store_enter(&access);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	reader = wf_verify_begin(snapshot);
	while (wf_verify_next(reader, &verify))
		verify_instance(&verify);
	verify_by(&q_deliveries, &verify, snapshot);
	verify_by(&q_messages, &verify, snapshot);
	verify_by(&q_closed, &verify, snapshot);
	verify_by(&q_items, &verify, snapshot);
	verify_by(&q_works, &verify, snapshot);
	verify_by(&q_operations, &verify, snapshot);
	verify_by(&q_calls, &verify, snapshot);
	verify_by(&q_on_behalf, &verify, snapshot);
	UnregisterSnapshot(snapshot);
	wf_store_leave(&access);
	return (Datum) 0;
}
