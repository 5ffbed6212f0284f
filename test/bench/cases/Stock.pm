# cases/Stock.pm
#	What there is much of: other versions for it, waiting, looking things up.
package Stock;

use strict;
use warnings;
use Bench;
use Figures;
use Time::HiRes qw(time sleep);

# ---- versions ----

# All instances of a version to another one, where their step has another name; back the next time. And ended ones once more.
sub migrate_case
{
	my $n = $size{bulk};
	my (@plain, @events, @rerun);

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'versions_setup.sql');
		my $session = Bench::Session->new('bench');
		$session->run("SELECT count(workflow.start('$_', jsonb_build_object('i', i), version => 1)) FROM generate_series(1, $n) i") for qw(plain events);
		$session->run("SELECT count(workflow.start('ended')) FROM generate_series(1, $n / 10)");
		$session->run('VACUUM (ANALYZE)');
		my $pid = $session->run('SELECT pg_backend_pid()');
		my $timed = sub {
			my ($rows, $sql) = @_;
			my ($before) = Bench::cpu($pid);
			$session->run($sql);
			return ((Bench::cpu($pid))[0] - $before) * 1e6 / $rows;
		};
		my $start = sub { $timed->($n, "SELECT count(workflow.start('other', jsonb_build_object('i', i))) FROM generate_series(1, $n) i") };
		for my $process (qw(plain events))
		{
			my $figures = alternate($round,
				sub { $timed->($n, "SELECT * FROM workflow.migrate('$process', 1, 2, '{\"a\": \"b\"}')") }, $start);
			push(@{ $process eq 'plain' ? \@plain : \@events }, $figures);
		}
		push(@rerun, alternate($round, sub { $timed->($n / 10, 'SELECT count(workflow.rerun(instance)) FROM workflow.instances WHERE process = \'ended\' AND rerun_of IS NULL') },
			$start));
		must_be('instances of the old version', $session->run("SELECT count(*) FROM workflow.instances WHERE process IN ('plain', 'events') AND version = 1"), 0);
		must_be('instances begun once more', $session->run("SELECT count(*) FROM workflow.instances WHERE rerun_of IS NOT NULL"), $n / 10);
		$session->end;
	}
	add_costs(sprintf('CPU of migrating one of %s that wait, in one call', Bench::thousands($n)), 'us', 1.00, @plain);
	add_costs('  ... for messages and clocks that move', 'us', 2.00, @events);
	add_costs(sprintf('CPU of rerun() of one of %s, in one statement', Bench::thousands($n / 10)), 'us', 4.00, @rerun);
	remark('The baseline of migrating and of rerun() is start() of as many that wait for a callback, in one statement.');
	return;
}

# ---- waiting ----

sub idle_case
{
	my ($cpu, $switches) = (0, 0);
	my (%before, @lines);

	Bench::fresh_database('bench', 'orders.sql', 'wait_setup.sql');
	Bench::sql('bench', "SELECT workflow.attach('orders', 'wait')");
	Bench::sql('bench', Bench::statements('bulk.sql') =~ s/:n\b/$size{waiting}/gr);
	Bench::sql('postgres', 'CHECKPOINT');
	sleep(3);

	# an executor that has done its work stays for a while
	my %workers = Bench::workers();
	for (my $limit = time + 30; time < $limit && grep { /executor/ } values %workers; %workers = Bench::workers())
	{
		sleep(1);
	}
	die "no dispatcher found\n" if !grep { /dispatcher/ } values %workers;
	$before{$_} = [ Bench::cpu($_) ] for keys %workers;
	sleep($size{idle});
	for my $pid (sort { $workers{$a} cmp $workers{$b} } keys %workers)
	{
		my ($now_cpu, $now_switches) = Bench::cpu($pid);
		die "$workers{$pid} has gone\n" if !defined($now_switches);
		my $ms = ($now_cpu - $before{$pid}[0]) * 1000;
		my $wakeups = $now_switches - $before{$pid}[1];
		$cpu += $ms;
		$switches += $wakeups;
		push(@lines, sprintf('%s %.1f ms, %d wake-ups', $workers{$pid}, $ms, $wakeups));
	}
	add_row(
		sprintf('%s waiting visits, %d s', Bench::thousands($size{waiting}), $size{idle}),
		sprintf('%d wake-ups, %.1f ms', $switches, $cpu), '0', '', '', '0', $switches == 0 && $cpu < 1 ? 'ok' : 'MISSED');
	remark('While waiting: ' . join('; ', @lines) . '.');
	return;
}

# ---- what looking things up costs those who do not look ----

# One backend starts instances and completes them, each in a transaction of its own: CPU time of that backend in us for both.
sub operations
{
	my ($session, $n) = @_;
	my $pid = $session->run('SELECT pg_backend_pid()');
	my ($before) = Bench::cpu($pid);

	$session->run(Bench::statements('operations.sql') =~ s/:n\b/$n/gr);
	my ($after) = Bench::cpu($pid);
	return ($after - $before) * 1e6 / $n;
}

