/*
 * outside.h
 *		What outside systems say of a visit, however they say it: by its serial number, many at once, or by a token.
 */
#ifndef WF_OUTSIDE_H
#define WF_OUTSIDE_H

#include "postgres.h"

#include "api/target.h"

/* The end of the work. */
typedef struct WfWord
{
	Jsonb	   *data;
	bool		failed;
	const char *code; /* if it failed */
	const char *message;
	bool		webhook; /* it came with a token */
} WfWord;

/* The code of a failure, if none is given; and ERROR 22023 for one that is empty or too long. */
#define WF_WORD_DEFAULT_CODE "FAILED"
#define WF_WORD_MAX_BYTES (32 * 1024 * 1024)
extern bool wf_word_fits(const WfWord *word);
extern bool wf_word_code_fits(const char *code);
extern void wf_word_require_code(const char *code);

/*
 * Inside wf_store_enter, rights checked. Apply it to the target, not yet flushed; false: it came too late, and is on
 * record as said by `role`. ERROR 55000 if the visit takes none.
 */
extern bool wf_word_apply(WfTarget *target, const WfSerial *serial, const WfWord *word, Oid role);

/* ERROR 22023 if it is too large. */
extern Jsonb *wf_argument_progress(FunctionCallInfo fcinfo, int n);

/* Likewise, flushed; false: what is being done is no longer wanted. */
extern bool wf_heartbeat_apply(WfTarget *target, const WfSerial *serial, Jsonb *progress);

#endif
