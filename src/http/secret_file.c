/*
 * secret_file.c
 *		Secrets that options of user mappings name by file.
 *
 * Whoever names a file has the right to read it (validator.c). It is read anew at each use, so that
 * a secret can be replaced without a statement.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/secret_file.h"
#include "storage/fd.h"

#define MAX_SIZE 65536

/* Read until the end, or one byte more than is allowed. Returns how many bytes, or -1 with errno. */
static ssize_t
read_all(int fd, char *text)
{
	ssize_t len = 0;
	ssize_t n;

	do
	{
		n = read(fd, text + len, MAX_SIZE + 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		len += n;
	} while (n != 0 && len <= MAX_SIZE);
	return len;
}

static char *
read_open(int fd, const char **problem)
{
	struct stat status;
	char		text[MAX_SIZE + 2]; /* no palloc, which many requests of a turn would not give back before its end */
	char	   *secret;
	ssize_t		len;

	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
	{
		*problem = "is no regular file";
		return NULL;
	}
	len = read_all(fd, text);
	if (len < 0)
		*problem = psprintf("cannot be read: %s", strerror(errno));
	else if (len > MAX_SIZE)
		*problem = "is larger than 64 kB";
	else if (memchr(text, '\0', len) != NULL)
		*problem = "has a NUL byte";
	if (*problem != NULL)
		return NULL;
	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (len > 0 && text[len - 1] == '\r')
		len--;
	if (len == 0)
	{
		/* as one is while it is written anew: no secret, and nothing to be sent */
		*problem = "is empty";
		return NULL;
	}
	secret = pnstrdup(text, len);
	explicit_bzero(text, sizeof(text));
	return secret;
}

char *
wf_secret_file_read(const char *path, const char **problem)
{
	/* a pipe, which nobody may be writing to, must not be waited for */
	int	  fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	char *text;

	*problem = NULL;
	if (fd < 0)
	{
		*problem = psprintf("cannot be opened: %s", strerror(errno));
		return NULL;
	}
	text = read_open(fd, problem);
	(void) CloseTransientFile(fd);
	return text;
}
