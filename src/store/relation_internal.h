/*
 * relation_internal.h
 *		What an open table is made of: for the files of the module alone.
 */
#ifndef WF_RELATION_INTERNAL_H
#define WF_RELATION_INTERNAL_H

#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/tableam.h"
#include "lib/ilist.h"
#include "nodes/execnodes.h"

#include "store/relation.h"

#define WF_RELATION_MAX_KEYS 2
/* So many rows are inserted together, or so many bytes of them, which the last one may exceed. */
#define WF_ROWS_TOGETHER  64
#define WF_BYTES_TOGETHER (256 * 1024)

struct WfRelation
{
	Oid						 relid;
	const WfRelationColumns *columns;
	MemoryContext			 context; /* all that is here */
	MemoryContext			 passing; /* what is made during a use, and goes with it */
	bool					 kept;	  /* may be used again, as long as the definition of the table stays */
	bool					 stale;	  /* the definition has changed */
	int						 level;	  /* nest level of the transaction in which it is open; 0: it is not */
	dlist_node				 node;

	/* the definition */
	AttrNumber		 *attnos; /* of the columns */
	TupleTableSlot	 *found;
	TupleTableSlot	 *written;
	EState			 *estate;
	ResultRelInfo	 *info;
	Oid				  key; /* the index of the primary key */
	AttrNumber		  key_attnos[WF_RELATION_MAX_KEYS];
	int				  nkey_attnos;
	int				  nindexes;
	Oid				 *indexes;	/* the others, too; their IndexInfo are in `info`, once they were opened */
	struct WfDefault *defaults; /* of columns that are not ours */
	int				  ndefaults;

	/* one use */
	WfRelationUse use;
	Relation	  rel;
	Relation	  key_index;
	IndexScanDesc scan;
	int			  nwanted; /* columns of the key that is looked for */
	ScanKeyData	  wanted[WF_RELATION_MAX_KEYS];
	BlockNumber	  nblocks;	 /* of the table; InvalidBlockNumber: not known yet */
	Snapshot	  snapshot;	 /* NULL: none has been needed */
	Snapshot	  given;	 /* by the caller */
	bool		  triggers;	 /* there are some, which end with the use */
	bool		  partition; /* rows come by way of a parent */
	bool		  changed;

	/* rows that are to be inserted, where no trigger looks at each; slots are made when they are needed */
	TupleTableSlot *waiting[WF_ROWS_TOGETHER];
	int				nwaiting;
	Size			waiting_bytes;
	void (*insert_waiting)(WfRelation *rel); /* of relation_write.c, for who closes the relation while some wait */
};

/* A column that is not ours, and what it is in a row that is inserted. */
typedef struct WfDefault
{
	AttrNumber attno;
	ExprState *value;  /* NULL: it is null */
	Oid		   domain; /* whose constraints a null has to meet; or InvalidOid */
} WfDefault;

/* The snapshot of the use, which is taken when it is first wanted. */
extern Snapshot wf_relation_snapshot(WfRelation *rel);

/* Open the indexes, for entries of new rows. Costs nothing after the first time in a use. */
extern void wf_relation_open_indexes(WfRelation *rel);

/* The slot of the next row that waits to be inserted. */
extern TupleTableSlot *wf_relation_waiting_slot(WfRelation *rel);

/* Find the row, where it was or by its key. */
extern bool wf_relation_find_again(WfRelation *rel, const WfRowPlace *row);

/* Is the row that was found the one that was looked for? It may be a later version of it. */
extern bool wf_relation_is_wanted(WfRelation *rel);

/*
 * What becomes of a row after the access method has said how it stands with it, as the executor judges: it is done,
 * has another version that has to be looked at, or is gone. ERROR 40001, 27000.
 */
typedef enum WfRowFate
{
	WF_ROW_DONE,
	WF_ROW_AGAIN,
	WF_ROW_GONE,
} WfRowFate;

extern WfRowFate wf_relation_judge(WfRelation *rel, TM_Result result, const TM_FailureData *failure, const char *what);

/* Wait for the latest version of a row, lock it, and find it. */
extern bool wf_relation_follow(WfRelation *rel, ItemPointer tid, LockTupleMode mode, LockWaitPolicy policy, uint8 flags,
							   const char *what);

/*
 * relation_check.c: refuse what only statements heed, without the privilege, or in a transaction that may not write.
 */
extern void wf_relation_check(Relation rel, WfRelationUse use);

#endif
