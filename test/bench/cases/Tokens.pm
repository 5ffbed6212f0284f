# cases/Tokens.pm
#	Many tokens in an instance: forks, calls of other processes, callbacks into one instance, items of a list.
package Tokens;

use strict;
use warnings;
use Bench;
use Figures;
use Time::HiRes qw(time sleep);

my @items = qw(none set sql http);

# ---- forks ----

# One backend starts instances that end at once: its CPU time in us for each.
sub pure
{
	my ($session, $process, $n) = @_;
	my $pid = $session->run('SELECT pg_backend_pid()');
	my ($before) = Bench::cpu($pid);

	$session->run(Bench::statements('pure.sql') =~ s/:n\b/$n/r =~ s/:process/$process/r);
	my ($after) = Bench::cpu($pid);
	return ($after - $before) * 1e6 / $n;
}

sub fork_case
{
	my @pairs;

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'forks_setup.sql');
		Bench::wait_for_partitions('bench');
		my $session = Bench::Session->new('bench');
		# what waiting for the disk costs is no matter of forks
		$session->run('SET synchronous_commit = off');
		pure($session, $_, $size{pure} / 10) for 'fork', 'sequence';
		for my $pair (1 .. $size{pairs})
		{
			push(@pairs, alternate($round + $pair, map { my $process = $_; sub { pure($session, $process, $size{pure}) } } 'fork', 'sequence'));
		}
		must_be('instances that have not completed', $session->run("SELECT count(*) FROM workflow.instances WHERE status <> 'completed'"), 0);
		$session->end;
	}
	add_costs('CPU of a fork of 10 branches and their join, 11 steps in a row', 'us', 1.20, @pairs);
	return;
}

# ---- calls of other processes ----

sub call_case
{
	my @pairs;

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'call_setup.sql');
		Bench::wait_for_partitions('bench');
		my $session = Bench::Session->new('bench');
		$session->run('SET synchronous_commit = off');
		pure($session, $_, $size{pure} / 10) for 'calls', 'sequence';
		for my $pair (1 .. $size{pairs})
		{
			push(@pairs, alternate($round + $pair, map { my $process = $_; sub { pure($session, $process, $size{pure}) } } 'calls', 'sequence'));
		}
		must_be('instances that have not completed', $session->run("SELECT count(*) FROM workflow.instances WHERE status <> 'completed'"), 0);
		$session->end;
	}
	add_costs('CPU of 10 calls of a process of one step, 10 steps in a row', 'us', 3.00, @pairs);
	return;
}

# ---- callbacks into one instance ----

sub branches_case
{
	my $n = 1000;
	my @rounds;

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'forks_setup.sql');
		my $session = Bench::Session->new('bench');
		$session->run("SELECT count(workflow.start('branches', '{\"n\": $n}')) FROM generate_series(1, $size{branches});"
			  . "SELECT count(workflow.start('single')) FROM generate_series(1, $n * $size{branches})");
		my $open = "SELECT count(*) FROM workflow.waiting WHERE step = 'stand'";
		for (my $limit = time + 60; $session->run($open) < 2 * $n * $size{branches};)
		{
			die "branches that do not begin\n" if time > $limit;
			sleep(0.1);
		}
		for my $side ([ 'one', 'branches' ], [ 'many', 'single' ])
		{
			my ($table, $process) = @$side;
			$session->run("INSERT INTO open_of_$table (serial_number) SELECT serial_number FROM workflow.waiting"
				  . " WHERE process = '$process' AND step = 'stand' ORDER BY instance, serial_number");
		}
		$session->run('VACUUM (ANALYZE)');
		my $side = sub {
			return pgbench_with_cpu('bench', $_[0], transactions => $n * $size{branches} / $clients, define => { i => 0 });
		};
		push(@rounds, alternate($round, sub { $side->('complete_one.sql') }, sub { $side->('complete_many.sql') }));
		must_be('instances that have not completed', $session->run("SELECT count(*) FROM workflow.instances WHERE status <> 'completed'"), 0);
		$session->end;
	}
	add_rates("complete(), $n branches of one instance, $clients clients", undef, @rounds);
	return;
}

# ---- items of a list ----

# The statement that starts one instance with so many items, or as many instances; what is done for each: see each_setup.sql.
sub start_items
{
	my ($what, $n) = @_;
	return "SELECT workflow.start('$what each', jsonb_build_object('list', (SELECT jsonb_agg(n) FROM generate_series(1, $n) n)))";
}

