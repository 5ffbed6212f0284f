/*
 * task.c
 *		Tasks: what visits wait for that people do, and who may do it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "store/privilege.h"
#include "store/query.h"
#include "store/task.h"

static const WfColumn row_columns[] = {{"instance", INT8OID},	{"visit", INT8OID},
									   {"process_id", INT4OID}, {"entry", INT4OID},
									   {"assignee", OIDOID},	{"assignee_name", NAMEOID},
									   {"roles", OIDARRAYOID},	{"role_names", NAMEARRAYOID},
									   {"due", TIMESTAMPTZOID}, {"created_at", TIMESTAMPTZOID},
									   {"title", TEXTOID},		{"data", JSONBOID}};
static const WfColumn key_columns[] = {{"instance", INT8OID}, {"visit", INT8OID}, {"entry", INT4OID}};

static WfShape row_shape = {row_columns, lengthof(row_columns)};
static WfShape key_shape = {key_columns, lengthof(key_columns)};

static WfQuery q_insert = {
	.sql =
		"INSERT INTO workflow_data.task (instance, visit, process_id, entry, assignee, assignee_name, assigned, assigned_name, "
		"roles, role_names, due, created_at, title, data) SELECT m.instance, m.visit, m.process_id, m.entry, m.assignee, "
		"m.assignee_name, m.assignee, m.assignee_name, m.roles, m.role_names, m.due, m.created_at, m.title, m.data FROM moved m",
	.shape = &row_shape,
};
static WfQuery q_carry = {
	.sql =
		"UPDATE workflow_data.task t SET entry = m.entry FROM moved m WHERE t.instance = m.instance AND t.visit = m.visit",
	.shape = &key_shape,
};
static WfQuery q_delete = {
	.sql = "DELETE FROM workflow_data.task t USING moved m WHERE t.instance = m.instance AND t.visit = m.visit",
	.shape = &key_shape,
};
static WfQuery q_read = {
	.sql =
		"SELECT t.entry, t.assignee, t.assignee_name, t.assigned, t.assigned_name, t.roles, t.role_names, t.person, t.claimed_at "
		"FROM workflow_data.task t WHERE t.instance = $1 AND t.visit = $2",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

static WfQuery q_claimed = {
	.sql =
		"SELECT FROM workflow_data.audit a WHERE a.instance = $1 AND a.visit = $2 AND a.call = 'claim' AND a.role = $3 LIMIT 1",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, NAMEOID},
};
/* SQL that is put together */
/* clang-format off */
#define DONE_BY(table, event) \
	"SELECT FROM workflow_data." table " v WHERE v.instance = $1 AND v.visit = $2 " \
	"AND " event " ->> 'kind' = 'task' AND " event " ->> 'role' = $3"
/* Of a task that is over: to whom, or to whose group, it was given, and who has done it. */
static WfQuery q_was_his = {
	.sql = "SELECT FROM workflow_data.audit a JOIN pg_catalog.pg_roles r ON r.rolname = a.arguments ->> 'role' "
		   "WHERE a.instance = $1 AND a.visit = $2 AND a.call = 'reassign' AND pg_catalog.pg_has_role($4, r.oid, 'USAGE') "
		   "UNION ALL " DONE_BY("visit", "coalesce(v.event, v.result -> 'event')") " UNION ALL "
		   DONE_BY("visit_history", "(v.result -> 'event')") " UNION ALL "
		   DONE_BY("visit_stray", "(v.result -> 'event')"),
	.nargs = 4, .argtypes = {INT8OID, INT8OID, NAMEOID, OIDOID},
};
/* clang-format on */
static WfQuery q_claim = {
	.sql = "UPDATE workflow_data.task SET assignee = $3, assignee_name = $4, person = $5, claimed_at = $6 "
		   "WHERE instance = $1 AND visit = $2",
	.nargs = 6,
	.argtypes = {INT8OID, INT8OID, OIDOID, NAMEOID, TEXTOID, TIMESTAMPTZOID},
};
static WfQuery q_unclaim = {
	.sql = "UPDATE workflow_data.task SET assignee = CASE WHEN roles = '{}' THEN assigned END, "
		   "assignee_name = CASE WHEN roles = '{}' THEN assigned_name END, person = NULL, claimed_at = NULL "
		   "WHERE instance = $1 AND visit = $2",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};
static WfQuery q_assign = {
	.sql =
		"UPDATE workflow_data.task SET assignee = $3, assignee_name = $4, assigned = $3, assigned_name = $4, person = $5, "
		"claimed_at = NULL WHERE instance = $1 AND visit = $2",
	.nargs = 5,
	.argtypes = {INT8OID, INT8OID, OIDOID, NAMEOID, TEXTOID},
};

