# cases/Calls.pm
#	What clients call, and rows that start and change instances, beside SQL that is written by hand.
package Calls;

use strict;
use warnings;
use Bench;
use Figures;
use Time::HiRes qw(time sleep);

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
		my ($first, $offset) = Bench::serial_numbers();
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
			return pgbench_with_cpu('bench', $script, transactions => $size{transactions}, define => { %define, i => $warm });
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
			return pgbench_with_cpu('bench', $script, seconds => $size{seconds});
		};
		push(@rounds, alternate($round, sub { $side->('start.sql') }, sub { $side->('start_plain.sql') },
				sub { $side->('start_strict.sql') }));
	}
	add_both_rates('start()', 0.6, @rounds);
	return;
}

# ---- one client, and a disk that costs nothing ----

# What a call itself costs, in pairs of short turns: nobody waits for another, or for the disk.
sub alone_case
{
	my $n = $size{alone};
	my $all = ($size{pairs} + 1) * $n;
	my (@complete, @start);
	my $round_of = sub {
		my ($round) = @_;
		Bench::fresh_database('bench', 'wait_setup.sql');
		Bench::wait_for_partitions('bench');
		Bench::sql('bench', "SELECT count(workflow.start('wait', jsonb_build_object('customer', 'Ann Example', 'amount', n)))"
			  . " FROM generate_series(1, $all) n");
		my ($first, $offset) = Bench::serial_numbers();
		make_baselines();
		for my $table (qw(instance visit))
		{
			Bench::sql('bench', "INSERT INTO strict.$table SELECT * FROM workflow_data.$table");
			Bench::sql('bench', "SELECT setval('strict.${table}_seq', max($table)) FROM workflow_data.$table");
			Bench::sql('bench', "VACUUM (ANALYZE) $_.$table") for qw(workflow_data strict);
		}

		my %define = (first_instance => $first - 1, visit_offset => $offset, per_client => $all);
		for my $pair (0 .. $size{pairs})
		{
			my $turns = sub {
				return take_turns($round + $pair, map { my $script = $_; sub {
					return pgbench_with_cpu('bench', $script, clients => 1, transactions => $n, define => { %define, i => $pair * $n });
				} } @_);
			};
			my $complete = $turns->('complete.sql', 'complete_strict.sql');
			my $start = $turns->('start.sql', 'start_strict.sql');
			# the first pair is the warm-up
			push(@complete, $complete) if $pair > 0;
			push(@start, $start) if $pair > 0;
		}
		must_be("instances in $_.instance_history", Bench::sql('bench', "SELECT count(*) FROM $_.instance_history WHERE instance >= $first"), $all)
		  for qw(workflow_data strict);
	};

	for my $round (1 .. $size{rounds})
	{
		Bench::with_settings({ fsync => 'off', autovacuum => 'off' }, sub { $round_of->($round) });
	}
	add_cpu('CPU of complete(), one client, fsync off, a single statement', 1 / 1.3, @complete);
	add_rates('  how many', undef, @complete);
	add_cpu('CPU of start(), one client, fsync off, a single statement', 1 / 1.3, @start);
	add_rates('  how many', undef, @start);
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
			return with_cpu($n, sub {
				my $begin = time;
				$session->run("BEGIN;\n$sql;\nCOMMIT");
				return $n / (time - $begin);
			});
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
	add_rates(sprintf('bulk start, %s rows in one INSERT', Bench::thousands($n)), 0.8, @rounds);
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
			return with_cpu($n, sub {
				my $begin = time;
				$session->run("BEGIN;\n$sql;\nCOMMIT");
				return $n / (time - $begin);
			});
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

1;
