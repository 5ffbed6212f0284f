#
# The workers of docs/pull.md, as they stand there: killed again and again, the server once too, while ten thousand pieces of work go
# through. Each is done once, what was written with that has been written once, and none is left. And who listens is told.
#
# takes long

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Pages qw(blocks);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use Session;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $PIECES = 10000;
my $OF_SHELL = 40;
my $node = new_server('pull', conf => "workflow.executors = 2\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

# ---- the workers ----

my $folder = PostgreSQL::Test::Utils::tempdir();
my %worker = map { $_->{language} => $_->{text} } grep { $_->{text} =~ /^#!/ } blocks(slurp_file("$FindBin::Bin/../../docs/pull.md"));
is(join(' ', sort keys %worker), 'python sh', 'two workers stand in the page');

sub write_file
{
	my ($name, $text) = @_;
	open my $out, '>', "$folder/$name" or die "$name: $!";
	print $out $text;
	close $out;
}
write_file('worker.py', $worker{python});
write_file('worker.sh', $worker{sh});
write_file('my_work.py', <<'EOP');
def work(cursor, data):
    cursor.execute("INSERT INTO effect VALUES (%s)", (data["n"],))
    return {"n": data["n"]}
EOP
my ($python) = grep { system("$_ -c 'import psycopg2' 2>/dev/null") == 0 } 'python3', '/usr/bin/python3';
ok($python, 'psycopg2 is there');

@ENV{qw(PGHOST PGPORT PGDATABASE PYTHONDONTWRITEBYTECODE)} = ($node->host, $node->port, 'postgres', 1);
my $psql = $node->installed_command('psql');
$ENV{PATH} = "$1:$ENV{PATH}" if $psql =~ m{^(.*)/};

my %alive;
sub start_worker
{
	my (@command) = @_;
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		chdir $folder;
		open STDOUT, '>>', "$folder/out";
		open STDERR, '>&', \*STDOUT;
		exec @command or POSIX::_exit(127);
	}
	$alive{$pid} = [@command];
}

# kill -9, and another one comes
sub replace_worker
{
	my ($pid) = @_;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	start_worker(@{ delete $alive{$pid} });
}

END { kill 'KILL', keys %alive; waitpid $_, 0 for keys %alive }

# ---- ten thousand pieces ----

sql(q{CREATE TABLE effect (n integer); CREATE TABLE printed (n integer);
	SELECT workflow.define('work', '{"steps": [{"step": "do", "wait": {"topic": "work", "data": {"n": "${$.n}"}}, "retry": {"max": 100},
		"save": {"did": "${$result.response.n}"}}]}');
	SELECT workflow.define('print', '{"steps": [{"step": "do", "wait": {"topic": "print", "data": {"n": "${$.n}"}}, "retry": {"max": 100},
		"save": {"did": "${$result.response.n}"}},
		{"step": "printed", "sql": "INSERT INTO printed VALUES ((visit.data->>''did'')::integer)"}]}')});
sql("SELECT count(workflow.start('work', jsonb_build_object('n', i))) FROM generate_series(1, $PIECES) i");
sql("SELECT count(workflow.start('print', jsonb_build_object('n', i))) FROM generate_series(1, $OF_SHELL) i");

start_worker($python, 'worker.py', 'work', 20, '2 seconds') for 1 .. 4;
start_worker('bash', 'worker.sh', 'print', 'cat') for 1 .. 2;

