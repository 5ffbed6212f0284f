# bench.pl: measures and prints the table; test/bench/run starts it when cluster and nginx are there.
#
# Both sides of a case run on the same cluster, alternately, at the same concurrency, each after a warm-up and a CHECKPOINT;
# every round has a fresh database. A figure is the median of the rounds, a ratio that of the two medians, "range" the
# lowest and the highest ratio of a single round.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Bench;
use Getopt::Long;
use IO::Handle;
use Time::HiRes qw(time sleep);

my %quick = (async => 1000, pull => 500, rounds => 1, http => 10_000, transactions => 1000, seconds => 3, bulk => 20_000, wakeup => 60, waiting => 20_000,
	signal => 5000, idle => 10, operations => 500, pairs => 4, scrape => 50_000, pure => 300, branches => 2, each => 1000,
	items => [ 1000, 5000 ]);
my %whole = (rounds => 3, async => 10_000, http => 50_000, transactions => 5000, seconds => 10, bulk => 100_000, wakeup => 200,
	waiting => 100_000, signal => 100_000, pull => 16_000, idle => 60, operations => 1000, pairs => 8, scrape => 1_000_000, pure => 1000, branches => 5, each => 10_000,
	items => [ 1000, 10_000, 100_000 ]);
my $concurrency = 64;
my $clients = 8;
my @items = qw(none set sql http);
my @all = qw(http complete start bulk rows fork branches call async each items wakeup message messages signal pull migrate idle indexes scrape);
my %case = (
	http => \&http_case,
	complete => \&complete_case,
	start => \&start_case,
	bulk => \&bulk_case,
	rows => \&rows_case,
	fork => \&fork_case,
	branches => \&branches_case,
	call => \&call_case,
	async => \&async_case,
	each => \&each_case,
	items => \&items_case,
	wakeup => \&wakeup_case,
	message => \&message_case,
	messages => \&messages_case,
	signal => \&signal_case,
	pull => \&pull_case,
	migrate => \&migrate_case,
	idle => \&idle_case,
	indexes => \&indexes_case,
	scrape => \&scrape_case,
);
my ($quick, $rounds);
my (@table, @remarks);

STDOUT->autoflush(1);
GetOptions('quick' => \$quick, 'rounds=i' => \$rounds) && !grep { !$case{$_} } @ARGV
  or die "usage: test/bench/run [--quick] [--rounds N] [@all]\n";
my %size = $quick ? %quick : %whole;
$size{rounds} = $rounds if $rounds;

$SIG{INT} = $SIG{TERM} = sub { die "interrupted\n" };
describe();

my $broken = 0;
for my $name (@ARGV ? @ARGV : @all)
{
	print "$name ";
	my $began = time;
	if (!eval { $case{$name}->(); 1 })
	{
		die $@ if $@ eq "interrupted\n";
		$broken = 1;
		push(@table, [ $name, '-', '-', '-', '-', '-', 'could not run' ]);
		push(@remarks, "$name could not run: " . join("\n", grep { defined } (split(/\n/, $@))[ 0 .. 2 ]));
	}
	printf " %.0f s\n", time - $began;
}
print_table();
exit($broken);

sub describe
{
	my ($cpu) = Bench::slurp('/proc/cpuinfo') =~ /^model name\s*:\s*(.*)$/m;
	my ($load) = split(' ', Bench::slurp('/proc/loadavg'));
	my $cpus = () = Bench::slurp('/proc/cpuinfo') =~ /^processor\s*:/mg;
	chomp(my $curl = qx(curl-config --version));
	chomp(my $filesystem = qx(stat -f -c %T $ENV{WF_DATA}));
	my $version = Bench::sql('postgres', 'SHOW server_version');

	printf "PostgreSQL %s, %s, %d CPUs (%s), data on %s, load %s before the start, median of %d\n", $version, $curl, $cpus,
	  $cpu // '?', $filesystem, $load // '?', $size{rounds};
	print "WARNING: data in memory, fsync costs nothing here: set TMPDIR\n" if $filesystem =~ /tmpfs|ramfs/;
	return;
}

# ---- figures ----

sub per_second
{
	my ($rate) = @_;
	return Bench::thousands(sprintf('%.0f', $rate)) . '/s';
}

