#
# workflow.verify() while others move tokens: it sees one moment, waits for nobody, and is quick.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run ();
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $scene = Scene->new('verify', conf => "max_connections = 60\nworkflow.executors = 4\n");
my $node = $scene->node;
my $verify = 'SELECT instance, serial_number, problem FROM workflow.verify()';

# ---- tokens that executors, clocks and clients move all the time, through forks, joins and sub-processes ----

$scene->define('busy', '{"timeout": "1 day", "steps": [
	{"step": "round", "async": true, "set": {"n": "${$.n + 1 ?? 1}"}, "next": ["a", "b", "sub"]},
	{"step": "a", "async": true, "set": {"a": 1}, "next": "meet"},
	{"step": "b", "wait": true, "timeout": "20 ms", "catch": [{"on": "TIMED_OUT", "next": "meet"}], "next": "meet"},
	{"step": "sub", "steps": [
		{"step": "split", "next": ["fast", "slow"]},
		{"step": "fast", "async": true, "set": {"b": 1}, "next": "first"},
		{"step": "slow", "wait": {"after": "3 ms"}, "next": "first"},
		{"step": "first", "join": "any", "end": true}], "next": "meet"},
	{"step": "meet", "join": "all", "choose": [{"when": "$.n < 100", "next": "round"}, {"next": "done"}]},
	{"step": "done", "end": true}]}');
$scene->sql("SELECT count(workflow.start('busy')) FROM generate_series(1, 40)");
my ($out, $err) = ('', '');
my $client = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \q[
	DO $$
	BEGIN
		WHILE EXISTS (SELECT FROM workflow.instances WHERE process = 'busy' AND ended_at IS NULL) LOOP
			PERFORM workflow.complete(serial_number) FROM workflow.waiting WHERE process = 'busy' AND step = 'b' LIMIT 5;
			COMMIT;
			PERFORM workflow.suspend(instance) FROM workflow.instances WHERE process = 'busy' AND ended_at IS NULL AND instance % 3 = 0;
			COMMIT;
			PERFORM workflow.resume(instance) FROM workflow.instances WHERE status = 'suspended';
			COMMIT;
		END LOOP;
	END $$;
	], '>', \$out, '2>', \$err);
my ($looks, $end) = (0, time() + 120);
my $problems = '';
my $living = 40;
while ($problems eq '' && $living > 0 && time() < $end)
{
	$problems = $scene->sql("$verify;\n" x 10);
	$looks += 10;
	$living = $scene->sql("SELECT count(*) FROM workflow.instances WHERE process = 'busy' AND ended_at IS NULL");
}
is($problems, '', "nothing is wrong at any of $looks moments");
cmp_ok($looks, '>=', 50, '... while tokens move');
$client->finish;
is($err, '', 'clients moved them too');
is($scene->sql("SELECT status, count(*) FROM workflow.instances WHERE process = 'busy' GROUP BY 1"), 'completed|40', 'and all came to their end');

# ---- what is locked holds it up as little as it holds up others ----

$scene->define('stand', '{"steps": [{"step": "stand", "wait": true, "timeout": "1 day", "next": "on"}, {"step": "on", "wait": true}]}');
$scene->sql("SELECT count(workflow.start('stand')) FROM generate_series(1, 10)");
my $holder = $node->background_psql('postgres');
is($holder->query("BEGIN; SELECT count(workflow.complete(serial_number)) FROM workflow.waiting WHERE process = 'stand'"), 10, 'a transaction that takes its time');
is($scene->sql("SET statement_timeout = '20 s'; $verify"), '', 'half of a transaction is not seen, nor waited for');
is($scene->sql("BEGIN; SELECT count(*) FROM workflow.verify();
	SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation::regclass::text LIKE 'workflow_data.%'"), "0\nAccessShareLock", 'it locks no row and nobody out');
$holder->query('COMMIT');
$holder->quit;
is($scene->sql("SELECT count(*) FROM workflow.waiting WHERE process = 'stand' AND step = 'on'"), 10, 'the transaction goes on');

# ---- many ----

my $MANY = $ENV{WF_LONG} ? 100_000 : 30_000;
my $began = time();
$scene->sql("SELECT count(workflow.start('stand', jsonb_build_object('n', n))) FROM generate_series(1, $MANY) n");
note(sprintf('%d are started in %.1f s', $MANY, time() - $began));
$began = time();
is($scene->sql($verify), '', "$MANY instances are all right");
my $took = time() - $began;
note(sprintf('... which takes %.2f s', $took));
cmp_ok($took, '<', 20, '... as is known in seconds');
$scene->sql("UPDATE workflow_data.instance SET tokens = 7 WHERE instance = (SELECT max(instance) - $MANY / 2 FROM workflow_data.instance)");
like($scene->sql($verify), qr/^\d+\|\|counts 7 tokens, but 1 visits live directly in it$/, 'and the one that is wrong among them is found');
$scene->sql('UPDATE workflow_data.instance SET tokens = 1 WHERE tokens = 7');

$node->stop;
done_testing();
