#
# Large replies that come at the same time: they are read one after another, and none leaves its garbage to the next.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use WorkflowTest;

plan skip_all => 'a sanitizer keeps what is freed' if ($ENV{LD_PRELOAD} // '') =~ /asan/;

my $scene = Scene->new('large');

# Answers as many requests as it is told with the same, all in the same moment.
sub start_service
{
	my ($n, $body) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50) or die "listen: $!";
	my $pid = fork() // die "fork: $!";
	return ($pid, $listener->sockport) if $pid;
	my @clients;
	while (@clients < $n)
	{
		my $client = $listener->accept or next;
		sysread($client, my $request, 65536);
		push @clients, $client;
	}
	my $head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n";
	for my $part ($head . substr($body, 0, -1), substr($body, -1))
	{
		print $_ $part for @clients;
		$_->flush for @clients;
		sleep 1;
	}
	POSIX::_exit(0);
}

sub peak_mb
{
	my ($pid) = @_;
	return slurp_file("/proc/$pid/status") =~ /^VmHWM:\s*(\d+)/m ? int($1 / 1024) : die;
}

# The dispatcher's peak for so many replies of 8 MB
sub peak_for
{
	my ($n) = @_;
	my ($service, $port) = start_service($n, '[' . '1,' x 3999999 . '1]');
	my $server = "large$n";
	$scene->server($server, "http://127.0.0.1:$port", "timeout '1 minute'");
	$scene->define($server, qq({"steps": [{"step": "call", "http": {"server": "$server"}}, {"step": "stand", "wait": true}]}));
	my $before = wait_for_workers($scene->node, 'postgres');
	$scene->sql("SELECT pg_terminate_backend($before)");
	wait_until(sub { (worker_pid($scene->node, 'dispatcher', 'postgres') // $before) != $before }, 'a new dispatcher');
	my $dispatcher = wait_for_workers($scene->node, 'postgres');
	$scene->sql("SELECT count(workflow.start('$server')) FROM generate_series(1, $n)");
	is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE process = '$server' AND step = 'stand' AND state = 'waiting'", $n, "$n large replies are read");
	is(worker_pid($scene->node, 'dispatcher', 'postgres'), $dispatcher, 'by one dispatcher');
	waitpid($service, 0);
	my $peak = peak_mb($dispatcher);
	note("peak for $n: $peak MB");
	return $peak;
}

my $one = peak_for(1);
my $four = peak_for(4);
# each has been received into a buffer that grows by doubling, and one that took too long is read twice; but together they
# would take that much for each
cmp_ok($four - $one, '<', $one, "four take hardly more than one: $four and $one MB");

$scene->node->stop;
done_testing();