# A row of rates: the more the better. Rounds are [ours, baseline].
sub add_rates
{
	my ($title, $wanted, @rounds) = @_;
	my $ours = Bench::median(map { $_->[0] } @rounds);
	my $theirs = Bench::median(map { $_->[1] } @rounds);
	my @ratios = sort { $a <=> $b } map { $_->[0] / $_->[1] } @rounds;
	my $ratio = $ours / $theirs;

	push(@table, [
		$title, per_second($ours), per_second($theirs), sprintf('%.2f', $ratio), sprintf('%.2f-%.2f', @ratios[0, -1]),
		defined($wanted) ? sprintf('>= %.2f', $wanted) : '',
		!defined($wanted) ? '(to compare)' : $ratio >= $wanted ? 'ok' : 'MISSED' ]);
	return;
}

# A row of costs: the less the better. Rounds are [ours, baseline].
sub add_costs
{
	my ($title, $unit, $wanted, @rounds) = @_;
	my $ours = Bench::median(map { $_->[0] } @rounds);
	my $theirs = Bench::median(map { $_->[1] } @rounds);
	my @ratios = sort { $a <=> $b } map { $_->[0] / $_->[1] } @rounds;
	my $ratio = $ours / $theirs;

	push(@table, [
		$title, sprintf('%.0f %s', $ours, $unit), sprintf('%.0f %s', $theirs, $unit), sprintf('%.2f', $ratio),
		sprintf('%.2f-%.2f', @ratios[0, -1]), defined($wanted) ? sprintf('<= %.2f', $wanted) : '',
		!defined($wanted) ? '(to compare)' : $ratio <= $wanted ? 'ok' : 'MISSED' ]);
	return;
}

