/*
 * erase.c
 *		What an ended instance has left behind goes, before its retention is over.
 *
 * Attempts and late callbacks are found by the serial numbers of its visits, since they have no index of their own that begins
 * with the instance. A write-back that somebody is trying at this moment is left to him: it finds nothing to show, and goes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "store/erase.h"
#include "store/history.h"
#include "store/query.h"

#define OF_VISITS                                                                         \
	"workflow.serial_number(h.instance, h.visit) COLLATE \"C\" >= $1::text || '_' "          \
	"AND workflow.serial_number(h.instance, h.visit) COLLATE \"C\" < $1::text || '`'"
#define ERASE(table, condition) "DELETE FROM workflow_data." table " h WHERE " condition

static WfQuery q_erase = {
	.sql = "WITH v AS (" ERASE("visit_history", "h.instance = $1") "), "
		   "vs AS (" ERASE("visit_stray", "h.instance = $1") "), "
		   "a AS (" ERASE("attempt_history", OF_VISITS) "), "
		   "s AS (" ERASE("attempt_stray", OF_VISITS) "), "
		   "l AS (" ERASE("late_callback", OF_VISITS) "), "
		   "i AS (" ERASE("instance_history", "h.instance = $1") " RETURNING 1), "
		   "t AS (" ERASE("instance_stray", "h.instance = $1") " RETURNING 1) "
		   "SELECT (SELECT count(*) FROM i) + (SELECT count(*) FROM t)",
	.nargs = 1, .argtypes = {INT8OID}};
static WfQuery q_forget_owed = {
	.sql = "DELETE FROM workflow_data.delivery WHERE delivery IN (SELECT d.delivery FROM workflow_data.delivery d, "
		   WF_ENDED("instance") " h WHERE h.instance = $1 AND h.business_key IS NOT NULL AND d.instance = $1 "
		   "AND d.kind = 'write_back' AND d.payload IS NOT NULL AND d.payload ->> 'attachment' = h.attachment::text "
		   "AND d.payload ->> 'business_key' = h.business_key FOR UPDATE OF d SKIP LOCKED)",
	.nargs = 1, .argtypes = {INT8OID}};

bool
wf_erase_instance(int64 instance)
{
	Datum		values[1] = {Int64GetDatum(instance)};

	wf_query_run(&q_forget_owed, values, NULL);
	wf_query_run(&q_erase, values, NULL);
	return wf_result_int64(0, 1) > 0;
}