/* ---- writing ---- */

static Datum
role_name(Oid role)
{
	Name  name = palloc0(sizeof(NameData));
	char *current = GetUserNameFromId(role, true);

	/* dropped since: nobody has it then */
	namestrcpy(name, current != NULL ? current : "");
	return NameGetDatum(name);
}

static void
put_made(WfRows *rows, const WfSubscription *made)
{
	const WfVisit *visit = made->visit;
	const WfOffer *offer = made->offer;
	Datum		  *roles = palloc(sizeof(Datum) * Max(offer->nroles, 1));
	Datum		  *names = palloc(sizeof(Datum) * Max(offer->nroles, 1));
	bool		   nobody = !OidIsValid(offer->assignee);
	bool nulls[lengthof(row_columns)] = {[4] = nobody, [5] = nobody, [8] = offer->due == 0, [11] = offer->data == NULL};

	for (int i = 0; i < offer->nroles; i++)
	{
		roles[i] = ObjectIdGetDatum(offer->roles[i]);
		names[i] = role_name(offer->roles[i]);
	}
	if (rows->store == NULL)
		wf_rows_begin(rows, &row_shape);
	wf_rows_put(rows,
				(Datum[]){Int64GetDatum(visit->instance->id), Int64GetDatum(visit->id),
						  Int32GetDatum(visit->instance->process->process_id), Int32GetDatum(made->entry),
						  ObjectIdGetDatum(offer->assignee), nobody ? (Datum) 0 : role_name(offer->assignee),
						  PointerGetDatum(
							  construct_array(roles, offer->nroles, OIDOID, sizeof(Oid), true, TYPALIGN_INT)),
						  PointerGetDatum(
							  construct_array(names, offer->nroles, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR)),
						  TimestampTzGetDatum(offer->due), TimestampTzGetDatum(offer->since),
						  CStringGetTextDatum(offer->title), JsonbPGetDatum(offer->data)},
				nulls);
}

static void
put_key(WfRows *rows, int64 instance, int64 visit, int entry)
{
	bool nulls[lengthof(key_columns)] = {0};

	if (rows->store == NULL)
		wf_rows_begin(rows, &key_shape);
	wf_rows_put(rows, (Datum[]){Int64GetDatum(instance), Int64GetDatum(visit), Int32GetDatum(entry)}, nulls);
}

static void
write_rows(WfQuery *query, WfRows *rows, bool each)
{
	if (rows->store == NULL)
		return;
	if (wf_query_run_rows(query, rows) != (uint64) rows->n && each)
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				errmsg("could not serialize access to an instance due to concurrent update"));
	wf_rows_end(rows);
}

void
wf_tasks_write(const List *gone, const List *subscribed)
{
	WfRows	  deleted = {0};
	WfRows	  carried = {0};
	WfRows	  made = {0};
	ListCell *lc;

	foreach (lc, gone)
	{
		const WfUnsubscribed *one = lfirst(lc);

		if ((one->tables & WF_IN_TASK) != 0)
			put_key(&deleted, one->instance, one->visit, one->entry);
	}
	foreach (lc, subscribed)
	{
		const WfSubscription *one = lfirst(lc);

		if (one->offer != NULL)
			put_made(&made, one);
		else
			put_key(&carried, one->visit->instance->id, one->visit->id, one->entry);
	}
	write_rows(&q_delete, &deleted, false);
	write_rows(&q_carry, &carried, true);
	write_rows(&q_insert, &made, true);
}

/* ---- changing ---- */

/* Run a query that has to find the row: the instance is locked, and it was read. */
static void
change(WfQuery *query, Datum *values, const char *nulls)
{
	if (wf_query_run(query, values, nulls) != 1)
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				errmsg("could not serialize access to a task due to concurrent update"));
}

void
wf_task_claim(int64 instance, int64 visit, Oid role, const char *person, TimestampTz now)
{
	Datum values[] = {Int64GetDatum(instance),
					  Int64GetDatum(visit),
					  ObjectIdGetDatum(role),
					  role_name(role),
					  person != NULL ? CStringGetTextDatum(person) : (Datum) 0,
					  TimestampTzGetDatum(now)};

	change(&q_claim, values, person != NULL ? NULL : "    n ");
}

void
wf_task_unclaim(int64 instance, int64 visit)
{
	Datum values[] = {Int64GetDatum(instance), Int64GetDatum(visit)};

	change(&q_unclaim, values, NULL);
}