sub print_table
{
	my @head = ('case', 'ours', 'baseline', 'ratio', 'range', 'wanted', 'verdict');
	my @width = map { my $c = $_; (sort { $b <=> $a } map { length($_->[$c]) } \@head, @table)[0] } 0 .. $#head;

	print "\n";
	for my $row (\@head, [ map { '-' x $_ } @width ], @table)
	{
		my $line = join('  ', map { sprintf($_ == 0 || $_ == 6 ? '%-*s' : '%*s', $width[$_], $row->[$_]) } 0 .. $#head);
		print $line =~ s/\s+$//r, "\n";
	}
	print "\n", map { "$_\n" } map { s/\s+$//r } @remarks;
	return;
}

# The sides of a comparison one after the other, in another order each round, a CHECKPOINT before each.
sub alternate
{
	my ($round, @sides) = @_;
	my @figures;

	for my $n (map { ($_ + $round) % @sides } 0 .. $#sides)
	{
		Bench::sql('postgres', 'CHECKPOINT');
		$figures[$n] = $sides[$n]->();
		print '.';
	}
	return \@figures;
}

sub must_be
{
	my ($what, $got, $wanted) = @_;
	die "$what: $got, should be $wanted\n" if $got ne $wanted;
	return;
}

# ---- HTTP steps ----

sub http_case
{
	my (@rounds, @whole, @insert);
	my $n = $size{http};

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'orders.sql', 'http_setup.sql');
		my $session = Bench::Session->new('bench');
		$session->run("INSERT INTO orders (id, customer, amount) SELECT -n, 'warm-up', 1 FROM generate_series(1, 2000) n");
		Bench::drain($session, 60);
		push(@rounds, alternate($round, sub { http_ours($session, $n, \@insert) }, \&http_bare));
		$session->end;
	}
	add_rates(sprintf('HTTP steps, %s rows in one INSERT', Bench::thousands($n)), 0.25, @rounds);
	push(@remarks, sprintf('HTTP steps with the INSERT itself (%s) counted in: %s.', seconds(map { $_->[0] } @insert),
			per_second(Bench::median(map { $n / $_->[1] } @insert))));
	return;
}

sub seconds
{
	return sprintf('%.2f s', Bench::median(@_));
}

sub http_ours
{
	my ($session, $n, $insert) = @_;
	my $requests = Bench::nginx_requests();
	my $ended = $session->run("SELECT count(*) FROM workflow.history WHERE outcome = 'SUCCESS'");
	my $begin = time;

	$session->run("BEGIN; INSERT INTO orders (id, customer, amount)"
		  . " SELECT n, 'customer ' || n, n % 1000 FROM generate_series(1, $n) n");
	my $commit = time;
	$session->run('COMMIT');
	Bench::drain($session, 60 + $n / 500);
	my $end = time;

	must_be('requests at nginx', Bench::nginx_requests() - $requests, $n);
	must_be('visits ended SUCCESS', $session->run("SELECT count(*) FROM workflow.history WHERE outcome = 'SUCCESS'"),
		$ended + $n);
	push(@$insert, [ $commit - $begin, $end - $begin ]);
	return $n / ($end - $commit);
}

sub http_bare
{
	my $command = Bench::program('bare_http') . ' ' . Bench::url() . '/charges';
	qx($command 2000 $concurrency);
	my $answer = qx($command $size{http} $concurrency);

	$answer =~ /failed 0 .*rate (\d+)/ or die "bare_http: $answer\n";
	return $1;
}

# ---- complete() and start() ----

# Two sets of baseline tables: for the transaction of single statements, and for the one statement.
sub make_baselines
{
	Bench::sql('bench', Bench::statements('plain.sql'));
	Bench::sql('bench', 'ALTER SCHEMA plain RENAME TO strict');
	Bench::sql('bench', Bench::statements('plain.sql'));
	return;
}

# Rounds are [ours, transaction, one statement].
sub add_both_rates
{
	my ($title, $wanted, @rounds) = @_;
	add_rates("$title, $clients clients", $wanted, map { [ @$_[0, 1] ] } @rounds);
	add_rates("  against a single statement", undef, map { [ @$_[0, 2] ] } @rounds);
	return;
}

# Those of all visits, which were started one after the other: the first instance, and by how much visits are ahead.
sub serial_numbers
{
	my ($first, $offset, $gaps) = split(/\|/, Bench::sql('bench', 'SELECT min(instance), min(visit - instance),'
			  . ' (max(instance) - min(instance) + 1 - count(*)) + (max(visit - instance) - min(visit - instance))'
			  . ' FROM workflow_data.visit'));
	must_be('gaps in the serial numbers', $gaps, 0);
	return ($first, $offset);
}

sub complete_case
{
	my $warm = int($size{transactions} / 20);
	my $per_client = $warm + $size{transactions};
	my $n = $clients * $per_client;
	my @rounds;

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'wait_setup.sql');
		Bench::sql('bench', "SELECT count(workflow.start('wait', jsonb_build_object('customer', 'Ann Example', 'amount', n)))"
			  . " FROM generate_series(1, $n) n");
		my ($first, $offset) = serial_numbers();
		make_baselines();
		for my $table (qw(instance visit))
		{
			Bench::sql('bench', "INSERT INTO $_.$table SELECT * FROM workflow_data.$table") for qw(plain strict);
			Bench::sql('bench', "VACUUM (ANALYZE) $_.$table") for qw(workflow_data plain strict);
		}

		my %define = (first_instance => $first - 1, visit_offset => $offset, per_client => $per_client);
		my $side = sub {
			my ($script) = @_;
			Bench::pgbench('bench', $script, transactions => $warm, define => { %define, i => 0 });
			return Bench::pgbench('bench', $script, transactions => $size{transactions}, define => { %define, i => $warm });
		};
		push(@rounds, alternate($round, sub { $side->('complete.sql') }, sub { $side->('complete_plain.sql') },
				sub { $side->('complete_strict.sql') }));
		for my $table (qw(instance_history visit_history))
		{
			must_be("rows in $_.$table", Bench::sql('bench', "SELECT count(*) FROM $_.$table WHERE instance >= $first"), $n)
			  for qw(workflow_data plain strict);
		}
	}
	add_both_rates('complete()', 0.6, @rounds);
	return;
}

sub start_case
{
	my @rounds;

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'wait_setup.sql');
		make_baselines();
		my $side = sub {
			my ($script) = @_;
			Bench::pgbench('bench', $script, seconds => 1);
			return Bench::pgbench('bench', $script, seconds => $size{seconds});
		};
		push(@rounds, alternate($round, sub { $side->('start.sql') }, sub { $side->('start_plain.sql') },
				sub { $side->('start_strict.sql') }));
	}
	add_both_rates('start()', 0.6, @rounds);
	return;
}

