/*
 * attach_internal.h
 *		What the files that attach tables share: attached tables as their triggers see them, and the
 *		numbers they issue.
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

/* One attachment of a table, with the process that its rows start. */
typedef struct WfAttached
{
	WfAttachment row;
	WfRowColumn	 serial; /* the column that shows it; attno 0: none does */
	WfRowColumn	 status;
	WfRowColumn	 instance;
	WfRowColumn *results;	  /* of result_columns */
	WfPredicate *condition;	  /* NULL: every row starts an instance */
	int			 version;	  /* the version that the next row starts */
	bool		 shows_start; /* a row's serial number is known while the row is being inserted */
	/* the AFTER trigger judges the condition again, on the row as it was inserted */
	bool judged_again;
} WfAttached;

/*
 * ERROR if columns that are to show something cannot, or already do for one of the n other attachments of the table:
 * 42703, 22023.
 */
extern void wf_attach_check_columns(Relation rel, const WfAttachment *wanted, const WfAttachment *others, int n);
/* The names of all columns that show something. */
extern List *wf_attach_shown_columns(const WfAttachment *attachment);

typedef struct WfGenerated WfGenerated;

/* A table for which a trigger of ours fires: the attached table, or a partition of it. */
typedef struct WfAttachedTable
{
	Oid			  relid;
	Oid			  root; /* the attached table */
	MemoryContext context;
	bool		  valid;
	/* its rows must not start instances: it has become a partition since it was attached */
	bool lost;
	bool has_columns; /* some attachment sets columns */
	bool has_stored;  /* stored generated columns */
	bool has_virtual;
	/* compiled expressions of generated columns; NULL: not made yet, or in use */
	WfGenerated *generated;
	/* a column that shows something is not there any more: its name, and the process; NULL: all are */
	const char	 *missing;
	const char	 *missing_process;
	bool		 *kept;	  /* by column: attach keeps it, since it shows something */
	bool		 *of_key; /* by column: it is of the key */
	WfRowKey	  key;
	FmgrInfo	  to_jsonb;
	MemoryContext shape_context;
	/* generation of casts and rights that `shape` and `outputs` are of; 0: not made yet */
	uint64 shaped;
	/* row type for making JSON, in which some columns are text; NULL: the table's own */
	TupleDesc		  shape;
	struct WfRowJson *json; /* how rows become JSON; NULL: by to_jsonb */
	/* output functions of columns read as text, by column; fn_oid 0: read as it is */
	FmgrInfo   *outputs;
	int			n;
	WfAttached *items;
} WfAttachedTable;

/*
 * The attachments of `rel`; the result's n is 0 if there are none. Versions are the latest ones,
 * or, with `same` and where columns are set, those that the rows being inserted have seen. Valid
 * until the end of the transaction. Not to be called inside wf_store_enter.
 */
extern WfAttachedTable *wf_attached_table(Relation rel, bool same);
/*
 * The same for rows that are changed or deleted: their versions do not count, nor does it matter whether instances can be
 * started. ERROR 55000 if there is no primary key.
 */
extern WfAttachedTable *wf_attached_table_of_changes(Relation rel);

/*
 * The row with the generated columns that it lacks; `before`: as a BEFORE trigger sees it. To be
 * called as the inserting role.
 */
extern HeapTuple wf_attached_fill(WfAttachedTable *table, Relation rel, HeapTuple tuple, bool before);
/*
 * wf_attached_row makes JSON of the row, wf_attached_wants judges the condition on it; ERROR 22023
 * if that gives no answer. To be called between wf_as_owner_begin and wf_as_owner_end.
 */
extern Jsonb *wf_attached_row(WfAttachedTable *table, Relation rel, HeapTuple tuple);
extern bool	  wf_attached_wants(const WfAttached *attached, Jsonb *row);
/* Of a row as JSON, the columns that are wanted, by their numbers. */
/*
 * attach_json.c: rows as to_jsonb makes them, for tables with columns of usual types; NULL: it has another one. What is
 * made lives in `context`.
 */
