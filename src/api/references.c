/*
 * references.c
 *		Do the things to which a definition refers exist, and may its owner use them: servers, URLs,
 *		and what its SQL names?
 *
 * The reader has listed the references, also those of a definition with faults, so that all faults
 * are told together.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/references.h"
#include "engine/user_sql.h"
#include "http/server.h"
#include "model/issue.h"
#include "model/reference.h"
#include "shmem/settings.h"
#include "store/privilege.h"
#include "store/process.h"
#include "store/query.h"

typedef struct Checking
{
	WfIssues	*issues;
	const char	*process; /* that the definition is of; NULL: not known */
	Oid			 owner;
	const char	*search_path;
	const char **servers; /* names of all servers; NULL: not looked up yet */
	int			 nservers;
} Checking;

static WfQuery q_servers = {
	.sql = "SELECT s.srvname::text FROM pg_foreign_server s "
		   "JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw "
		   "WHERE w.fdwname = 'workflow_http' ORDER BY 1",
};

/* ---- servers ---- */

static void
load_server_names(Checking *checking)
{
	uint64 n;

	if (checking->servers != NULL)
		return;
	n = wf_query_run(&q_servers, NULL, NULL);
	checking->servers = palloc(sizeof(char *) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
		checking->servers[i] = wf_result_text(i, 1);
	checking->nservers = (int) n;
}

static void
check_server_reference(Checking *checking, const WfJson *node)
{
	const WfServer *server = wf_server_by_name(node->text);
	const char	   *owner;
	int				nearest;

	if (server != NULL)
	{
		if (wf_server_usable(server, checking->owner))
			return;
		owner = GetUserNameFromId(checking->owner, false);
		wf_json_issue(checking->issues, node,
					  psprintf("GRANT USAGE ON FOREIGN SERVER %s TO %s;", quote_identifier(server->name),
							   quote_identifier(owner)),
					  "role \"%s\", the owner of the process, may not use server \"%s\"", owner, server->name);
		return;
	}
	load_server_names(checking);
	nearest = wf_issue_nearest(node->text, checking->servers, checking->nservers, wf_issue_name_at);
	wf_json_issue(checking->issues, node,
				  nearest >= 0 ? wf_issue_perhaps(checking->servers[nearest], node->text)
							   : psprintf("CREATE SERVER %s FOREIGN DATA WRAPPER workflow_http OPTIONS (url '...');",
										  quote_identifier(wf_issue_clip(node->text))),
				  "there is no server \"%s\" of the wrapper workflow_http", wf_issue_clip(node->text));
}

/* ---- URLs ---- */

/* The position behind scheme, host and port; NULL if there is no scheme. */
static const char *
end_of_origin(const char *url)
{
	const char *host = strstr(url, "://");

	return host != NULL ? host + 3 + strcspn(host + 3, "/?#") : NULL;
}

/*
 * Could a server cover the URL once it is made? Its first `len` bytes are known, and hold the whole
 * origin.
 */
static bool
may_be_covered(Checking *checking, const char *url, int len)
{
	load_server_names(checking);
	for (int i = 0; i < checking->nservers; i++)
	{
		const WfServer *server = wf_server_by_name(checking->servers[i]);

		if (server == NULL || !wf_server_usable(server, checking->owner))
			continue;
		if (wf_server_covering(psprintf("%.*s%s", len, url, end_of_origin(server->url)), checking->owner) != NULL)
			return true;
	}
	return false;
}

static void
check_url_reference(Checking *checking, const WfJson *node)
{
	const char *made = strstr(node->text, "${");
	const char *origin = end_of_origin(node->text);

	if (origin == NULL)
		return;
	if (made == NULL)
	{
		if (wf_server_covering(node->text, checking->owner) != NULL)
			return;
	}
	else if (made <= origin || may_be_covered(checking, node->text, (int) (origin - node->text)))
		return;
	wf_json_issue(
		checking->issues, node,
		"Create a server of the wrapper workflow_http whose url is the beginning of it, and grant USAGE on it to that role.",
		"no server that role \"%s\", the owner of the process, may use covers this URL",
		GetUserNameFromId(checking->owner, false));
}

/* ---- SQL ---- */

/* A hint for ${$.amount} in SQL: how to write it as a parameter. */
static const char *
parameter_hint(const char *template)
{
	const char *path = template + strlen("${");
	int			len;

	if (strncmp(path, "$.", 2) != 0)
		return "There are no templates in SQL: its parameters are visit.data, visit.serial_number and the like.";
	path += 2;
	len = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	return psprintf("There are no templates in SQL: write visit.data->>'%.*s'.", Min(len, NAMEDATALEN), path);
}

static void
check_sql(Checking *checking, const WfJson *node)
{
	char *message = NULL;
	char *hint = NULL;
	const char *template = strstr(node->text, "${");

	if (!wf_user_sql_check(node->text, checking->search_path, checking->owner, &message, &hint))
		wf_json_issue(checking->issues, node, template != NULL ? parameter_hint(template) : hint, "%s",
					  message != NULL ? message : "cannot be analysed");
	else if (template != NULL)
		wf_json_warning(checking->issues, node, parameter_hint(template), "\"${\" stands for itself in SQL");
}

/* ---- processes that are called ---- */

/*
 * Warn of a process that cannot be called as things stand. It is no fault, since processes may call each other, and
 * rights may come later.
 */
static void
warn_of_process(Checking *checking, const WfJson *node)
{
	static const char not_there[] =
		"Define it before an instance comes to this step: until then the call fails, with the code \"call\".";

	const WfJson	*version = wf_json_member(node->parent, "version");
	bool			 pinned = version != NULL && version->type == WF_JSON_NUMBER;
	WfProcessMissing missing = WF_PROCESS_THERE;
	const char		*owner;
	int				 process_id;

	if (checking->process != NULL && strcmp(node->text, checking->process) == 0)
		return;
	process_id = wf_process_find(node->text, pinned ? atoi(version->text) : 0, &missing);
	if (missing == WF_PROCESS_UNKNOWN)
		wf_json_warning(checking->issues, node, not_there, "process \"%s\" does not exist", wf_issue_clip(node->text));
	else if (missing == WF_PROCESS_UNDEFINED)
		wf_json_warning(checking->issues, node, not_there, "process \"%s\" was undefined: it takes no new instances",
						wf_issue_clip(node->text));
	else if (missing == WF_PROCESS_VERSION)
		wf_json_warning(checking->issues, version, "See the view workflow.processes.",
						"process \"%s\" has no version %s", wf_issue_clip(node->text), version->text);
	if (missing == WF_PROCESS_UNKNOWN || wf_privilege_has(process_id, checking->owner, WF_PRIVILEGE_START))
		return;
	owner = GetUserNameFromId(checking->owner, false);
	wf_json_warning(checking->issues, node,
					psprintf("SELECT workflow.grant_process(%s, %s, 'start');", quote_literal_cstr(node->text),
							 quote_literal_cstr(owner)),
					"role \"%s\", the owner of the process, may not start process \"%s\"", owner,
					wf_issue_clip(node->text));
}

/* ---- URLs of webhooks ---- */

/*
 * Warn of a webhook's URL while there is no workflow.callback_base. It is no fault, since the
 * setting may come later.
 */
static void
warn_of_webhook(Checking *checking, const WfJson *node)
{
	static const char *const urls[] = {"$callback_url", "$heartbeat_url"};

	if (wf_setting_callback_base != NULL && *wf_setting_callback_base != '\0')
		return;
	for (int i = 0; i < lengthof(urls); i++)
	{
		if (strstr(node->text, urls[i]) != NULL && strstr(node->text, "??") == NULL)
			wf_json_warning(checking->issues, node, "Set it to the URL under which webhooks reach this database.",
							"%s is an error when it is used, while workflow.callback_base is not set", urls[i]);
	}
}

/*
 * Warn of a signature that nobody can verify as things stand. It is no fault, since the secret may
 * come later.
 */
static void
warn_of_secret(Checking *checking, const WfJson *node)
{
	const WfServer *server = wf_server_by_name(node->text);
	const char	   *problem;
	const char	   *owner;

	if (server == NULL || !wf_server_usable(server, checking->owner) ||
		wf_server_webhook_secret(server, checking->owner, &problem) != NULL)
		return;
	owner = GetUserNameFromId(checking->owner, false);
	wf_json_warning(
		checking->issues, node,
		psprintf("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (webhook_secret '...'), or ALTER it.",
				 quote_identifier(owner), quote_identifier(server->name)),
		"role \"%s\", the owner of the process, has no webhook_secret for server \"%s\" to verify a signature with",
		owner, server->name);
}

/* ---- the list of references ---- */

static void
check_reference(Checking *checking, const WfReference *reference)
{
	switch (reference->kind)
	{
		case WF_REFERENCE_SERVER:
			check_server_reference(checking, reference->node);
			break;
		case WF_REFERENCE_URL:
		case WF_REFERENCE_CANCEL_URL:
			check_url_reference(checking, reference->node);
			break;
		case WF_REFERENCE_SQL:
			check_sql(checking, reference->node);
			break;
		case WF_REFERENCE_PROCESS:
			warn_of_process(checking, reference->node);
			break;
		case WF_REFERENCE_WEBHOOK:
			warn_of_webhook(checking, reference->node);
			break;
		case WF_REFERENCE_SECRET:
			warn_of_secret(checking, reference->node);
			break;
	}
}

void
wf_references_check(const WfReferences *references, const char *process, Oid owner, const char *search_path,
					WfIssues *issues)
{
	Checking checking = {.issues = issues, .process = process, .owner = owner, .search_path = search_path};
	int		 step = -1;

	for (int i = 0; i < references->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		/* the faults of a step are all told, or all counted */
		if (references->items[i].step != step && wf_issues_full(issues))
			break;
		step = references->items[i].step;
		check_reference(&checking, &references->items[i]);
	}
}
