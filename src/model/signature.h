/*
 * signature.h
 *		How a webhook's sender signs what he sends: read from a definition, and checked.
 */
#ifndef WF_SIGNATURE_H
#define WF_SIGNATURE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "model/reader.h"

struct WfSignature
{
	const char *server;		  /* whose user mapping has the secret */
	const char *header;		  /* that carries the signature */
	bool		is_list;	  /* it is t=…,v1=…,v1=…, as Stripe's */
	bool		sha512;		  /* else SHA-256 */
	bool		base64;		  /* else hexadecimal */
	const char *prefix;		  /* of the signature; may be empty */
	const char *timestamp;	  /* header with the time of signing; NULL: none, or it is in the list */
	const char *content;	  /* what is signed, with WF_SIGNED_BODY, and WF_SIGNED_TIME if there is a time */
	int64		tolerance_ms; /* how far the time may be off; 0: there is none */
};

#define WF_SIGNED_TIME "{timestamp}"
#define WF_SIGNED_BODY "{body}"

/* Read `signature`; the target is a const WfSignature *. Of a step, the server is that of its "http" unless it is given. */
extern void wf_read_signature(WfReader *reader, const WfJson *node, void *target);
/* Read the name of a header of what comes in; the target is a const char *. */
extern void wf_read_header_name(WfReader *reader, const WfJson *node, void *target);

extern const WfJsonShape wf_signature_shape, wf_header_shape;

/* A request as it came. */
typedef struct WfRawRequest
{
	const char *body; /* ends with a NUL beyond its length; may hold others */
	int			len;
	Jsonb	   *headers; /* an object {"name": "value"}, names in any case; NULL: none */
} WfRawRequest;

/*
 * Is the request signed with the secret, and lately? Returns NULL, or what is wrong, as a sentence that holds nothing of
 * the secret.
 */
extern const char *wf_signature_problem(const WfSignature *signature, const char *secret, const WfRawRequest *request,
										TimestampTz now);

/*
 * The value of the header, palloc'd. NULL: there is none; or there are several, or it is no string: then *problem is a
 * sentence that says so.
 */
extern char *wf_request_header(const WfRawRequest *request, const char *name, const char **problem);

/* Are the two of the same length equal? It takes the same time wherever they differ. */
extern bool wf_equal_in_constant_time(const char *a, const char *b, size_t len);

#endif
