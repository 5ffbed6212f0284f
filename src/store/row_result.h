/*
 * row_result.h
 *		What columns of an attached row show of the data of its instance: result_columns of workflow.attach.
 */
#ifndef WF_ROW_RESULT_H
#define WF_ROW_RESULT_H

#include "postgres.h"

#include "model/expression.h"
#include "store/attachment.h"

typedef struct WfRowResult
{
	bool   worked; /* false: it could not be worked out */
	Jsonb *value;  /* NULL: missing, or null */
} WfRowResult;

/* result_columns as the row of the attachment has them, an object or NULL, and back. Returns how many there are. */
extern int	  wf_row_results_read(Jsonb *columns, WfResultColumn **results);
extern Jsonb *wf_row_results_store(const WfAttachment *attachment);

/*
 * Compile the jsonpath of such a column. Returns NULL, with *message and *hint (or NULL) set, if it is none, or is about
 * anything but the data.
 */
extern WfExpression *wf_row_result_compile(const char *path, const char **message, const char **hint);

/* Compile the jsonpaths of the attachment, in CurrentMemoryContext: what follows needs them. */
extern void wf_row_results_compile(WfAttachment *attachment);

/*
 * Work out all results over these data, in CurrentMemoryContext; times are read in this time zone. *unworked says why the
 * first of them could not be worked out; NULL: all could.
 */
extern WfRowResult *wf_row_results_work_out(const WfAttachment *attachment, Jsonb *data, const char *timezone,
											const char **unworked);
extern bool			wf_row_results_differ(const WfRowResult *a, const WfRowResult *b, int n);

/* As an object, without what is missing, and back. */
extern Jsonb	   *wf_row_results_keep(const WfAttachment *attachment, const WfRowResult *results);
extern WfRowResult *wf_row_results_kept(const WfAttachment *attachment, Jsonb *kept);

/*
 * The text that the input function of a column of this type gets. NULL for NULL. Types json and jsonb take JSON, all
 * others a string as it is.
 */
extern char *wf_row_result_text(const WfRowResult *result, Oid type);

#endif