# ---- bulk start ----

sub bulk_case
{
	my $n = $size{bulk};
	my $insert = Bench::statements('bulk.sql');
	my $plain = Bench::statements('bulk_plain.sql');
	my @rounds;

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'orders.sql', 'wait_setup.sql');
		Bench::sql('bench', "SELECT workflow.attach('orders', 'wait')");
		Bench::sql('bench', Bench::statements('plain.sql'));
		my $session = Bench::Session->new('bench');
		my $side = sub {
			my ($sql) = @_;
			$sql =~ s/:n\b/$n/g;
			my $begin = time;
			$session->run("BEGIN;\n$sql;\nCOMMIT");
			return $n / (time - $begin);
		};

		# the warm-up also makes the rows that the baseline writes
		$side->($insert);
		Bench::sql('bench', Bench::statements('capture.sql'));
		push(@rounds, alternate($round, sub { $side->($insert) }, sub { $side->($plain) }));
		for my $table (qw(workflow_data.instance workflow_data.visit plain.instance plain.visit plain_orders))
		{
			must_be("rows in $table", $session->run("SELECT count(*) FROM $table"), $n);
		}
		$session->end;
	}
	add_rates(sprintf('bulk start, %s rows in one INSERT', Bench::thousands($n)), 0.35, @rounds);
	return;
}

# ---- rows that change ----

