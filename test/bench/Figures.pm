# Figures.pm
#	What the cases in cases/*.pm share: their sizes, the two sides of a comparison, and the table of what came of it.
#
# Both sides of a case run on the same cluster, alternately, at the same concurrency, each after a warm-up and a CHECKPOINT;
# every round has a fresh database. A figure is the median of the rounds, a ratio that of the two medians, "range" the
# lowest and the highest ratio of a single round.
package Figures;

use strict;
use warnings;
use Bench;
use Exporter 'import';

our @EXPORT = qw(%size $concurrency $clients per_second add_rates add_costs add_row remark alternate must_be);

# ---- sizes ----

my %quick = (async => 1000, pull => 500, rounds => 1, http => 10_000, transactions => 1000, seconds => 3, bulk => 20_000, wakeup => 60, waiting => 20_000,
	signal => 5000, idle => 10, operations => 500, pairs => 4, scrape => 50_000, pure => 300, branches => 2, each => 1000,
	items => [ 1000, 5000 ]);
my %whole = (rounds => 3, async => 10_000, http => 50_000, transactions => 5000, seconds => 10, bulk => 100_000, wakeup => 200,
	waiting => 100_000, signal => 100_000, pull => 16_000, idle => 60, operations => 1000, pairs => 8, scrape => 1_000_000, pure => 1000, branches => 5, each => 10_000,
	items => [ 1000, 10_000, 100_000 ]);

our %size;
our $concurrency = 64;
our $clients = 8;
my (@table, @remarks);

sub choose_sizes
{
	my ($quick, $rounds) = @_;
	%size = $quick ? %quick : %whole;
	$size{rounds} = $rounds if $rounds;
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

	add_row(
		$title, per_second($ours), per_second($theirs), sprintf('%.2f', $ratio), sprintf('%.2f-%.2f', @ratios[0, -1]),
		defined($wanted) ? sprintf('>= %.2f', $wanted) : '',
		!defined($wanted) ? '(to compare)' : $ratio >= $wanted ? 'ok' : 'MISSED');
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

	add_row(
		$title, sprintf('%.0f %s', $ours, $unit), sprintf('%.0f %s', $theirs, $unit), sprintf('%.2f', $ratio),
		sprintf('%.2f-%.2f', @ratios[0, -1]), defined($wanted) ? sprintf('<= %.2f', $wanted) : '',
		!defined($wanted) ? '(to compare)' : $ratio <= $wanted ? 'ok' : 'MISSED');
	return;
}

sub add_row
{
	push(@table, [@_]);
	return;
}

# A line below the table.
sub remark
{
	push(@remarks, @_);
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

1;
