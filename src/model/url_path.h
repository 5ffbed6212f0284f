/*
 * url_path.h
 *		Paths that may lead elsewhere than they say.
 */
#ifndef WF_URL_PATH_H
#define WF_URL_PATH_H

#include "postgres.h"

/*
 * What is wrong with the path that `text` begins with, as it would be sent: a constant, to follow
 * "it"; NULL if nothing is. Looks no further than to '?' or '#'.
 */
extern const char *wf_url_path_problem(const char *text);

#endif
