/*
 * compat.h
 *		Every difference between PostgreSQL 15, 16, 17, 18 and 19 that this extension meets.
 *
 * Other files use the names that are defined here, and never look at PG_VERSION_NUM. What only store/relation.c and
 * those beside it need is in compat_executor.h.
 */
#ifndef WF_COMPAT_H
#define WF_COMPAT_H

#include "postgres.h"

#include <limits.h> /* guc.h of PostgreSQL 19 needs it, and does not include it */

#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_namespace.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

#if PG_VERSION_NUM < 190000
#include "commands/dbcommands.h" /* get_database_name */
#include "optimizer/plancat.h"
#else
#include "optimizer/pathnode.h"
#include "utils/lsyscache.h" /* get_database_name */
#endif

#if PG_VERSION_NUM < 150000
#error "workflow needs PostgreSQL 15 or newer"
#endif

#if PG_VERSION_NUM < 160000
#define wf_server_aclcheck(server, role, mode) pg_foreign_server_aclcheck(server, role, mode)
#define wf_class_ownercheck(rel, role)		   pg_class_ownercheck(rel, role)
#define wf_database_ownercheck(db, role)	   pg_database_ownercheck(db, role)
#define wf_extension_ownercheck(ext, role)	   pg_extension_ownercheck(ext, role)
#else
#define wf_server_aclcheck(server, role, mode) object_aclcheck(ForeignServerRelationId, server, role, mode)
#define wf_class_ownercheck(rel, role)		   object_ownercheck(RelationRelationId, rel, role)
#define wf_database_ownercheck(db, role)	   object_ownercheck(DatabaseRelationId, db, role)
#define wf_extension_ownercheck(ext, role)	   object_ownercheck(ExtensionRelationId, ext, role)
#endif

/* PostgreSQL 18 brought pg_noreturn, which is written in front of a declaration. */
#ifndef pg_noreturn
#define pg_noreturn _Noreturn
#endif

/*
 * Says that a case is meant to run on into the next one. PostgreSQL 19 has it as an attribute, since newer compilers
 * ignore comments that say so.
 */
#ifndef pg_fallthrough
#if defined(__GNUC__) || defined(__clang__)
#define pg_fallthrough __attribute__((fallthrough))
#else
#define pg_fallthrough ((void) 0)
#endif
#endif

/*
 * Are there synchronous standbys at all? The caller holds SyncRepLock. Before the minor releases 15.13, 16.9 and 17.5
 * this was a bool of its own.
 */
#include "replication/walsender_private.h"
#ifdef SYNC_STANDBY_DEFINED
#define wf_standbys_defined() ((WalSndCtl->sync_standbys_status & SYNC_STANDBY_DEFINED) != 0)
#else
#define wf_standbys_defined() (WalSndCtl->sync_standbys_defined)
#endif

/* The JSON parser's semantic actions return an error code from PostgreSQL 16 on. */
#if PG_VERSION_NUM < 160000
typedef void WfJsonAction;
#define WF_JSON_ACTION_DONE ((void) 0)
#else
#define WfJsonAction		JsonParseErrorType
#define WF_JSON_ACTION_DONE JSON_SUCCESS
#endif

/* Make a JSON lexer that unescapes strings, for `len` bytes in the database's encoding. */
#if PG_VERSION_NUM < 170000
#define wf_json_lexer(json, len) \
	makeJsonLexContextCstringLen(unconstify(char *, json), len, GetDatabaseEncoding(), true)
#else
#define wf_json_lexer(json, len) makeJsonLexContextCstringLen(NULL, json, len, GetDatabaseEncoding(), true)
#endif

/* PostgreSQL 17 brought infinite intervals; before that, every interval is finite. */
#if PG_VERSION_NUM < 170000
#define INTERVAL_NOT_FINITE(interval) false
#endif

/*
 * A jsonb value under construction; it has to be initialized to {0}. wf_jsonb_push returns the finished value once the
 * outermost END was pushed; what it returns before that must not be used.
 */
