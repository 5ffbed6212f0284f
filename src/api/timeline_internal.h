/*
 * timeline_internal.h
 *		What the files of workflow.timeline() share: events of an instance, and where its visits are.
 */
#ifndef WF_TIMELINE_INTERNAL_H
#define WF_TIMELINE_INTERNAL_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "store/batch.h"
#include "store/query.h"

/* Events of the same time and visit are told in this order. */
typedef enum WfEventRank
{
	WF_RANK_CALLED,
	WF_RANK_ENTERED,
	WF_RANK_ATTEMPT,
	WF_RANK_INCIDENT,
	WF_RANK_MENDED,
	WF_RANK_ENDED,
	WF_RANK_LATE,
	WF_RANK_INSTANCE,
	WF_RANK_STANDING
} WfEventRank;

typedef struct WfTold
{
	TimestampTz at;
	int64		visit; /* 0: the instance */
	WfEventRank rank;
	const char *step; /* NULL: the step that the visit entered */
	const char *text;
	int64		scope;		/* of one that enters: the visit of the sub-process that it is in; 0: none */
	int			item;		/* of one that enters: WF_NO_ITEM, or for which item it is */
	const char *outcome;	/* of one that ends, or stands as an incident */
	bool		cancelled;	/* of one that ends: with the outcome CANCELLED */
	bool		interrupts; /* of one that ends: if others are cancelled at the same time, it may be why */
	/* for the order of those with the same time: the number of the visit after whose events it is told */
	int64 after;
	int	  depth; /* in how many sub-processes the visit is */
} WfTold;

/* A visit: which step it is at, and in which sub-process. */
typedef struct WfPlace
{
	int64		visit;
	const char *step;
	int64		scope;
	int			item; /* WF_NO_ITEM: it is for none */
	WfTold	   *end;  /* NULL: it lives, or its end is no longer kept */
	int64		last; /* the highest number of a visit in it, its own included */
	int			depth;
} WfPlace;

typedef struct WfPlaces
{
	WfPlace *of; /* all visits of which it is known, by number */
	int		 n;
} WfPlaces;

/* Where events are read, and how each row is told. The columns of a query begin with time, visit and step. */
typedef struct WfTimelineSource
{
	WfQuery	   *query; /* of instance $1; of its process $2 and version $3, if it has them */
	WfEventRank rank;
	const char *(*describe)(uint64 row);
	void (*note)(uint64 row, WfTold *event); /* NULL: there is no more to note */
} WfTimelineSource;

extern const WfTimelineSource wf_timeline_events[]; /* the last one has no query */
extern const WfTimelineSource wf_timeline_standing;

/* A column of a time or a number; 0 if it is NULL. */
extern TimestampTz wf_told_time(uint64 row, int column);
extern int		   wf_told_int(uint64 row, int column);

/* A period of time in its two largest units, which are enough for a person. */
extern char *wf_told_span(TimestampTz from, TimestampTz to);
extern char *wf_told_time_text(TimestampTz at);
/* Cut a text to the length that fits in a line. NULL stays. */
extern const char *wf_told_clip(char *text);
/* The text ": CODE, message", as far as there is any of it, and the code says more than the outcome. */
extern const char *wf_told_because(const char *outcome, const char *code, char *message);
/* The text of a visit that has called an instance, with its number; "" if it has called none. */
extern const char *wf_told_child(const char *words, uint64 row, int column);

extern void wf_timeline_places(WfPlaces *places, const WfTold *events, int n);

/* NULL: it is no longer kept */
extern WfPlace *wf_timeline_place(const WfPlaces *places, int64 visit);

/*
 * Of long lists tell only of items to which something has happened that a reader looks for, and sum the others up. Returns
 * how many events are left.
 */
extern int wf_timeline_items(WfPlaces *places, WfTold *events, int n);

/* Sort the events by time, and those of the same time as they must have followed on each other. */
extern void wf_timeline_sort(WfPlaces *places, WfTold *events, int n);

#endif
