# sizes.pl: bytes of rows, and memory of workers; test/bench/sizes starts it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Bench;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

my ($n) = @ARGV;
my $database = 'sizes';

die "usage: test/bench/sizes [N]\n" if $n !~ /^[1-9]\d*$/;
$SIG{INT} = $SIG{TERM} = sub { die "interrupted\n" };

# Bytes of tables with their indexes: those of what lives, and each of the history.
sub bytes
{
	my %sum;

	for my $line (split(/\n/, Bench::sql($database, Bench::statements('sizes.sql'))))
	{
		my ($part, $bytes) = split(/\|/, $line);
		$sum{$part} = $bytes;
	}
	return \%sum;
}

# How much each part has grown by code, for each of so many.
sub grown
{
	my ($many, $code) = @_;
	my $before = bytes();

	$code->();
	my $after = bytes();
	return map { $_ => (($after->{$_} // 0) - ($before->{$_} // 0)) / $many } keys %$after;
}

sub figure
{
	my ($what, $bytes) = @_;
	printf "%-76s %9s\n", $what, Bench::thousands(sprintf('%.0f', $bytes));
	return;
}

# Data as in docs/: {"id", "customer", "amount"}.
sub start_all
{
	my ($process, $more) = @_;
	my $data = "jsonb_build_object('id', i, 'customer', 'customer ' || i, 'amount', i % 1000)" . ($more // '');

	return Bench::sql($database, "SELECT count(workflow.start('$process', $data)) FROM generate_series(1, $n) i");
}

# A kilobyte that does not compress.
my $kilobyte = q{(SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 32) j)};

# ---- what lives ----

sub living
{
	my @kinds = (
		[ 'callback', 'that waits for a callback', '"wait": true' ],
		[ 'clock', 'for a clock', '"wait": { "after": "30 days" }' ],
		[ 'handlers', 'for a callback, with a timeout and a reminder',
			'"wait": true, "timeout": "30 days", "catch": [{ "after": "1 day", "interrupt": false, "next": "w" }]' ],
		[ 'message', 'for a message with a key', '"wait": { "message": "go", "key": "${$.id}" }' ],
		[ 'topic', 'for a worker that fetches it', '"wait": { "topic": "work" }' ],
		[ 'task', 'for a person', '"wait": { "task": { "title": "Look at ${$.id}", "assignee": "postgres" } }' ]);
	my $plain;

	print "an instance with three short values, living (bytes on disk, with indexes)\n";
	for my $kind (@kinds)
	{
		Bench::sql($database, "SELECT workflow.define('$kind->[0]', \$\${ \"steps\": [ { \"step\": \"w\", $kind->[2] } ] }\$\$)");
		my %grown = grown($n, sub { start_all($kind->[0]) });
		$plain //= $grown{living};
		figure("  $kind->[1]", $grown{living});
	}
	Bench::sql($database, q[SELECT workflow.define('branches', $${ "steps": [ { "step": "f", "next": ["a", "b", "c", "d"] },
		{ "step": "a", "wait": true, "end": true }, { "step": "b", "wait": true, "end": true }, { "step": "c", "wait": true, "end": true }, { "step": "d", "wait": true, "end": true } ] }$$)]);
	my %branches = grown($n, sub { start_all('branches') });
	figure('  each further step in which a branch of it waits', ($branches{living} - $plain) / 3);
	Bench::sql($database, "SELECT workflow.attach('orders', 'callback')");
	my %attached = grown($n, sub { Bench::sql($database, "INSERT INTO orders SELECT i, 'customer ' || i, i % 1000 FROM generate_series(1, $n) i") });
	figure('  a business key, or an attached row', $attached{living} - $plain);
	# last, since what is smaller would fill the gaps that it leaves
	my %large = grown($n, sub { start_all('callback', " || jsonb_build_object('large', $kilobyte)") });
	figure('  each kilobyte of data', ($large{living} - $plain) / 1.024);
	return;
}

# ---- what has ended ----

sub ended
{
	my $set = join(', ', map { qq({ "step": "s$_", "set": { "at": $_ } }) } 1 .. 10);

	print "in the history, while it is kept\n";
	Bench::sql($database, "SELECT workflow.define('ten', \$\${ \"steps\": [ $set ] }\$\$)");
	my %ten = grown($n, sub { start_all('ten') });
	figure('  an instance that has ended', $ten{instance_history});
	figure('  a step of it that kept nothing', $ten{visit_history} / 10);
	Bench::sql($database, q[SELECT workflow.define('asks', '{ "steps": [ { "step": "w", "wait": true } ] }')]);
	figure('  a step that was answered by a callback with two short values', answered(q('{"status": "SUCCESS", "receipt": "R-17"}')));
	attempts();
	figure('  a step whose answer has a kilobyte', answered("jsonb_build_object('large', $kilobyte)"));
	return;
}

# What a step leaves that is completed with a response.
sub answered
{
	my ($response) = @_;

	start_all('asks');
	my %asked = grown($n, sub { Bench::sql($database, "SELECT count(workflow.complete(serial_number, $response)) FROM (SELECT serial_number, row_number() OVER () AS i FROM workflow.waiting WHERE process = 'asks') w") });
	return $asked{visit_history};
}

sub until_is
{
	my ($wanted, $query) = @_;

	for (my $limit = time + 120; Bench::sql($database, $query) < $wanted; sleep(0.2))
	{
		die "not $wanted: $query\n" if time > $limit;
	}
	return;
}

sub attempts
{
	my $url = Bench::url();

	Bench::sql($database, qq[CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http OPTIONS (url '$url', max_in_flight '64', allow_private 'true');
		CREATE SERVER nobody FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:1', max_in_flight '64', allow_private 'true', breaker 'off');
		SELECT workflow.define('http', \$\${ "steps": [ { "step": "h", "http": { "server": "partner", "path": "/charges", "body": { "id": "\${\$.id}" } } } ] }\$\$);
		SELECT workflow.define('fails', \$\${ "steps": [ { "step": "h", "http": { "server": "nobody", "path": "/charges" }, "retry": { "max": 4, "delay": "10 ms" }, "catch": [{ "on": "*", "next": "e" }] }, { "step": "e", "end": true } ] }\$\$)]);
	my %http = grown($n, sub { start_all('http'); until_is($n, "SELECT count(*) FROM workflow.instances WHERE process = 'http' AND status = 'completed'") });
	figure('  a step with a request, of which the reply is kept', $http{visit_history} + ($http{attempt_history} // 0));
	my %fails = grown($n * 5, sub { start_all('fails'); until_is($n, "SELECT count(*) FROM workflow.instances WHERE process = 'fails' AND status = 'completed'") });
	figure('  each attempt that has failed', $fails{attempt_history});
	return;
}

# ---- memory ----

sub memory_of
{
	my ($kind) = @_;
	my %workers = Bench::workers();
	my @own = map { (Bench::memory($_))[0] } grep { $workers{$_} =~ /$kind/ } sort keys %workers;

	return @own ? 1024 * (sort { $a <=> $b } @own)[-1] : 0;
}

# Who accepts nothing keeps all requests under way.
sub memory
{
	my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 4000) or die "no free port: $!\n";
	my $many = 1000;

	print "memory of workers (bytes of their own, without shared memory)\n";
	Bench::sql($database, q[SELECT workflow.define('sql', '{ "steps": [ { "step": "s", "sql": "SELECT pg_sleep(3)::text" } ] }')]);
	Bench::sql($database, qq[CREATE SERVER silent FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:] . $silent->sockport . qq[', max_in_flight '$many', allow_private 'true', timeout '60 s', breaker 'off');
		SELECT workflow.define('silent', \$\${ "steps": [ { "step": "h", "http": { "server": "silent", "body": { "all": "\${\$}" } } } ] }\$\$)]);
	my $before = memory_of('dispatcher');
	Bench::sql($database, "SELECT workflow.start('sql')");
	sleep(1.5);
	figure('  an executor', memory_of('executor'));
	figure('  the dispatcher, with little under way', $before);
	Bench::sql($database, "SELECT count(workflow.start('silent', jsonb_build_object('id', i))) FROM generate_series(1, $many) i");
	sleep(3);
	my $in_flight = Bench::sql($database, "SELECT in_flight FROM workflow.servers WHERE server = 'silent'");
	die "nothing is under way\n" if !$in_flight;
	figure("  each of $in_flight requests that are under way", (memory_of('dispatcher') - $before) / $in_flight);
	return;
}

# ---- what is written, and dies ----

# Bytes of WAL, and rows that were changed or deleted, for each of so many.
sub written
{
	my ($what, $many, $code) = @_;
	my @look = map { my $query = $_; sub { Bench::sql($database, $query) } } (
		q[SELECT pg_current_wal_insert_lsn() - '0/0'],
		q[SELECT pg_stat_force_next_flush(); SELECT sum(n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE schemaname = 'workflow_data']);
	my @before = map { $_->() =~ s/^\s+//r } @look;

	$code->();
	sleep(3);
	my @after = map { $_->() =~ s/^\s+//r } @look;
	printf "%-76s %9s %6.1f\n", $what, Bench::thousands(sprintf('%.0f', ($after[0] - $before[0]) / $many)), ($after[1] - $before[1]) / $many;
	return;
}

sub statements
{
	print "written by a step (bytes of WAL, pages that are written whole left out; rows that die)\n";
	Bench::sql($database, q[SELECT workflow.define('five', '{ "steps": [ { "step": "a", "sql": "SELECT 1" }, { "step": "b", "sql": "SELECT 1" }, { "step": "c", "sql": "SELECT 1" }, { "step": "d", "sql": "SELECT 1" }, { "step": "e", "sql": "SELECT 1" } ] }')]);
	written('  a SQL step', 5 * $n, sub { start_all('five'); until_is($n, "SELECT count(*) FROM workflow.instances WHERE process = 'five' AND status = 'completed'") });
	written('  a step that is done at once', 10 * $n, sub { start_all('ten') });
	return;
}

Bench::fresh_database($database, 'orders.sql', 'wait_setup.sql');
Bench::wait_for_partitions($database);
Bench::sql($database, 'SELECT count(workflow.start(\'nothing\')) FROM generate_series(1, 1000)');
living();
ended();
Bench::with_settings({ full_page_writes => 'off', autovacuum => 'off' }, \&statements);
memory();
Bench::sql('postgres', "DROP DATABASE $database WITH (FORCE)");
