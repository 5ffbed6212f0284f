# Bench.pm
#	What the cases and soak.pl share: SQL on the private cluster that test/bench/setup made, pgbench, and what /proc says
#	about the workers.
package Bench;

use strict;
use warnings;
use IO::Handle;
use IO::Socket::INET;
use IPC::Open2;
use POSIX ':sys_wait_h';
use Time::HiRes qw(time sleep);

my $status_requests = 0;

sub slurp
{
	my ($path) = @_;
	open(my $fh, '<', $path) or return '';
	local $/;
	return scalar(<$fh>) // '';
}

sub program
{
	my ($name) = @_;
	return "$ENV{WF_WORK}/$name";
}

# The text of a file in bench.d.
sub statements
{
	my ($file) = @_;
	return slurp("$ENV{BENCH}/bench.d/$file") || die "no $file\n";
}

sub free_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "no free port: $!\n";
	return $socket->sockport;
}

sub url
{
	return "http://127.0.0.1:$ENV{BENCH_NGINX}";
}

# Requests that nginx has had so far, those of this function not counted.
sub nginx_requests
{
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ENV{BENCH_NGINX}) or die "nginx: $!\n";

	print $socket "GET /status HTTP/1.0\r\n\r\n";
	my $answer = do { local $/; <$socket> };
	$answer =~ /^ \d+ \d+ (\d+)/m or die "nginx has no stub_status\n";
	return $1 - ++$status_requests;
}

# ---- SQL ----

