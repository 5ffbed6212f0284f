#
# What is done for many visits at once takes as long as there are visits, and no longer: ten times as many take ten times as long,
# not a hundred times. Times are those of the processor, whatever else the machine does.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

# of ten times the work; a quadratic one takes a hundred times as long
my $MOST = 20;

my $node = new_server('many_visits', conf => "autovacuum = off\nshared_buffers = 256MB\nmax_wal_size = 4GB\n");
my $session = $node->background_psql('postgres');
my $backend = $session->query_safe('SELECT pg_backend_pid()');
my ($dispatcher) = wait_for_workers($node, 'postgres');
my $data = '"save": {"last": "${$result.response.n}"}';

sub sql { return $session->query_safe($_[0]) }

sql("SELECT workflow.define('stand', '{\"steps\": [{\"step\": \"stand\", \"wait\": true, $data, \"next\": \"on\"}, {\"step\": \"on\", \"wait\": true}]}')");
sql("SELECT workflow.define('clock', '{\"steps\": [{\"step\": \"stand\", \"wait\": {\"after\": \"1 hour\"}, \"next\": \"on\"}, {\"step\": \"on\", \"wait\": true}]}')");
sql("SELECT workflow.define('limit', '{\"steps\": [{\"step\": \"stand\", \"wait\": true, \"timeout\": \"1 hour\", \"catch\": [{\"on\": \"TIMED_OUT\", \"next\": \"on\"}]}, {\"step\": \"on\", \"wait\": true}]}')");

# A token comes to be where a handler begins beside a visit, so it would take long to have many: its row is copied, under numbers of
# the sequence and with keys of their own, and the instance is told how many it has.
sub crowd
{
	my ($process, $n) = @_;
	my $instance = sql("SELECT workflow.start('$process')");
	my @columns = split /\n/, sql("SELECT attname FROM pg_attribute WHERE attrelid = 'workflow_data.visit'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum");
	my %other = (visit => "nextval('workflow_data.visit_seq')", key => 'gen_random_uuid()');
	sql("INSERT INTO workflow_data.visit (@{[join ', ', @columns]}) SELECT @{[join ', ', map { $other{$_} // $_ } @columns]} FROM workflow_data.visit, generate_series(2, $n) WHERE instance = $instance");
	sql("UPDATE workflow_data.instance SET tokens = $n WHERE instance = $instance");
	return $instance;
}

# The work for both sizes, given as code, in seconds of a process.
sub is_linear
{
	my ($name, $pid, $small, $large, $work) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %took;
	for my $n ($small, $large)
	{
		my $before = cpu_seconds($pid);
		$work->($n);
		$took{$n} = cpu_seconds($pid) - $before;
	}
	# less than that cannot be told apart
	my $least = $took{$small} < 0.05 ? 0.05 : $took{$small};
	cmp_ok($took{$large}, '<', $MOST * $least, sprintf('%s: %.2f s for %d, %.2f s for %d', $name, $took{$small}, $small, $took{$large}, $large));
}

# ---- many visits of one instance ----

crowd($_, 100) for qw(stand clock limit); # what is made once is there
# So many that it shows if each of them is found by going through the others, which is little beside all else that is done for it.
{
	my %instance = map { $_ => crowd('stand', $_) } (4000, 40_000);
	is_linear('suspended', $backend, 4000, 40_000, sub { sql("SELECT workflow.suspend($instance{$_[0]})") });
	is(sql("SELECT count(*) FROM workflow_data.visit WHERE suspended"), 44_000, '... all of them');
	is_linear('resumed', $backend, 4000, 40_000, sub { sql("SELECT workflow.resume($instance{$_[0]})") });
	is(sql("SELECT count(*) FROM workflow_data.visit WHERE suspended"), 0, '... all of them');
	is_linear('looked at', $backend, 4000, 40_000, sub { sql("SELECT count(blocked_by) FROM workflow.visits WHERE instance = $instance{$_[0]}") });
	is_linear('completed in one call', $backend, 4000, 40_000, sub {
		my $callbacks = "SELECT json_agg(json_build_object('serial_number', serial_number, 'data', json_build_object('n', 1))) FROM workflow.waiting WHERE instance = $instance{$_[0]}";
		is(sql("SELECT count(*) FROM workflow.complete_many(($callbacks)) WHERE accepted"), $_[0], "$_[0] are completed");
	});
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE step = 'on' AND instance = $instance{40_000}", 40_000, '... and stand at the next step');
	is_linear('cancelled', $backend, 4000, 40_000, sub { sql("SELECT workflow.cancel($instance{$_[0]})") });
	is(sql("SELECT count(*) FROM workflow.instances WHERE instance IN ($instance{4000}, $instance{40_000}) AND status = 'aborted'"), 2, '... both');
}

# clocks that strike together
for ([clock => 'due_at'], [limit => 'deadline', 'next_timer'])
{
	my ($process, @clocks) = @$_;
	my %instance = map { $_ => crowd($process, $_) } (1000, 10_000);
	sql("SELECT workflow.suspend($_)") for values %instance;
	is_linear("$process: moved on by the dispatcher", $dispatcher, 1000, 10_000, sub {
		sql("UPDATE workflow_data.visit SET @{[join ', ', map { \"$_ = clock_timestamp()\" } @clocks]} WHERE instance = $instance{$_[0]}");
		sql("SELECT workflow.resume($instance{$_[0]})"); # which tells the dispatcher
		is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE step = 'on' AND instance = $instance{$_[0]}", $_[0], "$process: $_[0] have gone on");
	});
}

# what has waited for a suspended instance; nobody is there to whom it could go
{
	my %instance = map { $_ => crowd('stand', $_) } (1000, 10_000);
	is_linear('delivered', $dispatcher, 1000, 10_000, sub {
		my ($n) = @_;
		sql("SELECT workflow.suspend($instance{$n})");
		sql("INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue) SELECT $instance{$n}, 1000000000 + g, now(), 'alarm', 'suspended' FROM generate_series(1, $n) g");
		sql("SELECT workflow.resume($instance{$n})");
		is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance{$n}", 0, "$n are delivered");
	});
}

# ---- many instances in one call ----

# each number five times, so that four of five come too late
sub callbacks
{
	my ($n) = @_;
	my $waiting = "SELECT serial_number FROM workflow.waiting WHERE process = 'stand' AND step = 'stand' ORDER BY instance DESC LIMIT $n / 5";
	return "SELECT json_agg(json_build_object('serial_number', serial_number, 'data', json_build_object('n', n))) FROM ($waiting) w, generate_series(1, 5) n";
}

sql("SELECT count(workflow.start('stand')) FROM generate_series(1, 11000)");
is_linear('many numbers in one call', $backend, 5000, 50_000, sub {
	my ($n) = @_;
	is(sql("SELECT count(*) FILTER (WHERE accepted), count(*) FILTER (WHERE NOT accepted AND error_code IS NULL) FROM workflow.complete_many((@{[callbacks($n)]}))"),
		$n / 5 . '|' . $n / 5 * 4, "$n numbers: each counts once");
});

$session->quit;
$node->stop;
done_testing();
