# cases/Sql.pm
#	SQL steps, from instances that are due to instances completed.
package Sql;

use strict;
use warnings;
use Bench;
use Figures;
use Time::HiRes qw(time);

# As many as there are executors.
my $sessions = 4;
my $steps = 5;

# The baseline does the same statements and row changes by hand, on tables of the same shape, a commit for each step: as statements of a
# client, and as a procedure that nobody has to talk to.
sub sql_case
{
	my $n = $size{sql};
	my (@rounds, @procedure);

	for my $round (1 .. $size{rounds})
	{
		Bench::fresh_database('bench', 'sql_setup.sql', 'plain.sql');
		Bench::wait_for_partitions('bench');
		Bench::sql('bench', Bench::statements('sql_plain_setup.sql'));
		my $session = Bench::Session->new('bench');
		sql_ours($session, 200);
		my ($ours, $plain, $procedure) = @{
			alternate($round, map { my $side = $_; sub { with_cpu($steps * $n, sub { $side->($session, $n) }) } } \&sql_ours, \&sql_plain, \&sql_procedure) };
		push(@rounds, [ $ours, $plain ]);
		push(@procedure, [ $ours, $procedure ]);
		must_be('steps in the history', $session->run("SELECT count(*) FROM workflow.history WHERE outcome = 'SUCCESS'"), $steps * ($n + 201));
		must_be('steps by hand', $session->run('SELECT count(*) FROM plain.visit_history'), 2 * $steps * $n);
		must_be('instances by hand', $session->run('SELECT count(*) FROM plain.instance_history'), 2 * $n);
		$session->end;
	}
	add_rates(sprintf('five SQL steps of %s instances, steps', Bench::thousands($n)), 1.5, @rounds);
	add_rates('  against a procedure', undef, @procedure);
	return;
}

sub sql_ours
{
	my ($session, $n) = @_;

	$session->run("BEGIN; SELECT count(workflow.start('five')) FROM generate_series(1, $n)");
	my $begin = time;
	$session->run('COMMIT');
	Bench::drain($session, 60 + $n / 50);
	return $steps * $n / (time - $begin);
}

# Instances that are due for those who do it by hand; the first of them.
sub begin_plain
{
	my ($session, $n) = @_;
	return $session->run("SELECT plain.begin($n)");
}

sub sql_plain
{
	my ($session, $n) = @_;
	my $first = begin_plain($session, $n);
	my %define = (first_instance => $first - 1, per_client => $n / $sessions, i => 0);
	my ($rate) = Bench::pgbench('bench', 'sql_plain.sql', clients => $sessions, transactions => $n / $sessions, define => \%define);
	return $steps * $rate;
}

sub sql_procedure
{
	my ($session, $n) = @_;
	my $first = begin_plain($session, $n);
	my $share = $n / $sessions;
	my @sessions = map { Bench::Session->new('bench') } 1 .. $sessions;
	my $begin = time;

	for my $i (0 .. $#sessions)
	{
		my $in = $sessions[$i]{in};
		printf $in "CALL plain.work(%d, %d);\n", $first + $i * $share, $first + ($i + 1) * $share - 1;
		$in->flush;
	}
	$_->run('SELECT 1') for @sessions;
	my $took = time - $begin;
	$_->end for @sessions;
	return $steps * $n / $took;
}

1;
