#
# Visits that wait too long: workflow.warn_waiting and "warn_waiting", in the log and as notifications, also for what waits already.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Scene;
use Test::More;
use Time::HiRes qw(sleep);
use WorkflowTest;

my $scene = Scene->new('waiting_long', conf => "workflow.warn_waiting = 3\n");

# ---- once for each wait ----

my $session = $scene->node->background_psql('postgres');
$session->query_safe('LISTEN workflow');
$scene->define('slow', '{"steps": [{"step": "work", "wait": true}, {"step": "more", "wait": true}]}');
$scene->define('planned', '{"steps": [{"step": "rest", "wait": {"after": "1 hour"}}]}');
$scene->start('planned');
my $log = -s $scene->node->logfile;
my ($slow, $fast) = map { $scene->start('slow') } 1, 2;
my $slow_sn = $scene->serial($slow);
$scene->sql("SELECT workflow.complete('" . $scene->serial($_) . "')") for $fast, $fast;
wait_until(sub { log_has($scene->node, qr/LOG:\s+workflow: 1 visit has been waiting for long at step "work" of process "slow", since .*: \Q$slow_sn\E/, $log) }, 'the log tells of a visit that waits too long');
sleep 3.3;
is(count_in_log($scene->node, qr/been waiting for long/, $log), 1, 'once, and of no other');
my $told = $session->query('SELECT 1');
my @told = grep { /waiting_long/ } $told =~ /Asynchronous notification "workflow" with payload "(\{.*?\})" received/g;
is(scalar @told, 1, 'so does a notification');
my $payload = JSON::PP::decode_json($told[0] // '{}');
my $since = delete $payload->{since};
is_deeply($payload, { event => 'waiting_long', process => 'slow', step => 'work', count => 1, serial_numbers => [$slow_sn] }, 'which says what waits');
is($scene->sql("SELECT since = '$since' FROM workflow.waiting WHERE instance = $slow"), 't', 'and since when');
$scene->sql("SELECT workflow.complete('$slow_sn')");
wait_until(sub { count_in_log($scene->node, qr/been waiting for long/, $log) == 2 }, 'the next wait is warned of anew');
$session->quit;

# ---- another value counts for those that wait already ----

sub set_warn_waiting
{
	$scene->node->append_conf('postgresql.conf', "workflow.warn_waiting = $_[0]");
	$scene->node->reload;
	is_soon($scene->node, 'postgres', 'SHOW workflow.warn_waiting', $_[1], "set to $_[0]");
}
my $warnings = q[SELECT count(*) FILTER (WHERE warn_at IS NOT NULL), count(*) FILTER (WHERE next_timer IS DISTINCT FROM least(deadline, heartbeat_deadline, next_handler, warn_at)) FROM workflow_data.visit];
set_warn_waiting(0, '0');
is_soon($scene->node, 'postgres', $warnings, '0|0', 'of those that wait nobody is warned any more');
$scene->define('many', '{"steps": [{"step": "wait", "wait": true, "timeout": "1 day", "heartbeat": "1 hour"}]}');
$scene->sql("SELECT count(workflow.start('many')) FROM generate_series(1, 2500)");
is($scene->sql($warnings), '0|0', 'nor of those that begin to');
set_warn_waiting(3600, '1h');
my $waits = $scene->sql("SELECT count(*) FROM workflow.waiting WHERE waits_for = 'callback'");
is_soon($scene->node, 'postgres', $warnings, "$waits|0", 'set anew, it counts for all that wait for the outside');
is($scene->sql("SELECT count(*) FROM workflow_data.visit WHERE warn_at <> waiting_since + interval '1 hour'"), 0, 'from the beginning of their wait');
$log = -s $scene->node->logfile;
my $old = $scene->start('slow');
my $old_sn = $scene->serial($old);
sleep 1.1;
set_warn_waiting(1, '1s');
wait_until(sub { log_has($scene->node, qr/waiting for long at step "\w+" of process "slow".*\Q$old_sn\E/, $log) }, 'one that has waited longer already is told of');
is_soon($scene->node, 'postgres', $warnings, '0|0', 'so are all the others');
cmp_ok(count_in_log($scene->node, qr/been waiting for long/, $log), '<', 20, '... together');
ok(!log_has($scene->node, qr/waiting for long at step "rest"/), 'those that wait for a clock are not');
$scene->define('own', '{"warn_waiting": "2 hours", "steps": [{"step": "late", "wait": true}, {"step": "never", "wait": true, "warn_waiting": "0"}]}');
my @own = map { $scene->start('own') } 1, 2;
$scene->sql("SELECT workflow.move('@{[$scene->serial($own[1])]}', 'never')");
set_warn_waiting(7200, '2h');
$waits = $scene->sql("SELECT count(*) FROM workflow.waiting WHERE waits_for = 'callback'");
is_soon($scene->node, 'postgres', $warnings, $waits - 1 . '|0', 'a step that says never is left out');
set_warn_waiting(0, '0');
is_soon($scene->node, 'postgres', $warnings, '1|0', 'none, but');
is($scene->sql("SELECT warn_at - waiting_since FROM workflow_data.visit WHERE instance = $own[0]"), '02:00:00', '... one that has an interval of its own, which it keeps');
$scene->sql("SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE process IN ('own', 'many', 'slow', 'planned') AND ended_at IS NULL");

ok(!log_has($scene->node, qr/PANIC|was terminated by signal|exited with exit code/), 'no worker has died of it');
$scene->node->stop;
done_testing();
