#
# Workers and the server die in the middle of a fork with a thousand branches, and of the end of a scope with more than that: each
# branch's effect comes once, the join goes on once, all that is in the scope ends, and each service is asked to stop.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('forks', conf => "workflow.executors = 3\nwal_writer_delay = 10s\n");
my $partner = Partner->start;
add_http_server($node, $partner, max_in_flight => 200);
sub sql { return $node->safe_psql('postgres', $_[0]) }

my $branches = 1000;
my $many = 2500;
sql(<<"EOF_SQL");
CREATE TABLE effect (instance bigint, serial_number text, step text);
-- so many effects at most, lest all be done before the test has seen that some are
CREATE TABLE allowed AS SELECT 0 AS n;
CREATE FUNCTION note(instance bigint, serial_number text, step text) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	LOOP
		EXIT WHEN (SELECT n FROM allowed) > (SELECT count(*) FROM effect);
		PERFORM pg_sleep(0.02);
	END LOOP;
	INSERT INTO effect VALUES (instance, serial_number, step);
END \$\$;
-- a loop that lets one token more go with each round
SELECT workflow.define('fork', '{"data": {"n": 0, "joined": 0}, "steps": [
	{"step": "spawn", "set": {"n": "\${\$.n + 1}"}, "next": [{"when": "\$.n < $branches", "next": "spawn"}, "pick"]},
	{"step": "pick", "choose": [{"when": "\$.n % 2 == 0", "next": "call"}, {"next": "run"}]},
	{"step": "call", "http": {"server": "partner", "path": "/status/200", "body": {"sn": "\${\$serial_number}"}}, "next": "note"},
	{"step": "note", "sql": "SELECT note(visit.instance, visit.serial_number, visit.step)", "next": "join"},
	{"step": "run", "sql": "SELECT note(visit.instance, visit.serial_number, visit.step)", "next": "join"},
	{"step": "join", "join": "all", "sql": "SELECT note(visit.instance, visit.serial_number, visit.step)", "save": {"joined": "\${\$.joined + 1}"}}]}');
SELECT workflow.define('scope', '{"data": {"n": 0}, "steps": [
	{"step": "scope", "steps": [
		{"step": "begin", "next": ["stop", "spawn"]},
		{"step": "stop", "wait": true, "end": "scope"},
		{"step": "spawn", "set": {"n": "\${\$.n + 1}"}, "next": [{"when": "\$.n < $many", "next": "spawn"}, "pick"]},
		{"step": "pick", "choose": [{"when": "\$.n % 5 == 0", "next": "call"}, {"next": "stand"}]},
		{"step": "call", "http": {"server": "partner", "path": "/status/202", "body": {"sn": "\${\$serial_number}"}}, "wait": true,
			"cancel": {"path": "/stop", "body": {"sn": "\${\$serial_number}"}, "timeout": "0"}, "next": "too much"},
		{"step": "stand", "wait": true, "next": "too much"},
		{"step": "too much", "sql": "INSERT INTO effect VALUES (visit.instance, visit.serial_number, visit.step)"}],
		"next": "after"},
	{"step": "after", "sql": "INSERT INTO effect VALUES (visit.instance, visit.serial_number, visit.step)"}]}');
EOF_SQL

sub allow
{
	my ($n) = @_;
	wait_until(sub { eval { sql("UPDATE allowed SET n = $n RETURNING true") } }, "$n effects are allowed");
}

# ---- a fork ----

my $instance = sql("SELECT workflow.start('fork')");
my $done = "SELECT count(*) FROM effect WHERE instance = $instance";
my $part = 0;
for my $who ('dispatcher', 'executor', 'server', 'dispatcher', 'server')
{
	$part += 150;
	allow($part + 200);
	grows_to($node, $done, $part, "$part branches are done");
	killed($node, $who);
}
allow(1_000_000);
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $instance", 'completed', 'it comes to its end');
is(sql("SELECT data FROM workflow.instances WHERE instance = $instance"), qq[{"n": $branches, "joined": 1}], 'joined once');
is(sql("SELECT count(*), count(DISTINCT serial_number), count(*) FILTER (WHERE step = 'join') FROM effect WHERE instance = $instance"),
	join('|', $branches + 1, $branches + 1, 1), 'each branch has had its effect once, and so has the join');
is(sql("SELECT count(*) FROM workflow.history WHERE instance = $instance AND outcome <> 'SUCCESS'"), 0, 'nothing has failed');
is(sql("SELECT count(*) FROM (SELECT serial_number FROM effect WHERE instance = $instance EXCEPT SELECT serial_number FROM workflow.history WHERE instance = $instance) x"), 0, 'no effect is without its move');
my $keys = keys_by_serial($partner->requests('/status/200'));
is(scalar(keys %$keys), sql("SELECT count(*) FROM workflow.history WHERE instance = $instance AND step = 'call'"), 'each request was sent');
is(scalar(grep { keys %$_ != 1 } values %$keys), 0, '... under one key');

# ---- the end of a scope ----

for my $who ('dispatcher', 'server')
{
	$instance = sql("SELECT workflow.start('scope')");
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE instance = $instance AND step <> 'scope'", $many + 1, "$who: many visits in a scope, all of which wait");
	my $calls = sql("SELECT count(*) FROM workflow.visits WHERE instance = $instance AND step = 'call'");
	# nobody but this client does anything
	my $dispatcher = wait_for_workers($node, 'postgres');
	kill 'STOP', $dispatcher;
	is(sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $instance AND step = 'stop'"), 't', "$who: the scope ends");
	my $ended = sql("SELECT count(*) FROM workflow.visits WHERE instance = $instance AND state = 'waiting'");
	cmp_ok($ended, '>', $many / 2, "$who: ... not in one transaction");
	if ($who eq 'server')
	{
		# one that stands still would not see that its postmaster has gone
		kill 'STOP', $node->{_pid};
		kill 'KILL', $dispatcher;
		crash($node);
		start_again($node);
	}
	else
	{
		my $offset = -s $node->logfile;
		kill 'KILL', $dispatcher;
		wait_until(sub { log_has($node, qr/all server processes terminated; reinitializing/, $offset) }, "$who: is killed");
	}
	# once more amid the cancel requests
	grows_to($node, "SELECT count(*) FROM workflow.history WHERE instance = $instance AND step = 'call'", 20, "$who: services are asked to stop");
	killed($node, $who);
	is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $instance", 'completed', "$who: it comes to its end");
	is(sql("SELECT outcome, count(*), count(DISTINCT serial_number) FROM workflow.history WHERE instance = $instance AND step IN ('call', 'stand', 'too much') GROUP BY outcome"), "CANCELLED|$many|$many", "$who: all that was in it is cancelled, once each");
	is(sql("SELECT string_agg(step, ' ') FROM effect WHERE instance = $instance"), 'after', "$who: what follows has been done once, and nothing else");
	my $asked = keys_by_serial(grep { $_->{body} =~ /"sn": "${instance}_/ } $partner->requests('/stop'));
	is(scalar(keys %$asked), $calls, "$who: each service was asked to stop");
	is(scalar(grep { keys %$_ != 1 } values %$asked), 0, "$who: ... under one key");
}
is(sql('SELECT count(*) FROM workflow.incidents'), 0, 'no incident');

is(sql('SELECT count(*) FROM workflow.verify()'), 0, 'all rows agree with each other');

$node->stop;
done_testing();
