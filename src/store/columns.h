/*
 * columns.h
 *		The columns of the tables `visit` and `instance`: one line for each, from which come the
 *		conversions between structs and rows, of the history as well.
 *
 * A new column is a line in columns.c and one in schema/10_tables.sql; the build compares the two.
 */
#ifndef WF_COLUMNS_H
#define WF_COLUMNS_H

#include "postgres.h"

#include "store/relation.h"

#define WF_MAX_COLUMNS 64

/* When a column is stored. */
typedef enum WfStored
{
	WF_STORED,		/* by an insert and an update */
	WF_STORED_ONCE, /* by an insert only */
	/* by an insert; an update finds the row by it. The first columns of a table. */
	WF_KEY,
	/* by an insert, and an update if a flag of the struct is set, since documents are large */
	WF_STORED_IF_CHANGED,
	/* by an insert, and an update unless it is NULL, which keeps the stored value */
	WF_STORED_IF_GIVEN,
	/* in the history only */
	WF_STORED_NOT,
} WfStored;

/*
 * How a field becomes a value, and back. `read` is NULL for a column that is not read. A null value
 * leaves the field as it is.
 */
typedef struct WfCodec
{
	Oid type;
	Datum (*write)(const void *row, const void *field, bool *isnull);
	void (*read)(void *row, void *field, Datum value);
} WfCodec;

typedef struct WfTableColumn
{
	const char	  *name;
	const WfCodec *codec;
	size_t		   offset; /* offset of the field in the struct */
	WfStored	   stored;
	const char	  *history;		/* its name in the history; NULL: it is not in the history */
	size_t		   flag_offset; /* for WF_STORED_IF_CHANGED: of the flag */
} WfTableColumn;

typedef struct WfTable
{
	const char			*name;
	const WfTableColumn *columns;
	int					 ncolumns;
	int					 nkeys;
	WfRelationColumns	 stored;  /* those in the table, which come before the others, in the order of `columns` */
	WfRelationColumns	 history; /* those in its history, in the order of `columns`, and the last: stored_at */
} WfTable;

extern WfTable wf_visit_table;
extern WfTable wf_instance_table;

/*
 * Prepare the tables; to be called before anything else here. Costs nothing after the first time.
 */
extern void wf_columns_prepare(void);

/*
 * Read the row that was found in a relation into a struct. All fields but those that say to what it
 * belongs must be zero.
 */
extern void wf_table_read(const WfTable *table, void *row, WfRelation *rel);

/*
 * Bytes of the documents in the row that was found, without reading what is stored outside of it.
 */
extern size_t wf_table_external(const WfTable *table, WfRelation *rel);

/* The values of a struct. They live in CurrentMemoryContext, or belong to the struct. */
typedef struct WfRowValues
{
	Datum values[WF_MAX_COLUMNS];
	bool  nulls[WF_MAX_COLUMNS];
	bool  given[WF_MAX_COLUMNS]; /* for an update: others stay as they are */
} WfRowValues;

extern void wf_table_new_row(const WfTable *table, const void *row, WfRowValues *values);
extern void wf_table_changed_row(const WfTable *table, const void *row, WfRowValues *values);
extern void wf_table_ended_row(const WfTable *table, const void *row, WfRowValues *values);

#endif
