#
# A client holds instances in an idle transaction while replies, clocks, deadlines and SQL steps come due for them: others
# are not held up, nobody runs in circles meanwhile, and all goes on when the lock is gone.
#
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

my $node = new_server('locks');
my $partner = Partner->start;
add_http_server($node, $partner);
$node->safe_psql(
	'postgres', q[
	CREATE TABLE effect (sn text);
	SELECT workflow.define('call', '{"steps": [
		{"step": "call", "http": {"server": "partner", "path": "/delay", "query": {"s": "2"}, "body": {"sn": "${$serial_number}"}},
		 "save_reply": {"replied": "${$reply.status}"}}]}');
	SELECT workflow.define('retry', '{"steps": [
		{"step": "retry", "http": {"server": "partner", "path": "/flaky", "body": {"sn": "${$serial_number}"}},
		 "retry": {"max": 2, "delay": "2 s"}}]}');
	SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"after": "2 s"}}]}');
	SELECT workflow.define('deadline', '{"steps": [{"step": "deadline", "wait": true, "timeout": "2 s"}]}');
	-- fails the first time
	CREATE SEQUENCE tries;
	CREATE FUNCTION note(sn text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF nextval('tries') <= 20 THEN
			RAISE 'not yet';
		END IF;
		INSERT INTO effect VALUES (sn);
	END $$;
	SELECT workflow.define('sql', '{"steps": [
		{"step": "note", "sql": "SELECT note(visit.serial_number)", "retry": {"max": 2, "delay": "2 s", "on": ["P0001"]}}]}');
]);
my %ends = (call => 'completed', retry => 'completed', clock => 'completed', deadline => 'failed', sql => 'completed');
my $N = 10;

# ten of each are held, ten of each are free
my $client = $node->background_psql('postgres');
my $start = join(' UNION ALL ', map { "SELECT workflow.start('$_') AS instance FROM generate_series(1, $N)" } sort keys %ends);
$node->safe_psql('postgres', $start);
$client->query_safe("CREATE TEMP TABLE mine AS $start");
my $held = join(',', split(/\n/, $client->query_safe("BEGIN; SELECT instance FROM mine WHERE workflow.set_data(instance, '{\"held\": true}')")));
is(scalar(split /,/, $held), 5 * $N, 'some are held');

for my $process (sort keys %ends)
{
	is_soon($node, 'postgres', "SELECT status, count(*) FROM workflow.instances WHERE process = '$process' AND instance NOT IN ($held) GROUP BY 1",
		"$ends{$process}|$N", "$process: others go on");
}
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery JOIN workflow.instances USING (instance) WHERE process = 'call' AND kind = 'reply'", $N, 'replies are kept');
is($node->safe_psql('postgres', "SELECT count(*) FROM workflow.visits WHERE instance IN ($held)"), 5 * $N, 'those that are held stand');

# Nothing runs in circles: what was skipped is looked at now and then.
my @pids = (wait_for_workers($node, 'postgres'), worker_pid($node, 'launcher'));
my $executor = worker_pid($node, 'executor', 'postgres');
push @pids, $executor if defined $executor;
sleep 2.5; # pauses grow to a second
# an executor that has nothing to do leaves, which is as good
pop @pids if @pids > 2 && !-d "/proc/$executor";
my @before = map { [ switches($_), cpu_seconds($_) ] } @pids;
my $begin = time();
sleep 3;
for my $i (0 .. $#pids)
{
	my $who = (qw(dispatcher launcher executor))[$i];
	next if $who eq 'executor' && !-d "/proc/$executor";
	my $slept = switches($pids[$i]) - $before[$i][0];
	my $cpu = cpu_seconds($pids[$i]) - $before[$i][1];
	cmp_ok($slept, '<', 40 * (time() - $begin), "the $who slept $slept times in 3 s");
	cmp_ok($cpu, '<', 0.1 * (time() - $begin), sprintf('... and worked for %.2f s', $cpu));
}

# a dispatcher that is new does not send again what has been answered
my $requests = () = $partner->requests('/delay');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pids[0])");
wait_until(sub { my $pid = worker_pid($node, 'dispatcher', 'postgres'); $pid && $pid != $pids[0] }, 'a new dispatcher');
stays(1, sub { scalar(() = $partner->requests('/delay')) }, $requests, 'sends nothing again');

# the end of the lock is heard of
$begin = time();
$client->query_safe('COMMIT');
for my $process (sort keys %ends)
{
	is_soon($node, 'postgres', "SELECT status, count(*) FROM workflow.instances WHERE process = '$process' AND instance IN ($held) GROUP BY 1",
		"$ends{$process}|$N", "$process: goes on when the lock is gone");
}
my $took = time() - $begin;
cmp_ok($took, '<', 20, sprintf('all within %.2f s', $took)); # some have to wait for their second attempt
is($node->safe_psql('postgres', "SELECT count(*) FROM workflow.instances WHERE instance IN ($held) AND NOT data ? 'held'"), 0, 'nothing that was set is lost');
is($node->safe_psql('postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'call' AND data->>'replied' = '200'"), 2 * $N, 'no reply either');
is(scalar(() = $partner->requests('/delay')), 2 * $N, 'no request was sent twice');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT sn) FROM effect'), 2 * $N . '|' . 2 * $N, 'each SQL step was done once');
is($node->safe_psql('postgres', "SELECT count(*) FROM workflow_data.delivery WHERE kind = 'reply'"), 0, 'nothing is left over');

# ---- locks that go with a savepoint, a rollback, a lost connection ----

my %release = (
	'ROLLBACK TO SAVEPOINT' => [ 'SAVEPOINT s', 'ROLLBACK TO s' ],
	ROLLBACK => [ '', 'ROLLBACK' ],
	'the end of the session' => [ '', undef ]);
for my $how (sort keys %release)
{
	my ($before, $after) = @{ $release{$how} };
	my $session = $node->background_psql('postgres');
	my $instance = $session->query_safe("SELECT workflow.start('clock')");
	$session->query_safe("BEGIN; $before; SELECT workflow.set_data($instance, '{}')");
	is_soon($node, 'postgres', "SELECT due_at < clock_timestamp() - interval '0.3 s' FROM workflow.visits WHERE instance = $instance", 't', 'held beyond its time');
	if (defined $after) { $session->query_safe($after) }
	else { $node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'") }
	is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $instance", 'completed', "goes on after $how");
	eval { $session->query('ROLLBACK'); $session->quit };
}

# ---- hundreds that are held, and a clock behind them ----

$node->safe_psql('postgres', q[
	SELECT workflow.define('crowd', '{"steps": [{"step": "stand", "wait": {"after": "100 ms"}}]}');
	SELECT workflow.define('other', '{"steps": [{"step": "stand", "wait": {"after": "500 ms"}}]}');
	SELECT count(workflow.start('crowd')) FROM generate_series(1, 600)]);
$client->query_safe("BEGIN; SELECT workflow.suspend_process('crowd')");
my $other = $node->safe_psql('postgres', "SELECT workflow.start('other')");
is_soon($node, 'postgres', "SELECT outcome FROM workflow.history WHERE instance = $other", 'SUCCESS', 'clocks strike behind hundreds that are locked');
$client->query_safe('ROLLBACK');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'crowd' AND status <> 'completed'", 0, 'and those when they are not');

$client->quit;
$node->stop;
done_testing();
