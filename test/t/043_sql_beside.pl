#
# While a statement runs its instance is free for others: what they do counts, nobody waits, the statement's effect is there exactly when
# its visit has moved on by it, and a cancel meets no other work.
#
# mostly waits

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $node = new_server('beside', conf => "workflow.executors = 3\nlog_lock_waits = on\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }
my $asleep = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'workflow executor' AND wait_event = 'PgSleep'";

sql(q[
	CREATE TABLE effect (instance bigint, step text, note text);
	CREATE TABLE stock (id int PRIMARY KEY, n int);
	INSERT INTO stock SELECT n, 0 FROM generate_series(1, 5) n;
	CREATE SEQUENCE runs;
	CREATE FUNCTION work(instance bigint, step text, seconds float) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO effect VALUES (instance, step);
		PERFORM pg_sleep(seconds);
		RETURN step;
	END $$;
	-- as slow as somebody else wants it to be
	CREATE FUNCTION take(item int) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		answer int;
	BEGIN
		PERFORM nextval('runs');
		UPDATE stock SET n = n + 1 WHERE id = item RETURNING n INTO answer;
		PERFORM pg_advisory_xact_lock_shared(item);
		PERFORM pg_sleep(0.05);
		RETURN answer;
	END $$;
	-- fails the first time, of something that passes
	CREATE SEQUENCE tries;
	CREATE FUNCTION fail_once() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF nextval('public.tries') = 1 THEN
			RAISE EXCEPTION 'once' USING ERRCODE = '40001';
		END IF;
	END $$;
	CREATE FUNCTION falter(instance bigint, step text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO effect VALUES (instance, step);
		PERFORM pg_advisory_xact_lock_shared(9);
		IF step = 'now' THEN
			PERFORM fail_once();
		END IF;
	END $$;
	CREATE FUNCTION fail_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.fail_once(); RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER late AFTER INSERT ON workflow_data.visit_history DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
		WHEN (NEW.step = 'late') EXECUTE FUNCTION fail_late();
	-- heeds no cancel
	CREATE FUNCTION stubborn(instance bigint) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO effect VALUES (instance, 'stubborn');
		BEGIN
			PERFORM pg_sleep(10);
		EXCEPTION WHEN query_canceled THEN
			PERFORM pg_sleep(0.5);
		END;
	END $$;
	SELECT workflow.define('work', '{"steps": [
		{"step": "a", "sql": "SELECT work(visit.instance, visit.step, (visit.data->>''s'')::float) AS done", "save": {"a": "${$reply.row.done}"}},
		{"step": "b", "sql": "SELECT work(visit.instance, visit.step, (visit.data->>''s'')::float) AS done", "save": {"b": "${$reply.row.done}"}},
		{"step": "c", "sql": "SELECT work(visit.instance, visit.step, (visit.data->>''s'')::float) AS done", "save": {"c": "${$reply.row.done}"}}]}');
	SELECT workflow.define('timed', '{"steps": [
		{"step": "a", "sql": "SELECT work(visit.instance, visit.step, 30)", "timeout": "1 s"}]}');
	SELECT workflow.define('interrupted', '{"steps": [
		{"step": "a", "sql": "SELECT work(visit.instance, visit.step, 30)", "catch": [{"after": "700 ms", "next": "b"}], "end": true},
		{"step": "b", "set": {"b": true}}]}');
	SELECT workflow.define('two', '{"steps": [
		{"step": "a", "sql": "SELECT take(2) AS done", "save": {"a": "${$reply.row.done}", "b seen": "${$.b ?? null}"},
			"catch": [{"after": "300 ms", "interrupt": false, "next": "b"}], "end": true},
		{"step": "b", "sql": "SELECT work(visit.instance, visit.step, 0.1) AS done", "save": {"b": "${$reply.row.done}"}, "end": true}]}');
	SELECT workflow.define('take', '{"steps": [{"step": "take", "sql": "SELECT take((visit.data->>''item'')::int) AS n", "save": {"n": "${$reply.row.n}"}}]}');
	SELECT workflow.define('take and wait', '{"steps": [{"step": "take", "sql": "SELECT take(1) AS n", "save_reply": {"n": "${$reply.row.n}"}, "wait": true, "save": {"by": "${$result.response.by}"}}]}');
	SELECT workflow.define('stubborn', '{"steps": [{"step": "stubborn", "sql": "SELECT stubborn(visit.instance)"}]}');
	SELECT workflow.define('now', '{"steps": [{"step": "now", "sql": "SELECT falter(visit.instance, visit.step)", "wait": true}]}');
	SELECT workflow.define('late', '{"steps": [{"step": "late", "sql": "SELECT falter(visit.instance, visit.step)", "wait": true}]}');
	SELECT workflow.define('called back', '{"steps": [{"step": "a", "sql": "SELECT work(visit.instance, visit.step, 3) AS done", "timeout": "2 s", "wait": true}]}');
	SELECT workflow.define('extended', '{"steps": [{"step": "a", "sql": "SELECT work(visit.instance, visit.step, 4) AS done", "timeout": "3 s", "wait": {"callback": true, "when": "false"}}]}');
]);

