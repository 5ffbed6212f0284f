/*
 * attach_internal.h
 *		Between the files that attach tables: attached tables as their triggers see them, and the numbers they issue.
 */
#ifndef WF_ATTACH_INTERNAL_H
#define WF_ATTACH_INTERNAL_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

#include "model/template.h"
#include "store/attachment.h"
#include "store/row.h"

/* One process that a table's rows start. */
typedef struct WfAttached
{
	WfAttachment row;
	WfRowColumn serial; /* attno 0: none is wanted */
	WfRowColumn status;
	WfRowColumn instance;
	WfPredicate *condition; /* NULL: every row */
	int			version;	/* that the next row starts */
	bool		shows_start; /* a row's serial number is known while it is being inserted */
	bool		judged_again; /* its condition, on the row as it was inserted */
} WfAttached;

typedef struct WfGenerated WfGenerated;

/* A table that a trigger of ours fires for: the attached one, or a partition of it. */
typedef struct WfAttachedTable
{
	Oid			relid;
	Oid			root; /* the attached one */
	MemoryContext context;
	bool		valid;
	bool		lost;	/* its rows may not reach us: it has become a partition since it was attached */
	bool		has_columns; /* some attachment sets columns */
	bool		has_stored;	 /* generated columns */
	bool		has_virtual;
	WfGenerated *generated; /* what computes them; NULL: not made yet, or in use */
	WfRowKey	key;
	FmgrInfo	to_jsonb;
	MemoryContext shape_context;
	uint64		shaped; /* the generation that the following is of; 0: not made yet */
	TupleDesc	shape; /* of a row to be made JSON, in which some columns are text; NULL: its own */
	FmgrInfo   *outputs; /* of these columns, by number; fn_oid 0: as it is */
	int			n;
	WfAttached *items;
} WfAttachedTable;

/*
 * What `rel` is attached to; n is 0 if to nothing. Versions are those of now, or with `same`, where columns are set, those
 * that rows being inserted have seen. Valid until the end of the transaction. Not inside wf_store_enter.
 */
extern WfAttachedTable *wf_attached_table(Relation rel, bool same);

/* The row with the generated columns that it has not yet. `before`: as a BEFORE trigger sees it. As whoever inserts it. */
extern HeapTuple wf_attached_fill(WfAttachedTable *table, Relation rel, HeapTuple tuple, bool before);
/* It as JSON, its condition judged. Between wf_as_owner_begin and _end. */
extern Jsonb *wf_attached_row(WfAttachedTable *table, Relation rel, HeapTuple tuple);
extern bool wf_attached_wants(const WfAttached *attached, Jsonb *row);

/* A copy of the row with its virtual generated columns, and the stored ones if wanted. */
extern HeapTuple wf_generated_fill(WfAttachedTable *table, Relation rel, HeapTuple tuple, bool stored_too);
/* Functions may have changed. */
extern void wf_generated_forget(WfAttachedTable *table);

/* Numbers given to a row while it is being inserted. */
typedef struct WfIssued
{
	int64		instance;
	int64		visit; /* 0: none */
	int			version; /* that goes with them */
} WfIssued;

/* Take the next numbers, to be redeemed in this transaction. Not inside wf_store_enter. */
extern void wf_numbers_issue(const WfAttached *attached, WfIssued *issued);
/* False if this instance's number was not issued for this attachment, or was redeemed before. */
extern bool wf_numbers_redeem(int attachment, int64 instance, WfIssued *issued);

#define WF_SERIAL_NUMBER_LEN 48
extern void wf_issued_serial_number(const WfIssued *issued, char *buffer);

/* Does a row show anything of its instance? And does one that starts an instance hold its number? */
extern bool wf_attached_sets_columns(const WfAttached *item);
extern bool wf_attached_is_numbered(const WfAttached *item);

/* A row that shall start an instance, unless its key has a living one. */
typedef struct WfRowStart
{
	WfAttached *item;
	Jsonb	   *data;
	char	   *key;
	char	   *instance; /* as the row shows it; NULL: not */
	char	   *serial_number;
	/* judged again: */
	bool		refused;  /* the row shows an instance that it should not have */
	bool		unmarked; /* and one that shows none should have one */
} WfRowStart;

/* Rows that start instances in one batch of the engine, in CurrentMemoryContext. Others zero at first: */
typedef struct WfChunk
{
	WfAttachedTable *table;
	Relation	rel;
	Oid			owner;	 /* of the attached table */
	int			existing; /* the attachment that rows are for which have been there before it; 0: they are being inserted */
	bool		remembered; /* which may have had instances of it that have ended */
	int64		started;
	WfRowStart *starts;
	int			n;
	int			allocated;
	int			rows;
	Size		bytes;
	bool		allowed; /* the owner's rights were checked */
} WfChunk;

extern void wf_chunk_begin(WfChunk *chunk);
extern bool wf_chunk_is_full(const WfChunk *chunk);
/* A row with all its columns. Between wf_as_owner_begin and _end. */
extern void wf_chunk_add(WfChunk *chunk, HeapTuple tuple);
extern void wf_chunk_start(WfChunk *chunk);

/*
 * The rows that are there start instances of an attachment, those that never had one; `partitions`: the table and what is beneath it, all of it
 * locked. Returns how many. Not inside wf_store_enter.
 */
extern int64 wf_attach_existing(Relation rel, List *partitions, int attachment, bool remembered);

/* Counts the transactions of this backend. */
extern uint64 wf_attach_transaction(void);

#endif
