/*
 * attempt_log.h
 *		Attempts that have failed, in the log of the server.
 */
#ifndef WF_ATTEMPT_LOG_H
#define WF_ATTEMPT_LOG_H

#include "postgres.h"

#include "store/batch.h"

/* Log the attempts of the batch that have failed, if workflow.log_failed_attempts asks for that. */
extern void wf_attempts_log(const WfBatch *batch);

#endif
