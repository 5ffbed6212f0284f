#
# A server that is short of something for a while: of disk, memory, connections, of a lock that somebody else has. Nothing that was
# answered is asked for again, nothing fails, no attempt is spent; then all goes on.
#
# A trigger on the table of visits says what the server would say, for all instances or for one.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $scene = Scene->new('shortage');
my $node = $scene->node;
my $H = '"headers": {' . Scene::HEADERS . '}';

$scene->sql(q[CREATE TABLE trouble (code text, instance bigint);
	CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
	DECLARE c text := (SELECT code FROM public.trouble t WHERE t.instance IS NULL OR t.instance = OLD.instance);
	BEGIN
		IF c IS NOT NULL THEN RAISE EXCEPTION 'trouble %', c USING ERRCODE = c; END IF;
		RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
	END $$;
	CREATE TRIGGER trouble BEFORE UPDATE OR DELETE ON workflow_data.visit FOR EACH ROW EXECUTE FUNCTION trouble()]);
sub trouble { my ($code, $instance) = @_; $scene->sql("INSERT INTO trouble VALUES ('$code', " . ($instance // 'NULL') . ')') }
sub mend { $scene->sql('DELETE FROM trouble') }

my $retry = '"retry": {"max": 1, "delay": "10 ms"}, "catch": [{"on": "*", "next": "failed"}]';
my $rest = '{"step": "ship", "wait": true, "end": true}, {"step": "failed", "wait": true, "end": true}';
$scene->define('pay', qq({"steps": [{"step": "charge", "http": {"server": "partner", "path": "/echo", $H}, $retry}, $rest]}));
$scene->define('slow', qq({"steps": [{"step": "charge", "http": {"server": "partner", "path": "/held", $H}, $retry}, $rest]}));
$scene->define('quick', qq({"steps": [{"step": "charge", "http": {"server": "partner", "path": "/held", $H}, "timeout": "3 s", $retry}, $rest]}));
$scene->define('clock', qq({"steps": [{"step": "clock", "wait": {"after": "300 ms"}, "catch": [{"on": "*", "next": "failed"}]}, $rest]}));
$scene->define('deadline', qq({"steps": [{"step": "stand", "wait": true, "timeout": "300 ms", "catch": [{"on": "TIMED_OUT", "next": "ship"}, {"on": "*", "next": "failed"}]}, $rest]}));

# ---- replies, clocks and deadlines while the disk is full ----

my $offset = -s $node->logfile;
my @instances = map { $scene->start('slow') } 1 .. 3;
my $begin = time();
push @instances, my $quick = $scene->start('quick');
$scene->wait_for_requests(1, $_) for @instances;
trouble('53100');
$scene->let_go($_) for @instances;
my @waiting = ($scene->start('clock'), $scene->start('deadline'));
is_soon($node, 'postgres', blocked($_), 'disk', 'it is shown what is lacking') for @instances, @waiting;
my $late = $scene->start('pay');
my $visit = $scene->visit($instances[0]);
is($visit->{state} . ' ' . $visit->{attempt}, 'calling 0', 'no attempt is counted');
is_deeply($visit->{error}, { code => '53100', message => 'trouble 53100', sqlstate => '53100', http_status => undef, attempt => 0 }, 'what the server said is shown');
$scene->sql('CREATE ROLE stranger; GRANT USAGE ON SCHEMA workflow, workflow_data TO stranger');
is($scene->sql("SET ROLE stranger; SELECT workflow_data.blocked_by(instance, visit, NULL, NULL, NULL) FROM (VALUES (" . join(', ', split(/_/, $visit->{serial_number})) . ')) v (instance, visit)'), '', '... to those who may see it');
like($scene->error("SELECT workflow.complete('$visit->{serial_number}')"), qr/^55000|^53100/, 'a client is told');
stays(1.5, sub { scalar($scene->requests($late)) }, 0, 'no new request goes out');
sleep 0.1 while time() < $begin + 3.5;
mend();
for (@instances, $late)
{
	is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $_", 'ship', 'it goes on');
	is(scalar($scene->requests($_)), 1, '... with one request');
	is($scene->sql(blocked($_)), '', '... and nothing lacks');
}
is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $_", 'ship', 'clocks and deadlines go off') for @waiting;
is(($scene->history($quick, 'charge'))->{outcome}, 'SUCCESS', 'a reply that came before the timeout wins');
wait_until(sub { log_has($node, qr/workflow goes on: what it had to wait for is there again/, $offset) }, 'the log says that it is over');
is(count_in_log($node, qr/workflow has to wait: trouble 53100/, $offset), 1, '... and has said once that it began');
is(count_in_log($node, qr/workflow goes on/, $offset), 1, '... as it has ended once');

# ---- whose fault is it? ----

for (['58030', 'disk'], ['53200', 'memory'], ['53300', 'resources'], ['40001', 'conflict'], ['40P01', 'conflict'], ['55P03', 'lock'])
{
	my ($code, $lack) = @$_;
	my $instance = $scene->start('slow');
	$scene->wait_for_requests(1, $instance);
	trouble($code);
	$scene->let_go($instance);
	is_soon($node, 'postgres', blocked($instance), $lack, "$code is the machine's");
	mend();
	is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $instance", 'ship', '... and passes');
	is(scalar($scene->requests($instance)), 1, '... with one request');
}
for my $code (qw(22012 23514 P0001 53400 58P01 57014))
{
	# a limit of the move itself would hand it over; this is an error like others
	my $instance = $scene->start('slow');
	$scene->wait_for_requests(1, $instance);
	$scene->sql("CREATE OR REPLACE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
		IF NEW.step = 'ship' THEN RAISE EXCEPTION USING ERRCODE = '$code'; END IF; RETURN NEW; END \$\$;
		CREATE OR REPLACE TRIGGER own BEFORE INSERT ON workflow_data.visit FOR EACH ROW EXECUTE FUNCTION own()");
	$scene->let_go($instance);
	is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $instance", 'failed', "$code is the move's own");
	$scene->sql('DROP TRIGGER own ON workflow_data.visit');
}

# ---- one that cannot be stored does not hold up those that can ----

my ($poison, $other) = map { $scene->start('slow') } 1, 2;
$scene->wait_for_requests(1, $_) for $poison, $other;
trouble('53200', $poison);
$scene->let_go($poison);
is_soon($node, 'postgres', blocked($poison), 'memory', 'one reply cannot be stored');
$scene->let_go($other);
is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $other", 'ship', 'another one can');
my $next = $scene->start('pay');
is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $next", 'ship', 'then new requests go out');
is($scene->sql(blocked($poison)), 'memory', '... while it still waits');
mend();
is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $poison", 'ship', 'until it can be stored, too');

# ---- somebody has the lock of a table for longer than a move may take ----

$node->append_conf('postgresql.conf', "workflow.move_timeout = 300ms\n");
$node->reload;
my $holder = $node->background_psql('postgres');
$scene->define('unlucky', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/flaky", "query": {"fail": "1", "key": "\${\$instance}"}, $H},
	"retry": {"max": 100000, "delay": "700 ms"}, "wait": true, "cancel": {"path": "/stop", "headers": {"X-Instance": "\${\$instance}"}, "timeout": "0"}}]}));