typedef struct WfRowJson WfRowJson;
extern WfRowJson		*wf_row_json_make(TupleDesc desc, MemoryContext context);
extern Jsonb			*wf_row_json(WfRowJson *json, TupleDesc desc, HeapTuple tuple);

extern Jsonb *wf_attached_pick(Jsonb *row, TupleDesc desc, const bool *wanted);

/*
 * A copy of the row with its virtual generated columns computed, and the stored ones if
 * `stored_too`.
 */
extern HeapTuple wf_generated_fill(WfAttachedTable *table, Relation rel, HeapTuple tuple, bool stored_too);
/* Throw the compiled expressions away, since functions that they call may have changed. */
extern void wf_generated_forget(WfAttachedTable *table);

/* Numbers issued to a row while it is being inserted. */
typedef struct WfIssued
{
	int64 instance;
	int64 visit;   /* 0: no visit's number was issued */
	int	  version; /* the version that the instance is started with */
} WfIssued;

/*
 * Take the next numbers for a row; they can be redeemed in this transaction only. Not to be called
 * inside wf_store_enter.
 */
extern void wf_numbers_issue(const WfAttached *attached, WfIssued *issued);
/*
 * Redeem the numbers of an instance. Returns false if they were not issued for this attachment in
 * this transaction, or were redeemed before.
 */
extern bool wf_numbers_redeem(int attachment, int64 instance, WfIssued *issued);
/* Was the number issued in this transaction, to a row that has not started its instance? */
extern bool wf_numbers_is_unused(int64 instance);

#define WF_SERIAL_NUMBER_LEN 48
/* Write the serial number of issued numbers to `buffer`, which has WF_SERIAL_NUMBER_LEN bytes. */
extern void wf_issued_serial_number(const WfIssued *issued, char *buffer);

/*
 * Does the attachment set columns of the row? And does a row that starts an instance hold the
 * number of that instance?
 */
extern bool wf_attached_sets_columns(const WfAttached *item);
extern bool wf_attached_is_numbered(const WfAttached *item);

/* A row that starts an instance, unless its key has a living one. */
typedef struct WfRowStart
{
	WfAttached *item;
	Jsonb	   *data;
	char	   *key;
	char	   *instance; /* as the row shows it; NULL: the row shows none */
	char	   *serial_number;
	char	  **results; /* what its columns for results show; NULL: there are none */
	/* set if the condition is judged again: */
	bool refused;  /* the row shows an instance, but does not satisfy the condition */
	bool unmarked; /* the row shows no instance, but satisfies the condition */
} WfRowStart;

/*
 * Rows that start instances in one batch of the engine, allocated in CurrentMemoryContext. The
 * caller sets the first three fields, and the next two for existing rows; the rest is zero at
 * first.
 */
typedef struct WfChunk
{
	WfAttachedTable *table;
	Relation		 rel;
	Oid				 owner; /* owner of the attached table */
	/* The attachment whose existing rows are read; 0: the rows are being inserted. */
	int existing;
	/* Existing rows may have had instances of this attachment that have ended. */
	bool		remembered;
	int64		started;
	WfRowStart *starts;
	int			n;
	int			allocated;
	int			rows;
	Size		bytes;
	bool		allowed; /* the rights of the owner were checked */
} WfChunk;

/* Begin an empty chunk; add rows until it is full; then start their instances, in one batch. */
extern void wf_chunk_begin(WfChunk *chunk);
extern bool wf_chunk_is_full(const WfChunk *chunk);
/*
 * Add a row that has all its columns. To be called between wf_as_owner_begin and wf_as_owner_end.
 */
extern void wf_chunk_add(WfChunk *chunk, HeapTuple tuple);
extern void wf_chunk_start(WfChunk *chunk);

/*
 * Start instances of an attachment for existing rows that never had one. `partitions` holds the
 * table and all its partitions, locked. Returns how many were started. Not to be called inside
 * wf_store_enter.
 */
extern int64 wf_attach_existing(Relation rel, List *partitions, int attachment, bool remembered);

/* A row that was changed or deleted. */
typedef struct WfRowChange
{
	char  *key;
	Jsonb *changes; /* the columns that have changed; NULL: it was deleted */
} WfRowChange;