# An UPDATE of all rows, what changes in them merged into the data of their instances; by hand with one statement more.
sub rows_case
{
	my $n = $size{bulk};
	my ($update, $plain) = map { Bench::statements($_) } 'rows.sql', 'rows_plain.sql';
	my @rounds;

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'orders.sql', 'wait_setup.sql');
		Bench::sql('bench', "SELECT workflow.attach('orders', 'wait', on_update => 'set_data')");
		Bench::sql('bench', Bench::statements('plain.sql'));
		my $session = Bench::Session->new('bench');
		my $side = sub {
			my ($sql) = @_;
			my $begin = time;
			$session->run("BEGIN;\n$sql;\nCOMMIT");
			return $n / (time - $begin);
		};

		$session->run(Bench::statements('bulk.sql') =~ s/:n\b/$n/gr);
		$session->run('INSERT INTO plain_orders SELECT * FROM orders; INSERT INTO plain.instance SELECT * FROM workflow_data.instance');
		Bench::sql('bench', 'VACUUM (ANALYZE) orders, plain_orders, plain.instance, workflow_data.instance');
		push(@rounds, alternate($round, sub { $side->($update) }, sub { $side->($plain) }));
		for my $table (qw(workflow_data.instance plain.instance))
		{
			must_be("rows in $table that have changed", $session->run("SELECT count(*) FROM $table WHERE (data ->> 'amount')::numeric > 1000"), $n);
		}
		$session->end;
	}
	add_rates(sprintf('UPDATE of %s attached rows', Bench::thousands($n)), 0.5, @rounds);
	return;
}

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
		wait_for_partitions('bench');
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
		wait_for_partitions('bench');
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
			return Bench::pgbench('bench', $_[0], transactions => $n * $size{branches} / $clients, define => { i => 0 });
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
	wait_for_partitions('bench');
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
	push(@remarks, 'Of an item, from the start of its list to its end, divided by their number: ' . join('; ', @lines) . '.');
	my ($most) = sort { $b <=> $a } map { $after{$_} - ($before{$_} // 0) } keys %after;
	push(@remarks, sprintf('Memory of a worker has grown by %.0f MB at most, and is %.0f MB at most.', $most / 1024, (sort { $b <=> $a } values %after)[0] / 1024));
	return;
}

# ---- from commit to request ----

# What wakeup.c gives in one of its modes, in us: until the request, until the COMMIT was answered, a NOTIFY round trip.
sub wakeup
{
	my ($port, $mode) = @_;
	my $wakeup = Bench::program('wakeup');
	my $answer = qx($wakeup dbname=bench $port $size{wakeup} $mode);

	$answer =~ /^request (\d+) p90 \d+ commit (\d+) notify (\d+)/ or die "wakeup: no figures\n";
	return [ $1, $2, $3 ];
}

# A fresh database for it, whose processes call it at the port.
sub wakeup_database
{
	my $port = Bench::free_port();

	Bench::fresh_database('bench');
	Bench::sql('bench', Bench::statements('wakeup_setup.sql'), url => "http://127.0.0.1:$port");
	return $port;
}

sub wakeup_case
{
	my (@rounds, @commit);

	for my $round (1 .. $size{rounds})
	{
		my $port = wakeup_database();
		my ($figures) = @{ alternate($round, sub { wakeup($port, 'complete') }) };
		push(@rounds, [ @$figures[0, 2] ]);
		push(@commit, $figures->[1]);
	}
	add_costs("COMMIT of complete() to the next request, $size{wakeup} rounds", 'us', 5.00, @rounds);
	push(@remarks, sprintf('From COMMIT to the request: %.0f us of it until the COMMIT itself was answered; the baseline is a'
			. ' NOTIFY round trip.', Bench::median(@commit)));
	return;
}

# ---- calls that are carried out later ----

# Starts by 8 clients, from the first call until nothing lives any more: who has called asynchronously is told by then, what was called
# at once has posted the same by itself.
sub async_case
{
	my $n = $size{async};
	my (@rounds, @calls);

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'async_setup.sql');
		my $session = Bench::Session->new('bench');
		my $side = sub {
			my ($script) = @_;
			my $requests = Bench::nginx_requests();
			my $begin = time;
			my $calls = Bench::pgbench('bench', $script, transactions => $n / $clients, define => { callback_url => Bench::url() . '/charges' });
			my $pending = "SELECT count(*) FROM workflow_data.delivery WHERE kind IN ('operation', 'rest')";
			sleep(0.02) while $session->run($pending) > 0;
			Bench::drain($session, 60 + $n / 100);
			my $end = time;
			must_be('requests at nginx', Bench::nginx_requests() - $requests, $n);
			return [ $n / ($end - $begin), $calls ];
		};
		$side->($_) for 'async.sql', 'async_plain.sql';
		my ($ours, $plain) = @{ alternate($round, sub { $side->('async.sql') }, sub { $side->('async_plain.sql') }) };
		push(@rounds, [ $ours->[0], $plain->[0] ]);
		push(@calls, [ $ours->[1], $plain->[1] ]);
		must_be('callbacks that were sent', $session->run("SELECT count(*) FROM workflow.operations WHERE callback_state = 'sent'"), 2 * $n);
		$session->end;
	}
	add_rates(sprintf('%s asynchronous starts, each told of', Bench::thousands($n)), undef, @rounds);
	add_rates('  the calls themselves', undef, @calls);
	push(@remarks, 'The baseline of asynchronous starts is starts at once, by as many clients, of a process that posts the same.');
	return;
}

# ---- messages ----

sub message_case
{
	my (@message, @kept);
	my @commit = ([], [], []);

	for my $round (1 .. $size{rounds})
	{
		my $port = wakeup_database();
		my $sides = alternate($round, map { my $mode = $_; sub { wakeup($port, $mode) } } qw(message kept complete));
		my ($message, $kept, $complete) = map { $_->[0] } @$sides;
		push(@message, [ $message, $complete ]);
		push(@kept, [ $kept, $complete ]);
		push(@{ $commit[$_] }, $sides->[$_][1]) for 0 .. 2;
	}
	add_costs("COMMIT of send_message() to the next request, $size{wakeup} rounds", 'us', 2.00, @message);
	add_costs('  COMMIT of a wait for which it is kept', 'us', 4.00, @kept);
	push(@remarks, sprintf('The baseline is from COMMIT of complete() to the next request. Until the COMMIT itself was answered:'
			. ' %.0f us of send_message(), %.0f us of the wait, %.0f us of complete().', map { Bench::median(@$_) } @commit));
	return;
}

