/*
 * verify_internal.h
 *		What the files of workflow.verify() share: rows as they were read, and problems found.
 *
 * Rows are read as they are, since they may be wrong in any way: names are texts, and nothing is
 * taken for granted that workflow.verify() is to find out.
 */
#ifndef WF_VERIFY_INTERNAL_H
#define WF_VERIFY_INTERNAL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/execnodes.h"
#include "utils/snapshot.h"

#include "model/definition.h"
#include "store/batch.h"

/* Numbers of a join, as they are stored one after the other. */
typedef struct WfVerifiedJoin
{
	int64 standing;
	int64 arrived;
	int64 upstream;
} WfVerifiedJoin;

/* The tokens of a scope, as its row has them. */
typedef struct WfVerifiedTokens
{
	int				n;
	WfVerifiedJoin *joins; /* NULL: none are stored */
	int				njoins;
	bool			is_torn; /* the numbers do not come in threes, or some are NULL */
} WfVerifiedTokens;

typedef struct WfVerifiedInstance
{
	int64				id;
	bool				living; /* else there are only visits of it */
	int					process_id;
	int					version;
	int					incidents;
	bool				cancelled; /* it is being cancelled, or ends before its tokens do */
	const char		   *status;
	WfVerifiedTokens	tokens;
	const WfDefinition *def; /* NULL: there is no such version */
} WfVerifiedInstance;

/* 0 is no time. */
typedef struct WfVerifiedTimes
{
	TimestampTz due_at;
	TimestampTz waiting_since;
	TimestampTz deadline;
	TimestampTz heartbeat_deadline;
	TimestampTz next_handler;
	TimestampTz next_interrupt;
	TimestampTz warn_at;
	TimestampTz next_timer;
	/* By entry of the step; NULL: none is stored. */
	TimestampTz *of_entries;
	int			 nentries;
} WfVerifiedTimes;

/* How far a list has been gone through. */
typedef struct WfVerifiedItems
{
	int64 n;
	int64 begun;
	int64 stuck;
} WfVerifiedItems;

typedef struct WfVerifiedVisit
{
	int64			 id;
	int				 process_id;
	const char		*step;
	const WfStep	*def; /* NULL: the version has no step of that name */
	const char		*state;
	const char		*queue;
	const char		*waits_for;
	const char		*outcome;
	const char		*cancel_outcome;
	const char		*cancel_phase;
	bool			 accepted;
	bool			 early; /* what was accepted is no callback, and so waits for the action */
	bool			 suspended;
	WfVerifiedTimes	 times;
	int64			 scope; /* 0: none */
	int				 item;	/* WF_NO_ITEM: none */
	WfVerifiedItems	 items;
	WfVerifiedTokens tokens;
	int				*late;
	int				 nlate;
} WfVerifiedVisit;

/* What a visit or a handler of it waits for besides callbacks and clocks. */
typedef struct WfVerifiedSubscription
{
	int64		visit;
	int			entry;
	int			process_id;
	const char *kind;
	const char *name;
	bool		keyed;
	const char *step;
} WfVerifiedSubscription;

/* An instance that is verified, with all of its visits in the order of their numbers. */
typedef struct WfVerify
{
	WfVerifiedInstance instance;
	WfVerifiedVisit	  *visits;
	int				   n;
	/* Its subscriptions, by visit and entry. */
	WfVerifiedSubscription *subscriptions;
	int						nsubscriptions;
	MemoryContext			context;  /* for what is needed while this instance is verified */
	ReturnSetInfo		   *problems; /* rows (instance, serial_number, problem) */
} WfVerify;

/* Report a problem of a visit; `visit` NULL: of the instance. */
extern void wf_verify_report(WfVerify *verify, const WfVerifiedVisit *visit, const char *format, ...)
	pg_attribute_printf(3, 4);

/* Report a problem of a visit that was not read. */
extern void wf_verify_report_number(WfVerify *verify, int64 visit, const char *problem);

/* ---- verify_rows.c: instance by instance, as of one snapshot ---- */

typedef struct WfVerifyReader WfVerifyReader;

extern WfVerifyReader *wf_verify_begin(Snapshot snapshot);
/*
 * Read the next instance, or the next visits whose instance does not live, into `verify`. Memory of
 * the one before is freed. Returns false if there is none.
 */
extern bool wf_verify_next(WfVerifyReader *reader, WfVerify *verify);

/* The visit of that number; NULL: there is none. */
extern WfVerifiedVisit *wf_verify_find(const WfVerify *verify, int64 id);

/* ---- what is verified ---- */

/* One visit by itself: state, queue, clocks. */
extern void wf_verify_visit(WfVerify *verify, const WfVerifiedVisit *visit);
/* The subscriptions of the instance: those that its visits must have, and no others. */
extern void wf_verify_subscriptions(WfVerify *verify);
/* The lists that its visits go through, but for their rows. */
extern void wf_verify_items(WfVerify *verify);
/* The tokens of the instance, and of the scopes in it; their joins. */
extern void wf_verify_tokens(WfVerify *verify);

#endif
