/*
 * news.h
 *		What monitoring is to be told of: noted in the transaction in which it happens, published by its commit, told by the dispatcher.
 *
 * It is bundled by what happened and where, so that a hundred thousand of a kind are one. It is in shared memory, so that nothing is
 * written for it: a crash loses what is not yet told, as does a commit of a prepared transaction. The rows say it all the same.
 */
#ifndef WF_NEWS_H
#define WF_NEWS_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef enum WfNewsKind
{
	WF_NEWS_INCIDENT,
	WF_NEWS_WRITE_BACK,	  /* the row of an instance does not show what it should */
	WF_NEWS_WAITING_LONG,
	WF_NEWS_KINDS
} WfNewsKind;

/* names of processes have at most 200 characters, those of steps 200 bytes */
#define WF_NEWS_PROCESS_LEN 801
#define WF_NEWS_STEP_LEN 201
#define WF_NEWS_SERIALS 20
/* bundles of a database that are not yet told of; the last ones are for what there was no room for, one of each kind */
#define WF_MAX_NEWS 32
#define WF_ALL_NEWS (WF_MAX_NEWS + WF_NEWS_KINDS)

typedef struct WfNewsSerial
{
	int64		instance;
	int64		visit;
} WfNewsSerial;

typedef struct WfNews
{
	WfNewsKind	kind;
	char		process[WF_NEWS_PROCESS_LEN];
	char		step[WF_NEWS_STEP_LEN]; /* empty: none, or of several */
	int64		count; /* 0: nothing */
	int			nserials;
	WfNewsSerial serials[WF_NEWS_SERIALS]; /* the first ones */
	TimestampTz since; /* of the one that is oldest */
} WfNews;

/* Those of a transaction, or of a database. */
typedef struct WfNewsList
{
	int			n;	 /* of the first WF_MAX_NEWS */
	bool		any; /* also of the others */
	WfNews		news[WF_ALL_NEWS];
} WfNewsList;

extern void wf_news_clear(WfNewsList *list);

/* From any backend: to be told of if this (sub)transaction commits. step NULL: none; visit 0: it has no serial number. */
extern void wf_news_note(WfNewsKind kind, const char *process, const char *step, int64 instance, int64 visit, TimestampTz since);

/* From the dispatcher: is there anything? Then take it, leaving nothing; palloc'd. */
extern bool wf_news_any(void);
extern WfNewsList *wf_news_take(void);

#endif
