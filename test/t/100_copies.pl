#
# Copies of a database with living instances: dumped and restored, elsewhere or in the same place, or made from a template.
# They are whole, stay quiet until they are adopted, and their numbers never collide with those of the original.
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

my $node = new_server('original', extension => 0, conf => "max_worker_processes = 24\n");
my $partner = Partner->start;
$node->safe_psql('postgres', 'CREATE DATABASE shop; CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE carol');
add_extension($node, 'shop');
add_http_server($node, $partner, database => 'shop');
$node->safe_psql(
	'shop', q[
	GRANT USAGE ON SCHEMA workflow TO alice, bob, carol;
	GRANT EXECUTE ON FUNCTION workflow.define TO alice;
	GRANT USAGE ON FOREIGN SERVER partner TO alice;
	CREATE USER MAPPING FOR alice SERVER partner OPTIONS (auth 'bearer', token 'alices-token');
	CREATE TABLE effect (sn text, who name DEFAULT current_user, data jsonb);
	GRANT INSERT ON effect TO alice;
	CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, way text, sn text, state text);
	SET ROLE alice;
	SELECT workflow.define('order', '{"steps": [
		{"step": "call", "http": {"server": "partner", "path": "/${$.way}", "body": {"sn": "${$serial_number}"}},
		 "retry": {"max": 3, "delay": "1 h"}},
		{"step": "pack", "wait": true, "save": true},
		{"step": "note", "sql": "INSERT INTO effect (sn, data) VALUES (visit.serial_number, visit.data)"}]}');
	SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"until": "${$.at}"}}]}');
	RESET ROLE;
	SELECT workflow.grant_process('order', 'bob', 'complete');
	SELECT workflow.grant_process('order', 'bob', 'view');
	SELECT workflow.attach('orders', 'order', serial_column => 'sn', status_column => 'state');
	INSERT INTO orders (way) VALUES ('204'), ('204'), ('badjson'), ('drop'), ('hang');
	SELECT workflow.start('clock', jsonb_build_object('at', clock_timestamp() + interval '1 h'));
]);
is_soon($node, 'shop', "SELECT string_agg(state, ' ' ORDER BY state) FROM workflow.visits", 'calling incident retrying waiting waiting waiting', 'instances stand everywhere');
is_soon($node, 'shop', 'SELECT count(sn) FROM orders', 2, 'and their rows tell');
my ($done, $open) = split /\n/, $node->safe_psql('shop', 'SELECT sn FROM orders WHERE sn IS NOT NULL ORDER BY id');
$node->safe_psql('shop', "SELECT workflow.complete('$done', '{\"said\": 1}')");
is_soon($node, 'shop', "SELECT count(*) FROM orders WHERE state = 'completed' AND sn IS NULL", 1, 'one has ended');
$node->safe_psql('shop', "SELECT workflow.complete('$done', '{\"said\": 2}')");
my ($key) = map { keys %$_ } values %{ keys_by_serial($partner->wait_for(1, '/hang')) };

# all there is to see
my $picture = q[
	SELECT 'processes', process, version::text, owner::text, definition::text FROM workflow.processes UNION ALL
	SELECT 'instances', instance::text, status, business_key, data::text FROM workflow.instances UNION ALL
	SELECT 'visits', serial_number, step, state, due_at::text FROM workflow.visits UNION ALL
	SELECT 'waiting', serial_number, step, waits_for, since::text FROM workflow.waiting UNION ALL
	SELECT 'incidents', serial_number, step, outcome, error::text FROM workflow.incidents UNION ALL
	SELECT 'history', serial_number, step, outcome, result::text FROM workflow.history UNION ALL
	SELECT 'late', serial_number, role::text, data::text, NULL FROM workflow.late_callbacks UNION ALL
	SELECT 'orders', id::text, way, sn, state FROM orders
	ORDER BY 1, 2, 3];
my $original = $node->safe_psql('shop', $picture);
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('shop') ], 'pg_dump works with workers running');

# A copy is the same to look at, and quiet.
sub is_quiet_copy
{
	my ($server, $database, $offset) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(sub { log_has($server, qr/WARNING:  workflow sends nothing in database "$database": it is a copy/, $offset) }, "$database: a warning says that it is a copy");
	is_soon($server, $database, "SELECT state FROM workflow.workers WHERE kind = 'dispatcher' AND database = current_database()", 'paused: a copy', '... and so does the view workers');
	is($server->safe_psql($database, "SELECT pid IS NULL, started_at IS NULL, in_flight, handled FROM workflow.workers WHERE kind = 'dispatcher' AND database = current_database()"), 't|t|0|0', '... of which there is no process');
	is(worker_pid($server, 'dispatcher', $database), undef, '... it has given its place up');
	is($server->safe_psql($database, $picture), $original, '... it is whole');
	my $requests = () = $partner->requests;
	$server->safe_psql($database, "INSERT INTO orders (way) VALUES ('204');"
		. "SELECT workflow.start('clock', jsonb_build_object('at', clock_timestamp() + interval '0.1 s'))");
	is($server->safe_psql($database, "SET ROLE bob; SELECT workflow.complete('$open', '{\"said\": \"$database\"}')"), 't', '... complete() works under the same serial number');
	is($server->safe_psql($database, "SELECT step || ' ' || state FROM workflow.visits WHERE instance = split_part('$open', '_', 1)::bigint"), 'note calling', '... up to where a worker is needed');
	is($server->safe_psql($database, "SELECT workflow.complete('$done')"), 'f', '... what had ended has ended');
	my (undef, undef, $stderr) = $server->psql($database, "SET ROLE carol; SELECT workflow.complete('$open')");
	like($stderr, qr/serial number \S+ does not exist/, '... rights are as they were');
	stays(1.5, sub { scalar(() = $partner->requests) . ' ' . $server->safe_psql($database, 'SELECT (SELECT count(*) FROM effect) || \' \' || count(*) FROM workflow.instances WHERE ended_at IS NOT NULL') },
		"$requests 1 1", '... nothing is sent and nothing is run');
}

