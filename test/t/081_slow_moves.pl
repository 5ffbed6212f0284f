#
# Moves that take longer than a dispatcher may spend on them, and who may come in between: a client that takes the lock, a
# callback, a cancel, a suspension. Nothing is lost, nothing stands for ever, and others are served meanwhile.
#
# A lock on a table of the history makes a move exactly as long as the test wants it.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('slow_moves', conf => "workflow.move_timeout = 3s\nworkflow.executors = 1\n");
my $node = $scene->node;
my $H = '"headers": {' . Scene::HEADERS . '}';
my $holder = $node->background_psql('postgres');

sub hold { $holder->query_safe("BEGIN; LOCK TABLE workflow_data.$_[0] IN SHARE MODE") }
sub let_go { $holder->query_safe('ROLLBACK') }

sub set_conf
{
	my ($name, $value) = @_;
	$scene->sql("ALTER SYSTEM SET workflow.$name = '$value'");
	$scene->sql('SELECT pg_reload_conf()');
	is_soon($node, 'postgres', "SELECT setting FROM pg_settings WHERE name = 'workflow.$name'", $value, "$name is $value");
}

# The one executor has something else to do, for that many seconds.
sub keep_executor_busy
{
	my ($seconds) = @_;
	my $busy = $scene->start('busy', { seconds => $seconds });
	is_soon($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'workflow executor' AND wait_event = 'PgSleep'", 1, 'the executor is busy');
	return $busy;
}

$scene->define($_, qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/$_", $H}}]})) for 'held', 'ok';
$scene->define('busy', '{"steps": [{"step": "sleep", "sql": "SELECT pg_sleep((visit.data->>\'seconds\')::float)"}]}');
# its second attempt is answered well, which goes into the history of attempts
$scene->define('second', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/flaky", "query": {"fail": "1", "key": "\${\$instance}"}, $H},
	"retry": {"max": 1, "delay": "1500 ms"}, "save_reply": {"replied": "\${\$reply.status}"}, "wait": true,
	"cancel": {"path": "/echo/\${\$reply.status}", "headers": {"X-Instance": "\${\$instance}"}, "timeout": "100 ms"}}]}));

# ---- a client takes the lock when a reply has to be given up: it has three seconds to queue for it ----

hold('visit_history');
my $instance = $scene->start('held');
$scene->wait_for_requests(1, $instance);
$scene->let_go($instance);
my $client = $node->background_psql('postgres');
is_soon($node, 'postgres', "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.backend_type = 'workflow dispatcher'", 1, 'the reply is there and cannot be moved on');
$client->query_safe("BEGIN; SELECT workflow.set_data($instance, '{\"mended\": true}')");
let_go();
sleep 0.5;
$client->query_safe('COMMIT');
is($scene->finish($instance), 'completed', 'a client that takes the lock when a reply is given up takes nothing away');
is(scalar($scene->requests($instance)), 1, 'which is not asked for again');

# ---- a callback, and a cancel, while an executor is awaited for the reply ----

set_conf('move_timeout', 200);
sub hand_over
{
	my ($instance) = @_;
	$scene->wait_for_state($instance, 'retrying');
	hold('attempt_history');
	is_soon($node, 'postgres', "SELECT queue LIKE 'executor %' FROM workflow_data.delivery WHERE instance = $instance", 't', 'the reply waits for an executor');
	let_go();
}

keep_executor_busy(6);
$instance = $scene->start('second');
hand_over($instance);
is($scene->sql("SELECT workflow.complete(serial_number, '{\"done\": true}') FROM workflow.visits WHERE instance = $instance"), 't', 'a callback is accepted meanwhile');
is($scene->finish($instance), 'completed', 'it ends the visit');
is($scene->data($instance)->{replied}, 200, 'after the reply');
is_deeply($scene->history($instance, 'call')->{result}{callback_response}, { done => JSON::PP::true }, 'with what it has brought');

