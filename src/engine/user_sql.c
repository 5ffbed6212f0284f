/*
 * user_sql.c
 *		The SQL of steps.
 *
 * A statement runs in a subtransaction, as the process owner in a security-restricted operation,
 * with session_user set to him too; under the search_path that was recorded at define, with pg_temp
 * last; in the time zone of define; and with the settings that ALTER ROLE gave the owner.
 * Constraints are immediate, since a deferred trigger would fire at commit, with other rights.
 * Afterwards settings are as before, and the session has no advisory locks or cached sequences, and the
 * transaction no cursors: the next statement may run in the same one.
 *
 * `visit.data` and the like are parameters, found by the parser's hook for column references; so is
 * a bare `data`; where a column has that name as well, the reference is ambiguous, an error.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "catalog/namespace.h"
#include "commands/async.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/params.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "storage/lock.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#include "engine/user_sql.h"
#include "model/issue.h"
#include "store/role_settings.h"
#include "store/row.h"
#include "store/session_user.h"
#include "store/trace.h"

#define MAX_ROWS 10000
/* limit of all rows together, both as they come and as JSON: as much as may end a visit */
#define MAX_BYTES (32 * 1024 * 1024)

/* ---- parameters ---- */

typedef struct Parameter
{
	const char *name;
	Oid			type;
} Parameter;

static const Parameter parameters[] = {{"data", JSONBOID},		  {"serial_number", TEXTOID}, {"instance", INT8OID},
									   {"business_key", TEXTOID}, {"step", TEXTOID},		  {"attempt", INT4OID},
									   {"item", JSONBOID},		  {"index", INT4OID}};

/* The parameter that a column reference names, as `data` or `visit.data`; -1 if it names none. */
static int
parameter_of(ColumnRef *cref)
{
	Node *last = llast(cref->fields);

	if (list_length(cref->fields) > 2 || !IsA(last, String))
		return -1;
	if (list_length(cref->fields) == 2)
	{
		Node *first = linitial(cref->fields);

		if (!IsA(first, String) || strcmp(strVal(first), "visit") != 0)
			return -1;
	}
	for (int i = 0; i < lengthof(parameters); i++)
		if (strcmp(strVal(last), parameters[i].name) == 0)
			return i;
	return -1;
}

static Node *
resolve_column(ParseState *pstate, ColumnRef *cref, Node *var)
{
	int	   index = parameter_of(cref);
	Param *param;

	if (index < 0)
		return NULL;
	if (var != NULL)
		ereport(ERROR, errcode(ERRCODE_AMBIGUOUS_COLUMN),
				errmsg("column reference \"%s\" is ambiguous", NameListToString(cref->fields)),
				errdetail("It could be a column, or a value of the visit."),
				errhint("Qualify the column with its table, or give the table an alias other than \"visit\"."),
				parser_errposition(pstate, cref->location));
	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = index + 1;
	param->paramtype = parameters[index].type;
	param->paramtypmod = -1;
	param->paramcollid = get_typcollation(param->paramtype);
	param->location = cref->location;
	return (Node *) param;
}

static void
set_up_parser(ParseState *pstate, void *arg)
{
	pstate->p_post_columnref_hook = resolve_column;
}

static void
set_value(ParamListInfo params, int index, Datum value, bool isnull)
{
	params->params[index].value = value;
	params->params[index].isnull = isnull;
	params->params[index].pflags = PARAM_FLAG_CONST;
	params->params[index].ptype = parameters[index].type;
}

static void
set_text(ParamListInfo params, int index, const char *text)
{
	set_value(params, index, text != NULL ? CStringGetTextDatum(text) : (Datum) 0, text == NULL);
}

static ParamListInfo
values_of(WfVisit *visit)
{
	ParamListInfo params = makeParamList(lengthof(parameters));
	WfVariables	  variables;

	wf_engine_variables(visit, &variables);
	params->parserSetup = set_up_parser;
	set_value(params, 0, JsonbPGetDatum(wf_variable_data(&variables)), false);
	set_text(params, 1, psprintf(INT64_FORMAT "_" INT64_FORMAT, variables.instance, variables.visit));
	set_value(params, 2, Int64GetDatum(variables.instance), false);
	set_text(params, 3, variables.business_key);
	set_text(params, 4, variables.step);
	set_value(params, 5, Int32GetDatum(variables.attempt), false);
	set_value(params, 6, JsonbPGetDatum(variables.item), variables.item == NULL);
	set_value(params, 7, Int32GetDatum(variables.index), variables.index < 0);
	return params;
}