#if PG_VERSION_NUM < 190000
typedef struct WfJsonbState
{
	JsonbParseState *parse;
} WfJsonbState;

static inline JsonbValue *
wf_jsonb_push(WfJsonbState *state, JsonbIteratorToken token, JsonbValue *value)
{
	return pushJsonbValue(&state->parse, token, value);
}
#else
typedef JsonbInState WfJsonbState;

static inline JsonbValue *
wf_jsonb_push(WfJsonbState *state, JsonbIteratorToken token, JsonbValue *value)
{
	pushJsonbValue(state, token, value);
	return state->result;
}
#endif

/*
 * Forget the cached offset of a column, whose type the caller is about to change. Before PostgreSQL 18 a copied row
 * description keeps the offsets of the original.
 */
#if PG_VERSION_NUM < 180000
#define wf_forget_offset(desc, i) (TupleDescAttr(desc, i)->attcacheoff = -1)
#else
#define wf_forget_offset(desc, i) ((void) (desc))
#endif

/* From PostgreSQL 19 on, a row description has to be finalized before it is used. */
#if PG_VERSION_NUM < 190000
#define TupleDescFinalize(desc) ((void) (desc))
#endif

/*
 * The planner's hook that lets others correct what it knows of a table, such as its size. IS_TABLE and RELID are for a
 * function with the hook's parameters: does the call concern a table, and which one?
 */
#if PG_VERSION_NUM < 190000
#define WF_RELATION_HOOK			get_relation_info_hook
#define WfRelationHook				get_relation_info_hook_type
#define WF_RELATION_HOOK_PARAMETERS PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel
#define WF_RELATION_HOOK_ARGUMENTS	root, relid, inhparent, rel
#define WF_RELATION_HOOK_IS_TABLE	true
#define WF_RELATION_HOOK_RELID		relid
#else
#define WF_RELATION_HOOK			build_simple_rel_hook
#define WfRelationHook				build_simple_rel_hook_type
#define WF_RELATION_HOOK_PARAMETERS PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte
#define WF_RELATION_HOOK_ARGUMENTS	root, rel, rte
#define WF_RELATION_HOOK_IS_TABLE	(rte->rtekind == RTE_RELATION)
#define WF_RELATION_HOOK_RELID		rte->relid
#endif

/* PostgreSQL 19 passes the state of EXPLAIN to planner_hook, too. */
#if PG_VERSION_NUM < 190000
#define WF_PLANNER_PARAMETERS Query *parse, const char *query_string, int cursor_options, ParamListInfo bound
#define WF_PLANNER_ARGUMENTS  parse, query_string, cursor_options, bound
#else
#define WF_PLANNER_PARAMETERS \
	Query *parse, const char *query_string, int cursor_options, ParamListInfo bound, struct ExplainState *explain
#define WF_PLANNER_ARGUMENTS parse, query_string, cursor_options, bound, explain
#endif

/*
 * The view that a subquery in FROM was expanded from, or InvalidOid. In PostgreSQL 15 only the placeholder that the
 * rewriter leaves in the subquery's own range table says so.
 */
static inline Oid
wf_view_of(const RangeTblEntry *rte)
{
#if PG_VERSION_NUM < 160000
	const RangeTblEntry *first = rte->subquery->rtable != NIL ? linitial(rte->subquery->rtable) : NULL;

	return first != NULL && first->rtekind == RTE_RELATION && first->relkind == RELKIND_VIEW ? first->relid
																							 : InvalidOid;
#else
	return rte->relkind == RELKIND_VIEW ? rte->relid : InvalidOid;
#endif
}

/* Make a wait event set that lives as long as the process. */
#if PG_VERSION_NUM < 170000
#define wf_create_wait_set(nevents) CreateWaitEventSet(TopMemoryContext, nevents)
#else
#define wf_create_wait_set(nevents) CreateWaitEventSet(NULL, nevents)
#endif

#endif
