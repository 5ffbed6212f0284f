/*
 * variables.h
 *		The variables that templates of a visit see, errors as they see them, and the data of an
 *		instance. This is the lowest layer of engine/.
 */
#ifndef WF_VARIABLES_H
#define WF_VARIABLES_H

#include "postgres.h"

#include "model/template.h"
#include "store/batch.h"

/* Error code of a visit whose token an operator has taken to another step. */
#define WF_CODE_MOVED "MOVED"

/* Set the variables that templates of this visit see. */
extern void wf_engine_variables(WfVisit *visit, WfVariables *variables);

/* Make $error: {code, message, http_status, sqlstate, attempt}, in CurrentMemoryContext. */
extern Jsonb *wf_engine_error(const WfFault *fault, int attempt);
extern char	 *wf_error_code(Jsonb *error);	 /* NULL: the error has none */
extern int	  wf_error_status(Jsonb *error); /* 0: the error has none */

/* Make $caught of a visit: {serial_number, step, result, error, event}, in CurrentMemoryContext. event NULL: none. */
extern Jsonb *wf_caught(WfVisit *visit, Jsonb *event);

/* The error of a CANCELLED visit, in the batch's context; reason NULL or "": none was given. */
extern Jsonb *wf_cancel_error(WfBatch *batch, const char *reason);

/* Show the data as a visit sees them: with the fields of the scopes around it laid over, outer ones first. */
extern void wf_data_show(WfVisit *visit, WfVariables *variables);

/* Changes of data, worked out and not made yet: everything that can fail comes before. */
typedef struct WfDataChange
{
	Jsonb *data;	  /* those of the instance */
	bool   is_own;	  /* they were made for this, and nothing else refers to them */
	Jsonb *overwrite; /* written over what `data` have there; NULL: `data` are as they will be */
	List  *scopes;	  /* of WfVisit: scopes whose fields change, */
	List  *locals;	  /* and these, in the same order */
} WfDataChange;

/*
 * Work out what becomes of the data if top-level keys are changed: each is written to the nearest
 * scope around the visit that has a field of this name, else to the instance. Returns false with
 * *fault if the data would be too large.
 */
extern bool wf_data_plan(const WfVisit *visit, Jsonb *changes, WfDataChange *change, WfFault *fault);
extern void wf_data_make(WfVisit *visit, const WfDataChange *change);
/* Show the data as the visit will see them then, for those who look at them before they are made. */
extern void wf_data_foresee(WfVisit *visit, Jsonb *changes, WfDataChange *change, WfVariables *variables);
/* Forget what tokens in the scope see as data, since it ends: many scopes may, one after the other. */
extern void wf_data_forget_seen(WfVisit *scope);

/* Change the data by a template. Returns false with *fault. */
extern bool wf_data_apply(WfBatch *batch, WfVisit *visit, const WfTemplate *changes, const WfVariables *variables,
						  WfFault *fault);
/*
 * Are the data within workflow.max_data? If not, wf_data_fits returns false with *fault,
 * wf_data_require_fit throws 54000.
 */
extern bool wf_data_fits(const Jsonb *data, WfFault *fault);
extern void wf_data_require_fit(const Jsonb *data);
extern void wf_data_replace(WfInstance *instance, Jsonb *data);

#endif
