/*
 * columns.h
 *		The columns of the tables `visit` and `instance`: one line for each, from which come the
 *		statements that read and write them, the rows that these are given, and the conversions
 *		between structs and rows.
 *
 * A new column is a line in columns.c and one in schema/10_tables.sql; the build compares the two.
 */
#ifndef WF_COLUMNS_H
#define WF_COLUMNS_H

#include "postgres.h"

#include "access/htup.h"

#include "store/query.h"

/* The use for which a row is given to a statement. */
typedef enum WfRowUse
{
	WF_ROW_INSERT,
	WF_ROW_UPDATE,
	WF_ROW_HISTORY
} WfRowUse;

/* Which of the statements store a column. */
typedef enum WfStored
{
	WF_STORED,		/* INSERT and UPDATE */
	WF_STORED_ONCE, /* INSERT only */
	/* INSERT, and UPDATE finds the row by it. The first columns of a table. */
	WF_KEY,
	/* INSERT, and UPDATE if a flag of the struct is set, since documents are large. */
	WF_STORED_IF_CHANGED,
	/* INSERT, and UPDATE unless it is NULL, which keeps the stored value. */
	WF_STORED_IF_GIVEN,
	/* No column of the table, but of the rows that are given. */
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
	const char	  *history; /* its name in the history; NULL: it is not in the history */
	/* For WF_STORED_IF_CHANGED: the column of the flag, and its offset. */
	const char *flag;
	size_t		flag_offset;
} WfTableColumn;

typedef struct WfTable
{
	const char *name;
	/* SQL condition that matches rows `t` of the table with given rows `m`. */
	const char			*key;
	const WfTableColumn *columns;
	int					 ncolumns;
	WfShape				 shape; /* shape of the rows that are given */
} WfTable;

extern WfTable wf_visit_table;
extern WfTable wf_instance_table;

/*
 * Prepare the tables; to be called before anything else here. Costs nothing after the first time.
 */
extern void wf_columns_prepare(void);

/*
 * SQL texts of statements, which live as long as the process. `from` is what stands behind FROM,
 * where the table is called `t`.
 */
extern const char *wf_table_select(const WfTable *table, const char *from);
extern const char *wf_table_insert(const WfTable *table);
extern const char *wf_table_update(const WfTable *table);
extern const char *wf_table_keep(const WfTable *table, const char *history);

/*
 * Read row `n` of the current result of wf_table_select into a struct. All fields but those that
 * say to what it belongs must be zero.
 */
extern void wf_table_read(const WfTable *table, void *row, uint64 n);

/*
 * Bytes of the documents in row `n` of that result, found without reading what is stored outside of
 * the row.
 */
extern size_t wf_table_external(const WfTable *table, uint64 n);

/* Add a struct to the rows that are given to a statement. */
extern void wf_table_put(const WfTable *table, WfRows *rows, const void *row, WfRowUse use);

#endif
