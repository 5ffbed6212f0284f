/*
 * store.h
 *		Rows: loads batches of instances and visits, flushes what became of them, each with one set-wise statement.
 *
 * All SQL of the hot paths stands in store/ as named constants, run through kept SPI plans between wf_store_enter and
 * wf_store_leave. The batch is planned in memory by engine/ and handed over to wf_store_flush, whether it holds one
 * completed visit or a hundred thousand started instances.
 *
 * Locks: an instance's row (FOR NO KEY UPDATE) is the lock for everything that moves its tokens.
 */
#ifndef WF_STORE_H
#define WF_STORE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "model/definition.h"

/* ---- processes ---- */
typedef struct WfProcess /* one version, cached for the backend's life */
{
	int			process_id; /* of the name; privileges hang on it */
	int			version;
	const char *name;
	const char *search_path;
	WfDefinition *def;
} WfProcess;

/* ---- living rows ---- */
typedef enum WfStatus
{
	WF_STATUS_ACTIVE,
	WF_STATUS_SUSPENDED,
	WF_STATUS_COMPLETED,
	WF_STATUS_ABORTED,
	WF_STATUS_FAILED
} WfStatus;

typedef enum WfState
{
	WF_STATE_READY,
	WF_STATE_CALLING,
	WF_STATE_RETRYING,
	WF_STATE_WAITING,
	WF_STATE_CANCELLING,
	WF_STATE_INCIDENT,
} WfState;

extern const char *wf_status_name(WfStatus status);
extern const char *wf_state_name(WfState state);
extern WfState wf_state_from_name(const char *name);

typedef struct WfInstance
{
	int64		id;
	WfProcess  *process;
	char	   *business_key; /* or NULL */
	WfStatus	status;
	Jsonb	   *data;
	int			tokens;	   /* living visits */
	int			incidents; /* of them, standing as incidents */
	int			attachment; /* 0: none */
	Jsonb	   *error;	   /* why it ended so, or NULL */
	char	   *cancel_reason; /* being cancelled, or NULL */
	TimestampTz started_at;

	/* in memory */
	bool		is_new;
	bool		changed; /* anything but data */
	bool		data_changed;
	bool		ended;
	bool		show_changed; /* what an attached row shows (status, serial number) may have changed */
	int			moved;		  /* steps entered in this batch */
	TimestampTz ended_at;
} WfInstance;

typedef struct WfVisit
{
	WfInstance *instance;
	int64		id;
	const char *step;
	WfStep	   *def; /* NULL if the version has no such step */
	WfState		state;
	char	   *queue;	   /* who has to look at it at due_at; NULL with due_at = 0: nobody */
	TimestampTz due_at;	   /* 0: never */
	TimestampTz deadline;  /* 0: none */
	TimestampTz entered_at;
	TimestampTz waiting_since; /* 0: not waiting */
	const char *waits_for; /* 'callback', 'after', 'until'; NULL */
	int			attempt;   /* attempts begun */
	pg_uuid_t	key;	   /* idempotency key */
	Jsonb	   *reply;	   /* the action's answer */
	bool		has_callback;
	Jsonb	   *callback;  /* accepted as the end, kept until the reply was handled */
	Jsonb	   *callback_error; /* … by fail() */
	Jsonb	   *caught;
	Jsonb	   *error;	   /* the last one */
	WfOutcome	outcome;   /* of an incident, or once ended */
	Jsonb	   *result;	   /* once ended, or of an incident */

	bool		is_new;
	bool		changed;
	bool		ended;
	TimestampTz ended_at;
} WfVisit;

#endif