sub indexes_case
{
	my %indexes = (bench => '^$', bench_counted => '^(visit_state|instance_status)$',
		bench_bare => '^(visit_state|instance_status|visit_waiting|.*_history_.*_(serial_number|ended_at|business_key)_idx)$');
	my @sides = qw(bench bench_counted bench_bare);
	my (@pairs, %session);

	for my $round (1 .. $size{rounds})
	{
		for my $database (@sides)
		{
			Bench::fresh_database($database, 'wait_setup.sql');
			Bench::wait_for_partitions($database);
			Bench::sql($database, Bench::statements('drop_indexes.sql'), indexes => $indexes{$database});
			$session{$database} = Bench::Session->new($database);
			# what waiting for the disk costs is no matter of indexes
			$session{$database}->run('SET synchronous_commit = off');
			operations($session{$database}, $size{operations} / 10);
		}
		for my $pair (1 .. $size{pairs})
		{
			push(@pairs, alternate($round + $pair, map { my $session = $session{$_}; sub { operations($session, $size{operations}) } } @sides));
		}
		$_->end for values %session;
	}
	my $title = 'CPU of start() and complete(), one backend';
	add_costs("$title, without the indexes that count", 'us', 1.10, map { [ @$_[0, 1] ] } @pairs);
	add_costs('  without any index that only looks up', 'us', 1.25, map { [ @$_[0, 2] ] } @pairs);
	Bench::sql('postgres', "DROP DATABASE $_") for @sides[1, 2];
	return;
}

# ---- very many ----

# A database with so many that wait, and as many that have ended: a session, the first that waits, and by how much visits are ahead.
sub fill
{
	my ($database, $n) = @_;
	my $step = $n < 50_000 ? $n : 50_000;

	Bench::fresh_database($database, 'wait_setup.sql');
	Bench::wait_for_partitions($database);
	my $session = Bench::Session->new($database);
	$session->run('SET synchronous_commit = off');
	for (my $from = 0; $from < $n; $from += $step)
	{
		$session->run("SELECT count(workflow.start('$_', jsonb_build_object('customer', 'Ann Example', 'amount', n))) FROM generate_series(1, $step) n")
		  for 'wait', 'nothing';
	}
	must_be("visits in $database", $session->run('SELECT count(*) FROM workflow_data.visit'), $n);
	must_be("ended instances in $database", $session->run('SELECT count(*) > ' . $n . ' FROM workflow_data.instance_history'), 't');
	$session->run('VACUUM (ANALYZE)');
	return $session;
}

# One backend completes so many of those that wait, from all parts of the table, each in a transaction of its own: its CPU time for each.
sub complete_spread
{
	my ($session, $n) = @_;
	my $pid = $session->run('SELECT pg_backend_pid()');

	$session->run(Bench::statements('spread.sql') =~ s/:n\b/$n/gr);
	my ($before) = Bench::cpu($pid);
	$session->run(Bench::statements('complete_spread.sql'));
	my ($after) = Bench::cpu($pid);
	return ($after - $before) * 1e6 / $n;
}

# The large database first: the two sides are [many, few].
sub large_case
{
	my ($few, $many) = @{ $size{large} };
	my $n = $size{operations};
	my (@operations, @spread);
	my %session = (bench_large => fill('bench_large', $many), bench => fill('bench', $few));
	my @sides = @session{qw(bench_large bench)};

	operations($_, $n) for @sides;
	for my $pair (1 .. $size{pairs})
	{
		push(@operations, take_turns($pair, map { my $session = $_; sub { operations($session, $n) } } @sides));
		push(@spread, take_turns($pair, map { my $session = $_; sub { complete_spread($session, $n / 4) } } @sides));
	}
	my $title = sprintf('%s that wait, %s that have ended, of %s', (map { Bench::thousands($_) } $many, $many, $few));
	add_costs("CPU of start() and complete(), $title", 'us', 1.1, @operations);
	add_costs('  complete() of those that have waited before, from anywhere', 'us', 1.1, @spread);
	$_->end for @sides;
	Bench::sql('postgres', 'DROP DATABASE bench_large');
	return;
}

# ---- what a look at all counts costs ----

sub scrape_case
{
	my $tables = 'SELECT process_id, state, step, count(*), min(waiting_since) FROM workflow_data.visit GROUP BY 1, 2, 3';
	my @rounds;

	Bench::fresh_database('bench', 'orders.sql', 'wait_setup.sql');
	Bench::sql('bench', "SELECT workflow.attach('orders', 'wait')");
	my $step = 50_000;
	for (my $from = 0; $from < $size{scrape}; $from += $step)
	{
		Bench::sql('bench', "INSERT INTO orders (id, customer, amount) SELECT $from + n, 'customer ' || n, n % 1000 FROM generate_series(1, $step) n");
	}
	must_be('waiting visits', Bench::sql('bench', 'SELECT count(*) FROM workflow_data.visit'), $size{scrape});
	Bench::sql('bench', 'VACUUM (ANALYZE) workflow_data.instance, workflow_data.visit');
	my $session = Bench::Session->new('bench');
	$session->run('SET max_parallel_workers_per_gather = 0');
	my $side = sub {
		my ($sql) = @_;
		my $begin = time;
		$session->run($sql);
		return (time - $begin) * 1000;
	};
	for my $round (1 .. $size{rounds} * 3)
	{
		push(@rounds, alternate($round, sub { $side->('SELECT * FROM workflow.metrics') }, sub { $side->($tables) }));
	}
	$session->end;
	my ($ours, $scan) = map { my $side = $_; Bench::median(map { $_->[$side] } @rounds) } 0, 1;
	my @ratios = sort { $a <=> $b } map { $_->[0] / $_->[1] } @rounds;
	add_row(
		sprintf('a look at all of metrics, %s waiting', Bench::thousands($size{scrape})), sprintf('%.0f ms', $ours), sprintf('%.0f ms', $scan),
		sprintf('%.2f', $ours / $scan), sprintf('%.2f-%.2f', @ratios[0, -1]), '< 1000 ms', $ours < 1000 ? 'ok' : 'MISSED');
	remark('The baseline of a look at metrics is one scan of the visits that counts them, and no instances.');
	return;
}

1;
