#
# A service is killed while five hundred instances a second start that call it, and comes back: what was under way when it died apart, no
# attempt is spent, others get no slower, all go on within seconds of its return, and none is sent twice. For some seconds; with
# test/check --long for a minute, with the breaker as it is by default.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $LONG = $ENV{WF_LONG};
my $PER_SECOND = 500;
my ($WELL, $DEAD, $AFTER) = $LONG ? (12, 30, 18) : (1.5, 2, 1.5); # seconds
my $BREAKER = $LONG ? "breaker 'on'" : "breaker_open '500 ms'";
my $UNDER_WAY = 20 + 64; # breaker_min_calls and max_in_flight

my $scene = Scene->new('killed');
my $service = Partner->start;
my $H = '"headers": {' . Scene::HEADERS . '}';
my $node = $scene->node;

$scene->server('pay', $service->url, $BREAKER);
$scene->define('pay', qq({"steps": [{"step": "pay", "http": {"server": "pay", "path": "/pay", $H}, "retry": {"max": 3, "delay": "1 s"}}]}));
$scene->define('other', q({"steps": [{"step": "call", "http": {"server": "partner", "path": "/other", "headers": {"X-At": "${$.at}"}}}]}));
$scene->sql(<<'EOF_SQL');
CREATE PROCEDURE keep_starting(seconds numeric, per_second integer) LANGUAGE plpgsql AS $$
DECLARE
	begun timestamptz := clock_timestamp();
BEGIN
	FOR n IN 1 .. seconds * 10 LOOP
		PERFORM workflow.start('pay') FROM generate_series(1, per_second / 10);
		COMMIT;
		PERFORM pg_sleep(greatest(0, extract(epoch FROM begun + n * interval '100 ms' - clock_timestamp())));
	END LOOP;
END $$;
EOF_SQL

# For so many seconds, how long it takes from a start to the request, in ms, at a server that is well: the median.
my $asked = 0;
sub elsewhere
{
	my ($seconds) = @_;
	my $end = time() + $seconds;
	my $n = 0;
	while (time() < $end)
	{
		$scene->sql("SELECT workflow.start('other', jsonb_build_object('at', extract(epoch FROM clock_timestamp())::text))");
		$n++;
		sleep 0.03;
	}
	my @all = $scene->partner->wait_for($asked += $n, '/other');
	return median(map { 1000 * ($_->{time} - $_->{headers}{'x-at'}) } @all[ -$n .. -1 ]);
}

my $starter = $node->background_psql('postgres');
$starter->query_until(qr/begins/, "\\echo begins\nCALL keep_starting(" . ($WELL + $DEAD + $AFTER) . ", $PER_SECOND);\n");
my $before = elsewhere($WELL);
is($scene->server_row('pay', 'state'), 'ok', 'a service that is well');

$service->stop('KILL');
is_soon($node, 'postgres', "SELECT state <> 'ok' FROM workflow.servers WHERE server = 'pay'", 't', 'is killed, and its breaker trips');
my $meanwhile = elsewhere($DEAD);
is($scene->server_row('pay', 'error IS NOT NULL'), 't', 'it stays so, though probes are sent');
my $parked = $scene->server_row('pay', 'parked');
cmp_ok($parked, '>', $DEAD * $PER_SECOND / 3, 'what comes waits');
is($scene->sql("SELECT count(*) FROM workflow.incidents"), 0, 'nothing is an incident');
my ($failed, $most) = split(/\|/, $scene->sql("SELECT count(*) FILTER (WHERE attempt > 0), max(attempt) FROM workflow.visits WHERE process = 'pay'"));
cmp_ok($failed, '<=', $UNDER_WAY, 'attempts have failed that were under way when it died');
is($most, 1, '... one of each');

$service->restart;
my $begin = time();
my $last = $scene->sql("SELECT max(instance) FROM workflow.instances WHERE process = 'pay'");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE process = 'pay' AND instance <= $last", 0, 'back again, all that waited goes on');
my $took = time() - $begin;
cmp_ok($took, '<', $LONG ? 60 : 20, '... within seconds');
my $recovering = elsewhere(1);
$starter->quit;
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.visits", 0, 'and nothing is left');
is($scene->server_row('pay', 'state'), 'ok', 'it is well');

# ---- what became of all of them ----

my $started = $scene->sql("SELECT count(*) FROM workflow.instances WHERE process = 'pay'");
is($started, ($WELL + $DEAD + $AFTER) * $PER_SECOND, 'all were started');
is($scene->sql("SELECT count(*) FROM workflow.instances WHERE process = 'pay' AND status = 'completed'"), $started, '... and are completed');
my %again = map { $_ => 1 } split(/\n/, $scene->sql("SELECT instance FROM workflow.history WHERE process = 'pay' AND attempts > 1"));
cmp_ok(scalar keys %again, '<=', $UNDER_WAY, 'at their first attempt, but for what was under way');
my %sent;
$sent{ $_->{headers}{'x-instance'} }++ for $service->requests('/pay');
is(scalar keys %sent, $started, 'the service has heard of all of them');
is((grep { $sent{$_} > 1 && !$again{$_} } keys %sent), 0, '... and of none twice that was answered');
cmp_ok($meanwhile, '<', 3 * $before + 50, 'another server is called as fast as before');
note(sprintf 'start to request elsewhere: %.1f ms before, %.1f while dead, %.1f afterwards; %d waited, gone after %.1f s; %d attempts failed',
	$before, $meanwhile, $recovering, $parked, $took, $failed);

$node->stop;
done_testing();
