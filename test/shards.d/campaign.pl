#
# The load of test/shards, what happens to the shards meanwhile, and the audit. What clients are told is in files: a line each, `what key number`.
#
use strict;
use warnings;

use IO::Handle;
use POSIX ();
use Session;
use Time::HiRes qw(sleep time);

my ($work, $bin, $shards, $seconds, $clients) = @ENV{qw(WF_WORK WF_BIN SHARDS SECONDS_OF_LOAD CLIENTS)};
my ($passed, $failed) = (0, 0);

{
	package Place;
	sub host { return $_[0]{host} }
	sub port { return $_[0]{port} }
}

sub session
{
	my ($port, $database) = @_;
	return Session->new(bless({ host => $work, port => $port }, 'Place'), $database, verbose => 1, timeout => 600);
}

sub told
{
	my ($ok, $what, $why) = @_;
	$ok ? $passed++ : $failed++;
	printf "  %s  %s\n", $ok ? 'ok    ' : 'FAILED', $what;
	print map { "          $_\n" } grep { defined } (split /\n/, $why // '')[ 0 .. 19 ] unless $ok;
	return;
}

# ---- clients ----

# The answer of one call, and its SQLSTATE: '' if there was no error.
sub ask
{
	my ($session, $sql) = @_;
	my ($status, $stdout, $stderr) = $session->run($sql);
	chomp $stdout;
	my ($state) = $stderr =~ /ERROR:  (\w{5}):/;
	return ($stdout, $status ? ($state // 'lost') : '', $stderr);
}

# Again and again, until the shard is there.
sub insist
{
	my ($session, $sql) = @_;
	my $end = time() + 300;
	while (1)
	{
		my ($answer, $state, $stderr) = ask($session, $sql);
		return $answer if $state eq '';
		die "$sql: $stderr\n" if $state !~ /^(08|57P|XX000|53|25006)/ || time() > $end;
		sleep 0.05;
	}
}

# One instance after the other, from its start to its end; each tenth time callbacks of several at once.
sub client
{
	my ($n, $end) = @_;
	my $session = session(5432, 'router');
	open my $out, '>', "$work/client.$n" or die "client.$n: $!\n";
	$out->autoflush(1);
	my ($i, @open) = (0);
	while (time() < $end)
	{
		my $key = "$n-" . $i++;
		my ($instance, $state, $stderr) = ask($session, "SELECT workflow.start('order', '{\"key\": \"$key\"}', '$key')");
		print $out 'start ', $key, ' ', $state eq '' ? $instance : "no $state", "\n";
		print $out "odd $key $stderr" if $state !~ /^(|08001|08007|57P0\d)$/;
		next if $state ne '';
		push @open, [ $key, $instance, insist($session, "SELECT serial_number FROM workflow_router.waiting(instance => $instance)") ];
		next if @open < ($i % 10 == 0 ? 1 : 5);
		if (@open > 1 && $i % 2)
		{
			my $json = join ', ', map { qq({"serial_number": "$_->[2]"}) } @open;
			my %accepted;
			my ($answer, $many) = ask($session, "SELECT serial_number, accepted FROM workflow.complete_many('[$json]')");
			print $out "many - $many\n" if $many ne '';
		}
		for my $it (@open)
		{
			# false: it was done by a call of which nothing was heard any more
			print $out "complete $it->[0] ", insist($session, "SELECT workflow.complete('$it->[2]')"), "\n";
			my $paid = insist($session, "SELECT workflow.send_message('paid', '$it->[0]', ttl => '1 h', message_id => '$it->[0]')");
			print $out "paid $it->[0] $paid\n";
		}
		@open = ();
	}
	return;
}

# ---- shards that die ----

# What the kernel says of a process: its state and its parent; nothing if it has gone.
sub stat_of
{
	my ($pid) = @_;
	open my $in, '<', "/proc/$pid/stat" or return;
	return (<$in> // '') =~ /^\d+ \(.*\) (\S) (\d+) /s;
}

sub children
{
	my ($pid) = @_;
	return grep { ((stat_of($_))[1] // 0) == $pid } map { m{/proc/(\d+)} } glob '/proc/[0-9]*';
}

sub start
{
	my ($shard) = @_;
	system("$bin/pg_ctl -D $work/shard$shard -l $work/shard$shard.log -w -t 60 start >/dev/null 2>&1") == 0 or die "shard $shard does not start\n";
	return;
}

sub kill_shard
{
	my ($shard) = @_;
	open my $in, '<', "$work/shard$shard/postmaster.pid" or die "shard $shard: $!\n";
	chomp(my $pid = <$in>);
	my @all = ($pid, children($pid));
	kill 'KILL', @all;
	my $end = time() + 30;
	# one of whom nobody takes notice stays in the table of processes
	while (grep { ((stat_of($_))[0] // 'Z') ne 'Z' } @all)
	{
		die "processes of shard $shard do not die\n" if time() > $end;
		sleep 0.05;
	}
	unlink "$work/shard$shard/postmaster.pid", glob "$work/.s.PGSQL." . (5500 + $shard) . '*';
	return;
}

sub stop_shard
{
	my ($shard) = @_;
	system("$bin/pg_ctl -D $work/shard$shard -m fast -w -t 60 stop >/dev/null 2>&1") == 0 or die "shard $shard does not stop\n";
	return;
}

# ---- the run ----

my $router = session(5432, 'router');
insist($router, q[SELECT workflow.define('order', '{"steps": [
	{"step": "approve", "wait": true},
	{"step": "paid", "wait": {"message": "paid", "key": "${$.key}"}},
	{"step": "note", "sql": "INSERT INTO effect VALUES (visit.instance)"}]}')]);

my $end = time() + $seconds;
my @pids;
for my $n (1 .. $clients)
{
	my $pid = fork // die "fork: $!\n";
	if (!$pid)
	{
		my $ok = eval { client($n, $end); 1 };
		print STDERR "client $n: $@" unless $ok;
		$router->{gone} = 1;
		POSIX::_exit($ok ? 0 : 1);
	}
	push @pids, $pid;
}
my ($killed, $stopped) = (0, 0);
sleep 2;
while (time() < $end - 2)
{
	my $shard = int rand $shards;
	if (rand() < 0.7) { kill_shard($shard); $killed++ }
	else { stop_shard($shard); $stopped++ }
	sleep rand 1;
	start($shard);
	sleep 1 + rand 2;
}
my $lost = 0;
for (@pids)
{
	waitpid $_, 0;
	$lost++ if $?;
}
told(!$lost, "$clients clients went on while shards were killed $killed times and stopped $stopped times", 'see above');

# ---- the audit ----

my (%start, %complete, %paid, @odd, $unsure);
for my $file (glob "$work/client.*")
{
	open my $in, '<', $file or die "$file: $!\n";
	while (<$in>)
	{
		my ($what, $key, $told) = /^(\w+) (\S+) (.*)/ or next;
		if ($what eq 'start') { $start{$key} = $told }
		elsif ($what eq 'complete') { $complete{$key} = $told }
		elsif ($what eq 'paid') { $paid{$key} = $told }
		elsif ($what eq 'odd') { push @odd, "$key: $told" }
	}
}
told(!@odd, 'no start failed otherwise than by a shard that does not answer', join("\n", @odd));

my $patience = time() + 120;
my $want = grep { defined $complete{$_} && defined $paid{$_} } keys %start;
sleep 0.2 while insist($router, q[SELECT count(*) FROM workflow.instances WHERE status = 'completed']) < $want && time() < $patience;

my (%there, %number, %shard, %status);
for (split /\n/, insist($router, q[SELECT business_key, instance, shard, status FROM workflow.instances WHERE process = 'order']))
{
	my ($key, $instance, $shard, $status) = split /\|/;
	$there{$key}++;
	@number{$key} = $instance;
	@shard{$key} = $shard;
	@status{$key} = $status;
}
my %effect;
for my $shard (0 .. $shards - 1)
{
	my $there = session(5500 + $shard, 'shop');
	$effect{$_}++ for split /\n/, insist($there, 'SELECT instance FROM effect');
}
my @started = grep { $start{$_} =~ /^\d+$/ } keys %start;
my @not = grep { $start{$_} eq 'no 08001' } keys %start;
my @done = grep { defined $complete{$_} && defined $paid{$_} } @started;
printf "  started %d, told that it was not %d, not told %d; completed %d\n", scalar @started, scalar @not, scalar(keys %start) - @started - @not, scalar @done;
told(scalar(@started) > 20, 'there was a load', scalar @started);
told(!(grep { ($there{$_} // 0) != 1 || $number{$_} ne $start{$_} } @started), 'what was started is there, once, under the number that was told',
	join("\n", grep { ($there{$_} // 0) != 1 || $number{$_} ne $start{$_} } @started));
told(!(grep { $there{$_} } @not), 'what was told not to be started was not', join("\n", grep { $there{$_} } @not));
told(!(grep { $_ > 1 } values %there), 'no key has started twice', join("\n", grep { $there{$_} > 1 } keys %there));
told(!(grep { ($number{$_} & 1023) != $shard{$_} } keys %number), 'each is where its number says', '');
told(!(grep { $status{$_} ne 'completed' } @done), 'what was answered and paid for has come to its end',
	join("\n", map { "$_ $status{$_} $complete{$_} $paid{$_}" } grep { $status{$_} ne 'completed' } @done));
told(!(grep { ($effect{ $number{$_} } // 0) != 1 } @done), 'its effect came once', join("\n", map { "$_ $number{$_}" } grep { ($effect{ $number{$_} } // 0) != 1 } @done));
told(!(grep { $_ > 1 } values %effect), 'no effect came twice', '');
told(insist($router, 'SELECT count(*) FROM workflow.verify()') eq '0', 'rows agree with each other');
told(insist($router, 'SELECT string_agg(concat_ws(\' \', shard, problem), chr(10)) FROM workflow_router.verify()') eq '', 'shards agree with each other');

print "\n$passed passed, $failed failed\n";
exit($failed ? 1 : 0);