my $dispatcher = wait_for_workers($node, 'postgres');
for my $table (qw(instance visit))
{
	my $unlucky = $scene->start('unlucky');
	$scene->wait_for_state($unlucky, 'retrying');
	$holder->query_safe("BEGIN; LOCK TABLE workflow_data.$table");
	sleep 2;
	$holder->query_safe('COMMIT');
	$scene->wait_for_state($unlucky, 'waiting');
	is(scalar($scene->requests($unlucky)), 2, "a lock on $table is nobody's fault: a request that was due meanwhile goes out");

	# the same with a cancel request, which is due once its server is there again
	$scene->sql('ALTER SERVER partner RENAME TO away');
	$scene->sql("SELECT workflow.cancel($unlucky)");
	$holder->query_safe("BEGIN; ALTER SERVER away RENAME TO partner; LOCK TABLE workflow_data.$table");
	sleep 0.2;
	$holder->query_safe('COMMIT');
	is($scene->finish($unlucky), 'aborted', '... as does a cancel request');
	is(join(' ', map { $_->{path} } $scene->requests($unlucky)), '/flaky /flaky /stop', '... which is sent');

	# a reply that comes meanwhile
	my $instance = $scene->start('slow');
	$scene->wait_for_requests(1, $instance);
	$holder->query_safe("BEGIN; LOCK TABLE workflow_data.$table");
	$scene->let_go($instance);
	sleep 2;
	$holder->query_safe('COMMIT');
	is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $instance", 'ship', '... and a reply is kept');
	is(scalar($scene->requests($instance)), 1, '... and not asked for again');
}
is(wait_for_workers($node, 'postgres'), $dispatcher, 'the dispatcher has lived through all of that');

