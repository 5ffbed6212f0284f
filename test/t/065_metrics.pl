#
# What monitoring is told of servers, due work, write-backs, workers and partitions; by a role that was given pg_monitor and nothing else.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use TokenService;
use WorkflowTest;

my $scene = Scene->new('metrics', conf => "max_prepared_transactions = 2\nautovacuum = off\n");
my $node = $scene->node;

$scene->sql('CREATE ROLE watch LOGIN; GRANT pg_monitor TO watch; CREATE ROLE passerby; GRANT USAGE ON SCHEMA workflow TO passerby');

sub metric { return "SET ROLE watch; SELECT value FROM workflow.metrics WHERE name = '$_[0]' AND labels = '$_[1]'" }
sub shows { my ($name, $labels, $value, $what) = @_; return is_soon($node, 'postgres', metric($name, $labels), $value, $what) }

# ---- servers ----

my $H = '"headers": {' . Scene::HEADERS . '}';
$scene->define('call', qq({"steps": [{"step": "ask", "http": {"server": "partner", "path": "/ok", $H}}]}));
$scene->define('fail', qq({"steps": [{"step": "ask", "http": {"server": "partner", "path": "/flaky", "query": {"fail": "9"}, $H}, "retry": {"max": 2, "delay": "10 ms"}}]}));
is($scene->finish($scene->start('call')), 'completed', 'a request') for 1 .. 5;
is($scene->finish($scene->start('fail')), 'failed', 'three that fail');
shows('requests', '{"server": "partner"}', 8, 'requests');
shows('failures', '{"server": "partner"}', 3, 'failures');
shows('retries', '{"server": "partner"}', 2, 'retries');
shows('in_flight', '{"server": "partner"}', 0, 'nothing under way');
my $served = $scene->sql("SELECT p50 / 1000, p99 / 1000 FROM workflow.servers WHERE server = 'partner'");
is($scene->sql("SET ROLE watch; SELECT (SELECT value FROM workflow.metrics WHERE name = 'latency_seconds' AND labels ->> 'quantile' = '0.5'), (SELECT value FROM workflow.metrics WHERE name = 'latency_seconds' AND labels ->> 'quantile' = '0.99')"),
	$served, 'latency as the view servers has it');
is($scene->sql("SET ROLE watch; SELECT count(*), min(value), max(value), bool_and(grows), max(value) FILTER (WHERE le = '+Inf') FROM (SELECT labels ->> 'le' AS le, value, "
	  . "value >= lag(value, 1, 0) OVER (ORDER BY (labels ->> 'le')::float8) AS grows FROM workflow.metrics WHERE name = 'latency_seconds_bucket' AND labels ->> 'server' = 'partner') b"),
	$scene->sql("SELECT 18, (SELECT min(n) FROM workflow_data.server_latencies() WHERE server = 'partner'), 8, true, 8"), 'and as a histogram');
shows('incidents', '{"process": "fail", "step": "ask"}', 1, 'incidents');
shows('instances', '{"process": "fail", "status": "failed"}', 1, 'instances that have one');
shows('sending', '{"server": "partner", "state": "ok"}', 1, 'a server that is used');

# ---- failures by kind ----

