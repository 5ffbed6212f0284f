# Figures.pm
#	What the cases in cases/*.pm share: their sizes, the two sides of a comparison, and the table of what came of it.
#
# Both sides of a case run on the same cluster, alternately, at the same concurrency, each after a warm-up and a CHECKPOINT;
# every round has a fresh database. A figure is the median of the rounds, a ratio that of the two medians, "range" the
# lowest and the highest ratio of a single round. Rates on a machine that is busy with other things vary by much more than
# what an operation costs; so beside them stands, where it can be told, the CPU time of the server's processes for each
# operation, and of what else a side needs. Of that, what both sides call (nginx, pgbench) is no part.
package Figures;

use strict;
use warnings;
use Bench;
use Exporter 'import';

our @EXPORT = qw(%size $concurrency $clients per_second add_rates add_costs add_cpu add_row remark with_cpu pgbench_with_cpu take_turns alternate must_be);

# ---- sizes ----

my %quick = (async => 1000, pull => 500, rounds => 1, http => 10_000, transactions => 1000, seconds => 3, bulk => 20_000, wakeup => 60, waiting => 20_000,
	signal => 5000, idle => 10, operations => 500, pairs => 4, scrape => 50_000, pure => 300, branches => 2, each => 1000,
	items => [ 1000, 5000 ], alone => 1000, waits => 5000, wal => 2000, large => [ 10_000, 50_000 ], sql => 2000);
my %whole = (rounds => 3, async => 10_000, http => 50_000, transactions => 5000, seconds => 10, bulk => 100_000, wakeup => 200,
	waiting => 100_000, signal => 100_000, pull => 16_000, idle => 60, operations => 1000, pairs => 8, scrape => 1_000_000, pure => 1000, branches => 5, each => 10_000,
	items => [ 1000, 10_000, 100_000 ], alone => 2000, waits => 30_000, wal => 10_000, large => [ 10_000, 3_000_000 ], sql => 10_000);

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

# What a side gives, with the CPU time that the server's processes take meanwhile for each of so many operations, in us.
sub with_cpu
{
	my ($n, $side) = @_;
	my $cpu = Bench::cluster_cpu();
	my $figure = $side->();
	return { figure => $figure, cpu => (Bench::cluster_cpu() - $cpu) * 1e6 / $n };
}

# Transactions per second of pgbench, with their CPU time.
sub pgbench_with_cpu
{
	my $cpu = Bench::cluster_cpu();
	my ($rate, $n) = Bench::pgbench(@_);
	return { figure => $rate, cpu => (Bench::cluster_cpu() - $cpu) * 1e6 / $n };
}

# Of rounds, which are [ours, baseline], the parts of that name: each is a figure, or has one and CPU time beside it.
sub parts
{
	my ($part, @rounds) = @_;
	return map { [ map { ref ? $_->{$part} : $part eq 'figure' ? $_ : undef } @$_ ] } @rounds;
}

# The two medians, their ratio, and the range of that; of figures that not every side has, nothing.
sub compare
{
	my @rounds = @_;

	return if grep { !defined } map { @$_[0, 1] } @rounds;
	my $ours = Bench::median(map { $_->[0] } @rounds);
	my $theirs = Bench::median(map { $_->[1] } @rounds);
	my @ratios = sort { $a <=> $b } map { $_->[0] / $_->[1] } @rounds;
	return ($ours, $theirs, $ours / $theirs, sprintf('%.2f-%.2f', @ratios[0, -1]));
}

sub add_compared
{
	my ($title, $shape, $wanted, $holds, @rounds) = @_;
	my ($ours, $theirs, $ratio, $range) = compare(parts('figure', @rounds));
	my ($cpu_ours, $cpu_theirs, $cpu_ratio) = compare(parts('cpu', @rounds));
	my @cpu = defined($cpu_ours) ? (sprintf('%.0f us', $cpu_ours), sprintf('%.0f us', $cpu_theirs), sprintf('%.2f', $cpu_ratio)) : ();

	add_row(
		$title, $shape->($ours), $shape->($theirs), sprintf('%.2f', $ratio), $range, $wanted // '',
		!defined($wanted) ? '(to compare)' : $holds->($ratio) ? 'ok' : 'MISSED', @cpu);
	return;
}

# A row of rates: the more the better.
sub add_rates
{
	my ($title, $wanted, @rounds) = @_;
	add_compared($title, \&per_second, defined($wanted) ? sprintf('>= %.2f', $wanted) : undef, sub { $_[0] >= $wanted }, @rounds);
	return;
}

# A row of costs: the less the better.
sub add_costs
{
	my ($title, $unit, $wanted, @rounds) = @_;
	add_compared($title, sub { sprintf('%.0f %s', $_[0], $unit) }, defined($wanted) ? sprintf('<= %.2f', $wanted) : undef,
		sub { $_[0] <= $wanted }, @rounds);
	return;
}

# A row of the CPU time of what has rates: the less the better.
sub add_cpu
{
	my ($title, $wanted, @rounds) = @_;
	add_costs($title, 'us', $wanted, parts('cpu', @rounds));
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
	my @head = ('case', 'ours', 'baseline', 'ratio', 'range', 'wanted', 'verdict', 'CPU', 'baseline', 'ratio');
	my @width = map { my $c = $_; (sort { $b <=> $a } map { length($_->[$c] // '') } \@head, @table)[0] } 0 .. $#head;

	print "\n";
	for my $row (\@head, [ map { '-' x $_ } @width ], @table)
	{
		my $line = join('  ', map { sprintf($_ == 0 || $_ == 6 ? '%-*s' : '%*s', $width[$_], $row->[$_] // '') } 0 .. $#head);
		print $line =~ s/\s+$//r, "\n";
	}
	print "\n", map { "$_\n" } map { s/\s+$//r } @remarks;
	return;
}

# The sides of a comparison one after the other, in another order each round.
sub take_turns
{
	my ($round, @sides) = @_;
	my @figures;

	for my $n (map { ($_ + $round) % @sides } 0 .. $#sides)
	{
		$figures[$n] = $sides[$n]->();
		print '.';
	}
	return \@figures;
}

# The same, a CHECKPOINT before each.
sub alternate
{
	my ($round, @sides) = @_;
	return take_turns($round, map { my $side = $_; sub { Bench::sql('postgres', 'CHECKPOINT'); $side->() } } @sides);
}

sub must_be
{
	my ($what, $got, $wanted) = @_;
	die "$what: $got, should be $wanted\n" if $got ne $wanted;
	return;
}

1;
