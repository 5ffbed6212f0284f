#
# Settings that matter at a start: workflow.start_paused, and what is said where the library is not preloaded.
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

my $node = new_server('settings');
my $partner = Partner->start;
add_http_server($node, $partner);
$node->safe_psql(
	'postgres', q[
	CREATE TABLE effect (sn text);
	SELECT workflow.define('call', '{"steps": [
		{"step": "stand", "wait": true},
		{"step": "call", "http": {"server": "partner", "path": "/echo"}},
		{"step": "note", "sql": "INSERT INTO effect VALUES (visit.serial_number)"}]}');
	SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"after": "${$.after}"}}]}');
	SELECT workflow.start('call') FROM generate_series(1, 3)]);
sub sql { return $node->safe_psql('postgres', shift) }
sub complete_one
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(sql('SELECT workflow.complete(serial_number) FROM workflow.waiting ORDER BY serial_number LIMIT 1'), 't', shift);
}
my $done = "SELECT (SELECT count(*) FROM effect), (SELECT count(*) FROM workflow.instances WHERE status = 'completed')";

# ---- started paused ----

my $offset = -s $node->logfile;
$node->append_conf('postgresql.conf', "workflow.start_paused = on\n");
$node->restart;
wait_for_workers($node, 'postgres');
wait_until(sub { log_has($node, qr/LOG:  workflow sends nothing in this database: workflow.start_paused is on.*\n.*SELECT workflow.adopt/, $offset) }, 'the log says that it is paused, and what to do');
is($node->safe_psql('postgres', "SELECT state FROM workflow.workers WHERE kind = 'dispatcher'"), 'paused: workflow.start_paused', '... and so does the view workers');
complete_one('clients are served');
sql("SELECT workflow.start('clock', '{\"after\": \"10 ms\"}')");
stays(1, sub { scalar(() = $partner->requests) . ' ' . sql($done) }, '0 0|0', 'but nothing is sent, and no clock goes off');
is(sql('SELECT workflow.adopt()'), 4, 'adopted');
is_soon($node, 'postgres', $done, '1|2', 'it begins');

# a dispatcher that is started again in the same server does not stop again
my $dispatcher = wait_for_workers($node, 'postgres');
sql("SELECT pg_terminate_backend($dispatcher)");
wait_until(sub { my $pid = worker_pid($node, 'dispatcher', 'postgres'); $pid && $pid != $dispatcher }, 'another dispatcher');
complete_one('complete');
is_soon($node, 'postgres', $done, '2|3', 'goes on');

# after the next start it is paused again; a reload without the setting lets it begin
$node->restart;
wait_for_workers($node, 'postgres');
complete_one('started again: clients are served');
stays(1, sub { sql($done) }, '2|3', 'and nothing is done');
$node->append_conf('postgresql.conf', "workflow.start_paused = off\n");
$node->reload;
is_soon($node, 'postgres', $done, '3|4', 'until the setting is off');
$node->append_conf('postgresql.conf', "workflow.start_paused = on\n");
$node->reload;
sql("SELECT workflow.start('clock', '{\"after\": \"10 ms\"}')");
is_soon($node, 'postgres', $done, '3|5', 'what runs is not stopped by it');

# ---- settings that are wrong ----

for (
	[ "workflow.retention = 'for ever'", qr/no interval/ ],
	[ "workflow.retention = '300000 years'", qr/must not be longer than 1000 years/ ],
	[ "workflow.retention = '1001 years -1 day'", qr/must not be/ ],
	[ "workflow.retention = '1000000000 days'", qr/must not be longer than 1000 years/ ],
	[ "workflow.executors = 0", qr/outside the valid range/ ],
	[ "workflow.no_such_thing = 1", qr/unrecognized configuration parameter|invalid configuration parameter/ ])
{
	my ($line, $expected) = @$_;
	my ($name, $value) = split / = /, $line;
	my (undef, undef, $stderr) = $node->psql('postgres', "ALTER SYSTEM SET $name = $value");
	like($stderr, $expected, $line);
}
sql("ALTER SYSTEM SET workflow.retention = '1000 years'; ALTER SYSTEM RESET workflow.retention");
is(sql("SELECT count(*) FROM pg_settings WHERE name LIKE 'workflow.%' AND (short_desc IS NULL OR short_desc = '')"), 0, 'each setting is described');

# ---- not preloaded ----

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
for my $call ("SELECT workflow.start('call')", "SELECT workflow.complete('1_1')", "SELECT workflow.define('a', '{}')", 'SELECT workflow.adopt()',
	'SELECT count(*) FROM workflow.processes', 'CALL workflow.wait_for(1)')
{
	my ($status, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$call");
	like($stderr, qr/55000.*must be loaded via "shared_preload_libraries".*HINT:  Add workflow to shared_preload_libraries/s, "not preloaded: $call says what to do");
}
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'it can be dumped without');
sql('CREATE DATABASE other');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('other'), $dump ], 'and restored');
$node->safe_psql('other', 'DROP EXTENSION workflow CASCADE');
{
	my (undef, $stdout, $stderr) = $node->psql('other', 'CREATE EXTENSION workflow; SELECT count(*) FROM pg_extension');
	is($stdout, 2, 'CREATE EXTENSION works');
	like($stderr, qr/WARNING:  the library of the extension workflow is not loaded/, 'and says that it is of no use so');
}
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'workflow%'"), 0, 'no worker runs');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'workflow'\nworkflow.start_paused = off\n");
$node->restart;
is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher'", 2, 'preloaded again: they are back');

$node->stop;
done_testing();
