/*
 * wakeup.c
 *		How long a commit takes to become a request: from COMMIT in one session until the next step's request arrives.
 *
 * What is committed is a complete(), a send_message(), or the start of an instance that waits for a message which is
 * kept for it.
 *
 * One process and one clock: it commits through libpq and is itself the HTTP partner that the following step calls.
 * Between two rounds the system is left idle. Each round is followed by a NOTIFY round trip between two other
 * sessions, the baseline: A notifies B, B on hearing it notifies A.
 *
 * The processes "wakeup" and "wakeup by message" (bench.d/wakeup_setup.sql) wait for a callback or a message, then call
 * this program at 127.0.0.1:PORT.
 *
 * usage: wakeup CONNINFO PORT ROUNDS complete|message|kept
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_PEERS 16
#define MAX_REQUEST 8192
#define WARM_UP 20
#define PAUSE_US 15000
#define GIVE_UP_US 10000000

typedef struct Peer
{
	int			fd; /* -1: free */
	char		buffer[MAX_REQUEST];
	size_t		len;
} Peer;

/* What is done $1 times beforehand, then in each round with an argument of its own. */
typedef struct Mode
{
	const char *name;
	const char *prepare;   /* or NULL */
	const char *arguments; /* a row for each round */
	const char *before;	   /* committed some time before, or NULL */
	const char *before_answer;
	const char *sql; /* whose COMMIT is measured */
	const char *answer;
} Mode;

static const Mode modes[] = {
	{.name = "complete",
	 .prepare = "SELECT count(workflow.start('wakeup')) FROM generate_series(1, $1::int)",
	 .arguments = "SELECT serial_number FROM workflow.waiting WHERE process = 'wakeup' ORDER BY instance LIMIT $1::int",
	 .sql = "SELECT workflow.complete($1)",
	 .answer = "t"},
	{.name = "message",
	 .prepare = "SELECT count(workflow.start('wakeup by message', jsonb_build_object('key', 'sent ' || n)))"
				" FROM generate_series(1, $1::int) n",
	 .arguments =
		 "SELECT key FROM workflow.waiting WHERE process = 'wakeup by message' ORDER BY instance LIMIT $1::int",
	 .sql = "SELECT workflow.send_message('wakeup', $1)",
	 .answer = "delivered"},
	{.name = "kept",
	 .arguments = "SELECT 'kept ' || n FROM generate_series(1, $1::int) n",
	 .before = "SELECT workflow.send_message('wakeup', $1, ttl => '1 hour')",
	 .before_answer = "kept",
	 .sql = "SELECT workflow.start('wakeup by message', jsonb_build_object('key', $1::text)) > 0",
	 .answer = "t"},
};

static int	listener;
static Peer peers[MAX_PEERS];
static double arrived; /* when the first byte of the last request came */

static void
die(const char *what, const char *detail)
{
	fprintf(stderr, "wakeup: %s: %s\n", what, detail);
	exit(1);
}

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static PGconn *
connect_to(const char *conninfo)
{
	PGconn	   *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
		die("cannot connect", PQerrorMessage(conn));
	return conn;
}

static PGresult *
run(PGconn *conn, const char *sql, int nparams, const char *const *params)
{
	PGresult   *res = PQexecParams(conn, sql, nparams, NULL, params, NULL, NULL, 0);

	if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
		die(sql, PQerrorMessage(conn));
	return res;
}

/* A statement with one parameter, which has to give one answer. */
static void
run_for(PGconn *conn, const char *sql, const char *argument, const char *answer)
{
	PGresult *res = run(conn, sql, 1, &argument);

	if (PQntuples(res) != 1 || strcmp(PQgetvalue(res, 0, 0), answer) != 0)
		die(sql, PQntuples(res) != 1 ? "no single row" : PQgetvalue(res, 0, 0));
	PQclear(res);
}

static void
open_listener(int port)
{
	struct sockaddr_in addr = {0};
	int			one = 1;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	addr.sin_family = AF_INET;
	addr.sin_port = htons(port);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *) &addr, sizeof(addr)) != 0 || listen(listener, MAX_PEERS) != 0)
		die("cannot listen", strerror(errno));
	for (int i = 0; i < MAX_PEERS; i++)
		peers[i].fd = -1;
}