/* ---- the sandbox ---- */

typedef struct Sandbox
{
	MemoryContext context;
	ResourceOwner owner;
	Oid			  user;
	int			  sec_context;
	int			  guc_level;
} Sandbox;

static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Enter the sandbox: in the time zone of define, with the settings of `user`; a client that defines keeps those that it
 * has, and `timezone` is NULL. With `whole_session`, a worker's session becomes one of `user` too; that of a client cannot.
 */
static void
enter(Sandbox *s, Oid user, const char *search_path, const char *timezone, bool whole_session)
{
	char *path = wf_path_with_temp_last(search_path);

	s->context = CurrentMemoryContext;
	s->owner = CurrentResourceOwner;
	GetUserIdAndSecContext(&s->user, &s->sec_context);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(s->context);
	PushActiveSnapshot(GetTransactionSnapshot());
	s->guc_level = NewGUCNestLevel();
	if (timezone != NULL)
	{
		wf_role_settings_apply(user);
		set_locally("timezone", timezone);
	}
	if (whole_session)
		wf_session_user_set(user);
	SetUserIdAndSecContext(user, s->sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	set_locally("search_path", path);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

static void
clean_session(void)
{
	LockReleaseSession(USER_LOCKMETHOD); /* locks of the transaction are held until its end */
	ResetSequenceCaches();
}

static void
leave_sandbox(Sandbox *s)
{
	SPI_finish();
	PopActiveSnapshot();
	/* first, since restoring session_user must be allowed */
	SetUserIdAndSecContext(s->user, s->sec_context);
	AtEOXact_GUC(false, s->guc_level);
	ReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(s->context);
	CurrentResourceOwner = s->owner;
}

/*
 * Undo the subtransaction and return the error, in the memory of whoever entered the sandbox. To be called in PG_CATCH.
 */
static ErrorData *
undo(Sandbox *s)
{
	ErrorData *error;

	MemoryContextSwitchTo(s->context);
	error = CopyErrorData();
	FlushErrorState();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(s->context);
	CurrentResourceOwner = s->owner;
	SetUserIdAndSecContext(s->user, s->sec_context);
	return error;
}

/* ---- checking ---- */

static const char *
refused_kind(const char *sql)
{
	List *parsed = pg_parse_query(sql);
	Node *stmt;

	if (list_length(parsed) != 1)
		return list_length(parsed) == 0 ? "it is empty" : "it is more than one statement";
	stmt = linitial_node(RawStmt, parsed)->stmt;
	switch (nodeTag(stmt))
	{
		case T_SelectStmt:
			return ((SelectStmt *) stmt)->intoClause != NULL ? "it is SELECT INTO" : NULL;
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
		case T_CallStmt:
			return NULL;
		default:
			return "it is another kind of statement";
	}
}

bool
wf_user_sql_check(const char *sql, const char *search_path, Oid owner, char **message, char **hint)
{
	Sandbox s;
	const char *volatile refused = NULL;
	volatile bool ok = true;

	*message = *hint = NULL;
	enter(&s, owner, search_path, NULL, false);
	PG_TRY();
	{
		refused = refused_kind(sql);
		if (refused == NULL && SPI_prepare_params(sql, set_up_parser, NULL, CURSOR_OPT_PARALLEL_OK) == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		leave_sandbox(&s);
	}
	PG_CATCH();
	{
		ErrorData *error = undo(&s);
		int		   position = Max(error->cursorpos, error->internalpos);

		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		*message = position > 0 ? psprintf("%s, at character %d", error->message, position) : error->message;
		*hint = error->hint;
		if (error->hint == NULL && error->sqlerrcode == ERRCODE_UNDEFINED_TABLE)
			*hint =
				psprintf("Relations are looked for in the search_path of define, %s; parameters begin with \"visit.\".",
						 wf_issue_clip(search_path));
		ok = false;
	}
	PG_END_TRY();
	if (refused != NULL)
	{
		*message = psprintf("this SQL cannot be a step: %s", refused);
		*hint = pstrdup("A step is one SELECT, INSERT, UPDATE, DELETE, MERGE or CALL.");
		ok = false;
	}
	return ok;
}

/* ---- running ---- */

static SPIPlanPtr
plan_of(WfProcess *process, WfStep *step)
{
	SPIPlanPtr *kept = wf_process_plan(process, step);

	if (*kept == NULL)
	{
		SPIPlanPtr plan = SPI_prepare_params(step->sql, set_up_parser, NULL, CURSOR_OPT_PARALLEL_OK);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
		*kept = plan;
	}
	return *kept;
}

/*
 * SPI's receiver of rows, wrapped: it throws at too many or too large rows, before they fill the
 * memory.
 */
typedef struct CountingReceiver
{
	DestReceiver  pub;
	DestReceiver *spi;
	int			  n;
	Size		  bytes;
} CountingReceiver;

static void
refuse_bytes(Size bytes)
{
	if (bytes > MAX_BYTES)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("the statement returns more than %d MB", MAX_BYTES / (1024 * 1024)),
				errhint("Let it return what the process needs, and leave the rest in tables."));
}

static bool
count_row(TupleTableSlot *slot, DestReceiver *self)
{
	CountingReceiver *counting = (CountingReceiver *) self;

	if (++counting->n > MAX_ROWS)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("the statement returns more than %d rows", MAX_ROWS),
				errhint("Let it return what the process needs, or an aggregate."));
	slot_getallattrs(slot);
	counting->bytes += heap_compute_data_size(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
	refuse_bytes(counting->bytes);
	return counting->spi->receiveSlot(slot, counting->spi);
}

static void
start_up(DestReceiver *self, int operation, TupleDesc desc)
{
	DestReceiver *spi = ((CountingReceiver *) self)->spi;

	spi->rStartup(spi, operation, desc);
}

static void
shut_down(DestReceiver *self)
{
	DestReceiver *spi = ((CountingReceiver *) self)->spi;

	spi->rShutdown(spi);
}

static void
destroy(DestReceiver *self)
{
}

static DestReceiver *
counting_receiver(void)
{
	CountingReceiver *counting = palloc0(sizeof(CountingReceiver));

	counting->pub = (DestReceiver){.receiveSlot = count_row,
								   .rStartup = start_up,
								   .rShutdown = shut_down,
								   .rDestroy = destroy,
								   .mydest = DestSPI};
	counting->spi = CreateDestReceiver(DestSPI);
	return &counting->pub;
}

/*
 * A row as a JSON object in `context`, made by to_jsonb(record). SPI would leave its own context
 * current; this leaves `context`.
 */
static Jsonb *
row_jsonb(HeapTuple tuple, TupleDesc desc, MemoryContext context)
{
	static SPIPlanPtr plan = NULL;
	Oid				  type = RECORDOID;
	Datum			  value = heap_copy_tuple_as_datum(tuple, BlessTupleDesc(desc));
	bool			  isnull;
	Jsonb			 *result;
	if (plan == NULL)
	{
		plan = SPI_prepare("SELECT pg_catalog.to_jsonb($1)", 1, &type);
		SPI_keepplan(plan);
	}
	if (SPI_execute_plan(plan, &value, NULL, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "to_jsonb failed");
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	MemoryContextSwitchTo(context);
	result = DatumGetJsonbPCopy(value);
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(context);
	return result;
}

/* The reply {row, rows, count}, in `context`. */
static Jsonb *
make_sql_reply(uint64 count, SPITupleTable *table, MemoryContext context)
{
	uint64		  n = table != NULL ? table->numvals : 0;
	WfJsonbState  state = {0};
	JsonbValue	 *array;
	Jsonb		 *first = NULL;
	Jsonb		 *reply;
	Size		  bytes = 0;
	WfField		  fields[3];
	MemoryContext old = MemoryContextSwitchTo(context);
	MemoryContext scratch;

	(void) wf_jsonb_begin();
	scratch = CurrentMemoryContext;
	wf_jsonb_push(&state, WJB_BEGIN_ARRAY, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		Jsonb	  *row = row_jsonb(table->vals[i], table->tupdesc, scratch);
		JsonbValue value = {.type = jbvBinary, .val.binary = {VARSIZE(row) - VARHDRSZ, &row->root}};

		bytes += VARSIZE(row);
		refuse_bytes(bytes);
		if (i == 0)
			first = row;
		wf_jsonb_push(&state, WJB_ELEM, &value);
	}
	array = wf_jsonb_push(&state, WJB_END_ARRAY, NULL);
	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "row", .jsonb = first};
	fields[1] = (WfField){.key = "rows", .jsonb = JsonbValueToJsonb(array)};
	fields[2] = (WfField){.key = "count", .kind = WF_FIELD_INT, .number = (int64) count};
	reply = wf_jsonb_end(context, wf_jsonb_object(fields, lengthof(fields)));
	MemoryContextSwitchTo(old);
	return reply;
}

static Jsonb *
run_statement(WfVisit *visit, MemoryContext context)
{
	SPIExecuteOptions options = {.params = values_of(visit), .dest = counting_receiver()};
	WfProcess		 *process = visit->instance->process;
	int				  rc;

	wf_constraints_immediate();
	rc = SPI_execute_plan_extended(plan_of(process, visit->def), &options);
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan_extended failed: %s", SPI_result_code_string(rc));
	wf_process_plan_used(process, visit->def);
	return make_sql_reply(SPI_processed, SPI_tuptable, context);
}

/* Run a NOTIFY. What its templates cannot give is *fault, in `context`. */
static void
run_notify(WfVisit *visit, MemoryContext context, WfFault *fault)
{
	MemoryContext  old = MemoryContextSwitchTo(context);
	WfVariables	   variables;
	StringInfoData channel;
	StringInfoData payload;
	bool		   rendered;

	wf_engine_variables(visit, &variables);
	initStringInfo(&channel);
	initStringInfo(&payload);
	rendered = wf_template_text(visit->def->channel, &variables, WF_TEXT_KEY, &channel, fault) &&
			   (visit->def->payload == NULL ||
				wf_template_text(visit->def->payload, &variables, WF_TEXT_PLAIN, &payload, fault));
	MemoryContextSwitchTo(old);
	if (rendered)
		Async_Notify(channel.data, payload.data);
}

/*
 * Make an error of the statement, or a cancel wherever it came from, the fault of the answer. (A
 * shutdown is FATAL and does not come here.)
 */
static void
take_sql_error(const ErrorData *error, WfAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	strlcpy(answer->fault.sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(answer->fault.sqlstate));
	answer->fault.code = pstrdup(answer->fault.sqlstate);
	answer->fault.message = error->message;
}

static void
run(WfVisit *visit, Oid owner, bool whole_session, const WfStatementJudge *judge, WfAnswer *answer)
{
	Sandbox s;

	enter(&s, owner, visit->instance->process->search_path, visit->instance->process->timezone, whole_session);
	wf_trace_run(visit);
	PG_TRY();
	{
		if (visit->def->action == WF_ACTION_NOTIFY)
			run_notify(visit, s.context, &answer->fault);
		else
			answer->reply = run_statement(visit, s.context);
		if (whole_session)
			PortalHashTableDeleteAll();
		if (judge->stands != NULL && !judge->stands())
			ereport(ERROR, errcode(ERRCODE_QUERY_CANCELED), errmsg_internal("the statement is run again alone"));
		wf_trace_run(NULL);
		leave_sandbox(&s);
	}
	PG_CATCH();
	{
		ErrorData *error;

		wf_trace_run(NULL);
		error = undo(&s);
		take_sql_error(error, answer);
		judge->failed(error, answer);
	}
	PG_END_TRY();
}

static bool
require_owner(Oid owner, WfAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	return OidIsValid(owner) ||
		   wf_fault(&answer->fault, WF_CODE_REQUEST, "the owner of the process does not exist any more");
}

void
wf_user_sql_run(WfVisit *visit, Oid owner, const WfStatementJudge *judge, WfAnswer *answer)
{
	if (!require_owner(owner, answer))
		return;
	clean_session(); /* also of our own sequences, of which lastval() must not tell */
	run(visit, owner, true, judge, answer);
	QueryCancelPending = false; /* the cancel was meant for the statement, which is over */
	clean_session();
}

void
wf_user_sql_play(WfVisit *visit, Oid owner, const WfStatementJudge *judge, WfAnswer *answer)
{
	if (require_owner(owner, answer))
		run(visit, owner, false, judge, answer);
}
