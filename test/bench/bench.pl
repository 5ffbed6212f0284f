# bench.pl: runs cases and prints the table; test/bench/run starts it when cluster and nginx are there.
#
# cases/index says which cases there are, and in which file each is; NAME is the function NAME_case there. Figures.pm says
# what a figure is.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin, "$FindBin::RealBin/cases";
use Bench;
use Figures;
use Getopt::Long;
use IO::Handle;
use Time::HiRes qw(time);

my ($quick, $rounds);
my @index = map { [ split ] } grep { /^\w/ } split(/\n/, Bench::slurp("$FindBin::RealBin/cases/index"));
my %file = map { $_->[0] => $_->[1] } @index;

STDOUT->autoflush(1);
GetOptions('quick' => \$quick, 'rounds=i' => \$rounds) && !grep { !$file{$_} } @ARGV
  or die "usage: test/bench/run [--quick] [--rounds N] [@{[ sort keys %file ]}]\n";
Figures::choose_sizes($quick, $rounds);

$SIG{INT} = $SIG{TERM} = sub { die "interrupted\n" };
describe();

my $broken = 0;
for my $name (@ARGV ? @ARGV : map { $_->[0] } grep { $_->[2] eq 'all' } @index)
{
	print "$name ";
	my $began = time;
	if (!eval { run_case($name); 1 })
	{
		die $@ if $@ eq "interrupted\n";
		$broken = 1;
		add_row($name, '-', '-', '-', '-', '-', 'could not run');
		remark("$name could not run: " . join("\n", grep { defined } (split(/\n/, $@))[ 0 .. 2 ]));
	}
	printf " %.0f s\n", time - $began;
}
Figures::print_table();
exit($broken);

sub run_case
{
	my ($name) = @_;

	require "$file{$name}.pm";
	$file{$name}->can("${name}_case")->();
	return;
}

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