# Output of statements, one line a row; %variables are for :name and :'name' in them.
sub sql
{
	my ($database, $sql, %variables) = @_;
	my @set = map { ('-v', "$_=$variables{$_}") } sort keys %variables;
	my $errors = program('psql.err');
	my $pid = open2(my $out, my $in, 'sh', '-c', 'exec "$@" 2>"$0"', $errors, 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1',
		@set, '-d', $database);

	local $SIG{PIPE} = 'IGNORE';
	print $in $sql;
	close($in);
	my $answer = do { local $/; <$out> };
	waitpid($pid, 0);
	die "in $database: " . slurp($errors) if $? != 0;
	chomp($answer //= '');
	return $answer;
}

# What a function gives while settings of the cluster are others. Those of test/bench/setup are in postgresql.conf.
sub with_settings
{
	my ($settings, $code) = @_;
	sql('postgres', join('', map { "ALTER SYSTEM SET $_ = '$settings->{$_}';\n" } sort keys %$settings) . 'SELECT pg_reload_conf()');
	sleep(0.5);
	my @answer = eval { $code->() };
	my $error = $@;
	sql('postgres', "ALTER SYSTEM RESET ALL;\nSELECT pg_reload_conf()");
	die $error if $error;
	return @answer;
}

# Position at which the next record is written to the WAL, in bytes.
sub wal_position
{
	return sql('postgres', "SELECT pg_current_wal_insert_lsn() - '0/0'");
}

# A database of its own for each round, so that both sides start from fresh tables.
sub fresh_database
{
	my ($name, @files) = @_;
	sql('postgres', "DROP DATABASE IF EXISTS $name");
	sql('postgres', "CREATE DATABASE $name");
	sql($name, 'CREATE EXTENSION workflow');
	sql($name, statements($_), url => url()) for @files;
	return;
}

# Transactions per second of a script in bench.d with 8 clients, or clients => n: transactions => n each, or seconds => n; and how many
# there were.
sub pgbench
{
	my ($database, $script, %opt) = @_;
	my @length = $opt{transactions} ? ('-t', $opt{transactions}) : ('-T', $opt{seconds});
	my @define = map { ('-D', "$_=$opt{define}{$_}") } sort keys %{ $opt{define} || {} };
	my $log = program('pgbench.log');

	system('sh', '-c', 'exec "$@" >"$0" 2>&1 </dev/null', $log, 'pgbench', '-n', '-M', 'prepared', '-c', $opt{clients} // 8, '-j', 2,
		@length,
		@define, '-f', "$ENV{BENCH}/bench.d/$script", $database);
	my $output = slurp($log);
	die "pgbench failed:\n$output" if $? != 0 || $output !~ /^tps = ([\d.]+)/m;
	my $rate = $1;
	my ($n) = $output =~ /^number of transactions actually processed: (\d+)/m;
	return wantarray ? ($rate, $n) : $rate;
}

# Clients of a script in bench.d that go on until they are stopped: their pid.
sub pgbench_begin
{
	my ($database, $script, $clients, $define) = @_;
	my @define = map { ('-D', "$_=$define->{$_}") } sort keys %{ $define || {} };
	my $log = program('pgbench.log');
	my $pid = fork() // die "fork: $!\n";

	return $pid if $pid;
	exec('sh', '-c', 'exec "$@" >"$0" 2>&1 </dev/null', $log, 'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-j', 1,
		'-T', 3600, @define, '-f', "$ENV{BENCH}/bench.d/$script", $database);
	die "exec: $!\n";
}

sub pgbench_end
{
	my ($pid) = @_;

	die "pgbench ended early:\n" . slurp(program('pgbench.log')) if waitpid($pid, WNOHANG) != 0;
	kill('TERM', $pid);
	waitpid($pid, 0);
	return;
}

# Wait until no instance lives. The highest number is asked for, since an index answers that whatever died before.
sub drain
{
	my ($session, $seconds) = @_;
	my $limit = time + $seconds;

	while ($session->run('SELECT max(instance) FROM workflow_data.instance') ne '')
	{
		sleep(0.02);
		next if time < $limit;
		die 'instances that do not end: ' . $session->run('SELECT count(*) FROM workflow_data.instance') . '; incidents: '
		  . $session->run('SELECT count(*), min(error::text) FROM workflow.incidents') . "\n";
	}
	return;
}

# ---- what is in a database ----

# Those of all visits, which were started one after the other: the first instance, and by how much visits are ahead. As a session sees
# them, if one is given.
sub serial_numbers
{
	my ($session) = @_;
	my ($first, $offset, $gaps) = split(/\|/, ($session ? sub { $session->run(@_) } : sub { sql('bench', @_) })->('SELECT min(instance), min(visit - instance),'
			  . ' (max(instance) - min(instance) + 1 - count(*)) + (max(visit - instance) - min(visit - instance))'
			  . ' FROM workflow_data.visit'));
	die "gaps in the serial numbers: $gaps\n" if $gaps;
	return ($first, $offset);
}

# How many of each process.
sub completed
{
	return Bench::sql('bench', "SELECT string_agg(process || ' ' || n, ', ' ORDER BY process) FROM (SELECT process, count(*) AS n"
		  . " FROM workflow.instances WHERE status = 'completed' AND process <> 'nothing' GROUP BY process) AS c");
}

# They are made by a worker.
sub wait_for_partitions
{
	my ($database) = @_;

	for (my $limit = time + 30; Bench::sql($database, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'workflow_data.instance_history'::regclass") < 5;)
	{
		die "no partitions\n" if time > $limit;
		sleep(0.1);
	}
	return;
}

# ---- /proc ----

# The extension's processes of this cluster: pid => name.
sub workers
{
	my ($postmaster) = slurp("$ENV{WF_DATA}/postmaster.pid") =~ /^(\d+)/;
	my %found;

	for my $stat (glob('/proc/[0-9]*/stat'))
	{
		my ($pid) = $stat =~ /(\d+)/;
		my ($parent) = slurp($stat) =~ /^\d+ \(.*\) \S (\d+)/ or next;
		next if $parent != $postmaster;
		my $title = slurp("/proc/$pid/cmdline") =~ s/\0/ /gr;
		$found{$pid} = $1 if $title =~ /(workflow \w+)/;
	}
	return %found;
}

# CPU time in seconds of a whole cluster so far: of its processes, and of those that have ended. What writes pages when it is time to is
# no part of it.
sub cluster_cpu
{
	my ($postmaster) = slurp("$ENV{WF_DATA}/postmaster.pid") =~ /^(\d+)/;
	my @ended = split(' ', slurp("/proc/$postmaster/stat") =~ s/^.*\) //r);
	my $sum = ($ended[13] + $ended[14]) / 100;

	for my $child (split(' ', slurp("/proc/$postmaster/task/$postmaster/children")))
	{
		next if slurp("/proc/$child/cmdline") =~ /checkpointer|background writer/;
		my ($cpu) = cpu($child);
		$sum += $cpu;
	}
	return $sum;
}

# CPU time in seconds and voluntary context switches of a process.
sub cpu
{
	my ($pid) = @_;
	my ($ns) = slurp("/proc/$pid/schedstat") =~ /^(\d+)/;
	my ($switches) = slurp("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m;

	if (!defined($ns))
	{
		my @stat = split(' ', slurp("/proc/$pid/stat") =~ s/^.*\) //r);
		$ns = (($stat[11] // 0) + ($stat[12] // 0)) * 1e7;
	}
	return ($ns / 1e9, $switches);
}

# Memory in kB: of its own, and all that it has mapped. Shared buffers that only one process has touched would count as
# private; anonymous memory is the process's alone.
sub memory
{
	my ($pid) = @_;
	my $rollup = slurp("/proc/$pid/smaps_rollup");
	my ($rss) = $rollup =~ /^Rss:\s+(\d+)/m;
	my ($own) = $rollup =~ /^Anonymous:\s+(\d+)/m;

	($rss) = slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m if !defined($rss);
	($own) = slurp("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m if !defined($own);
	return ($own, $rss);
}

# ---- figures ----

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return @sorted % 2 ? $sorted[ $#sorted / 2 ] : ($sorted[ @sorted / 2 - 1 ] + $sorted[ @sorted / 2 ]) / 2;
}

sub thousands
{
	my ($n) = @_;
	1 while $n =~ s/^(\d+)(\d{3})/$1,$2/;
	return $n;
}

# A kept session: psql at the other end of two pipes.
package Bench::Session;

sub new
{
	my ($class, $database) = @_;
	my $pid = IPC::Open2::open2(my $out, my $in, 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $database);
	return bless { in => $in, out => $out, pid => $pid }, $class;
}

# Run statements and give back their output.
sub run
{
	my ($self, $sql) = @_;
	my ($in, $out) = @$self{qw(in out)};
	my $answer = '';

	print $in "$sql\n;\n\\echo end-of-answer\n";
	$in->flush;
	while (defined(my $line = <$out>))
	{
		if ($line eq "end-of-answer\n")
		{
			chomp($answer);
			return $answer;
		}
		$answer .= $line;
	}
	die "a session ended\n";
}

sub end
{
	my ($self) = @_;
	close($self->{in});
	waitpid($self->{pid}, 0);
	return;
}

1;
