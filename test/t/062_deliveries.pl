#
# What arrives for an instance that is locked or suspended is delivered later, in the order in which it came: all together if that
# can be, and nothing before what came earlier and still waits, whoever does it and whatever happens in between.
#
# Handlers that begin beside a visit make several requests for one instance. What is brought by their replies is written down in the order
# in which they are dealt with; the last request is answered first.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('deliveries', conf => "workflow.move_timeout = 1s\nworkflow.executors = 2\n");
my $node = $scene->node;
my $client = $node->background_psql('postgres');
my @steps = qw(a b c d e);
my $H = '"headers": {' . Scene::HEADERS . '}';

$scene->define('many', '{"data": {"order": ""}, "steps": [{"step": "stand", "wait": true, "catch": ['
	. join(', ', map { qq({"after": "1 ms", "interrupt": false, "next": "$_"}) } @steps) . ']}, '
	. join(', ', map { qq({"step": "$_", "http": {"server": "partner", "path": "/delay", "query": {"s": "\${\$.delay.$_}"}, $H}, "save_reply": {"order": "\${\$.order}\${\$step}"}, "end": true}) } @steps) . ']}');
$scene->define('other', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/ok", $H}}]}));

# All requests are under way; each is answered 0.2 s before the one before it.
sub start
{
	my %delay = map { $steps[$_] => 2.5 - 0.2 * $_ } 0 .. $#steps;
	my $instance = $scene->start('many', { delay => { %delay, @_ } });
	$scene->wait_for_requests(scalar(@steps), $instance);
	return $instance;
}

sub lock_instance { $client->query_safe("BEGIN; SELECT workflow.set_data($_[0], '{\"held\": true}')") }
sub waiting { return "SELECT count(*) FROM workflow_data.delivery WHERE instance = $_[0]" }

# The steps for which deliveries wait, by number.
sub order
{
	my ($instance) = @_;
	return $scene->sql("SELECT string_agg(step, '' ORDER BY delivery) FROM workflow_data.delivery JOIN workflow_data.visit USING (instance, visit) WHERE instance = $instance");
}

sub is_delivered
{
	my ($instance, $order, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_soon($node, 'postgres', "SELECT data ->> 'order' FROM workflow.instances WHERE instance = $instance", $order, "$name: in the order in which they came");
	is($scene->sql(waiting($instance)), 0, "$name: nothing is left over");
	is(scalar($scene->requests($instance)), scalar(@steps), "$name: nothing is asked for again");
	is($scene->sql("SELECT count(*) FROM workflow.history WHERE instance = $instance AND outcome = 'SUCCESS'"), scalar(@steps), "$name: each visit has ended well");
}

# ---- a lock ----

my $instance = start();
lock_instance($instance);
is_soon($node, 'postgres', waiting($instance), 5, 'locked: all wait');
my $order = order($instance);
is($order, 'edcba', 'locked: the last request was answered first');
is_soon($node, 'postgres', "SELECT min(attempt) > 2, count(DISTINCT due_at), count(DISTINCT xmin::text || ' ' || cmin::text) FROM workflow_data.delivery WHERE instance = $instance",
	't|1|1', 'locked: all are put off together, by one command');
(undef, my $status) = $scene->run('other');
is($status, 'completed', 'locked: others go on');
$client->query_safe('COMMIT');
is_delivered($instance, $order, 'locked');

# ---- a suspension, with locks around it ----

$instance = start();
lock_instance($instance);
is_soon($node, 'postgres', "SELECT count(*) >= 2 FROM workflow_data.delivery WHERE instance = $instance", 't', 'suspended: some wait for a lock');
$client->query_safe("SELECT workflow.suspend($instance); COMMIT");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE instance = $instance AND queue = 'suspended'", 5, 'suspended: all are held');
$order = order($instance);
lock_instance($instance);
$client->query_safe("SELECT workflow.resume($instance)");
$scene->run('other');
is($scene->sql("SELECT data ->> 'order' FROM workflow.instances WHERE instance = $instance"), '', 'suspended: not before it is resumed');
$client->query_safe('COMMIT');
is_delivered($instance, $order, 'suspended');

# ---- one that cannot be delivered yet ----

$instance = start(a => 6);
lock_instance($instance);
is_soon($node, 'postgres', waiting($instance), 4, 'put off: four wait');
is(order($instance), 'edcb', 'put off: the fifth is still under way');
# not before somebody looks at all that there is
$scene->sql("UPDATE workflow_data.delivery SET due_at = now() + interval '1 hour' WHERE delivery = (SELECT min(delivery) FROM workflow_data.delivery WHERE instance = $instance)");
$client->query_safe('COMMIT');
is_soon($node, 'postgres', waiting($instance) . " AND due_at > now() + interval '50 min'", 5, 'put off: those behind it wait for it, what has just come too');
is($scene->sql("SELECT data ->> 'order' FROM workflow.instances WHERE instance = $instance"), '', 'put off: none is delivered');
$scene->sql("UPDATE workflow_data.delivery SET due_at = now() WHERE instance = $instance");
$scene->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher'");
is_delivered($instance, 'edcba', 'put off');

# ---- handed over to an executor ----

my $holder = $node->background_psql('postgres');
$instance = start(a => 4.5);
lock_instance($instance);
is_soon($node, 'postgres', waiting($instance), 4, 'handed over: four wait');
# now the end of a visit takes as long as we like
$holder->query_safe('BEGIN; LOCK TABLE workflow_data.visit_history IN SHARE MODE');
$client->query_safe('COMMIT');
is_soon($node, 'postgres', waiting($instance) . " AND queue LIKE 'executor %'", 5, 'handed over: all of them, what has just come too');
$order = order($instance);
is($order, 'edcba', 'handed over: in their order');
$holder->query_safe('ROLLBACK');
is_delivered($instance, $order, 'handed over');

# ---- behind one that is with an executor, while the request of the last visit is under way ----

$instance = start(a => 6);
lock_instance($instance);
is_soon($node, 'postgres', waiting($instance), 4, 'behind: four wait');
my ($queue) = $scene->sql("SELECT 'executor ' || process_id FROM workflow_data.instance WHERE instance = $instance");
$scene->sql(qq[
	BEGIN;
	INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue) SELECT instance, visit, now(), 'alarm', 'move' FROM workflow_data.visit WHERE instance = $instance AND step = 'a';
	UPDATE workflow_data.delivery SET queue = '$queue' WHERE delivery = (SELECT min(delivery) FROM workflow_data.delivery WHERE instance = $instance);
	COMMIT]);
is_soon($node, 'postgres', waiting($instance) . " AND queue = '$queue'", 5, 'behind: all follow it, and an alarm of the last visit too');
is(order($instance), 'edcba', 'behind: in their order');
$client->query_safe('COMMIT');
is_delivered($instance, 'edcba', 'behind');

# ---- a poison among them ----

$scene->sql(q[
	CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.step = 'c' AND NEW.outcome = 'SUCCESS' THEN RAISE 'poison'; END IF; RETURN NEW; END $$;
	CREATE TRIGGER poison BEFORE INSERT ON workflow_data.visit_history FOR EACH ROW EXECUTE FUNCTION poison()]);
$instance = start();
lock_instance($instance);
is_soon($node, 'postgres', waiting($instance), 5, 'poison: all wait');
$client->query_safe('COMMIT');
is_soon($node, 'postgres', "SELECT data ->> 'order' FROM workflow.instances WHERE instance = $instance", 'edba', 'poison: the others are delivered, in their order');
is($scene->sql("SELECT string_agg(step, ' ') FROM workflow.incidents WHERE instance = $instance"), 'c', 'poison: it alone is an incident');
is($scene->sql(waiting($instance)), 0, 'poison: nothing is left over');

# An executor applies one that fails. What is put off behind it, until it is an incident, does not wait for it any longer then. Visits
# are locked meanwhile, so that it takes a while.
$scene->sql(q[
	CREATE OR REPLACE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.step = 'c' AND NEW.outcome = 'SUCCESS' THEN PERFORM pg_advisory_xact_lock(1); RAISE 'poison'; END IF; RETURN NEW; END $$]);
$scene->define('statement', '{"steps": [{"step": "run", "sql": "SELECT 1"}]}');
$instance = start(c => 1, d => 8, e => 8.5, b => 9, a => 9.5);
lock_instance($instance);
is_soon($node, 'postgres', waiting($instance), 1, 'poison with an executor: it waits');
$holder->query_safe('BEGIN; SELECT pg_advisory_xact_lock(1)');
$scene->sql("UPDATE workflow_data.delivery SET queue = '$queue', due_at = now() WHERE instance = $instance");
$client->query_safe('COMMIT');
$scene->run('statement'); # which has executors look what there is
is_soon($node, 'postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", 1, 'poison with an executor: it is applied');
$client->query_until(qr/asked/, "\\echo asked\nBEGIN; LOCK TABLE workflow_data.visit IN SHARE MODE;\n");
is_soon($node, 'postgres', "SELECT count(*) FROM pg_locks WHERE relation = 'workflow_data.visit'::regclass AND mode = 'ShareLock'", 1, 'poison with an executor: no visit can change before we like');
$holder->query_safe('ROLLBACK');
is_soon($node, 'postgres', waiting($instance) . " AND due_at > now() + interval '30 s'", 1, 'poison with an executor: it is put off before it is given up');
$scene->sql("INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue) SELECT instance, v.visit, d.due_at, 'alarm', d.queue FROM workflow_data.visit v JOIN workflow_data.delivery d USING (instance) WHERE instance = $instance AND step = 'd'");
$client->query_safe('COMMIT');
is_soon($node, 'postgres', "SELECT string_agg(step, ' ') FROM workflow.incidents WHERE instance = $instance", 'c', 'poison with an executor: it is an incident');
is($scene->sql(waiting($instance) . " AND due_at > now() + interval '10 s'"), 0, 'poison with an executor: what is behind it does not wait any longer');
is_soon($node, 'postgres', "SELECT data ->> 'order' FROM workflow.instances WHERE instance = $instance", 'deba', 'poison with an executor: the others are delivered');
$scene->sql('DROP TRIGGER poison ON workflow_data.visit_history');

# ---- suspended, and resumed since its process is called off ----

$scene->define('process', qq({"catch": [{"after": "1 ms", "interrupt": false, "next": "beside"}], "steps": [{"step": "stand", "wait": true, "end": true},
	{"step": "beside", "ignore_cancel": true, "http": {"server": "partner", "path": "/held", $H}}]}));
$instance = $scene->start('process');
$scene->wait_for_requests(1, $instance);
$scene->sql("SELECT workflow.suspend($instance)");
$scene->let_go($instance);
is_soon($node, 'postgres', waiting($instance), 1, 'called off: the reply waits');
$scene->sql("SELECT workflow.cancel_visit(serial_number) FROM workflow.visits WHERE instance = $instance AND step = '(process)'");
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $instance", 'aborted', 'called off: it is delivered, and was the last');

# ---- a crash ----

my %crashed = (locked => start(), suspended => start());
lock_instance($crashed{locked});
$scene->sql("SELECT workflow.suspend($crashed{suspended})");
is_soon($node, 'postgres', waiting($_), 5, 'crash: all wait') for values %crashed;
my %order = map { $_ => order($crashed{$_}) } keys %crashed;
$scene->sql('CHECKPOINT'); # what has arrived is committed lazily
crash($node);
eval { $client->quit };
start_again($node);
is_delivered($crashed{locked}, $order{locked}, 'crash, locked');
is($scene->sql("SELECT workflow.resume($crashed{suspended})"), 't', 'crash: resumed');
is_delivered($crashed{suspended}, $order{suspended}, 'crash, suspended');

$node->stop;
done_testing();
