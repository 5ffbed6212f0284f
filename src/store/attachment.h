/*
 * attachment.h
 *		Which tables start which processes: rows of workflow_data.attachment.
 */
#ifndef WF_ATTACHMENT_H
#define WF_ATTACHMENT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"

#include "model/definition.h"

/*
 * The BEFORE trigger, which sets columns of the row being inserted. Its name makes it the last one,
 * since triggers fire in the order of their names.
 */
#define WF_TRIGGER_BEFORE "zzz_workflow_number"
#define WF_TRIGGER_AFTER  "workflow_start" /* AFTER trigger: starts instances */
/* BEFORE UPDATE trigger: keeps the columns that are set */
#define WF_TRIGGER_KEEP "zzz_workflow_keep"
/* AFTER triggers of on_update and on_delete */
#define WF_TRIGGER_UPDATE	"workflow_update"
#define WF_TRIGGER_DELETE	"workflow_delete"
#define WF_TRIGGER_TRUNCATE "workflow_truncate"

/* What the running write-back puts into a row; NULL: no write-back is running. */
typedef struct WfWriting
{
	Oid			 relation; /* the attached table */
	int			 n;
	const char **names;
	Datum		*values;
	bool		*nulls;
} WfWriting;
extern const WfWriting *wf_attachment_writing;

/* A column of the row that shows something of the data. */
typedef struct WfResultColumn
{
	const char				  *column;
	const char				  *path;	   /* jsonpath over the data */
	const struct WfExpression *expression; /* compiled: see row_result.h */
} WfResultColumn;
#define WF_MAX_RESULT_COLUMNS 100

typedef struct WfAttachment
{
	int			id;
	Oid			relation;
	const char *relation_name; /* name of the table when it was attached */
	int			process_id;
	const char *process;	   /* name of the process */
	int			latest;		   /* latest version of the process; 0: it was undefined */
	bool		suspended;	   /* instances of the process start suspended */
	const char *serial_column; /* this and the next four: NULL if not asked for */
	const char *serial_step;
	const char *status_column;
	const char *instance_column;
	const char *condition;
	int			nresults;
	/* in the order of their names, with which jsonb has them */
	WfResultColumn *results;
	const char	   *search_path; /* that of the session that attached the table */
	bool			trust;		 /* write-backs may run code of roles other than the table's owner */
	bool			on_update;	 /* what changes in the row is merged into the data */
	bool			on_delete;	 /* the instance is cancelled when its row was deleted */
	bool			replicated;	 /* logical replication brings its rows, which show nothing themselves */
	Oid				show_in;	 /* the table that shows it; InvalidOid: `relation` itself */
} WfAttachment;

/*
 * Is anything shown of the instance of a row? Results are not set in a row that is being inserted, the others are, unless the rows are
 * replicated.
 */
extern bool wf_attachment_shows(const WfAttachment *attachment);
extern bool wf_attachment_sets(const WfAttachment *attachment);
/* The table whose rows show it. */
extern Oid wf_attachment_shows_in(const WfAttachment *attachment);
/* The names of what follows from an UPDATE and from a DELETE. */
extern const char *wf_attachment_on_update(const WfAttachment *attachment);
extern const char *wf_attachment_on_delete(const WfAttachment *attachment);
/*
 * Does the row's serial column show the number of the first visit from the start? It does if the
 * first step only waits for a callback, or if it is the very step whose number was asked for.
 */
extern bool wf_attachment_shows_start(const WfAttachment *attachment, const WfDefinition *def);
/*
 * Was this table attached before it became a partition? Then its trigger, which fires once for each
 * statement, does not fire for rows that come through the parent.
 */
extern bool wf_attachment_is_cut_off(Relation rel);

/* ---- the rest is called inside wf_store_enter ---- */
/* Has this relation a trigger that calls workflow.<function>()? */
extern bool wf_attachment_has_trigger(Relation rel, const char *function);
/* The attachments of a table, oldest first, in CurrentMemoryContext. Returns how many. */
extern int wf_attachments_of(Oid relation, WfAttachment **attachments);
/* Another attached table than `relation` whose rows show their instances in `show_in`; InvalidOid: none. */
extern Oid wf_attachment_shown_there(Oid show_in, Oid relation);
/*
 * Store an attachment and set its number. If the same table was attached to the same process
 * before, that row is used again, so that its instances belong to this attachment; then true is
 * returned, and what they show is written again. A dropped table that was `restored` is recognized
 * by its name.
 */
extern bool wf_attachment_add(WfAttachment *attachment, bool restored);
/* Mark an attachment as detached, and end what is owed to its rows. Its row stays. */
extern void wf_attachment_detach(int id, const char *relation_name);
/* Detach an attachment whose table is gone. */
extern void wf_attachment_forget(int id);
/* Do that for all attachments whose tables are gone. */
extern void wf_attachment_prune(void);
/* ERROR 42501 unless the table's owner may start the process; `changes`: and change its instances. */
extern void wf_attachment_require_start(int process_id, const char *process, Oid owner, bool changes);
/*
 * Keep other transactions from undefining the process until this one has ended. They may define a
 * new version of it, or suspend it.
 */
extern void wf_attachment_lock_process(int process_id);

/*
 * Find those of the keys that have a living instance of the attachment: sorted by strcmp, in
 * CurrentMemoryContext. Returns how many.
 */
typedef struct WfLivingKey
{
	char *business_key;
	int64 instance;
} WfLivingKey;
extern int wf_attachment_living(int process_id, int attachment, char **keys, int n, WfLivingKey **living);
/* Find the next living instances of the attachment behind `last` (instance 0: from the first on), in the order of keys. */
extern int wf_attachment_living_after(int process_id, int attachment, const WfLivingKey *last, int limit,
									  WfLivingKey **living);
/*
 * Find those of the keys that have an instance of the attachment, living or ended. A key with
 * several instances may come several times.
 */
extern int wf_attachment_known(int process_id, int attachment, char **keys, int n, WfLivingKey **known);

/*
 * Rows have got other keys, from `olds` to `news`: so do their living instances, which are locked for that. One that lives under a
 * new key has no row, and gets none. Returns whether there were any.
 */
extern bool wf_attachment_rekey(int process_id, int attachment, char **olds, char **news, int n);

/* What a write-back writes, and to which row. */
typedef struct WfShown
{
	WfAttachment attachment;
	char		*business_key;
	int64		 delivery; /* delivery that asks for the write-back */
	/* set by wf_attachment_look */
	/* Instance that the row shows: a younger one with the same key, or the given one. */
	int64				instance;
	int64				visit;	/* visit whose serial number is shown; 0: none */
	char			   *status; /* NULL: the instance is nowhere to be found */
	bool				living;
	struct WfRowResult *results;  /* of result_columns, in their order */
	const char		   *unworked; /* why one of these could not be worked out; NULL: all could */
} WfShown;

/*
 * Find the attachment and key of an instance that lives or has ended, or that a delivery remembers.
 * Returns false if the instance has none, or has none any more; if its table was detached, the
 * attachment then remembers that its rows are stale since that delivery.
 */
extern bool wf_attachment_shown(int64 instance, int64 delivery, WfShown *shown);
/* Find out what the row should show, as committed by now. */
extern void wf_attachment_look(int64 instance, WfShown *shown);
/* Owe the row a write-back of what the instance shows, at time `at`. */
extern void wf_attachment_write_back(int64 instance, int attachment, TimestampTz at);

#endif
