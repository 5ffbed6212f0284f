#
# The workers of docs/pull.md, as they stand there: killed again and again, the server once too, while thousands of pieces of work go
# through, with --long ten thousand. Each is done once, what was written with that has been written once, and none is left. And who listens is told. Work that
# goes wrong each time is not done again for ever, however it goes wrong: each time an attempt is counted.
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

my $PIECES = $ENV{WF_LONG} ? 10000 : 4000;
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
# nobody waits for a minute until the lock of a worker that was killed runs out
write_file('worker.sh', $worker{sh} =~ s/'1 minute'/'10 seconds'/gr);
write_file('watchful.sh', $worker{sh} =~ s/sleep 20/sleep 1/r);
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

sub stop_workers
{
	kill 'KILL', keys %alive;
	waitpid $_, 0 for keys %alive;
	%alive = ();
}

END { stop_workers() }

# ---- many pieces ----

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
stop_workers();
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
stop_workers();
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
stop_workers();

# ---- work that goes wrong each time ----

# Starts one under a topic of its own: what was killed a moment ago may still be fetching. Returns the instance and the topic.
my $topics = 0;
sub start_work
{
	my $topic = 'topic ' . ++$topics;
	sql(sprintf(q{SELECT workflow.define('%1$s', '{"steps": [{"step": "do", "wait": {"topic": "%1$s", "data": {"n": "${$.n}"}}, "retry": {"max": 1, "delay": "100 ms"},
		"catch": [{"on": "*", "next": "failed"}], "save": {"did": "${$result.response}"}, "end": true},
		{"step": "failed", "set": {"did": "${$caught.error.code}"}}]}')}, $topic));
	return (sql("SELECT workflow.start('$topic', '{\"n\": 1}')"), $topic);
}

# An instance whose work fails twice with that code, or succeeds with that result: done by workers that stay alive.
sub is_ended
{
	my ($instance, $did, $failures, $name) = @_;
	is_soon($node, 'postgres', "SELECT data ->> 'did', (SELECT count(*) FROM workflow.attempts a "
		  . "WHERE a.serial_number LIKE i.instance || '\\_%' AND a.error IS NOT NULL) FROM workflow.instances i WHERE instance = $instance AND data ? 'did'",
		"$did|$failures", $name);
	is(scalar(grep { waitpid($_, POSIX::WNOHANG()) == 0 } keys %alive), scalar(keys %alive), '... and its worker goes on');
}

sub python_gives
{
	my ($work, $did, $failures, $name) = @_;
	write_file('my_work.py', "import sys\ndef work(cursor, data):\n" . join('', map { "    $_\n" } split / ;; /, $work));
	my ($instance, $topic) = start_work();
	start_worker($python, 'worker.py', $topic, 1, '1 second');
	is_ended($instance, $did, $failures, $name);
	stop_workers();
}
python_gives(q{cursor.execute("SET LOCAL statement_timeout = '100 ms'") ;; cursor.execute("SELECT pg_sleep(9)")}, 'QueryCanceled', 2, 'a statement that takes too long is a failure');
python_gives(q{cursor.execute("DO $$ BEGIN RAISE serialization_failure; END $$")}, 'SerializationFailure', 2, 'so is a conflict');
python_gives('return "x" * 34000000', 'ProgramLimitExceeded', 2, 'a result that is too large');
python_gives('raise ValueError("no\0thing")', 'ValueError', 2, 'an error with a null byte in its text');
python_gives('raise type("E" * 300, (Exception,), {})("\udcff")', 'ERROR', 2, 'one of which nothing can be stored');
python_gives('sys.exit(1)', 'SystemExit', 2, 'an exit');
python_gives('cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")', 'IN_VAIN', 2, 'and what ends the connection each time');

# what nobody waits for any more
write_file('my_work.py', <<'EOP');
def work(cursor, data):
    if data["n"] == 1:
        for call in ("cancel", "erase"):
            cursor.execute("SELECT workflow.%s(%s)" % (call, open("gone").read()))
            cursor.connection.commit()
    return "it"
EOP
my ($gone, $topic) = start_work();
write_file('gone', $gone);
start_worker($python, 'worker.py', $topic, 1, '1 second');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE instance = $gone", 0, 'work erases its instance');
is_ended(sql("SELECT workflow.start('$topic', '{\"n\": 2}')"), 'it', 0, '... and the next piece is done');
stop_workers();

sub start_command
{
	my ($instance, $topic) = start_work();
	start_worker('bash', 'watchful.sh', $topic, $_[0]);
	return $instance;
}

sub command_gives
{
	my ($command, $did, $failures, $name) = @_;
	is_ended(start_command($command), $did, $failures, $name);
	stop_workers();
}
command_gives('echo careful >&2; echo 7', 7, 0, 'what a command says beside is no part of its result');
my $silent = start_command('true');
is_soon($node, 'postgres', "SELECT data -> 'did' FROM workflow.instances WHERE instance = $silent", 'null', 'nothing printed is null');
stop_workers();
command_gives('echo done', 'RESULT', 2, 'what is no JSON is a failure');
command_gives('printf "\xff"', 'RESULT', 2, 'so is what is no UTF-8');
command_gives('printf "\xff"; exit 1', 'EXIT', 2, 'a failure may say that');
my $long = start_command('printf "\"%s\"" "$(head -c 300000 /dev/zero | tr "\\\\0" 1)"');
is_soon($node, 'postgres', "SELECT length(data ->> 'did') FROM workflow.instances WHERE instance = $long", 300000, 'much can be printed');
stop_workers();

# an outage does not end a command; the end of the wait does, with all that it has started
sql('CREATE ROLE shaky SUPERUSER LOGIN');
my $slow = do { local $ENV{PGUSER} = 'shaky'; start_command('sleep 5; echo 8') };
my $locked = 'SELECT count(*) FROM workflow.waiting WHERE worker IS NOT NULL AND instance = ';
is_soon($node, 'postgres', $locked . $slow, 1, 'a command that takes long');
sql('ALTER ROLE shaky NOLOGIN');
sleep 7;
sql('ALTER ROLE shaky LOGIN');
is_ended($slow, 8, 0, '... is done, though the database could not be reached meanwhile');
stop_workers();

$slow = start_command('sleep 600 & echo $! >pid; wait');
is_soon($node, 'postgres', $locked . $slow, 1, 'a command that starts another one');
sleep 0.1 until -s "$folder/pid";
chomp(my $pid = slurp_file("$folder/pid"));
ok(kill(0, $pid), '... which runs');
sql("SELECT workflow.cancel($slow)");
my $patience = time() + 20;
sleep 0.1 while kill(0, $pid) && time() < $patience;
ok(!kill(0, $pid), '... and is ended with it, when nobody waits for it any more');
stop_workers();

done_testing();
