#
# What is done for many visits at once takes as long as there are visits, and no longer: one instance with many takes no longer than
# many with few, together. Times are those of the processor, whatever else the machine does.
#
# takes long

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

# How long work may take that is done at once, beside twice what half of it takes in parts, each a twentieth: if each visit is found
# by going through the others, it is 2.6 times as long, or more.
my $MOST = 2;
my $PARTS = 20;
my $DONE = $PARTS / 2;
# another machine on the same processor can make any measurement too long
my $TRIES = 3;

my $node = new_server('many_visits', conf => "autovacuum = off\nshared_buffers = 256MB\nmax_wal_size = 4GB\n");
my $session = $node->background_psql('postgres');
$session->set_query_timer_restart;
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

# So many visits in one instance, and half as many in instances that each have a part.
sub crowds
{
	my ($process, $n) = @_;
	return { many => [ map { crowd($process, $n / $PARTS) } 1 .. $DONE ], one => [ crowd($process, $n) ] };
}

# Seconds of a process for work at either.
sub measure
{
	my ($name, $pid, $crowds, $work) = @_;
	my %took = (name => $name);
	for my $which (qw(many one))
	{
		my $before = cpu_seconds($pid);
		$work->(@{ $crowds->{$which} });
		$took{$which} = cpu_seconds($pid) - $before;
	}
	# less than that cannot be told apart
	$took{ratio} = $took{one} / (2 * max($took{many}, 0.05));
	return \%took;
}

# Code that measures whatever is done in one go, with crowds of its own each time that it is called.
sub are_linear
{
	my ($measure_all) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %best;
	my @names;
	for (1 .. $TRIES)
	{
		my @took = $measure_all->();
		@names = map { $_->{name} } @took;
		for (@took)
		{
			my $name = $_->{name};
			$best{$name} = $_ if !$best{$name} || $_->{ratio} < $best{$name}{ratio};
		}
		last unless grep { $_->{ratio} >= $MOST } values %best;
	}
	cmp_ok($best{$_}{ratio}, '<', $MOST, sprintf('%s: half of it %.2f s in parts, all of it %.2f s at once', $_, @{ $best{$_} }{qw(many one)})) for @names;
}

# ---- many visits of one instance ----

crowd($_, 100) for qw(stand clock limit); # what is made once is there
# So many that it shows if each of them is found by going through the others, which is little beside all else that is done for it.
my $MANY = 40_000;
are_linear(sub {
	my $crowds = crowds('stand', $MANY);
	my @all = map { @$_ } values %$crowds;
	my $suspended = "SELECT count(*) FROM workflow_data.visit WHERE suspended";
	my @took = measure('suspended', $backend, $crowds, sub { sql("SELECT workflow.suspend($_)") for @_ });
	is(sql($suspended), 1.5 * $MANY, 'all are suspended');
	push @took, measure('resumed', $backend, $crowds, sub { sql("SELECT workflow.resume($_)") for @_ });
	is(sql($suspended), 0, 'all are resumed');
	push @took, measure('looked at', $backend, $crowds, sub { sql("SELECT count(blocked_by) FROM workflow.visits WHERE instance = $_") for @_ });
	push @took, measure('completed in one call', $backend, $crowds, sub {
		my $accepted = 0;
		for (@_)
		{
			my $callbacks = "SELECT json_agg(json_build_object('serial_number', serial_number, 'data', json_build_object('n', 1))) FROM workflow.waiting WHERE instance = $_";
			$accepted += sql("SELECT count(*) FROM workflow.complete_many(($callbacks)) WHERE accepted");
		}
		is($accepted, @_ == 1 ? $MANY : $MANY / 2, "$accepted are completed");
	});
	my $ids = join(', ', @all);
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE step = 'on' AND instance IN ($ids)", 1.5 * $MANY, '... and stand at the next step');
	push @took, measure('cancelled', $backend, $crowds, sub { sql("SELECT workflow.cancel($_)") for @_ });
	is(sql("SELECT count(*) FROM workflow.instances WHERE instance IN ($ids) AND status = 'aborted'"), @all, '... are cancelled');
	return @took;
});

# clocks that strike together
for ([clock => 'due_at'], [limit => 'deadline', 'next_timer'])
{
	my ($process, @clocks) = @$_;
	are_linear(sub {
		my $n = 10_000;
		my $crowds = crowds($process, $n);
		sql("SELECT workflow.suspend($_)") for map { @$_ } values %$crowds;
		return measure("$process: moved on by the dispatcher", $dispatcher, $crowds, sub {
			my $ids = join(', ', @_);
			my $expected = @_ == 1 ? $n : $n / 2;
			sql("UPDATE workflow_data.visit SET @{[join ', ', map { \"$_ = clock_timestamp()\" } @clocks]} WHERE instance IN ($ids)");
			sql("SELECT workflow.resume($_)") for @_; # which tells the dispatcher
			is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE step = 'on' AND instance IN ($ids)", $expected, "$process: $expected have gone on");
		});
	});
}

# what has waited for a suspended instance; nobody is there to whom it could go
are_linear(sub {
	my $n = 10_000;
	return measure('delivered', $dispatcher, crowds('stand', $n), sub {
		my $each = @_ == 1 ? $n : $n / $PARTS;
		my $ids = join(', ', @_);
		for (@_)
		{
			sql("SELECT workflow.suspend($_)");
			sql("INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue) SELECT $_, 1000000000 + g, now(), 'alarm', 'suspended' FROM generate_series(1, $each) g");
		}
		sql("SELECT workflow.resume($_)") for @_;
		is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance IN ($ids)", 0, $each * @_ . ' are delivered');
	});
});

# ---- many instances in one call ----

# each number five times, so that four of five come too late
sub callbacks
{
	my ($n) = @_;
	my $waiting = "SELECT serial_number FROM workflow.waiting WHERE process = 'stand' AND step = 'stand' ORDER BY instance DESC LIMIT $n / 5";
	return "SELECT json_agg(json_build_object('serial_number', serial_number, 'data', json_build_object('n', n))) FROM ($waiting) w, generate_series(1, 5) n";
}

are_linear(sub {
	my $n = 50_000;
	sql("SELECT count(workflow.start('stand')) FROM generate_series(1, 1.5 * $n / 5)");
	return measure('many numbers in one call', $backend, { many => [ ($n / $PARTS) x $DONE ], one => [$n] }, sub {
		my %gave;
		for my $numbers (@_)
		{
			my $counts = sql("SELECT count(*) FILTER (WHERE accepted), count(*) FILTER (WHERE NOT accepted AND error_code IS NULL) FROM workflow.complete_many((@{[callbacks($numbers)]}))");
			$gave{ $numbers / 5 . '|' . $numbers / 5 * 4 eq $counts ? 'each once' : $counts }++;
		}
		is(join(', ', sort keys %gave), 'each once', "@_ numbers: each counts once");
	});
});

$session->quit;
$node->stop;
done_testing();
