/*
 * passed_on.h
 *		Which headers of calls user mappings pass on; what others ask of it is in server.h.
 */
#ifndef WF_PASSED_ON_H
#define WF_PASSED_ON_H

/* Register the syscache callbacks; once per process. */
extern void wf_passed_on_init(void);
/* Make look-ups from now on see what is committed now. */
extern void wf_passed_on_forget(void);

#endif
