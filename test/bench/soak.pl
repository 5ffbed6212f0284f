# soak.pl: runs HTTP steps in ten rounds and looks at the memory of each worker after each; test/bench/soak starts it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Bench;
use IO::Handle;
use Time::HiRes qw(time sleep);

my $rounds = 10;
my $allowed = 512;
my ($steps) = @ARGV;
my $per_round = int($steps / $rounds);
my (%first, %last, %kind);

STDOUT->autoflush(1);
die "usage: test/bench/soak [STEPS]\n" if $per_round < 1;
Bench::fresh_database('soak', 'orders.sql', 'soak_setup.sql');
my $session = Bench::Session->new('soak');

for my $round (1 .. $rounds)
{
	my $began = time;
	my ($from, $to) = (($round - 1) * $per_round + 1, $round * $per_round);

	$session->run("INSERT INTO orders (id, customer, amount) SELECT n, 'customer ' || n, n % 1000"
		  . " FROM generate_series($from, $to) n");
	Bench::drain($session, 60 + $per_round / 100);
	my $rate = $per_round / (time - $began);
	sleep(1);

	my %workers = Bench::workers();
	my @lines;
	for my $pid (sort { $workers{$a} cmp $workers{$b} || $a <=> $b } keys %workers)
	{
		my ($own, $rss) = Bench::memory($pid);
		next if !defined($own);
		$kind{$pid} = $workers{$pid};
		$first{$pid} //= [ $round, $own ];
		$last{$pid} = [ $round, $own ];
		push(@lines, "$workers{$pid} $pid " . Bench::thousands($own) . ' kB');
	}
	printf "%9s steps, %6s/s: %s\n", Bench::thousands($to), Bench::thousands(sprintf('%.0f', $rate)), join(', ', @lines);
}

my ($ended, $requests, $written) = split(/\|/, $session->run("SELECT count(*) FILTER (WHERE step = 'charge'),"
		  . " sum(attempts) FILTER (WHERE step = 'charge'), count(*) FILTER (WHERE step = 'write')"
		  . " FROM workflow.history WHERE outcome = 'SUCCESS'"));
my $rows = $session->run('SELECT count(*) FROM written');
my $wanted = $rounds * $per_round;
my $bad = 0;

print "HTTP steps ended SUCCESS: $ended of $wanted, in $requests attempts; SQL steps: $written, rows written by them: $rows\n";
$bad = 1 if $ended != $wanted || $written != $rows;
for my $pid (sort { $kind{$a} cmp $kind{$b} || $a <=> $b } keys %kind)
{
	my $grown = $last{$pid}[1] - $first{$pid}[1];
	# an executor may come and go with the work
	next if $first{$pid}[0] == $last{$pid}[0];
	printf "%s %d: %+d kB from round %d to round %d%s\n", $kind{$pid}, $pid, $grown, $first{$pid}[0], $last{$pid}[0],
	  $grown > $allowed ? ' GROWN' : '';
	$bad = 1 if $grown > $allowed;
}
print $bad ? "soak failed\n" : "soak passed\n";
exit($bad);
