#
# What is stuck, and why: the view visits says what each visit waits for, what failed last, and when it is taken up again.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils qw(slurp_file);
use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('stuck', conf => "workflow.executors = 1\nworkflow.spare_executors = 0\nworkflow.max_connections_http = 6\n");
my $node = $scene->node;
my $H = '"headers": {' . Scene::HEADERS . '}';

sub is_blocked
{
	my ($instance, $by, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_soon($node, 'postgres', blocked($instance), $by, $name);
}

# ---- nothing ----

$scene->define('wait', '{"steps": [{"step": "stand", "wait": true, "timeout": "1 day"}, {"step": "clock", "wait": {"after": "1 hour"}}]}');
my $wait = $scene->start('wait');
is($scene->sql("SELECT blocked_by IS NULL, due_at IS NULL, error IS NULL FROM workflow.visits WHERE instance = $wait"), 't|t|t', 'what waits for the outside waits for no worker');
$scene->sql("SELECT workflow.complete('" . $scene->serial($wait) . "')");
is($scene->sql("SELECT blocked_by IS NULL, due_at BETWEEN now() + interval '59 min' AND now() + interval '61 min' FROM workflow.visits WHERE instance = $wait"), 't|t',
	'what waits for a clock says when that strikes');

# ---- suspended ----

$scene->sql("SELECT workflow.suspend($wait)");
is($scene->sql(blocked($wait)), 'suspended', 'of a suspended instance');
$scene->sql("SELECT workflow.resume($wait)");
is($scene->sql(blocked($wait)), '', '... until it is resumed');

# ---- servers ----

$scene->server('small', $scene->url(''), "max_in_flight '1'");
$scene->define('call', qq({"steps": [{"step": "call", "http": {"server": "small", "path": "/delay", "query": {"s": "\${\$.s}"}, $H}}]}));
my @calls = map { $scene->start('call', { s => 4 }) } 1 .. 3;
is_soon($node, 'postgres', "SELECT count(*) FILTER (WHERE blocked_by IS NULL), count(*) FILTER (WHERE blocked_by = 'server full') FROM workflow.visits WHERE step = 'call'", '1|2',
	'where one request may be under way, the others wait for its place');
is($scene->sql("SELECT count(*) FROM workflow.visits WHERE step = 'call' AND due_at > now()"), 0, '... as soon as there is one');
$scene->sql("ALTER SERVER small OPTIONS (SET max_in_flight '0')");
is_soon($node, 'postgres', "SELECT count(*) FILTER (WHERE blocked_by IS NULL), count(*) FILTER (WHERE blocked_by = 'server paused') FROM workflow.visits WHERE step = 'call'", '0|2',
	'a server that is paused');
$scene->sql('DROP SERVER small');
is_soon($node, 'postgres', "SELECT DISTINCT blocked_by FROM workflow.visits WHERE step = 'call'", 'server dropped', 'one that is gone');
$scene->server('small', $scene->url(''), "max_in_flight '2'");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE step = 'call'", 0, 'all of it passes');

# the client's places: one owner may not have all
$scene->define('many', qq({"steps": [{"step": "many", "http": {"server": "partner", "path": "/delay", "query": {"s": "5"}, $H}}]}));
$scene->start('many') for 1 .. 8;
is_soon($node, 'postgres', "SELECT count(*) FILTER (WHERE blocked_by IS NULL) BETWEEN 1 AND 6, bool_or(blocked_by = 'connections') FROM workflow.visits WHERE step = 'many'", 't|t', 'when no connection is free');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE step = 'many'", 0, 'that passes');

# ---- a lock ----

# until when somebody has its instance, however busy the machine is
$scene->define('due', '{"steps": [{"step": "clock", "wait": {"after": "2 s"}}, {"step": "done", "wait": true}]}');
$scene->define('late', '{"steps": [{"step": "late", "wait": true, "timeout": "2 s", "catch": [{"on": "TIMED_OUT", "next": "done"}]}, {"step": "done", "wait": true}]}');
my $holder = $node->background_psql('postgres');
for my $process (qw(due late))
{
	$holder->query_safe('BEGIN');
	my $instance = $holder->query_safe("SELECT workflow.start('$process')");
	$holder->query_safe('COMMIT; BEGIN');
	$holder->query_safe("SELECT workflow.set_data($instance, '{}')");
	is_blocked($instance, 'lock', "$process: while somebody holds its instance");
	my $reader = $node->background_psql('postgres');
	$reader->query_safe("BEGIN; SELECT FROM workflow_data.instance WHERE instance = $instance FOR KEY SHARE");
	is($scene->sql(blocked($instance)), 'lock', '... beside another one');
	$holder->query_safe('COMMIT');
	is_soon($node, 'postgres', "SELECT step, blocked_by IS NULL FROM workflow.visits WHERE instance = $instance", 'done|t', '... until that is over: who reads its key is in nobody\'s way');
	$reader->quit;
}

# the answer has come, and cannot be dealt with
my $held = $scene->start('call', { s => 1 });
$scene->wait_for_requests(1, $held);
$holder->query_safe("BEGIN; SELECT workflow.set_data($held, '{}')");
is_blocked($held, 'lock', 'an answer waits for the lock, too');
$holder->query_safe('COMMIT');
is($scene->finish($held), 'completed', '... until that is over');
$holder->quit;

# ---- executors ----

$scene->define('sql', '{"steps": [{"step": "sleep", "sql": "SELECT pg_sleep(3)"}]}');
my @sql = map { my $i = $scene->start('sql'); sleep 0.1; $i } 1, 2;
is_blocked($sql[1], 'executors', 'when all executors are busy');
is($scene->sql(blocked($sql[0])), '', '... what one of them has under work is not stuck');
is($scene->finish($sql[1]), 'completed', 'that passes');

# a statement that waits for what somebody has locked
$scene->sql('CREATE TABLE locked (i int); INSERT INTO locked VALUES (1)');
$scene->define('locks', '{"steps": [{"step": "locks", "sql": "UPDATE locked SET i = i + 1"}]}');
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; UPDATE locked SET i = 0');
my $locks = $scene->start('locks');
is_blocked($locks, 'lock', 'a statement waits for a lock');
$locker->query_safe('COMMIT');
$locker->quit;
is($scene->finish($locks), 'completed', '... until that is over');

# ---- what failed, and when it is tried again ----

$scene->define('retry', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/status/503", $H}, "retry": {"max": 3, "delay": "10 min"}}]}));
my $retry = $scene->start('retry');
is_soon($node, 'postgres', "SELECT state, attempt, error->>'http_status', due_at BETWEEN now() + interval '9 min' AND now() + interval '10 min', blocked_by IS NULL FROM workflow.visits WHERE instance = $retry",
	'retrying|1|503|t|t', 'a pause before the next attempt has the last error, and when that is');
$scene->define('broken', '{"steps": [{"step": "divide", "sql": "SELECT 1/0"}]}');
my $broken = $scene->start('broken');
is_soon($node, 'postgres', "SELECT state, error->>'sqlstate', due_at IS NULL, blocked_by IS NULL FROM workflow.visits WHERE instance = $broken", 'incident|22012|t|t', 'an incident waits for a person');
$scene->sql(q[CREATE TABLE trouble (); CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$;
	CREATE TRIGGER trouble BEFORE UPDATE ON workflow_data.visit FOR EACH ROW WHEN (OLD.step = 'clock') EXECUTE FUNCTION trouble();
	CREATE TRIGGER trouble2 BEFORE DELETE ON workflow_data.visit FOR EACH ROW WHEN (OLD.step = 'clock') EXECUTE FUNCTION trouble()]);
my $short = $scene->start('due');
is_soon($node, 'postgres', "SELECT blocked_by, error->>'message', due_at > now() - interval '10 s', due_at > (SELECT v.due_at FROM workflow_data.visit v WHERE v.instance = $short) FROM workflow.visits WHERE instance = $short",
	'disk|no room|t|t', 'what lacks something says when it is tried again, and what was said');
$scene->sql('DROP TRIGGER trouble ON workflow_data.visit; DROP TRIGGER trouble2 ON workflow_data.visit');
is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $short", 'done', 'that passes');

# ---- the request ----

$scene->define('shown', qq({"steps": [{"step": "charge", "http": {"server": "partner", "path": "/\${\$.do}/\${\$.how}/17", "query": {"callback": "none"}, "headers": {"X-Instance": "\${\$instance}", "X-Attempt": "\${\$attempt}"},
	"body": {"sn": "\${\$serial_number}", "amount": 12.50}}, "wait": true, "retry": {"max": 1}, "cancel": {"path": "/stop", "headers": {"X-Instance": "\${\$instance}"}, "body": {"stop": true}}}]}));

# as it was received
sub is_as_sent
{
	my ($instance, $n, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $shown = $scene->json("SELECT workflow.request(serial_number) FROM workflow.visits WHERE instance = $instance");
	my $sent = ($scene->wait_for_requests($n, $instance))[$n - 1];
	my %headers = map { lc($_) => $shown->{headers}{$_} } keys %{ $shown->{headers} };
	my $query = join('&', map { "$_=$sent->{query}{$_}" } sort keys %{ $sent->{query} });
	is($shown->{method} . ' ' . $shown->{url}, "$sent->{method} " . $scene->url($sent->{path}) . ($query ? "?$query" : ''), "$name: method and URL");
	is_deeply(\%headers, { map { $_ => $sent->{headers}{$_} } keys %headers }, '... headers');
	is_deeply($shown->{body}, JSON::PP->new->decode($sent->{body}), '... body');
}

my $shown = $scene->start('shown', { do => 'accept', how => 'all' });
$scene->wait_for_state($shown, 'waiting');
is_as_sent($shown, 1, 'what was answered');
$scene->sql("SELECT workflow.cancel($shown)");
is_as_sent($shown, 2, 'a cancel request');
$shown = $scene->start('shown', { do => 'status', how => 404 });
is($scene->finish($shown), 'failed', 'one that fails');
my $request = $scene->sql("SELECT workflow.request(serial_number) FROM workflow.visits WHERE instance = $shown");
$scene->sql("SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE instance = $shown");
is_as_sent($shown, 2, 'an incident, as it is begun anew');
is($scene->finish($shown), 'failed', '... and fails again');
is($scene->sql("SELECT workflow.request(serial_number) FROM workflow.visits WHERE instance = $shown"), $request, '... as was foretold');

# ---- rights ----

$scene->sql("CREATE ROLE stranger; GRANT USAGE ON SCHEMA workflow, workflow_data TO stranger");
$scene->sql("ALTER SERVER small OPTIONS (SET max_in_flight '0')");
my $secret = $scene->start('call', { s => 1 });
is_blocked($secret, 'server paused', 'whoever may see it knows');
my $ask = "SELECT workflow_data.blocked_by(instance, visit, queue, due_at, next_timer) FROM (VALUES (" . join(', ', split(/_/, $scene->serial($secret))) . ", 'http small', now(), now())) v (instance, visit, queue, due_at, next_timer)";
is($scene->sql($ask), 'server paused', '... from the function as well');
is($scene->sql("SET ROLE stranger; $ask"), '', '... and nobody else');

# ---- one that was answered does not wait for its server any more ----

my ($i, $v) = split(/_/, $scene->serial($secret));
$scene->sql("INSERT INTO workflow_data.delivery (instance, visit, kind, queue, due_at) VALUES ($i, $v, 'reply', 'executor 999999', now() + interval '1 hour')");
is($scene->sql(blocked($secret)), '', 'its answer is to be dealt with');
$holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT workflow.set_data($i, '{}')");
is_blocked($secret, 'lock', '... which somebody is in the way of');
$holder->query_safe('COMMIT');
$holder->quit;
$scene->sql("DELETE FROM workflow_data.delivery WHERE instance = $i");

# ---- the query that operators run (docs/stuck.sql) ----

my $query = slurp_file("$FindBin::Bin/../../docs/stuck.sql") =~ s/;\s*\z//r;
sub stuck { return "SELECT string_agg(concat_ws(':', kind, place, n), ' ' ORDER BY kind, place) FROM ($query) q WHERE kind " . $_[0] }

$scene->define('bad', '{"steps": [{"step": "bad", "sql": "SELECT 1 / 0"}]}');
$scene->start('bad') for 1 .. 3;
$scene->define('held', '{"steps": [{"step": "held", "wait": true}]}');
my $suspended = $scene->start('held');
$scene->sql("SELECT workflow.suspend($suspended)");
is_soon($node, 'postgres', stuck("= 'incident' AND place = 'bad, bad'"), 'incident:bad, bad:3', 'docs/stuck.sql finds incidents');
is($scene->sql(stuck("= 'server'")), 'server:small:1', '... the server that is paused');
is($scene->sql(stuck("= 'visit'")), 'visit:call, call:1 visit:held, held:1', '... what waits for it, and what is suspended');
is($scene->sql(stuck("IN ('worker', 'transaction', 'row', 'call', 'wait')")), '', '... and nothing that is not');
$holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT workflow.set_data($suspended, '{}')");
is_soon($node, 'postgres', stuck("= 'transaction'") =~ s/place/regexp_replace(place, '[0-9]+', 'N')/r, "transaction:pid N of " . $scene->sql('SELECT current_user') . ':1', '... a transaction that has an instance for ten seconds');
$holder->query_safe('COMMIT');
$holder->quit;
is($scene->sql("CREATE ROLE looker; GRANT USAGE ON SCHEMA workflow TO looker; SET ROLE looker; " . stuck('IS NOT NULL')), '', '... and shows a role what it may see');

# ---- nobody works ----

$node->append_conf('postgresql.conf', "workflow.start_paused = on\n");
$node->restart;
is_blocked($secret, 'paused', 'workflow.start_paused is on');
is_soon($node, 'postgres', stuck("= 'worker'"), 'worker:dispatcher:1', '... which docs/stuck.sql finds');
$scene->sql('SELECT workflow.adopt()');
is_blocked($secret, 'server paused', '... until workflow.adopt()');

ok(!log_has($node, qr/PANIC|was terminated by signal/), 'no worker has died of it');
$node->stop;
done_testing();
