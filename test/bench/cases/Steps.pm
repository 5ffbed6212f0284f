# cases/Steps.pm
#	Steps that call out, from rows in to instances completed.
package Steps;

use strict;
use warnings;
use Bench;
use Figures;
use Time::HiRes qw(time sleep);

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
	add_rates(sprintf('HTTP steps, %s rows in one INSERT', Bench::thousands($n)), 0.6, @rounds);
	remark(sprintf('HTTP steps with the INSERT itself (%s) counted in: %s.', seconds(map { $_->[0] } @insert),
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
	my $cpu = Bench::cluster_cpu();
	my $commit = time;
	$session->run('COMMIT');
	Bench::drain($session, 60 + $n / 500);
	my $end = time;

	$cpu = Bench::cluster_cpu() - $cpu;
	must_be('requests at nginx', Bench::nginx_requests() - $requests, $n);
	must_be('visits ended SUCCESS', $session->run("SELECT count(*) FROM workflow.history WHERE outcome = 'SUCCESS'"),
		$ended + $n);
	push(@$insert, [ $commit - $begin, $end - $begin ]);
	return { figure => $n / ($end - $commit), cpu => $cpu * 1e6 / $n };
}

sub http_bare
{
	my $command = Bench::program('bare_http') . ' ' . Bench::url() . '/charges';
	qx($command 2000 $concurrency);
	my $answer = qx($command $size{http} $concurrency);

	$answer =~ /failed 0 .*rate (\d+) cpu ([\d.]+)/ or die "bare_http: $answer\n";
	return { figure => $1, cpu => $2 };
}

# ---- HTTP steps that wait for their callback ----

# Clients that complete what waits for its callback, in order, from an instance on; until they are stopped.
sub complete_what_waits
{
	my ($script, $n, $first, $offset) = @_;
	return Bench::pgbench_begin('bench', $script, $clients,
		{ first => $first, visit_offset => $offset, per_client => $n / $clients, i => 0, known => 0 });
}

# Instances a second, CPU time and WAL of one, from what starts them to the end of the last one.
sub waits_measured
{
	my ($n, $code) = @_;
	my ($wal, $cpu, $begin) = (Bench::wal_position(), Bench::cluster_cpu(), time);

	my $more_cpu = $code->();
	my $end = time;
	$cpu = (Bench::cluster_cpu() - $cpu) * 1e6 / $n + $more_cpu;
	return { figure => $n / ($end - $begin), cpu => $cpu, wal => (Bench::wal_position() - $wal) / $n };
}

sub waits_ours
{
	my ($session, $n, $start) = @_;
	my $measured = waits_measured($n, sub {
		$session->run("BEGIN; $start");
		my ($first, $offset) = Bench::serial_numbers($session);
		$session->run('COMMIT');
		my $pid = complete_what_waits('waits_complete.sql', $n, $first, $offset);
		Bench::drain($session, 60 + $n / 500);
		Bench::pgbench_end($pid);
		return 0;
	});
	must_be('callbacks that ended an instance',
		$session->run("SELECT count(*) FROM workflow.history WHERE outcome = 'SUCCESS' AND result -> 'callback_response' ->> 'receipt' = 'R-17'"), $n);
	return $measured;
}

# By hand the rows are written in as few transactions, and the requests, which have nothing to do with them, are made meanwhile.
sub waits_plain
{
	my ($session, $n, $start) = @_;
	my $updater = Bench::Session->new('bench');
	my $measured = waits_measured($n, sub {
		$session->run("BEGIN; $start; COMMIT");
		my ($first, $offset) = split(/\|/, $session->run('SELECT min(instance), min(visit - instance) FROM strict.visit'));
		my $requests = Bench::program('bare_http') . ' ' . Bench::url() . "/charges $n $concurrency";
		open(my $bare, '-|', $requests) or die "bare_http: $!\n";
		my $pid = complete_what_waits('waits_complete_plain.sql', $n, $first, $offset);
		$updater->run(Bench::statements('waits_replies_plain.sql') =~ s/:first\b/$first/gr =~ s/:n\b/$n/gr);
		my $answer = do { local $/; <$bare> };
		close($bare);
		for (my $limit = time + 60 + $n / 500; $session->run('SELECT max(instance) FROM strict.instance') ne ''; sleep(0.02))
		{
			die "rows that are not completed by hand\n" if time > $limit;
		}
		Bench::pgbench_end($pid);
		return $answer =~ /failed 0 .* cpu ([\d.]+)/ ? $1 : die "bare_http: $answer\n";
	});
	$updater->end;
	must_be('rows in the history by hand', $session->run('SELECT count(*) FROM strict.visit_history'), $n);
	return $measured;
}

# Rounds of both sides, with the statements that start them.
sub waits_rounds
{
	my ($n, $start, $plain) = @_;
	my @rounds;

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'orders.sql', 'wait_setup.sql', 'waits_setup.sql');
		Bench::wait_for_partitions('bench');
		Bench::sql('bench', Bench::statements('plain.sql') . 'ALTER SCHEMA plain RENAME TO strict');
		my $session = Bench::Session->new('bench');
		my ($ours, $by_hand) = map { Bench::statements($_) =~ s/:n\b/$n/gr } $start, $plain;
		push(@rounds, alternate($round, sub { waits_ours($session, $n, $ours) }, sub { waits_plain($session, $n, $by_hand) }));
		$session->end;
	}
	return @rounds;
}

sub waits_case
{
	my $n = $size{waits};

	add_rates(sprintf('HTTP steps that wait, %s rows in, %d clients complete() them', Bench::thousands($n), $clients), 0.5,
		waits_rounds($n, 'bulk.sql', 'waits_bulk_plain.sql'));
	remark('The baseline of HTTP steps that wait is the same rows by hand, replies 256 a transaction, from a session and as many clients, with the bare'
		  . ' libcurl program beside them.');
	return;
}

# Pages are not written whole into the WAL, which would count what a checkpoint costs and not what a step does.
sub wal_case
{
	my $n = $size{wal};
	my @rounds;

	Bench::with_settings({ full_page_writes => 'off', autovacuum => 'off' },
		sub { @rounds = waits_rounds($n, 'waits_start.sql', 'waits_start_plain.sql') });
	add_costs('WAL of an HTTP step with its wait, one instance of ' . Bench::thousands($n), 'bytes', 1.2, Figures::parts('wal', @rounds));
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
			my $cpu = Bench::cluster_cpu();
			my $begin = time;
			my $calls = Bench::pgbench('bench', $script, transactions => $n / $clients, define => { callback_url => Bench::url() . '/charges' });
			my $pending = "SELECT count(*) FROM workflow_data.delivery WHERE kind IN ('operation', 'rest')";
			sleep(0.02) while $session->run($pending) > 0;
			Bench::drain($session, 60 + $n / 100);
			my $end = time;
			$cpu = Bench::cluster_cpu() - $cpu;
			must_be('requests at nginx', Bench::nginx_requests() - $requests, $n);
			return [ { figure => $n / ($end - $begin), cpu => $cpu * 1e6 / $n }, $calls ];
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
	remark('The baseline of asynchronous starts is starts at once, by as many clients, of a process that posts the same.');
	return;
}

1;
