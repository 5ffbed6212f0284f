/*
 * completion.h
 *		Callbacks and heartbeats of outside systems, however they come: by serial number, many in
 *		one call, or by a token.
 */
#ifndef WF_COMPLETION_H
#define WF_COMPLETION_H

#include "postgres.h"

#include "utils/uuid.h"

#include "api/target.h"
#include "store/access.h"

/* A completion: the end of the work on a visit, good or bad. */
typedef struct WfCompletion
{
	Jsonb	   *data;
	bool		failed;
	const char *code; /* of a failure */
	const char *message;
	bool		webhook; /* it came with a token */
	/* of work that was fetched; NULL: none was given */
	pg_uuid_t *lock_token;
	bool	   no_retry; /* of a failure: what the step says in `retry` does not count */
} WfCompletion;

/* The code of a failure that names none. */
#define WF_COMPLETION_DEFAULT_CODE "FAILED"
/* The largest completion: data and message together. */
#define WF_COMPLETION_MAX_BYTES (32 * 1024 * 1024)
/*
 * Is the completion small enough, and has its error code a valid length? wf_completion_require_code
 * throws 22023 for a code that is empty or too long.
 */
extern bool wf_completion_fits(const WfCompletion *completion);
extern bool wf_completion_code_fits(const char *code);
extern void wf_completion_require_code(const char *code);

/*
 * Apply the completion to the target, without flushing. Returns false if it came too late: then the
 * late callback is recorded as one of `role`. Throws 55000 if the visit takes no callback, 54000 if
 * the completion is too large. To be called inside wf_store_enter, after the rights were checked.
 */
extern bool wf_completion_apply(WfTarget *target, const WfSerial *serial, const WfCompletion *completion, Oid role);

/*
 * Flush what was accepted, and leave the store. If it was not, make sure that what the answer rests on is durable. Returns
 * `accepted`.
 */
extern bool wf_completion_end(WfTarget *target, WfAccess *access, bool accepted);

/* An argument with the progress of a heartbeat; ERROR 22023 if it is larger than 64 kB. */
extern Jsonb *wf_argument_progress(FunctionCallInfo fcinfo, int n);

/*
 * Apply a heartbeat to the target, and flush. Returns false if the work is no longer wanted. To be
 * called inside wf_store_enter, after the rights were checked.
 */
extern bool wf_heartbeat_apply(WfTarget *target, const WfSerial *serial, Jsonb *progress);

#endif
