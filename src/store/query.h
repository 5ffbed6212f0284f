/*
 * query.h
 *		One SQL text, its kept plan, and the rows it reads from memory.
 */
#ifndef WF_QUERY_H
#define WF_QUERY_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "executor/spi.h"
#include "utils/tuplestore.h"

#define WF_QUERY_MAX_ARGS 12

typedef struct WfColumn
{
	const char *name;
	Oid			type;
} WfColumn;

/* The columns of rows handed to a query by name; `desc` is made on first use and kept. */
typedef struct WfShape
{
	const WfColumn *columns;
	int			ncolumns;
	TupleDesc	desc;
} WfShape;

typedef struct WfQuery
{
	const char *sql;
	int			nargs;
	Oid			argtypes[WF_QUERY_MAX_ARGS];
	WfShape    *shape; /* of the rows that the text calls `moved`; NULL: none */
	SPIPlanPtr	plan;
} WfQuery;

/* Rows in memory, to be handed to a query. */
typedef struct WfRows
{
	WfShape    *shape;
	Tuplestorestate *store;
	int64		n;
} WfRows;

/* From _PG_init: the planner hook that all of this needs. */
extern void wf_query_init(void);

/*
 * Connect to SPI. What it keeps of named relations is made on first use, in the memory of that moment, and must live
 * as long as the connection: so that is now.
 */
extern void wf_query_connect(void);

extern void wf_rows_begin(WfRows *rows, WfShape *shape);
extern void wf_rows_put(WfRows *rows, Datum *values, bool *nulls);
extern void wf_rows_end(WfRows *rows);

/*
 * Run, inside wf_store_enter. `nulls` as in SPI ('n' / ' '), or NULL. Results in SPI_tuptable, SPI_processed, valid until
 * wf_store_leave; free large ones with SPI_freetuptable. Sees the latest committed rows whatever the isolation level.
 */
extern uint64 wf_query_run(WfQuery *query, Datum *values, const char *nulls);
/* The same for a text that is made for once; no plan is kept. */
extern uint64 wf_query_run_text(const char *sql);
extern uint64 wf_query_run_rows(WfQuery *query, WfRows *rows);

/* As an argument, palloc'd. */
extern Datum wf_int64_array(const int64 *values, int n);

/* Of the current result. */
extern Datum wf_result(uint64 row, int column, bool *isnull);
extern int64 wf_result_int64(uint64 row, int column);
extern char *wf_result_text(uint64 row, int column); /* palloc'd; NULL for NULL */

/* view_plan.c: the planner takes our views for tables with row security. Once, while the library is preloaded. */
extern void wf_view_plan_init(void);

#endif