sub start_instances
{
	my ($what, $n) = @_;
	return "SELECT count(workflow.start('$what', jsonb_build_object('i', n))) FROM generate_series(1, $n) n";
}

# From the start to the end of all: us of one item, and CPU time of the cluster for it.
sub each_costs
{
	my ($session, $n, $start) = @_;
	my $cpu = Bench::cluster_cpu();
	my $begin = time;

	$session->run($start);
	Bench::drain($session, 120 + $n / 50);
	return [ (time - $begin) * 1e6 / $n, (Bench::cluster_cpu() - $cpu) * 1e6 / $n ];
}

sub begin_each
{
	Bench::fresh_database('bench', 'each_setup.sql');
	Bench::wait_for_partitions('bench');
	my $session = Bench::Session->new('bench');
	for my $what (@items)
	{
		each_costs($session, 100, start_instances($what, 100));
		each_costs($session, 100, start_items($what, 100));
	}
	return $session;
}

sub end_each
{
	my ($session) = @_;
	must_be('instances that have not completed', $session->run("SELECT count(*) FROM workflow.instances WHERE status <> 'completed'"), 0);
	$session->end;
	return;
}

sub each_case
{
	my $n = $size{each};
	# those of one instance share their transactions; statements do not, and take turns at the lock of their instance
	my %wanted = (none => 0.50, set => 0.50, sql => 2.00, http => 1.50);
	my %rounds;

	for my $round (1 .. $size{rounds})
	{
		my $session = begin_each();
		for my $what (@items)
		{
			push(@{ $rounds{$what} }, alternate($round, sub { each_costs($session, $n, start_items($what, $n)) },
				sub { each_costs($session, $n, start_instances($what, $n)) }));
		}
		end_each($session);
	}
	for my $what (@items)
	{
		my @both = @{ $rounds{$what} };
		add_costs(sprintf('CPU of `each` over %s items of `%s`, as many instances', Bench::thousands($n), $what), 'us', $wanted{$what},
			map { [ map { $_->[1] } @$_ ] } @both);
		add_costs('  from the start to the end', 'us', undef, map { [ map { $_->[0] } @$_ ] } @both);
	}
	return;
}

# What an item costs in lists of all sizes, beside the shortest one: that is to grow with their number alone.
sub items_case
{
	my ($least, @more) = @{ $size{items} };
	# what changes the data stores all of them anew now and then, and these have the list in them
	my %wanted = (none => 2.00, set => 4.00, sql => 2.50, http => 2.00);
	my (%before, %after, @lines);
	my $session = begin_each();
	my $own = sub { my %found = Bench::workers(); return map { ($_ => (Bench::memory($_))[0]) } grep { $found{$_} =~ /dispatcher|executor/ } keys %found; };

	%before = $own->();
	for my $what (@items)
	{
		my @small = map { each_costs($session, $least, start_items($what, $least)) } 1 .. 3;
		my @short = map { my $column = $_; Bench::median(map { $_->[$column] } @small) } 0, 1;
		push(@lines, sprintf('%s %s: %.0f us, CPU %.0f us', Bench::thousands($least), $what, @short));
		for my $n (@more)
		{
			Bench::sql('postgres', 'CHECKPOINT');
			my $long = each_costs($session, $n, start_items($what, $n));
			push(@lines, sprintf('%s %s: %.0f us, CPU %.0f us', Bench::thousands($n), $what, @$long));
			add_costs(sprintf('CPU of an item of `%s` of %s, of %s', $what, Bench::thousands($n), Bench::thousands($least)), 'us', $wanted{$what},
				[ $long->[1], $short[1] ]);
			print '.';
		}
		my %now = $own->();
		$after{$_} = $now{$_} > ($after{$_} // 0) ? $now{$_} : $after{$_} for keys %now;
	}
	end_each($session);
	remark('Of an item, from the start of its list to its end, divided by their number: ' . join('; ', @lines) . '.');
	my ($most) = sort { $b <=> $a } map { $after{$_} - ($before{$_} // 0) } keys %after;
	remark(sprintf('Memory of a worker has grown by %.0f MB at most, and is %.0f MB at most.', $most / 1024, (sort { $b <=> $a } values %after)[0] / 1024));
	return;
}

1;