# one that cannot even look at its queues
$holder->query_safe('BEGIN; LOCK TABLE workflow_data.visit');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($dispatcher)");
wait_until(sub { my $pid = worker_pid($node, 'dispatcher', 'postgres'); $pid && $pid != $dispatcher }, 'a new one comes');
$dispatcher = wait_for_workers($node, 'postgres');
sleep 1;
$holder->query_safe('COMMIT');
my $after = $scene->start('pay');
is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $after", 'ship', 'and goes on when it can');
is(wait_for_workers($node, 'postgres'), $dispatcher, '... without having ended for that');
$holder->quit;

# ---- SQL steps ----

$scene->sql('CREATE TABLE done (instance bigint)');
$scene->define('sql', '{"steps": [{"step": "do", "sql": "INSERT INTO done SELECT visit.instance FROM pg_sleep(0.5) RETURNING visit.attempt", "save_reply": {"attempt": "${$reply.row.attempt}"}, "catch": [{"on": "*", "next": "failed"}]}, '
	. $rest . ']}');
$offset = -s $node->logfile;
@instances = map { $scene->start('sql') } 1 .. 2;
trouble('53100');
is_soon($node, 'postgres', blocked($_), 'disk', 'a statement whose row cannot be written is shown') for $instances[0];
sleep 1;
mend();
for (@instances)
{
	is_soon($node, 'postgres', "SELECT step FROM workflow.visits WHERE instance = $_", 'ship', '... and done when it can be');
	is($scene->sql("SELECT count(*) FROM done WHERE instance = $_"), 1, '... once');
	is($scene->data($_)->{attempt}, 1, '... with its first attempt');
}
is(count_in_log($node, qr/exited with exit code/, $offset), 0, 'no executor has ended for it');
is(count_in_log($node, qr/workflow has to wait/, $offset), 1, 'the log has one line of it');

# not by what a trigger says, but as the system and another server say it: a device that is full, a server that starts up
$scene->sql('CREATE EXTENSION dblink; CREATE SEQUENCE tries');
$scene->sql(q[CREATE FUNCTION save() RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE format('COPY (SELECT 1) TO %L', CASE WHEN nextval('public.tries') < 3 THEN '/dev/full' ELSE '/dev/null' END);
		RETURN 'saved';
	END $$]);
my $connection = $node->connstr('postgres') =~ s/'/''/gr;
$scene->sql(qq[CREATE FUNCTION ask() RETURNS text LANGUAGE sql AS \$\$ SELECT CASE WHEN nextval('public.tries') < 3
	THEN public.dblink_exec('$connection', 'DO ''BEGIN RAISE USING ERRCODE = \$b\$57P03\$b\$; END''') ELSE 'asked' END \$\$]);
for (['save', 'disk', 'saved'], ['ask', 'server', 'asked'])
{
	my ($function, $lack, $result) = @$_;
	$scene->sql("ALTER SEQUENCE tries RESTART");
	$scene->define($function, qq({"steps": [{"step": "do", "sql": "SELECT $function() AS did, visit.attempt", "save_reply": {"did": "\${\$reply.row}"}, "catch": [{"on": "*", "next": "failed"}]}, $rest]}));
	my $instance = $scene->start($function);
	is_soon($node, 'postgres', "SELECT step || (SELECT data->'did'->>'did' || (data->'did'->>'attempt') FROM workflow.instances i WHERE i.instance = v.instance) FROM workflow.visits v WHERE instance = $instance",
		"ship${result}1", "a statement waits until there is a $lack again");
	is($scene->sql("SELECT last_value FROM tries"), 3, '... and is tried again');
}

is($scene->sql('SELECT count(*) FROM workflow.incidents'), 0, 'nothing of all that is an incident');
$node->stop;
done_testing();