sub messages_case
{
	my $warm = int($size{transactions} / 20);
	my $per_client = $warm + $size{transactions};
	my $n = $clients * $per_client;
	my @rounds;

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'messages_setup.sql');
		Bench::sql('bench', "SELECT count(workflow.start('callback', jsonb_build_object('id', n))) FROM generate_series(1, $n) n");
		my ($first, $offset) = serial_numbers();
		Bench::sql('bench', "SELECT count(workflow.start('message', jsonb_build_object('id', n))) FROM generate_series(1, $n) n");
		Bench::sql('bench', 'VACUUM (ANALYZE) workflow_data.instance, workflow_data.visit, workflow_data.subscription');

		my %define = (first_instance => $first - 1, visit_offset => $offset, per_client => $per_client);
		my $side = sub {
			my ($script) = @_;
			Bench::pgbench('bench', $script, transactions => $warm, define => { %define, i => 0 });
			return Bench::pgbench('bench', $script, transactions => $size{transactions}, define => { %define, i => $warm });
		};
		push(@rounds, alternate($round, sub { $side->('send_message.sql') }, sub { $side->('complete.sql') }));
		must_be('instances that have completed', completed(), "callback $n, message $n");
	}
	add_rates("send_message(), $clients clients, beside complete()", 0.60, @rounds);
	return;
}

# How many of each process.
sub completed
{
	return Bench::sql('bench', "SELECT string_agg(process || ' ' || n, ', ' ORDER BY process) FROM (SELECT process, count(*) AS n"
		  . " FROM workflow.instances WHERE status = 'completed' AND process <> 'nothing' GROUP BY process) AS c");
}

# ---- work that is fetched ----

# How many pieces of work a second so many clients fetch and complete, one at a time.
sub pull_rounds
{
	my ($pullers) = @_;
	my $each = int($size{pull} / $pullers) || 1;
	my $n = 2 * $pullers * ($each + 2);
	my @rounds;

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'pull_setup.sql');
		Bench::sql('bench', "SELECT count(workflow.start('pull', jsonb_build_object('id', n))) FROM generate_series(1, $n) n");
		Bench::sql('bench', "INSERT INTO jobs (topic, data) SELECT 'bench', jsonb_build_object('id', n) FROM generate_series(1, $n) n");
		Bench::sql('bench', 'VACUUM (ANALYZE)');
		my $side = sub {
			my ($script) = @_;
			Bench::pgbench('bench', $script, clients => $pullers, transactions => 2);
			return Bench::pgbench('bench', $script, clients => $pullers, transactions => $each);
		};
		push(@rounds, alternate($round, sub { $side->('pull.sql') }, sub { $side->('pull_plain.sql') }));
		# what another fetcher had locked is deleted by upkeep
		must_be('pieces of work that are left', Bench::sql('bench', 'SELECT count(*) FROM workflow_data.work w'
			  . ' WHERE NOT EXISTS (SELECT FROM workflow_data.work_note n WHERE n.work = w.work AND n.gone)'), $n / 2);
	}
	return @rounds;
}

sub pull_case
{
	add_rates('fetch() and complete(), 16 clients', 0.30, pull_rounds(16));
	add_rates('  250 clients', 0.30, pull_rounds(250));
	push(@remarks, 'The baseline of fetch() is a table of jobs from which clients take one by SKIP LOCKED and delete it, in order, as graphile-worker'
		  . ' and pg-boss do: without history, instances, steps or rights.');
	return;
}

# ---- a signal to very many ----

# How long a side takes while 2 clients complete instances, in seconds, and how many a second they complete meanwhile.
sub beside_clients
{
	my ($session, $side) = @_;
	my $pid = Bench::pgbench_begin('bench', 'complete_others.sql', 2);

	sleep(0.5);
	my $taken = $session->run('SELECT last_value FROM taken_seq');
	my $seconds = eval { $side->() };
	my $error = $@;
	$taken = $session->run('SELECT last_value FROM taken_seq') - $taken if !$error;
	Bench::pgbench_end($pid);
	die $error if $error;
	die "too few instances for the clients\n"
	  if $session->run('SELECT last_value > (SELECT max(n) FROM open_of_clients) FROM taken_seq') eq 't';
	return [ $seconds, $taken / $seconds ];
}