my $tokens = TokenService->start;
sub kinds
{
	return $scene->sql("SET ROLE watch; SELECT string_agg(labels ->> 'kind' || ' ' || value, ', ' ORDER BY labels ->> 'kind' COLLATE \"C\") FROM workflow.metrics "
		  . "WHERE name = 'failures_by_kind' AND labels ->> 'server' = '$_[0]' AND value > 0");
}
is(kinds('partner'), '5xx 3', 'those three');
$scene->server('kinds', $scene->url, "max_response '1000000', breaker 'off'");
$scene->define('kinds', qq({"steps": [{"step": "ask", "http": {"server": "kinds", "url": "\${\$.url}", "timeout": "500 ms", $H}}]}));
for my $case ([ '/drop', 1 ], [ '/hang', 2 ], [ '/status/429', 3 ], [ '/status/404', 4 ], [ '/status/400', 1 ], [ '/status/503', 1 ], [ '/redirect?to=/ok', 2 ], [ '/huge?bytes=2000000', 1 ], [ '/status/600', 1 ], [ '/ok', 3 ])
{
	my ($path, $n) = @$case;
	is(($scene->run('kinds', { url => $scene->url($path) }))[1], $path eq '/ok' ? 'completed' : 'failed', $path) for 1 .. $n;
}
is(kinds('kinds'), '3xx 2, 429 3, 4xx 5, 5xx 1, connect 1, other 1, reply 1, timeout 2', 'each kind is counted');
shows('failures', '{"server": "kinds"}', 16, 'together they are what has failed');
shows('requests', '{"server": "kinds"}', 19, '... of what was sent');
$scene->sql("CREATE SERVER private FOREIGN DATA WRAPPER workflow_http OPTIONS (url '" . $scene->url . "')");
$scene->define('private', '{"steps": [{"step": "ask", "http": {"server": "private", "path": "/ok"}}]}');
is(($scene->run('private'))[1], 'failed', 'an address that is refused');
is(kinds('private'), 'request 1', '... is another kind');
$scene->server('closed', 'http://127.0.0.1:1', "breaker_min_calls '1', breaker_open '200 ms'");
$scene->define('closed', '{"steps": [{"step": "ask", "http": {"server": "closed", "path": "/ok"}, "timeout": "1 s"}]}');
is(($scene->run('closed'))[1], 'failed', 'no connection');
is(kinds('closed'), 'connect 1', '... is one');
shows('breaker_trips', '{"server": "closed"}', 1, '... and trips the breaker');
is(($scene->run('closed'))[1], 'failed', 'a probe that fails');
shows('breaker_trips', '{"server": "closed"}', 1, '... does not trip it once more');
shows('breaker_trips', '{"server": "partner"}', 0, 'another one has not tripped');

# tokens are asked for elsewhere
$scene->server('api', $tokens->url);
$scene->sql("CREATE USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (auth 'oauth2', token_url '" . $tokens->url('/token') . "', client_id 'c', client_secret 's')");
$scene->define('api', '{"steps": [{"step": "ask", "http": {"server": "api", "path": "/api"}}]}');
is(($scene->run('api'))[1], 'completed', 'with a token') for 1 .. 3;
shows('requests', '{"server": "api"}', 3, 'requests');
shows('token_requests', '{"server": "api"}', 1, 'and one for the token');
shows('token_failures', '{"server": "api"}', 0, 'which has come');
$tokens->set(answer => '400 {"error": "invalid_client"}');
$scene->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (ADD scope 'other')");
is(($scene->run('api'))[1], 'failed', 'without one');
is(kinds('api'), 'auth 1', 'is a kind of its own');
shows('failures', '{"server": "api"}', 0, 'no request has failed, since none was sent');
shows('requests', '{"server": "api"}', 3, '... indeed');
is($scene->server_row('api', 'token_requests, token_failures'), '2|1', 'as in the view servers');
$tokens->set;
$scene->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (SET scope 'third')");
is(($scene->run('api'))[1], 'completed', 'with another token');
$tokens->set(revoke => 99);
$scene->run('api');
is(kinds('api'), '4xx 2, auth 1', 'a token that is rejected is a request that has failed');
$scene->sql("DROP USER MAPPING FOR CURRENT_USER SERVER api; CREATE USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (auth 'bearer', token_file '/nonexistent/token')");
is(($scene->run('api'))[1], 'failed', 'a secret that cannot be read');
like(kinds('api'), qr/auth 2/, '... is of the same kind');

