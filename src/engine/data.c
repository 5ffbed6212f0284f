/*
 * data.c
 *		Changing the data of an instance, within workflow.max_data.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/variables.h"
#include "shmem/settings.h"

bool
wf_data_fits(const Jsonb *data, WfFault *fault)
{
	if (VARSIZE(data) <= (Size) wf_setting_max_data * 1024)
		return true;
	return wf_fault(fault, WF_CODE_DATA, "the data would have %zu bytes, more than workflow.max_data allows",
					(Size) VARSIZE(data));
}

/* ERROR 54000 if data that a caller gives are too large. */
void
wf_data_require_fit(const Jsonb *data)
{
	WfFault fault = {0};

	if (!wf_data_fits(data, &fault))
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the data of an instance are too large"),
				errdetail("They would have %zu bytes; workflow.max_data allows %d kB.", (Size) VARSIZE(data),
						  wf_setting_max_data),
				errhint("Keep large documents in tables, and their keys in the data."));
}

void
wf_data_replace(WfInstance *instance, Jsonb *data)
{
	instance->data = data;
	instance->data_changed = true;
	instance->grown += VARSIZE(data);
}

bool
wf_data_apply(WfBatch *batch, WfVisit *visit, const WfTemplate *changes, const WfVariables *variables, WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb		 *rendered = wf_template_jsonb(changes, variables, fault);
	Jsonb		 *data = rendered != NULL ? wf_jsonb_merge(visit->instance->data, rendered) : NULL;
	bool		  fits = data != NULL && wf_data_fits(data, fault);

	if (fits)
		wf_data_replace(visit->instance, data);
	MemoryContextSwitchTo(old);
	return fits;
}