sub start { my ($process, $data) = @_; $data //= '{}'; return sql("SELECT workflow.start('$process', '$data')") }
sub status_is { my ($instance, $status, $name) = @_; is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $instance", $status, $name) }
sub effects { return sql("SELECT coalesce(string_agg(step, ' ' ORDER BY step), '') FROM effect WHERE instance = $_[0]") }

# ---- it shows as running, and others go on ----

my $instance = start('work', '{"s": 6}');
is_soon($node, 'postgres', $asleep, 1, 'a statement runs');
my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'workflow executor' AND wait_event = 'PgSleep'");
sleep 1.3;
is(sql("SELECT state, blocked_by IS NULL FROM workflow.visits WHERE instance = $instance"), 'calling|t', 'it is under work, and nothing is in its way');
my $begin = time();
sql("SELECT workflow.set_data($instance, '{\"s\": 0}')");
cmp_ok(time() - $begin, '<', 3, 'who sets data does not wait');
status_is($instance, 'completed', 'it goes on');
is(effects($instance), 'a b c', 'each effect once');
is(sql("SELECT data FROM workflow.instances WHERE instance = $instance"), '{"a": "a", "b": "b", "c": "c", "s": 0}', 'with the data that were set meanwhile');

# ---- its time is over, or a handler's has come ----

$begin = time();
$instance = start('timed');
status_is($instance, 'failed', 'a timeout does not wait');
cmp_ok(time() - $begin, '<', 8, 'for the statement');
is(sql("SELECT outcome FROM workflow.incidents WHERE instance = $instance"), 'TIMED_OUT', 'it has timed out');
is(effects($instance), '', 'and done nothing');
$instance = start('interrupted');
status_is($instance, 'completed', 'a handler that interrupts does not wait either');
is(effects($instance), '', 'the statement has done nothing');
is_soon($node, 'postgres', $asleep, 0, 'and is stopped');

$instance = start('extended');
is_soon($node, 'postgres', $asleep, 1, 'a statement with a timeout runs');
sql("SELECT workflow.extend(serial_number, '1 min') FROM workflow.visits WHERE instance = $instance");
status_is($instance, 'completed', 'a timeout that is put off meanwhile');
is(sql("SELECT attempts FROM workflow.history WHERE instance = $instance"), 1, 'costs no attempt');
is(effects($instance), 'a', 'nor an effect');

# ---- a callback ends the visit, but not without its statement, whatever becomes of that ----

sub call_back { is(sql("SELECT workflow.complete(serial_number) FROM workflow.visits WHERE instance = $_[0]"), 't', 'a callback is accepted') }

$instance = start('called back');
is_soon($node, 'postgres', $asleep, 1, 'a statement with a timeout runs');
call_back($instance);
status_is($instance, 'completed', 'a timeout that a callback has lifted');
is(effects($instance), 'a', 'costs no effect');
is(sql("SELECT attempts FROM workflow.history WHERE instance = $instance"), 1, 'nor an attempt');

my $client = $node->background_psql('postgres');
my $busy = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
for my $when ('now', 'late')
{
	sql("SELECT setval('tries', 1, false)");
	$client->query_safe('SELECT pg_advisory_lock(9)');
	$instance = start($when);
	is_soon($node, 'postgres', $busy, 1, "a statement runs that fails $when");
	call_back($instance);
	$client->query_safe('SELECT pg_advisory_unlock(9)');
	status_is($instance, 'completed', 'a conflict that passes');
	is(sql('SELECT last_value FROM tries'), 2, '... met once');
	is(effects($instance), $when, 'costs no effect');
	is(sql("SELECT attempts FROM workflow.history WHERE instance = $instance"), 1, 'nor an attempt');
}

$instance = start('called back');
is_soon($node, 'postgres', $asleep, 1, 'a statement runs');
call_back($instance);
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'workflow executor' AND wait_event = 'PgSleep'");
status_is($instance, 'completed', 'an executor that ends');
is(effects($instance), 'a', 'costs no effect');

# ---- two visits of one instance ----

$client->query_safe("SET deadlock_timeout = '400 ms'; SELECT pg_advisory_lock(2)");
$instance = start('two');
is_soon($node, 'postgres', "SELECT count(*) FROM effect WHERE instance = $instance", 1, 'a second one is through');
is(sql("SELECT data FROM workflow.instances WHERE instance = $instance"), '{"b": "b"}', 'while the first one runs');
is(sql($busy), 1, '... still');
$client->query_safe('SELECT pg_advisory_unlock(2)');
status_is($instance, 'completed', 'which goes on');
is(sql("SELECT data FROM workflow.instances WHERE instance = $instance"), '{"a": 1, "b": "b", "b seen": "b"}', 'and saves beside what was there by then');

# ---- a statement that heeds no cancel ----

$instance = start('stubborn');
is_soon($node, 'postgres', $asleep, 1, 'a stubborn statement runs');
is(sql("SELECT workflow.cancel($instance)"), 't', 'and is cancelled');
status_is($instance, 'aborted', 'at once');
is_soon($node, 'postgres', $asleep, 0, 'it ends');
is(effects($instance), '', 'and has done nothing');

# ---- an executor that ends ----

$instance = start('work', '{"s": 1.5}');
is_soon($node, 'postgres', $asleep, 1, 'a statement runs');
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'workflow executor' AND wait_event = 'PgSleep'");
sql("SELECT workflow.set_data($instance, '{\"s\": 0.2}')");
status_is($instance, 'completed', 'another one takes it up');
is(effects($instance), 'a b c', 'each effect once');
is(sql("SELECT string_agg(attempts::text, ' ') FROM workflow.history WHERE instance = $instance"), '1 1 1', 'that cost no attempt');

# ---- who holds the instance and wants what the statement has locked ----

sub clash
{
	my ($call) = @_;
	is_soon($node, 'postgres', $busy, 1, 'the statement runs');
	$client->query_safe("BEGIN; $call; SELECT pg_advisory_unlock(1)");
	is(eval { $client->query_safe('UPDATE stock SET n = n + 10 WHERE id = 1 RETURNING true') }, 't', 'the client gets through');
	$client->query_safe('SELECT pg_advisory_lock(1); COMMIT');
}

sql("SELECT setval('runs', 1, false)");
$client->query_safe('SELECT pg_advisory_lock(1)');
$instance = start('take', '{"item": 1}');
clash("SELECT workflow.set_data($instance, '{\"$_\": $_}')") for 1 .. 3;
is_soon($node, 'postgres', $busy, 1, 'the statement runs once more');
$client->query_safe('SELECT pg_advisory_unlock(1)');
sql("SELECT workflow.set_data($instance, '{\"4\": 4}')");
status_is($instance, 'completed', 'at last it goes first');
is(sql("SELECT n FROM stock WHERE id = 1"), 31, 'each effect once');
is(sql('SELECT last_value FROM runs'), 4, 'it has run four times');
is(sql("SELECT attempts FROM workflow.history WHERE instance = $instance"), 1, 'which cost no attempt');
is(sql("SELECT count(*) FROM workflow.visits WHERE blocked_by IS NOT NULL"), 0, 'nothing is left blocked');

# ... after it has said what the end of the visit is
$client->query_safe('SELECT pg_advisory_lock(1)');
$instance = start('take and wait');
clash("SELECT workflow.complete(serial_number, '{\"by\": \"client\"}') FROM workflow.visits WHERE instance = $instance");
$client->query_safe('SELECT pg_advisory_unlock(1)');
status_is($instance, 'completed', 'the visit ends by a callback');
is(sql("SELECT data FROM workflow.instances WHERE instance = $instance"), '{"n": 42, "by": "client"}', 'but not without its statement');
is(sql('SELECT last_value FROM runs'), 6, 'which ran again');

# ... which is nothing to be told of in each piece of the wait
$client->query_safe('SELECT pg_advisory_lock(1)');
$instance = start('take', '{"item": 1}');
is_soon($node, 'postgres', $busy, 1, 'a statement runs');
$client->query_safe("BEGIN; SELECT workflow.set_data($instance, '{\"x\": 1}'); SELECT pg_advisory_unlock(1)");
is_soon($node, 'postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'workflow executor' AND wait_event = 'transactionid'", 't', 'and waits for its instance');
sleep 0.4;
$client->query_safe('COMMIT');
status_is($instance, 'completed', 'which it gets');
ok(!log_has($node, qr/workflow executor .*still waiting for \S+ on transaction/), 'the log says nothing of it');

# many of them, without a plan
my @instances = map { start('take', "{\"item\": $_}") } 1 .. 5;
my $rounds = 4;
my $errors = '';
my @harnesses;
for my $i (0 .. 4)
{
	my $item = $i + 1;
	my $script = join '', map {
		"SELECT workflow.start('take', '{\"item\": $item}') AS i \\gset\n"
		  . "SELECT pg_sleep(0.03);\nBEGIN; SELECT workflow.set_data(:i, '{\"x\": 1}'); SELECT pg_sleep(0.03); UPDATE stock SET n = n + 100 WHERE id = $item; COMMIT;\n"
	} 1 .. $rounds;
	push @harnesses, IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ], '<', \$script, '>', \my $out, '2>', \$errors);
}
my $failed = grep { !$_->finish } @harnesses;
is($failed, 0, 'no client is the victim') or diag($errors);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'take' AND ended_at IS NULL", 0, 'all come to their end');
is(sql("SELECT string_agg((n % 100)::text, ' ' ORDER BY id), string_agg((n / 100)::text, ' ' ORDER BY id) FROM stock WHERE id > 1"),
	join(' ', $rounds + 2, ($rounds + 1) x 3) . '|' . join(' ', ($rounds) x 4), 'each effect once, theirs and ours');
is(sql("SELECT max(attempts) FROM workflow.history WHERE step = 'take'"), 1, 'no attempt was spent');

# ---- cancels under fire ----

my @many = split /\n/, sql(q[SELECT workflow.start('work', '{"s": 0.004}') FROM generate_series(1, 150)]);
my $cancel = join '', map { "SELECT workflow.cancel($_); SELECT pg_sleep(0.004);\n" } grep { $_ % 2 } @many;
my $suspend = join '', map { "SELECT workflow.suspend($_); SELECT pg_sleep(0.004); SELECT workflow.resume($_);\n" } grep { $_ % 2 == 0 } @many;
my @fire = map { my $script = $_; IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ], '<', \$script, '>', \my $out, '2>', \my $err) } ($cancel, $suspend);
is(scalar(grep { !$_->finish } @fire), 0, 'they are cancelled, or suspended for a moment');
my $list = join ',', @many;
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE instance IN ($list) AND ended_at IS NULL", 0, 'all come to their end');
is(sql("SELECT count(*) FROM workflow.instances WHERE instance IN ($list) AND instance % 2 = 0 AND status <> 'completed'"), 0, 'those that were not cancelled complete');
is(sql("SELECT count(*) FROM workflow.instances WHERE instance IN ($list) AND status = 'failed'"), 0, 'no cancel meets anybody else');
is(sql("SELECT count(*) FROM workflow.attempts WHERE error IS NOT NULL AND split_part(serial_number, '_', 1)::bigint IN ($list)"), 0, '... or counts as an attempt');
is(sql("SELECT count(*) FROM (SELECT instance, step FROM effect WHERE instance IN ($list) EXCEPT ALL SELECT instance, step FROM workflow.history WHERE instance IN ($list) AND outcome = 'SUCCESS') x"), 0, 'no effect without its move')
  or diag(sql(qq[
	SELECT x.instance, x.step, (SELECT string_agg(h::text, E'\n') FROM workflow.history h WHERE h.instance = x.instance),
		(SELECT string_agg(e.step || ' of transaction ' || e.xmin::text, ', ') FROM effect e WHERE e.instance = x.instance)
	FROM (SELECT instance, step FROM effect WHERE instance IN ($list) EXCEPT ALL SELECT instance, step FROM workflow.history WHERE instance IN ($list) AND outcome = 'SUCCESS') x]));
is(sql("SELECT count(*) FROM (SELECT instance, step FROM workflow.history WHERE instance IN ($list) AND outcome = 'SUCCESS' EXCEPT ALL SELECT instance, step FROM effect) x"), 0, 'no move without its effect');

$client->quit;

# ---- the server dies before the commit, and after it ----

$instance = start('work', '{"s": 20}');
is_soon($node, 'postgres', $asleep, 1, 'a statement runs');
sql("SELECT workflow.set_data($instance, '{\"s\": 0.3}')");
crash($node);
start_again($node);
status_is($instance, 'completed', 'it runs again after a crash');
is(effects($instance), 'a b c', 'each effect once');
$instance = start('work', '{"s": 0}');
is_soon($node, 'postgres', "SELECT count(*) FROM effect WHERE instance = $instance AND step = 'b'", 1, 'a statement is committed');
crash($node);
start_again($node);
status_is($instance, 'completed', 'and the server dies');
is(effects($instance), 'a b c', 'each effect once');
is(sql("SELECT string_agg(attempts::text, ' ') FROM workflow.history WHERE instance = $instance"), '1 1 1', 'in one attempt');

$node->stop;
done_testing();
