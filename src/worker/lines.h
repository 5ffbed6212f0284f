/*
 * lines.h
 *		The lines in which the rows of a server's queue wait for their turn: one for each process.
 *
 * Rows are read from the queue in order of due time, and put into the line of their process. While more is due than may
 * be sent, owners take turns, and the processes of each; in a line, rows are in the order of the queue. Of each line
 * only the first rows are in memory: behind `end` it has more, which are read again once it is short of them.
 *
 * Lines are memory of the dispatcher, and say only where to look: whether a visit that stands in one still wants its
 * request is found out when that is made. No function here touches the database.
 */
#ifndef WF_LINES_H
#define WF_LINES_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "store/due.h"

/* At most so many rows of a line are in memory. */
#define WF_LINE_LENGTH 256

typedef struct WfLineOwner
{
	Oid	   owner;
	int	   nlines;
	uint64 turn;   /* when one of its lines had its turn last; 0: never */
	uint64 passed; /* number of the look in which it may send no more */
} WfLineOwner;

typedef struct WfLine
{
	int			 process_id;
	WfLineOwner *owner; /* of the process, as of when one of its rows was picked up last */
	uint64		 turn;
	uint64		 passed;
	WfDueKey	*keys; /* of `allocated`, those that wait are n from `first` on */
	int			 first;
	int			 n;
	int			 allocated;
	/* There may be more rows behind `end`, which were read and left out. */
	bool	 more;
	WfDueKey end;
} WfLine;

typedef struct WfLines
{
	WfLine		**lines; /* by process_id */
	int			  n;
	int			  allocated;
	WfLineOwner **owners;
	int			  nowners;
	int			  owners_allocated;
	int			  nkeys; /* rows in all lines */
	int			  nmore; /* lines that have more */
	uint64		  turn;
	uint64		  look;
	/* Of the queue, which pick_up.c reads: is there more that was not read yet, and when is it read if nothing calls for it? */
	bool		behind;
	TimestampTz ahead_at;
} WfLines;

/* These three throw if there is no memory, and have changed nothing then. */
extern WfLines *wf_lines_create(void);
extern WfLine  *wf_lines_make(WfLines *lines, int process_id, Oid owner);
extern void		wf_line_set_owner(WfLines *lines, WfLine *line, Oid owner);

/* The line of a process; NULL: it has none. */
extern WfLine *wf_lines_find(const WfLines *lines, int process_id);

/* Does any row wait? The first one in the order of the queue, or a position before it. */
static inline bool
wf_lines_wait(const WfLines *lines)
{
	return lines->nkeys > 0 || lines->nmore > 0;
}
extern bool wf_lines_first(const WfLines *lines, WfDueKey *key);
/* Forget the rows, but not who had the last turn. */
extern void wf_lines_clear(WfLines *lines);

/* Put a row into its line, unless it is there, or behind what the line has in memory. */
extern void wf_line_put(WfLines *lines, WfLine *line, const WfDueKey *key);

/*
 * To read what a line has behind its end, rows of all processes are read from there on, `start`: each is added to its
 * line by wf_line_add, then wf_lines_passed says how far that was (`last`), and whether there are no more. All lines
 * that have come as far as `start` profit from it.
 */
extern void wf_line_add(WfLines *lines, WfLine *line, const WfDueKey *start, const WfDueKey *key);
extern void wf_lines_passed(WfLines *lines, const WfDueKey *start, const WfDueKey *last, bool all);

/* ---- turns ---- */

/* Begin a look: nobody is passed over. */
extern void wf_lines_begin_look(WfLines *lines);
/* The line whose turn it is, which has rows, or more behind its end; NULL: none. */
extern WfLine *wf_lines_next(const WfLines *lines);
/* Pass over the line, or all of its owner, until the next look. */
extern void wf_line_pass(const WfLines *lines, WfLine *line);
extern void wf_line_pass_owner(const WfLines *lines, WfLine *line);
/* Take the first row of a line, which has some. */
extern WfDueKey wf_line_take(WfLines *lines, WfLine *line);
/* It has had its turn. */
extern void wf_line_served(WfLines *lines, WfLine *line);

#endif
