/*
 * columns.h
 *		The columns of the tables `visit` and `instance`: one line for each, from which come the statements that read and
 *		write them, the rows that these are given, and what goes from a struct into a row and back.
 *
 *		A new column is a line in columns.c and one in schema/10_tables.sql; the build compares the two.
 */
#ifndef WF_COLUMNS_H
#define WF_COLUMNS_H

#include "postgres.h"

#include "access/htup.h"

#include "store/query.h"

/* What a row that is given to a statement is for. */
typedef enum WfRowUse
{
	WF_ROW_INSERT,
	WF_ROW_UPDATE,
	WF_ROW_HISTORY
} WfRowUse;

/* Which of the statements store a column. */
typedef enum WfStored
{
	WF_STORED,			  /* INSERT and UPDATE */
	WF_STORED_ONCE,		  /* INSERT */
	WF_KEY,				  /* likewise; UPDATE finds the row by it. The first ones of a table */
	WF_STORED_IF_CHANGED, /* INSERT; UPDATE if the flag of the struct says so: documents are large */
	WF_STORED_IF_GIVEN,	  /* INSERT; UPDATE, unless it is NULL, which leaves what is there */
	WF_STORED_NOT,		  /* it is no column of the table, but of the rows that are given */
} WfStored;

/* How a field becomes a value, and back. `read` NULL: it is not read. NULL values leave what is there. */
typedef struct WfCodec
{
	Oid			type;
	Datum		(*write) (const void *row, const void *field, bool *isnull);
	void		(*read) (void *row, void *field, Datum value);
} WfCodec;

typedef struct WfTableColumn
{
	const char *name;
	const WfCodec *codec;
	size_t		offset; /* of the field in the struct */
	WfStored	stored;
	const char *history; /* its name in the history; NULL: it has none */
	const char *flag;	 /* WF_STORED_IF_CHANGED: the column that says so, and where that is */
	size_t		flag_offset;
} WfTableColumn;

typedef struct WfTable
{
	const char *name;
	const char *key; /* condition for rows `t` of the table that are rows `m` of those given */
	const WfTableColumn *columns;
	int			ncolumns;
	WfShape		shape; /* of the rows that are given */
} WfTable;

extern WfTable wf_visit_table;
extern WfTable wf_instance_table;

/* To be called before anything else of this; free after the first time. */
extern void wf_columns_prepare(void);

/* Texts of statements, for as long as the process lives. `from` is what stands behind FROM, where the table is called `t`. */
extern const char *wf_table_select(const WfTable *table, const char *from);
extern const char *wf_table_insert(const WfTable *table);
extern const char *wf_table_update(const WfTable *table);
extern const char *wf_table_keep(const WfTable *table, const char *history);

/* Read row `n` of the current result of wf_table_select into a struct that is zero but for what it belongs to. */
extern void wf_table_read(const WfTable *table, void *row, uint64 n);

/* Bytes of the documents of a row of that result, without reading what is stored outside of it. */
extern size_t wf_table_external(const WfTable *table, uint64 n);

/* Add a struct to the rows that are given to a statement. */
extern void wf_table_put(const WfTable *table, WfRows *rows, const void *row, WfRowUse use);

#endif