static void
accept_peer(void)
{
	int			fd = accept(listener, NULL, NULL);
	int			one = 1;

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (int i = 0; i < MAX_PEERS; i++)
	{
		if (peers[i].fd >= 0)
			continue;
		peers[i].fd = fd;
		peers[i].len = 0;
		return;
	}
	close(fd);
}

/* Bytes that the request in the buffer takes, or 0 while it is not whole. */
static size_t
request_length(Peer *peer)
{
	char	   *head_end;
	char	   *line;
	size_t		body = 0;

	peer->buffer[peer->len] = '\0';
	head_end = strstr(peer->buffer, "\r\n\r\n");
	if (head_end == NULL)
		return 0;
	for (line = peer->buffer; line < head_end; line = strstr(line, "\r\n") + 2)
		if (strncasecmp(line, "content-length:", 15) == 0)
			body = strtoul(line + 15, NULL, 10);
	body += head_end + 4 - peer->buffer;
	return peer->len >= body ? body : 0;
}

static void
serve_peer(Peer *peer)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";
	double		at = now_us();
	ssize_t		n = recv(peer->fd, peer->buffer + peer->len, MAX_REQUEST - 1 - peer->len, 0);
	size_t		whole;

	if (n <= 0)
	{
		close(peer->fd);
		peer->fd = -1;
		return;
	}
	if (peer->len == 0)
		arrived = at;
	peer->len += n;
	whole = request_length(peer);
	if (whole == 0)
		return;
	memmove(peer->buffer, peer->buffer + whole, peer->len - whole);
	peer->len -= whole;
	if (send(peer->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
		die("cannot answer", strerror(errno));
}

/* Wait for something on the HTTP side or on up to two sessions, and serve the HTTP side. */
static void
step(PGconn *one, PGconn *two, int timeout_ms)
{
	struct pollfd fds[MAX_PEERS + 3];

	for (int i = 0; i < MAX_PEERS; i++)
		fds[i] = (struct pollfd) {.fd = peers[i].fd, .events = POLLIN};
	fds[MAX_PEERS] = (struct pollfd) {.fd = listener, .events = POLLIN};
	fds[MAX_PEERS + 1] = (struct pollfd) {.fd = one ? PQsocket(one) : -1, .events = POLLIN};
	fds[MAX_PEERS + 2] = (struct pollfd) {.fd = two ? PQsocket(two) : -1, .events = POLLIN};
	if (poll(fds, MAX_PEERS + 3, timeout_ms) <= 0)
		return;
	for (int i = 0; i < MAX_PEERS; i++)
		if (fds[i].revents != 0)
			serve_peer(&peers[i]);
	if (fds[MAX_PEERS].revents != 0)
		accept_peer();
	if (fds[MAX_PEERS + 1].revents != 0 && !PQconsumeInput(one))
		die("connection lost", PQerrorMessage(one));
	if (fds[MAX_PEERS + 2].revents != 0 && !PQconsumeInput(two))
		die("connection lost", PQerrorMessage(two));
}

static void
rest(double us)
{
	double		until = now_us() + us;
	double		left;

	while ((left = until - now_us()) > 0)
		step(NULL, NULL, (int) (left / 1000) + 1);
}

/* True once the command that was sent has ended; its results are dropped. */
static int
finished(PGconn *conn)
{
	while (!PQisBusy(conn))
	{
		PGresult   *res = PQgetResult(conn);

		if (res == NULL)
			return 1;
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			die("command failed", PQerrorMessage(conn));
		PQclear(res);
	}
	return 0;
}

/* From sending COMMIT to the first byte of the request; *committed is when the COMMIT was answered. */
static double
commit_round(PGconn *conn, const Mode *mode, const char *argument, double *committed)
{
	double		start;
	int			done = 0;

	PQclear(run(conn, "BEGIN", 0, NULL));
	run_for(conn, mode->sql, argument, mode->answer);
	arrived = 0;
	start = now_us();
	if (!PQsendQuery(conn, "COMMIT"))
		die("COMMIT", PQerrorMessage(conn));
	while (!done || arrived == 0)
	{
		step(conn, NULL, 100);
		if (!done && (done = finished(conn)))
			*committed = now_us() - start;
		if (now_us() - start > GIVE_UP_US)
			die("no request within 10 s", argument);
	}
	return arrived - start;
}

static int
notified(PGconn *conn)
{
	PGnotify   *notify = PQnotifies(conn);

	if (notify == NULL)
		return 0;
	PQfreemem(notify);
	return 1;
}

static double
notify_round(PGconn *a, PGconn *b)
{
	double		start = now_us();
	double		end = 0;
	int			answered = 0;
	int			done_a = 0;
	int			done_b = 0;

	if (!PQsendQuery(a, "NOTIFY bench_ping"))
		die("NOTIFY", PQerrorMessage(a));
	while (end == 0 || !done_a || !done_b)
	{
		step(a, b, 100);
		done_a = done_a || finished(a);
		if (!answered && notified(b))
		{
			answered = 1;
			if (!PQsendQuery(b, "NOTIFY bench_pong"))
				die("NOTIFY", PQerrorMessage(b));
		}
		done_b = done_b || (answered && finished(b));
		if (end == 0 && notified(a))
			end = now_us();
		if (now_us() - start > GIVE_UP_US)
			die("no notification within 10 s", "bench_pong");
	}
	return end - start;
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
percentile(double *values, int n, double fraction)
{
	qsort(values, n, sizeof(double), compare);
	return values[(int) ((n - 1) * fraction)];
}

static const Mode *
find_mode(const char *name)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	die("unknown mode", name);
	return NULL;
}

static PGresult *
prepare_rounds(PGconn *conn, const Mode *mode, int rounds)
{
	char		n[20];
	const char *params[1] = {n};
	PGresult   *arguments;

	snprintf(n, sizeof(n), "%d", rounds);
	if (mode->prepare != NULL)
		run_for(conn, mode->prepare, n, n);
	arguments = run(conn, mode->arguments, 1, params);
	if (PQntuples(arguments) != rounds)
		die("too few waiting visits", mode->name);
	return arguments;
}

int
main(int argc, char **argv)
{
	int			rounds = argc == 5 ? atoi(argv[3]) : 0;
	const Mode *mode;
	double	   *requests;
	double	   *commits;
	double	   *notifies;
	PGconn	   *conn;
	PGconn	   *a;
	PGconn	   *b;
	PGresult   *arguments;

	if (rounds <= 0)
		die("usage", "wakeup CONNINFO PORT ROUNDS complete|message|kept");
	mode = find_mode(argv[4]);
	open_listener(atoi(argv[2]));
	conn = connect_to(argv[1]);
	a = connect_to(argv[1]);
	b = connect_to(argv[1]);
	PQclear(run(a, "LISTEN bench_pong", 0, NULL));
	PQclear(run(b, "LISTEN bench_ping", 0, NULL));
	requests = calloc(rounds, sizeof(double));
	commits = calloc(rounds, sizeof(double));
	notifies = calloc(rounds, sizeof(double));
	arguments = prepare_rounds(conn, mode, rounds + WARM_UP);

	for (int i = -WARM_UP; i < rounds; i++)
	{
		const char *argument = PQgetvalue(arguments, i + WARM_UP, 0);
		double		committed = 0;
		double		request;
		double		notify;

		if (mode->before != NULL)
			run_for(conn, mode->before, argument, mode->before_answer);
		rest(PAUSE_US);
		request = commit_round(conn, mode, argument, &committed);
		rest(PAUSE_US);
		notify = notify_round(a, b);
		if (i < 0)
			continue;
		requests[i] = request;
		commits[i] = committed;
		notifies[i] = notify;
	}
	printf("request %.0f p90 %.0f commit %.0f notify %.0f p90 %.0f\n", percentile(requests, rounds, 0.5),
		   percentile(requests, rounds, 0.9), percentile(commits, rounds, 0.5), percentile(notifies, rounds, 0.5),
		   percentile(notifies, rounds, 0.9));
	PQclear(arguments);
	PQfinish(conn);
	PQfinish(a);
	PQfinish(b);
	return 0;
}