my $count = 'SELECT count(*) FROM effect';
my ($kills, $crashed, $done) = (0, 0, 0);
my $end = time() + 240;
while ($done < $PIECES && time() < $end)
{
	sleep 0.4;
	my @pids = keys %alive;
	replace_worker($pids[ rand @pids ]) if $kills < 60;
	$kills++;
	if (!$crashed && $done > $PIECES / 3)
	{
		killed($node, 'server');
		$crashed = 1;
	}
	$done = eval { sql($count) } // $done;
}
cmp_ok($kills, '>', 5, "workers were killed");
ok($crashed, 'and the server');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'work' AND status = 'completed'", $PIECES, 'all work is done');
is(sql('SELECT count(*), count(DISTINCT n) FROM effect'), "$PIECES|$PIECES", 'each once');
is(sql("SELECT count(*) FROM workflow.instances WHERE process = 'work' AND data -> 'did' IS DISTINCT FROM data -> 'n'"), 0, 'with what has come of it');
is_soon($node, 'postgres', 'SELECT count(*), count(DISTINCT n) FROM printed', "$OF_SHELL|$OF_SHELL", 'so is what the shell has done');
is(sql("SELECT count(*) FROM workflow_data.work w WHERE NOT EXISTS (SELECT FROM workflow_data.work_note n WHERE n.work = w.work AND n.gone)"), 0, 'none is left');

# ---- what fails, and who listens ----

# the workers wait for a notice now, and look by themselves only after 30 s
my $begin = time();
sql("SELECT workflow.start('work', '{\"n\": 0}')");
is_soon($node, 'postgres', 'SELECT count(*) FROM effect WHERE n = 0', 1, 'who listens gets new work');
cmp_ok(time() - $begin, '<', 20, 'at once');

# a lock that runs out is told, too
kill 'KILL', keys %alive;
waitpid $_, 0 for keys %alive;
%alive = ();
sql("SELECT workflow.start('work', '{\"n\": -1}')");
is(sql("SELECT count(*) FROM workflow.fetch('work', lock => '3 seconds')"), 1, 'somebody has work, and says no more');
start_worker($python, 'worker.py', 'work');
is_soon($node, 'postgres', 'SELECT count(*) FROM effect WHERE n = -1', 1, 'another one gets it');

# so is work that was being fetched when its instance was suspended, and is free when that is resumed
kill 'KILL', keys %alive;
waitpid $_, 0 for keys %alive;
%alive = ();
my $suspended = sql("SELECT workflow.start('work', '{\"n\": -3}')");
my $fetcher = Session->new($node, 'postgres');
$fetcher->run('BEGIN', "SELECT count(*) FROM workflow.fetch('work', lock => '1 second')");
sql("SELECT workflow.suspend($suspended)");
$fetcher->run('COMMIT');
undef $fetcher;
is_soon($node, 'postgres', "SELECT ready, locked, paused FROM workflow.topics WHERE topic = 'work'", '0|0|1', 'what was fetched meanwhile is paused as well');
start_worker($python, 'worker.py', 'work');
is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle' AND query = 'COMMIT'", 1, 'a worker listens');
$begin = time();
sql("SELECT workflow.resume($suspended)");
is_soon($node, 'postgres', 'SELECT count(*) FROM effect WHERE n = -3', 1, 'and gets it when the instance is resumed');
cmp_ok(time() - $begin, '<', 20, 'at once, too');

# what a worker raises is a failure with that name
kill 'KILL', keys %alive;
waitpid $_, 0 for keys %alive;
%alive = ();
write_file('my_work.py', "def work(cursor, data):\n    cursor.execute('INSERT INTO effect VALUES (-2)')\n    return 1 / 0\n");
my $failing = sql("SELECT workflow.start('work', '{\"n\": -2}')");
start_worker($python, 'worker.py', 'work');
start_worker('bash', 'worker.sh', 'print', 'echo jam; exit 1');
is_soon($node, 'postgres', "SELECT DISTINCT a.error ->> 'code' FROM workflow.attempts a JOIN workflow.visits v USING (serial_number) WHERE v.instance = $failing",
	'ZeroDivisionError', 'a failure of a worker is on record');
is(sql('SELECT count(*) FROM effect WHERE n = -2'), 0, 'and what it has written is not there');
$failing = sql("SELECT workflow.start('print', '{\"n\": -2}')");
is_soon($node, 'postgres', "SELECT DISTINCT trim(E'\\n' FROM a.error ->> 'message') FROM workflow.attempts a JOIN workflow.visits v USING (serial_number) WHERE v.instance = $failing",
	'jam', 'one of a command as well');
kill 'KILL', keys %alive;
waitpid $_, 0 for keys %alive;
%alive = ();

done_testing();
