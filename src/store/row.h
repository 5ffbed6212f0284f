/*
 * row.h
 *		Rows of users' tables: their primary keys as text, and acting on them as the table's owner.
 */
#ifndef WF_ROW_H
#define WF_ROW_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "fmgr.h"
#include "utils/relcache.h"

/* A column whose values are read and written as text. */
typedef struct WfRowColumn
{
	const char *name;
	AttrNumber	attno; /* 0: there is none of that name */
	Oid			type;
	int32		typmod;
	Oid			ioparam;
	FmgrInfo	input;
	FmgrInfo	output;
} WfRowColumn;

typedef struct WfRowKey
{
	int			n; /* 0: no primary key */
	bool		plain; /* its text does not depend on settings */
	WfRowColumn *columns;
	Oid		   *bases; /* types beneath domains */
} WfRowKey;

/* Find a column by name and get its type ready, in `context`. False (attno 0) if there is none. */
extern bool wf_row_column(TupleDesc desc, const char *name, WfRowColumn *column, MemoryContext context);
/* NULL for NULL; without the padding of character(n). */
extern char *wf_row_text(WfRowColumn *column, HeapTuple tuple, TupleDesc desc);
extern Datum wf_row_input(WfRowColumn *column, char *text);

/* Numbers of the columns of the primary key, in its order. Returns how many; 0: there is none. */
extern int	wf_row_key_attnos(Relation rel, AttrNumber *attnos);
/* The primary key of `keyed`, as its columns stand in `desc` (its own, or that of a partition). */
extern void wf_row_key(Relation keyed, TupleDesc desc, WfRowKey *key, MemoryContext context);

/* One column: its text; several: a JSON array. The same in every session, whatever its settings. */
extern char *wf_row_key_text(WfRowKey *key, HeapTuple tuple, TupleDesc desc);
/* A value as it is in a key of one column. What the type's output function does, the caller of this does. */
extern char *wf_row_value_text(Datum value, Oid type);
/* The other way round. Throws data exceptions; false if the text has not as many columns. */
extern bool wf_row_key_parse(WfRowKey *key, const char *text, Datum *values);

/*
 * From begin to end nothing runs with other rights than the owner's: output functions, casts and triggers are users' code.
 * search_path is the given one with pg_temp last; settings changed in between are restored. An abort restores all of it.
 */
typedef struct WfAsOwner
{
	Oid			user;
	int			sec_context;
	int			guc_level;
} WfAsOwner;
extern void wf_as_owner_begin(WfAsOwner *saved, Oid owner, const char *search_path);
extern void wf_as_owner_end(WfAsOwner *saved);
/* For the rest of the (sub)transaction. What is deferred would run at commit, with other rights. */
extern void wf_constraints_immediate(void);

/* That path with pg_temp at its end and nowhere else, palloc'd. ERROR 22023 if it is malformed. */
extern char *wf_path_with_temp_last(const char *search_path);

/* Owner of a relation, InvalidOid if it is gone. */
extern Oid	wf_row_owner(Oid relid);

#endif
