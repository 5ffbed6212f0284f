/*
 * carry.h
 *		One visit that goes on under another version of its process: what keeps it from that, and what becomes
 *		of its clocks, its subscriptions and its fields.
 */
#ifndef WF_CARRY_H
#define WF_CARRY_H

#include "engine/state.h"
#include "model/version_map.h"

typedef struct WfMigration
{
	WfProcess		   *to;
	const WfVersionMap *map;
} WfMigration;

typedef struct WfCarried
{
	const WfMigration *migration;
	WfVisit			  *visit;
	const WfStep	  *old;		  /* its step in the version before; NULL: that has none */
	const WfStepMap	  *map;		  /* of that step */
	const WfStep	  *step;	  /* its step from now on; NULL: there is none */
	bool			   stands;	  /* it stands at the join of its step, */
	int64			   arrived;	  /* where so many tokens have come */
	bool			   outermost; /* it lives directly in its instance, or in the process as a scope */
	bool			   ends;	  /* it is the process as a scope, which the other version is not */

	/* what was planned */
	bool	   *open; /* by entry of the new step: it waits for that */
	WfWaitsFor	waits_for;
	char	   *queue;
	TimestampTz due_at;
	WfClocks	clocks;
	bool		replaces;  /* its subscriptions */
	List	   *kept;	   /* of WfSubscription, */
	List	   *entries;   /* and their new entries */
	List	   *added;	   /* entries that get subscriptions, */
	List	   *keys;	   /* and these keys, */
	List	   *offers;	   /* or that is offered by them; NULL: nothing is */
	bool		relocates; /* its fields change */
	Jsonb	   *local;
} WfCarried;

/* Begin, and judge: append what keeps the visit from being carried over to a List of texts, in CurrentMemoryContext. */
extern void wf_carry_begin(WfCarried *carried, const WfMigration *migration, WfVisit *visit);
extern void wf_carry_judge(const WfCarried *carried, TimestampTz now, List **obstacles);
extern void wf_carry_refuse(const WfVisit *visit, List **obstacles, const char *fmt, ...) pg_attribute_printf(3, 4);

/* Turn the visit to its new step, and back. The instance has to be turned with it. */
extern void wf_carry_turn(const WfCarried *carried, bool back);

/* Plan what becomes of the visit, which was turned. Returns false with *fault if something cannot be worked out. */
extern bool wf_carry_plan(WfBatch *batch, WfCarried *carried, WfFault *fault);
/* Do so. */
extern void wf_carry_make(WfBatch *batch, const WfCarried *carried);

/* Do others live in a visit of that step? */
extern bool wf_carry_contains(const WfStep *step);

#endif
