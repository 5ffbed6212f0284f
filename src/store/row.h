/*
 * row.h
 *		Rows of users' tables: their primary keys as text, and acting as the table's owner.
 */
#ifndef WF_ROW_H
#define WF_ROW_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/relcache.h"

/* A column whose values are read and written as text. */
typedef struct WfRowColumn
{
	const char *name;
	AttrNumber	attno; /* 0: there is no column of that name */
	Oid			type;
	int32		typmod;
	Oid			ioparam;
	FmgrInfo	input;
	FmgrInfo	output;
} WfRowColumn;

typedef struct WfRowKey
{
	int			 n;		/* number of columns; 0: there is no primary key */
	bool		 plain; /* the text of the key does not depend on settings */
	WfRowColumn *columns;
	Oid			*bases; /* types of the columns, beneath domains */
} WfRowKey;

/*
 * Find a column by name and prepare reading and writing its type, in `context`. Returns false
 * (attno 0) if there is none.
 */
extern bool wf_row_column(TupleDesc desc, const char *name, WfRowColumn *column, MemoryContext context);
/*
 * A column's value as text and back. NULL for NULL; text comes without the padding of character(n).
 */
extern char *wf_row_text(WfRowColumn *column, HeapTuple tuple, TupleDesc desc);
/* What the output function gives, without padding, in place. */
extern char *wf_row_strip(const WfRowColumn *column, char *text);
extern Datum wf_row_input(WfRowColumn *column, char *text);

/*
 * The numbers of the columns of the primary key, in its order. Returns how many; 0: there is no
 * primary key.
 */
extern int wf_row_key_attnos(Relation rel, AttrNumber *attnos);
/*
 * Prepare the primary key of `keyed`, with column numbers of `desc` (that of the same table, or of
 * a partition).
 */
extern void wf_row_key(Relation keyed, TupleDesc desc, WfRowKey *key, MemoryContext context);

/*
 * The key of a row as text: of one column its text, of several a JSON array. It is the same in
 * every session, whatever its settings.
 */
extern char *wf_row_key_text(WfRowKey *key, HeapTuple tuple, TupleDesc desc);
/*
 * A value as text, as in a key of one column. The type's output function runs with the caller's
 * rights.
 */
extern char *wf_row_value_text(Datum value, Oid type);
/*
 * Turn a key's text into values. Throws data exceptions; returns false if the text does not have as
 * many columns.
 */
extern bool wf_row_key_parse(WfRowKey *key, const char *text, Datum *values);

/*
 * Append the name of a table for SELECT or UPDATE: a plain one without its children. And a WHERE on its key, whose values are
 * the first parameters.
 */
extern void wf_row_append_table(StringInfo sql, Oid relid);
extern void wf_row_append_key_condition(StringInfo sql, const WfRowKey *key);

/*
 * Between wf_as_owner_begin and wf_as_owner_end, code runs with no other rights than those of the
 * table's owner: output functions, casts and triggers are users' code. search_path is the given
 * one, with pg_temp last; settings changed in between are restored. An abort restores everything.
 */
typedef struct WfAsOwner
{
	Oid user;
	int sec_context;
	int guc_level;
} WfAsOwner;
extern void wf_as_owner_begin(WfAsOwner *saved, Oid owner, const char *search_path);
extern void wf_as_owner_end(WfAsOwner *saved);
/*
 * Make all constraints immediate for the rest of the (sub)transaction. Deferred triggers would run
 * at commit, with other rights.
 */
extern void wf_constraints_immediate(void);

/*
 * The path with pg_temp at its end and nowhere else, palloc'd. ERROR 22023 if the path is
 * malformed.
 */
extern char *wf_path_with_temp_last(const char *search_path);

/* The owner of a relation; InvalidOid if it is gone. */
extern Oid wf_row_owner(Oid relid);

#endif