# From COMMIT until all that waited have gone on.
sub signal_all
{
	my ($session) = @_;
	my $limit = time + 60 + $size{signal} / 200;

	$session->run(q(BEGIN; SELECT workflow.send_signal('go', '{"receipt": "R-17"}')));
	my $commit = time;
	$session->run('COMMIT');
	# the highest number goes last, and an index answers that whatever died before
	while ($session->run('SELECT max(subscription) FROM workflow_data.subscription') ne '')
	{
		die "instances that the signal does not reach\n" if time > $limit;
		sleep(0.02);
	}
	return time - $commit;
}

sub complete_chunks
{
	my ($session) = @_;
	my $begin = time;

	$session->run(Bench::statements('complete_chunks.sql') =~ s/:n\b/$size{signal}/gr);
	return time - $begin;
}

sub signal_case
{
	my $n = $size{signal};
	my $others = 20_000 + $n;
	my (@receivers, @clients);

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'messages_setup.sql');
		my $session = Bench::Session->new('bench');
		$session->run("SELECT count(workflow.start('callback')) FROM generate_series(1, $n + $others)");
		$session->run("INSERT INTO open_of_chunks (serial_number) SELECT serial_number FROM workflow.waiting ORDER BY instance LIMIT $n");
		$session->run("INSERT INTO open_of_clients (serial_number) SELECT serial_number FROM workflow.waiting ORDER BY instance OFFSET $n");
		$session->run("SELECT count(workflow.start('signal')) FROM generate_series(1, $n)");
		$session->run('VACUUM (ANALYZE)');
		my ($signal, $chunks, $alone) = @{ alternate($round,
			map { my $side = $_; sub { beside_clients($session, $side) } } sub { signal_all($session) },
			sub { complete_chunks($session) }, sub { sleep($size{seconds}); return $size{seconds} }) };
		push(@receivers, [ map { $n / $_->[0] } $signal, $chunks ]);
		push(@clients, [ map { $_->[1] } $signal, $alone ]);
		must_be('instances that have completed', completed() =~ s/^callback \d+, //r, "signal $n");
		$session->end;
	}
	add_rates(sprintf('a signal to %s that wait, 2 clients beside it', Bench::thousands($n)), 0.45, @receivers);
	add_rates('  complete() of these clients', 0.50, @clients);
	push(@remarks, 'The baseline of a signal is complete_many() of as many, 256 a transaction, beside 2 clients as well; that of the'
		  . ' clients is without a signal.');
	return;
}

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
	push(@remarks, 'The baseline of migrating and of rerun() is start() of as many that wait for a callback, in one statement.');
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
	push(@table, [
		sprintf('%s waiting visits, %d s', Bench::thousands($size{waiting}), $size{idle}),
		sprintf('%d wake-ups, %.1f ms', $switches, $cpu), '0', '', '', '0', $switches == 0 && $cpu < 1 ? 'ok' : 'MISSED' ]);
	push(@remarks, 'While waiting: ' . join('; ', @lines) . '.');
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
		bench_bare => '^(visit_state|instance_status|visit_waiting|visit_serial_number|.*_history_.*_(serial_number|ended_at|business_key)_idx)$');
	my @sides = qw(bench bench_counted bench_bare);
	my (@pairs, %session);

	for my $round (1 .. $size{rounds})
	{
		for my $database (@sides)
		{
			Bench::fresh_database($database, 'wait_setup.sql');
			wait_for_partitions($database);
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

# They are made by a worker.
sub wait_for_partitions
{
	my ($database) = @_;

	for (my $limit = time + 30; Bench::sql($database, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'workflow_data.instance_history'::regclass") < 5;)
	{
		die "no partitions\n" if time > $limit;
		sleep(0.1);
	}
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
	push(@table, [
		sprintf('a look at all of metrics, %s waiting', Bench::thousands($size{scrape})), sprintf('%.0f ms', $ours), sprintf('%.0f ms', $scan),
		sprintf('%.2f', $ours / $scan), sprintf('%.2f-%.2f', @ratios[0, -1]), '< 1000 ms', $ours < 1000 ? 'ok' : 'MISSED' ]);
	push(@remarks, 'The baseline of a look at metrics is one scan of the visits that counts them, and no instances.');
	return;
}
