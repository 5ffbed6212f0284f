/*
 * report_row.h
 *		What operations know of their callbacks: engine/report.h.
 */
#ifndef WF_REPORT_ROW_H
#define WF_REPORT_ROW_H

#include "postgres.h"

#include "utils/jsonb.h"

typedef struct WfReportRow
{
	int64		operation;
	int64		instance;
	int			of_process; /* that of the instance; 0: it was not known */
	Oid			role;		/* who has called; InvalidOid: a role that does not exist any more */
	const char *role_name;
	const char *url;		/* NULL: no callback was asked for */
	int			process_id; /* whose instances post it; 0: none */
	int64		posting;	/* instance that posts it; 0: none yet */
	bool		due;		/* the instance has not come to rest yet */
	bool		done;		/* the operation was carried out */
	bool		failed;		/* and has failed */
	Jsonb	   *headers;	/* of the call, for mappings with auth on_behalf; NULL: none */
} WfReportRow;

/*
 * Lock and read those of an instance that are due, at most `limit`, the first ones first, palloc'd, but for those that somebody else
 * holds. Returns how many. Inside wf_store_enter, as all.
 */
extern int wf_reports_due(int64 instance, int limit, WfReportRow **rows);
/* Is any due, held by somebody or not? */
extern bool wf_reports_any_due(int64 instance);
/* Lock and read that of an operation. Returns false if there is no such operation. */
extern bool wf_report_lock(int64 operation, WfReportRow *row);
/* It is posted by this instance from now on; or was not even begun, for an error: {sqlstate, message, detail, hint}. */
extern void wf_report_posted(const WfReportRow *row, int64 posting, Jsonb *error);
/* It is due once more. */
extern void wf_report_due_again(const WfReportRow *row);

#endif
