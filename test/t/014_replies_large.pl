#
# Large replies that come at the same time, and large data that fall due so: they are read one after another, and none leaves its
# garbage to the next.
#
# takes long

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Select;
use IO::Socket::INET;
use List::Util qw(max);
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

sub new_dispatcher
{
	my $before = wait_for_workers($scene->node, 'postgres');
	$scene->sql("SELECT pg_terminate_backend($before)");
	wait_until(sub { (worker_pid($scene->node, 'dispatcher', 'postgres') // $before) != $before }, 'a new dispatcher');
	return wait_for_workers($scene->node, 'postgres');
}

# The highest peak of those that are there.
sub executors_peak_mb
{
	my $pids = $scene->sql("SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE backend_type = 'workflow executor'") || '';
	return max(0, map { peak_mb($_) } split / /, $pids);
}

# The dispatcher's peak for so many replies of 8 MB
sub peak_for
{
	my ($n) = @_;
	my ($service, $port) = start_service($n, '[' . '1,' x 3999999 . '1]');
	my $server = "large$n";
	$scene->server($server, "http://127.0.0.1:$port", "timeout '1 minute'");
	$scene->define($server, qq({"steps": [{"step": "call", "http": {"server": "$server"}}, {"step": "stand", "wait": true}]}));
	my $dispatcher = new_dispatcher();
	$scene->sql("SELECT count(workflow.start('$server')) FROM generate_series(1, $n)");
	is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE process = '$server' AND step = 'stand' AND state = 'waiting'", $n, "$n large replies are read");
	is(worker_pid($scene->node, 'dispatcher', 'postgres'), $dispatcher, 'by one dispatcher');
	waitpid($service, 0);
	my $peak = peak_mb($dispatcher);
	my $executor = executors_peak_mb();
	note("peak for $n: $peak MB, of executors: $executor MB");
	cmp_ok($executor, '<', 750, 'an executor that gets one leaves room below its limit of 1 GB');
	return $peak;
}

my $one = peak_for(1);
my $four = peak_for(4);
# each has been received into a buffer that grows by doubling, and one that took too long is read twice; but together they
# would take that much for each
cmp_ok($four - $one, '<', $one, "four take hardly more than one: $four and $one MB");

# ---- data ----

# A call, then a clock, for so many instances of 8 MB at once
sub peak_of_data
{
	my ($n) = @_;
	my $dispatcher = new_dispatcher();
	$scene->sql('SELECT workflow.suspend_process(\'heavy\')');
	$scene->sql("SELECT count(workflow.start('heavy', jsonb_build_object('n', n, 'load', repeat('x', 8000000)))) FROM generate_series(1, $n) n");
	$scene->sql('SELECT workflow.resume_process(\'heavy\')');
	is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE process = 'heavy' AND step = 'stand' AND state = 'waiting'", $n, "$n with large data go on");
	$scene->sql("SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE ended_at IS NULL AND process = 'heavy'");
	is(worker_pid($scene->node, 'dispatcher', 'postgres'), $dispatcher, 'by one dispatcher');
	my $peak = peak_mb($dispatcher);
	note("peak for $n: $peak MB");
	return $peak;
}

$scene->define('heavy', '{"steps": [{"step": "call", "http": {"server": "partner", "path": "/ok", "body": {"n": "${$.n}"}}},
	{"step": "clock", "wait": {"after": "100 ms"}}, {"step": "stand", "wait": true}]}');
my $few = peak_of_data(4);
my $many = peak_of_data(40);
cmp_ok($many - $few, '<', 100, "40 take hardly more than four: $many and $few MB");

# ---- more than there is memory for ----

# Answers all requests that have come until it is told to go on with all but the last byte of so many MB, and then waits.
sub start_staller
{
	my ($name, $max_in_flight, $mb) = @_;
	pipe(my $from, my $go) or die "pipe: $!";
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50) or die "listen: $!";
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		my @clients;
		close $go;
		while (1)
		{
			my $rest = '';
			vec($rest, fileno $_, 1) = 1 for $listener, $from;
			select($rest, undef, undef, undef);
			last if vec($rest, fileno $from, 1);
			my $client = $listener->accept or next;
			sysread($client, my $request, 65536);
			push @clients, $client;
		}
		my $bytes = $mb * 1024 * 1024;
		local $SIG{PIPE} = 'IGNORE';
		for my $client (@clients)
		{
			my $part = 'x' x (1024 * 1024);
			print $client "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: $bytes\r\n\r\n";
			print $client $part for 2 .. $mb;
			print $client substr($part, 1);
			$client->flush;
		}
		sleep 300;
		POSIX::_exit(0);
	}
	close $from;
	$scene->server($name, 'http://127.0.0.1:' . $listener->sockport, "timeout '10 minutes', max_response '200MB', max_in_flight '$max_in_flight'");
	$scene->define($name, qq({"steps": [{"step": "call", "http": {"server": "$name"}, "retry": {"max": 1, "delay": "1 hour"}}]}));
	return { pid => $pid, go => $go };
}

sub in_flight { return $scene->sql("SELECT in_flight FROM workflow.servers WHERE server = '$_[0]'") }

sub end_staller
{
	my ($service, $name) = @_;
	$scene->sql("SELECT count(workflow.cancel(instance)) FROM workflow.instances WHERE ended_at IS NULL AND process = '$name'");
	kill 'KILL', $service->{pid};
	waitpid($service->{pid}, 0);
}

$scene->define('small', '{"steps": [{"step": "call", "http": {"server": "partner", "path": "/ok"}}]}');
my $dispatcher = wait_for_workers($scene->node, 'postgres');
my $idle = private_kb($dispatcher);
my $service = start_staller('greedy', 10, 150);
$scene->sql("SELECT count(workflow.start('greedy')) FROM generate_series(1, 2)");
is_soon($scene->node, 'postgres', "SELECT in_flight FROM workflow.servers WHERE server = 'greedy'", 2, 'two are asked for');
close $service->{go};
wait_until(sub { private_kb($dispatcher) - $idle > 290 * 1024 }, 'and have nearly come');
$scene->start('greedy');
stays(1, sub { in_flight('greedy') }, 2, 'a third has to wait');
my ($instance, $status) = $scene->run('small');
is($status, 'completed', 'another server is called all the same');
is(in_flight('greedy'), 2, '... before that');
end_staller($service, 'greedy');

$service = start_staller('excessive', 10, 150);
$scene->sql("SELECT count(workflow.start('excessive')) FROM generate_series(1, 6)");
is_soon($scene->node, 'postgres', "SELECT in_flight FROM workflow.servers WHERE server = 'excessive'", 6, 'six are asked for');
close $service->{go};
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE process = 'excessive' AND state = 'retrying'", 3, 'three are too many, and are to be tried again');
is($scene->sql("SELECT count(*) FROM workflow.attempts WHERE error ->> 'code' = 'reply' AND error ->> 'message' LIKE '%more than 512 MB of memory'"), 3, 'with a reason');
is(worker_pid($scene->node, 'dispatcher', 'postgres'), $dispatcher, 'the dispatcher lives');
my $peak = peak_mb($dispatcher);
cmp_ok($peak, '<', 750, "and has taken no more than it may: $peak MB");
end_staller($service, 'excessive');

$scene->node->stop;
done_testing();
