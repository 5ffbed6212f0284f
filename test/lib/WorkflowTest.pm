#
# WorkflowTest.pm
#		What TAP tests of durability share: servers with the extension, waiting for what must come about, looking at processes.
#
# Nothing here sleeps for a fixed time; what does not come about fails after a minute.
#
package WorkflowTest;

use strict;
use warnings;

use Exporter qw(import);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(new_server add_extension add_http_server start_again crash crash_at_once killed grows_to wait_until is_soon stays
  leave_unverified leave_undrawn worker_pid wait_for_workers log_has count_in_log switches cpu_seconds private_kb keys_by_serial);

my $PATIENCE = 60;

# A cluster that preloads the library. Options: conf => text, streaming => 1, extension => 0, start => 0.
sub new_server
{
	my ($name, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	init_node($node, allows_streaming => $option{streaming} // 0);
	$node->append_conf('postgresql.conf', <<"EOC");
shared_preload_libraries = 'workflow'
restart_after_crash = on
max_worker_processes = 16
log_line_prefix = '%m [%p] %b %d '
EOC
	# a sanitizer maps more memory than workers may take
	$node->append_conf('postgresql.conf', "workflow.dispatcher_memory = 0\nworkflow.executor_memory = 0\n")
		if ($ENV{LD_PRELOAD} // '') =~ /asan/;
	$node->append_conf('postgresql.conf', $option{conf}) if defined $option{conf};
	return $node unless $option{start} // 1;
	$node->start;
	add_extension($node, 'postgres') if $option{extension} // 1;
	return $node;
}

# The first one of a file is a copy of one that test/check has made, which takes less time than initdb. Others are made by it: a cluster has an
# identifier of its own.
my $copied = 0;

sub init_node
{
	my ($node, @option) = @_;
	my $run = \&PostgreSQL::Test::Utils::system_or_bail;
	no warnings 'redefine';
	local *PostgreSQL::Test::Utils::system_or_bail = sub {
		@_ = ('cp', '-RPp', $ENV{WF_TEMPLATE}, $node->data_dir) if $_[0] eq 'initdb' && $ENV{WF_TEMPLATE} && !$copied++;
		goto &$run;
	};
	$node->init(@option);
	return;
}

sub add_extension
{
	my ($node, $database) = @_;
	$node->safe_psql($database, 'CREATE EXTENSION workflow');
}

# A server "partner" at one of its paths.
sub add_http_server
{
	my ($node, $partner, %option) = @_;
	my $url = $partner->url($option{path} // '');
	my $in_flight = $option{max_in_flight} // 64;
	$node->safe_psql($option{database} // 'postgres',
		"CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http "
		  . "OPTIONS (url '$url', allow_private 'true', max_in_flight '$in_flight', timeout '1 h', breaker 'off')");
}

# ---- what the rows say ----

# Whatever a file tests: when a server of it is stopped, and when the file ends, workflow.verify() finds nothing wrong in it.
my %started;      # name => cluster
my $unverified;   # why not
my $verified = 0; # how many databases
my $disagree = 0; # in how many of them the rows do not

# For tests that write to the tables by hand.
sub leave_unverified { $unverified = $_[0] // die "for what reason?\n" }

# What is wrong in a database; undef if nobody can connect to it, or it does not have the extension.
sub faults_of_rows
{
	my ($node, $database) = @_;
	my ($status, $stdout, $stderr) = eval { $node->psql($database, <<'EOQ', timeout => 180) };
SELECT to_regprocedure('workflow.verify()') IS NOT NULL AND current_setting('workflow.databases', true) IS NOT NULL AS has \gset
\if :has
SELECT 'verified' UNION ALL SELECT concat_ws(' ', instance, serial_number, problem) FROM workflow.verify();
\endif
EOQ
	return undef if !defined $status || $status == 2;
	return $stderr if $stderr ne '';
	return $stdout =~ s/^verified\n?// ? $stdout : undef;
}

# Nor is there a process in it that workflow.diagram cannot draw. Those of one shape are one; those that are larger than anybody looks at are left out.
my $LARGEST_DRAWN = 100_000;
my $undrawn;
my %drawn; # shape => {of, text}

# For tests that store what is no definition.
sub leave_undrawn { $undrawn = $_[0] // die "for what reason?\n" }

sub draw_processes
{
	my ($node, $database) = @_;
	return if $undrawn;
	my ($status, $stdout, $stderr) = eval { $node->psql($database, <<"EOQ", timeout => 180) };
SET client_encoding = 'UTF8';
SELECT to_regprocedure('workflow.diagram(text, integer, boolean)') IS NOT NULL AND current_setting('workflow.databases', true) IS NOT NULL AS has \\gset
\\if :has
SELECT translate(process, E'\\t\\n', '  ') || E'\\t' || translate(workflow.diagram(process, version), E'\\n', E'\\r')
FROM workflow.processes WHERE length(definition::text) < $LARGEST_DRAWN;
\\endif
EOQ
	return if !defined $status || $status == 2;
	if ($stderr ne '')
	{
		fail("all processes of $database can be drawn");
		diag($stderr);
		return;
	}
	for (split /\n/, $stdout)
	{
		my ($process, $text) = split /\t/, $_, 2;
		next unless defined $text;
		$text =~ tr/\r/\n/;
		require Mermaid;
		$drawn{ Mermaid::shape($text) } //= { of => $process, text => $text };
	}
	return;
}

# The renderer fails at some that have five boxes within each other: "Cannot set properties of undefined (setting 'rank')".
sub is_too_deep
{
	my ($text, $error) = @_;
	my ($depth, $most) = (0, 0);
	for (split /\n/, $text)
	{
		$depth++ if /^ *subgraph /;
		$depth-- if /^ *end$/;
		$most = $depth if $depth > $most;
	}
	return $most >= 5 && $error =~ /'rank'/;
}

# What was drawn is what the language of Mermaid allows. Where its renderer is at hand, it draws that, too; WF_PICTURES=FOLDER keeps the pictures of it.
sub judge_drawings
{
	my ($file) = $0 =~ m{(\w+)\.pl$};
	require Mermaid;
	my @drawn = map { $drawn{$_} } sort keys %drawn;
	my @faults = map { my $of = $_->{of}; map { "$of: $_" } @{ Mermaid::parse($_->{text})->{faults} } } @drawn;
	if (!Mermaid::missing())
	{
		my @shown = Mermaid::rendered(PostgreSQL::Test::Utils::tempdir(), map { $_->{text} } @drawn);
		my @failed = grep { $shown[$_]{error} && !is_too_deep($drawn[$_]{text}, $shown[$_]{error}) } 0 .. $#drawn;
		push @faults, map { "$drawn[$_]{of}: $shown[$_]{error}\n$drawn[$_]{text}" } @failed;
		note 'rendered: ', scalar @shown;
		# for people to look at: no reason to fail
		eval { Mermaid::pictures($ENV{WF_PICTURES}, $file, @drawn); 1 } or note $@ if $ENV{WF_PICTURES};
	}
	is(join("\n", @faults), '', 'processes can be drawn');
	return;
}

sub verify_rows
{
	my ($node) = @_;
	return if !defined $node->{_pid};
	my $names = ask($node, 'postgres', 'SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate') // return;
	for my $database (split /\n/, $names)
	{
		draw_processes($node, $database);
		next if $unverified;
		my $faults = faults_of_rows($node, $database) // next;
		$verified++;
		next if $faults eq '';
		$disagree++;
		local $Test::Builder::Level = $Test::Builder::Level + 1;
		fail("the rows of $database on " . $node->name . ' agree');
		diag($faults);
	}
}

{
	no warnings 'redefine';
	my ($start, $stop, $done, $psql) = (\&PostgreSQL::Test::Cluster::start, \&PostgreSQL::Test::Cluster::stop,
		\&Test::Builder::done_testing, \&PostgreSQL::Test::Cluster::psql);
	*PostgreSQL::Test::Cluster::start = sub { $started{ $_[0]->name } = $_[0]; goto &$start };
	*PostgreSQL::Test::Cluster::stop = sub { verify_rows($_[0]) if ($_[1] // 'fast') ne 'immediate'; goto &$stop };
	*Test::Builder::done_testing = sub {
		verify_rows($started{$_}) for sort keys %started;
		judge_drawings() if %drawn;
		pass('rows agree with each other') if $verified && !$disagree;
		goto &$done;
	};
	# what needs no psql is not given to one
	*PostgreSQL::Test::Cluster::psql = sub {
		my ($node, $database, $sql, %option) = @_;
		my $simple = !grep { !/^(?:stdout|stderr|on_error_stop|on_error_die|timeout)\z/ } keys %option;
		my ($verbose, $script) = $sql =~ /^(\\set VERBOSITY verbose\n)?(.*)\z/s;
		my @statements = $simple && ($option{on_error_stop} // 1) ? Session::statements($script) : ();
		goto &$psql unless @statements;
		my ($status, $stdout, $stderr) = run_statements($node, $database, \@statements, timeout => $option{timeout}, verbose => $verbose);
		chomp($stdout, $stderr);
		${ $option{stdout} } = $stdout if $option{stdout};
		${ $option{stderr} } = $stderr if $option{stderr};
		print STDERR "$stderr\n" if !wantarray && !$option{stderr} && $stderr ne '';
		die(($status == 2 ? 'connection error' : 'error running SQL') . ": '$stderr'\nwith sql '$sql'") if $status && $option{on_error_die};
		return wantarray ? ($status, $stdout, $stderr) : $status;
	};
}

# As psql has them.
sub run_statements
{
	my ($node, $database, $statements, @option) = @_;
	my $session = eval { Session->new($node, $database, @option) };
	die $@ if !$session && $@ eq "psql timed out\n";
	return $session ? $session->run(@$statements) : (2, '', $@);
}

# Processes whose parent is this one.
sub children
{
	my ($parent) = @_;
	my @children;
	for my $file (glob '/proc/[0-9]*/stat')
	{
		open(my $stat, '<', $file) or next;
		my ($pid, $ppid) = (<$stat> // '') =~ /^(\d+) \(.*\) \S (\d+)/ or next;
		push @children, $pid if $ppid == $parent;
	}
	return @children;
}

# Nothing is written any more, not even what was only in shared memory. Returns when all processes have gone.
sub crash
{
	my ($node) = @_;
	my @pids = children($node->{_pid});
	my $end = time() + $PATIENCE;
	$node->kill9;
	while (grep { -d "/proc/$_" } @pids)
	{
		die "processes do not see that their postmaster has gone\n" if time() > $end;
		sleep 0.02;
	}
}

# The server dies (kind `server`), or a worker of the database `postgres`, of which the server recovers.
sub killed
{
	my ($node, $kind) = @_;
	my $offset = -s $node->logfile;
	if ($kind eq 'server')
	{
		crash($node);
		start_again($node);
		return;
	}
	my $pid = worker_pid($node, $kind, 'postgres');
	return pass("the $kind has gone by itself") unless $pid && kill 9, $pid;
	wait_until(sub { log_has($node, qr/all server processes terminated; reinitializing/, $offset) }, "the $kind is killed");
}

# Wait until a query gives at least that; meanwhile the server may be recovering.
sub grows_to
{
	my ($node, $sql, $n, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(sub { (eval { ask($node, 'postgres', $sql) } // 0) >= $n }, $name);
}

# All processes at once: whoever is at work or stands still would not see for a while that the postmaster has gone.
sub crash_at_once
{
	my ($node) = @_;
	my @pids = ($node->{_pid}, children($node->{_pid}));
	my $end = time() + $PATIENCE;
	kill 'KILL', @pids;
	while (grep { -d "/proc/$_" } @pids)
	{
		die "processes that do not die\n" if time() > $end;
		sleep 0.02;
	}
	$node->kill9;
}

sub start_again
{
	my ($node) = @_;
	my $end = time() + $PATIENCE;
	until ($node->start(fail_ok => 1))
	{
		die "the server does not start again\n" if time() > $end;
		sleep 0.1;
	}
}

# Poll until the code gives something true.
sub wait_until
{
	my ($code, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $end = time() + $PATIENCE;
	my $got;
	until ($got = $code->())
	{
		last if time() > $end;
		sleep 0.02;
	}
	ok($got, $name);
	return $got;
}

# One connection at a time may fail: the server may be recovering.
sub ask
{
	my ($node, $database, $sql) = @_;
	# psql may be gone before it was told anything
	my ($status, $stdout) = eval { $node->psql($database, $sql) };
	return defined $status && $status == 0 ? $stdout : undef;
}

# The same again and again, in one session as long as it lasts.
sub ask_again
{
	my ($session, $node, $database, $sql) = @_;
	my @statements = Session::statements($sql);
	return ask($node, $database, $sql) if @statements != 1;
	$$session //= eval { Session->new($node, $database) } // return undef;
	my ($status, $stdout) = $$session->run(@statements);
	$$session = undef if $status;
	chomp $stdout;
	return $status ? undef : $stdout;
}

# Poll until a query answers that.
sub is_soon
{
	my ($node, $database, $sql, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $end = time() + $PATIENCE;
	my ($session, $got);
	until (defined($got = ask_again(\$session, $node, $database, $sql)) && $got eq $expected)
	{
		last if time() > $end;
		sleep 0.05;
	}
	is($got, $expected, $name);
}

# For that many seconds the code gives the same.
sub stays
{
	my ($seconds, $code, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $end = time() + $seconds;
	my $got;
	do
	{
		$got = $code->();
		sleep 0.05 if $got eq $expected;
	} while ($got eq $expected && time() < $end);
	is($got, $expected, $name);
}

# ---- processes ----

# Of one of them; undef if there is none.
sub worker_pid
{
	my ($node, $kind, $database) = @_;
	my $where = defined $database ? "datname = '$database'" : 'datname IS NULL';
	my $pid = ask($node, 'postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'workflow $kind' AND $where ORDER BY pid LIMIT 1");
	return defined $pid && $pid ne '' ? $pid : undef;
}

# The dispatcher of a database, once it is there.
sub wait_for_workers
{
	my ($node, $database) = @_;
	my $end = time() + $PATIENCE;
	my $pid;
	until ($pid = worker_pid($node, 'dispatcher', $database))
	{
		die "no dispatcher for $database\n" if time() > $end;
		sleep 0.05;
	}
	return $pid;
}

sub proc_status
{
	my ($pid, $field) = @_;
	return slurp_file("/proc/$pid/status") =~ /^\Q$field\E:\s*(\d+)/m ? $1 : die "no $field of $pid\n";
}

# How often it gave the processor away of its own accord: how often it slept.
sub switches { return proc_status($_[0], 'voluntary_ctxt_switches') }

# Memory of its own, without what it shares with others.
sub private_kb { return proc_status($_[0], 'RssAnon') }

sub cpu_seconds
{
	my ($pid) = @_;
	my ($fields) = slurp_file("/proc/$pid/stat") =~ /\) (.*)/ or die "no times of $pid\n";
	my @field = split / /, $fields;
	return ($field[11] + $field[12]) / POSIX::sysconf(&POSIX::_SC_CLK_TCK);
}

# ---- the log ----

sub log_has
{
	my ($node, $pattern, $offset) = @_;
	return slurp_file($node->logfile, $offset // 0) =~ $pattern;
}

sub count_in_log
{
	my ($node, $pattern, $offset) = @_;
	return scalar(() = slurp_file($node->logfile, $offset // 0) =~ /$pattern/g);
}

# ---- requests ----

# Of requests with a serial number in "sn": {serial number => {idempotency key => how often}}.
sub keys_by_serial
{
	my %keys;
	for (@_)
	{
		my ($sn) = $_->{body} =~ /"sn":\s*"(\d+_\d+)"/ or die "no serial number in $_->{body}\n";
		$keys{$sn}{ $_->{headers}{'idempotency-key'} }++;
	}
	return \%keys;
}

1;