/* Rows for whose instances something follows in one batch of the engine, allocated in CurrentMemoryContext. */
typedef struct WfFollowing
{
	WfAttachedTable *table;
	Relation		 rel;
	Oid				 owner;	  /* owner of the attached table */
	bool			 deleted; /* rows were deleted, not changed */
	WfRowChange		*changes;
	int				 n;
	int				 allocated;
	Size			 bytes;
} WfFollowing;

/* Begin an empty chunk; add rows until it is full; then let follow what does. Not to be called inside wf_store_enter. */
extern void wf_following_begin(WfFollowing *following);
extern bool wf_following_is_full(const WfFollowing *following);
extern void wf_following_add(WfFollowing *following, char *key, Jsonb *changes);
extern void wf_following_end(WfFollowing *following);
/* All rows are gone. */
extern void wf_following_truncated(WfFollowing *following);
/*
 * A row was moved to another partition, which is `rel`: its instances get its key, and what else has changed in it is merged. Both have the
 * columns of `rel`.
 */
extern void wf_attached_moved(WfAttachedTable *table, Relation rel, HeapTuple old, HeapTuple new);

/*
 * Which of the keys have rows, as this transaction sees it; or whether there is any row. The whole attached table is looked
 * at. Not to be called inside wf_store_enter.
 */
extern void wf_rows_find(WfAttachedTable *table, Oid owner, char **keys, int n, bool *there);
extern bool wf_rows_any(WfAttachedTable *table, Oid owner);

/*
 * A row is about to be changed: if it gets another key, it may move to another partition, where it is expected from then on, in this
 * command. Is the row that is about to be inserted the one that is expected?
 */
extern void wf_move_expect(Relation rel, HeapTuple old, HeapTuple new);
extern bool wf_move_is_expected(WfAttachedTable *table, Relation rel, HeapTuple tuple);
/*
 * A row was deleted, since it moves to another partition. wf_move_arrived returns that row, with the columns of `rel`, if it is the one
 * that was inserted there; else NULL. To be called for each row, in the order of the events.
 */
extern void		 wf_move_left(WfAttachedTable *table, Relation rel, HeapTuple tuple);
extern HeapTuple wf_move_arrived(const WfAttachedTable *table, Relation rel, HeapTuple tuple);
/*
 * Rows have got other keys: so do their living instances, of `all` attachments, or of those with on_update. Not to be called inside
 * wf_store_enter.
 */
extern void wf_rows_rekey(const WfAttachedTable *table, Oid owner, char **olds, char **news, int n, bool all);

/*
 * Give a table, which the caller has locked, the triggers that its attachments need, since an earlier version has attached
 * it. To be called inside wf_store_enter.
 */
extern void wf_attach_renew(Relation rel);

/* The write-back by which the trigger that was called with fcinfo fires, or NULL: see attach_keep.c. */
extern const WfWriting *wf_attached_writing(FunctionCallInfo fcinfo, Relation rel);

/* The number of the current transaction, counted within this backend. */
extern uint64 wf_attach_transaction(void);

/* The key of a row, as the table's owner reads it. */
extern char *wf_attached_key(WfAttachedTable *table, Relation rel, HeapTuple tuple);

/*
 * attach_replicated.c: tables whose rows logical replication brings. ERROR 22023, 42703, 42710, 42501 if they cannot be attached as wanted. Our
 * triggers of the relation fire wherever rows come from.
 */
extern bool wf_attached_is_replicated(const WfAttachedTable *table);
extern void wf_replicated_check(Relation rel, const WfAttachment *wanted, const WfAttachment *others, int n);
extern void wf_replicated_enable(Oid relid);
/*
 * Do what follows from a row, or from all (`key` NULL). If that fails, the row is refused, and nothing is thrown, unless the same could
 * work if it comes again.
 */
extern void wf_replicated_run(WfAttachedTable *table, const char *operation, const char *key, bool (*work)(void *arg),
							  void *arg);
/* The row of that key as it is now, with the partition that has it, locked; false: there is none. */
extern bool wf_row_fetch(WfAttachedTable *table, Oid owner, const char *key, Oid *relid, ItemPointer tid);

#endif