keep_executor_busy(6);
$instance = $scene->start('second');
hand_over($instance);
$scene->sql("SELECT workflow.cancel($instance)");
is($scene->finish($instance), 'aborted', 'a cancel meanwhile');
is(join(' ', map { $_->{path} } $scene->requests($instance)), '/flaky /flaky /echo/200', 'asks the outside to stop once the reply is known');

# ---- an executor does not wait for who has the lock ----

keep_executor_busy(4);
$instance = $scene->start('second');
hand_over($instance);
$client->query_safe("BEGIN; SELECT workflow.set_data($instance, '{}')");
is_soon($node, 'postgres', "SELECT attempt > 2 FROM workflow_data.delivery WHERE instance = $instance AND queue LIKE 'executor %'", 't', 'the reply of a locked instance is put off');
($instance, my $status) = $scene->run('busy', { seconds => 0 });
is($status, 'completed', 'and others are served');
$client->query_safe('COMMIT');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE kind = 'reply'", 0, 'then it is delivered');
$scene->sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE ended_at IS NULL AND process = 'second'");
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow.instances WHERE status <> all (array[\'completed\', \'aborted\'])', 0, 'all have ended');

# ---- deliveries have the same limit ----

$instance = $scene->start('held');
$scene->wait_for_requests(1, $instance);
$client->query_safe("BEGIN; SELECT workflow.set_data($instance, '{}')");
$scene->let_go($instance);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance", 1, 'a reply waits for a lock');
hold('visit_history');
$client->query_safe('COMMIT');
sleep 0.1;
my $other = $scene->start('held');
my $begin = time();
$scene->wait_for_requests(1, $other);
$scene->let_go($other);
cmp_ok(time() - $begin, '<', 10, 'what cannot be delivered holds up nobody');
let_go();
is($scene->finish($_), 'completed', 'and is, later') for $instance, $other;

# ---- waiting for a lock is no reason to give up ----

set_conf('sql_timeout', 500);
$instance = $scene->start('second');
$scene->wait_for_state($instance, 'retrying');
hold('attempt_history');
is_soon($node, 'postgres', "SELECT attempt > 0 FROM workflow_data.delivery WHERE instance = $instance AND queue LIKE 'executor %'", 't', 'an executor waits, too');
let_go();
$scene->wait_for_state($instance, 'waiting');
is($scene->data($instance)->{replied}, 200, 'nothing is lost by that');
$scene->sql("SELECT workflow.cancel($instance)");
set_conf('sql_timeout', 300000);

# ---- what computes for long ----

set_conf('move_timeout', 5);
my $compares = '"x": "${$.a[*] ? (exists($.a[*] ? (@ + 0 > 20000))) ?? null}"';
my %data = (a => [ 1 .. 600 ]);

$scene->define('slow clock', qq({"steps": [
	{"step": "stand", "wait": {"after": "1 s"},
	 "catch": [{"after": "100 ms", "interrupt": false, "save": {$compares}, "next": "beside"}], "end": true},
	{"step": "beside", "end": true}]}));
my ($clock) = $scene->run('slow clock', \%data);
is($scene->path($clock), 'stand:SUCCESS beside:SUCCESS', 'an executor takes over a slow handler');

$scene->define('slow fault', qq({"steps": [
	{"step": "call", "http": {"server": "partner", "path": "/echo/\${\$.missing}"}, "catch": [{"on": "*", "next": "caught"}]},
	{"step": "caught", "set": {$compares}, "end": true}]}));
my ($fault) = $scene->run('slow fault', \%data);
is($scene->path($fault), 'call:SYSTEM_ERROR caught:SUCCESS', 'and a slow path behind a request that could not be built');

# what takes too long for an executor as well ends as an incident
set_conf('sql_timeout', 20);
$scene->define('too slow', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/echo"}, "save_reply": {$compares}}]}));
my ($too_slow, $ended) = $scene->run('too slow', { a => [ 1 .. 3000 ] });
is($ended, 'failed', 'a reply that takes for ever to be saved');
is($scene->incident($too_slow)->{outcome}, 'SYSTEM_ERROR', 'is an incident');
set_conf('sql_timeout', 300000);
set_conf('move_timeout', 200);

# ---- a request that takes long to be built, and cannot be in the end ----

my $slow = '"x": "${$.list[*] ? (exists($.list[*] ? (@ == -1))) ?? null}"';
my %list = (list => [ 1 .. 3000 ]);
$scene->define('broken', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/echo", "body": {$slow}, "timeout": "\${\$.missing}"}, "wait": true}]}));

set_conf('move_timeout', 60000);
$instance = $scene->start('broken', \%list);
sleep 0.3;
is($scene->sql("SELECT workflow.complete(serial_number) FROM workflow.visits WHERE instance = $instance"), 't', 'a callback for it');
is($scene->finish($instance), 'completed', 'is its end');

$instance = $scene->start('broken', \%list);
sleep 0.3;
$scene->sql("SELECT workflow.suspend($instance)");
$scene->sql("SELECT workflow.start('ok')"); # looked at after that
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'ok' AND status <> 'completed'", 0, 'suspended meanwhile');
$scene->sql("SELECT workflow.resume($instance)");
is($scene->finish($instance), 'failed', 'it goes on when it is resumed');
set_conf('move_timeout', 200);

# the look at it fails, and the instance is locked
$scene->sql('ALTER SERVER partner RENAME TO away');
$instance = $scene->start('broken', { list => [ 1 .. 20000 ] });
$client->query_safe("BEGIN; SELECT workflow.set_data($instance, '{}')");
$scene->sql('ALTER SERVER away RENAME TO partner');
sleep 1;
$client->query_safe('COMMIT');
is($scene->finish($instance), 'failed', 'one that takes too long and is locked is an incident once it is not');

# ---- what is kept and has nobody to go to ----

$instance = $scene->start('held');
$scene->wait_for_requests(1, $instance);
$scene->sql("SELECT workflow.suspend($instance)");
$scene->let_go($instance);
is_soon($node, 'postgres', "SELECT queue FROM workflow_data.delivery WHERE instance = $instance", 'suspended', 'the reply for a suspended instance is kept');
$scene->sql("SELECT workflow.cancel_visit(serial_number) FROM workflow.visits WHERE instance = $instance");
is($scene->finish($instance), 'aborted', 'whose visit is cancelled');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance", 0, 'then it goes, too');

# cancelled between an accepted callback and the reply
$scene->define('kept', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/held", $H}, "wait": true, "save_reply": {"replied": "\${\$reply.status}"}}]}));
$instance = $scene->start('kept');
$scene->wait_for_requests(1, $instance);
$scene->sql("SELECT workflow.complete(serial_number, '{\"done\": true}'), workflow.cancel($instance) FROM workflow.visits WHERE instance = $instance");
$scene->let_go($instance);
is($scene->finish($instance), 'aborted', 'cancelled after an accepted callback');
is($scene->path($instance), 'call:SUCCESS', 'what was done is done');
is($scene->data($instance)->{replied}, 200, 'and has its reply');

# ---- more than an incident could hold ----

$instance = $scene->start('kept');
$scene->wait_for_requests(1, $instance);
like($scene->error("SELECT workflow.complete(serial_number, to_jsonb(repeat('a', 40000000))) FROM workflow.visits WHERE instance = $instance"),
	qr/^54000: what ends a visit has at most 32 MB/, 'a callback has a limit');
$scene->let_go($instance);
$scene->wait_for_state($instance, 'waiting');
$scene->sql("UPDATE workflow_data.visit SET accepted = 0, callback = to_jsonb(repeat('a', 140000000)), queue = 'move', due_at = clock_timestamp() WHERE instance = $instance");
$scene->sql('ALTER SERVER partner RENAME TO away; ALTER SERVER away RENAME TO partner'); # the dispatcher looks
is($scene->finish($instance), 'failed', 'one that got in all the same makes an incident');
like($scene->incident($instance)->{error}{message}, qr/size|memory/, 'which tells why');

ok(!log_has($node, qr/PANIC|was terminated by signal|could not make an incident/), 'no worker has died of all that');
$client->quit;
$holder->quit;
$node->stop;
done_testing();