$scene->server('shut', $scene->url, "max_in_flight '0'");
$scene->define('shut', qq({"steps": [{"step": "ask", "http": {"server": "shut", "path": "/ok", $H}}]}));
my @shut = map { $scene->start('shut') } 1 .. 3;
shows('sending', '{"server": "shut", "state": "paused"}', 0, 'a paused one');
shows('parked', '{"server": "shut"}', 3, 'what is held back');
shows('due', '{"work": "http", "server": "shut"}', 3, 'is due');
shows('visits', '{"process": "shut", "state": "calling"}', 3, 'as visits');
is($scene->sql("SET ROLE watch; SELECT value > 0 FROM workflow.metrics WHERE name = 'late_seconds' AND labels = '{\"work\": \"http\", \"server\": \"shut\"}'"), 't', 'late');
$scene->sql('ALTER SERVER shut RENAME TO other');
shows('parked', '{"server": "shut"}', 3, 'and without a server likewise');
is($scene->sql("SET ROLE passerby; SELECT count(*) FROM workflow.metrics"), 0, 'who may use no server and view no process sees nothing');
$scene->sql('GRANT USAGE ON FOREIGN SERVER partner TO passerby');
is($scene->sql("SET ROLE passerby; SELECT string_agg(DISTINCT labels ->> 'server', ' ') FROM workflow.metrics"), 'partner', 'who may use one sees that one');
is($scene->sql("SET ROLE passerby; SELECT count(*) FROM workflow.metrics WHERE labels ? 'process'"), 0, '... and no process');
$scene->sql('ALTER SERVER other RENAME TO shut');
$scene->sql("ALTER SERVER shut OPTIONS (SET max_in_flight '2')");
is($scene->finish($_), 'completed', 'it goes on') for @shut;
shows('parked', '{"server": "shut"}', 0, 'nothing is held back any more');

# ---- clocks and executors ----

$scene->define('clock', '{"steps": [{"step": "pause", "wait": {"after": "1 h"}}]}');
$scene->sql('CREATE TABLE gate (x int)');
$scene->define('sql', '{"steps": [{"step": "sleep", "sql": "SELECT 1 FROM gate"}]}');
$scene->sql("SELECT workflow.start('clock')");
shows('due', '{"work": "clock"}', 0, 'a clock that is not due');
shows('waiting', '{"process": "clock", "step": "pause"}', 1, 'waits');
my $gate = $node->background_psql('postgres');
$gate->query_safe('BEGIN; LOCK TABLE gate');
my $held = $scene->start('sql');
shows('due', '{"work": "executor", "process": "sql"}', 1, 'what an executor is at is due');
$gate->query_safe('COMMIT');
$gate->quit;
is($scene->finish($held), 'completed', 'it is done');
is_soon($node, 'postgres', "SET ROLE watch; SELECT coalesce(sum(value), 0) FROM workflow.metrics WHERE name = 'due' AND labels ->> 'work' = 'executor'", 0, '... and due no more');

# ---- write-backs ----

$scene->sql(q[
	SELECT workflow.define('row', '{"steps": [{"step": "one", "wait": true}]}');
	CREATE TABLE rows (id int PRIMARY KEY, state text);
	SELECT workflow.attach('rows', 'row', status_column => 'state');
	INSERT INTO rows VALUES (1), (2);
	CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
	CREATE TRIGGER keep BEFORE UPDATE ON rows FOR EACH ROW EXECUTE FUNCTION keep();
	SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'row']);
shows('write_backs', '{"process": "row", "relation": "public.rows"}', 2, 'what is owed to rows');

# ---- workers and partitions ----

shows('workers', '{"kind": "dispatcher", "state": "running"}', 1, 'the dispatcher');
shows('workers', '{"kind": "launcher", "state": "running"}', 1, 'the launcher');
shows('partition_weeks_ahead', "{\"relation\": \"$_\"}", 4, "partitions of $_") for qw(instance_history visit_history attempt_history);
shows('upkeep_failing', '{}', 0, 'upkeep is well');
shows('strays', '{"relation": "visit_history"}', 0, 'nothing strays');

# ---- counted as it is, whatever came between ----

my $seen = 'SELECT value FROM workflow.metrics WHERE name = \'visits\' AND labels = \'{"process": "row", "state": "waiting"}\'';
is($scene->sql($seen), '', 'none waits');
$scene->sql("BEGIN; SELECT workflow.start('row') FROM generate_series(1, 7); PREPARE TRANSACTION 'later'");
is($scene->sql($seen), '', 'what is prepared is not there yet');
crash($node);
start_again($node);
is($scene->sql($seen), '', 'not after a crash either');
$scene->sql("COMMIT PREPARED 'later'");
is($scene->sql($seen), 7, 'then it is');
$scene->sql("BEGIN; SELECT workflow.start('row'); SAVEPOINT a; SELECT workflow.start('row'); ROLLBACK TO a; COMMIT");
is($scene->sql($seen), 8, 'what was rolled back is not counted');

$node->stop;
done_testing();
