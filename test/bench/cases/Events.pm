# cases/Events.pm
#	From commit to request; messages, signals, and work that is fetched.
package Events;

use strict;
use warnings;
use Bench;
use Figures;
use Time::HiRes qw(time sleep);

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
	remark(sprintf('From COMMIT to the request: %.0f us of it until the COMMIT itself was answered; the baseline is a'
			. ' NOTIFY round trip.', Bench::median(@commit)));
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
	remark(sprintf('The baseline is from COMMIT of complete() to the next request. Until the COMMIT itself was answered:'
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
		my ($first, $offset) = Bench::serial_numbers();
		Bench::sql('bench', "SELECT count(workflow.start('message', jsonb_build_object('id', n))) FROM generate_series(1, $n) n");
		Bench::sql('bench', 'VACUUM (ANALYZE) workflow_data.instance, workflow_data.visit, workflow_data.subscription');

		my %define = (first_instance => $first - 1, visit_offset => $offset, per_client => $per_client);
		my $side = sub {
			my ($script) = @_;
			Bench::pgbench('bench', $script, transactions => $warm, define => { %define, i => 0 });
			return pgbench_with_cpu('bench', $script, transactions => $size{transactions}, define => { %define, i => $warm });
		};
		push(@rounds, alternate($round, sub { $side->('send_message.sql') }, sub { $side->('complete.sql') }));
		must_be('instances that have completed', Bench::completed(), "callback $n, message $n");
	}
	add_rates("send_message(), $clients clients, beside complete()", 0.60, @rounds);
	return;
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
			return pgbench_with_cpu('bench', $script, clients => $pullers, transactions => $each);
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
	remark('The baseline of fetch() is a table of jobs from which clients take one by SKIP LOCKED and delete it, in order, as graphile-worker'
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
		must_be('instances that have completed', Bench::completed() =~ s/^callback \d+, //r, "signal $n");
		$session->end;
	}
	add_rates(sprintf('a signal to %s that wait, 2 clients beside it', Bench::thousands($n)), 0.45, @receivers);
	add_rates('  complete() of these clients', 0.50, @clients);
	remark('The baseline of a signal is complete_many() of as many, 256 a transaction, beside 2 clients as well; that of the'
		  . ' clients is without a signal.');
	return;
}

1;