void
wf_task_assign(int64 instance, int64 visit, Oid role, const char *person)
{
	Datum values[] = {Int64GetDatum(instance), Int64GetDatum(visit), ObjectIdGetDatum(role), role_name(role),
					  person != NULL ? CStringGetTextDatum(person) : (Datum) 0};

	change(&q_assign, values, person != NULL ? NULL : "    n");
}

/* ---- reading ---- */

/* A role as it is stored; name NULL: there is none. */
typedef struct StoredRole
{
	Oid			oid;
	const char *name;
} StoredRole;

static StoredRole
read_role(int column)
{
	bool	   isnull;
	StoredRole role = {DatumGetObjectId(wf_result(0, column, &isnull))};

	if (!isnull)
		role.name = pstrdup(NameStr(*DatumGetName(wf_result(0, column + 1, &isnull))));
	return role;
}

static StoredRole *
read_roles(int column, int *n)
{
	bool		isnull;
	ArrayType  *oids = DatumGetArrayTypeP(wf_result(0, column, &isnull));
	ArrayType  *names = DatumGetArrayTypeP(wf_result(0, column + 1, &isnull));
	Datum	   *elements;
	Datum	   *texts;
	int			nnames;
	StoredRole *roles;

	deconstruct_array(oids, OIDOID, sizeof(Oid), true, TYPALIGN_INT, &elements, NULL, n);
	deconstruct_array(names, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &texts, NULL, &nnames);
	*n = Min(*n, nnames);
	roles = palloc(sizeof(StoredRole) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		roles[i] = (StoredRole){DatumGetObjectId(elements[i]), pstrdup(NameStr(*DatumGetName(texts[i])))};
	return roles;
}

static Oid
resolve(const StoredRole *role)
{
	return role->name != NULL ? wf_role_resolve(role->oid, role->name) : InvalidOid;
}

WfTaskRow *
wf_task_read(int64 instance, int64 visit)
{
	Datum		values[] = {Int64GetDatum(instance), Int64GetDatum(visit)};
	WfTaskRow  *task;
	StoredRole	assignee;
	StoredRole	assigned;
	StoredRole *roles;
	Datum		claimed_at;
	bool		isnull;

	if (wf_query_run(&q_read, values, NULL) == 0)
		return NULL;
	task = palloc0(sizeof(WfTaskRow));
	task->entry = DatumGetInt32(wf_result(0, 1, &isnull));
	assignee = read_role(2);
	assigned = read_role(4);
	roles = read_roles(6, &task->nroles);
	task->person = wf_result_text(0, 8);
	claimed_at = wf_result(0, 9, &isnull);
	task->claimed_at = isnull ? 0 : DatumGetTimestampTz(claimed_at);
	SPI_freetuptable(SPI_tuptable);
	/* what a name means may have to be looked up */
	task->holder = assignee.name;
	task->assignee = resolve(&assignee);
	task->assigned = resolve(&assigned);
	task->roles = palloc(sizeof(Oid) * Max(task->nroles, 1));
	for (int i = 0; i < task->nroles; i++)
		task->roles[i] = resolve(&roles[i]);
	return task;
}

/* Superusers have the rights of all roles, and are members of few. */
static bool
is_of(Oid role, Oid group)
{
	if (!OidIsValid(group))
		return false;
	return superuser_arg(role) ? is_member_of_role_nosuper(role, group) : has_privs_of_role(role, group);
}

static bool
is_candidate(const WfTaskRow *task, Oid role)
{
	for (int i = 0; i < task->nroles; i++)
		if (is_of(role, task->roles[i]))
			return true;
	return false;
}

WfTaskStanding
wf_task_standing(const WfTaskRow *task, Oid role)
{
	if (task == NULL)
		return WF_TASK_NONE;
	if (is_of(role, task->assignee))
		return WF_TASK_HOLDER;
	if (!is_of(role, task->assigned) && !is_candidate(task, role))
		return WF_TASK_STRANGER;
	return task->holder == NULL ? WF_TASK_HOLDER : WF_TASK_CANDIDATE;
}

bool
wf_task_admits(int64 instance, int64 visit, Oid role)
{
	Datum	   values[] = {Int64GetDatum(instance), Int64GetDatum(visit), role_name(role), ObjectIdGetDatum(role)};
	WfTaskRow *task = wf_task_read(instance, visit);

	return wf_task_standing(task, role) >= WF_TASK_CANDIDATE || wf_query_run(&q_claimed, values, NULL) > 0 ||
		   (task == NULL && wf_query_run(&q_was_his, values, NULL) > 0);
}
