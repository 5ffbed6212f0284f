#
# Moves that take long use up their owner's share of the dispatcher's time and no more: clocks of others go off in time, while
# executors do what the dispatcher does not.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

# of what should be late by nothing; generous, since executors take the processors, and other tests too: most are on time, and none
# is much later than that
my $LATE = 0.5;

my $node = new_server('fair_dispatcher', conf => "workflow.executors = 2\nautovacuum = off\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub as { return sql("SET ROLE $_[0]; $_[1]") }

for my $role (qw(alice eve busy))
{
	sql("CREATE ROLE $role; GRANT USAGE ON SCHEMA workflow TO $role; GRANT EXECUTE ON FUNCTION workflow.define TO $role");
}

# Compares each number of a list with each: the time grows with its square.
my $slow = 'exists($.list[*] ? (exists($.list[*] ? (@ == -1))))';
sub list { return "(SELECT jsonb_build_object('list', jsonb_agg(i)) FROM generate_series(1, $_[0]) i)" }
sub judge { return qq[{"steps": [{"step": "tick", "wait": {"after": "$_[0]"}}, {"step": "judge", "choose": [{"when": "$slow", "next": "never"}, {"next": "end"}]}, {"step": "never", "end": true}, {"step": "end", "end": true}]}] }

as('alice', q[SELECT workflow.define('clock', '{"steps": [{"step": "tick", "wait": {"after": "50 ms"}}]}')]);
as('eve', "SELECT count(workflow.define('slow' || i, '" . judge('1 s') . "')) FROM generate_series(1, 40) i");
as('eve', q[SELECT workflow.define('quick', '{"steps": [{"step": "tick", "wait": {"after": "1 ms"}}]}')]);
as('busy', q[SELECT workflow.define('many', '{"steps": [{"step": "tick", "wait": {"after": "1 s"}}]}')]);

# How late a clock is.
sub late
{
	my $late = as('alice', q[SELECT workflow.start('clock') AS i \gset
		SELECT extract(epoch FROM clock_timestamp()) AS began \gset
		CALL workflow.wait_for(:i, '60 s');
		SELECT extract(epoch FROM ended_at) - extract(epoch FROM started_at) - 0.05 FROM workflow.instances WHERE instance = :i]);
	return (split /\n/, $late)[-1];
}

# For some seconds one after the other.
sub lateness
{
	my ($seconds) = @_;
	my $end = time() + $seconds;
	my @late;
	while (time() < $end)
	{
		push @late, late();
		sleep 0.02;
	}
	return sort { $a <=> $b } @late;
}

sub are_on_time
{
	my ($when) = @_;
	my @late = lateness(3);
	cmp_ok($late[ $#late / 2 ], '<', $LATE, "clocks of others are not late $when");
	cmp_ok($late[-1], '<', 4 * $LATE, '... not even one');
}

# How long one such predicate takes: each of them shall take about a second.
my $begin = time();
sql("SELECT jsonb_path_match(" . list(500) . ", '$slow')");
my $unit = max(time() - $begin, 0.001);
sub length_for { return int(500 * sqrt($_[0] / $unit)) + 1 }

# ---- many processes of one owner, each of which takes long ----

as('eve', "SELECT count(workflow.start('slow' || i, " . list(length_for(0.3)) . ")) FROM generate_series(1, 40) i");
sleep 0.8;
are_on_time('while 40 processes take long');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE ended_at IS NULL AND process LIKE 'slow%'", 0, 'all of those are moved on');
is(sql("SELECT count(*) FROM workflow.instances WHERE process LIKE 'slow%' AND status = 'completed'"), 40, 'as they should be');

# ---- one process, none of whose moves takes very long: but all of them do ----

as('eve', "SELECT workflow.define('slow', '" . judge('1 s') . "')");
as('eve', "SELECT count(workflow.start('slow', " . list(length_for(0.05)) . ")) FROM generate_series(1, 150)");
sleep 0.8;
are_on_time('while one process has many moves');
my $quick = as('eve', "SELECT workflow.start('quick')");
is(sql("CALL workflow.wait_for($quick, '60 s')"), 'completed', 'others of the same owner go on');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'slow' AND status = 'completed'", 150, 'and all is done');

# ---- requests that take long to be made ----

sql("CREATE SERVER none$_ FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:9', allow_private 'true'); GRANT USAGE ON FOREIGN SERVER none$_ TO eve") for 1 .. 8;
as('eve', "SELECT workflow.define('call' || i, replace('{\"steps\": [{\"step\": \"call\", \"http\": {\"server\": \"none0\", \"path\": \"/\", \"body\": {\"x\": \"\${\$.list[*] ? (exists(\$.list[*] ? (@ == -1))) ?? null}\"}}}]}', 'none0', 'none' || i)::json) FROM generate_series(1, 8) i");
as('eve', "SELECT workflow.start('call' || i, " . list(length_for(0.3)) . ') FROM generate_series(1, 8) i');
cmp_ok((lateness(3))[-1], '<', 2 * $LATE, 'clocks go off between requests to many servers');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process LIKE 'call%' AND status = 'failed'", 8, 'all of them were made');

# ---- ordinary moves, however many there are, are none of that ----

as('busy', q[SELECT count(workflow.start('many')) FROM generate_series(1, 5000)]);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'many' AND status = 'completed'", 5000, 'many quick moves');
is(sql("SELECT count(*) FROM workflow.workers WHERE role = 'busy'"), 0, 'are no work for executors');

ok(!log_has($node, qr/WARNING|ERROR:|PANIC|was terminated by signal/), 'nobody has complained');
$node->stop;
done_testing();
