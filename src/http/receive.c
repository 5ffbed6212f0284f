/*
 * receive.c
 *		The answer as it arrives: callbacks of libcurl that gather its head and its body.
 *
 * They grow malloc'ed buffers, since nothing may throw inside libcurl.
 */
#include "postgres.h"

#include "http/http_internal.h"

/* Has an interim head (100 Continue) just ended, so that another head will follow? */
static bool
is_interim(const WfTransfer *transfer)
{
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return status / 100 == 1;
}

/*
 * CURLOPT_HEADERFUNCTION: receive one line of a head. After an interim head comes the next head,
 * after a body come trailers.
 */
size_t
wf_receive_head(char *data, size_t size, size_t nmemb, void *arg)
{
	WfTransfer *transfer = arg;
	size_t		len = size * nmemb;

	if (transfer->head_done)
	{
		if (!transfer->interim)
			return len; /* a trailer, which is ignored */
		transfer->head_done = false;
		transfer->head.len = 0;
	}
	if (transfer->head.len + len > WF_MAX_HEAD_SIZE)
	{
		transfer->too_large = true;
		return 0;
	}
	if (!wf_buffer_append(&transfer->head, data, len) ||
		(transfer->nwithheld > 0 && !wf_cookies_release_withheld(transfer)))
	{
		transfer->out_of_memory = true;
		return 0;
	}
	if (data[0] == '\r' || data[0] == '\n')
	{
		transfer->head_done = true;
		transfer->interim = is_interim(transfer);
	}
	return len;
}

/* CURLOPT_WRITEFUNCTION: receive a piece of the body. */
size_t
wf_receive_body(char *data, size_t size, size_t nmemb, void *arg)
{
	WfTransfer *transfer = arg;
	size_t		len = size * nmemb;

	if (transfer->body.len + len > transfer->max_response)
	{
		transfer->too_large = true;
		return 0;
	}
	if (!wf_buffer_append(&transfer->body, data, len))
	{
		transfer->out_of_memory = true;
		return 0;
	}
	transfer->http->body_bytes += len;
	return len;
}

/* Drop what has arrived of the body. */
void
wf_receive_drop(WfTransfer *transfer)
{
	transfer->http->body_bytes -= transfer->body.len;
	wf_buffer_reset(&transfer->body);
}

/* Nothing of an answer has been seen. */
void
wf_receive_begin(WfTransfer *transfer)
{
	transfer->head.len = 0;
	wf_receive_drop(transfer);
	transfer->head_done = false;
	transfer->too_large = false;
	transfer->out_of_memory = false;
	transfer->addresses_tried = 0;
	transfer->socket_errno = 0;
	transfer->refused_class = NULL;
	transfer->error[0] = '\0';
}