# After adoption everything goes on, under the old keys.
sub goes_on
{
	my ($server, $database) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $n = () = $partner->requests('/hang');
	is($server->safe_psql($database, 'SELECT workflow.adopt()'), 7, "$database: adopted");
	is_soon($server, $database, "SELECT who, data->>'said' FROM effect WHERE data->>'said' <> '1'", "alice|$database", '... the SQL step is run, as its owner');
	my $request = ($partner->wait_for($n + 1, '/hang'))[-1];
	is($request->{headers}{'idempotency-key'}, $key, '... what was in flight is sent under the same key');
	is($request->{headers}{authorization}, 'Bearer alices-token', '... with the credentials of its owner');
	is_soon($server, $database, "SELECT count(*) FROM workflow.instances WHERE process = 'clock' AND status = 'completed'", 1, '... clocks that have gone off are served');
	# the row of the one that has gone on shows its old number until it is written back
	is_soon($server, $database, "SELECT count(*) FILTER (WHERE sn = '$open'), count(*) FILTER (WHERE sn <> '$open') FROM orders", '0|1', '... rows follow');
	my ($instance, $visit) = split /_/, $server->safe_psql($database, 'SELECT sn FROM orders WHERE sn IS NOT NULL');
	is($node->safe_psql('shop', "SELECT (SELECT last_value FROM workflow_data.instance_seq) < $instance AND (SELECT last_value FROM workflow_data.visit_seq) < $visit"),
		't', '... and its new numbers are beyond those of the original');
	return "${instance}_$visit";
}

# ---- restored beside the original ----

my $offset = -s $node->logfile;
my %new;
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
is_quiet_copy($node, 'restored', $offset);
$new{restored} = goes_on($node, 'restored');
is($node->safe_psql('shop', $picture), $original, 'the original did not notice');

# ---- from a template, whose workers make way for a moment ----

$offset = -s $node->logfile;
$node->safe_psql('postgres', 'CREATE DATABASE cloned TEMPLATE shop');
wait_for_workers($node, 'shop');
wait_until(sub { log_has($node, qr/is a copy/, $offset) }, 'the copy is found out');
is_soon($node, 'postgres', "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher'", 'restored shop', 'those that are none have their workers');
$partner->wait_for(3, '/hang');
is_quiet_copy($node, 'cloned', $offset);
$new{cloned} = goes_on($node, 'cloned');

# ---- in another cluster, where roles have other numbers ----

my $other = new_server('other', extension => 0);
$other->safe_psql('postgres', 'CREATE DATABASE moved; CREATE ROLE carol; CREATE ROLE alice; CREATE ROLE bob');
$other->command_ok([ 'pg_restore', '--exit-on-error', '--jobs=4', '-d', $other->connstr('moved'), $dump ], 'pg_restore in another cluster, in parallel');
is_quiet_copy($other, 'moved', 0);
$new{moved} = goes_on($other, 'moved');
is($other->safe_psql('moved', "SELECT bool_and(owner = 'alice') FROM workflow.processes"), 't', 'owners go by name');
$other->restart;
wait_for_workers($other, 'moved');
is_soon($other, 'moved', "SELECT max(in_flight) FROM workflow.workers WHERE kind = 'dispatcher'", 1, 'it is no copy any more');
$other->stop;

# ---- into the same database again ----

$offset = -s $node->logfile;
my $session = $node->background_psql('shop');
my $sn = $session->query_safe("INSERT INTO orders (way) VALUES ('204') RETURNING sn");
$node->safe_psql('shop', 'DROP EXTENSION workflow CASCADE; DROP SCHEMA workflow; DROP TABLE orders, effect');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('shop'), $dump ], 'restored into the same database');
is_quiet_copy($node, 'shop', $offset);
cmp_ok($session->query_safe("SELECT workflow.start('clock', '{\"at\": \"now\"}')"), '>', 1000000, 'numbers jump in sessions that have seen it before, too');
$session->quit;
is($node->safe_psql('shop', 'SELECT workflow.adopt()'), 8, 'adopted');
is_soon($node, 'shop', "SELECT data->>'said' FROM effect WHERE data->>'said' <> '1'", "shop", 'goes on');

# ---- over what is there, while its workers are at work ----

$offset = -s $node->logfile;
$node->command_ok([ 'pg_restore', '--clean', '--if-exists', '-d', $node->connstr('restored'), $dump ], 'restored over another one');
is_quiet_copy($node, 'restored', $offset);
$new{again} = goes_on($node, 'restored');

# ---- only the schema: nothing lives, so nothing is a copy ----

my $schema = $node->basedir . '/schema';
$node->command_ok([ 'pg_dump', '--schema-only', '-Fc', '-f', $schema, $node->connstr('shop') ], 'the schema alone');
$node->safe_psql('postgres', 'CREATE DATABASE empty');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('empty'), $schema ], 'is restored');
$node->safe_psql('empty', "SELECT workflow.define('clock', '{\"steps\": [{\"step\": \"clock\", \"wait\": {\"after\": \"10 ms\"}}]}'); SELECT workflow.start('clock')");
is_soon($node, 'empty', "SELECT count(*) FROM workflow.instances WHERE status = 'completed'", 1, 'and works at once');

is(scalar(keys %{ { reverse %new } }), 4, 'no two copies have issued the same number');
$node->stop;
done_testing();
