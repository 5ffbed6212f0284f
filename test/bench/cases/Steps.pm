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
	add_rates(sprintf('HTTP steps, %s rows in one INSERT', Bench::thousands($n)), 0.25, @rounds);
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
	remark('The baseline of asynchronous starts is starts at once, by as many clients, of a process that posts the same.');
	return;
}

1;
