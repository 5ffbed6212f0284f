/*
 * buffer.c
 *		Buffers that callbacks of libcurl can grow: malloc'ed, so that nothing throws.
 */
#include "postgres.h"

#include "http/http_internal.h"

/* A buffer larger than this is freed instead of being kept for the next request. */
#define KEEP_SIZE (64 * 1024)

/*
 * Make room in the buffer for `more` bytes and a terminating 0. Returns false if there is no
 * memory.
 */
bool
wf_buffer_reserve(WfBuffer *buffer, size_t more)
{
	size_t need = buffer->len + more + 1;
	size_t size = Max(buffer->size, 1024);
	char  *data;

	if (need <= buffer->size)
		return true;
	while (size < need)
		size *= 2;
	data = realloc(buffer->data, size);
	if (data == NULL)
		return false;
	buffer->data = data;
	buffer->size = size;
	return true;
}

bool
wf_buffer_append(WfBuffer *buffer, const char *data, size_t len)
{
	if (!wf_buffer_reserve(buffer, len))
		return false;
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	buffer->data[buffer->len] = '\0';
	return true;
}

char *
wf_buffer_put(WfBuffer *buffer, const char *data, size_t len)
{
	char *at = buffer->data + buffer->len;

	memcpy(at, data, len);
	at[len] = '\0';
	buffer->len += len + 1;
	return at;
}

void
wf_buffer_reset(WfBuffer *buffer)
{
	if (buffer->size > KEEP_SIZE)
		wf_buffer_free(buffer);
	buffer->len = 0;
}

void
wf_buffer_free(WfBuffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}
