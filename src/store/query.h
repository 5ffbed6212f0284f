/*
 * query.h
 *		An SQL text, its kept plan, and the rows in memory that it reads.
 */
#ifndef WF_QUERY_H
#define WF_QUERY_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "executor/spi.h"
#include "utils/tuplestore.h"

#define WF_QUERY_MAX_ARGS 16

typedef struct WfColumn
{
	const char *name;
	Oid			type;
} WfColumn;

/* The columns of rows that are handed to a query by name. `desc` is made on first use and kept. */
typedef struct WfShape
{
	const WfColumn *columns;
	int				ncolumns;
	TupleDesc		desc;
} WfShape;

typedef struct WfQuery
{
	const char *sql;
	int			nargs;
	Oid			argtypes[WF_QUERY_MAX_ARGS];
	WfShape	   *shape; /* shape of the rows that the text calls `moved`; NULL: none */
	SPIPlanPtr	plan;
} WfQuery;

/* Rows in memory, to be handed to a query by name. */
typedef struct WfRows
{
	WfShape			*shape;
	Tuplestorestate *store;
	int64			 n;
} WfRows;

/* Install the planner hook that all of this needs; called by _PG_init. */
extern void wf_query_init(void);

/*
 * Connect to SPI, and let it set up named relations at once: it would do so on first use, in the
 * memory context of that moment, which must live as long as the connection.
 */
extern void wf_query_connect(void);

extern void wf_rows_begin(WfRows *rows, WfShape *shape);
extern void wf_rows_put(WfRows *rows, Datum *values, bool *nulls);
extern void wf_rows_end(WfRows *rows);

/*
 * Run a query, inside wf_store_enter, and return the number of rows. `nulls` is as in SPI ('n' / '
 * '), or NULL. Results are in SPI_tuptable and SPI_processed, valid until wf_store_leave; free
 * large ones with SPI_freetuptable. It sees the latest committed rows whatever the isolation level.
 */
extern uint64 wf_query_run(WfQuery *query, Datum *values, const char *nulls);
/* Run a query that changes nothing, as of this snapshot. */
extern uint64 wf_query_run_at(WfQuery *query, Datum *values, Snapshot snapshot);
/* Run a text that is made for one use, without keeping a plan. */
extern uint64 wf_query_run_text(const char *sql);
extern uint64 wf_query_run_rows(WfQuery *query, WfRows *rows);

/* An array as an argument, palloc'd. */
extern Datum wf_int64_array(const int64 *values, int n);
extern Datum wf_text_array(const char *const *values, int n);

/* Values of the current result. Rows count from 0, columns from 1. */
extern Datum wf_result(uint64 row, int column, bool *isnull);
extern int64 wf_result_int64(uint64 row, int column);
extern char *wf_result_text(uint64 row, int column); /* palloc'd; NULL for a null value */

/*
 * view_plan.c: let the planner treat our views as tables with row security. To be called once,
 * while the library is preloaded.
 */
extern void wf_view_plan_init(void);

/*
 * serial_index.c: let conditions on serial numbers find rows by instance and visit. To be called
 * once, while the library is preloaded.
 */
extern void wf_serial_index_init(void);

#endif
