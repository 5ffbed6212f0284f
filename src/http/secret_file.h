/*
 * secret_file.h
 *		Secrets that options of user mappings name by file.
 */
#ifndef WF_SECRET_FILE_H
#define WF_SECRET_FILE_H

#include "postgres.h"

/*
 * Read a file of at most 64 kB, palloc'd, without the end of its last line. Returns NULL with
 * *problem, which names neither the file nor what is in it, to follow "the file of option …".
 * Throws nothing but that there is no memory. Needs a transaction.
 */
extern char *wf_secret_file_read(const char *path, const char **problem);

#endif
