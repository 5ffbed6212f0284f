/*
 * report.h
 *		Reports: what is posted to the callback_url of an operation, each by an instance of its own.
 *
 * That instance belongs to a process that the engine defines for whoever has called, so that credentials, retries, the breaker,
 * incidents and the history of a report are those of any request.
 */
#ifndef WF_REPORT_H
#define WF_REPORT_H

#include "postgres.h"

#include "store/rest.h"

/* Names of processes of reports begin so; `define` refuses them. */
#define WF_REPORT_PROCESS "workflow: callbacks of "
/* What they do. */
extern const char *const wf_report_definition;

typedef struct WfReport
{
	int64		operation;
	int64		instance;	/* of which it tells */
	const char *url;		/* to which it is posted */
	int			process_id; /* that posts it */
} WfReport;

/* What is posted, as data of the instance that posts it. */
extern Jsonb *wf_report_data(const WfReport *report, const WfStanding *standing);
/*
 * Start the instance that posts it, which belongs to the trace of the instance of which it tells, and return its number. What the setting
 * workflow.on_behalf says of headers goes with it. `standing` NULL: it begins a trace of its own. ERROR 55000 if its process was undefined.
 */
extern int64 wf_report_start(const WfReport *report, Jsonb *data, const WfStanding *standing);

#endif
