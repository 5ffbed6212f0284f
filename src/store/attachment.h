/*
 * attachment.h
 *		Which tables start which processes: rows of workflow_data.attachment.
 */
#ifndef WF_ATTACHMENT_H
#define WF_ATTACHMENT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/relcache.h"

#include "model/definition.h"

/* Sets columns of the row being inserted: the last one to see it, since triggers fire in order of their names. */
#define WF_TRIGGER_BEFORE "zzz_workflow_number"
#define WF_TRIGGER_AFTER "workflow_start" /* starts instances */
#define WF_TRIGGER_KEEP "zzz_workflow_keep" /* leaves those columns as they are in an UPDATE */

/* What a write-back puts into a row at this moment; NULL: there is none. */
typedef struct WfWriting
{
	Oid			relation; /* the attached table */
	int			n;
	const char *names[3];
	Datum		values[3];
	bool		nulls[3];
} WfWriting;
extern const WfWriting *wf_attachment_writing;

typedef struct WfAttachment
{
	int			id;
	Oid			relation;
	const char *relation_name; /* as it was when it was attached */
	int			process_id;
	const char *process; /* its name */
	int			latest;	 /* its latest version; 0: undefined */
	bool		suspended; /* its instances start suspended */
	const char *serial_column; /* each NULL: none */
	const char *serial_step;
	const char *status_column;
	const char *instance_column;
	const char *condition;
	const char *search_path; /* of the session that attached the table */
	bool		trust; /* write-backs may run code of roles other than the table's owner */
} WfAttachment;

/* Does a row show anything of its instance? */
extern bool wf_attachment_shows(const WfAttachment *attachment);
/*
 * Is the number of the first visit what the row's serial column shows from the start? It is if that step does nothing but
 * wait for a callback, or if it is the very step whose number was asked for.
 */
extern bool wf_attachment_shows_start(const WfAttachment *attachment, const WfDefinition *def);
/*
 * Was this partition attached while it was none? Its trigger, one for each statement, does not fire for rows that come
 * through its parent.
 */
extern bool wf_attachment_is_cut_off(Relation rel);

/* ---- inside wf_store_enter ---- */
/* Has this relation a trigger that calls workflow.<function>()? */
extern bool wf_attachment_has_trigger(Relation rel, const char *function);
/* Those of a table, oldest first, in CurrentMemoryContext. */
extern int	wf_attachments_of(Oid relation, WfAttachment **attachments);
/*
 * A new row, or that of the same table and process from before it was detached, so that instances of then are of this attachment; true:
 * the latter, and what they show is written again. A table that was dropped and `restored` is known by its name. Sets the number.
 */
extern bool wf_attachment_add(WfAttachment *attachment, bool restored);
/* It stays, as one that was detached; what is owed to its rows ends. */
extern void wf_attachment_detach(int id, const char *relation_name);
/* Its table is gone. */
extern void wf_attachment_forget(int id);
/* So are all those of dropped tables. */
extern void wf_attachment_prune(void);
/* ERROR 42501 unless the table's owner may start the process. */
extern void wf_attachment_require_start(int process_id, const char *process, Oid owner);
/* No other transaction undefines the process before this one has ended; it may be defined anew, or suspended. */
extern void wf_attachment_lock_process(int process_id);

/* Of these keys, those that have a living instance of the attachment: sorted by strcmp, in CurrentMemoryContext. */
typedef struct WfLivingKey
{
	char	   *business_key;
	int64		instance;
} WfLivingKey;
extern int	wf_attachment_living(int process_id, int attachment, char **keys, int n, WfLivingKey **living);
/* Likewise those that have one that lives or has ended; one with several may come several times. */
extern int	wf_attachment_known(int process_id, int attachment, char **keys, int n, WfLivingKey **known);

/* What a write-back is about. */
typedef struct WfShown
{
	WfAttachment attachment;
	char	   *business_key;
	int64		delivery; /* that asks for it */
	/* as of the last wf_attachment_look */
	int64		instance; /* that the row shows now: a younger one with the same key, or the one given */
	int64		visit;	  /* of the serial number; 0: none */
	char	   *status;	  /* NULL: it is nowhere to be found */
	bool		living;
} WfShown;

/*
 * The attachment and key of an instance that lives or has ended, or that a delivery remembers. False if it has none (any more); with the
 * attachment it is noted that rows are stale since that delivery.
 */
extern bool wf_attachment_shown(int64 instance, int64 delivery, WfShown *shown);
/* What its row should show, as committed by now. */
extern void wf_attachment_look(int64 instance, WfShown *shown);
/* Have what an instance shows written to its row (again). */
extern void wf_attachment_write_back(int64 instance, int attachment, TimestampTz at);

#endif
