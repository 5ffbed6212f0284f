#
# Stopping: at once, whatever hangs; and all goes on where it stood after the start.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $HUNG = 400;

my $node = new_server('shutdown', conf => "max_connections = 40\n");
my $partner = Partner->start;
add_http_server($node, $partner, max_in_flight => $HUNG);
$node->safe_psql(
	'postgres', q[
	CREATE TABLE effect (sn text);
	SELECT workflow.define('call', '{"steps": [
		{"step": "call", "http": {"server": "partner", "path": "/hang", "body": {"sn": "${$serial_number}"}}}]}');
	SELECT workflow.define('slow', '{"steps": [{"step": "slow", "sql": "WITH e AS (INSERT INTO effect VALUES (visit.serial_number)) SELECT pg_sleep(600)"}]}');
	SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"until": "${$.at}"}}]}');
	SELECT workflow.define('stand', '{"steps": [{"step": "stand", "wait": true, "timeout": "${$.timeout}"}]}');
]);

sub start_hung
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($n) = @_;
	my @requests = $partner->wait_for($n, '/hang');
	is_soon($node, 'postgres', "SELECT max(in_flight) FROM workflow.workers WHERE kind = 'dispatcher'", $HUNG, "$HUNG requests hang");
	is_soon($node, 'postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'", 't', 'and SQL runs');
	return keys_by_serial(@requests);
}

sub stop_in
{
	my ($seconds, $mode) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $begin = time();
	$node->stop($mode);
	my $took = time() - $begin;
	cmp_ok($took, '<', $seconds, sprintf('%s shutdown takes %.2f s', $mode, $took));
}

$node->safe_psql('postgres', "SELECT workflow.start('call') FROM generate_series(1, $HUNG); SELECT workflow.start('slow') FROM generate_series(1, 6);"
	. "SELECT workflow.start('clock', jsonb_build_object('at', clock_timestamp() + interval '1 s'));"
	. "SELECT workflow.start('clock', jsonb_build_object('at', clock_timestamp() + interval '1 h'));"
	. "SELECT workflow.start('stand', '{\"timeout\": \"1 s\"}'); SELECT workflow.start('stand', '{\"timeout\": \"1 h\"}')");
my $numbers = $node->safe_psql('postgres', "SELECT count(*), max(instance) FROM workflow.instances");
my $first = start_hung($HUNG);

# pg_ctl itself looks every tenth of a second
stop_in(1, 'fast');
ok(log_has($node, qr/database system is shut down/), 'it was an orderly one');
ok(!log_has($node, qr/PANIC|terminated by signal/), 'and nobody died of it');

# clocks that went off meanwhile are served at the start, others stand
sleep 1;
my $begin = time();
$node->start;
is_soon($node, 'postgres', "SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY step) FROM (SELECT step, outcome FROM workflow.history UNION ALL SELECT step, outcome FROM workflow.incidents) x",
	'clock SUCCESS, stand TIMED_OUT', 'what was due in between is done at the start');
is($node->safe_psql('postgres', "SELECT string_agg(step, ', ' ORDER BY step) FROM workflow.waiting"), 'clock, stand', 'what is not stands');
my $second = start_hung(2 * $HUNG);
is_deeply($second, { map { $_ => { map { $_ => 2 } keys %{ $first->{$_} } } } keys %$first }, 'all requests go out again under their keys');
is($node->safe_psql('postgres', 'SELECT count(*) FROM effect'), 0, 'SQL that was interrupted has left nothing');
is($node->safe_psql('postgres', "SELECT count(*), max(instance) FROM workflow.instances"), $numbers, 'nobody is lost');
ok(!log_has($node, qr/is a copy/), 'a restart makes no copy');
my ($count, $last) = split /\|/, $numbers;
cmp_ok($node->safe_psql('postgres', "SELECT workflow.start('stand', '{\"timeout\": \"1 h\"}')"), '<', $last + 100, 'and numbers do not jump');

# a smart one waits for sessions, but workers are none
stop_in(10, 'smart');
$node->start;
start_hung(3 * $HUNG);
stop_in(5, 'immediate');

done_testing();
