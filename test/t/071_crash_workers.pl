#
# Worker processes die or are ended, one at a time: others take over, requests go out again under the same key, SQL effects
# come once.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $node = new_server('workers', conf => "workflow.executors = 2\n");
my $partner = Partner->start;
add_http_server($node, $partner);
$node->safe_psql(
	'postgres', q[
	CREATE TABLE effect (sn text);
	CREATE TABLE gate AS SELECT 'closed' AS gate;
	-- lasts until there is no gate any more, whoever may have died meanwhile
	CREATE FUNCTION work(sn text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO effect VALUES (sn);
		WHILE EXISTS (SELECT FROM gate) LOOP
			PERFORM pg_sleep(0.02);
		END LOOP;
	END $$;
	SELECT workflow.define('call', '{"steps": [
		{"step": "call", "http": {"server": "partner", "path": "/hang", "body": {"sn": "${$serial_number}"}}}]}');
	SELECT workflow.define('work', '{"steps": [{"step": "work", "sql": "SELECT work(visit.serial_number)"}]}');
	SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"after": "${$.after}"}}]}');
]);

sub open_gate
{
	$node->safe_psql('postgres', 'DELETE FROM gate');
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'work' AND ended_at IS NULL", 0, 'all work is done');
	is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT sn) FROM effect'), '6|6', 'each effect came once');
	$node->safe_psql('postgres', "INSERT INTO gate VALUES ('closed'); TRUNCATE effect");
}

sub start_work
{
	$node->safe_psql('postgres', "SELECT workflow.start('work') FROM generate_series(1, 6)");
	is_soon($node, 'postgres', q[SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type = 'workflow executor'],
		2, 'two executors are at work');
}

# Do something to whoever has the ten requests in flight: all go out again, under their keys.
sub sent_again
{
	my ($code, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_soon($node, 'postgres', "SELECT in_flight FROM workflow.workers WHERE kind = 'dispatcher'", 10, 'ten requests are in flight');
	my $before = keys_by_serial($partner->requests('/hang'));
	$code->();
	my $end = time() + 60;
	my ($after, $late);
	do
	{
		sleep 0.05;
		$after = keys_by_serial($partner->requests('/hang'));
		$late = grep { (values %{ $after->{$_} })[0] <= (values %{ $before->{$_} })[0] } keys %$before;
	} while ($late && time() < $end);
	is($late, 0, $name);
	is(join(' ', map { "$_ " . join(',', keys %{ $after->{$_} }) } sort keys %$after),
		join(' ', map { "$_ " . join(',', keys %{ $before->{$_} }) } sort keys %$before), '... under their keys');
}

sub is_replaced
{
	my ($kind, $old, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(sub { my $pid = worker_pid($node, $kind, $kind eq 'launcher' ? undef : 'postgres'); $pid && $pid != $old }, $name);
}

# ---- ended by a superuser: only that one ----

$node->safe_psql('postgres', "SELECT workflow.start('call') FROM generate_series(1, 10)");
is(scalar(keys %{ keys_by_serial($partner->wait_for(10, '/hang')) }), 10, 'ten requests');
my $launcher = worker_pid($node, 'launcher');
my $dispatcher = wait_for_workers($node, 'postgres');
my $session = $node->background_psql('postgres');
sent_again(sub { $node->safe_psql('postgres', "SELECT pg_terminate_backend($dispatcher)") }, 'a dispatcher was ended: they go out again');
is_replaced('dispatcher', $dispatcher, 'there is another one');
is($session->query('SELECT 1'), 1, 'sessions live on');

start_work();
my $executor = worker_pid($node, 'executor', 'postgres');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($executor)");
is_replaced('executor', $executor, 'an executor that was ended is replaced');
open_gate();
is($node->safe_psql('postgres', 'SELECT count(*) FROM workflow.incidents'), 0, 'which is no incident');

# ---- cancelled: the work may not suffer from it ----

start_work();
$dispatcher = wait_for_workers($node, 'postgres');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($dispatcher)");
$node->safe_psql('postgres', "SELECT workflow.start('clock', '{\"after\": \"10 ms\"}')");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'clock' AND status = 'completed'", 1, 'a cancelled dispatcher goes on');
open_gate();

# ---- the launcher ----

# its end is no end of the others, and it comes back
$dispatcher = wait_for_workers($node, 'postgres');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
is_replaced('launcher', $launcher, 'the launcher is started again');
is(worker_pid($node, 'dispatcher', 'postgres'), $dispatcher, 'the dispatcher did not notice');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($dispatcher)");
is_replaced('dispatcher', $dispatcher, 'the new launcher looks after it');

# ---- killed: PostgreSQL starts all its processes anew ----

my $offset = -s $node->logfile;
sent_again(
	sub {
		kill 9, wait_for_workers($node, 'postgres');
		wait_until(sub { log_has($node, qr/all server processes terminated; reinitializing/, $offset) }, 'the dispatcher is killed');
	},
	'its requests go out again');
eval { $session->quit };

start_work();
$offset = -s $node->logfile;
kill 9, worker_pid($node, 'executor', 'postgres');
wait_until(sub { log_has($node, qr/all server processes terminated; reinitializing/, $offset) }, 'an executor is killed');
is_soon($node, 'postgres', q[SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type = 'workflow executor'],
	2, 'the work is taken up again');
open_gate();

# ---- a process that stands still is no end of the others: nobody waits for it ----

$dispatcher = wait_for_workers($node, 'postgres');
kill 'STOP', $dispatcher;
is($node->safe_psql('postgres', "SELECT count(workflow.start('clock', '{\"after\": \"10 ms\"}')) FROM generate_series(1, 3)"), 3, 'clients do not need the dispatcher');
kill 'CONT', $dispatcher;
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'clock' AND status = 'completed'", 4, 'which goes on where it stood');

$node->stop;
done_testing();
