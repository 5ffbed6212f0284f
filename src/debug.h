/*
 * debug.h
 *		What must hold, whatever happens. Tests are built with WF_DEBUG; elsewhere nothing is checked.
 */
#ifndef WF_DEBUG_H
#define WF_DEBUG_H

#ifdef WF_DEBUG
#define WF_ASSERT(condition) \
	do \
	{ \
		if (!(condition)) \
			elog(PANIC, "workflow: %s does not hold", #condition); \
	} while (0)
#else
#define WF_ASSERT(condition) ((void) 0)
#endif

#endif
